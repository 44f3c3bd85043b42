package storage

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// SetExpiry makes the object run out at the given unix time in ms, or never (0).
func (tx *Tx) SetExpiry(o *Object, at int64) {
	tx.writable()
	tx.edits++
	tx.setExpiry(o, at)
	tx.markDirty(o)
	tx.touch(o)
}

func (tx *Tx) setExpiry(o *Object, at int64) {
	if o.expireAt != 0 {
		tx.batchKey(func(k []byte) []byte { return appendExpiryKey(k, o.expireAt, o.space.id, o.Key) }, opDelete)
		o.space.expiring--
		o.space.dirty = true
	}
	o.expireAt = at
	if at != 0 {
		tx.batchKey(func(k []byte) []byte { return appendExpiryKey(k, at, o.space.id, o.Key) }, opPut)
		tx.store.expiryAdded(at, tx.scratch)
		o.space.expiring++
		o.space.dirty = true
	}
}

// Rename moves the object to a key of a database (this turn's view of it),
// where there must be none, with its expiry. It returns the object there; o is
// gone.
func (tx *Tx) Rename(o *Object, to *Tx, key []byte) *Object {
	dst := to.find(key)
	if dst.typ != TypeNone {
		panic("storage: rename onto a key that exists: " + dst.Key)
	}
	tx.writable()
	tx.edits++
	expireAt := o.expireAt
	if expireAt != 0 {
		tx.setExpiry(o, 0)
	}
	dst.typ, dst.id = o.typ, o.id
	dst.State, dst.Meta = o.State, o.Meta
	dst.written, dst.writtenIn = o.written, o.writtenIn
	dst.lastUsed = tx.now
	dst.space.keys++
	dst.space.dirty = true
	if expireAt != 0 {
		to.setExpiry(dst, expireAt)
	}
	tx.markDirty(dst)
	tx.touch(dst)
	tx.MarkReady(dst)
	tx.Event(dst, TypeNone, "new")

	o.typ = TypeNone
	o.State, o.Meta = nil, nil
	o.written = false
	o.space.keys--
	o.space.dirty = true
	tx.markDirty(o)
	tx.touch(o)
	tx.MarkReady(o)
	return dst
}

// Copy copies the object with its expiry to a key of a database where there
// must be none.
func (tx *Tx) Copy(o *Object, to *Tx, key []byte) *Object {
	tx.flush(o)
	meta := o.appendMeta(nil)
	dst := to.Create(key, o.typ)
	id, onDisk := dst.id, dst.onDisk
	for sub, value := range tx.Scan(o, nil, nil, false) {
		tx.Put(dst, sub, value)
	}
	if err := dst.decodeMeta(meta); err != nil {
		panic("storage: metadata do not survive a round trip: " + err.Error())
	}
	dst.id, dst.onDisk = id, onDisk // a key dropped in this turn is still there
	expireAt := dst.expireAt
	dst.expireAt = 0
	if expireAt != 0 {
		to.setExpiry(dst, expireAt)
	}
	tx.touch(dst)
	tx.MarkReady(dst)
	return dst
}

// Keys returns how many keys the database has; those that have run out and were
// not yet noticed count.
func (tx *Tx) Keys() int64 { return tx.dbs[tx.db].keys }

// Expiring returns how many keys of the database have an expiry.
func (tx *Tx) Expiring() int64 { return tx.dbs[tx.db].expiring }

// FlushDB removes all keys of the database in constant time.
func (tx *Tx) FlushDB() {
	var keys int64
	for _, sp := range tx.dbs {
		keys += sp.keys
	}
	switch own := tx.Keys(); {
	case own == 0:
	case own == keys:
		tx.FlushAll()
	default:
		tx.flushDB()
	}
}

// flushDB leaves the keys of the database to the sweeper.
func (tx *Tx) flushDB() {
	tx.writable()
	tx.edits++
	// The metadata have to be walked to find the ids; the sweeper does that.
	// What this turn has changed must be among them.
	tx.settleAll()
	tx.flushDirty()
	old := tx.dbs[tx.db]
	tx.batchKey(func(k []byte) []byte { return appendDroppedKey(k, old.id) }, opPut)
	tx.store.droppedSpaces = append(tx.store.droppedSpaces, old.id)
	tx.replaceSpace(tx.db)
}

// flushWholeMin is the number of keys from which on FLUSHALL removes everything
// there is by range tombstones. Fewer are left to the sweeper, which removes them
// one by one: each range tombstone is looked at by every read, so that somebody
// who empties a small store again and again would slow down everybody else.
const flushWholeMin = 1000

// FlushAll removes all keys of all databases in constant time.
func (tx *Tx) FlushAll() {
	var keys int64
	for _, sp := range tx.dbs {
		keys += sp.keys
	}
	if keys >= flushWholeMin {
		tx.flushWhole()
		return
	}
	for db, sp := range tx.dbs {
		if sp.keys > 0 {
			tx.In(db).flushDB()
		}
	}
}

func (tx *Tx) flushWhole() {
	tx.writable()
	tx.edits++
	tx.settleAll()
	// In a batch later entries win, so this also covers what the turn wrote
	// before. Ids are never used again.
	for _, kind := range []byte{kindRecord, kindMeta, kindCount, kindExpiry, kindGarbage, kindDropped} {
		tx.check(tx.batch.DeleteRange([]byte{kind}, []byte{kind + 1}, nil))
	}
	tx.store.droppedSpaces, tx.store.droppedCursor = nil, 0
	for db := range tx.dbs {
		tx.replaceSpace(db)
	}
}

