package main

import (
	"math"
	"strconv"
)

// How numbers are shown. Three digits are more than the noise leaves.

// whole groups digits in thousands.
func whole(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// rounded shows three digits and groups what stands before the point.
func rounded(v float64) string {
	if v >= 1000 {
		unit := math.Pow(10, math.Floor(math.Log10(v))-2)
		return whole(math.Round(v/unit) * unit)
	}
	decimals := 2
	for limit := 10.0; v >= limit && decimals > 0; limit *= 10 {
		decimals--
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

func twoDigits(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
func megabytes(v float64) string { return rounded(v/megabyte) + " MB" }
func kilobytes(v float64) string { return rounded(v/kilobyte) + " KB" }

// seconds shows short times in milliseconds.
func seconds(v float64) string {
	if v < 1 {
		return rounded(v*1e3) + " ms"
	}
	return rounded(v) + " s"
}

// milliseconds takes microseconds.
func milliseconds(v float64) string { return rounded(v/1e3) + " ms" }
