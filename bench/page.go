package main

import (
	"fmt"
	"slices"
	"strings"
)

// A section of the page is a workload.
type section struct {
	title string
	about string
	cases []heading
}

// A heading is a case as it is shown.
type heading struct{ name, title string }

var sections = []section{
	{"Publish", "50 connections send messages, in turn to each of the keys.", []heading{
		{"publish/lpush-1", "LPUSH, one list"}, {"publish/lpush-1000", "LPUSH, 1,000 lists"},
		{"publish/xadd-1", "XADD, one stream"}, {"publish/xadd-1000", "XADD, 1,000 streams"},
	}},
	{"Consume", "50 connections take what lies there until nothing is left. For streams they are 50 consumers of one group, which send XACK " +
		"once they have the replies of their XREADGROUPs; a message is counted when it is acknowledged, latency is that of single commands.", []heading{
		{"consume/rpop-1", "RPOP, one list"}, {"consume/rpop-1000", "RPOP, 1,000 lists"},
		{"consume/xreadgroup-1", "XREADGROUP COUNT 1 + XACK"}, {"consume/xreadgroup-100", "XREADGROUP COUNT 100 + XACK"},
	}},
	{"End to end", "25 producers LPUSH, 25 consumers wait with BRPOP on the same list. Latency is from sending to receiving; at the fixed rate from when " +
		"the message should have been sent, whatever held it up.", []heading{
		{"end-to-end/flat-out", "as fast as they can"}, {"end-to-end/5000-per-second", "5,000 messages/s"},
	}},
	{"Consumer groups", "Groups of ten consumers read a stream while the rest of 50 connections add to it: XREADGROUP COUNT 100 BLOCK 0, with the XACK of what came " +
		"before. Each delivery to a group counts as a message; latency is from XADD to its arrival. P is that of the producers.", []heading{
		{"groups/1", "1 group"}, {"groups/4", "4 groups"},
	}},
	{"Fan-out", "One connection publishes, subscribers get every message in order. Deliveries are counted; latency is from PUBLISH to delivery. " +
		"Nothing is stored, so appendfsync makes no difference.", []heading{
		{"fan-out/1", "1 subscriber"}, {"fan-out/100", "100 subscribers"}, {"fan-out/1000", "1,000 subscribers"},
	}},
}

// A figureSection is a workload of which single figures are shown.
type figureSection struct {
	title, about string
	figures      []figure
}

var figureSections = []figureSection{
	{"Backlog", backlogAbout, backlogFigures}, {"Idle connections", idleAbout, idleFigures},
}

const backlogAbout = "Messages are pushed into one list by 50 connections with 16 commands in flight, `appendfsync always`. Then the server is killed with SIGKILL, started again, and " +
	"all are popped: after the restart it has nothing of them in memory (the operating system's page cache is as it is). Then the same number is pushed and popped once more " +
	"without a restart between the two. Disk is what the data folder's blocks take, looked at every 100 ms; for the peak that includes a log that is being rewritten. " +
	"Memory is the resident memory of the process at its highest, without children. Measured in the first round only.\n\n"

const idleAbout = "Connections that have sent a PING and nothing else, then wait in BRPOP on one list, `appendfsync always`, 128 bytes. Memory is what the server's resident memory grew by, per connection.\n\n"

// page writes docs/benchmarks.md; data is the name of the file that it is made
// of.
func (r *Report) page(data string) string {
	var b strings.Builder
	peer := r.About.Peer.title()
	fmt.Fprintf(&b, "# Benchmarks\n\n<!-- Written by `make bench` from %s. -->\n\n", data)
	fmt.Fprintf(&b, "cairn next to %s: the same load, the same durability, the same disk, one after the other on one machine, again and again. `make bench` measures it\n"+
		"anew; `make bench PEER=/path/to/another-server` compares with another one. The figures behind this page are in [%[2]s](%[2]s).\n\n", peer, data)
	r.writeAbout(&b)
	r.writeTargets(&b)
	for _, s := range sections {
		r.writeSection(&b, s)
	}
	for _, s := range figureSections {
		r.writeFigures(&b, s)
	}
	r.writeFailures(&b)
	return strings.TrimSuffix(b.String(), "\n")
}

func (s Server) title() string {
	if s.Name == "" {
		return "no peer"
	}
	return s.Name + " " + s.Version
}

