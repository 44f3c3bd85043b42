package storage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

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
// store takes is of no use, all of it is compacted.

const (
	flushAge      = 10 * time.Second
	flushAgeFull  = time.Second // on a disk that is full
	flushBytesMin = 1 << 20     // or
	flushTakenMin = 1000        // records that were deleted

	garbageMin = 8 << 20 // bytes in tables that are worth a compaction
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
	if s.flushed {
		s.squeeze()
	}
	if u.since.IsZero() {
		return nil
	}
	age := now.Sub(u.since)
	if age < flushAgeFull || (!full && (age < flushAge || (u.written < flushBytesMin && u.deleted < flushTakenMin))) {
		return nil
	}
	*u, s.flushed = unflushed{}, true
	s.quiet.Store(true)
	if err := s.settleAll(); err != nil {
		return err
	}
	_, err := s.db.AsyncFlush()
	return err
}

// Unflushed reports whether FlushOld may have something to do in time.
func (s *Store) Unflushed() bool { return s.flushed || !s.unflushed.since.IsZero() }

// squeeze has the tables compacted, in the background, if most of what is in them
// is garbage: it writes less than it removes. It waits until the engine has come to
// rest, and knows how much that is.
func (s *Store) squeeze() {
	m := s.db.Metrics()
	if m.MemTable.Count > 1 || m.Flush.NumInProgress > 0 || m.Compact.NumInProgress > 0 ||
		!m.Table.InitialStatsCollectionComplete || m.Table.PendingStatsCollectionCount > 0 {
		return
	}
	s.flushed = false
	garbage := m.Table.Garbage.PointDeletionsBytesEstimate + m.Table.Garbage.RangeDeletionsBytesEstimate
	if garbage < garbageMin || garbage < uint64(m.Total().TablesSize)/2 || !s.squeezing.busy.CompareAndSwap(false, true) {
		return
	}
	s.squeezing.running.Go(func() {
		defer s.squeezing.busy.Store(false)
		err := s.db.Compact(s.squeezing.ctx, []byte{0}, []byte{0xff}, false)
		if err != nil && s.squeezing.ctx.Err() == nil && s.logf != nil {
			s.logf("The tables cannot be compacted: %v", err)
		}
	})
}

// squeezing is the compaction that squeeze has begun.
type squeezing struct {
	busy    atomic.Bool
	running sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

func (q *squeezing) init() { q.ctx, q.cancel = context.WithCancel(context.Background()) }

func (q *squeezing) stop() {
	q.cancel()
	q.running.Wait()
}
