package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// # Checking a folder
//
// A store that nobody uses can be read from end to end, to see whether all of it
// can be read, and whether it fits together:
//
//	tables     the checksum of every block of every table
//	keys       metadata make sense, are where their hash says, and are as many as
//	           the counters say; each key with an expiry has its record there
//	objects    what the data type has to say of its records (Check.Object)
//	records    belong to a key, or to one that was dropped and not yet swept
//	expiries   belong to a key that has this expiry
//	timers     make sense, are found by their names, and are as many as counted
//
// It is written so that it finds the traces of bugs as well as those of broken
// disks; tests end with it.

// Check says how a store is checked.
type Check struct {
	// Object checks the records of one object against its metadata; its error may
	// be several, joined.
	Object func(*Tx, *Object) error
	// Timer checks what a timer holds; it may be nil.
	Timer func(Timer) error
	// Problem takes what is wrong.
	Problem func(error)
	// Progress is told how far it has come: done of total bytes or keys; it may
	// be nil.
	Progress func(doing string, done, total int64)
}

// Summary is what a check has looked at.
type Summary struct {
	Tables     int
	TableBytes int64
	Keys       int64
	Records    int64
	Timers     int64
}

func (c *Check) progress(doing string, done, total int64) {
	if c.Progress != nil {
		c.Progress(doing, done, total)
	}
}

// CheckTables reads every block of every table that the store uses. Others may have been
// cut off while they were written: the next start removes them.
func (s *Store) CheckTables(c Check) (Summary, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return Summary{}, err
	}
	var names []string
	for _, tables := range levels {
		for _, t := range tables {
			names = append(names, fmt.Sprintf("%06d.sst", uint64(t.BackingSSTNum)))
		}
	}
	slices.Sort(names)
	return checkTables(s.fs, filepath.Join(s.dir, storeDir), slices.Compact(names), c)
}

// CheckAllTables reads every block of every table in a folder that does not open,
// also of those that were cut off or are not in use any more: which those are is
// not known.
func CheckAllTables(fs vfs.FS, dir string, c Check) (Summary, error) {
	dir = filepath.Join(dir, storeDir)
	names, err := fs.List(dir)
	if err != nil {
		return Summary{}, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".sst") })
	slices.Sort(names)
	return checkTables(fs, dir, names, c)
}

func checkTables(fs vfs.FS, dir string, names []string, c Check) (s Summary, err error) {
	sizes, total := make([]int64, len(names)), int64(0)
	for i, name := range names {
		info, err := fs.Stat(filepath.Join(dir, name))
		if err != nil {
			return s, err
		}
		sizes[i] = info.Size()
		total += info.Size()
	}
	for i, name := range names {
		c.progress("tables", s.TableBytes, total)
		if err := checkTable(fs, filepath.Join(dir, name)); err != nil {
			c.Problem(fmt.Errorf("table %s: %w", name, damage(err)))
		}
		s.Tables++
		s.TableBytes += sizes[i]
	}
	c.progress("tables", s.TableBytes, total)
	return s, nil
}

