package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
)

// engineBytes is what the storage engine's memtables may take.
const engineBytes = 128 << 20

// limitMemory has the garbage collector work harder before the process takes more
// memory than it may, unless GOMEMLIMIT says what it should do. Clients have
// their bound (maxmemory-clients), and caches theirs: the rest is garbage.
func limitMemory(c *config.Config) {
	total := commands.MemoryLimit()
	if total == 0 || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(max(total/10*8-c.BlockCacheSize-engineBytes, total/4))
}

// garbageReserve is what garbage may take at least before it is collected. Go
// collects when there is as much of it as of what is in use; but a broker whose
// backlog is on disk has little in use, and messages pass through at hundreds of
// megabytes a second: it would collect dozens of times a second, a quarter of all
// its work.
type garbageReserve struct {
	bytes   uint64
	percent int
}

// reserveGarbage begins to reserve what the directive says, unless GOGC says when
// garbage should be collected.
func reserveGarbage(c *config.Config) {
	if c.GarbageReserve == 0 || os.Getenv("GOGC") != "" {
		return
	}
	r := &garbageReserve{bytes: uint64(c.GarbageReserve)}
	r.adjust()
}

// collection is something that nobody uses: the end of its life is the end of a
// collection. It is large enough not to share a block with what lives on.
type collection [32]byte

// adjust says anew, after each collection, what part of the memory in use garbage
// may come to. The collection is never far away: it takes as many bytes as that
// was when the last one ended, whatever comes into use meanwhile.
func (r *garbageReserve) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := garbagePercent(r.bytes, live[0].Value.Uint64())
	// To say so stops the world for a moment: small changes are not worth it.
	if d := percent - r.percent; d > r.percent/8 || -d > r.percent/8 {
		r.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.SetFinalizer(new(collection), func(*collection) { r.adjust() })
}

// garbagePercent returns the part of the memory in use that garbage may come to:
// as much as that, and the reserve.
func garbagePercent(reserve, live uint64) int {
	const liveMin = 1 << 20 // before the first collection nothing is known to live
	return 100 + int(min(reserve, 1<<40)*100/max(live, liveMin))
}
