package storage

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What the engine says of its stalls is counted.
func TestWriteStallsAreCounted(t *testing.T) {
	var listener *pebble.EventListener
	s, err := Open("/data", Options{FS: vfs.NewMem(), tune: func(o *pebble.Options) { listener = o.EventListener }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	listener.WriteStallBegin(pebble.WriteStallBeginInfo{Reason: "too many memtables"})
	listener.WriteStallEnd()
	listener.WriteStallBegin(pebble.WriteStallBeginInfo{Reason: "too many tables"})
	if n := s.WriteStalls(); n != 2 {
		t.Errorf("%d stalls", n)
	}
}
