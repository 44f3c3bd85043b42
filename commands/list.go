package commands

import (
	"math"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

var listCommands = []Command{
	{
		Name: "lpush", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key element [element ...]",
		Access:     []string{"RW insert"},
		Summary:    "Puts one or more elements before the first of a list; creates the list if there is none.",
		Complexity: "O(1) for each element",
		History:    []string{"2.4.0: Accepts multiple `element` arguments."},
		Run:        func(c *Ctx) error { return push(c, lists.Left, true) },
	},
	{
		Name: "rpush", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key element [element ...]",
		Access:     []string{"RW insert"},
		Summary:    "Puts one or more elements behind the last of a list; creates the list if there is none.",
		Complexity: "O(1) for each element",
		History:    []string{"2.4.0: Accepts multiple `element` arguments."},
		Run:        func(c *Ctx) error { return push(c, lists.Right, true) },
	},
	{
		Name: "lpushx", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: Keys{1, 1, 1},
		Group: "list", Since: "2.2.0", Syntax: "key element [element ...]",
		Access:     []string{"RW insert"},
		Summary:    "Puts one or more elements before the first of a list that exists.",
		Complexity: "O(1) for each element",
		History:    []string{"4.0.0: Accepts multiple `element` arguments."},
		Run:        func(c *Ctx) error { return push(c, lists.Left, false) },
	},
	{
		Name: "rpushx", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: Keys{1, 1, 1},
		Group: "list", Since: "2.2.0", Syntax: "key element [element ...]",
		Access:     []string{"RW insert"},
		Summary:    "Puts one or more elements behind the last of a list that exists.",
		Complexity: "O(1) for each element",
		History:    []string{"4.0.0: Accepts multiple `element` arguments."},
		Run:        func(c *Ctx) error { return push(c, lists.Right, false) },
	},
	{
		Name: "lpop", Arity: -2, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key [count]",
		Access:     []string{"RW access delete"},
		Summary:    "Takes the first elements out of a list; the list goes with its last element.",
		Complexity: "O(N) where N is the number of elements taken",
		History:    []string{"6.2.0: Added the `count` argument."},
		Run:        func(c *Ctx) error { return pop(c, lists.Left) },
	},
	{
		Name: "rpop", Arity: -2, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key [count]",
		Access:     []string{"RW access delete"},
		Summary:    "Takes the last elements out of a list; the list goes with its last element.",
		Complexity: "O(N) where N is the number of elements taken",
		History:    []string{"6.2.0: Added the `count` argument."},
		Run:        func(c *Ctx) error { return pop(c, lists.Right) },
	},
	{
		Name: "llen", Arity: 2, Flags: ReadOnly | Fast, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key",
		Access:  []string{"RO"},
		Summary: "Returns the length of a list.", Complexity: "O(1)",
		Run: llen,
	},
	{
		Name: "lrange", Arity: 4, Flags: ReadOnly, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key start stop",
		Summary:    "Returns the elements of a list between two indexes.",
		Complexity: "O(N) where N is the number of elements returned",
		Run:        lrange,
	},
	{
		Name: "lindex", Arity: 3, Flags: ReadOnly, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key index",
		Summary: "Returns the element of a list at an index.", Complexity: "O(1)",
		Run: lindex,
	},
	{
		Name: "lset", Arity: 4, Flags: Write | DenyOOM, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key index element",
		Summary: "Replaces the element of a list at an index.", Complexity: "O(1)",
		Run: lset,
	},
	{
		Name: "lrem", Arity: 4, Flags: Write, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key count element",
		Access:     []string{"RW delete"},
		Summary:    "Removes elements that equal a value from a list.",
		Complexity: "O(N) where N is the length of the list",
		Run:        lrem,
	},
	{
		Name: "ltrim", Arity: 4, Flags: Write, Keys: Keys{1, 1, 1},
		Group: "list", Since: "1.0.0", Syntax: "key start stop",
		Access:     []string{"RW delete"},
		Summary:    "Removes all elements but those between two indexes.",
		Complexity: "O(N) where N is the smaller of how many elements go and how many stay",
		Run:        ltrim,
	},
	{
		Name: "linsert", Arity: 5, Flags: Write | DenyOOM, Keys: Keys{1, 1, 1},
		Group: "list", Since: "2.2.0", Syntax: "key <BEFORE | AFTER> pivot element",
		Access:     []string{"RW insert"},
		Summary:    "Puts an element before or behind another one.",
		Complexity: "O(N) where N is the length of the list",
		Run:        linsert,
	},
	{
		Name: "lpos", Arity: -3, Flags: ReadOnly, Keys: Keys{1, 1, 1},
		Group: "list", Since: "6.0.6", Syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
		Summary:    "Returns the indexes at which an element stands in a list.",
		Complexity: "O(N) where N is the number of elements compared",
		Run:        lpos,
	},
	{
		Name: "lmove", Arity: 5, Flags: Write | DenyOOM, Keys: Keys{1, 2, 1},
		Group: "list", Since: "6.2.0", Syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
		Access:  []string{"RW access delete", "RW insert"},
		Summary: "Moves an element from one list to another and returns it.", Complexity: "O(1)",
		Run: lmove,
	},
	{
		Name: "rpoplpush", Arity: 3, Flags: Write | DenyOOM, Keys: Keys{1, 2, 1},
		Group: "list", Since: "1.2.0", Syntax: "source destination",
		Access:  []string{"RW access delete", "RW insert"},
		Summary: "Moves the last element of a list to the front of another and returns it.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			return move(c, c.Args.Next(), c.Args.Next(), lists.Right, lists.Left)
		},
	},
	{
		Name: "lmpop", Arity: -4, Flags: Write | MovableKeys, KeysFunc: keysAfterCount(1),
		Group: "list", Since: "7.0.0", Syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
		Access: []string{"RW access delete"}, KeySearch: KeySearch{CountAt: 1},
		Summary:    "Takes elements out of the first of several lists that is not empty.",
		Complexity: "O(N+M) where N is the number of keys and M the number of elements taken",
		Run:        func(c *Ctx) error { return popFirst(c, nil) },
	},
}

