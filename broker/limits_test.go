package broker

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
)

func (s *stage) set(name, value string) {
	s.t.Helper()
	if err := s.config.Set([]config.Pair{{Name: name, Value: value}}); err != nil {
		s.t.Fatal(err)
	}
}

// A read leaves the loop because its reply gets long, however few its items are:
// what the loop has written of it by then is bounded.
func TestLongReplyLeavesTheLoop(t *testing.T) {
	s := newStage(t)
	value := strings.Repeat("x", 1<<20)
	for i := range 12 {
		s.do("a", "RPUSH", "q", value)
		s.do("a", "XADD", "s", fmt.Sprintf("%d-1", i+1), "f", value)
	}
	s.do("a", "XGROUP", "CREATE", "s", "g", "0")
	for _, command := range []string{"LRANGE q 0 -1", "XRANGE s - +", "XREVRANGE s + -", "XREAD STREAMS s 0", "DUMP q", "DUMP s", "SORT q ALPHA", "SORT_RO q ALPHA", "XINFO STREAM s FULL COUNT 0"} {
		for _, reply := range []string{"ON", "OFF"} {
			c := s.client(command)
			if reply == "OFF" {
				s.do(command, "CLIENT", "REPLY", "OFF")
			}
			c.session.Out.Reset(0)
			s.broker.Begin(s.now)
			s.broker.Do(c.session, args(strings.Fields(command)...))
			if err := s.broker.End(); err != nil {
				t.Fatal(err)
			}
			if len(s.broker.Jobs()) != 1 || c.session.Out.Len() != 0 || c.session.Out.Bound != 0 {
				t.Fatalf("%s: %d long reads, %d bytes, bound %d", command, len(s.broker.Jobs()), c.session.Out.Len(), c.session.Out.Bound)
			}
			job, size := s.broker.Jobs()[0], 0
			if err := job.Run(func(p []byte) bool { size += len(p); return true }); err != nil {
				t.Fatal(err)
			}
			s.broker.Finish(job)
			if want := 12 << 20; (size > want) != (reply == "ON") {
				t.Errorf("%s: a reply of %d bytes, CLIENT REPLY %s", command, size, reply)
			}
		}
	}
	if got := s.do("a", "LINDEX", "q", "3"); len(got) != 1<<20+2 {
		t.Errorf("LINDEX answers %d bytes", len(got))
	}
}

