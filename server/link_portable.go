package server

import (
	"io"
	"net"
	"sync"
	"time"
)

const (
	// Bytes read before the loop asks for them: the buffer grows with what comes.
	aheadBytesMin = 1 << 10
	aheadBytesMax = 32 << 10
	// behindBytes are taken from the loop while as many may be on their way.
	behindBytes = 64 << 10
	// portableBytes is what a link takes that is in use, beside these: two
	// goroutines, and the records of TLS.
	portableBytes = 48 << 10
	// partingTimeMax is how long the peer of a closed link has to take what was
	// written before.
	partingTimeMax = 5 * time.Second
	// handshakeTimeMax is how long a peer has to complete the TLS handshake.
	handshakeTimeMax = 10 * time.Second
)

// portableLink is any net.Conn: one goroutine reads ahead and one writes behind,
// a little. Where the connection speaks TLS they also do all the work of that.
type portableLink struct {
	net.Conn
	mail *mailbox
	conn *conn

	mu       sync.Mutex
	changed  *sync.Cond // ahead was emptied, behind filled, or the link closed
	interest interest
	reported bool // stands on the mailbox's list
	ahead    []byte
	readErr  error // what comes after ahead
	hungUp   bool  // the system knows that the peer has closed
	behind   []byte
	writeErr error
	closed   bool
	parts    bool // is counted as parting
}

func newPortableLink(m *mailbox, c net.Conn) *portableLink {
	l := &portableLink{Conn: c, mail: m}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// start sets the goroutines going.
func (l *portableLink) start(c *conn, i interest) {
	l.conn, l.interest = c, i
	go l.readAhead()
	go l.writeBehind()
}

func (l *portableLink) readAhead() {
	err := l.handshake()
	buffer := make([]byte, aheadBytesMin)
	for n := 0; ; {
		if err == nil {
			n, err = l.Conn.Read(buffer)
		}
		l.mu.Lock()
		l.ahead, l.readErr = buffer[:n], err
		l.report()
		for len(l.ahead) > 0 && !l.closed {
			l.changed.Wait()
		}
		closed := l.closed
		l.mu.Unlock()
		if err != nil || closed {
			return
		}
		if n == len(buffer) && n < aheadBytesMax {
			buffer = make([]byte, 2*n)
		}
	}
}

// handshake is the one of TLS, where the connection speaks that.
func (l *portableLink) handshake() error {
	c, ok := l.Conn.(*tlsConn)
	if !ok {
		return nil
	}
	err := c.handshake()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && !l.closed { // else there is a deadline for the rest
		err = c.SetDeadline(time.Time{})
	}
	return err
}

func (l *portableLink) writeBehind() {
	var buffer []byte
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for (len(l.behind) == 0 || l.writeErr != nil) && !l.closed {
			l.changed.Wait()
		}
		if len(l.behind) == 0 || l.writeErr != nil {
			break
		}
		buffer, l.behind = l.behind, buffer[:0]
		l.report() // there is room again
		l.mu.Unlock()
		_, err := l.Conn.Write(buffer)
		if cap(buffer) > keptBytes {
			buffer = nil
		}
		l.mu.Lock()
		if err != nil {
			l.writeErr = err
			l.report()
		}
	}
	l.end()
}

// end closes the connection, in the order that TLS asks for if its peer has
// taken everything. The lock is held.
func (l *portableLink) end() {
	parts, failed := l.parts, l.writeErr != nil
	l.mu.Unlock()
	defer l.mu.Lock()
	if failed {
		l.cut()
	} else {
		_ = l.Conn.Close() // nothing to do about an error
	}
	if parts {
		l.mail.parted()
	}
}

// cut closes the connection at once.
func (l *portableLink) cut() { _ = socketOf(l.Conn).Close() } // nothing to do about an error

// socketOf is the connection below TLS.
func socketOf(c net.Conn) net.Conn {
	if secure, ok := c.(*tlsConn); ok {
		return secure.NetConn()
	}
	return c
}

// happened says what the loop could do now, if it is interested. The lock is
// held.
func (l *portableLink) happened() interest {
	var i interest
	if len(l.ahead) > 0 || l.readErr != nil {
		i |= toRead
	}
	if l.writeErr != nil || len(l.behind) == 0 {
		i |= toWrite
	}
	if l.hungUp || l.readErr != nil || l.writeErr != nil {
		i |= toEnd
	}
	return i & l.interest
}

// report has the poller ask the link if there is anything to tell. The lock is
// held.
func (l *portableLink) report() {
	if !l.closed && !l.reported && l.happened() != 0 {
		l.reported = true
		l.mail.report(l)
	}
}

// take is the poller's question.
func (l *portableLink) take() interest {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reported = false
	if l.closed {
		return 0
	}
	return l.happened()
}

// again reports what is still true after the loop has acted on it.
func (l *portableLink) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report()
}

// hangUp notes that the system knows of the end before the goroutine has come to
// it, and returns what the loop wants to know of that.
func (l *portableLink) hangUp() interest {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hungUp = true
	return toEnd & l.interest
}

func (l *portableLink) gone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hungUp || l.readErr != nil || l.writeErr != nil
}

func (l *portableLink) read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ahead) == 0 {
		return 0, l.readErr
	}
	n := copy(p, l.ahead)
	l.ahead = l.ahead[n:]
	if len(l.ahead) == 0 {
		l.changed.Broadcast()
	}
	return n, nil
}

func (l *portableLink) write(segments [][]byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writeErr != nil {
		return 0, l.writeErr
	}
	if l.closed {
		return 0, io.ErrClosedPipe
	}
	before := len(l.behind)
	for _, s := range segments {
		room := behindBytes - len(l.behind)
		l.behind = append(l.behind, s[:min(len(s), room)]...)
	}
	l.changed.Broadcast()
	return len(l.behind) - before, nil
}

func (l *portableLink) watch(i interest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interest = i
	l.report()
	return nil
}

func (l *portableLink) keepAlive(after time.Duration) error {
	tcp, ok := socketOf(l.Conn).(*net.TCPConn)
	if !ok || after <= 0 {
		return nil
	}
	return tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: after, Interval: max(time.Second, after/3), Count: 3,
	})
}

// close leaves the last bytes to writeBehind, which then closes the connection.
func (l *portableLink) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.parts = l.mail.part()
	if !l.parts {
		l.cut()
	}
	_ = l.Conn.SetDeadline(time.Now().Add(partingTimeMax)) // fails on a connection that has ended
	if l.conn == nil {
		go l.writeBehind() // a refusal is on its way
	}
	l.changed.Broadcast()
}

func (l *portableLink) memoryBytes() int     { return portableBytes }
func (l *portableLink) fd() int              { return -1 }
func (l *portableLink) localAddr() net.Addr  { return l.Conn.LocalAddr() }
func (l *portableLink) remoteAddr() net.Addr { return l.Conn.RemoteAddr() }
func (l *portableLink) seesEnd() bool        { return false }
