package storage

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var errDisk = errors.New("the disk is on fire")

// Rule R5: whichever write or sync of the log fails, that commit is not
// acknowledged, no later one is, and everything acknowledged before is there
// after a restart.
func TestLogFaults(t *testing.T) {
	faults := 0
	small := Options{MemTableBytes: 256 << 10, LogSegmentBytes: 64 << 10} // of which there are many
	for failAt := int32(1); failAt < 40; failAt++ {
		mem := vfs.NewCrashableMem()
		var armed atomic.Bool
		var count atomic.Int32
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !armed.Load() || !strings.Contains(op.Path, "/log/") || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			if count.Add(1) >= failAt {
				return errDisk
			}
			return nil
		}))
		s := open(t, fs, small)
		armed.Store(true)
		acknowledged := -1
		var failed error
		for i := range 30 {
			put(s.Begin(at(1)), fmt.Sprint("k", i), "v")
			if _, err := s.Commit(); err != nil {
				failed = err
				break
			}
			acknowledged = i
		}
		if failed == nil {
			continue
		}
		faults++
		if !strings.Contains(failed.Error(), errDisk.Error()) {
			t.Fatalf("fault %d: the error does not say why: %v", failAt, failed)
		}
		armed.Store(false) // the disk works again: too late
		put(s.Begin(at(1)), "late", "v")
		if _, err := s.Commit(); err == nil {
			t.Fatalf("fault %d: a commit succeeded after one had failed", failAt)
		}
		if err := s.Close(); err == nil {
			t.Errorf("fault %d: Close is content", failAt)
		}
		again := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), small)
		tx := again.Begin(at(1))
		for i := range acknowledged + 1 {
			if meta(tx, fmt.Sprint("k", i)) != "v" {
				t.Errorf("fault %d: k%d was acknowledged and is lost", failAt, i)
			}
		}
		if meta(tx, "late") != "" {
			t.Errorf("fault %d: a refused commit is there", failAt)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
	if faults < 10 {
		t.Errorf("only %d faults were injected: the test does not test", faults)
	}
}

// Whoever is not sure closes again.
func TestCloseTwice(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, mem, Options{})
	put(s.Begin(at(1)), "k", "v")
	if _, err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	s = open(t, mem, Options{ReadOnly: true})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	s = open(t, mem, Options{})
	s.failed = errDisk
	for range 2 {
		if err := s.Close(); !errors.Is(err, errDisk) {
			t.Errorf("a store that has failed closes with %v", err)
		}
	}
}
