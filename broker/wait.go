package broker

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/storage"
)

// # Waiting
//
// A blocked command is a command that found nothing yet. It is parked with its
// arguments at each of its keys; when a unit has made one of them ready, its
// handler simply runs again. There is no code for serving anywhere else: a new
// blocking command needs none here.
//
// What breaks the naive version (keep a list, run them all):
//
//   - Order. Clients are served in the order in which they blocked, per key, and
//     a client that was not served keeps its place: it leaves the queues only
//     when it is served, timed out, unblocked or gone.
//   - Types. A BLPOP is not to be woken (and answered WRONGTYPE) because a
//     stream appears under its key. A waiter is asked only if the key has the
//     type it waits for, or if it also wants to know that the key is gone.
//   - Ten thousand waiters. A push of one message must not cost a look at each
//     of them: once the key is gone nobody behind the first is asked, and of
//     waiters of one class (the consumers of a group) none is asked after one of
//     them found nothing.
//   - Time. An XREADGROUP with CLAIM also wants what gets old enough while it
//     waits: it says when to run it again (commands.Wait.Again), be a key ready or
//     not. Of a thousand consumers that wait for the same old entry one is asked,
//     and where it finds nothing the others of its class wait on with it.
//   - Room. A producer that waits for room in a bounded queue (commands.Wait.Room)
//     stands in the same line. It is asked when anything has changed at its key
//     (storage.Store.WantRoom): what makes room need not know of it. The first
//     that does not fit ends it for all behind.
//   - Chains. Serving a BLMOVE makes another key ready: it is put at the end of
//     the list of ready keys and has its turn within the same unit.
//
// Invariants: s.Blocked != nil exactly while s stands in a queue of every one
// of its keys (and in the heap of deadlines, if the time can wake it). A served waiter's
// effect and the push that woke it are in the same batch.

// waits holds the parked sessions.
type waits struct {
	queues    map[storage.KeyRef]*waitQueue
	nodes     map[*Session][]*waitNode
	deadlines deadlines
	count     int
	producers int // how many of them wait for room
	seq       uint64
}

// waitQueue is the line at one key.
type waitQueue struct {
	first, last *waitNode
	alsoGone    int // how many of them want to know that the key is gone
	producers   int // how many of them wait for room
	count       int
}

// waitNode is one session's place at one key.
type waitNode struct {
	session    *Session
	key        storage.KeyRef
	prev, next *waitNode
}

func newWaits() waits {
	return waits{queues: make(map[storage.KeyRef]*waitQueue), nodes: make(map[*Session][]*waitNode)}
}

// add parks a session whose Blocked is set.
func (w *waits) add(s *Session) {
	w.seq++
	s.Blocked.Seq = w.seq
	w.count++
	if s.Blocked.Wait.Room {
		w.producers++
	}
	w.nodes[s] = nil // also of one that waits for no key, but for the time alone
	for _, key := range s.Blocked.Wait.Keys {
		ref := storage.KeyRef{DB: s.Blocked.DB, Key: key}
		if w.standsAt(s, ref) {
			continue // a key named twice
		}
		q := w.queues[ref]
		if q == nil {
			q = &waitQueue{}
			w.queues[ref] = q
		}
		n := &waitNode{session: s, key: ref, prev: q.last}
		if q.last == nil {
			q.first = n
		} else {
			q.last.next = n
		}
		q.last = n
		q.tally(&s.Blocked.Wait, 1)
		w.nodes[s] = append(w.nodes[s], n)
	}
	w.deadlines.add(s)
}

// tally counts one in the line, or one less.
func (q *waitQueue) tally(w *commands.Wait, n int) {
	q.count += n
	if w.AlsoGone {
		q.alsoGone += n
	}
	if w.Room {
		q.producers += n
	}
}

// at returns how many wait at a key: for a message, and for room.
func (w *waits) at(ref storage.KeyRef) (consumers, producers int) {
	if q := w.queues[ref]; q != nil {
		return q.count - q.producers, q.producers
	}
	return 0, 0
}

func (w *waits) standsAt(s *Session, ref storage.KeyRef) bool {
	q := w.queues[ref]
	return q != nil && q.last.session == s
}

