package commands

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// everyCommand returns all commands and subcommands.
func everyCommand() (list []*Command) {
	for _, c := range NewTable().All() {
		list = append(list, c)
		list = append(list, c.Subcommands()...)
	}
	return list
}

// takeNoKeys are the commands that read or write the keyspace without naming
// keys.
var takeNoKeys = []string{
	"dbsize", "flushall", "flushdb", "keys", "queue|list", "randomkey", "scan", "schedule|cancel", "schedule|get", "schedule|list", "swapdb",
}

// blockUnmarked are the commands that wait for no key and are not marked as
// blocking.
var blockUnmarked = []string{"wait", "waitaof"}

// ignoreArguments are the commands that take any arguments and look at none.
var ignoreArguments = []string{"quit"}

var groups = []string{"broker", "cluster", "connection", "generic", "list", "pubsub", "server", "stream", "transactions"}

func TestTableIsComplete(t *testing.T) {
	version := regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	for _, c := range everyCommand() {
		name := c.FullName()
		if name != strings.ToLower(name) {
			t.Errorf("%s: the name is not in lower case", name)
		}
		if !version.MatchString(c.Since) {
			t.Errorf("%s: Since is %q", name, c.Since)
		}
		if !slices.Contains(groups, c.Group) {
			t.Errorf("%s: Group is %q", name, c.Group)
		}
		if c.Summary == "" || !strings.HasSuffix(c.Summary, ".") {
			t.Errorf("%s: Summary is %q", name, c.Summary)
		}
		if c.Complexity == "" || strings.HasSuffix(c.Complexity, ".") {
			t.Errorf("%s: Complexity is %q", name, c.Complexity)
		}
		for _, h := range c.History {
			if v, text, ok := strings.Cut(h, ": "); !ok || !version.MatchString(v) || text == "" {
				t.Errorf("%s: history %q", name, h)
			}
		}
		if c.Run == nil && len(c.Subcommands()) == 0 {
			t.Errorf("%s: has neither a handler nor subcommands", name)
		}
		if (c.Has(Blocking) || slices.Contains(blockUnmarked, name)) != (c.OnTimeout != nil) {
			t.Errorf("%s: Blocking and OnTimeout do not go together", name)
		}
		if c.Has(ReadOnly | Write) {
			t.Errorf("%s: both ReadOnly and Write", name)
		}
		onData := c.Flags&(ReadOnly|Write) != 0
		hasKeys := c.Keys.First > 0 || c.KeysFunc != nil || c.CallAt != nil
		if onData && hasKeys == slices.Contains(takeNoKeys, name) {
			t.Errorf("%s: keys %v", name, hasKeys)
		}
		if c.KeysFunc != nil && c.KeySearch == (KeySearch{}) {
			t.Errorf("%s: KeysFunc without KeySearch", name)
		}
	}
}

func TestSyntaxAgreesWithArity(t *testing.T) {
	for _, c := range everyCommand() {
		if c.Run == nil {
			if c.Arity != -2 || c.Syntax != "" {
				t.Errorf("%s: a container with arity %d", c.FullName(), c.Arity)
			}
			continue
		}
		args, err := c.arguments()
		if err != nil {
			t.Error(err)
			continue
		}
		least, more := width(args)
		least += len(strings.Split(c.FullName(), "|"))
		if len(c.Subcommands()) > 0 || slices.Contains(ignoreArguments, c.FullName()) {
			more = true
		}
		if want := map[bool]int{false: least, true: -least}[more]; c.Arity != want {
			t.Errorf("%s: arity %d, but syntax %q means %d", c.FullName(), c.Arity, c.Syntax, want)
		}
	}
}

// TestKeysAgreeWithSyntax: where the syntax says that there is a key, there has
// to be one, and the other way round.
func TestKeysAgreeWithSyntax(t *testing.T) {
	for _, c := range everyCommand() {
		args, err := c.arguments()
		if err != nil {
			t.Error(err)
			continue
		}
		specs := 0
		if !c.Has(PubSub) && c.CallAt == nil { // its keys are in the call that it holds
			specs = len(c.keySpecs())
		}
		if n := keySpecsIn(args); n != specs {
			t.Errorf("%s: %d key specifications, %d in the syntax", c.FullName(), specs, n)
		}
	}
}

func keySpecsIn(args []argument) (n int) {
	for _, a := range args {
		if a.kind == argKey {
			n = max(n, a.keySpec+1)
		}
		n = max(n, keySpecsIn(a.args))
	}
	return n
}

func TestRename(t *testing.T) {
	table := NewTable()
	for _, tc := range []struct{ name, to, want string }{
		{"nosuch", "x", "there is no such command"},
		{"KEYS", "scan", "there is another command of the new name"},
		{"keys", strings.Repeat("x", 65), "a name can have at most 64 bytes"},
		{"keys", "Keys", ""},
		{"keys", strings.Repeat("x", 64), ""},
		{"keys", "", "there is no such command"},
		{strings.Repeat("X", 64), "", ""},
	} {
		text := ""
		if err := table.Rename(tc.name, tc.to); err != nil {
			text = err.Error()
		}
		if text != tc.want {
			t.Errorf("%s to %s: got %q, want %q", tc.name, tc.to, text, tc.want)
		}
	}
	if len(table.All()) != len(NewTable().All())-1 {
		t.Error("KEYS is still among all commands")
	}
}
