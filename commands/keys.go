package commands

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/cairnmq/cairn/glob"
	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

var keyCommands = []Command{
	{
		Name: "del", Arity: -2, Flags: Write, Keys: Keys{1, -1, 1},
		Group: "generic", Since: "1.0.0", Syntax: "key [key ...]",
		Access: []string{"RM delete"}, Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"},
		Summary: "Removes keys with everything in them.", Complexity: "O(N) where N is the number of keys",
		Run: del,
	},
	{
		Name: "unlink", Arity: -2, Flags: Write | Fast, Keys: Keys{1, -1, 1},
		Group: "generic", Since: "4.0.0", Syntax: "key [key ...]",
		Access: []string{"RM delete"}, Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"},
		Summary: "Removes keys; here the same as DEL, which never waits for what is in them.", Complexity: "O(N) where N is the number of keys",
		Run: del,
	},
	{
		Name: "exists", Arity: -2, Flags: ReadOnly | Fast | Touches, Keys: Keys{1, -1, 1},
		Group: "generic", Since: "1.0.0", Syntax: "key [key ...]",
		Access: []string{"RO"}, Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"},
		Summary: "Counts how many of the given keys exist.", Complexity: "O(N) where N is the number of keys",
		History: []string{"3.0.3: Accepts multiple `key` arguments."},
		Run:     func(c *Ctx) error { return countExisting(c) },
	},
	{
		Name: "touch", Arity: -2, Flags: ReadOnly | Fast, Keys: Keys{1, -1, 1},
		Group: "generic", Since: "3.2.1", Syntax: "key [key ...]",
		Access: []string{"RO"}, Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"},
		Summary: "Counts how many of the given keys exist and notes that they were used.", Complexity: "O(N) where N is the number of keys",
		Run: func(c *Ctx) error { return countExisting(c) },
	},
	{
		Name: "type", Arity: 2, Flags: ReadOnly | Fast | Touches, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "1.0.0", Syntax: "key",
		Access:  []string{"RO"},
		Summary: "Returns the type of a key.", Complexity: "O(1)",
		Run: typeOf,
	},
	{
		Name: "keys", Arity: 2, Flags: ReadOnly | Dangerous,
		Group: "generic", Since: "1.0.0", Syntax: "pattern",
		Tips:    []string{"request_policy:all_shards", "nondeterministic_output_order"},
		Summary: "Returns the keys whose names match a pattern.", Complexity: "O(N) where N is the number of keys in the database",
		Run: keys,
	},
	{
		Name: "scan", Arity: -2, Flags: ReadOnly,
		Group: "generic", Since: "2.8.0", Syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
		Tips:       []string{"nondeterministic_output", "request_policy:special"},
		Summary:    "Walks over the keys in portions.",
		Complexity: "O(1) for each call, O(N) for a whole walk where N is the number of keys in the database",
		History:    []string{"6.0.0: Added the `TYPE` subcommand."},
		Run:        scan,
	},
	{
		Name: "randomkey", Arity: 1, Flags: ReadOnly | Touches,
		Group: "generic", Since: "1.0.0", Syntax: "",
		Tips:    []string{"request_policy:all_shards", "nondeterministic_output"},
		Summary: "Returns the name of a random key.", Complexity: "O(1)",
		Run: randomKey,
	},
	{
		Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast | Keyspace,
		Group: "server", Since: "1.0.0", Syntax: "",
		Tips:    []string{"request_policy:all_shards", "response_policy:agg_sum"},
		Summary: "Returns the number of keys in the database.", Complexity: "O(1)",
		Run: func(c *Ctx) error { c.Out.Int(c.Tx.Keys()); return nil },
	},
	{
		Name: "rename", Arity: 3, Flags: Write, Keys: Keys{1, 2, 1},
		Group: "generic", Since: "1.0.0", Syntax: "key newkey",
		Access:  []string{"RW access delete", "OW update"},
		Summary: "Gives a key another name, in place of what had it before.", Complexity: "O(1)",
		Run: rename,
	},
	{
		Name: "renamenx", Arity: 3, Flags: Write | Fast, Keys: Keys{1, 2, 1},
		Group: "generic", Since: "1.0.0", Syntax: "key newkey",
		Access:  []string{"RW access delete", "OW insert"},
		Summary: "Gives a key another name unless that is taken.", Complexity: "O(1)",
		History: []string{"3.2.0: The command no longer returns an error when source and destination names are the same."},
		Run:     renamenx,
	},
	{
		Name: "copy", Arity: -3, Flags: Write | DenyOOM, Keys: Keys{1, 2, 1},
		Group: "generic", Since: "6.2.0", Syntax: "source destination [DB destination-db] [REPLACE]",
		Access:  []string{"RO access", "OW update"},
		Summary: "Copies a key.", Complexity: "O(N) where N is the number of items in the key",
		Run: copyKey,
	},
	{
		Name: "move", Arity: 3, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "1.0.0", Syntax: "key db",
		Access:  []string{"RW access update"},
		Summary: "Moves a key to another database.", Complexity: "O(1)",
		Run: moveKey,
	},
	{
		Name: "swapdb", Arity: 3, Flags: Write | Fast | Dangerous | Keyspace,
		Group: "server", Since: "4.0.0", Syntax: "index1 index2",
		Summary: "Exchanges two databases.", Complexity: "O(N) where N is the number of clients that watch or wait for keys of them",
		Run: swapDB,
	},
	{
		Name: "flushdb", Arity: -1, Flags: Write | Dangerous | Keyspace,
		Group: "server", Since: "1.0.0", Syntax: "[ASYNC | SYNC]",
		Tips:    []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Summary: "Removes all keys of the database.", Complexity: "O(1)",
		History: []string{"4.0.0: Added the `ASYNC` flushing mode modifier.", "6.2.0: Added the `SYNC` flushing mode modifier."},
		Run: func(c *Ctx) error {
			return flush(c, c.Tx.FlushDB, func(db int) bool { return db == c.Tx.DB() })
		},
	},
	{
		Name: "flushall", Arity: -1, Flags: Write | Dangerous | Keyspace,
		Group: "server", Since: "1.0.0", Syntax: "[ASYNC | SYNC]",
		Tips:    []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Summary: "Removes all keys of all databases.", Complexity: "O(1)",
		History: []string{"4.0.0: Added the `ASYNC` flushing mode modifier.", "6.2.0: Added the `SYNC` flushing mode modifier."},
		Run:     func(c *Ctx) error { return flush(c, c.Tx.FlushAll, func(int) bool { return true }) },
	},
}

