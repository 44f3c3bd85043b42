package server

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cairnmq/cairn/broker"
	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

// Options are what a server is made of.
type Options struct {
	Config *config.Config
	Store  *storage.Store
	Log    *Log
	// Started is when the process started.
	Started time.Time
	// Listeners replace those that the configuration names.
	Listeners []net.Listener

	// For tests: portable moves bytes the way that works everywhere, tlsListeners
	// take the place of those of tls-port, handshakeTimeMax of the constant.
	portable         bool
	tlsListeners     []net.Listener
	handshakeTimeMax time.Duration
}

// Server serves a store to clients.
type Server struct {
	options  Options
	loop     *loop
	tls      *tlsSettings // nil as long as there is no tls-port
	everySec everySecond
	purging  atomic.Bool
}

// New opens the listeners: from here on clients can connect, though nobody
// answers before Run. An error says what to do about it.
func New(o Options) (*Server, error) {
	s := &Server{options: o}
	b := broker.New(broker.Options{
		Store:   o.Store,
		Config:  o.Config,
		Rand:    rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Elapsed: func() time.Duration { return time.Since(o.Started) },
		Sleep:   s.sleep,
		Logf:    o.Log.Warningf,
		Started: o.Started,

		MemoryBytes: commands.MemoryLimit(),
	})
	b.Server().ReadFile, b.Server().WriteFile = os.ReadFile, replaceFile
	b.Server().PurgeMemory = s.purgeMemory
	for _, r := range o.Config.Renames {
		if err := b.Server().Table.Rename(r.Command, r.To); err != nil {
			return nil, fmt.Errorf("rename-command %s: %w", r.Command, err) // not the new name, which may be secret
		}
	}
	if err := b.Server().LoadUsers(); err != nil {
		return nil, err
	}
	if err := cmp.Or(b.Server().LoadPolicies(), b.Server().LoadPopped()); err != nil {
		return nil, err
	}
	listeners, err := s.listen()
	if err != nil {
		return nil, err
	}
	p, err := newPoller(o.portable)
	if err != nil {
		closeListeners(listeners)
		return nil, err
	}
	for _, l := range listeners {
		if err := p.listen(l); err != nil {
			closeListeners(listeners)
			p.close(time.Time{})
			return nil, err
		}
	}
	s.loop = newLoop(b, o.Config, o.Log, p, listeners)
	s.everySec = everySecond{store: o.Store, fail: s.fail}
	limitClients(o.Config, o.Log)
	s.changed("appendfsync")
	o.Config.OnChange(s.changed)
	o.Config.OnPrepare(s.prepare)
	return s, nil
}

// sleep stops the loop, and with it everything. It ends the turn: what comes next
// must not take place at the time before.
func (s *Server) sleep(d time.Duration) {
	time.Sleep(d)
	s.loop.turnOver = true
}

// purgeMemory gives free memory back, in one goroutine at a time: it takes a
// garbage collection, and clients may ask as often as they like.
func (s *Server) purgeMemory() {
	if s.purging.CompareAndSwap(false, true) {
		go func() {
			debug.FreeOSMemory()
			s.purging.Store(false)
		}()
	}
}

// changed puts a directive into effect that is not read each time.
func (s *Server) changed(directive string) {
	switch directive {
	case "appendfsync":
		if err := s.options.Store.SetSync(SyncPolicy(s.options.Config)); err != nil {
			s.loop.fatal = fmt.Errorf("change appendfsync: %w", err)
		}
		s.everySec.on.Store(s.options.Config.AppendFsync == config.FsyncEverySecond)
	case "loglevel":
		s.options.Log.SetLevel(s.options.Config.LogLevel)
	case "min-free-disk", "maxdisk":
		s.loop.disk.at = time.Time{} // what follows is to be refused, or taken, at once
		s.loop.lookAtDisk(s.loop.turnBegan)
	}
}

// SyncPolicy is what the directive appendfsync asks of the store.
func SyncPolicy(c *config.Config) storage.SyncPolicy {
	switch c.AppendFsync {
	case config.FsyncEverySecond:
		return storage.SyncEverySecond
	case config.FsyncNo:
		return storage.SyncNo
	}
	return storage.SyncAlways
}

