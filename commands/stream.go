package commands

import (
	"math"
	"strconv"
	"time"

	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

var streamCommands = []Command{
	{
		Name: "xadd", Arity: -5, Flags: Write | DenyOOM | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0",
		Syntax:     "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer-id | IDMP producer-id idempotent-id] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
		Tips:       []string{"nondeterministic_output"},
		Summary:    "Adds an entry to the end of a stream; creates the stream if there is none.",
		Complexity: "O(1), and O(N) for the N entries that a trim removes",
		History: []string{
			"6.2.0: Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option.",
			"7.0.0: Added support for the `<ms>-*` explicit ID form.",
			"8.2.0: Added the `KEEPREF`, `DELREF` and `ACKED` options.",
			"8.6.0: Added the `IDMP` and `IDMPAUTO` options.",
		},
		Run: xadd,
	},
	{
		Name: "xlen", Arity: 2, Flags: ReadOnly | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key", Access: []string{"RO"},
		Summary: "Returns the number of entries of a stream.", Complexity: "O(1)",
		Run: xlen,
	},
	{
		Name: "xrange", Arity: -4, Flags: ReadOnly, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key start end [COUNT count]",
		Summary:    "Returns the entries of a stream between two IDs.",
		Complexity: "O(N) where N is the number of entries returned",
		History:    []string{"6.2.0: Added exclusive ranges."},
		Run:        func(c *Ctx) error { return xrange(c, false) },
	},
	{
		Name: "xrevrange", Arity: -4, Flags: ReadOnly, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key end start [COUNT count]",
		Summary:    "Returns the entries of a stream between two IDs, the last one first.",
		Complexity: "O(N) where N is the number of entries returned",
		History:    []string{"6.2.0: Added exclusive ranges."},
		Run:        func(c *Ctx) error { return xrange(c, true) },
	},
	{
		Name: "xdel", Arity: -3, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key id [id ...]", Access: []string{"RW delete"},
		Summary:    "Removes single entries from a stream and returns how many there were.",
		Complexity: "O(1) for each ID",
		Run:        xdel,
	},
	{
		Name: "xdelex", Arity: -5, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "8.2.0", Syntax: "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]", Access: []string{"RW delete"},
		Summary:    "Removes single entries from a stream, minding the groups that refer to them, and says of each what became of it.",
		Complexity: "O(1) for each ID",
		Run:        xdelex,
	},
	{
		Name: "xtrim", Arity: -4, Flags: Write, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]",
		Access: []string{"RW delete"}, Tips: []string{"nondeterministic_output"},
		Summary:    "Removes the oldest entries of a stream, down to a length or up to an ID.",
		Complexity: "O(N) where N is the smaller of how many entries go and how many stay",
		History: []string{
			"6.2.0: Added the `MINID` trimming strategy and the `LIMIT` option.",
			"8.2.0: Added the `KEEPREF`, `DELREF` and `ACKED` options.",
		},
		Run: xtrim,
	},
	{
		Name: "xread", Arity: -4, Flags: ReadOnly | Blocking, KeysFunc: keysOfStreams(1),
		Group: "stream", Since: "5.0.0", Syntax: "[COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
		KeySearch:  KeySearch{Keyword: "STREAMS", From: 1},
		Summary:    "Returns the entries of one or more streams behind given IDs; waits for one if need be.",
		Complexity: "O(N) where N is the number of entries returned",
		History: []string{
			"7.4.0: `+` stands for the last entry.",
			"8.10.0: Added the `MAXCOUNT` and `MAXSIZE` options.",
		},
		OnTimeout: (*resp.Buffer).NullArray,
		Run:       xread,
	},
	{
		Name: "xsetid", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
		Summary: "Sets the last ID of a stream, and what it remembers of entries that are gone.", Complexity: "O(1)",
		History: []string{"7.0.0: Added the `entries_added` and `max_deleted_entry_id` arguments."},
		Run:     xsetid,
	},
}

