package commands

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cairnmq/cairn/policy"
)

// overfull are calls that add to lists and streams that are full.
var overfull = map[string][]string{
	"lpush":      {"LPUSH list x"},
	"rpush":      {"RPUSH list x"},
	"lpushx":     {"LPUSHX list x"},
	"rpushx":     {"RPUSHX list x"},
	"linsert":    {"LINSERT list BEFORE b x"},
	"lset":       {"LSET list 0 aaaaaaaaaaaaaaaaaaaaaa"},
	"lmove":      {"LMOVE other list LEFT RIGHT"},
	"rpoplpush":  {"RPOPLPUSH other list"},
	"blmove":     {"BLMOVE other list LEFT RIGHT 1"},
	"brpoplpush": {"BRPOPLPUSH other list 1"},
	"lmovem":     {"LMOVEM other list LEFT RIGHT", "LMOVEM other list LEFT RIGHT COUNT 2 BULK"},
	"blmovem":    {"BLMOVEM other list LEFT RIGHT 1"},
	"xadd":       {"XADD stream * f v", "XADD stream MAXLEN 100 * f v"},
	"copy":       {"COPY other list REPLACE", "COPY entries stream REPLACE"},
	"restore":    {"RESTORE list 0 DUMP:other REPLACE", "RESTORE stream 0 DUMP:entries REPLACE"},
	"sort":       {"SORT other ALPHA STORE list"},
	"rename":     {"RENAME other list", "RENAME entries stream"},
	"renamenx":   {"RENAMENX other list:2"},
	"move":       {"MOVE list:2 0"},
	"xredrive":   {"XREDRIVE dead"},
}

// addNoMessage are the commands that add to a list or a stream, but no message.
var addNoMessage = map[string]string{
	"xgroup|create":         "a group, and a stream without entries",
	"xgroup|createconsumer": "a consumer",
	"xsetid":                "an ID",
	"xidmprecord":           "what a message became that is there",
	"schedule|in":           "what asks for room when it runs",
	"schedule|at":           "what asks for room when it runs",
	"schedule|every":        "what asks for room when it runs",
	"schedule|cron":         "what asks for room when it runs",
}

// Each command that adds messages asks whether there is room.
func TestWhateverAddsIsBounded(t *testing.T) {
	for _, c := range everyCommand() {
		name := c.FullName()
		if c.Has(DenyOOM) && overfull[name] == nil && addNoMessage[name] == "" {
			t.Errorf("%s adds data: either it asks for room, or it is to be named as one that adds no message", name)
		}
	}
	for name, calls := range overfull {
		for _, call := range calls {
			for _, overflow := range []string{"REJECT", "BLOCK 100", "DROPOLDEST"} {
				t.Run(name+" "+overflow, func(t *testing.T) { addTooMuch(t, call, overflow) })
			}
		}
	}
}

func addTooMuch(t *testing.T, call, overflow string) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	for _, line := range []string{
		"RPUSH list a b", "XADD stream 1-1 f a", "XADD stream 1-2 f b",
		"XADD dead 1-1 f v dead-source stream dead-id 1-1 dead-group g dead-consumer c dead-deliveries 1 dead-reason rejected dead-time 1",
		"RPUSH other a b c", "XADD entries 1-1 f a", "XADD entries 1-2 f b", "XADD entries 1-3 f c",
		"SELECT 1", "RPUSH list:2 a b c",
	} {
		b.do(s, line)
	}
	if !strings.HasPrefix(call, "MOVE") {
		b.do(s, "SELECT 0")
	}
	p, err := policy.Parse("p", strings.Fields("PATTERN list* MAXLEN 2 MAXBYTES 20 OVERFLOW "+overflow))
	if err != nil {
		t.Fatal(err)
	}
	b.server.Policies.Put(p)
	if p, err = policy.Parse("q", strings.Fields("PATTERN stream MAXLEN 2 OVERFLOW "+overflow)); err != nil {
		t.Fatal(err)
	}
	b.server.Policies.Put(p)
	b.server.Sorting = new(Budget)
	reply := b.call(s, call)
	switch {
	case strings.HasPrefix(reply, "-ERR") && strings.Contains(reply, " can never fit into "):
	case strings.HasPrefix(reply, "-TRYAGAIN service unavailable: '"):
	case overflow == "BLOCK 100" && reply == "waits":
	case overflow == "DROPOLDEST" && !strings.HasPrefix(reply, "-"):
	default:
		t.Errorf("%s with %s: %s", call, overflow, reply)
	}
	s.DB = 0
	b.expect(s, "LLEN list -> :2", "XLEN stream -> :2", "EXISTS list:2 -> :0")
}

