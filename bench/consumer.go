//go:build linux

package main

import "fmt"

// A popper is the role of all connections that take messages from lists, each
// from the next of the lists.
type popper struct {
	ledger   *ledger
	commands [][]byte // one for each list
	total    int      // messages to take
	inFlight int      // commands on each connection
	asked    int
}

func (p *popper) next(l *loop, c *conn) error {
	n := min(p.inFlight, p.total-p.asked)
	if n <= 0 {
		return nil
	}
	out := l.out[:0]
	for range n {
		out = append(out, p.commands[p.asked%len(p.commands)]...)
		p.asked++
	}
	l.out = out
	return l.send(c, n)
}

func (p *popper) token(_ *loop, _ *conn, t *token) error {
	if t.kind != '$' {
		return unexpected(t)
	}
	if t.null {
		return fmt.Errorf("the list is empty, with %d of %d messages taken", p.ledger.n, p.total)
	}
	_, err := p.ledger.tick(t.text)
	return err
}

func (p *popper) done() bool {
	return p.ledger.n == p.total
}

// A waiter is the role of connections that wait for messages with BRPOP.
type waiter struct {
	ledger   *ledger
	watch    *stopwatch
	command  []byte
	inFlight int
	paused   bool // who has got something does not ask again
}

func (w *waiter) next(l *loop, c *conn) error {
	if w.paused {
		return nil
	}
	out := l.out[:0]
	for range w.inFlight {
		out = append(out, w.command...)
	}
	l.out = out
	return l.send(c, w.inFlight)
}

func (w *waiter) token(l *loop, _ *conn, t *token) error {
	switch {
	case t.depth == 0 && t.kind == '*' && t.n == 2, t.depth == 1 && t.index == 0:
		return nil
	case t.depth == 1 && t.kind == '$':
		i, err := w.ledger.tick(t.text)
		if err != nil {
			return err
		}
		return w.watch.stop(i, l.now)
	}
	return unexpected(t)
}

// unexpected is the error of a reply that cannot be.
func unexpected(t *token) error {
	return fmt.Errorf("a reply that should not be: %c%d %.40q", t.kind, t.n, t.text)
}
