package broker

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

var (
	simulationSeed  = flag.Uint64("seed", 1, "the first seed to simulate")
	simulationSeeds = flag.Int("seeds", 16, "how many seeds to simulate")
	simulationTurns = flag.Int("turns", 300, "how many turns each")
)

// TestSimulation lets virtual clients do random things in virtual time, while
// the machine does its worst: the power fails, in the middle of a turn or after
// one, with some of what was not synced written and some not; the process is
// killed; a write or a sync fails, of the log or of any file; the disk is full.
// What is found after the restart is held against the guarantees:
//
//   - After a loss of power or kill -9 it is, to the last pending entry, the
//     state after the last finished turn: nothing acknowledged is missing,
//     nothing of the turn that was cut off is there. If the log is synced once a
//     second only, a loss of power may go back, to the state after a finished
//     turn since the last sync, and to none before.
//   - When a write or sync failed, the turn that met it was not acknowledged, and
//     no other was after it. It is there whole or not at all; all before it is.
//   - Everything on disk fits together (storage.Check).
//   - Limits of queues are kept. Where policies take messages away each of them is
//     in its place (ledger_test.go).
//
// Everything follows from the seed: go test ./broker -run Simulation -seed N
// -seeds 1 plays a failure again, if it does not depend on what the engine does
// in the background. make soak goes on with ever new seeds.
func TestSimulation(t *testing.T) {
	seeds := uint64(*simulationSeeds)
	if testing.Short() {
		seeds = min(seeds, 3)
	}
	for seed := *simulationSeed; seed < *simulationSeed+seeds; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			simulate(t, seed, *simulationTurns)
		})
	}
}

// policies are those that some of the simulations have.
var policies = []string{
	"POLICY SET confirmed PATTERN l[12] POP CONFIRMED",
	"POLICY SET leased PATTERN l1 POP CONFIRMED LEASE 700 MAXDELIVERIES 3 DEADLETTER s2",
	"POLICY SET aged PATTERN [ls]1 TTL 2500 DEADLETTER s2",
	"POLICY SET brief PATTERN [ls]2 TTL 1800",
	"POLICY SET worked PATTERN s1 RETENTION UNACKED",
	"POLICY SET idle PATTERN s* GROUP g* CONSUMER-TTL 1500",
	"POLICY SET patient PATTERN s* BACKOFF 50 400",
}

type simulation struct {
	*stage
	rng *rand.Rand
	log []string

	everySecond bool    // the log is synced now and then only
	large       bool    // elements are
	states      []state // after each turn since the last sync, if everySecond
	faults      *faults
	ledger      *ledger // nil in half of the seeds
}

// state is all that clients could find out at a time.
type state struct {
	at   time.Time
	dump string
}

func simulate(t *testing.T, seed uint64, turns int) {
	rng := rand.New(rand.NewPCG(seed, seed))
	s := &simulation{rng: rng, everySecond: rng.IntN(4) == 0, large: rng.IntN(3) == 0, faults: &faults{rng: rng}}
	o := storage.Options{Seed: 1}
	if rng.IntN(3) > 0 {
		o.MemTableBytes = 64 << 10 // much is written to tables
		o.LogSegmentBytes = 32 << 10
	}
	o.ApplyAsideMin = 1 + rng.IntN(4)
	s.stage = newStageWith(t, vfs.NewCrashableMem(), o)
	if s.everySecond {
		turns /= 8
		s.ended = func() { s.states = append(s.states, s.state(s.now)) }
	}
	if rng.IntN(2) == 0 {
		s.long = 1 + rng.Int64N(6)
	}
	s.stage.wrap = s.faults.wrap
	s.restart(s.fs)
	s.bound()
	for _, p := range policies {
		if rng.IntN(3) == 0 {
			s.rule(p)
		}
	}
	if rng.IntN(2) == 0 {
		s.ledger = s.newLedger()
	}
	s.sync()
	var passes func() time.Duration
	if rng.IntN(2) == 0 {
		passes = func() time.Duration { return time.Duration(rng.IntN(100)) * time.Millisecond }
	}
	for range turns {
		s.now = s.now.Add(time.Duration(s.rng.IntN(300)) * time.Millisecond)
		if s.rng.IntN(30) == 0 {
			d := time.Duration(s.rng.IntN(2500)) * time.Millisecond
			if s.ledger == nil && s.rng.IntN(2) == 0 {
				s.now = s.now.Add(d) // the broker is late
			} else {
				s.idle(d)
			}
		}
		var requests []request
		for range 1 + s.rng.IntN(6) {
			requests = append(requests, s.request())
		}
		if s.rng.IntN(25) == 0 {
			s.faultyTurn(requests)
			continue
		}
		if s.ledger != nil {
			requests = append(requests, s.ledger.requests()...)
		}
		began := s.now
		s.passes = passes
		s.turn(requests...)
		s.passes = nil
		s.look(began)
		switch s.rng.IntN(24) {
		case 0, 1:
			s.powerFailure()
		case 2:
			s.kill()
		}
	}
}