var blockingListCommands = []Command{
	{
		Name: "blpop", Arity: -3, Flags: Write | NoScript | Blocking, Keys: Keys{1, -2, 1},
		Group: "list", Since: "2.0.0", Syntax: "key [key ...] timeout",
		Access:     []string{"RW access delete"},
		Summary:    "Takes the first element out of the first list that is not empty; waits for one if need be.",
		Complexity: "O(N) where N is the number of keys",
		History:    []string{"6.0.0: `timeout` is interpreted as a double instead of an integer."},
		OnTimeout:  (*resp.Buffer).NullArray,
		Run:        func(c *Ctx) error { return blockingPop(c, lists.Left) },
	},
	{
		Name: "brpop", Arity: -3, Flags: Write | NoScript | Blocking, Keys: Keys{1, -2, 1},
		Group: "list", Since: "2.0.0", Syntax: "key [key ...] timeout",
		Access:     []string{"RW access delete"},
		Summary:    "Takes the last element out of the first list that is not empty; waits for one if need be.",
		Complexity: "O(N) where N is the number of keys",
		History:    []string{"6.0.0: `timeout` is interpreted as a double instead of an integer."},
		OnTimeout:  (*resp.Buffer).NullArray,
		Run:        func(c *Ctx) error { return blockingPop(c, lists.Right) },
	},
	{
		Name: "blmove", Arity: 6, Flags: Write | DenyOOM | NoScript | Blocking, Keys: Keys{1, 2, 1},
		Group: "list", Since: "6.2.0", Syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
		Access:  []string{"RW access delete", "RW insert"},
		Summary: "Moves an element from one list to another and returns it; waits for one if need be.", Complexity: "O(1)",
		OnTimeout: (*resp.Buffer).NullArray,
		Run:       blmove,
	},
	{
		Name: "brpoplpush", Arity: 4, Flags: Write | DenyOOM | NoScript | Blocking, Keys: Keys{1, 2, 1},
		Group: "list", Since: "2.2.0", Syntax: "source destination timeout",
		Access:     []string{"RW access delete", "RW insert"},
		Summary:    "Moves the last element of a list to the front of another and returns it; waits for one if need be.",
		Complexity: "O(1)",
		History:    []string{"6.0.0: `timeout` is interpreted as a double instead of an integer."},
		OnTimeout:  (*resp.Buffer).NullArray,
		Run: func(c *Ctx) error {
			source, destination := c.Args.Next(), c.Args.Next()
			return moveOrBlock(c, source, destination, lists.Right, lists.Left)
		},
	},
	{
		Name: "blmpop", Arity: -5, Flags: Write | Blocking | MovableKeys, KeysFunc: keysAfterCount(2),
		Group: "list", Since: "7.0.0", Syntax: "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
		Access: []string{"RW access delete"}, KeySearch: KeySearch{CountAt: 2},
		Summary:    "Takes elements out of the first of several lists that is not empty; waits for one if need be.",
		Complexity: "O(N+M) where N is the number of keys and M the number of elements taken",
		OnTimeout:  (*resp.Buffer).NullArray,
		Run:        func(c *Ctx) error { return popFirst(c, c.Args.Next()) },
	},
}