// call is do for a call that may wait, with what DUMP returns for DUMP:key.
func (b *bench) call(s *Session, line string) string {
	b.t.Helper()
	args := words(line)
	for i, a := range args {
		key, ok := strings.CutPrefix(string(a), "DUMP:")
		if !ok {
			continue
		}
		dumped, rest, _ := strings.Cut(b.raw(s, [][]byte{[]byte("DUMP"), []byte(key)}), "\r\n")
		if !strings.HasPrefix(dumped, "$") {
			b.t.Fatalf("DUMP %s: %q", key, dumped)
		}
		args[i] = []byte(strings.TrimSuffix(rest, "\r\n"))
	}
	return strings.TrimSuffix(strings.ReplaceAll(b.raw(s, args), "\r\n", " "), " ")
}

func (b *bench) raw(s *Session, args [][]byte) string {
	b.t.Helper()
	cmd, err := b.server.Table.Resolve(args)
	if err != nil {
		b.t.Fatal(err)
	}
	tx := b.server.Store.Begin(b.now)
	edits := tx.Edits()
	c := &Ctx{Cmd: cmd, Args: NewArgs(cmd, args), Tx: tx.In(s.DB), Out: &s.Out, Session: s, Server: b.server, ReplyBytesMax: 1 << 20}
	if err := cmd.Run(c); err != nil {
		s.Out.Reset(0)
		if tx.Edits() != edits {
			b.t.Errorf("%s: an error after something was written", args[0])
		}
		return "-" + err.Error()
	}
	tx.Unit()
	if _, err := b.server.Store.Commit(); err != nil {
		b.t.Fatal(err)
	}
	reply := string(s.Out.Bytes())
	s.Out.Reset(0)
	if c.Waits() {
		return "waits"
	}
	return reply
}

// What is over its limit because the limit is new shrinks with each call by as
// much as does not hold others up.
func TestShrinkingIsBounded(t *testing.T) {
	for _, setting := range []string{"MAXLEN 5", "MAXLEN 5 DEADLETTER dead", "MAXBYTES 5"} {
		b := newBench(t)
		s := b.client("10.0.0.1:1")
		push := "RPUSH list" + strings.Repeat(" x", shrinkMax+100)
		b.expect(s, push+fmt.Sprintf(" -> :%d", shrinkMax+100))
		p, err := policy.Parse("p", strings.Fields("PATTERN list OVERFLOW DROPOLDEST "+setting))
		if err != nil {
			t.Fatal(err)
		}
		b.server.Policies.Put(p)
		lens := []string{b.do(s, "RPUSH list y"), b.do(s, "LPUSH list z")}
		if first := fmt.Sprintf(":%d", 100); !slices.Contains([]string{first, ":101"}, lens[0]) || lens[1] != ":5" {
			t.Errorf("%s: the list shrinks to %v", setting, lens)
		}
	}
}

// A large message pushes out as many small ones as it takes, and no limit is
// exceeded for them.
func TestALargeMessagePushesOutManySmallOnes(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	p, err := policy.Parse("p", strings.Fields(fmt.Sprintf("PATTERN list OVERFLOW DROPOLDEST MAXBYTES %d", 2*shrinkMax)))
	if err != nil {
		t.Fatal(err)
	}
	b.server.Policies.Put(p)
	b.expect(s,
		"RPUSH list"+strings.Repeat(" x", 2*shrinkMax)+fmt.Sprintf(" -> :%d", 2*shrinkMax),
		"RPUSH list "+strings.Repeat("y", 2*shrinkMax-1)+" -> :2",
		"LINDEX list 0 -> $1 x",
	)
}
