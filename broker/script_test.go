package broker

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts print as what is expected; read the diff")

// TestScripts runs testdata/*.txt against a broker with virtual clients and a
// virtual clock. A script reads like a transcript:
//
//	# a comment
//	a> BLPOP q 0              a turn with one command
//	b> LPUSH q x | c> LPOP q  a turn with two
//	  a: ["q" "x"]            what each client is then sent
//	  b: :1
//	  c: nil
//	advance 1s                time passes; what is due runs
//	close a                   the client's connection is lost
//	resp3 a                   the client speaks RESP3 from now on
//	down 1h                   the same without a turn: nobody is there to run it
//	crash                     power fails: what was not synced is gone; restart
//	set appendfsync no        CONFIG SET, before any client
//
// Expected lines stand below the turn that causes them; what is not expected
// must not come. go test -rewrite writes them.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newStage(t).play(string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s: differs (go test -rewrite shows it as a diff)\n%s", file, firstDifference(string(text), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if i >= len(w) || i >= len(g) || w[i] != g[i] {
			from := max(0, i-4)
			return fmt.Sprintf("line %d\nwant:\n%s\ngot:\n%s", i+1,
				strings.Join(w[min(from, len(w)):min(i+3, len(w))], "\n"), strings.Join(g[min(from, len(g)):min(i+3, len(g))], "\n"))
		}
	}
	return ""
}

// stage is a broker with its clients.
type stage struct {
	t       testing.TB
	fs      *vfs.MemFS
	wrap    func(vfs.FS) vfs.FS // what the store sees of fs; nil: fs
	options storage.Options
	config  *config.Config
	store   *storage.Store
	broker  *Broker
	now     time.Time
	clients map[string]*client
	ended   func()               // called after each turn, if not nil
	passes  func() time.Duration // how much time passes between two turns; nil: none
	logged  []string
	long    int64 // items from which a command leaves the loop; 0: as ever
}

type client struct {
	name    string
	session *Session
	pending [][][]byte // commands that wait for the session to be resumed
}

type fakePeer struct{ name string }

func (p fakePeer) RemoteAddr() string      { return "127.0.0.1:" + strconv.Itoa(1000+int(p.name[0])) }
func (p fakePeer) LocalAddr() string       { return "127.0.0.1:6379" }
func (p fakePeer) FD() int                 { return -1 }
func (p fakePeer) QueryBuffer() (int, int) { return 0, 0 }
func (p fakePeer) TransitBytes() int       { return 0 }

func newStage(t testing.TB) *stage { return newStageOn(t, vfs.NewCrashableMem()) }

func newStageOn(t testing.TB, fs *vfs.MemFS) *stage {
	// Small, as a stage is soon over: the first files of a log are written in full.
	return newStageWith(t, fs, storage.Options{Seed: 1, MemTableBytes: 1 << 20, LogSegmentBytes: 256 << 10, ApplyAsideMin: 1})
}

func newStageWith(t testing.TB, fs *vfs.MemFS, o storage.Options) *stage {
	s := &stage{t: t, fs: fs, options: o, config: config.New(), now: time.UnixMilli(1_700_000_000_000), clients: make(map[string]*client)}
	s.open()
	t.Cleanup(func() { _ = s.store.Close() })
	return s
}

