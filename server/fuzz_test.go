package server

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/broker"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

// sessions are what clients have sent in the scripts of compat_test, as bytes.
func sessions(f *testing.F) (all [][]byte) {
	files, err := filepath.Glob("../compat_test/testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var sent []byte
		for line := range strings.Lines(string(text)) {
			_, command, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "> ")
			words, err := config.Split(command)
			if !ok || strings.HasPrefix(line, " ") || err != nil || len(words) == 0 || len(command) > 500 {
				continue
			}
			sent = append(sent, bulkCommand(words...)...)
			if len(sent) > 2000 {
				break
			}
		}
		all = append(all, sent)
	}
	return all
}

// pieces is a link whose peer sends what it sends in pieces, and reads as much as
// it likes.
type pieces struct {
	stuck
	rng    *rand.Rand
	left   []byte
	sent   []byte // to it
	hungUp bool   // behind what is left
}

func (p *pieces) read(buf []byte) (int, error) {
	if len(p.left) == 0 && p.hungUp {
		return 0, io.EOF
	}
	n := copy(buf[:min(len(buf), 1+p.rng.IntN(100))], p.left)
	p.left = p.left[n:]
	return n, nil
}

func (p *pieces) write(segments [][]byte) (n int, err error) {
	for _, s := range segments {
		take := len(s)
		if p.rng.IntN(4) == 0 {
			take = p.rng.IntN(len(s) + 1)
		}
		p.sent = append(p.sent, s[:take]...)
		if n += take; take < len(s) {
			break
		}
	}
	return n, nil
}

// FuzzConnections: whatever bytes three clients send, in whatever pieces, and
// however slowly they read, the loop goes on, and a fourth is served.
func FuzzConnections(f *testing.F) {
	for i, sent := range sessions(f) {
		f.Add(sent, []byte("PING\r\nBLPOP q 0\r\n"), []byte("*1\r\n$4\r\nPING\r\n*3\r\n$9\r\nSUBSCRIBE"), uint64(i))
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		settings := config.New()
		store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem(), Sync: storage.SyncNo, MemTableBytes: 1 << 20, LogSegmentBytes: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		l := newLoop(broker.New(broker.Options{Config: settings, Store: store, Rand: rng, MemoryBytes: 1 << 30}), settings, &Log{out: io.Discard}, newPortablePoller(), nil)
		var links []*pieces
		connect := func(input []byte, hungUp bool) *conn {
			link := &pieces{rng: rng, left: input, hungUp: hungUp}
			links = append(links, link)
			c := newConn(link)
			c.session = l.broker.Connect(c, time.Unix(1000, 0))
			c.index = len(l.conns)
			l.conns = append(l.conns, c)
			return c
		}
		var conns []*conn
		for _, input := range [][]byte{a, b, c} {
			conns = append(conns, connect(input[:min(len(input), 8<<10)], rng.IntN(2) == 0))
		}
		now := time.Unix(1000, 0)
		for range 2000 {
			idle := true
			for i, c := range conns {
				if c.closed {
					continue
				}
				what := toWrite
				if len(links[i].left) > 0 || links[i].hungUp {
					what |= toRead
					idle = false
				}
				l.happened(c, what)
			}
			now = now.Add(time.Duration(rng.IntN(50)) * time.Millisecond)
			l.take(now)
			if err := l.turn(now); err != nil {
				t.Fatal(err)
			}
			l.sendLine()
			l.evict()
			l.upkeep(now)
			if l.fatal != nil {
				t.Fatal(l.fatal)
			}
			if idle && !l.waiting() && l.ending == nil {
				break
			}
			if l.ending != nil {
				break
			}
		}
		if l.ending == nil {
			witness := connect([]byte("*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n"), false)
			link := links[len(links)-1]
			served := false
			for range 500 {
				if !witness.closed {
					l.happened(witness, toRead|toWrite)
				}
				l.take(now)
				if err := l.turn(now); err != nil {
					t.Fatal(err)
				}
				l.sendLine()
				if served = bytes.Equal(link.sent, []byte("$5\r\nhello\r\n")) || bytes.HasPrefix(link.sent, []byte("-NO")); served {
					break
				}
				now = now.Add(time.Second) // CLIENT PAUSE
			}
			if !served && !l.broker.Server().Pause.Until.After(now) {
				t.Fatalf("the witness got %q", link.sent)
			}
		}
		for len(l.conns) > 0 {
			l.drop(l.conns[0])
		}
		l.reads.running.Wait()
		l.background.Wait() // a backup must not find the store closed
		l.take(now)
		if err := l.turn(now); err != nil {
			t.Fatal(err)
		}
		if m := l.broker.Server().ClientMemory; m.Total != 0 || m.Shared != 0 {
			t.Fatalf("of clients that are gone %+v is left", m)
		}
	})
}
