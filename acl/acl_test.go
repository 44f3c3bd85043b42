package acl

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A small table of commands: what a rule can name.
func testCommands() *Commands {
	c := NewCommands([]string{"read", "write", "list", "set", "admin", "fast", "slow", "connection"})
	for _, line := range []string{
		"get read fast", "lpush write list fast", "lrange read list slow", "brpop write list slow", "ping fast connection",
		"select fast connection", "config slow", "config|get admin slow", "config|set admin slow", "publish fast", "auth fast connection",
	} {
		words := strings.Fields(line)
		c.Add(words[0], words[1:])
	}
	return c
}

func newTestUsers() *Users { return NewUsers(testCommands()) }

func set(t *testing.T, us *Users, name, rules string) *User {
	t.Helper()
	u, _, err := us.Set(name, strings.Fields(rules))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestDescribe(t *testing.T) {
	const hash = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
	for rules, want := range map[string]string{
		"":                             "off resetchannels -@all",
		"ON nopass":                    "on nopass resetchannels -@all",
		"on >x":                        "on #" + hash + " resetchannels -@all",
		"nopass >x >x":                 "off #" + hash + " resetchannels -@all",
		">x nopass":                    "off nopass resetchannels -@all",
		">x <x":                        "off resetchannels -@all",
		"#" + hash + " !" + hash:       "off resetchannels -@all",
		">x resetpass":                 "off resetchannels -@all",
		"nopass resetpass":             "off resetchannels -@all",
		"skip-sanitize-payload":        "off skip-sanitize-payload resetchannels -@all",
		"on reset":                     "off sanitize-payload resetchannels -@all",
		"~a %R~b %W~c %RW~d %w~b":      "off ~a ~b %W~c ~d resetchannels -@all",
		"%R":                           "off %R~ resetchannels -@all",
		"~a allkeys":                   "off ~* resetchannels -@all",
		"~* resetkeys ~b":              "off ~b resetchannels -@all",
		"%RW~*":                        "off ~* resetchannels -@all",
		"%RW~* ~a":                     "off %RW~* ~a resetchannels -@all",
		"&a &b* &a":                    "off resetchannels &a &b* -@all",
		"allchannels":                  "off &* -@all",
		"&a &*":                        "off &* -@all",
		"&* resetchannels &b":          "off resetchannels &b -@all",
		"+@all":                        "off resetchannels +@all",
		"allcommands -get":             "off resetchannels +@all -get",
		"+get +@LIST -lpush":           "off resetchannels -@all +get +@list -lpush",
		"+get -get +get":               "off resetchannels -@all +get",
		"+get nocommands":              "off resetchannels -@all",
		"+config|get +CONFIG":          "off resetchannels -@all +config",
		"+config -config|SET":          "off resetchannels -@all +config -config|set",
		"+select|0 +select|1":          "off resetchannels -@all +select|0 +select|1",
		"+select|0 -select":            "off resetchannels -@all -select",
		"()":                           "off resetchannels -@all (resetchannels -@all)",
		"(~a +get) ( %R~b &c +@read )": "off resetchannels -@all (~a resetchannels -@all +get) (%R~b resetchannels &c -@all +@read)",
		"(~a) clearselectors ~b":       "off ~b resetchannels -@all",
	} {
		u := set(t, newTestUsers(), "u", rules)
		if got := u.String(); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", rules, got, want)
		}
	}
}

