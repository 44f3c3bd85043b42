package commands

import (
	"math"
	"testing"
)

// What strtod makes of it, errno included, as redis-server 7.0.15 has answered.
func TestSortScore(t *testing.T) {
	for text, want := range map[string]float64{
		"": 0, "5": 5, "-0": 0, "+5": 5, ".5": .5, "5.": 5, "1e5": 1e5, " \t\n7": 7, "5\x00abc": 5, "inf": math.Inf(1), "-Infinity": math.Inf(-1),
		"0x10": 16, "0X1F": 31, "-0x1.8": -1.5, "0x1.fp3": 15.5, "0e-400": 0, "2.2250738585072014e-308": 0x1p-1022,
		"9223372036854775807": 1 << 63,
	} {
		if got, ok := sortScore([]byte(text)); !ok || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		" ", "5 ", "x", "1_000", "0x1_0", "nan", "-nan", "nan(1)", "infinit", "1,5", ".", "+", "+-1", "1e", "1e+", "0x", "0x.", "0b1",
		"1e400", "-1e400", "1e-400", "1e-310", "0x1p-1080", "٣",
	} {
		if got, ok := sortScore([]byte(text)); ok {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}
