//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	wakeAllRounds   = 5
	wakeOneMessages = 2000
	blockedPoll     = 10 * time.Millisecond
	idlePause       = time.Second // memory is looked at after it
)

// A pinger is the role of connections that send one PING each.
type pinger struct{ sent, answered int }

func (p *pinger) next(l *loop, c *conn) error {
	if p.sent == len(l.conns) {
		return nil
	}
	p.sent++
	l.out = append(l.out[:0], "PING\r\n"...)
	return l.send(c, 1)
}

func (p *pinger) token(_ *loop, _ *conn, t *token) error {
	if string(t.text) != "PONG" {
		return unexpected(t)
	}
	p.answered++
	return nil
}

// idle opens many connections that do next to nothing, then lets them wait for messages
// and wakes them all at once and one by one.
func idle(r *run) error {
	n := r.scale.Connections
	before, _, err := r.daemon.memory()
	if err != nil {
		return err
	}
	singly := max(100, wakeOneMessages/r.scale.Divisor)
	p := r.pusher(n*wakeAllRounds+singly, 1)
	p.inFlight = 0
	p.watch = &stopwatch{sent: make([]int64, p.total), h: newHistogram()}
	w := &waiter{ledger: newLedger(p.mint, p.total), watch: p.watch, command: command(nil, "BRPOP", "list:0", "0"), inFlight: 1}
	if err := r.loop.connect(r.daemon.port, n, w); err != nil {
		return err
	}
	ping := &pinger{}
	r.play(nil, ping, r.loop.conns...)
	if err := r.loop.run(r.limit, func() bool { return ping.answered == n }); err != nil {
		return fmt.Errorf("PING: %w", err)
	}
	r.play(nil, w, r.loop.conns...)
	s, err := r.measure("idle/connections", n, newHistogram(), func() error {
		time.Sleep(idlePause)
		return nil
	})
	if err != nil {
		return err
	}
	s.Numbers = map[string]float64{perConnection: round4(float64(s.Memory-before) / float64(n))}
	if err := r.loop.connect(r.daemon.port, 1, p); err != nil {
		return err
	}
	if err := r.wakeAll(w, p, before); err != nil {
		return err
	}
	if err := r.wakeOne(w, p, singly); err != nil {
		return err
	}
	return errors.Join(w.ledger.missing(), r.loop.settle(settling))
}

// wakeAll wakes all connections with one command, several times.
func (r *run) wakeAll(w *waiter, p *publisher, before int64) error {
	n := len(r.loop.conns) - 1
	times, blocked := []float64(nil), int64(0)
	s, err := r.measure("idle/wake-all", n*wakeAllRounds, p.watch.h, func() error {
		for range wakeAllRounds {
			if err := r.block(w, n); err != nil {
				return err
			}
			now, _, err := r.daemon.memory()
			if err != nil {
				return err
			}
			blocked = max(blocked, now)
			w.paused = true
			began := r.loop.clock()
			if err := p.publishAtOnce(r.loop, r.loop.conns[n], n, "LPUSH", "list:0"); err != nil {
				return err
			}
			if err := r.loop.await(r.limit, func() bool { return w.ledger.n == p.mint.issued && r.loop.idle() }); err != nil {
				return err
			}
			times = append(times, float64(r.loop.now-began)/1e9)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Seconds = 0 // most of it is waiting for the connections to block again
	s.Numbers = map[string]float64{
		wakeSeconds: round4(spread(times).Median), perBlocked: round4(float64(blocked-before) / float64(n)),
	}
	return nil
}

// wakeOne wakes one connection after the other, which then waits again.
func (r *run) wakeOne(w *waiter, p *publisher, messages int) error {
	n := len(r.loop.conns) - 1
	if err := r.block(w, n); err != nil {
		return err
	}
	p.watch.h = newHistogram()
	already := p.acked
	_, err := r.measure("idle/wake-one", messages, p.watch.h, func() error {
		for i := range messages {
			if err := p.publish(r.loop, r.loop.conns[n], 1); err != nil {
				return err
			}
			both := func() bool { return w.ledger.n == p.mint.issued && p.acked == already+i+1 }
			if err := r.loop.await(r.limit, both); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// block lets all connections wait, and returns when the server knows of it.
func (r *run) block(w *waiter, n int) error {
	w.paused = false
	if err := r.loop.run(r.limit, func() bool { return true }); err != nil {
		return err
	}
	return r.waitBlocked(n)
}

// waitBlocked waits until the server counts so many clients that wait.
func (r *run) waitBlocked(want int) error {
	const kind = "blocked_clients"
	for start := time.Now(); time.Since(start) < r.limit; time.Sleep(blockedPoll) {
		reply, err := r.daemon.ask("INFO", "clients")
		if err != nil {
			return err
		}
		_, after, _ := bytes.Cut(reply[0].text, []byte(kind+":"))
		count, _, _ := bytes.Cut(after, []byte("\r"))
		if got, err := strconv.Atoi(string(count)); err == nil && got >= want {
			return nil
		}
	}
	return fmt.Errorf("%s has not become %d", kind, want)
}
