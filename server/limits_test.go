package server

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cairnmq/cairn/broker"
	"github.com/cairnmq/cairn/config"
)

// stuck is a link whose socket takes nothing.
type stuck struct{ closed bool }

func (*stuck) read([]byte) (int, error)      { return 0, nil }
func (*stuck) write([][]byte) (int, error)   { return 0, nil }
func (*stuck) watch(interest) error          { return nil }
func (*stuck) keepAlive(time.Duration) error { return nil }
func (s *stuck) close()                      { s.closed = true }
func (*stuck) memoryBytes() int              { return 0 }
func (*stuck) fd() int                       { return -1 }
func (*stuck) localAddr() net.Addr           { return &net.TCPAddr{} }
func (*stuck) remoteAddr() net.Addr          { return &net.TCPAddr{} }
func (*stuck) gone() bool                    { return false }
func (*stuck) seesEnd() bool                 { return true }

// The soft limit closes a client that stays above it for its seconds, not one
// that drops below in between.
func TestSoftOutputLimit(t *testing.T) {
	c := config.New()
	if err := c.Set([]config.Pair{{Name: "client-output-buffer-limit", Value: "normal 1000 100 10"}}); err != nil {
		t.Fatal(err)
	}
	log := &Log{out: io.Discard}
	b := broker.New(broker.Options{Config: c})
	l := newLoop(b, c, log, newPortablePoller(), nil)
	began := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	connect := func() (*conn, *stuck) {
		s := &stuck{}
		conn := newConn(s)
		conn.session = b.Connect(conn, began)
		l.conns = append(l.conns, conn)
		conn.index = len(l.conns) - 1
		return conn, s
	}

	conn, link := connect()
	conn.session.Out.Raw(make([]byte, 101))
	l.look(conn, at(0))
	l.look(conn, at(10))
	if link.closed {
		t.Error("closed before its time")
	}
	l.look(conn, at(11))
	if !link.closed || len(l.conns) != 0 {
		t.Error("not closed after its time")
	}

	conn, link = connect()
	conn.session.Out.Raw(make([]byte, 101))
	l.look(conn, at(0))
	conn.session.Out.Consume(50)
	l.look(conn, at(9))
	conn.session.Out.Raw(make([]byte, 100))
	l.look(conn, at(11))
	l.look(conn, at(21))
	if link.closed {
		t.Error("closed although it was below its limit in between")
	}
	conn.session.Out.Raw(make([]byte, 900))
	l.look(conn, at(22))
	if !link.closed || b.Server().Counters.OutputLimitKills != 2 {
		t.Error("not closed at its hard limit")
	}
}

// Every connection is looked at once a second.
func TestUpkeepReachesEverybody(t *testing.T) {
	c := config.New()
	c.Timeout = time.Second
	b := broker.New(broker.Options{Config: c})
	l := newLoop(b, c, &Log{out: io.Discard}, newPortablePoller(), nil)
	began := time.Unix(1000, 0)
	for range 137 {
		conn := newConn(&stuck{})
		conn.session = b.Connect(conn, began)
		conn.index = len(l.conns)
		l.conns = append(l.conns, conn)
	}
	for n := range 10 * upkeepParts {
		l.upkeep(began.Add(2*time.Second + time.Duration(n)*upkeepPeriod))
	}
	if len(l.conns) != 0 {
		t.Errorf("%d idle clients are left", len(l.conns))
	}
}

// What a client queues in a transaction counts as input that is not yet run.
func TestQueuedCommandsAreInput(t *testing.T) {
	i := start(t, setup{options: []string{"--client-query-buffer-limit", "1mb"}})
	c := i.dial(t)
	c.do("MULTI", "+OK")
	push := bulkCommand("RPUSH", "q", strings.Repeat("x", 300<<10))
	for range 3 {
		c.send(push)
		if got := c.reply(); got != "+QUEUED" {
			t.Fatal(got)
		}
	}
	c.sendBehind(push)
	c.closedBy()
	other := i.dial(t)
	other.do("EXISTS q", ":0")
	other.until("INFO stats", "client_query_buffer_limit_disconnections:1")
	// A thousand small ones are no less.
	c = i.dial(t)
	c.do("MULTI", "+OK")
	c.sendBehind(strings.Repeat("PING\r\n", 20000))
	for {
		if _, err := readReply(c.r); err != nil {
			break
		}
	}
	other.until("INFO stats", "client_query_buffer_limit_disconnections:2")
}

