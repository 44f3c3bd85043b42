package commands

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// The replies of stream commands are compared with Redis' in compat_test. Here
// is what no reply shows: waiting, leaving the loop, and errors that write
// nothing.

// streamCalls runs stream commands without a broker.
type streamCalls struct {
	t     *testing.T
	store *storage.Store
	tx    *storage.Tx
	table *Table
	now   int64
	wait  *Wait
	// detached says that the last call asked to leave the loop.
	detached bool
}

func newStreamCalls(t *testing.T) *streamCalls {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := &streamCalls{t: t, store: store, table: NewTable(), now: 1000}
	s.tx = store.Begin(time.UnixMilli(s.now))
	return s
}

func (s *streamCalls) commit() {
	s.t.Helper()
	if _, err := s.store.Commit(); err != nil {
		s.t.Fatal(err)
	}
	s.tx = s.store.Begin(time.UnixMilli(s.now))
}

func argvOf(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}

// do runs a command and returns its reply as it would be sent, line ends as
// blanks.
func (s *streamCalls) do(line string) string { return s.call(argvOf(line), Ctx{Detachable: true}) }

func (s *streamCalls) call(argv [][]byte, c Ctx) string {
	s.t.Helper()
	cmd, err := s.table.Resolve(argv)
	if err != nil {
		s.t.Fatal(err)
	}
	if !cmd.ArityFits(len(argv)) {
		s.t.Fatalf("%s: wrong arity", cmd.FullName())
	}
	var out resp.Buffer
	c.Cmd, c.Args, c.Out = cmd, NewArgs(cmd, argv), &out
	if c.Tx == nil {
		c.Tx = s.tx
	}
	c.Session = &Session{}
	c.Server = &Server{Table: s.table, Config: &config.Config{StreamNodeMaxEntries: 100}, LongReadItems: LongReadItems, LongWriteItems: LongWriteItems}
	edits := c.Tx.Edits()
	if err := cmd.Run(&c); err != nil {
		if c.Tx.Edits() != edits {
			s.t.Errorf("%s has written before its error %v", cmd.FullName(), err)
		}
		return err.Error()
	}
	s.wait, s.detached = c.TakeWait(), c.TakeDetach()
	if s.detached {
		snapshot, release := s.store.Snapshot(time.UnixMilli(s.now))
		defer release()
		return s.call(argv, Ctx{Detached: true, Tx: snapshot})
	}
	return strings.TrimSpace(strings.ReplaceAll(string(out.Bytes()), "\r\n", " "))
}

func (s *streamCalls) want(line, reply string) {
	s.t.Helper()
	if got := s.do(line); got != reply {
		s.t.Errorf("%s:\n got %s\nwant %s", line, got, reply)
	}
}

func TestXReadPinsNow(t *testing.T) {
	s := newStreamCalls(t)
	s.want("XADD s 5-1 f v", "$3 5-1")
	s.want("XADD t 7-1 f v", "$3 7-1")
	argv := argvOf("XREAD BLOCK 1500 STREAMS s none t $ $ 7-1")
	if reply := s.call(argv, Ctx{}); reply != "" || s.wait == nil {
		t.Fatalf("XREAD answers %q", reply)
	}
	if ids := argv[6:]; string(ids[0])+" "+string(ids[1]) != "t 5-1" || string(argv[8]) != "0-0" {
		t.Errorf("waits with %q", argv)
	}
	if w := s.wait; w.Timeout != 1500*time.Millisecond || w.Type != storage.TypeStream || !slices.Equal(w.Keys, []string{"s", "none", "t"}) || w.AlsoGone || w.Class != "" {
		t.Errorf("waits for %+v", w)
	}
	s.want("XADD none 0-1 f v", "$3 0-1")
	if reply := s.call(argv, Ctx{Rerun: true}); !strings.Contains(reply, "0-1") || strings.Contains(reply, "5-1") {
		t.Errorf("run again it answers %q", reply)
	}

	argv = argvOf("XREAD BLOCK 0 STREAMS s +")
	if s.call(argv, Ctx{}); s.wait != nil || string(argv[5]) != "5-0" {
		t.Errorf("+ stands for %s", argv[5])
	}
}

