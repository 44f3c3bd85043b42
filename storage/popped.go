package storage

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// What was popped from lists and is not yet confirmed stays in records beside
// the keys, in the order in which it was popped, until somebody says that it has
// arrived or has to go back. What is in a record is the business of package
// lists.

func appendPoppedKey(dst []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, kindPopped), seq)
}

// PutPopped stores what was popped and returns its number, which is greater than
// all before it.
func (tx *Tx) PutPopped(record []byte) (seq uint64) {
	tx.writable()
	tx.edits++
	seq = tx.store.newID()
	tx.scratch = appendPoppedKey(tx.scratch[:0], seq)
	tx.check(tx.batch.Set(tx.scratch, record, nil))
	return seq
}

// Popped returns a record of PutPopped; there may be none any more after FLUSHALL.
func (tx *Tx) Popped(seq uint64) ([]byte, bool) {
	tx.scratch = appendPoppedKey(tx.scratch[:0], seq)
	value, closer, err := tx.view(tx.batch != nil && !tx.batch.Empty()).Get(tx.scratch)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false
	}
	if err != nil {
		tx.fail("read what was popped", err)
		return nil, false
	}
	out := append([]byte(nil), value...)
	_ = closer.Close() // releases a block of the cache, cannot fail
	return out, true
}

// DeletePopped removes a record of PutPopped.
func (tx *Tx) DeletePopped(seq uint64) {
	tx.writable()
	tx.edits++
	tx.store.unflushed.deleted++
	tx.scratch = appendPoppedKey(tx.scratch[:0], seq)
	tx.check(tx.batch.SingleDelete(tx.scratch, nil))
}

// EachPopped calls yield for all records of PutPopped, the oldest first, until it
// returns an error.
func (s *Store) EachPopped(yield func(seq uint64, record []byte) error) (err error) {
	tx := s.turn.views[0]
	tx.scan(s.reader(), []byte{kindPopped}, []byte{kindPopped + 1}, false, func(k, v []byte) bool {
		if len(k) != 9 {
			err = errPoppedKey
		} else {
			err = yield(binary.BigEndian.Uint64(k[1:]), v)
		}
		return err == nil
	})
	if err == nil {
		err = tx.err
	}
	return err
}

var errPoppedKey = fmt.Errorf("%w: the number of what was popped has not 8 bytes", ErrDamaged)

func appendDeliveriesKey(dst []byte, ref KeyRef, message uint64) []byte {
	dst = append(dst, kindDeliveries, byte(ref.DB))
	return append(binary.BigEndian.AppendUint64(dst, message), ref.Key...)
}

// PutDeliveries stores how often a message of a list was delivered; it is named
// by a hash. 0 removes the record.
func (tx *Tx) PutDeliveries(ref KeyRef, message uint64, n uint64) {
	tx.writable()
	tx.scratch = appendDeliveriesKey(tx.scratch[:0], ref, message)
	if n == 0 {
		tx.check(tx.batch.Delete(tx.scratch, nil))
		return
	}
	tx.check(tx.batch.Set(tx.scratch, binary.AppendUvarint(nil, n), nil))
}

// EachDeliveries calls yield for all records of PutDeliveries.
func (s *Store) EachDeliveries(yield func(ref KeyRef, message, n uint64)) error {
	tx := s.turn.views[0]
	tx.scan(s.reader(), []byte{kindDeliveries}, []byte{kindDeliveries + 1}, false, func(k, v []byte) bool {
		n, size := binary.Uvarint(v)
		if len(k) < 10 || k[1] >= Databases || size <= 0 {
			tx.fail("read how often messages were delivered", errDeliveries)
			return false
		}
		yield(KeyRef{DB: int(k[1]), Key: string(k[10:])}, binary.BigEndian.Uint64(k[2:]), n)
		return true
	})
	return tx.err
}

var errDeliveries = fmt.Errorf("%w: a record that makes no sense", ErrDamaged)
