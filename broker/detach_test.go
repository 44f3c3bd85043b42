package broker

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cairnmq/cairn/commands"
)

// args makes a command of words.
func args(words ...string) [][]byte {
	var out [][]byte
	for _, w := range words {
		out = append(out, []byte(w))
	}
	return out
}

// do runs one command in a turn of its own and returns what the client is sent.
func (s *stage) do(client string, words ...string) string {
	s.turn(request{client, args(words...)})
	return s.sent(client)
}

// sent takes and renders what a client was sent.
func (s *stage) sent(client string) string {
	c := s.client(client)
	r := bufio.NewReader(bytes.NewReader(c.session.Out.Bytes()))
	c.session.Out.Reset(1 << 20)
	var replies []string
	for {
		text, err := render(r)
		if err != nil {
			return strings.Join(replies, "\n")
		}
		replies = append(replies, text)
	}
}

// A long read leaves the loop. It sees what its client did before and not what
// the client does after; other clients are served meanwhile; messages for the
// client wait until the reply is whole.
func TestLongRead(t *testing.T) {
	s := newStage(t)
	const n = 5000
	push := args("RPUSH", "q")
	var want []string
	for i := range n {
		push = append(push, fmt.Append(nil, i))
		want = append(want, fmt.Sprintf("%q", fmt.Sprint(i)))
	}
	s.turn(request{"a", push})
	s.sent("a")
	b, reader := s.broker, s.client("reader")
	reader.session.Out.Proto = 3
	s.do("reader", "SUBSCRIBE", "news")

	b.Begin(s.now)
	if !b.Do(reader.session, args("LRANGE", "q", "0", "-1")) {
		t.Fatal("refused")
	}
	if b.Do(reader.session, args("DEL", "q")) {
		t.Fatal("the client's next command did not wait")
	}
	if err := b.End(); err != nil {
		t.Fatal(err)
	}
	if got := len(b.Jobs()); got != 1 {
		t.Fatalf("%d jobs", got)
	}
	job := b.Jobs()[0]

	if got := s.do("a", "LPUSH", "q", "first"); got != ":5001" {
		t.Errorf("another client's LPUSH: %s", got)
	}
	if got := s.do("a", "PUBLISH", "news", "hello"); got != ":1" {
		t.Errorf("PUBLISH: %s", got)
	}
	chunks := 0
	if err := job.Run(func(p []byte) bool {
		chunks++
		job.Session.Out.Raw(p)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	b.Finish(job)
	if b.Do(reader.session, args("PING")) {
		// Finish resumed it.
	} else {
		t.Error("still held after the job")
	}
	got := strings.Split(s.sent("reader"), "\n")
	if got[0] != "["+strings.Join(want, " ")+"]" {
		t.Errorf("the reply is %.100s…", got[0])
	}
	if len(got) != 3 || got[1] != `>["message" "news" "hello"]` || got[2] != "+PONG" {
		t.Errorf("after the reply: %q", got[1:])
	}
}

// A client that goes away in the middle of its long read does no harm.
func TestLongReadOfAClientThatLeaves(t *testing.T) {
	s := newStage(t)
	push := args("RPUSH", "q")
	for range 5000 {
		push = append(push, []byte("x"))
	}
	s.turn(request{"a", push})
	c := s.client("b")
	s.broker.Begin(s.now)
	s.broker.Do(c.session, args("LRANGE", "q", "0", "-1"))
	if err := s.broker.End(); err != nil {
		t.Fatal(err)
	}
	job := s.broker.Jobs()[0]
	s.broker.Disconnect(c.session)
	if err := job.Run(func([]byte) bool { return false }); err != nil {
		t.Fatal(err)
	}
	s.broker.Finish(job)
	delete(s.clients, "b")
	if got := s.do("a", "LLEN", "q"); !strings.HasSuffix(got, ":5000") {
		t.Errorf("LLEN: %s", got)
	}
}

// A read that nobody waits for any more ends, also one that has nothing to say
// before its end.
func TestGiveUpALongRead(t *testing.T) {
	s := newStage(t)
	push, streams := args("RPUSH", "q"), []request(nil)
	for i := range 50_000 {
		push = append(push, fmt.Append(nil, "element ", i))
		if i < 3000 {
			streams = append(streams, request{"a", args("XADD", "s", "*", "f", "v")}, request{"a", args("RPUSH", fmt.Sprint("key", i), "x")})
		}
	}
	s.turn(append(streams, request{"a", push})...)
	for _, command := range []string{"LRANGE q 0 -1", "LPOS q nosuch", "KEYS nosuch", "KEYS *", "XRANGE s - +", "SORT q ALPHA"} {
		c := s.client(command)
		s.broker.Begin(s.now)
		s.broker.Do(c.session, args(strings.Fields(command)...))
		if err := s.broker.End(); err != nil {
			t.Fatal(err)
		}
		if len(s.broker.Jobs()) != 1 {
			t.Fatalf("%s: no long read", command)
		}
		job, chunks := s.broker.Jobs()[0], 0
		job.GiveUp()
		if err := job.Run(func([]byte) bool { chunks++; return true }); err != nil {
			t.Error(err)
		}
		if chunks > 0 {
			t.Errorf("%s: %d chunks", command, chunks)
		}
		s.broker.Finish(job)
		job.GiveUp()
	}
}

// Every long read answers the same, in the loop (inside EXEC) and outside.
func TestLongReadsAnswerTheSame(t *testing.T) {
	s := newStage(t)
	push, add := args("RPUSH", "q"), [][]byte(nil)
	for i := range 3000 {
		push = append(push, fmt.Append(nil, i%7))
		add = args("XADD", "s", fmt.Sprintf("%d-1", i+1), "f", fmt.Sprint(i))
		s.turn(request{"a", add})
	}
	s.turn(request{"a", push})
	for i := range 2500 {
		s.turn(request{"a", args("RPUSH", fmt.Sprint("key", i), "x")})
	}
	s.sent("a")
	for _, command := range []string{
		"LRANGE q 0 -1", "LRANGE q 10 2900", "LPOS q 3 COUNT 0", "LPOS q 9", "LPOS q 3 RANK -2 COUNT 0 MAXLEN 2500",
		"KEYS *", "KEYS key1*", "SCAN 0 COUNT 10000", "SCAN 0 COUNT 2400 MATCH *7",
		"XRANGE s - +", "XREVRANGE s + -", "XRANGE s 100 2900 COUNT 2500", "XREAD COUNT 2500 STREAMS s 0",
	} {
		words := strings.Fields(command)
		outside := s.do("a", words...)
		srv := s.broker.Server()
		for _, items := range []int64{commands.LongReadItems, math.MaxInt64} {
			srv.LongReadItems = items
			s.do("a", "MULTI")
			s.do("a", "LLEN", "q")
			s.do("a", words...)
			s.do("a", "XLEN", "nosuch")
			inside := s.do("a", "EXEC")
			if "[:3000 "+outside+" :0]" != inside {
				t.Errorf("%s: outside the loop %.200s\nin a transaction %.200s", command, outside, inside)
			}
		}
		srv.LongReadItems = commands.LongReadItems
	}
}

// A transaction that only reads leaves the loop as a whole; one that writes, or
// watches keys, does not.
func TestLongTransaction(t *testing.T) {
	s := newStage(t)
	push := args("RPUSH", "q")
	for range 5000 {
		push = append(push, []byte("x"))
	}
	s.turn(request{"a", push})
	for _, tc := range []struct {
		queue string
		watch bool
		jobs  int
	}{
		{"LRANGE q 0 -1 | LLEN q", false, 1}, {"LLEN q | LINDEX q 0", false, 0}, {"LLEN q | RANDOMKEY | KEYS * | LRANGE q 0 -1 | XREAD BLOCK 0 STREAMS s 0 | LPOS q nosuch", false, 1},
		{"LRANGE q 0 -1 | RPUSH other x", false, 0}, {"LRANGE q 0 -1", true, 0}, {"LRANGE q 0 -1 | PING", false, 0},
		{"LRANGE q 0 -1 | POLICY MATCH q", false, 0}, {"QUEUE INFO q | LRANGE q 0 -1", false, 0},
	} {
		if tc.watch {
			s.do("a", "WATCH", "q")
		}
		s.do("a", "MULTI")
		queue := strings.Split(tc.queue, " | ")
		for _, command := range queue {
			s.do("a", strings.Fields(command)...)
		}
		jobs := 0
		s.ended = func() { jobs += len(s.broker.Jobs()) }
		got := s.do("a", "EXEC")
		s.ended = nil
		if jobs != tc.jobs || !strings.HasPrefix(got, "[") {
			t.Errorf("%s: %d long reads, %.100s", tc.queue, jobs, got)
		}
		if n := strings.Count(got, `"x"`); strings.Contains(tc.queue, "LRANGE") && n != 5000 {
			t.Errorf("%s: %d elements", tc.queue, n)
		}
	}
	// What it has read is tracked, all of it.
	s.do("b", "HELLO", "3")
	s.do("b", "CLIENT", "TRACKING", "ON")
	s.do("b", "MULTI")
	s.do("b", "LRANGE", "q", "0", "-1")
	s.do("b", "EXISTS", "later")
	s.do("b", "EXEC")
	s.do("a", "RPUSH", "later", "x")
	if got := s.sent("b"); got != `>["invalidate" ["later"]]` {
		t.Errorf("b is told %s", got)
	}
}
