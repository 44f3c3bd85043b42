package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// longWriteScript is everything that is prepared outside the loop when it is
// long, and what it must not spoil.
var longWriteScript = []string{
	"RPUSH q a b c d e f g h i j b", "PEXPIRE q 100000",
	"LINSERT q BEFORE f new", "LINSERT q AFTER nosuch x", "LINSERT q AFTER j last", "LRANGE q 0 -1", "PTTL q",
	"LREM q 0 b", "LRANGE q 0 -1", "LREM q -1 nosuch", "LREM q 1 new", "LREM q -1 j", "LREM q 3 c", "LRANGE q 0 -1", "MEMORY USAGE q", "PTTL q",
	"RPUSH r a a b a a b a a a a a a", "LREM r 3 a", "LRANGE r 0 -1", "LREM r -2 a", "LRANGE r 0 -1", "LREM r 0 b", "LREM r 0 a", "EXISTS r",
	"COPY q copy", "LRANGE copy 0 -1", "PTTL copy", "COPY q copy", "COPY q copy REPLACE", "COPY q copy DB 1", "COPY nosuch copy", "COPY q q",
	"LTRIM copy 1 -2", "LRANGE copy 0 -1", "LTRIM copy 3 2", "EXISTS copy",
	"SORT q ALPHA STORE sorted", "LRANGE sorted 0 -1", "SORT q BY nosort DESC STORE q", "LRANGE q 0 -1", "SORT q BY nosort GET # GET x STORE sorted", "LRANGE sorted 0 -1", "SORT q STORE sorted", "SORT nosuch STORE sorted", "EXISTS sorted",
	"LPOP q 4", "RPOP q 100", "EXISTS q", "PTTL q",
	"RPUSH q a b c d e f g h", "LMPOP 2 none q RIGHT COUNT 5", "BLMPOP 1 1 q LEFT COUNT 5", "RPUSH q a b c d e f g h", "LSET q 3 x", "RPOP q 5", "LPUSH q z", "LRANGE q 0 -1",
	"XADD s 1-1 f v", "XADD s 2-1 f v", "XADD s 3-1 f v", "XADD s 4-1 f v", "XADD s 5-1 f v", "XADD s 6-1 f v", "XADD s 7-1 f v", "XADD s 8-1 f v", "XADD s 9-1 f v",
	"XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 4 STREAMS s >", "XREADGROUP GROUP g d COUNT 2 STREAMS s >", "XDEL s 3-1",
	"COPY s t", "XRANGE t - +", "XPENDING t g - + 10", "XINFO STREAM t FULL", "XADD t 10-1 f v", "XREADGROUP GROUP g e STREAMS t >",
	"XTRIM t MAXLEN 4", "XRANGE t - +", "XTRIM t MINID 8", "XRANGE t - +", "XTRIM t MAXLEN 0", "XLEN t", "XTRIM t MAXLEN 5", "XADD t 11-1 f v", "XTRIM s MINID 5-1", "XTRIM s MINID 0", "XINFO STREAM s FULL",
	"RENAME t q", "COPY q t REPLACE", "TYPE t", "LINSERT t BEFORE a b", "LREM t 0 a", "SORT t STORE x", "COPY s t REPLACE", "DEL q s t",
}

