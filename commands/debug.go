package commands

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// DEBUG is for those who test: clients, how they take every type of reply and a
// server that hangs; a copy of data, whether it is one; cairn itself, whether
// what is on disk is what it had in memory. It is part of adminCommands.
var debugCommands = []Command{
	{
		Name: "debug", Arity: -2, Flags: Admin | NoScript | Loading | Stale | Protected,
		Group: "server", Since: "1.0.0",
		Syntax:     "subcommand [arg [arg ...]]",
		Summary:    "Is for tests, if enable-debug-command allows it: DIGEST-VALUE, PROTOCOL, RELOAD, SET-ACTIVE-EXPIRE, SLEEP; HELP tells more.",
		Complexity: "Depends on the subcommand",
		Run:        debug,
	},
}

// debugSubcommands are not entries of the table: in Redis an ACL rule such as
// +debug|sleep means a first argument.
var debugSubcommands = []struct {
	name, syntax, help string
	least, most        int // arguments
	run                func(*Ctx) error
}{
	{
		"DIGEST-VALUE", "<key> [<key> ...]", "Returns a hash of each value: two values have the same one if they are equal, here or in a Redis.",
		0, math.MaxInt, debugDigestValue,
	},
	{"LOADAOF", "", "Does what RELOAD does.", 0, 0, debugReload},
	{"PROTOCOL", "<type>", "Replies with a value of a type: " + protocolTypes + ".", 1, 1, debugProtocol},
	{"RELOAD", "[NOSAVE]", "Forgets all that is in memory: what is used next is read from disk.", 0, math.MaxInt, debugReload},
	{"SET-ACTIVE-EXPIRE", "<0|1>", "Chooses whether keys that have run out are removed before somebody asks for them.", 1, 1, debugSetActiveExpire},
	{"SLEEP", "<seconds>", "Stops the server for so long. Decimals are allowed.", 1, 1, debugSleep},
}

// ErrProtected is the reply to DEBUG from those who must not use it.
const ErrProtected resp.Error = `ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", ` +
	"you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."

// AllowsProtected reports whether a session may use protected commands.
func (srv *Server) AllowsProtected(s *Session) bool {
	switch srv.Config.EnableDebugCommand {
	case config.DebugYes:
		return true
	case config.DebugLocal:
		peer, err := netip.ParseAddrPort(s.Peer.RemoteAddr())
		return err != nil || peer.Addr().Unmap().IsLoopback() // what is no address is a unix socket
	}
	return false
}

func debug(c *Ctx) error {
	name := c.Args.Next()
	for _, sub := range debugSubcommands {
		if EqualFold(name, sub.name) && sub.least <= c.Args.Len() && c.Args.Len() <= sub.most {
			return sub.run(c)
		}
	}
	if EqualFold(name, "HELP") && c.Args.Len() == 0 {
		debugHelp(c)
		return nil
	}
	return resp.Errorf("ERR unknown subcommand or wrong number of arguments for '%s'. Try DEBUG HELP.", clip(name, 128))
}

