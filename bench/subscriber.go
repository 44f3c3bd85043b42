//go:build linux

package main

import "fmt"

// An audience is all subscribers of a channel with one publisher.
type audience struct {
	mint      *mint
	watch     *stopwatch
	subscribe []byte // the command

	subscribed int // connections
	delivered  int // messages, to all subscribers together
}

// A subscriber is the role of one of its connections. It gets every message in
// the order of publishing.
type subscriber struct {
	audience   *audience
	subscribed bool
	got        int // messages
}

func (s *subscriber) next(l *loop, c *conn) error {
	if s.subscribed {
		return nil
	}
	s.subscribed = true
	l.out = append(l.out[:0], s.audience.subscribe...)
	return l.send(c, 1)
}

func (s *subscriber) token(l *loop, _ *conn, t *token) error {
	switch {
	case t.depth == 0 && t.kind == '*' && t.n == 3, t.depth == 1 && t.index < 2:
		return nil
	case t.depth == 1 && t.kind == ':':
		s.audience.subscribed++
		return nil
	case t.depth != 1 || t.kind != '$':
		return unexpected(t)
	}
	i, err := s.audience.mint.number(t.text)
	if err != nil {
		return err
	}
	if i != s.got {
		return fmt.Errorf("a subscriber got message %d where %d should follow", i, s.got)
	}
	s.got++
	s.audience.delivered++
	return s.audience.watch.stop(i, l.now)
}