func del(c *Ctx) error {
	n := int64(0)
	for _, key := range c.Args.Rest() {
		if o := c.Tx.Lookup(key); o != nil {
			c.Tx.Drop(o)
			c.Tx.Event(o, storage.TypeNone, "del")
			n++
		}
	}
	c.Out.Int(n)
	return nil
}

func countExisting(c *Ctx) error {
	n := int64(0)
	for _, key := range c.Args.Rest() {
		if c.Tx.Lookup(key) != nil {
			n++
		}
	}
	c.Out.Int(n)
	return nil
}

func typeOf(c *Ctx) error {
	t := storage.TypeNone
	if o := c.Tx.Lookup(c.Args.Next()); o != nil {
		t = o.Type()
	}
	c.Out.Simple(t.String())
	return nil
}

func keys(c *Ctx) error {
	pattern := string(c.Args.Next())
	if n := c.Tx.Keys(); c.Slow(n + n*int64(len(pattern)/patternBytesPerItem)) {
		return c.Detach()
	}
	if c.Detached {
		// A long reply streams, so its length has to come first.
		n := 0
		matching(c, pattern, math.MaxInt, func([]byte) { n++ })
		c.Out.Array(n)
		matching(c, pattern, math.MaxInt, c.Out.Bulk)
		return nil
	}
	steps := math.MaxInt
	if c.Detachable {
		steps = scanSteps
	}
	later, n := c.Out.ArrayLater(), 0
	all := matching(c, pattern, steps, func(key []byte) {
		c.Out.Bulk(key)
		n++
	})
	c.Out.SetLen(later, n)
	if !all { // there are few keys, but many were deleted of late
		return c.Detach()
	}
	return nil
}

// patternBytesPerItem is about how many bytes of a pattern make a comparison take
// as long as another key.
const patternBytesPerItem = 64

