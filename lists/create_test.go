package lists

import (
	"bytes"
	"slices"
	"strconv"
	"testing"
)

// A list that takes the place of another has nothing of it, its expiry
// included.
func TestCreate(t *testing.T) {
	w := newWorld(t, 1, 1)
	for n := 1; n < 4000; n *= 3 {
		if l, ok := w.list("k"); ok {
			w.tx.SetExpiry(l.Object(), 5000)
		}
		w.commit()
		var elements [][]byte
		w.model["k"] = nil
		for i := range n {
			elements = append(elements, bytes.Repeat([]byte(strconv.Itoa(i)), 20))
			w.model["k"] = append(w.model["k"], string(elements[i]))
		}
		l := Create(w.tx, []byte("k"), slices.Values(elements))
		if l.Object().ExpireAt() != 0 || w.tx.Keys() != 1 || w.tx.Expiring() != 0 {
			t.Errorf("expires at %d, %d keys", l.Object().ExpireAt(), w.tx.Keys())
		}
		w.check()
		w.reopen()
		w.check()
	}
}
