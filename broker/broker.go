package broker

import (
	cryptorand "crypto/rand"
	"io"
	"math/rand/v2"
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// Session is one client's state.
type Session = commands.Session

// Options are what a broker is made of.
type Options struct {
	Store  *storage.Store
	Config *config.Config
	Rand   *rand.Rand
	// Entropy is where secrets come from; nil is the system's.
	Entropy io.Reader
	// Elapsed is a monotonic clock for statistics (SLOWLOG, INFO commandstats), and
	// for when a slice of what has no hurry ends (tend.go): no reply depends on
	// it. Nil counts no time.
	Elapsed func() time.Duration
	// Sleep stops the caller for a while (DEBUG SLEEP). Nil does not.
	Sleep func(time.Duration)
	// Logf takes what an operator should see; nil drops it.
	Logf func(format string, args ...any)
	// Started is when the process started.
	Started time.Time
	// MemoryBytes is how much memory the process may take; 0: not known.
	MemoryBytes int64
}

// Broker runs commands. All its methods belong to one goroutine.
type Broker struct {
	options Options
	server  *commands.Server
	store   *storage.Store

	tx  *storage.Tx // of the turn, database 0
	now time.Time

	ctx     commands.Ctx
	discard resp.Buffer // takes the replies of CLIENT REPLY OFF

	scheduler scheduler
	waits     waits
	paused    []*Session
	detaching []detached
	jobs      []Job
	touched   []*Session
	resumed   []*Session

	preparing []*longWrite   // since the turn has begun
	parts     []part         // to be written, in order
	prepared  []*longWrite   // to be applied
	unwritten []*longWrite   // those whose parts are not all written: scratch
	taken     []Taken        // parts that the turn has written
	locks     map[string]int // keys that are held, and by how many long writes
	held      []*Session     // those whose command waits for a key to be let go
	postponed []storage.KeyRef
	vacated   []storage.KeyRef // keys at which one who waited for room has given up
	drained   bool
	tending   tending
	stalls    int64         // the engine's write stalls that are known
	stalled   time.Duration // and how long they took
	policies  uint64        // the version of the policies that those who wait know
	told      int           // how many of the unit's changes those who track keys were told of
	lastID    int64
}

// New returns a broker without clients.
func New(o Options) *Broker {
	if o.Entropy == nil {
		o.Entropy = cryptorand.Reader
	}
	if o.Elapsed == nil {
		o.Elapsed = func() time.Duration { return 0 }
	}
	if o.Sleep == nil {
		o.Sleep = func(time.Duration) {}
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	b := &Broker{options: o, store: o.Store, scheduler: newScheduler(), waits: newWaits(), locks: make(map[string]int)}
	b.server = &commands.Server{
		Config:   o.Config,
		Table:    commands.NewTable(),
		Hub:      pubsub.NewHub(),
		Store:    o.Store,
		Rand:     o.Rand,
		Entropy:  o.Entropy,
		Sleep:    o.Sleep,
		Logf:     o.Logf,
		Sessions: make(map[int64]*Session),
		Watchers: make(map[commands.DBKey][]*Session),
		Started:  o.Started,

		MemoryBytes: o.MemoryBytes,
		Sorting:     new(commands.Budget),

		LongReadItems:  commands.LongReadItems,
		LongWriteItems: commands.LongWriteItems,
	}
	b.server.RunQueued = b.runQueued
	b.server.Waiting = b.waits.at
	b.server.WaitingConsumers = b.waiting
	b.server.PurgeMemory = func() {}
	b.server.InitUsers()
	return b
}

// Server is what the sessions share: counters, configuration, a shutdown that
// was asked for.
func (b *Broker) Server() *commands.Server { return b.server }

// Connect begins a session for a new connection.
func (b *Broker) Connect(peer commands.Peer, now time.Time) *Session {
	b.lastID++
	s := &Session{ID: b.lastID, Peer: peer, Created: now, LastUsed: now, Touch: b.touch}
	s.Out.Proto = 2
	s.Out.Shared, s.Pushes.Shared = &b.server.ClientMemory.Shared, &b.server.ClientMemory.Shared
	s.Subs.Receiver = s
	b.server.Welcome(s)
	b.server.Sessions[s.ID] = s
	b.server.Weigh(s)
	b.server.Counters.Connections++
	return s
}

// Disconnect ends a session whose connection is gone. What it waited for it
// will not get; what it had queued is forgotten.
func (b *Broker) Disconnect(s *Session) {
	s.Killed = true
	if s.Blocked != nil {
		b.vacate(s)
		b.waits.remove(s)
	}
	b.server.Abandon(s)
	b.server.Withdraw(s)
	s.Multi = nil
	s.Out.Reset(0)
	s.Pushes.Reset(0)
	b.server.Forget(s)
}

func (b *Broker) touch(s *Session) {
	if !s.Touched {
		s.Touched = true
		b.touched = append(b.touched, s)
	}
}

// resume lets the server feed the session again.
func (b *Broker) resume(s *Session) {
	b.resumed = append(b.resumed, s)
	b.touch(s)
}

// ProtocolError answers what was no command and ends the session.
func (b *Broker) ProtocolError(s *Session, text string) {
	if s.CloseAfterReply || s.Killed {
		return
	}
	s.Out.Error(resp.Error("ERR Protocol error: " + text))
	s.CloseAfterReply = true
	b.touch(s)
}

// Written returns how many bytes the turn has written so far: they are in memory
// until End.
func (b *Broker) Written() int64 { return b.tx.Written() }

// Touched returns the sessions that have something to send or are to be
// closed, as of the last End.
func (b *Broker) Touched() []*Session { return b.touched }

// Resumed returns the sessions that are no longer held: commands that already
// arrived from them are due.
func (b *Broker) Resumed() []*Session { return b.resumed }

// Jobs returns the long reads that the turn has put off.
func (b *Broker) Jobs() []Job { return b.jobs }

// Taken is a part of what a long write builds that a turn has written.
type Taken struct {
	Session *Session
	Bytes   int
}

// Taken returns the parts that the turn has written.
func (b *Broker) Taken() []Taken { return b.taken }

// Blocked returns how many sessions wait for a key.
func (b *Broker) Blocked() int { return len(b.waits.deadlines.all) }