func (r *Report) writeAbout(b *strings.Builder) {
	m := r.About.Machine
	fmt.Fprintf(b, "| | |\n| --- | --- |\n")
	for _, row := range [][2]string{
		{"date", r.About.Date},
		{"command", "`" + r.About.Command + "`"},
		{"servers", r.About.Cairn.title() + "; " + r.About.Peer.title()},
		{"options of both", "`" + r.About.Options + "`"},
		{"processor", fmt.Sprintf("%s, %d cores, shared by the server and the load generator", m.CPU, m.Cores)},
		{"memory", fmt.Sprintf("%.1f GB", float64(m.Memory)/1e9)},
		{"system", fmt.Sprintf("%s, data on %s; %s", m.Kernel, m.FileSystem, m.Go)},
		{"fdatasync, 50 × 128 bytes", fmt.Sprintf("appended %s, written over %s (median; lowest and highest of the rounds)", micros(m.Append), micros(m.Overwrite))},
		{"rounds", fmt.Sprintf("%d, in each cairn first, then the peer; %.0f minutes", r.About.Rounds, r.About.Minutes)},
	} {
		fmt.Fprintf(b, "| %s | %s |\n", row[0], strings.ReplaceAll(row[1], "|", `\|`))
	}
	if r.About.Scale.Divisor > 1 {
		fmt.Fprintf(b, "\n**A quick run**: a tenth of the messages and of the connections. Its figures are for a first look only.\n")
	}
	b.WriteString("\n" + method + "\n")
}

func micros(s Spread) string {
	return fmt.Sprintf("%.0f µs (%.0f–%.0f)", s.Median, s.Min, s.Max)
}

const method = `How it is measured:

- Each case starts with a server that was started 200 ms before with an empty data folder, on a disk with nothing left to write (syncfs). A number is the median of the rounds; a ratio is taken within each round, between
  neighbours in time, and then the median with the lowest and the highest. Percentiles are those of all rounds' latencies together.
- P1, P16: commands in flight on each of the 50 connections; the next ones are sent when all replies have come, as redis-benchmark does.
- Every message has a number, the run's tag and random bytes of its own, and is checked when it comes: none lost, none twice, none foreign, none changed. A server that fails
  at that, or takes longer than a minute, has failed; it is said so instead of a number.
- Payloads do not compress.
- CPU is user and system time of the server, with its children, over the case; work that it does later (compaction, a rewrite of its log) counts where it happens. The generator, one
  thread on the same machine, has a column of its own.
- "cairn / peer" in a column's head means: first cairn's number, then the peer's.
`

func (r *Report) writeTargets(b *strings.Builder) {
	met, all := 0, 0
	count := func(v verdict) {
		all++
		if v.met() {
			met++
		}
	}
	var rows strings.Builder
	if r.About.Peer.Name != "" {
		fmt.Fprintf(&rows, "| cairn / %s, median of the ratios | payload |", r.About.Peer.Name)
		for _, c := range columns {
			fmt.Fprintf(&rows, " %s |", c.title)
		}
		rows.WriteString("\n| --- | --- | --- | --- | --- | --- |\n")
		for _, t := range targets {
			for _, payload := range r.payloads(t.cases[0]) {
				shown, judged := "", false
				for i := range columns {
					if v, ok := r.judge(t, payload, i); ok {
						count(v)
						shown, judged = shown+" "+v.show(twoDigits), true
					}
					shown += " |"
				}
				if judged {
					fmt.Fprintf(&rows, "| %s | %s |%s\n", t.title, size(payload), shown)
				}
			}
		}
		rows.WriteString("\n")
	}
	var bounded []string
	for _, f := range slices.Concat(backlogFigures, idleFigures) {
		for _, payload := range r.payloads(f.cases[0]) {
			if v, ok := r.value(f, payload, (*Cell).cairn); ok && v.bound != 0 {
				count(v)
				bounded = append(bounded, fmt.Sprintf("| %s | %s | %s |\n", f.title, size(payload), v.show(f.format)))
			}
		}
	}
	if len(bounded) > 0 {
		rows.WriteString("| cairn | payload | |\n| --- | --- | --- |\n" + strings.Join(bounded, "") + "\n")
	}
	if all > 0 {
		fmt.Fprintf(b, "## Targets\n\n%d of %d are met.\n\n%s", met, all, rows.String())
	}
}

// payloads are those that a case was measured with.
func (r *Report) payloads(name string) (sizes []int) {
	for _, c := range r.Cells {
		if c.Case == name && !slices.Contains(sizes, c.Payload) {
			sizes = append(sizes, c.Payload)
		}
	}
	return sizes
}

