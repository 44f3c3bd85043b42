package storage

import "testing"

func TestMeter(t *testing.T) {
	var m Meter
	if m.PerSecond(1_000_000) != 0 {
		t.Error("nothing was counted")
	}
	for at := int64(1_000_000); at < 1_030_000; at += 100 {
		m.Add(2, at)
	}
	for _, c := range []struct {
		at   int64
		want float64
	}{
		{1_030_000, 20}, {1_034_999, 10}, {1_035_000, 10}, {1_039_000, 2}, {1_040_000, 0}, {2_000_000, 0},
		{1_020_000, 40}, // a clock that was set back
	} {
		if got := m.PerSecond(c.at); got < c.want-0.1 || got > c.want+0.1 {
			t.Errorf("at %d: %v a second, want %v", c.at, got, c.want)
		}
	}
}
