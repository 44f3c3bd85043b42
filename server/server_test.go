package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

// patience is how long a test waits for what has to happen.
const patience = 2 * time.Minute

// instance is a server that runs in the test's process.
type instance struct {
	*Server
	addr net.Addr
	tls  *tls.Config     // of clients; nil: they use none
	log  strings.Builder // to be read when the server has ended
	done chan struct{}
	err  error // of Run
}

// path is a way in which bytes get to the loop and back.
type path string

const (
	epollPath       path = "epoll"        // sockets in epoll, where there is one
	portablePath    path = "portable"     // goroutines that move the bytes
	tlsPath         path = "tls"          // goroutines for TLS beside epoll
	tlsPortablePath path = "tls portable" // nothing but goroutines, for TLS
)

type setup struct {
	path     path // epoll, unless it says otherwise
	fs       vfs.FS
	listener net.Listener
	options  []string // as on the command line

	handshakeTimeMax time.Duration
}

// onEveryPath runs a test on each of them.
func onEveryPath(t *testing.T, test func(t *testing.T, path path)) {
	for _, path := range []path{epollPath, portablePath, tlsPath, tlsPortablePath} {
		t.Run(string(path), func(t *testing.T) { test(t, path) })
	}
}

func (p path) isTLS() bool      { return p == tlsPath || p == tlsPortablePath }
func (p path) isPortable() bool { return p == portablePath || p == tlsPortablePath }

func start(t *testing.T, s setup) *instance {
	t.Helper()
	if s.fs == nil {
		s.fs = vfs.NewMem()
	}
	if s.listener == nil {
		s.listener = listenLoopback(t)
	}
	c := config.New()
	i := &instance{addr: s.listener.Addr(), done: make(chan struct{})}
	options := []string{"--dir", "/data"}
	if s.path.isTLS() {
		files := sharedAuthority().files(t, "server")
		options = append(options, "--tls-cert-file", files.cert, "--tls-key-file", files.key, "--tls-auth-clients", "no")
		i.tls = sharedAuthority().clientConfig()
	}
	if err := c.Load(append(options, s.options...)); err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(c.Dir, storage.Options{FS: s.fs, Sync: SyncPolicy(c), Seed: 1, MemTableBytes: 1 << 20, LogSegmentBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	log := &Log{out: &i.log}
	log.SetLevel(config.LogDebug)
	o := Options{
		Config: c, Store: store, Log: log, Started: time.Now(),
		Listeners: []net.Listener{s.listener}, portable: s.path.isPortable(), handshakeTimeMax: s.handshakeTimeMax,
	}
	if s.path.isTLS() {
		o.Listeners, o.tlsListeners = nil, o.Listeners
	}
	i.Server, err = New(o)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		i.err = i.Run()
		close(i.done)
	}()
	t.Cleanup(func() {
		i.Stop("the test is over")
		i.wait(t)
		if t.Failed() {
			t.Log(i.log.String())
		}
	})
	return i
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wait waits until Run has returned.
func (i *instance) wait(t *testing.T) {
	t.Helper()
	select {
	case <-i.done:
	case <-time.After(patience):
		t.Fatal("the server does not end")
	}
}

// client is a raw connection: tests say what goes over the wire and when.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (i *instance) dial(t *testing.T) *client {
	t.Helper()
	c := i.dialPlain(t)
	if i.tls != nil {
		return c.secure(i.tls)
	}
	return c
}

func (i *instance) dialPlain(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial(i.addr.Network(), i.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{c, t, bufio.NewReader(c)}
}

// secure goes on with TLS. The handshake takes place with the first use.
func (c *client) secure(settings *tls.Config) *client {
	conn := tls.Client(c.Conn, settings)
	return &client{conn, c.t, bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// sendBehind sends while the test goes on. What the server does not take shows
// in the replies.
func (c *client) sendBehind(text string) {
	go func() { _, _ = io.WriteString(c.Conn, text) }()
}

// reply reads one reply or message and writes it in one line: arrays and the
// like in brackets, bulk strings bare.
func (c *client) reply() string {
	c.t.Helper()
	text, err := readReply(c.r)
	if err != nil {
		c.t.Fatalf("read a reply: %v", err)
	}
	return text
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if !strings.ContainsRune("$*%>", rune(line[0])) {
		return line, nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return line, err
	}
	if line[0] == '$' {
		bulk := make([]byte, n+2)
		_, err := io.ReadFull(r, bulk)
		return string(bulk[:n]), err
	}
	if line[0] == '%' {
		n *= 2
	}
	items := make([]string, n)
	for i := range items {
		if items[i], err = readReply(r); err != nil {
			return "", err
		}
	}
	return "[" + strings.Join(items, " ") + "]", nil
}

// do sends a command inline and checks the reply.
func (c *client) do(command, want string) {
	c.t.Helper()
	c.send(command + "\r\n")
	if got := c.reply(); got != want {
		c.t.Fatalf("%s: got %.200s, want %.200s", command, got, want)
	}
}

// closedBy checks that the server sends nothing more and closes.
func (c *client) closedBy() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil && !strings.Contains(err.Error(), "reset by peer") {
		c.t.Fatalf("want the end of the connection, got %q, %v", rest, err)
	} else if len(rest) > 0 {
		c.t.Fatalf("want the end of the connection, got %.200q", rest)
	}
}

// until repeats a command until its reply is as wanted: a state is waited for,
// not a time.
func (c *client) until(command, want string) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		c.send(command + "\r\n")
		got := c.reply()
		if strings.Contains(got, want) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: still %.300s, want %s", command, got, want)
		}
	}
}

