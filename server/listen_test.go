package server

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cairnmq/cairn/config"
)

// listenWith opens the listeners of a command line.
func listenWith(t *testing.T, args ...string) ([]net.Listener, error) {
	t.Helper()
	c := config.New()
	if err := c.Load(args); err != nil {
		t.Fatal(err)
	}
	plain, secure, err := openListeners(c)
	listeners := slices.Concat(plain, secure)
	t.Cleanup(func() { closeListeners(listeners) })
	return listeners, err
}

// freePort returns a port that nobody listens on at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l := listenLoopback(t)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func described(listeners []net.Listener) string {
	plain, _ := describeListeners(listeners)
	return plain
}

func TestListenErrorsSayWhatToDo(t *testing.T) {
	taken := listenLoopback(t)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	inUse, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer inUse.Close()

	for _, tc := range []struct{ args, want string }{
		{"--port " + port, "port " + port + " is in use: stop the other server or start with --port 7000"},
		{"--bind 192.0.2.1", "this machine has no address 192.0.2.1: check --bind"},
		{"--bind -192.0.2.1", "this machine has none of the addresses -192.0.2.1: check --bind"},
		{"--port 0 --unixsocket " + file, file + " exists and is no socket: choose another --unixsocket"},
		{"--port 0 --unixsocket " + socket, "unix socket " + socket + " is in use: stop the other server or choose another --unixsocket"},
	} {
		if _, err := listenWith(t, strings.Fields(tc.args)...); err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", tc.args, err, tc.want)
		}
	}
}

func TestListenOnWhatThereIs(t *testing.T) {
	port := freePort(t)
	listeners, err := listenWith(t, "--port", port, "--bind", "127.0.0.1", "-192.0.2.1", "--tcp-backlog", "10")
	if err != nil || len(listeners) != 1 || described(listeners) != "127.0.0.1:"+port || beyondLoopback(listeners) {
		t.Errorf("%s %v", described(listeners), err)
	}
	listeners, err = listenWith(t, "--port", freePort(t), "--bind", "*")
	if err != nil || !beyondLoopback(listeners) {
		t.Errorf("%s %v", described(listeners), err)
	}
}

// A socket that a server which was killed has left is replaced.
func TestStaleUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	stale, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	listeners, err := listenWith(t, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	i := start(t, setup{listener: listeners[0]})
	c := i.dial(t)
	c.do("PING", "+PONG")
	c.until("CLIENT LIST", "addr="+socket+":0")
}

// CONFIG SET port and bind listen elsewhere at once, or change nothing. Who is
// connected stays.
func TestListenElsewhere(t *testing.T) {
	for _, path := range []path{epollPath, portablePath} {
		t.Run(string(path), func(t *testing.T) {
			listener, taken := listenLoopback(t), listenLoopback(t)
			defer taken.Close()
			first, next := portOf(listener.Addr()), freePort(t)
			i := start(t, setup{path: path, listener: listener, options: []string{"--port", first, "--bind", "127.0.0.1"}})
			c := i.dial(t)
			listens := func(ports ...string) {
				t.Helper()
				for _, port := range []string{first, next} {
					conn, err := net.Dial("tcp", "127.0.0.1:"+port)
					if err == nil {
						conn.Close()
					}
					if (err == nil) != slices.Contains(ports, port) {
						t.Errorf("port %s: %v", port, err)
					}
				}
			}
			const failed = "-ERR CONFIG SET failed (possibly related to argument '"
			listens(first)
			c.do("CONFIG SET port "+first, "+OK")
			listens(first)
			c.do("CONFIG SET port "+portOf(taken.Addr()), failed+"port') - Unable to listen on this port. Check server logs.")
			listens(first)
			c.do("CONFIG SET port "+next+" maxclients x", failed+"maxclients') - argument couldn't be parsed into an integer")
			listens(first)
			c.do("CONFIG SET port "+next, "+OK")
			listens(next)
			c.do("CONFIG SET bind 999.999.999.999", failed+"bind') - Failed to bind to specified addresses.")
			listens(next)
			c.do(`CONFIG SET bind ""`, failed+"bind') - Failed to bind to specified addresses.")
			listens(next)
			c.do("CONFIG SET port 0", failed+"port') - Unable to listen on this port. Check server logs.")
			c.do(`CONFIG SET bind "127.0.0.1 *"`, failed+"bind') - Failed to bind to specified addresses.") // the one contains the other
			listens(next)
			c.do("CONFIG SET bind *", "+OK")
			listens(next)
			c.do("CONFIG GET port", "[port "+next+"]")
			i.addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: atoi(t, next)}
			i.dial(t).do("PING", "+PONG")
			c.do("CONFIG SET tls-port "+first, failed+"tls-port') - TLS needs a certificate: name its file with tls-cert-file, and that of its key with tls-key-file")
			f := sharedAuthority().files(t, "server")
			c.do("CONFIG SET tls-auth-clients no tls-cert-file "+f.cert+" tls-key-file "+f.key+" tls-port "+first, "+OK")
			listens(first, next)
			i.addr, i.tls = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: atoi(t, first)}, sharedAuthority().clientConfig()
			secure := i.dial(t)
			secure.do("PING", "+PONG")
			secure.do("CONFIG SET port 0", "+OK")
			listens(first)
			c.do("PING", "+PONG")
		})
	}
}

func portOf(a net.Addr) string { return strconv.Itoa(a.(*net.TCPAddr).Port) }

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