// Errors of stream commands, in Redis' words.
const (
	errTrimTwice      resp.Error = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
	errMaxLenNegative resp.Error = "ERR The MAXLEN argument must be >= 0."
	errLimitNegative  resp.Error = "ERR The LIMIT argument must be >= 0."
	errLimitAlone     resp.Error = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
	errLimitExact     resp.Error = "ERR syntax error, LIMIT cannot be used without the special ~ option"
	errTrimNothing    resp.Error = "ERR syntax error, XTRIM must be called with a trimming strategy"
	errEntryTooLarge  resp.Error = "ERR Elements are too large to be stored"
	errReadUnbalanced resp.Error = "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
	errNewUnbalanced  resp.Error = "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
	errGroupInRead    resp.Error = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
	errNoAckInRead    resp.Error = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
	errClaimInRead    resp.Error = "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead."
	errNewInRead      resp.Error = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
	errMaxCount       resp.Error = "ERR MAXCOUNT must be a positive integer"
	errMaxCountSmall  resp.Error = "ERR MAXCOUNT must be greater than or equal to COUNT"
	errMaxSize        resp.Error = "ERR MAXSIZE must be a positive integer"
	errSetIDGone      resp.Error = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
	errSetIDTop       resp.Error = "ERR The ID specified in XSETID is smaller than the target stream top item"
	errSetIDDeleted   resp.Error = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
	errSetIDAdded     resp.Error = "ERR The entries_added specified in XSETID is smaller than the target stream length"
	errAddedNegative  resp.Error = "ERR entries_added must be positive"
)

func nodeLimits(c *Ctx) streams.NodeLimits {
	return c.Server.nodeLimits()
}

func (srv *Server) nodeLimits() streams.NodeLimits {
	return streams.NodeLimits{Entries: int(srv.Config.StreamNodeMaxEntries), Bytes: int(srv.Config.StreamNodeMaxBytes)}
}

// ---- IDs in arguments and replies ------------------------------------------

// id reads an ID; one of milliseconds only gets the sequence number 0.
func (a *Args) id() streams.ID {
	p := a.Next()
	if a.err != nil {
		return streams.ID{}
	}
	id, ok := streams.ParseID(p, 0)
	if !ok {
		a.Fail(streams.ErrInvalidID)
	}
	return id
}

// ids reads all that is left as IDs.
func (a *Args) ids() []streams.ID {
	ids := make([]streams.ID, 0, a.Len())
	for a.More() {
		ids = append(ids, a.id())
	}
	return ids
}

// interval reads one end of an interval with streams.ParseStart or ParseStop.
func (a *Args) interval(parse func([]byte) (streams.ID, error)) streams.ID {
	p := a.Next()
	if a.err != nil {
		return streams.ID{}
	}
	id, err := parse(p)
	if err != nil {
		a.err = err
	}
	return id
}

func writeID(out *resp.Buffer, id streams.ID) {
	var text [41]byte
	out.Bulk(id.AppendTo(text[:0]))
}

// writeEntry writes an entry: its ID, then fields and values.
func writeEntry(out *resp.Buffer, e *streams.Entry) {
	out.Array(2)
	writeID(out, e.ID)
	out.Array(e.Len())
	e.Each(out.Bulk)
}

// ---- adding and removing ---------------------------------------------------

// trimArgs are the options that XADD and XTRIM share, and what XADD has
// besides.
type trimArgs struct {
	trim       streams.Trim
	limitGiven bool
	refsGiven  bool
	id         streams.Wanted
	hasID      bool
	mustExist  bool

	idempotent bool
	auto       bool   // IDMPAUTO: the message is named by its fields and values
	producer   []byte // who sends it
	message    []byte // and what he calls it
}

