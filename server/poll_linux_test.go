package server

import (
	"runtime"
	"testing"
)

// A client that is gone already when its command is run, as its end has arrived
// together with it, does not begin to wait: what comes after it in the same turn
// is not for the dead.
func TestTheDeadDoNotBeginToWait(t *testing.T) {
	for _, path := range []path{epollPath, tlsPath} {
		t.Run(string(path), func(t *testing.T) {
			i := start(t, setup{path: path})
			other, c := i.dial(t), i.dial(t)
			other.do("PING", "+PONG")
			c.do("PING", "+PONG")
			begun, release := make(chan struct{}), make(chan struct{})
			i.loop.inbox.post(func() { close(begun); <-release }) // so that everything arrives in one turn
			<-begun                                               // else it may arrive in an earlier one
			c.send("BLPOP q 0\r\n")
			for path.isTLS() && !i.loop.poller.(*epoll).mail.hasReports() {
				runtime.Gosched() // the goroutine that reads it is slower than what comes next
			}
			c.Close()
			other.send("RPUSH q x\r\nLPOP q\r\n")
			close(release)
			if pushed, popped := other.reply(), other.reply(); pushed != ":1" || popped != "x" {
				t.Errorf("RPUSH answers %s and LPOP %s", pushed, popped)
			}
		})
	}
}

func (m *mailbox) hasReports() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ready) > 0
}
