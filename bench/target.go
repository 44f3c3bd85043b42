package main

import "fmt"

// A target is a bound for the median ratio of cairn to the peer, in some
// columns.
type target struct {
	title   string
	cases   []string // whose readings are added up
	reading func(Sample) float64
	most    bool       // the bounds are upper ones
	bounds  [4]float64 // of the columns; 0: none
}

// A column is a setting without its payload.
type column struct {
	title    string
	fsync    string
	inFlight int
}

var columns = [4]column{{"always, P1", "always", 1}, {"always, P16", "always", 16}, {"everysec, P1", "everysec", 1}, {"everysec, P16", "everysec", 16}}

var (
	oneKey   = [4]float64{1.0, 1.0, 0.95, 0.9}
	manyKeys = [4]float64{1.0, 0.8, 0.9, 0.7}
	hundreds = [4]float64{1.0, 1.0, 0.9, 0.8}
	always1  = [4]float64{1.0}
)

var targets = []target{
	{"LPUSH, one list", []string{"publish/lpush-1"}, Sample.rate, false, oneKey},
	{"RPOP, one list", []string{"consume/rpop-1"}, Sample.rate, false, oneKey},
	{"XADD, one stream", []string{"publish/xadd-1"}, Sample.rate, false, oneKey},
	{"LPUSH, 1,000 lists", []string{"publish/lpush-1000"}, Sample.rate, false, manyKeys},
	{"RPOP, 1,000 lists", []string{"consume/rpop-1000"}, Sample.rate, false, manyKeys},
	{"XADD, 1,000 streams", []string{"publish/xadd-1000"}, Sample.rate, false, manyKeys},
	{"XREADGROUP COUNT 100 + XACK", []string{"consume/xreadgroup-100"}, Sample.rate, false, hundreds},
	{"CPU for a message, LPUSH + RPOP", []string{"publish/lpush-1", "consume/rpop-1"}, Sample.cpuPerMillion, true, [4]float64{1.0, 1.2}},
	{"LPUSH → BRPOP at 5,000/s, p99", []string{"end-to-end/5000-per-second"}, Sample.p99, true, [4]float64{0: 1.0, 2: 1.2}},
	{"deliveries/s to 1 subscriber", []string{"fan-out/1"}, Sample.rate, false, always1},
	{"deliveries/s to 100 subscribers", []string{"fan-out/100"}, Sample.rate, false, always1},
	{"deliveries/s to 1,000 subscribers", []string{"fan-out/1000"}, Sample.rate, false, always1},
}

// A figure is made of several samples of one server. Some have a bound, which is
// cairn's to keep.
type figure struct {
	title   string
	cases   []string
	value   func(payload int, of []Series) float64
	format  func(float64) string
	bound   float64 // 0: none
	most    bool    // the bound is an upper one
	payload int     // that the bound is meant for; 0: any
}

const (
	megabyte = 1e6
	kilobyte = 1e3
)

var (
	fill      = []string{"backlog/fill"}
	drainCold = []string{"backlog/drain-cold"}
	drainWarm = []string{"backlog/drain-warm"}
	drains    = []string{"backlog/drain-cold", "backlog/drain-warm"}
	allOfIt   = []string{"backlog/fill", "backlog/drain-cold", "backlog/drain-warm"}
)

var backlogFigures = []figure{
	{title: "messages", cases: fill, value: median(func(s Sample) float64 { return float64(s.Messages) }), format: whole},
	{title: "pushed, messages/s", cases: fill, value: median(Sample.rate), format: whole},
	{title: "… the first tenth", cases: fill, value: median(special(firstTenthRate)), format: whole},
	{title: "… the last tenth", cases: fill, value: median(special(lastTenthRate)), format: whole},
	{title: "last tenth / first tenth", cases: fill, value: ratioOf(special(lastTenthRate), special(firstTenthRate)), format: twoDigits, bound: 0.7},
	{title: "memory, at most", cases: allOfIt, value: most(func(s Sample) float64 { return float64(s.MemoryMax) }), format: megabytes, bound: 400 * megabyte, most: true},
	{title: "disk with all messages", cases: fill, value: median(func(s Sample) float64 { return float64(s.Disk) }), format: megabytes},
	{title: "disk, at most / payload", cases: fill, value: diskOverPayload, format: twoDigits, bound: 1.3, most: true, payload: 1024},
	{title: "kill -9, start, first reply", cases: drainCold, value: median(special(restartSeconds)), format: seconds, bound: 1, most: true},
	{title: "popped after the restart, messages/s", cases: drainCold, value: median(Sample.rate), format: whole},
	{title: "popped without a restart, messages/s", cases: drainWarm, value: median(Sample.rate), format: whole},
	{title: "after / without a restart", cases: drains, value: coldOverWarm, format: twoDigits, bound: 0.7},
	{title: "disk a while after the last pop", cases: drainWarm, value: median(special(diskCooled)), format: megabytes, bound: 100 * megabyte, most: true},
	{title: "CPU seconds per million pushed", cases: fill, value: median(Sample.cpuPerMillion), format: twoDigits},
	{title: "CPU seconds per million popped after the restart", cases: drainCold, value: median(Sample.cpuPerMillion), format: twoDigits},
}

