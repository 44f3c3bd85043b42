package commands

import (
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/resp"
)

var pubsubCommands = []Command{
	{
		Name: "subscribe", Arity: -2, Flags: PubSub | NoScript | Loading | Stale | InSubscribe, Channels: Channels{First: 1, Last: -1},
		Group: "pubsub", Since: "2.0.0", Syntax: "channel [channel ...]",
		Summary: "Listens to channels.", Complexity: "O(N) where N is the number of channels",
		Run: func(c *Ctx) error { return subscribe(c, pubsub.Channel) },
	},
	{
		Name: "unsubscribe", Arity: -1, Flags: PubSub | NoScript | Loading | Stale | InSubscribe,
		Group: "pubsub", Since: "2.0.0", Syntax: "[channel [channel ...]]",
		Summary: "Stops listening to channels, or to all.", Complexity: "O(N) where N is the number of channels",
		Run: func(c *Ctx) error { return unsubscribe(c, pubsub.Channel) },
	},
	{
		Name: "psubscribe", Arity: -2, Flags: PubSub | NoScript | Loading | Stale | InSubscribe, Channels: Channels{First: 1, Last: -1, Patterns: true},
		Group: "pubsub", Since: "2.0.0", Syntax: "pattern [pattern ...]",
		Summary: "Listens to all channels whose names match patterns.", Complexity: "O(N) where N is the number of patterns",
		Run: func(c *Ctx) error { return subscribe(c, pubsub.Pattern) },
	},
	{
		Name: "punsubscribe", Arity: -1, Flags: PubSub | NoScript | Loading | Stale | InSubscribe,
		Group: "pubsub", Since: "2.0.0", Syntax: "[pattern [pattern ...]]",
		Summary: "Stops listening to patterns, or to all.", Complexity: "O(N) where N is the number of patterns",
		Run: func(c *Ctx) error { return unsubscribe(c, pubsub.Pattern) },
	},
	{
		Name: "publish", Arity: 3, Flags: PubSub | Loading | Stale | Fast | MayReplicate, Channels: Channels{First: 1, Last: 1},
		Group: "pubsub", Since: "2.0.0", Syntax: "channel message",
		Summary:    "Sends a message to everybody who listens to a channel.",
		Complexity: "O(N+M) where N is the number of listeners of the channel and M the number of patterns",
		Run: func(c *Ctx) error {
			n, ok := c.Server.Hub.Publish(c.Args.Next(), c.Args.Next())
			if !ok {
				return ErrPatternEffort
			}
			c.Server.Counters.Published++
			c.Out.Int(int64(n))
			return nil
		},
	},
	{
		Name: "ssubscribe", Arity: -2, Flags: PubSub | NoScript | Loading | Stale | InSubscribe, Keys: Keys{1, -1, 1}, Channels: Channels{First: 1, Last: -1},
		Group: "pubsub", Since: "7.0.0", Syntax: "shardchannel [shardchannel ...]",
		Summary: "Listens to shard channels.", Complexity: "O(N) where N is the number of shard channels",
		Run: func(c *Ctx) error { return subscribe(c, pubsub.Shard) },
	},
	{
		Name: "sunsubscribe", Arity: -1, Flags: PubSub | NoScript | Loading | Stale | InSubscribe, Keys: Keys{1, -1, 1},
		Group: "pubsub", Since: "7.0.0", Syntax: "[shardchannel [shardchannel ...]]",
		Summary: "Stops listening to shard channels, or to all.", Complexity: "O(N) where N is the number of shard channels",
		Run: func(c *Ctx) error { return unsubscribe(c, pubsub.Shard) },
	},
	{
		Name: "spublish", Arity: 3, Flags: PubSub | Loading | Stale | Fast | MayReplicate, Keys: Keys{1, 1, 1}, Channels: Channels{First: 1, Last: 1},
		Group: "pubsub", Since: "7.0.0", Syntax: "shardchannel message",
		Summary:    "Sends a message to everybody who listens to a shard channel.",
		Complexity: "O(N) where N is the number of listeners",
		Run: func(c *Ctx) error {
			c.Server.Counters.Published++
			c.Out.Int(int64(c.Server.Hub.PublishShard(c.Args.Next(), c.Args.Next())))
			return nil
		},
	},
	{
		Name: "pubsub", Arity: -2,
		Group: "pubsub", Since: "2.8.0",
		Summary: "Commands that look at channels and their listeners.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "pubsub", Name: "channels", Arity: -2, Flags: PubSub | Loading | Stale,
		Group: "pubsub", Since: "2.8.0", Syntax: "[pattern]",
		Summary: "Returns the channels that somebody listens to.", Complexity: "O(N) where N is the number of channels",
		Run: func(c *Ctx) error { return pubsubNames(c, pubsub.Channel) },
	},
	{
		Parent: "pubsub", Name: "numpat", Arity: 2, Flags: PubSub | Loading | Stale,
		Group: "pubsub", Since: "2.8.0",
		Summary: "Returns the number of patterns that somebody listens to.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Int(int64(c.Server.Hub.Count(pubsub.Pattern)))
			return nil
		},
	},
	{
		Parent: "pubsub", Name: "numsub", Arity: -2, Flags: PubSub | Loading | Stale,
		Group: "pubsub", Since: "2.8.0", Syntax: "[channel [channel ...]]",
		Summary: "Returns the number of listeners of channels, those by pattern not counted.", Complexity: "O(N) where N is the number of channels",
		Run: func(c *Ctx) error { return pubsubCounts(c, pubsub.Channel) },
	},
	{
		Parent: "pubsub", Name: "shardchannels", Arity: -2, Flags: PubSub | Loading | Stale,
		Group: "pubsub", Since: "7.0.0", Syntax: "[pattern]",
		Summary: "Returns the shard channels that somebody listens to.", Complexity: "O(N) where N is the number of shard channels",
		Run: func(c *Ctx) error { return pubsubNames(c, pubsub.Shard) },
	},
	{
		Parent: "pubsub", Name: "shardnumsub", Arity: -2, Flags: PubSub | Loading | Stale,
		Group: "pubsub", Since: "7.0.0", Syntax: "[shardchannel [shardchannel ...]]",
		Summary: "Returns the number of listeners of shard channels.", Complexity: "O(N) where N is the number of shard channels",
		Run: func(c *Ctx) error { return pubsubCounts(c, pubsub.Shard) },
	},
	helpCommand("pubsub", 0, "pubsub", "6.2.0"),
}

