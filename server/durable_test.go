package server

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// gate is a disk whose log is synced only when the test lets it.
type gate struct {
	vfs.FS
	shut    chan struct{} // one in it: syncs wait
	entered chan struct{} // a sync has begun to wait
	open    chan struct{} // lets one go on
}

func newGate() *gate {
	g := &gate{shut: make(chan struct{}, 1), entered: make(chan struct{}), open: make(chan struct{})}
	g.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !strings.Contains(op.Path, "/log/") || (op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData) {
			return nil
		}
		select {
		case <-g.shut:
			g.entered <- struct{}{}
			<-g.open
		default:
		}
		return nil
	}))
	return g
}

// silent reports that nothing has arrived, having given it some time.
func (c *client) silent() {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		c.t.Fatal(err)
	}
	if b, err := c.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("%q, %v before the write is on disk", b, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

// Until a write is on disk nobody learns of it: not its client, nor another that
// waits for it, reads it, listens to the events of its key, or tracks it, nor one
// that executed a transaction or published in the same turn.
func TestNothingLeavesBeforeTheSync(t *testing.T) {
	g := newGate()
	i := start(t, setup{fs: g, options: []string{"--notify-keyspace-events", "KEA"}})
	writer, waiter, reader, listener, tracker, publisher := i.dial(t), i.dial(t), i.dial(t), i.dial(t), i.dial(t), i.dial(t)
	listener.do("SUBSCRIBE __keyevent@0__:rpush news", "[subscribe __keyevent@0__:rpush :1]")
	listener.reply()
	tracker.send("HELLO 3\r\n")
	tracker.reply()
	tracker.do("CLIENT TRACKING ON", "+OK")
	tracker.do("LLEN q", ":0")
	waiter.send("BLPOP q 0\r\n")
	reader.until("INFO clients", "blocked_clients:1")

	g.shut <- struct{}{}
	// In one packet, and so in one turn.
	writer.send("RPUSH q a b\r\nMULTI\r\nRPUSH p x\r\nLLEN q\r\nEXEC\r\nPUBLISH news hello\r\n")
	<-g.entered
	reader.send("LRANGE q 0 -1\r\n") // arrives while the disk works
	publisher.send("PUBLISH news again\r\n")
	for _, c := range []*client{writer, waiter, reader, listener, tracker, publisher} {
		c.silent()
	}
	g.open <- struct{}{}
	for _, want := range []string{":2", "+OK", "+QUEUED", "+QUEUED", "[:1 :1]", ":1"} {
		if got := writer.reply(); got != want {
			t.Errorf("the writer got %s, not %s", got, want)
		}
	}
	if got := waiter.reply(); got != "[q a]" {
		t.Error(got)
	}
	if got := reader.reply(); got != "[b]" {
		t.Error(got)
	}
	for _, want := range []string{"[message __keyevent@0__:rpush q]", "[message __keyevent@0__:rpush p]", "[message news hello]", "[message news again]"} {
		if got := listener.reply(); got != want {
			t.Errorf("the listener got %s, not %s", got, want)
		}
	}
	if got := tracker.reply(); !strings.Contains(got, "invalidate") {
		t.Error(got)
	}
	publisher.reply()
}
