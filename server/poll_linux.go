package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func newPoller(portable bool) (poller, error) {
	if portable {
		return newPortablePoller(), nil
	}
	return newEpoll()
}

// epoll waits for sockets with epoll(7), level-triggered: a connection that is
// left alone for a turn is simply reported again.
type epoll struct {
	epfd      int
	listeners []*epollListener
	links     []*epollLink // by descriptor
	seq       int32
	ready     []unix.EpollEvent

	wakeMu sync.Mutex
	wakefd int // eventfd; -1 when closed
}

type epollListener struct {
	net.Listener // holds the descriptor
	fd           int
}

// eventsPerWait bounds how many sockets one wait reports; the others are
// reported by the next.
const eventsPerWait = 1024

func newEpoll() (*epoll, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epfd) // the first error is the one to tell
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &epoll{epfd: epfd, wakefd: wakefd, ready: make([]unix.EpollEvent, eventsPerWait)}
	if err := p.control(unix.EPOLL_CTL_ADD, wakefd, 0, unix.EPOLLIN); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// control changes what epoll reports of a descriptor. seq comes back with each
// event and tells events of a closed descriptor from those of the next
// connection that was given the same number.
func (p *epoll) control(op, fd int, seq int32, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: seq}
	if err := unix.EpollCtl(p.epfd, op, fd, &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (p *epoll) listen(l net.Listener) error {
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.Addr(), err)
	}
	e := &epollListener{Listener: l}
	if err := raw.Control(func(fd uintptr) { e.fd = int(fd) }); err != nil {
		return fmt.Errorf("listen on %s: %w", l.Addr(), err)
	}
	p.listeners = append(p.listeners, e)
	return p.control(unix.EPOLL_CTL_ADD, e.fd, 0, unix.EPOLLIN)
}

func (p *epoll) accept(wanted bool) error {
	var events uint32
	if wanted {
		events = unix.EPOLLIN
	}
	for _, l := range p.listeners {
		if err := p.control(unix.EPOLL_CTL_MOD, l.fd, 0, events); err != nil {
			return err
		}
	}
	return nil
}

func (p *epoll) add(l link, c *conn, i interest) error {
	e := l.(*epollLink)
	if e.sock >= len(p.links) {
		p.links = append(p.links, make([]*epollLink, e.sock+1-len(p.links))...)
	}
	p.seq++
	e.conn, e.seq, e.interest = c, p.seq, i
	p.links[e.sock] = e
	return p.control(unix.EPOLL_CTL_ADD, e.sock, e.seq, epollEvents(i))
}

func epollEvents(i interest) uint32 {
	var events uint32
	if i&toRead != 0 {
		events |= unix.EPOLLIN
	}
	if i&toWrite != 0 {
		events |= unix.EPOLLOUT
	}
	if i&toEnd != 0 {
		events |= unix.EPOLLRDHUP
	}
	return events
}

func (p *epoll) wait(events []event, timeout time.Duration) ([]event, error) {
	n, err := unix.EpollWait(p.epfd, p.ready, milliseconds(timeout))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return events, fmt.Errorf("epoll_wait: %w", err)
	}
	for i := range max(n, 0) {
		ready := &p.ready[i]
		fd := int(ready.Fd)
		if fd == p.wakefd {
			p.drainWake()
			continue
		}
		if l := p.listener(fd); l != nil {
			events = p.acceptFrom(l, events)
			continue
		}
		if l := p.links[fd]; l != nil && l.seq == ready.Pad {
			events = append(events, event{conn: l.conn, happened: happened(ready.Events)})
		}
	}
	return events, nil
}

// milliseconds rounds up: waking early for a deadline would only mean to wait
// again.
func milliseconds(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	const longest = time.Hour // the loop looks again then
	return int((min(timeout, longest) + time.Millisecond - 1) / time.Millisecond)
}

