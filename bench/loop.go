//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

const (
	readBytesMax = 1 << 18                // taken from a socket at once
	wakeAtLeast  = 100 * time.Millisecond // the loop looks at its time limit
)

var (
	errTimeLimit   = errors.New("not done within the time limit")
	errInterrupted = errors.New("interrupted")
)

// A role is what a connection does.
type role interface {
	// next sends what follows when all replies have arrived; nothing, if there is no more.
	next(l *loop, c *conn) error
	// token is called with each piece of what arrives. Errors that the server sends do not come here.
	token(l *loop, c *conn, t *token) error
}

// A conn is a connection of the generator.
type conn struct {
	role    role
	number  int
	latency *hdrhistogram.Histogram // of replies; nil: the role measures, or nobody
	fd      int
	parser  parser
	rest    []byte // of a token that has not wholly arrived
	unsent  []byte // what the socket did not take
	sent    int64  // when the commands that wait for replies were sent; loop time
	waiting int    // replies to come
}

// A loop moves the bytes of many connections with one thread. All connections
// share its two buffers: what is in a buffer is in the processor's cache.
type loop struct {
	conns   []*conn
	timer   func(due int) error // called with the number of times that the ticker went off
	stop    <-chan struct{}     // closed when the benchmark is interrupted
	out     []byte              // for roles to put commands in before they send
	in      []byte
	token   token // the one that is being looked at
	now     int64 // time since start, in ns, of the last look at the clock
	start   time.Time
	epoll   int
	ticker  int // a timerfd, or -1
	events  []unix.EpollEvent
	waiting int // replies to come, on all connections
}

func newLoop(ctx context.Context) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{
		in: make([]byte, readBytesMax), out: make([]byte, 0, readBytesMax), start: time.Now(), stop: ctx.Done(),
		epoll: epoll, ticker: -1, events: make([]unix.EpollEvent, 256),
	}, nil
}

// close closes the connections as well.
func (l *loop) close() {
	l.hangUp()
	unix.Close(l.epoll)
}

// hangUp closes all connections.
func (l *loop) hangUp() {
	for _, c := range l.conns {
		unix.Close(c.fd)
	}
	if l.ticker >= 0 {
		unix.Close(l.ticker)
	}
	l.conns, l.ticker, l.waiting = nil, -1, 0
}

// connect opens n connections, all in the same role.
func (l *loop) connect(port, n int, r role) error {
	// More than the server's backlog at once would have to wait for a second.
	const backlog = 100
	for i := range n {
		fd, err := dial(port)
		if err != nil {
			return fmt.Errorf("connection %d: %w", len(l.conns)+1, err)
		}
		if i%backlog == backlog-1 {
			if err := ping(fd); err != nil {
				unix.Close(fd)
				return fmt.Errorf("connection %d: %w", len(l.conns)+1, err)
			}
		}
		c := &conn{role: r, number: len(l.conns), fd: fd}
		l.conns = append(l.conns, c)
		if err := unix.SetNonblock(fd, true); err != nil {
			return fmt.Errorf("connection %d: %w", c.number, err)
		}
		if err := l.watch(unix.EPOLL_CTL_ADD, c, unix.EPOLLIN); err != nil {
			return fmt.Errorf("connection %d: %w", c.number, err)
		}
	}
	return nil
}

func (l *loop) watch(change int, c *conn, events uint32) error {
	// Fd is ours to fill: it says which connection, -1 is the ticker.
	return unix.EpollCtl(l.epoll, change, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.number)})
}

// dial opens a connection that blocks.
func dial(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// ping sees that the server has accepted a connection that blocks.
func ping(fd int) error {
	if _, err := unix.Write(fd, []byte("PING\r\n")); err != nil {
		return err
	}
	const pong = "+PONG\r\n"
	got := make([]byte, 0, len(pong))
	for len(got) < len(pong) {
		n, err := unix.Read(fd, got[len(got):cap(got)])
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		got = got[:len(got)+n]
	}
	if string(got) != pong {
		return fmt.Errorf("PING: %q", got)
	}
	return nil
}

// tick lets the ticker go off every so often from now on; the k-th time is at
// what is returned plus k intervals.
func (l *loop) tick(interval time.Duration, do func(due int) error) (int64, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("timer: %w", err)
	}
	l.ticker, l.timer = fd, do
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}); err != nil {
		return 0, fmt.Errorf("timer: %w", err)
	}
	each := unix.NsecToTimespec(interval.Nanoseconds())
	started := l.clock()
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: each, Value: each}, nil); err != nil {
		return 0, fmt.Errorf("timer: %w", err)
	}
	return started, nil
}