// remove takes a session out of all its queues; it is no longer blocked.
func (w *waits) remove(s *Session) {
	w.count--
	if s.Blocked.Wait.Room {
		w.producers--
	}
	for _, n := range w.nodes[s] {
		q := w.queues[n.key]
		if n.prev == nil {
			q.first = n.next
		} else {
			n.prev.next = n.next
		}
		if n.next == nil {
			q.last = n.prev
		} else {
			n.next.prev = n.prev
		}
		q.tally(&s.Blocked.Wait, -1)
		if q.first == nil {
			delete(w.queues, n.key)
		}
	}
	delete(w.nodes, s)
	w.deadlines.remove(s)
	s.Blocked = nil
}

// keysOf returns the keys of a database that somebody waits for.
func (w *waits) keysOf(db int) []storage.KeyRef {
	var keys []storage.KeyRef
	for ref := range w.queues {
		if ref.DB == db {
			keys = append(keys, ref)
		}
	}
	return keys
}

// all returns the parked sessions, oldest first.
func (w *waits) all() []*Session {
	list := make([]*Session, 0, w.count)
	for s := range w.nodes {
		list = append(list, s)
	}
	sortBySeq(list)
	return list
}

// mayWait refuses a command that would have to wait where too many do, for too
// much, or for nobody, as the end has begun.
func (b *Broker) mayWait(w *commands.Wait) error {
	most, keys := b.options.Config.MaxClientsBlocked, b.options.Config.BlockedKeysLimit
	switch {
	case b.drained:
		return commands.ErrShuttingDown
	case most > 0 && b.waits.count >= most:
		return commands.ErrBlockedClients
	case keys > 0 && len(w.Keys) > keys:
		return commands.ErrBlockedKeys
	}
	return nil
}

// park makes a session wait. Its timeout counts from now.
func (b *Broker) park(s *Session, cmd *commands.Command, args [][]byte, w commands.Wait) {
	b.wait(s, &commands.Blocked{Cmd: cmd, Args: args, DB: s.DB, Wait: w, Since: b.now})
}

// wait puts a command into the lines where it waits from now on.
func (b *Broker) wait(s *Session, w *commands.Blocked) {
	w.Again, w.HeapIndex = w.Wait.Again, -1
	if w.Wait.Room {
		w.RoomSince = b.now
	}
	setDeadline(w)
	s.Blocked = w
	b.waits.add(s)
}

// setDeadline finds out when a command gives up.
func setDeadline(w *commands.Blocked) {
	w.Deadline, w.InTime = time.Time{}, false
	until := func(from time.Time, d time.Duration) {
		if at := from.Add(d); d > 0 && (w.Deadline.IsZero() || at.Before(w.Deadline)) {
			w.Deadline = at
		}
	}
	if w.Wait.Room {
		until(w.Since, w.Wait.Within)
		w.InTime = !w.Deadline.IsZero()
		own := w.Deadline
		until(w.RoomSince, w.Wait.Timeout)
		w.InTime = w.InTime && w.Deadline.Equal(own)
	} else {
		until(w.Since, w.Wait.Timeout)
	}
}

// waitOn has a parked command wait on that has run again. It keeps its place,
// unless it waits for something else now: a BLMOVE that waited for a message has
// one, and waits for room for it.
func (b *Broker) waitOn(s *Session, again *commands.Wait) {
	w := s.Blocked
	if w.Wait.Room != again.Room {
		b.waits.remove(s)
		b.wait(s, &commands.Blocked{Cmd: w.Cmd, Args: w.Args, DB: w.DB, Wait: *again, Since: w.Since, Unblock: w.Unblock})
		return
	}
	w.Wait.TimeoutError = again.TimeoutError
	if w.Wait.Room {
		b.waitForRoom(s, again.Timeout)
	}
	b.waits.deadlines.again(s, again.Again)
}

// waitForRoom changes how long a producer waits, as a policy may have.
func (b *Broker) waitForRoom(s *Session, timeout time.Duration) {
	w := s.Blocked
	if w.Wait.Timeout == timeout {
		return
	}
	b.waits.deadlines.remove(s)
	w.Wait.Timeout = timeout
	setDeadline(w)
	b.waits.deadlines.add(s)
}

// waitAlike has a command wait as one of its class does that has just looked and
// found nothing: under other policies than when it began to wait, perhaps.
func (b *Broker) waitAlike(s *Session, other *commands.Blocked) {
	w := s.Blocked
	switch {
	case w.Wait.Room:
		b.waitForRoom(s, other.Wait.Timeout)
	case !other.Again.IsZero() && (w.Again.IsZero() || other.Again.Before(w.Again)):
		b.waits.deadlines.again(s, other.Again)
	}
}