func checkTable(fs vfs.FS, path string) error {
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(context.Background(), readable, (&pebble.Options{FS: fs}).MakeReaderOptions())
	if err != nil {
		return err // it has closed the file
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// Check reads all keys and records of the store, which nobody changes meanwhile.
// An error says that it could not go on; what is wrong with the data goes to
// c.Problem.
func (s *Store) Check(c Check) (sum Summary, err error) {
	if len(s.turn.dirty) > 0 || s.turn.batch != nil {
		panic("storage: check in the middle of a turn")
	}
	tx, release := s.Snapshot(s.turn.now)
	defer release()
	k := checker{Check: c, tx: tx, spaces: make(map[uint32]*checkedSpace)}
	for _, sp := range tx.dbs {
		k.spaces[sp.id] = &checkedSpace{space: sp}
		k.total += max(sp.keys, 0)
	}
	tx.scan(tx.reader, []byte{kindDropped}, []byte{kindDropped + 1}, false, func(key, _ []byte) bool {
		if id := binary.BigEndian.Uint32(key[1:]); k.spaces[id] != nil {
			k.wrong("space %d is in use and dropped", id)
		} else {
			k.spaces[id] = &checkedSpace{}
		}
		return true
	})
	k.keys()
	k.counts()
	k.expiries()
	k.records()
	k.timers()
	return k.sum, tx.err
}

type checker struct {
	Check
	tx     *Tx
	sum    Summary
	total  int64
	spaces map[uint32]*checkedSpace
	ids    []uint64 // incarnations that have records, or may have
}

// checkedSpace is what was found of a space; space is nil if it was flushed.
type checkedSpace struct {
	*space
	found, foundExpiring int64
}

func (k *checker) wrong(format string, args ...any) { k.Problem(fmt.Errorf(format, args...)) }

// progressKeys is after how many keys or records progress is told.
const progressKeys = 1 << 12

func (k *checker) keys() {
	k.tx.scan(k.tx.reader, []byte{kindMeta}, []byte{kindMeta + 1}, false, func(key, value []byte) bool {
		if len(key) < metaKeyPrefixLen {
			k.wrong("metadata with the key %x", key)
			return true
		}
		k.key(binary.BigEndian.Uint32(key[1:]), metaKeyHash(key), string(key[metaKeyPrefixLen:]), value)
		if k.sum.Keys++; k.sum.Keys%progressKeys == 0 {
			k.progress("keys", k.sum.Keys, max(k.total, k.sum.Keys))
		}
		return k.tx.err == nil
	})
	slices.Sort(k.ids)
	for i := 1; i < len(k.ids); i++ {
		if k.ids[i] == k.ids[i-1] {
			k.wrong("two keys have the id %d", k.ids[i])
		}
	}
	k.progress("keys", k.sum.Keys, k.sum.Keys)
}

func (k *checker) key(space uint32, hash uint64, name string, value []byte) {
	store := k.tx.store
	sp := k.spaces[space]
	if sp == nil {
		k.wrong("key %q is in the space %d, which no database shows", name, space)
		return
	}
	o := &Object{Key: name, space: sp.space}
	if err := o.decodeMeta(value); err != nil {
		k.wrong("key %q: %w", name, err)
		return
	}
	k.ids = append(k.ids, o.id)
	if o.id >= store.reservedID {
		k.wrong("key %q has the id %d, which was not given yet", name, o.id)
	}
	if hash != store.hash(name) {
		k.wrong("key %q is at the hash %x, not %x", name, hash, store.hash(name))
	}
	sp.found++
	if o.expireAt != 0 {
		sp.foundExpiring++
	}
	if sp.space == nil { // flushed, and not yet swept
		return
	}
	if o.expireAt != 0 && !k.has(appendExpiryKey(nil, o.expireAt, space, name)) {
		k.wrong("key %q runs out at %d, but will not", name, o.expireAt)
	}
	tx := k.tx.In(sp.db)
	// The data type finds it as if it had been looked up, and it is forgotten
	// again: there may be more keys than memory.
	sp.objects[name] = o
	err := k.Object(tx, o)
	if tx.err != nil { // not the end: other keys may be sound
		err = errors.Join(tx.err, err)
		tx.err = nil
	}
	if err != nil {
		k.wrong("database %d, key %q: %w", sp.db, name, err)
	}
	delete(sp.objects, name)
	tx.used = tx.used[:0]
}

func (k *checker) has(key []byte) bool {
	_, closer, err := k.tx.reader.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return false
	case err != nil:
		k.tx.fail("read a record", err)
		return true
	}
	_ = closer.Close() // releases a block of the cache, cannot fail
	return true
}

func (k *checker) counts() {
	for _, id := range slices.Sorted(maps.Keys(k.spaces)) {
		sp := k.spaces[id]
		if sp.space != nil && (sp.found != sp.keys || sp.foundExpiring != sp.expiring) {
			k.wrong("database %d has %d keys, %d of which run out; counted were %d and %d", sp.db, sp.found, sp.foundExpiring, sp.keys, sp.expiring)
		}
	}
}

func (k *checker) expiries() {
	k.tx.scan(k.tx.reader, []byte{kindExpiry}, []byte{kindExpiry + 1}, false, func(key, _ []byte) bool {
		if len(key) < 13 {
			k.wrong("an expiry with the key %x", key)
			return true
		}
		at, space, name := parseExpiryKey(key)
		sp := k.spaces[space]
		if sp == nil || sp.space == nil {
			return true // flushed: it goes when its time comes
		}
		o := k.tx.In(sp.db).load(sp.space, string(name))
		delete(sp.objects, string(name))
		if o.typ == TypeNone || o.expireAt != at {
			k.wrong("database %d, key %q: an expiry at %d that it does not have", sp.db, name, at)
		}
		return k.tx.err == nil
	})
}

// records looks for records that belong to nobody.
func (k *checker) records() {
	k.tx.scan(k.tx.reader, []byte{kindGarbage}, []byte{kindGarbage + 1}, false, func(key, _ []byte) bool {
		id := binary.BigEndian.Uint64(key[1:])
		if _, found := slices.BinarySearch(k.ids, id); found && !k.flushing() {
			k.wrong("the records of id %d are garbage and in use", id)
		}
		k.ids = append(k.ids, id)
		return true
	})
	slices.Sort(k.ids)
	stray := uint64(0)
	k.tx.scan(k.tx.reader, []byte{kindRecord}, []byte{kindRecord + 1}, false, func(key, _ []byte) bool {
		if k.sum.Records++; k.sum.Records%progressKeys == 0 {
			k.progress("records", k.sum.Records, 0)
		}
		if len(key) < recordKeyPrefixLen {
			k.wrong("a record with the key %x", key)
			return true
		}
		id := binary.BigEndian.Uint64(key[1:])
		if _, found := slices.BinarySearch(k.ids, id); !found && id != stray {
			stray = id
			k.wrong("records of the id %d, which no key has", id)
		}
		return k.tx.err == nil
	})
	k.progress("records", k.sum.Records, k.sum.Records)
}

// flushing reports whether the sweeper is at work in a flushed space: it notes
// ids as garbage before it removes the metadata.
func (k *checker) flushing() bool {
	for _, sp := range k.spaces {
		if sp.space == nil {
			return true
		}
	}
	return false
}
