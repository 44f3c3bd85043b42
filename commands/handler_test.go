package commands

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// bench runs handlers without a broker: no checks before them, nothing after.
type bench struct {
	t      *testing.T
	server *Server
	now    time.Time
	lastID int64
}

// zeros is the least random of all sources.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func newBench(t *testing.T) *bench {
	store, err := storage.Open("store", storage.Options{FS: vfs.NewMem(), MemTableBytes: 256 << 10, LogSegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, now: time.Unix(1_700_000_000, 0)}
	b.server = &Server{
		Config: config.New(), Table: NewTable(), Hub: pubsub.NewHub(), Store: store,
		Rand:     rand.New(rand.NewPCG(1, 2)),
		Sessions: make(map[int64]*Session), Watchers: make(map[DBKey][]*Session),
		Started: b.now, Entropy: zeros{}, LongReadItems: LongReadItems, LongWriteItems: LongWriteItems,
	}
	b.server.InitUsers()
	b.server.RunQueued = func(c *Ctx, queue []Queued) error {
		c.Out.Array(len(queue))
		for range queue {
			c.Out.Simple("ran")
		}
		return nil
	}
	return b
}

type fakePeer struct{ addr string }

func (p fakePeer) RemoteAddr() string            { return p.addr }
func (p fakePeer) LocalAddr() string             { return "127.0.0.1:6379" }
func (p fakePeer) FD() int                       { return 9 }
func (p fakePeer) QueryBuffer() (used, free int) { return 0, 100 }
func (p fakePeer) TransitBytes() int             { return 0 }

func (b *bench) client(addr string) *Session {
	b.lastID++
	s := &Session{ID: b.lastID, Peer: fakePeer{addr}, Created: b.now, LastUsed: b.now, Authenticated: true, User: b.server.Users.Default(), Touch: func(*Session) {}}
	s.Out.Proto = 2
	s.Subs.Receiver = s
	b.server.Sessions[s.ID] = s
	return s
}

// do runs one call and returns the reply with blanks for line ends. Arguments
// are separated by blanks; "" stands for an empty one.
func (b *bench) do(s *Session, line string) string {
	b.t.Helper()
	args := words(line)
	for i := range args {
		if string(args[i]) == `""` {
			args[i] = nil
		}
	}
	cmd, err := b.server.Table.Resolve(args)
	if err != nil {
		b.t.Fatal(err)
	}
	if !cmd.ArityFits(len(args)) {
		b.t.Fatal(ArityError(cmd))
	}
	tx := b.server.Store.Begin(b.now)
	mark := s.Out.Mark()
	c := &Ctx{Cmd: cmd, Args: NewArgs(cmd, args), Tx: tx.In(s.DB), Out: &s.Out, Session: s, Server: b.server}
	if err := cmd.Run(c); err != nil {
		if s.Out.Since(mark) > 0 {
			b.t.Errorf("%s: an error after something was written", line)
		}
		s.Out.Error(err.(resp.Error))
	}
	tx.Unit()
	if _, err := b.server.Store.Commit(); err != nil {
		b.t.Fatal(err)
	}
	reply := string(s.Out.Bytes())
	s.Out.Reset(0)
	return strings.TrimSuffix(strings.ReplaceAll(reply, "\r\n", " "), " ")
}

// expect runs calls, each followed by " -> " and the reply.
func (b *bench) expect(s *Session, calls ...string) {
	b.t.Helper()
	for _, call := range calls {
		line, want, _ := strings.Cut(call, " -> ")
		if got := b.do(s, line); got != want {
			b.t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	}
}

func TestHello(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s,
		"HELLO 3 SETNAME worker -> %7 $6 server $5 redis $7 version $5 7.2.4 $5 proto :3 $2 id :1 $4 mode $10 standalone $4 role $6 master $7 modules *0",
		"CLIENT GETNAME -> $6 worker",
		"HELLO 4 -> -NOPROTO unsupported protocol version",
		"HELLO three -> -ERR Protocol version is not an integer or out of range",
		"HELLO 2 AUTH x -> -ERR Syntax error in HELLO option 'AUTH'",
		"HELLO 2 SETNAME \x01 -> -"+strings.TrimPrefix(string(errClientName), "-"),
	)
	if s.Out.Proto != 3 {
		t.Error("an error has changed the protocol")
	}
	b.expect(s, "HELLO 2 -> *14 $6 server $5 redis $7 version $5 7.2.4 $5 proto :2 $2 id :1 $4 mode $10 standalone $4 role $6 master $7 modules *0")
}

