package broker

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	simulationSeed  = flag.Uint64("seed", 0, "the one seed to simulate")
	simulationSeeds = flag.Int("seeds", 20, "how many seeds to simulate")
	simulationTurns = flag.Int("turns", 400, "how many turns each")
)

// TestSimulation lets virtual clients do random things in virtual time, and
// now and then the power fails: in the middle of a turn or after one, with some
// of what was not synced written and some not. What is found after the restart
// must be, to the last pending entry, the state that the broker was in after
// its last finished turn: nothing acknowledged is missing, nothing of the turn
// that was cut off is there.
//
// Everything follows from the seed: go test ./broker -run Simulation -seed N
// plays a failure again.
func TestSimulation(t *testing.T) {
	seeds := make([]uint64, 0, *simulationSeeds)
	for i := range *simulationSeeds {
		seeds = append(seeds, uint64(i)+1)
	}
	if *simulationSeed != 0 {
		seeds = []uint64{*simulationSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			simulate(t, seed, *simulationTurns)
		})
	}
}

type simulation struct {
	*stage
	rng *rand.Rand
	log []string
}

func simulate(t *testing.T, seed uint64, turns int) {
	s := &simulation{stage: newStage(t), rng: rand.New(rand.NewPCG(seed, seed))}
	for range turns {
		s.now = s.now.Add(time.Duration(s.rng.IntN(300)) * time.Millisecond)
		var requests []request
		for range 1 + s.rng.IntN(6) {
			requests = append(requests, s.request())
		}
		s.turn(requests...)
		for _, c := range s.sorted() {
			s.sent(c.name)
			if c.session.CloseAfterReply || c.session.Killed || s.rng.IntN(100) == 0 {
				s.broker.Disconnect(c.session)
				delete(s.clients, c.name)
			}
		}
		if s.rng.IntN(12) == 0 {
			s.powerFailure()
		}
	}
}

// powerFailure restarts from what is on disk and compares.
func (s *simulation) powerFailure() {
	var cutOff []request // a turn that does not come to its end leaves nothing behind
	for range s.rng.IntN(6) {
		cutOff = append(cutOff, s.request())
	}
	want := dump(s.stage)
	if len(cutOff) > 0 {
		s.broker.Begin(s.now)
		for _, r := range cutOff {
			s.broker.Do(s.client(r.client).session, r.args)
		}
	}
	fs := s.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: s.rng.IntN(101), RNG: s.rng})
	clear(s.clients)
	s.abandon()
	s.fs = fs
	s.open()
	s.log = append(s.log, "power failure")
	if got := dump(s.stage); got != want {
		s.t.Fatalf("after a power failure:\n%s\nthe last commands:\n%s", firstDifference(want, got), strings.Join(s.log[max(0, len(s.log)-60):], "\n"))
	}
}

// abandon gives the goroutines of a store back that is on a disk nobody looks
// at any more.
func (s *stage) abandon() {
	_, _ = s.store.Commit()
	_ = s.store.Close()
}

func (s *simulation) request() request {
	client := string(rune('a' + s.rng.IntN(6)))
	words := s.command()
	s.log = append(s.log, fmt.Sprintf("%s %s> %s", s.now.Format("05.000"), client, strings.Join(words, " ")))
	return request{client, args(words...)}
}

func (s *simulation) pick(choices ...string) string { return choices[s.rng.IntN(len(choices))] }
func (s *simulation) list() string                  { return s.pick("l1", "l2", "l3") }
func (s *simulation) stream() string                { return s.pick("s1", "s2") }
func (s *simulation) key() string                   { return s.pick("l1", "l2", "l3", "s1", "s2") }
func (s *simulation) group() string                 { return s.pick("g1", "g2") }
func (s *simulation) consumer() string              { return s.pick("alice", "bob", "carol") }
func (s *simulation) number(n int) string           { return fmt.Sprint(s.rng.IntN(n)) }
func (s *simulation) end() string                   { return s.pick("LEFT", "RIGHT") }
func (s *simulation) element() string {
	return strings.Repeat(s.pick("a", "b", "c"), 1+s.rng.IntN(40)) + s.number(5)
}

