package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// # A turn
//
//	Begin     the time is read once; what is due runs: expiry, the schedule, policies,
//	          timeouts
//	Do …      every command that has arrived is a unit: check, run, serve
//	End       one batch is committed (and synced); then replies may leave
//
// Replies are written to the sessions' buffers as commands run, but the server
// sends nothing before End has returned: no client sees a write, its own or
// another's, that is not yet on disk (rule R4). A turn without writes commits
// nothing and waits for nothing.
//
// A *unit* is what nobody sees half of: a command, an EXEC with all its
// commands, a blocked command that is served, a timeout, a scheduled command, a
// slice of the sweep.
// After each unit, and before the next, those who wait for a key that the unit
// made ready are served, oldest first (rule R2): otherwise an LPOP later in the
// same turn would overtake a BLPOP that has waited for minutes.
//
// An error reply has written nothing (rule R3): Do compares the transaction's
// count of edits around each handler and panics when one broke the rule.

// sweepKeys is how many keys or records one turn removes on its own account.
const sweepKeys = 500

// Begin starts a turn at the given time.
func (b *Broker) Begin(now time.Time) {
	for _, s := range b.touched {
		s.Touched = false
	}
	clear(b.touched)
	b.touched = b.touched[:0]
	clear(b.resumed)
	b.resumed = b.resumed[:0]
	clear(b.jobs)
	b.jobs = b.jobs[:0]
	clear(b.taken)
	b.taken = b.taken[:0]

	b.now = now
	b.tx = b.store.Begin(now)
	b.server.Counters.Turns++
	b.server.Sample(now)
	b.want()
	if b.server.GoBack(b.tx) {
		b.settle()
	}
	b.goOn()
	if at, ok := b.store.NextSweep(now); ok && !at.After(now) {
		began := b.options.Elapsed()
		b.tx.Sweep(sweepKeys)
		b.server.Latency(commands.LatencyExpire, now, b.options.Elapsed()-began)
		b.settle()
	}
	b.runSchedule()
	b.tend()
	b.wakeWaits()
	b.moveUp()
	b.endPause()
}

// End commits the turn. After an error no reply may leave, and the process has
// to end: what the log holds is unknown (rule R5).
func (b *Broker) End() error {
	b.server.Broadcast()
	b.server.LimitTracking()
	if err := b.commit(); err != nil {
		return err
	}
	if b.server.SyncTurn {
		b.server.SyncTurn = false
		if err := b.store.SyncNow(); err != nil {
			return err
		}
	}
	if b.server.Reload {
		b.server.Reload = false
		if err := b.store.Forget(); err != nil {
			return err
		}
	}
	b.server.Counters.Expired = b.store.Expired
	for _, d := range b.detaching {
		b.jobs = append(b.jobs, b.job(d))
	}
	clear(b.detaching)
	b.detaching = b.detaching[:0]
	for _, w := range b.preparing {
		b.jobs = append(b.jobs, b.writeJob(w))
	}
	clear(b.preparing)
	b.preparing = b.preparing[:0]
	return nil
}

// commit writes what the turn has changed, and notes if that took long.
func (b *Broker) commit() error {
	began := b.options.Elapsed()
	_, err := b.store.Commit()
	event := commands.LatencySync
	if b.options.Config.AppendFsync != config.FsyncAlways {
		event = commands.LatencyWrite
	}
	took := b.options.Elapsed() - began
	b.server.Latency(event, b.now, took)
	if n, waited := b.store.WriteStalls(); n != b.stalls || waited != b.stalled {
		b.server.Counters.WriteStalls += n - b.stalls
		b.server.Counters.WriteStallTime += waited - b.stalled
		b.server.Latency(commands.LatencyStall, b.now, waited-b.stalled)
		b.stalls, b.stalled = n, waited
	}
	return err
}

