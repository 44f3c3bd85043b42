package compat_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var crowd = flag.Int("crowd", 1000, "clients in the tests of crowds; make crowd: 10,000")

// A crowded server is one with a crowd of clients, and a witness who is served all the while.
type crowdedServer struct {
	*daemon
	t       *testing.T
	clients int
	begin   int // its memory at the start, in MB
}

// startCrowded leaves room for clients in the limits of open files, its own and the server's.
func startCrowded(t *testing.T, clients int, options ...string) *crowdedServer {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if room := int(min(files.Cur, 1<<20)) - 2000; clients > room {
		t.Logf("%d clients instead of %d: the system allows %d open files (ulimit -n)", room, clients, files.Cur)
		clients = room
	}
	s := &crowdedServer{t: t, clients: clients}
	s.daemon = ownCairn(t, t.TempDir(), append([]string{"--maxclients", fmt.Sprint(clients + 100)}, options...)...)
	if s.cmd == nil {
		t.Skip("needs a server of its own")
	}
	s.begin, _ = s.memory()
	return s
}

// memory returns how many MB of the server are in memory, now and at most so far.
func (s *crowdedServer) memory() (now, peak int) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Skipf("the memory of another process shows on Linux only: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			now = kb >> 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			peak = kb >> 10
		}
	}
	return now, peak
}

// peakBelow fails if the server ever took more memory than it had at the start and so many MB.
func (s *crowdedServer) peakBelow(more int) {
	s.t.Helper()
	now, peak := s.memory()
	s.t.Logf("%d clients: %d MB in memory, %d MB at most, %d MB at the start", s.clients, now, peak, s.begin)
	if peak > s.begin+more {
		s.t.Errorf("%d MB in memory at most, %d MB at the start: more than %d MB for %d clients", peak, s.begin, more, s.clients)
	}
}

func (s *crowdedServer) connect() *client {
	s.t.Helper()
	c, err := dial(s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.close)
	return c
}

// each calls do for every client of the crowd, some at a time.
func (s *crowdedServer) each(do func(n int) error) {
	s.t.Helper()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= s.clients {
					return
				}
				if err := do(n); err != nil {
					s.t.Errorf("client %d: %v", n, err)
					return
				}
			}
		})
	}
	workers.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// witnessed lets a client push, one message after the other, while something is done. It has to be served, however
// busy the server is; how long that took at most is reported.
func (s *crowdedServer) witnessed(what string, do func()) {
	s.t.Helper()
	w := s.connect()
	defer w.close()
	over := make(chan struct{})
	var watching sync.WaitGroup
	pushes, longest := 0, time.Duration(0)
	watching.Go(func() {
		for {
			began := time.Now()
			if f, err := w.do("LPUSH", "witness", "x"); err != nil || f.kind != ':' {
				s.t.Errorf("%s: the witness: %v, %v", what, f, err)
				return
			}
			pushes++
			longest = max(longest, time.Since(began))
			select {
			case <-over:
				return
			default:
			}
		}
	})
	began := time.Now()
	do()
	close(over)
	watching.Wait()
	s.t.Logf("%s: %.1f s, %d pushes of a witness meanwhile, the longest took %.1f ms", what, time.Since(began).Seconds(), pushes, float64(longest.Microseconds())/1000)
}

// until asks again until a field of INFO is as wanted.
func (s *crowdedServer) until(section, field, want string) {
	s.t.Helper()
	c := s.connect()
	defer c.close()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		f, err := c.do("INFO", section)
		if err != nil {
			s.t.Fatal(err)
		}
		_, value, _ := strings.Cut(f.text, "\r\n"+field+":")
		if value, _, _ = strings.Cut(value, "\r"); value == want {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is %s, want %s", field, value, want)
		}
	}
}

// TestCrowdOfIdlers: a client that does nothing costs a few kB.
func TestCrowdOfIdlers(t *testing.T) {
	s := startCrowded(t, *crowd)
	clients := make([]*client, s.clients)
	s.witnessed("connecting", func() {
		s.each(func(n int) (err error) {
			if clients[n], err = dial(s.addr); err == nil {
				_, err = clients[n].do("PING")
			}
			return err
		})
	})
	s.until("clients", "connected_clients", strconv.Itoa(s.clients+1))
	s.witnessed("a command of each", func() {
		s.each(func(n int) error {
			_, err := clients[n].do("LPUSH", fmt.Sprint("q", n%100), "x")
			return err
		})
	})
	s.peakBelow(150 + s.clients*16>>10)
	s.witnessed("leaving", func() {
		s.each(func(n int) error { clients[n].close(); return nil })
		s.until("clients", "connected_clients", "2") // the witness, and who asks
	})
}

