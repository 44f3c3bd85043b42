//go:build linux

// Overload shows what a bounded queue does when producers are three times as fast
// as consumers: it starts cairn, lets them run for a while with each way of
// pushing back, and writes a page with a plot. It fails if a message that was
// accepted did not arrive, or arrived twice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.cairn, "cairn", "bin/cairn", "`path` of cairn")
	flag.StringVar(&o.folder, "folder", "bin/overload-data", "`folder` for its data; it is emptied")
	flag.StringVar(&o.out, "out", "docs/overload", "writes `name`.md and name.svg")
	flag.DurationVar(&o.time, "time", 2*time.Minute, "for how `long` each way of pushing back is measured")
	flag.IntVar(&o.rate, "rate", 500, "`messages` a second that the consumers take")
	flag.IntVar(&o.maxLen, "maxlen", 1000, "`messages` that the queue holds")
	flag.IntVar(&o.bytes, "bytes", 512, "the size of a message in `bytes`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
}

type options struct {
	cairn, folder, out string
	time               time.Duration
	rate, maxLen       int
	bytes              int
	load               string // of the machine, before
}

// overload is how much faster the producers are.
const overload = 3

// ways are the settings that are measured.
var ways = []string{"REJECT", "BLOCK 2000"}

func (o *options) run(ctx context.Context) error {
	if o.time < 10*time.Second || o.rate < producers || o.bytes < stampBytes {
		return errors.New("too short, too slow, or too small")
	}
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	o.load, _, _ = strings.Cut(string(text), " ")
	defer os.RemoveAll(o.folder)
	var runs []*measurement
	for _, way := range ways {
		m, err := o.measure(ctx, way)
		if err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		runs = append(runs, m)
		fmt.Printf("%s: %d accepted, %d refused, %d consumed, p99 of a push %.1f ms\n", way, m.accepted, m.refused, m.consumed, m.median(pushP99))
	}
	if err := os.WriteFile(o.out+".svg", []byte(plot(runs)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(o.out+".md", []byte(o.page(runs)), 0o644)
}

func (o *options) page(runs []*measurement) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Overload\n\n<!-- Written by make overload. -->\n\n")
	fmt.Fprintf(&b, "%d producers push to a list at %d messages a second, %d times what the consumers take (%d a second), for %v with each setting of\n",
		producers, overload*o.rate, overload, o.rate, o.time)
	fmt.Fprintf(&b, "`OVERFLOW`; messages have %d bytes, `MAXLEN` is %d, `appendfsync` is `always`. With REJECT a producer that is refused goes on with its next message; with\n", o.bytes, o.maxLen)
	fmt.Fprintf(&b, "BLOCK it waits for its turn. %d cores, shared with producers and consumers, and with other work: the load average was %s before it began.\n\n![plot](%s.svg)\n\n", runtime.NumCPU(), o.load, filepath.Base(o.out))
	fmt.Fprintf(&b, "| |")
	for _, m := range runs {
		fmt.Fprintf(&b, " %s |", m.way)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(runs)) + "\n")
	row := func(title string, value func(m *measurement) string) {
		fmt.Fprintf(&b, "| %s |", title)
		for _, m := range runs {
			fmt.Fprintf(&b, " %s |", value(m))
		}
		b.WriteString("\n")
	}
	row("messages accepted", func(m *measurement) string { return fmt.Sprint(m.accepted) })
	row("refused (`TRYAGAIN`)", func(m *measurement) string { return fmt.Sprint(m.refused) })
	row("accepted and not consumed, or consumed twice", func(m *measurement) string { return fmt.Sprint(m.wrong) })
	row("most messages in the queue", func(m *measurement) string { return fmt.Sprintf("%.0f", m.most(depth)) })
	for _, f := range []struct {
		title  string
		column int
		format string
	}{
		{"accepted a second", accepted, "%.0f"},
		{"p99 until a push is accepted, ms", pushP99, "%.1f"},
		{"p99 from the push to the consumer, ms", ageP99, "%.0f"},
		{"resident memory of cairn, MB", memory, "%.0f"},
	} {
		row(f.title+": first third, last third (medians)", func(m *measurement) string {
			first, last := m.thirds(f.column)
			return fmt.Sprintf(f.format+", "+f.format, first, last)
		})
	}
	return b.String()
}