// readTrim reads the options of XTRIM, or those of XADD up to the ID.
func readTrim(c *Ctx, add bool) (t trimArgs) {
	a := &c.Args
	for a.More() && !t.hasID {
		value := a.Len() > 1 // there is more than the option's name
		switch {
		case value && (EqualFold(a.Peek(), "MAXLEN") || EqualFold(a.Peek(), "MINID")):
			t.readStrategy(a)
		case value && a.Word("LIMIT"):
			t.trim.Limit = uint64(a.nonNegative(errLimitNegative))
			t.limitGiven = true
		case !t.refsGiven && a.refs(&t.trim.Refs):
			t.refsGiven = true
		case add && a.Word("NOMKSTREAM"):
			t.mustExist = true
		case add && t.readIdempotent(a):
		case add:
			ok := false
			if t.id, ok = streams.ParseWanted(a.Next()); !ok {
				a.Fail(streams.ErrInvalidID)
			}
			t.hasID = true
		default:
			a.Fail(ErrSyntax)
		}
	}
	switch {
	case t.trim.Limit != 0 && t.trim.By == streams.TrimNone:
		a.Fail(errLimitAlone)
	case !add && t.trim.By == streams.TrimNone:
		a.Fail(errTrimNothing)
	case t.limitGiven && !t.trim.Approx:
		a.Fail(errLimitExact)
	case t.trim.Approx && !t.limitGiven:
		t.trim.Limit = trimLimit(c.Config().StreamNodeMaxEntries)
	}
	return t
}

// refs reads KEEPREF, DELREF or ACKED, if that is the next argument.
func (a *Args) refs(mode *streams.Refs) bool {
	switch {
	case a.Word("KEEPREF"):
		*mode = streams.KeepRefs
	case a.Word("DELREF"):
		*mode = streams.DropRefs
	case a.Word("ACKED"):
		*mode = streams.Acked
	default:
		return false
	}
	return true
}

// trimLimit is how many entries a trim with ~ removes at most, if the client
// does not say: a hundred macro nodes.
func trimLimit(nodeEntries int64) uint64 {
	switch {
	case nodeEntries <= 0:
		return 10_000
	case nodeEntries > 10_000:
		return 1_000_000
	}
	return uint64(100 * nodeEntries)
}

func (t *trimArgs) readStrategy(a *Args) {
	if t.trim.By != streams.TrimNone {
		a.Fail(errTrimTwice)
		return
	}
	by := a.Option()
	if a.Len() > 1 {
		if p := a.Peek(); len(p) == 1 && (p[0] == '~' || p[0] == '=') {
			t.trim.Approx = p[0] == '~'
			a.Next()
		}
	}
	if by == "MINID" {
		t.trim.By, t.trim.MinID = streams.TrimMinID, a.id()
	} else {
		t.trim.By, t.trim.MaxLen = streams.TrimMaxLen, uint64(a.nonNegative(errMaxLenNegative))
	}
}

// nonNegative reads an integer; negative is the error for one below zero.
func (a *Args) nonNegative(negative resp.Error) int64 {
	n := a.Int()
	if a.err == nil && n < 0 {
		a.Fail(negative)
		return 0
	}
	return n
}

// entryBytesMax is what an entry may hold, as in Redis.
const entryBytesMax = 1 << 30

