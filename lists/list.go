package lists

import (
	"bytes"
	"fmt"

	"github.com/cairnmq/cairn/storage"
)

// End is one of the two ends of a list.
type End bool

const (
	Left  End = false // the head: LPUSH, LPOP
	Right End = true  // the tail: RPUSH, RPOP
)

// Opposite returns the other end.
func (e End) Opposite() End { return !e }

// list is what is in memory of a list: its metadata, and a window at either
// end.
//
// A short list is in memory whole, in the front window. In a long one each
// window holds what was pushed last at its end, or what was read ahead there,
// and pops take from it without reading Pebble; what lies between is on disk
// only. However long the list, a window keeps to windowBytesMax.
//
// What is pushed is in a window and nowhere else until the turn ends (save.go).
// An element that is pushed and popped in the same turn is never written.
//
// Invariants: front is empty or starts at head; back is empty or ends at the
// tail; they do not overlap; a list of which the front window holds everything
// has an empty back. Between the windows everything is on disk.
type list struct {
	head  uint64
	count int64
	bytes int64  // of all elements
	first uint64 // the key of the run that has the head
	end   uint64 // behind the run that has the tail

	front, back window
	fresh       int      // runs in the windows that have no record yet
	gone        []uint64 // the keys of records that are to be deleted
	dead        [2]dead  // at either end
	readBefore  bool     // elements were read ahead
	sub         [subKeyBytes]byte
}

// Variables for the tests only, which shrink them.
var (
	// windowBytesMax bounds one window in memory; in a cache that many lists
	// share it is less, but not less than windowBytesMin.
	windowBytesMax = 256 << 10
	windowBytesMin = 4 << 10
	// readAheadMax is how many elements are read at once when a window has run
	// empty.
	readAheadMax = 1024
	// rangeDeleteMin is the number of elements from which a range tombstone
	// takes the place of single deletions.
	rangeDeleteMin int64 = 1024
)

func (l *list) tail() uint64 { return l.head + uint64(l.count) }

// MemoryBytes implements storage.State.
func (l *list) MemoryBytes() int {
	return 400 + l.front.bytes + l.back.bytes + 8*(cap(l.dead[0].keys)+cap(l.dead[1].keys))
}

// Places implements storage.Placed.
func (l *list) Places() []storage.Place {
	from, to := l.first, l.tail()
	for _, key := range l.gone {
		from, to = min(from, key), max(to, key+1)
	}
	for i := range l.dead {
		if d := &l.dead[i]; !d.empty() {
			from, to = min(from, d.from), max(to, d.to)
		}
	}
	return []storage.Place{{From: subKeyOf(from), To: subKeyOf(to)}}
}

// List is a list opened in a transaction.
type List struct {
	tx *storage.Tx
	o  *storage.Object
	*list
}

// Open returns the list at key; ok is false if there is none.
func Open(tx *storage.Tx, key []byte) (l List, ok bool, err error) {
	o, err := tx.Open(key, storage.TypeList)
	if err != nil || o == nil {
		return List{}, false, err
	}
	return Of(tx, o), true, nil
}

// Of returns the list that an object of TypeList holds.
func Of(tx *storage.Tx, o *storage.Object) List {
	state, ok := o.State.(*list)
	if !ok {
		state = &list{}
		if err := state.decodeMeta(o.Meta); err != nil {
			panic(fmt.Sprintf("lists: key %q: %v", o.Key, err))
		}
		state.resetWindows()
		o.State, o.Meta = state, nil
	}
	return List{tx, o, state}
}

// OpenOrCreate returns the list at key, a new one if there is none. A new list
// must get an element in the same unit.
func OpenOrCreate(tx *storage.Tx, key []byte) (List, error) {
	l, ok, err := Open(tx, key)
	if ok || err != nil {
		return l, err
	}
	return New(tx, key), nil
}

// New returns a new list at a key that holds nothing. It has to be filled in the same
// unit: no list is empty.
func New(tx *storage.Tx, key []byte) List {
	return empty(tx, tx.Create(key, storage.TypeList))
}

// Len returns the number of elements.
func (l List) Len() int64 { return l.count }

// Bytes returns the size of all elements.
func (l List) Bytes() int64 { return l.bytes }

// Object returns the key of the list.
func (l List) Object() *storage.Object { return l.o }

// Push adds elements at an end, one after the other, and marks the key ready.
func (l List) Push(end End, elements ...[]byte) {
	for _, e := range elements {
		l.push(end, append([]byte(nil), e...))
	}
	l.pushed(end)
}

