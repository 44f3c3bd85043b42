package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Passwords are shown to nobody but who gives them: not to MONITOR, SLOWLOG, ACL
// LOG, CLIENT LIST, INFO, LATENCY, in errors or in the log, however the commands
// that have them are written, and whether they work or not.
func TestSecretsStaySecret(t *testing.T) {
	i := start(t, setup{options: []string{
		"--requirepass", "hush-0", "--slowlog-log-slower-than", "0", "--slowlog-max-len", "1000", "--latency-monitor-threshold", "1",
		"--user", "bob", "on", ">hush-1", "~*", "&*", "+@all",
	}})
	// No secret is written in capital letters: what is made upper case must not be
	// shown either.
	secret := func(text string) bool { return strings.Contains(strings.ToLower(text), "hush-") }
	monitor := i.dial(t)
	monitor.do("AUTH hush-0", "+OK")
	monitor.do("MONITOR", "+OK")
	c := i.dial(t)
	calls := [][]string{
		{"AUTH", "hush-2"}, {"auth", "bob", "hush-3"}, {"AUTH", "nobody", "hush-4"}, {"AUTH", "a", "b", "hush-5"}, {"AUTH", "default", "hush-0"}, {"Auth", "bob", "hush-1"},
		{"HELLO", "3", "AUTH", "bob", "hush-6"}, {"HELLO", "3", "AUTH", "bob", "hush-1", "SETNAME", "me"}, {"HELLO", "2", "SETNAME", "me", "auth", "default", "hush-0"},
		{"HELLO", "2", "AUTH", "bob", "hush-7", "AUTH", "bob", "hush-8"}, {"HELLO", "4", "AUTH", "bob", "hush-9"}, {"HELLO", "2", "AUTH", "bob", "hush-1", "nonsense"},
		{"CONFIG", "SET", "requirepass", "hush-0"}, {"config", "set", "timeout", "0", "REQUIREPASS", "hush-0"}, {"CONFIG", "SET", "requirepass", "hush-10", "nosuch", "1"},
		{"CONFIG", "SET", "requirepass", "hush-0", "requirepass", "hush-11"}, {"CONFIG", "SET", "requirepass"},
		{"ACL", "SETUSER", "carol", "on", ">hush-12", "+@all"}, {"ACL", "SETUSER", "carol", "<hush-12"}, {"acl", "setuser", "carol", ">hush-13", "nonsense"}, {"ACL", "SETUSER", "carol", "(>hush-14"},
		{"ACL", "SETUSER", "carol", "<hush-15"}, {"ACL", "DRYRUN", "bob", "AUTH", "hush-16"}, {"COMMAND", "GETKEYS", "AUTH", "hush-17"}, {"COMMAND", "GETKEYSANDFLAGS", "AUTH", "x", "hush-18"},
		{"MULTI"}, {"AUTH", "default", "hush-0"}, {"ACL", "SETUSER", "dave", "on", ">hush-19"}, {"CONFIG", "SET", "requirepass", "hush-0"}, {"HELLO", "2", "AUTH", "bob", "hush-20"}, {"EXEC"},
		{"RPUSH", "q", "x"}, {"CLIENT", "NO-TOUCH", "ON"},
	}
	for _, words := range calls {
		c.send(bulkCommand(words...))
		// Who gives a rule that makes no sense is told which it was, as in Redis.
		if got := c.reply(); secret(got) && words[len(words)-1][0] != '<' && words[len(words)-1][0] != '(' {
			t.Errorf("%s answers %s", words[0], got)
		}
		c.do("AUTH default hush-0", map[bool]string{true: "+QUEUED", false: "+OK"}[slices.Contains([]string{"MULTI"}, words[0]) || inMulti(calls, words)])
	}
	broken := i.dial(t)
	broken.send("*2\r\n$4\r\nAUTH\r\n$7\r\nhush-21\r\n*2\r\n$4\r\nAUTH\r\n$x\r\nhush-22\r\n")
	for range 2 {
		if got := broken.reply(); secret(got) {
			t.Errorf("a protocol error answers %s", got)
		}
	}
	c.do("ECHO the-end", "the-end")
	for shown := ""; !strings.Contains(shown, "the-end"); {
		if shown = monitor.reply(); secret(shown) {
			t.Errorf("MONITOR shows %s", shown)
		}
	}
	for _, command := range []string{
		"SLOWLOG GET -1", "ACL LOG 1000", "CLIENT LIST", "CLIENT INFO", "INFO everything", "LATENCY LATEST", "LATENCY HISTOGRAM", "LATENCY DOCTOR", "ACL LIST", "ACL GETUSER bob", "ACL USERS", "MEMORY DOCTOR",
	} {
		c.send(command + "\r\n")
		got := c.reply()
		if secret(got) {
			t.Errorf("%s shows %s", command, got)
		}
		if (command == "SLOWLOG GET -1" && !strings.Contains(got, "(redacted)")) || (command == "ACL LOG 1000" && !strings.Contains(got, "auth")) {
			t.Errorf("%s shows nothing: %.300s", command, got)
		}
	}
	i.Stop("the test is over")
	i.wait(t)
	if log := i.log.String(); secret(log) {
		t.Errorf("the log has %s", log)
	}
}

// inMulti reports whether a call stands between MULTI and EXEC.
func inMulti(calls [][]string, call []string) bool {
	within := false
	for _, words := range calls {
		switch {
		case words[0] == "MULTI":
			within = true
		case words[0] == "EXEC":
			within = false
		}
		if &words[0] == &call[0] {
			return within
		}
	}
	return false
}

// Where the program finds a mistake of its own in what a client has sent, it says
// so without the arguments.
func TestPanicsShowNoArguments(t *testing.T) {
	packet := bulkCommand("AUTH", "hush")
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "redcon") || strings.Contains(p, "hush") {
			t.Errorf("panic: %s", p)
		}
	}()
	_, _ = frame{commandFrame, len(packet) - 1}.arguments(nil, []byte(packet))
	t.Error("no panic")
}
