package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/resp"
)

var aclCommands = []Command{
	{
		Name: "acl", Arity: -2,
		Group: "server", Since: "6.0.0",
		Summary: "Commands about users and what they may do.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "acl", Name: "cat", Arity: -2, Flags: NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0", Syntax: "[category]",
		Summary:    "Returns the categories of commands, or the commands of one.",
		Complexity: "O(N) where N is the number of commands",
		Run:        aclCat,
	},
	{
		Parent: "acl", Name: "deluser", Arity: -3, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0", Syntax: "username [username ...]",
		Summary:    "Removes users and closes their connections.",
		Complexity: "O(N) where N is the number of connections",
		Run:        aclDelUser,
	},
	{
		Parent: "acl", Name: "dryrun", Arity: -4, Flags: Admin | NoScript | Loading | Stale, Secrets: secretsOfCall(3),
		Group: "server", Since: "7.0.0", Syntax: "username command [arg [arg ...]]",
		Summary: "Says whether a user may make a call, without making it.", Complexity: "O(1)",
		Run: aclDryRun,
	},
	{
		Parent: "acl", Name: "genpass", Arity: -2, Flags: NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0", Syntax: "[bits]",
		Summary: "Makes a password of random bits (256 unless told), in hexadecimal.", Complexity: "O(1)",
		Run: aclGenPass,
	},
	{
		Parent: "acl", Name: "getuser", Arity: 3, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0", Syntax: "username",
		Summary:    "Returns what a user may do, and the hashes of the user's passwords.",
		Complexity: "O(N) where N is the number of passwords, commands and patterns of the user",
		History: []string{
			"6.2.0: Added Pub/Sub channel patterns.",
			"7.0.0: Added selectors and changed the format of key and channel patterns from a list to their rule representation.",
		},
		Run: aclGetUser,
	},
	helpCommand("acl", 0, "server", "6.0.0"),
	{
		Parent: "acl", Name: "list", Arity: 2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0",
		Summary: "Returns the users as the ACL file has them.", Complexity: "O(N) where N is the number of users",
		Run: func(c *Ctx) error { return aclUsers(c, (*acl.User).Line) },
	},
	{
		Parent: "acl", Name: "load", Arity: 2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0",
		Summary:    "Replaces all users by those of the ACL file. Closes the connections of users whom it does not name, and those that listen to what their users may no longer hear.",
		Complexity: "O(N) where N is the number of users and connections",
		Run:        aclLoad,
	},
	{
		Parent: "acl", Name: "log", Arity: -2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0", Syntax: "[count | RESET]",
		Summary:    "Returns the newest calls that were refused (10 unless told), or forgets them.",
		Complexity: "O(N) where N is the number of entries returned",
		History:    []string{"7.2.0: Added entry ID, timestamp created, and timestamp last updated."},
		Run:        aclLog,
	},
	{
		Parent: "acl", Name: "save", Arity: 2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0",
		Summary: "Writes the users to the ACL file.", Complexity: "O(N) where N is the number of users",
		Run: aclSave,
	},
	{
		Parent: "acl", Name: "setuser", Arity: -3, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0", Syntax: "username [rule [rule ...]]",
		Summary:    "Makes or changes a user: by all of the rules, or by none.",
		Complexity: "O(N) where N is the number of rules",
		History:    []string{"6.2.0: Added Pub/Sub channel patterns.", "7.0.0: Added selectors and key based permissions."},
		Secrets:    aclSetUserSecrets,
		Run:        aclSetUser,
	},
	{
		Parent: "acl", Name: "users", Arity: 2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0",
		Summary: "Returns the names of the users.", Complexity: "O(N) where N is the number of users",
		Run: func(c *Ctx) error { return aclUsers(c, (*acl.User).Name) },
	},
	{
		Parent: "acl", Name: "whoami", Arity: 2, Flags: NoScript | Loading | Stale,
		Group: "server", Since: "6.0.0",
		Summary: "Returns the name of the connection's user.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.BulkString(c.Session.User.Name())
			return nil
		},
	},
}

// Errors of ACL.
const (
	errUserName    resp.Error = "ERR Usernames can't contain spaces or null characters"
	errDefaultUser resp.Error = "ERR The 'default' user cannot be removed"
	errNoACLFile   resp.Error = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration."
	errACLSave     resp.Error = "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
)

// ---- Users -----------------------------------------------------------------

func aclSetUser(c *Ctx) error {
	name := string(c.Args.Next())
	if !acl.ValidName(name) {
		return errUserName
	}
	rules := make([]string, 0, c.Args.Len())
	for _, rule := range c.Args.Rest() {
		rules = append(rules, string(rule))
	}
	u, hearsLess, err := c.Server.Users.Set(name, rules)
	if err != nil {
		return resp.Error("ERR " + err.Error())
	}
	if hearsLess {
		c.expelListeners(u)
	}
	c.Out.OK()
	return nil
}

