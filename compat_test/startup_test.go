package compat_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// refuse runs cairn with options that it must not start with, and returns what it says.
func refuse(t *testing.T, options ...string) string {
	t.Helper()
	if os.Getenv("CAIRN_COMMAND") != "" {
		t.Skip("the words are cairn's own")
	}
	command, err := buildCairn()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), command[0], options...).CombinedOutput()
	if err == nil {
		t.Errorf("exit status 0, with %s", out)
	}
	return strings.ToLower(string(out))
}

func wantMention(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("does not mention %q:\n%s", w, out)
		}
	}
	if strings.Contains(out, "goroutine ") {
		t.Errorf("a stack trace is no message:\n%s", out)
	}
}

func TestStartupErrors(t *testing.T) {
	t.Run("unknown directive", func(t *testing.T) {
		wantMention(t, refuse(t, "--dir", t.TempDir(), "--no-such-directive", "1"), "no-such-directive")
	})
	t.Run("bad value", func(t *testing.T) {
		wantMention(t, refuse(t, "--dir", t.TempDir(), "--appendfsync", "sometimes"), "appendfsync", "always", "everysec")
	})
	t.Run("port taken", func(t *testing.T) {
		server := ownCairn(t, t.TempDir())
		wantMention(t, refuse(t, "--dir", t.TempDir(), "--port", server.port()), server.port())
	})
	t.Run("folder in use", func(t *testing.T) {
		dir := t.TempDir()
		ownCairn(t, dir)
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		wantMention(t, refuse(t, "--dir", dir, "--port", port), strings.ToLower(dir))
	})
	t.Run("folder is a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		wantMention(t, refuse(t, "--dir", file, "--port", port), strings.ToLower(file))
	})
}

func TestConfigurationFile(t *testing.T) {
	ownCairn(t, t.TempDir()) // skips where there is nothing to start
	if os.Getenv("CAIRN_COMMAND") != "" {
		t.Skip("starts cairn by itself")
	}
	command, err := buildCairn()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "cairn.conf")
	text := "# a comment\nbind 127.0.0.1\ntimeout 100\n\ndir \"" + dir + "\"\ntcp-keepalive 60\nport 1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	// The file comes first, and flags win: the port of the file is never used.
	server, err := launchCommand(command[0], port, []string{file, "--port", port, "--timeout", "200"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.stop(t) })
	rdb := connect(t, server, 3)
	want(t, rdb.ConfigGet(t.Context(), "timeout"), map[string]string{"timeout": "200"})
	want(t, rdb.ConfigGet(t.Context(), "tcp-keepalive"), map[string]string{"tcp-keepalive": "60"})
}

func TestShutdown(t *testing.T) {
	dir := t.TempDir()
	server := ownCairn(t, dir, "--appendfsync", "everysec")
	ctx := t.Context()
	want(t, connect(t, server, 3).RPush(ctx, "q", "one"), int64(1))
	server.terminate(t)
	if status := server.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("exit status %d after SIGTERM:\n%s", status, server.log)
	}
	server = server.restart(t)
	rdb := connect(t, server, 3)
	want(t, rdb.RPush(ctx, "q", "two"), int64(2))
	c, err := dial(server.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.send(encode([]string{"SHUTDOWN"})); err != nil {
		t.Fatal(err)
	}
	if frames, err := c.drain(); err != nil || len(frames) > 0 {
		t.Errorf("SHUTDOWN answered %v, %v", frames, err)
	}
	<-server.exited
	if status := server.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("exit status %d after SHUTDOWN:\n%s", status, server.log)
	}
	server = server.restart(t)
	want(t, connect(t, server, 3).LRange(ctx, "q", 0, -1), []string{"one", "two"})
}

func TestUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cairn.sock")
	ownCairn(t, t.TempDir(), "--unixsocket", socket)
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer rdb.Close()
	want(t, rdb.RPush(t.Context(), "q", "v"), int64(1))
	want(t, rdb.BLPop(t.Context(), 0, "q"), []string{"q", "v"})
}

func TestPassword(t *testing.T) {
	server := ownCairn(t, t.TempDir(), "--requirepass", "secret")
	for _, protocol := range []int{2, 3} {
		rdb := redis.NewClient(&redis.Options{Addr: server.addr, Protocol: protocol, Password: "secret"})
		want(t, rdb.Ping(t.Context()), "PONG")
		rdb.Close()
		rdb = redis.NewClient(&redis.Options{Addr: server.addr, Protocol: protocol, Password: "wrong"})
		if err := rdb.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("wrong password: %v", err)
		}
		rdb.Close()
		rdb = redis.NewClient(&redis.Options{Addr: server.addr, Protocol: protocol})
		if err := rdb.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
			t.Errorf("no password: %v", err)
		}
		rdb.Close()
	}
}
