package commands

import (
	"strings"
	"testing"
	"time"
)

func TestLatencyLog(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	note := func(event string, second, ms int64) {
		b.server.Latency(event, time.Unix(1_700_000_000+second, 0), time.Duration(ms)*time.Millisecond)
	}
	note("command", 0, 1000) // not asked for
	b.expect(s, "LATENCY LATEST -> *0")
	b.server.Config.LatencyMonitorThreshold = 100
	note("command", 0, 99)
	note("command", 0, 300)
	note("command", 0, 200)
	note("command", 5, 150)
	note("aof-fsync-always", 7, 100)
	b.expect(s,
		"LATENCY LATEST -> *2 *4 $16 aof-fsync-always :1700000007 :100 :100 *4 $7 command :1700000005 :150 :300",
		"LATENCY HISTORY command -> *2 *2 :1700000000 :300 *2 :1700000005 :150",
		"LATENCY HISTORY nosuch -> *0",
		"LATENCY RESET nosuch -> :0",
		"LATENCY RESET COMMAND -> :1",
		"LATENCY RESET -> :1",
		"LATENCY LATEST -> *0",
	)
	for second := range int64(2 * latencySamplesMax) {
		note("command", second, 100+second)
	}
	if got := b.do(s, "LATENCY HISTORY command"); !strings.HasPrefix(got, "*160 *2 :1700000160 :260 ") {
		t.Errorf("%.60s", got)
	}
}

func TestLatencyForPeople(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	doctor := func(want string) {
		t.Helper()
		if got := b.do(s, "LATENCY DOCTOR"); !strings.Contains(got, want) {
			t.Errorf("%q does not tell that %q", got, want)
		}
	}
	doctor("latency-monitor-threshold is 0")
	b.server.Config.LatencyMonitorThreshold = 10
	doctor("Nothing took 10 milliseconds or more")
	for second, ms := range []int64{10, 50, 20, 90} {
		b.server.Latencies.Add("command", b.now.Add(time.Duration(second)*time.Second), ms)
	}
	doctor("command: in 4 different seconds since 2023-11-14 22:13:20, 42 ms on average, 90 ms at most")
	b.now = b.now.Add(63 * time.Second)
	got := b.server.Latencies.events["command"].graph("command", b.now.Unix())
	want := strings.Join([]string{
		"command - high 90 ms, low 10 ms (all time high 90 ms)",
		strings.Repeat("-", graphColumns),
		"   #",
		"   #",
		" # #",
		"####",
		"1111",
		"mmmm",
		"",
	}, "\n")
	if got != want {
		t.Errorf("\n%s", got)
	}
	if got := b.do(s, "LATENCY GRAPH nosuch"); got != "-ERR No samples available for event 'nosuch'" {
		t.Error(got)
	}
}
