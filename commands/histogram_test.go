package commands

import (
	"slices"
	"testing"
	"time"
)

// The figures are those of Redis 7.0.15.
func TestHistogramLikeRedis(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		1 * time.Microsecond:   1003,
		8 * time.Microsecond:   8031,
		17 * time.Microsecond:  17023,
		64 * time.Microsecond:  64255,
		65 * time.Microsecond:  65023,
		700 * time.Millisecond: 700448767,
		time.Second:            1002438655,
		time.Hour:              1002438655,
		0:                      1,
	} {
		var h Histogram
		h.Add(took)
		for _, p := range []float64{0, 50, 100} {
			if got := h.Percentile(p); got != want {
				t.Errorf("%v: p%v is %d, want %d", took, p, got, want)
			}
		}
	}
	var h Histogram
	var steps []int64
	for took := 900 * time.Nanosecond; took < time.Second; took *= 2 {
		h.Add(took)
	}
	for within, n := range h.Cumulative() {
		steps = append(steps, within.Microseconds())
		if n != int64(len(steps)) {
			t.Errorf("%d calls within %v", n, within)
		}
	}
	want := []int64{1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 2113, 4227, 8454, 16908, 33816, 67633, 135266, 270532, 541065, 1073741}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
}

func TestHistogramClasses(t *testing.T) {
	last := time.Duration(0)
	for class := 1; class < histogramClasses; class++ {
		bound := histogramBound(class)
		if bound <= last {
			t.Fatalf("class %d ends at %d, the one before at %d", class, bound, last)
		}
		if bound <= histogramMax && (histogramClass(bound) != class || histogramClass(last+1) != class) {
			t.Fatalf("class %d is not from %d to %d", class, last+1, bound)
		}
		last = bound
	}
	var h Histogram
	for range 99 {
		h.Add(10 * time.Microsecond)
	}
	h.Add(time.Millisecond)
	if got := percentilesOf(&h, []float64{50, 99, 99.9}); got != "p50=10.047,p99=10.047,p99.9=1003.519" {
		t.Error(got)
	}
}

func BenchmarkHistogram(b *testing.B) {
	h := new(Histogram)
	for i := range b.N {
		h.Add(time.Duration(i & 0xffff))
	}
}
