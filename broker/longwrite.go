package broker

import (
	"slices"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// # Long writes
//
// A change of a million elements must not hold everybody else up either, and has
// to be atomic all the same. Nearly all of its time goes into reading, and into
// writing what nobody sees yet. So it is done in three steps, of which only the
// last is the command:
//
//	ask       the handler sees that it is going to be long, and asks for it to be
//	          prepared (commands.Ctx.Prepare). Nothing has happened yet.
//	prepare   it runs again in a goroutine, against a snapshot: it finds out what
//	          the change takes, or builds the new contents beside the old ones
//	          (storage.Building), whose parts join the batches of turns meanwhile.
//	apply     it runs once more, in the loop, with what was prepared: a unit that
//	          takes no time to speak of, and one batch.
//
// What breaks the naive version: the keys may change between the snapshot and the
// last step. So commands that write to them wait, as do their transactions, and
// those of others which a push would wake; who reads sees the keys as they were.
// Whatever writes to all keys at once waits as well. A key may still run out: a
// guard tells (storage.Guard), and then everything begins anew.
//
// Keys are held by their names, whatever their database: that a few commands too
// many wait does no harm.
//
// Rejected: to do it in slices, each a unit of its own. Others would see half of
// it, and a crash would leave half.

// longWrite is a command that is being prepared.
type longWrite struct {
	detached
	names    []string // of the keys that are held for it
	guards   []storage.Guard
	building *storage.Building

	// Of the goroutine until Run has returned.
	prepared any
	err      error // the reply is an error
	complete bool  // else nobody wants it any more
}

// part is a piece of what a long write builds.
type part struct {
	write *longWrite
	bytes []byte
}

// partsBytesMax bounds what one turn takes of what is being built.
const partsBytesMax = 1 << 20

// prepare puts a command off that has asked to be prepared.
func (b *Broker) prepare(d detached) {
	w := &longWrite{detached: d}
	at, _ := d.cmd.KeyIndexes(d.args)
	for _, i := range at {
		name := string(d.args[i])
		w.names = append(w.names, name)
		b.locks[name]++
		w.guards = append(w.guards, b.tx.In(d.db).Guard(d.args[i]))
	}
	d.session.Detached = true
	b.preparing = append(b.preparing, w)
}

// writeJob is what remains to be done outside the loop.
func (b *Broker) writeJob(w *longWrite) Job {
	snapshot, release := b.store.Snapshot(b.now)
	w.building = b.store.NewBuilding()
	now, proto, server, replyBytesMax := b.now, w.session.Out.Proto, b.detachedServer(), b.server.ReplyBytesMax()
	return Job{Session: w.session, GiveUp: snapshot.GiveUp, write: w, Run: func(emit func([]byte) bool) error {
		defer release()
		defer recoverUnwanted()
		out := resp.Buffer{Proto: proto}
		c := &commands.Ctx{
			Cmd: w.cmd, Args: commands.NewArgs(w.cmd, w.args), Tx: snapshot.In(w.db), Out: &out,
			Session: &commands.Session{DB: w.db}, Server: server, Detached: true, ReplyBytesMax: replyBytesMax,
			Site: b.store.Site(w.building, now, emit),
		}
		err := runNamed(c)
		w.prepared, w.err, w.complete = c.Prepared, err, true
		return snapshot.Err()
	}}
}

// goOn writes parts of what is being built, and applies what has been prepared.
func (b *Broker) goOn() {
	bytes := 0
	for len(b.parts) > 0 && bytes < partsBytesMax {
		p := b.parts[0]
		b.tx.AddPart(p.write.building, p.bytes)
		bytes += len(p.bytes)
		b.parts[0] = part{}
		b.parts = b.parts[1:]
		b.taken = append(b.taken, Taken{p.write.session, len(p.bytes)})
	}
	for _, w := range b.prepared {
		if len(b.parts) > 0 && slices.ContainsFunc(b.parts, func(p part) bool { return p.write == w }) {
			b.unwritten = append(b.unwritten, w)
			continue
		}
		b.apply(w)
	}
	clear(b.prepared)
	b.prepared, b.unwritten = append(b.prepared[:0], b.unwritten...), b.unwritten[:0]
}

// apply is the last step of a long write.
func (b *Broker) apply(w *longWrite) {
	s := w.session
	s.Detached = false
	same := true
	for _, g := range w.guards {
		same = b.tx.Unguard(g) && same
	}
	for _, name := range w.names {
		if b.locks[name]--; b.locks[name] == 0 {
			delete(b.locks, name)
		}
	}
	if !s.Killed && w.complete {
		out := &b.discard
		if w.reply {
			out = &s.Out
		}
		c := commands.Ctx{Rerun: true, Prepared: w.prepared}
		if !same {
			c = commands.Ctx{Rerun: true, Detachable: true} // anew
		}
		if same && w.err != nil {
			w.cmd.Stats.Failed++
			b.fail(out, w.err)
		} else {
			b.execute(s, w.cmd, w.args, out, c)
		}
		if !s.Detached && s.Blocked == nil {
			s.ReleasePushes()
			b.resume(s)
			s.CloseAfterReply = s.CloseAfterReply || b.drained
		}
		b.touch(s)
	}
	b.tx.Abandon(w.building) // unless a key has it
	b.letGo()
	b.settle()
}

// letGo has those go on who waited for keys that are no longer held.
func (b *Broker) letGo() {
	for _, s := range b.held {
		s.Paused = false
		b.resume(s)
	}
	clear(b.held)
	b.held = b.held[:0]
	ready := b.postponed
	b.postponed = nil
	b.serve(ready)
}

// isHeld reports whether a command has to wait until keys are let go.
func (b *Broker) isHeld(s *Session, cmd *commands.Command, args [][]byte) bool {
	if len(b.locks) == 0 {
		return false
	}
	if cmd.Name == "exec" && s.Multi != nil {
		return slices.ContainsFunc(s.Multi.Queue, func(q commands.Queued) bool { return b.writesHeld(q.Cmd, q.Args) })
	}
	return (s.Multi == nil || cmd.Has(commands.InMulti)) && b.writesHeld(cmd, args)
}

// writesHeld reports whether a command writes to a key that is held.
func (b *Broker) writesHeld(cmd *commands.Command, args [][]byte) bool {
	switch {
	case len(b.locks) == 0 || !cmd.Has(commands.Write):
		return false
	case cmd.Has(commands.Keyspace):
		return true
	}
	at, _ := cmd.KeyIndexes(args)
	return slices.ContainsFunc(at, func(i int) bool { return b.locks[string(args[i])] > 0 })
}
