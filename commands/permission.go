package commands

import (
	"slices"
	"time"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/resp"
)

// What a user may do is in package acl; what a call does is in the table. Here
// the two meet.

// Errors of calls that the user may not make.
const (
	errDeniedKey     resp.Error = "NOPERM this user has no permissions to access one of the keys used as arguments"
	errDeniedChannel resp.Error = "NOPERM this user has no permissions to access one of the channels used as arguments"
)

func errDeniedCommand(c *Command) resp.Error {
	return resp.Errorf("NOPERM this user has no permissions to run the '%s' command", c.FullName())
}

// errDeniedQueued is the error of a command whose user has lost the right to it
// since it was queued.
func errDeniedQueued(denied acl.Denied) resp.Error {
	return resp.Errorf("NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "+
		"This command is no longer allowed for the following reason: %s", map[acl.Denied]string{
		acl.DeniedCommand: "no permission to execute the command or subcommand",
		acl.DeniedKey:     "no permission to touch the specified keys",
		acl.DeniedChannel: "no permission to access one of the channels used as arguments",
	}[denied])
}

// MustAuthenticate reports whether the session may do no more than
// authenticate.
func (srv *Server) MustAuthenticate(s *Session) bool {
	return !s.Authenticated && !srv.Users.Default().LetsIn()
}

// Welcome makes the session one of the default user, as a new connection is.
func (srv *Server) Welcome(s *Session) {
	s.User = srv.Users.Default()
	s.Authenticated = s.User.LetsIn()
}

// Permit refuses a call that the session's user may not make, and notes that in
// the ACL log.
func (srv *Server) Permit(s *Session, cmd *Command, args [][]byte, now time.Time) error {
	context := acl.Toplevel
	if s.Multi != nil {
		context = acl.InMulti
	}
	return srv.permit(s, cmd, args, context, now)
}

// PermitScheduled is Permit for a scheduled command that is due.
func (srv *Server) PermitScheduled(s *Session, cmd *Command, args [][]byte, now time.Time) error {
	return srv.permit(s, cmd, args, acl.Scheduled, now)
}

func (srv *Server) permit(s *Session, cmd *Command, args [][]byte, context string, now time.Time) error {
	switch what, denied := srv.denied(s, cmd, args, context, now); denied {
	case acl.DeniedCommand:
		return errDeniedCommand(what)
	case acl.DeniedKey:
		return errDeniedKey
	case acl.DeniedChannel:
		return errDeniedChannel
	}
	return nil
}

// PermitQueued is Permit for a command of a transaction that runs now.
func (srv *Server) PermitQueued(s *Session, q Queued, now time.Time) error {
	if _, denied := srv.denied(s, q.Cmd, q.Args, acl.InMulti, now); denied != acl.Allowed {
		return errDeniedQueued(denied)
	}
	return nil
}

func (srv *Server) denied(s *Session, cmd *Command, args [][]byte, context string, now time.Time) (*Command, acl.Denied) {
	what, denied, at := cmd.deniedTo(s.User, args)
	switch denied {
	case acl.Allowed:
	case acl.DeniedCommand:
		srv.noteDenied(s, acl.Entry{Reason: denied, Context: context, Object: what.FullName(), User: s.User.Name()}, args, now)
	default:
		srv.noteDenied(s, acl.Entry{Reason: denied, Context: context, Object: string(args[at]), User: s.User.Name()}, args, now)
	}
	return what, denied
}

func (srv *Server) noteDenied(s *Session, e acl.Entry, args [][]byte, now time.Time) {
	srv.Counters.Denied[e.Reason]++
	e.Client, e.LastSeen = clientLine(s, args, now), now
	srv.Denials.Add(e, srv.Config.ACLLogMaxLen)
}

