package commands

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// markdownGroups are the groups of docs/commands.md in their order.
var markdownGroups = []struct{ group, title string }{
	{"list", "Lists: queues"},
	{"stream", "Streams and consumer groups"},
	{"pubsub", "Publish and subscribe"},
	{"broker", "Cairn's own: policies, queues, schedules"},
	{"transactions", "Transactions"},
	{"generic", "Keys"},
	{"connection", "Connections"},
	{"server", "Server"},
	{"cluster", "Cluster: none"},
}

// WriteMarkdown writes the page of supported commands, docs/commands.md.
func WriteMarkdown(w io.Writer, t *Table) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# Commands\n\n"+
		"<!-- Written by `make docs` from the command table. -->\n\n"+
		"Commands behave as in Redis %s; *since* is the version of Redis that has them,\n"+
		"of cairn's own commands that of cairn ([broker.md](broker.md) explains them).\n"+
		"Whatever is not listed is answered as Redis answers an unknown command.\n", RedisVersion)
	for _, g := range markdownGroups {
		fmt.Fprintf(b, "\n## %s\n\n| Command | Since | |\n| --- | --- | --- |\n", g.title)
		for _, c := range t.All() {
			if c.Group == g.group && c.Run != nil {
				writeMarkdownRow(b, c)
			}
			for _, sub := range c.Subcommands() {
				if c.Group == g.group && sub.Name != "help" {
					writeMarkdownRow(b, sub)
				}
			}
		}
	}
	return b.Flush()
}

func writeMarkdownRow(w io.Writer, c *Command) {
	call := strings.TrimSpace(strings.ToUpper(c.Parent+" "+c.Name) + " " + c.Syntax)
	fmt.Fprintf(w, "| `%s` | %s | %s |\n", strings.ReplaceAll(call, "|", `\|`), c.Since, c.Summary)
}
