package lists

import (
	"encoding/binary"
	"fmt"
)

// scan reads the runs whose keys are from <= key < to, in order or in reverse.
// Their elements, those included that were popped, are valid until the next step
// only.
func (l List) scan(from, to uint64, reverse bool, yield func(r run, items [][]byte) bool) {
	var lo, hi [subKeyBytes]byte
	lo[0], hi[0] = kindRun, kindRun
	binary.BigEndian.PutUint64(lo[1:], from)
	binary.BigEndian.PutUint64(hi[1:], to)
	var items [][]byte
	for sub, value := range l.tx.Scan(l.o, lo[:], hi[:], reverse) {
		key, ok := decodeSubKey(sub)
		if !ok {
			continue // nothing else is between these two
		}
		var r run
		var err error
		if items, r.ms, err = decodeRun(value, items[:0]); err != nil {
			l.tx.Fail(fmt.Sprintf("the run %d of key %q", key, l.o.Key), err)
			return
		}
		r.key, r.end = key, key+uint64(len(items))
		if !yield(r, items) {
			return
		}
	}
}

// runOf finds the run on disk that has the element at a position. Its elements
// are valid within yield only.
func (l List) runOf(position uint64, yield func(r run, items [][]byte)) {
	found := false
	l.scan(l.first, position+1, true, func(r run, items [][]byte) bool {
		if found = r.key <= position && position < r.end; found {
			yield(r, items)
		}
		return false
	})
	if !found {
		l.missing()
	}
}

// inWindow returns the window that has the element at a position, nil if it is
// on disk only.
func (l *list) inWindow(position uint64) *window {
	switch {
	case l.front.holds(position):
		return &l.front
	case l.back.holds(position):
		return &l.back
	}
	return nil
}

// Range calls yield for the elements with from <= index < to until it returns
// false. An element is valid until the next call only.
func (l List) Range(from, to int64, yield func(i int64, e []byte) bool) {
	position, end := l.head+uint64(from), l.head+uint64(to)
	for position < end {
		if w := l.inWindow(position); w != nil {
			for until := min(end, w.to()); position < until; position++ {
				if !yield(int64(position-l.head), w.at(position)) {
					return
				}
			}
			continue
		}
		until, more := min(end, l.back.from), true
		l.scan(l.keyOf(position), until, false, func(r run, items [][]byte) bool {
			for p := max(r.key, position); p < min(r.end, until) && more; p++ {
				more = yield(int64(p-l.head), items[p-r.key])
			}
			return more
		})
		if !more {
			return
		}
		position = until
	}
}

// keyOf returns the key of the run that has the element at a position which is in
// no window.
func (l List) keyOf(position uint64) (key uint64) {
	switch {
	case position == l.head:
		return l.first
	case position == l.front.to() && !l.front.empty():
		return position
	}
	l.runOf(position, func(r run, _ [][]byte) { key = r.key })
	return key
}

// RangeReverse is Range from the last element with index < to down to from.
func (l List) RangeReverse(from, to int64, yield func(i int64, e []byte) bool) {
	position, end := l.head+uint64(to), l.head+uint64(from)
	for position > end {
		if w := l.inWindow(position - 1); w != nil {
			for until := max(end, w.from); position > until; position-- {
				if !yield(int64(position-1-l.head), w.at(position-1)) {
					return
				}
			}
			continue
		}
		lo, until := l.first, end
		if !l.front.empty() {
			lo, until = l.front.to(), max(end, l.front.to())
		}
		more := true
		l.scan(lo, position, true, func(r run, items [][]byte) bool {
			for p := min(r.end, position); p > max(r.key, until) && more; p-- {
				more = yield(int64(p-1-l.head), items[p-1-r.key])
			}
			return more && r.key > until
		})
		if !more {
			return
		}
		position = until
	}
}

// Index returns the element at an index, 0 <= i < Len. It is valid until the
// list changes.
func (l List) Index(i int64) (e []byte) {
	position := l.head + uint64(i)
	if w := l.inWindow(position); w != nil {
		return w.at(position)
	}
	l.runOf(position, func(r run, items [][]byte) {
		e = append([]byte(nil), items[position-r.key]...)
	})
	return e
}

// WrittenAt returns when the element at an end of a list that is not empty was
// written, as unix time in ms: when it was pushed, moved here, or last set. At the
// end from which messages are taken that is the oldest one there is.
func (l List) WrittenAt(end End) (ms int64) {
	position := l.head
	if end == Right {
		position = l.tail() - 1
	}
	if w := l.inWindow(position); w != nil {
		return w.outermost(end).ms
	}
	l.runOf(position, func(r run, _ [][]byte) { ms = r.ms })
	return ms
}
