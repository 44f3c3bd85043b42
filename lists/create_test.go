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

// A list tells where its elements are, so that nobody looks for them where they
// were.
func TestPlaces(t *testing.T) {
	w := newWorld(t, 1, 1)
	l, err := OpenOrCreate(w.tx, []byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		l.Push(Left, []byte("l"))
		l.Push(Right, []byte("r"))
	}
	l.Pop(Left, 7)
	l.Pop(Right, 3)
	var subs [][]byte
	for sub := range w.tx.Scan(l.o, nil, nil, false) {
		subs = append(subs, bytes.Clone(sub))
	}
	places := l.Places()
	last := bytes.Clone(subs[len(subs)-1])
	last[7]++
	if len(subs) != 30 || len(places) != 1 || !bytes.Equal(places[0].From, subs[0]) || !bytes.Equal(places[0].To, last) {
		t.Errorf("%d elements from %x to %x, places %x", len(subs), subs[0], subs[len(subs)-1], places)
	}
}
