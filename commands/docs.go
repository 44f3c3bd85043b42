package commands

import (
	"slices"
	"strings"

	"github.com/cairnmq/cairn/glob"
	"github.com/cairnmq/cairn/resp"
)

// COMMAND and its subcommands tell clients what the table knows.

var docsCommands = []Command{
	{
		Name: "command", Arity: -1, Flags: Loading | Stale | Connection,
		Group: "server", Since: "2.8.13", Tips: []string{"nondeterministic_output_order"},
		Summary:    "Describes all commands.",
		Complexity: "O(N) where N is the number of commands",
		Run:        func(c *Ctx) error { return commandInfoOf(c, c.Server.Table.All()) },
	},
	{
		Parent: "command", Name: "count", Arity: 2, Flags: Loading | Stale | Connection,
		Group: "server", Since: "2.8.13",
		Summary: "Returns the number of commands.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Int(int64(len(c.Server.Table.All())))
			return nil
		},
	},
	{
		Parent: "command", Name: "docs", Arity: -2, Flags: Loading | Stale | Connection,
		Group: "server", Since: "7.0.0", Syntax: "[command-name [command-name ...]]", Tips: []string{"nondeterministic_output_order"},
		Summary:    "Returns the documentation of commands, or of all.",
		Complexity: "O(N) where N is the number of commands to look up",
		Run:        commandDocs,
	},
	{
		Parent: "command", Name: "getkeys", Arity: -4, Flags: Loading | Stale | Connection, Secrets: secretsOfCall(2),
		Group: "server", Since: "2.8.13", Syntax: "command arg [arg ...]",
		Summary:    "Returns the keys among the arguments of a call.",
		Complexity: "O(N) where N is the number of arguments",
		Run:        commandGetKeys,
	},
	{
		Parent: "command", Name: "getkeysandflags", Arity: -4, Flags: Loading | Stale | Connection, Secrets: secretsOfCall(2),
		Group: "server", Since: "7.0.0", Syntax: "command arg [arg ...]",
		Summary:    "Returns the keys among the arguments of a call, each with what happens to it.",
		Complexity: "O(N) where N is the number of arguments",
		Run:        commandGetKeysAndFlags,
	},
	{
		Parent: "command", Name: "info", Arity: -2, Flags: Loading | Stale | Connection,
		Group: "server", Since: "2.8.13", Syntax: "[command-name [command-name ...]]", Tips: []string{"nondeterministic_output_order"},
		Summary:    "Returns arity, flags, keys and ACL categories of commands, or of all.",
		Complexity: "O(N) where N is the number of commands to look up",
		History:    []string{"7.0.0: Allowed to be called with no argument to get info on all commands."},
		Run:        commandInfo,
	},
	{
		Parent: "command", Name: "list", Arity: -2, Flags: Loading | Stale | Connection,
		Group: "server", Since: "7.0.0", Syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
		Tips:       []string{"nondeterministic_output_order"},
		Summary:    "Returns the names of all commands, or of those that pass a filter.",
		Complexity: "O(N) where N is the number of commands",
		Run:        commandList,
	},
	helpCommand("command", Connection, "server", "5.0.0"),
}

// helpCommand is the HELP subcommand of a container.
func helpCommand(parent string, category Flags, group, since string) Command {
	return Command{
		Parent: parent, Name: "help", Arity: 2, Flags: Loading | Stale | category,
		Group: group, Since: since,
		Summary: "Prints this help.", Complexity: "O(1)",
		Run: help,
	}
}

// help prints what the table says of a container's subcommands.
func help(c *Ctx) error {
	container := c.Cmd.container
	lines := []string{calledName(c.Args.All()) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}
	if container.Run != nil {
		lines = append(lines, "(no subcommand)", "    "+container.Summary)
	}
	for _, sub := range container.Subcommands() {
		if sub != c.Cmd {
			lines = append(lines, strings.TrimSpace(strings.ToUpper(sub.Name)+" "+sub.Syntax), "    "+sub.Summary)
		}
	}
	lines = append(lines, "HELP", "    "+c.Cmd.Summary)
	c.Out.Array(len(lines))
	for _, line := range lines {
		c.Out.Simple(line)
	}
	return nil
}

func commandInfo(c *Ctx) error {
	if !c.Args.More() {
		return commandInfoOf(c, c.Server.Table.All())
	}
	var list []*Command
	for _, name := range c.Args.Rest() {
		list = append(list, c.Server.Table.FindFull(string(name)))
	}
	return commandInfoOf(c, list)
}

