package commands

import (
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/streams"
)

var streamGroupCommands = []Command{
	{
		Name: "xgroup", Arity: -2, Group: "stream", Since: "5.0.0",
		Summary: "Commands about consumer groups.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "xgroup", Name: "create", Arity: -5, Flags: Write | DenyOOM, Keys: Keys{2, 2, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
		Access:  []string{"RW insert"},
		Summary: "Creates a consumer group that gets the entries behind an ID, or those to come ($).", Complexity: "O(1)",
		History: []string{"7.0.0: Added the `entries_read` named argument."},
		Run:     xgroupCreate,
	},
	{
		Parent: "xgroup", Name: "createconsumer", Arity: 5, Flags: Write | DenyOOM, Keys: Keys{2, 2, 1},
		Group: "stream", Since: "6.2.0", Syntax: "key group consumer", Access: []string{"RW insert"},
		Summary: "Adds a consumer to a group; reading as one does that, too.", Complexity: "O(1)",
		Run: xgroupCreateConsumer,
	},
	{
		Parent: "xgroup", Name: "delconsumer", Arity: 5, Flags: Write, Keys: Keys{2, 2, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key group consumer", Access: []string{"RW delete"},
		Summary:    "Removes a consumer and what it has pending, and returns how much that was.",
		Complexity: "O(N) where N is the number of entries that are pending in the group",
		Run:        xgroupDelConsumer,
	},
	{
		Parent: "xgroup", Name: "destroy", Arity: 4, Flags: Write, Keys: Keys{2, 2, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key group", Access: []string{"RW delete"},
		Summary: "Removes a consumer group with its consumers and all that is pending.", Complexity: "O(1)",
		Run: xgroupDestroy,
	},
	helpCommand("xgroup", 0, "stream", "5.0.0"),
	{
		Parent: "xgroup", Name: "setid", Arity: -5, Flags: Write, Keys: Keys{2, 2, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key group <id | $> [ENTRIESREAD entries-read]",
		Summary: "Makes a consumer group go on behind an ID.", Complexity: "O(1)",
		History: []string{"7.0.0: Added the optional `entries_read` argument."},
		Run:     xgroupSetID,
	},
	{
		Name: "xreadgroup", Arity: -7, Flags: Write | Blocking, KeysFunc: keysOfGroupRead,
		Group: "stream", Since: "5.0.0",
		Syntax:    "GROUP group consumer [COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]",
		KeySearch: KeySearch{Keyword: "STREAMS", From: 4}, Access: []string{"RO access"},
		Summary:    "Returns entries that the group has not had yet (>), or those pending for a consumer; waits for new ones if need be.",
		Complexity: "O(N) where N is the number of entries returned",
		History: []string{
			"8.4.0: Added the `CLAIM` option.",
			"8.10.0: Added the `MAXCOUNT` and `MAXSIZE` options.",
		},
		OnTimeout: (*resp.Buffer).NullArray,
		Run:       xreadgroup,
	},
	{
		Name: "xack", Arity: -4, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key group id [id ...]",
		Summary: "Acknowledges entries that were delivered to a consumer of a group.", Complexity: "O(1) for each ID",
		Run: xack,
	},
	{
		Name: "xackdel", Arity: -6, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "8.2.0", Syntax: "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]", Access: []string{"RW delete"},
		Summary:    "Acknowledges entries and removes them from the stream, minding the groups that refer to them; says of each what became of it.",
		Complexity: "O(1) for each ID",
		Run:        xackdel,
	},
	{
		Name: "xnack", Arity: -7, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "8.8.0", Syntax: "key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]",
		Summary:    "Gives pending entries back to the group: they belong to nobody and are the first to be delivered again.",
		Complexity: "O(1) for each ID",
		Run:        xnack,
	},
	{
		Name: "xpending", Arity: -3, Flags: ReadOnly, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key group [[IDLE min-idle-time] start end count [consumer]]",
		Tips:       []string{"nondeterministic_output"},
		Summary:    "Tells how many entries of a group are pending, or which ones, for whom and for how long.",
		Complexity: "O(N) where N is the number of entries returned, or passed over because they are not idle for long enough",
		History:    []string{"6.2.0: Added the `IDLE` option and exclusive range intervals."},
		Run:        xpending,
	},
	{
		Name: "xclaim", Arity: -6, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0",
		Syntax:     "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID last-id]",
		Tips:       []string{"nondeterministic_output"},
		Summary:    "Gives pending entries to another consumer of the group.",
		Complexity: "O(log N) for each ID, where N is the number of entries that are pending in the group",
		Run:        xclaim,
	},
	{
		Name: "xautoclaim", Arity: -6, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "6.2.0", Syntax: "key group consumer min-idle-time start [COUNT count] [JUSTID]",
		Access: []string{"RW delete"}, Tips: []string{"nondeterministic_output"},
		Summary:    "Gives entries that are pending for too long to another consumer of the group.",
		Complexity: "O(1) if count is small",
		History:    []string{"7.0.0: Added an element to the reply array, containing deleted entries the command cleared from the PEL"},
		Run:        xautoclaim,
	},
	{
		Name: "xinfo", Arity: -2, Group: "stream", Since: "5.0.0",
		Summary: "Commands that describe streams.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "xinfo", Name: "consumers", Arity: 4, Flags: ReadOnly, Keys: Keys{2, 2, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key group", Tips: []string{"nondeterministic_output"},
		Summary: "Describes the consumers of a group.", Complexity: "O(N) where N is the number of consumers",
		History: []string{"7.2.0: Added the `inactive` field."},
		Run:     xinfoConsumers,
	},
	{
		Parent: "xinfo", Name: "groups", Arity: 3, Flags: ReadOnly, Keys: Keys{2, 2, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key",
		Summary: "Describes the consumer groups of a stream.", Complexity: "O(N) where N is the number of groups",
		History: []string{"7.0.0: Added the `entries-read` and `lag` fields"},
		Run:     xinfoGroups,
	},
	helpCommand("xinfo", 0, "stream", "5.0.0"),
	{
		Parent: "xinfo", Name: "stream", Arity: -3, Flags: ReadOnly, Keys: Keys{2, 2, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key [FULL [COUNT count]]",
		Summary: "Describes a stream; with FULL also entries, groups, consumers and what is pending.", Complexity: "O(1), with FULL O(N) where N is the number of items returned",
		History: []string{
			"6.0.0: Added the `FULL` modifier.",
			"7.0.0: Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag` fields",
			"7.2.0: Added the `active-time` field of consumers.",
			"8.6.0: Added the `idmp-duration`, `idmp-maxsize`, `pids-tracked`, `iids-tracked`, `iids-added` and `iids-duplicates` fields.",
			"8.8.0: Added the `nacked-count` field of groups.",
		},
		Run: xinfoStream,
	},
}

const (
	errGroupNeedsKey   resp.Error = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."
	errEntriesRead     resp.Error = "ERR value for ENTRIESREAD must be positive or -1"
	errIdleMinInteger  resp.Error = "ERR min-idle-time is not an integer or out of range"
	errIdleMinNegative resp.Error = "ERR min-idle-time must be a positive integer"
	errGroupMissing    resp.Error = "ERR Missing GROUP option for XREADGROUP"
	errNowInReadGroup  resp.Error = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
)

func errNoGroup(group, key []byte) resp.Error {
	return resp.Errorf("NOGROUP No such consumer group '%s' for key name '%s'", group, key)
}

func errNoKeyOrGroup(key, group []byte) resp.Error {
	return resp.Errorf("NOGROUP No such key '%s' or consumer group '%s'", key, group)
}

func errNoKeyOrGroupToRead(key, group []byte) resp.Error {
	return resp.Errorf("NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option", key, group)
}

// ---- XGROUP ----------------------------------------------------------------

// groupArgs are what XGROUP CREATE and SETID take.
type groupArgs struct {
	key, group, id []byte
	makeStream     bool
	entriesRead    int64
}

func readGroup(c *Ctx, create bool) (g groupArgs, err error) {
	a := &c.Args
	g = groupArgs{key: a.Next(), group: a.Next(), id: a.Next(), entriesRead: streams.ReadUnknown}
	for a.More() {
		switch {
		case create && a.Word("MKSTREAM"):
			g.makeStream = true
		case a.Len() > 1 && a.Word("ENTRIESREAD"):
			g.entriesRead = a.Int()
			if g.entriesRead < 0 && g.entriesRead != streams.ReadUnknown {
				a.Fail(errEntriesRead)
			}
		default:
			return g, subcommandSyntax(c)
		}
	}
	return g, a.Err()
}

// maxArgs are the calls of XGROUP CREATE and SETID with every option once; more
// of them make no sense.
const (
	groupCreateArgsMax = 8
	groupSetIDArgsMax  = 7
)

func xgroupCreate(c *Ctx) error {
	g, err := readGroup(c, true)
	if err != nil {
		return err
	}
	s, err := streams.Open(c.Tx, g.key)
	if err != nil {
		return err
	}
	if s == nil && !g.makeStream {
		return errGroupNeedsKey
	}
	if len(c.Args.All()) > groupCreateArgsMax {
		return subcommandSyntax(c)
	}
	id := streams.ID{}
	if isDollar(g.id) {
		if s != nil {
			id = s.LastID()
		}
	} else if parsed, ok := streams.ParseID(g.id, 0); ok {
		id = parsed
	} else {
		return streams.ErrInvalidID
	}
	if s == nil {
		s = createStream(c, g.key)
	}
	if err := s.CreateGroup(g.group, id, g.entriesRead); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

func isDollar(p []byte) bool { return len(p) == 1 && p[0] == '$' }

func xgroupSetID(c *Ctx) error {
	a, err := readGroup(c, false)
	if err != nil {
		return err
	}
	s, g, err := openGroup(c, a.key, a.group)
	if err != nil {
		return err
	}
	if len(c.Args.All()) > groupSetIDArgsMax {
		return subcommandSyntax(c)
	}
	id := s.LastID()
	if !isDollar(a.id) {
		ok := false
		if id, ok = streams.ParseLimit(a.id, 0); !ok {
			return streams.ErrInvalidID
		}
	}
	g.SetID(id, a.entriesRead)
	c.retain(a.key, s, nil)
	c.Out.OK()
	return nil
}

// openGroup returns the group of XGROUP's subcommands, which has to exist.
func openGroup(c *Ctx, key, group []byte) (*streams.Stream, *streams.Group, error) {
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return nil, nil, err
	}
	if s == nil {
		return nil, nil, errGroupNeedsKey
	}
	g := s.Group(group)
	if g == nil {
		return nil, nil, errNoGroup(group, key)
	}
	return s, g, nil
}

func xgroupDestroy(c *Ctx) error {
	key := c.Args.Next()
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if s == nil {
		return errGroupNeedsKey
	}
	writeCount(c.Out, s.DestroyGroup(c.Args.Next()))
	c.retain(key, s, nil)
	return nil
}

// writeCount writes how many things were made or removed: one or none.
func writeCount(out *resp.Buffer, one bool) {
	if one {
		out.Int(1)
		return
	}
	out.Int(0)
}

func xgroupCreateConsumer(c *Ctx) error {
	_, g, err := openGroup(c, c.Args.Next(), c.Args.Next())
	if err != nil {
		return err
	}
	_, created := g.CreateConsumer(c.Args.Next())
	writeCount(c.Out, created)
	return nil
}

func xgroupDelConsumer(c *Ctx) error {
	key := c.Args.Next()
	s, g, err := openGroup(c, key, c.Args.Next())
	if err != nil {
		return err
	}
	c.Out.Int(int64(g.DeleteConsumer(c.Args.Next())))
	c.retain(key, s, nil)
	return nil
}

// ---- reading and acknowledging ---------------------------------------------

// delivery is what one stream has for the consumer.
type delivery struct {
	key     []byte
	s       *streams.Stream
	g       *streams.Group
	history bool // what is pending for it, behind id; else what is new
	id      streams.ID
	leased
}

func xreadgroup(c *Ctx) error {
	r := readRead(c, true)
	if r.group == nil {
		c.Args.Fail(errGroupMissing)
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	deliveries := make([]delivery, len(r.keys))
	for i := range deliveries {
		if err := deliveries[i].read(c, &r, i); err != nil {
			return err
		}
	}
	for i := range deliveries {
		d := &deliveries[i]
		c.expire(d.key, d.s)
		d.g.See(r.consumer)
		c.Server.dropIdle(c.Tx, d.key, d.g)
	}
	reply := r.reply(c.Out)
	reply.roomMax = c.groupReplyBytesMax()
	for i := range deliveries {
		d := &deliveries[i]
		reply.stream(d.key, d.history, func(wrote func()) { d.write(c, &r, reply, wrote) })
		d.release(c, d.key)
		if r.noAck {
			c.retain(d.key, d.s, nil)
		}
	}
	if reply.end() {
		return nil
	}
	return r.wait(c, r.again(c, deliveries))
}

// read finds out what to deliver of the i-th stream.
func (d *delivery) read(c *Ctx, r *readArgs, i int) error {
	s, err := streams.Open(c.Tx, r.keys[i])
	if err != nil {
		return err
	}
	if s == nil {
		return errNoKeyOrGroupToRead(r.keys[i], r.group)
	}
	g := s.Group(r.group)
	if g == nil {
		return errNoKeyOrGroupToRead(r.keys[i], r.group)
	}
	*d = delivery{key: r.keys[i], s: s, g: g}
	switch p := r.ids[i]; {
	case isDollar(p):
		return errNowInReadGroup
	case len(p) == 1 && p[0] == '>':
	default:
		id, ok := streams.ParseID(p, 0)
		if !ok {
			return streams.ErrInvalidID
		}
		// The last ID of all is Redis' way to write ">".
		d.id, d.history = id, id != streams.MaxID
	}
	d.leased = c.obey(d.key, r.group, g)
	return nil
}

func (d *delivery) write(c *Ctx, r *readArgs, reply *readReply, wrote func()) {
	consumer, b := d.g.See(r.consumer), r.batch(reply)
	switch {
	case d.history:
		d.g.ReadHistory(consumer, d.id, b, func(id streams.ID, e *streams.Entry) {
			if e != nil {
				writeEntry(c.Out, e)
			} else {
				c.Out.Array(2)
				writeID(c.Out, id)
				c.Out.NullArray()
			}
			wrote()
		})
	default:
		d.writeNew(c, r, consumer, b, wrote)
	}
}

// writeNew writes what can be delivered again, then what the group has not had
// yet. Who has asked for the former is told more of each.
func (d *delivery) writeNew(c *Ctx, r *readArgs, consumer *streams.Consumer, b streams.Batch, wrote func()) {
	write := func(e streams.Again) {
		if r.claim {
			writeAgain(c.Out, e)
		} else {
			writeEntry(c.Out, e.Entry)
		}
		wrote()
	}
	if idle, ok := d.idle(r); ok {
		n := d.g.ReadDue(consumer, streams.Due{Batch: b, IdleMin: idle, Bury: d.bury}, write)
		c.redelivered(d.key, n)
		if b.Count > 0 {
			if b.Count -= n; b.Count == 0 {
				return
			}
		}
	}
	d.g.ReadNew(consumer, b, r.noAck, func(e *streams.Entry) { write(streams.Again{Entry: e}) })
}

// writeAgain writes an entry, for how long it had been waiting to be
// acknowledged, and how often it had been delivered.
func writeAgain(out *resp.Buffer, e streams.Again) {
	out.Array(4)
	writeID(out, e.ID)
	out.Array(e.Len())
	e.Each(out.Bulk)
	out.Int(e.Idle)
	out.Int(int64(e.Deliveries))
}

func xack(c *Ctx) error {
	key := c.Args.Next()
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return err
	}
	var g *streams.Group
	if group := c.Args.Next(); s != nil {
		g = s.Group(group)
	}
	if g == nil {
		c.Out.Int(0)
		return nil
	}
	ids := c.Args.ids()
	if err := c.Args.Err(); err != nil {
		return err
	}
	n := g.Ack(ids)
	c.retain(key, s, ids)
	c.Out.Int(int64(n))
	return nil
}

func xackdel(c *Ctx) error {
	key := c.Args.Next()
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return err
	}
	var g *streams.Group
	if group := c.Args.Next(); s != nil {
		g = s.Group(group)
	}
	d := readDelete(&c.Args)
	if err := c.Args.Err(); err != nil {
		return err
	}
	var results []streams.Deleted
	if g != nil {
		results = g.AckDelete(d.ids, d.mode)
		c.retain(key, s, nil)
	}
	writeDeleted(c.Out, results, len(d.ids))
	return nil
}

// ---- giving back -----------------------------------------------------------

const (
	errNackMode    resp.Error = "ERR mode must be SILENT, FAIL, or FATAL"
	errNackIDCount resp.Error = "ERR numids must be a positive integer"
	errNackIDsFew  resp.Error = "ERR number of IDs doesn't match numids"
	errNackRetries resp.Error = "ERR Invalid RETRYCOUNT value, must be >= 0"
	errNackNoIDs   resp.Error = "ERR syntax error, expected IDS keyword"
)

func xnack(c *Ctx) error {
	key, group := c.Args.Next(), c.Args.Next()
	g, err := findGroup(c, key, group)
	if err != nil {
		return err
	}
	o, ids := readNack(&c.Args)
	if err := c.Args.Err(); err != nil {
		return err
	}
	l := c.obey(key, group, g)
	o.Bury = l.bury
	n := g.Nack(ids, o)
	l.release(c, key)
	c.Out.Int(int64(n))
	return nil
}

// readNack reads what follows the group. The options and the IDs come in any
// order.
func readNack(a *Args) (o streams.Nack, ids []streams.ID) {
	o.Retries = -1
	switch {
	case a.Word("SILENT"):
		o.Mode = streams.NackSilent
	case a.Word("FAIL"):
		o.Mode = streams.NackFail
	case a.Word("FATAL"):
		o.Mode = streams.NackFatal
	default:
		a.Fail(errNackMode)
	}
	var list [][]byte
	for a.More() {
		switch value := a.Len() > 1; {
		case list == nil && value && a.Word("IDS"):
			n := a.AtLeast(1, errNackIDCount)
			if n > int64(a.Len()) {
				a.Fail(errNackIDsFew)
			}
			list = a.Take(int(n))
		case value && a.Word("RETRYCOUNT"):
			o.Retries = a.nonNegative(errNackRetries)
		case a.Word("FORCE"):
			o.Force = true
		default:
			a.Fail(resp.Errorf("ERR Unrecognized XNACK option '%s'", a.Peek()))
		}
	}
	if list == nil {
		a.Fail(errNackNoIDs)
	}
	return o, a.parseIDs(list)
}