// matching calls yield for the keys that match, and reports whether those are all:
// it gives up after so many steps.
func matching(c *Ctx, pattern string, steps int, yield func(key []byte)) (all bool) {
	return c.Tx.ScanSome(0, steps, func(i storage.KeyInfo) bool {
		if pattern == "*" || glob.Match(pattern, string(i.Key)) {
			yield(i.Key)
		}
		return true
	}) == 0
}

// scanSteps is how many keys, deleted ones among them, SCAN comes past in the
// loop: about two milliseconds' worth.
const scanSteps = 10_000

// parseCursor reads a cursor as strtoul does: it may have a sign, and nothing is 0.
func parseCursor(p []byte) (cursor uint64, ok bool) {
	digits, negative := p, false
	if len(p) > 0 && (p[0] == '-' || p[0] == '+') {
		digits, negative = p[1:], p[0] == '-'
	}
	if len(p) == 0 {
		return 0, true
	}
	cursor, err := strconv.ParseUint(string(digits), 10, 64)
	if negative {
		cursor = -cursor
	}
	return cursor, err == nil
}

func scan(c *Ctx) error {
	cursor, ok := parseCursor(c.Args.Next())
	if !ok {
		return ErrCursor
	}
	pattern, count, only := "", int64(10), ""
	for c.Args.More() {
		switch c.Args.Option() {
		case "MATCH":
			if pattern = string(c.Args.Next()); pattern == "*" {
				pattern = "" // all, the key with the empty name too
			}
		case "COUNT":
			count = c.Args.Int()
			if c.Args.Err() == nil && count < 1 {
				c.Args.Fail(ErrSyntax)
			}
		case "TYPE":
			only = strings.ToLower(string(c.Args.Next()))
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	if n := min(count, c.Tx.Keys()); c.Slow(n + n*int64(len(pattern)/patternBytesPerItem)) {
		return c.Detach()
	}
	walk := func(yield func(key []byte)) (next uint64) {
		left := count
		return c.Tx.ScanSome(cursor, max(scanSteps, int(min(count, math.MaxInt32))), func(i storage.KeyInfo) bool {
			left--
			if (pattern == "" || glob.Match(pattern, string(i.Key))) && (only == "" || i.Type.String() == only) {
				yield(i.Key)
			}
			return left > 0
		})
	}
	// Where to go on comes first in the reply, and how many there are.
	if c.Detached {
		n := 0
		next := walk(func([]byte) { n++ })
		startScanReply(c.Out, next, n)
		walk(c.Out.Bulk)
		return nil
	}
	var found [][]byte
	next := walk(func(key []byte) { found = append(found, bytes.Clone(key)) })
	startScanReply(c.Out, next, len(found))
	for _, key := range found {
		c.Out.Bulk(key)
	}
	return nil
}

func startScanReply(out *resp.Buffer, next uint64, n int) {
	out.Array(2)
	out.BulkString(strconv.FormatUint(next, 10))
	out.Array(n)
}

func randomKey(c *Ctx) error {
	if key, ok := c.Tx.RandomKey(c.Server.Rand.Uint64()); ok {
		c.Out.Bulk(key)
	} else {
		c.Out.Null()
	}
	return nil
}

func rename(c *Ctx) error {
	from, to := c.Args.Next(), c.Args.Next()
	o := c.Tx.Lookup(from)
	if o == nil {
		return ErrNoSuchKey
	}
	if string(from) != string(to) {
		if err := c.admitWhole(to, func() load { return loadOf(c.Tx, o) }); err != nil {
			return err
		}
		if old := c.Tx.Lookup(to); old != nil {
			c.Tx.Drop(old)
		}
		renameTo(c, o, to)
	}
	c.Out.OK()
	return nil
}

func renamenx(c *Ctx) error {
	from, to := c.Args.Next(), c.Args.Next()
	o := c.Tx.Lookup(from)
	if o == nil {
		return ErrNoSuchKey
	}
	if c.Tx.Lookup(to) != nil {
		c.Out.Int(0)
		return nil
	}
	if err := c.admitWhole(to, func() load { return loadOf(c.Tx, o) }); err != nil {
		return err
	}
	renameTo(c, o, to)
	c.Out.Int(1)
	return nil
}

func renameTo(c *Ctx, o *storage.Object, to []byte) {
	dst := c.Tx.Rename(o, c.Tx, to)
	c.Tx.Event(o, storage.TypeNone, "rename_from")
	c.Tx.Event(dst, storage.TypeNone, "rename_to")
}

func copyKey(c *Ctx) error {
	from, to := c.Args.Next(), c.Args.Next()
	target, replace := c.Tx, false
	for c.Args.More() {
		switch c.Args.Option() {
		case "DB":
			target = database(c)
		case "REPLACE":
			replace = true
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	if target.DB() == c.Tx.DB() && string(from) == string(to) {
		return ErrSameObject
	}
	o := c.Tx.Lookup(from)
	if o == nil {
		c.Out.Int(0)
		return nil
	}
	old := target.Lookup(to)
	if old != nil && !replace {
		c.Out.Int(0)
		return nil
	}
	if err := c.admitWhole(to, func() load { return loadOf(c.Tx, o) }); err != nil {
		return err
	}
	built, prepared := c.Prepared.(*storage.Built)
	if n, bytes := sizeOf(c.Tx, o); c.SlowWrite(n, bytes) {
		return c.Prepare()
	} else if c.Site == nil && !prepared && !c.Tx.FitsCopy(o) {
		return storage.ErrTooMuch
	}
	if c.Site != nil {
		c.Prepared = c.Site.CopyFrom(c.Tx, o)
		return nil
	}
	if old != nil {
		target.Drop(old)
	}
	var dst *storage.Object
	if prepared {
		dst = target.Adopt(to, built)
	} else {
		dst = c.Tx.Copy(o, target, to)
	}
	c.Tx.Event(dst, storage.TypeNone, "copy_to")
	c.Out.Int(1)
	return nil
}

// sizeOf returns about how many records a key has, and their size.
func sizeOf(tx *storage.Tx, o *storage.Object) (n, bytes int64) {
	switch o.Type() {
	case storage.TypeList:
		l := lists.Of(tx, o)
		return l.Len(), l.Bytes()
	case storage.TypeStream:
		s, err := streams.Of(tx, o)
		if err != nil {
			return 0, 0
		}
		n, bytes = int64(s.Len()), int64(s.Bytes())
		for _, g := range s.Groups() {
			n += int64(g.PendingCount()/pendingPerItem + g.ConsumerCount())
		}
	}
	return n, bytes
}

// database reads a database number and returns the turn's view of it.
func database(c *Ctx) *storage.Tx {
	n := c.dbIndex()
	if c.Args.Err() != nil {
		return c.Tx
	}
	return c.Tx.In(n)
}

func moveKey(c *Ctx) error {
	key := c.Args.Next()
	target := database(c)
	if err := c.Args.Err(); err != nil {
		return err
	}
	if target.DB() == c.Tx.DB() {
		return ErrSameObject
	}
	o := c.Tx.Lookup(key)
	if o == nil || target.Lookup(key) != nil {
		c.Out.Int(0)
		return nil
	}
	if err := c.admitWhole(key, func() load { return loadOf(c.Tx, o) }); err != nil { // there may be a limit since
		return err
	}
	dst := c.Tx.Rename(o, target, key)
	c.Tx.Event(o, storage.TypeNone, "move_from")
	c.Tx.Event(dst, storage.TypeNone, "move_to")
	c.Out.Int(1)
	return nil
}

func swapDB(c *Ctx) error {
	a := c.Args.Int32Or("ERR invalid first DB index")
	b := c.Args.Int32Or("ERR invalid second DB index")
	if err := c.Args.Err(); err != nil {
		return err
	}
	if !c.hasDB(a) || !c.hasDB(b) {
		return ErrDBIndex
	}
	if a != b {
		c.Tx.SwapDB(int(a), int(b))
		c.Server.InvalidateAll(c.Session)
	}
	c.Out.OK()
	return nil
}

// flush empties the databases that which names.
func flush(c *Ctx, run func(), which func(db int) bool) error {
	if c.Args.Len() > 1 {
		return ErrSyntax
	}
	// Both words are obeyed: nobody waits for the removal, and what was removed
	// is gone when the reply arrives.
	if c.Args.More() && !c.Args.Word("ASYNC") && !c.Args.Word("SYNC") {
		return ErrSyntax
	}
	run()
	c.Server.forgetPopped(c.Tx, which)
	c.Server.InvalidateAll(c.Session)
	c.Out.OK()
	return nil
}
