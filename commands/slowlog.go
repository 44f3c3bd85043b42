package commands

import (
	"fmt"
	"math"
	"time"

	"github.com/cairnmq/cairn/resp"
)

// slowlogCommands is part of adminCommands.
var slowlogCommands = []Command{
	{
		Name: "slowlog", Arity: -2,
		Group: "server", Since: "2.2.12",
		Summary: "Commands about the log of slow commands.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "slowlog", Name: "get", Arity: -2, Flags: Admin | Loading | Stale,
		Group: "server", Since: "2.2.12", Syntax: "[count]", Tips: []string{"request_policy:all_nodes", "nondeterministic_output"},
		Summary:    "Returns the newest entries of the slow log (10 unless told, -1: all).",
		Complexity: "O(N) where N is the number of entries returned",
		History:    []string{"4.0.0: Added client IP address, port and name to the reply."},
		Run:        slowlogGet,
	},
	helpCommand("slowlog", 0, "server", "6.2.0"),
	{
		Parent: "slowlog", Name: "len", Arity: 2, Flags: Admin | Loading | Stale,
		Group: "server", Since: "2.2.12",
		Tips:    []string{"request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"},
		Summary: "Returns the number of entries in the slow log.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Int(int64(c.Server.Slow.Len()))
			return nil
		},
	},
	{
		Parent: "slowlog", Name: "reset", Arity: 2, Flags: Admin | Loading | Stale,
		Group: "server", Since: "2.2.12", Tips: []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
		Summary: "Empties the slow log.", Complexity: "O(N) where N is the number of entries",
		Run: func(c *Ctx) error {
			c.Server.Slow.Reset()
			c.Out.OK()
			return nil
		},
	},
}

const (
	// slowArgsMax and slowArgBytesMax bound what an entry keeps of a call.
	slowArgsMax     = 32
	slowArgBytesMax = 128
	// slowEntriesDefault is how many entries SLOWLOG GET returns unless told.
	slowEntriesDefault = 10

	errSlowCount resp.Error = "ERR count should be greater than or equal to -1"
)

// SlowEntry is one slow call.
type SlowEntry struct {
	ID     int64
	At     time.Time
	Took   time.Duration
	Args   [][]byte // shortened copies
	Client string   // its address
	Name   string   // its name
}

// SlowLog keeps the newest slow calls, newest first. The zero value is empty.
type SlowLog struct {
	entries []SlowEntry // oldest first
	lastID  int64
}

// Add puts an entry into the log, which is to hold no more than max entries.
func (l *SlowLog) Add(e SlowEntry, max int) {
	e.ID = l.lastID
	l.lastID++
	e.Args = shortened(e.Args)
	l.entries = append(l.entries, e)
	if over := len(l.entries) - max; over > 0 {
		clear(l.entries[:over])
		l.entries = l.entries[over:]
	}
}

// Get returns the newest n entries, newest first.
func (l *SlowLog) Get(n int) []SlowEntry {
	n = min(n, len(l.entries))
	list := make([]SlowEntry, n)
	for i := range list {
		list[i] = l.entries[len(l.entries)-1-i]
	}
	return list
}

// Len returns the number of entries.
func (l *SlowLog) Len() int { return len(l.entries) }

// Reset empties the log. Ids go on.
func (l *SlowLog) Reset() { l.entries = nil }

// shortened copies the arguments of a call as far as an entry keeps them.
func shortened(args [][]byte) [][]byte {
	keep := min(len(args), slowArgsMax)
	list := make([][]byte, 0, keep)
	for i, a := range args[:keep] {
		switch {
		case i == slowArgsMax-1 && len(args) > slowArgsMax:
			a = fmt.Appendf(nil, "... (%d more arguments)", len(args)-slowArgsMax+1)
		case len(a) > slowArgBytesMax:
			a = fmt.Appendf(clip(a, slowArgBytesMax)[:slowArgBytesMax:slowArgBytesMax], "... (%d more bytes)", len(a)-slowArgBytesMax)
		default:
			a = append([]byte(nil), a...)
		}
		list = append(list, a)
	}
	return list
}

// LogSlow notes a call that took long, without what is secret in it.
func (srv *Server) LogSlow(c *Ctx, took time.Duration) {
	srv.Slow.Add(SlowEntry{
		At: c.Tx.Now(), Took: took, Args: c.Cmd.Shown(c.Args.All()),
		Client: c.Session.Peer.RemoteAddr(), Name: c.Session.Name,
	}, int(srv.Config.SlowlogMaxLen))
}

func slowlogGet(c *Ctx) error {
	if c.Args.Len() > 1 {
		return subcommandSyntax(c)
	}
	count := int64(slowEntriesDefault)
	if c.Args.More() {
		count = c.Args.AtLeast(-1, errSlowCount)
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	if count < 0 || count > math.MaxInt32 {
		count = math.MaxInt32
	}
	entries := c.Server.Slow.Get(int(count))
	c.Out.Array(len(entries))
	for _, e := range entries {
		c.Out.Array(6)
		c.Out.Int(e.ID)
		c.Out.Int(e.At.Unix())
		c.Out.Int(e.Took.Microseconds())
		c.Out.Array(len(e.Args))
		for _, a := range e.Args {
			c.Out.Bulk(a)
		}
		c.Out.BulkString(e.Client)
		c.Out.BulkString(e.Name)
	}
	return nil
}