// Deadline returns when a turn has to run even if nothing arrives.
func (b *Broker) Deadline() (at time.Time, ok bool) {
	earlier := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if t, due := b.waits.deadlines.next(); due {
		earlier(t)
	}
	if t, due := b.store.NextSweep(b.now); due {
		earlier(t)
	}
	if t, due := b.server.Confirmations.NextGoesBack(b.now); due {
		earlier(t)
	}
	if t, due := b.nextTend(); due {
		earlier(t)
	}
	if t, due := b.nextScheduled(); due {
		earlier(t)
	}
	if len(b.paused) > 0 {
		earlier(b.server.Pause.Until)
	}
	if b.server.TracksTooMuch() || len(b.vacated) > 0 || len(b.parts) > 0 || len(b.prepared) > 0 {
		earlier(b.now)
	}
	return at, ok
}

// want tells the store what units have to report.
func (b *Broker) want() {
	b.store.WantReady, b.store.WantRoom = b.waits.count > 0, b.waits.producers > 0
	b.store.WantTouched = len(b.server.Watchers) > 0 || b.server.Tracking.Clients() > 0
	b.store.WantEvents = b.options.Config.NotifyKeyspaceEvents.Any()
}

// Do runs a command, queues it (MULTI), parks it (until a key is ready) or puts
// it off (a long read). It returns false, having done nothing, when the
// session's command has to wait: the server offers it again once the session
// is resumed. args are not kept.
func (b *Broker) Do(s *Session, args [][]byte) bool {
	if s.Held() {
		return false
	}
	if len(s.Unconfirmed) > 0 {
		b.server.Confirm(b.tx, s)
	}
	s.LastUsed = b.now
	cmd, err := b.server.Table.Resolve(args)
	if err == nil {
		s.LastCmd = cmd
		err = b.check(s, cmd, args)
	}
	if err != nil {
		b.refuse(s, cmd, err)
		return true
	}
	if b.pauses(s, cmd) {
		s.Paused = true
		b.paused = b.putOff(b.paused, s)
		return false
	}
	if b.isHeld(s, cmd, args) {
		s.Paused = true
		b.held = b.putOff(b.held, s)
		return false
	}
	b.touch(s)
	if s.Multi != nil && !cmd.Has(commands.InMulti) {
		if !s.Multi.Aborted && !s.Dirty { // else it is not going to run
			s.Multi.Add(cmd, clone(args))
		}
		b.out(s).Simple("QUEUED")
		b.replied(s)
		return true
	}
	b.run(s, cmd, args)
	if s.Blocked == nil {
		endChoice(s, cmd)
	}
	b.settle()
	return true
}

// check refuses what the table says must not run now.
func (b *Broker) check(s *Session, cmd *commands.Command, args [][]byte) error {
	if !cmd.ArityFits(len(args)) {
		return commands.ArityError(cmd)
	}
	if cmd.Has(commands.Protected) && !b.server.AllowsProtected(s) {
		return commands.ErrProtected
	}
	if !cmd.Has(commands.NoAuth) && b.server.MustAuthenticate(s) {
		return commands.ErrNoAuth
	}
	if err := cmd.CheckNames(args, int(b.options.Config.ProtoMaxNameLen)); err != nil {
		return err
	}
	if s.Multi != nil && !cmd.Has(commands.InMulti) && len(s.Multi.Queue) >= b.options.Config.ProtoMaxMultibulkLen {
		return commands.ErrQueueTooLong
	}
	if s.Multi != nil && cmd.Has(commands.NoMulti) {
		return resp.Error("ERR Command not allowed inside a transaction")
	}
	if err := b.permit(s, cmd, args); err != nil {
		return err
	}
	if b.server.Full != "" && adds(s, cmd) {
		b.server.Counters.RefusedFull++
		return b.server.Full
	}
	if s.Out.Proto != 3 && !cmd.Has(commands.InSubscribe) && s.Subscribed() {
		return resp.Errorf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", cmd.FullName())
	}
	if s.Monitors && (writes(cmd) || cmd.Has(commands.ReadOnly)) {
		return commands.ErrMonitorKeys
	}
	return nil
}

// adds reports whether the command, or one of the transaction that it executes,
// adds data.
func adds(s *Session, cmd *commands.Command) bool {
	return cmd.Has(commands.DenyOOM) || (cmd.Name == "exec" && s.Multi != nil &&
		slices.ContainsFunc(s.Multi.Queue, func(q commands.Queued) bool { return q.Cmd.Has(commands.DenyOOM) }))
}

