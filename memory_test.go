package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGarbagePercent(t *testing.T) {
	for _, c := range []struct {
		reserve, live uint64
		want          int
	}{
		{0, 64 << 20, 100},
		{64 << 20, 64 << 20, 200},
		{64 << 20, 640 << 20, 110},
		{64 << 20, 4 << 20, 1700},
		{64 << 20, 0, 6500},
		{1 << 62, 1 << 20, 100 + 100<<20},
	} {
		if got := garbagePercent(c.reserve, c.live); got != c.want {
			t.Errorf("a reserve of %d beside %d: %d, want %d", c.reserve, c.live, got, c.want)
		}
	}
}

// The part of garbage follows what is in use, from one collection to the next.
func TestReserveFollowsWhatIsInUse(t *testing.T) {
	r := &garbageReserve{bytes: 64 << 20}
	r.adjust()
	seen := make(chan int)
	look := func() int {
		percent := debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		return percent
	}
	collect := func(until func(percent int) bool) int {
		go func() {
			for {
				runtime.GC()
				if p := look(); until(p) {
					seen <- p
					return
				}
			}
		}()
		select {
		case p := <-seen:
			return p
		case <-time.After(20 * time.Second):
			t.Fatalf("it stays at %d", look())
			return 0
		}
	}
	small := collect(func(p int) bool { return p > 400 })
	held := make([]byte, 200<<20)
	large := collect(func(p int) bool { return p < 200 })
	runtime.KeepAlive(held)
	held = nil
	collect(func(p int) bool { return p > 400 })
	t.Logf("%d%% beside little, %d%% beside 200 MB", small, large)
}