// commandInfoOf describes commands; nil stands for one that there is not.
func commandInfoOf(c *Ctx, list []*Command) error {
	c.Out.Array(len(list))
	for _, cmd := range list {
		if cmd == nil {
			c.Out.Null()
		} else {
			writeInfo(c.Out, cmd)
		}
	}
	return nil
}

func writeInfo(out *resp.Buffer, cmd *Command) {
	out.Array(10)
	out.BulkString(cmd.FullName())
	out.Int(int64(cmd.Arity))
	writeWords(out, "", cmd.flagNames())
	out.Int(int64(cmd.Keys.First))
	out.Int(int64(cmd.Keys.Last))
	out.Int(int64(cmd.Keys.Step))
	writeWords(out, "@", cmd.Categories())
	out.Set(len(cmd.Tips))
	for _, tip := range cmd.Tips {
		out.BulkString(tip)
	}
	specs := cmd.keySpecs()
	out.Set(len(specs))
	for _, s := range specs {
		writeKeySpec(out, s)
	}
	out.Set(len(cmd.Subcommands()))
	for _, sub := range cmd.Subcommands() {
		writeInfo(out, sub)
	}
}

func writeWords(out *resp.Buffer, prefix string, words []string) {
	out.Set(len(words))
	for _, w := range words {
		out.Simple(prefix + w)
	}
}

func writeKeySpec(out *resp.Buffer, s keySpec) {
	out.Map(3)
	out.BulkString("flags")
	writeWords(out, "", s.flags)
	if s.unknown {
		for _, part := range []string{"begin_search", "find_keys"} {
			out.BulkString(part)
			out.Map(2)
			writeText(out, "type", "unknown")
			out.BulkString("spec")
			out.Map(0)
		}
		return
	}

	out.BulkString("begin_search")
	out.Map(2)
	out.BulkString("type")
	if s.keyword != "" {
		out.BulkString("keyword")
		out.BulkString("spec")
		out.Map(2)
		out.BulkString("keyword")
		out.BulkString(s.keyword)
		writeNumber(out, "startfrom", s.from)
	} else {
		out.BulkString("index")
		out.BulkString("spec")
		out.Map(1)
		writeNumber(out, "index", s.index)
	}

	out.BulkString("find_keys")
	out.Map(2)
	out.BulkString("type")
	if s.counted {
		out.BulkString("keynum")
		out.BulkString("spec")
		out.Map(3)
		writeNumber(out, "keynumidx", 0)
		writeNumber(out, "firstkey", 1)
		writeNumber(out, "keystep", s.step)
	} else {
		out.BulkString("range")
		out.BulkString("spec")
		out.Map(3)
		writeNumber(out, "lastkey", s.lastKey)
		writeNumber(out, "keystep", s.step)
		writeNumber(out, "limit", s.limit)
	}
}

func writeNumber(out *resp.Buffer, name string, n int) {
	out.BulkString(name)
	out.Int(int64(n))
}

func commandDocs(c *Ctx) error {
	var list []*Command
	if c.Args.More() {
		for _, name := range c.Args.Rest() {
			if cmd := c.Server.Table.FindFull(string(name)); cmd != nil {
				list = append(list, cmd)
			}
		}
	} else {
		list = c.Server.Table.All()
	}
	return writeDocs(c.Out, list)
}

func writeDocs(out *resp.Buffer, list []*Command) error {
	out.Map(len(list))
	for _, cmd := range list {
		args, err := cmd.arguments()
		if err != nil {
			return err
		}
		out.BulkString(cmd.FullName())
		fields := out.MapLater()
		n := 3
		writeText(out, "summary", cmd.Summary)
		writeText(out, "since", cmd.Since)
		writeText(out, "group", cmd.Group)
		if cmd.Complexity != "" {
			writeText(out, "complexity", cmd.Complexity)
			n++
		}
		if len(cmd.History) > 0 {
			out.BulkString("history")
			out.Set(len(cmd.History))
			for _, h := range cmd.History {
				version, text, _ := strings.Cut(h, ": ")
				out.Array(2)
				out.BulkString(version)
				out.BulkString(text)
			}
			n++
		}
		if len(args) > 0 {
			out.BulkString("arguments")
			writeArguments(out, args)
			n++
		}
		if len(cmd.Subcommands()) > 0 {
			out.BulkString("subcommands")
			if err := writeDocs(out, cmd.Subcommands()); err != nil {
				return err
			}
			n++
		}
		out.SetLen(fields, n)
	}
	return nil
}

