package commands

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// Flags are what generic code needs to know of a command, as COMMAND INFO
// shows it (https://redis.io/docs/latest/commands/command/).
type Flags uint32

const (
	Write            Flags = 1 << iota // may change keys
	ReadOnly                           // reads keys
	DenyOOM                            // adds data: refused when the broker is full
	Fast                               // constant or logarithmic time
	Blocking                           // may wait for a key
	Admin                              // about the server, not about data
	PubSub                             // about channels
	NoScript                           // not from scripts
	NoMulti                            // not inside MULTI
	Loading                            // while the data is being loaded
	Stale                              // on a replica that lost its master
	NoAuth                             // before authentication
	SkipSlowlog                        // its arguments may be secret
	SkipMonitor                        //
	MovableKeys                        // Keys are found by KeysFunc
	MayReplicate                       //
	InSubscribe                        // allowed in RESP2's subscribed state
	InMulti                            // run at once inside MULTI, not queued
	Secret                             // arguments are never shown
	Dangerous                          // in ACL category @dangerous without Admin
	Connection                         // in ACL category @connection
	Transaction                        // in ACL category @transaction
	Keyspace                           // in ACL category @keyspace without the group "generic"
	DuringPauseWrite                   // held back by CLIENT PAUSE WRITE though it writes no key
	Touches                            // never counted as a use of the key (TOUCH, OBJECT, TYPE …)
	AllowBusy                          // while a script runs too long
	NoAsyncLoading                     // not while a replica loads in the background
	AdminCategory                      // in ACL category @admin without Admin
	Protected                          // refused unless the configuration allows it
	Sorts                              // in ACL categories @list, @set and @sortedset instead of @keyspace
)

// Keys says where a command's keys are: arguments First to Last (negative:
// from the end, -1 is the last argument), every Step-th. Argument 0 is the
// command's name.
type Keys struct{ First, Last, Step int }

// Channels says where a command's channels are: arguments First to Last, as in
// Keys. Patterns says that they are patterns of names.
type Channels struct {
	First, Last int
	Patterns    bool
}

// KeySearch is a place of keys that depends on arguments: either Keyword, from
// which on (searched from argument From) the first half of the arguments are
// keys, or CountAt, the argument that says how many keys follow it, or Anywhere:
// behind those that Keys tells of, a key stands where only KeysFunc finds it.
type KeySearch struct {
	Keyword  string
	From     int
	CountAt  int
	Anywhere bool
}

// Command is one entry of the table: all that is said about a command outside
// its handler. A subcommand such as XGROUP CREATE is an entry of its own with
// a Parent.
type Command struct {
	Name   string // lower case; of a subcommand its own part: "create"
	Parent string // of a subcommand: "xgroup"
	Arity  int    // number of arguments with the name(s); negative: at least that many
	Flags  Flags
	Keys   Keys // zero: no keys, or KeysFunc finds them
	// KeysFunc finds keys whose places depend on arguments. It returns the
	// indexes into args of the keys; ok is false for arguments that make no
	// sense.
	KeysFunc func(args [][]byte) (at []int, ok bool)
	// KeySearch says for COMMAND INFO how KeysFunc finds them.
	KeySearch KeySearch
	// CallAt says, of a command that holds the call of another (SCHEDULE), where
	// that begins. Its keys and channels are those of the other, and who makes it
	// needs the right to both.
	CallAt func(args [][]byte) int
	// Access says what happens to the data at the keys, in the words of COMMAND
	// INFO ("RW access delete"): one for all keys, or one for each. Empty: "RO
	// access" for ReadOnly, "RW update" for Write.
	Access []string
	// Channels says where the channels are that a call sends or listens to.
	Channels Channels
	// Tips are COMMAND INFO's hints to proxies and test tools.
	Tips []string
	// Secrets returns the indexes of arguments that are shown to nobody
	// (SLOWLOG, MONITOR).
	Secrets func(args [][]byte) []int

	Group      string // "list", "stream", "pubsub", "generic", …: COMMAND DOCS and @categories
	Since      string // Redis version that has it
	Syntax     string // the arguments as the manual writes them
	Summary    string
	Complexity string
	History    []string // "6.2.0: Added the `count` argument." : version, colon, text

	// NeedsLoop says of a read that it tells what only the loop knows: no
	// transaction with it leaves the loop.
	NeedsLoop bool
	// Run executes the command. It returns an error instead of writing one; it
	// must not have written anything then. Nil only for a container of
	// subcommands.
	Run func(*Ctx) error
	// OnTimeout writes the reply of a blocking command whose time ran out.
	OnTimeout func(*resp.Buffer)

	table       *Table
	container   *Command // of a subcommand
	subcommands map[string]*Command
	order       []*Command // the subcommands as written
	id          acl.ID
	accesses    []acl.Access // of Access, for users that may not touch all keys
	// Stats are the calls since start or CONFIG RESETSTAT.
	Stats Stats
}

