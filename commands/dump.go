package commands

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/rdb"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

var dumpCommands = []Command{
	{
		Name: "dump", Arity: 2, Flags: ReadOnly, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "2.6.0", Syntax: "key",
		Tips:       []string{"nondeterministic_output"},
		Summary:    "Returns the value of a key in Redis' serialised form.",
		Complexity: "O(N) where N is the number of items in the key",
		Run:        dump,
	},
	{
		Name: "restore", Arity: -4, Flags: Write | DenyOOM | Dangerous, Keys: Keys{1, 1, 1}, Access: []string{"OW update"},
		Group: "generic", Since: "2.6.0", Syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
		Summary:    "Makes a key from what DUMP has returned.",
		Complexity: "O(N) where N is the number of items in the key",
		History: []string{
			"3.0.0: Added the `REPLACE` modifier.", "5.0.0: Added the `ABSTTL` modifier.",
			"5.0.0: Added the `IDLETIME` and `FREQ` options.",
		},
		Run: restore,
	},
}

// dumpBytesPerItem is how many bytes make a dump as long a read as one item
// does.
const dumpBytesPerItem = 512

func dump(c *Ctx) error {
	key := c.Args.Next()
	o := c.Tx.Lookup(key)
	if o == nil {
		c.Out.Null()
		return nil
	}
	var d *rdb.Dump
	switch o.Type() {
	case storage.TypeList:
		l := lists.Of(c.Tx, o)
		if c.Slow(l.Len() + l.Bytes()/dumpBytesPerItem) {
			return c.Detach()
		}
		d = rdb.DumpList(func(yield func([]byte) bool) {
			l.Range(0, l.Len(), func(_ int64, e []byte) bool { return yield(e) })
		})
	case storage.TypeStream:
		s, err := streams.Open(c.Tx, key)
		if err != nil {
			return err
		}
		groups := s.Groups()
		items := int64(s.Len()) + int64(s.Bytes())/dumpBytesPerItem
		for _, g := range groups {
			items += int64(g.PendingCount())
		}
		if c.Slow(items) {
			return c.Detach()
		}
		d = dumpStream(s, groups)
	}
	c.Out.BulkPieces(d.Size(), d.Write)
	return nil
}

func dumpStream(s *streams.Stream, groups []*streams.Group) *rdb.Dump {
	return rdb.DumpStream(rdb.StreamSource{
		StreamInfo: rdb.StreamInfo{
			Length: s.Len(), Last: rdb.ID(s.LastID()), First: rdb.ID(s.FirstID()),
			MaxDeleted: rdb.ID(s.MaxDeletedID()), Added: s.Added(),
		},
		Entries: func(yield func(*rdb.Entry) bool) {
			var entry rdb.Entry
			node, begun := byte(0), false
			s.Range(streams.ID{}, streams.MaxID, false, func(e *streams.Entry) bool {
				entry = rdb.Entry{ID: rdb.ID(e.ID), Values: entry.Values[:0], NewNode: !begun || e.Node() != node}
				node, begun = e.Node(), true
				e.Each(func(p []byte) { entry.Values = append(entry.Values, p) })
				return yield(&entry)
			})
		},
		GroupCount: len(groups),
		Groups: func(yield func(*rdb.Group) bool) {
			for _, g := range groups {
				if !yield(dumpGroup(g)) {
					return
				}
			}
		},
	})
}

func dumpGroup(g *streams.Group) *rdb.Group {
	consumers := g.Consumers()
	out := &rdb.Group{
		Name: []byte(g.Name()), Last: rdb.ID(g.LastDelivered()), Read: g.EntriesRead(),
		Pending: make([]rdb.Pending, 0, g.PendingCount()), Consumers: make([]rdb.Consumer, len(consumers)),
	}
	number := make(map[*streams.Consumer]int, len(consumers))
	for i, c := range consumers {
		number[c] = i
		out.Consumers[i] = rdb.Consumer{Name: []byte(c.Name), Seen: c.Seen, Active: c.Active}
	}
	g.EachPending(streams.ID{}, streams.MaxID, nil, 0, func(p *streams.Pending, owned *streams.Consumer) bool {
		if _, known := number[owned]; !known {
			// Nobody's: the form has no word for that, so it gets an owner without
			// a name, and can be claimed from there.
			number[owned] = nameless(out)
		}
		out.Pending = append(out.Pending, rdb.Pending{
			ID: rdb.ID(p.ID), Time: p.Time, Deliveries: p.Deliveries, Consumer: number[owned],
		})
		return true
	})
	return out
}