func TestRefusedRules(t *testing.T) {
	for rule, want := range map[string]Reason{
		"nosuch": Syntax, "@all": Syntax, "(on)": Syntax, ")": Syntax, "((~a))": Syntax, "(~a))": Syntax, "~a b": Syntax, "&a\tb": Syntax, "~a\x00": Syntax,
		"%": Syntax, "%~a": Syntax, "%RR~a": Syntax, "%X~a": Syntax, "+select|": Syntax, "+select|0 +@all": Syntax,
		"+": Unknown, "-": Unknown, "+@": Unknown, "+@nosuch": Unknown, "+nosuch": Unknown, "-nosuch": Unknown, "+|x": Unknown,
		"+config|nosuch": Unknown, "-config|nosuch": Unknown, "-select|0": Unknown, "+get|a|b": Unknown, "(+@nosuch)": Unknown, "-@nosuch": Unknown,
		"+config|get|x": SubFirstArg, "#abc": BadHash, "!abc": BadHash, "#" + strings.Repeat("A", 64): BadHash,
		"<nosuch": NoPassword, "!" + strings.Repeat("a", 64): NoPassword,
		"\u212aeys": Syntax, "+@re\u0430d": Unknown,
	} {
		us := newTestUsers()
		_, _, err := us.Set("u", []string{"on", ">x", rule})
		wrong, ok := err.(*RuleError)
		if !ok || wrong.Reason != want || wrong.Rule != rule {
			t.Errorf("%q: %v, want %s", rule, err, want)
		}
		if us.Get("u") != nil {
			t.Errorf("%q: the user has been made all the same", rule)
		}
	}
	for _, c := range []struct {
		rules  string
		reason Reason
	}{{"~* ~a", AfterAllKeys}, {"~* %R~a", AfterAllKeys}, {"&* &a", AfterAllChan}, {"(~a +get", Unmatched}, {"( ~a", Unmatched}} {
		_, _, err := newTestUsers().Set("u", strings.Fields(c.rules))
		if wrong, ok := err.(*RuleError); !ok || wrong.Reason != c.reason {
			t.Errorf("%s: %v", c.rules, err)
		}
	}
}

// A rule that cannot be applied leaves the user as it was.
func TestAllOrNothing(t *testing.T) {
	us := newTestUsers()
	u := set(t, us, "u", "on >x ~a &b +get +select|0 (~c +lpush)")
	before := u.String()
	if _, _, err := us.Set("u", strings.Fields("resetpass reset off ~z &z +@all (~q) +nosuch")); err == nil {
		t.Fatal("no error")
	}
	if got := u.String(); got != before || us.Authenticate("u", "x") != u {
		t.Errorf("changed to %s", got)
	}
}

func TestAuthenticate(t *testing.T) {
	us := newTestUsers()
	set(t, us, "u", ">one >two")
	try := func(password string) bool { return us.Authenticate("u", password) != nil }
	if try("one") {
		t.Error("a user that is off")
	}
	set(t, us, "u", "on")
	if !try("one") || !try("two") || try("three") || try("") || us.Authenticate("nobody", "one") != nil {
		t.Error("wrong passwords")
	}
	set(t, us, "u", "<one")
	if try("one") || !try("two") {
		t.Error("a password that was removed")
	}
	set(t, us, "u", "nopass")
	if !try("") {
		t.Error("nopass")
	}
	set(t, us, "u", "resetpass")
	if try("") || try("two") {
		t.Error("without passwords nobody can authenticate")
	}
}

func TestDefaultPassword(t *testing.T) {
	us := newTestUsers()
	if !us.Default().LetsIn() || !us.Default().Unrestricted() {
		t.Errorf("the default user at first: %s", us.Default())
	}
	us.SetDefaultPassword("x")
	if us.Default().LetsIn() || us.Authenticate(DefaultName, "x") == nil || us.Authenticate(DefaultName, "") != nil {
		t.Error("with a password")
	}
	us.SetDefaultPassword("")
	if !us.Default().LetsIn() {
		t.Error("without a password again")
	}
	set(t, us, DefaultName, "off")
	if us.Default().LetsIn() {
		t.Error("nobody is let in as a user that is off")
	}
	if us.Delete(DefaultName) != nil {
		t.Error("the default user was removed")
	}
}

