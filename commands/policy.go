package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/resp"
)

var policyCommands = []Command{
	{
		Name: "policy", Arity: -2, Group: "broker", Since: "1.0.0",
		Summary: "Commands about the limits and rules that queues are given.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "policy", Name: "del", Arity: -3, Flags: Admin,
		Group: "broker", Since: "1.0.0", Syntax: "name [name ...]",
		Summary: "Removes policies and returns how many there were.", Complexity: "O(N) where N is the number of policies",
		Run: policyDel,
	},
	{
		Parent: "policy", Name: "get", Arity: 3, Flags: Admin,
		Group: "broker", Since: "1.0.0", Syntax: "name",
		Summary: "Returns a policy.", Complexity: "O(1)",
		Run: policyGet,
	},
	helpCommand("policy", 0, "broker", "1.0.0"),
	{
		Parent: "policy", Name: "list", Arity: 2, Flags: Admin,
		Group: "broker", Since: "1.0.0",
		Summary: "Returns all policies, the one that decides first of all first.", Complexity: "O(N) where N is the number of policies",
		Run: policyList,
	},
	{
		Parent: "policy", Name: "match", Arity: -3, Flags: ReadOnly | Touches, Keys: Keys{2, 2, 1},
		Group: "broker", Since: "1.0.0", Syntax: "key [GROUP group]", Access: []string{"RO"},
		Summary:    "Returns the settings that hold for a key, or for a group of it, and which policy says so.",
		Complexity: "O(N) where N is the number of policies",
		NeedsLoop:  true,
		Run:        policyMatch,
	},
	{
		Parent: "policy", Name: "set", Arity: -7, Flags: Admin,
		Group: "broker", Since: "1.0.0", Syntax: "name PATTERN pattern [GROUP group] [PRIORITY priority] setting value [setting value ...]",
		Summary: "Adds a policy, or replaces the one of that name: settings for all keys that match a pattern, from now on.", Complexity: "O(N) where N is the number of policies",
		Run: policySet,
	},
}

// policiesMax bounds the number of policies: each is asked for each key.
const policiesMax = 1000

var errManyPolicies = resp.Errorf("ERR there are %d policies, which is as many as there can be", policiesMax)

func errPolicyInFile(name string) resp.Error {
	return resp.Errorf("ERR policy '%s' stands in the configuration file: change it there", name)
}

// LoadPolicies makes the policies those of the configuration and those that are
// stored; the configuration's come before stored ones of the same name. An error
// says what to do about it.
func (srv *Server) LoadPolicies() error {
	for _, words := range srv.Config.Policies {
		p, err := policy.Parse(words[0], words[1:])
		if err != nil {
			return fmt.Errorf("policy %s: %w", words[0], err)
		}
		p.FromFile = true
		srv.Policies.Put(p)
	}
	return srv.Store.Policies(func(name string, record []byte) error {
		if known := srv.Policies.Get(name); known != nil {
			srv.Logf("Policy %s is stored, and stands in the configuration, which decides", name)
			return nil
		}
		p, err := policy.Decode(name, record)
		if err != nil {
			return fmt.Errorf("stored policy %q: %w", name, err)
		}
		srv.Policies.Put(p)
		return nil
	})
}

func policySet(c *Ctx) error {
	name := string(c.Args.Next())
	var words []string
	for _, a := range c.Args.Rest() {
		words = append(words, string(a))
	}
	p, err := policy.Parse(name, words)
	if err != nil {
		return resp.Error("ERR " + err.Error())
	}
	known := c.Server.Policies.Get(name)
	switch {
	case known != nil && known.FromFile:
		return errPolicyInFile(name)
	case known == nil && c.Server.Policies.Len() >= policiesMax:
		return errManyPolicies
	}
	c.Tx.PutPolicy(name, p.AppendRecord(nil))
	c.Server.Policies.Put(p)
	c.Server.Logf("Policy %q is now: %s", name, strings.Join(p.Words(), " "))
	c.Out.OK()
	return nil
}

func policyDel(c *Ctx) error {
	var known []string
	for _, a := range c.Args.Rest() {
		p := c.Server.Policies.Get(string(a))
		switch {
		case p == nil || slices.Contains(known, p.Name):
		case p.FromFile:
			return errPolicyInFile(p.Name)
		default:
			known = append(known, p.Name)
		}
	}
	for _, name := range known {
		c.Tx.DeletePolicy(name)
		c.Server.Policies.Remove(name)
		c.Server.Logf("Policy %q is no more", name)
	}
	c.Out.Int(int64(len(known)))
	return nil
}

func policyGet(c *Ctx) error {
	p := c.Server.Policies.Get(string(c.Args.Next()))
	if p == nil {
		c.Out.Null()
		return nil
	}
	writePolicy(c.Out, p)
	return nil
}

func policyList(c *Ctx) error {
	all := c.Server.Policies.All()
	c.Out.Array(len(all))
	for _, p := range all {
		writePolicy(c.Out, p)
	}
	return nil
}

func writePolicy(out *resp.Buffer, p *policy.Policy) {
	fields := 5
	if p.HasGroup {
		fields++
	}
	out.Map(fields)
	out.BulkString("name")
	out.BulkString(p.Name)
	out.BulkString("pattern")
	out.BulkString(p.Pattern)
	if p.HasGroup {
		out.BulkString("group")
		out.BulkString(p.Group)
	}
	out.BulkString("priority")
	out.Int(p.Priority)
	out.BulkString("source")
	if p.FromFile {
		out.BulkString("configuration")
	} else {
		out.BulkString("command")
	}
	settings := p.Settings()
	out.BulkString("settings")
	out.Map(len(settings))
	for _, s := range settings {
		out.BulkString(s.Name)
		out.BulkString(s.Value)
	}
}

func policyMatch(c *Ctx) error {
	key := c.Args.Next()
	effect := c.Server.Policies.Of(key)
	if c.Args.More() {
		if !c.Args.Word("GROUP") {
			return ErrSyntax
		}
		effect = c.Server.Policies.OfGroup(key, c.Args.Next())
	}
	if c.Args.More() {
		return ErrSyntax
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	settings := effect.Each()
	c.Out.Map(len(settings))
	for _, s := range settings {
		c.Out.BulkString(s.Name)
		c.Out.Array(2)
		c.Out.BulkString(s.Value)
		c.Out.BulkString(s.Policy.Name)
	}
	return nil
}