// push adds the remaining arguments to a list. Without create a list that does
// not exist stays so.
func push(c *Ctx, end lists.End, create bool) error {
	key := c.Args.Next()
	l, there, err := c.openToAdd(key)
	if err != nil {
		return err
	}
	if !there && !create {
		c.Out.Int(0)
		return nil
	}
	elements := c.Args.Rest()
	what, ok, err := c.admitPush(key, l, there, end, func() load { return loadOfAll(elements) })
	if !ok {
		return err
	}
	if !there {
		l = lists.New(c.Tx, key)
	}
	l.Push(end, elements...)
	c.pushed(l, end, what)
	c.Out.Int(l.Len())
	return nil
}

func pop(c *Ctx, end lists.End) error {
	if len(c.Args.All()) > 3 {
		return ArityError(c.Cmd)
	}
	key := c.Args.Next()
	if !c.Args.More() {
		l, ok, err := c.openToTake(key)
		if err != nil {
			return err
		}
		if !ok {
			c.Out.Null()
			return nil
		}
		popOne(c, l, key, end)
		return nil
	}
	count := c.Args.AtLeast(0, ErrNotPositive)
	if err := c.Args.Err(); err != nil {
		return err
	}
	l, ok, err := c.openToTake(key)
	if err != nil {
		return err
	}
	if !ok {
		c.Out.NullArray()
		return nil
	}
	return popCount(c, l, key, end, count, func(*resp.Buffer) {})
}

// popOne takes one element out of a list that is not empty, and answers it.
func popOne(c *Ctx, l lists.List, key []byte, end lists.End) {
	element := l.PopOne(end)
	c.hold(c.confirms(key), key, end, element)
	c.Out.Bulk(element)
}

// popped are very many elements that are to be taken out, with the reply that has
// them.
type popped struct {
	n, bytes int64
	reply    resp.Buffer
}

// popCount takes up to count elements out and answers them behind what head writes.
func popCount(c *Ctx, l lists.List, key []byte, end lists.End, count int64, head func(*resp.Buffer)) error {
	if p, ok := c.Prepared.(*popped); ok {
		l.Cut(end, p.n, p.bytes)
		c.Out.Move(&p.reply)
		return nil
	}
	n := min(count, l.Len())
	if e := c.confirms(key); e != nil {
		return popConfirmed(c, e, l, key, end, n, head)
	}
	if c.slowMove(l, n) {
		return c.Prepare()
	}
	if err := mayPop(c, l, end, n); err != nil {
		return err
	}
	if c.Site == nil && !c.isLongIn(l, n) {
		head(c.Out)
		writeBulks(c.Out, l.Pop(end, n))
		return nil
	}
	p := &popped{n: n, reply: resp.Buffer{Proto: c.Out.Proto}}
	head(&p.reply)
	p.reply.Array(int(n))
	write := func(_ int64, e []byte) bool {
		p.reply.Bulk(e)
		p.bytes += int64(len(e))
		return true
	}
	if end == lists.Left {
		l.Range(0, n, write)
	} else {
		l.RangeReverse(l.Len()-n, l.Len(), write)
	}
	if c.Site != nil {
		c.Prepared = p
		return nil
	}
	l.Cut(end, p.n, p.bytes)
	c.Out.Move(&p.reply)
	return nil
}

