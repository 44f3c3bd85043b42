package storage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// # A disk that fills up
//
// The broker refuses what adds data long before the disk is full (min-free-disk),
// so that what takes data away can go on: pops and acknowledgements are writes,
// too, and so is the engine's own work, through which space comes back. But the
// disk may fill up by others' doing, faster than anybody looks. Then files of the
// log that are kept to be used again are given up, which makes room for the engine
// to go on with, and the store says that it ran out of space. If there is still
// none for the log, the commit fails, and the process ends.

// Disk is how things stand on the disk that holds a store.
type Disk struct {
	// Free and Total are bytes of the file system; both 0: not known.
	Free, Total int64
	// Used is what the store takes, with its log.
	Used int64
	// RanOut says that something could not be written since the last call, for
	// lack of space.
	RanOut bool
}

// Disk looks at the disk.
func (s *Store) Disk() (Disk, error) {
	d := Disk{
		Used:   int64(s.db.Metrics().DiskSpaceUsage()) + s.log.Bytes(),
		RanOut: s.ranOut.Swap(false),
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err != nil && !errors.Is(err, vfs.ErrUnsupported) {
		return d, err
	}
	d.Free, d.Total = int64(usage.AvailBytes), int64(usage.TotalBytes)
	return d, nil
}

// Written counts the bytes of all commits.
func (s *Store) Written() int64 { return s.written }

// KeepSpares says whether there is room for files of the log that are of no use
// at the moment; there is until it is said that there is not.
func (s *Store) KeepSpares(room bool) { s.log.KeepFree(room) }

// # Space that comes back
//
// What was taken away leaves the disk when the engine next works there, and it
// works when memtables are full: deletions are small, and a queue that was
// drained and then left alone would take its space for ever. So what is in
// memory is flushed once it has been there for a while. Then it is in tables that
// are too few for the engine to work on: deletions, and what they delete, could
// stay there for good. So once nothing else is going on, and most of what the
// store takes is of no use, all of it is compacted (squeeze).
//
// How much is of no use we estimate ourselves (garbage.go). The engine's estimate
// comes some time after the tables, without a word of when; it counts deletions as
// records when it works out how long one is; and it looks for what a deletion
// deletes only in the levels below, not among tables that were flushed before.

const (
	flushAge      = 10 * time.Second
	flushAgeFull  = time.Second // on a disk that is full
	flushBytesMin = 1 << 20     // or
	flushTakenMin = 1000        // records that were deleted

	garbageMin = 8 << 20 // bytes on disk that are worth a compaction
	// squeezeShare is how many times as long as a compaction took that was in vain
	// the next one has to wait.
	squeezeShare = 100
)

// unflushed is what the memtable in use holds.
type unflushed struct {
	since   time.Time // of the first write
	written int64     // bytes
	deleted int64     // records
}

// FlushOld begins to flush what has been in memory for long, in the background;
// full says that space is needed.
func (s *Store) FlushOld(now time.Time, full bool) error {
	u := &s.unflushed
	if s.rotated.Swap(false) && !u.since.IsZero() {
		u.since = now // it was full: what has come since may be in the next one
	}
	if s.failed != nil {
		return nil
	}
	s.squeeze(now)
	if u.since.IsZero() {
		return nil
	}
	age := now.Sub(u.since)
	if age < flushAgeFull || (!full && (age < flushAge || (u.written < flushBytesMin && u.deleted < flushTakenMin))) {
		return nil
	}
	*u = unflushed{}
	s.squeezing.due = true
	s.quiet.Store(true)
	if err := errors.Join(s.settleAll(), s.awaitApplied()); err != nil {
		return err
	}
	_, err := s.db.AsyncFlush()
	return err
}

// Unflushed reports whether FlushOld may have something to do in time.
func (s *Store) Unflushed() bool { return s.squeezing.wanted() || !s.unflushed.since.IsZero() }

// squeezing is how far the search for space has come.
type squeezing struct {
	due      bool      // the tables have not been looked at since something was flushed
	patience time.Time // no compaction before
	begun    time.Time // when what is running began

	busy    atomic.Bool
	found   atomic.Int32 // by what was running, written before busy
	running sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

// What a search for space in tables has found.
const (
	foundNothing  int32 = iota
	foundLittle         // it was in vain to compact them
	foundTooEarly       // the engine does not know yet
)

func (q *squeezing) init() { q.ctx, q.cancel = context.WithCancel(context.Background()) }

func (q *squeezing) stop() {
	q.cancel()
	q.running.Wait()
}

// wanted reports whether there is something to look at, now or later.
func (q *squeezing) wanted() bool {
	return q.due || q.busy.Load() || q.found.Load() != foundNothing
}

// squeeze has the tables compacted, in the background, if most of what is in them
// is garbage: it writes less than it removes. It waits until the engine has come to
// rest.
func (s *Store) squeeze(now time.Time) {
	q := &s.squeezing
	if !q.wanted() || q.busy.Load() {
		return
	}
	switch q.found.Swap(foundNothing) {
	case foundLittle:
		// What was garbage by our estimate is not: a snapshot holds on to it, or it is
		// shorter than what lies beside it. It would be again, each time.
		q.patience = now.Add(squeezeShare * now.Sub(q.begun))
	case foundTooEarly:
		q.due = true
	}
	m := s.db.Metrics()
	if m.MemTable.Count > 1 || m.Flush.NumInProgress > 0 || m.Compact.NumInProgress > 0 {
		return
	}
	if !q.due {
		return
	}
	if q.due = false; now.Before(q.patience) {
		return
	}
	q.begun = now
	q.busy.Store(true)
	q.running.Go(func() {
		found, err := s.squeezeTables()
		if err != nil && q.ctx.Err() == nil && s.logf != nil {
			s.logf("The tables cannot be compacted: %v", err)
		}
		q.found.Store(found)
		q.busy.Store(false)
	})
}

// squeezeTables compacts all tables if most of what they hold is garbage.
func (s *Store) squeezeTables() (found int32, err error) {
	levels, err := s.db.SSTables(pebble.WithProperties())
	if err != nil {
		return foundNothing, err
	}
	share, known := garbageShare(levels)
	if !known {
		return foundTooEarly, nil
	}
	used := float64(s.db.Metrics().Total().TablesSize)
	expected := share * used
	if share < 0.5 || expected < garbageMin {
		return foundNothing, nil
	}
	if err := s.db.Compact(s.squeezing.ctx, []byte{0}, []byte{0xff}, false); err != nil {
		return foundLittle, err
	}
	if left := float64(s.db.Metrics().Total().TablesSize); used-left < expected/2 {
		return foundLittle, nil
	}
	return foundNothing, nil
}
