package commands

import (
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// Server is what the sessions of one broker share, as far as handlers see it.
// Handlers change values here; the broker acts on them after the unit.
type Server struct {
	Config *config.Config
	Table  *Table
	Hub    *pubsub.Hub
	Store  *storage.Store
	Rand   *rand.Rand
	Slow   SlowLog
	// Latencies are the events that took long.
	Latencies LatencyLog
	// Policies are what an operator has said about queues.
	Policies policy.Set
	// Confirmations are the pops that are not yet confirmed.
	Confirmations Confirmations
	// Users are who may connect, Denials the calls that were refused to them.
	Users   *acl.Users
	Denials acl.Log
	// Entropy is where secrets come from.
	Entropy io.Reader
	// ReadFile and WriteFile are the server's way to the ACL file: WriteFile
	// replaces a file as a whole or not at all.
	ReadFile  func(path string) ([]byte, error)
	WriteFile func(path string, text []byte) error
	// Logf takes what an operator should see.
	Logf func(format string, args ...any)

	// MemoryBytes is how much memory the process may take; 0: not known.
	MemoryBytes  int64
	ClientMemory ClientMemory

	Sessions map[int64]*Session
	Watchers map[DBKey][]*Session
	Monitors []*Session // those that MONITOR
	Tracking Tracking

	// Sorting is the memory that lists take while they are sorted, also outside
	// the loop.
	Sorting *Budget

	// LongReadItems is the number of items from which a read leaves the loop.
	LongReadItems int64
	// LongWriteItems is the number of items from which a change is prepared
	// outside the loop.
	LongWriteItems int64

	// RunQueued executes the commands of a transaction; it is the broker's.
	RunQueued func(c *Ctx, queue []Queued) error
	// WaitingConsumers returns the names of the consumers of a group that wait at a
	// key. The broker sets it.
	WaitingConsumers func(db int, key, group string) []string

	// Waiting returns how many commands wait at a key: for a message, and for room
	// for theirs. It is the broker's.
	Waiting func(DBKey) (consumers, producers int)

	// Pause is what CLIENT PAUSE has set.
	Pause Pause
	// Unblocked are sessions whose Blocked.Unblock was set, Closing those with
	// Killed or CloseAfterReply set by somebody else.
	Unblocked []*Session
	Closing   []*Session
	// Shutdown is set once by SHUTDOWN (or a signal): the broker ends after the
	// turn.
	Shutdown *Shutdown
	// Reload is set by DEBUG RELOAD: after the turn the store forgets what it has
	// in memory.
	Reload bool
	// Sleep stops everything for a while, for DEBUG SLEEP.
	Sleep func(time.Duration)
	// PurgeMemory has memory that is free given back to the system, beside other
	// work.
	PurgeMemory func()
	// SyncTurn is set by SAVE: the commit of this turn is synced, whatever
	// appendfsync says.
	SyncTurn bool

	Started time.Time
	// Full, if not empty, is the reply to commands that add data (DenyOOM): there
	// is no room for them. The server sets it.
	Full resp.Error
	Disk Disk

	// LastSave is when SAVE or BGSAVE last came to a good end; zero: not yet.
	LastSave time.Time
	Backups  Backups
	Counters Counters

	queues     map[DBKey]*QueueCounters
	unburied   map[string]string // keys with dead letters that had no place to go, and where they should
	rates      rates
	run        string // the name of this run
	memoryPeak int64  // as far as INFO has looked
}

// CountError counts an error reply under its code.
func (srv *Server) CountError(e resp.Error) {
	if srv.Counters.ErrorReplies == nil {
		srv.Counters.ErrorReplies = make(map[string]int64)
	}
	code, _, _ := strings.Cut(string(e), " ")
	if _, known := srv.Counters.ErrorReplies[code]; !known && len(srv.Counters.ErrorReplies) >= errorCodesMax {
		return
	}
	srv.Counters.ErrorReplies[code]++
}

// errorCodesMax bounds the table of error codes in INFO errorstats.
const errorCodesMax = 128

// DirtyDB voids the transactions that watch a key of a database whose keys were
// exchanged or removed all at once: those of keys that existed, or exist now.
func (srv *Server) DirtyDB(tx *storage.Tx, db int) {
	for key, sessions := range srv.Watchers {
		if key.DB != db {
			continue
		}
		exists := tx.In(db).Peek([]byte(key.Key)) != nil
		for _, s := range sessions {
			for _, w := range s.Watching {
				if w.DB == db && w.Key == key.Key && (w.Existed || exists) {
					s.Dirty = true
				}
			}
		}
	}
}

// Withdraw takes a session out of everything that others do to it: no message
// reaches it, nothing of it is remembered.
func (srv *Server) Withdraw(s *Session) {
	srv.Hub.UnsubscribeAll(&s.Subs)
	srv.Unwatch(s)
	srv.untrack(s)
	srv.unmonitor(s)
}

// DBKey names a key of a database.
type DBKey = storage.KeyRef

// Disk is what the server last found out about its disk, in bytes. What it could
// not is 0.
type Disk struct {
	Free, Total int64 // of the file system
	Used        int64 // by the store
}

// Pause says until when which commands are held back.
type Pause struct {
	Until time.Time
	// Writes: only commands that write are held back.
	Writes bool
}

// Shutdown is a request to end.
type Shutdown struct {
	By      *Session // nil: a signal
	Message string
}

// Counters are the totals that INFO shows, since start or CONFIG RESETSTAT.
type Counters struct {
	Connections      int64
	Rejected         int64 // connections refused at maxclients
	Commands         int64
	Expired          int64
	Hits, Misses     int64
	BytesIn          int64
	BytesOut         int64
	Published        int64
	Turns            int64
	OutputLimitKills int64
	QueryLimitKills  int64
	RefusedFull      int64            // commands refused for lack of disk space
	Evicted          int64            // clients closed for the memory that they took
	ErrorReplies     map[string]int64 // by code: "ERR", "WRONGTYPE"
	UnexpectedError  int64
	Denied           [acl.Denials]int64
	Queues           QueueCounters // of all queues
	Scheduled        Scheduled
	WriteStalls      int64         // how often the engine had writes wait
	WriteStallTime   time.Duration // and for how long
}