// permit refuses what the session's user has no right to.
func (b *Broker) permit(s *Session, cmd *commands.Command, args [][]byte) error {
	if s.User.Unrestricted() {
		return nil
	}
	return b.server.Permit(s, cmd, args, b.now)
}

// refuse answers a command that does not run.
func (b *Broker) refuse(s *Session, cmd *commands.Command, err error) {
	if cmd != nil {
		cmd.Stats.Rejected++
	}
	switch {
	case cmd != nil && cmd.Name == "exec":
		// An EXEC that cannot run ends the transaction.
		s.Multi = nil
		b.server.Unwatch(s)
		err = resp.Errorf("EXECABORT Transaction discarded because of: %s", strings.TrimPrefix(err.Error(), "ERR "))
	case s.Multi != nil:
		s.Multi.Aborted = true
	}
	endChoice(s, cmd)
	b.touch(s)
	b.fail(b.out(s), err)
	b.replied(s)
}

// out is where the session's replies go at the moment.
func (b *Broker) out(s *Session) *resp.Buffer {
	if s.Reply == commands.ReplySkipNext {
		s.Reply = commands.ReplySkip
	}
	if s.Reply == commands.ReplyOn {
		return &s.Out
	}
	b.discard.Proto = s.Out.Proto
	b.discard.Reset(1 << 10)
	return &b.discard
}

// replied ends what CLIENT REPLY SKIP has begun.
func (b *Broker) replied(s *Session) {
	if s.Reply == commands.ReplySkip {
		s.Reply = commands.ReplyOn
	}
}

// run executes one command of a session as it stands.
func (b *Broker) run(s *Session, cmd *commands.Command, args [][]byte) {
	b.execute(s, cmd, args, b.out(s), commands.Ctx{Detachable: true})
	if s.Blocked == nil { // else it is not over
		b.replied(s)
	}
}

// execute is run with the place for the reply and what else the handler is to see
// given.
func (b *Broker) execute(s *Session, cmd *commands.Command, args [][]byte, out *resp.Buffer, with commands.Ctx) {
	c := &b.ctx
	*c = with
	c.Cmd, c.Args, c.Tx, c.Out = cmd, commands.NewArgs(cmd, args), b.tx.In(s.DB), out
	c.Session, c.Server, c.ReplyBytesMax = s, b.server, b.server.ReplyBytesMax()
	s.Running = true
	mark := c.Out.Mark()
	_ = b.call(c) // the reply says it
	if w := c.TakeWait(); w != nil {
		c.Out.Truncate(mark)
		if err := b.mayWait(w); err != nil {
			b.fail(c.Out, err)
		} else {
			b.park(s, cmd, clone(args), *w)
		}
	}
	if c.TakeDetach() {
		c.Out.Truncate(mark)
		s.Detached = true
		b.detaching = append(b.detaching, detached{s, cmd, clone(args), s.DB, c.Out == &s.Out, c.Queue})
	}
	if c.TakePrepare() {
		c.Out.Truncate(mark)
		b.prepare(detached{s, cmd, clone(args), s.DB, c.Out == &s.Out, nil})
	}
	b.server.TellOwn()
	s.Running = false
	if !s.Detached {
		s.ReleasePushes()
	}
}

// call runs a handler, turns its error into a reply, which it returns as well, and
// counts.
func (b *Broker) call(c *commands.Ctx) error {
	mark := c.Out.Mark()
	edits := c.Tx.Edits()
	c.Tx.NoTouch = c.Session.NoTouch || c.Cmd.Has(commands.Touches)
	c.Tx.ReportMisses = b.store.WantEvents && c.Cmd.Has(commands.ReadOnly)
	var shown [][]byte
	if len(b.server.Monitors) > 0 && !c.Rerun {
		shown = slices.Clone(c.Args.All())
	}
	began := b.options.Elapsed()
	err := b.bounded(c)
	took := b.options.Elapsed() - began
	b.count(c, took)
	if shown != nil {
		b.server.ShowMonitors(c, shown)
	}
	b.tell(c.Session)
	if c.Session.Tracking != nil {
		b.server.Remember(c)
	}
	if err == nil {
		return nil
	}
	if c.Tx.Edits() != edits && !c.Cmd.Has(commands.Blocking) {
		panic(fmt.Sprintf("broker: %s answers an error after it has written (rule R3): %v", c.Cmd.FullName(), err))
	}
	c.Out.Truncate(mark)
	c.Cmd.Stats.Failed++
	b.fail(c.Out, err)
	return err
}

