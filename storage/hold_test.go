package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// metaInTable returns the metadata of a key as the engine has them.
func metaInTable(t *testing.T, s *Store, key string) string {
	t.Helper()
	found := ""
	s.turn.views[0].scan(s.db, []byte{kindMeta}, []byte{kindMeta + 1}, false, func(k, v []byte) bool {
		if string(k[metaKeyPrefixLen:]) == key {
			found = string(v[10:])
		}
		return true
	})
	return found
}

// Metadata get into the memtable only when somebody is to read them there.
func TestMetadataAreHeld(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs, Options{})
	change := func(value string) {
		put(s.Begin(at(1)), "k", value)
		commit(t, s)
	}
	for name, settle := range map[string]func(){
		"a walk":            func() { allKeys(s.Begin(at(1))) },
		"a snapshot":        func() { _, release := s.Snapshot(at(1)); release() },
		"being forgotten":   func() { _ = s.Forget() },
		"a flush at rest":   func() { _ = s.FlushOld(at(1), false); _ = s.FlushOld(at(3_600_000), true) },
		"an empty database": func() { s.Begin(at(1)).In(1).FlushDB() },
	} {
		change("before " + name)
		if got := metaInTable(t, s, "k"); got == "before "+name {
			t.Errorf("%s: they are there already", name)
		}
		settle()
		held := name == "an empty database"
		if got := metaInTable(t, s, "k"); (got != "before "+name) != held {
			t.Errorf("%s: there is %q", name, got)
		}
		if got := meta(s.Begin(at(1)), "k"); got != "before "+name {
			t.Errorf("%s: the key has %q", name, got)
		}
	}
	// What a turn has changed is not settled before it is in the log.
	change("old")
	tx := s.Begin(at(1))
	put(tx, "k", "new")
	allKeys(tx)
	if got := metaInTable(t, s, "k"); got != "old" {
		t.Errorf("in the middle of a turn there is %q", got)
	}
	commit(t, s)
	crashed := open(t, fs.CrashClone(vfs.CrashCloneCfg{}), Options{})
	if got := meta(crashed.Begin(at(1)), "k"); got != "new" {
		t.Errorf("after a crash the key has %q", got)
	}
	for _, s := range []*Store{s, crashed} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Not so many are held that to settle them takes long, and none for so long that the
// log grows.
func TestHeldIsBounded(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{MemTableBytes: 1 << 20, LogSegmentBytes: 64 << 10})
	tx := s.Begin(at(1))
	for i := range heldMax + 10 {
		put(tx, fmt.Sprint("k", i), "v")
	}
	commit(t, s)
	if n := s.held.objects.Len(); n != heldMax {
		t.Errorf("%d are held", n)
	}
	value := make([]byte, 10_000)
	for n := range 1000 {
		tx := s.Begin(at(1))
		tx.Put(put(tx, "busy", "v"), fmt.Append(nil, n), value)
		commit(t, s)
	}
	if n := s.held.objects.Len(); n != 1 {
		t.Errorf("%d are held still", n)
	}
	if since, seq := s.heldSince(), s.log.Seq(); since != seq {
		t.Errorf("held since batch %d of %d", since, seq)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.held.objects.Len(); n != 0 {
		t.Errorf("%d are held by a store that is closed", n)
	}
}