// The clients that take most are closed when all together take too much; what
// they take is input, output, or what they have made the server remember.
func TestMaxMemoryClients(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--maxmemory-clients", "6mb", "--client-output-buffer-limit", "pubsub", "0", "0", "0"}})
		witness := i.dial(t)
		evicted := 0
		closed := func(what string) {
			t.Helper()
			evicted++
			witness.until("INFO stats", fmt.Sprintf("evicted_clients:%d\r", evicted))
			witness.do("ECHO "+what, what)
		}

		c := i.dial(t)
		c.sendBehind(fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n", 100<<20) + strings.Repeat("x", 10<<20))
		closed("input")

		c = i.dial(t)
		c.do("SUBSCRIBE ch", "[subscribe ch :1]")
		for range 40 { // what the kernel takes does not count
			witness.send(bulkCommand("PUBLISH", "ch", strings.Repeat("x", 1<<20)))
			if witness.reply() == ":0" {
				break
			}
		}
		closed("output")

		c = i.dial(t)
		c.do("MULTI", "+OK")
		c.sendBehind(strings.Repeat(bulkCommand("RPUSH", "q", strings.Repeat("x", 1<<20)), 8))
		closed("transaction")

		name := func(n int) string { return fmt.Sprintf("%06d%s", n, strings.Repeat("x", 1000)) }
		for _, command := range []string{"WATCH", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "BLPOP"} {
			c = i.dial(t)
			words := []string{command}
			for n := range 7000 {
				words = append(words, name(n))
			}
			if command == "BLPOP" {
				words = append(words, "0")
			}
			c.sendBehind(bulkCommand(words...))
			closed(command)
		}

		// Who asks not to be closed is not, as long as there are others.
		c = i.dial(t)
		c.do("CLIENT NO-EVICT ON", "+OK")
		c.do("MULTI", "+OK")
		for range 5 {
			c.send(bulkCommand("RPUSH", "q", strings.Repeat("x", 1<<20)))
			c.reply()
		}
		other := i.dial(t)
		other.do("MULTI", "+OK")
		other.sendBehind(strings.Repeat(bulkCommand("RPUSH", "q", strings.Repeat("x", 500<<10)), 4))
		closed("other")
		c.do("EXEC", "[:1 :2 :3 :4 :5]")
	})
}

// A client that has not authenticated gets its errors one by one: it cannot pile
// them up.
func TestUnauthenticatedOutput(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--requirepass", "secret"}})
		admin := i.dial(t)
		admin.do("AUTH secret", "+OK")
		c := i.dial(t)
		const n = 50_000
		c.sendBehind(strings.Repeat("PING\r\n", n))
		admin.until("INFO stats", "unexpected_error_replies") // the server is at it
		for range 50 {
			admin.send("CLIENT LIST\r\n")
			for line := range strings.Lines(admin.reply()) {
				_, omem, _ := strings.Cut(line, " omem=")
				omem, _, _ = strings.Cut(omem, " ")
				if size, _ := strconv.Atoi(omem); size > 4<<10 {
					t.Fatalf("%s bytes of output for a client without a password", omem)
				}
			}
		}
		for range n {
			if got := c.reply(); got != "-NOAUTH Authentication required." {
				t.Fatal(got)
			}
		}
	})
}

// Clients that ask for all of a long list and read none of it cost what is
// written ahead for them, not the list.
func TestReadersThatDoNotRead(t *testing.T) {
	i := start(t, setup{})
	other := i.dial(t)
	other.sendBehind(strings.Repeat(bulkCommand("RPUSH", "q", strings.Repeat("x", 10<<10)), 2000))
	for range 2000 {
		other.reply()
	}
	const readers = 20
	for range readers {
		c := i.dial(t)
		c.send(strings.Repeat("LRANGE q 0 -1\r\n", 100))
	}
	other.until("INFO clients", fmt.Sprintf("connected_clients:%d", readers+1))
	for range 20 {
		other.send("INFO memory\r\n")
		_, bytes, _ := strings.Cut(other.reply(), "mem_clients_normal:")
		bytes, _, _ = strings.Cut(bytes, "\r")
		if n, err := strconv.Atoi(bytes); err != nil || n > readers*(4<<20) {
			t.Fatalf("clients take %s bytes, %v", bytes, err)
		}
	}
}

func TestArgumentsMax(t *testing.T) {
	i := start(t, setup{options: []string{"--proto-max-multibulk-len", "20"}})
	c := i.dial(t)
	c.send(bulkCommand(strings.Split("RPUSH q 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", " ")...))
	if got := c.reply(); got != ":18" {
		t.Error(got)
	}
	c.do("CONFIG SET proto-max-multibulk-len 19", "+OK")
	c.send("*20\r\n")
	if got := c.reply(); got != "-ERR Protocol error: invalid multibulk length" {
		t.Error(got)
	}
	c.closedBy()
}
