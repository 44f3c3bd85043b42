package server

import (
	"errors"
	"net"
	"sync"
	"time"
)

// mailbox collects what there is to tell of connections that goroutines move:
// who has connected, and which links have something to report. Goroutines fill
// it; the poller that it is part of empties it.
type mailbox struct {
	wake func() // makes the poller look

	collected []*portableLink // to be told next
	told      []*portableLink // were told last

	mu       sync.Mutex
	ready    []*portableLink
	accepted []net.Conn
	refused  error
	changed  *sync.Cond // on mu: new connections are wanted again, or a link has parted
	paused   bool
	closed   bool
	parting  int // links that are closed and whose last bytes are on their way
}

// partingMax bounds the links that still work although the loop has closed
// them; one more is cut off.
const partingMax = 1024

func newMailbox(wake func()) *mailbox {
	m := &mailbox{wake: wake}
	m.changed = sync.NewCond(&m.mu)
	return m
}

// acceptFrom takes connections off a listener until it is closed.
func (m *mailbox) acceptFrom(l net.Listener) {
	for {
		m.mu.Lock()
		for (m.paused || len(m.accepted) >= acceptsMax) && !m.closed {
			m.changed.Wait()
		}
		m.mu.Unlock()
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		m.mu.Lock()
		switch {
		case err != nil:
			m.refused = err
			m.paused = true // until the loop has made up its mind
		case m.closed:
			_ = c.Close() // nobody is there to talk to it
		default:
			m.accepted = append(m.accepted, c)
		}
		m.mu.Unlock()
		m.wake()
	}
}

func (m *mailbox) accept(wanted bool) {
	m.mu.Lock()
	m.paused = !wanted
	m.mu.Unlock()
	m.changed.Broadcast()
}

// report puts a link on the list of those that have something to tell.
func (m *mailbox) report(l *portableLink) {
	m.mu.Lock()
	first := len(m.ready) == 0
	m.ready = append(m.ready, l)
	m.mu.Unlock()
	if first {
		m.wake()
	}
}

// again has reported what was told last and is still true after the loop has
// acted on it.
func (m *mailbox) again() {
	for _, l := range m.told {
		l.again()
	}
	clear(m.told)
	m.told = m.told[:0]
}

// collect fixes what the next take tells. It returns whether there is anything.
func (m *mailbox) collect() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.collected, m.ready = m.ready, m.collected[:0]
	return len(m.collected) > 0 || len(m.accepted) > 0 || m.refused != nil
}

// take appends what has happened to events.
func (m *mailbox) take(events []event) []event {
	m.mu.Lock()
	for _, c := range m.accepted {
		events = append(events, event{accepted: newPortableLink(m, c)})
	}
	clear(m.accepted)
	m.accepted = m.accepted[:0]
	if m.refused != nil {
		events = append(events, event{refused: m.refused})
		m.refused = nil
	}
	m.mu.Unlock()
	m.changed.Broadcast()
	for _, l := range m.collected {
		if happened := l.take(); happened != 0 {
			events = append(events, event{conn: l.conn, happened: happened})
			m.told = append(m.told, l)
		}
	}
	clear(m.collected)
	return events
}

// part counts a link that is closed and has still to write. It returns false
// when there are too many.
func (m *mailbox) part() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parting >= partingMax {
		return false
	}
	m.parting++
	return true
}

func (m *mailbox) parted() {
	m.mu.Lock()
	m.parting--
	m.mu.Unlock()
	m.changed.Broadcast()
}

// close ends the accepting and waits until the last bytes of closed links have
// been written, or time is up.
func (m *mailbox) close(until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.changed.Broadcast()
	late := false
	timer := time.AfterFunc(time.Until(until), func() {
		m.mu.Lock()
		late = true
		m.mu.Unlock()
		m.changed.Broadcast()
	})
	defer timer.Stop()
	for m.parting > 0 && !late {
		m.changed.Wait()
	}
}
