package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
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
	watched   []watched // by descriptor
	seq       int32
	ready     []unix.EpollEvent
	vectors   []unix.Iovec
	mail      *mailbox // for what is no plain socket

	wakeMu sync.Mutex
	wakefd int // eventfd; -1 when closed
}

// watched is what a descriptor stands for.
type watched struct {
	conn    *conn
	seq     int32
	carried *carriedLink // nil: a plain socket
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
	p.mail = newMailbox(p.wake)
	if err := p.control(unix.EPOLL_CTL_ADD, wakefd, 0, unix.EPOLLIN); err != nil {
		p.close(time.Time{})
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
	socket, ok := l.(syscall.Conn)
	if !ok {
		go p.mail.acceptFrom(l)
		return nil
	}
	fd, err := descriptor(socket)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.Addr(), err)
	}
	p.listeners = append(p.listeners, &epollListener{Listener: l, fd: fd})
	return p.control(unix.EPOLL_CTL_ADD, fd, 0, unix.EPOLLIN)
}

// unlisten forgets the descriptor before another socket may be given its number.
func (p *epoll) unlisten(l net.Listener) {
	p.listeners = slices.DeleteFunc(p.listeners, func(e *epollListener) bool { return e.Listener == l })
}

func descriptor(c syscall.Conn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n = int(fd) })
	return n, err
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
	p.mail.accept(wanted)
	return nil
}

func (p *epoll) add(l link, c *conn, i interest) error {
	if carried, ok := l.(*carriedLink); ok {
		// One event is enough: the link remembers it.
		if _, err := p.watch(carried.sock, watched{conn: c, carried: carried}, unix.EPOLLRDHUP|unix.EPOLLET); err != nil {
			return err
		}
		carried.start(c, i)
		return nil
	}
	e := l.(*epollLink)
	e.conn, e.events = c, epollEvents(i)
	seq, err := p.watch(e.sock, watched{conn: c}, e.events)
	e.seq = seq
	return err
}

func (p *epoll) watch(fd int, w watched, events uint32) (seq int32, err error) {
	if fd >= len(p.watched) {
		p.watched = append(p.watched, make([]watched, fd+1-len(p.watched))...)
	}
	p.seq++
	w.seq = p.seq
	p.watched[fd] = w
	return w.seq, p.control(unix.EPOLL_CTL_ADD, fd, w.seq, events)
}

func (p *epoll) unwatch(fd int) { p.watched[fd] = watched{} }

// epollEvents asks for the end along with what there is to read, so that the
// many changes of whether that is wanted cost no system call.
func epollEvents(i interest) uint32 {
	var events uint32
	if i&toRead != 0 {
		events |= unix.EPOLLIN | unix.EPOLLRDHUP
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
	p.mail.again()
	events, err := p.poll(events, timeout)
	if err == nil && p.mail.collect() {
		// What the mail brings may have been sent after somebody's end, so that
		// must not be noticed later.
		events, err = p.poll(events, 0)
	}
	mail := len(events)
	events = p.mail.take(events)
	for i := range events[mail:] {
		if e := &events[mail+i]; e.accepted != nil {
			e.accepted = p.carry(e.accepted.(*portableLink))
		}
	}
	return events, err
}

func (p *epoll) poll(events []event, timeout time.Duration) ([]event, error) {
	n, err := pollEvents(p.epfd, p.ready)
	if n == 0 && timeout != 0 {
		n, err = unix.EpollWait(p.epfd, p.ready, milliseconds(timeout))
	}
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
		w := &p.watched[fd]
		if w.conn == nil || w.seq != ready.Pad {
			continue
		}
		what := happened(ready.Events)
		if w.carried != nil {
			what = w.carried.hangUp()
		} else if what&toEnd != 0 {
			w.conn.link.(*epollLink).hungUp = true
		}
		if what != 0 {
			events = append(events, event{conn: w.conn, happened: what})
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

func (p *epoll) close(until time.Time) {
	p.mail.close(until)
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
	events        uint32 // that epoll reports
	hungUp        bool   // the end was reported
	local, remote net.Addr
}

func (l *epollLink) read(p []byte) (int, error) {
	for {
		n, err := readSocket(l.sock, p)
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
		n, err := writeSocket(l.sock, segments, &l.poller.vectors)
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

func (l *epollLink) watch(i interest) error {
	events := epollEvents(i)
	if events == l.events {
		return nil
	}
	l.events = events
	return l.poller.control(unix.EPOLL_CTL_MOD, l.sock, l.seq, events)
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
		l.poller.unwatch(l.sock)
	}
	_ = unix.Close(l.sock) // epoll forgets it along the way; nothing to do about an error
}

func (l *epollLink) memoryBytes() int     { return 0 }
func (l *epollLink) fd() int              { return l.sock }
func (l *epollLink) localAddr() net.Addr  { return l.local }
func (l *epollLink) remoteAddr() net.Addr { return l.remote }
func (l *epollLink) gone() bool           { return l.hungUp }
func (l *epollLink) seesEnd() bool        { return true }

// carriedLink is a link whose bytes goroutines carry, while epoll tells of its
// end: at once, like that of any other socket.
type carriedLink struct {
	*portableLink
	poller *epoll
	sock   int
}

// carry returns the link as it is if it has no descriptor.
func (p *epoll) carry(l *portableLink) link {
	socket, ok := socketOf(l.Conn).(syscall.Conn)
	if !ok {
		return l
	}
	fd, err := descriptor(socket)
	if err != nil {
		return l
	}
	return &carriedLink{l, p, fd}
}

// close takes the descriptor back before the goroutines close it.
func (l *carriedLink) close() {
	if l.conn != nil {
		l.poller.unwatch(l.sock)
		_ = l.poller.control(unix.EPOLL_CTL_DEL, l.sock, 0, 0) // closing would do as well
	}
	l.portableLink.close()
}

func (l *carriedLink) fd() int       { return l.sock }
func (l *carriedLink) seesEnd() bool { return true }
