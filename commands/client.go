package commands

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/resp"
)

var clientCommands = []Command{
	{
		Name: "client", Arity: -2,
		Group: "connection", Since: "2.4.0",
		Summary: "Commands about connections.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "client", Name: "getname", Arity: 2, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "2.6.9",
		Summary: "Returns the name of the connection.", Complexity: "O(1)",
		Run: clientGetName,
	},
	helpCommand("client", Connection, "connection", "5.0.0"),
	{
		Parent: "client", Name: "id", Arity: 2, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "5.0.0",
		Summary: "Returns the id of the connection.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Int(c.Session.ID)
			return nil
		},
	},
	{
		Parent: "client", Name: "info", Arity: 2, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "6.2.0", Tips: []string{"nondeterministic_output"},
		Summary: "Describes the connection.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Verbatim("txt", clientLine(c.Session, c.Args.All(), c.Tx.Now())+"\n")
			return nil
		},
	},
	{
		Parent: "client", Name: "kill", Arity: -3, Flags: Admin | NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "2.4.0",
		Syntax:     "<ip:port | " + killFilters + " [" + killFilters + " ...]>",
		Summary:    "Closes connections.",
		Complexity: "O(N) where N is the number of connections",
		History: []string{
			"2.8.12: Added new filter format.", "2.8.12: `ID` option.", "3.2.0: Added `master` type in for `TYPE` option.",
			"5.0.0: Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility.",
			"6.2.0: `LADDR` option.", "7.4.0: `MAXAGE` option.",
		},
		Run: clientKill,
	},
	{
		Parent: "client", Name: "list", Arity: -2, Flags: Admin | NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "2.4.0", Tips: []string{"nondeterministic_output"},
		Syntax:     "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
		Summary:    "Describes all connections, or those of a type or with given ids.",
		Complexity: "O(N) where N is the number of connections",
		History: []string{
			"2.8.12: Added unique client `id` field.", "5.0.0: Added optional `TYPE` filter.", "6.0.0: Added `user` field.",
			"6.2.0: Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter.",
			"7.0.0: Added `resp`, `multi-mem`, `rbs` and `rbp` fields.", "7.0.3: Added `ssub` field.",
			"7.2.0: Added `lib-name` and `lib-ver` fields.",
		},
		Run: clientList,
	},
	{
		Parent: "client", Name: "no-evict", Arity: 3, Flags: Admin | NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "7.0.0", Syntax: "<ON | OFF>",
		Summary: "Protects the connection from being closed for the memory it uses.", Complexity: "O(1)",
		Run: func(c *Ctx) error { return setSwitch(c, &c.Session.NoEvict) },
	},
	{
		Parent: "client", Name: "no-touch", Arity: 3, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "7.2.0", Syntax: "<ON | OFF>",
		Summary: "Lets the connection's commands not count as uses of keys.", Complexity: "O(1)",
		Run: func(c *Ctx) error { return setSwitch(c, &c.Session.NoTouch) },
	},
	{
		Parent: "client", Name: "pause", Arity: -3, Flags: Admin | NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "2.9.50", Syntax: "timeout [WRITE | ALL]",
		Summary: "Holds back the commands of all clients, or those that write, for some milliseconds.", Complexity: "O(1)",
		History: []string{"6.2.0: `CLIENT PAUSE WRITE` mode added along with the `mode` option."},
		Run:     clientPause,
	},
	{
		Parent: "client", Name: "reply", Arity: 3, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "3.2.0", Syntax: "<ON | OFF | SKIP>",
		Summary: "Chooses whether the connection's commands are answered.", Complexity: "O(1)",
		Run: clientReply,
	},
	{
		Parent: "client", Name: "setinfo", Arity: 4, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "7.2.0", Syntax: "<LIB-NAME libname | LIB-VER libver>",
		Summary: "Tells which client library the connection comes from.", Complexity: "O(1)",
		Run: clientSetInfo,
	},
	{
		Parent: "client", Name: "setname", Arity: 3, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "2.6.9", Syntax: "connection-name",
		Summary: "Names the connection.", Complexity: "O(1)",
		Run: clientSetName,
	},
	{
		Parent: "client", Name: "unblock", Arity: -3, Flags: Admin | NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "5.0.0", Syntax: "client-id [TIMEOUT | ERROR]",
		Summary: "Ends the waiting of another client.", Complexity: "O(log N) where N is the number of clients that wait",
		Run: clientUnblock,
	},
	{
		Parent: "client", Name: "unpause", Arity: 2, Flags: Admin | NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "6.2.0",
		Summary: "Ends CLIENT PAUSE.", Complexity: "O(N) where N is the number of clients held back",
		Run: func(c *Ctx) error {
			c.Server.Pause = Pause{}
			c.Out.OK()
			return nil
		},
	},
}