// Where a reply has to be in memory as a whole it is refused when it gets too
// long, and nothing is taken that would not be answered.
func TestReplyBytesMax(t *testing.T) {
	s := newStage(t)
	s.set("proto-max-reply-len", "1mb")
	value := strings.Repeat("x", 300<<10)
	for range 10 {
		s.do("a", "RPUSH", "q", value)
		s.do("a", "XADD", "s", "*", "f", value)
	}
	s.do("a", "XGROUP", "CREATE", "s", "g", "0")
	for range 3 {
		s.do("a", "XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
	}
	ids := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(s.do("a", "XPENDING", "s", "g", "-", "+", "10")))
	xclaim := []string{"XCLAIM", "s", "g", "d", "0"}
	for i := 0; i < len(ids); i += 4 {
		xclaim = append(xclaim, strings.Trim(ids[i], `"`))
	}
	refused := "-" + string(commands.ErrReplyTooLong)
	for _, words := range [][]string{
		{"LPOP", "q", "4"}, {"RPOP", "q", "1000"}, {"LMPOP", "2", "none", "q", "LEFT", "COUNT", "4"}, {"BLMPOP", "0", "1", "q", "RIGHT", "COUNT", "9"},
		{"LMOVEM", "q", "r", "LEFT", "LEFT", "COUNT", "5", "BULK"}, xclaim,
	} {
		if got := s.do("a", words...); got != refused {
			t.Errorf("%.40q: %.100s", words, got)
		}
	}
	for _, words := range [][]string{{"LLEN", "q"}, {"XPENDING", "s", "g", "-", "+", "10", "d"}} {
		if got := s.do("a", words...); got != ":10" && got != "[]" {
			t.Errorf("%q: %.100s", words, got)
		}
	}
	// What fits is taken.
	if got := s.do("a", "LPOP", "q", "3"); len(got) < 3*len(value) {
		t.Errorf("LPOP: %.100s", got)
	}
	if got := s.do("a", append(xclaim, "JUSTID")...); strings.Count(got, "-") != 10 {
		t.Errorf("XCLAIM JUSTID: %.200s", got)
	}
	if got := s.do("a", xclaim[:8]...); strings.Count(got, value) != 3 {
		t.Errorf("XCLAIM: %.100s", got)
	}

	// In a transaction all replies count together: a command that does not fit is
	// refused, one behind the bound not even begun.
	s.do("a", "MULTI")
	for range 4 {
		s.do("a", "LPOP", "q")
	}
	s.do("a", "LRANGE", "q", "0", "-1")
	s.do("a", "LPOP", "q")
	s.do("a", "RPUSH", "r", "x")
	got := s.do("a", "EXEC")
	if n := strings.Count(got, value); n != 4 {
		t.Errorf("EXEC answers %d elements", n)
	}
	if n := strings.Count(got, refused); n != 3 {
		t.Errorf("EXEC refuses %d commands: %.100s", n, got[len(got)-300:])
	}
	if got := s.do("a", "LLEN", "q") + s.do("a", "EXISTS", "r"); got != ":3:0" {
		t.Errorf("after EXEC: %s", got)
	}
	s.do("a", "MULTI")
	s.do("a", "LRANGE", "q", "0", "0")
	s.do("a", "LRANGE", "q", "0", "-1")
	s.do("a", "SORT", "q", "ALPHA", "GET", "#", "GET", "#")
	s.do("a", "LLEN", "q")
	if got := strings.ReplaceAll(s.do("a", "EXEC"), value, "x"); got != `[["x"] `+refused+" -ERR The list is too large to be sorted in memory :3]" {
		t.Errorf("EXEC: %.500s", got)
	}
	for _, words := range [][]string{
		append([]string{"COMMAND", "DOCS"}, strings.Split(strings.Repeat("xadd ", 2000)+"xadd", " ")...),
		append([]string{"CLIENT", "LIST", "ID"}, strings.Split(strings.Repeat("1 ", 5000)+"1", " ")...),
	} {
		if got := s.do("a", words...); got != refused {
			t.Errorf("%.40q: %.100s", words, got)
		}
	}
}

// Deliveries to a consumer end where they get too long for memory: what is left
// comes with the next call. One entry always comes.
func TestDeliveriesEnd(t *testing.T) {
	s := newStage(t)
	s.set("proto-max-reply-len", "1mb")
	value := strings.Repeat("x", 300<<10)
	const keys = 6
	var names, ids []string
	for i := range keys {
		names, ids = append(names, fmt.Sprint("s", i)), append(ids, "1-1")
		s.do("a", "XADD", names[i], "1-1", "f", value)
		s.do("a", "XADD", names[i], "1-2", "f", value)
		s.do("a", "XGROUP", "CREATE", names[i], "g", "0")
	}
	count := func(id string, options ...string) int {
		words := append([]string{"XREADGROUP", "GROUP", "g", "c"}, append(options, "STREAMS")...)
		words = append(words, names...)
		for range ids {
			words = append(words, id)
		}
		s.turn(request{"a", args(words...)})
		out := s.client("a").session.Out.Bytes()
		n := bytes.Count(out, []byte(value))
		s.client("a").session.Out.Reset(0)
		return n
	}
	for _, want := range []int{4, 4, 4, 0} {
		if got := count(">"); got != want {
			t.Errorf("%d entries of 300 kB were delivered, want %d", got, want)
		}
	}
	if got := count("0"); got != 4 {
		t.Errorf("%d pending entries were delivered again", got)
	}
	if got := count(">", "CLAIM", "0"); got != 4 {
		t.Errorf("%d entries were claimed", got)
	}
	for range 5 {
		s.do("a", "XADD", "s0", "*", "f", value)
	}
	s.do("a", "XREADGROUP", "GROUP", "g", "c", "STREAMS", "s0", ">")
	s.do("a", "XREADGROUP", "GROUP", "g", "c", "STREAMS", "s0", ">")
	got := s.do("a", "XAUTOCLAIM", "s0", "g", "d", "0", "0", "COUNT", "100")
	if n := strings.Count(got, value); n != 4 || strings.HasPrefix(got, `["0-0"`) {
		t.Errorf("XAUTOCLAIM claims %d entries: %.40s", n, got)
	}
	s.do("a", "XADD", "big", "1-1", "f", strings.Repeat("x", 3<<20))
	s.do("a", "XGROUP", "CREATE", "big", "g", "0")
	if got := s.do("a", "XREADGROUP", "GROUP", "g", "c", "STREAMS", "big", ">"); len(got) < 3<<20 {
		t.Errorf("an entry that is too long alone: %.100s", got)
	}
}

