//go:build linux

package main

import (
	"fmt"
)

// fieldName is that of the one field of an entry.
const fieldName = "d"

// streams fills streams, and reads the first one again.
func streams(keys int) func(*run) error {
	return func(r *run) error {
		p := r.adder(r.messages(60), keys)
		if err := r.loop.connect(r.daemon.port, connections, nil); err != nil {
			return err
		}
		if err := r.publish(fmt.Sprintf("publish/xadd-%d", keys), p); err != nil {
			return err
		}
		return r.daemon.expect(p.total/keys, "XLEN", "stream:0")
	}
}

// adder sends a number of messages to streams.
func (r *run) adder(total, keys int) *publisher {
	return r.publisher(total, keys, func(key string) []byte { return commandUpTo(r.Payload, "XADD", key, "*", fieldName) }, "stream")
}

// streamOneByOne fills a stream and has a group read it, an entry at a time.
func streamOneByOne(r *run) error {
	p := r.adder(r.messages(60), 1)
	if err := r.loop.connect(r.daemon.port, connections, nil); err != nil {
		return err
	}
	if err := r.publish("publish/xadd-1", p); err != nil {
		return err
	}
	return r.readBacklog("consume/xreadgroup-1", p, 1)
}

// streamHundreds has a group read what lies in a stream, a hundred entries at a
// time.
func streamHundreds(r *run) error {
	const fillInFlight = 16
	p := r.adder(r.messages(100), 1)
	if r.InFlight == 1 {
		p.total *= 4 // a command gives a hundred
	}
	p.inFlight = fillInFlight
	if err := r.loop.connect(r.daemon.port, connections, p); err != nil {
		return err
	}
	if err := r.loop.run(r.limit, p.done); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return r.readBacklog("consume/xreadgroup-100", p, 100)
}

// readBacklog has all connections read and acknowledge, as one group, what a
// publisher has added.
func (r *run) readBacklog(name string, p *publisher, count int) error {
	g, err := r.newGroup(p, 0, "0")
	if err != nil {
		return err
	}
	latency := newHistogram()
	for i, c := range r.loop.conns {
		r.play(latency, g.newMember(i, count, r.InFlight, false), c)
	}
	if _, err := r.phase(name, p.total, latency, g.done); err != nil {
		return err
	}
	return r.nothingPending(g)
}

// groups has a number of groups, of ten members each, read a stream while it is
// written to.
func groups(n int) func(*run) error {
	const members = 10
	return func(r *run) error {
		p := r.adder(r.messages(60)/n, 1)
		p.watch = &stopwatch{sent: make([]int64, p.total), h: newHistogram()}
		if err := r.loop.connect(r.daemon.port, connections, p); err != nil {
			return err
		}
		readers := r.loop.conns[connections-n*members:]
		var all []*group
		for i := range n {
			g, err := r.newGroup(p, i, "$")
			if err != nil {
				return err
			}
			all = append(all, g)
			for j, c := range readers[i*members:][:members] {
				r.play(nil, g.newMember(j, 100, 1, true), c)
			}
		}
		done := func() bool {
			for _, g := range all {
				if g.acked < p.total {
					return false
				}
			}
			return p.done()
		}
		if _, err := r.phase(fmt.Sprintf("groups/%d", n), p.total*n, p.watch.h, done); err != nil {
			return err
		}
		if err := r.loop.settle(settling); err != nil {
			return err
		}
		for _, g := range all {
			if err := r.nothingPending(g); err != nil {
				return err
			}
		}
		return nil
	}
}

// nothingPending sees that a group has got everything and acknowledged it.
func (r *run) nothingPending(g *group) error {
	if err := g.ledger.missing(); err != nil {
		return err
	}
	if g.acked != g.ledger.n {
		return fmt.Errorf("%d of %d entries were acknowledged", g.acked, g.ledger.n)
	}
	reply, err := r.daemon.ask("XPENDING", "stream:0", g.name)
	if err == nil && (len(reply) < 2 || reply[1].n != 0) {
		err = fmt.Errorf("%d entries are still pending", reply[len(reply)-1].n)
	}
	return err
}