// Stats counts the calls of one command.
type Stats struct {
	Calls    int64
	Micros   int64 // time spent in them
	Rejected int64 // refused before they ran: arity, rights, state
	Failed   int64 // answered an error
	// Latency is nil until the first call, or while latency-tracking is off.
	Latency *Histogram
}

// FullName is the name as COMMAND shows it: "xgroup|create".
func (c *Command) FullName() string {
	if c.Parent != "" {
		return c.Parent + "|" + c.Name
	}
	return c.Name
}

// Subcommands returns the subcommands in the order of the table.
func (c *Command) Subcommands() []*Command { return c.order }

// Has reports whether all of f are set.
func (c *Command) Has(f Flags) bool { return c.Flags&f == f }

// ArityFits reports whether a call with n arguments (the name included) has the
// right number.
func (c *Command) ArityFits(n int) bool {
	return n == c.Arity || (c.Arity < 0 && n >= -c.Arity)
}

// KeyIndexes returns the places of the keys in a call.
func (c *Command) KeyIndexes(args [][]byte) (at []int, ok bool) {
	if c.CallAt != nil {
		return c.heldKeyIndexes(args)
	}
	if c.KeysFunc != nil {
		return c.KeysFunc(args)
	}
	if c.Keys.First == 0 {
		return nil, true
	}
	last := c.Keys.Last
	if last < 0 {
		last += len(args)
	}
	for i := c.Keys.First; i <= last && i < len(args); i += c.Keys.Step {
		at = append(at, i)
	}
	return at, true
}

// CheckNames refuses a call with a name longer than most: of a key, a channel or
// a pattern of channels. Names are kept in memory and compared, far more often
// than values.
func (c *Command) CheckNames(args [][]byte, most int) error {
	if !slices.ContainsFunc(args, func(a []byte) bool { return len(a) > most }) {
		return nil
	}
	at, _ := c.KeyIndexes(args)
	for _, use := range c.channelUses(args) {
		at = append(at, use.At)
	}
	for _, i := range at {
		if len(args[i]) > most {
			return ErrNameTooLong
		}
	}
	return nil
}

// Table is the set of commands.
type Table struct {
	byName map[string]*Command
	all    []*Command // top level, sorted by name
	known  *acl.Commands
}

// NewTable returns all commands of cairn. Each call makes a table of its own,
// with its own counters.
func NewTable() *Table {
	t := &Table{byName: make(map[string]*Command)}
	for _, list := range [][]Command{
		connectionCommands, clientCommands, clientTrackingCommands, keyCommands, expireCommands, listCommands, blockingListCommands, listMoveManyCommands,
		streamCommands, streamProducerCommands, streamGroupCommands, streamRedriveCommands, dumpCommands, sortCommands, waitCommands,
		pubsubCommands, scheduleCommands, transactionCommands, adminCommands, singleNodeCommands, aclCommands, docsCommands, policyCommands, queueCommands,
	} {
		for _, c := range list {
			t.add(&c)
		}
	}
	slices.SortFunc(t.all, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) })
	t.known = aclCommandsOf(t.all)
	return t
}

