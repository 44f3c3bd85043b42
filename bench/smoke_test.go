//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// testBenchmark measures little of everything on a server, in one setting each.
func testBenchmark(t *testing.T, s Server, only string) *benchmark {
	runtime.LockOSThread() // Pdeathsig
	t.Cleanup(runtime.UnlockOSThread)
	return &benchmark{
		servers: []Server{s}, folder: t.TempDir(), only: regexp.MustCompile(only), rounds: 1, random: rand.New(rand.NewPCG(1, 1)), log: t.Output(),
		scale: Scale{Divisor: 200, Backlog: 5000, BacklogLarge: 1000, Connections: 200},
	}
}

// Every workload runs against cairn, and every message comes once.
func TestSmoke(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "cairn")
	if out, err := exec.Command("go", "build", "-o", bin, "..").CombinedOutput(); err != nil {
		t.Fatalf("build cairn: %v\n%s", err, out)
	}
	s, err := identify(bin)
	if err != nil || s.Name != "cairn" {
		t.Fatalf("%+v, %v", s, err)
	}
	b := testBenchmark(t, s, "128B/P16/always|5000-per-second/1024B/P1/everysec|idle")
	r, err := b.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	measured := make(map[string]bool)
	for _, c := range r.Cells {
		measured[c.Case] = true
		if failure := c.Cairn.failure(); failure != "" {
			t.Errorf("%s: %s", c.name(), failure)
			continue
		}
		got := c.Cairn.Samples[0]
		if got.Messages == 0 || got.Memory == 0 || got.MemoryMax < got.Memory || got.Disk == 0 {
			t.Errorf("%s: %+v", c.name(), got)
		}
		if c.Case != "idle/connections" && (c.Cairn.Latency.P50 == 0 || c.Cairn.Latency.Max < c.Cairn.Latency.P99) {
			t.Errorf("%s: %+v", c.name(), c.Cairn.Latency)
		}
	}
	for _, sc := range scenarios {
		for _, name := range sc.cases {
			if !measured[name] {
				t.Errorf("%s was not measured", name)
			}
		}
	}
	page := r.page("x.json")
	for _, s := range sections {
		if !strings.Contains(page, "## "+s.title) {
			t.Errorf("the page has no section %s", s.title)
		}
	}
	for name, numbers := range map[string][]string{
		"backlog/fill":       {firstTenthRate, lastTenthRate, diskPeak},
		"backlog/drain-cold": {restartSeconds},
		"backlog/drain-warm": {diskCooled},
		"idle/connections":   {perConnection},
		"idle/wake-all":      {perBlocked, wakeSeconds},
	} {
		for i := range r.Cells {
			for _, number := range numbers {
				if c := &r.Cells[i]; c.Case == name && c.Cairn.Samples[0].Numbers[number] <= 0 {
					t.Errorf("%s: %s is %v", c.name(), number, c.Cairn.Samples[0].Numbers[number])
				}
			}
		}
	}
}

// A server that fails does not end the benchmark; what it failed at is said.
func TestSmokeFailure(t *testing.T) {
	b := testBenchmark(t, Server{Name: "broken", path: "/bin/false"}, "(lpush-1|rpop-1)/128B/P1/always")
	r, err := b.run(context.Background())
	if err != nil || len(r.Cells) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, c := range r.Cells {
		if got := c.Cairn.failure(); !strings.Contains(got, "broken ended instead of answering") {
			t.Errorf("%s: %q", c.name(), got)
		}
	}
}

func TestNoSuchCase(t *testing.T) {
	b := testBenchmark(t, Server{}, "no-such-case")
	if _, err := b.run(context.Background()); err == nil || !strings.Contains(err.Error(), "publish/lpush-1/128B/P1/always") {
		t.Errorf("%v", err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := testBenchmark(t, Server{Name: "sleeper", path: "/bin/sleep"}, "lpush-1/128B/P1/always")
	if _, err := b.run(ctx); err != errInterrupted {
		t.Errorf("%v", err)
	}
}

// cancelAt is a log that ends everything once a text is written to it.
type cancelAt struct {
	text   string
	cancel func()
}

func (c cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return len(p), nil
}

// Whoever has no more time gets the rounds that are complete.
func TestInterruptedLater(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b := testBenchmark(t, Server{Name: "broken", path: "/bin/false"}, "xadd-1000/128B/P(1|16)/always")
	b.rounds, b.log = 5, cancelAt{"3/5", cancel}
	r, err := b.run(ctx)
	if err != nil || r.About.Rounds != 2 || len(r.Cells) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, c := range r.Cells {
		if len(c.Cairn.Samples) != 2 {
			t.Errorf("%s: %d samples", c.name(), len(c.Cairn.Samples))
		}
	}
}
