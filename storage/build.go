package storage

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// # Building
//
// What takes long to write, as a copy of a huge key does, must neither hold
// everybody up nor be in one batch, which has to be in memory. So it is built
// beside what is there:
//
//	records   are written under an incarnation id that no key has yet, in many
//	          small parts, each of which joins the batch of some turn. With the
//	          first goes a record that the id is garbage: after a crash the
//	          sweeper removes what was built.
//	metadata  give the id to a key, in the turn that ends it: one small batch, in
//	          which the id is no longer garbage. For everybody else that is the
//	          moment at which the command took place.
//
// The parts are made in a goroutine, at a *site*: a Tx at which there is nothing
// but what is being built, and which can only be written to.

// partBytes is about how much of what is built joins one batch at a time.
const partBytes = 256 << 10

// Building is an object that no key has yet.
type Building struct {
	id    uint64
	begun bool // there are records
	ended bool // a key has it, or nobody will
}

// Built is an object that is complete but for a key.
type Built struct {
	Type     Type
	building *Building
	meta     []byte
}

// NewBuilding reserves an id to build under. It has to be given to a key (Adopt,
// Exchange) or abandoned.
func (s *Store) NewBuilding() *Building { return &Building{id: s.newID()} }

// Site returns where to build, for use in one other goroutine: a transaction in
// which an object of any name can be created and put to. emit takes the parts,
// which become its own; when it returns false they are not wanted any more, and
// writing panics with Unwanted.
func (s *Store) Site(b *Building, now time.Time, emit func(part []byte) bool) *Tx {
	t := &turn{store: s, seq: 1, now: now, nowMs: now.UnixMilli(), site: &site{b, emit}}
	for db := range t.dbs {
		t.dbs[db] = newSpace(0, db)
		t.views[db] = &Tx{turn: t, db: db}
	}
	return t.views[0]
}

// site is what is special about the turn of a building.
type site struct {
	building *Building
	emit     func(part []byte) bool
}

// inLoop reports whether the transaction is the loop's: neither a snapshot nor a
// site, which have no part in what is shared.
func (tx *Tx) inLoop() bool { return !tx.readOnly && tx.site == nil }

// partDone hands over what has been put, if that is a part.
func (tx *Tx) partDone(bytesMin int) {
	if tx.batch == nil || tx.batch.Empty() || tx.batch.Len() < bytesMin {
		return
	}
	if tx.err != nil {
		panic("storage: put at a site: " + tx.err.Error())
	}
	part := append([]byte(nil), tx.batch.Repr()...)
	tx.batch.Reset()
	if !tx.site.emit(part) {
		panic(Unwanted{})
	}
}

// CopyFrom builds a copy of an object of a snapshot.
func (tx *Tx) CopyFrom(from *Tx, o *Object) *Built {
	meta := o.appendMeta(nil)
	copied := &Object{id: tx.site.building.id}
	for sub, value := range from.Scan(o, nil, nil, false) {
		tx.Put(copied, sub, value)
	}
	tx.partDone(0)
	return &Built{o.typ, tx.site.building, meta}
}

// Complete ends the building of an object that was created at the site.
func (tx *Tx) Complete(o *Object) *Built {
	if o.State != nil {
		o.State.Flush(tx, o)
	}
	tx.partDone(0)
	return &Built{o.typ, tx.site.building, o.appendMeta(nil)}
}

// ---- in the loop -----------------------------------------------------------

// AddPart writes a part of what is being built.
func (tx *Tx) AddPart(b *Building, part []byte) {
	if b.ended {
		return // it came too late
	}
	tx.writable()
	if !b.begun {
		b.begun = true
		tx.store.buildings[b.id] = true
		tx.batchKey(func(k []byte) []byte { return appendGarbageKey(k, b.id) }, opPut)
	}
	var batch pebble.Batch
	tx.check(batch.SetRepr(part))
	tx.check(tx.batch.Apply(&batch, nil))
}

// Abandon leaves what was built so far to the sweeper.
func (tx *Tx) Abandon(b *Building) {
	if b.ended {
		return
	}
	b.ended = true
	if b.begun {
		delete(tx.store.buildings, b.id)
		tx.store.garbage(b.id)
	}
}

// Adopt gives what was built to a key, in place of what that has; the key keeps
// nothing of it, and gets the expiry with which the object was built. It marks
// the key ready.
func (tx *Tx) Adopt(key []byte, b *Built) *Object {
	o := tx.find(key)
	if o.typ != TypeNone {
		tx.Overwrite(o, b.Type)
	} else {
		o = tx.Create(key, b.Type)
	}
	onDisk := o.onDisk // a key dropped in this turn is still there
	tx.take(o, b)
	expireAt := o.expireAt
	if o.expireAt, o.onDisk = 0, onDisk; expireAt != 0 {
		tx.setExpiry(o, expireAt)
	}
	tx.touch(o)
	tx.MarkReady(o)
	return o
}

// Exchange gives an object other contents, which were built; its key, its type
// and its expiry stay. What happened is the caller's to report.
func (tx *Tx) Exchange(o *Object, b *Built) {
	if o.typ != b.Type {
		panic("storage: exchange of types: " + o.Key)
	}
	tx.writable()
	tx.edits++
	tx.leaveRecords(o)
	expireAt, onDisk := o.expireAt, o.onDisk
	tx.take(o, b)
	o.expireAt, o.onDisk = expireAt, onDisk
	tx.markDirty(o)
}

// take makes o what was built.
func (tx *Tx) take(o *Object, b *Built) {
	if b.building.ended {
		panic("storage: what was built is given away twice: " + o.Key)
	}
	b.building.ended = true
	if err := o.decodeMeta(b.meta); err != nil {
		panic("storage: metadata do not survive a round trip: " + err.Error())
	}
	o.id = b.building.id
	o.written = true // perhaps in this very turn
	if b.building.begun {
		delete(tx.store.buildings, o.id)
		tx.batchKey(func(k []byte) []byte { return appendGarbageKey(k, o.id) }, opDelete)
	}
}

// ---- guards ----------------------------------------------------------------

// Guard remembers how a key is, there or not, to tell later whether it is still
// so.
type Guard struct {
	o       *Object
	changes uint64
}

// Guard returns a guard of the key, which has to be taken off (Unguard).
func (tx *Tx) Guard(key []byte) Guard {
	o := tx.find(key)
	o.guards++
	return Guard{o, o.changes}
}

// Unguard takes a guard off, and reports whether the key is as it was.
func (tx *Tx) Unguard(g Guard) (same bool) {
	o := g.o
	o.guards--
	return !o.space.dead && o.space.objects[o.Key] == o && o.changes == g.changes
}
