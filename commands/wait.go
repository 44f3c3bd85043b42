package commands

import (
	"github.com/cairnmq/cairn/resp"
)

// WAIT and WAITAOF tell how far a client's writes have got. There are no
// replicas: whoever asks for one waits until the time is up, as in Redis.

var waitCommands = []Command{
	{
		Name: "wait", Arity: 3, Flags: NoScript | Connection,
		Group: "generic", Since: "3.0.0", Syntax: "numreplicas timeout",
		Tips:    []string{"request_policy:all_shards", "response_policy:agg_min"},
		Summary: "Waits until replicas have the connection's writes, and returns how many do: none, as there are none.", Complexity: "O(1)",
		Run:       wait,
		OnTimeout: func(out *resp.Buffer) { out.Int(0) },
	},
	{
		Name: "waitaof", Arity: 4, Flags: NoScript | Connection,
		Group: "generic", Since: "7.2.0", Syntax: "numlocal numreplicas timeout",
		Tips:    []string{"request_policy:all_shards", "response_policy:agg_min"},
		Summary: "Waits until the connection's writes are synced to disk, here and on replicas, and returns on how many of each.", Complexity: "O(1)",
		Run:       waitAOF,
		OnTimeout: synced,
	},
}

const errNumLocal resp.Error = "ERR value is out of range, value must between 0 and 1"

func wait(c *Ctx) error {
	replicas := c.Args.Int()
	timeout := c.Args.TimeoutMillis(c.Tx.NowMillis())
	if err := c.Args.Err(); err != nil {
		return err
	}
	if replicas > 0 {
		return c.Block(Wait{Timeout: timeout})
	}
	c.Cmd.OnTimeout(c.Out)
	return nil
}

// waitAOF has the turn synced, whatever appendfsync says, rather than wait for a
// sync that comes by itself: replies leave after it, so that what they say is
// true. Many who ask in one turn share the sync.
func waitAOF(c *Ctx) error {
	local := c.Args.Int()
	if c.Args.Err() == nil && (local < 0 || local > 1) {
		return errNumLocal
	}
	replicas := c.Args.AtLeast(0, ErrNotPositive)
	timeout := c.Args.TimeoutMillis(c.Tx.NowMillis())
	if err := c.Args.Err(); err != nil {
		return err
	}
	c.Server.SyncTurn = true
	if replicas > 0 {
		return c.Block(Wait{Timeout: timeout})
	}
	synced(c.Out)
	return nil
}

// synced is WAITAOF's reply, on time and when the time is up: the log here has
// been synced, no replica's has.
func synced(out *resp.Buffer) {
	out.Array(2)
	out.Int(1)
	out.Int(0)
}
