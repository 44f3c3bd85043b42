package commands

import (
	"slices"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// # What runs out on its own
//
// Messages that got too old, consumers that are no more, and what every group has
// acknowledged go without a command. The broker walks over the keys that a policy
// says so of, now and then and a few at a time (broker/tend.go); and commands that
// write to a key, or read it for a group, do it first, so that they never deliver
// what has run out.

// tendedMax is how many messages a command takes away that have run out, beside
// what it does.
const tendedMax = 1000

// Tend takes away what has run out at a key, up to so many messages, and returns
// how many those were.
func (srv *Server) Tend(tx *storage.Tx, key []byte, limit int) (did int) {
	o := tx.Peek(key)
	if o == nil {
		return 0
	}
	switch o.Type() {
	case storage.TypeStream:
		if s, err := streams.Of(tx, o); err == nil {
			return srv.tendStream(tx, key, s, limit)
		}
	case storage.TypeList:
		if e := srv.Policies.Of(key); e != nil {
			return srv.expireList(tx, key, lists.Of(tx, o), &e.Settings, limit)
		}
	}
	return 0
}

func (srv *Server) tendStream(tx *storage.Tx, key []byte, s *streams.Stream, limit int) (did int) {
	if e := srv.Policies.Of(key); e != nil {
		did = srv.expire(tx, key, s, &e.Settings, limit)
		if e.RetainUnacked && did < limit {
			did += s.Retain(nil, limit-did)
		}
	}
	if srv.Policies.TendsGroups() {
		for _, g := range s.Groups() {
			srv.dropIdle(tx, key, g)
		}
	}
	return did
}

// expire removes the messages of a stream that are as old as TTL, to the dead
// letters if that is said. What is too old in the dead-letter stream itself goes.
func (srv *Server) expire(tx *storage.Tx, key []byte, s *streams.Stream, p *policy.Settings, limit int) (did int) {
	if p.TTL == 0 {
		return 0
	}
	var bury func(*streams.Entry) bool
	if to := p.DeadLetter; to != "" && to != string(key) {
		bury = func(e *streams.Entry) bool {
			if !tx.Fits(1, int64(e.Bytes())) {
				return false
			}
			if !srv.CanBury(tx, key, to) {
				srv.warnUnburied(string(key), to)
				return false
			}
			letter := deadEntry(string(key), e)
			letter.Reason = DeadExpired
			srv.Bury(tx, to, letter)
			return true
		}
	}
	did = s.Expire(tx.NowMillis()-p.TTL+1, limit, bury)
	if did > 0 && bury == nil {
		srv.CountQueue(tx, string(key), QueueCounters{Dropped: int64(did)})
	}
	return did
}

// expire is what a command does that is about to add to a stream, or to deliver
// from it.
func (c *Ctx) expire(key []byte, s *streams.Stream) {
	if e := c.Server.Policies.Of(key); e != nil && s != nil {
		c.Server.expire(c.Tx, key, s, &e.Settings, tendedMax)
	}
}

// retain is what a command does that has acknowledged entries of a stream, or
// changed what its groups have still to acknowledge.
func (c *Ctx) retain(key []byte, s *streams.Stream, ids []streams.ID) {
	if e := c.Server.Policies.Of(key); e != nil && e.RetainUnacked {
		s.Retain(ids, tendedMax)
	}
}

// dropIdle removes the consumers of a group that were idle for CONSUMER-TTL and
// have nothing pending. One that waits is not idle.
func (srv *Server) dropIdle(tx *storage.Tx, key []byte, g *streams.Group) {
	e := srv.Policies.OfGroup(key, []byte(g.Name()))
	if e == nil || e.ConsumerTTL == 0 {
		return
	}
	var waiting []string
	asked := false
	g.DropIdle(e.ConsumerTTL, func(consumer string) bool {
		if !asked {
			waiting, asked = srv.WaitingConsumers(tx.DB(), string(key), g.Name()), true
		}
		return slices.Contains(waiting, consumer)
	})
}
