package streams

import "math"

// Oldest calls yield for the entries from the first on, until it returns false:
// what a trim is about to remove. What an entry holds stays valid, the entry
// itself is used for the next one.
func (s *Stream) Oldest(yield func(*Entry) bool) {
	s.walk(&s.head, s.beforeFirst(), chunkMin, yield)
}

// DropOldest removes the n oldest entries, of which there are more, as a trim does.
func (s *Stream) DropOldest(n uint64) {
	s.removeFirst(n)
	s.tx.Changed(s.o, "xtrim")
}

// TrimRoom returns how many entries of how many bytes a trim would remove once
// one more entry has been added. Of what groups protect it says too little rather
// than too much.
func (s *Stream) TrimRoom(t Trim) (count, bytes uint64) {
	if t.By == TrimNone || s.length == 0 {
		return 0, 0
	}
	if s.IsPlain(t) {
		if t.By == TrimMaxLen && t.MaxLen > 0 {
			t.MaxLen-- // the new entry's place
		}
		c, _ := s.PlanTrim(t, math.MaxInt)
		return c.count, c.bytes
	}
	r := s.references(t.Refs)
	portion, size, last := uint64(0), uint64(0), ID{} // a macro node, or an entry
	mark, open := byte(0), false
	// goes takes the portion if a trim would, and reports whether it may go on.
	goes := func() bool {
		switch {
		case t.Approx && t.Limit > 0 && count+portion > t.Limit,
			t.By == TrimMaxLen && s.length+1 < t.MaxLen+count+portion,
			t.By == TrimMinID && !last.Less(t.MinID),
			open: // the new entry may be in it
			return false
		}
		count, bytes = count+portion, bytes+size
		portion, size = 0, 0
		return true
	}
	more := true
	s.Range(s.first, s.top, false, func(e *Entry) bool {
		isOpen := t.Approx && s.node.has(e.ID)
		if portion > 0 && (!t.Approx || e.node != mark || isOpen != open) {
			more = goes()
		}
		if more = more && !r.protects(e.ID); !more {
			return false
		}
		mark, open, last = e.node, isOpen, e.ID
		portion++
		size += uint64(len(e.data))
		return true
	})
	if more && portion > 0 {
		goes()
	}
	return count, bytes
}
