package lists

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzDecodeMeta: metadata are refused, or are written as they were read.
func FuzzDecodeMeta(f *testing.F) {
	f.Add((&list{head: firstPosition, first: firstPosition - 2, end: firstPosition + 3, count: 3, bytes: 9}).AppendMeta(nil))
	f.Add((&list{head: 1<<64 - 1, first: 1<<64 - 1, end: 4, count: 2}).AppendMeta(nil))
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

// FuzzDecodeRun: a record is refused, or has elements that, written again, are
// read as the same.
func FuzzDecodeRun(f *testing.F) {
	encode := func(ms int64, elements [][]byte) []byte {
		p := appendRunHeader(nil, ms, len(elements))
		for _, e := range elements {
			p = appendElement(p, e)
		}
		return p
	}
	f.Add(encode(1000, [][]byte{[]byte("one"), nil, bytes.Repeat([]byte("x"), 200)}))
	f.Add(encode(-1, [][]byte{nil}))
	f.Add(append(encode(0, [][]byte{nil}), 0))
	f.Fuzz(func(t *testing.T, p []byte) {
		elements, ms, err := decodeRun(p, nil)
		if err != nil {
			return
		}
		size := 0
		for _, e := range elements {
			size += encodedBytes(e)
		}
		again := encode(ms, elements)
		if len(again) != runBytes(len(elements), size) {
			t.Errorf("%d bytes, reckoned were %d", len(again), runBytes(len(elements), size))
		}
		got, gotMs, err := decodeRun(again, nil)
		if err != nil || gotMs != ms || !slices.EqualFunc(got, elements, bytes.Equal) {
			t.Errorf("%q at %d reads back as %q at %d, %v", elements, ms, got, gotMs, err)
		}
	})
}
