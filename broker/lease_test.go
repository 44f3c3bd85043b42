package broker

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var leaseTurns = flag.Int("lease-turns", 400, "how many turns TestDeadOrAlive makes with each seed")

// TestDeadOrAlive has consumers of a work queue come and go, forget to acknowledge,
// give back, claim and die, operators return dead letters, and the power fail; and
// looks after each turn where every message is: waiting or pending in the queue,
// or among the dead letters, or acknowledged, and never in two of these places or
// in none. What is dead is delivered to nobody.
func TestDeadOrAlive(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			play := &undertaker{stage: newStage(t), rng: rand.New(rand.NewPCG(seed, 9)), acked: map[string]bool{}, ids: map[string]string{}}
			play.run(*leaseTurns)
		})
	}
}

type undertaker struct {
	*stage
	rng   *rand.Rand
	added int
	ids   map[string]string // messages, by the IDs that they had in the queue
	acked map[string]bool
	dead  map[string]bool
	log   []string
}

func (u *undertaker) pick(choices ...string) string { return choices[u.rng.IntN(len(choices))] }

func (u *undertaker) run(turns int) {
	u.policy()
	u.do("o", "XGROUP", "CREATE", "jobs", "g", "0", "MKSTREAM")
	for range turns {
		u.now = u.now.Add(time.Duration(u.rng.IntN(150)) * time.Millisecond)
		if u.rng.IntN(40) == 0 {
			u.policy()
		}
		if u.rng.IntN(30) == 0 {
			u.fs = u.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: u.rng.IntN(101), RNG: u.rng})
			_ = u.store.Close()
			clear(u.clients)
			u.open()
			u.log = append(u.log, "crash")
		}
		u.own()
		var requests []request
		redrives := u.redrives()
		for range 1 + u.rng.IntN(4) {
			client := u.pick("a", "b", "c", "d")
			words := u.command(client)
			redrives = redrives || words[0] == "XREDRIVE"
			u.log = append(u.log, fmt.Sprintf("%s %s> %s", u.now.Format("05.000"), client, strings.Join(words, " ")))
			requests = append(requests, request{client, args(words...)})
		}
		u.received() // what was due came meanwhile
		u.turn(requests...)
		for _, e := range entryOf.FindAllStringSubmatch(u.received(), -1) {
			if u.dead[e[2]] && !redrives {
				u.fail("%s was delivered, though it is dead", e[2])
			}
		}
		u.look()
	}
}

// redrives reports whether an XREDRIVE waits for its client to be served.
func (u *undertaker) redrives() bool {
	for _, c := range u.clients {
		for _, words := range c.pending {
			if string(words[0]) == "XREDRIVE" {
				return true
			}
		}
	}
	return false
}

// received returns what the clients were sent.
func (u *undertaker) received() (got string) {
	for _, c := range u.sorted() {
		if text := u.sent(c.name); text != "" {
			got += text
			u.log = append(u.log, "  "+c.name+": "+text)
		}
	}
	return got
}

// own is what the test does itself, as it has to know what came of it.
func (u *undertaker) own() {
	for range u.rng.IntN(3) {
		m := fmt.Sprint("m", u.added+1)
		if id := strings.Trim(u.do("o", "XADD", "jobs", "*", "n", m), `"`); id != "" {
			u.added++
			u.ids[id] = m
		}
		u.log = append(u.log, "add "+m)
	}
	u.look()
	for range u.rng.IntN(3) {
		id := u.pending()
		if reply := u.do("o", "XACK", "jobs", "g", id); reply == ":1" {
			u.acked[u.ids[id]] = true
		}
		u.log = append(u.log, "ack "+id+" "+u.ids[id])
	}
	u.look()
}

func (u *undertaker) policy() {
	line := "POLICY SET jobs PATTERN jobs LEASE 300 MAXDELIVERIES 3 DEADLETTER dead " + u.pick("", "BACKOFF 20 200", "BACKOFF 100 100") + u.pick("", " RETENTION UNACKED")
	u.log = append(u.log, line)
	if reply := u.do("o", strings.Fields(line)...); reply != "+OK" {
		u.t.Fatal(reply)
	}
}

