//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// settling is how long connections are listened to when all has come that is to
// come.
const settling = 20 * time.Millisecond

// lists fills lists and empties them again.
func lists(keys int) func(*run) error {
	return func(r *run) error {
		total := r.messages(100)
		p := r.pusher(total, keys)
		if err := r.loop.connect(r.daemon.port, connections, nil); err != nil {
			return err
		}
		if err := r.publish(fmt.Sprintf("publish/lpush-%d", keys), p); err != nil {
			return err
		}
		if err := r.daemon.expect(total/keys, "LLEN", "list:0"); err != nil {
			return err
		}
		_, err := r.drain(fmt.Sprintf("consume/rpop-%d", keys), p, keys)
		return err
	}
}

// pusher sends a number of messages to lists.
func (r *run) pusher(total, keys int) *publisher {
	return r.publisher(total, keys, func(key string) []byte { return commandUpTo(r.Payload, "LPUSH", key) }, "list")
}

func (r *run) publisher(total, keys int, command func(key string) []byte, prefix string) *publisher {
	p := &publisher{mint: newMint(r.Payload, r.random), total: total, inFlight: r.InFlight}
	for _, key := range names(prefix, keys) {
		p.commands = append(p.commands, command(key))
	}
	return p
}

// publish lets all connections send what a publisher has.
func (r *run) publish(name string, p *publisher) error {
	latency := newHistogram()
	r.play(latency, p, r.loop.conns...)
	_, err := r.phase(name, p.total, latency, p.done)
	return err
}

// drain pops what a publisher has pushed and checks it.
func (r *run) drain(name string, p *publisher, keys int) (*Sample, error) {
	pops := &popper{ledger: newLedger(p.mint, p.total), total: p.total, inFlight: r.InFlight}
	for _, key := range names("list", keys) {
		pops.commands = append(pops.commands, command(nil, "RPOP", key))
	}
	latency := newHistogram()
	r.play(latency, pops, r.loop.conns...)
	s, err := r.phase(name, p.total, latency, pops.done)
	if err == nil {
		err = pops.ledger.missing()
	}
	if err == nil {
		err = r.daemon.expect(0, append([]string{"EXISTS"}, names("list", keys)...)...)
	}
	return s, err
}

// flatOut lets half of the connections push as fast as they can, while the
// others pop with BRPOP.
func flatOut(r *run) error {
	p := r.pusher(r.messages(70), 1)
	consumers, err := r.pairUp(p)
	if err != nil {
		return err
	}
	if _, err := r.phase("end-to-end/flat-out", p.total, p.watch.h, consumers.all(p)); err != nil {
		return err
	}
	return r.nothingMore(consumers)
}

const (
	openLoopRate    = 5000 // messages a second
	openLoopSeconds = 4
)

// openLoop pushes at a rate that does not depend on how fast the server answers.
// Latency counts from when a message should have been sent.
func openLoop(r *run) error {
	p := r.pusher(max(1000, openLoopRate*openLoopSeconds/r.scale.Divisor), 1)
	p.inFlight = 0
	consumers, err := r.pairUp(p)
	if err != nil {
		return err
	}
	const interval = time.Second / openLoopRate
	var began int64
	began, err = r.loop.tick(interval, func(due int) error {
		for range min(due, p.total-p.mint.issued) {
			i := p.mint.issued
			if err := p.publish(r.loop, r.loop.conns[i%(connections/2)], 1); err != nil {
				return err
			}
			p.watch.sent[i] = began + int64(i+1)*interval.Nanoseconds()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := r.phase("end-to-end/5000-per-second", p.total, p.watch.h, consumers.all(p)); err != nil {
		return err
	}
	return r.nothingMore(consumers)
}

// pairUp connects producers, the first half of the connections, and consumers
// that wait.
func (r *run) pairUp(p *publisher) (*waiter, error) {
	if err := r.loop.connect(r.daemon.port, connections, p); err != nil {
		return nil, err
	}
	p.watch = &stopwatch{sent: make([]int64, p.total), h: newHistogram()}
	w := &waiter{ledger: newLedger(p.mint, p.total), watch: p.watch, command: command(nil, "BRPOP", "list:0", "0"), inFlight: r.InFlight}
	r.play(nil, w, r.loop.conns[connections/2:]...)
	return w, nil
}

// all says whether all messages have been sent and have come.
func (w *waiter) all(p *publisher) func() bool {
	return func() bool { return w.ledger.n == p.total && p.done() }
}

// nothingMore sees that nothing was lost and nothing comes again.
func (r *run) nothingMore(w *waiter) error {
	return errors.Join(w.ledger.missing(), r.loop.settle(settling), r.daemon.expect(0, "EXISTS", "list:0"))
}
