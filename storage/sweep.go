package storage

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// The sweeper does what nobody waits for, in slices between the commands of
// clients: it removes keys whose time has come and nobody asked for, and the
// records of keys that were dropped. It is called by the broker as a unit of
// its own; it never runs beside anything.

// expiryAdded keeps nextExpiry, the time before which nothing runs out, and
// expiryFloor. key is that of the record.
func (s *Store) expiryAdded(at int64, key []byte) {
	if at < s.nextExpiry {
		s.nextExpiry = at
	}
	if bytes.Compare(key, s.expiryFloor) < 0 {
		s.expiryFloor = append(s.expiryFloor[:0], key...)
	}
}

// NextSweep returns when Sweep has something to do: at once when there is
// garbage, else when the next key runs out; ok is false if there is neither.
func (s *Store) NextSweep(now time.Time) (at time.Time, ok bool) {
	if s.hasGarbage || len(s.droppedSpaces) > 0 {
		return now, true
	}
	if s.nextExpiry == math.MaxInt64 || s.LeaveExpired {
		return time.Time{}, false
	}
	return time.UnixMilli(s.nextExpiry), true
}

// Sweep removes up to limit keys that have run out, and about as many records
// of dropped keys. It has to be the first unit of a turn.
func (tx *Tx) Sweep(limit int) {
	if tx.store.nextExpiry <= tx.nowMs && !tx.store.LeaveExpired {
		tx.sweepExpired(limit)
	}
	if len(tx.store.droppedSpaces) > 0 {
		tx.sweepSpace(limit)
	}
	if tx.store.hasGarbage {
		tx.sweepGarbage(limit)
	}
}

// sweepExpired works from expiryFloor on: records before it have been deleted,
// and walking over their tombstones again each time is what makes queues on an
// LSM tree slow. The floor is a key, not a time: a million keys may run out in
// the same millisecond.
func (tx *Tx) sweepExpired(limit int) {
	s := tx.store
	bySpace := make(map[uint32]*space, Databases)
	for _, sp := range tx.dbs {
		bySpace[sp.id] = sp
	}
	type due struct {
		at    int64
		space uint32
		key   string
	}
	var list []due
	next := int64(math.MaxInt64)
	lo, end := s.expiryFloor, []byte{kindExpiry + 1}
	s.expiryFloor = end
	tx.scan(tx.view(tx.batch != nil), lo, end, false, func(k, _ []byte) bool {
		at, spaceID, key := parseExpiryKey(k)
		if at > tx.nowMs || len(list) == limit {
			next, s.expiryFloor = at, bytes.Clone(k)
			return false
		}
		list = append(list, due{at, spaceID, string(key)})
		return true
	})
	for _, d := range list {
		if sp := bySpace[d.space]; sp != nil {
			if o := tx.In(sp.db).find([]byte(d.key)); o.typ != TypeNone && o.expireAt == d.at {
				panic("storage: a key outlived its expiry: " + d.key)
			}
		}
		// Usually deleted with the key just now; not if its space was flushed.
		tx.batchKey(func(k []byte) []byte { return appendExpiryKey(k, d.at, d.space, d.key) }, opDelete)
	}
	s.nextExpiry = next
}

// sweepSteps is how many keys, deleted ones among them, the sweeper passes for
// each that it may remove.
const sweepSteps = 20

// sweepSpace walks the metadata of a flushed space and makes each key's records
// garbage. The cursor is in memory only: after a restart the walk begins anew,
// which does no harm.
func (tx *Tx) sweepSpace(limit int) {
	s := tx.store
	id := s.droppedSpaces[0]
	n := 0
	s.droppedCursor = tx.walkMeta(tx.view(tx.batch != nil), id, s.droppedCursor, sweepSteps*limit, func(k, v []byte) bool {
		if n == limit {
			return false
		}
		n++
		tx.sweepMeta(id, k, v)
		return true
	})
	if s.droppedCursor == 0 {
		tx.batchKey(func(k []byte) []byte { return appendCountKey(k, id) }, opDelete)
		tx.batchKey(func(k []byte) []byte { return appendDroppedKey(k, id) }, opDelete)
		s.droppedSpaces = s.droppedSpaces[1:]
	}
}

// sweepMeta removes a key of a flushed space, but for its records.
func (tx *Tx) sweepMeta(space uint32, key, meta []byte) {
	garbage := binary.BigEndian.Uint64(meta[2:])
	tx.batchKey(func(k []byte) []byte { return appendGarbageKey(k, garbage) }, opPut)
	tx.store.garbage(garbage)
	if meta[1]&metaHasExpiry != 0 {
		at := int64(binary.BigEndian.Uint64(meta[10:]))
		tx.batchKey(func(k []byte) []byte { return appendExpiryKey(k, at, space, string(key[metaKeyPrefixLen:])) }, opDelete)
	}
	tx.batchKey(func(k []byte) []byte { return append(k, key...) }, opDelete)
}

// pointDeletesMax is the number of records up to which they are deleted one by
// one: a range tombstone is cheap to write but makes every read look at it, and
// after each one the next read sorts those in the memtable anew.
const pointDeletesMax = 256

func (s *Store) garbage(id uint64) {
	s.hasGarbage = true
	if id < s.garbageFloor {
		s.garbageFloor = id
	}
}

// sweepGarbage removes the records of dropped incarnations, lowest id first.
func (tx *Tx) sweepGarbage(limit int) {
	s := tx.store
	type garbage struct {
		id     uint64
		places []Place
	}
	var list []garbage
	more := false
	view := tx.view(tx.batch != nil)
	tx.scan(view, appendGarbageKey(nil, s.garbageFloor), []byte{kindGarbage + 1}, false, func(k, v []byte) bool {
		if len(list) == limit {
			more = true
			return false
		}
		if id := binary.BigEndian.Uint64(k[1:]); !s.buildings[id] {
			list = append(list, garbage{id, decodePlaces(bytes.Clone(v))})
		}
		return true
	})
	done := 0
	for budget := limit; done < len(list) && budget > 0; done++ {
		g := list[done]
		for _, p := range g.places {
			lo, hi := recordBounds(g.id, p.From, p.To)
			budget -= tx.dropRecords(view, lo, hi)
		}
		tx.batchKey(func(k []byte) []byte { return appendGarbageKey(k, g.id) }, opDelete)
		s.garbageFloor = g.id + 1
	}
	s.hasGarbage = more || done < len(list)
	if !s.hasGarbage {
		s.garbageFloor = math.MaxUint64
	}
}

const (
	// sweepBytesMax is how much of an object is read to delete its records one by
	// one: a key cannot be had without its value.
	sweepBytesMax = 1 << 20
	// sweepStepBytes is what takes about as long to read as a record to delete.
	sweepStepBytes = 8 << 10
)

// dropRecords deletes all records with lo <= key < hi and returns about how much
// work that was.
func (tx *Tx) dropRecords(view pebble.Reader, lo, hi []byte) (work int) {
	var keys [][]byte
	read, many := 0, false
	tx.scan(view, lo, hi, false, func(k, v []byte) bool {
		if len(keys) == pointDeletesMax || read > sweepBytesMax {
			many = true
			return false
		}
		keys = append(keys, append([]byte(nil), k...))
		read += len(v)
		return true
	})
	tx.writable()
	work = len(keys) + 1 + read/sweepStepBytes
	if many {
		tx.check(tx.batch.DeleteRange(lo, hi, nil))
		return work
	}
	for _, k := range keys {
		tx.check(tx.batch.Delete(k, nil))
	}
	return work
}
