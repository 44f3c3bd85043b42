package server

import (
	"net"
	"time"
)

// portablePoller waits for connections of any kind: goroutines move their
// bytes, and all that the loop waits for is the mailbox.
type portablePoller struct {
	mail  *mailbox
	woken chan struct{} // holds one token: wait is to return
}

func newPortablePoller() *portablePoller {
	p := &portablePoller{woken: make(chan struct{}, 1)}
	p.mail = newMailbox(p.wake)
	return p
}

func (p *portablePoller) listen(l net.Listener) error {
	go p.mail.acceptFrom(l)
	return nil
}

// unlisten has nothing to do: who accepts notices that the listener is closed.
func (p *portablePoller) unlisten(net.Listener) {}

func (p *portablePoller) accept(wanted bool) error {
	p.mail.accept(wanted)
	return nil
}

func (p *portablePoller) add(l link, c *conn, i interest) error {
	l.(*portableLink).start(c, i)
	return nil
}

func (p *portablePoller) wait(events []event, timeout time.Duration) ([]event, error) {
	p.mail.again()
	p.pause(timeout)
	p.mail.collect()
	return p.mail.take(events), nil
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

func (p *portablePoller) close(until time.Time) { p.mail.close(until) }
