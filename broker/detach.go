package broker

import (
	"errors"
	"math/rand/v2"
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
//
// A transaction that only reads is such a read, as a whole: one snapshot is as
// good as one unit. Not if it watches keys, as these were looked at before.

// detached is a command that has asked to run outside the loop.
type detached struct {
	session *Session
	cmd     *commands.Command
	args    [][]byte // its own copy
	db      int
	reply   bool // false: CLIENT REPLY OFF
	// queue are the commands of a transaction: cmd is EXEC.
	queue []commands.Queued
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

	write *longWrite // nil: a long read
}

// Writes reports whether what Run emits is no reply but a part of what is being
// written (longwrite.go). The next is wanted once it was taken (Broker.Taken).
func (j Job) Writes() bool { return j.write != nil }

func (b *Broker) job(d detached) Job {
	snapshot, release := b.store.Snapshot(b.now)
	proto := d.session.Out.Proto
	server, replyBytesMax := b.detachedServer(), b.server.ReplyBytesMax()
	user := d.session.User.Copy()
	return Job{Session: d.session, GiveUp: snapshot.GiveUp, Run: func(emit func([]byte) bool) error {
		defer release()
		defer recoverUnwanted()
		out := resp.Buffer{Proto: proto, FlushBytes: jobChunkBytes}
		gone := false
		out.Flush = func(p []byte) {
			if d.reply && !gone {
				gone = !emit(slices.Clone(p))
			}
		}
		run := func(cmd *commands.Command, args [][]byte) {
			c := &commands.Ctx{
				Cmd: cmd, Args: commands.NewArgs(cmd, args), Tx: snapshot.In(d.db), Out: &out,
				Session: &commands.Session{DB: d.db, User: user}, Server: server, Detached: true, ReplyBytesMax: replyBytesMax,
				InExec: d.queue != nil,
			}
			if err := runNamed(c); err != nil {
				reply := resp.Error("ERR " + err.Error())
				errors.As(err, &reply)
				out.Error(reply)
			}
		}
		if d.queue == nil {
			run(d.cmd, d.args)
		} else {
			out.Array(len(d.queue))
			for _, q := range d.queue {
				run(q.Cmd, q.Args)
			}
		}
		out.FlushNow()
		return snapshot.Err()
	}}
}

// detachedServer is what a handler outside the loop sees: what the loop goes on
// changing is not for another goroutine, so that is a copy of the configuration,
// and nothing else that sessions share.
func (b *Broker) detachedServer() *commands.Server {
	config := *b.server.Config
	return &commands.Server{
		Config: &config, Table: b.server.Table, Sorting: b.server.Sorting, LongReadItems: b.server.LongReadItems, LongWriteItems: b.server.LongWriteItems,
		Rand: rand.New(rand.NewPCG(b.server.Rand.Uint64(), 0)),
	}
}

// recoverUnwanted ends a handler whose work nobody wants any more.
func recoverUnwanted() {
	if p := recover(); p != nil && p != any(storage.Unwanted{}) {
		panic(p)
	}
}

// Deliver takes what a job has emitted: the next of its reply, or of what it
// writes.
func (b *Broker) Deliver(j Job, chunk []byte) {
	if j.write != nil {
		b.parts = append(b.parts, part{j.write, chunk})
		return
	}
	j.Session.Out.Chunk(chunk)
}

// Finish ends a job of which everything has been delivered.
func (b *Broker) Finish(j Job) {
	if j.write != nil {
		b.prepared = append(b.prepared, j.write)
		return
	}
	s := j.Session
	s.Detached = false
	if s.Killed {
		return
	}
	s.ReleasePushes()
	b.resume(s)
}
