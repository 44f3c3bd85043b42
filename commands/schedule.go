package commands

import (
	"slices"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/glob"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/schedule"
)

// SCHEDULE runs commands later. A call names another call, which is checked as if
// it were made now: its keys and channels are those of the SCHEDULE, and the user
// needs the right to both.

var scheduleCommands = []Command{
	{
		Name: "schedule", Arity: -2,
		Group: "broker", Since: "1.0.0",
		Summary: "A container for what runs commands later.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "schedule", Name: "in", Arity: -4, Flags: Write | DenyOOM, CallAt: scheduledCall, Secrets: scheduledSecrets,
		Group: "broker", Since: "1.0.0", Syntax: "milliseconds [ID id] command [arg [arg ...]]",
		Summary:    "Runs a command after some time and returns the ID by which that is known until then.",
		Complexity: "O(1) when it is scheduled; that of the command when it runs",
		Run: func(c *Ctx) error {
			ms := c.Args.Int()
			return scheduleCall(c, c.Tx.NowMillis()+ms, ms >= 0 && ms <= schedule.TimeMax, schedule.Repeat{})
		},
	},
	{
		Parent: "schedule", Name: "at", Arity: -4, Flags: Write | DenyOOM, CallAt: scheduledCall, Secrets: scheduledSecrets,
		Group: "broker", Since: "1.0.0", Syntax: "unix-time-milliseconds [ID id] command [arg [arg ...]]",
		Summary:    "Runs a command at a time, at once if that has passed, and returns the ID by which that is known until then.",
		Complexity: "O(1) when it is scheduled; that of the command when it runs",
		Run: func(c *Ctx) error {
			at := c.Args.Int()
			return scheduleCall(c, at, at >= 0, schedule.Repeat{})
		},
	},
	{
		Parent: "schedule", Name: "every", Arity: -4, Flags: Write | DenyOOM, CallAt: scheduledCall, Secrets: scheduledSecrets,
		Group: "broker", Since: "1.0.0", Syntax: "milliseconds [ID id] command [arg [arg ...]]",
		Summary:    "Runs a command again and again, the first time after one period, and returns the ID by which that is cancelled.",
		Complexity: "O(1) when it is scheduled; that of the command each time it runs",
		Run: func(c *Ctx) error {
			ms := c.Args.Int()
			return scheduleCall(c, c.Tx.NowMillis()+ms, ms > 0 && ms <= schedule.TimeMax, schedule.Repeat{Every: ms})
		},
	},
	{
		Parent: "schedule", Name: "cron", Arity: -4, Flags: Write | DenyOOM, CallAt: scheduledCall, Secrets: scheduledSecrets,
		Group: "broker", Since: "1.0.0", Syntax: "expression [ID id] command [arg [arg ...]]",
		Summary:    "Runs a command at the times of a cron expression, in UTC unless it begins with CRON_TZ=, and returns the ID by which that is cancelled.",
		Complexity: "O(1) when it is scheduled; that of the command each time it runs",
		Run: func(c *Ctx) error {
			repeat := schedule.Repeat{Cron: string(c.Args.Next())}
			if err := schedule.CheckCron(repeat.Cron); err != nil {
				return resp.Errorf("ERR invalid cron expression: %s", clip([]byte(err.Error()), 128))
			}
			at, ok := repeat.Next(c.Tx.NowMillis(), c.Tx.NowMillis())
			if !ok {
				return errCronNever
			}
			return scheduleCall(c, at, true, repeat)
		},
	},
	{
		Parent: "schedule", Name: "list", Arity: -2, Flags: ReadOnly,
		Group: "broker", Since: "1.0.0", Syntax: "[MATCH pattern] [COUNT count]",
		Summary:    "Returns what is scheduled, of all databases, in the order in which it runs; of other users only what one could have scheduled oneself.",
		Complexity: "O(N) where N is the number of scheduled commands",
		Run:        scheduleList,
	},
	{
		Parent: "schedule", Name: "get", Arity: 3, Flags: ReadOnly,
		Group: "broker", Since: "1.0.0", Syntax: "id",
		Summary: "Returns a scheduled command, with when and as whom it runs.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			if e := c.scheduled(c.Args.Next()); e != nil {
				writeScheduled(c.Out, e)
			} else {
				c.Out.Null()
			}
			return nil
		},
	},
	{
		Parent: "schedule", Name: "cancel", Arity: -3, Flags: Write,
		Group: "broker", Since: "1.0.0", Syntax: "id [id ...]",
		Summary:    "Takes scheduled commands back and returns how many there were.",
		Complexity: "O(N) where N is the number of IDs",
		Run: func(c *Ctx) error {
			n := int64(0)
			for _, id := range c.Args.Rest() {
				if e := c.scheduled(id); e != nil {
					e.Cancel(c.Tx)
					n++
				}
			}
			c.Out.Int(n)
			return nil
		},
	},
	helpCommand("schedule", 0, "broker", "1.0.0"),
}

