package commands

import (
	"math"

	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

var expireCommands = []Command{
	{
		Name: "expire", Arity: -3, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "1.0.0", Syntax: "key seconds [NX | XX | GT | LT]",
		Summary: "Makes a key run out in so many seconds.", Complexity: "O(1)",
		History: []string{"7.0.0: Added options: `NX`, `XX`, `GT` and `LT`."},
		Run:     func(c *Ctx) error { return expire(c, 1000, true) },
	},
	{
		Name: "pexpire", Arity: -3, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "2.6.0", Syntax: "key milliseconds [NX | XX | GT | LT]",
		Summary: "Makes a key run out in so many milliseconds.", Complexity: "O(1)",
		History: []string{"7.0.0: Added options: `NX`, `XX`, `GT` and `LT`."},
		Run:     func(c *Ctx) error { return expire(c, 1, true) },
	},
	{
		Name: "expireat", Arity: -3, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "1.2.0", Syntax: "key unix-time-seconds [NX | XX | GT | LT]",
		Summary: "Makes a key run out at a unix time in seconds.", Complexity: "O(1)",
		History: []string{"7.0.0: Added options: `NX`, `XX`, `GT` and `LT`."},
		Run:     func(c *Ctx) error { return expire(c, 1000, false) },
	},
	{
		Name: "pexpireat", Arity: -3, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "2.6.0", Syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
		Summary: "Makes a key run out at a unix time in milliseconds.", Complexity: "O(1)",
		History: []string{"7.0.0: Added options: `NX`, `XX`, `GT` and `LT`."},
		Run:     func(c *Ctx) error { return expire(c, 1, false) },
	},
	{
		Name: "ttl", Arity: 2, Flags: ReadOnly | Fast | Touches, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "1.0.0", Syntax: "key",
		Tips:    []string{"nondeterministic_output"},
		Summary: "Returns in how many seconds a key runs out.", Complexity: "O(1)",
		History: []string{"2.8.0: Added the -2 reply."},
		Run:     func(c *Ctx) error { return ttl(c, 1000, true) },
	},
	{
		Name: "pttl", Arity: 2, Flags: ReadOnly | Fast | Touches, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "2.6.0", Syntax: "key",
		Tips:    []string{"nondeterministic_output"},
		Summary: "Returns in how many milliseconds a key runs out.", Complexity: "O(1)",
		History: []string{"2.8.0: Added the -2 reply."},
		Run:     func(c *Ctx) error { return ttl(c, 1, true) },
	},
	{
		Name: "expiretime", Arity: 2, Flags: ReadOnly | Fast | Touches, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "7.0.0", Syntax: "key",
		Summary: "Returns the unix time in seconds at which a key runs out.", Complexity: "O(1)",
		Run: func(c *Ctx) error { return ttl(c, 1000, false) },
	},
	{
		Name: "pexpiretime", Arity: 2, Flags: ReadOnly | Fast | Touches, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "7.0.0", Syntax: "key",
		Summary: "Returns the unix time in milliseconds at which a key runs out.", Complexity: "O(1)",
		Run: func(c *Ctx) error { return ttl(c, 1, false) },
	},
	{
		Name: "persist", Arity: 2, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "2.2.0", Syntax: "key",
		Summary: "Makes a key stay for ever.", Complexity: "O(1)",
		Run: persist,
	},
}

// expireCondition says when EXPIRE applies.
type expireCondition struct{ nx, xx, gt, lt bool }

func (a *Args) expireCondition() (cond expireCondition) {
	for a.More() {
		word := a.Peek()
		switch a.Option() {
		case "NX":
			cond.nx = true
		case "XX":
			cond.xx = true
		case "GT":
			cond.gt = true
		case "LT":
			cond.lt = true
		default:
			a.Fail(resp.Errorf("ERR Unsupported option %s", word))
		}
	}
	switch {
	case cond.nx && (cond.xx || cond.gt || cond.lt):
		a.Fail("ERR NX and XX, GT or LT options at the same time are not compatible")
	case cond.gt && cond.lt:
		a.Fail("ERR GT and LT options at the same time are not compatible")
	}
	return cond
}

// allows reports whether the condition lets a key with expiry current (0: none)
// get expiry at.
func (cond expireCondition) allows(current, at int64) bool {
	switch {
	case cond.nx && current != 0,
		cond.xx && current == 0,
		cond.gt && (current == 0 || at <= current), // no expiry counts as infinitely late
		cond.lt && current != 0 && at >= current:
		return false
	}
	return true
}

// expire is EXPIRE and its kin: unit is the milliseconds in the argument's
// unit, relative says that it counts from now.
func expire(c *Ctx, unit int64, relative bool) error {
	key, when := c.Args.Next(), c.Args.Next()
	cond := c.Args.expireCondition()
	if err := c.Args.Err(); err != nil {
		return err
	}
	at, ok := ParseInt(when)
	if !ok {
		return ErrNotInteger
	}
	if at > math.MaxInt64/unit || at < math.MinInt64/unit {
		return errInvalidExpire(c)
	}
	at *= unit
	if relative {
		if at > math.MaxInt64-c.Tx.NowMillis() {
			return errInvalidExpire(c)
		}
		at += c.Tx.NowMillis()
	}
	o := c.Tx.Lookup(key)
	if o == nil || !cond.allows(o.ExpireAt(), at) {
		c.Out.Int(0)
		return nil
	}
	if at <= c.Tx.NowMillis() {
		c.Tx.Drop(o)
		c.Tx.Event(o, storage.TypeNone, "del")
	} else {
		c.Tx.SetExpiry(o, at)
		c.Tx.Event(o, storage.TypeNone, "expire")
	}
	c.Out.Int(1)
	return nil
}

func errInvalidExpire(c *Ctx) error {
	return resp.Errorf("ERR invalid expire time in '%s' command", c.Cmd.Name)
}

// ttl answers when a key runs out: -2 without the key, -1 without an expiry.
func ttl(c *Ctx, unit int64, relative bool) error {
	o := c.Tx.Lookup(c.Args.Next())
	switch {
	case o == nil:
		c.Out.Int(-2)
	case o.ExpireAt() == 0:
		c.Out.Int(-1)
	case relative:
		c.Out.Int(round(o.ExpireAt()-c.Tx.NowMillis(), unit))
	default:
		c.Out.Int(round(o.ExpireAt(), unit))
	}
	return nil
}

func round(ms, unit int64) int64 { return (ms + unit/2) / unit }

func persist(c *Ctx) error {
	o := c.Tx.Lookup(c.Args.Next())
	if o == nil || o.ExpireAt() == 0 {
		c.Out.Int(0)
		return nil
	}
	c.Tx.SetExpiry(o, 0)
	c.Tx.Event(o, storage.TypeNone, "persist")
	c.Out.Int(1)
	return nil
}
