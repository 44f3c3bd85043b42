package lists

import (
	"bytes"
	"slices"

	"github.com/cairnmq/cairn/storage"
)

// Set replaces the element at an index, 0 <= i < Len. From then on it is a run of
// its own, with a time of its own: to set it again, or another one next to it,
// writes nothing else.
func (l List) Set(i int64, e []byte) {
	position := l.head + uint64(i)
	l.bytes += int64(len(e) - len(l.Index(i)))
	e = append([]byte(nil), e...)
	if w := l.inWindow(position); w != nil {
		l.setIn(w, position, e)
	} else {
		l.setOnDisk(position, e)
	}
	l.tx.Changed(l.o, "lset")
}

func (l List) setIn(w *window, position uint64, e []byte) {
	i := w.runAt(position)
	r := w.runs.at(i)
	l.freshen(w, r)
	w.bytes += len(e) - len(w.at(position))
	*w.items.at(int(position - w.from)) = e
	if r.end-r.key == 1 {
		r.ms = l.tx.NowMillis()
		l.freshen(w, r)
	} else {
		pieces := l.pieces(w)
		l.lay(w, Right, w.items.all(), l.split(pieces, i, int(position-r.key), piece{n: 1, changed: true, run: l.newRun()}, 1))
	}
	l.noteEnds()
	l.shrinkBoth()
}

// setOnDisk is setIn for a run that is in no window.
func (l List) setOnDisk(position uint64, e []byte) {
	l.save()
	l.runOf(position, func(r run, items [][]byte) {
		from, to := max(r.key, l.head), min(r.end, l.tail())
		l.tx.DeleteOnce(l.o, l.subKey(r.key))
		l.put(from, r.ms, items[from-r.key:position-r.key])
		l.put(position, l.tx.NowMillis(), [][]byte{e})
		l.put(position+1, r.ms, items[position+1-r.key:to-r.key])
		if r.key == l.first {
			l.first = from
		}
		if r.end == l.end {
			l.end = to
		}
	})
}

// put writes a run, if there are any elements.
func (l List) put(position uint64, ms int64, items [][]byte) {
	if len(items) == 0 {
		return
	}
	value := appendRunHeader(nil, ms, len(items))
	for _, e := range items {
		value = appendElement(value, e)
	}
	l.tx.Put(l.o, l.subKey(position), value)
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
	switch {
	case i == 0:
		l.push(Left, e)
	case i == l.count:
		l.push(Right, e)
	case from == 0:
		l.insert(Left, l.head+uint64(i)-1, 1, e)
	default:
		l.insert(Right, l.head+uint64(i), 0, e)
	}
	l.tx.Changed(l.o, "linsert")
	l.tx.MarkReady(l.o)
	return nil
}

// insert puts an element, a run of its own, before or (behind is 1) behind the one
// at a position. What is on the given side of it moves.
func (l List) insert(side End, position uint64, behind int, e []byte) {
	w := l.reach(side, position)
	if w == nil {
		return
	}
	at := int(position-w.from) + behind
	items := slices.Insert(w.items.all(), at, e)
	i := w.runAt(position)
	from, _ := w.live(w.runs.at(i))
	pieces := l.split(l.pieces(w), i, int(position-from)+behind, piece{n: 1, changed: true, run: l.newRun()}, 0)
	l.count++
	l.bytes += int64(len(e))
	l.o.In.Add(1, l.tx.NowMillis())
	l.lay(w, side.Opposite(), items, pieces)
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
	side, position := Right, l.head+uint64(first)
	if atHead {
		side, position = Left, l.head+uint64(last)
	}
	w := l.reach(side, position)
	if w == nil {
		return nil
	}
	pieces, without := l.pieces(w), indexes
	items, next := w.items.all()[:0], w.from
	for i := range pieces {
		p := &pieces[i]
		for range p.n {
			if len(without) > 0 && l.head+uint64(without[0]) == next {
				without = without[1:]
				p.n, p.changed = p.n-1, true
			} else {
				items = append(items, w.at(next))
			}
			next++
		}
	}
	l.count -= n
	l.bytes -= n * size
	l.o.Out.Add(n, l.tx.NowMillis())
	l.lay(w, side.Opposite(), items, pieces)
	return nil
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
	l.deadAt(end).due = true
	l.save()
	l.o.Out.Add(n, l.tx.NowMillis())
	if end == Left {
		l.head += uint64(n)
		first := l.first
		l.runOf(l.head, func(r run, _ [][]byte) { l.first = r.key })
		l.tx.DeleteRange(l.o, subKeyOf(first), subKeyOf(l.first))
		l.count -= n
	} else {
		tail := l.tail()
		l.count -= n
		l.runOf(l.tail()-1, func(r run, _ [][]byte) { l.end = r.end })
		l.tx.DeleteRange(l.o, subKeyOf(l.tail()), subKeyOf(tail))
	}
	// What is left is read anew when it is asked for.
	l.resetWindows()
}
