package storage

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/journal"
)

// # The log
//
// A turn's batch is written to the log (package journal) before it is applied to
// Pebble, which keeps none of its own. Each batch says in a system record which
// number it has in the log; so does what Pebble has written to tables, as a batch
// goes into one memtable, whole, and memtables are written in order. After a
// crash the batches behind that number are applied again, each exactly once: a
// second time would undo what SingleDelete relies on. (Of metadata more is applied
// again: hold.go.)
//
// Why not Pebble's: it writes and syncs in a goroutine of its own, and being
// handed over and back costs a turn of small messages as much as writing it; it
// cannot put off a sync without keeping the record from the operating system; and
// it cannot tell a damaged end from one that was cut off (docs/adr/0007-own-log.md).

const (
	logDir = "log"
	// systemSeq is the record that says what was applied.
	systemSeq = "seq"
)

// SyncPolicy says when the log of the store is synced (appendfsync).
type SyncPolicy int32

const (
	// SyncAlways: before Commit returns. An acknowledged write survives the
	// loss of power.
	SyncAlways SyncPolicy = iota
	// SyncEverySecond: written to the operating system before Commit returns,
	// synced within a second. It survives the end of the process, and loses up
	// to a second when the machine goes down.
	SyncEverySecond
	// SyncNo: written to the operating system, synced when that sees fit.
	SyncNo
)

func (p SyncPolicy) journal() journal.Policy {
	if p == SyncAlways {
		return journal.Always
	}
	return journal.Later
}

var seqKey = appendSystemKey(nil, systemSeq)

// readApplied returns what was applied to what a reader sees.
func readApplied(r pebble.Reader) (a applied, err error) {
	value, closer, err := r.Get(seqKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return applied{}, nil
	}
	if err != nil {
		return applied{}, fmt.Errorf("read the system record %q: %w", systemSeq, damage(err))
	}
	defer closer.Close()
	a, ok := decodeApplied(value)
	if !ok {
		return applied{}, fmt.Errorf("%w: the system record %q has %d bytes", ErrDamaged, systemSeq, len(value))
	}
	return a, nil
}

// openLog opens the log and applies what Pebble has not written to tables yet.
func (s *Store) openLog(dir string, o Options) error {
	done, err := readApplied(s.db)
	if err != nil {
		return err
	}
	last := done.after()
	apply := func(do func(*pebble.Batch) error) func(uint64, []byte) error {
		return func(seq uint64, payload []byte) error {
			last = seq
			return s.replay(payload, seq <= done.seq, do)
		}
	}
	dir = filepath.Join(dir, logDir)
	if o.ReadOnly {
		// Nothing can be applied: it is read on top.
		s.overlay = s.db.NewIndexedBatch()
		err = journal.Read(o.FS, dir, last, apply(func(b *pebble.Batch) error { return s.overlay.Apply(b, nil) }))
	} else {
		if err := makeDir(o.FS, dir); err != nil {
			return err
		}
		s.log, err = journal.Open(journal.Options{
			FS: o.FS, Dir: dir, SegmentBytes: o.LogSegmentBytes, Policy: o.Sync.journal(), After: last, Logf: o.Logf,
			Apply: apply(func(b *pebble.Batch) error { return s.db.Apply(b, pebble.NoSync) }),
		})
		s.synced.Store(s.log)
	}
	if err == nil && last < done.seq {
		err = fmt.Errorf("%w: it ends with record %d, and tables hold %d", journal.ErrDamaged, last, done.seq)
	}
	return logError(err)
}

// syncLog is called by the engine, before it makes known what tables there are.
func (s *Store) syncLog() error {
	if log := s.synced.Load(); log != nil {
		return log.Sync()
	}
	return nil // it is being opened: what was found in it has been synced
}

