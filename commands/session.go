package commands

import (
	"time"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// Peer is the connection behind a session, as the server sees it.
type Peer interface {
	// RemoteAddr and LocalAddr are "ip:port", or "path:0" for a unix socket.
	RemoteAddr() string
	LocalAddr() string
	// FD is the descriptor of the socket, -1 when there is none.
	FD() int
	// QueryBuffer returns the bytes read and not yet run, all that came with a
	// command that is running included, and the free room behind them.
	QueryBuffer() (used, free int)
	// TransitBytes returns what is on its way between the session and the
	// socket: what TLS and a long read take.
	TransitBytes() int
}

// ReplyMode is what CLIENT REPLY has set.
type ReplyMode uint8

const (
	ReplyOn       ReplyMode = iota
	ReplyOff                // nothing is answered
	ReplySkipNext           // the command after this one is not answered
	ReplySkip               // this command is not answered
)

// Session is one client's state. It belongs to the broker's loop: nothing in
// it may be touched from another goroutine.
type Session struct {
	ID   int64
	Peer Peer
	// Out is what the client is to be sent. The server takes bytes from it only
	// between turns, when everything in it has been released.
	Out resp.Buffer

	DB            int
	User          *acl.User
	Authenticated bool
	Name          string
	LibName       string
	LibVer        string
	Reply         ReplyMode
	NoEvict       bool
	NoTouch       bool

	Created  time.Time
	LastUsed time.Time
	LastCmd  *Command

	// Multi is nil outside MULTI.
	Multi *Multi
	// Watching holds the keys under WATCH; Dirty says that one has changed.
	Watching   []WatchedKey
	watchBytes int64
	Dirty      bool
	Subs       pubsub.Subscriber
	// Tracking is nil unless CLIENT TRACKING is on; Monitors is set by MONITOR.
	Tracking *TrackingMode
	Monitors bool

	// Blocked is set while the session waits for a key, Detached while a long
	// read runs outside the loop, Paused while CLIENT PAUSE holds its next
	// command back.
	Blocked  *Blocked
	Detached bool
	Paused   bool

	// Unconfirmed is what it has popped and is not yet known to have.
	Unconfirmed []Unconfirmed
	// Arrived is how many bytes have come from the client, Offset where among
	// them its present command begins.
	Arrived, Offset int64

	// CloseAfterReply closes the connection once Out has been sent. Killed
	// closes it at once: what is in Out is lost.
	CloseAfterReply bool
	Killed          bool

	// Touch tells the broker that there is something to send or to close. It is
	// the broker's; it may be called any number of times.
	Touch func(*Session)
	// Touched and Running are the broker's own marks: already on its list;
	// inside a command, when messages must wait until its reply is complete.
	Touched bool
	Running bool
	// weight is what the session was last found to hold.
	weight int64
	// Pushes are the messages that came while Running or Detached.
	Pushes resp.Buffer
}

// Held reports whether the session's next command has to wait.
func (s *Session) Held() bool {
	return s.Blocked != nil || s.Detached || s.Paused || s.Killed || s.CloseAfterReply
}

// Subscribed reports whether the session has any subscription.
func (s *Session) Subscribed() bool {
	return s.Subs.Count(pubsub.Channel, pubsub.Pattern, pubsub.Shard) > 0
}

// Deliver takes a published message (pubsub.Receiver).
func (s *Session) Deliver(m *pubsub.Message) { s.Push(m.Frame(s.Out.Proto)) }

// Push sends a message that is not a reply. In the middle of a command it waits
// until the command's reply is whole.
func (s *Session) Push(frame *resp.Frame) {
	if s.Killed || s.CloseAfterReply {
		return
	}
	if s.Running || s.Detached {
		s.Pushes.Frame(frame)
		return
	}
	s.Out.Frame(frame)
	s.Touch(s)
}

// ReleasePushes sends what Push has held back.
func (s *Session) ReleasePushes() {
	if s.Pushes.Len() > 0 {
		s.Out.Move(&s.Pushes)
	}
}

// WatchedKey is one key under WATCH.
type WatchedKey struct {
	DB  int
	Key string
	// Expired says that the key had already run out when it was watched: its
	// removal later is no change.
	Expired bool
	// Existed says that the key existed when it was watched: FLUSHALL is a
	// change to it.
	Existed bool
}

// Multi is a transaction that is being queued.
type Multi struct {
	Queue   []Queued
	Bytes   int64 // about what it takes
	Aborted bool  // a command was refused: EXEC answers EXECABORT
}

// Add queues a command. args are kept.
func (m *Multi) Add(cmd *Command, args [][]byte) {
	m.Queue = append(m.Queue, Queued{Cmd: cmd, Args: args})
	m.Bytes += callBytes(args)
}

// Queued is one command of a transaction. Args are its own copy.
type Queued struct {
	Cmd  *Command
	Args [][]byte
}

// Blocked is a command that waits for a key.
type Blocked struct {
	Cmd  *Command
	Args [][]byte // its own copy; what meant "now" has been pinned
	DB   int
	Wait Wait
	// Since is when the command blocked, Deadline when it gives up (zero:
	// never).
	Since, Deadline time.Time
	// Again is when the command runs again even if no key is ready (zero: only
	// then).
	Again time.Time
	// RoomSince is when one that waits for room began to.
	RoomSince time.Time
	// InTime says of one that waits for room that it is Wait.Within which ends at
	// Deadline.
	InTime bool
	bytes  int64 // of all this; 0: not yet counted
	// Unblock is set by CLIENT UNBLOCK, SHUTDOWN and the like; the broker acts
	// on it after the unit.
	Unblock Unblock
	// Seq orders waiters by arrival, HeapIndex is the place in the broker's heap
	// of deadlines.
	Seq       uint64
	HeapIndex int
}

// Unblock says how a blocked command ends without being served.
type Unblock uint8

const (
	NotUnblocked     Unblock = iota
	UnblockTimeout           // as if its time had run out
	UnblockWithError         // -UNBLOCKED
)

// Wait is what a blocking command waits for.
type Wait struct {
	// Timeout is measured from the first run; 0 waits for ever.
	Timeout time.Duration
	// Type is the type that a key must have to wake the command: a BLPOP is not
	// served by a stream that appears under its key.
	Type storage.Type
	Keys []string
	// AlsoGone wakes the command when a key goes away or changes its type, too:
	// XREADGROUP then answers an error.
	AlsoGone bool
	// Class, when not empty, names waiters that want the same thing: if one of
	// them found nothing at a key, the others are not asked.
	Class string
	// Room says that the command waits for a key to have room: it has something to
	// add. Its time then begins anew, and when that has run out the reply is
	// TimeoutError, unless Within, which is measured from the first run, has run
	// out before.
	Room         bool
	TimeoutError resp.Error
	Within       time.Duration
	// Group and Consumer are those of XREADGROUP.
	Group, Consumer string
	// Again, when not zero, is when the command runs again even if no key is
	// ready. It keeps its place, and says when the time after that is.
	Again time.Time
}