func xadd(c *Ctx) error {
	key := c.Args.Next()
	t := readTrim(c, true)
	if err := c.Args.Err(); err != nil {
		return err
	}
	values := c.Args.Rest()
	if !t.hasID || len(values) < 2 || len(values)%2 == 1 {
		return ArityError(c.Cmd)
	}
	if t.idempotent && !t.id.Auto {
		return errIdempotentID
	}
	if !t.id.Auto && !t.id.AutoSeq && t.id.ID.IsZero() {
		return streams.ErrIDZero
	}
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if s == nil && t.mustExist {
		c.Out.Null()
		return nil
	}
	message := t.produced(values)
	var last streams.ID
	if s != nil {
		if id, there := t.recall(s, message); there {
			s.Repeated()
			writeID(c.Out, id)
			return nil
		}
		last = s.LastID()
	}
	id, err := t.id.Resolve(last, c.Tx.NowMillis())
	if err != nil {
		return err
	}
	bytes := 0
	for _, v := range values {
		bytes += len(v)
	}
	if bytes > entryBytesMax {
		return errEntryTooLarge
	}
	if s != nil && c.boundsOf(key) != nil {
		c.Tx.Aside(func() { c.expire(key, s) }) // what is too old makes room
	}
	what, ok, err := c.admitEntry(key, s, load{1, int64(bytes)}, t.trim)
	if !ok {
		return err
	}
	if s == nil {
		s = createStream(c, key)
	}
	if what.n == 0 { // else the oldest go anyway
		c.expire(key, s)
	}
	s.Append(id, values, nodeLimits(c))
	if t.idempotent {
		s.Remember(message, id, idempotence(c, s))
	}
	if t.trim.By != streams.TrimNone {
		s.Trim(t.trim)
	}
	c.added(key, s, what)
	writeID(c.Out, id)
	return nil
}

func xlen(c *Ctx) error {
	s, err := streams.Open(c.Tx, c.Args.Next())
	if err != nil {
		return err
	}
	n := uint64(0)
	if s != nil {
		n = s.Len()
	}
	c.Out.Int(int64(n))
	return nil
}

func xdel(c *Ctx) error {
	s, err := streams.Open(c.Tx, c.Args.Next())
	if err != nil {
		return err
	}
	if s == nil {
		c.Out.Int(0)
		return nil
	}
	ids := c.Args.ids()
	if err := c.Args.Err(); err != nil {
		return err
	}
	c.Out.Int(int64(s.Delete(ids)))
	return nil
}

// deleteArgs are what XDELEX and XACKDEL share.
type deleteArgs struct {
	mode streams.Refs
	ids  []streams.ID
}

const (
	errDeleteIDCount resp.Error = "ERR Number of IDs must be a positive integer"
	errDeleteIDsFew  resp.Error = "ERR The `numids` parameter must match the number of arguments"
	errDeleteNoIDs   resp.Error = "ERR IDS option is required"
)

// readDelete reads [KEEPREF | DELREF | ACKED] and IDS numids id [id ...], in any
// order.
func readDelete(a *Args) (d deleteArgs) {
	hasMode, hasIDs := false, false
	var ids [][]byte
	for a.More() {
		switch {
		case !hasMode && a.refs(&d.mode):
			hasMode = true
		case !hasIDs && a.Len() > 1 && a.Word("IDS"):
			n := a.AtLeast(1, errDeleteIDCount)
			if n > int64(a.Len()) {
				a.Fail(errDeleteIDsFew)
			}
			ids, hasIDs = a.Take(int(n)), true
		default:
			a.Fail(ErrSyntax)
		}
	}
	if !hasIDs {
		a.Fail(errDeleteNoIDs)
	}
	d.ids = a.parseIDs(ids)
	return d
}

// parseIDs reads IDs that stand among the arguments already read.
func (a *Args) parseIDs(args [][]byte) []streams.ID {
	ids := make([]streams.ID, len(args))
	for i, p := range args {
		ok := false
		if ids[i], ok = streams.ParseID(p, 0); !ok {
			a.Fail(streams.ErrInvalidID)
			return nil
		}
	}
	return ids
}

func xdelex(c *Ctx) error {
	s, err := streams.Open(c.Tx, c.Args.Next())
	if err != nil {
		return err
	}
	d := readDelete(&c.Args)
	if err := c.Args.Err(); err != nil {
		return err
	}
	var results []streams.Deleted
	if s != nil {
		results = s.DeleteEach(d.ids, d.mode)
	}
	writeDeleted(c.Out, results, len(d.ids))
	return nil
}

// writeDeleted writes what became of n entries; of those without a result there
// was none.
func writeDeleted(out *resp.Buffer, results []streams.Deleted, n int) {
	out.Array(n)
	for i := range n {
		if i < len(results) {
			out.Int(int64(results[i]))
		} else {
			out.Int(int64(streams.DeletedNot))
		}
	}
}

