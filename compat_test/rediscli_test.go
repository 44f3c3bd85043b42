package compat_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	ctrlC = "\x03"
	ctrlU = "\x15" // empties the line
)

// cli runs redis-cli without a terminal and returns what it prints.
func cli(t testing.TB, server *daemon, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), redisCLI(t), append([]string{"-p", server.port()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func wantText(t testing.TB, what, got, expected string) {
	t.Helper()
	if got != expected {
		t.Errorf("%s:\nwant %q\ngot  %q", what, expected, got)
	}
}

func TestRedisCLIPrompt(t *testing.T) {
	redisCLI(t)
	server := startCairn(t, t.TempDir())
	for _, protocol := range []string{"-2", "-3"} {
		t.Run("resp"+protocol, func(t *testing.T) {
			connect(t, server, 2).FlushAll(t.Context())
			prompt := "127.0.0.1:" + server.port()
			term := openTerminal(t, redisCLI(t), "-p", server.port(), protocol)
			term.enter(prompt+"> ", "rpush jobs one two", "(integer) 2")
			term.enter(prompt+"> ", "lrange jobs 0 -1", "1) \"one\"\r\n2) \"two\"")
			term.enter(prompt+"> ", "lpop none", "(nil)")
			term.enter(prompt+"> ", "xadd jobs * f v", "(error) WRONGTYPE Operation against a key holding the wrong kind of value")
			term.enter(prompt+"> ", "nosuch", "(error) ERR unknown command 'nosuch'")
			term.enter(prompt+"> ", "select 3", "OK")
			term.enter(prompt+"[3]> ", "multi", "OK")
			term.enter(prompt+"[3](TX)> ", "rpush q a", "QUEUED")
			term.enter(prompt+"[3](TX)> ", "exec", "1) (integer) 1")
			term.enter(prompt+"[3]> ", "blpop q 0", "1) \"q\"\r\n2) \"a\"")
			term.enter(prompt+"[3]> ", "quit", "")
			term.expectExit()
		})
	}
}

// The grey text behind the cursor is made from COMMAND DOCS.
func TestRedisCLIHints(t *testing.T) {
	redisCLI(t)
	server := startCairn(t, t.TempDir())
	term := openTerminal(t, redisCLI(t), "-p", server.port())
	term.expect("> ")
	for typed, hint := range map[string]string{
		"lpush ":                    "key element [element ...]",
		"blpop ":                    "key [key ...] timeout",
		"lmove ":                    "source destination",
		"publish ":                  "channel message",
		"subscribe ":                "channel [channel ...]",
		"xack ":                     "key group ID [ID ...]",
		"xgroup create ":            "[MKSTREAM]",
		"xreadgroup ":               "GROUP group consumer [COUNT count]",
		"expire ":                   "key seconds [",
		"client setname ":           "connection-name",
		"copy ":                     "source destination [DB destination-db] [REPLACE]",
		"xautoclaim s g c 100 0-0 ": "[COUNT count] [JUSTID]",
	} {
		// Versions of Redis differ in ID and id, and in how they write a choice: neither is looked at.
		term.typeKeys(typed)
		term.expectFold(hint)
		term.typeKeys(ctrlU)
	}
	term.typeKeys("ping\r")
	term.expect("PONG")
	term.enter("> ", "help lpush", "LPUSH key element [element ...]")
	term.expect("summary:")
	term.expect("since: 1.0.0")
	term.expect("group: list")
}

func TestRedisCLISubscribe(t *testing.T) {
	redisCLI(t)
	server := startCairn(t, t.TempDir())
	rdb := connect(t, server, 3)
	for _, protocol := range []string{"-2", "-3"} {
		t.Run("resp"+protocol, func(t *testing.T) {
			term := openTerminal(t, redisCLI(t), "-p", server.port(), protocol)
			term.enter("> ", "subscribe news", "Reading messages...")
			term.expect("1) \"subscribe\"\r\n2) \"news\"\r\n3) (integer) 1")
			want(t, rdb.Publish(t.Context(), "news", "hello"), int64(1))
			term.expect("1) \"message\"\r\n2) \"news\"\r\n3) \"hello\"")
			term.typeKeys(ctrlC)
			err := eventually("the subscriber is gone", func() (bool, error) {
				n, err := rdb.PubSubNumSub(t.Context(), "news").Result()
				return n["news"] == 0, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRedisCLIStat(t *testing.T) {
	redisCLI(t)
	server := startCairn(t, t.TempDir())
	want(t, connect(t, server, 2).RPush(t.Context(), "q", "v"), int64(1))
	term := openTerminal(t, redisCLI(t), "-p", server.port(), "--stat", "-i", "0.02")
	term.expect("keys")
	term.expect("requests")
	term.expect("\n1 ") // one key
	term.expect("\n1 ") // and so on, until it is killed
}

func TestRedisCLIPipe(t *testing.T) {
	const commands = 20_000
	redisCLI(t)
	server := startCairn(t, t.TempDir())
	var stdin strings.Builder
	for i := range commands {
		stdin.Write(encode([]string{"RPUSH", "q", fmt.Sprint(i)}))
	}
	out := cli(t, server, stdin.String(), "--pipe")
	if !strings.Contains(out, fmt.Sprintf("errors: 0, replies: %d", commands)) {
		t.Errorf("--pipe says %s", out)
	}
	want(t, connect(t, server, 2).LLen(t.Context(), "q"), int64(commands))

	out = pipeWithErrors(t, server)
	if !strings.Contains(out, "WRONGTYPE") || !strings.Contains(out, "errors: 1, replies: 3") {
		t.Errorf("--pipe says %s", out)
	}
}

// pipeWithErrors sends three commands of which one fails; redis-cli then exits with 1.
func pipeWithErrors(t *testing.T, server *daemon) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), redisCLI(t), "-p", server.port(), "--pipe")
	cmd.Stdin = strings.NewReader("PING\r\nXLEN q\r\nPING\r\n")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("redis-cli --pipe took an error for success")
	}
	return string(out)
}

func TestRedisCLIScan(t *testing.T) {
	const keys = 500
	redisCLI(t)
	server := startCairn(t, t.TempDir())
	rdb := connect(t, server, 2)
	var names []string
	_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range keys {
			names = append(names, fmt.Sprintf("job:%03d", i))
			p.RPush(t.Context(), names[i], i)
			p.RPush(t.Context(), fmt.Sprintf("other:%d", i), i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Fields(cli(t, server, "", "--scan", "--pattern", "job:*"))
	slices.Sort(found)
	if !slices.Equal(slices.Compact(found), names) {
		t.Errorf("--scan found %d keys, want %d", len(found), keys)
	}
	if out := cli(t, server, "", "--bigkeys"); !strings.Contains(out, fmt.Sprintf("Sampled %d keys", 2*keys)) {
		t.Errorf("--bigkeys says %s", out)
	}
}

func TestRedisCLIOutput(t *testing.T) {
	redisCLI(t)
	server := startCairn(t, t.TempDir())
	connect(t, server, 2).FlushAll(t.Context())
	wantText(t, "arguments", cli(t, server, "", "rpush", "q", "a b", "c\n"), "2\n")
	wantText(t, "--raw", cli(t, server, "", "--raw", "lrange", "q", "0", "-1"), "a b\nc\n\n")
	wantText(t, "--no-raw", cli(t, server, "", "--no-raw", "lrange", "q", "0", "-1"), "1) \"a b\"\n2) \"c\\n\"\n")
	wantText(t, "--csv", cli(t, server, "", "--csv", "lrange", "q", "0", "-1"), "\"a b\",\"c\\n\"\n")
	wantText(t, "--json", cli(t, server, "", "--json", "lrange", "q", "0", "-1"), "[\"a b\",\"c\\n\"]\n")
	wantText(t, "-n 3", cli(t, server, "", "-n", "3", "llen", "q"), "0\n")
	wantText(t, "-u", cli(t, server, "", "-u", "redis://"+server.addr+"/0", "llen", "q"), "2\n")
	wantText(t, "-x", cli(t, server, "from stdin", "-x", "rpush", "x"), "1\n")
	wantText(t, "-r", cli(t, server, "", "-r", "3", "rpush", "r", "v"), "1\n2\n3\n")
	wantText(t, "-3", cli(t, server, "", "-3", "--no-raw", "config", "get", "databases"), "1# \"databases\" => \"16\"\n")
	wantText(t, "-2", cli(t, server, "", "-2", "--no-raw", "config", "get", "databases"), "1) \"databases\"\n2) \"16\"\n")
	wantText(t, "commands on stdin",
		cli(t, server, "rpush s one\nlpush s \"two words\" 'three'\nlrange s 0 -1\nmulti\nllen s\nexec\nnosuch\n"),
		"1\n3\nthree\ntwo words\none\nOK\nQUEUED\n3\nERR unknown command 'nosuch', with args beginning with: \n\n")
	if out := strings.Fields(cli(t, server, "", "--csv", "--latency", "-i", "0.05")); len(out) != 1 || strings.Count(out[0], ",") != 3 {
		t.Errorf("--latency says %v", out)
	}
	if out := cli(t, server, "", "info", "server"); !strings.Contains(out, "redis_version:") {
		t.Errorf("info says %s", out)
	}
}
