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

// A trim reads the smaller part, what goes or what stays. Which one shows when an
// element is missing in the other.
func TestTrimReadsTheSmallerPart(t *testing.T) {
	const count, size = 5000, 10
	for _, c := range []struct{ from, to, missing int64 }{
		{0, 10, 2500}, {4990, 5000, 2500}, {1500, 1510, 10}, {1500, 1510, 3000}, {2600, 5000, 100},
		{10, 5000, 2500}, {0, 4990, 2500}, {2000, 5000, 3000}, {0, 3000, 100},
	} {
		w := newWorld(t, 1, 1)
		Create(w.tx, []byte("k"), slices.Values(slices.Repeat([][]byte{make([]byte, size)}, count)))
		w.commit()
		l, _ := w.list("k")
		l.front.reset(l.head)
		l.back.reset(l.tail())
		l.tx.Delete(l.o, l.subKey(l.head+uint64(c.missing)))
		l.Trim(c.from, c.to)
		if want := (c.to - c.from) * size; l.Bytes() != want {
			t.Errorf("a trim from %d to %d leaves %d bytes, want %d", c.from, c.to, l.Bytes(), want)
		}
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
