package commands

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cairnmq/cairn/acl"
)

// example writes a call as a command's syntax allows it, and notes where its
// keys are. Optional parts are there or not; of alternatives it takes the
// choice-th.
type example struct {
	options bool
	choice  int
	args    [][]byte
	keys    []int
}

func (e *example) add(list []argument) {
	for _, a := range list {
		if a.optional && !e.options {
			continue
		}
		if a.token != "" && a.kind != argPureToken {
			e.args = append(e.args, []byte(a.token))
		}
		switch a.kind {
		case argKey:
			e.keys = append(e.keys, len(e.args))
			e.args = append(e.args, []byte("k"))
		case argPureToken:
			e.args = append(e.args, []byte(a.token))
		case argOneOf:
			e.add([]argument{a.args[e.choice%len(a.args)]})
		case argBlock:
			e.add(a.args)
		default:
			e.args = append(e.args, []byte("1"))
		}
	}
}

// TestKeysOfEverySyntax: rights to keys hold only if every key is found,
// whatever options stand around it.
func TestKeysOfEverySyntax(t *testing.T) {
	for _, c := range everyCommand() {
		if c.Has(PubSub) || c.Run == nil || c.CallAt != nil {
			continue
		}
		list, err := c.arguments()
		if err != nil {
			t.Error(err)
			continue
		}
		for i := range 8 {
			e := example{options: i%2 == 1, choice: i / 2}
			for _, word := range strings.Split(c.FullName(), "|") {
				e.args = append(e.args, []byte(word))
			}
			e.add(list)
			at, ok := c.KeyIndexes(e.args)
			slices.Sort(at)
			if !ok || !slices.Equal(at, e.keys) {
				t.Errorf("%s: keys at %v, want %v", joinWords(e.args), at, e.keys)
			}
		}
	}
}

func TestAccessOf(t *testing.T) {
	for words, want := range map[string]acl.Access{
		"RO": 0, "RO access": acl.Read, "RW insert": acl.Write, "OW update": acl.Write, "RM delete": acl.Write, "RW access delete": acl.Read | acl.Write,
	} {
		if got := accessOf(strings.Fields(words)); got != want {
			t.Errorf("%s: %v", words, got)
		}
	}
}

// aclFile is a file system with one file.
type aclFile struct {
	path, text string
	err        error
}

func (f *aclFile) read(path string) ([]byte, error) {
	if f.err != nil || path != f.path {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	}
	return []byte(f.text), nil
}

func (f *aclFile) write(path string, text []byte) error {
	if f.err == nil {
		f.path, f.text = path, string(text)
	}
	return f.err
}

func newACLBench(t *testing.T) (*bench, *aclFile) {
	b, f := newBench(t), &aclFile{path: "users.acl"}
	b.server.Config.ACLFile = f.path
	b.server.ReadFile, b.server.WriteFile = f.read, f.write
	b.server.Logf = t.Logf
	return b, f
}

