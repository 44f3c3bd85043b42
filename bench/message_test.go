package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func newTestMint(size, seed int) *mint {
	return newMint(size, rand.New(rand.NewPCG(uint64(seed), 0)))
}

func TestLedger(t *testing.T) {
	m := newTestMint(128, 1)
	l := newLedger(m, 200)
	var messages [][]byte
	for range 200 {
		messages = append(messages, m.issue(nil))
	}
	foreign := newTestMint(128, 2).issue(nil)
	for i, message := range messages {
		if got, err := l.tick(message); i != 70 && i != 199 && (err != nil || got != i) {
			t.Fatalf("message %d: %d, %v", i, got, err)
		}
		if i == 69 {
			messages[70], messages[199] = nil, nil // lost
		}
	}
	changed := slices.Clone(messages[3])
	changed[127]++
	mixed := slices.Concat(messages[4][:headerBytes], messages[5][headerBytes:])
	for _, c := range []struct {
		message []byte
		want    string
	}{
		{messages[7], "came twice"},
		{foreign, "foreign"},
		{messages[7][:127], "foreign"},
		{nil, "foreign"},
		{changed, "not what was sent"},
		{mixed, "not what was sent"},
	} {
		if _, err := l.tick(c.message); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q: %v, want %q", c.message, err, c.want)
		}
	}
	if l.n != 198 {
		t.Errorf("%d messages have come, want 198", l.n)
	}
	if err := l.missing(); err == nil || !strings.Contains(err.Error(), "2 of 200 messages are lost, the first is message 70") {
		t.Errorf("missing: %v", err)
	}
}

func TestLedgerNeverSent(t *testing.T) {
	m, again := newTestMint(64, 1), newTestMint(64, 1)
	m.issue(nil)
	again.issue(nil)
	second := again.issue(nil)
	if _, err := newLedger(m, 10).tick(second); err == nil || !strings.Contains(err.Error(), "never sent") {
		t.Errorf("%v", err)
	}
}

func TestLedgerComplete(t *testing.T) {
	m := newTestMint(1024, 1)
	l := newLedger(m, 65)
	for range 65 {
		if _, err := l.tick(m.issue(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.missing(); err != nil {
		t.Error(err)
	}
}

// Messages that lie side by side have nothing in common, so that nothing is to
// be won by compressing a block of them.
func TestMintFillsDifferently(t *testing.T) {
	m := newTestMint(128, 1)
	seen := make(map[string]bool)
	for range 256 << 10 / 128 { // of a block of 256 KiB
		seen[string(m.issue(nil)[headerBytes:])] = true
	}
	if len(seen) != 256<<10/128 {
		t.Errorf("%d different ones", len(seen))
	}
}

// The hot path allocates nothing.
func TestNoAllocations(t *testing.T) {
	m := newTestMint(128, 1)
	const total = 10_000
	l, h := newLedger(m, total), newHistogram()
	out, reply := make([]byte, 0, 4096), make([]byte, 0, 4096)
	prefix := commandUpTo(128, "LPUSH", "list:0")
	var p parser
	var tok token
	allocs := testing.AllocsPerRun(total/2, func() {
		out = append(out[:0], prefix...)
		out = append(m.issue(out), '\r', '\n')
		reply = append(append(reply[:0], "$128\r\n"...), out[len(prefix):]...)
		n, err := p.next(reply, &tok)
		if err != nil || n != len(reply) || !tok.last {
			t.Fatalf("%d of %d bytes, %v", n, len(reply), err)
		}
		if _, err := l.tick(tok.text); err != nil {
			t.Fatal(err)
		}
		if err := record(h, 1_000_000, 1); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a message", allocs)
	}
}

func TestCommand(t *testing.T) {
	if got, want := string(command(nil, "LPUSH", "a", "")), "*3\r\n$5\r\nLPUSH\r\n$1\r\na\r\n$0\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := string(commandUpTo(128, "LPUSH", "a")), "*3\r\n$5\r\nLPUSH\r\n$1\r\na\r\n$128\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
