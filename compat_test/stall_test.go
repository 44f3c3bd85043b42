package compat_test

import (
	"bytes"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	stallSize  = flag.Int("stall", 10_000, "elements of the list, the stream and the keyspace of TestStall")
	stallFsync = flag.String("stall.fsync", "no", "appendfsync of TestStall")
	stallOnly  = flag.String("stall.only", "", "the one case of TestStall to run")
)

// TestStall lets one client run each command that looks at, or changes, a very large thing, while another pushes
// messages to a list of its own. It reports how long the command took, how long it held the loop by the server's own
// count, and the longest that a push had to wait:
//
//	make stall                  with a million elements each
//
// What a machine's noise can spoil is not asserted here: that commands are sliced or leave the loop is held by tests
// of package broker, in records and turns. This one fails when a reply is wrong, or a push is never answered.
func TestStall(t *testing.T) {
	s := newStall(t)
	s.report("(nothing)", 0, 0, s.witnessed(func() { time.Sleep(time.Second / 2) }))
	for _, c := range stallCases {
		if *stallOnly != "" && !strings.Contains(c.name, *stallOnly) {
			continue
		}
		s.run(t, c)
	}
}

type stallCase struct {
	name    string
	needs   string // what has to be there: list, stream, pending, keys
	command func(s *stall) []string
	inExec  bool
	// reply checks what comes back; nil: anything but an error.
	reply func(s *stall, o outline) bool
}

func stallWords(text string) func(*stall) []string {
	return func(s *stall) []string {
		return strings.Fields(strings.NewReplacer("{half}", strconv.Itoa(s.n/2), "{n}", strconv.Itoa(s.n), "{mid}", s.element(s.n/2)).Replace(text))
	}
}

func items(share int) func(*stall, outline) bool {
	return func(s *stall, o outline) bool { return o.length == s.n/share }
}

func number(of func(s *stall) int) func(*stall, outline) bool {
	return func(s *stall, o outline) bool { return o.kind == ':' && o.length == of(s) }
}

