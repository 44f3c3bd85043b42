package streams

// Nack says how pending entries are given back.
type Nack struct {
	Mode NackMode
	// Retries, when it is not negative, is set as the number of deliveries,
	// whatever Mode says.
	Retries int64
	// Force makes entries pending that are not.
	Force bool
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
			p = Pending{ID: id}
		}
		p.Deliveries = o.deliveries(p.Deliveries)
		p.consumer, p.Time = nobody, placeFirst+g.nacks
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