// nameless returns the index of the consumer without a name, which is added if
// need be.
func nameless(g *rdb.Group) int {
	if i := slices.IndexFunc(g.Consumers, func(c rdb.Consumer) bool { return len(c.Name) == 0 }); i >= 0 {
		return i
	}
	g.Consumers = append(g.Consumers, rdb.Consumer{Active: streams.Never})
	return len(g.Consumers) - 1
}

// What RESTORE refuses.
const (
	errBusyKey      resp.Error = "BUSYKEY Target key name already exists."
	errRestoreTTL   resp.Error = "ERR Invalid TTL value, must be >= 0"
	errRestoreIdle  resp.Error = "ERR Invalid IDLETIME value, must be >= 0"
	errRestoreFreq  resp.Error = "ERR Invalid FREQ value, must be >= 0 and <= 255"
	errDumpChecksum resp.Error = "ERR DUMP payload version or checksum are wrong"
	errDumpFormat   resp.Error = "ERR Bad data format"
	errDumpTooLarge resp.Error = "ERR DUMP payload holds too much to be restored at once"
)

// restoredItemBytes is about what an item takes in a payload.
const restoredItemBytes = 16

func restore(c *Ctx) error {
	a := &c.Args
	key, when, payload := a.Next(), a.Next(), a.Next()
	replace, absolute := false, false
	idle, freq := int64(-1), int64(-1)
	for a.More() {
		switch option := a.Option(); {
		case option == "REPLACE":
			replace = true
		case option == "ABSTTL":
			absolute = true
		case option == "IDLETIME" && freq < 0:
			if idle = a.Int(); idle < 0 {
				a.Fail(errRestoreIdle)
			}
		case option == "FREQ" && idle < 0:
			// Obeyed in so far as it is checked: nothing here goes by frequency.
			if freq = a.Int(); freq < 0 || freq > 255 {
				a.Fail(errRestoreFreq)
			}
		default:
			a.Fail(ErrSyntax)
		}
	}
	if err := a.Err(); err != nil {
		return err
	}
	old := c.Tx.Lookup(key)
	if old != nil && !replace {
		return errBusyKey
	}
	expireAt, err := restoreExpiry(c, when, absolute)
	if err != nil {
		return err
	}
	p, prepared := c.Prepared.(*restored)
	if c.SlowWrite(int64(len(payload)/restoredItemBytes), 0) {
		return c.Prepare()
	}
	var v *rdb.Value
	if !prepared {
		if v, err = parseDump(payload); err != nil {
			return err
		}
	}
	if c.Site != nil {
		o := restoreValue(c.Site, key, v)
		c.Prepared = &restored{loadOf(c.Site, o), c.Site.Complete(o)}
		return nil
	}
	if !prepared && !c.Tx.Fits(0, v.Cost) {
		return storage.ErrTooMuch
	}
	gone := expireAt != 0 && expireAt <= c.Tx.NowMillis() // before it is there
	if !gone {
		err := c.admitWhole(key, func() load {
			if prepared {
				return p.load
			}
			return dumpLoad(v)
		})
		if err != nil {
			return err
		}
	}
	if old != nil {
		c.Tx.Drop(old)
	}
	if gone {
		if old != nil {
			c.Tx.Event(old, storage.TypeNone, "del")
		}
		c.Out.OK()
		return nil
	}
	var o *storage.Object
	if prepared {
		o = c.Tx.Adopt(key, p.built)
	} else {
		o = restoreValue(c.Tx, key, v)
	}
	if expireAt != 0 {
		c.Tx.SetExpiry(o, expireAt)
	}
	if idle > 0 {
		o.SetLastUsed(c.Tx.Now().Add(-time.Duration(min(idle, math.MaxInt64/int64(time.Second))) * time.Second))
	}
	c.Tx.Event(o, storage.TypeNone, "restore")
	c.Out.OK()
	return nil
}

