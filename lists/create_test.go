package lists

import (
	"bytes"
	"fmt"
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
			w.model["k"] = append(w.model["k"], item{string(elements[i]), w.now})
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
		l.resetWindows()
		l.runOf(l.head+uint64(c.missing), func(r run, _ [][]byte) { l.tx.Delete(l.o, l.subKey(r.key)) })
		l.Trim(c.from, c.to)
		if want := (c.to - c.from) * size; l.Bytes() != want {
			t.Errorf("a trim from %d to %d leaves %d bytes, want %d", c.from, c.to, l.Bytes(), want)
		}
	}
}

// A list tells where its elements are, so that nobody looks for them where they
// were.
func TestPlaces(t *testing.T) {
	for _, dead := range []int{1, 4} {
		t.Run(fmt.Sprintf("%d-dead", dead), func(t *testing.T) { testPlaces(t, dead) })
	}
}

func testPlaces(t *testing.T, dead int) {
	defer shrinkAll()()
	deadRecordsMax = dead
	w := newWorld(t, 1, 1<<20)
	l, err := OpenOrCreate(w.tx, []byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		l.Push(Left, []byte("l"))
		l.Push(Right, []byte("r"))
	}
	w.commit()
	for n := range int64(17) {
		if l, _ = w.list("k"); n > 0 {
			l.PopOne(End(n%2 == 0))
		}
		var subs [][]byte
		for sub := range w.tx.Scan(l.o, nil, nil, false) {
			subs = append(subs, bytes.Clone(sub))
		}
		places := l.Places()
		if len(places) != 1 || bytes.Compare(places[0].From, subs[0]) > 0 || bytes.Compare(places[0].To, subs[len(subs)-1]) <= 0 {
			t.Errorf("%d records from %x to %x, places %x", len(subs), subs[0], subs[len(subs)-1], places)
		}
		if dead == 1 && n%3 == 0 {
			w.commit() // the tombstones of what went before are not walked over
			l, _ = w.list("k")
			if places := l.Places(); !bytes.Equal(places[0].From, subKeyOf(l.first)) || !bytes.Equal(places[0].To, subKeyOf(l.tail())) {
				t.Errorf("records from %d to %d, places %x", l.first, l.tail(), places)
			}
		}
	}
}