const (
	errScheduleTime  resp.Error = "ERR invalid time to schedule a command"
	errScheduleID    resp.Error = "ERR schedule id already exists"
	errScheduleEmpty resp.Error = "ERR schedule id must not be empty"
	errScheduleMark  resp.Error = "ERR schedule id must not begin with '@'"
	errCronNever     resp.Error = "ERR the cron expression never comes due"
)

// scheduledCall returns where in a call of SCHEDULE the call stands that is to run
// later.
func scheduledCall(args [][]byte) int {
	if len(args) > 5 && EqualFold(args[3], "ID") {
		return 5
	}
	return 3
}

// scheduledSecrets hides what is secret in a call that will be refused.
func scheduledSecrets(args [][]byte) []int { return secretsOfCall(scheduledCall(args))(args) }

// scheduleCall adds what is left of the arguments to the schedule, due at a time,
// if that is one.
func scheduleCall(c *Ctx, at int64, isTime bool, repeat schedule.Repeat) error {
	a := &c.Args
	e := &schedule.Entry{Due: at, Repeat: repeat, User: c.Session.User.Name(), DB: c.Tx.DB()}
	if a.Err() == nil && (!isTime || at < 0 || at > schedule.TimeMax) {
		a.Fail(errScheduleTime)
	}
	named := a.Len() > 2 && a.Word("ID")
	if named {
		e.ID = string(a.Next())
	}
	e.Args = a.Rest()
	if err := a.Err(); err != nil {
		return err
	}
	if _, err := c.Server.Schedulable(e.Args); err != nil {
		return err
	}
	switch {
	case !named:
		e.ID = schedule.NewID(c.Tx)
	case e.ID == "":
		return errScheduleEmpty
	case e.ID[0] == schedule.MadeMark:
		return errScheduleMark
	case len(e.ID) > int(c.Config().ProtoMaxNameLen):
		return ErrNameTooLong
	case schedule.Has(c.Tx, e.ID):
		return errScheduleID
	}
	schedule.Add(c.Tx, e)
	c.Out.BulkString(e.ID)
	return nil
}

// Schedulable returns the command of a call that may be scheduled, as far as the
// table can tell, or says why it may not.
func (srv *Server) Schedulable(args [][]byte) (*Command, error) {
	cmd, err := srv.Table.Resolve(args)
	if err != nil {
		return nil, err
	}
	if !cmd.ArityFits(len(args)) {
		return nil, ArityError(cmd)
	}
	switch {
	case cmd.Has(Blocking):
		return nil, resp.Errorf("ERR '%s' cannot be scheduled: it waits for a key", cmd.FullName())
	case cmd.CallAt != nil || cmd.Parent == "schedule":
		return nil, resp.Errorf("ERR '%s' cannot be scheduled", cmd.FullName())
	case !cmd.Has(Write) && !cmd.Has(PubSub|MayReplicate):
		return nil, resp.Errorf("ERR '%s' cannot be scheduled: only what writes to keys or publishes can", cmd.FullName())
	}
	if _, ok := cmd.KeyIndexes(args); !ok {
		return nil, ErrSyntax
	}
	return cmd, nil
}

// scheduled returns the entry of an ID, nil if there is none that the user may see.
func (c *Ctx) scheduled(id []byte) *schedule.Entry {
	if e := schedule.Get(c.Tx, string(id)); e != nil && c.maySee(e) {
		return e
	}
	return nil
}

