package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// table shows a report on a terminal; with an earlier one also what has become
// of cairn since.
func (r *Report) table(before *Report) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	since := ""
	if before != nil {
		since = "\tsince"
	}
	fmt.Fprintf(w, "\tratio\tmin–max\tcairn/s\tpeer/s\tp99 ms\tpeer\tCPU s/M\tpeer\tgenerator\tpeer%s\n", since)
	for i := range r.Cells {
		c := &r.Cells[i]
		ratioShown, rangeShown := "–", ""
		if s, ok := ratio([]*Cell{c}, Sample.rate); ok {
			ratioShown, rangeShown = twoDigits(s.Median), fmt.Sprintf("%.2f–%.2f", s.Min, s.Max)
		}
		ours, theirs := c.Cairn, c.Peer
		rate, cpu, generator := (Sample).rate, (Sample).cpuPerMillion, (Sample).generatorPerMillion
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", c.name(), ratioShown, rangeShown,
			rounded(ours.of(rate).Median), rounded(theirs.of(rate).Median),
			rounded(ours.Latency.P99/1e3), rounded(theirs.Latency.P99/1e3),
			rounded(ours.of(cpu).Median), rounded(theirs.of(cpu).Median),
			rounded(ours.of(generator).Median), rounded(theirs.of(generator).Median))
		if before != nil {
			if old := before.find(c.Case, c.Setting); old != nil && old.Cairn.of(rate).Median > 0 {
				fmt.Fprintf(w, "\t%.2f", ours.of(rate).Median/old.Cairn.of(rate).Median)
			} else {
				fmt.Fprint(w, "\t–")
			}
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	b.WriteString("\n")
	for _, s := range figureSections {
		s.about = ""
		r.writeFigures(&b, s)
	}
	r.writeTargets(&b)
	return b.String()
}

// brief is a sample in a line of progress.
func (s Sample) brief() string {
	switch {
	case s.Failure != "":
		return "failed"
	case s.Seconds == 0:
		return fmt.Sprintf("p99 %s", milliseconds(s.Latency.P99))
	default:
		return fmt.Sprintf("%s/s in %.1f s, p99 %s", rounded(s.rate()), s.Seconds, milliseconds(s.Latency.P99))
	}
}
