package streams

// # What goes without being asked for
//
// A stream may be told to keep only what some group has still to acknowledge, and
// what is not too old. Both take entries away from the front, where they are
// found without reading what stays: the first entry tells whether there is
// anything to do.

// Retain removes what every group has acknowledged: of the given entries, and of
// those at the front as many as limit. Without a group everything stays. It
// returns how many went.
func (s *Stream) Retain(ids []ID, limit int) (removed int) {
	if s.groups == 0 || s.length == 0 {
		return 0
	}
	r, before := s.references(Acked), s.length
	s.removeLeading(limit, func(e *Entry) bool { return !r.protects(e.ID) })
	for _, id := range ids {
		s.deleteUnless(id, r)
	}
	if removed = int(before - s.length); removed > 0 {
		s.tx.Changed(s.o, "xtrim")
	}
	return removed
}

// Expire removes entries that arrived before a time, in unix ms, from the front
// on, at most limit; also where they are pending. bury, unless it is nil, takes
// them one by one, until it cannot. It returns how many went.
func (s *Stream) Expire(before int64, limit int, bury func(*Entry) bool) (removed int) {
	if s.length == 0 || s.firstArrived() >= before {
		return 0
	}
	var gone []ID
	removed = s.removeLeading(limit, func(e *Entry) bool {
		if e.Arrived >= before || (bury != nil && !bury(e)) {
			return false
		}
		gone = append(gone, e.ID)
		return true
	})
	if removed == 0 {
		return 0
	}
	r := s.references(DropRefs)
	for _, id := range gone {
		r.drop(id)
	}
	s.tx.Changed(s.o, "xtrim")
	return removed
}

// firstArrived returns when the first entry arrived. It is remembered, as who adds
// or reads asks each time.
func (s *Stream) firstArrived() int64 {
	if s.arrivedOf != s.first {
		e, ok := s.Get(s.first)
		if !ok {
			return 0 // the store cannot be read
		}
		s.arrivedOf, s.arrived = s.first, e.Arrived
	}
	return s.arrived
}

// removeLeading removes entries from the front as long as goes says so, and
// returns how many. goes is asked once for each.
func (s *Stream) removeLeading(limit int, goes func(*Entry) bool) (n int) {
	s.walk(&s.head, s.beforeFirst(), limit, func(e *Entry) bool {
		if n == limit || !goes(e) {
			return false
		}
		n++
		return true
	})
	switch {
	case n == 0:
	case uint64(n) == s.length:
		s.clear()
	default:
		s.removeFirst(uint64(n))
	}
	return n
}

// DropIdle removes the consumers of the group that have nothing pending and did
// nothing for idle ms, but for those that keep says are there all the same. It
// looks at the consumers only when there may be one.
func (g *Group) DropIdle(idle int64, keep func(consumer string) bool) (dropped int) {
	now := g.s.tx.NowMillis()
	if g.idleChecked == idle && now < g.idleNext {
		return 0
	}
	next := now + idle
	for _, c := range g.Consumers() {
		at := max(c.Seen, c.Active) + idle
		switch {
		case c.Pending > 0 || (at <= now && keep(c.Name)):
			next = min(next, now+max(idle/idleLooks, 1)) // perhaps by then
		case at <= now:
			g.DeleteConsumer([]byte(c.Name))
			dropped++
		default:
			next = min(next, at)
		}
	}
	g.idleChecked, g.idleNext = idle, next
	return dropped
}

// idleLooks is how often, within the time after which an idle consumer goes, it
// is looked whether one that had something pending has not any more.
const idleLooks = 10
