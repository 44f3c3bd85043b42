package lists

import (
	"bytes"
	"encoding/binary"

	"github.com/cairnmq/cairn/storage"
)

// Set replaces the element at an index, 0 <= i < Len.
func (l List) Set(i int64, e []byte) {
	old := l.Index(i)
	l.bytes += int64(len(e) - len(old))
	l.rewrite(l.head+uint64(i), append([]byte(nil), e...))
	l.tx.Changed(l.o, "lset")
}

// rewrite puts an element, which the list keeps, at a position that has one.
func (l List) rewrite(position uint64, e []byte) {
	l.rewritten = true
	l.tx.Put(l.o, l.subKey(position), e)
	switch {
	case l.front.holds(position):
		l.front.set(int(position-l.front.from), e)
	case l.back.holds(position):
		l.back.set(int(position-l.back.from), e)
	}
}

// Insert puts an element before the one at index i, 0 <= i <= Len. The elements
// of the shorter side move by one; if those are too many nothing happens and it
// returns storage.ErrTooMuch.
func (l List) Insert(i int64, e []byte) error {
	from, to := int64(0), i
	if i > l.count/2 {
		from, to = i, l.count
	}
	if !l.Fits(from, to) {
		return storage.ErrTooMuch
	}
	e = append([]byte(nil), e...)
	if from == 0 {
		moved := l.collect(0, i)
		l.push(Left, e) // makes room; overwritten below unless i is 0
		for k, m := range moved {
			l.rewrite(l.head+uint64(k), m)
		}
		if i > 0 {
			l.rewrite(l.head+uint64(i), e)
		}
	} else {
		moved := l.collect(i, l.count)
		l.push(Right, e)
		for k, m := range moved {
			l.rewrite(l.head+uint64(i)+1+uint64(k), m)
		}
		if len(moved) > 0 {
			l.rewrite(l.head+uint64(i), e)
		}
	}
	l.tx.Changed(l.o, "linsert")
	l.tx.MarkReady(l.o)
	return nil
}

// Fits reports whether the elements with from <= index < to may be written once
// more in this turn.
func (l List) Fits(from, to int64) bool {
	if l.tx.Fits(to-from, l.bytes+(to-from)*recordKeyBytes) {
		return true
	}
	bytes, fits := int64(0), true
	l.Range(from, to, func(_ int64, e []byte) bool {
		bytes += recordKeyBytes + int64(len(e))
		fits = l.tx.Fits(to-from, bytes)
		return fits
	})
	return fits
}

// collect copies the elements with from <= index < to.
func (l List) collect(from, to int64) [][]byte {
	out := make([][]byte, 0, to-from)
	l.Range(from, to, func(_ int64, e []byte) bool {
		out = append(out, append([]byte(nil), e...))
		return true
	})
	return out
}

// Remove removes elements equal to e: up to limit of them from the head on,
// from the tail on if fromTail, all if limit is 0. It returns how many.
//
// What stays moves together on the side where less has to move; if that is too
// much nothing happens and it returns storage.ErrTooMuch.
func (l List) Remove(e []byte, limit int64, fromTail bool) (int64, error) {
	var found []int64
	look := func(i int64, x []byte) bool {
		if bytes.Equal(x, e) {
			found = append(found, i)
		}
		return limit == 0 || int64(len(found)) < limit
	}
	if fromTail {
		l.RangeReverse(0, l.count, look)
		for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
			found[i], found[j] = found[j], found[i]
		}
	} else {
		l.Range(0, l.count, look)
	}
	return int64(len(found)), l.removeFound(found, e)
}

// removeFound removes the elements at the given indexes, which equal e, or
// returns storage.ErrTooMuch.
func (l List) removeFound(found []int64, e []byte) error {
	if len(found) == 0 {
		return nil
	}
	if err := l.removeAt(found, int64(len(e))); err != nil {
		return err
	}
	l.tx.Changed(l.o, "lrem")
	l.dropIfEmpty()
	return nil
}