// command is what a client does next; its name is its consumer's, too.
func (u *undertaker) command(client string) []string {
	w := func(format string, args ...any) []string { return strings.Fields(fmt.Sprintf(format, args...)) }
	switch u.rng.IntN(8) {
	case 0, 1:
		return w("XREADGROUP GROUP g %s COUNT %d BLOCK %d STREAMS jobs >", client, 1+u.rng.IntN(3), 1+u.rng.IntN(400))
	case 2:
		return w("XREADGROUP GROUP g %s COUNT %d STREAMS jobs >", client, 1+u.rng.IntN(3))
	case 3:
		return w("XREADGROUP GROUP g %s COUNT 1 CLAIM %d STREAMS jobs >", client, u.rng.IntN(300))
	case 4:
		return w("XNACK jobs g %s IDS 1 %s", u.pick("FAIL", "FATAL", "SILENT"), u.pending())
	case 5:
		return w("XCLAIM jobs g %s %d %s %s", client, u.rng.IntN(300), u.pending(), u.pick("", "JUSTID"))
	case 6:
		return w("XAUTOCLAIM jobs g %s %d 0 COUNT 2", client, u.rng.IntN(300))
	}
	return w("XREDRIVE dead COUNT %d", 1+u.rng.IntN(3))
}

var entryOf = regexp.MustCompile(`\["(\d+-\d+)" \["n" "(m\d+)"`)

// pending is an entry that somebody has, if there is one.
func (u *undertaker) pending() string {
	list := regexp.MustCompile(`"(\d+-\d+)"`).FindAllStringSubmatch(u.do("o", "XPENDING", "jobs", "g", "-", "+", "20"), -1)
	if len(list) == 0 {
		return "1-1"
	}
	return list[u.rng.IntN(len(list))][1]
}

func (u *undertaker) fail(format string, args ...any) {
	u.t.Helper()
	u.t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(u.log[max(0, len(u.log)-80):], "\n"))
}

var idOf = regexp.MustCompile(`\["(\d+-\d+)" "`)

// look finds every message.
func (u *undertaker) look() {
	u.t.Helper()
	waiting, alive := map[string]bool{}, map[string]bool{}
	u.dead = map[string]bool{}
	last := regexp.MustCompile(`"last-delivered-id" "([^"]*)"`).FindStringSubmatch(u.do("o", "XINFO", "GROUPS", "jobs"))[1]
	for _, e := range entryOf.FindAllStringSubmatch(u.do("o", "XRANGE", "jobs", "("+last, "+"), -1) {
		waiting[e[1]] = true
	}
	for _, e := range idOf.FindAllStringSubmatch(u.do("o", "XPENDING", "jobs", "g", "-", "+", "100000"), -1) {
		waiting[e[1]] = true
	}
	for _, e := range entryOf.FindAllStringSubmatch(u.do("o", "XRANGE", "jobs", "-", "+"), -1) {
		u.ids[e[1]] = e[2]
		if waiting[e[1]] {
			if alive[e[2]] {
				u.fail("%s is in the queue twice", e[2])
			}
			alive[e[2]] = true
		}
	}
	for _, e := range entryOf.FindAllStringSubmatch(u.do("o", "XRANGE", "dead", "-", "+"), -1) {
		if u.dead[e[2]] {
			u.fail("%s is among the dead letters twice", e[2])
		}
		u.dead[e[2]] = true
	}
	for n := 1; n <= u.added; n++ {
		m := fmt.Sprint("m", n)
		places := 0
		for _, in := range []bool{alive[m], u.dead[m], u.acked[m]} {
			if in {
				places++
			}
		}
		if places != 1 {
			u.fail("%s is in the queue: %v, dead: %v, acknowledged: %v", m, alive[m], u.dead[m], u.acked[m])
		}
	}
}
