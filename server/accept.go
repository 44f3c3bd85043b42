package server

import (
	"net"
	"time"
)

// Answers to those who are not let in.
const (
	refusedFull      = "-ERR max number of clients reached\r\n"
	refusedProtected = "-DENIED cairn is running in protected mode because no password is set: it accepts only connections from the loopback interface and from its unix socket. " +
		"To connect from another computer do one of the following. " +
		"1) Set a password: CONFIG SET requirepass <password> from this computer, or start cairn with --requirepass <password>. " +
		"2) If only friends can reach this port: CONFIG SET protected-mode no, or start cairn with --protected-mode no.\r\n"
)

// acceptPause is how long new connections have to wait when there are no
// descriptors for them.
const acceptPause = 100 * time.Millisecond

// accept makes a new connection a client, or tells it why not.
func (l *loop) accept(link link, now time.Time) {
	switch {
	case l.ending != nil:
		link.close()
		return
	case len(l.conns) >= l.config.MaxClients:
		l.refuse(link, refusedFull)
		return
	case l.config.ProtectedMode && l.broker.Server().Users.Default().NoPass() && !isLocal(link.remoteAddr()):
		l.refuse(link, refusedProtected)
		return
	}
	if err := link.keepAlive(l.config.TCPKeepAlive); err != nil {
		l.log.Printf(Verbose, "Client %s: keepalive: %v", addressText(link.remoteAddr()), err)
	}
	c := newConn(link)
	if err := l.poller.add(link, c, toRead); err != nil {
		l.complain("Client %s: %v", c.remote, err)
		link.close()
		return
	}
	c.session = l.broker.Connect(c, now)
	c.index = len(l.conns)
	l.conns = append(l.conns, c)
	l.log.Printf(Debug, "Accepted %s", c.remote)
}

func (l *loop) refuse(link link, reply string) {
	l.log.Printf(Verbose, "Refused %s: %.40s", addressText(link.remoteAddr()), reply[1:])
	_, _ = link.write([][]byte{[]byte(reply)}) // a courtesy
	link.close()
	l.broker.Server().Counters.Rejected++
}

// isLocal reports whether a peer is on this machine.
func isLocal(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// acceptLater leaves those who knock waiting: there is no room for them.
func (l *loop) acceptLater(reason error, now time.Time) {
	l.complain("Accepting a connection: %v", reason)
	if err := l.poller.accept(false); err != nil {
		l.fatal = err
	}
	l.acceptAgainAt = now.Add(acceptPause)
}

func (l *loop) acceptAgain() {
	l.acceptAgainAt = time.Time{}
	if l.ending != nil {
		return
	}
	if err := l.poller.accept(true); err != nil {
		l.fatal = err
	}
}
