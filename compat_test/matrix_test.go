package compat_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestClients drives the daemon with the libraries that people use, each in its own language. A program under clients/
// does the same checks with its library, in the order of this list, and prints a line for each:
//
//	client redigo 1.9.3 RESP2              who runs, and the protocol that the broker sees it speak
//	ok hybrid
//	not ok watch: got [...], want null     it then ends with a status other than 0
//	skip cache: the library has none
//	restart                                kill -9 the broker, start it again, and send me a line
//
// What is not installed is skipped; COMPAT_REQUIRE=1 makes that a failure. -update writes docs/compatibility.md's table.
var clientChecks = []struct{ name, what string }{
	{"connect", "the library's own handshake with a name for the connection and database 3, as the broker sees it in `CLIENT INFO`"},
	{"load-balancing", "`LPUSH`; `BRPOP` takes the messages in order"},
	{"fan-out", "`PUBLISH` reaches a subscriber of the channel and one of a pattern"},
	{"hybrid", "`XADD`; two groups read and acknowledge the same entry"},
	{"pop-timeout", "`BRPOP` and `XREADGROUP BLOCK` give up in time, with the library's nil"},
	{"pop-served", "a `BRPOP` that waits gets what another connection pushes"},
	{"redelivery", "a consumer crashes; what it left is taken over with `XAUTOCLAIM` and `XCLAIM`"},
	{"transaction", "`MULTI`/`EXEC` and its replies"},
	{"watch", "a conflict under `WATCH` executes nothing; without a conflict it is executed"},
	{"pipeline", "10,000 commands at once, each reply checked"},
	{"binary", "a MiB of every byte as element, field, payload; 256 bytes as key"},
	{"error", "the text of a `WRONGTYPE` error; the connection goes on"},
	{"cache", "client-side caching: read once, invalidated by another client's write"},
	{"restart-data", "the broker is killed and started again: queue and pending entry are there"},
	{"restart-subscription", "a subscriber from before the restart hears what is published after it"},
}

type matrixClient struct {
	name    string
	install string   // where the library comes from
	dir     string   // where the commands run, below clients/
	probe   []string // succeeds if the library is installed
	build   []string // may be missing; @ is the program that it makes
	run     []string // gets host and port in front of args
	args    []string
}

var matrix = []matrixClient{
	goClient("go-redis", "goredis", "2"),
	goClient("go-redis", "goredis", "3"),
	goClient("redigo", "redigo"),
	goClient("rueidis", "rueidis"),
	nodeClient("node-redis", "redis", "noderedis.js"),
	nodeClient("ioredis", "ioredis", "ioredis.js"),
	{
		name: "redis-py", install: "Debian, python3-redis", dir: "python",
		probe: []string{"/usr/bin/python3", "-c", "import redis"},
		run:   []string{"/usr/bin/python3", "redispy.py"},
	}, {
		name: "hiredis", install: "Debian, libhiredis-dev", dir: "hiredis",
		probe: []string{"sh", "-c", "echo '#include <hiredis/hiredis.h>' | gcc -E -"},
		build: []string{"gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", "@", "hiredis.c", "-lhiredis"},
		run:   []string{"@"},
	}, {
		name: "phpredis", install: "Debian, php-redis", dir: "php",
		probe: []string{"/usr/bin/php", "-r", "exit(extension_loaded('redis') && extension_loaded('pcntl') ? 0 : 1);"},
		run:   []string{"/usr/bin/php", "phpredis.php"},
	}, {
		name: "redis-rb", install: "Debian, ruby-redis", dir: "ruby",
		probe: []string{"/usr/bin/ruby", "-e", "require 'redis'"},
		run:   []string{"/usr/bin/ruby", "redisrb.rb"},
	}, {
		name: "redis-cli", install: "Debian, redis-tools", dir: "rediscli",
		probe: []string{"redis-cli", "--version"},
		run:   []string{"bash", "rediscli.sh"},
	},
}

func goClient(name, program string, args ...string) matrixClient {
	return matrixClient{
		name: name, install: "Go proxy", dir: "go",
		probe: []string{"go", "list", "-deps", "-f", "{{/* errors only */}}", "./" + program},
		build: []string{"go", "build", "-o", "@", "./" + program},
		run:   []string{"@"}, args: args,
	}
}

func nodeClient(name, module, program string) matrixClient {
	return matrixClient{
		name: name, install: "npm, " + module, dir: "node",
		probe: []string{"node", "-e", "require.resolve('" + module + "')"},
		run:   []string{"node", program},
	}
}

