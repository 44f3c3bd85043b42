package server

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/broker"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

// talking is a link whose peer has sent something, and takes nothing.
type talking struct {
	stuck
	sent string
}

func (l *talking) read(p []byte) (int, error) {
	n := copy(p, l.sent)
	l.sent = l.sent[n:]
	return n, nil
}

// A turn ends when it has written much, however little was sent for it.
func TestATurnWritesOnlySoMuch(t *testing.T) {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem(), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := config.New()
	b := broker.New(broker.Options{Config: c, Store: store})
	l := newLoop(b, c, &Log{out: io.Discard}, newPortablePoller(), nil)
	const size = 4 << 20
	link := &talking{sent: bulkCommand("RPUSH", "q", strings.Repeat("x", size))}
	conn := newConn(link)
	conn.session = b.Connect(conn, time.Now())
	l.conns = append(l.conns, conn)
	turn := func() {
		l.enqueue(conn)
		if err := l.turn(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for b.Server().Table.Find([]byte("rpush")).Stats.Calls == 0 {
		turn()
	}
	link.sent = strings.Repeat("CLIENT REPLY SKIP\r\nLMOVE q q LEFT RIGHT\r\n", 100)
	turn()
	if moved := b.Server().Table.Find([]byte("lmove")).Stats.Calls; moved == 0 || moved > turnWrittenMax/size+1 {
		t.Errorf("a turn moves %d elements of %d bytes", moved, size)
	}
}

// What comes before the commands of a turn (expiry, timeouts, replies of the turn
// before) may take longer than a turn may: it does not count, or nobody would be
// served as long as there is much of it.
func TestATurnRunsCommandsHoweverLateItIs(t *testing.T) {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem(), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := config.New()
	b := broker.New(broker.Options{Config: c, Store: store})
	l := newLoop(b, c, &Log{out: io.Discard}, newPortablePoller(), nil)
	conn := newConn(&talking{sent: "PING\r\n"})
	conn.session = b.Connect(conn, time.Now())
	l.conns = append(l.conns, conn)

	l.enqueue(conn)
	if err := l.turn(time.Now().Add(-2 * turnTimeMax)); err != nil {
		t.Fatal(err)
	}
	if got := string(conn.session.Out.Bytes()); got != "+PONG\r\n" {
		t.Errorf("the turn answers %q", got)
	}
}
