package lists

import (
	"encoding/binary"
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
// Invariants: front is empty or starts at head; back is empty or ends at the
// tail; they do not overlap; a list of which the front window holds everything
// has an empty back.
type list struct {
	head      uint64
	count     int64
	bytes     int64 // of all elements
	rewritten bool

	front, back window
	sub         [8]byte
}

// Variables for the tests only, which shrink them.
var (
	// windowBytesMax bounds one window in memory.
	windowBytesMax = 256 << 10
	// readAheadMax is how many elements are read at once when a window has run
	// empty.
	readAheadMax = 1024
	// rangeDeleteMin is the number of elements from which a range tombstone
	// takes the place of single deletions.
	rangeDeleteMin int64 = 1024
)

func (l *list) tail() uint64 { return l.head + uint64(l.count) }

// Flush implements storage.State: elements are written as they come.
func (l *list) Flush(*storage.Tx, *storage.Object) {}

// MemoryBytes implements storage.State.
func (l *list) MemoryBytes() int {
	return 200 + l.front.bytes + l.back.bytes
}

// Places implements storage.Placed.
func (l *list) Places() []storage.Place {
	return []storage.Place{{
		From: binary.BigEndian.AppendUint64(nil, l.head),
		To:   binary.BigEndian.AppendUint64(nil, l.tail()),
	}}
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
		state.front.from = state.head
		state.back.from = state.tail()
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
	return empty(tx, tx.Create(key, storage.TypeList)), nil
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
	if end == Left {
		l.head--
		l.tx.Put(l.o, l.subKey(l.head), e)
		if l.count == 0 {
			l.front.reset(l.head + 1)
			l.back.reset(l.head + 1)
		} else if l.front.n == 0 {
			l.front.reset(l.head + 1)
		}
		l.count++
		l.front.pushFront(e)
		l.joinWindows()
		l.shrinkFront()
	} else {
		position := l.tail()
		l.tx.Put(l.o, l.subKey(position), e)
		if l.count == 0 {
			l.front.reset(l.head)
			l.back.reset(l.head)
		}
		l.count++
		switch {
		case l.front.to() == position && (l.front.n > 0 || l.count == 1) && l.back.n == 0 && l.front.bytes < windowBytesMax:
			// Everything is in the front window.
			l.front.pushBack(e)
			l.back.reset(position + 1)
		default:
			if l.back.n == 0 {
				l.back.reset(position)
			}
			l.back.pushBack(e)
			l.shrinkBack()
		}
	}
	l.bytes += int64(len(e))
}

// joinWindows keeps back from overlapping front after front has grown.
func (l List) joinWindows() {
	if l.back.n == 0 {
		l.back.from = l.tail()
	}
}

// shrinkFront drops the inner end of a front window that is too big.
func (l List) shrinkFront() {
	for l.front.bytes > windowBytesMax && l.front.n > 1 {
		l.front.popBack()
	}
}

// shrinkBack drops the inner end of a back window that is too big.
func (l List) shrinkBack() {
	for l.back.bytes > windowBytesMax && l.back.n > 1 {
		l.back.popFront()
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
		l.push(to, e)
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
	dst.push(to, e)
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
		l.tx.Event(l.o, storage.TypeNone, "del")
		l.tx.DropEmpty(l.o)
	}
}

// pop takes one element from an end of a list that is not empty.
func (l List) pop(end End) []byte {
	var e []byte
	var position uint64
	if end == Left {
		if l.front.n == 0 {
			l.fillFront()
		}
		e = l.front.popFront()
		position = l.head
		l.head++
	} else {
		if l.back.n == 0 {
			l.fillBack()
		}
		position = l.tail() - 1
		if l.back.n > 0 {
			e = l.back.popBack()
		} else {
			e = l.front.popBack()
			l.back.from = position
		}
	}
	l.count--
	l.bytes -= int64(len(e))
	l.delete(position)
	return e
}

func (l List) delete(position uint64) {
	if l.rewritten {
		l.tx.Delete(l.o, l.subKey(position))
	} else {
		l.tx.DeleteOnce(l.o, l.subKey(position))
	}
}

// fillFront makes the front window start at the head of a list that is not
// empty.
func (l List) fillFront() {
	if l.back.n > 0 && l.back.from == l.head {
		// All that is left is in the back window: it becomes the front.
		l.front, l.back = l.back, window{from: l.tail()}
		return
	}
	until := l.tail()
	if l.back.n > 0 {
		until = l.back.from
	}
	l.front.reset(l.head)
	l.scan(l.head, until, false, func(_ uint64, e []byte) bool {
		l.front.pushBack(append([]byte(nil), e...))
		return l.front.n < readAheadMax && l.front.bytes < windowBytesMax
	})
	if l.front.n == 0 {
		l.missing()
		l.front.pushBack(nil)
	}
}

// fillBack makes sure that the last element of a list that is not empty is in
// memory: at the end of back, or at the end of front if that holds everything.
func (l List) fillBack() {
	if l.front.n > 0 && l.front.to() == l.tail() {
		return
	}
	from := l.head
	if l.front.n > 0 {
		from = l.front.to()
	}
	l.back.reset(l.tail())
	l.scan(from, l.tail(), true, func(_ uint64, e []byte) bool {
		l.back.pushFront(append([]byte(nil), e...))
		return l.back.n < readAheadMax && l.back.bytes < windowBytesMax
	})
	if l.back.n == 0 {
		l.missing()
		l.back.pushFront(nil)
	}
}

// missing is called when no element is where one has to be. If the store cannot
// be read the turn is going to fail, and what stands in for the element reaches
// nobody.
func (l List) missing() {
	if l.tx.Err() == nil {
		panic(fmt.Sprintf("lists: key %q has %d elements from %d on, but one is missing", l.o.Key, l.count, l.head))
	}
}

// scan reads the records of positions from <= p < to in order, or in reverse.
func (l List) scan(from, to uint64, reverse bool, yield func(position uint64, e []byte) bool) {
	var lo, hi [8]byte
	binary.BigEndian.PutUint64(lo[:], from)
	binary.BigEndian.PutUint64(hi[:], to)
	for sub, e := range l.tx.Scan(l.o, lo[:], hi[:], reverse) {
		if !yield(binary.BigEndian.Uint64(sub), e) {
			return
		}
	}
}

// Range calls yield for the elements with from <= index < to until it returns
// false. An element is valid until the next call only.
func (l List) Range(from, to int64, yield func(i int64, e []byte) bool) {
	position, end := l.head+uint64(from), l.head+uint64(to)
	for position < end {
		switch {
		case l.front.holds(position):
			if !yield(int64(position-l.head), l.front.at(int(position-l.front.from))) {
				return
			}
			position++
		case l.back.holds(position):
			if !yield(int64(position-l.head), l.back.at(int(position-l.back.from))) {
				return
			}
			position++
		default:
			until := end
			if l.back.n > 0 {
				until = min(end, l.back.from)
			}
			more := true
			l.scan(position, until, false, func(p uint64, e []byte) bool {
				more = yield(int64(p-l.head), e)
				return more
			})
			if !more {
				return
			}
			position = until
		}
	}
}

// RangeReverse is Range from the last element with index < to down to from.
func (l List) RangeReverse(from, to int64, yield func(i int64, e []byte) bool) {
	position, end := l.head+uint64(to), l.head+uint64(from)
	for position > end {
		p := position - 1
		switch {
		case l.front.holds(p):
			if !yield(int64(p-l.head), l.front.at(int(p-l.front.from))) {
				return
			}
			position--
		case l.back.holds(p):
			if !yield(int64(p-l.head), l.back.at(int(p-l.back.from))) {
				return
			}
			position--
		default:
			from := end
			if l.front.n > 0 {
				from = max(end, l.front.to())
			}
			more := true
			l.scan(from, position, true, func(p uint64, e []byte) bool {
				more = yield(int64(p-l.head), e)
				return more
			})
			if !more {
				return
			}
			position = from
		}
	}
}

// Index returns the element at an index, 0 <= i < Len. It is valid until the
// list changes.
func (l List) Index(i int64) []byte {
	position := l.head + uint64(i)
	switch {
	case l.front.holds(position):
		return l.front.at(int(position - l.front.from))
	case l.back.holds(position):
		return l.back.at(int(position - l.back.from))
	}
	e, ok := l.tx.Get(l.o, l.subKey(position))
	if !ok {
		l.missing()
	}
	return e
}
