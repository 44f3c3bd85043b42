package commands

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestCommandInfo compares what follows from the table with what Redis answers.
func TestCommandInfo(t *testing.T) {
	recorded, err := os.ReadFile("testdata/command-info-7.0.15.txt")
	if err != nil {
		t.Fatal(err)
	}
	table := NewTable()
	for line := range strings.Lines(string(recorded)) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(line, " | ")
		if strings.HasPrefix(line, "#") {
			continue
		}
		cmd := table.FindFull(name)
		if cmd == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if got := infoLine(cmd); got != line {
			t.Errorf("\ngot  %s\nwant %s", got, line)
		}
	}
}

// infoLine writes what COMMAND INFO says of a command as the recorded file does.
func infoLine(c *Command) string {
	var specs, categories []string
	for _, s := range c.keySpecs() {
		from, to := fmt.Sprint(s.index), fmt.Sprintf("to %d/%d/%d", s.lastKey, s.step, s.limit)
		if s.keyword != "" {
			from = fmt.Sprintf("%s:%d", s.keyword, s.from)
		}
		if s.counted {
			to = "counted"
		}
		specs = append(specs, fmt.Sprintf("%s from %s %s", strings.Join(s.flags, ","), from, to))
	}
	for _, name := range c.Categories() {
		categories = append(categories, "@"+name)
	}
	return strings.Join([]string{
		c.FullName(), fmt.Sprint(c.Arity), strings.Join(c.flagNames(), " "),
		fmt.Sprintf("%d %d %d", c.Keys.First, c.Keys.Last, c.Keys.Step),
		strings.Join(categories, " "), strings.Join(c.Tips, " "), strings.Join(specs, "; "),
	}, " | ")
}

func TestShown(t *testing.T) {
	table := NewTable()
	for call, want := range map[string]string{
		"AUTH secret":                           "AUTH (redacted)",
		"AUTH default secret":                   "AUTH (redacted) (redacted)",
		"HELLO 3":                               "HELLO 3",
		"HELLO 3 AUTH default secret SETNAME x": "HELLO 3 AUTH (redacted) (redacted) SETNAME x",
		"CONFIG SET port 1 requirepass secret":  "CONFIG SET port 1 requirepass (redacted)",
		"CONFIG SET appendfsync always":         "CONFIG SET appendfsync always",
		"ECHO AUTH":                             "ECHO AUTH",
		"ACL SETUSER bob on >secret":            "ACL SETUSER (redacted) (redacted) (redacted)",
		"ACL DELUSER bob":                       "ACL DELUSER bob",
	} {
		args := words(call)
		cmd, err := table.Resolve(args)
		if err != nil {
			t.Fatal(err)
		}
		if got := joinWords(cmd.Shown(args)); got != want {
			t.Errorf("%s: got %s", call, got)
		}
		if joinWords(args) != call {
			t.Errorf("%s: the call has been changed", call)
		}
	}
}

func words(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}

func joinWords(args [][]byte) string {
	var list []string
	for _, a := range args {
		list = append(list, string(a))
	}
	return strings.Join(list, " ")
}
