package storage

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cairnmq/cairn/resp"
)

// Databases is how many numbered databases there are. It is part of the format
// on disk.
const Databases = 16

// space is the set of keys that a database number shows at the moment.
type space struct {
	id       uint32
	db       int // the number that shows it
	keys     int64
	expiring int64              // keys with an expiry
	objects  map[string]*Object // those in memory, missing ones too (TypeNone)
	dirty    bool               // keys has changed in this turn
	dead     bool               // flushed: nothing of it is to be written any more
}

func newSpace(id uint32, db int) *space {
	return &space{id: id, db: db, objects: make(map[string]*Object)}
}

// turn is the state that the transactions of one turn share, whatever their
// database.
type turn struct {
	store  *Store
	dbs    [Databases]*space
	reader pebble.Reader // what is committed: the database or a snapshot
	// batch collects the turn's writes. It is indexed only once somebody has to
	// read what the same turn wrote, which is rare; see Tx.view.
	batch    *pebble.Batch
	indexed  bool
	readOnly bool  // a snapshot
	site     *site // where something is built; nil: nowhere
	unwanted atomic.Bool
	views    [Databases]*Tx

	seq   uint64 // of the turn
	now   time.Time
	nowMs int64
	// NoTouch is set while a command runs that does not count as a use of keys,
	// ReportMisses while look-ups of keys that do not exist are events.
	NoTouch      bool
	ReportMisses bool

	dirty   []*Object
	used    []*Object
	edits   int
	held    int64 // bytes that states hold back
	hits    int64 // look-ups since TakeLookups
	misses  int64
	err     error
	scratch []byte

	ready   []KeyRef
	touched []KeyRef
	moved   []int
	events  []Event

	timers map[string]timerPlace // those that the turn has changed
}

// KeyRef names a key and the database it is in.
type KeyRef struct {
	DB  int
	Key string
}

// Event is something that happened to a key, in the words of Redis' keyspace
// notifications (https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/).
type Event struct {
	KeyRef
	Type Type   // TypeNone for events of keys in general
	Name string // "lpush", "del", "expired", …
	// Changes is how many changes the unit had reported before (Tx.Touched).
	Changes int
}

// Tx is a database within a turn: what command handlers and data types read
// and write.
type Tx struct {
	*turn
	db int
}

// In returns the same turn's view of another database, 0 to Databases-1.
func (tx *Tx) In(db int) *Tx { return tx.views[db] }

// DB returns the number of the database.
func (tx *Tx) DB() int { return tx.db }

// Now returns the time of the turn: the only clock there is.
func (tx *Tx) Now() time.Time { return tx.now }

// NowMillis returns the time of the turn as unix time in milliseconds.
func (tx *Tx) NowMillis() int64 { return tx.nowMs }

// ReadOnly reports whether the transaction reads a snapshot.
func (tx *Tx) ReadOnly() bool { return tx.readOnly }

// Edits counts the changes of the turn so far. A handler that answers an error
// must not have moved it; keys that were found to have run out do not count.
func (tx *Tx) Edits() int { return tx.edits }

// Aside runs do, whose changes are not the command's doing: it may still answer an
// error.
func (tx *Tx) Aside(do func()) {
	edits := tx.edits
	do()
	tx.edits = edits
}

// TakeLookups returns how many keys were looked up since the last call, those
// that existed and those that did not.
func (tx *Tx) TakeLookups() (hits, misses int64) {
	hits, misses = tx.hits, tx.misses
	tx.hits, tx.misses = 0, 0
	return hits, misses
}

// Err returns the first failure to read the store. What was read since is not
// to be trusted, and the process has to end.
func (tx *Tx) Err() error { return tx.err }

// Fail reports that a data type cannot make sense of a record; see Err.
func (tx *Tx) Fail(doing string, err error) { tx.fail(doing, err) }

func (tx *Tx) fail(doing string, err error) {
	if tx.err == nil {
		tx.err = fmt.Errorf("%s: %w", doing, damage(err))
	}
}

// Open returns the object at key if it has the given type, nil if there is
// none, ErrWrongType if there is another.
func (tx *Tx) Open(key []byte, t Type) (*Object, error) {
	o := tx.Lookup(key)
	if o == nil {
		return nil, nil
	}
	if o.typ != t {
		return nil, ErrWrongType
	}
	return o, nil
}

