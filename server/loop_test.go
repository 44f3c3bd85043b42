package server

import (
	"io"
	"slices"
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
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem(), Seed: 1, MemTableBytes: 1 << 20, LogSegmentBytes: 256 << 10})
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
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem(), Seed: 1, MemTableBytes: 1 << 20, LogSegmentBytes: 256 << 10})
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

// bench is a loop with connections whose peers have sent something.
type bench struct {
	*loop
	t testing.TB
}

func newBench(t testing.TB) *bench {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem(), Seed: 1, MemTableBytes: 1 << 20, LogSegmentBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	c := config.New()
	return &bench{newLoop(broker.New(broker.Options{Config: c, Store: store}), c, &Log{out: io.Discard}, newPortablePoller(), nil), t}
}

// sends has a new connection send something.
func (b *bench) sends(text string) *conn {
	c := newConn(&talking{sent: text})
	c.session = b.broker.Connect(c, time.Now())
	c.index = len(b.conns)
	b.conns = append(b.conns, c)
	b.enqueue(c)
	return c
}

func (b *bench) turn() {
	b.t.Helper()
	if err := b.loop.turn(time.Now()); err != nil {
		b.t.Fatal(err)
	}
}

// Who sends a command now and then is served in the next turn, however many send
// as much as they can, be it many commands or long ones.
func TestTheBusyDoNotHoldUpOthers(t *testing.T) {
	b := newBench(t)
	for range 100 {
		b.sends(strings.Repeat("PING\r\n", 50*shareMax))
		b.sends(bulkCommand("ECHO", strings.Repeat("x", 1<<20)))
	}
	isBusy := func(c *conn) bool { return c.busy }
	for turns := 0; !slices.ContainsFunc(b.conns, isBusy) || len(b.queue) > 0; turns++ {
		if b.turn(); turns > 1000 {
			t.Fatal("nobody has more to run than its share")
		}
	}
	for _, c := range b.conns {
		b.enqueue(c) // the rest of the long commands has come
	}
	witness := b.sends("PING\r\n")
	b.turn()
	if got := string(witness.session.Out.Bytes()); got != "+PONG\r\n" {
		t.Errorf("a turn later the witness has %q", got)
	}
}

// Nor do those who have much to run starve when the others together fill all turns.
func TestTheBusyDoNotStarve(t *testing.T) {
	b := newBench(t)
	busy := b.sends(strings.Repeat("PING\r\n", 50*shareMax))
	b.turn()
	for range 10 {
		for range 2 * turnRequestsMax / firstShareMax {
			b.sends(strings.Repeat("PING\r\n", firstShareMax-1))
		}
		before := busy.session.Out.Len()
		if b.turn(); busy.session.Out.Len() == before { // how much depends on the machine
			t.Fatalf("%d bytes of replies, as many as a turn before", before)
		}
	}
}

// answered is a link that notes when its peer was written to.
type answered struct {
	talking
	name  string
	order *[]string
}

func (l *answered) write(segments [][]byte) (int, error) {
	n := 0
	for _, s := range segments {
		n += len(s)
	}
	if n > 0 {
		*l.order = append(*l.order, l.name)
	}
	return n, nil
}

// Who takes from a list hears before producers, whoever came first.
func TestConsumersAreAnsweredFirst(t *testing.T) {
	b := newBench(t)
	var order []string
	for _, turn := range []struct{ sent, answered []string }{
		{sent: []string{"waiting: BRPOP q 0", "moving: BLMOVE q2 q3 LEFT RIGHT 0"}},
		{
			sent:     []string{"producer: LPUSH q a b", "other producer: XADD s * f v", "mover's: LPUSH q2 a", "consumer: RPOP q", "reader: LLEN q"},
			answered: []string{"waiting", "moving", "consumer", "producer", "other producer", "mover's", "reader"},
		},
	} {
		for _, line := range turn.sent {
			name, words, _ := strings.Cut(line, ": ")
			c := b.sends("")
			c.link = &answered{talking{sent: words + "\r\n"}, name, &order}
		}
		b.turn()
		if !slices.Equal(order, turn.answered) {
			t.Errorf("answered in this order: %q, want %q", order, turn.answered)
		}
	}
}