// bulkCommand encodes a command the way clients do.
func bulkCommand(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

func TestPipelineOfTenThousand(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		c := start(t, setup{path: path}).dial(t)
		const n = 10000
		c.sendBehind(strings.Repeat(bulkCommand("RPUSH", "q", "some message"), n))
		for i := range n {
			if got, want := c.reply(), fmt.Sprintf(":%d", i+1); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	})
}

func TestBytesOneByOne(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		c := start(t, setup{path: path}).dial(t)
		for _, b := range []byte(bulkCommand("RPUSH", "q", "a\r\nb") + "LLEN q\r\n*0\r\n" + bulkCommand("LPOP", "q")) {
			c.send(string([]byte{b}))
		}
		for _, want := range []string{":1", ":1", "a\r\nb"} {
			if got := c.reply(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestLargeValues(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		c := start(t, setup{path: path}).dial(t)
		for _, size := range []int{4 << 10, 64 << 10, 64<<10 + 1, 9 << 20} {
			value := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			// What follows a long command in the same write is not lost.
			c.sendBehind("PING\r\n" + bulkCommand("RPUSH", "q", value) + bulkCommand("LPOP", "q") + "PING\r\n")
			for _, want := range []string{"+PONG", ":1", value, "+PONG"} {
				if got := c.reply(); got != want {
					t.Fatalf("%d bytes: got %d bytes: %.50q, want %.50q", size, len(got), got, want)
				}
			}
		}
	})
}

func TestManyArguments(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		c := start(t, setup{path: path}).dial(t)
		const n = 200000
		args := make([]string, 2, n+2)
		args[0], args[1] = "RPUSH", "q"
		for range n {
			args = append(args, "x")
		}
		c.sendBehind(bulkCommand(args...) + "PING\r\n")
		if got := c.reply(); got != fmt.Sprintf(":%d", n) {
			t.Fatal(got)
		}
		if got := c.reply(); got != "+PONG" {
			t.Error(got)
		}
	})
}

func TestProtocolErrors(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path})
		for sent, want := range map[string]string{
			"*1\r\n$9223372036854775807\r\n": "-ERR Protocol error: invalid bulk length",
			"*3000000000\r\n":                "-ERR Protocol error: invalid multibulk length",
			"*1\r\nx\r\n":                    "-ERR Protocol error: expected '$', got 'x'",
			"PING 'x\r\n":                    "-ERR Protocol error: unbalanced quotes in request",
		} {
			c := i.dial(t)
			c.send("PING\r\n" + sent + "PING\r\n")
			if got := c.reply(); got != "+PONG" {
				t.Errorf("%q: first %s", sent, got)
			}
			if got := c.reply(); got != want {
				t.Errorf("%q: got %s, want %s", sent, got, want)
			}
			c.closedBy()
		}
		c := i.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n*2\r\n$8\r\nFLUSHALL\r\n")
		c.closedBy()
		i.dial(t).do("PING", "+PONG")
	})
}

