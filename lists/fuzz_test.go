package lists

import (
	"bytes"
	"testing"
)

// FuzzDecodeMeta: metadata are refused, or are written as they were read.
func FuzzDecodeMeta(f *testing.F) {
	f.Add((&list{head: firstPosition, count: 3, bytes: 9}).AppendMeta(nil))
	f.Add((&list{head: 1<<64 - 1, count: -1, rewritten: true}).AppendMeta(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		var l list
		if err := l.decodeMeta(p); err != nil {
			return
		}
		if got := l.AppendMeta(nil); !bytes.Equal(got, p) {
			t.Errorf("%x reads back as %x", p, got)
		}
	})
}