const killFilters = "<ID client-id | TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB> | USER username | ADDR ip:port | LADDR ip:port | SKIPME <YES | NO> | MAXAGE maxage>"

// Errors of CLIENT.
const (
	errClientName    resp.Error = "ERR Client names cannot contain spaces, newlines or special characters."
	errClientID      resp.Error = "ERR client-id should be greater than 0"
	errMaxAge        resp.Error = "ERR maxage should be greater than 0"
	errMaxAgeInteger resp.Error = "ERR maxage is not an integer or out of range"
	errListID        resp.Error = "ERR Invalid client ID"
	errNoSuchClient  resp.Error = "ERR No such client"
	errUnblockReason resp.Error = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
	errPauseMode     resp.Error = "ERR CLIENT PAUSE mode must be WRITE or ALL"
)

// visible reports whether p has only printing characters, no blanks: names go
// into lines of fields separated by blanks.
func visible(p []byte) bool {
	for _, ch := range p {
		if ch < '!' || ch > '~' {
			return false
		}
	}
	return true
}

func clientGetName(c *Ctx) error {
	if c.Session.Name == "" {
		c.Out.Null()
	} else {
		c.Out.BulkString(c.Session.Name)
	}
	return nil
}

func clientSetName(c *Ctx) error {
	name := c.Args.Next()
	if !visible(name) {
		return errClientName
	}
	if int64(len(name)) > c.Config().ProtoMaxNameLen {
		return ErrNameTooLong
	}
	c.Session.Name = string(name)
	c.Out.OK()
	return nil
}

func clientSetInfo(c *Ctx) error {
	option, value := c.Args.Next(), c.Args.Next()
	var field *string
	switch {
	case EqualFold(option, "LIB-NAME"):
		field = &c.Session.LibName
	case EqualFold(option, "LIB-VER"):
		field = &c.Session.LibVer
	default:
		return resp.Errorf("ERR Unrecognized option '%s'", clip(option, 128))
	}
	if !visible(value) {
		return resp.Errorf("ERR %s cannot contain spaces, newlines or special characters.", option)
	}
	if int64(len(value)) > c.Config().ProtoMaxNameLen {
		return ErrNameTooLong
	}
	*field = string(value)
	c.Out.OK()
	return nil
}

func setSwitch(c *Ctx, on *bool) error {
	switch c.Args.Option() {
	case "ON":
		*on = true
	case "OFF":
		*on = false
	default:
		return ErrSyntax
	}
	c.Out.OK()
	return nil
}

// clientReply answers nothing but to ON.
func clientReply(c *Ctx) error {
	s := c.Session
	switch c.Args.Option() {
	case "ON":
		c.replyOn().OK()
	case "OFF":
		s.Reply = ReplyOff
	case "SKIP":
		if s.Reply != ReplyOff {
			s.Reply = ReplySkipNext
		}
	default:
		return ErrSyntax
	}
	return nil
}

// replyOn lets the session be answered again, from this command on, and
// returns where to: what was c.Out may have led nowhere.
func (c *Ctx) replyOn() *resp.Buffer {
	c.Session.Reply = ReplyOn
	return &c.Session.Out
}

// ---- CLIENT LIST -----------------------------------------------------------

// clientType is a session's type for CLIENT LIST and KILL. There are neither
// masters nor replicas.
func clientType(s *Session) string {
	if s.Subscribed() {
		return "pubsub"
	}
	return "normal"
}

// parseClientType reads the name of a type of clients.
func parseClientType(p []byte) (string, error) {
	switch t := strings.ToLower(string(clip(p, 128))); t {
	case "normal", "pubsub", "master", "replica":
		return t, nil
	case "slave":
		return "replica", nil
	}
	return "", resp.Errorf("ERR Unknown client type '%s'", clip(p, 128))
}

