package commands

import (
	"slices"
	"strings"
)

// What COMMAND INFO says of a command, and what ACL categories it is in,
// follows from its entry
// (https://redis.io/docs/latest/commands/command/).

// flagWords are the flags that COMMAND INFO shows, in its order.
var flagWords = []struct {
	flag Flags
	word string
}{
	{Write, "write"}, {ReadOnly, "readonly"}, {DenyOOM, "denyoom"}, {Admin, "admin"}, {PubSub, "pubsub"},
	{NoScript, "noscript"}, {Blocking, "blocking"}, {Loading, "loading"}, {Stale, "stale"},
	{SkipMonitor, "skip_monitor"}, {SkipSlowlog, "skip_slowlog"}, {Fast, "fast"}, {NoAuth, "no_auth"},
	{NoAsyncLoading, "no_async_loading"}, {NoMulti, "no_multi"}, {MovableKeys, "movablekeys"}, {AllowBusy, "allow_busy"},
}

// flagNames returns the command's flags as COMMAND INFO shows them.
func (c *Command) flagNames() []string {
	flags := c.Flags
	if c.KeysFunc != nil || c.CallAt != nil {
		flags |= MovableKeys
	}
	var names []string
	for _, f := range flagWords {
		if flags&f.flag != 0 {
			names = append(names, f.word)
		}
	}
	return names
}

// Categories returns the ACL categories of the command, without the "@". Most
// follow from flags, those of a data type from the group. A container has no
// data of its own: only the speed of its subcommands is said of it.
func (c *Command) Categories() []string {
	is := func(f Flags) bool { return c.Flags&f != 0 }
	group := c.Group
	if c.Run == nil {
		group = ""
	}
	var list []string
	for _, category := range []struct {
		name string
		in   bool
	}{
		{"keyspace", is(Keyspace) || (group == "generic" && !is(Sorts|Connection))},
		{"read", is(ReadOnly)},
		{"write", is(Write)},
		{"set", is(Sorts)},
		{"sortedset", is(Sorts)},
		{"list", group == "list" || is(Sorts)},
		{"stream", group == "stream"},
		{"pubsub", is(PubSub)},
		{"admin", is(Admin | AdminCategory)},
		{"fast", is(Fast)},
		{"slow", !is(Fast)},
		{"blocking", is(Blocking)},
		{"dangerous", is(Admin | Dangerous)},
		{"connection", is(Connection)},
		{"transaction", is(Transaction)},
	} {
		if category.in {
			list = append(list, category.name)
		}
	}
	return list
}

// categoryNames are all ACL categories, in Redis' order, those of data types that
// are not there included.
var categoryNames = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
	"pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// keySpec is one key specification of COMMAND INFO: where a search for keys
// begins, and which of the arguments from there on are keys.
type keySpec struct {
	flags []string
	// The search begins at argument index, or at keyword, looked for from
	// argument from on.
	index   int
	keyword string
	from    int
	// Keys are all arguments up to lastKey (relative to the first, negative:
	// from the end), every step-th, of which limit says what part (2: the first
	// half); or, if counted, as many as the argument at index says.
	lastKey, step, limit int
	counted              bool
	unknown              bool // none of this says where they are
}

// keySpecs returns the command's key specifications.
func (c *Command) keySpecs() []keySpec {
	switch {
	case c.CallAt != nil:
		return []keySpec{{flags: c.access(0), unknown: true}}
	case c.KeySearch.Keyword != "":
		return []keySpec{{
			flags: c.access(0), keyword: c.KeySearch.Keyword, from: c.KeySearch.From, lastKey: -1, step: 1, limit: 2,
		}}
	case c.KeySearch.CountAt > 0:
		return []keySpec{{flags: c.access(0), index: c.KeySearch.CountAt, counted: true, step: 1}}
	case c.KeySearch.Anywhere:
		return []keySpec{{flags: c.access(0), index: c.Keys.First, step: 1}, {flags: c.access(1), unknown: true}}
	case c.Keys.First == 0:
		return nil
	case len(c.Access) > 1:
		specs := make([]keySpec, 0, len(c.Access))
		for i := range c.Access {
			specs = append(specs, keySpec{flags: c.access(i), index: c.Keys.First + i*c.Keys.Step, step: 1})
		}
		return specs
	}
	last := c.Keys.Last
	if last > 0 {
		last -= c.Keys.First
	}
	return []keySpec{{flags: c.access(0), index: c.Keys.First, lastKey: last, step: c.Keys.Step}}
}

// access returns what happens to the data at the keys of the i-th key
// specification.
func (c *Command) access(i int) []string {
	switch {
	case len(c.Access) > 0:
		return strings.Fields(c.Access[min(i, len(c.Access)-1)])
	case c.Has(PubSub):
		return []string{"not_key"}
	case c.Has(Write):
		return []string{"RW", "update"}
	}
	return []string{"RO", "access"}
}

// keyAccess returns, for the n keys of a call in the order of KeyIndexes, what
// happens to each.
func (c *Command) keyAccess(n int) [][]string {
	flags := make([][]string, n)
	for i := range flags {
		flags[i] = c.access(i)
	}
	return flags
}

// redacted stands for an argument that is shown to nobody.
var redacted = []byte("(redacted)")

// secretsOfCall hides the arguments of a call that stands at args[at] if it is one
// of those that have secrets.
func secretsOfCall(at int) func(args [][]byte) []int {
	return func(args [][]byte) (hidden []int) {
		if at >= len(args) || !slices.ContainsFunc([]string{"AUTH", "HELLO", "ACL", "CONFIG"}, func(name string) bool { return EqualFold(args[at], name) }) {
			return nil
		}
		for i := at + 1; i < len(args); i++ {
			hidden = append(hidden, i)
		}
		return hidden
	}
}

// Shown returns the arguments of a call as others may see them.
func (c *Command) Shown(args [][]byte) [][]byte {
	var secret []int
	switch {
	case c.Has(Secret):
		for i := 1; i < len(args); i++ {
			secret = append(secret, i)
		}
	case c.Secrets != nil:
		secret = c.Secrets(args)
	}
	if len(secret) == 0 {
		return args
	}
	shown := append([][]byte(nil), args...)
	for _, i := range secret {
		if i < len(shown) {
			shown[i] = redacted
		}
	}
	return shown
}
