package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

var adminCommands = slices.Concat(infoCommands, slowlogCommands, latencyCommands, monitorCommands, debugCommands, memoryCommands, []Command{
	{
		Name: "time", Arity: 1, Flags: Loading | Stale | Fast,
		Group: "server", Since: "2.6.0", Tips: []string{"nondeterministic_output"},
		Summary: "Returns the server's time: unix seconds, and microseconds.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			now := c.Tx.Now()
			c.Out.Array(2)
			c.Out.BulkString(fmt.Sprint(now.Unix()))
			c.Out.BulkString(fmt.Sprint(now.Nanosecond() / int(time.Microsecond)))
			return nil
		},
	},
	{
		Name: "config", Arity: -2,
		Group: "server", Since: "2.0.0",
		Summary: "Commands about the configuration.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "config", Name: "get", Arity: -3, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.0.0", Syntax: "parameter [parameter ...]",
		Summary:    "Returns the directives that match patterns.",
		Complexity: "O(N) where N is the number of directives",
		History:    []string{"7.0.0: Added the ability to pass multiple pattern parameters in one call"},
		Run:        configGet,
	},
	helpCommand("config", 0, "server", "5.0.0"),
	{
		Parent: "config", Name: "resetstat", Arity: 2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.0.0",
		Summary: "Sets the counters of INFO to zero.", Complexity: "O(1)",
		Run: configResetStat,
	},
	{
		Parent: "config", Name: "rewrite", Arity: 2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.8.0",
		Summary:    "Writes the configuration in force to the file that the server was started with.",
		Complexity: "O(N) where N is the number of directives and of lines of the file",
		Run:        configRewrite,
	},
	{
		Parent: "config", Name: "set", Arity: -4, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.0.0", Syntax: "parameter value [parameter value ...]",
		Tips:       []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
		Summary:    "Changes directives while the server runs: all that are given, or none.",
		Complexity: "O(N) where N is the number of directives given",
		History:    []string{"7.0.0: Added the ability to set multiple parameters in one call."},
		Secrets:    configSetSecrets,
		Run:        configSet,
	},
	{
		Name: "object", Arity: -2,
		Group: "generic", Since: "2.2.3",
		Summary: "Commands about how keys are kept.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "object", Name: "encoding", Arity: 3, Flags: ReadOnly | Touches, Keys: Keys{2, 2, 1},
		Group: "generic", Since: "2.2.3", Syntax: "key", Access: []string{"RO"}, Tips: []string{"nondeterministic_output"},
		Summary: "Returns the form in which the value of a key is kept, in Redis' words.", Complexity: "O(1)",
		Run: objectEncoding,
	},
	{
		Parent: "object", Name: "freq", Arity: 3, Flags: ReadOnly | Touches, Keys: Keys{2, 2, 1},
		Group: "generic", Since: "4.0.0", Syntax: "key", Access: []string{"RO"}, Tips: []string{"nondeterministic_output"},
		Summary: "Answers an error: how often keys are used is not counted.", Complexity: "O(1)",
		Run: objectFreq,
	},
	helpCommand("object", 0, "generic", "6.2.0"),
	{
		Parent: "object", Name: "idletime", Arity: 3, Flags: ReadOnly | Touches, Keys: Keys{2, 2, 1},
		Group: "generic", Since: "2.2.3", Syntax: "key", Access: []string{"RO"}, Tips: []string{"nondeterministic_output"},
		Summary: "Returns the seconds since a key was last used, as far as memory goes back.", Complexity: "O(1)",
		Run: objectIdleTime,
	},
	{
		Parent: "object", Name: "refcount", Arity: 3, Flags: ReadOnly | Touches, Keys: Keys{2, 2, 1},
		Group: "generic", Since: "2.2.3", Syntax: "key", Access: []string{"RO"}, Tips: []string{"nondeterministic_output"},
		Summary: "Returns 1 for every key: values are not shared.", Complexity: "O(1)",
		Run: objectRefCount,
	},
	{
		Name: "shutdown", Arity: -1, Flags: Admin | NoScript | Loading | Stale | NoMulti | AllowBusy,
		Group: "server", Since: "1.0.0", Syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
		Summary: "Ends the server. Everything it has acknowledged is on disk.", Complexity: "O(1)",
		History: []string{"7.0.0: Added the `NOW`, `FORCE` and `ABORT` modifiers."},
		Run:     shutdown,
	},
	{
		Name: "save", Arity: 1, Flags: Admin | NoScript | NoAsyncLoading | NoMulti,
		Group: "server", Since: "1.0.0",
		Summary:    "Makes sure that everything is on disk, whatever appendfsync says.",
		Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.save()
			c.Out.OK()
			return nil
		},
	},
	{
		Name: "bgsave", Arity: -1, Flags: Admin | NoScript | NoAsyncLoading,
		Group: "server", Since: "1.0.0", Syntax: "[SCHEDULE]",
		Summary:    "Starts to make a backup: a copy of all keys as they are, in a folder of backup-dir.",
		Complexity: "O(1); the backup is made beside other work",
		History:    []string{"3.2.2: Added the `SCHEDULE` option."},
		Run:        bgsave,
	},
	{
		Name: "lastsave", Arity: 1, Flags: Loading | Stale | Fast | AdminCategory | Dangerous,
		Group: "server", Since: "1.0.0", Tips: []string{"nondeterministic_output"},
		Summary: "Returns the unix time at which SAVE or BGSAVE last came to a good end.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Int(c.Server.lastSave().Unix())
			return nil
		},
	},
})

