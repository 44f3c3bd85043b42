package main

import (
	"runtime"
	"testing"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
)

// Garbage may come to the reserve and as much as is in use, whatever that is.
func TestReserveGarbage(t *testing.T) {
	t.Setenv("GOGC", "")
	next := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.NextGC >> 20
	}
	before := next()
	const reserve = 64
	c := &config.Config{GarbageReserve: reserve << 20}
	commands.ReserveGarbage(garbageReserve(c))
	if got := next(); got < 2*reserve || got > before+2*reserve+8 {
		t.Errorf("beside little it is collected at %d MB, %d MB before", got, before)
	}
	held := make([]byte, 200<<20)
	if got := next(); got < 2*(reserve+200) || got > before+2*(reserve+200)+8 {
		t.Errorf("beside 200 MB it is collected at %d MB", got)
	}
	runtime.KeepAlive(held)
	t.Setenv("GOGC", "100")
	if got := garbageReserve(c); got != 0 {
		t.Errorf("%d bytes are reserved where GOGC is set", got)
	}
	commands.ReserveGarbage(0)
}