func TestUnauthenticatedClientsAreKeptShort(t *testing.T) {
	i := start(t, setup{options: []string{"--requirepass", "secret"}})
	c := i.dial(t)
	c.do("PING", "-NOAUTH Authentication required.")
	c.send("*11\r\n")
	if got := c.reply(); got != "-ERR Protocol error: unauthenticated multibulk length" {
		t.Error(got)
	}
	c.closedBy()
	c = i.dial(t)
	c.send("AUTH secret\r\n" + bulkCommand("RPUSH", "q", strings.Repeat("x", 20000)))
	if got := c.reply() + c.reply(); got != "+OK:1" {
		t.Error(got)
	}
}

// A client that has sent its commands and closed its half gets the replies.
func TestHalfClose(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path})
		c := i.dial(t)
		c.send(strings.Repeat("PING\r\n", 3000))
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			if got := c.reply(); got != "+PONG" {
				t.Fatal(got)
			}
		}
		c.closedBy()

		c = i.dial(t)
		c.send("BLPOP q 0\r\n")
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.closedBy()
		other := i.dial(t)
		other.do("RPUSH q x", ":1")
		other.do("LLEN q", ":1")
	})
}

// The end of a client that waits is noticed before the commands that arrive
// after it: an element is never popped for the dead, not even if it left
// commands unread behind.
func TestTheDeadSwallowNothing(t *testing.T) {
	for _, path := range []path{epollPath, tlsPath} {
		t.Run(string(path), func(t *testing.T) {
			i := start(t, setup{path: path})
			other := i.dial(t)
			for range 200 {
				c := i.dial(t)
				c.send("BLPOP q 0\r\n")
				other.until("INFO clients", "blocked_clients:1")
				c.send(strings.Repeat("PING\r\n", 100))
				c.Close()
				other.do("RPUSH q x", ":1")
				other.do("LPOP q", "x")
			}
		})
	}
}

// A client that sends on and on while it waits is slowed down, not buffered
// without limit; once it is served everything is answered.
func TestReadingAheadOfTheBlockedIsBounded(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path})
		other := i.dial(t)
		c := i.dial(t)
		const pings = 100000
		c.sendBehind("BLPOP q 0\r\n" + strings.Repeat("PING\r\n", pings))
		other.until("INFO clients", "blocked_clients:1")
		other.do("RPUSH q x", ":1")
		if got := c.reply(); got != "[q x]" {
			t.Fatal(got)
		}
		for range pings {
			if got := c.reply(); got != "+PONG" {
				t.Fatal(got)
			}
		}
	})
}

func TestMaxClients(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--maxclients", "2"}})
		a, b := i.dial(t), i.dial(t)
		a.do("PING", "+PONG")
		b.do("PING", "+PONG")
		c := i.dial(t)
		if got := c.reply(); got != "-ERR max number of clients reached" {
			t.Error(got)
		}
		c.closedBy()
		b.Close()
		a.until("INFO clients", "connected_clients:1")
		i.dial(t).do("PING", "+PONG")
		a.until("INFO stats", "rejected_connections:1")
	})
}

func TestProtectedMode(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, listener: listenBeyondLoopback(t)})
		c := i.dial(t)
		if got := c.reply(); !strings.HasPrefix(got, "-DENIED cairn is running in protected mode") {
			t.Error(got)
		}
		c.closedBy()
	})
}

func listenBeyondLoopback(t *testing.T) net.Listener {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort(ip.IP.String(), "0")); err == nil {
			return l
		}
	}
	t.Skip("this machine has no address beyond loopback")
	return nil
}

func TestQueryBufferLimit(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--client-query-buffer-limit", "1mb"}})
		c := i.dial(t)
		c.sendBehind("*2\r\n$4\r\nECHO\r\n$2000000\r\n" + strings.Repeat("x", 2000000))
		c.closedBy()
		i.dial(t).until("INFO stats", "client_query_buffer_limit_disconnections:1")
	})
}

