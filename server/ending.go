package server

import "time"

// # The end
//
// On SIGTERM, SIGINT or SHUTDOWN the listeners are closed, one more turn runs
// what has arrived and releases those who wait, and every client is closed as
// soon as it has its replies. The server ends when the last one is, or when
// shutdown-timeout has passed.

// ending is the state of a server that is to end.
type ending struct {
	deadline time.Time
	drained  bool // the broker has released everybody
}

// end begins the end.
func (l *loop) end(reason string) {
	if l.ending != nil {
		return
	}
	l.log.Warningf("%s: ending. Clients have %v to take their replies", reason, l.config.ShutdownTimeout)
	l.ending = &ending{deadline: time.Now().Add(l.config.ShutdownTimeout)}
	l.acceptAgainAt = time.Time{}
	if err := l.poller.accept(false); err != nil {
		l.fatal = err
	}
	closeListeners(l.listeners)
}

// ended reports whether everything is done; when time is up, by closing those
// who are left.
func (l *loop) ended(now time.Time) bool {
	if !l.ending.drained {
		return false
	}
	if late := len(l.conns); late > 0 && !now.Before(l.ending.deadline) {
		l.log.Warningf("shutdown-timeout is over: closing %d clients that have not taken their replies", late)
		for len(l.conns) > 0 {
			l.drop(l.conns[len(l.conns)-1])
		}
	}
	return len(l.conns) == 0
}

// abandon closes all connections without a word.
func (l *loop) abandon() {
	for _, c := range l.conns {
		c.link.close()
	}
}
