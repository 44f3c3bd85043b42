package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// However many commands are due, a turn runs only so many, and clients have their
// go in between.
func TestScheduleIsBounded(t *testing.T) {
	s := newStage(t)
	const n = 3 * scheduledMax
	for range n {
		s.do("a", "SCHEDULE", "IN", "1000", "RPUSH", "q", "x")
	}
	large := strings.Repeat("x", scheduledBytesMax/2)
	for range 5 {
		s.do("a", "SCHEDULE", "IN", "2000", "RPUSH", "large", large)
	}
	turns := func(key string, want ...string) {
		t.Helper()
		for _, length := range want {
			at, ok := s.broker.Deadline()
			if !ok || at.After(s.now) {
				t.Fatalf("nothing is due any more: %v", at)
			}
			s.broker.Begin(s.now)
			if got := s.llen(key); got != length {
				t.Errorf("%s in a turn, not %s", got, length)
			}
			if err := s.broker.End(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.now = s.now.Add(time.Second)
	turns("q", ":128", ":256", ":384")
	s.now = s.now.Add(time.Second)
	turns("large", ":2", ":4", ":5")
	s.turn()
	if at, ok := s.broker.Deadline(); ok && !at.After(s.now) {
		t.Error("something is due for ever")
	}
}

// llen asks for the length of a list within the turn.
func (s *stage) llen(key string) string {
	c := s.client("observer")
	s.broker.Do(c.session, args("LLEN", key))
	got := string(c.session.Out.Bytes())
	c.session.Out.Reset(0)
	return strings.TrimSpace(got)
}

// What cannot run because the disk is full waits; nothing is lost, and what needs
// no room goes on.
func TestScheduleWaitsForRoom(t *testing.T) {
	s := newStage(t)
	s.do("a", "RPUSH", "old", "x")
	s.do("a", "SCHEDULE", "IN", "10", "RPUSH", "q", "1")
	s.do("a", "SCHEDULE", "IN", "20", "RPUSH", "q", "2")
	s.do("a", "SCHEDULE", "IN", "20", "DEL", "old")
	s.broker.Server().Full = "OOM the disk is full"
	for range 10 {
		s.advance(100 * time.Millisecond)
	}
	s.wants("EXISTS q old", ":0")
	if at, ok := s.broker.Deadline(); !ok || !at.After(s.now) {
		t.Errorf("it is looked at again at %v", at)
	}
	s.broker.Server().Full = ""
	s.advance(scheduledAgain)
	s.wants("LRANGE q 0 -1", `["1" "2"]`)
}

// However many wait for the disk, they do not keep those from running that would make
// room, and run in order when there is.
func TestScheduleGoesPastTheFullDisk(t *testing.T) {
	s := newStage(t)
	s.do("a", "RPUSH", "old", "x")
	s.do("a", "RPUSH", "older", "x")
	const n = 3*scheduledMax + 10
	for i := range n {
		s.do("a", "SCHEDULE", "IN", "10", "RPUSH", "q", fmt.Sprint(i))
		if i == scheduledMax+5 {
			s.do("a", "SCHEDULE", "IN", "10", "DEL", "older")
		}
	}
	s.do("a", "SCHEDULE", "IN", "20", "DEL", "old")
	s.broker.Server().Full = "OOM the disk is full"
	s.advance(10 * time.Millisecond)
	for range 4 {
		s.advance(scheduledAgain)
	}
	s.wants("EXISTS q old older", ":0")
	for range 10 {
		if at, ok := s.broker.Deadline(); !ok || !at.After(s.now) {
			t.Fatalf("it is looked at again at %v", at)
		}
		s.advance(scheduledAgain)
	}
	s.broker.Server().Full = ""
	for range 4 {
		s.advance(scheduledAgain)
	}
	s.wants("SCHEDULE LIST", "[]")
	s.wants("LLEN q", fmt.Sprint(":", n))
	for _, i := range []int{0, scheduledMax, 2*scheduledMax + 3, n - 1} {
		s.wants(fmt.Sprint("LINDEX q ", i), fmt.Sprintf("%q", fmt.Sprint(i)))
	}
}

// A command for which there is no room now is tried again, less and less often.
func TestScheduleTriesAgain(t *testing.T) {
	s := newStage(t)
	lpush := s.broker.Server().Table.Find([]byte("lpush"))
	run, tries := lpush.Run, []time.Duration(nil)
	began := s.now
	lpush.Run = func(c *commands.Ctx) error {
		tries = append(tries, s.now.Sub(began))
		if s.now.Sub(began) < 6*time.Second {
			return resp.Error("TRYAGAIN there is no room")
		}
		return run(c)
	}
	s.do("a", "SCHEDULE", "IN", "1000", "LPUSH", "q", "x")
	for range 200 {
		s.advance(100 * time.Millisecond)
	}
	if want := []time.Duration{1e9, 2e9, 3e9, 5e9, 9e9}; !slices.Equal(tries, want) {
		t.Errorf("tried at %v", tries)
	}
	s.wants("LRANGE q 0 -1", `["x"]`)
	s.wants("SCHEDULE LIST", "[]")
	s.infoHas("schedule_run:1", "schedule_failed:0", "schedule_put_off:4")
}

// Nothing runs that writes to a key which a long write holds.
func TestScheduleWaitsForLongWrites(t *testing.T) {
	s := newStage(t)
	s.broker.Server().LongWriteItems = 10
	for i := range 100 {
		s.do("a", "RPUSH", "q", fmt.Sprint(i))
	}
	s.do("a", "SCHEDULE", "IN", "10", "RPUSH", "q", "later")
	s.do("a", "SCHEDULE", "IN", "10", "RPUSH", "other", "x")
	s.broker.Begin(s.now)
	s.broker.Do(s.client("a").session, args("LREM", "q", "0", "50"))
	if err := s.broker.End(); err != nil {
		t.Fatal(err)
	}
	jobs := slices.Clone(s.broker.Jobs())
	if len(jobs) != 1 {
		t.Fatal("it is not long")
	}
	s.now = s.now.Add(10 * time.Millisecond)
	s.broker.Begin(s.now)
	if s.llen("q") != ":100" || s.llen("other") != ":1" {
		t.Errorf("q has %s, other %s", s.llen("q"), s.llen("other"))
	}
	if err := s.broker.End(); err != nil {
		t.Fatal(err)
	}
	if err := jobs[0].Run(func(p []byte) bool { s.broker.Deliver(jobs[0], p); return true }); err != nil {
		t.Fatal(err)
	}
	s.broker.Finish(jobs[0])
	s.advance(scheduledAgain)
	s.client("a").session.Out.Reset(0)
	s.wants("LLEN q", ":100")
	s.wants("LINDEX q -1", `"later"`)
}

// What fails is counted and logged, of many at once only one.
func TestScheduleComplains(t *testing.T) {
	s := newStage(t)
	s.do("a", "XADD", "stream", "*", "f", "v")
	s.do("a", "SCHEDULE", "IN", "1000", "ID", "first", "LPUSH", "stream", "x")
	s.do("a", "SCHEDULE", "IN", "1000", "LPUSH", "stream", "x")
	s.do("a", "SCHEDULE", "IN", "1000", "LPUSH", "list", "x")
	s.do("a", "SCHEDULE", "IN", "5000", "ID", "last", "LPUSH", "stream", "secret")
	s.infoHas("schedule_entries:4", "schedule_next_due:1700000001000", "schedule_run:0")
	s.advance(time.Second)
	s.infoHas("schedule_entries:1", "schedule_next_due:1700000005000", "schedule_run:1", "schedule_failed:2", "schedule_denied:0")
	s.advance(4 * time.Second)
	s.infoHas("schedule_entries:0", "schedule_next_due:0", "schedule_failed:3")
	const why = "WRONGTYPE Operation against a key holding the wrong kind of value"
	if want := []string{
		`scheduled command "first" of user "default" ("LPUSH" in database 0) has failed: ` + why,
		`scheduled command "last" of user "default" ("LPUSH" in database 0) has failed: ` + why + " (1 others have failed since the last such message)",
	}; !slices.Equal(s.logged, want) {
		t.Errorf("logged: %q", s.logged)
	}
	if got := s.do("a", "INFO", "commandstats"); !strings.Contains(got, "cmdstat_lpush:calls=4,") {
		t.Error(got)
	}
	s.do("a", "CONFIG", "RESETSTAT")
	s.infoHas("schedule_failed:0")
}

// A command that there is no more when it is due fails.
func TestScheduledCommandIsGone(t *testing.T) {
	s := newStage(t)
	s.do("a", "SCHEDULE", "IN", "10", "LPUSH", "q", "x")
	if err := s.broker.Server().Table.Rename("lpush", ""); err != nil {
		t.Fatal(err)
	}
	s.advance(time.Second)
	s.infoHas("schedule_entries:0", "schedule_failed:1")
}

// Who monitors or asks for slow commands sees what runs, and that no client has
// sent it.
func TestScheduledIsShown(t *testing.T) {
	s := newStage(t)
	s.do("a", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	s.do("a", "SCHEDULE", "IN", "10", "LPUSH", "q", "x")
	s.do("m", "MONITOR")
	s.advance(10 * time.Millisecond)
	if got := string(s.client("m").session.Out.Bytes()); !strings.Contains(got, `[0 schedule] "LPUSH" "q" "x"`) {
		t.Errorf("%q", got)
	}
	s.wants("SLOWLOG GET 1", `[[:3 :1700000000 :0 ["LPUSH" "q" "x"] "schedule" ""]]`)
	// A password in a call that is refused is shown to nobody.
	s.do("a", "SCHEDULE", "IN", "10", "ID", "x", "AUTH", "hush")
	s.do("a", "SCHEDULE", "CRON", "@daily", "ACL", "SETUSER", "alice", ">hush")
	if got := string(s.client("m").session.Out.Bytes()) + s.do("a", "SLOWLOG", "GET", "9"); strings.Contains(got, "hush") {
		t.Error(got)
	}
}

// A long list leaves the loop, and tells a user the same there.
func TestLongScheduleList(t *testing.T) {
	s := newStage(t)
	s.do("a", "ACL", "SETUSER", "alice", "on", "nopass", "~mine:*", "+@all")
	for i := range 30 {
		s.do("a", "SCHEDULE", "IN", "1000", "LPUSH", []string{"mine:q", "q"}[i%2], "x")
	}
	s.do("b", "AUTH", "alice", "x")
	for _, call := range []string{"SCHEDULE LIST", "SCHEDULE LIST COUNT 3", "SCHEDULE LIST MATCH *-a*", "SCHEDULE LIST MATCH nosuch"} {
		for _, client := range []string{"a", "b"} {
			s.broker.Server().LongReadItems = 1000
			want := s.do(client, strings.Fields(call)...)
			s.broker.Server().LongReadItems = 3
			if got := s.do(client, strings.Fields(call)...); got != want {
				t.Errorf("%s, %s: %s, not %s", client, call, got, want)
			}
			if client == "b" && strings.Contains(want, `"q"`) {
				t.Errorf("%s shows what is not alice's: %s", call, want)
			}
		}
	}
}

// A shutdown does not wait for the schedule, and nothing of it is lost.
func TestScheduleAndDrain(t *testing.T) {
	s := newStage(t)
	s.do("a", "SCHEDULE", "IN", "10", "LPUSH", "q", "x")
	s.broker.Begin(s.now)
	s.broker.Drain()
	if err := s.broker.End(); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Second)
	if at, ok := s.broker.Deadline(); ok {
		t.Errorf("something is due at %v", at)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	clear(s.clients)
	s.open()
	s.turn()
	s.wants("LRANGE q 0 -1", `["x"]`)
}

// Messages are scheduled, cancelled, and run, while power fails again and again.
// In the end each that was acknowledged and not cancelled is there, once, and none
// that was cancelled.
func TestScheduledExactlyOnce(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, seed))
			s := newStageWith(t, vfs.NewCrashableMem(), storage.Options{Seed: 1, MemTableBytes: 64 << 10, LogSegmentBytes: 32 << 10})
			wanted, maybe := make(map[string]bool), make(map[string]bool)
			for turn := range 400 {
				s.now = s.now.Add(time.Duration(rng.IntN(100)) * time.Millisecond)
				id := fmt.Sprint("m", turn)
				schedule := []string{"SCHEDULE", "IN", fmt.Sprint(rng.IntN(3000)), "ID", id, "RPUSH", "out", id}
				switch rng.IntN(10) {
				case 0:
					victim := fmt.Sprint("m", rng.IntN(turn+1))
					if s.do("a", "SCHEDULE", "CANCEL", victim) == ":1" {
						delete(wanted, victim)
					}
				case 1, 2:
					// In a turn that does not come to its end, or whose answer nobody gets.
					maybe[id] = true
					s.broker.Begin(s.now)
					s.broker.Do(s.client("a").session, args(schedule...))
					if rng.IntN(2) == 0 {
						if err := s.broker.End(); err != nil {
							t.Fatal(err)
						}
					}
					clear(s.clients)
					fs := s.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
					s.abandon()
					s.fs = fs
					s.open()
				default:
					if got := s.do("a", schedule...); got != fmt.Sprintf("%q", id) {
						t.Fatal(got)
					}
					wanted[id] = true
				}
			}
			s.advance(time.Minute)
			for s.do("a", "SCHEDULE", "LIST") != "[]" {
				s.turn()
			}
			ran := make(map[string]bool)
			for _, id := range names(s.do("a", "LRANGE", "out", "0", "-1")) {
				if ran[id] {
					t.Errorf("%s ran twice", id)
				}
				ran[id] = true
				if !wanted[id] && !maybe[id] {
					t.Errorf("%s ran though it was cancelled", id)
				}
			}
			for id := range wanted {
				if !ran[id] {
					t.Errorf("%s was lost", id)
				}
			}
			if len(ran) < 100 {
				t.Errorf("only %d have run", len(ran))
			}
		})
	}
}

// ---- helpers -----------------------------------------------------------------

func (s *stage) advance(d time.Duration) {
	s.now = s.now.Add(d)
	s.turn()
}

func (s *stage) wants(call, want string) {
	s.t.Helper()
	if got := s.do("a", strings.Fields(call)...); got != want {
		s.t.Errorf("%s: %s, not %s", call, got, want)
	}
}

func (s *stage) infoHas(lines ...string) {
	s.t.Helper()
	info := s.do("a", "INFO", "schedule")
	for _, line := range lines {
		if !strings.Contains(info, line+`\r`) {
			s.t.Errorf("no %s in %s", line, info)
		}
	}
}