func (l *loop) clock() int64 {
	l.now = time.Since(l.start).Nanoseconds()
	return l.now
}

// run begins with what the roles send first and goes on until done says so.
func (l *loop) run(limit time.Duration, done func() bool) error {
	l.clock()
	for _, c := range l.conns {
		if c.waiting == 0 {
			if err := c.role.next(l, c); err != nil {
				return err
			}
		}
	}
	return l.await(limit, done)
}

// settle listens for a time in which nothing more is expected, so that what
// comes too often is noticed.
func (l *loop) settle(d time.Duration) error {
	err := l.await(d, func() bool { return false })
	if errors.Is(err, errTimeLimit) {
		return nil
	}
	return err
}

// await goes on until done says so.
func (l *loop) await(limit time.Duration, done func() bool) error {
	stop := l.clock() + limit.Nanoseconds()
	for !done() {
		select {
		case <-l.stop:
			return errInterrupted
		default:
		}
		if l.now >= stop {
			return fmt.Errorf("%w of %v", errTimeLimit, limit)
		}
		wait := min(wakeAtLeast.Milliseconds(), 1+(stop-l.now)/time.Millisecond.Nanoseconds())
		n, err := unix.EpollWait(l.epoll, l.events, int(wait))
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll: %w", err)
		}
		if n <= 0 {
			l.clock()
			continue
		}
		for _, e := range l.events[:n] {
			if err := l.event(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loop) event(e unix.EpollEvent) error {
	if e.Fd < 0 {
		var count [8]byte
		n, err := unix.Read(l.ticker, count[:])
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil || n != len(count) {
			return fmt.Errorf("timer: %d bytes, %w", n, err)
		}
		l.clock()
		return l.timer(int(binary.NativeEndian.Uint64(count[:])))
	}
	c := l.conns[e.Fd]
	if e.Events&unix.EPOLLOUT != 0 {
		if err := l.flush(c); err != nil {
			return fmt.Errorf("connection %d: %w", c.number, err)
		}
	}
	if e.Events&^unix.EPOLLOUT != 0 {
		if err := l.read(c); err != nil {
			return fmt.Errorf("connection %d: %w", c.number, err)
		}
	}
	return nil
}

// read takes what has arrived on a connection and hands it to its role.
func (l *loop) read(c *conn) error {
	held := copy(l.in, c.rest)
	n, err := unix.Read(c.fd, l.in[held:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("the server closed the connection")
	}
	l.clock()
	replies, b := 0, l.in[:held+n]
	t := &l.token
	for {
		n, err := c.parser.next(b, t)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b = b[n:]
		if t.kind == '-' {
			return fmt.Errorf("the server says: %s", t.text)
		}
		if err := c.role.token(l, c, t); err != nil {
			return err
		}
		if t.last && c.waiting > 0 {
			c.waiting--
			replies++
		}
	}
	if len(b) == len(l.in) {
		l.in = append(l.in, make([]byte, len(l.in))...) // one token alone is longer
	}
	c.rest = append(c.rest[:0], b...)
	if replies == 0 {
		return nil
	}
	l.waiting -= replies
	if c.latency != nil {
		if err := record(c.latency, l.now-c.sent, replies); err != nil {
			return err
		}
	}
	if c.waiting > 0 {
		return nil
	}
	return c.role.next(l, c)
}

// send sends what a role has put into l.out: commands that many replies answer.
func (l *loop) send(c *conn, replies int) error {
	c.sent = l.now
	c.waiting += replies
	l.waiting += replies
	if len(c.unsent) > 0 {
		c.unsent = append(c.unsent, l.out...)
		return nil
	}
	n, err := unix.Write(c.fd, l.out)
	if err != nil && err != unix.EAGAIN {
		return err
	}
	if n = max(n, 0); n == len(l.out) {
		return nil
	}
	c.unsent = append(c.unsent, l.out[n:]...)
	return l.watch(unix.EPOLL_CTL_MOD, c, unix.EPOLLIN|unix.EPOLLOUT)
}

// flush sends what the socket did not take before.
func (l *loop) flush(c *conn) error {
	n, err := unix.Write(c.fd, c.unsent)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil {
		return err
	}
	if c.unsent = c.unsent[:copy(c.unsent, c.unsent[n:])]; len(c.unsent) > 0 {
		return nil
	}
	return l.watch(unix.EPOLL_CTL_MOD, c, unix.EPOLLIN)
}

// idle says whether every reply has arrived.
func (l *loop) idle() bool {
	return l.waiting == 0
}