func (s *stage) open() {
	o := s.options
	if o.LogSegmentBytes == 0 {
		o.LogSegmentBytes = 64 << 10 // made anew with each start
	}
	o.FS = s.fs
	if s.wrap != nil {
		o.FS = s.wrap(o.FS)
	}
	store, err := storage.Open("/data", o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.store = store
	s.setSync()
	s.broker = New(Options{Store: store, Config: s.config, Rand: rand.New(rand.NewPCG(1, 1)), Started: s.now, Logf: func(format string, args ...any) {
		s.logged = append(s.logged, fmt.Sprintf(format, args...))
	}})
	if err := errors.Join(s.broker.Server().LoadPolicies(), s.broker.Server().LoadPopped()); err != nil {
		s.t.Fatal(err)
	}
	if s.long > 0 {
		s.broker.Server().LongReadItems, s.broker.Server().LongWriteItems = s.long, s.long
	}
}

// setSync does what the server does when appendfsync changes.
func (s *stage) setSync() {
	policy := storage.SyncAlways
	if s.config.AppendFsync != config.FsyncAlways {
		policy = storage.SyncNo
	}
	if err := s.store.SetSync(policy); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) client(name string) *client {
	c := s.clients[name]
	if c == nil {
		c = &client{name: name, session: s.broker.Connect(fakePeer{name}, s.now)}
		s.clients[name] = c
	}
	return c
}

// turn runs the given requests in one turn, then further turns until nobody is
// left who could go on.
func (s *stage) turn(requests ...request) {
	if err := s.tryTurns(requests...); err != nil {
		s.t.Fatal(err)
	}
}

// tryTurns is turn, for a disk that may fail.
func (s *stage) tryTurns(requests ...request) error {
	for _, r := range requests {
		c := s.client(r.client)
		c.pending = append(c.pending, r.args)
	}
	first := requests
	for {
		s.broker.Begin(s.now)
		progress := false
		if first != nil {
			for _, r := range first {
				progress = s.feedOne(s.client(r.client)) || progress
			}
			first = nil
		} else {
			for _, c := range s.sorted() {
				for s.feedOne(c) {
					progress = true
				}
			}
		}
		if err := s.broker.End(); err != nil {
			return err
		}
		if s.ended != nil {
			s.ended()
		}
		for _, job := range slices.Clone(s.broker.Jobs()) {
			err := job.Run(func(p []byte) bool { s.broker.Deliver(job, p); return true })
			if err != nil {
				return err
			}
			s.broker.Finish(job)
			progress = true
		}
		if !progress && len(s.broker.Resumed()) == 0 {
			return nil
		}
		if s.passes != nil {
			s.now = s.now.Add(s.passes())
		}
	}
}

func (s *stage) feedOne(c *client) bool {
	if len(c.pending) == 0 || c.session.Killed || !s.broker.Do(c.session, c.pending[0]) {
		return false
	}
	c.pending = c.pending[1:]
	return true
}

func (s *stage) sorted() []*client {
	var list []*client
	for _, c := range s.clients {
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list
}

type request struct {
	client string
	args   [][]byte
}

// play runs a script and returns it with what was really sent.
func (s *stage) play(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue // expected lines are written anew
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s.line(line)
		for _, c := range s.sorted() {
			s.drain(&out, c)
		}
	}
	return out.String()
}

func (s *stage) line(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "advance", "down":
		d, err := time.ParseDuration(rest)
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
		if word == "advance" {
			s.turn()
		}
	case "close":
		s.broker.Disconnect(s.client(rest).session)
		delete(s.clients, rest)
		s.turn()
	case "resp3":
		s.client(rest).session.Out.Proto = 3
	case "crash":
		s.fs = s.fs.CrashClone(vfs.CrashCloneCfg{})
		_ = s.store.Close() // on the file system that is no longer looked at
		clear(s.clients)
		s.open()
	case "set":
		name, value, _ := strings.Cut(rest, " ")
		if err := s.config.Set([]config.Pair{{Name: name, Value: value}}); err != nil {
			s.t.Fatal(err)
		}
		s.setSync()
	default:
		var requests []request
		for part := range strings.SplitSeq(line, " | ") {
			name, command, ok := strings.Cut(part, "> ")
			if !ok {
				s.t.Fatalf("script: what is %q?", part)
			}
			requests = append(requests, request{strings.TrimSpace(name), split(s.t, command)})
		}
		s.turn(requests...)
	}
}

// split cuts a command into arguments; "…" may hold blanks and escapes.
func split(t testing.TB, line string) (args [][]byte) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				t.Fatal(err)
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			args, line = append(args, []byte(text)), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		args, line = append(args, []byte(word)), rest
	}
	return args
}

// drain prints what the client was sent, a line for each reply.
func (s *stage) drain(out *strings.Builder, c *client) {
	r := bufio.NewReader(bytes.NewReader(c.session.Out.Bytes()))
	c.session.Out.Reset(1 << 20)
	c.session.ReplySent()
	for {
		text, err := render(r)
		if err == io.EOF {
			break
		}
		if err != nil {
			s.t.Fatalf("client %s was sent garbage: %v", c.name, err)
		}
		fmt.Fprintf(out, "  %s: %s\n", c.name, text)
	}
	if c.session.Killed || c.session.CloseAfterReply {
		fmt.Fprintf(out, "  %s: closed\n", c.name)
		s.broker.Disconnect(c.session)
		delete(s.clients, c.name)
	}
}

// render reads one reply and writes it for people.
func render(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	kind, rest := line[0], line[1:]
	n, _ := strconv.Atoi(rest)
	switch kind {
	case '$', '=':
		if n < 0 {
			return "nil", nil
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(r, body); err != nil {
			return "", err
		}
		return strconv.Quote(string(body[:n])), nil
	case '_':
		return "null", nil
	case '*', '~', '>', '%':
		if n < 0 {
			return "nil-array", nil
		}
		if kind == '%' {
			n *= 2
		}
		items := make([]string, n)
		for i := range items {
			if items[i], err = render(r); err != nil {
				return "", err
			}
		}
		mark := string(kind)
		if kind == '*' {
			mark = ""
		}
		return mark + "[" + strings.Join(items, " ") + "]", nil
	}
	return line, nil
}
