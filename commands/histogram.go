package commands

import (
	"iter"
	"math/bits"
	"time"
)

// Histogram counts durations with an error of less than one percent, up to a
// second; what took longer counts as a second. Its classes are those of
// HdrHistogram with two significant digits, which Redis uses: the figures of
// both can be compared.
//
// Durations below 256 ns have a class each. From there on each doubling of the
// duration is divided into 128 classes.
type Histogram struct {
	counts [histogramClasses]int64
	total  int64
}

const (
	histogramHalf    = 128 // classes of a doubling
	histogramBits    = 8   // of what is counted exactly
	histogramMax     = time.Second
	histogramClasses = 3072 // the class of a second and those that round it off

	// The first step of the cumulative distribution, which doubles from there.
	histogramFirstStep = 1024 * time.Nanosecond
)

// Add counts a duration.
func (h *Histogram) Add(d time.Duration) {
	h.counts[histogramClass(d)]++
	h.total++
}

// Total returns how many durations were counted.
func (h *Histogram) Total() int64 { return h.total }

func histogramClass(d time.Duration) int {
	ns := uint64(min(max(d, 1), histogramMax))
	shift := bits.Len64(ns|(1<<histogramBits-1)) - histogramBits
	return shift*histogramHalf + int(ns>>shift)
}

// histogramBound is the longest duration of a class.
func histogramBound(class int) time.Duration {
	shift := max(0, class/histogramHalf-1)
	return time.Duration(class-shift*histogramHalf+1)<<shift - 1
}

// Percentile returns the duration within which p percent of those counted lie.
func (h *Histogram) Percentile(p float64) time.Duration {
	want := max(1, int64(p/100*float64(h.total)+0.5))
	seen := int64(0)
	for class, n := range h.counts {
		if seen += n; seen >= want {
			return histogramBound(class)
		}
	}
	return 0
}

// Cumulative yields how many durations were at most so long, in steps that
// double; those at which the number is that of the step before are left out.
func (h *Histogram) Cumulative() iter.Seq2[time.Duration, int64] {
	return func(yield func(time.Duration, int64) bool) {
		seen, told := int64(0), int64(0)
		last := histogramClass(histogramFirstStep)
		for class, n := range h.counts {
			seen += n
			if class != last && class != histogramClasses-1 {
				continue
			}
			if seen > told && !yield(histogramBound(class), seen) {
				return
			}
			told = seen
			last += histogramHalf // the class of twice the duration
		}
	}
}
