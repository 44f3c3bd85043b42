package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testReport has cells of each kind: measured, failed on either side, not
// measured.
func testReport() *Report {
	series := func(p99 float64, samples ...Sample) Series {
		for i := range samples {
			samples[i].Latency.P99 = p99
		}
		return Series{Latency{P50: p99 / 2, P99: p99, P999: p99 * 2, Max: p99 * 3}, samples}
	}
	always := func(payload, inFlight int) Setting { return Setting{payload, inFlight, "always"} }
	return &Report{
		About: About{
			Date: "2026-01-02 03:04 UTC", Command: "make bench ONLY='a|b'", Options: "--appendonly yes", Minutes: 40, Rounds: 2, Scale: Scale{Divisor: 1},
			Machine: Machine{CPU: "Z80", Cores: 2, Memory: 24e9, Kernel: "Linux 6", FileSystem: "ext4", Go: "go1.26", Append: Spread{200, 240, 300}},
			Cairn:   Server{Name: "cairn", Version: "v1"}, Peer: Server{Name: "redis", Version: "7.0.15"},
		},
		Cells: []Cell{
			{always(128, 1), "publish/lpush-1", series(1000, Sample{Messages: 60000, Seconds: 1, CPU: 0.6}, Sample{Messages: 60000, Seconds: 1, CPU: 0.6}),
				series(2000, Sample{Messages: 60000, Seconds: 1.5, CPU: 0.5}, Sample{Messages: 60000, Seconds: 2, CPU: 0.5})},
			{always(128, 1), "consume/rpop-1", series(1000, Sample{Messages: 60000, Seconds: 1, CPU: 0.6}, Sample{Messages: 60000, Seconds: 1, CPU: 0.6}),
				series(1000, Sample{Messages: 60000, Seconds: 0.5, CPU: 0.5}, Sample{Messages: 60000, Seconds: 0.8, CPU: 0.5})},
			{always(1024, 16), "publish/lpush-1", series(1000, Sample{Messages: 1000, Seconds: 1}), series(0, Sample{Failure: "not done within\nits log ends"})},
			{always(128, 16), "backlog/fill", series(1000, Sample{Messages: 5e6, Seconds: 10, MemoryMax: 390e6, Disk: 700e6, Numbers: map[string]float64{
				firstTenthRate: 500000, lastTenthRate: 300000, diskPeak: 800e6,
			}}), series(1000, Sample{Messages: 5e6, Seconds: 20})},
			{always(128, 16), "backlog/drain-cold", series(1000, Sample{Messages: 5e6, Seconds: 20, MemoryMax: 401e6, Numbers: map[string]float64{restartSeconds: 0.25}}),
				series(1000, Sample{Failure: "lost"})},
			{always(128, 16), "backlog/drain-warm", series(1000, Sample{Messages: 5e6, Seconds: 10, MemoryMax: 1, Numbers: map[string]float64{diskCooled: 42e6}}),
				series(1000, Sample{Messages: 5e6, Seconds: 20})},
		},
	}
}

func TestPage(t *testing.T) {
	page := testReport().page("benchmarks.json")
	for _, want := range []string{
		"from benchmarks.json. -->", "cairn next to redis 7.0.15", "| processor | Z80, 2 cores,", "| command | `make bench ONLY='a\\|b'` |", "appended 240 µs (200–300)",
		// 1.5 and 2.0 in the two rounds.
		"| LPUSH, one list | 128 B | 1 | always | **1.75** (1.50–2.00) | 60,000 / 35,000 | 0.50 / 1.00 | 1.00 / 2.00 | 2.00 / 4.00 | 10.0 / 8.33 |",
		"| LPUSH, one list | 1 KiB | 16 | always | – | 1,000 / failed |",
		"| LPUSH, one list | 128 B | ✓ 1.75 ≥ 1.00 | | | |",
		"| LPUSH, one list | 1 KiB | | ✗ failed | | |",
		"| RPOP, one list | 128 B | ✗ 0.65 ≥ 1.00 | | | |",
		"| CPU for a message, LPUSH + RPOP | 128 B | ✗ 1.20 ≤ 1.00 | | | |",
		"| last tenth / first tenth | 128 B | ✗ 0.60 ≥ 0.70 |",
		"| memory, at most | 128 B | ✗ 401 MB ≤ 400 MB |",
		"| kill -9, start, first reply | 128 B | ✓ 250 ms ≤ 1.00 s |",
		"| after / without a restart | 128 B | ✗ 0.50 ≥ 0.70 |",
		"| disk a while after the last pop | 128 B | ✓ 42.0 MB ≤ 100 MB |",
		"| popped after the restart, messages/s | 250,000 | failed |",
		"\n3 of 9 are met.\n",
		"- publish/lpush-1/1024B/P16/always, redis: not done within\n",
		"- backlog/drain-cold/128B/P16/always, redis: lost\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "## Fan-out") || strings.Contains(page, "A quick run") {
		t.Error("the page speaks of what was not measured")
	}
	if t.Failed() {
		t.Log(page)
	}
}

// A page of cairn alone has no ratios.
func TestPageWithoutPeer(t *testing.T) {
	r := testReport()
	r.About.Peer = Server{}
	r.About.Scale.Divisor = 10
	for i := range r.Cells {
		r.Cells[i].Peer = Series{}
	}
	page := r.page("x.json")
	for _, want := range []string{"A quick run", "| 60,000 / – |", "\n2 of 5 are met.\n", "| messages | 5,000,000 | – |"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

// The page in the documentation is the one that its figures make.
func TestPageIsCurrent(t *testing.T) {
	pages, err := filepath.Glob("../docs/benchmarks*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pages { // none before the first whole run
		name := strings.TrimSuffix(strings.TrimSuffix(path, ".md"), ".json")
		text, err := os.ReadFile(name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		r, err := readReport(name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if r.page(filepath.Base(name)+".json") != string(text) {
			t.Errorf("%[1]s.md is not made of %[1]s.json: bin/cairn-bench -page %[1]s.json", strings.TrimPrefix(name, "../"))
		}
	}
}

func TestTable(t *testing.T) {
	r, before := testReport(), testReport()
	before.Cells[0].Cairn.Samples = []Sample{sample(120000, 1)}
	table := r.table(before)
	for _, want := range []string{"publish/lpush-1/128B/P1/always ", " 1.75 ", " 1.50–2.00 ", " 0.50\n", "3 of 9 are met"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{whole(0), "0"}, {whole(999), "999"}, {whole(1000), "1,000"}, {whole(1234567), "1,234,567"},
		{rounded(0), "0.00"}, {rounded(1.234), "1.23"}, {rounded(12.34), "12.3"}, {rounded(123.4), "123"}, {rounded(61234), "61,200"}, {rounded(1234567), "1,230,000"},
		{megabytes(1.5e6), "1.50 MB"}, {kilobytes(40e3), "40.0 KB"}, {seconds(0.25), "250 ms"}, {seconds(2), "2.00 s"}, {milliseconds(1500), "1.50 ms"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