func TestXReadGroupWaits(t *testing.T) {
	s := newStreamCalls(t)
	s.want("XGROUP CREATE s g $ MKSTREAM", "+OK")
	s.want("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "")
	w := s.wait
	if w == nil || w.Timeout != 0 || !w.AlsoGone || w.Class != "group g" {
		t.Fatalf("waits for %+v", w)
	}
	if reply := s.do("XINFO CONSUMERS s g"); !strings.Contains(reply, "$4 name $1 c") {
		t.Errorf("the consumer that waits is not there: %s", reply)
	}
	s.want("XREADGROUP GROUP g c STREAMS s >", "*-1")
	if s.wait != nil {
		t.Error("waits without BLOCK")
	}
	s.want("XREADGROUP GROUP g c BLOCK 0 STREAMS s 0", "*1 *2 $1 s *0")

	// With CLAIM also for the time.
	s.now = 10_000
	s.commit()
	for line, again := range map[string]int64{
		"XREADGROUP GROUP g c BLOCK 0 CLAIM 500 STREAMS s >":                 s.now + 500,
		"XREADGROUP GROUP g c BLOCK 0 CLAIM 0 STREAMS s >":                   s.now + 10,
		"XREADGROUP GROUP g c BLOCK 0 CLAIM 9223372036854775807 STREAMS s >": 0,
		"XREADGROUP GROUP g c BLOCK 0 STREAMS s >":                           0,
	} {
		s.want(line, "")
		if at := s.wait.Again; (again == 0) != at.IsZero() || (again != 0 && at.UnixMilli() != again) {
			t.Errorf("%s: runs again at %v, want %d", line, at, again)
		}
		if (s.wait.Class == "group g") != !strings.Contains(line, "CLAIM") {
			t.Errorf("%s: waits with the class %q", line, s.wait.Class)
		}
	}

	// Who had to wait does not get everything at once.
	s.do("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
	for i := 1; i <= unblockedCount+1; i++ {
		s.do("XADD s " + strconv.Itoa(i) + " f v")
	}
	reply := s.call(argvOf("XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), Ctx{Rerun: true})
	if !strings.HasPrefix(reply, "*1 *2 $1 s *1000 ") {
		t.Errorf("woken, it answers %.40s", reply)
	}
	s.want("XGROUP DESTROY s g", ":1")
	s.want("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")
}

// TestStreamReadsLeaveTheLoop: a long read is answered from a snapshot, and the
// reply is the same.
func TestStreamReadsLeaveTheLoop(t *testing.T) {
	s := newStreamCalls(t)
	s.want("XGROUP CREATE s g 0 MKSTREAM", "+OK")
	const entries = 3 * LongReadItems
	for i := 1; i <= entries; i++ {
		s.do("XADD s " + strconv.Itoa(i) + " f v")
	}
	s.do("XREADGROUP GROUP g c STREAMS s >")
	s.commit()
	for line, leaves := range map[string]bool{
		"XRANGE s - +":                                                 true,
		"XREVRANGE s + - COUNT 5000":                                   true,
		"XRANGE s - + COUNT 100":                                       false,
		"XRANGE s 5900 +":                                              false,
		"XRANGE s 100 5900":                                            true,
		"XREAD STREAMS s 0":                                            true,
		"XREAD STREAMS s 5990":                                         false,
		"XREAD COUNT 10 STREAMS s 0":                                   false,
		"XREAD COUNT 5000 STREAMS s s 0 5999":                          true,
		"XREAD MAXCOUNT 5000 STREAMS s s 0 9":                          true,
		"XREAD MAXCOUNT 999 STREAMS s s 0 0":                           false,
		"XREAD MAXSIZE 1000 STREAMS s s 0 0":                           false,
		"XREAD MAXSIZE 77777 STREAMS s 0":                              true,
		"XREAD MAXSIZE 88888 COUNT 2200 STREAMS s none s s 0 0 1 1000": true,
		"XREAD MAXSIZE 999999 MAXCOUNT 7000 STREAMS s s 0 0":           true,
		"XPENDING s g":                                                 false,
		"XPENDING s g - + 10":                                          false,
		"XPENDING s g - + 5000":                                        true,
		"XPENDING s g - + 5000 c":                                      true,
		"XINFO STREAM s":                                               false,
		"XINFO STREAM s FULL":                                          false,
		"XINFO STREAM s FULL COUNT 0":                                  true,
		"XINFO STREAM s FULL COUNT 1000":                               true,
	} {
		inline := s.call(argvOf(line), Ctx{})
		if s.detached {
			t.Errorf("%s leaves where it cannot", line)
		}
		reply := s.do(line)
		if detached := s.detached; detached {
			t.Errorf("%s leaves twice", line)
		}
		if reply != inline {
			t.Errorf("%s answers\n%.200s\noutside the loop, inside\n%.200s", line, reply, inline)
		}
		argv := argvOf(line)
		cmd, _ := s.table.Resolve(argv)
		c := Ctx{
			Cmd: cmd, Args: NewArgs(cmd, argv), Out: &resp.Buffer{}, Tx: s.tx, Detachable: true,
			Server: &Server{Table: s.table, Config: &config.Config{StreamNodeMaxEntries: 100}, LongReadItems: LongReadItems, LongWriteItems: LongWriteItems},
		}
		if err := cmd.Run(&c); err != nil || c.TakeDetach() != leaves {
			t.Errorf("%s: leaves the loop: %v, want %v; error %v", line, !leaves, leaves, err)
		}
	}
}

func TestKeysOfStreams(t *testing.T) {
	for line, want := range map[string][]int{
		"XREAD STREAMS a 0":                                      {2},
		"XREAD COUNT 5 BLOCK 0 STREAMS a b 0 0":                  {6, 7},
		"XREADGROUP GROUP STREAMS STREAMS NOACK streams a b > >": {6, 7},
		"XREAD STREAMS a b 0":                                    {2},
		"XREADGROUP what ever you like STREAMS a 0 0":            {6},
		"XREADGROUP STREAMS a b c 0 0 0":                         nil,
		"XREAD STREAMS":                                          nil,
		"XREAD COUNT STREAMS":                                    nil,
		"XREAD what STREAMS a 0":                                 {3},
	} {
		from := 1
		if strings.HasPrefix(line, "XREADGROUP") {
			from = 4
		}
		got, ok := keysOfStreams(from)(argvOf(line))
		if ok != (want != nil) || !slices.Equal(got, want) {
			t.Errorf("%s: %v %v, want %v", line, got, ok, want)
		}
	}
}
