package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/config.md")

const markdownPath = "../docs/config.md"

// TestDocs fails when docs/config.md does not say what the table says.
func TestDocs(t *testing.T) {
	if *update {
		if err := os.WriteFile(markdownPath, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(markdownPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != Markdown() {
		t.Errorf("%s is stale: make docs", markdownPath)
	}
}

func TestEveryDirectiveIsDescribed(t *testing.T) {
	c := New()
	seen := make(map[string]bool)
	for i := range table {
		d := &table[i]
		if seen[d.name] {
			t.Errorf("%s stands in the table twice", d.name)
		}
		seen[d.name] = true
		if d.help == "" || d.value(c).form() == "" {
			t.Errorf("%s lacks help or form", d.name)
		}
		if !strings.Contains(Help(""), "--"+d.name+" ") || !strings.Contains(Markdown(), "`"+d.name+"`") {
			t.Errorf("%s is missing from --help or the page", d.name)
		}
	}
}

// What CONFIG GET answers can be written to a file or given to CONFIG SET.
func TestValuesReadBack(t *testing.T) {
	c := New()
	for i := range table {
		d := &table[i]
		before := d.value(c).String()
		if err := d.value(c).set(d.words(before)); err != nil {
			t.Errorf("%s %q: %v", d.name, before, err)
		}
		if after := d.value(c).String(); after != before {
			t.Errorf("%s: %q became %q", d.name, before, after)
		}
	}
}

func TestDefaults(t *testing.T) {
	c := New()
	if c.Port != 6379 || c.AppendFsync != FsyncAlways || !c.ProtectedMode || c.MaxClients != 10000 ||
		c.ProtoMaxBulkLen != 512<<20 || c.TCPKeepAlive != 300*time.Second || c.Databases != 16 ||
		!reflect.DeepEqual(c.Bind, []string{"127.0.0.1", "-::1"}) ||
		c.OutputLimits[ClassPubSub] != (OutputLimit{32 << 20, 8 << 20, 60}) {
		t.Errorf("%+v", c)
	}
}

func TestGet(t *testing.T) {
	c := New()
	for _, tc := range []struct {
		pattern string
		want    []Pair
	}{
		{"maxclients", []Pair{{"maxclients", "10000"}}},
		{"MAXclients", []Pair{{"MAXclients", "10000"}}},
		{"SLOWLOG-*", []Pair{{"slowlog-log-slower-than", "10000"}, {"slowlog-max-len", "128"}}},
		{"nosuch", nil},
		{"nosuch*", nil},
		{"client-output-buffer-limit", []Pair{{"client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"}}},
		{"save", []Pair{{"save", ""}}},
		{"tls-protocols", []Pair{{"tls-protocols", ""}}},
		{"tls-auth-clients", []Pair{{"tls-auth-clients", "yes"}}},
	} {
		if got := c.Get(tc.pattern); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("Get(%q) = %v, want %v", tc.pattern, got, tc.want)
		}
	}
}

// The texts are those of redis-server 7.0.15.
func TestSetErrors(t *testing.T) {
	const failed = "CONFIG SET failed (possibly related to argument '"
	for _, tc := range []struct {
		name, value, want string
	}{
		{"xyz", "1", "Unknown option or number of arguments for CONFIG SET - 'xyz'"},
		{"databases", "1", failed + "databases') - can't set immutable config"},
		{"maxclients", "x", failed + "maxclients') - argument couldn't be parsed into an integer"},
		{"maxclients", "10.5", failed + "maxclients') - argument couldn't be parsed into an integer"},
		{"maxclients", "", failed + "maxclients') - argument couldn't be parsed into an integer"},
		{"maxclients", "0", failed + "maxclients') - argument must be between 1 and 4294967295 inclusive"},
		{"timeout", "-1", failed + "timeout') - argument must be between 0 and 2147483647 inclusive"},
		{"appendfsync", "sometimes", failed + "appendfsync') - argument(s) must be one of the following: everysec, always, no"},
		{"protected-mode", "maybe", failed + "protected-mode') - argument must be 'yes' or 'no'"},
		{"proto-max-bulk-len", "foo", failed + "proto-max-bulk-len') - argument must be a memory value"},
		{"proto-max-bulk-len", "-5", failed + "proto-max-bulk-len') - argument must be a memory value"},
		{"proto-max-bulk-len", "10", failed + "proto-max-bulk-len') - argument must be between 1048576 and 9223372036854775807 inclusive"},
		{"proto-max-bulk-len", "9000000000gb", failed + "proto-max-bulk-len') - argument must be a memory value"},
		{"slowlog-log-slower-than", "-5", failed + "slowlog-log-slower-than') - argument must be between -1 and 9223372036854775807 inclusive"},
		{"client-output-buffer-limit", "normal 1 2", failed + "client-output-buffer-limit') - Wrong number of arguments in buffer limit configuration."},
		{"client-output-buffer-limit", "normal  0 0 0", failed + "client-output-buffer-limit') - Wrong number of arguments in buffer limit configuration."},
		{"client-output-buffer-limit", "master 1 1 1", failed + "client-output-buffer-limit') - Invalid client class specified in buffer limit configuration."},
		{"client-output-buffer-limit", "normal 0 0 -5", failed + "client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer limit configuration."},
		{"maxmemory", "1gb", failed + `maxmemory') - can only be "0": data are on disk; see object-cache-size and block-cache-size`},
	} {
		err := New().Set([]Pair{{tc.name, tc.value}})
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s %q: got %v, want %s", tc.name, tc.value, err, tc.want)
		}
	}
}

// Who prepares may refuse, and acts only when everything is changed.
func TestOnPrepare(t *testing.T) {
	c := New()
	var told []string
	var refuse error
	c.OnPrepare(func(next *Config, names []string) (func(), error) {
		if next == c || next.TLSCertFile != "new" || c.TLSCertFile != "" {
			t.Errorf("prepares %q, in force %q", next.TLSCertFile, c.TLSCertFile)
		}
		told = append(told, names...)
		return func() { told = append(told, "now "+c.TLSCertFile) }, refuse
	})
	c.OnChange(func(name string) { told = append(told, "changed "+name) })
	refuse = &SetError{Name: "tls-cert-file", Kind: BadValue, Reason: "cannot read it"}
	pairs := []Pair{{"timeout", "5"}, {"TLS-cert-file", "new"}}
	if err := c.Set(pairs); !errors.Is(err, refuse) || c.Timeout != 0 || c.TLSCertFile != "" {
		t.Error(err, c.Timeout, c.TLSCertFile)
	}
	refuse, told = nil, nil
	if err := c.Set(pairs); err != nil {
		t.Error(err)
	}
	if want := []string{"timeout", "tls-cert-file", "now new", "changed timeout", "changed tls-cert-file"}; !reflect.DeepEqual(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestSetIsAllOrNothing(t *testing.T) {
	c := New()
	var changed []string
	c.OnChange(func(name string) { changed = append(changed, name) })
	for _, pairs := range [][]Pair{
		{{"timeout", "5"}, {"nosuch", "1"}},
		{{"timeout", "5"}, {"maxclients", "0"}},
		{{"timeout", "5"}, {"TIMEOUT", "6"}},
	} {
		var bad *SetError
		if err := c.Set(pairs); !errors.As(err, &bad) || c.Timeout != 0 || changed != nil {
			t.Errorf("%v: %v, timeout %v, told of %v", pairs, err, c.Timeout, changed)
		}
	}
	if err := c.Set([]Pair{{"Timeout", "5"}, {"client-output-buffer-limit", "REPLICA 1kb 2k 3 pubsub 0 0 0"}, {"save", ""}}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"timeout", "client-output-buffer-limit", "save"}; !reflect.DeepEqual(changed, want) {
		t.Errorf("told of %v, want %v", changed, want)
	}
	if c.Timeout != 5*time.Second || c.OutputLimits != [classes]OutputLimit{ClassReplica: {1024, 2000, 3}} {
		t.Errorf("timeout %v, limits %v", c.Timeout, c.OutputLimits)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("more-b.conf", "maxclients 7\n")
	write("more-a.conf", "maxclients 6\n")
	file := write("cairn.conf", "# a comment\n\n  port 7000\nrequirepass \"a b\\x21\"\nAPPENDFSYNC everysec\n"+
		"include "+dir+"/more-*.conf\nbind 127.0.0.1 ::1\nclient-output-buffer-limit pubsub 1mb 1mb 1\nsave \"\"\n")

	c := New()
	if err := c.Load([]string{file, "--port", "7001", "--bind", "*", "-::*", "--unixsocket=/tmp/x=y", "--timeout", "3"}); err != nil {
		t.Fatal(err)
	}
	if c.Port != 7001 || c.RequirePass != "a b!" || c.AppendFsync != FsyncEverySecond || c.MaxClients != 7 || c.Timeout != 3*time.Second ||
		!reflect.DeepEqual(c.Bind, []string{"*", "-::*"}) || c.UnixSocket != "/tmp/x=y" || !filepath.IsAbs(c.Dir) ||
		c.OutputLimits[ClassPubSub].Hard != 1<<20 || c.OutputLimits[ClassReplica].Hard != 256<<20 {
		t.Errorf("%+v", c)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "bad.conf")
	for _, tc := range []struct{ content, want string }{
		{"port 7000\nrequirepass \"x\n", file + ":2: unbalanced quotes"},
		{"prot 7000\n", file + ":1: prot: unknown directive; did you mean port?"},
		{"port\n", file + ":1: port: wrong number of arguments"},
		{"databases 3\n", file + `:1: databases: can only be "16": cairn has 16 databases`},
		{"include " + file + "\n", "files include each other"},
		{"include /nonexistent.conf\n", "cannot read the configuration: open /nonexistent.conf"},
	} {
		if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := New().Load([]string{file}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %s", tc.content, err, tc.want)
		}
	}
	for _, tc := range []struct {
		args string
		want string
	}{
		{"--help", ErrHelp.Error()},
		{"--port 1 -v", ErrVersion.Error()},
		{"--port x", "--port: argument couldn't be parsed into an integer"},
		{"--port", "--port: wrong number of arguments"},
		{"--port 1 2", "--port: wrong number of arguments"},
		{"--append-fsync no", "--append-fsync: unknown directive; did you mean appendfsync?"},
		{"--daemonize no", "--daemonize: unknown directive (cairn --help shows what there is)"},
		{"-x", `"-x" is not an option: they are written --name value (cairn --help shows them)`},
		{"/nonexistent.conf", "cannot read the configuration: open /nonexistent.conf: no such file or directory: check the path"},
		{"--port 0", ""},
		{"--rename-command flushall", "--rename-command: wrong number of arguments"},
		{"--policy", "--policy: the policy has no name (policy <name> pattern <glob> <setting> <value> ...)"},
		{"--policy a pattern x ttl 1 --policy a pattern y ttl 1", "--policy: a policy can be defined only once"},
		{"--port 7000 --tls-port 7000", "port and tls-port are both 7000: give them different numbers, or --port 0 for TLS only"},
		{"--tls-protocols TLSv1.3 tlsv1.1", "--tls-protocols: tlsv1.1 is not safe any more: cairn speaks only TLSv1.2 and TLSv1.3"},
		{"--tls-protocols TLSv1.4", `--tls-protocols: "TLSv1.4" is no version of TLS: write TLSv1.2 or TLSv1.3`},
		{"--tls-auth-clients maybe", "--tls-auth-clients: argument(s) must be one of the following: no, yes, optional"},
		{"--tls-ciphers DEFAULT", "--tls-ciphers: unknown directive (cairn --help shows what there is)"},
	} {
		err := New().Load(strings.Fields(tc.args))
		if err == nil || (tc.want != "" && err.Error() != tc.want) {
			t.Errorf("%s: got %v, want %s", tc.args, err, tc.want)
		}
	}
}

// An option may be written like a line of a file, in one argument.
func TestLoadOptionsInOneArgument(t *testing.T) {
	c := New()
	err := c.Load([]string{"--port 7001", "--bind 127.0.0.1 ::1", `--requirepass "a b"`, "--unixsocket=/tmp/a b", "--timeout", "3", `--rename-command keys ""`, "--policy", "a pattern x ttl 1", "--policy b pattern y ttl 2"})
	if err != nil || c.Port != 7001 || !slices.Equal(c.Bind, []string{"127.0.0.1", "::1"}) || c.RequirePass != "a b" ||
		c.UnixSocket != "/tmp/a b" || c.Timeout != 3*time.Second || !slices.Equal(c.Renames, []Rename{{"keys", ""}}) ||
		len(c.Policies) != 2 || !slices.Equal(c.Policies[0], strings.Fields("a pattern x ttl 1")) || !slices.Equal(c.Policies[1], strings.Fields("b pattern y ttl 2")) {
		t.Errorf("%v %+v", err, c)
	}
	if err := New().Load([]string{`--requirepass "secret`}); err == nil || err.Error() != "--requirepass: unbalanced quotes" {
		t.Error(err)
	}
}

func TestSplit(t *testing.T) {
	for _, tc := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{"  \t\r\n", nil},
		{"SET a b", []string{"SET", "a", "b"}},
		{`a "b c" 'd "e' "\x41\n\q\\"`, []string{"a", "b c", `d "e`, "A\nq\\"}},
		{`'it\'s' "" x"y"`, []string{"it's", "", "xy"}},
	} {
		if got, err := Split(tc.line); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: got %q, %v", tc.line, got, err)
		}
	}
	for _, line := range []string{`"a`, `'a`, `"a"b`, `'a'b`, `"a\"`} {
		if got, err := Split(line); err == nil {
			t.Errorf("%q: got %q, want an error", line, got)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(`SET "a\x00b" 'c\'d' e`)
	f.Fuzz(func(_ *testing.T, line string) { _, _ = Split(line) })
}

func TestUsers(t *testing.T) {
	c := New()
	if err := c.Load([]string{"--user", "alice", "on", "+@all", "--user", "bob on ~jobs:* (+ping ~a)"}); err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"alice", "on", "+@all"}, {"bob", "on", "~jobs:*", "(+ping", "~a)"}}
	if !slices.EqualFunc(c.Users, want, slices.Equal[[]string]) {
		t.Errorf("got %q", c.Users)
	}
	for _, args := range [][]string{{"--user"}, {"--user", ""}, {"--user", "alice", "on", "--user", "alice"}} {
		if err := New().Load(args); err == nil || strings.Contains(err.Error(), "alice") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if got := c.Get("*"); slices.ContainsFunc(got, func(p Pair) bool { return p.Name == "user" }) {
		t.Error("CONFIG GET shows users")
	}
}

// FuzzSet gives any directive any value: it is taken or refused as a whole, and
// what CONFIG GET then answers can be set again and means the same.
func FuzzSet(f *testing.F) {
	for i := range table {
		f.Add(table[i].name, table[i].initial)
	}
	for name, value := range map[string]string{
		"maxclients": "-1", "timeout": "99999999999999999999", "proto-max-bulk-len": "1gbb", "client-query-buffer-limit": "18446744073709551615",
		"client-output-buffer-limit": "normal 0 0 0 pubsub 1kb 0 0 slave 1 2 3", "notify-keyspace-events": "KEA\x00", "tls-protocols": "TLSv1.2 TLSv1.3",
		"latency-tracking-info-percentiles": "nan 1e9 -1", "save": "900 1", "requirepass": "a b\nc", "loglevel": "LOUD", "maxmemory": "1",
	} {
		f.Add(name, value)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		c := New()
		before := c.Get("*")
		if err := c.Set([]Pair{{"timeout", "7"}, {name, value}}); err != nil {
			if got := c.Get("*"); !slices.Equal(got, before) {
				t.Fatalf("refused (%v), but changed to %q", err, got)
			}
			return
		}
		after := c.Get("*")
		again := New()
		for _, p := range after {
			if d := find(p.Name); d.flags&mutable == 0 {
				continue
			}
			if err := again.Set([]Pair{p}); err != nil {
				t.Fatalf("%s is shown as %q, which cannot be set: %v", p.Name, p.Value, err)
			}
		}
		if got := again.Get("*"); !slices.Equal(got, after) {
			t.Fatalf("%q\nset again is %q", after, got)
		}
	})
}

// FuzzFile reads lines of a configuration file. An error about what may be
// secret does not show it.
func FuzzFile(f *testing.F) {
	for i := range table {
		f.Add(table[i].name + " " + table[i].initial)
	}
	for _, line := range []string{`requirepass "a\x00b"`, "user alice on >secret ~* +@all", "user", "\x00", `port "6379`, "bind * -::*", "user a\nuser a", "# port 1", "PORT 7000"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := New()
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			words, err := Split(line)
			isName := func(name string) bool { return len(words) > 0 && strings.EqualFold(words[0], name) }
			if err != nil || isName("include") {
				continue // would read files
			}
			if err = c.loadLine(line, 0); err == nil {
				continue
			}
			if secret := isName("requirepass") || isName("user"); secret && !errors.Is(err, errWords) && !errors.Is(err, errUserName) && !errors.Is(err, errUserTwice) {
				t.Fatalf("%q: %v", line, err)
			}
		}
		_ = c.settle()
	})
}
