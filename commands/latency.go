package commands

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cairnmq/cairn/resp"
)

// latencyCommands is part of adminCommands.
var latencyCommands = []Command{
	{
		Name: "latency", Arity: -2,
		Group: "server", Since: "2.8.13",
		Summary: "Commands about what takes long.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "latency", Name: "doctor", Arity: 2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.8.13", Tips: latencyTips,
		Summary:    "Returns a report on the events that took long, for people.",
		Complexity: "O(N) where N is the number of samples kept",
		Run:        latencyDoctor,
	},
	{
		Parent: "latency", Name: "graph", Arity: 3, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.8.13", Syntax: "event", Tips: latencyTips,
		Summary:    "Draws the durations kept of an event, the newest at the right.",
		Complexity: "O(N) where N is the number of samples kept",
		Run:        latencyGraph,
	},
	helpCommand("latency", 0, "server", "2.8.13"),
	{
		Parent: "latency", Name: "histogram", Arity: -2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "7.0.0", Syntax: "[command [command ...]]", Tips: latencyTips,
		Summary:    "Returns how many calls of each command took at most how many microseconds.",
		Complexity: "O(N) where N is the number of commands with latency information being retrieved",
		Run:        latencyHistogram,
	},
	{
		Parent: "latency", Name: "history", Arity: 3, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.8.13", Syntax: "event", Tips: latencyTips,
		Summary:    "Returns the durations kept of an event, in milliseconds, with their unix times.",
		Complexity: "O(N) where N is the number of samples kept",
		Run:        latencyHistory,
	},
	{
		Parent: "latency", Name: "latest", Arity: 2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.8.13", Tips: latencyTips,
		Summary:    "Returns for each event that took long: its name, unix time, milliseconds, most milliseconds ever.",
		Complexity: "O(N) where N is the number of events",
		Run:        latencyLatest,
	},
	{
		Parent: "latency", Name: "reset", Arity: -2, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "2.8.13", Syntax: "[event [event ...]]",
		Tips:       []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
		Summary:    "Forgets the durations of events, or of all.",
		Complexity: "O(N) where N is the number of events",
		Run:        latencyReset,
	},
}

var latencyTips = []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"}

// The events that LATENCY knows of, in Redis' words.
const (
	LatencyCommand     = "command"          // a command that is not marked fast
	LatencyFastCommand = "fast-command"     // one that is
	LatencySync        = "aof-fsync-always" // the commit of a turn, with its sync
	LatencyWrite       = "aof-write"        // the commit of a turn that is synced later
	LatencyStall       = "write-stall"      // the storage engine had writes wait
	LatencyExpire      = "expire-cycle"     // removing what ran out or was dropped
)

// LatencyLog keeps what took long: of each event one sample a second, the
// longest, for as many seconds as it happened in. The zero value is empty.
type LatencyLog struct{ events map[string]*latencySeries }

type latencySeries struct {
	samples []latencySample // oldest first
	most    int64           // ms, ever
}

type latencySample struct{ at, took int64 } // unix seconds, ms

// latencySamplesMax is how many samples are kept of an event.
const latencySamplesMax = 160

// Add notes that an event took so many milliseconds.
func (l *LatencyLog) Add(event string, at time.Time, ms int64) {
	if l.events == nil {
		l.events = make(map[string]*latencySeries)
	}
	series := l.events[event]
	if series == nil {
		series = &latencySeries{}
		l.events[event] = series
	}
	series.most = max(series.most, ms)
	if last := len(series.samples) - 1; last >= 0 && series.samples[last].at == at.Unix() {
		series.samples[last].took = max(series.samples[last].took, ms)
		return
	}
	if len(series.samples) == latencySamplesMax {
		series.samples = slices.Delete(series.samples, 0, 1)
	}
	series.samples = append(series.samples, latencySample{at.Unix(), ms})
}

// names returns the names of the events that were noted.
func (l *LatencyLog) names() []string { return slices.Sorted(maps.Keys(l.events)) }

// Latency notes an event if it took as long as latency-monitor-threshold.
func (srv *Server) Latency(event string, at time.Time, took time.Duration) {
	if threshold := srv.Config.LatencyMonitorThreshold; threshold > 0 && took.Milliseconds() >= threshold {
		srv.Latencies.Add(event, at, took.Milliseconds())
	}
}

func latencyLatest(c *Ctx) error {
	log := &c.Server.Latencies
	names := log.names()
	c.Out.Array(len(names))
	for _, name := range names {
		series := log.events[name]
		last := series.samples[len(series.samples)-1]
		c.Out.Array(4)
		c.Out.BulkString(name)
		c.Out.Int(last.at)
		c.Out.Int(last.took)
		c.Out.Int(series.most)
	}
	return nil
}

func latencyHistory(c *Ctx) error {
	series := c.Server.Latencies.events[string(c.Args.Next())]
	if series == nil {
		c.Out.Array(0)
		return nil
	}
	c.Out.Array(len(series.samples))
	for _, s := range series.samples {
		c.Out.Array(2)
		c.Out.Int(s.at)
		c.Out.Int(s.took)
	}
	return nil
}