// Lookup returns the object at key, whatever its type, or nil. An object that
// has run out is removed on the way.
func (tx *Tx) Lookup(key []byte) *Object {
	o := tx.find(key)
	if o.typ == TypeNone {
		tx.misses++
		if tx.ReportMisses {
			tx.Event(o, TypeNone, "keymiss")
		}
		return nil
	}
	tx.hits++
	if !tx.NoTouch {
		o.lastUsed = tx.now
	}
	return o
}

// Peek is Lookup without counting as a use of the key.
func (tx *Tx) Peek(key []byte) *Object {
	o := tx.find(key)
	if o.typ == TypeNone {
		return nil
	}
	return o
}

// find returns the object at key; a missing one has TypeNone.
func (tx *Tx) find(key []byte) *Object {
	sp := tx.dbs[tx.db]
	o := sp.objects[string(key)]
	if o == nil {
		o = tx.load(sp, string(key))
	}
	tx.use(o)
	if o.expireAt != 0 && o.expireAt <= tx.nowMs {
		tx.expire(o)
	}
	return o
}

// CacheShare returns how many bytes a State may keep of what could be read again,
// so that all that are in use fit into the cache.
func (tx *Tx) CacheShare() int {
	if !tx.inLoop() {
		return math.MaxInt
	}
	return tx.store.cache.share()
}

// use notes that the turn has used o.
func (tx *Tx) use(o *Object) {
	if o.usedIn != tx.seq {
		o.usedIn = tx.seq
		tx.used = append(tx.used, o)
		if tx.inLoop() {
			tx.store.cache.front(o)
		}
	}
}

func (tx *Tx) load(sp *space, key string) *Object {
	o := &Object{Key: key, space: sp, lastUsed: tx.now}
	if tx.site != nil { // where there is nothing yet
		sp.objects[key] = o
		return o
	}
	tx.scratch = tx.store.appendMetaKey(tx.scratch[:0], sp.id, key)
	value, closer, err := tx.reader.Get(tx.scratch)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		tx.fail("read metadata", err)
	default:
		if err := o.decodeMeta(value); err != nil {
			tx.fail(fmt.Sprintf("metadata of key %q", key), err)
			o.typ = TypeNone
		}
		_ = closer.Close() // releases a block of the cache, cannot fail
	}
	sp.objects[key] = o
	if tx.inLoop() {
		tx.store.cache.add(o)
	}
	return o
}

// Create makes an object at a key that has none. The caller sets its State.
func (tx *Tx) Create(key []byte, t Type) *Object {
	o := tx.find(key)
	if o.typ != TypeNone {
		panic("storage: create of a key that exists: " + o.Key)
	}
	tx.create(o, t)
	tx.Event(o, TypeNone, "new")
	return o
}

// Overwrite drops the object and makes another one in its place. The caller
// sets its State. For those who listen the key has been there all the time.
func (tx *Tx) Overwrite(o *Object, t Type) {
	tx.Drop(o)
	tx.create(o, t)
}

func (tx *Tx) create(o *Object, t Type) {
	tx.writable()
	tx.edits++
	o.typ = t
	if tx.site != nil {
		o.id = tx.site.building.id
	} else {
		o.id = tx.store.newID()
	}
	o.expireAt = 0
	o.State, o.Meta = nil, nil
	o.lastUsed = tx.now
	o.space.keys++
	o.space.dirty = true
	tx.markDirty(o)
}

// Drop removes the object with all its records and expiry. It is quick however
// many records there are. It marks the key ready, for those who wait for its
// end.
func (tx *Tx) Drop(o *Object) {
	if o.typ == TypeNone {
		panic("storage: drop of a key that does not exist: " + o.Key)
	}
	tx.leaveRecords(o)
	tx.DropEmpty(o)
}

// leaveRecords leaves the object's records to the sweeper.
func (tx *Tx) leaveRecords(o *Object) {
	tx.writable()
	places := []byte(nil)
	if state, ok := o.State.(Placed); ok {
		places = appendPlaces(nil, state.Places())
	}
	tx.scratch = appendGarbageKey(tx.scratch[:0], o.id)
	tx.check(tx.batch.Set(tx.scratch, places, nil))
	tx.store.garbage(o.id)
}

