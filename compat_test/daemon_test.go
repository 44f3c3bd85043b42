package compat_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

var buildDir string // where the cairn binary goes; made and removed by TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cairn-compat-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	redis.SetLogger(silence{}) // tests that kill the server know that it is gone
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// buildCairn returns the command that is the server under test. CAIRN_COMMAND="redis-server --appendonly yes" puts
// the real Redis in its place: the tests must pass there too.
var buildCairn = sync.OnceValues(func() ([]string, error) {
	if command := os.Getenv("CAIRN_COMMAND"); command != "" {
		return strings.Fields(command), nil
	}
	bin := filepath.Join(buildDir, "cairn")
	args := []string{"build", "-o", bin}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "..")...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build cairn: %w\n%s", err, out)
	}
	return []string{bin}, nil
})

// redisServer is the path of the real Redis, or empty with the reason.
func redisServer() (path, missing string) {
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Sprintf("no real Redis to compare with: %v (install redis-server, or set REDIS_SERVER)", err)
	}
	return path, ""
}

// A daemon is a server process of this test, or one that ran before (no process then, only an address).
type daemon struct {
	addr   string
	bin    string
	args   []string
	cmd    *exec.Cmd
	log    *logBuffer
	exited chan struct{}
}

// startCairn runs cairn on dir, or hands out the server at CAIRN_ADDR when no options are asked for.
func startCairn(t testing.TB, dir string, options ...string) *daemon {
	t.Helper()
	if addr := os.Getenv("CAIRN_ADDR"); addr != "" {
		if len(options) > 0 {
			t.Skip("needs a server of its own; CAIRN_ADDR is set")
		}
		return &daemon{addr: addr}
	}
	command, err := buildCairn()
	if err != nil {
		t.Fatal(err)
	}
	args := slices.Concat(command[1:], []string{"--dir", dir, "--bind", "127.0.0.1"})
	if !slices.Contains(options, "--appendfsync") {
		args = append(args, "--appendfsync", "no")
	}
	return start(t, command[0], append(args, options...))
}

// ownCairn is startCairn for tests that kill the server or need its options.
func ownCairn(t testing.TB, dir string, options ...string) *daemon {
	t.Helper()
	if os.Getenv("CAIRN_ADDR") != "" {
		t.Skip("needs a server of its own; CAIRN_ADDR is set")
	}
	return startCairn(t, dir, options...)
}

func startRedis(t testing.TB, dir string, options ...string) *daemon {
	t.Helper()
	bin, missing := redisServer()
	if missing != "" {
		t.Skip(missing)
	}
	return start(t, bin, append([]string{"--dir", dir, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--hz", "100", // how often it looks for timeouts
	}, options...))
}

// start picks a free port. Another process may take it before the server does, hence a second and third try.
func start(t testing.TB, bin string, args []string) *daemon {
	t.Helper()
	var err error
	for range 3 {
		var port string
		if port, err = freePort(); err != nil {
			break
		}
		var d *daemon
		if d, err = launch(bin, port, args); err == nil {
			t.Cleanup(func() { d.stop(t) })
			return d
		}
	}
	t.Fatal(err)
	return nil
}

// restart runs the server again as it was, on the same port and directory. It must have ended.
func (d *daemon) restart(t testing.TB) *daemon {
	t.Helper()
	<-d.exited
	next, err := launchCommand(d.bin, d.port(), d.args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { next.stop(t) })
	return next
}

func launch(bin, port string, args []string) (*daemon, error) {
	return launchCommand(bin, port, append([]string{"--port", port}, args...))
}

// launchCommand takes the arguments as they are; they must make the server listen on the port.
func launchCommand(bin, port string, args []string) (*daemon, error) {
	d := &daemon{
		addr:   net.JoinHostPort("127.0.0.1", port),
		bin:    bin,
		args:   args,
		cmd:    exec.Command(bin, args...),
		log:    newLogBuffer("Ready to accept connections"),
		exited: make(chan struct{}),
	}
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		d.cmd.Wait() // how it ended is in its log
		close(d.exited)
	}()
	select {
	case <-d.log.ready:
		return d, nil
	case <-d.exited:
		return nil, fmt.Errorf("%s ended before it was ready:\n%s", filepath.Base(bin), d.log)
	case <-time.After(patience):
		d.kill()
		return nil, fmt.Errorf("%s was not ready within %v:\n%s", filepath.Base(bin), patience, d.log)
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// kill is kill -9: the process gets no chance to write anything.
func (d *daemon) kill() {
	d.cmd.Process.Kill() // an error means that it has ended already
	<-d.exited
}

func (d *daemon) stop(t testing.TB) {
	select {
	case <-d.exited:
	default:
		d.kill()
	}
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(d.log.String(), bad) {
			t.Errorf("the server's log has %q:\n%s", bad, d.log)
			return
		}
	}
}

// terminate asks the server to end and waits until it has.
func (d *daemon) terminate(t testing.TB) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Fatalf("still running %v after SIGTERM:\n%s", patience, d.log)
	}
}

func (d *daemon) port() string {
	_, port, _ := net.SplitHostPort(d.addr) // addr was made by JoinHostPort or is refused at dial
	return port
}

// A logBuffer keeps what a process writes and tells when a line has appeared.
type logBuffer struct {
	mu    sync.Mutex
	text  bytes.Buffer
	line  string
	ready chan struct{}
	seen  bool
}

func newLogBuffer(line string) *logBuffer {
	return &logBuffer{line: line, ready: make(chan struct{})}
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if !l.seen && bytes.Contains(l.text.Bytes(), []byte(l.line)) {
		l.seen = true
		close(l.ready)
	}
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func run(t testing.TB, bin string, args ...string) string {
	t.Helper()
	out, err := exec.Command(bin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(bin), strings.Join(args, " "), err, out)
	}
	return string(out)
}
