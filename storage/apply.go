package storage

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// # Applied beside the loop
//
// A turn over a thousand queues puts a thousand records into the memtable, each far
// away from the one before: that takes longer than anything else such a turn does.
// By then the log has the turn, and nobody reads what it has written: heads and
// tails of queues are in memory. So the batch of a turn that has changed many keys is
// applied by a goroutine of its own while replies are sent and the next turn runs. (Of
// few keys a thousand records are next to each other, and handing them over takes as
// long as applying them.)
//
// Invariants:
//
//   - One batch at a time, in the order of the log: nothing is applied before what is
//     on its way has arrived.
//   - Who reads Pebble in the loop waits for it (appliedReader). Only records of an
//     object that the batch does not write to are read at once (Tx.viewOf).
//   - What is on its way is in the log, and the numbers in systemSeq travel with the
//     batches: a crash in between leaves what one before the batch does.

// applying is the batch on its way into the memtable.
type applying struct {
	batch *pebble.Batch // nil: there is none
	turn  uint64        // whose batch it is
	min   uint32        // how many keys, and records, make it worth the while
	err   error         // the first there was
	work  chan *pebble.Batch
	done  chan error
}

// startApplying starts the goroutine, for turns that change as many keys. It calls
// slowly, if that is not nil, before it applies one.
func (s *Store) startApplying(keysMin int, slowly func()) {
	s.applying.min = uint32(keysMin)
	work, done := make(chan *pebble.Batch, 1), make(chan error, 1)
	s.applying.work, s.applying.done = work, done
	go func() {
		for b := range work {
			if slowly != nil {
				slowly()
			}
			done <- s.db.Apply(b, pebble.NoSync)
		}
	}()
}

// apply applies a batch that the log has and that changes so many keys, or sees to it,
// and keeps it for another turn.
func (s *Store) apply(b *pebble.Batch, keys uint32) error {
	if err := s.awaitApplied(); err != nil {
		return err
	}
	if s.applying.work == nil || min(keys, b.Count()) < s.applying.min {
		err := s.db.Apply(b, pebble.NoSync)
		s.keepBatch(b)
		return err
	}
	s.applying.batch, s.applying.turn = b, s.turn.seq
	s.applying.work <- b
	return nil
}

// awaitApplied waits for the batch on its way. After an error the store must not be used
// again.
func (s *Store) awaitApplied() error {
	if b := s.applying.batch; b != nil {
		if err := <-s.applying.done; err != nil && s.applying.err == nil {
			s.applying.err = err
		}
		s.applying.batch = nil
		s.keepBatch(b)
	}
	return s.applying.err
}

// stopApplying ends the goroutine. After a commit that has failed nobody waits: what is on
// its way may wait for the engine, and that for the end of the process.
func (s *Store) stopApplying() {
	if s.failed == nil {
		s.failed = s.awaitApplied()
	}
	close(s.applying.work)
}

// keepBatch keeps a batch that was applied, with its memory, for another turn. One with
// an index goes back to the pool.
func (s *Store) keepBatch(b *pebble.Batch) {
	if s.spare == nil && !b.Indexed() {
		s.spare = b
		return
	}
	_ = b.Close() // cannot fail
}

// appliedReader reads Pebble in the loop, when what is on its way has arrived.
type appliedReader struct{ s *Store }

// Get implements pebble.Reader.
func (r appliedReader) Get(key []byte) (value []byte, closer io.Closer, err error) {
	if err := r.s.awaitApplied(); err != nil {
		return nil, nil, err
	}
	return r.s.db.Get(key)
}

// NewIter implements pebble.Reader.
func (r appliedReader) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	if err := r.s.awaitApplied(); err != nil {
		return nil, err
	}
	return r.s.db.NewIter(o)
}

// NewIterWithContext implements pebble.Reader.
func (r appliedReader) NewIterWithContext(ctx context.Context, o *pebble.IterOptions) (*pebble.Iterator, error) {
	if err := r.s.awaitApplied(); err != nil {
		return nil, err
	}
	return r.s.db.NewIterWithContext(ctx, o)
}

// Close implements pebble.Reader: the database stays open.
func (r appliedReader) Close() error { return nil }