func happened(events uint32) interest {
	var i interest
	if events&unix.EPOLLIN != 0 {
		i |= toRead
	}
	if events&unix.EPOLLOUT != 0 {
		i |= toWrite
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		i |= toEnd
	}
	return i
}

func (p *epoll) listener(fd int) *epollListener {
	for _, l := range p.listeners {
		if l.fd == fd {
			return l
		}
	}
	return nil
}

func (p *epoll) acceptFrom(l *epollListener, events []event) []event {
	for range acceptsMax {
		fd, peer, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			events = append(events, event{accepted: p.newLink(fd, peer, l)})
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
		case errors.Is(err, unix.EAGAIN):
			return events
		default:
			return append(events, event{refused: os.NewSyscallError("accept", err)})
		}
	}
	return events
}

func (p *epoll) newLink(fd int, peer unix.Sockaddr, l *epollListener) *epollLink {
	e := &epollLink{poller: p, sock: fd, local: l.Addr()}
	if address := netAddr(peer); address != nil {
		e.remote = address
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // slower without, not wrong
		if own, err := unix.Getsockname(fd); err == nil && netAddr(own) != nil {
			e.local = netAddr(own)
		}
	} else {
		e.remote = l.Addr()
	}
	return e
}

// netAddr returns nil for anything but TCP.
func netAddr(sa unix.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)))
	}
	return nil
}

func (p *epoll) wake() {
	p.wakeMu.Lock()
	defer p.wakeMu.Unlock()
	if p.wakefd >= 0 {
		number := [8]byte{1}                   // any but zero
		_, _ = unix.Write(p.wakefd, number[:]) // fails only when it is about to wake anyway
	}
}

func (p *epoll) drainWake() {
	var count [8]byte
	_, _ = unix.Read(p.wakefd, count[:]) // nothing to read: somebody has
}

func (p *epoll) close() {
	p.wakeMu.Lock()
	defer p.wakeMu.Unlock()
	if p.wakefd < 0 {
		return
	}
	_ = unix.Close(p.epfd) // nothing is lost if these fail
	_ = unix.Close(p.wakefd)
	p.wakefd = -1
}

// epollLink is a non-blocking socket.
type epollLink struct {
	poller        *epoll
	conn          *conn
	sock          int
	seq           int32
	interest      interest
	local, remote net.Addr
}

func (l *epollLink) read(p []byte) (int, error) {
	for {
		n, err := unix.Read(l.sock, p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError("read", err)
		}
	}
}

func (l *epollLink) write(segments [][]byte) (int, error) {
	for {
		n, err := writev(l.sock, segments)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError("write", err)
		}
	}
}

func writev(fd int, segments [][]byte) (int, error) {
	if len(segments) == 1 {
		return unix.Write(fd, segments[0])
	}
	return unix.Writev(fd, segments)
}

func (l *epollLink) watch(i interest) error {
	if i == l.interest {
		return nil
	}
	l.interest = i
	return l.poller.control(unix.EPOLL_CTL_MOD, l.sock, l.seq, epollEvents(i))
}

// probesMax is how many probes go unanswered before a peer counts as gone.
const probesMax = 3

func (l *epollLink) keepAlive(after time.Duration) error {
	if _, tcp := l.remote.(*net.TCPAddr); !tcp || after <= 0 {
		return nil
	}
	idle := int(after / time.Second)
	for _, option := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(1, idle/probesMax)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probesMax},
	} {
		if err := unix.SetsockoptInt(l.sock, option.level, option.name, option.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

func (l *epollLink) close() {
	if l.conn != nil {
		l.poller.links[l.sock] = nil
	}
	_ = unix.Close(l.sock) // epoll forgets it along the way; nothing to do about an error
}

func (l *epollLink) fd() int              { return l.sock }
func (l *epollLink) localAddr() net.Addr  { return l.local }
func (l *epollLink) remoteAddr() net.Addr { return l.remote }
func (l *epollLink) seesEnd() bool        { return true }