// idle lets time pass in which no client sends anything. Turns run when the broker
// has asked for them, as the server sees to.
func (s *simulation) idle(d time.Duration) {
	until := s.now.Add(d)
	for {
		at, ok := s.broker.Deadline()
		if !ok || at.After(until) {
			s.now = until
			return
		}
		if at.After(s.now) {
			s.now = at
		}
		s.turn()
		s.look(s.now)
	}
}

// simulatedLimits are policies for some keys.
var simulatedLimits = []struct {
	key           string
	limit         string
	lenMax, bytes int
}{
	{"l1", "MAXLEN 5", 5, 0},
	{"l2", "MAXBYTES 100", 0, 100},
	{"s1", "MAXLEN 6 MAXBYTES 200", 6, 200},
}

// bound gives some queues limits, and some groups leases.
func (s *simulation) bound() {
	if s.rng.IntN(2) == 0 {
		return
	}
	if s.rng.IntN(2) == 0 {
		s.rule("POLICY SET lease PATTERN s* LEASE 400 MAXDELIVERIES 2 DEADLETTER dead " + s.pick("", "BACKOFF 50 200"))
	}
	for _, l := range simulatedLimits {
		overflow := s.pick("REJECT", "BLOCK 300", "DROPOLDEST", "DROPOLDEST DEADLETTER s2")
		s.rule(fmt.Sprintf("POLICY SET %s PATTERN %s %s OVERFLOW %s", l.key, l.key, l.limit, overflow))
	}
}

// sync does what happens once a second, if the log is synced no more often.
func (s *simulation) sync() {
	if !s.everySecond {
		return
	}
	if err := s.store.SyncNow(); err != nil {
		s.t.Fatal(err)
	}
	s.states = append(s.states[:0], s.state(s.now))
}

// look holds what is found after a step that has begun at a time against the rules.
func (s *simulation) look(began time.Time) {
	if s.ledger != nil {
		s.ledger.look(began)
	}
	if s.answered() {
		s.turn() // who stood behind those that have gone is served now, not in the next step
		if s.ledger != nil {
			s.ledger.hear(s.now)
		}
	}
	s.within()
}

func (s *simulation) rule(line string) {
	s.log = append(s.log, line)
	if reply := s.do("a", strings.Fields(line)...); reply != "+OK" {
		s.fail("%s: %s", line, reply)
	}
}

// within looks whether the limits are kept.
func (s *simulation) within() {
	if s.broker.Server().Policies.Len() == 0 {
		return
	}
	s.broker.Begin(s.now)
	for _, l := range simulatedLimits {
		e := s.broker.Server().Policies.Of([]byte(l.key))
		if e == nil || !e.Bounded() || e.PopConfirmed { // what goes back goes into a full list, too
			continue
		}
		for _, db := range []int{0, 1} {
			messages, bytes := commands.Holds(s.broker.tx.In(db), []byte(l.key))
			if (l.lenMax > 0 && messages > int64(l.lenMax)) || (l.bytes > 0 && bytes > int64(l.bytes)) {
				s.fail("%s of database %d holds %d messages of %d bytes", l.key, db, messages, bytes)
			}
		}
	}
	if err := s.broker.End(); err != nil {
		s.fail("%v", err)
	}
}

// answered takes what the clients were sent; some then go (left).
func (s *simulation) answered() (left bool) {
	for _, c := range s.sorted() {
		s.sent(c.name)
		if c.session.CloseAfterReply || c.session.Killed || s.rng.IntN(100) == 0 {
			s.broker.Disconnect(c.session)
			delete(s.clients, c.name)
			left = true
		}
	}
	if s.rng.IntN(6) == 0 {
		s.sync()
	}
	return left
}

// dump writes down the state as it is found when the broker is killed now: what
// clients have popped and not confirmed has gone back, and what has run out has gone.
func (s *simulation) dump() string {
	server := s.broker.Server()
	if s.everySecond || server.Confirmations.Total() > 0 || server.Policies.TendedEvery() > 0 {
		return s.state(s.now).dump
	}
	return dump(s.stage)
}

