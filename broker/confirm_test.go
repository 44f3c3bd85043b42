package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Clients pop elements that have to be confirmed, and go on, go away, or lose
// the broker: each element is in the list, with somebody, among the dead letters,
// or was confirmed, and in one of these only.
func TestConfirmedPopsModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { confirmedPops(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func confirmedPops(t *testing.T, rng *rand.Rand) {
	s := newStage(t)
	s.play("admin> POLICY SET safe PATTERN q POP CONFIRMED LEASE 2000 MAXDELIVERIES 4 DEADLETTER dead")
	names := []string{"a", "b", "c"}
	with := make(map[string][]string) // what clients were given and have not confirmed
	until := make(map[string]time.Time)
	confirmed := make(map[string]bool)
	pushed := 0
	for range 400 {
		name := names[rng.IntN(len(names))]
		switch rng.IntN(12) {
		case 0, 1, 2:
			var line strings.Builder
			line.WriteString([]string{"LPUSH", "RPUSH"}[rng.IntN(2)] + " q")
			for range 1 + rng.IntN(4) {
				pushed++
				fmt.Fprintf(&line, " e%d", pushed)
			}
			s.play("admin> " + line.String())
		case 3, 4, 5, 6, 7, 8:
			for _, e := range with[name] { // the command confirms it, if it still has it
				confirmed[e] = true
			}
			with[name] = nil
			command := []string{"LPOP q 2", "RPOP q 3", "LPOP q", "LMPOP 1 q RIGHT COUNT 2", "BRPOP q 0.001", "PING"}[rng.IntN(6)]
			reply := s.play(name + "> " + command)
			for word := range strings.FieldsFuncSeq(reply, func(r rune) bool { return strings.ContainsRune(" []\"\n", r) }) {
				if word[0] == 'e' {
					with[name] = append(with[name], word)
				}
			}
			until[name] = s.now.Add(2 * time.Second)
			if strings.HasPrefix(command, "BRPOP") {
				s.play("advance 1ms") // its time is over before its next command
			}
		case 9:
			s.play("close " + name)
			with[name] = nil
		case 10:
			if rng.IntN(3) == 0 {
				s.play("crash")
				clear(with)
			}
		case 11:
			s.play("advance 500ms")
		}
		for name := range with {
			if !s.now.Before(until[name]) { // the lease is over
				with[name] = nil
			}
		}
		var found []string
		for word := range strings.FieldsFuncSeq(s.play("admin> LRANGE q 0 -1")+s.play("admin> XRANGE dead - +"), func(r rune) bool { return strings.ContainsRune(" []\"\n", r) }) {
			if len(word) > 1 && word[0] == 'e' && word[1] <= '9' {
				found = append(found, word)
			}
		}
		for _, list := range with {
			found = append(found, list...)
		}
		for e := range confirmed {
			found = append(found, e)
		}
		slices.Sort(found)
		if unique := slices.Compact(slices.Clone(found)); len(unique) != pushed || len(found) != pushed {
			t.Fatalf("%d elements were pushed, %d are somewhere, %d different ones", pushed, len(found), len(unique))
		}
	}
}

// A client that has sent its next commands before it could know the reply has
// not confirmed it with them.
func TestPipelinedPopsConfirmNothing(t *testing.T) {
	s := newStage(t)
	s.play("admin> POLICY SET safe PATTERN q POP CONFIRMED\nadmin> RPUSH q 1 2 3")
	c := s.client("a").session
	c.Arrived = 100 // three commands have come at once; there is room for one in each turn
	for i := range 3 {
		c.Offset = int64(i * 30)
		s.play("a> LPOP q")
	}
	s.play("close a")
	if got := s.play("admin> LRANGE q 0 -1"); !strings.Contains(got, `["1" "2" "3"]`) {
		t.Error(got)
	}
	c = s.client("a").session
	c.Arrived = 30
	s.play("a> LPOP q")
	c.Arrived, c.Offset = 60, 30 // and one behind the reply
	s.play("a> LPOP q")
	s.play("close a")
	if got := s.play("admin> LRANGE q 0 -1"); !strings.Contains(got, `["2" "3"]`) {
		t.Error(got)
	}
}

// All that was popped goes back, in its order, also if it is more than one turn
// takes.
func TestMuchGoesBack(t *testing.T) {
	s := newStage(t)
	s.play("admin> POLICY SET safe PATTERN q POP CONFIRMED")
	const clients, each, goBackAtOnce = 12, 10_000, 100_000
	for i := range clients {
		push := args("RPUSH", "q")
		for n := range each {
			push = append(push, strconv.AppendInt(nil, int64(i*each+n), 10))
		}
		s.turn(request{"admin", push})
	}
	s.sent("admin")
	for i := range clients {
		s.do(fmt.Sprint("client", i), "LPOP", "q", strconv.Itoa(each))
	}
	if got := s.do("admin", "LLEN", "q"); got != ":0" {
		t.Fatalf("%s are left", got)
	}
	s.play("crash")
	for _, want := range []int{goBackAtOnce, clients * each} {
		if got := s.do("admin", "LLEN", "q"); got != fmt.Sprint(":", want) {
			t.Fatalf("%s are back, not %d", got, want)
		}
	}
	for i := 0; i < clients*each; i += 9_999 {
		if got := s.do("admin", "LINDEX", "q", strconv.Itoa(i)); got != fmt.Sprintf("%q", strconv.Itoa(i)) {
			t.Errorf("element %d is %s", i, got)
		}
	}
}
