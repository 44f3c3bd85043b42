package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// # Commit
//
// The naive way is a Pebble transaction for each command: begin, write, commit
// with a sync, reply. It costs an fsync for each command, and a metadata write
// for each push to the same list.
//
// Instead all that has arrived is run as one turn against one batch, which is
// written to the log with one sync (log.go) and then applied to Pebble, if need be
// beside the loop (apply.go); replies are held until the log has it. While the disk
// works, requests pile up and the next turn is bigger: LevelDB's group commit with a
// loop in place of a queue. What complicates it:
//
//   - A command must see what earlier ones of the same turn wrote. Metadata are
//     in memory anyway (Object.State) and hold the truth there; records are read
//     from Pebble unless this turn has written to the object, in which case the
//     batch gets an index and is read on top (Tx.view). With heads and tails of
//     queues in memory that is rare.
//   - Metadata change with every push but are worth writing once per turn: a
//     changed object goes on a list, and Commit encodes each once, for the log
//     (hold.go).
//
// Invariants:
//
//   - A batch holds whole units only (a command, a transaction with those it
//     woke): Commit runs between units, never inside one.
//   - After Commit every object in memory equals what is on disk, so any of them
//     may be forgotten. (Soft changes excepted, see Tx.Soft.)
//   - If Commit fails nothing more is committed, ever: the state of the log is
//     unknown, and only a restart can tell what it holds.
//
// Rejected: overlapping the fsync with the next turn. It makes data visible before
// they are durable, and gained nothing in measurements (docs/adr/0001-turn-commit.md). An indexed batch for
// every turn: the index costs more than the write itself.

// Begin starts a turn at the given time.
func (s *Store) Begin(now time.Time) *Tx {
	t := s.turn
	t.seq++
	t.now = now
	t.nowMs = now.UnixMilli()
	t.edits = 0
	t.held = 0
	t.ready, t.touched, t.moved, t.events = t.ready[:0], t.touched[:0], nil, t.events[:0]
	return t.views[0]
}

// softMax is how many objects with soft changes wait for a turn that writes
// anyway. They must not be forgotten before, so one more makes the turn write.
const softMax = 1000

// Commit ends the turn: what it changed is durable, as far as the fsync policy
// says, when Commit returns. wrote tells whether there was anything. After an
// error the store must not be used again.
func (s *Store) Commit() (wrote bool, err error) {
	t := s.turn
	tx := t.views[0]
	if s.failed != nil {
		return false, s.failed
	}
	if len(t.dirty) > 0 || t.batch != nil || len(s.soft) >= softMax {
		wrote = true
		if err := s.commit(tx); err != nil {
			s.failed = err
			return false, err
		}
	}
	for i, o := range t.used {
		if o.written {
			o.written, o.writtenIn = false, t.seq
		}
		o.usedIn = 0 // there may be another commit before the next turn (Forget)
		s.cache.resize(o)
		t.used[i] = nil
	}
	t.used = t.used[:0]
	if err := s.evict(s.cache.bytesMax); err != nil {
		tx.fail("settle metadata", err)
	}
	if t.err != nil {
		s.failed = t.err
	}
	return wrote, t.err
}

// evict forgets objects until the cache has so many bytes (cache.evict).
func (s *Store) evict(bytesMax int) error {
	var err error
	s.cache.evict(bytesMax, func(o *Object) {
		if o.held != nil {
			err = errors.Join(err, s.settle(o))
		}
	})
	return errors.Join(err, s.applySettled())
}

// Forget writes what is in memory only (soft changes) and forgets everything:
// what is used next is read from disk. It must be called between turns.
func (s *Store) Forget() error {
	s.turn.views[0].flushSoft()
	if _, err := s.Commit(); err != nil {
		return err
	}
	return s.evict(-1)
}