// aclSetUserSecrets hides rules, of which some are passwords, and who they are
// for.
func aclSetUserSecrets(args [][]byte) (at []int) {
	for i := 2; i < len(args); i++ {
		at = append(at, i)
	}
	return at
}

func aclDelUser(c *Ctx) error {
	names := c.Args.Rest()
	for _, name := range names {
		if string(name) == acl.DefaultName {
			return errDefaultUser
		}
	}
	var gone []*acl.User
	for _, name := range names {
		if u := c.Server.Users.Delete(string(name)); u != nil {
			gone = append(gone, u)
		}
	}
	c.expelUsers(gone)
	c.Out.Int(int64(len(gone)))
	return nil
}

// expelUsers closes the connections of users who are no more.
func (c *Ctx) expelUsers(gone []*acl.User) {
	if len(gone) > 0 {
		c.expel(func(s *Session) bool { return slices.Contains(gone, s.User) })
	}
}

// expelListeners closes the connections that listen to what their users may no
// longer hear.
func (c *Ctx) expelListeners(users ...*acl.User) {
	if len(users) > 0 {
		c.expel(func(s *Session) bool { return slices.Contains(users, s.User) && listensBeyond(s, s.User) })
	}
}

// expel closes connections that have lost the right to be there. Nothing more
// is done in their user's name; the connection that brings this about still
// gets its reply.
func (c *Ctx) expel(lost func(*Session) bool) {
	for _, s := range c.Server.sessions() {
		if !lost(s) {
			continue
		}
		s.User, s.Authenticated = c.Server.Users.Default(), false
		if s == c.Session {
			s.CloseAfterReply = true
		} else {
			c.Server.kill(s)
		}
	}
}

func aclGetUser(c *Ctx) error {
	u := c.Server.Users.Get(string(c.Args.Next()))
	if u == nil {
		c.Out.Null()
		return nil
	}
	c.Out.Map(6)
	c.Out.BulkString("flags")
	flags := u.Flags()
	c.Out.Set(len(flags))
	for _, flag := range flags {
		c.Out.BulkString(flag)
	}
	c.Out.BulkString("passwords")
	c.Out.Array(len(u.Passwords()))
	for _, hash := range u.Passwords() {
		c.Out.BulkString(hash)
	}
	rights := u.Rights()
	writeRights(c.Out, rights[0])
	c.Out.BulkString("selectors")
	c.Out.Array(len(rights) - 1)
	for _, r := range rights[1:] {
		c.Out.Map(3)
		writeRights(c.Out, r)
	}
	return nil
}

func writeRights(out *resp.Buffer, r acl.Rights) {
	writeText(out, "commands", r.Commands)
	writeText(out, "keys", r.Keys)
	writeText(out, "channels", r.Channels)
}

func aclUsers(c *Ctx, show func(*acl.User) string) error {
	users := c.Server.Users.All()
	c.Out.Array(len(users))
	for _, u := range users {
		c.Out.BulkString(show(u))
	}
	return nil
}

func aclDryRun(c *Ctx) error {
	name := c.Args.Next()
	u := c.Server.Users.Get(string(name))
	if u == nil {
		return resp.Errorf("ERR User '%s' not found", clip(name, 128))
	}
	call := c.Args.Rest()
	cmd, err := c.Server.Table.Resolve(call)
	if err != nil {
		return resp.Errorf("ERR Command '%s' not found", clip(call[0], 128))
	}
	if !cmd.ArityFits(len(call)) {
		return ArityError(cmd)
	}
	switch cmd, denied, at := cmd.deniedTo(u, call); denied {
	case acl.Allowed:
		c.Out.OK()
	case acl.DeniedCommand:
		c.Out.BulkString(fmt.Sprintf("This user has no permissions to run the '%s' command", cmd.FullName()))
	default:
		c.Out.BulkString(fmt.Sprintf("This user has no permissions to access the '%s' %s", call[at], denied))
	}
	return nil
}

// listensBeyond reports whether a session listens to what the user may not
// hear.
func listensBeyond(s *Session, u *acl.User) bool {
	for _, kind := range []pubsub.Kind{pubsub.Channel, pubsub.Pattern, pubsub.Shard} {
		for _, name := range s.Subs.Names(kind) {
			if !u.Hears(name, kind == pubsub.Pattern) {
				return true
			}
		}
	}
	return false
}

// ---- The file --------------------------------------------------------------

func aclLoad(c *Ctx) error {
	if c.Config().ACLFile == "" {
		return errNoACLFile
	}
	gone, deafer, err := c.Server.loadACLFile()
	if err != nil {
		return resp.Error("ERR " + err.Error())
	}
	c.expelUsers(gone)
	c.expelListeners(deafer...)
	c.Out.OK()
	return nil
}

