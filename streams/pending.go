package streams

// PendingCount returns how many entries were delivered and not yet
// acknowledged.
func (g *Group) PendingCount() int { return g.pages.pending }

// NackedCount returns how many of them were given back and belong to nobody.
func (g *Group) NackedCount() int { return g.pages.nacked }

// PendingEnds returns the lowest and the highest ID among them.
func (g *Group) PendingEnds() (lowest, highest ID) {
	all := g.pages.all
	if len(all) == 0 {
		return ID{}, ID{}
	}
	if entries := g.peek(all[0]); len(entries) > 0 {
		lowest = entries[0].ID
	}
	if entries := g.peek(all[len(all)-1]); len(entries) > 0 {
		highest = entries[len(entries)-1].ID
	}
	return lowest, highest
}

// EachPending calls yield for the pending entries from start to stop, both
// included, until it returns false; of one consumer if c is not nil; and only
// for those that were delivered at least idleMin ms ago, unless that is 0. The
// owner of an entry that was given back is nil.
func (g *Group) EachPending(start, stop ID, c *Consumer, idleMin int64, yield func(p *Pending, owned *Consumer) bool) {
	left := g.pages.pending
	if c != nil {
		left = c.Pending
	}
	now := g.s.tx.NowMillis()
	for i := max(g.pages.find(start), 0); i < len(g.pages.all) && left > 0; i++ {
		p := g.pages.all[i]
		if stop.Less(p.key) {
			return
		}
		if (c != nil && p.owners&owner(c.number) == 0) || (idleMin != 0 && idleSince(p.oldest, now) < idleMin) {
			continue
		}
		entries := g.peek(p)
		at, _ := searchPending(entries, start)
		for ; at < len(entries); at++ {
			e := &entries[at]
			if stop.Less(e.ID) {
				return
			}
			if c != nil && e.consumer != c.number {
				continue
			}
			left--
			if idleMin != 0 && e.idle(now) < idleMin {
				continue
			}
			shown := *e
			if e.consumer == nobody {
				shown.Time = 0
			}
			if !yield(&shown, g.byNumber[e.consumer]) {
				return
			}
		}
	}
}

// Ack acknowledges entries and returns how many of them were pending.
func (g *Group) Ack(ids []ID) (acknowledged int) {
	for _, id := range ids {
		if g.remove(id) {
			acknowledged++
		}
	}
	if acknowledged > 0 {
		g.Acked.Add(int64(acknowledged), g.s.tx.NowMillis())
		g.s.tx.ChangedQuietly(g.s.o, "")
	}
	return acknowledged
}

// edit says what was done to a pending entry.
type edit uint8

const (
	written edit = 1 << iota // it is not what it was
	dropped                  // it is to go
	enough                   // no more are wanted
)

// edit calls do for the pending entries from start on; of one consumer only if
// c is not nil. Whole pages are left out if skip, which may be nil, says so: it
// is asked for pages of which all entries would have their turn.
func (g *Group) edit(start ID, c *Consumer, skip func(*page) bool, do func(*Pending) edit) {
	d := &g.pages
	for i := max(d.find(start), 0); i < len(d.all); {
		p := d.all[i]
		if (c != nil && !g.owns(c, p)) || (skip != nil && !p.key.Less(start) && skip(p)) {
			i++
			continue
		}
		done := g.editPage(p, start, c, do)
		if p.count == 0 {
			g.dropPage(i)
		} else {
			i++
		}
		if done&enough != 0 {
			return
		}
	}
}

// owns reports whether any entry of the page is c's.
func (g *Group) owns(c *Consumer, p *page) bool {
	if p.owners&owner(c.number) == 0 {
		return false
	}
	entries := g.peek(p)
	for i := range entries {
		if entries[i].consumer == c.number {
			return true
		}
	}
	return false
}

func (g *Group) editPage(p *page, start ID, c *Consumer, do func(*Pending) edit) (all edit) {
	at, _ := searchPending(g.hold(p), start)
	kept := at
	for ; at < len(p.entries) && all&enough == 0; at++ {
		e := &p.entries[at]
		done := edit(0)
		if c == nil || e.consumer == c.number {
			done = do(e)
			all |= done
		}
		if done&dropped != 0 {
			g.counted(e.consumer, -1)
			p.count--
			continue
		}
		if done&written != 0 {
			g.took(p, e)
		}
		p.entries[kept] = *e
		kept++
	}
	kept += copy(p.entries[kept:], p.entries[at:])
	p.entries = p.entries[:kept]
	if all&(written|dropped) != 0 {
		g.changed(p)
	}
	return all
}

// dropPending removes all that c has to acknowledge.
func (g *Group) dropPending(c *Consumer) {
	if c.Pending == 0 {
		return
	}
	g.edit(ID{}, c, nil, func(*Pending) edit {
		if c.Pending == 1 {
			return dropped | enough
		}
		return dropped
	})
}