// popConfirmed is popCount of what is kept until it is confirmed: in the loop
// as a whole, as every element is written once more.
func popConfirmed(c *Ctx, e *policy.Effect, l lists.List, key []byte, end lists.End, n int64, head func(*resp.Buffer)) error {
	if err := mayPop(c, l, end, n); err != nil {
		return err
	}
	if n > confirmedPopMax || !c.Tx.Fits(n, l.Bytes()) {
		return storage.ErrTooMuch
	}
	elements := l.Pop(end, n)
	c.hold(e, key, end, elements...)
	head(c.Out)
	writeBulks(c.Out, elements)
	return nil
}

// confirmedPopMax is how many elements one call may pop that are kept until they
// are confirmed.
const confirmedPopMax = 10_000

// mayPop refuses to take more out of a list than a reply may hold: what was taken
// and not answered would be lost.
func mayPop(c *Ctx, l lists.List, end lists.End, count int64) error {
	n := min(count, l.Len())
	if c.FitsReply(n, l.Bytes()) {
		return nil
	}
	bytes, fits := int64(0), true
	look := func(_ int64, e []byte) bool {
		bytes += int64(len(e))
		fits = c.FitsReply(n, bytes)
		return fits
	}
	if end == lists.Left {
		l.Range(0, n, look)
	} else {
		l.RangeReverse(l.Len()-n, l.Len(), look)
	}
	if !fits {
		return ErrReplyTooLong
	}
	return nil
}

func writeBulks(out *resp.Buffer, items [][]byte) {
	out.Array(len(items))
	for _, item := range items {
		out.Bulk(item)
	}
}

func llen(c *Ctx) error {
	l, ok, err := lists.Open(c.Tx, c.Args.Next())
	if err != nil {
		return err
	}
	if !ok {
		c.Out.Int(0)
		return nil
	}
	c.Out.Int(l.Len())
	return nil
}

// clampRange turns Redis' inclusive range with negative indexes into from <=
// index < to; from >= to means that it is empty.
func clampRange(start, stop, n int64) (from, to int64) {
	if start < 0 {
		start = max(start+n, 0)
	}
	if stop < 0 {
		stop += n
	}
	if stop >= n {
		stop = n - 1
	}
	if start > stop {
		return 0, 0
	}
	return start, stop + 1
}

func lrange(c *Ctx) error {
	key, start, stop := c.Args.Next(), c.Args.Int(), c.Args.Int()
	if err := c.Args.Err(); err != nil {
		return err
	}
	l, ok, err := lists.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if !ok {
		c.Out.Array(0)
		return nil
	}
	from, to := clampRange(start, stop, l.Len())
	if c.Slow(to - from) {
		return c.Detach()
	}
	c.Out.Array(int(to - from))
	l.Range(from, to, func(_ int64, e []byte) bool {
		c.Out.Bulk(e)
		return true
	})
	return nil
}

func lindex(c *Ctx) error {
	l, ok, err := lists.Open(c.Tx, c.Args.Next())
	if err != nil {
		return err
	}
	if !ok {
		c.Out.Null()
		return nil
	}
	i := c.Args.Int()
	if err := c.Args.Err(); err != nil {
		return err
	}
	if i, ok = index(i, l.Len()); !ok {
		c.Out.Null()
		return nil
	}
	c.Out.Bulk(l.Index(i))
	return nil
}

// index resolves an index that may count from the end.
func index(i, n int64) (int64, bool) {
	if i < 0 {
		i += n
	}
	return i, i >= 0 && i < n
}

func lset(c *Ctx) error {
	key := c.Args.Next()
	l, ok, err := lists.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNoSuchKey
	}
	i := c.Args.Int()
	if err := c.Args.Err(); err != nil {
		return err
	}
	if i, ok = index(i, l.Len()); !ok {
		return ErrOutOfRange
	}
	element := c.Args.Next()
	if c.boundsOf(key) != nil {
		if err := c.admitEdit(key, listLoad(l, true), load{0, int64(len(element) - len(l.Index(i)))}, int64(len(element))); err != nil {
			return err
		}
	}
	l.Set(i, element)
	c.Out.OK()
	return nil
}

