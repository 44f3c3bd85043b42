package commands

import (
	"math"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

var connectionCommands = []Command{
	{
		Name: "ping", Arity: -1, Flags: Fast | Connection | InSubscribe,
		Group: "connection", Since: "1.0.0", Syntax: "[message]",
		Tips:    []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Summary: "Answers PONG, or the message.", Complexity: "O(1)",
		Run: ping,
	},
	{
		Name: "echo", Arity: 2, Flags: Loading | Stale | Fast | Connection,
		Group: "connection", Since: "1.0.0", Syntax: "message",
		Summary: "Answers the message.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Bulk(c.Args.Next())
			return nil
		},
	},
	{
		Name: "hello", Arity: -1, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy | Connection,
		Group: "connection", Since: "6.0.0", Syntax: "[protover [AUTH username password] [SETNAME clientname]]",
		Summary: "Chooses the version of the protocol, and may authenticate and name the connection.", Complexity: "O(1)",
		History: []string{"6.2.0: `protover` made optional; when called without arguments the command reports the current connection's context."},
		Secrets: helloSecrets,
		Run:     hello,
	},
	{
		Name: "auth", Arity: -2, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy | Connection | Secret,
		Group: "connection", Since: "1.0.0", Syntax: "[username] password",
		Summary:    "Authenticates the connection.",
		Complexity: "O(N) where N is the number of passwords of the user",
		History:    []string{"6.0.0: Added ACL style (username and password)."},
		Run:        auth,
	},
	{
		Name: "quit", Arity: -1, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy | Connection | InSubscribe | InMulti,
		Group: "connection", Since: "1.0.0",
		Summary: "Closes the connection once everything before it has been answered.", Complexity: "O(1)",
		Run: quit,
	},
	{
		Name: "reset", Arity: 1, Flags: NoScript | Loading | Stale | Fast | NoAuth | AllowBusy | Connection | InSubscribe | InMulti,
		Group: "connection", Since: "6.2.0",
		Summary: "Puts the connection into the state of a new one.", Complexity: "O(1)",
		Run: reset,
	},
	{
		Name: "select", Arity: 2, Flags: Loading | Stale | Fast | Connection,
		Group: "connection", Since: "1.0.0", Syntax: "index",
		Summary: "Changes the database of the connection.", Complexity: "O(1)",
		Run: selectDB,
	},
}

// Errors of connections.
const (
	errProtocolVersion resp.Error = "ERR Protocol version is not an integer or out of range"
	errNoProto         resp.Error = "NOPROTO unsupported protocol version"
	errWrongPass       resp.Error = "WRONGPASS invalid username-password pair or user is disabled."
	errNoPassword      resp.Error = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errHelloNoAuth     resp.Error = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	errIntRange        resp.Error = "ERR value is out of range, value must between -2147483648 and 2147483647"
)

// ping answers a RESP2 subscriber as if the PONG were a message: that is all it
// expects to read.
func ping(c *Ctx) error {
	if c.Args.Len() > 1 {
		return ArityError(c.Cmd)
	}
	message := c.Args.Peek()
	switch {
	case c.Out.Proto != 3 && c.Session.Subscribed():
		c.Out.Array(2)
		c.Out.BulkString("pong")
		c.Out.Bulk(message)
	case message == nil:
		c.Out.Simple("PONG")
	default:
		c.Out.Bulk(message)
	}
	return nil
}

