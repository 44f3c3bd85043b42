package commands

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/cairnmq/cairn/glob"
	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

var queueCommands = []Command{
	{
		Name: "queue", Arity: -2, Group: "broker", Since: "1.0.0",
		Summary: "Commands that show how queues are doing.", Complexity: "Depends on the subcommand",
	},
	helpCommand("queue", 0, "broker", "1.0.0"),
	{
		Parent: "queue", Name: "info", Arity: -3, Flags: ReadOnly | Touches, Keys: Keys{2, 2, 1},
		Group: "broker", Since: "1.0.0", Syntax: "key [GROUP group]", Access: []string{"RO"},
		Tips:       []string{"nondeterministic_output"},
		Summary:    "Returns how a list or a stream is doing: what is in it, how old that is, what comes and goes, who waits.",
		Complexity: "O(N) where N is the number of consumer groups",
		NeedsLoop:  true,
		Run:        queueInfo,
	},
	{
		Parent: "queue", Name: "list", Arity: -2, Flags: ReadOnly,
		Group: "broker", Since: "1.0.0", Syntax: "[MATCH pattern] [COUNT count]",
		Tips:       []string{"nondeterministic_output", "request_policy:all_shards"},
		Summary:    "Returns the lists and streams of the database with what is in them, up to a number of them.",
		Complexity: "O(N) where N is the number of keys in the database",
		Run:        queueList,
	},
}

const errNoSuchGroup resp.Error = "ERR no such consumer group"