func lrem(c *Ctx) error {
	key, count, element := c.Args.Next(), c.Args.Int(), c.Args.Next()
	if err := c.Args.Err(); err != nil {
		return err
	}
	l, ok, err := lists.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if !ok {
		c.Out.Int(0)
		return nil
	}
	fromTail := count < 0
	if fromTail {
		count = -max(count, -math.MaxInt64)
	}
	if p, ok := c.Prepared.(*removed); ok {
		switch {
		case p.built != nil:
			l.Replace(p.built, "lrem")
		case p.matches.N > 0:
			if err := l.RemoveMatches(element, p.matches); err != nil {
				return err
			}
		}
		c.Out.Int(p.matches.N)
		return nil
	}
	matches, ok := l.Find(element, count, fromTail, c.stepsIn(l))
	if !ok || c.slowMove(l, l.Shift(matches)) {
		return c.Prepare()
	}
	if c.Site != nil {
		c.Prepared = prepareRemoval(c, l, element, matches)
		return nil
	}
	if matches.N > 0 {
		if err := l.RemoveMatches(element, matches); err != nil {
			return err
		}
	}
	c.Out.Int(matches.N)
	return nil
}

// stepsIn returns how many elements of a list may be looked at in the loop.
func (c *Ctx) stepsIn(l lists.List) int64 {
	if !c.Detachable {
		return math.MaxInt64
	}
	return min(c.Server.LongWriteItems, longWriteBytes/(1+l.Bytes()/l.Len()))
}

// slowMove reports whether moving n elements of a list is a slow write.
func (c *Ctx) slowMove(l lists.List, n int64) bool { return c.Detachable && c.isLongIn(l, n) }

func (c *Ctx) isLongIn(l lists.List, n int64) bool { return c.isLong(n, n*(l.Bytes()/l.Len())) }

// removed is what LREM removes, or the list without it.
type removed struct {
	matches lists.Matches
	built   *storage.Built
}

// prepareRemoval builds what is left, unless hardly anything has to move.
func prepareRemoval(c *Ctx, l lists.List, element []byte, m lists.Matches) *removed {
	if m.N == 0 || m.N == l.Len() || !c.isLongIn(l, l.Shift(m)) {
		return &removed{matches: m}
	}
	return &removed{m, lists.Build(c.Site, l.Without(element, m))}
}

func ltrim(c *Ctx) error {
	key, start, stop := c.Args.Next(), c.Args.Int(), c.Args.Int()
	if err := c.Args.Err(); err != nil {
		return err
	}
	l, ok, err := lists.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if ok {
		from, to := clampRange(start, stop, l.Len())
		kept, prepared := c.Prepared.(bytesKept)
		switch {
		case prepared && from < to:
			l.TrimTo(from, to, int64(kept))
		case c.slowMove(l, min(to-from, l.Len()-(to-from))):
			return c.Prepare()
		case c.Site != nil:
			c.Prepared = bytesKept(l.Kept(from, to))
			return nil
		default:
			l.Trim(from, to)
		}
	}
	c.Out.OK()
	return nil
}

// bytesKept is the size of what LTRIM keeps.
type bytesKept int64

func linsert(c *Ctx) error {
	key := c.Args.Next()
	behind := int64(0)
	switch c.Args.Option() {
	case "BEFORE":
	case "AFTER":
		behind = 1
	default:
		return ErrSyntax
	}
	pivot, element := c.Args.Next(), c.Args.Next()
	l, ok, err := lists.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if !ok {
		c.Out.Int(0)
		return nil
	}
	p, prepared := c.Prepared.(*inserted)
	if !prepared {
		m, ok := l.Find(pivot, 1, false, c.stepsIn(l))
		p = &inserted{found: m.N > 0, at: m.First + behind}
		shift := min(p.at, l.Len()-p.at)
		switch {
		case !ok || (p.found && c.slowMove(l, shift)):
			return c.Prepare()
		case c.Site != nil:
			if p.found && c.isLongIn(l, shift) {
				p.built = lists.Build(c.Site, l.With(p.at, element))
			}
			c.Prepared = p
			return nil
		}
	}
	if p.found {
		if err := c.admitEdit(key, listLoad(l, true), load{1, int64(len(element))}, int64(len(element))); err != nil {
			return err
		}
	}
	switch {
	case !p.found:
		c.Out.Int(-1)
		return nil
	case p.built != nil:
		l.Replace(p.built, "linsert")
		l = lists.Of(c.Tx, l.Object())
	default:
		if err := l.Insert(p.at, element); err != nil {
			return err
		}
	}
	c.Out.Int(l.Len())
	return nil
}