func hello(c *Ctx) error {
	s := c.Session
	proto := 0
	if c.Args.More() {
		version := c.Args.IntOr(errProtocolVersion)
		if c.Args.Err() == nil && version != 2 && version != 3 {
			return errNoProto
		}
		proto = int(version)
	}
	var user, password, name []byte
	for c.Args.More() {
		shown := c.Args.Peek()
		switch option := c.Args.Option(); {
		case option == "AUTH" && c.Args.Len() >= 2:
			user, password = c.Args.Next(), c.Args.Next()
		case option == "SETNAME" && c.Args.Len() >= 1:
			name = c.Args.Next()
			switch {
			case !visible(name):
				c.Args.Fail(errClientName)
			case int64(len(name)) > c.Config().ProtoMaxNameLen:
				c.Args.Fail(ErrNameTooLong)
			}
		default:
			c.Args.Fail(resp.Errorf("ERR Syntax error in HELLO option '%s'", clip(shown, 128)))
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	if user != nil && !c.authenticate(user, password) {
		return errWrongPass
	}
	if !s.Authenticated {
		return errHelloNoAuth
	}
	if name != nil {
		s.Name = string(name)
	}
	if proto != 0 {
		c.speak(proto)
	}
	c.Out.Map(7)
	c.Out.BulkString("server")
	c.Out.BulkString("redis")
	c.Out.BulkString("version")
	c.Out.BulkString(RedisVersion)
	c.Out.BulkString("proto")
	c.Out.Int(int64(c.Out.Proto))
	c.Out.BulkString("id")
	c.Out.Int(s.ID)
	c.Out.BulkString("mode")
	c.Out.BulkString("standalone")
	c.Out.BulkString("role")
	c.Out.BulkString("master")
	c.Out.BulkString("modules")
	c.Out.Array(0)
	return nil
}

// helloSecrets finds what stands behind AUTH, however often that is there. A name
// may be AUTH as well: rather too much is hidden than a password shown.
func helloSecrets(args [][]byte) (at []int) {
	for i := 2; i+2 < len(args); i++ {
		if EqualFold(args[i], "AUTH") {
			at = append(at, i+1, i+2)
		}
	}
	return at
}

// speak changes the version of the protocol, from the reply to this command on.
func (c *Ctx) speak(proto int) {
	c.Session.Out.Proto = proto
	c.Out.Proto = proto
}

func auth(c *Ctx) error {
	if c.Args.Len() > 2 {
		return ErrSyntax
	}
	user := []byte(acl.DefaultName)
	if c.Args.Len() == 2 {
		user = c.Args.Next()
	} else if c.Server.Users.Default().NoPass() {
		return errNoPassword
	}
	if !c.authenticate(user, c.Args.Next()) {
		return errWrongPass
	}
	c.Out.OK()
	return nil
}

// authenticate makes the session that of the user if the password is right.
// If it is not, that is noted in the ACL log.
func (c *Ctx) authenticate(name, password []byte) bool {
	s := c.Session
	u := c.Server.Users.Authenticate(string(name), string(password))
	if u == nil {
		context := acl.Toplevel
		if c.InExec {
			context = acl.InMulti
		}
		c.Server.noteDenied(s, acl.Entry{Reason: acl.DeniedAuth, Context: context, Object: string(c.Args.All()[0]), User: string(name)}, c.Args.All(), c.Tx.Now())
		return false
	}
	s.User, s.Authenticated = u, true
	return true
}

func quit(c *Ctx) error {
	c.Out.OK()
	c.Session.CloseAfterReply = true
	return nil
}

func reset(c *Ctx) error {
	s := c.Session
	s.Multi = nil
	c.Server.Withdraw(s)
	s.DB = 0
	s.Name = ""
	s.NoEvict, s.NoTouch = false, false
	c.Server.Welcome(s)
	c.speak(2)
	c.replyOn().Simple("RESET")
	return nil
}

func selectDB(c *Ctx) error {
	db := c.dbIndex()
	if err := c.Args.Err(); err != nil {
		return err
	}
	c.Session.DB = db
	c.Out.OK()
	return nil
}

// dbIndex reads the number of a database.
func (c *Ctx) dbIndex() int {
	n := c.Args.Int()
	switch {
	case c.Args.Err() != nil:
	case n < math.MinInt32 || n > math.MaxInt32:
		c.Args.Fail(errIntRange)
	case !c.hasDB(n):
		c.Args.Fail(ErrDBIndex)
	}
	return int(n)
}

func (c *Ctx) hasDB(n int64) bool {
	return n >= 0 && n < min(int64(c.Config().Databases), storage.Databases)
}
