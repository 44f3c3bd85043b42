package streams

// Claim says how pending entries change hands.
type Claim struct {
	// IdleMin is how long ago, in ms, an entry must have been delivered; 0: at
	// any time.
	IdleMin int64
	// Time is the delivery time that the entries get.
	Time int64
	// Retries, when it is not negative, is set as the number of deliveries;
	// otherwise the claim counts as one more, unless JustID is set.
	Retries int64
	JustID  bool
	// Force claims entries as well that are not pending.
	Force bool
	// LastID moves the group on to an ID, if it is not there yet.
	LastID ID
	// BytesMax, if not zero, is where AutoClaim ends even if more may be claimed.
	BytesMax int
	// Bury takes entries that were delivered as often as may be, in place of their
	// being claimed; those that it cannot take stay as they are.
	Bury Bury
}

// Claimed is an entry that changed hands. The entry itself is there unless just
// the ID was asked for.
type Claimed struct {
	ID    ID
	Entry Entry
}

// Claim gives pending entries to the consumer of that name, which is made if
// there is none. Those that were deleted from the stream are no longer pending
// then.
func (g *Group) Claim(name []byte, ids []ID, o Claim) (claimed []Claimed) {
	s, c := g.s, g.See(name)
	changed := false
	if g.last.Less(o.LastID) {
		g.last = o.LastID
		g.move()
		changed = true
	}
	now := s.tx.NowMillis()
	for _, id := range ids {
		p, pending := g.lookup(id)
		entry, there := g.claimable(id, pending, o)
		switch {
		case !there && pending:
			g.remove(id)
			changed = true
			continue
		case !there:
			continue
		case !pending:
			p = Pending{ID: id, Deliveries: 1}
		case o.IdleMin > 0 && p.idle(now) < o.IdleMin:
			continue
		case pending && p.consumer != c.number && g.ends(&p, o):
			if s.tx.Fits(1, int64(entry.Bytes())) && g.bury(o.Bury, &entry, &p, false) {
				g.remove(id)
				changed = true
			}
			continue
		}
		o.take(&p, c)
		g.put(p)
		changed = true
		claimed = append(claimed, Claimed{id, entry})
	}
	if len(claimed) > 0 {
		g.active(c)
	}
	if changed {
		s.tx.ChangedQuietly(s.o, "")
	}
	if len(claimed) > 0 && o.Time < now {
		s.tx.MarkReady(s.o) // it may be had sooner than who waits believes
	}
	return claimed
}

// ends reports whether the entry was delivered as often as may be, and the claim
// is a delivery: just the ID is none, and who says how often it was delivered
// knows better.
func (g *Group) ends(p *Pending, o Claim) bool {
	return !o.JustID && o.Retries < 0 && g.pages.rules.exhausted(p)
}

// claimable returns the entry id, if it can be claimed.
func (g *Group) claimable(id ID, pending bool, o Claim) (e Entry, ok bool) {
	switch {
	case !pending && !o.Force:
		return Entry{}, false
	case pending && o.JustID:
		return Entry{}, g.s.has(id)
	}
	return g.s.Get(id)
}

// take makes p the consumer's.
func (o *Claim) take(p *Pending, c *Consumer) {
	p.consumer, p.nacked = c.number, 0
	p.Time = o.Time
	switch {
	case o.Retries >= 0:
		p.Deliveries = uint64(o.Retries)
	case !o.JustID:
		p.delivered()
	}
}

// autoClaimTries is how many pending entries are looked at for each that may
// be claimed.
const autoClaimTries = 10

// AutoClaim gives up to count pending entries from start on, which were
// delivered long enough ago, to the consumer of that name. It returns the ID
// where the next call should start, 0-0 when it came to the end, and the IDs
// of entries that were deleted from the stream and therefore are no longer
// pending. They count as well.
func (g *Group) AutoClaim(name []byte, start ID, count int64, o Claim) (next ID, claimed []Claimed, deleted []ID) {
	s, c := g.s, g.See(name)
	now := s.tx.NowMillis()
	tries := count * autoClaimTries
	behind, atEnd := start, false
	bytes, buried := 0, 0
	entries := sought{s: s}
	defer entries.close()
	// A page with nothing old enough need not be read, if nothing in it can have
	// been deleted from the stream.
	skip := func(p *page) bool {
		complete := s.length > 0 && !p.key.Less(s.first) && s.deletedTo.Less(p.key)
		if o.IdleMin <= 0 || idleSince(p.oldest, now) >= o.IdleMin || !complete || tries < int64(p.count) {
			return false
		}
		tries -= int64(p.count)
		return true
	}
	g.edit(start, nil, skip, func(p *Pending) (done edit) {
		if tries == 0 || count == 0 || (o.BytesMax > 0 && bytes >= o.BytesMax) {
			behind, atEnd = p.ID, true
			return enough
		}
		tries--
		var entry Entry
		there := false
		if o.JustID || (o.IdleMin > 0 && p.idle(now) < o.IdleMin) {
			there = entries.has(p.ID)
		} else if entry, there = entries.get(p.ID); there {
			entry.keep()
		}
		switch {
		case !there:
			deleted = append(deleted, p.ID)
			count--
			return dropped
		case o.IdleMin > 0 && p.idle(now) < o.IdleMin:
			return 0
		case g.ends(p, o):
			if !s.tx.Fits(1, int64(entry.Bytes())) || !g.bury(o.Bury, &entry, p, false) {
				return 0
			}
			bytes += len(entry.data)
			buried++
			count--
			return dropped
		}
		g.counted(p.consumer, -1)
		o.take(p, c)
		g.counted(p.consumer, +1)
		claimed = append(claimed, Claimed{p.ID, entry})
		bytes += len(entry.data)
		count--
		return written
	})
	if len(claimed) > 0 {
		g.active(c)
	}
	if len(claimed) > 0 || len(deleted) > 0 || buried > 0 {
		s.tx.ChangedQuietly(s.o, "")
	}
	if !atEnd {
		return ID{}, claimed, deleted
	}
	return behind, claimed, deleted
}