// Everything that a session makes the broker hold is counted, and no more once
// it is gone.
func TestClientMemory(t *testing.T) {
	s := newStage(t)
	srv := s.broker.Server()
	name := strings.Repeat("n", 50<<10)
	for _, tc := range []struct {
		what     string
		commands [][]string
		undo     []string
	}{
		{"a name", [][]string{{"CLIENT", "SETNAME", name}}, []string{"CLIENT", "SETNAME", "x"}},
		{"a transaction", [][]string{{"MULTI"}, {"RPUSH", "q", name}}, []string{"DISCARD"}},
		{"watched keys", [][]string{{"WATCH", name}}, []string{"UNWATCH"}},
		{"a channel", [][]string{{"SUBSCRIBE", name}}, []string{"UNSUBSCRIBE"}},
		{"a pattern", [][]string{{"PSUBSCRIBE", name}}, []string{"PUNSUBSCRIBE"}},
		{"a shard channel", [][]string{{"SSUBSCRIBE", name}}, []string{"SUNSUBSCRIBE"}},
		{"a prefix", [][]string{{"HELLO", "3"}, {"CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", name}}, []string{"CLIENT", "TRACKING", "OFF"}},
		{"a key waited for", [][]string{{"BLPOP", name, "0"}}, nil},
	} {
		c := s.client(tc.what)
		weigh := func() int64 {
			s.sent(tc.what)
			c.session.Out.Reset(0)
			srv.Weigh(c.session)
			return srv.ClientMemory.Total
		}
		before := weigh()
		for _, words := range tc.commands {
			s.do(tc.what, words...)
		}
		grown := weigh() - before
		if grown < int64(len(name)) || grown > 3*int64(len(name)) {
			t.Errorf("%s of %d bytes counts as %d", tc.what, len(name), grown)
		}
		if tc.undo != nil {
			s.do(tc.what, tc.undo...)
			if left := weigh() - before; left > 100 {
				t.Errorf("%s: %d bytes are left", tc.what, left)
			}
		}
		s.broker.Disconnect(c.session)
		delete(s.clients, tc.what)
	}
	if srv.ClientMemory.Total != 0 || srv.ClientMemory.Shared != 0 {
		t.Errorf("%+v is left", srv.ClientMemory)
	}
}

// A message for a thousand is in memory once, and counts once.
func TestSharedMemory(t *testing.T) {
	s := newStage(t)
	srv := s.broker.Server()
	for i := range 10 {
		s.do(fmt.Sprint("subscriber", i), "SUBSCRIBE", "ch")
	}
	s.do("a", "PUBLISH", "ch", strings.Repeat("x", 1<<20))
	if got := srv.ClientMemory.Shared; got < 1<<20 || got > 1<<20+100 {
		t.Errorf("%d bytes are shared", got)
	}
	for i := range 9 {
		s.sent(fmt.Sprint("subscriber", i))
	}
	if got := srv.ClientMemory.Shared; got < 1<<20 {
		t.Errorf("%d bytes are shared, though one still holds them", got)
	}
	if heaviest, bytes := srv.Heaviest(); heaviest != s.client("subscriber9").session || bytes < 1<<20 {
		t.Errorf("%v with %d bytes is the heaviest", heaviest.ID, bytes)
	}
	s.broker.Disconnect(s.client("subscriber9").session)
	if got := srv.ClientMemory.Shared; got != 0 {
		t.Errorf("%d bytes are shared by nobody", got)
	}
}

