package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
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
// second time would undo what SingleDelete relies on.
//
// Why not Pebble's: it writes and syncs in a goroutine of its own, and being
// handed over and back costs a turn of small messages as much as writing it; it
// cannot put off a sync without keeping the record from the operating system; and
// it cannot tell a damaged end from one that was cut off (docs/adr/0007-own-log.md).

const (
	logDir = "log"
	// systemSeq is the record that holds the number of the last batch applied.
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

// appliedSeq returns the number of the last batch that a reader sees.
func appliedSeq(r pebble.Reader) (uint64, error) {
	value, closer, err := r.Get(seqKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the system record %q: %w", systemSeq, damage(err))
	}
	defer closer.Close()
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: the system record %q has %d bytes", ErrDamaged, systemSeq, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

// openLog opens the log and applies what Pebble has not written to tables yet.
func (s *Store) openLog(dir string, o Options) error {
	after, err := appliedSeq(s.db)
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, logDir)
	if o.ReadOnly {
		// Nothing can be applied: it is read on top.
		s.overlay = s.db.NewIndexedBatch()
		return logError(journal.Read(o.FS, dir, after, func(_ uint64, payload []byte) error {
			return s.replay(payload, func(b *pebble.Batch) error { return s.overlay.Apply(b, nil) })
		}))
	}
	if err := makeDir(o.FS, dir); err != nil {
		return err
	}
	s.log, err = journal.Open(journal.Options{
		FS: o.FS, Dir: dir, SegmentBytes: o.LogSegmentBytes, Policy: o.Sync.journal(), After: after, Logf: o.Logf,
		Apply: func(_ uint64, payload []byte) error {
			return s.replay(payload, func(b *pebble.Batch) error { return s.db.Apply(b, pebble.NoSync) })
		},
	})
	return logError(err)
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

// replay applies a batch as it stands in the log, whose the payload is no longer.
func (s *Store) replay(payload []byte, apply func(*pebble.Batch) error) error {
	if len(payload) <= replayCopyMax {
		payload = bytes.Clone(payload)
	}
	b := s.db.NewBatch()
	if err := b.SetRepr(payload); err != nil {
		return fmt.Errorf("%w: a batch in the log: %w", ErrDamaged, err)
	}
	return errors.Join(apply(b), b.Close())
}

// write makes a batch durable, as far as the policy says, and applies it.
func (s *Store) write(b *pebble.Batch) error {
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], s.log.Seq()+1)
	if err := b.Set(seqKey, seq[:], nil); err != nil {
		return err
	}
	if _, err := s.log.Append(b.Repr()); err != nil {
		return err
	}
	return s.db.Apply(b, pebble.NoSync)
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
	seq, err := s.flushedSeq()
	if err != nil {
		return err
	}
	return s.log.Release(seq)
}

// flushedSeq returns the number of the last batch that is in tables.
func (s *Store) flushedSeq() (seq uint64, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: seqKey, UpperBound: after(seqKey), OnlyReadGuaranteedDurable: true})
	if err != nil {
		return 0, err
	}
	if it.First() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil && len(value) == 8 {
			seq = binary.BigEndian.Uint64(value)
		}
	}
	return seq, errors.Join(err, it.Close())
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
