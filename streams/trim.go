package streams

import "math"

// TrimBy is what a trim looks at.
type TrimBy uint8

const (
	TrimNone   TrimBy = iota
	TrimMaxLen        // the number of entries
	TrimMinID         // their IDs
)

// Trim says which of the oldest entries are to go.
type Trim struct {
	By     TrimBy
	MaxLen uint64 // how many may stay
	MinID  ID     // those below go
	// Approx removes whole macro nodes only, and at most about Limit entries
	// (0: any number).
	Approx bool
	Limit  uint64
	// Refs says what entries mean that consumer groups refer to.
	Refs Refs
}

// rangeDeleteMin is the number of entries from which a trim writes one range
// deletion; fewer are better deleted each, as a put and its deletion annihilate
// each other.
const rangeDeleteMin = 1 << 10

// Trim removes old entries and returns how many.
func (s *Stream) Trim(t Trim) uint64 {
	before := s.length
	switch {
	case s.length == 0:
	case t.Refs != KeepRefs && s.groups > 0:
		s.trimRefs(t)
	case t.Approx:
		s.trimNodes(t)
	default:
		cut, _ := s.PlanTrim(t, math.MaxInt)
		s.cut(cut)
	}
	removed := before - s.length
	if removed > 0 {
		s.tx.Changed(s.o, "xtrim")
	}
	return removed
}

// Cut is how a trim changes a stream: what goes, from the first entry on, and
// which is the first that stays. To find out one has to read either what goes or
// what stays, whichever is less; to make the cut, hardly anything.
type Cut struct {
	count, bytes uint64 // what goes
	open         uint32 // of these, entries of the macro node that is being filled
	first        ID     // 0-0: nothing stays
	few          []ID   // those that go, if it is few
}

// IsPlain reports whether the trim is one that PlanTrim knows about: whatever
// groups and macro nodes there are, old entries go.
func (s *Stream) IsPlain(t Trim) bool {
	return !t.Approx && (t.Refs == KeepRefs || s.groups == 0)
}

// PlanTrim finds out what a plain trim does, and reports whether it has: it gives
// up when it would have to read more than so many entries. It may be asked in a
// snapshot.
func (s *Stream) PlanTrim(t Trim, steps int) (c Cut, ok bool) {
	switch {
	case s.length == 0:
		return Cut{}, true
	case t.By == TrimMaxLen:
		return s.planLength(t.MaxLen, steps)
	default:
		return s.planBelow(t.MinID, steps)
	}
}

// TrimTo makes a cut, which was planned for the stream as it is, and returns how
// many entries went.
func (s *Stream) TrimTo(c Cut) uint64 {
	if c.count > 0 {
		s.cut(c)
		s.tx.Changed(s.o, "xtrim")
	}
	return c.count
}

// planLength plans to remove the oldest entries until length are left.
func (s *Stream) planLength(length uint64, steps int) (Cut, bool) {
	switch {
	case s.length <= length:
		return Cut{}, true
	case length == 0:
		return s.all(), true
	case s.length-length <= max(length, rangeDeleteMin):
		n := s.length - length
		return s.planWhile(func(_ *Entry, before uint64) bool { return before < n }, steps)
	}
	return s.planLast(func(_ *Entry, kept uint64) bool { return kept < length }, steps)
}

// planBelow plans to remove the entries below id.
func (s *Stream) planBelow(id ID, steps int) (Cut, bool) {
	switch {
	case !s.first.Less(id):
		return Cut{}, true
	case s.top.Less(id):
		return s.all(), true
	case id.Ms-s.first.Ms <= s.top.Ms-id.Ms:
		return s.planWhile(func(e *Entry, _ uint64) bool { return e.ID.Less(id) }, steps)
	}
	return s.planLast(func(e *Entry, _ uint64) bool { return !e.ID.Less(id) }, steps)
}

// all is the cut behind which nothing is left.
func (s *Stream) all() Cut { return Cut{count: s.length, bytes: s.bytes, open: s.node.live} }

// trimNodes removes macro nodes from the front, as Redis does it.
func (s *Stream) trimNodes(t Trim) {
	removed := uint64(0)
	for s.length > 0 && (t.By != TrimMaxLen || s.length > t.MaxLen) {
		entries, last := s.firstNode()
		if t.Limit > 0 && removed+entries > t.Limit {
			return
		}
		if t.By == TrimMaxLen && s.length-entries < t.MaxLen {
			return
		}
		if t.By == TrimMinID && !last.Less(t.MinID) {
			return
		}
		if entries == 0 {
			return // the store cannot be read
		}
		if entries == s.length {
			s.clear()
		} else {
			s.removeFirst(entries)
		}
		removed += entries
	}
}

// firstNode returns how many entries the first macro node has, and its last.
func (s *Stream) firstNode() (entries uint64, last ID) {
	if s.node.has(s.first) {
		return uint64(s.node.live), s.top
	}
	if s.headLive == 0 {
		mark := byte(0)
		s.walk(&s.head, s.beforeFirst(), chunkMin, func(e *Entry) bool {
			if s.headLive > 0 && (e.node != mark || s.node.has(e.ID)) {
				return false
			}
			mark = e.node
			s.headLive++
			s.headLast = e.ID
			return true
		})
	}
	return uint64(s.headLive), s.headLast
}