// Whether a change is prepared outside the loop or made at once: clients are
// answered the same, the same is stored, and who listens hears the same.
func TestLongWritesAnswerTheSame(t *testing.T) {
	at, long := newStage(t), newStage(t)
	long.long, long.broker.Server().LongWriteItems = 2, 2
	prepared := 0
	for i, s := range []*stage{at, long} {
		s.set("notify-keyspace-events", "KEA")
		s.do("listener", "PSUBSCRIBE", "*")
		s.ended = func() {
			for _, job := range s.broker.Jobs() {
				if job.Writes() {
					prepared += i
				}
			}
		}
	}
	check := func(client string, words ...string) {
		t.Helper()
		want, got := at.do(client, words...), long.do(client, words...)
		if got != want {
			t.Errorf("%s: %s, at once %s", strings.Join(words, " "), got, want)
		}
		if want, got := at.sent("listener"), long.sent("listener"); got != want {
			t.Errorf("%s: who listens hears\n%s\nat once\n%s", strings.Join(words, " "), got, want)
		}
	}
	for _, line := range longWriteScript {
		check("a", strings.Fields(line)...)
	}
	for _, dumped := range []string{"RPUSH l a b c d e f g h", "XADD l 1-1 f v", "XADD l 2-1 f v", "XADD l 3-1 f v", "XADD l 4-1 f v"} {
		if strings.Contains(dumped, "1-1") {
			check("a", "DEL", "l")
		}
		check("a", strings.Fields(dumped)...)
		payload := at.do("a", "DUMP", "l")
		long.do("a", "DUMP", "l")
		var raw string
		if _, err := fmt.Sscanf(payload, "%q", &raw); err != nil {
			t.Fatal(err)
		}
		for _, options := range []string{"", "REPLACE", "REPLACE ABSTTL"} {
			check("a", append([]string{"RESTORE", "m", "0", raw}, strings.Fields(options)...)...)
			check("a", "DUMP", "m")
		}
		check("a", "RESTORE", "m", "5000", raw, "REPLACE")
		check("a", "PTTL", "m")
		check("a", "RESTORE", "m", "5000", raw, "REPLACE", "ABSTTL") // long ago
		check("a", "EXISTS", "m")
		check("a", "RESTORE", "m", "0", raw[:len(raw)-1]+"x", "REPLACE")
	}
	if prepared < 25 {
		t.Errorf("%d changes were prepared", prepared)
	}
}

// jobOf runs a command that is expected to be prepared, up to the end of its turn.
func (s *stage) jobOf(client string, words ...string) Job {
	s.t.Helper()
	s.broker.Begin(s.now)
	if !s.broker.Do(s.client(client).session, args(words...)) {
		s.t.Fatalf("%q has to wait", words)
	}
	if err := s.broker.End(); err != nil {
		s.t.Fatal(err)
	}
	if len(s.broker.Jobs()) != 1 || !s.broker.Jobs()[0].Writes() {
		s.t.Fatalf("%q is not prepared", words)
	}
	return s.broker.Jobs()[0]
}

// complete prepares a job and lets it be applied.
func (s *stage) complete(job Job) {
	s.t.Helper()
	if err := job.Run(func(p []byte) bool { s.broker.Deliver(job, p); return true }); err != nil {
		s.t.Fatal(err)
	}
	s.broker.Finish(job)
	s.turn()
}