func size(payload int) string {
	if payload >= 1024 {
		return fmt.Sprintf("%d KiB", payload/1024)
	}
	return fmt.Sprintf("%d B", payload)
}

func (r *Report) writeSection(b *strings.Builder, s section) {
	var rows strings.Builder
	for _, h := range s.cases {
		for i := range r.Cells {
			if c := &r.Cells[i]; c.Case == h.name {
				rows.WriteString(row(h.title, c))
			}
		}
	}
	if rows.Len() == 0 {
		return
	}
	fmt.Fprintf(b, "## %s\n\n%s\n\n", s.title, s.about)
	b.WriteString("| cairn / peer | payload | P | fsync | ratio of rates | messages/s | p50 ms | p99 ms | p99.9 ms | CPU s/million | generator | memory MB | disk MB |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	b.WriteString(rows.String() + "\n")
}

// row is a case in one setting.
func row(title string, c *Cell) string {
	pair := func(format func(float64) string, value func(Series) float64) string {
		shown := func(s Series) string {
			switch {
			case len(s.Samples) == 0:
				return "–"
			case s.failure() != "":
				return "failed"
			}
			return format(value(s))
		}
		return shown(c.Cairn) + " / " + shown(c.Peer)
	}
	medians := func(reading func(Sample) float64) func(Series) float64 {
		return func(s Series) float64 { return s.of(reading).Median }
	}
	inMillis := func(v float64) string { return rounded(v / 1e3) }
	inMegabytes := func(v float64) string { return rounded(v / megabyte) }
	return "| " + strings.Join([]string{
		title, size(c.Payload), fmt.Sprint(c.InFlight), c.Fsync, c.showRatio(),
		pair(rounded, medians(Sample.rate)),
		pair(inMillis, func(s Series) float64 { return s.Latency.P50 }),
		pair(inMillis, func(s Series) float64 { return s.Latency.P99 }),
		pair(inMillis, func(s Series) float64 { return s.Latency.P999 }),
		pair(rounded, medians(Sample.cpuPerMillion)),
		pair(rounded, medians(Sample.generatorPerMillion)),
		pair(inMegabytes, medians(func(s Sample) float64 { return float64(s.Memory) })),
		pair(inMegabytes, medians(func(s Sample) float64 { return float64(s.Disk) })),
	}, " | ") + " |\n"
}

// showRatio is that of the rates of cairn and the peer.
func (c *Cell) showRatio() string {
	s, ok := ratio([]*Cell{c}, Sample.rate)
	if !ok {
		return "–"
	}
	return fmt.Sprintf("**%.2f** (%.2f–%.2f)", s.Median, s.Min, s.Max)
}

// writeFigures writes a section whose rows are figures and whose columns are
// payloads and servers.
func (r *Report) writeFigures(b *strings.Builder, s figureSection) {
	sizes := r.payloads(s.figures[0].cases[0])
	if len(sizes) == 0 {
		return
	}
	fmt.Fprintf(b, "## %s\n\n%s|", s.title, s.about)
	for _, payload := range sizes {
		fmt.Fprintf(b, " | %[1]s, cairn | %[1]s, peer", size(payload))
	}
	fmt.Fprintf(b, " |\n| ---%s |\n", strings.Repeat(" | ---", 2*len(sizes)))
	for _, f := range s.figures {
		fmt.Fprintf(b, "| %s", f.title)
		for _, payload := range sizes {
			for _, of := range []func(*Cell) Series{(*Cell).cairn, (*Cell).peer} {
				v, ok := r.value(f, payload, of)
				switch {
				case !ok:
					b.WriteString(" | –")
				case v.failure != "":
					b.WriteString(" | failed")
				default:
					fmt.Fprintf(b, " | %s", f.format(v.value))
				}
			}
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\n")
}

func (c *Cell) cairn() Series { return c.Cairn }
func (c *Cell) peer() Series  { return c.Peer }

// writeFailures says what went wrong where, in the first round in which it did.
func (r *Report) writeFailures(b *strings.Builder) {
	var lines []string
	for _, c := range r.Cells {
		for _, s := range []struct {
			Server
			Series
		}{{r.About.Cairn, c.Cairn}, {r.About.Peer, c.Peer}} {
			if failure := s.failure(); failure != "" {
				first, _, _ := strings.Cut(failure, "\n")
				lines = append(lines, fmt.Sprintf("- %s, %s: %s\n", c.name(), s.Name, first))
			}
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(b, "## Failures\n\n%s\n", strings.Join(lines, ""))
	}
}
