//go:build linux

package main

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

func TestPageAndPlot(t *testing.T) {
	m := &measurement{way: "REJECT", accepted: 60}
	for i := range 60 {
		m.seconds = append(m.seconds, [columns]float64{accepted: float64(i), memory: 40})
	}
	svg := plot([]*measurement{m, m})
	if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil || strings.Count(svg, "<polyline") != 12 {
		t.Errorf("%v:\n%s", err, svg)
	}
	o := options{time: time.Minute, rate: 1000, out: "docs/overload"}
	if page := o.page([]*measurement{m}); !strings.Contains(page, "| accepted a second: first third, last third (medians) | 10, 50 |") {
		t.Error(page)
	}
}

func TestRoundUp(t *testing.T) {
	for f, want := range map[float64]float64{1: 1, 1.5: 2, 2.1: 5, 999: 1000, 1001: 2000, 60: 100} {
		if got := roundUp(f); got != want {
			t.Errorf("%v: %v, want %v", f, got, want)
		}
	}
}

func TestLostAndTwice(t *testing.T) {
	m := &measurement{}
	m.mark(0, 0, wasAccepted)
	m.mark(0, 0, wasConsumed)
	m.mark(0, 1, wasAccepted) // lost
	m.mark(1, 0, wasAccepted)
	m.mark(1, 0, wasConsumed)
	m.mark(1, 0, wasConsumed) // twice
	if m.check(); m.wrong != 2 || m.failed == nil {
		t.Errorf("%d wrong, %v", m.wrong, m.failed)
	}
}