// DropEmpty is Drop for an object whose records have all been deleted already.
func (tx *Tx) DropEmpty(o *Object) {
	tx.writable()
	tx.edits++
	if o.expireAt != 0 {
		tx.setExpiry(o, 0)
	}
	o.typ = TypeNone
	o.State, o.Meta = nil, nil
	o.written = false
	o.space.keys--
	o.space.dirty = true
	tx.markDirty(o)
	tx.touch(o)
	tx.MarkReady(o)
}

// expire removes an object whose time has come.
func (tx *Tx) expire(o *Object) {
	if tx.readOnly {
		o.typ = TypeNone
		o.expireAt = 0
		return
	}
	tx.Aside(func() {
		tx.Drop(o)
		tx.Event(o, TypeNone, "expired")
		tx.store.Expired++
	})
}

// Changed says that the object is not what it was: its metadata are written at
// the end of the turn, whoever watches the key learns of it, and event goes to
// those who listen for keyspace events of the object's type ("" for none).
func (tx *Tx) Changed(o *Object, event string) {
	tx.touch(o)
	tx.ChangedQuietly(o, event)
}

// ChangedQuietly is Changed for what does not count as a change of the key to
// those who watch it: in Redis all that concerns a stream's groups, and XSETID.
func (tx *Tx) ChangedQuietly(o *Object, event string) {
	tx.writable()
	tx.edits++
	tx.markDirty(o)
	if tx.inLoop() && tx.store.WantRoom {
		tx.MarkReady(o)
	}
	if event != "" {
		tx.Event(o, o.typ, event)
	}
}

// Soft says that something of the object changed that may be lost in a crash
// (when a consumer was last seen): it is written with the turn if there is
// anything else to write, but nobody waits for the disk on its account.
func (tx *Tx) Soft(o *Object) {
	if !o.soft && tx.inLoop() {
		o.soft = true
		tx.store.soft = append(tx.store.soft, o)
	}
}

// Event reports an event of a key; t is TypeNone for events of keys in general
// ("del", "expire").
func (tx *Tx) Event(o *Object, t Type, name string) {
	if tx.inLoop() && tx.store.WantEvents {
		tx.events = append(tx.events, Event{KeyRef{o.space.db, o.Key}, t, name, len(tx.touched)})
	}
}

func (tx *Tx) markDirty(o *Object) {
	o.changes++
	if !o.dirty {
		o.dirty = true
		tx.dirty = append(tx.dirty, o)
	}
}

func (tx *Tx) touch(o *Object) {
	if tx.inLoop() && tx.store.WantTouched {
		tx.touched = append(tx.touched, KeyRef{o.space.db, o.Key})
	}
}

// MarkReady says that whoever waits for the key should look again: it came into
// being, grew, or went away. That is all a data type has to say about waiting.
func (tx *Tx) MarkReady(o *Object) {
	if tx.inLoop() && tx.store.WantReady {
		tx.ready = append(tx.ready, KeyRef{o.space.db, o.Key})
	}
}

// Touched returns the keys that the unit has changed so far, one entry for each
// change.
func (tx *Tx) Touched() []KeyRef { return tx.touched }

// TakeEvents returns the events that were reported since the last call, to be
// taken before the unit ends.
func (tx *Tx) TakeEvents() (events []Event) {
	events, tx.events = tx.events, tx.events[len(tx.events):]
	return events
}

// Unit ends a unit: it returns what the unit has reported since the last call.
// The slices are reused by the next unit.
func (tx *Tx) Unit() (report Report) {
	report = Report{Ready: tx.ready, Touched: tx.touched, Moved: tx.moved}
	tx.ready, tx.touched, tx.moved = tx.ready[len(tx.ready):], tx.touched[len(tx.touched):], nil
	return report
}

// Report is what a unit has reported to the broker.
type Report struct {
	Ready   []KeyRef // keys that waiters should look at
	Touched []KeyRef // keys that changed, for WATCH
	Moved   []int    // databases that show other keys than before
}

