package commands

import (
	"math"

	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/streams"
)

// XINFO. Clients parse these replies strictly: fields, order and types are
// Redis'.

// openInfo opens the stream that an XINFO subcommand is about.
func openInfo(c *Ctx, key []byte) (*streams.Stream, error) {
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ErrNoSuchKey
	}
	return s, nil
}

func fieldInt(out *resp.Buffer, name string, n int64) {
	out.BulkString(name)
	out.Int(n)
}

func fieldID(out *resp.Buffer, name string, id streams.ID) {
	out.BulkString(name)
	writeID(out, id)
}

func fieldString(out *resp.Buffer, name, value string) {
	out.BulkString(name)
	out.BulkString(value)
}

func xinfoConsumers(c *Ctx) error {
	key, group := c.Args.Next(), c.Args.Next()
	s, err := openInfo(c, key)
	if err != nil {
		return err
	}
	g := s.Group(group)
	if g == nil {
		return errNoGroup(group, key)
	}
	now := c.Tx.NowMillis()
	consumers := g.Consumers()
	c.Out.Array(len(consumers))
	for _, consumer := range consumers {
		c.Out.Map(4)
		fieldString(c.Out, "name", consumer.Name)
		fieldInt(c.Out, "pending", int64(consumer.Pending))
		fieldInt(c.Out, "idle", max(now-consumer.Seen, 0))
		inactive := int64(streams.Never)
		if consumer.Active != streams.Never {
			inactive = now - consumer.Active
		}
		fieldInt(c.Out, "inactive", inactive)
	}
	return nil
}

func xinfoGroups(c *Ctx) error {
	s, err := openInfo(c, c.Args.Next())
	if err != nil {
		return err
	}
	groups := s.Groups()
	c.Out.Array(len(groups))
	for _, g := range groups {
		c.Out.Map(6)
		fieldString(c.Out, "name", g.Name())
		fieldInt(c.Out, "consumers", int64(g.ConsumerCount()))
		fieldInt(c.Out, "pending", int64(g.PendingCount()))
		fieldID(c.Out, "last-delivered-id", g.LastDelivered())
		fieldProgress(c.Out, g)
	}
	return nil
}

// fieldProgress writes how far a group has read: entries-read and lag.
func fieldProgress(out *resp.Buffer, g *streams.Group) {
	out.BulkString("entries-read")
	if read := g.EntriesRead(); read != streams.ReadUnknown {
		out.Int(read)
	} else {
		out.Null()
	}
	out.BulkString("lag")
	if lag, known := g.Lag(); known {
		out.Int(lag)
	} else {
		out.Null()
	}
}

// infoFullCount is how many entries and pending entries XINFO STREAM FULL shows
// if it is not told.
const infoFullCount = 10

func xinfoStream(c *Ctx) error {
	key := c.Args.Next()
	full := c.Args.More()
	s, err := openInfo(c, key)
	if err != nil {
		return err
	}
	if !full {
		if c.Slow(s.TrackedItems()) {
			return c.Detach()
		}
		writeStreamInfo(c, s, 16)
		fieldInt(c.Out, "groups", int64(s.GroupCount()))
		c.Out.BulkString("first-entry")
		writeEdge(c.Out, s, false)
		c.Out.BulkString("last-entry")
		writeEdge(c.Out, s, true)
		return nil
	}
	count := int64(infoFullCount)
	n := c.Args.Len()
	if (n != 1 && n != 3) || !c.Args.Word("FULL") || (n == 3 && !c.Args.Word("COUNT")) {
		return subcommandSyntax(c)
	}
	if n == 3 {
		count = c.Args.Int()
		if err := c.Args.Err(); err != nil {
			return err
		}
		switch {
		case count < 0:
			count = infoFullCount
		case count == 0:
			count = math.MaxInt64
		}
	}
	if c.Slow(infoItems(s, count)) {
		return c.Detach()
	}
	writeStreamInfo(c, s, 15)
	return writeFullInfo(c, s, count)
}

