package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{4, 1}, Spread{1, 2.5, 4}},
		{[]float64{9, 1, 5}, Spread{1, 5, 9}},
		{[]float64{4, 3, 2, 1}, Spread{1, 2.5, 4}},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

func sample(messages int, seconds float64) Sample {
	return Sample{Messages: messages, Seconds: seconds}
}

// A ratio is that of neighbours: the rounds are not mixed, and a round in which
// one has failed does not count.
func TestRatio(t *testing.T) {
	c := &Cell{
		Cairn: Series{Samples: []Sample{sample(100, 1), sample(100, 2), {Failure: "lost"}, sample(300, 1), sample(1, 1)}},
		Peer:  Series{Samples: []Sample{sample(50, 1), sample(100, 1), sample(1, 1), sample(100, 1), {Failure: "slow"}}},
	}
	got, ok := ratio([]*Cell{c}, Sample.rate)
	if want := (Spread{0.5, 2, 3}); !ok || got != want {
		t.Errorf("%v %t, want %v", got, ok, want)
	}
	none := &Cell{Cairn: Series{Samples: []Sample{sample(1, 1)}}}
	if got, ok := ratio([]*Cell{none}, Sample.rate); ok {
		t.Errorf("without a peer: %v", got)
	}
}

// What several cells cost is added up before it is compared.
func TestRatioOfSums(t *testing.T) {
	cell := func(ours, theirs float64) *Cell {
		return &Cell{
			Cairn: Series{Samples: []Sample{{Messages: 1e6, CPU: ours}}},
			Peer:  Series{Samples: []Sample{{Messages: 1e6, CPU: theirs}}},
		}
	}
	got, ok := ratio([]*Cell{cell(1, 2), cell(5, 2)}, Sample.cpuPerMillion)
	if want := (Spread{1.5, 1.5, 1.5}); !ok || got != want {
		t.Errorf("%v %t, want %v", got, ok, want)
	}
	got, ok = ratio([]*Cell{cell(1, 2), {Cairn: Series{Samples: []Sample{{Failure: "x"}}}, Peer: cell(1, 1).Peer}}, Sample.cpuPerMillion)
	if ok {
		t.Errorf("of half a sum: %v", got)
	}
}

func TestSeriesOf(t *testing.T) {
	s := Series{Samples: []Sample{sample(10, 1), {Failure: "died"}, sample(30, 1)}}
	if got, want := s.of(Sample.rate), (Spread{10, 20, 30}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := s.failure(); got != "died" {
		t.Errorf("failure %q", got)
	}
}

// Merged histograms say what one histogram of everything would.
func TestLatenciesMerge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	whole, sum := newHistogram(), make(latencies)
	for range 5 {
		h := newHistogram()
		for range 1000 {
			ns := random.Int64N(1e9)
			if err := record(h, ns, 3); err != nil {
				t.Fatal(err)
			}
			if err := record(whole, ns, 3); err != nil {
				t.Fatal(err)
			}
		}
		sum.add("x", h)
	}
	if got, want := latencyOf(sum["x"]), latencyOf(whole); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestLatencyOf(t *testing.T) {
	h := newHistogram()
	for ms := range 1000 {
		if err := record(h, int64(ms+1)*1e6, 1); err != nil {
			t.Fatal(err)
		}
	}
	got := latencyOf(h)
	for _, c := range []struct{ got, want float64 }{{got.P50, 500e3}, {got.P99, 990e3}, {got.P999, 999e3}, {got.Max, 1000e3}} {
		if c.got < c.want*0.999 || c.got > c.want*1.001 {
			t.Errorf("%v µs, want about %v", c.got, c.want)
		}
	}
	if err := record(h, latencyMax.Nanoseconds()*2, 1); err == nil {
		t.Error("what is beyond the histogram is dropped in silence")
	}
}

func TestRound4(t *testing.T) {
	for v, want := range map[float64]float64{0: 0, 123456: 123500, 0.00012344: 0.0001234, 12: 12} {
		if got := round4(v); got != want {
			t.Errorf("%v: %v, want %v", v, got, want)
		}
	}
}

// A report that is read again is the same.
func TestReportRoundTrip(t *testing.T) {
	r := testReport()
	path := filepath.Join(t.TempDir(), "x.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	got, err := readReport(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, want %+v", got, r)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) || bytes.Count(text, []byte("\n\t\t{")) != len(r.Cells) {
		t.Errorf("not a cell a line: %s", text)
	}
}
