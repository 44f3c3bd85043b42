package server

import (
	"io"
	"net"
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