// state writes down a copy, as it takes commits of its own to write it down.
func (s *simulation) state(now time.Time) state { return stateOf(s.t, s.written(), now) }

func stateOf(t testing.TB, fs *vfs.MemFS, now time.Time) state {
	c := &stage{t: t, fs: fs, options: storage.Options{Seed: 1, MemTableBytes: 1 << 20, LogSegmentBytes: 256 << 10}, config: config.New(), now: now, clients: make(map[string]*client)}
	c.open()
	defer c.store.Close()
	return state{now, dump(c)}
}

// cutOff begins a turn that does not come to its end.
func (s *simulation) cutOff() {
	var requests []request
	for range s.rng.IntN(6) {
		requests = append(requests, s.request())
	}
	s.broker.Begin(s.now)
	for _, r := range requests {
		s.broker.Do(s.client(r.client).session, r.args)
	}
}

// powerFailure restarts from what is on disk, which need not be all that was
// written, and compares.
func (s *simulation) powerFailure() {
	states, want := slices.Clone(s.states), s.dump()
	s.cutOff()
	s.restart(s.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: s.rng.IntN(101), RNG: s.rng}))
	if !s.everySecond {
		s.compare("a power failure", want)
		return
	}
	s.log = append(s.log, "a power failure")
	for _, was := range states {
		if s.state(was.at) == was {
			if s.ledger != nil {
				s.ledger.rewind()
			}
			return
		}
	}
	last := states[len(states)-1]
	s.fail("after a power failure, none of %d states since the last sync; this is the last:\n%s", len(states), brief(firstDifference(last.dump, s.state(last.at).dump)))
}

// kill restarts from what was written when the process came to a sudden end.
func (s *simulation) kill() {
	want := s.dump()
	s.cutOff()
	s.restart(s.written())
	s.compare("kill -9", want)
}

// written is a copy of all that was written, synced or not.
func (s *simulation) written() *vfs.MemFS { return written(s.fs) }

func written(fs *vfs.MemFS) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// faultyTurn runs a turn on a disk that fails. If the process would have ended
// it is started again.
func (s *simulation) faultyTurn(requests []request) {
	before := s.dump()
	s.faults.arm()
	err := s.tryTurn(requests)
	what := s.faults.disarm()
	if err == nil && !s.faults.fatal() {
		s.look(s.now)
		return
	}
	s.log = append(s.log, "fault: "+what)
	disk := s.written()
	if s.rng.IntN(2) == 0 && !s.everySecond {
		disk = s.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: s.rng.IntN(101), RNG: s.rng})
	}
	s.restart(disk)
	if s.dump() != before {
		// Then the whole turn is there, as nothing is ever written but whole turns;
		// that it is no less than before shows in what comes later.
		s.log = append(s.log, "the turn is there all the same")
	}
}

// tryTurn is turn, for one that may fail, or never come to its end: the engine
// ends the process then. Here it goes on for a while, if it was not the turn that met
// the fault: on a stage of its own, which nobody looks at any more.
func (s *simulation) tryTurn(requests []request) error {
	turn, states := *s.stage, slices.Clone(s.states)
	turn.clients = maps.Clone(s.clients)
	if s.ended != nil {
		turn.ended = func() { states = append(states, stateOf(turn.t, written(turn.fs), turn.now)) }
	}
	ended := make(chan error, 1)
	go func() { ended <- turn.tryTurns(requests...) }()
	select {
	case err := <-ended:
		s.clients, s.states = turn.clients, states
		return err
	case reason := <-s.faults.ends:
		return errors.New(reason)
	}
}

// restart goes on with what is on another disk.
func (s *simulation) restart(fs *vfs.MemFS) {
	clear(s.clients)
	if s.ledger != nil {
		s.ledger.restarted()
	}
	s.states = s.states[:0]
	if !s.faults.fatal() {
		s.abandon()
	} // else the engine may hold its locks for ever
	s.faults.reset()
	s.fs = fs
	s.options.Fatal = s.faults.end()
	s.open()
	if s.everySecond {
		if err := s.store.SetSync(storage.SyncNo); err != nil {
			s.t.Fatal(err)
		}
		s.states = append(s.states, s.state(s.now))
	}
	_, err := s.store.Check(storage.Check{
		Object:  commands.CheckObject,
		Timer:   commands.CheckTimer,
		Problem: func(err error) { s.fail("does not fit together: %v", err) },
	})
	if err != nil {
		s.fail("check: %v", err)
	}
}

