package streams

// Nack says how pending entries are given back.
type Nack struct {
	Mode NackMode
	// Retries, when it is not negative, is set as the number of deliveries,
	// whatever Mode says.
	Retries int64
	// Force makes entries pending that are not.
	Force bool
	// Bury takes entries that are given back with NackFatal; those that it cannot
	// take are pending as ever.
	Bury Bury
}

// NackMode says what becomes of the number of deliveries.
type NackMode uint8

const (
	NackSilent NackMode = iota // the last one does not count
	NackFail                   // it counts
	NackFatal                  // no more are wanted: as many as can be
)

// Nack gives pending entries back: they belong to nobody, and are the first to
// be delivered again, in this order. It returns how many of the IDs were
// pending, or made so.
func (g *Group) Nack(ids []ID, o Nack) (count int) {
	s := g.s
	for _, id := range ids {
		p, pending := g.lookup(id)
		if !pending {
			if _, there := s.Get(id); !there || !o.Force {
				continue
			}
			p = Pending{ID: id, consumer: nobody}
		}
		if o.Mode == NackFatal && o.Bury != nil && g.buryOne(o.Bury, &p) {
			g.remove(id)
			count++
			continue
		}
		p.Deliveries = o.deliveries(p.Deliveries)
		p.consumer, p.Time, p.nacked = nobody, placeFirst+g.nacks, s.tx.NowMillis()
		g.nacks++
		g.put(p)
		count++
	}
	if count > 0 {
		g.move()
		s.tx.ChangedQuietly(s.o, "")
		s.tx.MarkReady(s.o) // they can be had at once
	}
	return count
}

// buryOne takes a pending entry away, if that is possible, and reports whether it
// is to go: there may be nothing to take any more.
func (g *Group) buryOne(do Bury, p *Pending) bool {
	e, there := g.s.Get(p.ID)
	return !there || (g.s.tx.Fits(1, int64(e.Bytes())) && g.bury(do, &e, p, true))
}

func (o *Nack) deliveries(before uint64) uint64 {
	switch {
	case o.Retries >= 0:
		return uint64(o.Retries)
	case o.Mode == NackFatal:
		return deliveriesMax
	case o.Mode == NackSilent && before > 0:
		return before - 1
	}
	return before
}