// ---- CONFIG ----------------------------------------------------------------

func configGet(c *Ctx) error {
	var found []config.Pair
	seen := make(map[string]bool)
	for c.Args.More() {
		for _, p := range c.Config().Get(string(c.Args.Next())) {
			if name := strings.ToLower(p.Name); !seen[name] {
				seen[name] = true
				found = append(found, p)
			}
		}
	}
	c.Out.Map(len(found))
	for _, p := range found {
		c.Out.BulkString(p.Name)
		c.Out.BulkString(p.Value)
	}
	return nil
}

func configSet(c *Ctx) error {
	if c.Args.Len()%2 != 0 {
		return ErrSyntax
	}
	var pairs []config.Pair
	for c.Args.More() {
		pairs = append(pairs, config.Pair{Name: string(c.Args.Next()), Value: string(c.Args.Next())})
	}
	if err := c.Config().Set(pairs); err != nil {
		var refused *config.SetError
		if errors.As(err, &refused) {
			return resp.Error("ERR " + refused.Error())
		}
		return err
	}
	c.Out.OK()
	return nil
}

const errNoConfigFile resp.Error = "ERR The server is running without a config file"

func configRewrite(c *Ctx) error {
	path := c.Config().File
	if path == "" {
		return errNoConfigFile
	}
	if err := c.Server.rewriteConfig(path); err != nil {
		c.Server.Logf("CONFIG REWRITE to %s: %v", path, err)
		return resp.Errorf("ERR Rewriting config file: %s", reasonOf(err))
	}
	c.Out.OK()
	return nil
}

func (srv *Server) rewriteConfig(path string) error {
	old, err := srv.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := srv.Config.Rewrite(string(old), srv.userLines())
	if err != nil {
		return err
	}
	return srv.WriteFile(path, []byte(text))
}

// userLines are the users as a configuration file has them.
func (srv *Server) userLines() (lines []config.UserLine) {
	implied := acl.NewUsers(srv.Table.known)
	implied.SetDefaultPassword(srv.Config.RequirePass)
	for _, u := range srv.Users.All() {
		lines = append(lines, config.UserLine{
			Name: u.Name(), Line: u.Line(),
			Implied: u == srv.Users.Default() && u.Line() == implied.Default().Line(),
		})
	}
	return lines
}

// configSetSecrets finds the passwords among the values.
func configSetSecrets(args [][]byte) (at []int) {
	for i := 2; i+1 < len(args); i += 2 {
		if EqualFold(args[i], "REQUIREPASS") {
			at = append(at, i+1)
		}
	}
	return at
}

func configResetStat(c *Ctx) error {
	c.Server.Counters = Counters{}
	c.Server.queues = nil
	c.Server.Store.Expired = 0
	c.Server.rates = rates{}
	for _, cmd := range c.Server.Table.All() {
		cmd.Stats = Stats{}
		for _, sub := range cmd.Subcommands() {
			sub.Stats = Stats{}
		}
	}
	c.Out.OK()
	return nil
}

// ---- OBJECT ----------------------------------------------------------------

const errNoLFU resp.Error = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

// objectOf returns the object that a subcommand of OBJECT is asked about; if
// there is none it has answered so.
func objectOf(c *Ctx) *storage.Object {
	o := c.Tx.Lookup(c.Args.Next())
	if o == nil {
		c.Out.Null()
	}
	return o
}

func objectEncoding(c *Ctx) error {
	if o := objectOf(c); o != nil {
		c.Out.BulkString(encodings[o.Type()])
	}
	return nil
}

var encodings = map[storage.Type]string{
	storage.TypeList:   "quicklist",
	storage.TypeStream: "stream",
}

func objectFreq(c *Ctx) error {
	if objectOf(c) != nil {
		return errNoLFU
	}
	return nil
}

func objectIdleTime(c *Ctx) error {
	if o := objectOf(c); o != nil {
		c.Out.Int(seconds(c.Tx.Now().Sub(o.LastUsed())))
	}
	return nil
}

func objectRefCount(c *Ctx) error {
	if objectOf(c) != nil {
		c.Out.Int(1)
	}
	return nil
}

// ---- SHUTDOWN, SAVE --------------------------------------------------------

const errNoShutdown resp.Error = "ERR No shutdown in progress."

// shutdown asks the broker to end after the turn. There is nothing to save and
// nobody to wait for, so the options make no difference; a shutdown is never
// long enough in progress to be aborted.
func shutdown(c *Ctx) error {
	given := make(map[string]bool)
	for c.Args.More() {
		switch option := c.Args.Option(); option {
		case "NOSAVE", "SAVE", "NOW", "FORCE", "ABORT":
			given[option] = true
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	if (given["ABORT"] && len(given) > 1) || (given["SAVE"] && given["NOSAVE"]) {
		c.Args.Fail(ErrSyntax)
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	if given["ABORT"] {
		return errNoShutdown
	}
	c.Server.Shutdown = &Shutdown{By: c.Session, Message: "User requested shutdown"}
	return nil
}