// A clientReport is what became of one program.
type clientReport struct {
	client            matrixClient
	version, protocol string
	passed            int
	skipped           []string // "cache: the library has none"
	seen              []string // names of all checks, in the order in which they came
	stderr            bytes.Buffer
	restart           func()
	failures          []string
}

var updateTable = flag.Bool("update", false, "write the client table of docs/compatibility.md")

func TestClients(t *testing.T) {
	var reports []*clientReport
	for _, c := range matrix {
		t.Run(strings.Join(append([]string{c.name}, c.args...), "-"), func(t *testing.T) {
			c.mustBeInstalled(t)
			reports = append(reports, c.play(t, ownCairn(t, t.TempDir())))
		})
	}
	if *updateTable && !t.Failed() {
		writeClientTable(t, reports)
	}
}

func (c matrixClient) command(ctx context.Context, words []string) *exec.Cmd {
	words = slices.Clone(words)
	for i, word := range words {
		if word == "@" {
			words[i] = filepath.Join(buildDir, "client-"+c.name)
		}
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = filepath.Join("clients", c.dir)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly") // tests install nothing
	return cmd
}

func (c matrixClient) mustBeInstalled(t *testing.T) {
	t.Helper()
	out, err := c.command(t.Context(), c.probe).CombinedOutput()
	if err == nil {
		return
	}
	if os.Getenv("COMPAT_REQUIRE") == "1" {
		t.Fatalf("%s is not installed (%s): %v\n%s", c.name, c.install, err, out)
	}
	t.Skipf("%s is not installed (%s); make deps does it", c.name, c.install)
}

// play runs the program and answers its calls for a restart.
func (c matrixClient) play(t *testing.T, server *daemon) *clientReport {
	t.Helper()
	if c.build != nil {
		if out, err := c.command(t.Context(), c.build).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(c.build, " "), err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	cmd := c.command(ctx, slices.Concat(c.run, []string{"127.0.0.1", server.port()}, c.args))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	report := &clientReport{client: c, restart: func() {
		server.kill()
		server = server.restart(t)
		io.WriteString(stdin, "\n") // a program that has ended is told from its status
	}}
	cmd.Stderr = &report.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	report.read(stdout)
	if err := cmd.Wait(); err != nil {
		report.failures = append(report.failures, err.Error())
	}
	report.complain(t)
	return report
}

func (r *clientReport) read(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		line := lines.Text()
		kind, rest, _ := strings.Cut(line, " ")
		name, _, _ := strings.Cut(rest, ":")
		switch kind {
		case "client":
			fmt.Sscan(rest, new(string), &r.version, &r.protocol) // what is missing is empty, and complained of
		case "restart":
			r.restart()
		case "ok":
			r.passed++
			r.seen = append(r.seen, name)
		case "skip":
			r.skipped = append(r.skipped, rest)
			r.seen = append(r.seen, name)
		default:
			r.failures = append(r.failures, line)
		}
	}
}

func (r *clientReport) complain(t *testing.T) {
	t.Helper()
	for _, failure := range r.failures {
		t.Error(failure)
	}
	if len(r.failures) > 0 {
		t.Logf("stderr:\n%s", &r.stderr)
		return
	}
	var names []string
	for _, check := range clientChecks {
		names = append(names, check.name)
	}
	if !slices.Equal(r.seen, names) {
		t.Errorf("checks were %v, want %v", r.seen, names)
	}
	if r.version == "" || r.protocol == "" {
		t.Error("the program did not say its version and protocol")
	}
}

const (
	tableBegin = "<!-- Written by TestClients -update. -->\n"
	tableEnd   = "<!-- The end of what TestClients writes. -->\n"
)

func writeClientTable(t *testing.T, reports []*clientReport) {
	const path = "../docs/compatibility.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the lines between which the table stands", path)
	}
	if err := os.WriteFile(path, []byte(before+tableBegin+clientTable(reports)+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func clientTable(reports []*clientReport) string {
	var b strings.Builder
	fmt.Fprint(&b, "\n| Library | Version | From | Protocol | Checks passed | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range reports {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %d of %d | %s |\n", r.client.name, r.version, r.client.install, r.protocol,
			r.passed, len(clientChecks)-len(r.skipped), strings.Join(r.skipped, "; "))
	}
	fmt.Fprint(&b, "\nThe checks:\n\n")
	for _, check := range clientChecks {
		fmt.Fprintf(&b, "- *%s*: %s.\n", check.name, check.what)
	}
	b.WriteString("\n")
	return b.String()
}
