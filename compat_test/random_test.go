package compat_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	randomSeed     = flag.Uint64("random.seed", 1, "the first seed of TestRandom")
	randomSeeds    = flag.Int("random.seeds", 60, "how many seeds TestRandom plays")
	randomCommands = flag.Int("random.commands", 600, "how many commands TestRandom generates from each seed")
	randomFailures = flag.Int("random.failures", 1, "after how many disagreements TestRandom ends")
)

// TestRandom has several clients send random commands, right and wrong ones, to a real Redis and to cairn. Both must
// give the same answers, which are compared as trees, and be left with the same keys. All follows from the seed:
//
//	go test ./compat_test -run Random -random.seed 7 -random.seeds 1       plays what has failed again
//	go test ./compat_test -run Random -random.seeds 2000 -timeout 2h       plays for long
//
// When the servers disagree, commands are left out for as long as the disagreement stays; what is left is printed as
// a script. Where they may disagree is said in random_known_test.go, and nowhere else.
func TestRandom(t *testing.T) {
	bin, missing := redisServer()
	if missing != "" {
		t.Skip(missing)
	}
	if version := redisVersion(t, bin); version != recordedFrom {
		t.Skipf("the known differences are those from Redis %s, and %s is %s", recordedFrom, bin, version)
	}
	d := newDuel(t)
	seeds, sent, failures := 0, 0, 0
	for ; seeds < *randomSeeds; seeds++ {
		seed := *randomSeed + uint64(seeds)
		g := newGenerator(seed)
		moves := g.moves(*randomCommands)
		bad, n := d.play(g.protocol, moves, nil)
		sent += n
		if bad == nil {
			continue
		}
		t.Errorf("seed %d: %s", seed, d.report(g.protocol, moves, bad))
		if failures++; failures == *randomFailures {
			break
		}
	}
	t.Logf("%d commands from %d seeds, known differences met: %s", sent, seeds, d.tally)
}

// The generator makes what the seed says.
func TestGenerator(t *testing.T) {
	known := map[string]bool{}
	for seed := range uint64(150) {
		first, second := newGenerator(seed).moves(300), newGenerator(seed).moves(300)
		if !slices.EqualFunc(first, second, func(a, b move) bool { return a.String() == b.String() }) {
			t.Fatalf("seed %d: not the same twice", seed)
		}
		for _, m := range first {
			known[strings.ToUpper(m.args[0])] = true
			if st, err := parseStep(m.String()); err == nil && !slices.Equal(st.calls[0], m.args) {
				t.Errorf("%s is read as %q", m, st.calls)
			} else if err != nil {
				t.Errorf("%s: %v", m, err)
			}
		}
	}
	for _, rule := range grammar {
		if name := strings.Fields(rule)[1]; strings.ToUpper(name) == name && !known[strings.Split(name, "|")[0]] {
			t.Errorf("never made: %s", rule)
		}
	}
}

// What matters stays, whatever stands around it.
func TestShrink(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var moves []move
	for i := range 300 {
		moves = append(moves, move{client: "a", args: []string{"ECHO", fmt.Sprint(i)}})
	}
	for range 20 {
		a, b := rng.IntN(300), rng.IntN(300)
		left := shrink(moves, func(some []move) bool {
			has := func(i int) bool {
				return slices.ContainsFunc(some, func(m move) bool { return m.args[1] == fmt.Sprint(i) })
			}
			return has(a) && has(b)
		})
		want := 2
		if a == b {
			want = 1
		}
		if len(left) != want {
			t.Errorf("%d and %d: %v is left", a, b, left)
		}
	}
}