// push adds one element, which the list keeps.
func (l List) push(end End, e []byte) {
	l.deadAt(end).due = true // their keys are to be put again
	if l.count == 0 {
		l.buryAll()
		l.resetWindows()
		l.first, l.end = l.head, l.head
	} else {
		l.makeWhole(end)
	}
	w, position := &l.front, l.head-1
	if end == Left {
		if w.empty() {
			w.from = l.head
		}
		w.pushFront(e)
		l.head, l.first = position, position
	} else {
		position = l.tail()
		if !l.frontHasAll() || l.front.bytes >= l.windowMax() {
			w = &l.back
		}
		w.pushBack(e)
		l.end = position + 1
	}
	l.count++
	l.bytes += int64(len(e))
	if l.back.empty() {
		l.back.from = l.tail()
	}
	l.addToRun(w, end, position, encodedBytes(e))
	if end == Left || w == &l.back {
		l.shrink(w, end.Opposite())
	}
	l.o.In.Add(1, l.tx.NowMillis())
}

// addToRun makes an element that was pushed part of a run, which is a new one
// unless there is one that was begun in this turn.
func (l List) addToRun(w *window, end End, position uint64, size int) {
	l.tx.Hold(size)
	ms := l.tx.NowMillis()
	if w.runs.n > 0 {
		r := w.outermost(end)
		if r.fresh && r.ms == ms && r.end-r.key < runElementsMax && r.size+size <= runBytesMax {
			r.size += size
			if end == Left {
				r.key--
			} else {
				r.end++
			}
			return
		}
	}
	w.pushRun(end, run{key: position, end: position + 1, ms: ms, fresh: true, size: size})
	l.fresh++
}

// frontHasAll reports whether the front window has all elements of the list.
func (l *list) frontHasAll() bool {
	return l.back.empty() && l.front.from == l.head && l.front.to() == l.tail()
}

// resetWindows empties the windows.
func (l *list) resetWindows() {
	l.front.reset(l.head)
	l.back.reset(l.tail())
}

// windowMax is what a window may have.
func (l List) windowMax() int {
	return min(windowBytesMax, max(windowBytesMin, l.tx.CacheShare()))
}

// shrink drops the inner end of a window that is too big.
func (l List) shrink(w *window, inner End) {
	if w.bytes <= windowBytesMin || w.runs.n == 1 {
		return
	}
	for bytesMax := l.windowMax(); w.bytes > bytesMax && w.runs.n > 1; {
		if w.outermost(inner).fresh {
			l.save()
		}
		w.drop(inner)
	}
	if l.back.empty() {
		l.back.from = l.tail()
	}
}

// makeWhole has the run at an end written again if some of it was popped there,
// as another one is to follow.
func (l List) makeWhole(end End) {
	if (end == Left && l.first == l.head) || (end == Right && l.end == l.tail()) {
		return
	}
	w := l.filled(end)
	l.freshen(w, w.outermost(end))
	l.noteEnds()
}

// noteEnds sets first and end from what is in the windows.
func (l *list) noteEnds() {
	switch {
	case !l.front.empty():
		l.first = l.front.outermost(Left).key
	case l.back.from == l.head && !l.back.empty():
		l.first = l.back.outermost(Left).key
	}
	switch {
	case !l.back.empty():
		l.end = l.back.outermost(Right).end
	case l.front.to() == l.tail() && !l.front.empty():
		l.end = l.front.outermost(Right).end
	}
}

// Pop takes up to count elements from an end and removes the key with the last
// one. The elements belong to the caller.
func (l List) Pop(end End, count int64) [][]byte {
	count = min(count, l.count)
	taken := make([][]byte, 0, min(count, int64(readAheadMax)))
	for range count {
		taken = append(taken, l.pop(end))
	}
	if count > 0 {
		l.popped(end)
	}
	return taken
}

// PopOne is Pop of one element; the list is not empty.
func (l List) PopOne(end End) []byte {
	e := l.pop(end)
	l.popped(end)
	return e
}

// MoveTo moves an element from an end of a list that is not empty to an end of
// the list at another key, or of the same list, and returns it. If there is
// another type at that key nothing happens and it returns storage.ErrWrongType,
// and storage.ErrTooMuch if the turn has written too much already.
func (l List) MoveTo(from End, key []byte, to End) ([]byte, error) {
	if !l.tx.Fits(1, 0) {
		return nil, storage.ErrTooMuch
	}
	if string(key) == l.o.Key {
		// Not by way of an empty list: the key must keep its expiry.
		e := l.pop(from)
		l.push(to, bytes.Clone(e)) // what was popped keeps its whole run in memory
		l.pushed(to)
		l.popped(from)
		return e, nil
	}
	if _, _, err := Open(l.tx, key); err != nil {
		return nil, err
	}
	e := l.pop(from)
	dst, err := OpenOrCreate(l.tx, key)
	if err != nil {
		return nil, err
	}
	dst.push(to, bytes.Clone(e))
	dst.pushed(to)
	l.popped(from)
	return e, nil
}

func (l List) pushed(end End) {
	l.tx.MarkReady(l.o)
	if end == Left {
		l.tx.Changed(l.o, "lpush")
	} else {
		l.tx.Changed(l.o, "rpush")
	}
}

func (l List) popped(end End) {
	l.tx.Event(l.o, storage.TypeList, popEvent(end))
	l.dropIfEmpty()
	if l.count > 0 {
		l.tx.Changed(l.o, "")
	}
}