func writeText(out *resp.Buffer, name, text string) {
	out.BulkString(name)
	out.BulkString(text)
}

func writeArguments(out *resp.Buffer, list []argument) {
	out.Array(len(list))
	for _, a := range list {
		fields := out.MapLater()
		n := 2
		writeText(out, "name", a.name)
		writeText(out, "type", a.kind)
		if a.kind != argOneOf && a.kind != argBlock {
			writeText(out, "display_text", a.name)
			n++
		}
		if a.kind == argKey {
			writeNumber(out, "key_spec_index", a.keySpec)
			n++
		}
		if a.token != "" {
			writeText(out, "token", a.token)
			n++
		}
		var flags []string
		if a.optional {
			flags = append(flags, "optional")
		}
		if a.multiple {
			flags = append(flags, "multiple")
		}
		if a.multipleToken {
			flags = append(flags, "multiple_token")
		}
		if len(flags) > 0 {
			out.BulkString("flags")
			writeWords(out, "", flags)
			n++
		}
		if len(a.args) > 0 {
			out.BulkString("arguments")
			writeArguments(out, a.args)
			n++
		}
		out.SetLen(fields, n)
	}
}

// Errors of COMMAND GETKEYS.
const (
	errGetKeysCommand   resp.Error = "ERR Invalid command specified"
	errGetKeysNone      resp.Error = "ERR The command has no key arguments"
	errGetKeysArity     resp.Error = "ERR Invalid number of arguments specified for command"
	errGetKeysArguments resp.Error = "ERR Invalid arguments specified for command"
)

// keysOf finds the keys of the call that COMMAND GETKEYS was given.
func keysOf(c *Ctx) (cmd *Command, keys [][]byte, err error) {
	call := c.Args.Rest()
	cmd, err = c.Server.Table.Resolve(call)
	if err == nil && cmd.ArityFits(len(call)) {
		if inner, at := cmd.held(call); inner != nil {
			cmd, call = inner, call[at:]
		}
	}
	switch {
	case err != nil:
		return nil, nil, errGetKeysCommand
	case cmd.Has(PubSub) || (cmd.Keys.First == 0 && cmd.KeysFunc == nil && cmd.CallAt == nil):
		return nil, nil, errGetKeysNone
	case !cmd.ArityFits(len(call)):
		return nil, nil, errGetKeysArity
	}
	at, ok := cmd.KeyIndexes(call)
	if !ok {
		return nil, nil, errGetKeysArguments
	}
	if len(at) == 0 {
		return nil, nil, errGetKeysNone
	}
	for _, i := range at {
		keys = append(keys, call[i])
	}
	return cmd, keys, nil
}

func commandGetKeys(c *Ctx) error {
	_, keys, err := keysOf(c)
	if err != nil {
		return err
	}
	c.Out.Array(len(keys))
	for _, k := range keys {
		c.Out.Bulk(k)
	}
	return nil
}

func commandGetKeysAndFlags(c *Ctx) error {
	cmd, keys, err := keysOf(c)
	if err != nil {
		return err
	}
	access := cmd.keyAccess(len(keys))
	c.Out.Array(len(keys))
	for i, k := range keys {
		c.Out.Array(2)
		c.Out.Bulk(k)
		writeWords(c.Out, "", access[i])
	}
	return nil
}

// commandList answers names only; a filter by module finds none, as there are
// no modules.
func commandList(c *Ctx) error {
	keep := func(*Command) bool { return true }
	if c.Args.More() {
		if !c.Args.Word("FILTERBY") {
			return ErrSyntax
		}
		kind, value := c.Args.Option(), string(c.Args.Next())
		switch kind {
		case "MODULE":
			keep = func(*Command) bool { return false }
		case "ACLCAT":
			category := strings.ToLower(value)
			keep = func(cmd *Command) bool { return slices.Contains(cmd.Categories(), category) }
		case "PATTERN":
			keep = func(cmd *Command) bool { return glob.MatchFold(value, cmd.FullName()) }
		default:
			c.Args.Fail(ErrSyntax)
		}
		if c.Args.More() {
			c.Args.Fail(ErrSyntax)
		}
		if err := c.Args.Err(); err != nil {
			return err
		}
	}
	list := c.Out.ArrayLater()
	n := 0
	for _, cmd := range c.Server.Table.All() {
		for _, one := range append([]*Command{cmd}, cmd.Subcommands()...) {
			if keep(one) {
				c.Out.BulkString(one.FullName())
				n++
			}
		}
	}
	c.Out.SetLen(list, n)
	return nil
}
