package config

import (
	"fmt"
	"strings"
)

// helpColumns is the width of the help text.
const helpColumns = 100

// Help returns the text of --help; more are further usages.
func Help(more string) string {
	var b strings.Builder
	b.WriteString(`cairn, a message broker that speaks the Redis protocol

Usage:
  cairn [file] [--name value ...]...
  cairn --help | --version
`)
	b.WriteString(more)
	b.WriteString(`
The file is written like redis.conf; options win over it. CONFIG SET changes those marked * while
cairn runs. Sizes may be written with a unit: 512mb, 1gb.
`)
	for _, group := range groups {
		fmt.Fprintf(&b, "\n%s\n", group)
		for i := range table {
			if d := &table[i]; d.group == group {
				d.describe(&b)
			}
		}
	}
	b.WriteString(`
Examples:
  cairn                                      127.0.0.1:6379, data in ./data
  cairn --port 7000 --dir /var/lib/cairn
  cairn /etc/cairn.conf --loglevel verbose
  cairn --bind 0.0.0.0 --requirepass secret
  cairn --port 0 --tls-port 6379 --tls-cert-file cairn.crt --tls-key-file cairn.key --tls-auth-clients no
`)
	return b.String()
}

func (d *directive) describe(b *strings.Builder) {
	fmt.Fprintf(b, "  --%s %s", d.name, d.value(New()).form())
	if d.flags&mutable != 0 {
		b.WriteString(" *")
	}
	if d.initial != "" {
		fmt.Fprintf(b, "  (default %s)", d.initial)
	}
	b.WriteString("\n")
	for _, line := range wrap(d.help, helpColumns-6) {
		fmt.Fprintf(b, "      %s\n", line)
	}
}

// wrap breaks text into lines of at most columns bytes.
func wrap(text string, columns int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > columns {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Markdown returns the page docs/config.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\n" +
		"<!-- Written by `make docs` from the table of directives. -->\n\n" +
		"Every directive can be given on the command line (`cairn --port 7000`), in a file written like redis.conf\n" +
		"(`cairn /etc/cairn.conf --port 7000`: the command line wins; `include other.conf` reads another file, or several with a\n" +
		"pattern; `rename-command name new` gives a command another name, and with `\"\"` none;\n" +
		"`policy name pattern glob setting value ...` sets a policy, see [broker.md](broker.md)), and asked for with `CONFIG GET`. Those\n" +
		"marked ✓ can be changed with `CONFIG SET` while cairn runs. Sizes may be written with a unit (`512mb`, `1gb`; `kb` is 1024\n" +
		"bytes, `k` 1000). What happens to a client at a limit is in [limits.md](limits.md).\n")
	c := New()
	for _, group := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| Directive | Value | Default | CONFIG SET | |\n| --- | --- | --- | --- | --- |\n", group)
		for i := range table {
			d := &table[i]
			if d.group != group {
				continue
			}
			set := ""
			if d.flags&mutable != 0 {
				set = "✓"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", d.name,
				strings.ReplaceAll(d.value(c).form(), "|", `\|`), code(d.initial), set, strings.ReplaceAll(d.help, "*", `\*`))
		}
	}
	return b.String()
}

func code(text string) string {
	if text == "" {
		text = `""`
	}
	return "`" + text + "`"
}