// planWhile plans to remove entries from the front as long as goes says so; it
// has to stop before the last.
func (s *Stream) planWhile(goes func(e *Entry, before uint64) bool, steps int) (c Cut, ok bool) {
	c.first, ok = s.first, true
	s.walk(&s.head, s.beforeFirst(), chunkMin, func(e *Entry) bool {
		c.first = e.ID
		if !goes(e, c.count) {
			return false
		}
		if ok = steps > 0; !ok {
			return false
		}
		steps--
		c.count++
		c.bytes += uint64(len(e.data))
		if s.node.has(e.ID) {
			c.open++
		}
		if c.count <= rangeDeleteMin {
			c.few = append(c.few, e.ID)
		}
		return true
	})
	if s.tx.Err() != nil {
		return Cut{}, true
	}
	if c.count > rangeDeleteMin {
		c.few = nil
	}
	return c, ok
}

// planLast plans to remove all entries but those at the end for which stays says
// so; it is asked from the last on.
func (s *Stream) planLast(stays func(e *Entry, kept uint64) bool, steps int) (c Cut, ok bool) {
	kept, bytes, open := uint64(0), uint64(0), uint32(0)
	c.first, ok = s.top, true
	s.Range(s.first, s.top, true, func(e *Entry) bool {
		if !stays(e, kept) {
			return false
		}
		if ok = steps > 0; !ok {
			return false
		}
		steps--
		c.first = e.ID
		kept++
		bytes += uint64(len(e.data))
		if s.node.has(e.ID) {
			open++
		}
		return true
	})
	if s.tx.Err() != nil {
		return Cut{}, true
	}
	c.count, c.bytes, c.open = s.length-kept, s.bytes-bytes, s.node.live-open
	return c, ok
}

// cut makes a cut.
func (s *Stream) cut(c Cut) {
	switch {
	case c.count == 0:
		return
	case c.first.IsZero():
		s.clear()
		return
	case c.few != nil:
		for _, id := range c.few {
			s.tx.DeleteOnce(s.o, new(subKey).entry(id))
		}
	default:
		s.tx.DeleteRange(s.o, new(subKey).entry(s.first), new(subKey).entry(c.first))
	}
	s.length -= c.count
	s.o.Out.Add(int64(c.count), s.tx.NowMillis())
	s.bytes -= c.bytes
	s.first = c.first
	s.node.gone(c.open)
	s.headLive = 0
}

// removeFirst deletes the n oldest entries; more are left.
func (s *Stream) removeFirst(n uint64) {
	c, _ := s.planWhile(func(_ *Entry, before uint64) bool { return before < n }, math.MaxInt)
	s.cut(c)
}

// clear deletes all entries.
func (s *Stream) clear() {
	if s.length <= rangeDeleteMin {
		s.Range(s.first, s.top, false, func(e *Entry) bool {
			s.tx.DeleteOnce(s.o, new(subKey).entry(e.ID))
			return true
		})
	} else {
		s.tx.DeleteRange(s.o, new(subKey).entry(s.first), behind(s.top))
	}
	s.o.Out.Add(int64(s.length), s.tx.NowMillis())
	s.length, s.bytes = 0, 0
	s.first, s.top = ID{}, ID{}
	s.node.live = 0
	s.headLive = 0
}

// Delete removes single entries and returns how many of the IDs there were.
func (s *Stream) Delete(ids []ID) int {
	count := 0
	for _, id := range ids {
		if s.deleteOne(id) {
			count++
		}
	}
	if count > 0 {
		s.tx.Changed(s.o, "xdel")
	}
	return count
}

// deleteOne removes the entry id, if it is there. The caller reports it.
func (s *Stream) deleteOne(id ID) bool {
	if !s.erase(id) {
		return false
	}
	s.maxDeleted = later(s.maxDeleted, id)
	return true
}

// erase removes the entry id, if it is there, without remembering for clients
// that it was deleted.
func (s *Stream) erase(id ID) bool {
	e, ok := s.Get(id)
	if !ok {
		return false
	}
	s.tx.DeleteOnce(s.o, new(subKey).entry(id))
	s.length--
	s.o.Out.Add(1, s.tx.NowMillis())
	s.bytes -= uint64(len(e.data))
	if s.node.has(id) {
		s.node.gone(1)
	}
	if s.headLive > 0 && !s.headLast.Less(id) {
		s.headLive = 0
	}
	s.deletedTo = later(s.deletedTo, id)
	s.dropFromMemory(id)
	switch {
	case s.length == 0:
		s.first, s.top = ID{}, ID{}
	case id == s.first:
		s.walk(&s.head, id, 1, func(e *Entry) bool {
			s.first = e.ID
			return false
		})
	case id == s.top:
		s.top = s.lastBelow(id)
		s.tailBehind(s.top)
	}
	return true
}

// tailBehind notes that there is nothing behind id, the last entry that is left:
// the tombstones there are not to be walked over again when what is added next is
// deleted as well.
func (s *Stream) tailBehind(id ID) {
	if id.Less(s.tail.after) {
		s.tail.reset(s.last)
		s.tail.after = id
	}
	s.tailing, s.unread = true, 0
}

func (s *Stream) dropFromMemory(id ID) {
	s.tail.remove(id)
	s.ahead.remove(id)
	s.head.remove(id)
	for _, g := range s.byName {
		g.ahead.remove(id)
	}
}

// lastBelow returns the last entry there is below id.
func (s *Stream) lastBelow(id ID) (last ID) {
	stop, _ := id.Prev() // no entry is 0-0
	s.Range(s.first, stop, true, func(e *Entry) bool {
		last = e.ID
		return false
	})
	return last
}

// MacroNodes returns what XINFO STREAM shows of Redis' structure: about how many
// macro nodes there would be, and nodes of the tree that holds them.
func (s *Stream) MacroNodes(limits NodeLimits) (keys, nodes uint64) {
	perNode := uint64(limits.Entries)
	if limits.Entries <= 0 {
		perNode = math.MaxUint64
	}
	keys = s.length / perNode
	if s.length%perNode > 0 {
		keys++
	}
	return keys, keys + 1
}
