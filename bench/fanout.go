//go:build linux

package main

import "fmt"

// fanOut publishes to one channel with a number of subscribers.
func fanOut(subscribers int) func(*run) error {
	return func(r *run) error {
		const publishers, channel = 1, "channel:0"
		total := r.fanOutMessages(subscribers)
		p := r.publisher(total, 1, func(string) []byte { return commandUpTo(r.Payload, "PUBLISH", channel) }, "")
		p.receivers = subscribers
		p.watch = &stopwatch{sent: make([]int64, total), h: newHistogram()}
		a := &audience{mint: p.mint, watch: p.watch, subscribe: command(nil, "SUBSCRIBE", channel)}
		if err := r.loop.connect(r.daemon.port, subscribers, nil); err != nil {
			return err
		}
		for _, c := range r.loop.conns {
			r.play(nil, &subscriber{audience: a}, c)
		}
		if err := r.loop.run(r.limit, func() bool { return a.subscribed == subscribers }); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		if err := r.loop.connect(r.daemon.port, publishers, p); err != nil {
			return err
		}
		all := func() bool { return p.done() && a.delivered == total*subscribers }
		if _, err := r.phase(fmt.Sprintf("fan-out/%d", subscribers), total*subscribers, p.watch.h, all); err != nil {
			return err
		}
		return r.loop.settle(settling)
	}
}

// fanOutMessages is how many messages there are to publish.
func (r *run) fanOutMessages(subscribers int) int {
	n := 40_000
	switch {
	case subscribers > 100:
		n = 400
	case subscribers > 1:
		n = 4000
	}
	if r.InFlight > 1 {
		n *= 4
	}
	return max(10, n/r.scale.Divisor)
}
