package streams

import "github.com/cairnmq/cairn/storage"

// sought reads single entries of a stream, best in ascending order: a cursor
// goes from one to the next, where a million look-ups would each begin anew. It
// has to be closed.
type sought struct {
	s      *Stream
	cursor *storage.Cursor // nil: all was in memory so far
}

// get returns the entry id, if it is there. What it holds is valid until the
// next call.
func (r *sought) get(id ID) (Entry, bool) {
	s := r.s
	if s.length == 0 || id.Less(s.first) || s.top.Less(id) {
		return Entry{}, false
	}
	record, known := s.inMemory(id)
	if !known {
		if r.cursor == nil {
			r.cursor = s.tx.Cursor(s.o)
		}
		record, known = r.cursor.Get(new(subKey).entry(id))
	}
	if !known || record == nil {
		return Entry{}, false
	}
	return s.parse(id, record)
}

// has is Stream.has by way of get.
func (r *sought) has(id ID) bool {
	s := r.s
	if s.length == 0 || id.Less(s.first) || s.top.Less(id) {
		return false
	}
	if s.deletedTo.Less(id) {
		return true
	}
	_, there := r.get(id)
	return there
}

func (r *sought) close() {
	if r.cursor != nil {
		r.cursor.Close()
	}
}

// keep makes the entry's content its own.
func (e *Entry) keep() {
	sizes := len(e.sizes)
	own := append(append(make([]byte, 0, sizes+len(e.data)), e.sizes...), e.data...)
	e.sizes, e.data = own[:sizes:sizes], own[sizes:]
}
