package server

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// portablePoller gives the loop the same view of any net.Conn that epoll gives
// it of sockets: for each connection one goroutine reads ahead and one writes
// behind, a little, and the poller collects who has something to report.
type portablePoller struct {
	woken  chan struct{}   // holds one token: wait is to return
	handed []*portableLink // reported by the last wait

	mu       sync.Mutex
	ready    []*portableLink
	accepted []net.Conn
	refused  error
	wanted   *sync.Cond // on mu: new connections are wanted again
	paused   bool
	closed   bool
}

func newPortablePoller() *portablePoller {
	p := &portablePoller{woken: make(chan struct{}, 1)}
	p.wanted = sync.NewCond(&p.mu)
	return p
}

func (p *portablePoller) listen(l net.Listener) error {
	go p.acceptFrom(l)
	return nil
}

// acceptFrom takes connections off a listener until it is closed.
func (p *portablePoller) acceptFrom(l net.Listener) {
	for {
		p.mu.Lock()
		for (p.paused || len(p.accepted) >= acceptsMax) && !p.closed {
			p.wanted.Wait()
		}
		p.mu.Unlock()
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		p.mu.Lock()
		switch {
		case err != nil:
			p.refused = err
			p.paused = true // until the loop has made up its mind
		case p.closed:
			_ = c.Close() // nobody is there to talk to it
		default:
			p.accepted = append(p.accepted, c)
		}
		p.mu.Unlock()
		p.wake()
	}
}

func (p *portablePoller) accept(wanted bool) error {
	p.mu.Lock()
	p.paused = !wanted
	p.mu.Unlock()
	p.wanted.Broadcast()
	return nil
}

func (p *portablePoller) add(l link, c *conn, i interest) error {
	link := l.(*portableLink)
	link.conn = c
	go link.readAhead()
	go link.writeBehind()
	return link.watch(i)
}

func (p *portablePoller) wait(events []event, timeout time.Duration) ([]event, error) {
	for _, l := range p.handed {
		l.again()
	}
	p.handed = p.handed[:0]
	p.pause(timeout)
	p.mu.Lock()
	ready := p.ready
	p.ready = nil
	for _, c := range p.accepted {
		events = append(events, event{accepted: newPortableLink(p, c)})
	}
	p.accepted = p.accepted[:0]
	if p.refused != nil {
		events = append(events, event{refused: p.refused})
		p.refused = nil
	}
	p.mu.Unlock()
	p.wanted.Broadcast()
	for _, l := range ready {
		if happened := l.take(); happened != 0 {
			events = append(events, event{conn: l.conn, happened: happened})
			p.handed = append(p.handed, l)
		}
	}
	return events, nil
}

func (p *portablePoller) pause(timeout time.Duration) {
	switch {
	case timeout == 0:
		select {
		case <-p.woken:
		default:
		}
	case timeout < 0:
		<-p.woken
	default:
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		select {
		case <-p.woken:
		case <-timer.C:
		}
	}
}

func (p *portablePoller) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

func (p *portablePoller) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wanted.Broadcast()
}

// report puts a link on the list of those that have something to tell.
func (p *portablePoller) report(l *portableLink) {
	p.mu.Lock()
	p.ready = append(p.ready, l)
	p.mu.Unlock()
	p.wake()
}

const (
	aheadBytes  = 16 << 10 // read before the loop asks for it
	behindBytes = 64 << 10 // taken from the loop and not yet written
	// lastWriteTimeout is how long the peer of a closed link has to take what
	// was written before.
	lastWriteTimeout = 5 * time.Second
)

// portableLink is a net.Conn with a little buffer on either side.
type portableLink struct {
	net.Conn
	poller *portablePoller
	conn   *conn

	mu       sync.Mutex
	changed  *sync.Cond // ahead was emptied, behind filled, or the link closed
	interest interest
	reported bool // stands on the poller's list
	ahead    []byte
	readErr  error // what comes after ahead
	behind   []byte
	writing  bool
	writeErr error
	closed   bool
	idle     bool // writeBehind has ended
}

func newPortableLink(p *portablePoller, c net.Conn) *portableLink {
	l := &portableLink{Conn: c, poller: p}
	l.changed = sync.NewCond(&l.mu)
	return l
}

func (l *portableLink) readAhead() {
	buffer := make([]byte, aheadBytes)
	for {
		n, err := l.Conn.Read(buffer)
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
	}
}

func (l *portableLink) writeBehind() {
	var buffer []byte
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writeErr == nil {
		for len(l.behind) == 0 && !l.closed {
			l.changed.Wait()
		}
		if len(l.behind) == 0 {
			break
		}
		buffer, l.behind = l.behind, buffer[:0]
		l.writing = true
		l.mu.Unlock()
		_, err := l.Conn.Write(buffer)
		l.mu.Lock()
		l.writing = false
		l.writeErr = err
		l.report()
	}
	l.idle = true
	if l.closed {
		_ = l.Conn.Close() // nothing to do about an error
	}
}

// happened says what the loop could do now, if it is interested. The lock is
// held.
func (l *portableLink) happened() interest {
	var i interest
	if len(l.ahead) > 0 || l.readErr != nil {
		i |= toRead
	}
	if l.writeErr != nil || (len(l.behind) == 0 && !l.writing) {
		i |= toWrite
	}
	if (len(l.ahead) == 0 && l.readErr != nil) || l.writeErr != nil {
		i |= toEnd
	}
	return i & l.interest
}

// report has the poller ask the link if there is anything to tell. The lock is
// held.
func (l *portableLink) report() {
	if !l.closed && !l.reported && l.happened() != 0 {
		l.reported = true
		l.poller.report(l)
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
	tcp, ok := l.Conn.(*net.TCPConn)
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
	if l.conn == nil {
		go l.writeBehind() // a refusal is on its way
	}
	if l.idle {
		_ = l.Conn.Close() // nothing to do about an error
		return
	}
	_ = l.Conn.SetDeadline(time.Now().Add(lastWriteTimeout)) // fails on a connection that has ended
	l.changed.Broadcast()
}

func (l *portableLink) fd() int              { return -1 }
func (l *portableLink) localAddr() net.Addr  { return l.Conn.LocalAddr() }
func (l *portableLink) remoteAddr() net.Addr { return l.Conn.RemoteAddr() }
func (l *portableLink) seesEnd() bool        { return false }