// subscribe confirms each name, also one that was subscribed already. In RESP3
// the confirmations are pushes; they stand in place of the reply all the same.
func subscribe(c *Ctx, kind pubsub.Kind) error {
	if err := maySubscribe(c, kind); err != nil {
		return err
	}
	for c.Args.More() {
		name := c.Args.Next()
		c.Server.Hub.Subscribe(&c.Session.Subs, kind, string(name))
		pubsub.Confirm(c.confirmations(), kind, true, name, subscriptions(c.Session, kind))
	}
	return nil
}

// maySubscribe refuses names beyond what one client, or patterns beyond what all
// together, may listen to.
func maySubscribe(c *Ctx, kind pubsub.Kind) error {
	names, config := c.Args.All()[c.Args.Pos():], c.Config()
	own, all := 0, 0 // those that are new to the client, and to the hub
	for _, name := range names {
		if !c.Session.Subs.Has(kind, string(name)) {
			own++
		}
		if kind == pubsub.Pattern && c.Server.Hub.Audience(kind, string(name)) == 0 {
			all++
		}
	}
	switch {
	case config.SubscriptionsLimit > 0 && own > 0 && c.Session.Subs.Len()+own > config.SubscriptionsLimit:
		return ErrSubscriptions
	case config.PatternsLimit > 0 && all > 0 && c.Server.Hub.Count(kind)+all > config.PatternsLimit:
		return ErrPatterns
	}
	return nil
}

// unsubscribe confirms each name, also one that was not subscribed; without
// names, each that was, or once that there was none.
func unsubscribe(c *Ctx, kind pubsub.Kind) error {
	names := c.Args.Rest()
	if len(names) == 0 {
		for _, name := range c.Session.Subs.Names(kind) {
			names = append(names, []byte(name))
		}
	}
	for _, name := range names {
		c.Server.Hub.Unsubscribe(&c.Session.Subs, kind, string(name))
		pubsub.Confirm(c.confirmations(), kind, false, name, subscriptions(c.Session, kind))
	}
	if len(names) == 0 {
		pubsub.Confirm(c.confirmations(), kind, false, nil, subscriptions(c.Session, kind))
	}
	return nil
}

// confirmations is where confirmations go: they are no replies, so that CLIENT
// REPLY does not silence them.
func (c *Ctx) confirmations() *resp.Buffer {
	if c.Session.Reply != ReplyOn {
		return &c.Session.Out
	}
	return c.Out
}

// subscriptions is the number that a confirmation tells: channels and patterns
// are counted together, shard channels apart.
func subscriptions(s *Session, kind pubsub.Kind) int {
	if kind == pubsub.Shard {
		return s.Subs.Count(pubsub.Shard)
	}
	return s.Subs.Count(pubsub.Channel, pubsub.Pattern)
}

func pubsubNames(c *Ctx, kind pubsub.Kind) error {
	if c.Args.Len() > 1 {
		return subcommandSyntax(c)
	}
	pattern := ""
	if c.Args.More() {
		if pattern = string(c.Args.Next()); pattern == "" {
			c.Out.Array(0) // matches the empty name at most
			return nil
		}
	}
	names := c.Server.Hub.Names(kind, pattern)
	c.Out.Array(len(names))
	for _, name := range names {
		c.Out.BulkString(name)
	}
	return nil
}

func pubsubCounts(c *Ctx, kind pubsub.Kind) error {
	names := c.Args.Rest()
	c.Out.Array(2 * len(names))
	for _, name := range names {
		c.Out.Bulk(name)
		c.Out.Int(int64(c.Server.Hub.Audience(kind, string(name))))
	}
	return nil
}

// subcommandSyntax is the error of subcommands whose number of arguments the
// table cannot tell.
func subcommandSyntax(c *Ctx) error {
	return resp.Errorf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.",
		clip(c.Args.All()[1], 128), calledName(c.Args.All()))
}