func aclSave(c *Ctx) error {
	path := c.Config().ACLFile
	if path == "" {
		return errNoACLFile
	}
	var text bytes.Buffer
	if err := c.Server.Users.Save(&text); err != nil {
		return err
	}
	if err := c.Server.WriteFile(path, text.Bytes()); err != nil {
		c.Server.Logf("ACL SAVE to %s: %v", path, err)
		return errACLSave
	}
	c.Out.OK()
	return nil
}

func (srv *Server) loadACLFile() (gone, deafer []*acl.User, err error) {
	path := srv.Config.ACLFile
	text, err := srv.ReadFile(path)
	if err != nil {
		return nil, nil, acl.LoadError(fmt.Sprintf("Error loading ACLs, opening file '%s': %s", path, reasonOf(err)))
	}
	return srv.Users.Load(string(text), path)
}

// reasonOf is an error about a file as C has it: without the file, and with a
// capital letter.
func reasonOf(err error) string {
	if inPath := (*fs.PathError)(nil); errors.As(err, &inPath) {
		err = inPath.Err
	}
	reason := err.Error()
	return strings.ToUpper(reason[:1]) + reason[1:]
}

// LoadUsers makes the users that the configuration asks for, in lines of its
// own or in a file. It is called once, before the first connection; an error
// says in one line what to mend, without showing passwords.
func (srv *Server) LoadUsers() error {
	config := srv.Config
	if config.ACLFile != "" && len(config.Users) > 0 {
		return errors.New("users are defined both in the configuration and in an aclfile: keep them in one of the two")
	}
	for _, user := range config.Users {
		if err := srv.defineUser(user[0], user[1:]); err != nil {
			return fmt.Errorf("user %s: %w", user[0], err)
		}
	}
	if config.ACLFile == "" {
		return nil
	}
	_, _, err := srv.loadACLFile()
	return err
}

// defineUser makes a user of the configuration. The default user, who is there
// already, begins anew.
func (srv *Server) defineUser(name string, rules []string) error {
	if !acl.ValidName(name) {
		return errors.New("usernames can't contain spaces or null characters")
	}
	if name == acl.DefaultName {
		rules = append([]string{"reset"}, rules...)
	}
	_, _, err := srv.Users.Set(name, rules)
	if wrong := (*acl.RuleError)(nil); errors.As(err, &wrong) {
		return errors.New(wrong.Public())
	}
	return err
}

// ---- ACL CAT, GENPASS, LOG -------------------------------------------------

func aclCat(c *Ctx) error {
	known := c.Server.Table.known
	names := known.Categories()
	switch {
	case c.Args.Len() > 1:
		return subcommandSyntax(c)
	case c.Args.More():
		category, ok := c.Args.Next(), false
		if names, ok = known.In(string(category)); !ok {
			return resp.Errorf("ERR Unknown category '%s'", clip(category, 128))
		}
	}
	c.Out.Array(len(names))
	for _, name := range names {
		c.Out.BulkString(name)
	}
	return nil
}

// generatedBits is how long a password of ACL GENPASS is unless told.
const generatedBits = 256

func aclGenPass(c *Ctx) error {
	if c.Args.Len() > 1 {
		return subcommandSyntax(c)
	}
	bits := int64(generatedBits)
	if c.Args.More() {
		bits = c.Args.Int()
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	if bits <= 0 || bits > acl.GeneratedBitsMax {
		return resp.Errorf("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to %d", acl.GeneratedBitsMax)
	}
	password, err := acl.Generate(c.Server.Entropy, int(bits))
	if err != nil {
		return err
	}
	c.Out.BulkString(password)
	return nil
}

// denialsDefault is how many entries ACL LOG returns unless told.
const denialsDefault = 10

func aclLog(c *Ctx) error {
	count := int64(denialsDefault)
	switch {
	case c.Args.Len() > 1:
		return subcommandSyntax(c)
	case c.Args.Word("RESET"):
		c.Server.Denials.Reset()
		c.Out.OK()
		return nil
	case c.Args.More():
		count = c.Args.Int()
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	entries := c.Server.Denials.Get(max(0, count))
	c.Out.Array(len(entries))
	for _, e := range entries {
		c.Out.Map(10)
		c.Out.BulkString("count")
		c.Out.Int(e.Count)
		writeText(c.Out, "reason", e.Reason.String())
		writeText(c.Out, "context", e.Context)
		writeText(c.Out, "object", e.Object)
		writeText(c.Out, "username", e.User)
		c.Out.BulkString("age-seconds")
		c.Out.Double(float64(c.Tx.Now().Sub(e.LastSeen).Milliseconds()) / 1000)
		writeText(c.Out, "client-info", e.Client)
		c.Out.BulkString("entry-id")
		c.Out.Int(e.ID)
		c.Out.BulkString("timestamp-created")
		c.Out.Int(e.Created.UnixMilli())
		c.Out.BulkString("timestamp-last-updated")
		c.Out.Int(e.LastSeen.UnixMilli())
	}
	return nil
}
