package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// blob is a data type for tests: metadata that are a string, records as they
// come.
type blob struct{ meta string }

func (b *blob) Flush(*Tx, *Object)           {}
func (b *blob) AppendMeta(dst []byte) []byte { return append(dst, b.meta...) }
func (b *blob) MemoryBytes() int             { return len(b.meta) }

const typeBlob = TypeList

// open opens a store in which turns are applied beside the loop, unless the options
// say something else.
func open(t testing.TB, fs vfs.FS, o Options) *Store {
	t.Helper()
	o.FS, o.ApplyAsideMin = fs, cmp.Or(o.ApplyAsideMin, 1)
	s, err := Open("/data", o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(t testing.TB, s *Store) {
	t.Helper()
	if _, err := s.Commit(); err != nil {
		t.Fatal(err)
	}
}

func at(ms int64) time.Time { return time.UnixMilli(ms) }

func put(tx *Tx, key, meta string) *Object {
	o := tx.Lookup([]byte(key))
	if o == nil {
		o = tx.Create([]byte(key), typeBlob)
	}
	o.State = &blob{meta}
	tx.Changed(o, "put")
	return o
}

func meta(tx *Tx, key string) string {
	o := tx.Lookup([]byte(key))
	if o == nil {
		return ""
	}
	if b, ok := o.State.(*blob); ok {
		return b.meta
	}
	return string(o.Meta)
}

func allKeys(tx *Tx) string {
	var list []string
	tx.ScanKeys(0, func(i KeyInfo) bool { list = append(list, string(i.Key)); return true })
	sort.Strings(list)
	return strings.Join(list, " ")
}

// pebbleKeys counts what is really on disk, by kind.
func pebbleKeys(t *testing.T, s *Store) map[byte]int {
	t.Helper()
	it, err := s.reader().NewIter(&pebble.IterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	n := make(map[byte]int)
	for ok := it.First(); ok; ok = it.Next() {
		n[it.Key()[0]]++
	}
	return n
}

// sweep runs turns until the sweeper has nothing left to do.
func sweep(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	for range 10000 {
		if due, ok := s.NextSweep(now); !ok || due.After(now) {
			return
		}
		s.Begin(now).Sweep(7)
		commit(t, s)
	}
	t.Fatal("the sweeper does not come to an end")
}

func TestReopen(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{Seed: 42})
	tx := s.Begin(at(1))
	o := put(tx, "a", "1")
	tx.Put(o, []byte("r1"), []byte("v1"))
	put(tx.In(5), "b", "2")
	tx.SetExpiry(o, 5000)
	commit(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, fs, Options{Seed: 7})
	defer s.Close()
	tx = s.Begin(at(2))
	if s.seed != 42 {
		t.Errorf("the seed is %d: not the one of the folder", s.seed)
	}
	o = tx.Lookup([]byte("a"))
	if o == nil || string(o.Meta) != "1" || o.ExpireAt() != 5000 {
		t.Fatalf("a is %+v", o)
	}
	if v, ok := tx.Get(o, []byte("r1")); !ok || string(v) != "v1" {
		t.Errorf("the record is %q, %v", v, ok)
	}
	if tx.Keys() != 1 || tx.In(5).Keys() != 1 || tx.Expiring() != 1 {
		t.Errorf("%d keys, %d in 5, %d expiring", tx.Keys(), tx.In(5).Keys(), tx.Expiring())
	}
	if id := tx.Create([]byte("c"), typeBlob).ID(); id <= o.ID() {
		t.Errorf("id %d was given out before (%d)", id, o.ID())
	}
}

// A turn sees its own writes, before and after they are in the batch only.
func TestReadYourWrites(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	tx := s.Begin(at(1))
	o := put(tx, "k", "m")
	for i := range 10 {
		tx.Put(o, fmt.Appendf(nil, "%02d", i), []byte{byte(i)})
	}
	tx.DeleteOnce(o, []byte("03"))
	tx.DeleteRange(o, []byte("05"), []byte("08"))
	read := func() string {
		var b strings.Builder
		for sub := range tx.Scan(o, []byte("01"), []byte("09"), false) {
			b.Write(sub)
			b.WriteByte(' ')
		}
		b.WriteByte('|')
		for sub := range tx.Scan(o, nil, nil, true) {
			b.Write(sub)
			b.WriteByte(' ')
		}
		return b.String()
	}
	const want = "01 02 04 08 |09 08 04 02 01 00 "
	if got := read(); got != want {
		t.Errorf("before the commit: %s", got)
	}
	commit(t, s)
	tx = s.Begin(at(1))
	if got := read(); got != want {
		t.Errorf("after the commit: %s", got)
	}
	tx.Put(o, []byte("05"), nil)
	if got := read(); got != "01 02 04 05 08 |09 08 05 04 02 01 00 " {
		t.Errorf("in the next turn: %s", got)
	}
}

// A key that is created anew never sees the old one's records, and those go.
func TestIncarnations(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	for _, n := range []int{3, pointDeletesMax + 100} {
		tx := s.Begin(at(1))
		o := put(tx, "k", "old")
		for i := range n {
			tx.Put(o, fmt.Appendf(nil, "%06d", i), []byte("x"))
		}
		commit(t, s)
		tx = s.Begin(at(1))
		tx.Drop(tx.Lookup([]byte("k")))
		o = put(tx, "k", "new")
		tx.Put(o, []byte("mine"), nil)
		commit(t, s)
		tx = s.Begin(at(1))
		for sub := range tx.Scan(o, nil, nil, false) {
			if string(sub) != "mine" {
				t.Fatalf("the new key sees %q", sub)
			}
		}
		commit(t, s)
		sweep(t, s, at(1))
		if got := pebbleKeys(t, s); got[kindRecord] != 1 || got[kindGarbage] != 0 {
			t.Errorf("%d records dropped: left on disk %v", n, got)
		}
		tx = s.Begin(at(1))
		tx.Drop(tx.Lookup([]byte("k")))
		commit(t, s)
		sweep(t, s, at(1))
	}
	if got := pebbleKeys(t, s); got[kindRecord]+got[kindMeta]+got[kindGarbage] != 0 {
		t.Errorf("left on disk: %v", got)
	}
}

func TestFlushAndSwap(t *testing.T) {
	for _, reopen := range []bool{false, true} {
		fs := vfs.NewMem()
		s := open(t, fs, Options{})
		next := func() *Tx {
			commit(t, s)
			if reopen {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, fs, Options{})
			}
			return s.Begin(at(1))
		}
		tx := s.Begin(at(1))
		for i := range 50 {
			tx.Put(put(tx, fmt.Sprint("a", i), "0"), []byte("r"), nil)
		}
		tx.Put(put(tx.In(1), "b", "1"), []byte("r"), nil)
		tx.SetExpiry(put(tx, "x", ""), 10)
		tx = next()
		tx.SwapDB(0, 1)
		if got := allKeys(tx); got != "b" || tx.In(1).Keys() != 51 {
			t.Errorf("after SWAPDB: %q, %d", got, tx.In(1).Keys())
		}
		tx = next()
		put(tx.In(1), "unsaved", "")
		tx.In(1).FlushDB()
		put(tx.In(1), "fresh", "f")
		if got := allKeys(tx.In(1)); got != "fresh" || tx.In(1).Keys() != 1 || meta(tx, "b") != "1" {
			t.Errorf("after FLUSHDB: %q, %d keys, b is %q", got, tx.In(1).Keys(), meta(tx, "b"))
		}
		next()
		commit(t, s)
		sweep(t, s, at(100))
		if got := pebbleKeys(t, s); got[kindRecord] != 1 || got[kindMeta] != 2 || got[kindExpiry] != 0 || got[kindDropped] != 0 {
			t.Errorf("left on disk after FLUSHDB: %v", got)
		}
		tx = s.Begin(at(1))
		put(tx, "unsaved", "")
		tx.FlushAll()
		put(tx, "after", "1")
		tx = next()
		if got := allKeys(tx); got != "after" || tx.Keys() != 1 || tx.In(1).Keys() != 0 {
			t.Errorf("after FLUSHALL: %q", got)
		}
		commit(t, s)
		sweep(t, s, at(100))
		if got := pebbleKeys(t, s); got[kindRecord] != 0 || got[kindMeta] != 1 {
			t.Errorf("left on disk after FLUSHALL: %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a small store is emptied with is nothing that later reads have to look at;
// of a large one the flush itself must not take long.
func TestFlushesOfFewKeysLeaveNoRangeTombstones(t *testing.T) {
	for _, n := range []int{0, 1, 20, flushWholeMin} {
		s := open(t, vfs.NewMem(), Options{})
		defer s.Close()
		tx := s.Begin(at(1))
		for i := range n {
			put(tx.In(i%2), fmt.Sprint("k", i), "")
		}
		commit(t, s)
		tx = s.Begin(at(1))
		put(tx.In(2), "unsaved", "")
		tx.FlushAll()
		ranges := rangeTombstones(t, tx)
		for due := true; due; {
			commit(t, s)
			tx = s.Begin(at(1))
			tx.Sweep(10)
			ranges += rangeTombstones(t, tx)
			next, ok := s.NextSweep(at(1))
			due = ok && !next.After(at(1))
		}
		commit(t, s)
		if ranges > 0 != (n >= flushWholeMin) {
			t.Errorf("%d range tombstones for %d keys", ranges, n)
		}
		if got := pebbleKeys(t, s); got[kindMeta]+got[kindGarbage]+got[kindDropped]+got[kindExpiry] > 0 {
			t.Errorf("left on disk of %d keys: %v", n, got)
		}
	}
}

// So it is with the records of an object.
func TestClear(t *testing.T) {
	for _, n := range []int{0, 1, pointDeletesMax, pointDeletesMax + 1} {
		s := open(t, vfs.NewMem(), Options{})
		defer s.Close()
		tx := s.Begin(at(1))
		o := put(tx, "k", "")
		for _, kind := range "abc" {
			for i := range n {
				tx.Put(o, fmt.Appendf(nil, "%c%04d", kind, i), nil)
			}
		}
		commit(t, s)
		tx = s.Begin(at(1))
		o = tx.Lookup([]byte("k"))
		tx.Put(o, []byte("b1"), nil)
		tx.Changed(o, "")
		tx.Clear(o, []byte("b"), []byte("c"))
		if ranges := rangeTombstones(t, tx); ranges > 0 != (n >= pointDeletesMax) {
			t.Errorf("%d range tombstones for %d records", ranges, n+1)
		}
		commit(t, s)
		if got := pebbleKeys(t, s)[kindRecord]; got != 2*n {
			t.Errorf("%d records are left, want %d", got, 2*n)
		}
	}
}

// placed is a blob that knows where its records are.
type placed struct {
	blob
	places []Place
}

func (p *placed) Places() []Place { return p.places }

// The records of a dropped object are removed where it says that they are, also
// after a restart. That nobody looks elsewhere shows in one that should not be
// there.
func TestPlacesOfGarbage(t *testing.T) {
	for _, reopen := range []bool{false, true} {
		fs := vfs.NewMem()
		s := open(t, fs, Options{})
		tx := s.Begin(at(1))
		o := put(tx, "k", "")
		for _, sub := range []string{"a", "b1", "b2", "c", "d1", "d2"} {
			tx.Put(o, []byte(sub), nil)
		}
		commit(t, s)
		tx = s.Begin(at(1))
		o = tx.Lookup([]byte("k"))
		o.State = &placed{places: []Place{{nil, []byte("b2")}, {[]byte("b2"), []byte("c")}, {[]byte("d"), nil}}}
		tx.Drop(o)
		commit(t, s)
		if reopen {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, fs, Options{})
		}
		sweep(t, s, at(1))
		if got := pebbleKeys(t, s); got[kindRecord] != 1 || got[kindGarbage] != 0 {
			t.Errorf("left on disk: %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDecodePlaces(t *testing.T) {
	for _, places := range [][]Place{{{}}, {{nil, []byte("x")}, {[]byte("y"), nil}}, {{[]byte("from"), []byte("to")}}} {
		if got := decodePlaces(appendPlaces(nil, places)); !reflect.DeepEqual(got, places) {
			t.Errorf("%q became %q", places, got)
		}
	}
	for _, bad := range []string{"\x01", "\x01a", "\x01a\x05b", "\xff", "\x00\x00\x01"} {
		if got := decodePlaces([]byte(bad)); !reflect.DeepEqual(got, []Place{{}}) {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

// What a turn may write is bounded, for those who ask.
func TestFits(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{BatchBytes: 10_000})
	defer s.Close()
	tx := s.Begin(at(1))
	small, large := put(tx, "small", ""), put(tx, "large", "")
	for i := range 10 {
		tx.Put(small, fmt.Append(nil, i), make([]byte, 100))
		tx.Put(large, fmt.Append(nil, i), make([]byte, 1000))
	}
	if tx.Written() < 10_000 || tx.Fits(0, 0) {
		t.Errorf("%d bytes were written, and more fits", tx.Written())
	}
	commit(t, s)
	tx = s.Begin(at(1))
	if tx.Written() != 0 || !tx.Fits(1, 9_000) || tx.Fits(1, 10_000) || tx.Fits(1_000, 0) {
		t.Error("what fits into an empty turn")
	}
	small, large = tx.Lookup([]byte("small")), tx.Lookup([]byte("large"))
	if !tx.FitsCopy(small) || tx.FitsCopy(large) {
		t.Errorf("a copy of 1,000 bytes fits: %v; one of 10,000: %v", tx.FitsCopy(small), tx.FitsCopy(large))
	}
	for n := range 10 {
		if !tx.FitsCopy(small) {
			if n < 6 {
				t.Errorf("%d copies fit", n)
			}
			commit(t, s)
			return
		}
		tx.Copy(small, tx, fmt.Append(nil, "copy", n))
	}
	t.Error("any number of copies fits")
}

// rangeTombstones counts those in the turn's batch.
func rangeTombstones(t *testing.T, tx *Tx) (n int) {
	t.Helper()
	if tx.batch == nil {
		return 0
	}
	for r := tx.batch.Reader(); ; {
		kind, _, _, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return n
		}
		if kind == pebble.InternalKeyKindRangeDelete {
			n++
		}
	}
}

// A flushed key that would have run out in a hundred years leaves nothing behind
// until then.
func TestFlushedExpiry(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	tx := s.Begin(at(1))
	tx.SetExpiry(put(tx, "k", ""), 100*365*24*3600*1000)
	put(tx.In(1), "stays", "")
	commit(t, s)
	s.Begin(at(1)).FlushDB()
	commit(t, s)
	sweep(t, s, at(1))
	if got := pebbleKeys(t, s); got[kindExpiry] > 0 || got[kindMeta] != 1 {
		t.Errorf("left on disk: %v", got)
	}
}

// Everything runs out in its time, whether somebody asks for it or not, and
// also when it moved in between.
func TestExpiry(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	tx := s.Begin(at(1))
	for i := range 30 {
		o := put(tx, fmt.Sprint("k", i), "")
		tx.SetExpiry(o, int64(1000+i))
	}
	tx.SetExpiry(tx.Lookup([]byte("k5")), 0)      // stays
	tx.SetExpiry(tx.Lookup([]byte("k6")), 100000) // later
	tx.Rename(tx.Lookup([]byte("k7")), tx.In(3), []byte("moved"))
	tx.Copy(tx.Lookup([]byte("k8")), tx, []byte("copied"))
	commit(t, s)
	if due, ok := s.NextSweep(at(1)); !ok || !due.Equal(at(1000)) {
		t.Errorf("the next sweep is at %v", due)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, Options{})
	defer s.Close()
	tx = s.Begin(at(1003))
	if tx.Lookup([]byte("k3")) != nil || tx.Lookup([]byte("k4")) == nil {
		t.Error("k3 should have run out at 1003, k4 not")
	}
	if tx.Edits() != 0 {
		t.Error("noticing an expiry counts as an edit of the command")
	}
	commit(t, s)
	sweep(t, s, at(1008))
	tx = s.Begin(at(1008))
	if tx.Lookup([]byte("copied")) != nil || tx.In(3).Lookup([]byte("moved")) != nil {
		t.Error("a copied or a moved key outlived its expiry")
	}
	commit(t, s)
	sweep(t, s, at(5000))
	tx = s.Begin(at(5000))
	if got := allKeys(tx); got != "k5 k6" || tx.Keys() != 2 || tx.Expiring() != 1 {
		t.Errorf("left: %q (%d, %d expiring)", got, tx.Keys(), tx.Expiring())
	}
	if due, ok := s.NextSweep(at(5000)); ok && due.Before(at(100000)) && len(pebbleKeys(t, s)) == 0 {
		t.Errorf("the next sweep is at %v", due)
	}
}

// However many keys run out in the same millisecond, no step of the sweep walks
// over what earlier ones have deleted.
func TestExpiryAtOnce(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	tx := s.Begin(at(1))
	for i := range 100 {
		tx.SetExpiry(put(tx, fmt.Sprint("k", i), ""), 1000)
	}
	commit(t, s)
	for left := 100; left > 0; left -= 10 {
		it, err := s.reader().NewIter(&pebble.IterOptions{LowerBound: []byte{kindExpiry}})
		if err != nil {
			t.Fatal(err)
		}
		if first := it.First(); !first || left < 100 && !bytes.Equal(it.Key(), s.expiryFloor) {
			t.Errorf("the first of %d records is %q, the sweep begins at %q", left, it.Key(), s.expiryFloor)
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		tx = s.Begin(at(1000))
		tx.Sweep(10)
		if tx.Keys() != int64(left-10) {
			t.Fatalf("%d keys are left of %d", tx.Keys(), left)
		}
		commit(t, s)
	}
	tx = s.Begin(at(1000))
	tx.SetExpiry(put(tx, "later", ""), 1001)
	commit(t, s)
	sweep(t, s, at(1001))
	if tx = s.Begin(at(1001)); tx.Keys() != 0 {
		t.Error("what was added after a sweep outlived its expiry")
	}
}

// SCAN returns what is there all the time exactly once, also when keys come and
// go between calls.
func TestScanKeys(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{Seed: 3})
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	tx := s.Begin(at(1))
	for i := range 300 {
		put(tx, fmt.Sprint("stays", i), "")
		put(tx, fmt.Sprint("goes", i), "")
	}
	commit(t, s)
	seen := make(map[string]int)
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		tx = s.Begin(at(1))
		n := 0
		cursor = tx.ScanKeys(cursor, func(i KeyInfo) bool {
			seen[string(i.Key)]++
			n++
			return n < 10
		})
		if o := tx.Lookup(fmt.Appendf(nil, "goes%d", rng.IntN(300))); o != nil {
			tx.Drop(o)
		}
		put(tx, fmt.Sprint("comes", rng.IntN(1000)), "")
		if rng.IntN(2) == 0 {
			commit(t, s)
		}
	}
	for i := range 300 {
		if key := fmt.Sprint("stays", i); seen[key] != 1 {
			t.Errorf("%s was returned %d times", key, seen[key])
		}
	}
	if tx.ScanKeys(1<<60, func(KeyInfo) bool { t.Error("a key behind the end"); return true }) != 0 {
		t.Error("a cursor behind the end goes on")
	}
}

// A step of SCAN is bounded also where nearly everything was deleted.
func TestScanComesPastFewOfTheDeleted(t *testing.T) {
	const keys, steps = 20_000, 500
	s := open(t, vfs.NewMem(), Options{Seed: 5, CacheBytes: 1})
	defer s.Close()
	tx := s.Begin(at(1))
	if tx.ScanSome(0, steps, func(KeyInfo) bool { return true }) != 0 {
		t.Error("an empty database takes more than a step")
	}
	for i := range keys {
		put(tx, fmt.Sprint("k", i), "")
	}
	commit(t, s)
	tx = s.Begin(at(1))
	for i := range keys {
		if i%5000 != 0 {
			tx.DropEmpty(tx.Lookup([]byte(fmt.Sprint("k", i))))
		}
	}
	tx.SetExpiry(tx.Lookup([]byte("k5000")), 2)
	commit(t, s)
	tx = s.Begin(at(2))
	var found []string
	calls := 0
	for cursor := uint64(0); calls == 0 || cursor != 0; calls++ {
		cursor = tx.ScanSome(cursor, steps, func(i KeyInfo) bool {
			found = append(found, string(i.Key))
			return true
		})
	}
	sort.Strings(found)
	if got := strings.Join(found, " "); got != "k0 k10000 k15000" {
		t.Errorf("found %q", got)
	}
	if least, most := keys/steps/4, 8*keys/steps; calls < least || calls > most {
		t.Errorf("%d calls, want %d to %d", calls, least, most)
	}
	if got := allKeys(tx); got != "k0 k10000 k15000" {
		t.Errorf("KEYS finds %q", got)
	}
	commit(t, s)
}

func TestRandomKey(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{Seed: 3})
	defer s.Close()
	tx := s.Begin(at(1))
	if _, ok := tx.RandomKey(7); ok {
		t.Error("a key of an empty database")
	}
	put(tx.In(1), "", "")
	if _, ok := tx.In(1).RandomKey(7); !ok {
		t.Error("the key with the empty name does not come up")
	}
	for i := range 20 {
		put(tx, fmt.Sprint("k", i), "")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	got := make(map[string]bool)
	for range 2000 {
		key, _ := tx.RandomKey(rng.Uint64())
		got[string(key)] = true
	}
	if len(got) < 15 {
		t.Errorf("only %d of 20 keys ever come up", len(got))
	}
}

// The cache keeps to its bound, and what it forgets is read again.
func TestCacheIsBounded(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{CacheBytes: 20000})
	defer s.Close()
	for i := range 2000 {
		tx := s.Begin(at(1))
		put(tx, fmt.Sprint("k", i), fmt.Sprint("v", i))
		tx.Lookup(fmt.Appendf(nil, "missing%d", i))
		commit(t, s)
		if s.cache.bytes > 20000 {
			t.Fatalf("%d bytes", s.cache.bytes)
		}
	}
	tx := s.Begin(at(1))
	for i := range 2000 {
		if got := meta(tx, fmt.Sprint("k", i)); got != fmt.Sprint("v", i) {
			t.Fatalf("k%d is %q", i, got)
		}
	}
}

// A snapshot is what was there between two turns, whatever happens then.
func TestSnapshot(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	tx := s.Begin(at(1))
	tx.Put(put(tx, "k", "1"), []byte("r"), []byte("old"))
	tx.SetExpiry(put(tx, "x", ""), 50)
	commit(t, s)
	snapshot, release := s.Snapshot(at(60))
	defer release()
	tx = s.Begin(at(61))
	tx.Put(put(tx, "k", "2"), []byte("r"), []byte("new"))
	tx.FlushAll()
	commit(t, s)
	o := snapshot.Lookup([]byte("k"))
	if o == nil || string(o.Meta) != "1" {
		t.Fatalf("k is %+v", o)
	}
	if v, _ := snapshot.Get(o, []byte("r")); string(v) != "old" {
		t.Errorf("the record is %q", v)
	}
	if snapshot.Lookup([]byte("x")) != nil || allKeys(snapshot) != "k" {
		t.Error("a key that has run out is there")
	}
}

// A copy onto a key that was dropped in the same turn, dropped again, leaves
// nothing behind on disk.
func TestCopyOntoADroppedKey(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{CacheBytes: 1})
	defer s.Close()
	tx := s.Begin(at(1))
	put(tx, "src", "1")
	put(tx, "dst", "2")
	commit(t, s)
	tx = s.Begin(at(1))
	tx.Drop(tx.Lookup([]byte("dst")))
	tx.Drop(tx.Copy(tx.Lookup([]byte("src")), tx, []byte("dst")))
	commit(t, s)
	if got := meta(s.Begin(at(1)), "dst"); got != "" {
		t.Errorf("dst is %q", got)
	}
}

// Soft changes are written with the next turn that writes, and at the end.
func TestSoft(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{CacheBytes: 1})
	put(s.Begin(at(1)), "k", "1")
	commit(t, s)
	tx := s.Begin(at(2))
	o := tx.Lookup([]byte("k"))
	o.State = &blob{"soft"}
	tx.Soft(o)
	if wrote, err := s.Commit(); wrote || err != nil {
		t.Fatalf("a soft change alone wrote: %v %v", wrote, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, Options{})
	defer s.Close()
	if got := meta(s.Begin(at(3)), "k"); got != "soft" {
		t.Errorf("after a clean end: %q", got)
	}
}

// Soft changes are written in the end, also where nothing else is: what they keep
// in memory is bounded.
func TestSoftIsBounded(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{CacheBytes: 1})
	defer s.Close()
	tx := s.Begin(at(1))
	for i := range 2*softMax + 10 {
		put(tx, fmt.Sprint("k", i), "1")
	}
	commit(t, s)
	for i := range 2*softMax + 10 {
		tx = s.Begin(at(2))
		o := tx.Lookup(fmt.Append(nil, "k", i))
		o.State = &blob{"soft"}
		tx.Soft(o)
		commit(t, s)
		if count, _ := s.CachedObjects(); count > softMax {
			t.Fatalf("%d objects are in memory after %d soft changes", count, i+1)
		}
	}
	if got := meta(s.Begin(at(3)), "k0"); got != "soft" {
		t.Errorf("the first change is %q on disk", got)
	}
	commit(t, s)
}

// What Commit has said is on disk survives a crash; with everysec it survives
// at least what was synced.
func TestCrash(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs, Options{Sync: SyncAlways})
	tx := s.Begin(at(1))
	put(tx, "k", "1")
	commit(t, s)
	crashed := open(t, fs.CrashClone(vfs.CrashCloneCfg{}), Options{})
	if got := meta(crashed.Begin(at(1)), "k"); got != "1" {
		t.Errorf("always: %q after a crash", got)
	}
	_ = crashed.Close()

	if err := s.SetSync(SyncEverySecond); err != nil {
		t.Fatal(err)
	}
	put(s.Begin(at(1)), "k", "2")
	commit(t, s)
	crashed = open(t, fs.CrashClone(vfs.CrashCloneCfg{}), Options{})
	if got := meta(crashed.Begin(at(1)), "k"); got != "1" {
		t.Errorf("everysec: %q after a crash before the sync: the test does not test", got)
	}
	_ = crashed.Close()
	if err := s.SyncNow(); err != nil {
		t.Fatal(err)
	}
	crashed = open(t, fs.CrashClone(vfs.CrashCloneCfg{}), Options{})
	if got := meta(crashed.Begin(at(1)), "k"); got != "2" {
		t.Errorf("everysec: %q after a crash behind the sync", got)
	}
	_ = crashed.Close()
	_ = s.Close()
}

func TestOpenErrors(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	if _, err := Open("/data", Options{FS: fs}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second cairn: %v", err)
	}
	_ = s.Close()
}

// The log is kept until what is in it stands in tables, and no longer: it does
// not grow with what was ever written.
func TestLogIsShortened(t *testing.T) {
	const segment = 16 << 10
	fs := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(1, 2))
	want := make(map[string]string)
	for round := range 6 {
		s := open(t, fs, Options{LogSegmentBytes: segment, MemTableBytes: 64 << 10})
		tx := s.Begin(at(1))
		if got := allKeys(tx); len(want) != int(tx.Keys()) {
			t.Fatalf("round %d: %d keys, want %d: %s", round, tx.Keys(), len(want), got)
		}
		for key, value := range want {
			if got := meta(tx, key); got != value {
				t.Fatalf("round %d: %s is %q, want %q", round, key, got, value)
			}
		}
		for range 500 {
			key, value := fmt.Sprint("k", rng.IntN(50)), strings.Repeat("v", rng.IntN(2000))+"."
			put(s.Begin(at(1)), key, value)
			commit(t, s)
			want[key] = value
		}
		if err := errors.Join(s.settleAll(), s.db.Flush()); err != nil {
			t.Fatal(err)
		}
		if err := s.releaseLog(); err != nil {
			t.Fatal(err)
		}
		if size, written := s.LogBytes(); size > 12*segment || written < 300<<10 {
			t.Errorf("round %d: the log takes %d bytes, %d were written", round, size, written)
		}
		if round%2 == 0 {
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
			continue
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Sweeping large records takes many turns, like sweeping many small ones: their
// keys cannot be had without reading them.
func TestSweepReadsOnlySoMuch(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	const objects, records = 20, 5
	tx := s.Begin(at(1))
	value := make([]byte, sweepBytesMax/4)
	for i := range objects {
		o := put(tx, fmt.Sprint("k", i), "")
		for j := range records {
			tx.Put(o, []byte{byte(j)}, value)
		}
	}
	commit(t, s)
	tx = s.Begin(at(2))
	for i := range objects {
		tx.Drop(tx.Lookup([]byte(fmt.Sprint("k", i))))
	}
	commit(t, s)
	turns := 0
	for due := true; due && turns < 100; turns++ {
		tx := s.Begin(at(3))
		tx.Sweep(500)
		commit(t, s)
		_, due = s.NextSweep(at(3))
	}
	if turns < objects/4 || turns > 2*objects {
		t.Errorf("%d objects of %d bytes are swept in %d turns", objects, records*len(value), turns)
	}
	if got := pebbleKeys(t, s); got[kindRecord] != 0 || got[kindGarbage] != 0 {
		t.Errorf("left on disk: %v", got)
	}
}

// What was written last is in tables a while later, also if a memtable became full
// just before: the space of what a queue had comes back once it is drained.
func TestOldIsFlushed(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{MemTableBytes: 1 << 20})
	value := make([]byte, 10_000)
	for n := range 200 {
		tx := s.Begin(at(1))
		tx.Put(put(tx, "q", "v"), fmt.Append(nil, n), value)
		commit(t, s)
	}
	for !s.rotated.Load() {
		runtime.Gosched()
	}
	for second := range 20 {
		if err := s.FlushOld(at(int64(1+1000*second)), false); err != nil {
			t.Fatal(err)
		}
	}
	for s.db.Metrics().MemTable.Count > 1 {
		runtime.Gosched()
	}
	if a, err := s.inTables(); err != nil || a.after() != s.log.Seq() {
		t.Errorf("batches up to %d of %d are in tables: %v", a.after(), s.log.Seq(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// rest leaves a store alone until it has done all that it then does.
func rest(t *testing.T, s *Store, now *time.Time) {
	t.Helper()
	for began := time.Now(); s.Unflushed() && time.Since(began) < time.Minute; {
		*now = now.Add(time.Second)
		if err := s.FlushOld(*now, false); err != nil {
			t.Fatal(err)
		}
		s.squeezing.running.Wait()
		time.Sleep(time.Millisecond) // what it waits for is the engine's work
	}
}

// What was taken away leaves the disk when the store is left alone, also what the
// engine has no reason to work on.
func TestSpaceComesBackAtRest(t *testing.T) {
	const records, turnRecords, size = 20_000, 500, 1000
	for _, tt := range []struct {
		name string
		take func(tx *Tx, o *Object, n uint32)
		most int64 // bytes left
	}{
		{"drained", func(tx *Tx, o *Object, n uint32) { tx.DeleteOnce(o, sub(n)) }, 100_000},
		{"trimmed", func(tx *Tx, o *Object, n uint32) {
			if n%turnRecords == 0 {
				tx.DeleteRange(o, nil, sub(n+turnRecords))
			}
		}, garbageMin},
		{"dropped", func(tx *Tx, o *Object, n uint32) {
			if n == 0 {
				tx.DeleteRange(o, nil, nil)
			}
		}, garbageMin},
		{"half of it taken from everywhere", func(tx *Tx, o *Object, n uint32) {
			if n%8 < 5 {
				tx.DeleteOnce(o, sub(n))
			}
		}, int64(records * size * 3 / 8 * 11 / 10)},
		{"little is taken", func(tx *Tx, o *Object, n uint32) {
			if n%10 == 0 {
				tx.DeleteOnce(o, sub(n))
			}
		}, int64(records * size * 5 / 4)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, vfs.NewMem(), Options{MemTableBytes: 4 << 20})
			rng := rand.New(rand.NewPCG(1, 1))
			now := at(1)
			for _, write := range []func(tx *Tx, o *Object, n uint32){
				func(tx *Tx, o *Object, n uint32) { tx.Put(o, sub(n), noise(rng, size)) },
				tt.take,
			} {
				for n := 0; n < records; n += turnRecords {
					tx := s.Begin(now)
					o := put(tx, "q", "v")
					for i := range turnRecords {
						write(tx, o, uint32(n+i))
					}
					commit(t, s)
				}
				rest(t, s, &now)
			}
			m := s.db.Metrics()
			if left := m.Total().TablesSize; left > tt.most {
				t.Errorf("%d bytes are left", left)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A compaction that was in vain puts off the next one by what it took, not by how long
// ago it was when something is flushed again.
func TestVainCompactionPutsOffTheNext(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	s.squeezing.begun = at(1000)
	s.squeezing.found.Store(foundLittle)
	if !s.Unflushed() {
		t.Error("nobody looks at what was found")
	}
	for _, now := range []int64{3000, 3_600_000} {
		if err := s.FlushOld(at(now), false); err != nil {
			t.Fatal(err)
		}
		if got, want := s.squeezing.patience, at(3000+2000*squeezeShare); !got.Equal(want) {
			t.Errorf("at %d ms: until %v, want %v", now, got, want)
		}
	}
	if s.Unflushed() {
		t.Error("there is still something to look at")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func sub(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// noise returns so many bytes that cannot be compressed. They must not be changed.
func noise(rng *rand.Rand, size int) []byte {
	from := rng.IntN(len(noises) - size)
	return noises[from : from+size]
}

var noises = func() []byte {
	text := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text) // cannot fail
	return text
}()