// bounded runs a handler with a bound for the length of its reply. A read that
// has reached what the loop takes leaves it; where it cannot, or at what is to be
// in memory at most, the reply is an error.
func (b *Broker) bounded(c *commands.Ctx) error {
	if !c.Cmd.IsPure() {
		return runNamed(c)
	}
	leaves := c.Detachable && c.Cmd.Has(commands.ReadOnly)
	most := c.ReplyBytesMax
	if leaves {
		most = commands.LoopReplyBytesMax
	}
	c.Out.Bound = c.Out.Len() + int(most)
	err := runNamed(c)
	c.Out.Bound = 0
	if err == commands.ErrReplyTooLong && leaves {
		return c.Detach()
	}
	return err
}

// runNamed names the command in a panic that its handler causes.
func runNamed(c *commands.Ctx) (err error) {
	completed := false
	defer func() {
		if completed {
			return
		}
		switch p := recover(); p {
		case nil:
		case any(resp.TooLong{}):
			err = commands.ErrReplyTooLong
		case any(storage.Unwanted{}):
			panic(p)
		default:
			panic(fmt.Sprintf("%s: %v", c.Cmd.FullName(), p))
		}
	}()
	err = c.Cmd.Run(c)
	completed = true
	return err
}

// fail is the one place where an error becomes a reply.
func (b *Broker) fail(out *resp.Buffer, err error) {
	var reply resp.Error
	if !errors.As(err, &reply) {
		b.options.Logf("internal error: %v", err)
		reply = "ERR internal error"
	}
	b.server.CountError(reply)
	out.Error(reply)
}

// count counts a call, once however often it has to run again, and notes what
// took long. What a long read does outside the loop is not in it.
func (b *Broker) count(c *commands.Ctx, took time.Duration) {
	stats := &c.Cmd.Stats
	if !c.Rerun {
		b.server.Counters.Commands++
		stats.Calls++
	}
	stats.Micros += took.Microseconds()
	hits, misses := c.Tx.TakeLookups()
	if c.Cmd.Has(commands.ReadOnly) {
		b.server.Counters.Hits += hits
		b.server.Counters.Misses += misses
	}
	if c.Waits() {
		return
	}
	if b.options.Config.LatencyTracking {
		if stats.Latency == nil {
			stats.Latency = new(commands.Histogram)
		}
		stats.Latency.Add(took)
	}
	event := commands.LatencyCommand
	if c.Cmd.Has(commands.Fast) {
		event = commands.LatencyFastCommand
	}
	b.server.Latency(event, b.now, took)
	if limit := b.options.Config.SlowlogLogSlowerThan; limit >= 0 && took.Microseconds() >= limit && !c.Cmd.Has(commands.SkipSlowlog) {
		b.server.LogSlow(c, took)
	}
}

// settle ends a unit: those who watch learn of it, those who wait are served,
// and what a handler has asked of the broker is done.
func (b *Broker) settle() {
	// First those who go: what the unit has made ready is not for them.
	if len(b.server.Closing) > 0 {
		b.dismiss()
	}
	if len(b.server.Unblocked) > 0 {
		b.unblock()
	}
	report := b.report()
	if !report.Empty() {
		b.spread(report)
	}
	b.obey()
	b.moveUp()
	if len(b.paused) > 0 {
		b.endPause()
	}
	b.want()
}

// dismiss lets go of sessions that CLIENT KILL has ended.
func (b *Broker) dismiss() {
	for _, s := range b.server.Closing {
		if s.Killed && s.Blocked != nil {
			b.vacate(s)
			b.waits.remove(s)
		}
		b.touch(s)
	}
	b.server.Closing = b.server.Closing[:0]
}