// deniedTo returns what a user lacks for a call, of which command, as a call may
// hold another, and the argument that is to blame.
func (c *Command) deniedTo(u *acl.User, args [][]byte) (what *Command, denied acl.Denied, at int) {
	if u.Unrestricted() {
		return c, acl.Allowed, 0
	}
	if c.CallAt == nil {
		denied, at = u.Check(c.call(u, args))
		return c, denied, at
	}
	if denied, at = u.Check(&acl.Call{Command: c.id, Args: args}); denied != acl.Allowed {
		return c, denied, at
	}
	if inner, begin := c.held(args); inner != nil {
		what, denied, at = inner.deniedTo(u, args[begin:])
		return what, denied, at + begin
	}
	return c, acl.Allowed, 0
}

func (c *Command) call(u *acl.User, args [][]byte) *acl.Call {
	call := &acl.Call{Command: c.id, Free: c.Has(NoAuth), Args: args, Channels: c.channelUses(args)}
	if !u.AllKeys() {
		call.Keys = c.keyUses(args)
	}
	return call
}

// MayReadAllKeys reports whether the call may read keys that it does not name
// (SORT BY). A detached call was asked before it left the loop.
func (c *Ctx) MayReadAllKeys() bool {
	if c.Detached {
		return true
	}
	u := c.Session.User
	return u.Unrestricted() || u.CheckReadingAll(c.Cmd.call(u, c.Args.All()))
}

// keyUses returns what a call does with its keys: none for a call whose keys
// cannot be found, which its handler refuses.
func (c *Command) keyUses(args [][]byte) []acl.KeyUse {
	if c.Has(PubSub) {
		return nil
	}
	at, _ := c.KeyIndexes(args)
	uses := make([]acl.KeyUse, len(at))
	for i, a := range at {
		uses[i] = acl.KeyUse{At: a, Access: c.accesses[min(i, len(c.accesses)-1)]}
	}
	return uses
}

// channelUses returns the channels that a call sends to or listens to.
func (c *Command) channelUses(args [][]byte) (uses []acl.ChannelUse) {
	if inner, at := c.held(args); inner != nil {
		uses = inner.channelUses(args[at:])
		for i := range uses {
			uses[i].At += at
		}
		return uses
	}
	if c.Channels.First == 0 {
		return nil
	}
	last := c.Channels.Last
	if last < 0 {
		last += len(args)
	}
	for i := c.Channels.First; i <= min(last, len(args)-1); i++ {
		uses = append(uses, acl.ChannelUse{At: i, Pattern: c.Channels.Patterns})
	}
	return uses
}

// accessOf translates what COMMAND INFO says of a key. A command that does not
// look at the value ("RO" alone) needs no access of either kind.
func accessOf(words []string) (access acl.Access) {
	if slices.Contains(words, "access") {
		access |= acl.Read
	}
	if slices.ContainsFunc(words, func(w string) bool { return w == "insert" || w == "update" || w == "delete" }) {
		access |= acl.Write
	}
	return access
}

// aclCommandsOf numbers the commands of a table, so that rules can be about
// them.
func aclCommandsOf(all []*Command) *acl.Commands {
	known := acl.NewCommands(categoryNames)
	for _, c := range all {
		for _, one := range append([]*Command{c}, c.Subcommands()...) {
			one.id = known.Add(one.FullName(), one.Categories())
			for i := range max(1, len(one.Access)) {
				one.accesses = append(one.accesses, accessOf(one.access(i)))
			}
		}
	}
	return known
}

// InitUsers makes the default user, with the password that requirepass names.
// From here on the users follow the configuration.
func (srv *Server) InitUsers() {
	srv.Users = acl.NewUsers(srv.Table.known)
	srv.followUsers("requirepass")
	srv.followUsers("acl-pubsub-default")
	srv.Config.OnChange(srv.followUsers)
}

func (srv *Server) followUsers(directive string) {
	switch directive {
	case "requirepass":
		srv.Users.SetDefaultPassword(srv.Config.RequirePass)
	case "acl-pubsub-default":
		srv.Users.AllChannels = srv.Config.ACLPubSubDefault == config.ChannelsAll
	}
}