func TestPasswords(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s,
		"AUTH x -> -"+string(errNoPassword),
		"AUTH default x -> +OK",
		"AUTH other x -> -"+string(errWrongPass),
		"CONFIG SET requirepass secret -> +OK",
	)
	stranger := b.client("10.0.0.1:2")
	stranger.Authenticated = false
	b.expect(stranger,
		"HELLO 3 -> -"+string(errHelloNoAuth),
		"AUTH secre -> -"+string(errWrongPass),
		"AUTH secrets -> -"+string(errWrongPass),
		"HELLO 3 AUTH default wrong SETNAME me -> -"+string(errWrongPass),
	)
	if stranger.Authenticated || stranger.Name != "" || stranger.Out.Proto != 2 {
		t.Errorf("a refused HELLO has changed something: %+v", stranger)
	}
	b.expect(stranger, "AUTH secret -> +OK")
	if !stranger.Authenticated {
		t.Error("not authenticated")
	}
	b.expect(stranger, "RESET -> +RESET")
	if stranger.Authenticated {
		t.Error("RESET keeps the authentication")
	}
	b.expect(s, `CONFIG SET requirepass "" -> +OK`)
	if b.server.MustAuthenticate(stranger) {
		t.Error("without a password everybody is in")
	}
}

func TestReset(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.do(s, "HELLO 3")
	b.expect(s,
		"SELECT 3 -> +OK", "CLIENT SETNAME me -> +OK", "CLIENT NO-TOUCH ON -> +OK", "CLIENT NO-EVICT ON -> +OK",
		"WATCH k -> +OK", "MULTI -> +OK", "SUBSCRIBE ch -> >3 $9 subscribe $2 ch :1", "CLIENT REPLY OFF -> ",
		"RESET -> +RESET",
	)
	if s.DB != 0 || s.Name != "" || s.NoTouch || s.NoEvict || s.Multi != nil || s.Watching != nil || s.Subscribed() ||
		s.Reply != ReplyOn || s.Out.Proto != 2 || len(b.server.Watchers) != 0 || b.server.Hub.Count(pubsub.Channel) != 0 {
		t.Errorf("after RESET: %+v", s)
	}
}

func TestClientLines(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.now = b.now.Add(90 * time.Second)
	other := b.client("/run/cairn.sock:0")
	b.expect(other, "CLIENT SETINFO LIB-NAME go-redis(,go1.26) -> +OK", "CLIENT SETINFO lib-ver 9 -> +OK", "SUBSCRIBE a b -> *3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2",
		"CLIENT SETINFO foo 9 -> -ERR Unrecognized option 'foo'", "CLIENT SETNAME a=b:c -> +OK")
	const line = "id=1 addr=10.0.0.1:1 laddr=127.0.0.1:6379 fd=9 name= age=90 idle=90 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=100 argv-mem=10 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=1124 events=r cmd=NULL user=default redir=-1 resp=2 lib-name= lib-ver="
	const otherLine = "id=2 addr=/run/cairn.sock:0 laddr=127.0.0.1:6379 fd=9 name=a=b:c age=0 idle=0 flags=PU db=0 sub=2 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=100 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=1661 events=r cmd=NULL user=default redir=-1 resp=2 lib-name=go-redis(,go1.26) lib-ver=9"
	for call, want := range map[string]string{
		"CLIENT INFO":              line + "\n",
		"CLIENT LIST":              line + "\n" + otherLine + "\n",
		"CLIENT LIST TYPE pubsub":  otherLine + "\n",
		"CLIENT LIST ID 2 77":      otherLine + "\n",
		"CLIENT LIST TYPE replica": "",
	} {
		var out resp.Buffer
		out.BulkString(want)
		if got := b.do(s, call); got != strings.TrimSuffix(strings.ReplaceAll(string(out.Bytes()), "\r\n", " "), " ") {
			t.Errorf("%s:\n%s", call, got)
		}
	}
}