func (s *simulation) compare(after, want string) {
	s.log = append(s.log, after)
	if got := s.dump(); got != want {
		s.fail("after %s:\n%s", after, brief(firstDifference(want, got)))
	}
}

// brief shortens what is too long to be read.
func brief(text string) string {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" []\n\"", r) }) {
		if len(word) > 40 {
			text = strings.ReplaceAll(text, word, fmt.Sprintf("%s...(%d)", word[:8], len(word)))
		}
	}
	return text
}

func (s *simulation) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\nthe last commands:\n%s", fmt.Sprintf(format, args...), strings.Join(s.log[max(0, len(s.log)-60):], "\n"))
}

// abandon gives the goroutines of a store back that is on a disk nobody looks
// at any more.
func (s *stage) abandon() {
	_, _ = s.store.Commit()
	_ = s.store.Close()
}

// faults is a disk that fails when it is told to.
type faults struct {
	rng *rand.Rand

	mu     sync.Mutex
	armed  bool
	files  string // what is in the names of the files that are affected
	skip   int    // operations that succeed first
	left   int    // operations that fail then, before the disk works again
	err    error
	met    []string
	killed bool        // the engine has asked for the end of the process
	ends   chan string // and for what reason
}

func (f *faults) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.armed || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.Contains(op.Path, f.files) || op.Kind == errorfs.OpFileClose {
			return nil
		}
		if f.skip--; f.skip >= 0 {
			return nil
		}
		f.met = append(f.met, fmt.Sprintf("%v of %s", op.Kind, op.Path))
		f.left--
		f.armed = f.left > 0
		return f.err
	}))
}

func (f *faults) arm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.met = true, nil
	f.files = []string{"/log/", "/log/", ".sst", ""}[f.rng.IntN(4)]
	f.skip, f.left = f.rng.IntN(6), 1+f.rng.IntN(5)
	f.err = errors.New("the disk is on fire")
	if f.rng.IntN(2) == 0 {
		f.err = syscall.ENOSPC
	}
}

func (f *faults) disarm() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return fmt.Sprintf("%v: %s", f.err, strings.Join(f.met, ", "))
}

func (f *faults) fatal() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.killed
}

func (f *faults) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killed, f.ends = false, make(chan string, 100)
}

// end returns what is called for the end of the process. It is for the store
// that is opened next only: earlier ones may go on in the background.
func (f *faults) end() func(reason string) {
	ends := f.ends
	return func(reason string) {
		f.mu.Lock()
		if ends == f.ends {
			f.killed = true
		}
		f.mu.Unlock()
		ends <- reason
		select {} // whoever asks for the end does not go on
	}
}

func (s *simulation) request() request {
	client := string(rune('a' + s.rng.IntN(6)))
	words := s.command()
	s.log = append(s.log, fmt.Sprintf("%s %s> %s", s.now.Format("05.000"), client, brief(strings.Join(words, " "))))
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
	if s.large && s.rng.IntN(3) == 0 {
		return strings.Repeat(s.pick("a", "b", "c"), 60_000) + s.number(5)
	}
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
	switch s.rng.IntN(61) {
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
			if s.ledger != nil { // whose database is to stay
				return w("%s", s.pick("SWAPDB 0 1", "FLUSHDB"))
			}
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
	case 59:
		return w("SCHEDULE %s %d %s RPUSH %s %s", s.pick("IN", "IN", "EVERY"), 100+s.rng.IntN(2000), s.pick("", "", "ID t1", "ID t2"), s.list(), s.element())
	case 57:
		return w("SCHEDULE IN %s %s", s.number(500), s.pick("XADD "+s.stream()+" * f v", "LMOVE l1 l2 LEFT RIGHT", "DEL "+s.key(), "XTRIM "+s.stream()+" MAXLEN 5"))
	case 58:
		return w("SCHEDULE CANCEL t1 t2")
	case 55:
		return w("XTRIM %s MAXLEN %s %s %s", s.stream(), s.pick("=", "~"), s.number(15), s.pick("KEEPREF", "DELREF", "ACKED"))
	case 56:
		return w("XREDRIVE dead %s COUNT %d", s.pick("", "", "TO s1"), 1+s.rng.IntN(4))
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
	ask("SCHEDULE", "LIST")
	for _, db := range []string{"0", "1", "2"} {
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
