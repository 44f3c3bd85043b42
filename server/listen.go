package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cairnmq/cairn/config"
)

// openListeners listens on what the configuration names. An error says what to
// do about it.
func openListeners(c *config.Config) (plain, secure []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeListeners(plain)
			closeListeners(secure)
		}
	}()
	if plain, err = listenAll(c, "port", c.Port); err != nil {
		return plain, secure, err
	}
	if secure, err = listenAll(c, "tls-port", c.TLSPort); err != nil {
		return plain, secure, err
	}
	if c.UnixSocket != "" {
		l, err := listenUnix(c.UnixSocket, c.UnixSocketPerm)
		if err != nil {
			return plain, secure, err
		}
		plain = append(plain, l)
		if err := setBacklog(l, c.TCPBacklog); err != nil {
			return plain, secure, err
		}
	}
	if len(plain)+len(secure) == 0 {
		return plain, secure, fmt.Errorf("this machine has none of the addresses %s: check --bind", strings.Join(c.Bind, " "))
	}
	return plain, secure, nil
}

// listenAll listens on the port that a directive names, unless it is 0, on all
// addresses that the machine has.
func listenAll(c *config.Config, directive string, port int) (listeners []net.Listener, err error) {
	if port == 0 {
		return nil, nil
	}
	for _, address := range c.Bind {
		l, err := listenTCP(address, directive, port)
		if err != nil {
			return listeners, err
		}
		if l == nil {
			continue
		}
		listeners = append(listeners, l)
		if err := setBacklog(l, c.TCPBacklog); err != nil {
			return listeners, err
		}
	}
	return listeners, nil
}

func closeListeners(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // nothing to do about an error
	}
}

// listenTCP listens on an address as the directive bind writes it. It returns
// nil for one that the machine lacks and that need not be there.
func listenTCP(address, directive string, port int) (net.Listener, error) {
	host, optional := strings.CutPrefix(address, "-")
	network := "tcp"
	switch host {
	case "*":
		network, host = "tcp4", "0.0.0.0"
	case "::*":
		network, host = "tcp6", "::"
	default:
		if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
			network = "tcp6" // and not IPv4 as well
		}
	}
	// Probes are for tcp-keepalive to ask for, not for Go.
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is in use: stop the other server or start with --%s %d", port, directive, otherPort(port))
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %d needs privileges: start with --%s and a number above 1023", port, directive)
	case isMissing(err) && optional:
		return nil, nil
	case isMissing(err):
		return nil, fmt.Errorf("this machine has no address %s: check --bind", host)
	}
	return nil, fmt.Errorf("listen on %s: %w", address, err)
}

func otherPort(port int) int {
	if port != 7000 {
		return 7000
	}
	return 7001
}

// isMissing reports whether a machine has no such address, or not even the
// protocol.
func isMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// listenUnix listens on a socket in the file system, in place of one that a
// server which is gone has left.
func listenUnix(path string, permission os.FileMode) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("unix socket: %w: check --unixsocket", err)
	}
	if permission != 0 {
		if err := os.Chmod(path, permission); err != nil {
			_ = l.Close() // the first error is the one to tell
			return nil, fmt.Errorf("unix socket: %w", err)
		}
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // listening will tell, unless it is just not there
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is no socket: choose another --unixsocket", path)
	}
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close() // it was only to see
		return fmt.Errorf("unix socket %s is in use: stop the other server or choose another --unixsocket", path)
	}
	return os.Remove(path)
}

// setBacklog repeats listen(2) with a backlog of our own: Go always asks for the
// most that the system allows.
func setBacklog(l net.Listener, backlog int) error {
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.Addr(), err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), backlog) }); err != nil {
		failed = err
	}
	if failed != nil {
		return fmt.Errorf("listen on %s with --tcp-backlog %d: %w", l.Addr(), backlog, failed)
	}
	return nil
}

// describeListeners is what the log says of where clients find the server,
// without and with TLS.
func describeListeners(listeners []net.Listener) (plain, secure string) {
	var plains, secures []string
	for _, l := range listeners {
		text := strings.TrimSpace(strings.Replace(l.Addr().Network(), "tcp", "", 1) + " " + l.Addr().String())
		if _, ok := l.(*tlsListener); ok {
			secures = append(secures, text)
		} else {
			plains = append(plains, text)
		}
	}
	return strings.Join(plains, ", "), strings.Join(secures, ", ")
}

// beyondLoopback reports whether other machines can reach a listener.
func beyondLoopback(listeners []net.Listener) bool {
	for _, l := range listeners {
		if !isLocal(l.Addr()) {
			return true
		}
	}
	return false
}