func (tx *Tx) replaceSpace(db int) {
	// Its objects leave the cache as those do that are not used any more: to take
	// out each of them now would take longer the larger the cache is.
	tx.dbs[db].dead = true
	tx.store.nextSpace++
	sp := newSpace(tx.store.nextSpace, db)
	sp.dirty = true
	tx.dbs[db] = sp
	tx.store.stateDirty = true
	tx.moved = append(tx.moved, db)
}

// SwapDB exchanges the keys of two databases.
func (tx *Tx) SwapDB(a, b int) {
	tx.writable()
	tx.edits++
	tx.dbs[a], tx.dbs[b] = tx.dbs[b], tx.dbs[a]
	tx.dbs[a].db, tx.dbs[b].db = a, b
	tx.store.stateDirty = true
	tx.moved = append(tx.moved, a, b)
}

// KeyInfo is what a walk over the keyspace tells of a key. Key is valid until
// the next step only.
type KeyInfo struct {
	Key      []byte
	Type     Type
	ExpireAt int64
}

// ScanKeys walks the keys of the database in the order of SCAN, from cursor on,
// until yield returns false. It returns the cursor to go on from, 0 at the end.
// All keys of one cursor position come together: yield is asked between
// positions only.
func (tx *Tx) ScanKeys(cursor uint64, yield func(KeyInfo) (more bool)) (next uint64) {
	return tx.ScanSome(cursor, math.MaxInt, yield)
}

// ScanSome is ScanKeys that ends, with the cursor to go on from, when it has come
// past about so many keys: also of those that are no more, or that have run out,
// of which there may be a million for one that is there.
func (tx *Tx) ScanSome(cursor uint64, steps int, yield func(KeyInfo) (more bool)) (next uint64) {
	if cursor >= 1<<hashBits {
		return 0
	}
	sp := tx.dbs[tx.db]
	tx.settleAll()
	if !tx.readOnly && len(tx.dirty) > 0 {
		tx.flushDirty()
	}
	stop, at := false, uint64(0)
	return tx.walkMeta(tx.view(tx.batch != nil && !tx.batch.Empty()), sp.id, cursor, steps, func(k, v []byte) bool {
		if stop && metaKeyHash(k) != at {
			return false
		}
		at = metaKeyHash(k)
		info := KeyInfo{Key: k[metaKeyPrefixLen:], Type: Type(v[0])}
		if v[1]&metaHasExpiry != 0 {
			info.ExpireAt = int64(binary.BigEndian.Uint64(v[10:]))
			if info.ExpireAt <= tx.nowMs {
				return true
			}
		}
		if !yield(info) {
			stop = true
		}
		return true
	})
}

// walkWidth is the part of a space that walkMeta takes first. How many steps that
// costs tells how large the next one may be.
const walkWidth = 1 << (hashBits - 12)

// walkMeta calls yield for the metadata of a space in the order of their hashes,
// from one on, until it returns false or about so many steps were made. It
// returns the hash to go on from, 0 at the end.
//
// An iterator does not tell of deleted keys, and does not come back before it has
// found one that is there. So the space is walked in parts: at the end of each it
// does come back.
func (tx *Tx) walkMeta(r pebble.Reader, space uint32, from uint64, steps int, yield func(k, v []byte) bool) (next uint64) {
	prefix := appendMetaPrefix(nil, space)
	end := after(prefix)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: appendHash(prefix, from), UpperBound: end})
	if err != nil {
		tx.fail("open an iterator", err)
		return 0
	}
	// Deferred: yield may end in a panic.
	defer func() {
		if err := it.Close(); err != nil {
			tx.fail("read metadata", err)
		}
	}()
	made, width := 0, uint64(walkWidth)
	for state := pebble.IterAtLimit; ; {
		limit := end
		if from += width; from < 1<<hashBits {
			limit = appendHash(slices.Clip(prefix), from)
		}
		if made == 0 {
			state = it.SeekGEWithLimit(appendHash(slices.Clip(prefix), from-width), limit)
		} else {
			state = it.NextWithLimit(limit)
		}
		for ; state == pebble.IterValid; state = it.NextWithLimit(limit) {
			if tx.readOnly && tx.unwanted.Load() {
				panic(Unwanted{})
			}
			value, err := it.ValueAndErr()
			if err != nil {
				tx.fail("read metadata", err)
				return 0
			}
			if !yield(it.Key(), value) {
				return metaKeyHash(it.Key())
			}
		}
		if state == pebble.IterExhausted || from >= 1<<hashBits {
			return 0
		}
		before := made
		if made = 1 + it.Stats().ForwardStepCount[pebble.InternalIterCall]; made > steps {
			return from
		}
		if made-before < steps/16 {
			width *= 2
		}
	}
}

// RandomKey returns a key at or behind a random place r of the order of SCAN;
// ok is false when there are no keys.
func (tx *Tx) RandomKey(r uint64) (key []byte, ok bool) {
	first := func(i KeyInfo) bool {
		if !ok {
			key, ok = append([]byte(nil), i.Key...), true
		}
		return false
	}
	tx.ScanKeys(r>>(64-hashBits), first)
	if !ok {
		tx.ScanKeys(0, first)
	}
	return key, ok
}