func queueInfo(c *Ctx) error {
	key := c.Args.Next()
	var group []byte
	if c.Args.More() {
		if !c.Args.Word("GROUP") {
			c.Args.Fail(ErrSyntax)
		}
		group = c.Args.Next()
		if c.Args.More() {
			c.Args.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	o := c.Tx.Lookup(key)
	q := queueOf(c, key, o)
	if group != nil {
		s, err := streams.Open(c.Tx, key)
		if err != nil {
			return err
		}
		if s == nil {
			return ErrNoSuchKey
		}
		g := s.Group(group)
		if g == nil {
			return errNoSuchGroup
		}
		q.ofGroup(c, key, g)
	}
	q.write(c.Out)
	return nil
}

// queue is what QUEUE INFO says.
type queue struct {
	kind storage.Type
	load
	age                  int64 // of the oldest message, in ms; -1: not known, or none
	in, out              float64
	inFlight             int64
	delayed              int64 // of those in flight; -1: not known
	counters             QueueCounters
	producers, consumers int

	group bool
	lag   int64 // of a group; -1: not known
}

func queueOf(c *Ctx, key []byte, o *storage.Object) (q queue) {
	now := c.Tx.NowMillis()
	q.counters, q.age = c.Server.QueueCounters(c.Tx, string(key)), -1
	if c.Server.Waiting != nil {
		q.consumers, q.producers = c.Server.Waiting(DBKey{DB: c.Tx.DB(), Key: string(key)})
	}
	q.in, q.out = c.Tx.Rates(key)
	q.inFlight = c.Server.Confirmations.InFlight(DBKey{DB: c.Tx.DB(), Key: string(key)})
	if o == nil {
		return q
	}
	q.kind, q.load = o.Type(), loadOf(c.Tx, o)
	if oldest, known := oldestMillis(c.Tx, o); known {
		q.age = max(0, now-oldest)
	}
	if s, err := streams.Of(c.Tx, o); q.kind == storage.TypeStream && err == nil {
		for _, g := range s.Groups() {
			q.inFlight += int64(g.PendingCount())
		}
		q.delayed = delayedIn(c, key, s.Groups()...)
	}
	return q
}

// ofGroup has the queue be what a group sees of it.
func (q *queue) ofGroup(c *Ctx, key []byte, g *streams.Group) {
	q.group, q.lag = true, -1
	if lag, known := g.Lag(); known {
		q.lag = lag
	}
	q.inFlight = int64(g.PendingCount())
	q.delayed = delayedIn(c, key, g)
	q.out = g.Acked.PerSecond(c.Tx.NowMillis())
}

// delayedPendingMax is how many pending entries QUEUE INFO looks at.
const delayedPendingMax = 10_000

// delayedIn returns how many entries of groups that were delivered wait for
// BACKOFF to be delivered again; -1 if more would have to be looked at than is
// quickly done.
func delayedIn(c *Ctx, key []byte, groups ...*streams.Group) (n int64) {
	looked := 0
	for _, g := range groups {
		e := c.Server.Policies.OfGroup(key, []byte(g.Name()))
		if e == nil || e.BackoffMax == 0 {
			continue
		}
		if looked += g.PendingCount(); looked > delayedPendingMax {
			return -1
		}
		n += g.Delayed(redelivery(&e.Settings), e.Lease)
	}
	return n
}

// oldestMillis returns when the oldest message came, in unix ms: of a stream what
// the first entry's ID says, of a list when the elder of those at its ends was put
// there. What was put into the middle is not looked at.
func oldestMillis(tx *storage.Tx, o *storage.Object) (at int64, known bool) {
	if o.Type() == storage.TypeList {
		l := lists.Of(tx, o)
		return min(l.WrittenAt(lists.Left), l.WrittenAt(lists.Right)), true
	}
	s, err := streams.Of(tx, o)
	if err != nil || s.Len() == 0 {
		return 0, false
	}
	return int64(min(s.FirstID().Ms, math.MaxInt64)), true
}

func (q *queue) write(out *resp.Buffer) {
	n := 14
	if q.group {
		n++
	}
	out.Map(n)
	number := func(name string, n int64) {
		out.BulkString(name)
		if n < 0 {
			out.Null()
		} else {
			out.Int(n)
		}
	}
	out.BulkString("type")
	out.BulkString(q.kind.String())
	number("depth", q.messages)
	number("bytes", q.bytes)
	if q.group {
		number("lag", q.lag)
	}
	number("oldest-ms", q.age)
	out.BulkString("in-per-second")
	out.Double(q.in)
	out.BulkString("out-per-second")
	out.Double(q.out)
	number("in-flight", q.inFlight)
	number("delayed", q.delayed)
	number("redelivered", q.counters.Redelivered)
	number("dead-lettered", q.counters.DeadLettered)
	number("rejected", q.counters.Rejected)
	number("dropped", q.counters.Dropped)
	number("blocked-producers", int64(q.producers))
	number("blocked-consumers", int64(q.consumers))
}

const (
	queueListDefault = 100
	queueListMax     = 10_000
)

var errQueueListCount = resp.Errorf("ERR COUNT must be between 1 and %d", queueListMax)

// queueList has no cursor: it is for people, and COUNT bounds its reply.
func queueList(c *Ctx) error {
	pattern, count := "*", int64(queueListDefault)
	for c.Args.More() {
		switch c.Args.Option() {
		case "MATCH":
			pattern = string(c.Args.Next())
		case "COUNT":
			if count = c.Args.Int(); c.Args.Err() == nil && (count < 1 || count > queueListMax) {
				c.Args.Fail(errQueueListCount)
			}
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	n := c.Tx.Keys()
	if pattern == "*" {
		n = min(n, count)
	}
	if c.Slow(n + n*int64(len(pattern)/patternBytesPerItem)) {
		return c.Detach()
	}
	steps := math.MaxInt
	if c.Detachable {
		steps = scanSteps
	}
	var found [][]byte
	next := c.Tx.ScanSome(0, steps, func(i storage.KeyInfo) bool {
		if pattern == "*" || glob.Match(pattern, string(i.Key)) {
			found = append(found, bytes.Clone(i.Key))
		}
		return int64(len(found)) < count
	})
	if next != 0 && int64(len(found)) < count { // there are few keys, but many were deleted of late
		return c.Detach()
	}
	found = found[:min(int64(len(found)), count)]
	slices.SortFunc(found, func(a, b []byte) int { return cmp.Compare(string(a), string(b)) })
	c.Out.Array(len(found))
	for _, key := range found {
		o := c.Tx.Peek(key)
		kind := storage.TypeNone
		if o != nil {
			kind = o.Type()
		}
		l := loadOf(c.Tx, o)
		c.Out.Map(4)
		c.Out.BulkString("key")
		c.Out.Bulk(key)
		c.Out.BulkString("type")
		c.Out.BulkString(kind.String())
		c.Out.BulkString("depth")
		c.Out.Int(l.messages)
		c.Out.BulkString("bytes")
		c.Out.Int(l.bytes)
	}
	return nil
}

func infoQueues(r *report) {
	srv := r.c.Server
	producers := 0
	for _, s := range srv.Sessions {
		if s.Blocked != nil && s.Blocked.Wait.Room {
			producers++
		}
	}
	r.put("policies", srv.Policies.Len())
	r.put("blocked_producers", producers)
	r.put("rejected_pushes", srv.Counters.Queues.Rejected)
	r.put("dropped_messages", srv.Counters.Queues.Dropped)
	r.put("redelivered_messages", srv.Counters.Queues.Redelivered)
	r.put("dead_lettered_messages", srv.Counters.Queues.DeadLettered)
	r.put("write_stalls", srv.Counters.WriteStalls)
	r.put("write_stall_ms", srv.Counters.WriteStallTime.Milliseconds())
}