func (s *Store) commit(tx *Tx) error {
	tx.writable()
	tx.flushSoft()
	tx.holdDirty()
	tx.flushCounts()
	tx.flushTimers()
	if tx.err != nil {
		return tx.err
	}
	batch := tx.batch
	tx.batch = nil
	written := int64(batch.Len() + s.held.metas.Len())
	if err := s.write(batch, s.held.metas); err != nil {
		return fmt.Errorf("commit turn %d: %w", tx.seq, err)
	}
	s.held.metas.Reset()
	if err := s.settleOld(); err != nil {
		return fmt.Errorf("settle metadata after turn %d: %w", tx.seq, err)
	}
	s.Commits++
	s.written += written
	if s.unflushed.since.IsZero() {
		s.unflushed.since = tx.now
	}
	s.unflushed.written += written
	s.Changes += int64(tx.edits)
	return nil
}

// flushSoft writes soft changes along with a turn that writes anyway.
func (tx *Tx) flushSoft() {
	for i, o := range tx.store.soft {
		o.soft = false
		if o.typ != TypeNone && !o.space.dead {
			tx.use(o)
			tx.markDirty(o)
		}
		tx.store.soft[i] = nil
	}
	tx.store.soft = tx.store.soft[:0]
}

// holdDirty writes the metadata of all changed objects to the log with the batch,
// when the turn ends, and holds them.
func (tx *Tx) holdDirty() {
	s := tx.store
	if s.held.metas == nil {
		s.held.metas = s.db.NewBatch()
	}
	seq := s.log.Seq() + 1
	for i := 0; i < len(tx.dirty); i++ {
		o := tx.dirty[i]
		tx.dirty[i] = nil
		if !o.dirty {
			continue // written in the middle of the turn, or on the list twice
		}
		if !o.space.dead && o.typ != TypeNone {
			key, meta := tx.encode(o)
			tx.check(s.held.metas.Set(key, meta, nil))
			s.hold(o, meta, seq)
			o.dirty, o.onDisk = false, true
		} else {
			s.unhold(o) // the batch has what is newer
			tx.flush(o)
		}
	}
	tx.dirty = tx.dirty[:0]
}

// flushDirty writes the metadata of all changed objects to the batch.
func (tx *Tx) flushDirty() {
	tx.writable()
	for i := 0; i < len(tx.dirty); i++ {
		tx.flush(tx.dirty[i])
		tx.dirty[i] = nil
	}
	tx.dirty = tx.dirty[:0]
}

// flush writes one changed object to the batch.
func (tx *Tx) flush(o *Object) {
	if !o.dirty {
		return
	}
	o.dirty = false
	if o.space.dead {
		return
	}
	if o.held != nil {
		// In the middle of a turn: what the batch says counts only when it is in
		// the log.
		tx.settleAll()
	}
	if o.typ == TypeNone {
		if o.onDisk {
			tx.scratch = tx.store.appendMetaKey(tx.scratch[:0], o.space.id, o.Key)
			tx.check(tx.batch.Delete(tx.scratch, nil))
			o.onDisk = false
		}
		return
	}
	key, meta := tx.encode(o)
	tx.check(tx.batch.Set(key, meta, nil))
	o.onDisk = true
}

// encode writes what the state of an object holds back to the batch, and returns
// the object's metadata, which are valid for a moment only.
func (tx *Tx) encode(o *Object) (key, meta []byte) {
	if o.State != nil {
		o.State.Flush(tx, o)
	}
	tx.scratch = tx.store.appendMetaKey(tx.scratch[:0], o.space.id, o.Key)
	n := len(tx.scratch)
	tx.scratch = o.appendMeta(tx.scratch)
	return tx.scratch[:n], tx.scratch[n:]
}

// flushCounts writes the counters that the turn has moved.
func (tx *Tx) flushCounts() {
	for _, sp := range tx.dbs {
		if !sp.dirty {
			continue
		}
		sp.dirty = false
		var value [16]byte
		binary.BigEndian.PutUint64(value[:], uint64(sp.keys))
		binary.BigEndian.PutUint64(value[8:], uint64(sp.expiring))
		tx.scratch = appendCountKey(tx.scratch[:0], sp.id)
		tx.check(tx.batch.Set(tx.scratch, value[:], nil))
	}
	if tx.store.stateDirty {
		tx.store.stateDirty = false
		tx.check(tx.batch.Set(appendSystemKey(nil, systemState), tx.store.appendState(nil), nil))
	}
}