// serve asks those who wait for the given keys, and for the keys that serving
// them makes ready, to look again.
func (b *Broker) serve(ready []storage.KeyRef) {
	for i := 0; i < len(ready); i++ {
		ready = append(ready, b.serveKey(ready[i])...)
	}
}

// serveKey runs the waiters of one key in order and returns the keys that this
// has made ready.
func (b *Broker) serveKey(ref storage.KeyRef) (ready []storage.KeyRef) {
	q := b.waits.queues[ref]
	if q == nil {
		return nil
	}
	var barren map[string]*commands.Blocked // of each class the one that found nothing
	for n := q.first; n != nil; {
		next := n.next
		s, w := n.session, &n.session.Blocked.Wait
		t := storage.TypeNone
		if o := b.tx.In(ref.DB).Peek([]byte(ref.Key)); o != nil {
			t = o.Type()
		}
		if t == storage.TypeNone && q.alsoGone == 0 {
			return ready
		}
		if b.writesHeld(s.Blocked.Cmd, s.Blocked.Args) {
			b.postponed = append(b.postponed, ref) // its turn comes when the keys are let go
			return ready
		}
		if other := barren[w.Class]; other != nil {
			b.waitAlike(s, other)
		} else if t == w.Type || w.AlsoGone {
			class, served := w.Class, b.rerun(s)
			report := b.report() // also of one that waits on: it may have buried what was in its way
			b.dirty(report)
			ready = append(ready, report.Ready...)
			if !served && class != "" && s.Blocked.Wait.Class == class {
				if barren == nil {
					barren = make(map[string]*commands.Blocked)
				}
				barren[class] = s.Blocked
			}
		}
		n = next
	}
	return ready
}

// rerun runs a parked command again and reports whether it came to an end.
func (b *Broker) rerun(s *Session) bool {
	w := s.Blocked
	if err := b.permit(s, w.Cmd, w.Args); err != nil { // the rights it blocked with are gone
		w.Cmd.Stats.Rejected++
		b.fail(b.out(s), err)
		b.release(s)
		return true
	}
	c := &commands.Ctx{
		Cmd: w.Cmd, Args: commands.NewArgs(w.Cmd, w.Args), Tx: b.tx.In(w.DB), Out: b.out(s),
		Session: s, Server: b.server, Rerun: true, ReplyBytesMax: b.server.ReplyBytesMax(),
	}
	s.Running = true
	mark := c.Out.Mark()
	_ = b.call(c) // the reply says it
	b.server.TellOwn()
	s.Running = false
	if again := c.TakeWait(); again != nil {
		c.Out.Truncate(mark)
		b.waitOn(s, again)
		return false
	}
	b.release(s)
	return true
}

// release ends a session's waiting: its reply has been written.
func (b *Broker) release(s *Session) {
	endChoice(s, s.Blocked.Cmd)
	b.waits.remove(s)
	s.ReleasePushes()
	b.replied(s)
	b.resume(s)
}

// moveUp asks those who stood behind one that has left.
func (b *Broker) moveUp() {
	for len(b.vacated) > 0 {
		ready := b.vacated
		b.vacated = nil
		b.serve(ready)
	}
}

// wakeWaits runs those again who have asked for it, and answers those whose time
// has run out.
func (b *Broker) wakeWaits() {
	barren := make(map[string]time.Time) // when those who found nothing try again
	for {
		s := b.waits.deadlines.due(b.now)
		switch {
		case s == nil:
			return
		case s.Blocked.Again.IsZero() || (!s.Blocked.Deadline.IsZero() && s.Blocked.Deadline.Before(s.Blocked.Again)):
			b.timeOut(s)
		default:
			b.tryAgain(s, barren)
		}
	}
}

// pausedAgain is how often a command that CLIENT PAUSE holds back looks whether
// it still does.
const pausedAgain = 50 * time.Millisecond