var stallCases = []stallCase{
	{name: "KEYS *", needs: "keys", command: stallWords("KEYS key:*"), reply: items(1)},
	{name: "SCAN 0 COUNT n", needs: "keys", command: stallWords("SCAN 0 COUNT {n}")},
	{name: "RANDOMKEY", needs: "keys", command: stallWords("RANDOMKEY")},
	{name: "DEL of n/10 keys", needs: "keys", command: func(s *stall) []string {
		words := []string{"DEL"}
		for i := range s.n / 10 {
			words = append(words, s.key(i))
		}
		return words
	}, reply: number(func(s *stall) int { return s.n / 10 })},
	{name: "SWAPDB", needs: "keys", command: stallWords("SWAPDB 9 10")},
	{name: "FLUSHDB", needs: "keys", command: stallWords("FLUSHDB")},
	{name: "FLUSHALL", needs: "keys", command: stallWords("FLUSHALL")},

	{name: "LRANGE 0 -1", needs: "list", command: stallWords("LRANGE list 0 -1"), reply: items(1)},
	{name: "LRANGE 0 -1 in EXEC", needs: "list", command: stallWords("LRANGE list 0 -1"), inExec: true},
	{name: "LPOS nosuch", needs: "list", command: stallWords("LPOS list nosuch")},
	{name: "LINDEX in the middle", needs: "list", command: stallWords("LINDEX list {half}")},
	{name: "LSET in the middle", needs: "list", command: stallWords("LSET list {half} x")},
	{name: "SORT ALPHA", needs: "list", command: stallWords("SORT list ALPHA"), reply: items(1)},
	{name: "SORT ALPHA STORE", needs: "list", command: stallWords("SORT list ALPHA STORE sorted"), reply: number(func(s *stall) int { return s.n })},
	{name: "SORT BY nosort STORE", needs: "list", command: stallWords("SORT list BY nosort STORE sorted"), reply: number(func(s *stall) int { return s.n })},
	{name: "DUMP of a list", needs: "list", command: stallWords("DUMP list")},
	{name: "COPY of a list", needs: "list", command: stallWords("COPY list copied"), reply: number(func(*stall) int { return 1 })},
	{name: "RENAME", needs: "list", command: stallWords("RENAME list renamed")},
	{name: "RENAME over a list", needs: "list", command: stallWords("RENAME renamed list")},
	{name: "LINSERT in the middle", needs: "list", command: stallWords("LINSERT list BEFORE {mid} x"), reply: number(func(s *stall) int { return s.n + 1 })},
	{name: "LREM nosuch", needs: "list", command: stallWords("LREM list 0 nosuch"), reply: number(func(*stall) int { return 0 })},
	{name: "LREM in the middle", needs: "list", command: stallWords("LREM list 1 {mid}"), reply: number(func(*stall) int { return 1 })},
	{name: "LTRIM n/2 -1", needs: "list", command: stallWords("LTRIM list {half} -1")},
	{name: "LTRIM 0 9", needs: "list", command: stallWords("LTRIM list 0 9")},
	{name: "LPOP n/2", needs: "list", command: stallWords("LPOP list {half}"), reply: items(2)},
	{name: "LMPOP COUNT n/2", needs: "list", command: stallWords("LMPOP 1 list RIGHT COUNT {half}")},
	{name: "LMOVEM COUNT n/2", needs: "list", command: stallWords("LMOVEM list other LEFT RIGHT COUNT {half} BULK"), reply: items(2)},
	{name: "DEL of a list", needs: "list", command: stallWords("DEL list")},
	{name: "RPUSH of n/10 elements", command: func(s *stall) []string {
		words := []string{"RPUSH", "pushed"}
		for i := range s.n / 10 {
			words = append(words, s.element(i))
		}
		return words
	}},
	{name: "RESTORE of a list", needs: "list", command: func(s *stall) []string {
		return []string{"RESTORE", "restored", "0", s.ask("DUMP", "list").text}
	}},

	{name: "XRANGE - +", needs: "stream", command: stallWords("XRANGE stream - +"), reply: items(1)},
	{name: "XREVRANGE + -", needs: "stream", command: stallWords("XREVRANGE stream + -"), reply: items(1)},
	{name: "XREAD COUNT n", needs: "stream", command: stallWords("XREAD COUNT {n} STREAMS stream 0")},
	{name: "XINFO STREAM FULL COUNT 0", needs: "pending", command: stallWords("XINFO STREAM stream FULL COUNT 0")},
	{name: "XINFO GROUPS", needs: "pending", command: stallWords("XINFO GROUPS stream")},
	{name: "XPENDING", needs: "pending", command: stallWords("XPENDING stream g")},
	{name: "XPENDING - + n", needs: "pending", command: stallWords("XPENDING stream g - + {n}"), reply: items(1)},
	{name: "XPENDING IDLE", needs: "pending", command: stallWords("XPENDING stream g IDLE 1000000 - + {n}"), reply: items(1 << 60)},
	{name: "XAUTOCLAIM COUNT n", needs: "pending", command: stallWords("XAUTOCLAIM stream g other 0 0 COUNT {n}")},
	{name: "XREADGROUP COUNT n, history", needs: "pending", command: stallWords("XREADGROUP GROUP g other COUNT {n} STREAMS stream 0")},
	{name: "XREADGROUP CLAIM COUNT n", needs: "pending", command: stallWords("XREADGROUP GROUP g third COUNT {n} CLAIM 0 STREAMS stream >")},
	{name: "XACK of n/10 IDs", needs: "pending", command: func(s *stall) []string { return s.ids("XACK", "stream", "g") }},
	{name: "XGROUP DELCONSUMER", needs: "pending", command: stallWords("XGROUP DELCONSUMER stream g third")},
	{name: "XGROUP DESTROY", needs: "pending", command: stallWords("XGROUP DESTROY stream g")},
	{name: "XGROUP CREATE", needs: "stream", command: stallWords("XGROUP CREATE stream new 0")},
	{name: "XREADGROUP COUNT n", needs: "stream", command: stallWords("XREADGROUP GROUP new c COUNT {n} STREAMS stream >")},
	{name: "COPY of a stream", needs: "pending", command: stallWords("COPY stream copied REPLACE")},
	{name: "DUMP of a stream", needs: "pending", command: stallWords("DUMP stream")},
	{name: "RESTORE of a stream", needs: "pending", command: func(s *stall) []string {
		return []string{"RESTORE", "restored", "0", s.ask("DUMP", "stream").text, "REPLACE"}
	}},
	{name: "XDEL of n/10 IDs", needs: "stream", command: func(s *stall) []string { return s.ids("XDEL", "stream") }},
	{name: "XTRIM MAXLEN n/2", needs: "stream", command: stallWords("XTRIM stream MAXLEN {half}")},
	{name: "XTRIM MAXLEN 10", needs: "stream", command: stallWords("XTRIM stream MAXLEN 10")},
	{name: "XTRIM MINID of the middle", needs: "stream", command: func(s *stall) []string { return []string{"XTRIM", "stream", "MINID", s.id(s.n / 2)} }},
	{name: "XTRIM MAXLEN 10 DELREF", needs: "pending", command: stallWords("XTRIM stream MAXLEN 10 DELREF")},
	{name: "XADD MAXLEN 10", needs: "stream", command: stallWords("XADD stream MAXLEN 10 * f v")},
	{name: "DEL of a stream", needs: "pending", command: stallWords("DEL stream")},

	{name: "n/10 keys run out", command: func(s *stall) []string {
		soon := 500 + s.n/100 // ms: first they have to be there
		at := fmt.Sprint(time.Now().UnixMilli() + int64(soon))
		s.pipeline(s.n/10, func(i int) []string { return []string{"RPUSH", fmt.Sprint("ttl:", i), "x"} })
		s.pipeline(s.n/10, func(i int) []string { return []string{"PEXPIREAT", fmt.Sprint("ttl:", i), at} })
		return []string{"BLPOP", "nothing", fmt.Sprint((soon + 500) / 1000 * 2)}
	}, reply: func(s *stall, _ outline) bool { return s.ask("EXISTS", "ttl:0").text == "0" }},
}

