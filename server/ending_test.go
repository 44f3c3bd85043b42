package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// On a signal those who wait are released, those who are owed a reply get it,
// and Run returns without an error.
func TestEndInGoodOrder(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path})
		blocked, owed, idle := i.dial(t), i.dial(t), i.dial(t)
		value := strings.Repeat("x", 5<<20)
		owed.send(bulkCommand("RPUSH", "q", value))
		owed.reply()
		blocked.send("BLPOP nothing 0\r\n")
		idle.until("INFO clients", "blocked_clients:1")
		owed.send("LINDEX q 0\r\n")
		if _, err := owed.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		i.Stop("Received a signal")
		if got := owed.reply(); got != value {
			t.Errorf("%d bytes", len(got))
		}
		if got := blocked.reply(); !strings.HasPrefix(got, "-UNBLOCKED") {
			t.Error(got)
		}
		idle.closedBy()
		i.wait(t)
		if i.err != nil {
			t.Error(i.err)
		}
	})
}

// A client that does not take its replies does not hold up the end for longer
// than shutdown-timeout.
func TestEndDoesNotWaitForEver(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--shutdown-timeout", "1"}})
		c := i.dial(t)
		c.sendBehind(bulkCommand("RPUSH", "q", strings.Repeat("x", 30<<20)) + "LINDEX q 0\r\n")
		if got := c.reply(); got != ":1" {
			t.Fatal(got)
		}
		if _, err := c.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		i.Stop("Received a signal")
		i.wait(t)
		if took := time.Since(began); i.err != nil || took < time.Second {
			t.Error(i.err, took)
		}
	})
}

func TestShutdownCommand(t *testing.T) {
	i := start(t, setup{})
	c := i.dial(t)
	c.do("RPUSH q x", ":1")
	c.send("SHUTDOWN\r\n")
	c.closedBy()
	i.wait(t)
	if i.err != nil {
		t.Error(i.err)
	}
}

// What was acknowledged is there after a restart.
func TestRestart(t *testing.T) {
	fs := vfs.NewMem()
	i := start(t, setup{fs: fs})
	i.dial(t).do("RPUSH q x", ":1")
	i.Stop("Received a signal")
	i.wait(t)
	start(t, setup{fs: fs}).dial(t).do("LRANGE q 0 -1", "[x]")
}

// When the log cannot be synced nothing is acknowledged any more, and the
// server says why it ends.
func TestFailedSync(t *testing.T) {
	for _, policy := range []string{"always", "everysec"} {
		t.Run(policy, func(t *testing.T) {
			var broken errorfs.Toggle
			broken.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
				if strings.Contains(op.Path, "/log/") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
					return errors.New("the disk is on fire")
				}
				return nil
			})
			i := start(t, setup{fs: errorfs.Wrap(vfs.NewMem(), &broken), options: []string{"--appendfsync", policy}})
			c := i.dial(t)
			c.do("RPUSH q x", ":1")
			broken.On()
			c.send("RPUSH q y\r\n")
			if policy == "always" {
				c.closedBy() // no reply
			}
			i.wait(t)
			if i.err == nil || !strings.Contains(i.err.Error(), "the disk is on fire") {
				t.Error(i.err)
			}
		})
	}
}

// CONFIG SET appendfsync takes effect at once: with everysec a reply does not
// wait for a sync, with always it does.
func TestAppendFsyncAtRunTime(t *testing.T) {
	var broken errorfs.Toggle
	broken.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.Contains(op.Path, "/log/") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			return errors.New("the disk is on fire")
		}
		return nil
	})
	i := start(t, setup{fs: errorfs.Wrap(vfs.NewMem(), &broken)})
	c := i.dial(t)
	c.do("CONFIG SET appendfsync no", "+OK")
	broken.On()
	c.do("RPUSH q x", ":1")
	c.send("CONFIG SET appendfsync always\r\n") // what was put off cannot be synced
	c.closedBy()
	i.wait(t)
	if i.err == nil {
		t.Error("no error")
	}
}