func TestKill(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	second, third := b.client("10.0.0.1:2"), b.client("10.0.0.1:3")
	b.expect(third, "SUBSCRIBE ch -> *3 $9 subscribe $2 ch :1", "WATCH k -> +OK")
	b.expect(s,
		`CLIENT KILL "" -> -ERR No such client`,
		`CLIENT KILL ADDR "" -> :0`,
		"CLIENT KILL MAXAGE 10 -> :0",
		"CLIENT KILL MAXAGE 0 -> -ERR maxage should be greater than 0",
		"CLIENT KILL MAXAGE x -> -ERR maxage is not an integer or out of range",
		"CLIENT KILL ID 2 ADDR 10.0.0.1:3 -> :0",
		"CLIENT KILL TYPE pubsub -> :1",
		"PUBLISH ch m -> :0",
		"CLIENT KILL TYPE pubsub -> :0",
		"CLIENT KILL 10.0.0.1:2 -> +OK",
	)
	if !second.Killed || !third.Killed || len(b.server.Closing) != 2 || len(b.server.Watchers) != 0 {
		t.Error("killed sessions still take part")
	}
	b.now = b.now.Add(10 * time.Second)
	b.expect(s, "CLIENT KILL USER default -> :0", "CLIENT KILL MAXAGE 10 SKIPME no -> :1")
	if !s.CloseAfterReply || s.Killed {
		t.Error("who kills itself still gets the answer")
	}
}

func TestPauseMerges(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	check := func(wantFor time.Duration, wantWrites bool) {
		t.Helper()
		if p := b.server.Pause; p.Until.Sub(b.now) != wantFor || p.Writes != wantWrites {
			t.Errorf("paused for %v, writes only: %v", p.Until.Sub(b.now), p.Writes)
		}
	}
	b.expect(s, "CLIENT PAUSE 1000 WRITE -> +OK")
	check(time.Second, true)
	b.expect(s, "CLIENT PAUSE 500 ALL -> +OK")
	check(time.Second, false)
	b.expect(s, "CLIENT PAUSE 2000 WRITE -> +OK")
	check(2*time.Second, false)
	b.now = b.now.Add(2 * time.Second)
	b.expect(s, "CLIENT PAUSE 9223372036854775807 WRITE -> +OK")
	if !b.server.Pause.Until.After(b.now) || !b.server.Pause.Writes {
		t.Error("a pause that is over counts, or a long one overflows")
	}
	b.expect(s, "CLIENT UNPAUSE -> +OK")
	if b.server.Pause.Until.After(b.now) {
		t.Error("still paused")
	}
}

func TestUnblockOnce(t *testing.T) {
	b := newBench(t)
	s, waiter := b.client("10.0.0.1:1"), b.client("10.0.0.1:2")
	waiter.Blocked = &Blocked{}
	b.expect(s, "CLIENT UNBLOCK 1 -> :0", "CLIENT UNBLOCK 2 ERROR -> :1", "CLIENT UNBLOCK 2 -> :0")
	if waiter.Blocked.Unblock != UnblockWithError || len(b.server.Unblocked) != 1 {
		t.Error("not unblocked with an error")
	}
}

func TestTransaction(t *testing.T) {
	b := newBench(t)
	s, other := b.client("10.0.0.1:1"), b.client("10.0.0.1:2")
	b.expect(s, "EXEC -> -ERR EXEC without MULTI", "DISCARD -> -ERR DISCARD without MULTI", "MULTI -> +OK", "MULTI -> -ERR MULTI calls can not be nested",
		"WATCH k -> -ERR WATCH inside MULTI is not allowed", "DISCARD -> +OK")
	b.expect(s, "WATCH k k -> +OK")
	b.expect(other, "WATCH k -> +OK")
	if n := len(b.server.Watchers[DBKey{DB: 0, Key: "k"}]); n != 2 {
		t.Errorf("%d watch k", n)
	}
	s.Dirty = true
	b.expect(s, "MULTI -> +OK", "EXEC -> *-1", "MULTI -> +OK")
	s.Multi.Queue = []Queued{{}, {}}
	b.expect(s, "EXEC -> *2 +ran +ran", "MULTI -> +OK")
	s.Multi.Aborted, s.Dirty = true, true
	b.expect(s, "EXEC -> -"+string(ErrExecAbort))
	if s.Multi != nil || s.Dirty {
		t.Error("something is left of the transaction")
	}
	b.expect(other, "UNWATCH -> +OK")
	if len(b.server.Watchers) != 0 {
		t.Errorf("watchers: %v", b.server.Watchers)
	}
}

