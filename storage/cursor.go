package storage

import "github.com/cockroachdb/pebble/v2"

// Cursor reads records of one object by their keys. For keys in ascending order,
// near each other, that costs a fraction of as many calls of Tx.Get. What is
// written to the object meanwhile is not seen. It has to be closed.
type Cursor struct {
	tx  *Tx
	it  *pebble.Iterator
	id  uint64
	key []byte
}

// Cursor returns a cursor over the object's records.
func (tx *Tx) Cursor(o *Object) *Cursor {
	lo, hi := recordBounds(o.id, nil, nil)
	it, err := tx.viewOf(o).NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		tx.fail("open an iterator", err)
	}
	return &Cursor{tx: tx, it: it, id: o.id}
}

// Get returns the record sub, which is valid until the next call.
func (c *Cursor) Get(sub []byte) (value []byte, ok bool) {
	if c.it == nil {
		return nil, false
	}
	if c.tx.readOnly && c.tx.unwanted.Load() {
		panic(Unwanted{})
	}
	c.key = appendRecordKey(c.key[:0], c.id, sub)
	if !c.it.SeekGE(c.key) || string(c.it.Key()) != string(c.key) {
		return nil, false
	}
	value, err := c.it.ValueAndErr()
	if err != nil {
		c.tx.fail("read a record", err)
		return nil, false
	}
	return value, true
}

// Close gives back what the cursor holds.
func (c *Cursor) Close() {
	if c.it == nil {
		return
	}
	if err := c.it.Close(); err != nil {
		c.tx.fail("read records", err)
	}
	c.it = nil
}