// outline is what a reply is like: its kind, and its number, length or error. What is in it is read and forgotten: a
// client that collects a million elements would hold up the witness, which lives in the same process.
type outline struct {
	kind   byte
	length int
	text   string
}

func (c *client) outline() (outline, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return outline{}, err
	}
	return c.skip()
}

func (c *client) skip() (o outline, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil || len(line) < 3 {
		return o, err
	}
	o.kind = line[0]
	if o.kind == '+' || o.kind == '-' {
		o.text = string(line[1 : len(line)-2])
		return o, nil
	}
	if o.length, err = strconv.Atoi(string(line[1 : len(line)-2])); err != nil || o.length < 0 {
		return o, err
	}
	inner := 0
	switch o.kind {
	case '$':
		_, err = c.in.Discard(o.length + 2)
	case '*':
		inner = o.length
	}
	for range inner {
		if _, err := c.skip(); err != nil {
			return o, err
		}
	}
	return o, err
}

// stall is a server with something very large in it.
type stall struct {
	t      *testing.T
	n      int
	server *daemon
	client *client
	has    map[string]bool
}

func newStall(t *testing.T) *stall {
	s := &stall{t: t, n: *stallSize, has: make(map[string]bool)}
	s.server = startCairn(t, t.TempDir(), "--appendfsync", *stallFsync)
	s.client = s.dial()
	return s
}

func (s *stall) dial() *client {
	c, err := dial(s.server.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.close)
	return c
}

func (s *stall) ask(args ...string) frame {
	s.t.Helper()
	f, err := s.client.do(args...)
	if err != nil {
		s.t.Fatalf("%.60q: %v", args, err)
	}
	return f
}

func (s *stall) element(i int) string {
	return fmt.Sprintf("element-%08d-%s", i, strings.Repeat("x", 80))
}
func (s *stall) key(i int) string { return fmt.Sprintf("key:%08d", i) }
func (s *stall) id(i int) string  { return fmt.Sprintf("%d-1", i+1) }

// ids is a command about a tenth of the entries, from the middle on.
func (s *stall) ids(words ...string) []string {
	for i := range s.n / 10 {
		words = append(words, s.id(s.n/2+i))
	}
	return words
}

// pipeline sends n commands in batches.
func (s *stall) pipeline(n int, command func(i int) []string) {
	s.t.Helper()
	const batch = 1000
	for from := 0; from < n; from += batch {
		to := min(n, from+batch)
		var raw bytes.Buffer
		for i := from; i < to; i++ {
			raw.Write(encode(command(i)))
		}
		if err := s.client.send(raw.Bytes()); err != nil {
			s.t.Fatal(err)
		}
		for range to - from {
			if f, err := s.client.receive(); err != nil || f.kind == '-' {
				s.t.Fatal(f, err)
			}
		}
	}
}