func (t *Table) add(c *Command) {
	c.table = t
	if c.Parent == "" {
		if t.byName[c.Name] != nil {
			panic("commands: two entries for " + c.Name)
		}
		t.byName[c.Name] = c
		t.all = append(t.all, c)
		return
	}
	parent := t.byName[c.Parent]
	if parent == nil {
		panic("commands: " + c.FullName() + " stands before its parent")
	}
	if parent.subcommands == nil {
		parent.subcommands = make(map[string]*Command)
	}
	if parent.subcommands[c.Name] != nil {
		panic("commands: two entries for " + c.FullName())
	}
	c.container = parent
	parent.subcommands[c.Name] = c
	parent.order = append(parent.order, c)
}

// All returns the commands (not the subcommands), sorted by name.
func (t *Table) All() []*Command { return t.all }

// Rename gives a command another name, by which alone it is called from now on;
// an empty one takes it away. Users' rules and COMMAND know it as before.
func (t *Table) Rename(name, to string) error {
	c := t.Find([]byte(name))
	next := string(toLower(nil, []byte(to)))
	switch {
	case c == nil:
		return errors.New("there is no such command")
	case len(next) > commandNameMax:
		return fmt.Errorf("a name can have at most %d bytes", commandNameMax)
	case next != "" && t.byName[next] != nil && t.byName[next] != c:
		return errors.New("there is another command of the new name")
	}
	delete(t.byName, string(toLower(nil, []byte(name))))
	if next == "" {
		t.all = slices.DeleteFunc(t.all, func(other *Command) bool { return other == c })
	} else {
		t.byName[next] = c
	}
	return nil
}

// commandNameMax is longer than any command's name, before it is renamed.
const commandNameMax = 64

// Find returns the command of a name in any case, or nil.
func (t *Table) Find(name []byte) *Command {
	if len(name) > commandNameMax {
		return nil
	}
	var buf [commandNameMax]byte
	return t.byName[string(toLower(buf[:0], name))]
}

// FindSub returns the subcommand of c of a name in any case, or nil.
func (c *Command) FindSub(name []byte) *Command {
	if len(name) > commandNameMax {
		return nil
	}
	var buf [commandNameMax]byte
	return c.subcommands[string(toLower(buf[:0], name))]
}

// FindFull returns the command or subcommand named as in COMMAND INFO:
// "xgroup|create".
func (t *Table) FindFull(name string) *Command {
	parent, sub, isSub := strings.Cut(name, "|")
	c := t.Find([]byte(parent))
	if c == nil || !isSub {
		return c
	}
	return c.FindSub([]byte(sub))
}

// Resolve finds the command of a call, down to its subcommand.
func (t *Table) Resolve(args [][]byte) (*Command, error) {
	c := t.Find(args[0])
	if c == nil {
		return nil, unknownCommand(args)
	}
	if c.subcommands != nil && len(args) > 1 {
		sub := c.FindSub(args[1])
		if sub == nil {
			return nil, unknownSubcommand(args)
		}
		return sub, nil
	}
	return c, nil
}

func toLower(dst, src []byte) []byte {
	for _, c := range src {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// unknownCommandArgsBytes bounds what the error repeats of the arguments.
const unknownCommandArgsBytes = 128

func unknownCommand(args [][]byte) error {
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= unknownCommandArgsBytes {
			break
		}
		fmt.Fprintf(&b, "'%s' ", clip(a, unknownCommandArgsBytes-b.Len()))
	}
	return resp.Errorf("ERR unknown command '%s', with args beginning with: %s", clip(args[0], 128), b.String())
}

func unknownSubcommand(args [][]byte) error {
	return resp.Errorf("ERR unknown subcommand '%s'. Try %s HELP.", clip(args[1], 128), calledName(args))
}

// calledName is the name by which a command is called, which may have been
// renamed, in upper case.
func calledName(args [][]byte) string { return strings.ToUpper(string(args[0])) }

// clip returns at most n bytes of p, up to the first zero byte: Redis takes the
// rest for the end of a C string.
func clip(p []byte, n int) []byte {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		p = p[:i]
	}
	return p[:min(n, len(p))]
}

