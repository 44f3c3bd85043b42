//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
)

// feed hands a role what a server sends.
func feed(r role, replies string) error {
	l, c := &loop{}, &conn{}
	for b := []byte(replies); len(b) > 0; {
		n, err := c.parser.next(b, &l.token)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("incomplete: %q", b)
		}
		b = b[n:]
		if err := r.token(l, c, &l.token); err != nil {
			return err
		}
	}
	return nil
}

func bulk(text string) string {
	return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
}

// Whatever a server does wrong is noticed by the role that sees it.
func TestRolesNotice(t *testing.T) {
	const total = 3
	m := newTestMint(64, 1)
	var messages []string
	for range total {
		messages = append(messages, bulk(string(m.issue(nil))))
	}
	foreign := bulk(string(newTestMint(64, 2).issue(nil)))
	watch := &stopwatch{sent: make([]int64, total), h: newHistogram()}
	popped := func(message string) string { return "*2\r\n$6\r\nlist:0\r\n" + message }
	delivered := func(message string) string { return "*3\r\n$7\r\nmessage\r\n$9\r\nchannel:0\r\n" + message }
	entry := func(id, message string) string {
		return "*1\r\n*2\r\n$8\r\nstream:0\r\n*1\r\n*2\r\n" + bulk(id) + "*2\r\n$1\r\nd\r\n" + message
	}
	roles := map[string]func() role{
		"publisher": func() role { return &publisher{total: total} },
		"PUBLISH":   func() role { return &publisher{total: total, receivers: 2} },
		"popper":    func() role { return &popper{ledger: newLedger(m, total), total: total} },
		"waiter":    func() role { return &waiter{ledger: newLedger(m, total), watch: watch} },
		"member":    func() role { return &member{group: &group{ledger: newLedger(m, total), watch: watch}} },
		"waiting": func() role {
			return &member{group: &group{ledger: newLedger(m, total)}, waits: true}
		},
		"subscriber": func() role { return &subscriber{audience: &audience{mint: m, watch: watch}} },
	}
	for _, c := range []struct{ role, replies, want string }{
		{"publisher", ":1\r\n$3\r\n1-1\r\n", ""},
		{"publisher", "$-1\r\n", "should not be"},
		{"publisher", "*0\r\n", "should not be"},
		{"PUBLISH", ":2\r\n", ""},
		{"PUBLISH", ":1\r\n", "should not be"},
		{"popper", messages[0] + messages[2] + messages[1], ""},
		{"popper", messages[0] + messages[0], "twice"},
		{"popper", messages[0] + "$-1\r\n", "empty, with 1 of 3"},
		{"popper", foreign, "foreign"},
		{"popper", ":1\r\n", "should not be"},
		{"waiter", popped(messages[1]) + popped(messages[0]), ""},
		{"waiter", popped(messages[1]) + popped(messages[1]), "twice"},
		{"waiter", "*-1\r\n", "should not be"},
		{"waiter", messages[0], "should not be"},
		{"member", entry("1-1", messages[1]) + ":1\r\n*-1\r\n", ""},
		{"member", entry("1-1", messages[1]) + entry("1-2", messages[1]), "twice"},
		{"member", entry("1-1", "$-1\r\n"), "foreign message of 0 bytes"},
		{"member", "+OK\r\n", "should not be"},
		{"waiting", "*-1\r\n", "should not be"},
		{"subscriber", "*3\r\n$9\r\nsubscribe\r\n$9\r\nchannel:0\r\n:1\r\n" + delivered(messages[0]) + delivered(messages[1]), ""},
		{"subscriber", delivered(messages[1]), "message 1 where 0"},
		{"subscriber", delivered(messages[0]) + delivered(messages[0]), "message 0 where 1"},
		{"subscriber", delivered(foreign), "foreign"},
		{"subscriber", ":1\r\n", "should not be"},
	} {
		err := feed(roles[c.role](), c.replies)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s, %.60q: %v, want %q", c.role, c.replies, err, c.want)
		}
	}
}

// What a member has read it acknowledges with as many XACKs as there were
// replies, in their order.
func TestMemberAcknowledges(t *testing.T) {
	m := newTestMint(16, 1)
	one, two, three := bulk(string(m.issue(nil))), bulk(string(m.issue(nil))), bulk(string(m.issue(nil)))
	g := &group{ledger: newLedger(m, 3), ack: appendWords(nil, "XACK", "s", "g")}
	r := &member{group: g, read: []byte("READ"), inFlight: 2}
	err := feed(r, "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nd\r\n"+one+"*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\nd\r\n"+two+
		"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-3\r\n*2\r\n$1\r\nd\r\n"+three)
	if err != nil {
		t.Fatal(err)
	}
	l := &loop{}
	c := &conn{unsent: []byte(" ")} // what is sent waits behind it
	if err := r.next(l, c); err != nil {
		t.Fatal(err)
	}
	if got, want := string(l.out), string(command(command(nil, "XACK", "s", "g", "1-1", "1-2"), "XACK", "s", "g", "1-3")); got != want || c.waiting != 2 {
		t.Errorf("%q and %d replies, want %q", got, c.waiting, want)
	}
	if err := feed(r, ":2\r\n:1\r\n"); err != nil || !g.done() {
		t.Errorf("%v, %d acknowledged", err, g.acked)
	}
	if err := r.next(l, c); err != nil || string(l.out) != "READREAD" {
		t.Errorf("%v, %q", err, l.out)
	}
	if err := feed(r, "*-1\r\n*-1\r\n"); err != nil {
		t.Fatal(err)
	}
	c.waiting = 0
	if err := r.next(l, c); err != nil || c.waiting != 0 {
		t.Errorf("%v: %d replies to come after the end", err, c.waiting)
	}
}