// writeStreamInfo begins a map of the given number of fields with those that
// say something about the stream itself.
func writeStreamInfo(c *Ctx, s *streams.Stream, fields int) {
	keys, nodes := s.MacroNodes(nodeLimits(c))
	c.Out.Map(fields)
	fieldInt(c.Out, "length", int64(s.Len()))
	fieldInt(c.Out, "radix-tree-keys", int64(keys))
	fieldInt(c.Out, "radix-tree-nodes", int64(nodes))
	fieldID(c.Out, "last-generated-id", s.LastID())
	fieldID(c.Out, "max-deleted-entry-id", s.MaxDeletedID())
	fieldInt(c.Out, "entries-added", int64(s.Added()))
	fieldID(c.Out, "recorded-first-entry-id", s.FirstID())
	i := idempotence(c, s)
	producers, messages := s.Tracked()
	added, duplicates := s.ProducedCounts()
	fieldInt(c.Out, "idmp-duration", int64(i.Seconds))
	fieldInt(c.Out, "idmp-maxsize", int64(i.MaxSize))
	fieldInt(c.Out, "pids-tracked", int64(producers))
	fieldInt(c.Out, "iids-tracked", int64(messages))
	fieldInt(c.Out, "iids-added", int64(added))
	fieldInt(c.Out, "iids-duplicates", int64(duplicates))
}

// writeEdge writes the first or the last entry.
func writeEdge(out *resp.Buffer, s *streams.Stream, last bool) {
	if s.Len() == 0 {
		out.Null()
		return
	}
	s.Range(streams.ID{}, streams.MaxID, last, func(e *streams.Entry) bool {
		writeEntry(out, e)
		return false
	})
}

// infoItems is how many items XINFO STREAM FULL shows.
func infoItems(s *streams.Stream, count int64) int64 {
	items := min(count, int64(s.Len())) + s.TrackedItems()
	for _, g := range s.Groups() {
		items += min(count, int64(g.PendingCount()))
		for _, consumer := range g.Consumers() {
			items += 1 + min(count, int64(consumer.Pending))
		}
	}
	return items
}

// writeFullInfo writes what only FULL shows. All lengths are known before the
// items are read, as a long reply streams.
func writeFullInfo(c *Ctx, s *streams.Stream, count int64) error {
	out := c.Out
	out.BulkString("entries")
	left := min(count, int64(s.Len()))
	out.Array(int(left))
	if left > 0 {
		s.Range(streams.ID{}, streams.MaxID, false, func(e *streams.Entry) bool {
			writeEntry(out, e)
			left--
			return left > 0
		})
	}
	groups := s.Groups()
	out.BulkString("groups")
	out.Array(len(groups))
	for _, g := range groups {
		out.Map(8)
		fieldString(out, "name", g.Name())
		fieldID(out, "last-delivered-id", g.LastDelivered())
		fieldProgress(out, g)
		fieldInt(out, "pel-count", int64(g.PendingCount()))
		fieldInt(out, "nacked-count", int64(g.NackedCount()))
		out.BulkString("pending")
		writePending(out, g, nil, min(count, int64(g.PendingCount())))
		consumers := g.Consumers()
		out.BulkString("consumers")
		out.Array(len(consumers))
		for _, consumer := range consumers {
			out.Map(5)
			fieldString(out, "name", consumer.Name)
			fieldInt(out, "seen-time", consumer.Seen)
			fieldInt(out, "active-time", consumer.Active)
			fieldInt(out, "pel-count", int64(consumer.Pending))
			out.BulkString("pending")
			writePending(out, g, consumer, min(count, int64(consumer.Pending)))
		}
	}
	return nil
}

// writePending writes the first n pending entries of a group, or of one of its
// consumers.
func writePending(out *resp.Buffer, g *streams.Group, consumer *streams.Consumer, n int64) {
	out.Array(int(n))
	if n == 0 {
		return
	}
	g.EachPending(streams.ID{}, streams.MaxID, consumer, 0, func(e *streams.Pending, owned *streams.Consumer) bool {
		if consumer == nil {
			out.Array(4)
			writeID(out, e.ID)
			if owned != nil {
				out.BulkString(owned.Name)
			} else {
				out.BulkString("")
			}
		} else {
			out.Array(3)
			writeID(out, e.ID)
		}
		out.Int(e.Time)
		out.Int(int64(e.Deliveries))
		n--
		return n > 0
	})
}