// spread tells watchers and waiters of a unit's report.
func (b *Broker) spread(report storage.Report) {
	b.dirty(report)
	ready := slices.Clip(report.Ready)
	for _, db := range report.Moved {
		ready = append(ready, b.waits.keysOf(db)...)
	}
	if len(ready) > 0 {
		b.serve(ready)
	}
}

// obey has everybody who waits look again after policies have changed: there may
// be room now, or a lease that runs out.
func (b *Broker) obey() {
	if b.policies == b.server.Policies.Version {
		return
	}
	b.policies = b.server.Policies.Version
	var ready []storage.KeyRef
	for db := range storage.Databases {
		ready = append(ready, b.waits.keysOf(db)...)
	}
	b.serve(ready)
}

// dirty voids the transactions of those who watch a key that has changed.
func (b *Broker) dirty(report storage.Report) {
	if len(b.server.Watchers) == 0 {
		return
	}
	for _, key := range report.Touched {
		for _, s := range b.server.Watchers[commands.DBKey(key)] {
			s.Dirty = true
		}
	}
	for _, db := range report.Moved {
		b.server.DirtyDB(b.tx, db)
	}
}

// runQueued executes the commands of a transaction as one unit. It is called
// by EXEC's handler, whose own context c is.
func (b *Broker) runQueued(c *commands.Ctx, queue []commands.Queued) error {
	begin := c.Out.Mark()
	c.Out.Array(len(queue))
	reads := c.Queue != nil
	for i, q := range queue {
		if reads && c.Out.Since(begin) > commands.LoopReplyBytesMax {
			b.passOver(c, queue[i:])
			return c.Detach()
		}
		err := b.server.PermitQueued(c.Session, q, b.now)
		room := c.ReplyBytesMax - int64(c.Out.Since(begin))
		if err == nil && room <= 0 {
			err = commands.ErrReplyTooLong
		}
		if err == nil && q.Cmd.Has(commands.Write) && !b.tx.Fits(0, 0) {
			err = storage.ErrTooMuch
		}
		if err != nil {
			q.Cmd.Stats.Rejected++
			b.fail(c.Out, err)
			continue
		}
		inner := commands.Ctx{
			Cmd: q.Cmd, Args: commands.NewArgs(q.Cmd, q.Args), Tx: b.tx.In(c.Session.DB), Out: c.Out,
			Session: c.Session, Server: b.server, InExec: true, ReplyBytesMax: room, Detachable: reads,
		}
		_ = b.call(&inner) // the reply says it
		if inner.TakeDetach() {
			b.passOver(c, queue[i+1:])
			return c.Detach()
		}
	}
	c.Tx.NoTouch = false
	return nil
}

// passOver does for commands of a transaction that are going to run outside the
// loop what belongs into it.
func (b *Broker) passOver(c *commands.Ctx, queue []commands.Queued) {
	for _, q := range queue {
		b.server.Counters.Commands++
		q.Cmd.Stats.Calls++
		inner := commands.Ctx{Cmd: q.Cmd, Args: commands.NewArgs(q.Cmd, q.Args), Session: c.Session, Tx: c.Tx}
		b.server.ShowMonitors(&inner, q.Args)
		b.server.Remember(&inner)
	}
	c.Tx.NoTouch = false
}

// Drain prepares the end: everybody who waits is released with an error, and
// every connection is closed once it has its replies.
func (b *Broker) Drain() {
	b.drained = true
	for _, s := range b.waits.all() {
		b.waits.remove(s)
		b.out(s).Error(commands.ErrShuttingDown)
	}
	for _, s := range b.server.Sessions {
		if !s.Detached {
			s.CloseAfterReply = true
			b.touch(s)
		}
	}
}

// clone copies a command's arguments: they are to outlive the server's buffer.
func clone(args [][]byte) [][]byte {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	all := make([]byte, 0, size)
	out := make([][]byte, len(args))
	for i, a := range args {
		all = append(all, a...)
		out[i] = all[len(all)-len(a) : len(all) : len(all)]
	}
	return out
}