// call makes a Call of "r:key" (read), "w:key", "x:key" (neither), "c:channel"
// and "p:pattern" arguments.
func call(c *Commands, line string) *Call {
	words := strings.Fields(line)
	id, ok := c.find(words[0])
	if !ok {
		panic(words[0])
	}
	made := &Call{Command: id, Free: words[0] == "auth"}
	for i, w := range words {
		kind, name, ok := strings.Cut(w, ":")
		if !ok {
			name = w
		}
		made.Args = append(made.Args, []byte(name))
		switch kind {
		case "r":
			made.Keys = append(made.Keys, KeyUse{i, Read})
		case "w":
			made.Keys = append(made.Keys, KeyUse{i, Write})
		case "rw":
			made.Keys = append(made.Keys, KeyUse{i, Read | Write})
		case "x":
			made.Keys = append(made.Keys, KeyUse{i, 0})
		case "c", "p":
			made.Channels = append(made.Channels, ChannelUse{i, kind == "p"})
		}
	}
	return made
}

func TestCheck(t *testing.T) {
	us := newTestUsers()
	for _, c := range []struct{ rules, call, want string }{
		{"", "ping", "command"},
		{"", "auth", "allowed"},
		{"+ping", "ping", "allowed"},
		{"+@all -ping", "ping", "command"},
		{"+@fast", "ping", "allowed"},
		{"+@all -@fast", "ping", "command"},
		{"+@all -@fast +ping", "ping", "allowed"},
		{"+config", "config|get", "allowed"},
		{"+config -config|set", "config|set", "command"},
		{"+@all -config +config|get", "config|get", "allowed"},
		{"+@all -config +config|get", "config|set", "command"},
		{"+@slow", "config|set", "allowed"},
		{"+select|a", "select A", "allowed"},
		{"+select|0", "select 1", "command"},
		{"+select|\xff", "select \xfe", "command"},
		{"+select|0", "select", "command"},
		{"+select|0 -@connection", "select 0", "command"},
		{"+get", "get r:k", "key 1"},
		{"+get ~k", "get r:k", "allowed"},
		{"+get ~k", "get r:kk", "key 1"},
		{"+get ~k*", "get r:kk", "allowed"},
		{"+get %R~k", "get r:k", "allowed"},
		{"+get %W~k", "get r:k", "key 1"},
		{"+get %W~k", "get x:k", "allowed"},
		{"+get %W~k %R~k", "get rw:k", "allowed"},
		{"+get %W~k* %R~*k", "get rw:k", "key 1"},
		{"+get ~a ~b", "get r:a r:b w:c r:d", "key 3"},
		{"+publish", "publish c:news", "channel 1"},
		{"+publish &new*", "publish c:news", "allowed"},
		{"+publish &new*", "publish p:news", "channel 1"},
		{"+publish &new*", "publish p:new*", "allowed"},
		{"+publish &*", "publish p:*", "allowed"},
		{"+publish &a", "publish c:a c:b", "channel 2"},
		// One selector has to allow all of it.
		{"+get ~a (+lpush ~b)", "get r:b", "key 1"},
		{"+get ~a (+lpush ~b)", "lpush w:b", "allowed"},
		{"(%R~a +@all) (%W~b +@all)", "get r:a w:b", "key 2"},
		{"+get ~key (+get ~key ~other)", "get r:key r:other r:third", "key 3"},
		{"(+publish &a) (+publish ~a)", "publish r:a c:b", "channel 2"},
	} {
		u := set(t, us, "u", "reset "+c.rules)
		denied, at := u.Check(call(us.known, c.call))
		got := "allowed"
		if denied == DeniedCommand {
			got = "command"
		} else if denied != Allowed {
			got = fmt.Sprint(denied, at)
		}
		if got != c.want {
			t.Errorf("%s: %s: %s, want %s", c.rules, c.call, got, c.want)
		}
	}
}

func TestUnrestricted(t *testing.T) {
	us := newTestUsers()
	for rules, want := range map[string]bool{
		"+@all ~* &*":               true,
		"+@all ~*":                  false,
		"+@all ~* &* -get":          false,
		"+@all ~* &* -get +get":     true,
		"+@all -@fast ~* &* +@fast": true,
		"(+@all ~* &*)":             true,
		"(+@all ~*) ~* &* +get":     false,
		"":                          false,
	} {
		if got := set(t, us, "u", "reset "+rules).Unrestricted(); got != want {
			t.Errorf("%s: %v", rules, got)
		}
	}
}