// A key that runs out after WATCH voids the transaction, one that had run out
// before does not.
func TestWatchedKeyExpires(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s, "RPUSH k v -> :1", "PEXPIRE k 1000 -> :1", "WATCH k -> +OK")
	b.now = b.now.Add(time.Second)
	b.expect(s, "MULTI -> +OK", "EXEC -> *-1")

	b.expect(s, "RPUSH k v -> :1", "PEXPIRE k 1000 -> :1")
	b.now = b.now.Add(time.Second)
	b.expect(s, "WATCH k -> +OK", "MULTI -> +OK")
	if w := s.Watching[0]; !w.Expired || w.Existed {
		t.Errorf("watched: %+v", w)
	}
	b.expect(s, "EXEC -> *0")
}

func TestSlowLog(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	s.Name = "me"
	b.server.Config.SlowlogMaxLen = 2
	long := make([][]byte, 40)
	for i := range long {
		long[i] = []byte(strings.Repeat("x", 100+i))
	}
	for i, args := range [][][]byte{words("ECHO first"), words("AUTH secret"), long} {
		cmd := b.server.Table.Find([]byte("echo"))
		if i == 1 {
			cmd = b.server.Table.Find([]byte("auth"))
		}
		b.server.LogSlow(&Ctx{Cmd: cmd, Args: NewArgs(cmd, args), Tx: b.server.Store.Begin(b.now), Session: s}, 1500*time.Microsecond)
	}
	if got := b.server.Slow.Get(100); len(got) != 2 || got[0].ID != 2 || len(got[0].Args) != slowArgsMax ||
		string(got[0].Args[31]) != "... (9 more arguments)" || !strings.HasSuffix(string(got[0].Args[30]), "x... (2 more bytes)") {
		t.Errorf("%+v", got)
	}
	b.server.Slow.entries = b.server.Slow.entries[:1]
	b.expect(s,
		"SLOWLOG LEN -> :1",
		"SLOWLOG GET -1 -> *1 *6 :1 :1700000000 :1500 *2 $4 AUTH $10 (redacted) $10 10.0.0.1:1 $2 me",
		"SLOWLOG GET 0 -> *0",
		"SLOWLOG RESET -> +OK",
		"SLOWLOG GET -> *0",
	)
}

// Passwords are shown to nobody, wherever they stand.
func TestSecretsAreNotShown(t *testing.T) {
	table := NewTable()
	for _, call := range []string{
		"AUTH SECRET",
		"AUTH SECRET SECRET",
		"HELLO 3 AUTH user SECRET",
		"HELLO 3 SETNAME name AUTH user SECRET",
		"HELLO 3 SETNAME AUTH AUTH user SECRET",
		"HELLO 3 AUTH user SECRET AUTH user SECRET",
		"HELLO 3 AUTH AUTH SECRET auth AUTH SECRET SETNAME name",
		"HELLO 3 AHTU AUTH user SECRET",
		"CONFIG SET timeout 1 requirepass SECRET",
		"ACL SETUSER user on >SECRET",
	} {
		args := words(call)
		cmd, err := table.Resolve(args)
		if err != nil {
			t.Fatal(err)
		}
		if shown := bytes.Join(cmd.Shown(args), []byte(" ")); bytes.Contains(shown, []byte("SECRET")) {
			t.Errorf("%s is shown as %s", call, shown)
		}
	}
}