// sessions returns the connected clients in the order in which they came.
func (srv *Server) sessions() []*Session {
	list := make([]*Session, 0, len(srv.Sessions))
	for _, s := range srv.Sessions {
		if !s.Killed {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *Session) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func clientList(c *Ctx) error {
	list, err := clientsToList(c)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, s := range list {
		running := c.Args.All()
		if s != c.Session {
			running = nil
		}
		text.WriteString(clientLine(s, running, c.Tx.Now()))
		text.WriteByte('\n')
		if !c.FitsReply(0, int64(text.Len())) { // an id may be asked for again and again
			return ErrReplyTooLong
		}
	}
	c.Out.Verbatim("txt", text.String())
	return nil
}

func clientsToList(c *Ctx) (list []*Session, err error) {
	switch {
	case !c.Args.More():
		return c.Server.sessions(), nil
	case c.Args.Len() == 2 && c.Args.Word("TYPE"):
		t, err := parseClientType(c.Args.Next())
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(c.Server.sessions(), func(s *Session) bool { return clientType(s) != t }), nil
	case c.Args.Len() > 1 && c.Args.Word("ID"):
		for c.Args.More() {
			if s := c.Server.Sessions[c.Args.IntOr(errListID)]; s != nil && !s.Killed {
				list = append(list, s)
			}
		}
		return list, c.Args.Err()
	}
	return nil, ErrSyntax
}

// clientLine describes a session in the fields of CLIENT LIST. args are those of
// the command that it is running, if it is.
func clientLine(s *Session, args [][]byte, now time.Time) string {
	multi := -1
	if s.Multi != nil {
		multi = len(s.Multi.Queue)
	}
	argvBytes := argsBytes(args)
	if s.Blocked != nil {
		argvBytes = argsBytes(s.Blocked.Args)
	}
	used, free := s.Peer.QueryBuffer()
	segments, outBytes := len(s.Out.Segments(nil)), s.Out.Len()
	events := "r"
	if outBytes > 0 {
		events = "rw"
	}
	command := "NULL"
	if s.LastCmd != nil {
		command = s.LastCmd.FullName()
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d"+
		" qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=0 rbp=0 obl=0 oll=%d omem=%d tot-mem=%d events=%s cmd=%s"+
		" user=%s redir=%d resp=%d lib-name=%s lib-ver=%s",
		s.ID, s.Peer.RemoteAddr(), s.Peer.LocalAddr(), s.Peer.FD(), s.Name,
		seconds(now.Sub(s.Created)), seconds(now.Sub(s.LastUsed)), clientFlags(s), s.DB,
		s.Subs.Count(pubsub.Channel), s.Subs.Count(pubsub.Pattern), s.Subs.Count(pubsub.Shard), multi,
		used, free, argvBytes, s.QueuedBytes(), segments, outBytes,
		s.weigh()+int64(s.Out.SharedBytes()), events, command,
		s.User.Name(), s.redirect(), max(s.Out.Proto, 2), s.LibName, s.LibVer)
}

func argsBytes(args [][]byte) (n int) {
	for _, a := range args {
		n += len(a)
	}
	return n
}

func seconds(d time.Duration) int64 { return int64(max(d, 0) / time.Second) }

// clientFlags are the letters of CLIENT LIST's flags.
func clientFlags(s *Session) string {
	var letters []byte
	for _, f := range []struct {
		letter byte
		set    bool
	}{
		{'O', s.Monitors},
		{'P', s.Subscribed()},
		{'x', s.Multi != nil},
		{'b', s.Blocked != nil || s.Paused},
		{'t', s.Tracking != nil},
		{'R', s.Tracking != nil && s.Tracking.Broken},
		{'B', s.Tracking != nil && s.Tracking.Broadcast},
		{'d', s.Dirty},
		{'c', s.CloseAfterReply},
		{'U', strings.HasSuffix(s.Peer.RemoteAddr(), ":0")},
		{'e', s.NoEvict},
		{'T', s.NoTouch},
	} {
		if f.set {
			letters = append(letters, f.letter)
		}
	}
	if len(letters) == 0 {
		return "N"
	}
	return string(letters)
}

// ---- CLIENT KILL -----------------------------------------------------------

// killFilter says which connections to close; what is zero does not matter.
type killFilter struct {
	id          int64
	clientType  string
	user        *acl.User
	addr, laddr *string
	skipMe      bool
	age         int64 // seconds
}

func (f *killFilter) matches(c *Ctx, s *Session) bool {
	return (f.id == 0 || s.ID == f.id) &&
		(f.clientType == "" || clientType(s) == f.clientType) &&
		(f.user == nil || s.User == f.user) &&
		(f.addr == nil || s.Peer.RemoteAddr() == *f.addr) &&
		(f.laddr == nil || s.Peer.LocalAddr() == *f.laddr) &&
		(f.age == 0 || seconds(c.Tx.Now().Sub(s.Created)) >= f.age) &&
		(!f.skipMe || s != c.Session)
}

func clientKill(c *Ctx) error {
	oldForm := c.Args.Len() == 1
	var filter killFilter
	if oldForm {
		filter.addr = text(c.Args.Next())
	} else {
		var err error
		if filter, err = killFilterOf(c); err != nil {
			return err
		}
	}
	killed := int64(0)
	for _, s := range c.Server.sessions() {
		if !filter.matches(c, s) {
			continue
		}
		killed++
		if s == c.Session {
			s.CloseAfterReply = true
		} else {
			c.Server.kill(s)
		}
	}
	switch {
	case !oldForm:
		c.Out.Int(killed)
	case killed == 0:
		return errNoSuchClient
	default:
		c.Out.OK()
	}
	return nil
}

func killFilterOf(c *Ctx) (f killFilter, err error) {
	f.skipMe = true
	for c.Args.More() {
		option := c.Args.Option()
		if !c.Args.More() {
			return f, ErrSyntax
		}
		switch option {
		case "ID":
			f.id = c.Args.AtLeast(1, errClientID)
		case "TYPE":
			f.clientType, err = parseClientType(c.Args.Next())
			if err != nil {
				return f, err
			}
		case "USER":
			name := c.Args.Next()
			if f.user = c.Server.Users.Get(string(name)); f.user == nil {
				c.Args.Fail(resp.Errorf("ERR No such user '%s'", clip(name, 128)))
			}
		case "ADDR":
			f.addr = text(c.Args.Next())
		case "LADDR":
			f.laddr = text(c.Args.Next())
		case "MAXAGE":
			f.age = c.Args.IntOr(errMaxAgeInteger)
			if c.Args.Err() == nil && f.age <= 0 {
				c.Args.Fail(errMaxAge)
			}
		case "SKIPME":
			switch c.Args.Option() {
			case "YES":
				f.skipMe = true
			case "NO":
				f.skipMe = false
			default:
				c.Args.Fail(ErrSyntax)
			}
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	return f, c.Args.Err()
}

func text(p []byte) *string {
	s := string(p)
	return &s
}

// kill ends another's session. From here on it takes part in nothing: no
// message counts it, nothing is served to it.
func (srv *Server) kill(s *Session) {
	s.Killed = true
	srv.Withdraw(s)
	srv.Closing = append(srv.Closing, s)
}

// ---- CLIENT UNBLOCK, PAUSE -------------------------------------------------

func clientUnblock(c *Ctx) error {
	if c.Args.Len() > 2 {
		return subcommandSyntax(c)
	}
	how := UnblockTimeout
	if c.Args.Len() == 2 {
		switch all := c.Args.All(); {
		case EqualFold(all[len(all)-1], "TIMEOUT"):
		case EqualFold(all[len(all)-1], "ERROR"):
			how = UnblockWithError
		default:
			return errUnblockReason
		}
	}
	id := c.Args.Int()
	if err := c.Args.Err(); err != nil {
		return err
	}
	s := c.Server.Sessions[id]
	if s == nil || s.Killed || s.Blocked == nil || s.Blocked.Unblock != NotUnblocked {
		c.Out.Int(0)
		return nil
	}
	s.Blocked.Unblock = how
	c.Server.Unblocked = append(c.Server.Unblocked, s)
	c.Out.Int(1)
	return nil
}

// clientPause lets the longer pause and the stricter mode win over one that is
// in force.
func clientPause(c *Ctx) error {
	if c.Args.Len() > 2 {
		return subcommandSyntax(c)
	}
	writes := false
	if c.Args.Len() == 2 {
		switch all := c.Args.All(); {
		case EqualFold(all[len(all)-1], "WRITE"):
			writes = true
		case EqualFold(all[len(all)-1], "ALL"):
		default:
			return errPauseMode
		}
	}
	ms := c.Args.IntOr(ErrTimeoutInteger)
	if c.Args.Err() == nil && ms < 0 {
		c.Args.Fail(ErrTimeoutNeg)
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	now, p := c.Tx.Now(), &c.Server.Pause
	until := now.Add(time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond)
	if now.Before(p.Until) {
		writes = writes && p.Writes
		if p.Until.After(until) {
			until = p.Until
		}
	}
	*p = Pause{Until: until, Writes: writes}
	c.Out.OK()
	return nil
}