func TestHearsLess(t *testing.T) {
	for _, c := range []struct {
		before, rules string
		want          bool
	}{
		{"&a", "&b", false}, {"&a", "resetchannels", true}, {"&a &b", "resetchannels &b", true}, {"&a", "allchannels", false},
		{"&*", "resetchannels &a", true}, {"(&a)", "clearselectors", true}, {"(&a)", "clearselectors &a", false}, {"&a", "on", false},
	} {
		us := newTestUsers()
		set(t, us, "u", c.before)
		_, less, err := us.Set("u", strings.Fields(c.rules))
		if err != nil || less != c.want {
			t.Errorf("%s, then %s: %v, %v", c.before, c.rules, less, err)
		}
	}
}

func TestPubSubDefault(t *testing.T) {
	us := newTestUsers()
	us.AllChannels = true
	if got := set(t, us, "u", "()").String(); got != "off &* -@all (&* -@all)" {
		t.Error(got)
	}
	us.AllChannels = false
	if got := set(t, us, "u", "reset ()").String(); got != "off sanitize-payload resetchannels -@all (resetchannels -@all)" {
		t.Error(got)
	}
}

func TestLoad(t *testing.T) {
	us := newTestUsers()
	old, bob := us.Default(), set(t, us, "bob", "on >x ~a resetchannels &n* +get (~b +lpush)")
	var file bytes.Buffer
	if err := us.Save(&file); err != nil {
		t.Fatal(err)
	}
	other := newTestUsers()
	alice := set(t, other, "alice", "on")
	def, sameBob := other.Default(), set(t, other, "bob", "on +lpush resetchannels")
	gone, deafer, err := other.Load("\n"+file.String()+"  \r\n", "users.acl")
	if err != nil || !slices.Equal(gone, []*User{alice}) || len(deafer) > 0 || other.Get("alice") != nil || other.Default() != def || other.Default() == old {
		t.Fatalf("%v, %v, %v", gone, deafer, err)
	}
	if got := other.Get("bob"); got != sameBob || got.String() != bob.String() {
		t.Errorf("got %s", got)
	}
	// Fewer channels, for bob.
	_, deafer, err = other.Load("user bob on ~a resetchannels &news\nuser default on nopass ~* &* +@all", "users.acl")
	if err != nil || !slices.Equal(deafer, []*User{sameBob}) {
		t.Errorf("%v, %v", deafer, err)
	}
	// A file without a default user makes it what it was in the beginning.
	set(t, other, DefaultName, "resetpass >x -get")
	if _, _, err := other.Load("user eve on", "users.acl"); err != nil || !other.Default().Unrestricted() || !other.Default().LetsIn() {
		t.Errorf("%v, %s", err, other.Default())
	}
}

func TestLoadErrors(t *testing.T) {
	const end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
	for text, want := range map[string]string{
		"# users":                         "f:1 should start with user keyword followed by the username. ",
		"\nuser":                          "f:2 should start with user keyword followed by the username. ",
		"user a\tb on":                    "'f:1: username 'a\tb' contains invalid characters. ",
		"user a on\nuser a off":           "WARNING: Duplicate user 'a' found on line 2. ",
		"user a on +nosuch -@no":          "f:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. f:1: Error in applying operation '-@no': Unknown command or category name in ACL. ",
		"user a ~* ~secret bad\nuser b (": "f:1: Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns. f:2: Unmatched parenthesis in selector definition.",
	} {
		us := newTestUsers()
		set(t, us, "keep", "on")
		gone, _, err := us.Load(text, "f")
		if err == nil || err.Error() != want+end || gone != nil || us.Get("keep") == nil || len(us.All()) != 2 {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want+end)
		}
	}
}