func logError(err error) error {
	if errors.Is(err, journal.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// replayCopyMax is the longest payload that is copied to be applied: Pebble keeps
// the memory of small batches for others, but no large ones, and two of those may
// be more than there is memory.
const replayCopyMax = 1 << 20

// replay applies a batch as it stands in the log, whose the payload is no longer,
// or the metadata in it only.
func (s *Store) replay(payload []byte, metadata bool, apply func(*pebble.Batch) error) error {
	b := s.db.NewBatch()
	if metadata {
		err := copyMetadata(b, batchrepr.Read(payload))
		if err == nil {
			err = apply(b)
		}
		return errors.Join(err, b.Close())
	}
	if len(payload) <= replayCopyMax {
		payload = bytes.Clone(payload)
	}
	if err := b.SetRepr(payload); err != nil {
		return fmt.Errorf("%w: a batch in the log: %w", ErrDamaged, err)
	}
	return errors.Join(apply(b), b.Close())
}

// copyMetadata copies from a batch in the log what it does to metadata.
func copyMetadata(dst *pebble.Batch, src batchrepr.Reader) error {
	for {
		kind, key, value, ok, err := src.Next()
		if err != nil {
			return fmt.Errorf("%w: a batch in the log: %w", ErrDamaged, err)
		}
		if !ok {
			return nil
		}
		if len(key) == 0 || key[0] != kindMeta {
			continue
		}
		switch kind {
		case pebble.InternalKeyKindSet:
			err = dst.Set(key, value, nil)
		case pebble.InternalKeyKindDelete:
			err = dst.Delete(key, nil)
		case pebble.InternalKeyKindRangeDelete:
			err = dst.DeleteRange(key, value, nil)
		default:
			err = fmt.Errorf("%w: a batch in the log does %s to metadata", ErrDamaged, kind)
		}
		if err != nil {
			return err
		}
	}
}

// write makes a batch durable, as far as the policy says, and sees to it that it is
// applied; the caller has no more use for it. metas is in the log behind it, and is not
// applied; nil is nothing.
func (s *Store) write(b, metas *pebble.Batch) error {
	if err := s.setApplied(b, s.log.Seq()+1); err != nil {
		return err
	}
	repr, more, keys := b.Repr(), []byte(nil), uint32(0)
	if metas != nil && !metas.Empty() {
		// In the log they are one batch.
		more, keys = metas.Repr()[batchrepr.HeaderLen:], metas.Count()
		batchrepr.SetCount(repr, b.Count()+keys)
	}
	if _, err := s.log.Append(repr, more); err != nil {
		return err
	}
	batchrepr.SetCount(repr, b.Count())
	return s.apply(b, keys)
}

// releaser tells the log what it need not keep, whenever Pebble has written
// memtables to tables.
type releaser struct {
	flushed chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

func newReleaser() releaser {
	return releaser{flushed: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
}

func (s *Store) startReleaser(logf func(string, ...any)) {
	go func() {
		defer close(s.releaser.done)
		for {
			select {
			case <-s.releaser.quit:
				return
			case <-s.releaser.flushed:
			}
			err := s.releaseLog()
			if err == nil && s.quiet.Swap(false) {
				err = s.log.Trim()
			}
			if err != nil && logf != nil {
				logf("The log cannot be shortened: %v", err)
			}
		}
	}()
}

func (r *releaser) stop() {
	close(r.quit)
	<-r.done
}

// noteFlush is called by Pebble.
func (s *Store) noteFlush() {
	select {
	case s.releaser.flushed <- struct{}{}:
	default: // it will see this one as well
	}
}

func (s *Store) releaseLog() error {
	tables, err := s.inTables()
	if err != nil {
		return err
	}
	return s.log.Release(tables.after())
}

// inTables returns what was applied to what is in tables.
func (s *Store) inTables() (a applied, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: seqKey, UpperBound: after(seqKey), OnlyReadGuaranteedDurable: true})
	if err != nil {
		return applied{}, err
	}
	if it.First() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			a, _ = decodeApplied(value)
		}
	}
	return a, errors.Join(err, it.Close())
}

// fullFS makes room on a disk that is full. It is not what the log sees: all wait
// for the room to be made, and the log is to make it.
func (s *Store) fullFS(fs vfs.FS) vfs.FS {
	return vfs.OnDiskFull(fs, func() {
		s.ranOut.Store(true)
		if s.log != nil {
			s.log.KeepFree(false)
		}
	})
}