// Run serves until the server is asked to end, then closes the store. After an
// error the store is left alone: what is on disk is known only after a restart.
func (s *Server) Run() error {
	stop := s.everySec.start()
	s.announce()
	err := s.loop.run()
	stop()
	closeListeners(s.loop.listeners)
	if err != nil {
		s.loop.abandon()
		s.loop.poller.close(time.Time{})
		return err
	}
	s.loop.poller.close(s.loop.ending.deadline)
	return s.closeStore()
}

// closeStore waits for the long reads that are still on their way out, and for a
// backup as long as clients had time, as the store must not be closed under them.
func (s *Server) closeStore() error {
	patience := readsEndMax
	if s.loop.broker.Server().Backups.Running() {
		patience = max(patience, time.Until(s.loop.ending.deadline))
		s.options.Log.Printf(Notice, "Waiting for a backup, up to %v", patience.Round(time.Second))
	}
	done := make(chan struct{})
	go func() {
		s.loop.reads.running.Wait()
		s.loop.background.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		return s.options.Store.SyncNow()
	}
	return s.options.Store.Close()
}

// readsEndMax is how long the end waits for reads that nobody wants any more.
const readsEndMax = 2 * time.Second

// Stop asks the server to end: listeners are closed, clients released, replies
// delivered. It may be called from any goroutine; the reason is logged.
func (s *Server) Stop(reason string) {
	s.loop.inbox.post(func() { s.loop.end(reason) })
}

// fail ends the server with an error that happened outside the loop.
func (s *Server) fail(err error) {
	s.loop.inbox.post(func() { s.loop.fatal = err })
}

// announce logs what an operator wants to see at the start.
func (s *Server) announce() {
	o, c := s.options, s.options.Config
	o.Log.Printf(Notice, "cairn %s, answering as Redis %s", commands.Version, commands.RedisVersion)
	s.announceListeners()
	o.Log.Printf(Notice, "Data in %s: %d keys", c.Dir, s.keys())
	s.loop.lookAtDisk(time.Now())
	o.Log.Printf(Notice, "appendfsync %s: %s", c.AppendFsync, map[string]string{
		config.FsyncAlways:      "a write is acknowledged when it is on disk",
		config.FsyncEverySecond: "a write is acknowledged when the system has it, and is on disk a second later",
		config.FsyncNo:          "a write is acknowledged when the system has it, and is on disk when that sees fit",
	}[c.AppendFsync])
	o.Log.Printf(Notice, "Ready to accept connections")
}

func (s *Server) announceListeners() {
	log := s.options.Log
	plain, secure := describeListeners(s.loop.listeners)
	if plain != "" {
		log.Printf(Notice, "Listening on %s", plain)
	}
	if secure != "" {
		log.Printf(Notice, "Listening (TLS) on %s", secure)
	}
	if !beyondLoopback(s.loop.listeners) || !s.loop.broker.Server().Users.Default().NoPass() {
		return
	}
	if s.options.Config.ProtectedMode {
		log.Warningf("Clients from other machines are refused until there is a password (--requirepass), or --protected-mode no says that it needs none")
	} else {
		log.Warningf("No password is set and protected-mode is off: whoever reaches this port can read and delete everything")
	}
}

func (s *Server) keys() int64 {
	tx, release := s.options.Store.Snapshot(time.Now())
	defer release()
	var keys int64
	for db := range config.Databases {
		keys += tx.In(db).Keys()
	}
	return keys
}

// filesReserved is how many descriptors the store and the rest may need.
const filesReserved = 1024 + 64

// limitClients lowers maxclients to what the system's limit of open files
// allows. (Go has raised the soft limit to the hard one already.)
func limitClients(c *config.Config, log *Log) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return // then accepting tells
	}
	limit := int64(min(files.Cur, 1<<31))
	if room := max(limit-filesReserved, limit/2); int64(c.MaxClients) > room {
		log.Warningf("maxclients is lowered from %d to %d: the system allows %d open files (ulimit -n)", c.MaxClients, room, files.Cur)
		c.MaxClients = int(room)
	}
}
