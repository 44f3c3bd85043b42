package storage

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What the engine says of its stalls is counted.
func TestWriteStallsAreCounted(t *testing.T) {
	var listener *pebble.EventListener
	var clock time.Duration
	s, err := Open("/data", Options{FS: vfs.NewMem(), Elapsed: func() time.Duration { return clock }, tune: func(o *pebble.Options) { listener = o.EventListener }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	listener.WriteStallBegin(pebble.WriteStallBeginInfo{Reason: "too many memtables"})
	clock += time.Second
	listener.WriteStallEnd()
	listener.WriteStallBegin(pebble.WriteStallBeginInfo{Reason: "too many tables"})
	if n, took := s.WriteStalls(); n != 2 || took != time.Second {
		t.Errorf("%d stalls of %v", n, took)
	}
}
