package storage

import (
	"encoding/binary"
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
// written to the log with one sync (log.go) and then applied to Pebble; replies
// are held until then. While the disk works,
// requests pile up and the next turn is bigger: LevelDB's group commit with a
// loop in place of a queue. What complicates it:
//
//   - A command must see what earlier ones of the same turn wrote. Metadata are
//     in memory anyway (Object.State) and hold the truth there; records are read
//     from Pebble unless this turn has written to the object, in which case the
//     batch gets an index and is read on top (Tx.view). With heads and tails of
//     queues in memory that is rare.
//   - Metadata change with every push but are worth writing once per turn: a
//     changed object goes on a list, and Commit encodes each once.
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
		o.written = false
		s.cache.resize(o)
		t.used[i] = nil
	}
	t.used = t.used[:0]
	s.cache.evict(s.cache.bytesMax)
	if t.err != nil {
		s.failed = t.err
	}
	return wrote, t.err
}

// Forget writes what is in memory only (soft changes) and forgets everything:
// what is used next is read from disk. It must be called between turns.
func (s *Store) Forget() error {
	s.turn.views[0].flushSoft()
	if _, err := s.Commit(); err != nil {
		return err
	}
	s.cache.evict(-1)
	return nil
}

func (s *Store) commit(tx *Tx) error {
	tx.writable()
	tx.flushSoft()
	tx.flushDirty()
	tx.flushCounts()
	tx.flushTimers()
	if tx.err != nil {
		return tx.err
	}
	if err := s.write(tx.batch); err != nil {
		return fmt.Errorf("commit turn %d: %w", tx.seq, err)
	}
	s.Commits++
	s.written += int64(tx.batch.Len())
	if s.unflushed.since.IsZero() {
		s.unflushed.since = tx.now
	}
	s.unflushed.written += int64(tx.batch.Len())
	s.Changes += int64(tx.edits)
	if tx.indexed {
		_ = tx.batch.Close() // back to the pool, cannot fail
		tx.batch = nil
	} else {
		// A committed batch is reset for the next turn, its memory kept.
		s.spare = tx.batch
		tx.batch = nil
	}
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
	if o.typ == TypeNone {
		if o.onDisk {
			tx.scratch = tx.store.appendMetaKey(tx.scratch[:0], o.space.id, o.Key)
			tx.check(tx.batch.Delete(tx.scratch, nil))
			o.onDisk = false
		}
		return
	}
	if o.State != nil {
		o.State.Flush(tx, o)
	}
	tx.scratch = tx.store.appendMetaKey(tx.scratch[:0], o.space.id, o.Key)
	n := len(tx.scratch)
	tx.scratch = o.appendMeta(tx.scratch)
	tx.check(tx.batch.Set(tx.scratch[:n], tx.scratch[n:], nil))
	o.onDisk = true
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