var (
	idleCase = []string{"idle/connections"}
	wakeAll  = []string{"idle/wake-all"}
	wakeOne  = []string{"idle/wake-one"}
)

var idleFigures = []figure{
	{title: "connections", cases: idleCase, value: median(func(s Sample) float64 { return float64(s.Messages) }), format: whole},
	{title: "memory for each that is idle", cases: idleCase, value: median(special(perConnection)), format: kilobytes, bound: 40 * kilobyte, most: true},
	{title: "memory for each that waits in BRPOP", cases: wakeAll, value: median(special(perBlocked)), format: kilobytes},
	{title: "one LPUSH wakes all: until the last reply", cases: wakeAll, value: median(special(wakeSeconds)), format: seconds},
	{title: "one LPUSH wakes one: p50", cases: wakeOne, value: median(func(s Sample) float64 { return s.Latency.P50 }), format: milliseconds},
	{title: "one LPUSH wakes one: p99", cases: wakeOne, value: median(Sample.p99), format: milliseconds},
	{title: "one LPUSH wakes one: p99.9", cases: wakeOne, value: median(func(s Sample) float64 { return s.Latency.P999 }), format: milliseconds},
}

// median is a figure that is one reading of one case.
func median(reading func(Sample) float64) func(int, []Series) float64 {
	return func(_ int, of []Series) float64 { return of[0].of(reading).Median }
}

// most is the highest reading of several cases.
func most(reading func(Sample) float64) func(int, []Series) float64 {
	return func(_ int, of []Series) (highest float64) {
		for _, s := range of {
			highest = max(highest, s.of(reading).Max)
		}
		return highest
	}
}

// ratioOf is the median of the ratio of two readings of one case.
func ratioOf(above, below func(Sample) float64) func(int, []Series) float64 {
	return median(func(s Sample) float64 { return above(s) / below(s) })
}

func diskOverPayload(payload int, of []Series) float64 {
	return of[0].of(special(diskPeak)).Max / of[0].of(func(s Sample) float64 { return float64(s.Messages * payload) }).Max
}

func coldOverWarm(_ int, of []Series) float64 {
	return of[0].of(Sample.rate).Median / of[1].of(Sample.rate).Median
}

// A verdict is a bound with what was measured.
type verdict struct {
	value, bound float64
	most         bool
	failure      string // why there is no value
}

func (v verdict) met() bool {
	switch {
	case v.failure != "":
		return false
	case v.most:
		return v.value <= v.bound
	default:
		return v.value >= v.bound
	}
}

func (v verdict) show(format func(float64) string) string {
	if v.failure != "" {
		return "✗ failed"
	}
	mark, sign := "✗", "≥"
	if v.met() {
		mark = "✓"
	}
	if v.most {
		sign = "≤"
	}
	return fmt.Sprintf("%s %s %s %s", mark, format(v.value), sign, format(v.bound))
}

// judge holds a target against what was measured. It is false if that was not
// measured.
func (r *Report) judge(t target, payload int, i int) (verdict, bool) {
	v := verdict{bound: t.bounds[i], most: t.most}
	var cells []*Cell
	for _, name := range t.cases {
		c := r.find(name, Setting{payload, columns[i].inFlight, columns[i].fsync})
		if c == nil || len(c.Peer.Samples) == 0 {
			return v, false
		}
		cells = append(cells, c)
	}
	ratio, ok := ratio(cells, t.reading)
	if v.value = ratio.Median; !ok || cells[0].Cairn.failure() != "" {
		v.failure = "failed"
	}
	return v, v.bound != 0
}

// value makes a figure of a server's samples. It is false if they were not
// taken.
func (r *Report) value(f figure, payload int, of func(*Cell) Series) (verdict, bool) {
	v := verdict{bound: f.bound, most: f.most}
	if f.payload != 0 && f.payload != payload {
		v.bound = 0
	}
	var all []Series
	for _, name := range f.cases {
		s, ok := r.anySetting(name, payload, of)
		if !ok {
			return v, false
		}
		v.failure += s.failure()
		all = append(all, s)
	}
	if v.failure == "" {
		v.value = f.value(payload, all)
	}
	return v, true
}

// anySetting finds a case that is measured in one setting for each payload.
func (r *Report) anySetting(name string, payload int, of func(*Cell) Series) (Series, bool) {
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Case == name && c.Payload == payload && len(of(c).Samples) > 0 {
			return of(c), true
		}
	}
	return Series{}, false
}
