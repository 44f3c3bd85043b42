package server

import (
	"net"
	"time"

	"github.com/cairnmq/cairn/broker"
)

const (
	// carriedBytesMax is how much of an incomplete command is carried to the
	// loop's own read buffer and back. A longer one gets a buffer of its own,
	// into which the rest is read directly.
	carriedBytesMax = 4 << 10
	// heldBytesMax is how much is read ahead of a client that waits for a key.
	heldBytesMax = 64 << 10
	// unsentBytesMax is how much a client may leave unread of its replies before
	// its further commands have to wait. (The directive
	// client-output-buffer-limit closes it, this only slows it down.)
	unsentBytesMax = 64 << 20
	// unauthenticatedUnsentMax is that for a client that has not authenticated,
	// and that anybody may be.
	unauthenticatedUnsentMax = 1 << 10
	// keptBytes is the memory of a buffer that is kept for the next use.
	keptBytes = 4 << 10
	// inputBytesMin is the least by which a buffer of a connection's own grows.
	inputBytesMin = 32 << 10
)

// conn is one client's connection: what has been read and not yet run, and what
// the loop has to know to move its bytes. What it means to the broker stands in
// the session.
type conn struct {
	link    link
	session *broker.Session
	index   int // place in the loop's list of connections

	framing framing
	input   []byte // read and not yet run
	need    int    // least size of the command that input begins with
	running int    // size of the input of which commands are being run

	// queued: stands on a list for this turn or the next. runnable: input may
	// hold whole commands, so that there is no need to read before running. busy:
	// it has, or will have, more to run than its share.
	queued, runnable, busy bool
	// full: the socket takes no more for now. ended: the peer will send nothing
	// more. closed: neither shall we.
	full, ended, closed bool
	// talkative: its last replies did not fit into what a connection keeps.
	talkative bool
	// unauthenticated is what the client was when its last command came.
	unauthenticated bool

	inLine        int       // size of the output with which it stands in line; 0: it does not
	overSoftSince time.Time // zero: output below its soft limit
	read          *longRead // the long read that runs for this client, if any
	remote, local string
}

func newConn(l link) *conn {
	return &conn{link: l, remote: addressText(l.remoteAddr())}
}

// addressText writes an address as CLIENT LIST does: a unix socket is its path
// and port 0.
func addressText(a net.Addr) string {
	if a.Network() == "unix" {
		return a.String() + ":0"
	}
	return a.String()
}

// RemoteAddr implements commands.Peer.
func (c *conn) RemoteAddr() string { return c.remote }

// LocalAddr implements commands.Peer.
func (c *conn) LocalAddr() string {
	if c.local == "" {
		c.local = addressText(c.link.localAddr())
	}
	return c.local
}

// FD implements commands.Peer.
func (c *conn) FD() int { return c.link.fd() }

// QueryBuffer implements commands.Peer.
func (c *conn) QueryBuffer() (used, free int) {
	used = max(c.running, len(c.input))
	return used, max(cap(c.input)-used, 0)
}

// TransitBytes implements commands.Peer.
func (c *conn) TransitBytes() int {
	n := c.link.memoryBytes()
	if c.read != nil {
		n += c.read.waiting()
	}
	return n
}

// fitsShared reports whether the input goes on in the loop's shared buffer.
func (c *conn) fitsShared(shared []byte) bool {
	return len(c.input) <= carriedBytesMax && c.need <= len(shared)
}

// receiveShared reads once into the shared buffer, behind what was carried over.
// What is not run has to be kept (keep) before the buffer is used again.
func (c *conn) receiveShared(shared []byte) (input []byte, n int, err error) {
	carried := copy(shared, c.input)
	n, err = c.link.read(shared[carried:])
	return shared[:carried+n], n, err
}

// receiveOwn reads once into the connection's own buffer. That grows with what
// has arrived, never with what was announced, and always by a part of what it is:
// what a command of many small arguments needs shows only argument by argument.
func (c *conn) receiveOwn() (n int, err error) {
	if len(c.input) == cap(c.input) {
		have := len(c.input)
		size := max(have+inputBytesMin, have+have/4, min(2*have, c.need))
		c.input = append(make([]byte, 0, size), c.input...)
	}
	n, err = c.link.read(c.input[len(c.input):cap(c.input)])
	c.input = c.input[:len(c.input)+n]
	return n, err
}

// keep holds on to what is left of the input, which is the connection's own
// buffer or the shared one.
func (c *conn) keep(rest []byte, own bool) {
	switch {
	case len(rest) == 0 && cap(c.input) <= keptBytes:
		c.input = c.input[:0]
	case len(rest) == 0:
		c.input = nil
	case own && (c.runnable || len(rest) == len(c.input)):
		c.input = rest
	case own: // not to hold on to what a long command took
		c.input = append([]byte(nil), rest...)
	default:
		c.input = append(c.input[:0], rest...)
	}
}

// slow reports whether the client leaves so many replies unread that its next
// commands have to wait.
func (c *conn) slow() bool {
	unsent := c.session.Out.Len()
	return unsent > unsentBytesMax || (c.unauthenticated && unsent > unauthenticatedUnsentMax)
}

// watch tells the poller what the connection waits for now.
func (c *conn) watch() error {
	var i interest
	if c.full {
		i |= toWrite
	}
	switch held := c.session.Held(); {
	case c.ended || c.session.CloseAfterReply || c.slow():
	case held && c.link.seesEnd() && len(c.input) >= heldBytesMax:
		i |= toEnd
	case held:
		i |= toRead | toEnd
	default:
		i |= toRead
	}
	return c.link.watch(i)
}