func latencyReset(c *Ctx) error {
	log := &c.Server.Latencies
	before := len(log.events)
	if !c.Args.More() {
		clear(log.events)
	}
	for c.Args.More() {
		name := string(c.Args.Next())
		maps.DeleteFunc(log.events, func(event string, _ *latencySeries) bool { return strings.EqualFold(event, name) })
	}
	c.Out.Int(int64(before - len(log.events)))
	return nil
}

// latencyHistogram answers for the commands named, those that do not exist or
// were never called left out, or for all.
func latencyHistogram(c *Ctx) error {
	roots := c.Server.Table.All()
	if c.Args.More() {
		roots = nil
		for c.Args.More() {
			if cmd := c.Server.Table.FindFull(string(c.Args.Next())); cmd != nil {
				roots = append(roots, cmd)
			}
		}
	}
	reply := c.Out.MapLater()
	n := 0
	for _, root := range roots {
		for _, cmd := range append([]*Command{root}, root.Subcommands()...) {
			if h := cmd.Stats.Latency; h != nil {
				c.Out.BulkString(cmd.FullName())
				writeHistogram(c.Out, h)
				n++
			}
		}
	}
	c.Out.SetLen(reply, n)
	return nil
}

func writeHistogram(out *resp.Buffer, h *Histogram) {
	out.Map(2)
	out.BulkString("calls")
	out.Int(h.Total())
	out.BulkString("histogram_usec")
	steps := out.MapLater()
	n := 0
	for within, calls := range h.Cumulative() {
		out.Int(within.Microseconds())
		out.Int(calls)
		n++
	}
	out.SetLen(steps, n)
}

// ---- for people ------------------------------------------------------------

const latencyOff = "Nothing is noted: latency-monitor-threshold is 0. CONFIG SET latency-monitor-threshold 100 notes what takes 100 milliseconds or more.\n"

// latencyAdvice says of an event where to look.
var latencyAdvice = map[string]string{
	LatencyCommand:     "SLOWLOG GET shows which calls they were. While one runs nobody else is served.",
	LatencyFastCommand: "Such commands take microseconds, unless they have many or large arguments: the process may not have got the processor or its memory in time. Look at the load and the swapping of the machine.",
	LatencySync:        "The disk was that slow, and every write waits for it. A disk with a cache that survives power failures helps; so does appendfsync everysec, at the price of a second.",
	LatencyWrite:       "The system did not take the data at once: its buffers are full, or the disk is busy.",
	LatencyStall:       "The disk is slower than what is written: memtables wait for it, or there are too many tables to merge. Bound the queues, or give it a faster disk.",
	LatencyExpire:      "Many keys ran out or were dropped at the same time.",
}

func latencyDoctor(c *Ctx) error {
	log := &c.Server.Latencies
	var text strings.Builder
	switch {
	case c.Config().LatencyMonitorThreshold == 0 && len(log.events) == 0:
		text.WriteString(latencyOff)
	case len(log.events) == 0:
		fmt.Fprintf(&text, "Nothing took %d milliseconds or more so far.\n", c.Config().LatencyMonitorThreshold)
	}
	for _, name := range log.names() {
		series := log.events[name]
		sum := int64(0)
		for _, s := range series.samples {
			sum += s.took
		}
		n := int64(len(series.samples))
		fmt.Fprintf(&text, "%s: in %d different seconds since %s, %d ms on average, %d ms at most. %s\n", name, n,
			time.Unix(series.samples[0].at, 0).UTC().Format(time.DateTime), sum/n, series.most, latencyAdvice[name])
	}
	c.Out.Verbatim("txt", text.String())
	return nil
}

const (
	graphColumns = 80
	graphRows    = 4
)

func latencyGraph(c *Ctx) error {
	name := string(c.Args.Next())
	series := c.Server.Latencies.events[name]
	if series == nil {
		return resp.Errorf("ERR No samples available for event '%s'", clip([]byte(name), len(name)))
	}
	c.Out.Verbatim("txt", series.graph(name, c.Tx.Now().Unix()))
	return nil
}

// graph draws the newest samples as columns, with the age of each below, to be
// read downwards: 7, then s for 7 seconds.
func (l *latencySeries) graph(name string, now int64) string {
	samples := l.samples[max(0, len(l.samples)-graphColumns):]
	low, high := samples[0].took, samples[0].took
	ages := make([]string, len(samples))
	tallest := 0
	for i, s := range samples {
		low, high = min(low, s.took), max(high, s.took)
		ages[i] = age(now - s.at)
		tallest = max(tallest, len(ages[i]))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", name, high, low, l.most, strings.Repeat("-", graphColumns))
	for row := graphRows; row > 0; row-- {
		for _, s := range samples {
			height := 1 + (graphRows-1)*(s.took-low)/max(1, high-low)
			text.WriteByte(" #"[min(1, max(0, height-int64(row)+1))])
		}
		text.WriteByte('\n')
	}
	for i := range tallest {
		for _, a := range ages {
			text.WriteByte((a + strings.Repeat(" ", tallest))[i])
		}
		text.WriteByte('\n')
	}
	return text.String()
}

func age(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 60*60:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 24*60*60:
		return fmt.Sprintf("%dh", seconds/60/60)
	}
	return fmt.Sprintf("%dd", seconds/24/60/60)
}
