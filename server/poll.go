package server

import (
	"net"
	"time"
)

// A link moves the bytes of one connection. It belongs to the loop, and none of
// its methods waits.
type link interface {
	// read puts what has arrived into p. 0 without an error: nothing has. An
	// error, be it io.EOF, means that nothing more will come.
	read(p []byte) (int, error)
	// write takes bytes from the start of the segments and returns how many. If
	// not all, the rest is to be offered again when the link is writable.
	write(segments [][]byte) (int, error)
	// watch says what the poller is to report of the link from now on.
	watch(interest) error
	// keepAlive has a silent peer probed after the given time; 0: never.
	keepAlive(time.Duration) error
	// close ends the connection; what write has taken is still sent.
	close()

	// memoryBytes is about what the link takes.
	memoryBytes() int

	fd() int // -1: none to speak of
	localAddr() net.Addr
	remoteAddr() net.Addr
	// gone tells whether the peer is known to have sent all that it is going to
	// send, though some of it may be unread.
	gone() bool
	// seesEnd tells whether the end of the connection is reported however many
	// unread bytes stand before it. Where not, one has to read on to notice it.
	seesEnd() bool
}

// interest is a set of what a connection waits for.
type interest uint8

const (
	toRead interest = 1 << iota
	toWrite
	toEnd // the peer has sent all that it is going to send, though some of it may be unread; without this, reading tells
)

// An event is something that has happened to a link. Readable and writable are
// levels, not edges: they are reported again until acted on.
type event struct {
	accepted link  // a new connection
	refused  error // or why there is none, though somebody knocks
	conn     *conn // or a connection that was added
	happened interest
}

// A poller waits for many links and listeners at once. It belongs to the loop,
// but for wake.
type poller interface {
	// listen has the connections that l accepts reported.
	listen(l net.Listener) error
	// unlisten ends that. The listener is to be closed next.
	unlisten(l net.Listener)
	// accept says whether new connections are wanted at the moment.
	accept(wanted bool) error
	// add has the events of a link reported under its connection.
	add(l link, c *conn, i interest) error
	// wait appends what has happened to events. It returns at the latest after
	// the timeout (negative: never) or when wake was called.
	wait(events []event, timeout time.Duration) ([]event, error)
	// wake makes the wait that is going on, or else the next one, return. It may
	// be called from any goroutine, also after close.
	wake()
	// close ends the waiting for good. Listeners and links are closed by those
	// who opened them; until the given time it waits for the last bytes of closed
	// links to be sent.
	close(until time.Time)
}

// acceptsMax is how many new connections are taken from a listener at a time, so
// that a storm of them does not hold up those that are there.
const acceptsMax = 128
