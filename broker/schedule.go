package broker

import (
	"fmt"
	"strings"
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/schedule"
)

// # The schedule
//
// A command that SCHEDULE has put off is due at a time. Then it runs as a unit of
// its own, at the beginning of a turn, in the name of the user who scheduled it:
// checked anew, as that user may have been changed since, and without a client, so
// that its reply goes nowhere. Who waits for a key that it makes ready is served as
// after any other unit. In the same batch the entry is removed, or moved to the
// next time: it runs exactly once, whatever happens in between.
//
// An entry that cannot run now but will be able to is not lost: it waits where it
// is while clients are paused, while the disk is full, and while a long write holds
// one of its keys; it is tried again later if the answer is that there is no room
// (TRYAGAIN, OOM). Any other error is the end of it, or of this time of an entry
// that repeats: it is counted and logged.
//
// One turn runs a bounded number of entries, so that clients get their go however
// many are due.

const (
	// scheduledMax and scheduledBytesMax bound what is read of the schedule in one
	// turn, scheduledWrittenMax what is written before it goes on in the next.
	scheduledMax        = 128
	scheduledBytesMax   = 4 << 20
	scheduledWrittenMax = 16 << 20
	// scheduledAgain is how often entries that have to wait are looked at.
	scheduledAgain = 50 * time.Millisecond
	// scheduledComplaintsEvery is how often what has failed is logged at most.
	scheduledComplaintsEvery = time.Second
)

// scheduler runs what is due.
type scheduler struct {
	session *Session  // in whose name: its user and database change with each entry
	again   time.Time // entries have to wait until then
	// passed is how far those were looked at that are due while the disk is full:
	// many that have to wait do not stand in the way of what would make room.
	passed   *schedule.Entry
	logged   time.Time
	unlogged int // failures since
}

// nobody is the peer of a session without a client.
type nobody struct{}

func (nobody) RemoteAddr() string      { return "schedule" }
func (nobody) LocalAddr() string       { return "schedule" }
func (nobody) FD() int                 { return -1 }
func (nobody) QueryBuffer() (int, int) { return 0, 0 }
func (nobody) TransitBytes() int       { return 0 }

func newScheduler() scheduler {
	s := &Session{Peer: nobody{}, Authenticated: true, Reply: commands.ReplyOff, Touch: func(*Session) {}}
	s.Out.Proto = 2
	s.Subs.Receiver = s
	return scheduler{session: s}
}

// nextScheduled returns when the schedule is to be looked at.
func (b *Broker) nextScheduled() (at time.Time, ok bool) {
	at, ok = b.store.NextTimer()
	if !ok || b.drained {
		return time.Time{}, false
	}
	for _, wait := range []time.Time{b.scheduler.again, b.server.Pause.Until} {
		if at.Before(wait) {
			at = wait
		}
	}
	return at, true
}

// runSchedule runs what is due.
func (b *Broker) runSchedule() {
	if at, ok := b.nextScheduled(); !ok || at.After(b.now) {
		return
	}
	c := &b.scheduler
	if b.server.Full == "" {
		c.passed = nil
	}
	due := schedule.Due(b.tx, c.passed, scheduledMax, scheduledBytesMax)
	if len(due) == 0 && c.passed != nil {
		c.passed = nil
		due = schedule.Due(b.tx, nil, scheduledMax, scheduledBytesMax)
	}
	written := b.tx.Written()
	for _, e := range due {
		if b.tx.Written()-written > scheduledWrittenMax {
			e.Keep(b.tx) // for the next turn
			continue
		}
		b.runScheduled(e)
		if b.server.Full != "" {
			c.passed = e
		}
	}
}

func (b *Broker) runScheduled(e *schedule.Entry) {
	s, counters := b.scheduler.session, &b.server.Counters.Scheduled
	cmd, err := b.server.Schedulable(e.Args)
	s.DB, s.User, s.LastCmd = e.DB, b.server.Users.Get(e.User), cmd
	s.Created, s.LastUsed = b.now, b.now
	if err == nil && ((b.server.Full != "" && cmd.Has(commands.DenyOOM)) || b.writesHeld(cmd, e.Args)) {
		e.Keep(b.tx)
		b.scheduler.again = b.now.Add(scheduledAgain)
		return
	}
	count := &counters.Failed
	if err == nil {
		if err = b.permitScheduled(s, cmd, e.Args); err != nil {
			count = &counters.Denied
			cmd.Stats.Rejected++
			b.fail(&s.Out, err)
		} else {
			err = b.callScheduled(s, cmd, e.Args)
		}
	}
	switch {
	case err == nil:
		counters.Run++
		e.Done(b.tx)
	case isTemporary(err):
		counters.PutOff++
		e.PutOff(b.tx)
	default:
		*count++
		b.complain(e, err)
		e.Done(b.tx)
	}
	s.Out.Reset(1 << 10)
	b.settle()
}

// permitScheduled asks again for the rights that were checked when the command was
// scheduled.
func (b *Broker) permitScheduled(s *Session, cmd *commands.Command, args [][]byte) error {
	switch {
	case s.User == nil:
		return resp.Error("NOPERM the user who has scheduled the command is no more")
	case !s.User.On():
		return resp.Error("NOPERM the user who has scheduled the command is off")
	}
	return b.server.PermitScheduled(s, cmd, args, b.now)
}

// callScheduled runs a command as a transaction would: nothing waits, and nothing
// leaves the loop.
func (b *Broker) callScheduled(s *Session, cmd *commands.Command, args [][]byte) error {
	c := &b.ctx
	*c = commands.Ctx{
		Cmd: cmd, Args: commands.NewArgs(cmd, args), Tx: b.tx.In(s.DB), Out: &s.Out,
		Session: s, Server: b.server, InExec: true, ReplyBytesMax: b.server.ReplyBytesMax(),
	}
	s.Running = true
	err := b.call(c)
	b.server.TellOwn()
	s.Running = false
	return err
}

// isTemporary reports whether an error says that there is no room at the moment.
func isTemporary(err error) bool {
	code, _, _ := strings.Cut(err.Error(), " ")
	return code == "TRYAGAIN" || code == "OOM"
}

// complain logs that a scheduled command has failed. Of many at once only the first
// is shown.
func (b *Broker) complain(e *schedule.Entry, err error) {
	c := &b.scheduler
	if b.now.Sub(c.logged) < scheduledComplaintsEvery && !b.now.Before(c.logged) {
		c.unlogged++
		return
	}
	more := ""
	if c.unlogged > 0 {
		more = fmt.Sprintf(" (%d others have failed since the last such message)", c.unlogged)
	}
	b.options.Logf("scheduled command %.64q of user %.64q (%.64q in database %d) has failed: %v%s", e.ID, e.User, e.Args[0], e.DB, err, more)
	c.logged, c.unlogged = b.now, 0
}