// dropIfEmpty removes the key of a list without elements, which does not exist.
func (l List) dropIfEmpty() {
	if l.count == 0 {
		l.buryAll()
		l.save() // the last records go
		l.tx.Event(l.o, storage.TypeNone, "del")
		l.tx.DropEmpty(l.o)
	}
}

// pop takes one element from an end of a list that is not empty.
func (l List) pop(end End) []byte {
	w := l.filled(end)
	r := w.outermost(end)
	var e []byte
	if end == Left {
		e = w.popFront()
		l.head++
	} else {
		e = w.popBack()
	}
	l.count--
	l.bytes -= int64(len(e))
	l.o.Out.Add(1, l.tx.NowMillis())
	d := l.deadAt(end)
	d.bytes += len(e) + recordKeyBytes
	d.due = d.due || d.found
	if l.back.empty() {
		l.back.from = l.tail()
	}
	if r.fresh {
		l.resize(r, r.size-encodedBytes(e))
		r.key, r.end = max(r.key, l.head), min(r.end, l.tail())
	}
	if from, to := w.live(r); from >= to {
		if r := w.popRun(end); r.fresh {
			l.forget(r)
		} else {
			d.add(r.key)
		}
		if end == Left {
			l.first = l.head
		} else {
			l.end = l.tail()
		}
		return e
	}
	if end == Left {
		l.first = r.key
	} else {
		l.end = r.end
	}
	return e
}

// filled returns the window that has the element at an end of a list that is not
// empty.
func (l List) filled(end End) *window {
	if end == Left {
		if l.front.empty() {
			l.fillFront()
		}
		return &l.front
	}
	if l.back.empty() && (l.front.empty() || l.front.to() != l.tail()) {
		l.fillBack()
	}
	if l.back.empty() {
		return &l.front
	}
	return &l.back
}

// readAhead returns how many bytes to read into an empty window. From the first time
// on lists that are emptied at the same pace run out of them in different turns.
func (l List) readAhead() int {
	if l.readBefore {
		return l.windowMax()
	}
	l.readBefore = true
	return l.part(l.windowMax())
}

// fillFront makes the empty front window start at the head.
func (l List) fillFront() {
	if !l.back.empty() && l.back.from == l.head {
		// All that is left is in the back window: it becomes the front.
		l.front, l.back = l.back, window{from: l.tail()}
		return
	}
	l.front.reset(l.head)
	ahead := l.readAhead()
	l.growFront(func() bool { return l.front.n() < readAheadMax && l.front.bytes < ahead })
	if l.front.empty() {
		l.missing()
		l.front.pushBack(nil)
		l.front.pushRun(Right, run{key: l.head, end: l.head + 1})
	}
}

// fillBack makes the empty back window end at the tail.
func (l List) fillBack() {
	l.back.reset(l.tail())
	ahead := l.readAhead()
	l.growBack(func() bool { return l.back.n() < readAheadMax && l.back.bytes < ahead })
	if l.back.empty() {
		l.missing()
		l.back.pushFront(nil)
		l.back.pushRun(Left, run{key: l.back.from, end: l.tail()})
	}
}

// growFront reads runs behind the front window, up to the back window, as long as
// more are wanted.
func (l List) growFront(more func() bool) {
	from := l.front.to()
	if l.front.empty() {
		from = l.first
	}
	l.scan(from, l.back.from, false, func(r run, items [][]byte) bool {
		if max(r.key, l.head) != l.front.to() {
			return false
		}
		for _, e := range l.cut(r, items) {
			l.front.pushBack(e)
		}
		l.front.pushRun(Right, r)
		return more()
	})
}

// growBack reads runs before the back window, down to the front window, as long
// as more are wanted.
func (l List) growBack(more func() bool) {
	from := l.first
	if !l.front.empty() {
		from = l.front.to()
	}
	l.scan(from, l.back.from, true, func(r run, items [][]byte) bool {
		if min(r.end, l.tail()) != l.back.from {
			return false
		}
		items = l.cut(r, items)
		for i := range items {
			l.back.pushFront(items[len(items)-1-i])
		}
		l.back.pushRun(Left, r)
		return more()
	})
}

// cut copies the elements of a run that were not popped.
func (l *list) cut(r run, items [][]byte) [][]byte {
	from, to := max(r.key, l.head), min(r.end, l.tail())
	items = items[from-r.key : to-r.key]
	size := 0
	for _, e := range items {
		size += len(e)
	}
	all := make([]byte, 0, size)
	for i, e := range items {
		all = append(all, e...)
		items[i] = all[len(all)-len(e) : len(all) : len(all)]
	}
	return items
}

// missing is called when no element is where one has to be. If the store cannot
// be read the turn is going to fail, and what stands in for the element reaches
// nobody.
func (l List) missing() {
	if l.tx.Err() == nil {
		panic(fmt.Sprintf("lists: key %q has %d elements from %d on, but one is missing", l.o.Key, l.count, l.head))
	}
}