// prepare makes what is needed anew unless it is there as it was.
func (s *stall) prepare(what string) {
	if what == "" || s.has[what] {
		return
	}
	s.has[what] = true
	switch what {
	case "keys":
		s.pipeline(s.n, func(i int) []string { return []string{"RPUSH", s.key(i), "x"} })
	case "list":
		s.ask("DEL", "list", "other", "sorted", "copied", "restored")
		s.pipeline(s.n/100, func(i int) []string {
			words := []string{"RPUSH", "list"}
			for k := range 100 {
				words = append(words, s.element(i*100+k))
			}
			return words
		})
	case "stream":
		s.ask("DEL", "stream", "copied", "restored")
		s.pipeline(s.n, func(i int) []string { return []string{"XADD", "stream", s.id(i), "field", s.element(i)} })
	case "pending":
		s.prepare("stream")
		s.ask("XGROUP", "CREATE", "stream", "g", "0")
		s.pipeline(s.n/100, func(int) []string {
			return []string{"XREADGROUP", "GROUP", "g", "c", "COUNT", "100", "STREAMS", "stream", ">"}
		})
	}
}

// spoiled are the first words of commands after which things are not as they were.
var spoiled = []string{"DEL", "FLUSH", "LTRIM", "LPOP", "LMPOP", "LMOVEM", "LINSERT", "LREM", "LSET", "RENAME", "XTRIM", "XDEL", "XADD", "XACK", "XGROUP DE"}

func (s *stall) run(t *testing.T, c stallCase) {
	if c.name != "RENAME over a list" {
		s.prepare(c.needs)
	}
	words := c.command(s)
	var got outline
	var err error
	s.ask("CONFIG", "RESETSTAT")
	began := time.Now()
	took := time.Duration(0)
	longest := s.witnessed(func() {
		raw := encode(words)
		if c.inExec {
			raw = slices.Concat(encode([]string{"MULTI"}), raw, encode([]string{"EXEC"}))
		}
		began = time.Now()
		if err = s.client.send(raw); err == nil {
			got, err = s.client.outline()
		}
		if c.inExec && err == nil {
			for range 2 {
				got, err = s.client.outline()
			}
		}
		took = time.Since(began)
		time.Sleep(50 * time.Millisecond) // what it has left to the sweeper
	})
	if err != nil || got.kind == '-' || (c.reply != nil && !c.reply(s, got)) {
		t.Errorf("%s: %+v, %v", c.name, got, err)
	}
	name := strings.ToLower(words[0])
	if s.isContainer(name) {
		name += "|" + strings.ToLower(words[1])
	}
	s.report(c.name, took, s.held(name), longest)
	for _, words := range spoiled {
		if strings.HasPrefix(c.name, words) {
			s.has = map[string]bool{"keys": s.has["keys"] && !strings.HasPrefix(c.name, "FLUSH") && c.needs != "keys"}
		}
	}
}

func (s *stall) isContainer(name string) bool { return name == "xgroup" || name == "xinfo" }

// held is how long the calls of a command have held the loop, by INFO.
func (s *stall) held(command string) time.Duration {
	for line := range strings.Lines(s.ask("INFO", "commandstats").text) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":"); ok {
			_, usec, _ := strings.Cut(rest, "usec=")
			usec, _, _ = strings.Cut(usec, ",")
			n, _ := strconv.Atoi(usec)
			return time.Duration(n) * time.Microsecond
		}
	}
	return 0
}

// witnessed returns the longest that a push of another client took meanwhile.
func (s *stall) witnessed(do func()) (longest time.Duration) {
	witness := s.dial()
	defer witness.close()
	push := []string{"LPUSH", "witness", "message"}
	if _, err := witness.do(push...); err != nil {
		s.t.Fatal(err)
	}
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			began := time.Now()
			if _, err := witness.do(push...); err != nil {
				s.t.Errorf("the witness: %v", err)
				return
			}
			longest = max(longest, time.Since(began))
		}
	})
	do()
	close(over)
	watching.Wait()
	return longest
}

func (s *stall) report(name string, took, held, longest time.Duration) {
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) }
	s.t.Logf("%-30s took %9s ms, held the loop %8s ms, longest push %8s ms", name, ms(took), ms(held), ms(longest))
}