func TestACLFile(t *testing.T) {
	b, f := newACLBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s, "ACL SETUSER bob on >secret ~q +@list (%R~r +@read) -> +OK", "ACL SETUSER eve nopass on +@all -> +OK", "ACL SAVE -> +OK")
	want := "user bob on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~q resetchannels -@all +@list (%R~r resetchannels -@all +@read)\n" +
		"user default on nopass ~* &* +@all\nuser eve on nopass resetchannels +@all\n"
	if f.text != want {
		t.Errorf("saved\n%s", f.text)
	}

	// Who is in the file goes on, with the rules that are there, unless it listens
	// to what it may no longer hear.
	bob, ear, eve, other := b.client("10.0.0.1:2"), b.client("10.0.0.1:3"), b.client("10.0.0.1:4"), b.client("10.0.0.1:5")
	b.expect(bob, "AUTH bob secret -> +OK")
	b.expect(s, "ACL SETUSER eve allchannels -> +OK")
	b.expect(ear, "AUTH eve x -> +OK", "SUBSCRIBE news -> *3 $9 subscribe $4 news :1")
	b.expect(eve, "AUTH eve x -> +OK")
	b.expect(other, "AUTH default x -> +OK")
	f.text = strings.Replace(f.text, "+@list", "+@list +ping", 1)
	b.expect(s, "ACL LOAD -> +OK")
	if bob.Killed || !ear.Killed || ear.User != b.server.Users.Default() || eve.Killed || other.Killed || s.CloseAfterReply {
		t.Errorf("killed: %v, %v, %v, %v, %v", bob.Killed, ear.Killed, eve.Killed, other.Killed, s.CloseAfterReply)
	}
	if !strings.Contains(bob.User.String(), "+ping") {
		t.Errorf("bob is still %s", bob.User)
	}

	// Who is not, does not.
	f.text = f.text[:strings.Index(f.text, "user eve")]
	b.expect(s, "AUTH eve x -> +OK", "ACL LOAD -> +OK")
	if bob.Killed || !eve.Killed || eve.User != b.server.Users.Default() || !s.CloseAfterReply {
		t.Errorf("eve goes on as a user who is no more: %v, %v, %v", bob.Killed, eve.Killed, s.CloseAfterReply)
	}

	f.text = "user bob +nosuch\nuser"
	b.expect(other, "ACL LOAD -> -ERR users.acl:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. "+
		"users.acl:2 should start with user keyword followed by the username. "+
		"WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	f.err = errors.New("disk full")
	b.expect(other, "ACL SAVE -> -"+string(errACLSave),
		"ACL LOAD -> -ERR Error loading ACLs, opening file 'users.acl': No such file or directory",
		"ACL USERS -> *2 $3 bob $7 default")
	b.server.Config.ACLFile = ""
	b.expect(other, "ACL SAVE -> -"+string(errNoACLFile), "ACL LOAD -> -"+string(errNoACLFile))
}

func TestLoadUsers(t *testing.T) {
	for _, c := range []struct {
		text  string // of the file
		lines [][]string
		err   string
		list  string
	}{
		{list: "*1 $34 user default on nopass ~* &* +@all"},
		{text: "user bob on", list: "*2 $31 user bob on resetchannels -@all $34 user default on nopass ~* &* +@all"},
		{text: "user bob >secret bad", err: "users.acl:1: Syntax error. WARNING: ACL errors detected, no change to the previously active ACL rules was performed"},
		{
			lines: [][]string{{"bob", "on", "(+ping", "~a)"}, {"default", "on", "nopass", "~*", "+@all"}},
			list:  "*2 $62 user bob on resetchannels -@all (~a resetchannels -@all +ping) $62 user default on nopass sanitize-payload ~* resetchannels +@all",
		},
		{lines: [][]string{{"bob", ">secret", "bad"}}, err: "user bob: Syntax error"},
		{lines: [][]string{{"bob", "+nosuch"}}, err: "user bob: '+nosuch': Unknown command or category name in ACL"},
		{lines: [][]string{{"bob", "(>secret"}}, err: "user bob: Unmatched parenthesis in selector definition"},
		{lines: [][]string{{"b b"}}, err: "user b b: usernames can't contain spaces or null characters"},
		{text: "user bob on", lines: [][]string{{"bob"}}, err: "users are defined both in the configuration and in an aclfile: keep them in one of the two"},
	} {
		b, f := newACLBench(t)
		f.text, b.server.Config.Users = c.text, c.lines
		if c.text == "" {
			b.server.Config.ACLFile = ""
		}
		err := b.server.LoadUsers()
		if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%q, %q: %v", c.text, c.lines, err)
		}
		if c.err == "" {
			b.expect(b.client("10.0.0.1:1"), "ACL LIST -> "+c.list)
		}
	}
}

// What the ACL log keeps of a call, and what it costs, is bounded; its age is
// the broker's time.
func TestACLLog(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.do(s, "AUTH nobody x")
	b.now = b.now.Add(1500e6)
	got := b.do(s, "ACL LOG")
	for _, want := range []string{"$6 reason $4 auth", "$6 object $4 AUTH", "$8 username $6 nobody", "$11 age-seconds $3 1.5", "user=default", "$8 entry-id :0"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if strings.Contains(b.do(s, "ACL GENPASS"), "-ERR") || b.do(s, "ACL GENPASS 5") != "$2 00" {
		t.Error("ACL GENPASS")
	}
}