func xtrim(c *Ctx) error {
	key := c.Args.Next()
	t := readTrim(c, false)
	if err := c.Args.Err(); err != nil {
		return err
	}
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if s == nil {
		c.Out.Int(0)
		return nil
	}
	if !s.IsPlain(t.trim) {
		c.Out.Int(int64(s.Trim(t.trim)))
		return nil
	}
	cut, prepared := c.Prepared.(*streams.Cut)
	if !prepared {
		steps := math.MaxInt
		if c.Detachable {
			steps = int(c.Server.LongWriteItems)
		}
		found, ok := s.PlanTrim(t.trim, steps)
		if !ok {
			return c.Prepare()
		}
		cut = &found
	}
	if c.Site != nil {
		c.Prepared = cut
		return nil
	}
	c.Out.Int(int64(s.TrimTo(*cut)))
	return nil
}

func xsetid(c *Ctx) error {
	key, last := c.Args.Next(), c.Args.id()
	var added *uint64
	var deleted streams.ID
	for c.Args.More() {
		value := c.Args.Len() > 1
		switch {
		case value && c.Args.Word("ENTRIESADDED"):
			n := uint64(c.Args.nonNegative(errAddedNegative))
			added = &n
		case value && c.Args.Word("MAXDELETEDID"):
			deleted = c.Args.id()
			if last.Less(deleted) {
				c.Args.Fail(errSetIDDeleted)
			}
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	s, err := streams.Open(c.Tx, key)
	switch {
	case err != nil:
		return err
	case s == nil:
		return ErrNoSuchKey
	case last.Less(s.MaxDeletedID()):
		return errSetIDGone
	case last.Less(s.TopID()):
		return errSetIDTop
	case added != nil && *added < s.Len():
		return errSetIDAdded
	}
	s.SetID(last, added, deleted)
	c.Out.OK()
	return nil
}

// ---- reading ---------------------------------------------------------------

func xrange(c *Ctx, reverse bool) error {
	key := c.Args.Next()
	first, second := c.Args.Next(), c.Args.Next()
	if reverse {
		first, second = second, first
	}
	start, err := streams.ParseStart(first)
	if err != nil {
		return err
	}
	stop, err := streams.ParseStop(second)
	if err != nil {
		return err
	}
	count := int64(math.MaxInt64)
	for c.Args.More() {
		if c.Args.Len() < 2 || !c.Args.Word("COUNT") {
			return ErrSyntax
		}
		count = max(c.Args.Int(), 0)
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	s, err := streams.Open(c.Tx, key)
	switch {
	case err != nil:
		return err
	case s == nil:
		c.Out.Array(0)
		return nil
	case count == 0:
		c.Out.NullArray()
		return nil
	}
	return writeRange(c, s, start, stop, uint64(count), reverse)
}

// writeRange writes up to count entries from start to stop.
func writeRange(c *Ctx, s *streams.Stream, start, stop streams.ID, count uint64, reverse bool) error {
	if tooSlow(c, s, start, stop, count) {
		return c.Detach()
	}
	if c.Detached {
		// A long reply streams, so its length has to come first.
		count = s.Count(start, stop, count)
		c.Out.Array(int(count))
	}
	length := resp.Later{}
	if !c.Detached {
		length = c.Out.ArrayLater()
	}
	n := uint64(0)
	if count > 0 {
		s.Range(start, stop, reverse, func(e *streams.Entry) bool {
			writeEntry(c.Out, e)
			n++
			return n < count
		})
	}
	if !c.Detached {
		c.Out.SetLen(length, int(n))
	}
	return nil
}

// tooSlow reports whether there are so many entries from start to stop that
// they are better read outside the loop.
func tooSlow(c *Ctx, s *streams.Stream, start, stop streams.ID, count uint64) bool {
	most := min(count, s.Len())
	return c.Slow(int64(most)) && c.Slow(int64(s.Count(start, stop, min(most, uint64(c.Server.LongReadItems)+1))))
}

// keysOfStreams finds the keys of XREAD and XREADGROUP as Redis does: the first
// half, rounded down, of what follows the first STREAMS from an index on, whatever
// stands before it.
func keysOfStreams(from int) func(args [][]byte) (at []int, ok bool) {
	return func(args [][]byte) (at []int, ok bool) {
		first := from
		for first < len(args) && !EqualFold(args[first], "STREAMS") {
			first++
		}
		return firstHalf(args, first+1)
	}
}

// firstHalf returns the places of the first half of the arguments from an index on.
func firstHalf(args [][]byte, first int) (at []int, ok bool) {
	for i := range (len(args) - first) / 2 {
		at = append(at, first+i)
	}
	return at, at != nil
}

// keysOfGroupRead finds the keys of XREADGROUP. A group or a consumer may be
// called STREAMS, which misleads Redis: a call that makes sense is read as the
// command itself reads it, since rights are checked for the keys found here.
func keysOfGroupRead(args [][]byte) (at []int, ok bool) {
	hasGroup := false
	for i := 1; i < len(args); {
		is := func(word string) bool { return EqualFold(args[i], word) }
		switch {
		case is("STREAMS") && hasGroup:
			return firstHalf(args, i+1)
		case is("GROUP"):
			hasGroup = true
			i += 3
		case is("NOACK"):
			i++
		case is("COUNT"), is("MAXCOUNT"), is("MAXSIZE"), is("BLOCK"), is("CLAIM"):
			i += 2
		default:
			return keysOfStreams(4)(args)
		}
	}
	return keysOfStreams(4)(args)
}

// readArgs are the arguments that XREAD and XREADGROUP share.
type readArgs struct {
	block    bool
	timeout  time.Duration
	count    int // of each stream; 0: any number
	maxCount int // of all of them; 0: any number
	maxSize  int // bytes of the reply; 0: any number
	noAck    bool
	claim    bool
	idleMin  int64  // ms
	group    []byte // nil: XREAD
	consumer []byte
	keys     [][]byte
	ids      [][]byte
	idsAt    int // index of the first ID in the call
}

// unblockedCount is how many entries a command gets that had to wait and named
// no number.
const unblockedCount = 1000

func readRead(c *Ctx, withGroup bool) (r readArgs) {
	a, unbalanced := &c.Args, errReadUnbalanced
	if withGroup {
		unbalanced = errNewUnbalanced
	}
	for a.More() && r.keys == nil {
		value := a.Len() > 1
		switch {
		case value && a.Word("BLOCK"):
			r.block = true
			r.timeout = a.TimeoutMillis(c.Tx.NowMillis())
		case value && a.Word("COUNT"):
			r.count = int(min(max(a.Int(), 0), math.MaxInt))
		case value && a.Word("MAXCOUNT"):
			r.maxCount = int(min(a.AtLeast(1, errMaxCount), math.MaxInt))
		case value && a.Word("MAXSIZE"):
			r.maxSize = int(min(a.AtLeast(1, errMaxSize), math.MaxInt))
		case value && a.Word("CLAIM"):
			if !withGroup {
				a.Fail(errClaimInRead)
			}
			r.claim = true
			r.idleMin = a.idleMin()
		case value && a.Word("STREAMS"):
			if a.Len()%2 == 1 {
				a.Fail(unbalanced)
				return r
			}
			n := a.Len() / 2
			r.keys = a.Take(n)
			r.idsAt = a.Pos()
			r.ids = a.Take(n)
		case a.Len() > 2 && a.Word("GROUP"):
			if !withGroup {
				a.Fail(errGroupInRead)
			}
			r.group, r.consumer = a.Next(), a.Next()
		case a.Word("NOACK"):
			if !withGroup {
				a.Fail(errNoAckInRead)
			}
			r.noAck = true
		default:
			a.Fail(ErrSyntax)
		}
	}
	if r.keys == nil {
		a.Fail(ErrSyntax)
	}
	if r.maxCount > 0 && r.maxCount < r.count {
		a.Fail(errMaxCountSmall)
	}
	if c.Rerun && r.count == 0 {
		r.count = unblockedCount
	}
	return r
}

// idleMin reads CLAIM's argument, in ms.
func (a *Args) idleMin() int64 {
	idle := a.IntOr(errIdleMinInteger)
	if a.err == nil && idle < 0 {
		a.Fail(errIdleMinNegative)
	}
	return idle
}

// wait blocks the command until one of its streams changes, or until again.
func (r *readArgs) wait(c *Ctx, again time.Time) error {
	if !r.block {
		c.Out.NullArray()
		return nil
	}
	w := Wait{Timeout: r.timeout, Type: storage.TypeStream, Keys: make([]string, len(r.keys))}
	for i, key := range r.keys {
		w.Keys[i] = string(key)
	}
	if r.group != nil {
		// The consumers of a group want the same: where one finds nothing, the
		// others need not look.
		w.AlsoGone, w.Class, w.Again = true, "group "+string(r.group), again
		w.Group, w.Consumer = string(r.group), string(r.consumer)
	}
	switch {
	case r.claim:
		w.Class += "\x00" + strconv.FormatInt(r.idleMin, 10)
	case r.noAck:
		w.Class += "\x00noack" // a lease is not for them
	}
	return c.Block(w)
}

// source is a stream to read from, which has entries behind an ID.
type source struct {
	key []byte
	s   *streams.Stream
	id  streams.ID
}

// start is the first ID that is asked for.
func (f *source) start() streams.ID {
	start, _ := f.id.Next() // there is an entry behind it
	return start
}

func xread(c *Ctx) error {
	r := readRead(c, false)
	if err := c.Args.Err(); err != nil {
		return err
	}
	sources := make([]source, 0, len(r.keys))
	for i, key := range r.keys {
		s, err := streams.Open(c.Tx, key)
		if err != nil {
			return err
		}
		id, err := readFrom(s, r.ids[i])
		if err != nil {
			return err
		}
		if isNow(r.ids[i]) {
			c.Args.Replace(r.idsAt+i, id.AppendTo(nil))
		}
		if s != nil && s.HasAfter(id) {
			sources = append(sources, source{key, s, id})
		}
	}
	if len(sources) == 0 {
		return r.wait(c, time.Time{})
	}
	if c.Detached {
		return r.writeLong(c, sources)
	}
	if r.isSlow(c, sources) {
		return c.Detach()
	}
	reply := r.reply(c.Out)
	for _, from := range sources {
		reply.stream(from.key, false, func(wrote func()) {
			n := 0
			from.s.After(from.id, r.countOr(math.MaxInt), func(e *streams.Entry) bool {
				if !reply.room() {
					return false
				}
				writeEntry(c.Out, e)
				wrote()
				n++
				return n != r.count
			})
		})
	}
	reply.end()
	return nil
}

// isNow reports whether an ID argument means the state at this moment, and has
// to be pinned before the command waits.
func isNow(p []byte) bool { return len(p) == 1 && (p[0] == '$' || p[0] == '+') }

// readFrom returns the ID behind which to read; s is nil for a missing stream.
func readFrom(s *streams.Stream, p []byte) (id streams.ID, err error) {
	switch {
	case len(p) == 1 && p[0] == '>':
		return id, errNewInRead
	case isNow(p) && s == nil:
		return id, nil
	case isNow(p) && p[0] == '+' && s.Len() > 0:
		id, _ = s.TopID().Prev() // no entry is 0-0
		return id, nil
	case isNow(p):
		return s.LastID(), nil
	}
	id, ok := streams.ParseID(p, 0)
	if !ok {
		return id, streams.ErrInvalidID
	}
	return id, nil
}

func (r *readArgs) countOr(unlimited int) int {
	if r.count == 0 {
		return unlimited
	}
	return r.count
}