// Ctx is what a handler sees of the world.
type Ctx struct {
	Cmd     *Command
	Args    Args
	Tx      *storage.Tx // of the session's database
	Out     *resp.Buffer
	Session *Session
	Server  *Server
	// InExec is set inside EXEC, where nothing blocks. Rerun is set when a
	// blocked command runs again because a key is ready. Detachable says that
	// the command may leave the loop; Detached that it has: Tx is a snapshot
	// then, Server has a copy of the configuration and nothing else, and Session
	// nobody in it.
	InExec     bool
	Rerun      bool
	Detachable bool
	Detached   bool

	// ReplyBytesMax is how long the reply may get where it has to be in memory
	// as a whole: the rest of a transaction's.
	ReplyBytesMax int64

	// Site is where the command builds what it is going to write, when it runs to
	// be prepared: Tx is a snapshot then. What it puts in Prepared is there when it
	// runs again.
	Site     *storage.Tx
	Prepared any

	// Queue are the commands of a transaction that only reads, and so may leave the
	// loop like any other read.
	Queue []Queued

	wait     *Wait
	within   time.Duration // how long a command that blocks wants to wait at all
	detached bool
	prepares bool
}

// Config is the configuration in force.
func (c *Ctx) Config() *config.Config { return c.Server.Config }

// Block parks the command until one of the keys is ready: the same handler
// then runs again. Where nothing can block (inside EXEC) it answers as if the
// time had run out. Handlers return its result.
func (c *Ctx) Block(w Wait) error {
	if c.InExec {
		c.Cmd.OnTimeout(c.Out)
		return nil
	}
	c.wait = &w
	return nil
}

// TakeWait returns what the handler has asked to wait for, if anything.
func (c *Ctx) TakeWait() *Wait {
	w := c.wait
	c.wait = nil
	return w
}

// Waits reports whether the handler has asked to wait: the call goes on later.
func (c *Ctx) Waits() bool { return c.wait != nil }

// LongReadItems is the number of items from which a read leaves the loop, so that
// other clients are not held up by it (Server.LongReadItems).
const LongReadItems = 2000

// IsPure reports whether a call changes nothing, so that it may be given up in
// the middle of its reply.
func (c *Command) IsPure() bool {
	return c.Flags&(Write|Transaction) == 0 && (!c.Has(PubSub) || c.Parent != "")
}

// LoopReplyBytesMax is the length of a reply from which a read leaves the loop.
const LoopReplyBytesMax = 4 << 20

// replyItemBytes is more than an item takes in a reply beside its content.
const replyItemBytes = 16

// FitsReply reports whether a reply of n items with bytes of content may be in
// memory as a whole.
func (c *Ctx) FitsReply(n, bytes int64) bool {
	return c.ReplyBytesMax == 0 || n <= (c.ReplyBytesMax-bytes)/replyItemBytes
}

// Slow reports whether a read of n items should rather run outside the loop;
// the handler then returns Detach().
func (c *Ctx) Slow(n int64) bool { return c.Detachable && n > c.Server.LongReadItems }

// Detach asks for the command to be run again outside the loop, against a
// snapshot of the state at the end of the turn. The client's next commands
// wait for it; all others go on.
func (c *Ctx) Detach() error {
	c.detached = true
	return nil
}

// LongWriteItems is the number of items from which a change is prepared outside
// the loop (Server.LongWriteItems), longWriteBytes their size.
const (
	LongWriteItems = 10_000
	longWriteBytes = 4 << 20
)

// SlowWrite reports whether a change of n items should rather be prepared outside
// the loop; the handler then returns Prepare().
func (c *Ctx) SlowWrite(n, bytes int64) bool { return c.Detachable && c.isLong(n, bytes) }

func (c *Ctx) isLong(n, bytes int64) bool {
	return n > c.Server.LongWriteItems || bytes > longWriteBytes
}

// Prepare asks for the command to run again outside the loop, against a snapshot
// of the state at the end of the turn, to find out or to build what it needs: it
// leaves that in Prepared, or returns an error, which is the reply. Then it runs
// once more, in the loop. Nobody else writes to its keys meanwhile; they may have
// run out.
func (c *Ctx) Prepare() error {
	c.prepares = true
	return nil
}

// TakePrepare reports whether the handler has asked to be prepared.
func (c *Ctx) TakePrepare() bool {
	p := c.prepares
	c.prepares = false
	return p
}

// TakeDetach reports whether the handler has asked to be detached.
func (c *Ctx) TakeDetach() bool {
	d := c.detached
	c.detached = false
	return d
}
