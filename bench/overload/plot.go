//go:build linux

package main

import (
	"fmt"
	"math"
	"strings"
)

// A plot has a row for each of these, and a column for each measurement.
var panels = []struct {
	title string
	lines []int
}{
	{"messages/s: accepted (blue), refused (red)", []int{accepted, refused}},
	{"p99 until a push is accepted, ms", []int{pushP99}},
	{"p99 from the push to the consumer, ms", []int{ageP99}},
	{"messages in the queue", []int{depth}},
	{"resident memory, MB", []int{memory}},
}

const (
	panelWidth, panelHeight = 380, 110
	marginLeft, marginTop   = 60, 50
	gap                     = 40
)

var colours = []string{"#2060c0", "#c03020"}

func plot(runs []*measurement) string {
	var b strings.Builder
	width := len(runs)*(marginLeft+panelWidth) + 20
	height := marginTop + len(panels)*(panelHeight+gap)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for row, p := range panels {
		top := 1.0 // of the scale, which all measurements share
		for _, m := range runs {
			for _, c := range p.lines {
				top = max(top, m.most(c))
			}
		}
		top = roundUp(top)
		for i, m := range runs {
			x, y := marginLeft+i*(marginLeft+panelWidth), marginTop+row*(panelHeight+gap)
			if row == 0 {
				fmt.Fprintf(&b, `<text x="%d" y="20" font-size="14" font-weight="bold">OVERFLOW %s</text>`+"\n", x, m.way)
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", x, y-6, p.title)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#999"/>`+"\n", x, y, panelWidth, panelHeight)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%g</text><text x="%d" y="%d" text-anchor="end">0</text>`+"\n", x-4, y+9, top, x-4, y+panelHeight)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%d s</text>`+"\n", x+panelWidth, y+panelHeight+12, len(m.seconds))
			for n, c := range p.lines {
				fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" points="`, colours[n])
				for at, second := range m.seconds {
					fmt.Fprintf(&b, "%.1f,%.1f ", float64(x)+float64(at)*panelWidth/float64(max(1, len(m.seconds)-1)), float64(y)+panelHeight*(1-second[c]/top))
				}
				b.WriteString(`"/>` + "\n")
			}
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// roundUp returns 1, 2 or 5 times a power of ten.
func roundUp(f float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(f)))
	for _, n := range []float64{1, 2, 5} {
		if f <= n*power {
			return n * power
		}
	}
	return 10 * power
}