// maySee reports whether an entry is the user's own, or one that the user could
// have scheduled. What others send is not everybody's to read or to cancel.
func (c *Ctx) maySee(e *schedule.Entry) bool {
	u := c.Session.User
	if u.Unrestricted() || e.User == u.Name() {
		return true
	}
	cmd, err := c.Server.Schedulable(e.Args)
	if err != nil {
		return false
	}
	_, denied, _ := cmd.deniedTo(u, e.Args)
	return denied == acl.Allowed
}

func scheduleList(c *Ctx) error {
	pattern, count := "*", int64(-1)
	for a := &c.Args; a.More(); {
		switch a.Option() {
		case "MATCH":
			pattern = string(a.Next())
		case "COUNT":
			count = a.AtLeast(1, ErrCountPositive)
		default:
			a.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	if c.Detached {
		// A long reply streams, so its length has to come first.
		n := 0
		matchingScheduled(c, pattern, count, func(*schedule.Entry) { n++ })
		c.Out.Array(n)
		matchingScheduled(c, pattern, count, func(e *schedule.Entry) { writeScheduled(c.Out, e) })
		return nil
	}
	if c.Slow(c.Server.Store.TimerCount()) {
		return c.Detach()
	}
	later, n := c.Out.ArrayLater(), 0
	matchingScheduled(c, pattern, count, func(e *schedule.Entry) {
		writeScheduled(c.Out, e)
		n++
	})
	c.Out.SetLen(later, n)
	return nil
}

// matchingScheduled calls yield for up to count entries (negative: all) whose IDs
// match.
func matchingScheduled(c *Ctx, pattern string, count int64, yield func(*schedule.Entry)) {
	for e := range schedule.All(c.Tx) {
		if (pattern != "*" && !glob.Match(pattern, e.ID)) || !c.maySee(e) {
			continue
		}
		yield(e)
		if count--; count == 0 {
			return
		}
	}
}

func writeScheduled(out *resp.Buffer, e *schedule.Entry) {
	out.Map(6)
	writeText(out, "id", e.ID)
	out.BulkString("due")
	out.Int(e.At())
	writeText(out, "repeat", e.Repeat.String())
	writeText(out, "user", e.User)
	out.BulkString("db")
	out.Int(int64(e.DB))
	out.BulkString("command")
	out.Array(len(e.Args))
	for _, a := range e.Args {
		out.Bulk(a)
	}
}

// infoSchedule tells of the schedule, and what has become of what was due since the
// start.
func infoSchedule(r *report) {
	srv, next := r.c.Server, int64(0)
	for e := range schedule.All(r.c.Tx) {
		next = e.At()
		break
	}
	r.put("schedule_entries", srv.Store.TimerCount())
	r.put("schedule_next_due", next)
	r.put("schedule_run", srv.Counters.Scheduled.Run)
	r.put("schedule_failed", srv.Counters.Scheduled.Failed)
	r.put("schedule_denied", srv.Counters.Scheduled.Denied)
	r.put("schedule_put_off", srv.Counters.Scheduled.PutOff)
}

// Scheduled counts what became of scheduled commands when they were due.
type Scheduled struct {
	Run    int64 // without an error
	Failed int64 // with one, or not run as there is no such command any more
	Denied int64 // not run: the user is no more, is off, or has lost the right
	PutOff int64 // to be tried again
}

// held returns the call that a call holds and where that begins; nil if it holds
// none that makes sense.
func (c *Command) held(args [][]byte) (cmd *Command, at int) {
	if c.CallAt == nil {
		return nil, 0
	}
	if at = c.CallAt(args); at >= len(args) {
		return nil, 0
	}
	cmd, err := c.table.Resolve(args[at:])
	if err != nil || cmd.CallAt != nil || !cmd.ArityFits(len(args)-at) {
		return nil, 0
	}
	return cmd, at
}

// heldKeyIndexes is KeyIndexes for a call that holds another.
func (c *Command) heldKeyIndexes(args [][]byte) (indexes []int, ok bool) {
	cmd, at := c.held(args)
	if cmd == nil {
		return nil, false
	}
	indexes, ok = cmd.KeyIndexes(args[at:])
	indexes = slices.Clone(indexes)
	for i := range indexes {
		indexes[i] += at
	}
	return indexes, ok
}
