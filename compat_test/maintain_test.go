package compat_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// cairn runs one of the program's words (check, backup, restore) to its end.
func cairn(t *testing.T, env []string, args ...string) (out string, err error) {
	t.Helper()
	if os.Getenv("CAIRN_COMMAND") != "" {
		t.Skip("the word is cairn's own")
	}
	command, err := buildCairn()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command[0], args...)
	cmd.Env = append(os.Environ(), env...)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func mustCairn(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := cairn(t, env, args...)
	if err != nil {
		t.Fatalf("cairn %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

const backupProducers = 4

// TestBackupUnderLoad has backups made while producers write, brings each back and looks into it. A producer pushes
// its numbers in order, to a list and a stream in one transaction: a backup must hold the first n of each, in both or
// in neither, and n is at least what was acknowledged before the backup was asked for.
func TestBackupUnderLoad(t *testing.T) {
	dir := t.TempDir()
	server := ownCairn(t, dir, "--appendfsync", "always", "--requirepass", "secret", "--backup-keep", "0")
	options := &redis.Options{Addr: server.addr, Password: "secret", MaxRetries: -1}
	rdb := redis.NewClient(options)
	defer rdb.Close()
	ctx := t.Context()
	var acknowledged [backupProducers]atomic.Int64
	var producers sync.WaitGroup
	quit := make(chan struct{})
	for p := range backupProducers {
		producers.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case <-quit:
					return
				default:
				}
				_, err := rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
					tx.RPush(ctx, fmt.Sprint("list", p), n)
					tx.XAdd(ctx, &redis.XAddArgs{Stream: fmt.Sprint("stream", p), Values: []any{"n", n}})
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				acknowledged[p].Store(n)
			}
		})
	}
	var before [3][backupProducers]int64
	var made [3]string
	for i := range made {
		for p := range backupProducers {
			for acknowledged[p].Load() < int64(100*(i+1)) && !t.Failed() {
				rdb.Ping(ctx)
			}
			before[i][p] = acknowledged[p].Load()
		}
		args := []string{"backup", "--dir", dir, "--port", server.port()}
		if i == 1 {
			args = append(args, "--to", filepath.Join(t.TempDir(), "elsewhere"))
		}
		out := mustCairn(t, []string{"REDISCLI_AUTH=secret"}, args...)
		_, path, _ := strings.Cut(strings.TrimSpace(out), "Backup: ")
		made[i] = path
		if i == 1 && path != args[len(args)-1] {
			t.Errorf("the backup is in %s", path)
		}
	}
	close(quit)
	producers.Wait()
	for i, path := range made {
		restored := filepath.Join(t.TempDir(), "data")
		mustCairn(t, nil, "restore", "--from", path, "--dir", restored)
		second := ownCairn(t, restored)
		old := redis.NewClient(&redis.Options{Addr: second.addr})
		for p := range backupProducers {
			list := value(t, old.LRange(ctx, fmt.Sprint("list", p), 0, -1))
			entries := value(t, old.XRange(ctx, fmt.Sprint("stream", p), "-", "+"))
			if len(list) != len(entries) || int64(len(list)) < before[i][p] {
				t.Fatalf("backup %d, producer %d: %d elements, %d entries; %d were acknowledged before", i, p, len(list), len(entries), before[i][p])
			}
			for n := range list {
				if want := strconv.Itoa(n + 1); list[n] != want || entries[n].Values["n"] != want {
					t.Fatalf("backup %d, producer %d: element %s, entry %v where both should be %s", i, p, list[n], entries[n].Values, want)
				}
			}
		}
		old.Close()
		second.terminate(t)
		mustCairn(t, nil, "check", "--dir", restored)
	}
}

func TestBackupOfAFolderThatIsNotInUse(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	server := ownCairn(t, dir)
	want(t, connect(t, server, 3).RPush(t.Context(), "q", "one", "two"), int64(2))
	server.terminate(t)
	mustCairn(t, nil, "backup", "--dir", dir, "--to", to)
	if out, err := cairn(t, nil, "backup", "--dir", dir, "--to", to); err == nil || !strings.Contains(out, "exists already") {
		t.Errorf("a second backup of the same name: %v\n%s", err, out)
	}
	mustCairn(t, nil, "backup", "--dir", dir)
	if names, err := filepath.Glob(filepath.Join(dir, "backups", "backup-*")); err != nil || len(names) != 1 {
		t.Errorf("backups: %v, %v", names, err)
	}
	restored := t.TempDir()
	mustCairn(t, nil, "restore", "--from", to, "--dir", restored)
	want(t, connect(t, ownCairn(t, restored), 3).LRange(t.Context(), "q", 0, -1), []string{"one", "two"})
}

// What cannot be done is said, and changes nothing.
func TestMaintainErrors(t *testing.T) {
	dir, empty := t.TempDir(), t.TempDir()
	server := ownCairn(t, dir, "--requirepass", "secret")
	other := ownCairn(t, t.TempDir())
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"check", "--dir", dir}, []string{"in use"}},
		{[]string{"check", "--dir", empty}, []string{"no data folder"}},
		{[]string{"check", "--no-such"}, []string{"no-such"}},
		{[]string{"backup", "--dir", empty}, []string{"no data folder"}},
		{[]string{"backup", "--dir", dir, "--port", server.port()}, []string{"NOAUTH", "REDISCLI_AUTH"}},
		{[]string{"backup", "--dir", dir, "--port", other.port()}, []string{"serves", "--port"}},
		{[]string{"backup", "--dir", dir, "--to"}, []string{"--to needs a value"}},
		{[]string{"restore", "--dir", empty}, []string{"--from"}},
		{[]string{"restore", "--from", empty, "--dir", filepath.Join(empty, "new")}, []string{"no data folder"}},
		{[]string{"restore", "--from", dir, "--dir", dir}, []string{"holds data already"}},
	} {
		out, err := cairn(t, nil, tt.args...)
		if err == nil {
			t.Errorf("%v: exit status 0\n%s", tt.args, out)
		}
		for _, w := range tt.want {
			if !strings.Contains(out, w) {
				t.Errorf("%v does not mention %q:\n%s", tt.args, w, out)
			}
		}
	}
	if names, err := os.ReadDir(empty); err != nil || len(names) > 0 {
		t.Errorf("the empty folder holds %v, %v", names, err)
	}
}

// A damaged folder is not started on, and what is said names the way out.
func TestDamagedFolder(t *testing.T) {
	dir := t.TempDir()
	server := ownCairn(t, dir, "--appendfsync", "always")
	rdb := connect(t, server, 3)
	for n := range int64(40) {
		want(t, rdb.RPush(t.Context(), "q", strings.Repeat("x", 10_000)), n+1)
	}
	server.kill()
	logs, err := filepath.Glob(filepath.Join(dir, "log", "log-*"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	log := logs[0] // the one after it was made ahead
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := append([]byte(nil), whole...)
	copy(spoilt[100_000:], "damage")
	if err := os.WriteFile(log, spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	wantMention(t, refuse(t, "--dir", dir, "--port", server.port()), "is damaged", "cairn check", "cairn restore")
	if out, err := cairn(t, nil, "check", "--dir", dir); err == nil || !strings.Contains(out, "problem: ") {
		t.Errorf("check: %v\n%s", err, out)
	}
	if err := os.WriteFile(log, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, connect(t, server.restart(t), 3).LLen(t.Context(), "q"), int64(40))
}