// While a change is prepared nobody else writes to its keys; everything else
// goes on, and reads see what was there.
func TestLongWriteHoldsItsKeys(t *testing.T) {
	s := newStage(t)
	s.broker.Server().LongWriteItems = 3
	s.do("a", "RPUSH", "q", "1", "2", "3", "4", "5", "6", "7", "8")
	s.do("a", "RPUSH", "other", "x")
	s.do("waiter", "BLMOVE", "empty", "q", "LEFT", "RIGHT", "0")
	s.do("d", "MULTI")
	s.do("d", "LPUSH", "q", "from EXEC")
	s.do("d", "LLEN", "q")
	job := s.jobOf("a", "LINSERT", "q", "BEFORE", "5", "new")
	for client, command := range map[string]string{
		"b": "RPUSH q 9", "c": "DEL other q", "d": "EXEC", "e": "FLUSHALL", "f": "RENAME other q", "g": "SWAPDB 0 1", "h": "BLPOP q 0", "i": "EXPIRE q 100",
	} {
		c := s.client(client)
		s.broker.Begin(s.now)
		if s.broker.Do(c.session, args(strings.Fields(command)...)) || !c.session.Held() {
			t.Errorf("%s does not wait", command)
		}
		if err := s.broker.End(); err != nil {
			t.Fatal(err)
		}
		if command != "RPUSH q 9" && command != "EXEC" {
			s.broker.Disconnect(c.session) // else it would be the end of the story
			delete(s.clients, client)
		} else {
			c.pending = append(c.pending, args(strings.Fields(command)...))
		}
	}
	for command, want := range map[string]string{
		"LLEN q": ":8", "LRANGE q 3 4": `["4" "5"]`, "RPUSH other y": ":2", "RPUSH empty z": ":1", "SCAN 0 TYPE stream": `["0" []]`,
	} {
		if got := s.do("reader", strings.Fields(command)...); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
	if got := s.sent("waiter"); got != "" {
		t.Errorf("the waiter has got %s", got)
	}
	s.complete(job)
	for client, want := range map[string]string{"a": ":9", "waiter": `"z"`} {
		if got := s.sent(client); got != want {
			t.Errorf("%s has got %s, want %s", client, got, want)
		}
	}
	// Whoever waited goes on, in any order among each other.
	if got := s.sent("b"); got != ":11" && got != ":12" {
		t.Errorf("b has got %s", got)
	}
	if got := s.sent("d"); got != "[:11 :11]" && got != "[:12 :12]" {
		t.Errorf("d has got %s", got)
	}
	if got := s.do("reader", "LRANGE", "q", "0", "-1"); !strings.HasPrefix(got, `["from EXEC" "1" "2" "3" "4" "new" "5" "6" "7" "8" "z" "9"`) {
		t.Errorf("the list is %s", got)
	}
	if len(s.broker.locks) != 0 || len(s.broker.held) != 0 || len(s.broker.parts) != 0 || len(s.broker.prepared) != 0 {
		t.Error("something is left")
	}
}

// A key that runs out while a change of it is prepared is not there for it.
func TestLongWriteOfAKeyThatRunsOut(t *testing.T) {
	s := newStage(t)
	s.broker.Server().LongWriteItems = 3
	for command, want := range map[string]string{
		"LINSERT q BEFORE 5 new": ":0", "LREM q 1 5": ":0", "LTRIM q 2 6": "+OK", "LPOP q 5": "nil-array", "COPY q r": ":0", "SORT q STORE r": ":0", "BLMPOP 1 1 q LEFT COUNT 5": "nil-array",
	} {
		for _, noticed := range []bool{false, true} {
			s.do("a", "RPUSH", "q", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
			s.do("a", "PEXPIRE", "q", "1000")
			job := s.jobOf("a", strings.Fields(command)...)
			s.now = s.now.Add(2 * time.Second)
			if noticed {
				if got := s.do("b", "EXISTS", "q"); got != ":0" {
					t.Fatal(got)
				}
			}
			s.complete(job)
			if strings.HasPrefix(command, "BLMPOP") {
				s.now = s.now.Add(2 * time.Second)
				s.turn()
			}
			if got := s.sent("a"); got != want {
				t.Errorf("%s: %s, want %s", command, got, want)
			}
			if got := s.do("b", "DBSIZE"); got != ":0" {
				t.Errorf("%s: %s keys", command, got)
			}
		}
	}
}

// What gets too old while it is being popped is with who has popped it, and nobody
// else's message is taken in its place.
func TestLongPopOfWhatGetsTooOld(t *testing.T) {
	s := newStage(t)
	s.broker.Server().LongWriteItems = 2
	s.do("a", "POLICY", "SET", "old", "PATTERN", "q", "TTL", "1000", "DEADLETTER", "dead")
	s.do("a", "RPUSH", "q", "1", "2")
	s.now = s.now.Add(500 * time.Millisecond)
	s.do("a", "RPUSH", "q", "3", "4", "5", "6")
	s.now = s.now.Add(499 * time.Millisecond)
	job := s.jobOf("a", "LPOP", "q", "4")
	s.now = s.now.Add(time.Millisecond)
	s.complete(job)
	if got, want := s.sent("a"), `["1" "2" "3" "4"]`; got != want {
		t.Errorf("popped are %s, want %s", got, want)
	}
	if got, want := s.do("b", "LRANGE", "q", "0", "-1"), `["5" "6"]`; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
	if got := s.do("b", "XLEN", "dead"); got != ":0" {
		t.Errorf("%s are dead as well", got)
	}
}

// A client that goes away before its change is applied has changed nothing, and
// leaves nothing behind.
func TestLongWriteOfAClientThatLeaves(t *testing.T) {
	s := newStage(t)
	s.broker.Server().LongWriteItems = 3
	for i := range 3000 {
		s.do("a", "RPUSH", "q", fmt.Sprint(i)+strings.Repeat("x", 500))
	}
	before := s.do("a", "LRANGE", "q", "0", "-1")
	for leaves := range 3 {
		job := s.jobOf("leaver", "COPY", "q", "r")
		session := s.client("leaver").session
		parts := 0
		err := job.Run(func(p []byte) bool {
			s.broker.Deliver(job, p)
			if parts++; parts == 1+leaves {
				s.broker.Disconnect(session)
				job.GiveUp()
			}
			s.turn()
			return parts <= leaves
		})
		if err != nil {
			t.Fatal(err)
		}
		s.broker.Finish(job)
		delete(s.clients, "leaver")
		s.turn()
	}
	if got := s.do("a", "EXISTS", "r") + s.do("a", "RPUSH", "r", "x"); got != ":0:1" {
		t.Error(got)
	}
	s.do("a", "DEL", "r")
	if got := s.do("a", "LRANGE", "q", "0", "-1"); got != before {
		t.Error("the list has changed")
	}
	for range 50 {
		s.turn(request{"a", args("PING")})
	}
	if at, ok := s.store.NextSweep(s.now); ok {
		t.Errorf("there is still something to sweep at %v", at)
	}
	if len(s.broker.locks) != 0 {
		t.Errorf("keys are held: %v", s.broker.locks)
	}
}

// However large what is built: a turn takes a bounded part of it, others are
// served in between, and memory holds no more than one part of it at a time.
func TestLongWriteIsWrittenInParts(t *testing.T) {
	s := newStage(t)
	const elements = 20_000
	for range elements / 100 {
		words := []string{"RPUSH", "q"}
		for range 100 {
			words = append(words, strings.Repeat("x", 400))
		}
		s.do("a", words...)
	}
	job := s.jobOf("a", "COPY", "q", "r")
	parts, turns := 0, 0
	err := job.Run(func(p []byte) bool {
		if len(p) > 300<<10 {
			t.Errorf("a part of %d bytes", len(p))
		}
		parts++
		s.broker.Deliver(job, p)
		if parts%10 == 0 { // they pile up
			for len(s.broker.parts) > 0 {
				s.broker.Begin(s.now)
				if !s.broker.Do(s.client("b").session, args("LPUSH", "witness", "x")) {
					t.Fatal("the witness has to wait")
				}
				if err := s.broker.End(); err != nil {
					t.Fatal(err)
				}
				taken := 0
				for _, part := range s.broker.Taken() {
					taken += part.Bytes
				}
				if taken == 0 || taken > partsBytesMax+300<<10 {
					t.Fatalf("a turn has taken %d bytes", taken)
				}
				turns++
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	s.broker.Finish(job)
	s.turn()
	if parts < 20 || turns < 5 {
		t.Errorf("%d parts in %d turns", parts, turns)
	}
	if got := s.do("a", "LLEN", "r"); !strings.HasSuffix(got, fmt.Sprint(":", elements)) {
		t.Error(got)
	}
}

// Several changes at a time hold the keys that they share one after the other.
func TestLongWritesOneAfterTheOther(t *testing.T) {
	s := newStage(t)
	s.broker.Server().LongWriteItems = 3
	s.do("a", "RPUSH", "q", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
	s.turn(request{"a", args("LINSERT", "q", "BEFORE", "5", "A")}, request{"b", args("LINSERT", "q", "BEFORE", "5", "B")},
		request{"c", args("COPY", "q", "r")}, request{"d", args("LREM", "q", "0", "6")}, request{"e", args("RPOP", "q", "4")})
	var got []string
	for _, client := range []string{"a", "b", "c", "d", "e"} {
		got = append(got, s.sent(client))
	}
	if want := []string{":11", ":12", ":1", ":1", `["10" "9" "8" "7"]`}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := s.do("a", "LRANGE", "q", "0", "-1") + s.do("a", "LRANGE", "r", "0", "-1"); got != `["1" "2" "3" "4" "A" "B" "5"]["1" "2" "3" "4" "A" "B" "5" "6" "7" "8" "9" "10"]` {
		t.Error(got)
	}
}