// A subscriber that does not read is cut off and holds nobody up.
func TestOutputBufferLimit(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--client-output-buffer-limit", "pubsub", "8mb", "0", "0"}})
		deaf, good, publisher := i.dial(t), i.dial(t), i.dial(t)
		deaf.do("SUBSCRIBE ch", "[subscribe ch :1]")
		good.do("SUBSCRIBE ch", "[subscribe ch :1]")
		message := strings.Repeat("x", 1<<20)
		for n := range 64 { // the good one keeps up, whatever else the machine does
			publisher.send(bulkCommand("PUBLISH", "ch", message))
			publisher.reply()
			if got := good.reply(); len(got) < len(message) {
				t.Fatalf("message %d: %.100s", n, got)
			}
		}
		publisher.do("PUBSUB NUMSUB ch", "[ch :1]")
		publisher.until("INFO stats", "client_output_buffer_limit_disconnections:1")
	})
}

// The commands of a client that leaves a lot unread have to wait until it has
// read; nothing of either is lost.
func TestSlowReaderIsSlowedDown(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--client-output-buffer-limit", "pubsub", "0", "0", "0"}})
		other, c := i.dial(t), i.dial(t)
		c.send("HELLO 3\r\n")
		c.reply()
		c.do("SUBSCRIBE ch", "[subscribe ch :1]")
		const messages = 100
		message := bulkCommand("PUBLISH", "ch", strings.Repeat("x", 1<<20)) // together far more than unsentBytesMax
		for range messages {
			other.send(message)
			other.reply()
		}
		c.send("RPUSH q x\r\n")
		for range 100 {
			other.do("LLEN q", ":0")
		}
		for range messages {
			if got := c.reply(); len(got) != 1<<20+len("[message ch ]") {
				t.Fatalf("%d bytes: %.50q", len(got), got)
			}
		}
		if got := c.reply(); got != ":1" {
			t.Fatal(got)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	for _, path := range []path{epollPath, tlsPath} {
		t.Run(string(path), func(t *testing.T) { testIdleTimeout(t, path) })
	}
}

func testIdleTimeout(t *testing.T, path path) {
	i := start(t, setup{path: path, options: []string{"--timeout", "1"}})
	idle, waiting, subscribed := i.dial(t), i.dial(t), i.dial(t)
	idle.do("PING", "+PONG")
	waiting.send("BLPOP q 0\r\n")
	subscribed.do("SUBSCRIBE ch", "[subscribe ch :1]")
	idle.closedBy()
	other := i.dial(t)
	other.do("RPUSH q x", ":1")
	if got := waiting.reply(); got != "[q x]" {
		t.Error(got)
	}
	other.do("PUBLISH ch hello", ":1")
	if got := subscribed.reply(); got != "[message ch hello]" {
		t.Error(got)
	}
}

// A read of many elements reaches a client that reads slowly in full, in order
// with what it asks next, and without holding up others.
func TestLongReads(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path})
		other, c := i.dial(t), i.dial(t)
		const elements = 5000
		value := strings.Repeat("x", 3000)
		other.sendBehind(strings.Repeat(bulkCommand("RPUSH", "q", value), elements))
		for range elements {
			other.reply()
		}
		// Clients that go away in the middle leave nothing behind.
		for range 5 {
			gone := i.dial(t)
			gone.send("LRANGE q 0 -1\r\n")
			if _, err := gone.r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			gone.Close()
		}
		other.until("INFO clients", "connected_clients:2")
		c.send("LRANGE q 0 -1\r\nPING\r\n")
		line, err := c.r.ReadString('\n')
		if err != nil || line != fmt.Sprintf("*%d\r\n", elements) {
			t.Fatal(line, err)
		}
		other.do("DEL q", ":1") // the read sees what was there when it began
		for n := range elements {
			if got := c.reply(); got != value {
				t.Fatalf("element %d: %.50q", n, got)
			}
		}
		if got := c.reply(); got != "+PONG" {
			t.Error(got)
		}
	})
}