// id is often that of an entry there is.
func (s *simulation) id() string {
	stream := s.stream()
	ids := strings.FieldsFunc(s.do("observer", "XRANGE", stream, "-", "+", "COUNT", "20"), func(r rune) bool { return strings.ContainsRune(`[]" `, r) })
	var found []string
	for _, f := range ids {
		if strings.Count(f, "-") == 1 {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return "1-1"
	}
	return found[s.rng.IntN(len(found))]
}

func (s *simulation) command() []string {
	w := func(format string, args ...any) []string { return strings.Fields(fmt.Sprintf(format, args...)) }
	switch s.rng.IntN(56) {
	case 0, 1, 2, 3:
		return w("%s %s %s %s", s.pick("LPUSH", "RPUSH"), s.list(), s.element(), s.element())
	case 4, 5:
		return w("%s %s %s", s.pick("LPOP", "RPOP"), s.list(), s.number(6))
	case 6:
		return w("LMOVE %s %s %s %s", s.list(), s.key(), s.end(), s.end())
	case 7:
		return w("LTRIM %s %s %s", s.list(), s.number(4), s.number(12))
	case 8:
		return w("LSET %s %s %s", s.list(), s.number(6), s.element())
	case 9:
		return w("LINSERT %s %s %s %s", s.list(), s.pick("BEFORE", "AFTER"), s.element(), s.element())
	case 10:
		return w("LREM %s %s %s", s.list(), s.pick("0", "1", "-2"), s.element())
	case 11, 12:
		return w("%s %s %s 0.%s", s.pick("BLPOP", "BRPOP"), s.list(), s.list(), s.number(10))
	case 13:
		return w("BLMOVE %s %s %s %s 0.%s", s.list(), s.list(), s.end(), s.end(), s.number(10))
	case 14:
		return w("LMOVEM %s %s %s %s COUNT %d %s", s.list(), s.list(), s.end(), s.end(), 1+s.rng.IntN(5), s.pick("OBO", "BULK"))
	case 15, 16, 17, 18:
		return w("XADD %s * f %s g %s", s.stream(), s.element(), s.element())
	case 19:
		return w("XADD %s MAXLEN %s %s * f v", s.stream(), s.pick("=", "~"), s.number(20))
	case 20:
		return w("XADD %s NOMKSTREAM MINID %s * f v", s.stream(), s.id())
	case 21:
		return w("XTRIM %s MAXLEN %s", s.stream(), s.number(15))
	case 22, 23:
		return w("XDEL %s %s %s", s.stream(), s.id(), s.id())
	case 24, 25:
		return w("XGROUP CREATE %s %s %s MKSTREAM", s.stream(), s.group(), s.pick("0", "$", s.id()))
	case 26:
		return w("XGROUP %s %s %s", s.pick("DESTROY", "DESTROY"), s.stream(), s.group())
	case 27:
		return w("XGROUP SETID %s %s %s", s.stream(), s.group(), s.pick("0", "$", s.id()))
	case 28:
		return w("XGROUP %s %s %s %s", s.pick("CREATECONSUMER", "DELCONSUMER"), s.stream(), s.group(), s.consumer())
	case 29, 30, 31, 32:
		return w("XREADGROUP GROUP %s %s COUNT %d %s STREAMS %s >", s.group(), s.consumer(), 1+s.rng.IntN(4), s.pick("", "", "NOACK", "BLOCK 500"), s.stream())
	case 33:
		return w("XREADGROUP GROUP %s %s COUNT 3 STREAMS %s %s", s.group(), s.consumer(), s.stream(), s.pick("0", s.id()))
	case 34, 35, 36:
		return w("XACK %s %s %s %s %s", s.stream(), s.group(), s.id(), s.id(), s.id())
	case 37:
		return w("XCLAIM %s %s %s %s %s %s", s.stream(), s.group(), s.consumer(), s.number(500), s.id(), s.pick("", "FORCE", "JUSTID", "RETRYCOUNT 9", "IDLE 100"))
	case 38:
		return w("XAUTOCLAIM %s %s %s %s 0 COUNT 3", s.stream(), s.group(), s.consumer(), s.number(500))
	case 39:
		return w("%s %s", s.pick("DEL", "UNLINK"), s.key())
	case 40:
		return w("PEXPIRE %s %s", s.key(), s.number(2000))
	case 41:
		return w("%s %s %s", s.pick("RENAME", "RENAMENX", "COPY"), s.key(), s.key())
	case 42:
		return w("%s", s.pick("MULTI", "EXEC", "EXEC", "DISCARD", "WATCH l1", "SELECT 1", "SELECT 0", "SELECT 0"))
	case 43:
		return w("MOVE %s %s", s.key(), s.number(2))
	case 44:
		if s.rng.IntN(8) == 0 {
			return w("%s", s.pick("SWAPDB 0 1", "FLUSHDB", "FLUSHALL"))
		}
		return w("PERSIST %s", s.key())
	case 45, 46:
		return w("XADD %s %s %s * f %s", s.stream(), s.pick("IDMP p m1", "IDMP p m2", "IDMP q m1", "IDMP q m2", "IDMPAUTO p", "IDMPAUTO q"), s.pick("", "", "MAXLEN ~ 5", "MAXLEN 5 ACKED"), s.number(4))
	case 47:
		return w("XCFGSET %s %s %d", s.stream(), s.pick("IDMP-DURATION", "IDMP-MAXSIZE"), 1+s.rng.IntN(4))
	case 48, 49:
		return w("XNACK %s %s %s IDS 2 %s %s %s", s.stream(), s.group(), s.pick("SILENT", "FAIL", "FATAL"), s.id(), s.id(), s.pick("", "", "FORCE", "RETRYCOUNT 3"))
	case 50, 51, 52:
		return w("XREADGROUP GROUP %s %s COUNT %d CLAIM %s %s STREAMS %s >", s.group(), s.consumer(), 1+s.rng.IntN(4), s.number(400), s.pick("", "", "NOACK", "BLOCK 500", "MAXCOUNT 9"), s.stream())
	case 53:
		return w("XDELEX %s %s IDS 2 %s %s", s.stream(), s.pick("KEEPREF", "DELREF", "ACKED"), s.id(), s.id())
	case 54:
		return w("XACKDEL %s %s %s IDS 2 %s %s", s.stream(), s.group(), s.pick("KEEPREF", "DELREF", "ACKED"), s.id(), s.id())
	case 55:
		return w("XTRIM %s MAXLEN %s %s %s", s.stream(), s.pick("=", "~"), s.number(15), s.pick("KEEPREF", "DELREF", "ACKED"))
	default:
		return w("%s %s", s.pick("LLEN", "XLEN", "TYPE", "TTL"), s.key())
	}
}

// dump writes down everything that a client could find out. Times of consumers
// are left out: they may be lost (storage.Tx.Soft).
func dump(s *stage) string {
	var b strings.Builder
	ask := func(words ...string) string {
		answer := s.do("dumper", words...)
		fmt.Fprintf(&b, "%s: %s\n", strings.Join(words, " "), answer)
		return answer
	}
	for _, db := range []string{"0", "1"} {
		ask("SELECT", db)
		ask("DBSIZE")
		keys := names(s.do("dumper", "KEYS", "*"))
		sort.Strings(keys)
		for _, key := range keys {
			ask("PTTL", key)
			if ask("TYPE", key) == "+list" {
				ask("LRANGE", key, "0", "-1")
				ask("MEMORY", "USAGE", key)
				continue
			}
			ask("XRANGE", key, "-", "+")
			ask("XINFO", "STREAM", key)
			// Some things show only in what they do, so they are done to a copy: who
			// is to be added only once, who was given back in which order.
			s.do("dumper", "COPY", key, "copy")
			for _, message := range []string{"m1", "m2"} {
				ask("XADD", "copy", "IDMP", "p", message, "*", "f", "v")
				ask("XADD", "copy", "IDMP", "q", message, "*", "f", "v")
			}
			for _, group := range groupNames(ask("XINFO", "GROUPS", key)) {
				ask("XREADGROUP", "GROUP", group, "dumper", "CLAIM", "1000000000", "STREAMS", "copy", ">")
				ask("XPENDING", key, group)
				ask("XPENDING", key, group, "-", "+", "1000")
				for _, consumer := range groupNames(s.do("dumper", "XINFO", "CONSUMERS", key, group)) {
					ask("XPENDING", key, group, "-", "+", "1000", consumer)
				}
			}
			s.do("dumper", "DEL", "copy")
		}
	}
	s.broker.Disconnect(s.client("dumper").session)
	delete(s.clients, "dumper")
	return b.String()
}

// names takes the strings out of a rendered array.
func names(rendered string) (list []string) {
	for _, f := range strings.Fields(strings.Trim(rendered, "[]")) {
		list = append(list, strings.Trim(f, `"`))
	}
	return list
}

// groupNames takes what follows "name" out of a rendered XINFO reply.
func groupNames(rendered string) (list []string) {
	fields := strings.Fields(strings.NewReplacer("[", " ", "]", " ").Replace(rendered))
	for i, f := range fields {
		if f == `"name"` {
			list = append(list, strings.Trim(fields[i+1], `"`))
		}
	}
	return list
}