// restored is the value that RESTORE makes, when it has been built.
type restored struct {
	load  load
	built *storage.Built
}

// restoreExpiry reads RESTORE's ttl in ms and returns the unix time it means, 0
// for none.
func restoreExpiry(c *Ctx, when []byte, absolute bool) (int64, error) {
	ttl, ok := ParseInt(when)
	switch {
	case !ok:
		return 0, ErrNotInteger
	case ttl < 0:
		return 0, errRestoreTTL
	case ttl == 0 || absolute:
		return ttl, nil
	}
	return c.Tx.NowMillis() + min(ttl, math.MaxInt64-c.Tx.NowMillis()), nil
}

func parseDump(payload []byte) (*rdb.Value, error) {
	v, err := rdb.Parse(payload)
	var unsupported *rdb.UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, resp.Errorf("ERR RESTORE of this type is not supported: %s", unsupported.Kind)
	case errors.Is(err, rdb.ErrChecksum):
		return nil, errDumpChecksum
	case errors.Is(err, rdb.ErrTooLarge):
		return nil, errDumpTooLarge
	case err != nil:
		return nil, errDumpFormat
	}
	return v, nil
}

// restoreValue makes the value at a key that has nothing.
func restoreValue(tx *storage.Tx, key []byte, v *rdb.Value) *storage.Object {
	if v.Kind == rdb.List {
		return lists.Create(tx, key, v.Elements()).Object()
	}
	r := streamRestoring{Restored: streams.Restore(tx, key)}
	v.Stream(&r)
	return r.Object()
}

// streamRestoring makes of what a payload holds what package streams does.
type streamRestoring struct {
	streams.Restored
	old bool
}

func (r *streamRestoring) Entry(e *rdb.Entry) { r.Append(streams.ID(e.ID), e.Values, e.NewNode) }

func (r *streamRestoring) Info(i rdb.StreamInfo) {
	r.SetPast(streams.ID(i.Last), i.Added, streams.ID(i.MaxDeleted))
	r.old = i.Old
}

func (r *streamRestoring) Group(g *rdb.Group) {
	if r.old {
		g.Read = r.Distance(streams.ID(g.Last))
	}
	group := r.Restored.Group(g.Name, streams.ID(g.Last), g.Read)
	consumers := make([]*streams.Consumer, len(g.Consumers))
	for i, c := range g.Consumers {
		consumers[i] = r.Consumer(group, c.Name, c.Seen, c.Active)
	}
	for _, p := range g.Pending {
		r.Pending(group, consumers[p.Consumer], streams.ID(p.ID), p.Time, p.Deliveries)
	}
}

// dumpLoad returns how many messages a payload holds.
func dumpLoad(v *rdb.Value) load {
	var n streamCounting
	if v.Kind != rdb.List {
		v.Stream(&n)
		return load(n)
	}
	for e := range v.Elements() {
		n.add(e)
		n.messages++
	}
	return load(n)
}

// streamCounting counts the entries of a payload.
type streamCounting load

func (n *streamCounting) add(p []byte) { n.bytes += int64(len(p)) }

// Entry implements rdb.StreamSink.
func (n *streamCounting) Entry(e *rdb.Entry) {
	n.messages++
	for _, p := range e.Values {
		n.add(p)
	}
}

// Info implements rdb.StreamSink.
func (n *streamCounting) Info(rdb.StreamInfo) {}

// Group implements rdb.StreamSink.
func (n *streamCounting) Group(*rdb.Group) {}
