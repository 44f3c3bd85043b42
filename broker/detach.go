package broker

import (
	"errors"
	"slices"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// # Long reads
//
// A read of a million elements must not hold everybody else up. Its handler
// sees that it is going to be long, and asks to be detached: the same handler
// runs again in a goroutine of the server's, against a snapshot taken at the
// end of the turn, and its reply streams out in chunks while turns go on. The
// client's own next commands wait for it, so that for this client nothing has
// changed; for all others the read took place at the end of its turn, which is
// between its request and its reply, as linearizability asks.

// detached is a command that has asked to run outside the loop.
type detached struct {
	session *Session
	cmd     *commands.Command
	args    [][]byte // its own copy
	db      int
	reply   bool // false: CLIENT REPLY OFF
}

// jobChunkBytes is the size of the pieces in which a long reply leaves.
const jobChunkBytes = 64 << 10

// Job is a long read to be run in a goroutine of its own.
type Job struct {
	Session *Session
	// Run executes it. emit takes the next bytes of the reply, which become its
	// own; it waits while the client is slow and returns false when the client
	// is gone. An error means that the store could not be read: the process has
	// to end.
	Run func(emit func([]byte) bool) error
	// GiveUp makes Run end soon, without the rest of the reply. It may be called
	// from any goroutine, also when Run has ended.
	GiveUp func()
}

func (b *Broker) job(d detached) Job {
	snapshot, release := b.store.Snapshot(b.now)
	proto := d.session.Out.Proto
	// What the loop goes on changing is not for another goroutine: the handler
	// sees a copy of the configuration, and nothing else that sessions share.
	config := *b.server.Config
	server := &commands.Server{Config: &config, Table: b.server.Table, Sorting: b.server.Sorting}
	replyBytesMax := b.server.ReplyBytesMax()
	return Job{Session: d.session, GiveUp: snapshot.GiveUp, Run: func(emit func([]byte) bool) error {
		defer release()
		defer func() {
			if p := recover(); p != nil && p != any(storage.Unwanted{}) {
				panic(p)
			}
		}()
		out := resp.Buffer{Proto: proto, FlushBytes: jobChunkBytes}
		gone := false
		out.Flush = func(p []byte) {
			if d.reply && !gone {
				gone = !emit(slices.Clone(p))
			}
		}
		c := &commands.Ctx{
			Cmd: d.cmd, Args: commands.NewArgs(d.cmd, d.args), Tx: snapshot.In(d.db), Out: &out,
			Session: &commands.Session{DB: d.db}, Server: server, Detached: true, ReplyBytesMax: replyBytesMax,
		}
		if err := runNamed(c); err != nil {
			// An error of the arguments or the type has shown before the handler
			// asked to be detached; this one is about the data.
			reply := resp.Error("ERR " + err.Error())
			errors.As(err, &reply)
			out.Error(reply)
		}
		out.FlushNow()
		return snapshot.Err()
	}}
}

// Finish ends a job whose reply is complete.
func (b *Broker) Finish(j Job) {
	s := j.Session
	s.Detached = false
	if s.Killed {
		return
	}
	s.ReleasePushes()
	b.resume(s)
}
