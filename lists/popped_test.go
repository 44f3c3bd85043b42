package lists

import (
	"bytes"
	"testing"
)

// FuzzDecodePopped: a record is refused, or says what it says when it is written
// again.
func FuzzDecodePopped(f *testing.F) {
	p := Popped{DB: 3, Key: []byte("q"), End: Right, Elements: []PoppedElement{{[]byte("one"), 1}, {nil, 300}}}
	f.Add(p.Append(nil))
	f.Fuzz(func(t *testing.T, record []byte) {
		p, err := DecodePopped(record)
		if err != nil {
			return
		}
		again, err := DecodePopped(p.Append(nil))
		if err != nil || again.DB != p.DB || again.End != p.End || !bytes.Equal(again.Key, p.Key) || len(again.Elements) != len(p.Elements) {
			t.Fatalf("%x: %+v, read again %+v: %v", record, p, again, err)
		}
		for i, e := range p.Elements {
			if !bytes.Equal(e.Value, again.Elements[i].Value) || e.Deliveries != again.Elements[i].Deliveries {
				t.Errorf("element %d: %+v, read again %+v", i, e, again.Elements[i])
			}
		}
	})
}