func debugHelp(c *Ctx) {
	lines := []string{"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}
	for _, sub := range debugSubcommands {
		lines = append(lines, strings.TrimSpace(sub.name+" "+sub.syntax), "    "+sub.help)
	}
	lines = append(lines, "HELP", "    Prints this help.")
	c.Out.Array(len(lines))
	for _, line := range lines {
		c.Out.Simple(line)
	}
}

const errReloadOptions resp.Error = "ERR DEBUG RELOAD only supports the NOSAVE option."

// debugReload has the store forget everything after the turn. There is nothing
// to save, so NOSAVE makes no difference.
func debugReload(c *Ctx) error {
	for c.Args.More() {
		if !c.Args.Word("NOSAVE") {
			return errReloadOptions
		}
	}
	c.Server.Reload = true
	c.Out.OK()
	return nil
}

func debugSetActiveExpire(c *Ctx) error {
	on := c.Args.Int()
	if err := c.Args.Err(); err != nil {
		return err
	}
	c.Server.Store.LeaveExpired = on == 0
	c.Out.OK()
	return nil
}

func debugSleep(c *Ctx) error {
	seconds, ok := ParseFloat(c.Args.Next())
	if !ok {
		return ErrNotFloat
	}
	c.Server.Sleep(time.Duration(min(seconds, math.MaxInt32) * float64(time.Second)))
	c.Out.OK()
	return nil
}

// ---- DIGEST-VALUE ----------------------------------------------------------

// digest is Redis' hash of a value: what is mixed in changes it, and so does the
// order.
type digest [sha1.Size]byte

func (d *digest) xor(p []byte) {
	for i, b := range sha1.Sum(p) {
		d[i] ^= b
	}
}

func (d *digest) mix(p []byte) {
	d.xor(p)
	*d = sha1.Sum(d[:])
}

// Redis' numbers of the types, and its word for an expiry.
const (
	digestList   = 1
	digestStream = 6
	digestExpire = "!!expire!!"
)

func debugDigestValue(c *Ctx) error {
	keys, items := c.Args.Rest(), int64(0)
	for _, key := range keys {
		if o := c.Tx.Peek(key); o != nil && o.Type() == storage.TypeList {
			items += lists.Of(c.Tx, o).Len()
		} else if o != nil {
			s, err := streams.Open(c.Tx, key)
			if err != nil {
				return err
			}
			items += int64(s.Len())
		}
	}
	if c.Slow(items) {
		return c.Detach()
	}
	c.Out.Array(len(keys))
	for _, key := range keys {
		d, err := digestOf(c.Tx, key)
		if err != nil {
			return err
		}
		c.Out.Simple(hex.EncodeToString(d[:]))
	}
	return nil
}

// digestOf returns the digest of the value at a key: zeros if there is none.
func digestOf(tx *storage.Tx, key []byte) (d digest, err error) {
	o := tx.Peek(key)
	if o == nil {
		return d, nil
	}
	switch o.Type() {
	case storage.TypeList:
		d.mix(binary.BigEndian.AppendUint32(nil, digestList))
		l := lists.Of(tx, o)
		l.Range(0, l.Len(), func(_ int64, element []byte) bool {
			d.mix(element)
			return true
		})
	case storage.TypeStream:
		d.mix(binary.BigEndian.AppendUint32(nil, digestStream))
		s, err := streams.Open(tx, key)
		if err != nil {
			return d, err
		}
		s.Range(streams.ID{}, streams.MaxID, false, func(e *streams.Entry) bool {
			d.mix(fmt.Appendf(nil, "%d.%d", e.ID.Ms, e.ID.Seq))
			e.Each(d.mix)
			return true
		})
	}
	if o.ExpireAt() != 0 {
		d.xor([]byte(digestExpire))
	}
	return d, nil
}

// ---- PROTOCOL --------------------------------------------------------------

const (
	protocolTypes = "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"

	errProtocolType resp.Error = "ERR Wrong protocol type name. Please use one of the following: " + protocolTypes
	errPushInRESP2  resp.Error = "ERR RESP2 is not supported by this command"
)

func debugProtocol(c *Ctx) error {
	out := c.Out
	switch c.Args.Option() {
	case "STRING":
		out.BulkString("Hello World")
	case "INTEGER":
		out.Int(12345)
	case "DOUBLE":
		out.Double(3.141)
	case "BIGNUM":
		out.BigNumber("1234567999999999999999999999999999999")
	case "NULL":
		out.Null()
	case "ARRAY":
		out.Array(3)
		writeCounting(out)
	case "SET":
		out.Set(3)
		writeCounting(out)
	case "MAP":
		out.Map(3)
		for i := range int64(3) {
			out.Int(i)
			out.Bool(i == 1)
		}
	case "ATTRIB":
		if out.Proto == 3 {
			out.Attribute(1)
			out.BulkString("key-popularity")
			out.Array(2)
			out.BulkString("key:123")
			out.Int(90)
		}
		out.BulkString("Some real reply following the attribute")
	case "PUSH":
		if out.Proto != 3 {
			return errPushInRESP2
		}
		push := c.confirmations()
		push.Push(2)
		push.BulkString("server-cpu-usage")
		push.Int(42)
		out.BulkString("Some real reply following the push reply")
	case "VERBATIM":
		out.Verbatim("txt", "This is a verbatim\nstring")
	case "TRUE":
		out.Bool(true)
	case "FALSE":
		out.Bool(false)
	default:
		return errProtocolType
	}
	return nil
}

func writeCounting(out *resp.Buffer) {
	for i := range int64(3) {
		out.Int(i)
	}
}
