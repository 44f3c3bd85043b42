package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	latencyMax    = 10 * time.Minute
	latencyDigits = 3 // that are exact
)

// latencies are histograms, in microseconds, by the name of what was measured.
type latencies map[string]*hdrhistogram.Histogram

// add adds what another round has given.
func (l latencies) add(name string, h *hdrhistogram.Histogram) {
	if sum := l[name]; sum != nil {
		sum.Merge(h) // nothing is out of range: they are all alike
		return
	}
	l[name] = h
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMax.Microseconds(), latencyDigits)
}

// record notes a time in ns that n replies took.
func record(h *hdrhistogram.Histogram, ns int64, n int) error {
	return h.RecordValues(max(0, ns)/1000, int64(n))
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(percent float64) float64 { return float64(h.ValueAtPercentile(percent)) }
	return Latency{P50: at(50), P99: at(99), P999: at(99.9), Max: float64(h.Max())}
}