// inserted is where LINSERT puts its element, or the list with it.
type inserted struct {
	found bool
	at    int64
	built *storage.Built
}

const (
	errRankZero       resp.Error = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"
	errRankRange      resp.Error = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
	errCountNegative  resp.Error = "ERR COUNT can't be negative"
	errMaxlenNegative resp.Error = "ERR MAXLEN can't be negative"
)

func lpos(c *Ctx) error {
	key, element := c.Args.Next(), c.Args.Next()
	rank, count, maxlen := int64(1), int64(-1), int64(0)
	for c.Args.More() {
		switch c.Args.Option() {
		case "RANK":
			rank = c.Args.Int()
			if c.Args.Err() == nil && rank == 0 {
				c.Args.Fail(errRankZero)
			}
			if rank == math.MinInt64 {
				c.Args.Fail(errRankRange)
			}
		case "COUNT":
			count = c.Args.AtLeast(0, errCountNegative)
		case "MAXLEN":
			maxlen = c.Args.AtLeast(0, errMaxlenNegative)
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	l, ok, err := lists.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if ok {
		if maxlen == 0 || maxlen > l.Len() {
			maxlen = l.Len()
		}
		if c.Slow(maxlen) {
			return c.Detach()
		}
	}
	find := func(count int64, yield func(i int64)) {
		if ok {
			positions(l, element, rank, count, maxlen, yield)
		}
	}
	n := 0
	switch {
	case count < 0:
		find(1, func(i int64) { n++; c.Out.Int(i) })
		if n == 0 {
			c.Out.Null()
		}
	case c.Detached:
		// A long reply streams, so its length has to come first.
		find(count, func(int64) { n++ })
		c.Out.Array(n)
		find(count, c.Out.Int)
	default:
		later := c.Out.ArrayLater()
		find(count, func(i int64) { n++; c.Out.Int(i) })
		c.Out.SetLen(later, n)
	}
	return nil
}

// positions looks for an element among the first (rank > 0) or last maxlen
// elements, skips the first |rank|-1 matches and calls yield for up to count
// indexes (0: all).
func positions(l lists.List, element []byte, rank, count, maxlen int64, yield func(i int64)) {
	skip := max(rank, -rank) - 1
	found := int64(0)
	look := func(i int64, e []byte) bool {
		if string(e) != string(element) {
			return true
		}
		if skip > 0 {
			skip--
			return true
		}
		found++
		yield(i)
		return count == 0 || found < count
	}
	if rank > 0 {
		l.Range(0, maxlen, look)
	} else {
		l.RangeReverse(l.Len()-maxlen, l.Len(), look)
	}
}

// end reads LEFT or RIGHT.
func end(a *Args) lists.End {
	switch a.Option() {
	case "LEFT":
		return lists.Left
	case "RIGHT":
		return lists.Right
	}
	a.Fail(ErrSyntax)
	return lists.Left
}

func lmove(c *Ctx) error {
	source, destination := c.Args.Next(), c.Args.Next()
	from, to := end(&c.Args), end(&c.Args)
	if err := c.Args.Err(); err != nil {
		return err
	}
	return move(c, source, destination, from, to)
}

// move moves one element and answers it, or answers that there is none.
func move(c *Ctx, source, destination []byte, from, to lists.End) error {
	src, ok, err := c.openToTake(source)
	if err != nil {
		return err
	}
	if !ok {
		c.Out.Null()
		return nil
	}
	what, ok, err := c.admitMoved(src, from, 1, destination, to)
	if !ok {
		return err
	}
	e, err := src.MoveTo(from, destination, to)
	if err != nil {
		return err
	}
	if what.n > 0 {
		dst, _, _ := lists.Open(c.Tx, destination)
		c.pushed(dst, to, what)
	}
	c.Out.Bulk(e)
	return nil
}

// admitMoved decides about n elements that are to go from an end of a list to an
// end of another; within one list nothing is added.
func (c *Ctx) admitMoved(src lists.List, from lists.End, n int64, destination []byte, to lists.End) (what displaced, ok bool, err error) {
	if src.Object().Key == string(destination) || c.boundsOf(destination) == nil {
		return what, true, nil
	}
	dst, there, err := c.openToAdd(destination)
	if err != nil {
		return what, false, err
	}
	return c.admitPush(destination, dst, there, to, func() load {
		moved := load{messages: n}
		count := func(_ int64, e []byte) bool {
			moved.bytes += int64(len(e))
			return true
		}
		if from == lists.Left {
			src.Range(0, n, count)
		} else {
			src.RangeReverse(src.Len()-n, src.Len(), count)
		}
		return moved
	})
}

func blmove(c *Ctx) error {
	source, destination := c.Args.Next(), c.Args.Next()
	from, to := end(&c.Args), end(&c.Args)
	return moveOrBlock(c, source, destination, from, to)
}

func moveOrBlock(c *Ctx, source, destination []byte, from, to lists.End) error {
	timeout := c.Args.Timeout(c.Tx.NowMillis())
	if err := c.Args.Err(); err != nil {
		return err
	}
	_, ok, err := c.openToTake(source)
	if err != nil {
		return err
	}
	if !ok && c.InExec {
		c.Out.Null() // where nothing blocks, the answer is LMOVE's
		return nil
	}
	if !ok {
		return c.Block(listWait(Wait{Timeout: timeout}, source))
	}
	c.within = timeout
	return move(c, source, destination, from, to)
}

// blockingPop is BLPOP and BRPOP.
func blockingPop(c *Ctx, end lists.End) error {
	keys := c.Args.Take(c.Args.Len() - 1)
	timeout := c.Args.Timeout(c.Tx.NowMillis())
	if err := c.Args.Err(); err != nil {
		return err
	}
	for _, key := range keys {
		l, ok, err := c.openToTake(key)
		if err != nil {
			return err
		}
		if ok {
			c.Out.Array(2)
			c.Out.Bulk(key)
			popOne(c, l, key, end)
			return nil
		}
	}
	return c.Block(listWait(Wait{Timeout: timeout}, keys...))
}

// popFirst is LMPOP, and BLMPOP if there is something to wait for.
func popFirst(c *Ctx, timeout []byte) error {
	numkeys := c.Args.AtLeast(1, ErrNumkeys)
	if c.Args.Err() == nil && numkeys >= int64(c.Args.Len()) {
		c.Args.Fail(ErrSyntax)
	}
	keys := c.Args.Take(int(numkeys))
	from := end(&c.Args)
	count := int64(1)
	if c.Args.More() {
		if !c.Args.Word("COUNT") {
			c.Args.Fail(ErrSyntax)
		}
		count = c.Args.AtLeast(1, ErrCountPositive)
		if c.Args.More() {
			c.Args.Fail(ErrSyntax)
		}
	}
	wait := Wait{}
	if timeout != nil {
		wait.Timeout = c.Args.timeoutIn(timeout, c.Tx.NowMillis())
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	for _, key := range keys {
		l, ok, err := c.openToTake(key)
		if err != nil {
			return err
		}
		if ok {
			return popCount(c, l, key, from, count, func(out *resp.Buffer) {
				out.Array(2)
				out.Bulk(key)
			})
		}
	}
	if timeout == nil {
		c.Out.NullArray()
		return nil
	}
	return c.Block(listWait(wait, keys...))
}

func listWait(w Wait, keys ...[]byte) Wait {
	w.Type = storage.TypeList
	for _, key := range keys {
		w.Keys = append(w.Keys, string(key))
	}
	return w
}

// keysAfterCount finds keys whose number stands at args[at].
func keysAfterCount(at int) func([][]byte) ([]int, bool) {
	return func(args [][]byte) ([]int, bool) {
		if at >= len(args) {
			return nil, false
		}
		n, ok := ParseInt(args[at])
		if !ok || n < 1 || n > int64(len(args)-at-1) {
			return nil, false
		}
		found := make([]int, n)
		for i := range found {
			found[i] = at + 1 + i
		}
		return found, true
	}
}