// tryAgain runs a parked command again because it is time, unless another that
// waits for the same has just found nothing.
func (b *Broker) tryAgain(s *Session, barren map[string]time.Time) {
	if b.pauses(s, s.Blocked.Cmd) || b.writesHeld(s.Blocked.Cmd, s.Blocked.Args) {
		b.waits.deadlines.again(s, b.now.Add(pausedAgain)) // the pause may be cut short
		return
	}
	w := &s.Blocked.Wait
	class := fmt.Sprintf("%d %q %q", s.Blocked.DB, w.Class, w.Keys)
	if at, ok := barren[class]; ok && w.Class != "" {
		b.waits.deadlines.again(s, at)
		return
	}
	if b.rerun(s) {
		b.settle()
		return
	}
	if at := s.Blocked.Again; !at.IsZero() && !at.After(b.now) {
		panic("broker: " + s.Blocked.Cmd.FullName() + " wants to run again before it has waited")
	}
	barren[class] = s.Blocked.Again
	b.settle()
}

func (b *Broker) timeOut(s *Session) {
	if w := s.Blocked; w.Wait.Room && !w.InTime {
		w.Cmd.Stats.Failed++
		b.server.CountQueue(b.tx.In(w.DB), w.Wait.Keys[0], commands.QueueCounters{Rejected: 1})
		b.fail(b.out(s), w.Wait.TimeoutError)
	} else {
		w.Cmd.OnTimeout(b.out(s))
	}
	b.end(s)
}

// end is release for a session that has not been served.
func (b *Broker) end(s *Session) {
	b.vacate(s)
	b.release(s)
}

// vacate notes that a session is going to leave its lines without being served.
// Who stands behind it and wants less room may have it then.
func (b *Broker) vacate(s *Session) {
	if w := s.Blocked; w.Wait.Room {
		b.vacated = append(b.vacated, storage.KeyRef{DB: w.DB, Key: w.Wait.Keys[0]})
	}
}

// unblock does what CLIENT UNBLOCK has asked for.
func (b *Broker) unblock() {
	for _, s := range b.server.Unblocked {
		switch {
		case s.Blocked == nil:
		case s.Blocked.Unblock == commands.UnblockWithError:
			s.Blocked.Cmd.Stats.Failed++
			b.fail(b.out(s), commands.ErrUnblocked)
			b.end(s)
		case s.Blocked.Unblock == commands.UnblockTimeout:
			b.timeOut(s)
		}
	}
	b.server.Unblocked = b.server.Unblocked[:0]
}

// deadlines orders the parked sessions that the time can wake by when it does,
// then by arrival.
type deadlines struct{ all []*Session }

// wakes returns when the time wakes a command, zero for never: to run it again,
// or to end it.
func wakes(w *commands.Blocked) time.Time {
	if w.Again.IsZero() || (!w.Deadline.IsZero() && w.Deadline.Before(w.Again)) {
		return w.Deadline
	}
	return w.Again
}

func (d *deadlines) Len() int { return len(d.all) }
func (d *deadlines) Less(i, j int) bool {
	a, b := d.all[i].Blocked, d.all[j].Blocked
	if at, other := wakes(a), wakes(b); !at.Equal(other) {
		return at.Before(other)
	}
	return a.Seq < b.Seq
}

func (d *deadlines) Swap(i, j int) {
	d.all[i], d.all[j] = d.all[j], d.all[i]
	d.all[i].Blocked.HeapIndex = i
	d.all[j].Blocked.HeapIndex = j
}

func (d *deadlines) Push(x any) {
	s := x.(*Session)
	s.Blocked.HeapIndex = len(d.all)
	d.all = append(d.all, s)
}

func (d *deadlines) Pop() any {
	last := len(d.all) - 1
	s := d.all[last]
	d.all[last] = nil
	d.all = d.all[:last]
	s.Blocked.HeapIndex = -1
	return s
}

func (d *deadlines) add(s *Session) {
	if !wakes(s.Blocked).IsZero() {
		heap.Push(d, s)
	}
}

// again changes when the command runs again; zero: only when a key is ready.
func (d *deadlines) again(s *Session, at time.Time) {
	if s.Blocked.Again.Equal(at) {
		return
	}
	d.remove(s)
	s.Blocked.Again = at
	d.add(s)
}

func (d *deadlines) remove(s *Session) {
	if s.Blocked.HeapIndex >= 0 {
		heap.Remove(d, s.Blocked.HeapIndex)
	}
}

// next returns when the first of them is due.
func (d *deadlines) next() (time.Time, bool) {
	if len(d.all) == 0 {
		return time.Time{}, false
	}
	return wakes(d.all[0].Blocked), true
}

// due returns the first session whose time has come, nil if there is none.
func (d *deadlines) due(now time.Time) *Session {
	if at, ok := d.next(); !ok || at.After(now) {
		return nil
	}
	return d.all[0]
}
