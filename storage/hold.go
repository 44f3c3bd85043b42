package storage

import (
	"container/list"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// # Metadata held back
//
// A key that is in use has its metadata written with each turn: a thousand queues
// in use, a thousand small records, of which all but the last of each are of no
// use a moment later. In the log they have to be, but putting each into the
// memtable, far away from the one before, took more time than everything else
// that such a turn does.
//
// So the metadata of a turn go to the log only, and the object says that they are
// *held*. They are *settled*, that is put into the memtable, when somebody is to
// read them there: when the object is forgotten, and all of them before the
// keyspace is walked or a snapshot is taken. They are settled as well when they
// have been held for long, so that the log need not be kept for them.
//
// Invariants:
//
//   - With each number of a batch (systemSeq) stands the number of the first batch
//     of which metadata are held: what was written to tables together with that
//     lacks none but these. After a crash metadata are applied again from there
//     on, and all else behind the batch's own number.
//   - So the log is kept from there on, and is synced before tables are (logFirst).
//   - What is settled is what the log has, never what a turn has changed since.
//
// Metadata can be applied again, other records cannot: they are put and deleted
// whatever was there before, and what is applied last is what the log says last.

const (
	// heldMax is how many objects have their metadata held: to settle all of them
	// takes some milliseconds.
	heldMax = 4096
	// heldMetaKept is how much memory an object keeps for the next time.
	heldMetaKept = 128
	// heldShare is the part of a memtable's size that may be written to the log
	// while metadata are held.
	heldShare = 2
)

// held are the objects whose metadata are held, those first that are so since the
// earliest batch.
type held struct {
	objects  list.List // of *Object
	bytesMax int64     // of the log
	// metas are the metadata of the turn that is being committed.
	metas *pebble.Batch
	// settled are those on their way into the memtable.
	settled *pebble.Batch
}

// hold has the metadata of an object, which are in a batch of that number, held.
func (s *Store) hold(o *Object, meta []byte, seq uint64) {
	o.heldMeta = append(o.heldMeta[:0], meta...)
	o.heldSeq, o.heldAt = seq, s.log.BytesWritten()
	if o.held == nil {
		o.held = s.held.objects.PushBack(o)
	} else {
		s.held.objects.MoveToBack(o.held)
	}
}

// unhold says that there are newer metadata than those held, in the batch that is
// being committed, or that they are being settled.
func (s *Store) unhold(o *Object) {
	if o.held != nil {
		s.held.objects.Remove(o.held)
		o.held = nil
	}
}

// heldSince returns the number of the first batch of which metadata are held, 0 if
// there is none.
func (s *Store) heldSince() uint64 {
	if first := s.held.objects.Front(); first != nil {
		return first.Value.(*Object).heldSeq
	}
	return 0
}

// settle takes the metadata of an object to those that are settled next.
func (s *Store) settle(o *Object) error {
	if s.held.settled == nil {
		s.held.settled = s.db.NewBatch()
	}
	s.unhold(o)
	s.turn.scratch = s.appendMetaKey(s.turn.scratch[:0], o.space.id, o.Key)
	err := s.held.settled.Set(s.turn.scratch, o.heldMeta, nil)
	if cap(o.heldMeta) > heldMetaKept {
		o.heldMeta = nil
	}
	return err
}

// settleOld settles what is held for long, or is too much.
func (s *Store) settleOld() error {
	for {
		first := s.held.objects.Front()
		if first == nil {
			break
		}
		o := first.Value.(*Object)
		if s.held.objects.Len() <= heldMax && s.log.BytesWritten()-o.heldAt <= s.held.bytesMax {
			break
		}
		if err := s.settle(o); err != nil {
			return err
		}
	}
	return s.applySettled()
}

// settleAll settles all that is held.
func (s *Store) settleAll() error {
	for first := s.held.objects.Front(); first != nil; first = s.held.objects.Front() {
		if err := s.settle(first.Value.(*Object)); err != nil {
			return err
		}
	}
	return s.applySettled()
}

// applySettled puts what is settled into the memtable, and with it from where on
// the log is needed now.
func (s *Store) applySettled() error {
	b := s.held.settled
	if b == nil {
		return nil
	}
	s.held.settled = nil
	if err := s.awaitApplied(); err != nil {
		return errors.Join(err, b.Close())
	}
	return errors.Join(s.setApplied(b, s.log.Seq()), s.db.Apply(b, pebble.NoSync), b.Close())
}

// settleAll is called before the keyspace is read from outside the cache.
func (tx *Tx) settleAll() {
	if tx.inLoop() {
		if err := tx.store.settleAll(); err != nil {
			tx.fail("settle metadata", err)
		}
	}
}

// applied is what the system record systemSeq says.
type applied struct {
	// seq is the number of the last batch applied.
	seq uint64
	// heldSince is the number of the first batch of which metadata may be missing;
	// 0: there is none.
	heldSince uint64
}

// after returns the number of the last batch that is not needed any more.
func (a applied) after() uint64 {
	if a.heldSince != 0 {
		return min(a.seq, a.heldSince-1)
	}
	return a.seq
}

func decodeApplied(value []byte) (a applied, ok bool) {
	if len(value) != 16 {
		return a, false
	}
	return applied{binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])}, true
}

// setApplied adds to a batch that it is the one of that number, or that nothing is
// missing up to there but what is held.
func (s *Store) setApplied(b *pebble.Batch, seq uint64) error {
	var value [16]byte
	binary.BigEndian.PutUint64(value[:], seq)
	binary.BigEndian.PutUint64(value[8:], s.heldSince())
	return b.Set(seqKey, value[:], nil)
}

// logFirst is a file system on which the log is synced before it becomes known what
// tables there are: metadata may be missing in those, and must not be missing in
// both.
type logFirst struct {
	vfs.FS
	sync func() error
}

// Create implements vfs.FS.
func (fs logFirst) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err == nil && strings.HasPrefix(filepath.Base(name), "MANIFEST-") {
		f = preparedFile{f, fs.sync}
	}
	return f, err
}

// Unwrap implements vfs.FS.
func (fs logFirst) Unwrap() vfs.FS { return fs.FS }

// preparedFile is a file that is synced when something else has been done.
type preparedFile struct {
	vfs.File
	prepare func() error
}

// Sync implements vfs.File.
func (f preparedFile) Sync() error {
	if err := f.prepare(); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f preparedFile) SyncData() error {
	if err := f.prepare(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// SyncTo implements vfs.File.
func (f preparedFile) SyncTo(length int64) (fullSync bool, err error) {
	if err := f.prepare(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}