// TestCrowdAtOneKey: ten thousand wait for one list, and get one message each, in the order in which they came.
func TestCrowdAtOneKey(t *testing.T) {
	s := startCrowded(t, *crowd)
	clients := make([]*client, s.clients)
	s.witnessed("blocking", func() {
		s.each(func(n int) (err error) { clients[n], err = dial(s.addr); return err })
		// Commands of one turn run in no order that clients know of: so they block one after the other.
		asker := s.connect()
		for n, c := range clients {
			if err := c.send(encode([]string{"BRPOP", "jobs", "0"})); err != nil {
				t.Fatal(err)
			}
			if n%100 == 99 {
				continue
			}
			for {
				f, err := asker.do("CLIENT", "LIST", "ID", strconv.Itoa(n)) // any round trip: the loop has been round
				if err != nil {
					t.Fatal(f, err)
				}
				break
			}
		}
		s.until("clients", "blocked_clients", strconv.Itoa(s.clients))
	})
	s.witnessed("serving", func() {
		producer := s.connect()
		var raw bytes.Buffer
		for n := range s.clients {
			raw.Write(encode([]string{"LPUSH", "jobs", strconv.Itoa(n)}))
		}
		go producer.conn.Write(raw.Bytes()) // what fails shows in the replies
		for range s.clients {
			if f, err := producer.receive(); err != nil || f.kind != ':' {
				t.Fatal(f, err)
			}
		}
	})
	seen := make([]bool, s.clients)
	outOfOrder := 0
	for n, c := range clients {
		f, err := c.receive()
		if err != nil || len(f.items) != 2 || f.items[0].text != "jobs" {
			t.Fatalf("client %d got %v, %v", n, f, err)
		}
		job, err := strconv.Atoi(f.items[1].text)
		if err != nil || job < 0 || job >= s.clients || seen[job] {
			t.Fatalf("client %d got job %v a second time, or never sent", n, f)
		}
		seen[job] = true
		if job != n {
			outOfOrder++
		}
	}
	// Only clients whose commands may have met in one turn can have changed places.
	if outOfOrder > s.clients/20 {
		t.Errorf("%d clients of %d were not served in the order in which they blocked", outOfOrder, s.clients)
	}
	s.peakBelow(150 + s.clients*16>>10)
}

// TestCrowdOfSubscribers: messages of 1 MB to a tenth of the crowd are in memory once, and those who do not read are
// cut off.
func TestCrowdOfSubscribers(t *testing.T) {
	s := startCrowded(t, max(20, *crowd/10), "--client-output-buffer-limit", "pubsub", "16mb", "0", "0")
	clients := make([]*client, s.clients)
	s.each(func(n int) (err error) {
		if clients[n], err = dial(s.addr); err == nil {
			_, err = clients[n].do("SUBSCRIBE", "news")
		}
		return err
	})
	const messages = 40
	message := strings.Repeat("x", 1<<20)
	publisher := s.connect()
	var reading sync.WaitGroup
	heard := make([]chan int, s.clients) // how many messages so far, of those who read
	for n := range clients {
		if n%2 == 1 {
			continue // deaf
		}
		heard[n] = make(chan int, messages)
		reading.Go(func() {
			for i := range messages {
				if err := clients[n].conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
					t.Error(err)
				}
				// *3 $7 message $4 news $1048576 …
				if _, err := io.CopyN(io.Discard, clients[n].in, int64(len("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1048576\r\n\r\n")+len(message))); err != nil {
					t.Errorf("subscriber %d after %d messages: %v", n, i, err)
					close(heard[n])
					return
				}
				heard[n] <- i
			}
		})
	}
	s.witnessed("publishing", func() {
		for range messages {
			if f, err := publisher.do("PUBLISH", "news", message); err != nil || f.kind != ':' {
				t.Fatal(f, err)
			}
			for n := range clients { // the good ones keep up, whatever else the machine does
				if heard[n] != nil {
					if _, ok := <-heard[n]; !ok {
						t.FailNow()
					}
				}
			}
		}
	})
	reading.Wait()
	// A message is in memory once, so is what the deaf have not taken, up to their limit; beside the input, its copies
	// in the kernel's buffers and what the collector has not collected yet.
	s.peakBelow(400)
	s.until("stats", "client_output_buffer_limit_disconnections", strconv.Itoa(s.clients/2))
}