// Nothing is settled of keys that are gone with all others.
func TestNothingIsHeldOfAnEmptyStore(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	tx := s.Begin(at(1))
	for i := range flushWholeMin {
		put(tx, fmt.Sprint("k", i), "v")
	}
	commit(t, s)
	s.Begin(at(1)).FlushAll()
	commit(t, s)
	if err := s.settleAll(); err != nil {
		t.Fatal(err)
	}
	if n := pebbleKeys(t, s)[kindMeta]; n != 0 {
		t.Errorf("%d metadata", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A log that has lost what tables rely on is damaged.
func TestHeldAndTheLogIsGone(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{MemTableBytes: 256 << 10})
	value := make([]byte, 10_000)
	for n := range 100 { // more than a memtable takes
		tx := s.Begin(at(1))
		tx.Put(put(tx, "k", "v"), fmt.Append(nil, n), value)
		commit(t, s)
	}
	if err := s.db.Flush(); err != nil { // as by itself, without settling
		t.Fatal(err)
	}
	if a, err := s.inTables(); err != nil || a.heldSince == 0 {
		t.Fatalf("nothing is held in tables: %+v, %v", a, err)
	}
	lost := vfs.NewMem()
	if ok, err := vfs.Clone(fs, lost, "/data", "/data"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := lost.RemoveAll("/data/log"); err != nil {
		t.Fatal(err)
	}
	if s, err := Open("/data", Options{FS: lost}); err == nil || !strings.Contains(err.Error(), "it ends with record") {
		t.Errorf("%v, %v", s, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// heldState is what keys there are: of each the metadata, which are a number, and
// the records, which have to be those from 0 to that number.
type heldState map[string]string

func readHeld(t *testing.T, tx *Tx) heldState {
	t.Helper()
	state := heldState{}
	for _, key := range strings.Fields(allKeys(tx)) {
		value := meta(tx, key)
		var records []string
		for sub := range tx.Scan(tx.Lookup([]byte(key)), nil, nil, false) {
			records = append(records, fmt.Sprint(binary.BigEndian.Uint32(sub)))
		}
		state[key] = value + ": " + strings.Join(records, " ")
	}
	return state
}

// Whatever happens between and during the turns, and whenever the power fails: the
// metadata belong to the records, and both are those of one turn, the last one that
// was synced or a later one.
func TestHeldModel(t *testing.T) {
	seeds := uint64(24)
	if testing.Short() {
		seeds = 6
	}
	crashes, flushes := 0, 0
	// recovered opens what a crash has left, and returns which of the states it is.
	recovered := func(t *testing.T, fs vfs.FS, states []heldState) int {
		t.Helper()
		s := open(t, fs, Options{ReadOnly: true})
		defer s.Close()
		got := readHeld(t, s.turn.views[0])
		for i := len(states) - 1; i >= 0; i-- {
			if maps.Equal(got, states[i]) {
				return i
			}
		}
		t.Fatalf("after a crash: %v\nwant one of %d, the last of which is %v", got, len(states), states[len(states)-1])
		return 0
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			fs := vfs.NewCrashableMem()
			o := Options{
				MemTableBytes: 64 << 10 << rng.IntN(3), LogSegmentBytes: 32 << 10, Seed: 1,
				CacheBytes: []int{2000, 20_000, 1 << 20}[rng.IntN(3)],
				Sync:       []SyncPolicy{SyncAlways, SyncNo}[rng.IntN(2)],

				ApplyAsideMin: []int{1, 4, 1000}[rng.IntN(3)],
				slowly:        func() { time.Sleep(20 * time.Microsecond) }, // who does not wait is seen
			}
			s := open(t, fs, o)
			if err := s.SyncNow(); err != nil {
				t.Fatal(err)
			}
			model := map[string]uint32{} // how many records
			text := func() heldState {
				state := heldState{}
				for key, n := range model {
					var records []string
					for i := range n {
						records = append(records, fmt.Sprint(i))
					}
					state[key] = fmt.Sprint(n, ": ", strings.Join(records, " "))
				}
				return state
			}
			states := []heldState{text()} // since the last sync
			now := at(1)
			for range 400 {
				tx := s.Begin(now)
				for range 1 + rng.IntN(8) {
					key := fmt.Sprint("k", rng.IntN(12))
					switch n := model[key]; rng.IntN(30) {
					default:
						// Sizes such that memtables become full in the middle of everything.
						o := put(tx, key, fmt.Sprint(n+1))
						tx.Put(o, binary.BigEndian.AppendUint32(nil, n), bytes.Repeat([]byte{byte(n)}, rng.IntN(2000)))
						model[key]++
					case 0, 1, 2:
						if n > 0 {
							tx.Drop(tx.Lookup([]byte(key)))
							delete(model, key)
						}
					case 3:
						tx.FlushDB()
						clear(model)
					case 4:
						if got, want := readHeld(t, tx), text(); !maps.Equal(got, want) {
							t.Fatalf("in a turn: %v\nwant %v", got, want)
						}
					case 6:
						to := fmt.Sprint("copy", rng.IntN(3))
						if n > 0 && model[to] == 0 {
							tx.Copy(tx.Lookup([]byte(key)), tx, []byte(to))
							model[to] = n
						}
					case 5: // the power fails before the turn is in the log
						if rng.IntN(2) == 0 {
							allKeys(tx)
						}
						if err := s.db.Flush(); err != nil {
							t.Fatal(err)
						}
						recovered(t, fs.CrashClone(vfs.CrashCloneCfg{}), states)
					}
				}
				commit(t, s)
				now = now.Add(time.Duration(rng.IntN(2000)) * time.Millisecond)
				if o.Sync == SyncAlways {
					states = states[:0]
				}
				states = append(states, text())
				switch rng.IntN(40) {
				case 0:
					if err := s.SyncNow(); err != nil {
						t.Fatal(err)
					}
					states = states[len(states)-1:]
				case 1:
					snapshot, release := s.Snapshot(now)
					if got, want := readHeld(t, snapshot), text(); !maps.Equal(got, want) {
						t.Fatalf("in a snapshot: %v\nwant %v", got, want)
					}
					release()
				case 2:
					if err := s.Forget(); err != nil {
						t.Fatal(err)
					}
				case 3:
					if err := s.FlushOld(now, true); err != nil {
						t.Fatal(err)
					}
				case 4: // as by itself
					if _, err := s.db.AsyncFlush(); err != nil {
						t.Fatal(err)
					}
					flushes++
				case 5, 6:
					crashes++
					fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50 * rng.IntN(3), RNG: rng})
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					at := recovered(t, fs, states)
					states = states[at : at+1]
					s = open(t, fs, o)
					if got := readHeld(t, s.Begin(now)); !maps.Equal(got, states[0]) {
						t.Fatalf("read only: %v\nand then %v", states[0], got)
					}
					clear(model)
					for key, value := range states[0] {
						var n uint32
						if _, err := fmt.Sscan(value, &n); err != nil {
							t.Fatal(err)
						}
						model[key] = n
					}
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Logf("%d crashes, %d flushes", crashes, flushes)
	if crashes == 0 || flushes == 0 {
		t.Error("too little has happened")
	}
}
