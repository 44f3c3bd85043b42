package commands

import (
	"math"
	"time"

	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// # Leases
//
// Redis delivers an entry again when somebody asks for it: with XCLAIM,
// XAUTOCLAIM, or CLAIM. With the policy LEASE a consumer has an entry for so long
// only; then a plain XREADGROUP for new entries hands it to whoever comes next,
// and wakes who waits. There is nothing that runs out on its own: whether a lease
// is over follows from the delivery time, so whatever sets that (XCLAIM by the
// owner, with JUSTID or without) extends the lease, and an acknowledgement ends it.
//
// BACKOFF makes an entry wait longer each time, MAXDELIVERIES ends it: in place of
// one delivery more the entry goes to DEADLETTER, in the unit that would have
// delivered it. What somebody waits for is buried when its lease ends; what nobody
// asks for stays pending until somebody does.

// leased is a group under the policies that match it.
type leased struct {
	*policy.Settings
	group  *streams.Group
	bury   streams.Bury
	buried *[]streams.ID
}

// noSettings is what holds where nothing is said.
var noSettings policy.Settings

// obey has a group follow the policies that match it, and returns what they say.
func (c *Ctx) obey(key, group []byte, g *streams.Group) (l leased) {
	l.Settings, l.group = &noSettings, g
	if e := c.Server.Policies.OfGroup(key, group); e != nil {
		l.Settings = &e.Settings
	}
	r := redelivery(l.Settings)
	if l.DeadLetter != "" {
		if r.Stuck = !c.Server.CanBury(c.Tx, key, l.DeadLetter); r.Stuck {
			c.Server.warnUnburied(string(key), l.DeadLetter)
		}
		l.buried = new([]streams.ID)
		l.bury = c.Server.buryFrom(c.Tx, string(key), g.Name(), l.DeadLetter, l.buried)
	}
	g.Obey(r)
	return l
}

func redelivery(s *policy.Settings) streams.Redelivery {
	r := streams.Redelivery{BackoffMin: s.BackoffMin, BackoffMax: s.BackoffMax, DropGone: s.Lease > 0}
	if s.DeadLetter != "" {
		// Without MAXDELIVERIES there is XNACK FATAL, which counts as that many.
		if r.Most = math.MaxInt64; s.MaxDeliveries > 0 {
			r.Most = uint64(s.MaxDeliveries)
		}
	}
	return r
}

// buryFrom returns what takes entries of a group that are not to be delivered any
// more to the dead letters, and notes which those were.
func (srv *Server) buryFrom(tx *storage.Tx, source, group, to string, buried *[]streams.ID) streams.Bury {
	return func(d streams.Dead) bool {
		if !srv.CanBury(tx, []byte(source), to) {
			return false
		}
		letter := deadEntry(source, d.Entry)
		letter.Group, letter.Consumer, letter.Deliveries = group, d.Consumer, int64(min(d.Deliveries, math.MaxInt64))
		if letter.Reason = DeadDeliveries; d.Rejected {
			letter.Reason = DeadRejected
		}
		srv.Bury(tx, to, letter)
		*buried = append(*buried, d.ID)
		return true
	}
}

// release is to be called when the group has let go of what was buried: perhaps
// nobody needs it any more.
func (l leased) release(c *Ctx, key []byte) {
	if l.buried != nil && len(*l.buried) > 0 {
		c.retain(key, l.group.Stream(), *l.buried)
	}
}

// deadEntry is an entry of a stream as a dead letter.
func deadEntry(source string, e *streams.Entry) DeadLetter {
	letter := DeadLetter{Source: source, ID: e.ID.String(), Fields: make([][]byte, 0, e.Len()+deadFields)}
	e.Each(func(p []byte) { letter.Fields = append(letter.Fields, p) })
	return letter
}

// idle returns for how long an entry must have been delivered for a read to get
// it, in ms; ok is false for a read that gets new entries only. CLAIM says it for
// the call, a lease for all others but those that acknowledge nothing.
func (l leased) idle(r *readArgs) (ms int64, ok bool) {
	switch {
	case r.claim:
		return r.idleMin, true
	case l.Lease > 0 && !r.noAck:
		return l.Lease, true
	}
	return 0, false
}

// againMin is the least time after which a command looks again for entries that
// it may get.
const againMin = 10 * time.Millisecond

// again returns when the first of the entries now pending can be delivered again.
// What becomes pending later cannot before it would if it did now, and who gives
// one back, or makes it older, marks the key ready.
func (r *readArgs) again(c *Ctx, deliveries []delivery) (at time.Time) {
	const idleMax = math.MaxInt64 / int64(time.Millisecond) / 4
	now := c.Tx.Now()
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for i := range deliveries {
		d := &deliveries[i]
		idle, ok := d.leased.idle(r)
		if !ok || idle > idleMax {
			continue
		}
		earlier(now.Add(max(time.Duration(idle)*time.Millisecond, againMin)))
		if due, ok := d.g.NextDue(idle); ok {
			if t := time.UnixMilli(due); t.After(now) {
				earlier(t)
			} else {
				earlier(now.Add(againMin)) // the call has had enough to do
			}
		}
	}
	return at
}

// redelivered counts entries that went to a consumer once more.
func (c *Ctx) redelivered(key []byte, n int) {
	if n > 0 {
		c.Server.CountQueue(c.Tx, string(key), QueueCounters{Redelivered: int64(n)})
	}
}
