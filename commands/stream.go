package commands

import (
	"math"
	"time"

	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

var streamCommands = []Command{
	{
		Name: "xadd", Arity: -5, Flags: Write | DenyOOM | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0",
		Syntax:     "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
		Tips:       []string{"nondeterministic_output"},
		Summary:    "Adds an entry to the end of a stream; creates the stream if there is none.",
		Complexity: "O(1), and O(N) for the N entries that a trim removes",
		History: []string{
			"6.2.0: Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option.",
			"7.0.0: Added support for the `<ms>-*` explicit ID form.",
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
		Name: "xtrim", Arity: -4, Flags: Write, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "5.0.0", Syntax: "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
		Access: []string{"RW delete"}, Tips: []string{"nondeterministic_output"},
		Summary:    "Removes the oldest entries of a stream, down to a length or up to an ID.",
		Complexity: "O(N) where N is the smaller of how many entries go and how many stay",
		History:    []string{"6.2.0: Added the `MINID` trimming strategy and the `LIMIT` option."},
		Run:        xtrim,
	},
	{
		Name: "xread", Arity: -4, Flags: ReadOnly | Blocking, KeysFunc: keysOfStreams,
		Group: "stream", Since: "5.0.0", Syntax: "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
		KeySearch:  KeySearch{Keyword: "STREAMS", From: 1},
		Summary:    "Returns the entries of one or more streams behind given IDs; waits for one if need be.",
		Complexity: "O(N) where N is the number of entries returned",
		History:    []string{"7.4.0: `+` stands for the last entry."},
		OnTimeout:  (*resp.Buffer).NullArray,
		Run:        xread,
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
	errReadUnbalanced resp.Error = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
	errGroupInRead    resp.Error = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
	errNoAckInRead    resp.Error = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
	errNewInRead      resp.Error = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
	errSetIDTop       resp.Error = "ERR The ID specified in XSETID is smaller than the target stream top item"
	errSetIDDeleted   resp.Error = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
	errSetIDAdded     resp.Error = "ERR The entries_added specified in XSETID is smaller than the target stream length"
	errAddedNegative  resp.Error = "ERR entries_added must be positive"
)

// nodeBytes is where Redis ends a macro node by default, whatever the number of
// its entries; XADD and XTRIM with ~ show it.
const nodeBytes = 4096

func nodeLimits(c *Ctx) streams.NodeLimits {
	return streams.NodeLimits{Entries: int(c.Config().StreamNodeMaxEntries), Bytes: nodeBytes}
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
	id         streams.Wanted
	hasID      bool
	mustExist  bool
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
		case add && a.Word("NOMKSTREAM"):
			t.mustExist = true
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
	var last streams.ID
	if s != nil {
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
	if s == nil {
		s = streams.Create(c.Tx, key)
	}
	s.Append(id, values, nodeLimits(c))
	if t.trim.By != streams.TrimNone {
		s.Trim(t.trim)
	}
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
	n := uint64(0)
	if s != nil {
		n = s.Trim(t.trim)
	}
	c.Out.Int(int64(n))
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
	return c.Slow(int64(most)) && c.Slow(int64(s.Count(start, stop, min(most, slowReadItems+1))))
}

// keysOfStreams finds the keys of XREAD and XREADGROUP: the first half of what
// follows STREAMS.
func keysOfStreams(args [][]byte) (at []int, ok bool) {
	for i := 1; i < len(args); i++ {
		switch {
		case EqualFold(args[i], "BLOCK"), EqualFold(args[i], "COUNT"):
			i++
		case EqualFold(args[i], "GROUP"):
			i += 2
		case EqualFold(args[i], "NOACK"):
		case EqualFold(args[i], "STREAMS"):
			n := len(args) - i - 1
			if n == 0 || n%2 == 1 {
				return nil, false
			}
			for j := range n / 2 {
				at = append(at, i+1+j)
			}
			return at, true
		default:
			return nil, false
		}
	}
	return nil, false
}

// readArgs are the arguments that XREAD and XREADGROUP share.
type readArgs struct {
	block    bool
	timeout  time.Duration
	count    int // 0: any number
	noAck    bool
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
	a := &c.Args
	for a.More() && r.keys == nil {
		value := a.Len() > 1
		switch {
		case value && a.Word("BLOCK"):
			r.block = true
			r.timeout = a.timeoutMillis()
		case value && a.Word("COUNT"):
			r.count = int(min(max(a.Int(), 0), math.MaxInt))
		case value && a.Word("STREAMS"):
			if a.Len()%2 == 1 {
				a.Fail(errReadUnbalanced)
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
	if c.Rerun && r.count == 0 {
		r.count = unblockedCount
	}
	return r
}

// timeoutMillis reads a time in milliseconds; 0 means for ever.
func (a *Args) timeoutMillis() time.Duration {
	ms := a.IntOr(ErrTimeoutInteger)
	switch {
	case a.err != nil:
	case ms < 0:
		a.Fail(ErrTimeoutNeg)
	case ms > math.MaxInt64/int64(time.Millisecond):
		return math.MaxInt64 // 292 years: for ever
	}
	return time.Duration(ms) * time.Millisecond
}

// wait blocks the command until one of its streams changes.
func (r *readArgs) wait(c *Ctx) error {
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
		w.AlsoGone, w.Class = true, string(r.group)
	}
	return c.Block(w)
}

// source is a stream to read from, behind an ID.
type source struct {
	key []byte
	s   *streams.Stream
	id  streams.ID
}

func xread(c *Ctx) error {
	r := readRead(c, false)
	if err := c.Args.Err(); err != nil {
		return err
	}
	sources := make([]source, 0, len(r.keys))
	items := uint64(0)
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
			items += min(s.Len(), uint64(r.countOr(math.MaxInt)))
		}
	}
	if len(sources) == 0 {
		return r.wait(c)
	}
	if c.Slow(int64(min(items, math.MaxInt64))) && r.isSlow(c, sources) {
		return c.Detach()
	}
	startReadReply(c.Out, len(sources))
	for _, from := range sources {
		nameReadReply(c.Out, from.key)
		if err := r.writeAfter(c, from); err != nil {
			return err
		}
	}
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

func (r *readArgs) isSlow(c *Ctx, sources []source) bool {
	items := uint64(0)
	for _, from := range sources {
		start, _ := from.id.Next() // there is an entry behind it
		items += from.s.Count(start, streams.MaxID, min(uint64(r.countOr(math.MaxInt)), slowReadItems+1))
	}
	return c.Slow(int64(items))
}

// writeAfter writes the entries of one stream.
func (r *readArgs) writeAfter(c *Ctx, from source) error {
	count := r.countOr(math.MaxInt)
	start, _ := from.id.Next() // there is an entry behind it
	if c.Detached {
		return writeRange(c, from.s, start, streams.MaxID, uint64(count), false)
	}
	n := 0
	length := c.Out.ArrayLater()
	from.s.After(from.id, count, func(e *streams.Entry) bool {
		writeEntry(c.Out, e)
		n++
		return n < count
	})
	c.Out.SetLen(length, n)
	return nil
}

// startReadReply begins a reply with the entries of n streams: a map, which in
// RESP2 is an array of pairs.
func startReadReply(out *resp.Buffer, n int) {
	if out.Proto == 3 {
		out.Map(n)
		return
	}
	out.Array(n)
}

func nameReadReply(out *resp.Buffer, key []byte) {
	if out.Proto != 3 {
		out.Array(2)
	}
	out.Bulk(key)
}
