package lists

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// records returns how many records a list has.
func (w *world) records(key string) (n int) {
	l, _ := w.list(key)
	for range w.tx.Scan(l.o, nil, nil, false) {
		n++
	}
	return n
}

func (w *world) push(key string, end End, elements ...string) {
	l, err := OpenOrCreate(w.tx, []byte(key))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range elements {
		l.Push(end, []byte(e))
	}
}

// What is pushed at an end in one turn is one record, up to a size.
func TestATurnWritesARun(t *testing.T) {
	w := newWorld(t, 1, 1<<20)
	for range 50 {
		w.push("q", Left, "message")
	}
	w.commit()
	if n := w.records("q"); n != 1 {
		t.Errorf("50 elements of a turn have %d records", n)
	}
	w.push("q", Left, slices.Repeat([]string{"m"}, 2*int(runElementsMax)+1)...)
	w.commit()
	if n := w.records("q"); n != 4 {
		t.Errorf("there are %d records, want 3 more", n)
	}
	w.push("q", Right, string(make([]byte, 2*runBytesMax)), "m", "m", string(make([]byte, runBytesMax-10)), "mmmmmmmmm")
	w.commit()
	if n := w.records("q"); n != 7 {
		t.Errorf("there are %d records, want 3 more", n)
	}
}

// A message that is taken in the turn that brings it is never written, and nothing
// else is on its account.
func TestWhatIsTakenInTheSameTurnIsNotWritten(t *testing.T) {
	w := newWorld(t, 1, 1<<20)
	w.push("q", Left, "old")
	w.commit()
	before, message := w.store.Written(), string(make([]byte, 10_000))
	for _, end := range []End{Left, Right} {
		w.push("q", end, message, message)
		if w.tx.Written() < 20_000 {
			t.Errorf("a turn that has 20,000 bytes to write says %d", w.tx.Written())
		}
		l, _ := w.list("q")
		l.Pop(end, 2)
	}
	w.push("new", Left, message)
	l, _ := w.list("new")
	l.PopOne(Right)
	if w.tx.Written() > 1000 {
		t.Errorf("%d bytes are to be written", w.tx.Written())
	}
	w.commit()
	if written := w.store.Written() - before; written > 1000 || w.records("q") != 1 {
		t.Errorf("%d bytes were written, there are %d records", written, w.records("q"))
	}
}

// A pop writes no run again, whichever end it is at; who pushes where a run is
// no longer whole does, once.
func TestPopsDoNotRewrite(t *testing.T) {
	w := newWorld(t, 1, 1<<20)
	message := string(make([]byte, 150))
	w.push("q", Left, slices.Repeat([]string{message}, 100)...)
	w.commit()
	before := w.store.Written()
	for range 20 {
		for _, end := range []End{Left, Right} {
			l, _ := w.list("q")
			l.PopOne(end)
		}
		w.commit()
	}
	if written := (w.store.Written() - before) / 20; written > 200 {
		t.Errorf("a pop writes %d bytes", written)
	}
	w.reopen()
	for _, end := range []End{Left, Right} {
		before = w.store.Written()
		w.push("q", end, "one")
		w.commit()
		if written := w.store.Written() - before; end == Left && written < 60*150 {
			t.Errorf("%d bytes were written, the rest of the run is not among them", written)
		}
		before = w.store.Written()
		w.push("q", end, "two")
		w.commit()
		if written := w.store.Written() - before; written > 300 {
			t.Errorf("a push writes %d bytes", written)
		}
	}
}

// Many lists share the memory that there is: each reads ahead so little that
// none is forgotten before what it has read is taken.
func TestManyListsShareTheCache(t *testing.T) {
	const lists, cache = 100, 2 << 20
	w := newWorld(t, 1, cache)
	keys, message := []string(nil), string(make([]byte, 500))
	for i := range lists {
		keys = append(keys, fmt.Sprint("q", i))
	}
	for range 100 {
		for _, key := range keys {
			w.push(key, Left, message, message)
		}
		w.commitTurn()
	}
	for turn := range 100 {
		states := make(map[*list]bool)
		for range 2 {
			for _, key := range keys {
				l, _ := w.list(key)
				if l.PopOne(Right); turn < 50 {
					continue
				}
				if states[l.list] = true; l.MemoryBytes() > cache/lists {
					t.Fatalf("%s has %d bytes in memory", key, l.MemoryBytes())
				}
			}
			w.commitTurn()
		}
		if turn >= 50 && turn < 99 && len(states) != lists {
			t.Fatalf("%d lists were read %d times", lists, len(states))
		}
	}
}

// Nothing of a list that goes away in the middle of a turn stays on disk.
func TestDropInTheMiddleOfATurn(t *testing.T) {
	w := newWorld(t, 1, 1<<20)
	for range 3 {
		w.push("q", Left, "a", "b")
		w.commit()
	}
	l, _ := w.list("q")
	l.Pop(Left, 2) // a record that is to be deleted
	l.Pop(Right, 3)
	l.Push(Right, []byte("c"))
	w.tx.Drop(l.Object())
	w.commit()
	w.tx.Sweep(10)
	w.commit() // which looks for records that nobody has
}

func TestSetIsARunOfItsOwn(t *testing.T) {
	w := newWorld(t, 1, 1<<20)
	large := bytes.Repeat([]byte("x"), runBytesMax)
	for _, inMemory := range []bool{true, false} {
		key := fmt.Sprint("q", inMemory)
		w.push(key, Left, slices.Repeat([]string{"m"}, 10)...)
		w.commit()
		for i := range int64(10) {
			l, _ := w.list(key)
			if !inMemory {
				l.resetWindows()
			}
			l.Set(i, large)
			w.commit()
		}
		if n := w.records(key); n != 10 {
			t.Errorf("10 large elements are in %d records", n)
		}
	}
}
