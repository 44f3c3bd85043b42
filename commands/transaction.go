package commands

import (
	"slices"

	"github.com/cairnmq/cairn/resp"
)

var transactionCommands = []Command{
	{
		Name: "multi", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Transaction | InMulti,
		Group: "transactions", Since: "1.2.0",
		Summary: "Begins a transaction: what follows is queued.", Complexity: "O(1)",
		Run: multi,
	},
	{
		Name: "exec", Arity: 1, Flags: NoScript | Loading | Stale | SkipSlowlog | Transaction | InMulti,
		Group: "transactions", Since: "1.2.0",
		Summary:    "Runs the queued commands as one, unless a watched key has changed.",
		Complexity: "Depends on the commands in the transaction",
		Run:        exec,
	},
	{
		Name: "discard", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Transaction | InMulti,
		Group: "transactions", Since: "2.0.0",
		Summary: "Forgets the queued commands.", Complexity: "O(N) where N is the number of queued commands",
		Run: discard,
	},
	{
		Name: "watch", Arity: -2, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Transaction | InMulti, Keys: Keys{1, -1, 1},
		Group: "transactions", Since: "2.2.0", Syntax: "key [key ...]", Access: []string{"RO"},
		Summary: "Lets the next EXEC run only if the keys have not changed until then.", Complexity: "O(1) for each key",
		Run: watch,
	},
	{
		Name: "unwatch", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AllowBusy | Transaction,
		Group: "transactions", Since: "2.2.0",
		Summary: "Forgets all watched keys.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Server.Unwatch(c.Session)
			c.Out.OK()
			return nil
		},
	},
}

const (
	errMultiNested    resp.Error = "ERR MULTI calls can not be nested"
	errWatchInMulti   resp.Error = "ERR WATCH inside MULTI is not allowed"
	errExecNoMulti    resp.Error = "ERR EXEC without MULTI"
	errDiscardNoMulti resp.Error = "ERR DISCARD without MULTI"
)

func multi(c *Ctx) error {
	if c.Session.Multi != nil {
		return errMultiNested
	}
	c.Session.Multi = &Multi{}
	c.Out.OK()
	return nil
}

func exec(c *Ctx) error {
	s := c.Session
	if s.Multi == nil {
		return errExecNoMulti
	}
	multi, dirty := s.Multi, s.Dirty || c.watchedHasExpired()
	reads := c.Detachable && len(s.Watching) == 0 && s.User.Unrestricted() && !slices.ContainsFunc(multi.Queue, func(q Queued) bool { return !q.Cmd.Has(ReadOnly) || q.Cmd.NeedsLoop })
	s.Multi = nil
	c.Server.Unwatch(s)
	if multi.Aborted {
		return ErrExecAbort
	}
	if dirty {
		c.Out.NullArray()
		return nil
	}
	if reads {
		c.Queue = multi.Queue
	}
	return c.Server.RunQueued(c, multi.Queue)
}

func discard(c *Ctx) error {
	if c.Session.Multi == nil {
		return errDiscardNoMulti
	}
	c.Session.Multi = nil
	c.Server.Unwatch(c.Session)
	c.Out.OK()
	return nil
}

// watch notes keys. A transaction that is void already needs to note nothing.
func watch(c *Ctx) error {
	s := c.Session
	if s.Multi != nil {
		return errWatchInMulti
	}
	for c.Args.More() && !s.Dirty {
		key := c.Args.Next()
		ref := DBKey{DB: s.DB, Key: string(key)}
		if slices.Contains(c.Server.Watchers[ref], s) {
			continue
		}
		w := WatchedKey{DB: ref.DB, Key: ref.Key}
		w.Existed, w.Expired = c.look(w)
		s.Watching = append(s.Watching, w)
		s.watchBytes += namedBytes + int64(len(w.Key))
		c.Server.Watchers[ref] = append(c.Server.Watchers[ref], s)
	}
	c.Out.OK()
	return nil
}

// look reports whether a key exists, and whether it was found just now to have
// run out.
func (c *Ctx) look(w WatchedKey) (exists, ranOut bool) {
	before := c.Server.Store.Expired
	exists = c.Tx.In(w.DB).Peek([]byte(w.Key)) != nil
	return exists, c.Server.Store.Expired != before
}

// watchedHasExpired reports whether a watched key has run out since, unnoticed
// until now.
func (c *Ctx) watchedHasExpired() bool {
	expired := false
	for _, w := range c.Session.Watching {
		if _, ranOut := c.look(w); ranOut && !w.Expired {
			expired = true
		}
	}
	return expired
}

// Unwatch forgets the keys that a session watches, and that one has changed.
func (srv *Server) Unwatch(s *Session) {
	for _, w := range s.Watching {
		ref := DBKey{DB: w.DB, Key: w.Key}
		watchers := srv.Watchers[ref]
		if i := slices.Index(watchers, s); i >= 0 {
			watchers = slices.Delete(watchers, i, i+1)
		}
		if len(watchers) == 0 {
			delete(srv.Watchers, ref)
		} else {
			srv.Watchers[ref] = watchers
		}
	}
	s.Watching, s.watchBytes, s.Dirty = nil, 0, false
}