func TestConfig(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s,
		"CONFIG GET slowlog-m* SLOWLOG-max-len nosuch -> *2 $15 slowlog-max-len $3 128",
		"CONFIG SET slowlog-max-len 5 timeout -> -ERR syntax error",
		"CONFIG SET slowlog-max-len 5 nosuch 1 -> -ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'",
		"CONFIG GET slowlog-max-len -> *2 $15 slowlog-max-len $3 128",
		"CONFIG SET slowlog-max-len 5 -> +OK",
		"CONFIG GET slowlog-max-len -> *2 $15 slowlog-max-len $1 5",
	)
}

func TestShutdownAndSave(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s, "SHUTDOWN NOW ABORT -> -ERR syntax error", "SHUTDOWN SAVE NOSAVE -> -ERR syntax error", "SHUTDOWN ABORT -> -ERR No shutdown in progress.",
		"LASTSAVE -> :1700000000")
	if b.server.Shutdown != nil {
		t.Error("shut down all the same")
	}
	b.now = b.now.Add(time.Minute)
	b.expect(s, "BGSAVE SCHEDULE -> +Background saving started", "LASTSAVE -> :1700000000",
		"BGSAVE -> -ERR Background save already in progress", "BGSAVE SCHEDULE -> +Background saving scheduled")
	backups := &b.server.Backups
	backups.Wanted, backups.Began = false, b.now // as the server does
	b.now = b.now.Add(time.Minute)
	b.server.BackupEnded("there", 7, 0, b.now, nil)
	if !backups.Wanted || backups.Path != "there" || backups.Took != time.Minute {
		t.Errorf("%+v", backups)
	}
	b.expect(s, "LASTSAVE -> :1700000120")
	b.server.BackupEnded("", 0, 0, b.now.Add(time.Minute), errors.New("the disk is full"))
	if backups.Path != "there" || backups.Error != "the disk is full" || backups.Failed != 1 {
		t.Errorf("%+v", backups)
	}
	b.now = b.now.Add(time.Minute)
	b.expect(s, "LASTSAVE -> :1700000120", "SAVE -> +OK", "LASTSAVE -> :1700000180")
	if !b.server.SyncTurn {
		t.Error("SAVE does not sync")
	}
	b.expect(s, "SHUTDOWN NOW FORCE -> ")
	if b.server.Shutdown == nil || b.server.Shutdown.By != s {
		t.Error("no shutdown")
	}
}

func TestObjectAndMemory(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s, "RPUSH k 12345 67890 -> :2")
	b.now = b.now.Add(7 * time.Second)
	b.expect(s, "OBJECT ENCODING k -> $9 quicklist", "OBJECT REFCOUNT k -> :1", "OBJECT ENCODING none -> $-1", "OBJECT FREQ none -> $-1",
		"MEMORY USAGE k -> :107", "MEMORY USAGE k SAMPLES 0 -> :107", "MEMORY USAGE none -> $-1", "MEMORY USAGE k SAMPLES -1 -> -ERR syntax error")
}

// However long a command is, who monitors is shown so much of it, and how much is
// missing.
func TestMonitorIsBounded(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	var many [][]byte
	for range 1_000_000 {
		many = append(many, []byte("x"))
	}
	for _, args := range [][][]byte{{[]byte("RPUSH"), []byte("q"), make([]byte, 64<<20)}, many} {
		if line := monitorLine(s, b.now, args); len(line) > 4*monitorBytesMax+100*8 {
			t.Errorf("a line of %d bytes", len(line))
		} else if end := string(line[len(line)-30:]); !strings.HasSuffix(end, " more bytes)\"\r\n") && !strings.HasSuffix(end, " more arguments)\"\r\n") {
			t.Errorf("…%q", end)
		}
	}
	args := [][]byte{[]byte("ECHO"), make([]byte, monitorBytesMax-10)}
	if line := monitorLine(s, b.now, args); strings.Contains(string(line), "more") {
		t.Error("what fits is cut")
	}
}

// Error codes that clients can make up do not fill the table of INFO errorstats.
func TestErrorCodes(t *testing.T) {
	b := newBench(t)
	for i := range 10_000 {
		b.server.CountError(resp.Errorf("CODE%d text", i))
	}
	if n := len(b.server.Counters.ErrorReplies); n != errorCodesMax {
		t.Errorf("%d codes", n)
	}
}