// TestCrowdOfTheMad: clients that send garbage of every kind, and hardly read. The server lives, its memory stays
// bounded, and others are served.
func TestCrowdOfTheMad(t *testing.T) {
	s := startCrowded(t, *crowd, "--maxmemory-clients", "64mb", "--client-query-buffer-limit", "4mb", "--proto-max-bulk-len", "2mb")
	s.witnessed("garbage", func() {
		clients := make([]*client, s.clients)
		s.each(func(n int) (err error) {
			rng := rand.New(rand.NewPCG(uint64(n), 4))
			if clients[n], err = dial(s.addr); err != nil {
				return err
			}
			go discardSlowly(clients[n].conn, n)
			for range 1 + rng.IntN(6) {
				if err := clients[n].conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
					return nil // it was closed: well deserved
				}
				if _, err := clients[n].conn.Write(madness(rng)); err != nil {
					return nil
				}
			}
			return nil
		})
		for _, c := range clients {
			c.close()
		}
	})
	// Memtables, caches and clients have their bounds, and there is as much garbage again, and its reserve, before it is collected.
	s.peakBelow(850)
	s.until("clients", "connected_clients", "1")
	c := s.connect()
	if f, err := c.do("PING"); err != nil || f.text != "PONG" {
		t.Error(f, err)
	}
	if lines := strings.Count(s.log.String(), "\n"); lines > 200 {
		t.Errorf("%d lines in the log", lines)
	}
}

// discardSlowly reads what comes: all of it, the beginning, or nothing.
func discardSlowly(conn io.Reader, n int) {
	switch n % 3 {
	case 0:
		_, _ = io.Copy(io.Discard, conn) // until it is closed
	case 1:
		_, _ = io.CopyN(io.Discard, conn, 100)
	}
}

// madness is what a client sends that is broken, or evil.
func madness(rng *rand.Rand) []byte {
	noise := func(most int) []byte {
		b := make([]byte, 1+rng.IntN(most))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	word := func() string {
		if rng.IntN(3) == 0 {
			return string(noise(200))
		}
		return []string{"q", "s", "g", "c", "0", "1", "-1", "*", "$", ">", "+", "-", "COUNT", "9223372036854775807", "BLOCK", "STREAMS", "x", ""}[rng.IntN(18)]
	}
	command := func() []byte {
		words := []string{[]string{
			"LPUSH", "RPOP", "LRANGE", "BLPOP", "BRPOP", "BLMOVE", "LINSERT", "LREM", "LTRIM", "SORT", "COPY", "RESTORE", "DUMP", "XADD", "XREAD", "XREADGROUP", "XAUTOCLAIM", "XINFO",
			"SUBSCRIBE", "PSUBSCRIBE", "PUBLISH", "MULTI", "EXEC", "WATCH", "CLIENT", "HELLO", "AUTH", "KEYS", "SCAN", "OBJECT", "COMMAND", "MONITOR", "ECHO", "NOSUCH",
		}[rng.IntN(34)]}
		for range rng.IntN(8) {
			words = append(words, word())
		}
		return encode(words)
	}
	switch rng.IntN(12) {
	case 0:
		return noise(20_000)
	case 1:
		return fmt.Appendf(nil, "*%d\r\n%s", rng.Int64()-rng.Int64(), noise(1000))
	case 2: // announced and never sent
		return fmt.Appendf(nil, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s", 2<<20-rng.IntN(1<<20), noise(64<<10))
	case 3:
		return bytes.Repeat([]byte("x"), 70_000) // no end of line
	case 4:
		return bytes.Repeat([]byte("PING\r\n"), 1000)
	case 5:
		return fmt.Appendf(nil, "*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$1000000\r\n%s\r\n", bytes.Repeat([]byte("y"), 1_000_000))
	case 6:
		return []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03GET / HTTP/1.1\r\n\r\n")
	case 7: // one bit is wrong
		c := command()
		c[rng.IntN(len(c))] ^= 1 << rng.IntN(8)
		return c
	case 8: // cut off
		c := command()
		return c[:rng.IntN(len(c))]
	}
	var all []byte
	for range 1 + rng.IntN(20) {
		all = append(all, command()...)
	}
	return all
}