// removeAt removes the elements at the given indexes, in ascending order, each
// of size bytes.
func (l List) removeAt(indexes []int64, size int64) error {
	n := int64(len(indexes))
	first, last := indexes[0], indexes[n-1]
	atHead := last < l.count-first
	if atHead && !l.Fits(0, last+1) || !atHead && !l.Fits(first, l.count) {
		return storage.ErrTooMuch
	}
	l.bytes -= n * size
	if atHead {
		// What is before them moves to the right.
		stay := l.survivors(0, last+1, indexes)
		for i := range stay {
			l.rewrite(l.head+uint64(n)+uint64(i), stay[i])
		}
		for range n {
			l.dropEnd(Left)
		}
		return nil
	}
	stay := l.survivors(first, l.count, indexes)
	for i := range stay {
		l.rewrite(l.head+uint64(first)+uint64(i), stay[i])
	}
	for range n {
		l.dropEnd(Right)
	}
	return nil
}

// survivors copies the elements with from <= index < to that are not among the
// given indexes.
func (l List) survivors(from, to int64, without []int64) [][]byte {
	var out [][]byte
	l.Range(from, to, func(i int64, e []byte) bool {
		if len(without) > 0 && without[0] == i {
			without = without[1:]
		} else {
			out = append(out, append([]byte(nil), e...))
		}
		return true
	})
	return out
}

// dropEnd removes the record at an end, whatever is in it; the caller has seen
// to the count of bytes.
func (l List) dropEnd(end End) {
	if end == Left {
		if l.front.n > 0 {
			l.front.popFront()
		} else if l.back.holds(l.head) {
			l.back.popFront()
		}
		l.delete(l.head)
		l.head++
	} else {
		position := l.tail() - 1
		if l.back.n > 0 {
			l.back.popBack()
		} else if l.front.holds(position) {
			l.front.popBack()
		}
		l.delete(position)
	}
	l.count--
	if l.front.n == 0 {
		l.front.from = l.head
	}
	if l.back.n == 0 {
		l.back.from = l.tail()
	}
}

// Trim keeps only the elements with from <= index < to; if there are none the
// list is gone.
func (l List) Trim(from, to int64) {
	if from < to && l.count-(to-from) >= rangeDeleteMin {
		l.TrimTo(from, to, l.Kept(from, to))
		return
	}
	if from < to {
		l.trimEnd(Left, from)
		l.trimEnd(Right, l.count-(to-from))
	}
	l.trimmed(from < to)
}

// Kept returns the bytes of the elements with from <= index < to, the only ones
// that a trim keeps. What stays or what goes is read for that, whichever is less.
func (l List) Kept(from, to int64) int64 {
	if to-from < l.count-(to-from) {
		return l.size(from, to)
	}
	return l.bytes - l.size(0, from) - l.size(to, l.count)
}

// TrimTo is Trim where something stays, and has so many bytes.
func (l List) TrimTo(from, to, bytes int64) {
	kept := to - from
	l.trimEnd(Left, from)
	l.trimEnd(Right, l.count-kept)
	l.bytes = bytes
	l.trimmed(true)
}

// trimmed ends a trim.
func (l List) trimmed(something bool) {
	l.tx.Event(l.o, storage.TypeList, "ltrim")
	if something {
		l.tx.Changed(l.o, "")
		return
	}
	l.tx.Event(l.o, storage.TypeNone, "del")
	l.tx.Drop(l.o)
}

// size returns the bytes of the elements with from <= index < to.
func (l List) size(from, to int64) (size int64) {
	l.Range(from, to, func(_ int64, e []byte) bool {
		size += int64(len(e))
		return true
	})
	return size
}

// trimEnd removes n elements from an end of a list that has more. The caller sees
// to the bytes if they are not fewer than rangeDeleteMin.
func (l List) trimEnd(end End, n int64) {
	if n < rangeDeleteMin {
		for range n {
			l.pop(end)
		}
		return
	}
	from, to := int64(0), n
	if end == Right {
		from, to = l.count-n, l.count
	}
	var lo, hi [8]byte
	binary.BigEndian.PutUint64(lo[:], l.head+uint64(from))
	binary.BigEndian.PutUint64(hi[:], l.head+uint64(to))
	l.tx.DeleteRange(l.o, lo[:], hi[:])
	l.count -= n
	if end == Left {
		l.head += uint64(n)
	}
	// Positions that were range-deleted may be used again, and what is left is
	// read anew when it is asked for.
	l.front.reset(l.head)
	l.back.reset(l.tail())
}