// Empty reports whether there is nothing in the report.
func (r *Report) Empty() bool {
	return len(r.Ready) == 0 && len(r.Touched) == 0 && len(r.Moved) == 0
}

// ---- records -------------------------------------------------------------

// Get returns the record sub of the object, as a copy.
func (tx *Tx) Get(o *Object, sub []byte) ([]byte, bool) {
	tx.scratch = appendRecordKey(tx.scratch[:0], o.id, sub)
	value, closer, err := tx.viewOf(o).Get(tx.scratch)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false
	}
	if err != nil {
		tx.fail("read a record", err)
		return nil, false
	}
	out := append([]byte(nil), value...)
	_ = closer.Close() // releases a block of the cache, cannot fail
	return out, true
}

// Put writes the record sub of the object.
func (tx *Tx) Put(o *Object, sub, value []byte) {
	tx.writable()
	op := tx.batch.SetDeferred(recordKeyPrefixLen+len(sub), len(value))
	appendRecordKey(op.Key[:0], o.id, sub)
	copy(op.Value, value)
	tx.check(op.Finish())
	o.written = true
	if tx.site != nil {
		tx.partDone(partBytes)
	}
}

// PutFunc is Put of a value of so many bytes, which fill writes in place.
func (tx *Tx) PutFunc(o *Object, sub []byte, size int, fill func(value []byte)) {
	tx.writable()
	op := tx.batch.SetDeferred(recordKeyPrefixLen+len(sub), size)
	appendRecordKey(op.Key[:0], o.id, sub)
	fill(op.Value)
	tx.check(op.Finish())
	o.written = true
	if tx.site != nil {
		tx.partDone(partBytes)
	}
}

// Delete removes the record sub of the object.
func (tx *Tx) Delete(o *Object, sub []byte) {
	tx.writable()
	tx.store.unflushed.deleted++
	op := tx.batch.DeleteDeferred(recordKeyPrefixLen + len(sub))
	appendRecordKey(op.Key[:0], o.id, sub)
	tx.check(op.Finish())
	o.written = true
}

// DeleteOnce is Delete for a record that was put exactly once since it was last
// deleted. Put and DeleteOnce annihilate each other in memory: a message that
// is consumed soon never reaches an sstable. For a record that was overwritten
// the result would be undefined.
func (tx *Tx) DeleteOnce(o *Object, sub []byte) {
	tx.writable()
	tx.store.unflushed.deleted++
	op := tx.batch.SingleDeleteDeferred(recordKeyPrefixLen + len(sub))
	appendRecordKey(op.Key[:0], o.id, sub)
	tx.check(op.Finish())
	o.written = true
}

// Clear removes the records with from <= sub < to (a nil to: all from there on),
// of which there may be none or a million.
func (tx *Tx) Clear(o *Object, from, to []byte) {
	lo, hi := recordBounds(o.id, from, to)
	tx.dropRecords(tx.view(o.written), lo, hi)
	o.written = true
}

// ErrTooMuch is the reply to a command that would write too much at once.
const ErrTooMuch resp.Error = "ERR the command would write more at once than fits into memory"

// recordBytes is about what a record takes in the batch beside its key and value.
const recordBytes = 16

// Written returns how many bytes the turn has written so far, those included that
// are to be written when it ends.
func (tx *Tx) Written() int64 {
	if tx.batch == nil {
		return tx.held
	}
	return tx.held + int64(tx.batch.Len())
}

// Hold says that a State holds back so many bytes more (or fewer, if negative)
// than before, which will be written when the turn ends.
func (tx *Tx) Hold(bytes int) { tx.held += int64(bytes) }

// Fits reports whether the turn may write so many records of so many bytes more.
// Who has only what a client has sent need not ask.
func (tx *Tx) Fits(records, bytes int64) bool {
	left := tx.store.batchBytesMax - tx.Written() - bytes
	return left >= 0 && records <= left/recordBytes
}

// FitsCopy reports whether the turn may copy the object.
func (tx *Tx) FitsCopy(o *Object) bool {
	if o.dirty && o.State != nil {
		o.State.Flush(tx, o)
	}
	records, bytes, fits := int64(0), int64(0), true
	for sub, value := range tx.Scan(o, nil, nil, false) {
		records++
		bytes += int64(recordKeyPrefixLen + len(sub) + len(value))
		if fits = tx.Fits(records, bytes); !fits {
			break
		}
	}
	return fits
}

