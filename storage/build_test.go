package storage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// records returns what an object has.
func records(tx *Tx, o *Object) (list []string) {
	for sub, value := range tx.Scan(o, nil, nil, false) {
		list = append(list, fmt.Sprintf("%s=%s", sub, value))
	}
	return list
}

// construct builds an object with n records at a site and returns its parts.
func construct(s *Store, b *Building, n int) (parts [][]byte, built *Built) {
	site := s.Site(b, at(1), func(part []byte) bool {
		parts = append(parts, part)
		return true
	})
	o := site.Create([]byte("whatever"), typeBlob)
	o.State = &blob{"built"}
	for i := range n {
		site.Put(o, fmt.Appendf(nil, "%06d", i), make([]byte, 1000))
	}
	return parts, site.Complete(o)
}

// What is built is nobody's until a key gets it, all at once; what is abandoned,
// or left by a crash, is swept.
func TestBuilding(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs, Options{})
	tx := s.Begin(at(1))
	old := put(tx, "key", "old")
	tx.Put(old, []byte("a"), []byte("old"))
	tx.SetExpiry(old, 5000)
	put(tx, "other", "other")
	commit(t, s)

	const n = 2000
	builds := make([]*Building, 4)
	var built []*Built
	for i := range builds {
		builds[i] = s.NewBuilding()
		parts, b := construct(s, builds[i], n)
		built = append(built, b)
		if len(parts) < n*1000/partBytes {
			t.Fatalf("%d parts", len(parts))
		}
		for _, part := range parts {
			tx = s.Begin(at(2))
			tx.AddPart(builds[i], part)
			tx.Sweep(100_000) // what is being built is not swept
			if got := records(tx, tx.Lookup([]byte("key"))); !slices.Equal(got, []string{"a=old"}) || tx.Keys() != 2 {
				t.Fatalf("half a key: %q, %d keys", got, tx.Keys())
			}
			commit(t, s)
		}
	}
	tx = s.Begin(at(3))
	exchanged := tx.Lookup([]byte("key"))
	tx.Exchange(exchanged, built[0])
	adopted := tx.Adopt([]byte("new"), built[1])
	replaced := tx.Adopt([]byte("other"), built[2])
	tx.Abandon(builds[3])
	tx.Abandon(builds[0]) // too late
	check := func(when string) {
		t.Helper()
		for key, expiry := range map[string]int64{"key": 5000, "new": 0, "other": 0} {
			o := tx.Lookup([]byte(key))
			if o == nil || len(records(tx, o)) != n || o.ExpireAt() != expiry || tx.Keys() != 3 || tx.Expiring() != 1 {
				t.Fatalf("%s: %s: %+v, %d records, %d keys, %d expire", when, key, o, len(records(tx, o)), tx.Keys(), tx.Expiring())
			}
		}
	}
	check("at once")
	commit(t, s)
	tx = s.Begin(at(4))
	check("in the next turn")
	_, _ = adopted, replaced
	for range 20 {
		tx.Sweep(100_000)
		commit(t, s)
		tx = s.Begin(at(4))
	}
	if _, ok := s.NextSweep(at(4)); !ok || s.hasGarbage {
		t.Error("the sweeper does not come to its end")
	}
	check("after the sweep")
	recordsOnDisk := func(s *Store) (n int) {
		s.turn.views[0].scan(s.db, []byte{kindRecord}, []byte{kindRecord + 1}, false, func(_, _ []byte) bool { n++; return true })
		return n
	}
	if got := recordsOnDisk(s); got != 3*n {
		t.Errorf("%d records are on disk, want %d", got, 3*n)
	}

	// A crash in the middle.
	b := s.NewBuilding()
	parts, _ := construct(s, b, n)
	tx.AddPart(b, parts[0])
	commit(t, s)
	crashed := open(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 1))}), Options{})
	tx = crashed.Begin(at(4))
	check("after the crash")
	for range 20 {
		tx.Sweep(100_000)
		commit(t, crashed)
		tx = crashed.Begin(at(4))
	}
	if got := recordsOnDisk(crashed); got != 3*n {
		t.Errorf("%d records are on disk after the crash, want %d", got, 3*n)
	}
	for _, s := range []*Store{s, crashed} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBuildingThatNobodyWants(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	site := s.Site(s.NewBuilding(), at(1), func([]byte) bool { return false })
	o := site.Create([]byte("k"), typeBlob)
	defer func() {
		if p := recover(); p != any(Unwanted{}) {
			t.Error(p)
		}
	}()
	for range 1000 {
		site.Put(o, []byte("k"), make([]byte, 1000))
	}
	t.Error("it goes on")
}

// A guard knows of every change of a key, and keeps what it guards in memory.
func TestGuard(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{CacheBytes: 1})
	defer s.Close()
	for name, tc := range map[string]struct {
		change func(tx *Tx)
		same   bool
	}{
		"nothing":          {func(*Tx) {}, true},
		"a look":           {func(tx *Tx) { tx.Lookup([]byte("k")); tx.Lookup([]byte("none")) }, true},
		"another key":      {func(tx *Tx) { put(tx, "other", "x") }, true},
		"a change":         {func(tx *Tx) { put(tx, "k", "x") }, false},
		"quietly":          {func(tx *Tx) { tx.ChangedQuietly(tx.Lookup([]byte("k")), "") }, false},
		"an expiry":        {func(tx *Tx) { tx.SetExpiry(tx.Lookup([]byte("k")), 99) }, false},
		"DEL":              {func(tx *Tx) { tx.Drop(tx.Lookup([]byte("k"))) }, false},
		"DEL and back":     {func(tx *Tx) { tx.Drop(tx.Lookup([]byte("k"))); put(tx, "k", "x") }, false},
		"RENAME":           {func(tx *Tx) { tx.Rename(tx.Lookup([]byte("k")), tx, []byte("z")) }, false},
		"FLUSHDB":          {func(tx *Tx) { tx.FlushDB() }, false},
		"FLUSHALL":         {func(tx *Tx) { tx.FlushAll() }, false},
		"it came to be":    {func(tx *Tx) { put(tx, "none", "x") }, false},
		"it came and went": {func(tx *Tx) { tx.Drop(put(tx, "none", "x")) }, false},
	} {
		tx := s.Begin(at(1))
		put(tx, "k", "v")
		if o := tx.Lookup([]byte("none")); o != nil {
			tx.Drop(o)
		}
		commit(t, s)
		tx = s.Begin(at(1))
		guards := []Guard{tx.Guard([]byte("k")), tx.Guard([]byte("none"))}
		for i := range 3 {
			if i == 1 {
				tc.change(tx)
			}
			commit(t, s)
			tx = s.Begin(at(1))
		}
		same := tx.Unguard(guards[0])
		if same = tx.Unguard(guards[1]) && same; same != tc.same {
			t.Errorf("%s: the same: %v", name, same)
		}
		commit(t, s)
	}
}
