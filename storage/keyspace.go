package storage

import "encoding/binary"

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
	dst.written = o.written
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
	others := false
	for _, sp := range tx.dbs {
		others = others || (sp.db != tx.db && sp.keys > 0)
	}
	if !others {
		tx.FlushAll()
		return
	}
	old := tx.dbs[tx.db]
	if old.keys == 0 {
		return
	}
	tx.writable()
	tx.edits++
	// The metadata have to be walked to find the ids; the sweeper does that.
	// What this turn has changed must be among them.
	tx.flushDirty()
	tx.batchKey(func(k []byte) []byte { return appendDroppedKey(k, old.id) }, opPut)
	tx.store.droppedSpaces = append(tx.store.droppedSpaces, old.id)
	tx.replaceSpace(tx.db)
}

// FlushAll removes all keys of all databases in constant time.
func (tx *Tx) FlushAll() {
	tx.writable()
	tx.edits++
	// In a batch later entries win, so this also covers what the turn wrote
	// before. Ids are never used again.
	for _, kind := range []byte{kindRecord, kindMeta, kindCount, kindExpiry, kindGarbage, kindDropped} {
		tx.check(tx.batch.DeleteRange([]byte{kind}, []byte{kind + 1}, nil))
	}
	tx.store.droppedSpaces, tx.store.droppedCursor = nil, nil
	for db := range tx.dbs {
		tx.replaceSpace(db)
	}
}

func (tx *Tx) replaceSpace(db int) {
	old := tx.dbs[db]
	old.dead = true
	for _, o := range old.objects {
		tx.store.cache.remove(o)
	}
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
	if cursor >= 1<<hashBits {
		return 0
	}
	sp := tx.dbs[tx.db]
	if !tx.readOnly && len(tx.dirty) > 0 {
		tx.flushDirty()
	}
	prefix := appendMetaPrefix(nil, sp.id)
	lo, hi := appendHash(prefix, cursor), after(prefix)
	stop, at := false, uint64(0)
	tx.scan(tx.view(tx.batch != nil && !tx.batch.Empty()), lo, hi, false, func(k, v []byte) bool {
		if stop && metaKeyHash(k) != at {
			next = metaKeyHash(k)
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
	return next
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