// DeleteRange is Clear for what are known to be many records: it writes a range
// tombstone, without looking.
func (tx *Tx) DeleteRange(o *Object, from, to []byte) {
	tx.writable()
	lo, hi := recordBounds(o.id, from, to)
	tx.store.unflushed.deleted += flushTakenMin // it may be as many
	tx.check(tx.batch.DeleteRange(lo, hi, nil))
	o.written = true
}

func recordBounds(id uint64, from, to []byte) (lo, hi []byte) {
	lo = appendRecordKey(nil, id, from)
	if to == nil {
		return lo, appendRecordKey(nil, id+1, nil)
	}
	return lo, appendRecordKey(nil, id, to)
}

// Scan returns the records with from <= sub < to (a nil to: all from there on)
// in order, or in reverse. Both slices are valid until the next step only.
// What is written to the object meanwhile is not seen.
func (tx *Tx) Scan(o *Object, from, to []byte, reverse bool) iter.Seq2[[]byte, []byte] {
	return func(yield func(sub, value []byte) bool) {
		lo, hi := recordBounds(o.id, from, to)
		tx.scan(tx.viewOf(o), lo, hi, reverse, func(k, v []byte) bool {
			return yield(k[recordKeyPrefixLen:], v)
		})
	}
}

// view is what reads go to: what is committed, or, if the turn has written
// there, the batch on top of it. Only then is the batch worth an index.
func (tx *Tx) view(written bool) pebble.Reader {
	if !written {
		return tx.reader
	}
	if tx.inLoop() {
		if err := tx.store.awaitApplied(); err != nil {
			tx.fail("apply a turn", err)
		}
	}
	if !tx.indexed {
		indexed := tx.store.db.NewIndexedBatch()
		tx.check(indexed.Apply(tx.batch, nil))
		_ = tx.batch.Close() // back to the pool, cannot fail
		tx.batch, tx.indexed = indexed, true
	}
	return tx.batch
}

// viewOf is view for the records of an object. What is on its way into the memtable
// is not waited for if it has none of them.
func (tx *Tx) viewOf(o *Object) pebble.Reader {
	s := tx.store
	if o.written || !tx.inLoop() || s.applying.batch == nil || o.writtenIn == s.applying.turn {
		return tx.view(o.written)
	}
	return s.db
}

// scan calls yield for the Pebble keys lo <= k < hi until it returns false.
func (tx *Tx) scan(r pebble.Reader, lo, hi []byte, reverse bool, yield func(k, v []byte) bool) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		tx.fail("open an iterator", err)
		return
	}
	// Deferred: yield may end in a panic, an inner scan's Unwanted among them.
	defer func() {
		if err := it.Close(); err != nil {
			tx.fail("read records", err)
		}
	}()
	step, ok := it.Next, false
	if reverse {
		step, ok = it.Prev, it.Last()
	} else {
		ok = it.First()
	}
	for ; ok; ok = step() {
		if tx.readOnly && tx.unwanted.Load() {
			panic(Unwanted{})
		}
		value, err := it.ValueAndErr()
		if err != nil {
			tx.fail("read a record", err)
			break
		}
		if !yield(it.Key(), value) {
			break
		}
	}
}

type op uint8

const (
	opPut op = iota
	opDelete
)

// batchKey writes or deletes a key without a value.
func (tx *Tx) batchKey(build func([]byte) []byte, o op) {
	tx.writable()
	tx.scratch = build(tx.scratch[:0])
	if o == opPut {
		tx.check(tx.batch.Set(tx.scratch, nil, nil))
	} else {
		tx.check(tx.batch.Delete(tx.scratch, nil))
	}
}

func (tx *Tx) writable() {
	if tx.readOnly {
		panic("storage: write in a snapshot")
	}
	if tx.batch == nil {
		if tx.site != nil {
			tx.batch = tx.store.db.NewBatch()
		} else {
			tx.batch = tx.store.newBatch()
		}
		tx.indexed = false
	}
}

func (tx *Tx) check(err error) {
	if err != nil {
		tx.fail("write to the batch", err)
	}
}
