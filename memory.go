package main

import (
	"os"
	"runtime/debug"

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
	// What is reserved for garbage counts for Go, but is not there.
	debug.SetMemoryLimit(max(total/10*8-c.BlockCacheSize-engineBytes, total/4) + garbageReserve(c))
}

// garbageReserve is what the directive says, unless GOGC says when garbage should be
// collected.
func garbageReserve(c *config.Config) int64 {
	if os.Getenv("GOGC") != "" {
		return 0
	}
	return c.GarbageReserve
}