func TestLog(t *testing.T) {
	var l Log
	now := time.Unix(1000, 0)
	at := func(seconds int, object string) Entry {
		return Entry{Reason: DeniedKey, Context: Toplevel, Object: object, User: "u", LastSeen: now.Add(time.Duration(seconds) * time.Second)}
	}
	l.Add(at(0, "a"), 3)
	l.Add(at(1, "b"), 3)
	l.Add(at(60, "a"), 3) // the same within a minute
	if got := l.Get(9); len(got) != 2 || got[0].Object != "a" || got[0].Count != 2 || got[0].ID != 0 || got[0].Created != now || got[1].ID != 1 {
		t.Errorf("%+v", got)
	}
	l.Add(at(121, "a"), 3) // later
	if got := l.Get(1); len(got) != 1 || got[0].Count != 1 || got[0].ID != 2 {
		t.Errorf("%+v", got)
	}
	l.Add(at(122, "c"), 3)
	l.Add(at(122, strings.Repeat("x", 1<<20)), 3)
	if got := l.Get(9); len(got) != 3 || len(got[0].Object) != namesBytesMax {
		t.Errorf("%d entries, %d bytes", len(got), len(got[0].Object))
	}
	l.Add(at(123, "none"), 0)
	if len(l.Get(9)) != 0 {
		t.Error("acllog-max-len 0 keeps something")
	}
	l.Reset()
	l.Add(at(124, "d"), 3)
	if got := l.Get(9); len(got) != 1 || got[0].ID != 6 {
		t.Errorf("%+v", got)
	}
}

func TestGenerate(t *testing.T) {
	for bits, want := range map[int]string{1: "0", 4: "0", 5: "01", 256: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"} {
		var counting [512]byte
		for i := range counting {
			counting[i] = byte(i)
		}
		if bits == 5 {
			counting[0] = 1
		}
		got, err := Generate(bytes.NewReader(counting[:]), bits)
		if err != nil || got != want {
			t.Errorf("%d bits: %s, %v", bits, got, err)
		}
	}
	if _, err := Generate(bytes.NewReader(nil), 8); err == nil {
		t.Error("no error without random numbers")
	}
}

// FuzzACLRules: whatever rules are given, they are applied or refused as a
// whole, and a user who is described and read again is the same.
func FuzzACLRules(f *testing.F) {
	for _, seed := range []string{
		"on >x ~a %R~b* &c +get -@all", "(~a +get) ( %R~b +@read )", "+@all -config +config|get", "+select|0 +select -select", "reset ()",
		"%RW~* ~a", "#zz", "(~\"a b\" +get)", "~a)", "(~a) b)", "&* &a", "nopass resetpass", "+config|get|x", "(%R", "\x00", "> <", "off\non",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, byLine bool) {
		rules := strings.Split(text, " ")
		if byLine {
			rules = strings.Split(text, "\n")
		}
		us := newTestUsers()
		set(t, us, "u", "on ~start &start +ping (+get)")
		before := us.Get("u").String()
		u, _, err := us.Set("u", rules)
		if err != nil {
			if got := us.Get("u").String(); got != before {
				t.Fatalf("refused (%v), but changed to %s", err, got)
			}
			return
		}
		described := u.String()
		again := newTestUsers()
		if _, _, err := again.Load(u.Line(), "f"); err != nil {
			t.Fatalf("%q is not read again: %v", described, err)
		}
		if got := again.Get("u").String(); got != described {
			t.Fatalf("described %s\nread again %s", described, got)
		}
		for _, line := range []string{"ping", "get r:start", "lpush w:a", "config|get", "config|set", "select 0", "publish c:a", "publish p:a*", "lrange x:b"} {
			c := call(us.known, line)
			denied, at := u.Check(c)
			if d, i := again.Get("u").Check(c); d != denied || i != at {
				t.Fatalf("%s: %s is %v at %d, read again %v at %d", described, line, denied, at, d, i)
			}
			if u.Unrestricted() && denied != Allowed {
				t.Fatalf("%s is unrestricted, but %s is denied", described, line)
			}
		}
	})
}
