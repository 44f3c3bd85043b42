package compat_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// smallDisk is a file system of its own, in memory.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "none", dir).CombinedOutput(); err != nil {
		t.Skipf("a file system of its own takes the right to mount one: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// On a disk that fills up, what adds data is refused with the reason; all that was acknowledged is there, can be read,
// taken away and acknowledged, also after a restart; and when there is room again all goes on without anybody's doing.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "300m")
	server := ownCairn(t, disk+"/data", "--appendfsync", "always", "--min-free-disk", "60mb")
	ctx := t.Context()
	rdb := redis.NewClient(&redis.Options{Addr: server.addr, MaxRetries: -1})
	defer rdb.Close()
	want(t, rdb.XGroupCreateMkStream(ctx, "s", "g", "0"), "OK")
	id := value(t, rdb.XAdd(ctx, &redis.XAddArgs{Stream: "s", Values: []string{"f", "v"}}))
	payload := make([]byte, 32<<10)
	rand.Read(payload)
	pushed := int64(0)
	var full error
	for full == nil && pushed < 20_000 {
		replies, _ := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range 16 {
				p.LPush(ctx, "q", payload)
			}
			return nil
		})
		for _, reply := range replies {
			if err := reply.Err(); err != nil {
				full = err
			} else {
				pushed++
			}
		}
	}
	const reason = "OOM command not allowed when free disk space < 'min-free-disk'"
	if full == nil || !strings.HasPrefix(full.Error(), reason) {
		t.Fatalf("after %d elements: %v", pushed, full)
	}
	if got := value(t, rdb.Info(ctx, "cairn")); !strings.Contains(got, "disk_full:1\r\n") {
		t.Errorf("INFO does not say that the disk is full:\n%s", got)
	}
	// What takes away, reads or acknowledges goes on.
	want(t, rdb.LLen(ctx, "q"), pushed)
	want(t, rdb.LIndex(ctx, "q", -1), string(payload))
	read := value(t, rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"s", ">"}}))
	if len(read) != 1 || read[0].Messages[0].ID != id {
		t.Errorf("XREADGROUP: %v", read)
	}
	want(t, rdb.XAck(ctx, "s", "g", id), int64(1))
	want(t, rdb.Publish(ctx, "news", "hello"), int64(0))
	want(t, rdb.RPop(ctx, "q"), string(payload))
	pushed--
	// A transaction is executed whole or not at all.
	_, err := rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.RPop(ctx, "q")
		tx.LPush(ctx, "q", "x")
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "EXECABORT") && !strings.HasPrefix(err.Error(), reason) {
		t.Errorf("EXEC: %v", err)
	}
	want(t, rdb.LLen(ctx, "q"), pushed)
	server.kill()
	server = server.restart(t)
	want(t, rdb.LLen(ctx, "q"), pushed)
	for pushed > 0 {
		popped := value(t, rdb.RPopCount(ctx, "q", 64))
		for _, e := range popped {
			if e != string(payload) {
				t.Fatalf("an element of %d bytes", len(e))
			}
		}
		pushed -= int64(len(popped))
	}
	awaitRoom(t, rdb)
	mustCairnCheck(t, server, disk+"/data")
}

// Somebody else fills the disk to the last byte and makes room again. Nothing acknowledged is lost.
func TestDiskFilledByOthers(t *testing.T) {
	disk := smallDisk(t, "200m")
	server := ownCairn(t, disk+"/data", "--appendfsync", "always", "--min-free-disk", "1mb")
	ctx := t.Context()
	rdb := redis.NewClient(&redis.Options{Addr: server.addr, MaxRetries: -1})
	defer rdb.Close()
	want(t, rdb.RPush(ctx, "q", "one", "two"), int64(2))
	other := disk + "/other"
	if out, err := exec.Command("sh", "-c", "cat /dev/zero > "+other).CombinedOutput(); err == nil {
		t.Fatalf("the disk does not fill up: %s", out)
	}
	deadline := time.Now().Add(patience)
	err := error(nil)
	for n := int64(3); err == nil && time.Now().Before(deadline); n++ {
		err = rdb.RPush(ctx, "q", "more").Err()
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM ") {
		t.Fatalf("on a full disk: %v", err)
	}
	length := value(t, rdb.LLen(ctx, "q"))
	want(t, rdb.LPop(ctx, "q"), "one")
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	awaitRoom(t, rdb)
	want(t, rdb.LLen(ctx, "q"), length-1)
	mustCairnCheck(t, server, disk+"/data")
}

// awaitRoom waits until what adds data is taken again.
func awaitRoom(t *testing.T, rdb *redis.Client) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := rdb.LPush(t.Context(), "after", "x").Err()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still no room %v later: %v", patience, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func mustCairnCheck(t *testing.T, server *daemon, dir string) {
	t.Helper()
	server.terminate(t)
	if status := server.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("exit status %d:\n%s", status, server.log)
	}
	mustCairn(t, nil, "check", "--dir", dir)
}
