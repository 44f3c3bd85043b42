package storage

import (
	"bytes"
	"testing"
)

// FuzzDecodeMeta: the metadata of a key are refused, or are written as they were
// read.
func FuzzDecodeMeta(f *testing.F) {
	f.Add((&Object{typ: TypeList, id: 7, Meta: []byte("meta")}).appendMeta(nil))
	f.Add((&Object{typ: TypeStream, id: 1<<64 - 1, expireAt: 1}).appendMeta(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		var o Object
		if err := o.decodeMeta(p); err != nil {
			return
		}
		if got := o.appendMeta(nil); !bytes.Equal(got, p) {
			t.Errorf("%x reads back as %x", p, got)
		}
	})
}

// FuzzKeys: what is put into a Pebble key comes out of it again, and no two keys
// of clients are the same on disk.
func FuzzKeys(f *testing.F) {
	f.Add(int64(1), uint32(1), "a", "b")
	f.Add(int64(-1), uint32(1<<32-1), "", "\x00")
	s := &Store{seed: 1}
	f.Fuzz(func(t *testing.T, at int64, space uint32, key, other string) {
		a, sp, k := parseExpiryKey(appendExpiryKey(nil, at, space, key))
		if a != at || sp != space || string(k) != key {
			t.Errorf("%d %d %q comes back as %d %d %q", at, space, key, a, sp, k)
		}
		meta := s.appendMetaKey(nil, space, key)
		if string(meta[metaKeyPrefixLen:]) != key || metaKeyHash(meta) != s.hash(key) {
			t.Errorf("the metadata of %q are at %x", key, meta)
		}
		if (key == other) != bytes.Equal(meta, s.appendMetaKey(nil, space, other)) {
			t.Errorf("%q and %q", key, other)
		}
	})
}
