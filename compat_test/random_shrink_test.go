package compat_test

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// shrinkPatience bounds what is spent on one disagreement: what is missing costs grace in each play.
const shrinkPatience = time.Minute

// report shrinks a disagreement and tells it.
func (d *duel) report(protocol int, moves []move, bad *disagreement) string {
	known := d.tally
	defer func() { d.tally = known }() // replays do not count
	d.tally = tally{}
	moves = moves[:min(bad.at+1, len(moves))]
	deadline := time.Now().Add(shrinkPatience)
	fails := func(some []move) bool {
		if time.Now().After(deadline) {
			return false
		}
		again, _ := d.play(protocol, some, nil)
		return again != nil && again.kind() == bad.kind()
	}
	left := moves
	for words := -1; words != countWords(left); {
		words = countWords(left)
		left = shortenArgs(shrink(left, fails), fails)
	}
	script := &transcript{}
	again, _ := d.play(protocol, left, script)
	if again == nil {
		return fmt.Sprintf("does not happen again:\n%s", bad)
	}
	return fmt.Sprintf("%d of %d commands are left\n\nresp %d\n%s\n%s\n\nat first it was\n%s",
		len(left), len(moves), protocol, script.text.String(), again, bad)
}

func (b *disagreement) String() string {
	return fmt.Sprintf("%s: %s\n\tRedis: %s\n\tcairn: %s", b.client, shorten(quoteWords(b.args)), b.redis, b.cairn)
}

func countWords(moves []move) (n int) {
	for _, m := range moves {
		n += len(m.args)
	}
	return n
}

// shrink leaves out moves for as long as they still fail: first halves, then smaller and smaller parts.
func shrink(moves []move, fails func([]move) bool) []move {
	for size := (len(moves) + 1) / 2; size > 0; {
		shrunk := false
		for from := len(moves); from > 0; from -= size { // the last ones are the likeliest to matter, and few
			start := max(from-size, 0)
			some := slices.Concat(moves[:start], moves[min(from, len(moves)):])
			if len(some) > 0 && len(some) < len(moves) && fails(some) {
				moves, shrunk = some, true
			}
		}
		if size == 1 && !shrunk {
			break
		}
		size = max(1, min(size/2, len(moves)))
		if size == 1 && !shrunk && len(moves) == 1 {
			break
		}
	}
	return moves
}

// shortenArgs leaves out words of commands, and clients: what is said by one client need not be said by two.
func shortenArgs(moves []move, fails func([]move) bool) []move {
	try := func(i int, m move) bool {
		some := slices.Clone(moves)
		some[i] = m
		if !fails(some) {
			return false
		}
		moves = some
		return true
	}
	for i := range moves {
		for j := len(moves[i].args) - 1; j > 0; j-- {
			if moves[i].kind == moveCall {
				m := moves[i]
				m.args = slices.Delete(slices.Clone(m.args), j, j+1)
				m.first = consumerFirst(m.args)
				try(i, m)
			}
		}
		if name := moves[len(moves)-1].client; moves[i].client != name {
			m := moves[i]
			m.client = name
			try(i, m)
		}
	}
	return moves
}

// A transcript is a script with the replies of Redis; nil takes no notes.
type transcript struct{ text strings.Builder }

func (s *transcript) add(line string, replies ...string) {
	if s == nil {
		return
	}
	s.text.WriteString(line + "\n")
	for _, r := range replies {
		s.text.WriteString("  " + r + "\n")
	}
}

// addRun writes what a client has sent and was sent.
func (s *transcript) addRun(a *actor, run []move, frames []frame) {
	if s == nil {
		return
	}
	for i, m := range run {
		var mine []frame
		for len(frames) > 0 {
			f := frames[0]
			frames = frames[1:]
			mine = append(mine, f)
			if !isPush(f) && i < len(run)-1 {
				break
			}
		}
		if len(mine) == 0 {
			if a.waits != nil {
				s.add(m.client + "& " + quoteWords(m.args))
				continue
			}
			s.add(m.client + "! " + quoteWords(m.args))
			continue
		}
		s.add(m.client+scriptModes(m.args)+"> "+quoteWords(m.args), mine[0].String())
		s.addRead(m.client, mine[1:])
	}
}

func (s *transcript) addRead(name string, frames []frame) {
	if s == nil || len(frames) == 0 {
		return
	}
	line := name + "<"
	if len(frames) > 1 {
		line = fmt.Sprintf("%s %d", line, len(frames))
	}
	texts := make([]string, len(frames))
	for i, f := range frames {
		texts[i] = f.String()
	}
	s.add(line, texts...)
}

// scriptModes hides in a script what the clock decides.
func scriptModes(args []string) string {
	switch name := strings.ToUpper(args[0]); {
	case name == "KEYS":
		return "~sorted"
	case name == "TTL", name == "PTTL":
		return "~int"
	case name == "XPENDING" && len(args) > 3:
		return "~at(*.2)"
	case name == "XINFO" && is(args, 1, "CONSUMERS"):
		return "~without(inactive)~hide(idle)"
	case name == "XINFO" && is(args, 3, "FULL"):
		return "~without(active-time)~hide(radix-tree-keys,radix-tree-nodes,seen-time)~at(17.*.11.*.2,17.*.13.*.7.*.1)"
	case name == "XINFO" && is(args, 1, "STREAM"):
		return "~hide(radix-tree-keys,radix-tree-nodes)"
	}
	return ""
}