// Lists that are sorted at the same time share the memory for it, also those
// whose clients do not take what was sorted.
func TestSortBudget(t *testing.T) {
	s := newStage(t)
	s.set("proto-max-reply-len", "1mb")
	for range 3000 {
		s.do("a", "RPUSH", "many", "x")
	}
	sorted := func(client, key string, emit func([]byte) bool) {
		t.Helper()
		s.broker.Begin(s.now)
		s.broker.Do(s.client(client).session, args("SORT", key, "ALPHA"))
		if err := s.broker.End(); err != nil {
			t.Fatal(err)
		}
		if len(s.broker.Jobs()) != 1 {
			t.Fatalf("SORT %s: %d long reads", key, len(s.broker.Jobs()))
		}
		job := s.broker.Jobs()[0]
		if err := job.Run(emit); err != nil {
			t.Fatal(err)
		}
		s.broker.Finish(job)
	}
	for range 10 {
		s.do("a", "RPUSH", "many", strings.Repeat("y", 60<<10))
	}
	within := false
	sorted("slow", "many", func([]byte) bool {
		if within {
			return true
		}
		within = true // the first is in the middle of its reply
		var reply []byte
		sorted("second", "many", func(p []byte) bool { reply = append(reply, p...); return true })
		if got := string(reply); got != "-ERR Too much is being sorted already, try again later\r\n" {
			t.Errorf("%.100s", got)
		}
		return true
	})
	size := 0
	sorted("second", "many", func(p []byte) bool { size += len(p); return true })
	if size < 600<<10 {
		t.Errorf("after the first has ended: %d bytes", size)
	}
	s.set("proto-max-reply-len", "1mb")
	for range 20 {
		s.do("a", "RPUSH", "many", strings.Repeat("y", 60<<10))
	}
	if got := s.do("a", "SORT", "many", "ALPHA"); got != "-ERR The list is too large to be sorted in memory" {
		t.Errorf("%.100s", got)
	}
}

// However many entries a consumer asks for, what one call changes is bounded.
func TestDeliveriesAreBoundedInNumber(t *testing.T) {
	s := newStage(t)
	const entries, most = 25_000, 10_000
	var adds []request
	for i := range entries {
		adds = append(adds, request{"a", args("XADD", "s", fmt.Sprintf("%d-1", i+1), "f", "v")})
	}
	s.turn(adds...)
	s.sent("a")
	s.do("a", "XGROUP", "CREATE", "s", "g", "0")
	count := func(words ...string) int {
		s.turn(request{"a", args(words...)})
		n := bytes.Count(s.client("a").session.Out.Bytes(), []byte("$1\r\nf\r\n"))
		s.client("a").session.Out.Reset(0)
		return n
	}
	for _, want := range []int{most, most, entries - 2*most, 0} {
		if got := count("XREADGROUP", "GROUP", "g", "c", "COUNT", "1000000", "STREAMS", "s", ">"); got != want {
			t.Errorf("XREADGROUP delivers %d entries, want %d", got, want)
		}
	}
	for _, words := range [][]string{
		{"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "0"}, {"XREADGROUP", "GROUP", "g", "c", "CLAIM", "0", "STREAMS", "s", ">"},
	} {
		if got := count(words...); got != most {
			t.Errorf("%q delivers %d entries", words, got)
		}
	}
	claimed, next := 0, "0"
	for calls := 0; next != "0-0" && calls < 10; calls++ {
		reply := s.do("a", "XAUTOCLAIM", "s", "g", "d", "0", next, "COUNT", "1000000", "JUSTID")
		next = strings.Trim(strings.Fields(reply)[0], `["`)
		if n := strings.Count(reply, "-1"); n > most+1 {
			t.Errorf("XAUTOCLAIM claims %d entries at once", n)
		} else {
			claimed += n - strings.Count(next, "-1")
		}
	}
	if claimed != entries {
		t.Errorf("XAUTOCLAIM claims %d entries in the end", claimed)
	}
}
