//go:build linux

package main

import "github.com/HdrHistogram/hdrhistogram-go"

// A publisher is the role of all connections that send a mint's messages, each
// to the next of the keys.
type publisher struct {
	mint      *mint
	commands  [][]byte // up to the message, one for each key
	total     int      // messages to send
	inFlight  int      // commands on each connection; 0: only when publish is called
	receivers int      // what PUBLISH is to answer; 0: any reply is right
	watch     *stopwatch

	acked                 int   // messages that the server has answered
	firstTenth, lastTenth int64 // when the first tenth was answered and the last began
}

func (p *publisher) next(l *loop, c *conn) error {
	return p.publish(l, c, min(p.inFlight, p.total-p.mint.issued))
}

func (p *publisher) publish(l *loop, c *conn, messages int) error {
	if messages <= 0 {
		return nil
	}
	out := l.out[:0]
	for range messages {
		i := p.mint.issued
		if p.watch != nil {
			p.watch.sent[i] = l.now
		}
		out = append(out, p.commands[i%len(p.commands)]...)
		out = append(p.mint.issue(out), '\r', '\n')
	}
	l.out = out
	return l.send(c, messages)
}

// publishAtOnce sends messages as the last words of one command.
func (p *publisher) publishAtOnce(l *loop, c *conn, messages int, words ...string) error {
	out := appendWords(header(l.out[:0], len(words)+messages), words...)
	for range messages {
		p.watch.sent[p.mint.issued] = l.now
		out = append(p.mint.issue(bulkHeader(out, p.mint.size)), '\r', '\n')
	}
	l.out = out
	return l.send(c, 1)
}

func (p *publisher) token(l *loop, _ *conn, t *token) error {
	if t.null || t.kind == '*' || p.receivers != 0 && t.n != p.receivers {
		return unexpected(t)
	}
	p.acked++
	switch p.acked {
	case p.total / 10:
		p.firstTenth = l.now
	case p.total - p.total/10:
		p.lastTenth = l.now
	}
	return nil
}

// done says whether the server has answered everything.
func (p *publisher) done() bool {
	return p.acked == p.total
}

// A stopwatch times messages from when they were sent, or should have been.
type stopwatch struct {
	sent []int64 // of each message; loop time
	h    *hdrhistogram.Histogram
}

func (w *stopwatch) stop(message int, now int64) error {
	return record(w.h, now-w.sent[message], 1)
}
