package streams

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/storage"
)

// openStore returns a store in memory, and a function that commits the turn and
// begins the next.
func openStore(t *testing.T, o storage.Options) (tx *storage.Tx, commit func() *storage.Tx) {
	t.Helper()
	o.FS, o.ApplyAsideMin = vfs.NewMem(), 1
	store, err := storage.Open("/data", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	now := int64(1)
	return store.Begin(time.UnixMilli(now)), func() *storage.Tx {
		t.Helper()
		if _, err := store.Commit(); err != nil {
			t.Fatal(err)
		}
		now++
		return store.Begin(time.UnixMilli(now))
	}
}

func open(t *testing.T, tx *storage.Tx) *Stream {
	t.Helper()
	s, err := Open(tx, []byte("s"))
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		s = Create(tx, []byte("s"))
	}
	return s
}

func check(t *testing.T, s *Stream) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

// Whoever adds entries and deletes them while an old one stays does not walk each
// time over all that were deleted before.
func TestDeletingTheLastAgainAndAgain(t *testing.T) {
	tx, commit := openStore(t, storage.Options{})
	s := open(t, tx)
	add := func(n int) {
		s.Append(ID{uint64(n), 0}, [][]byte{[]byte("f"), make([]byte, 100)}, benchLimits)
	}
	add(1)
	n := 1
	for _, batch := range []int{1, 1, 5, 100, 1} {
		for range batch {
			n++
			add(n)
			s = open(t, commit())
		}
		for i := n; i > n-batch; i-- {
			if before := s.tail.after; before != (ID{1, 0}) && n > 2 {
				t.Errorf("before %d is deleted nothing is known of what is behind %s", i, before)
			}
			s.Delete([]ID{{uint64(i), 0}})
			s = open(t, commit())
			check(t, s)
		}
	}
	if s.top != (ID{1, 0}) || s.Len() != 1 {
		t.Errorf("%d entries are left up to %s", s.Len(), s.top)
	}
}

// A stream tells where its records are, and does not count where entries were.
func TestPlaces(t *testing.T) {
	tx, commit := openStore(t, storage.Options{})
	s := open(t, tx)
	for i := range 20 {
		s.Append(ID{uint64(i + 1), 0}, [][]byte{[]byte("f"), []byte("v")}, benchLimits)
	}
	if err := s.CreateGroup([]byte("g"), ID{}, 0); err != nil {
		t.Fatal(err)
	}
	c, _ := s.Group([]byte("g")).CreateConsumer([]byte("c"))
	s.Group([]byte("g")).ReadNew(c, Batch{}, false, func(*Entry) {})
	inside := func(sub []byte) bool {
		return slices.ContainsFunc(s.Places(), func(p storage.Place) bool {
			return bytes.Compare(p.From, sub) <= 0 && (p.To == nil || bytes.Compare(sub, p.To) < 0)
		})
	}
	for _, maxLen := range []uint64{20, 5, 0} {
		s.Trim(Trim{By: TrimMaxLen, MaxLen: maxLen})
		s = open(t, commit())
		for sub := range s.tx.Scan(s.o, nil, nil, false) {
			if !inside(sub) {
				t.Errorf("the record %x is in no place: %x", sub, s.Places())
			}
		}
		if gone := new(subKey).entry(ID{20 - maxLen, 0}); maxLen < 20 && inside(gone) {
			t.Errorf("entry %x, which was trimmed, is in a place: %x", gone, s.Places())
		}
	}
}

// TestMacroNodes compares how much MAXLEN ~ leaves of a thousand entries with
// what redis-server 7.0.15 was seen to leave.
func TestMacroNodes(t *testing.T) {
	repeat := func(values ...string) func(int) []string { return func(int) []string { return values } }
	for _, c := range []struct {
		name    string
		values  func(i int) []string
		removed []uint64 // by MAXLEN ~ 999, 990, 900, 500 and 0
	}{
		{"one small", repeat("f", "v"), []uint64{0, 0, 100, 400, 500}},
		{"numbers", repeat("n", "1", "count", "123456", "big", "12345678901"), []uint64{0, 0, 100, 400, 500}},
		{"128 bytes", repeat("f", strings.Repeat("x", 128)), []uint64{0, 0, 87, 406, 507}},
		{"1 KiB", repeat("f", strings.Repeat("x", 1024)), []uint64{0, 9, 90, 399, 502}},
		{"5000 bytes", repeat("f", strings.Repeat("x", 5000)), []uint64{1, 9, 90, 400, 500}},
		{"changing", func(i int) []string { return []string{fmt.Sprint("f", i%3), strings.Repeat("v", i%50)} }, []uint64{0, 0, 100, 400, 500}},
	} {
		tx, commit := openStore(t, storage.Options{CacheBytes: 1})
		s := open(t, tx)
		for i := 1; i <= 1000; i++ {
			var raw [][]byte
			for _, v := range c.values(i) {
				raw = append(raw, []byte(v))
			}
			s.Append(ID{uint64(1000 + i/7), uint64(i)}, raw, benchLimits)
		}
		var removed []uint64
		for _, n := range []uint64{999, 990, 900, 500, 0} {
			s = open(t, commit())
			removed = append(removed, s.Trim(Trim{By: TrimMaxLen, MaxLen: n, Approx: true, Limit: 10000}))
			check(t, s)
		}
		if !slices.Equal(removed, c.removed) {
			t.Errorf("%s: removed %v, want %v", c.name, removed, c.removed)
		}
	}
}

// TestTrimMany removes so much that ranges are deleted, and reads the smaller
// part: what goes or what stays.
func TestTrimMany(t *testing.T) {
	const entries = 10_000
	for _, c := range []struct {
		name string
		Trim
		left uint64
	}{
		{"all", Trim{By: TrimMaxLen}, 0},
		{"all but one", Trim{By: TrimMaxLen, MaxLen: 1}, 1},
		{"most", Trim{By: TrimMaxLen, MaxLen: 100}, 100},
		{"half", Trim{By: TrimMaxLen, MaxLen: entries / 2}, entries / 2},
		{"some", Trim{By: TrimMaxLen, MaxLen: entries - 1500}, entries - 1500},
		{"few", Trim{By: TrimMaxLen, MaxLen: entries - 5}, entries - 5},
		{"none", Trim{By: TrimMaxLen, MaxLen: entries}, entries},
		{"all below", Trim{By: TrimMinID, MinID: MaxID}, 0},
		{"most below", Trim{By: TrimMinID, MinID: ID{entries - 99, 0}}, 100},
		{"some below", Trim{By: TrimMinID, MinID: ID{2001, 0}}, entries - 2000},
		{"few below", Trim{By: TrimMinID, MinID: ID{5, 1}}, entries - 5},
		{"none below", Trim{By: TrimMinID, MinID: ID{1, 0}}, entries},
	} {
		for _, cached := range []int{0, 1} {
			tx, commit := openStore(t, storage.Options{CacheBytes: cached})
			s := open(t, tx)
			for i := uint64(1); i <= entries; i++ {
				s.Append(ID{i, 0}, benchValues, benchLimits)
			}
			s = open(t, commit())
			s.Delete([]ID{{1, 0}, {entries, 0}, {entries / 2, 0}})
			for i := uint64(1); i <= 3; i++ {
				s.Append(ID{entries + i, 0}, benchValues, benchLimits)
			}
			length := s.Len()
			removed := s.Trim(c.Trim)
			check(t, s)
			if s.Len() != length-removed {
				t.Errorf("%s: %d of %d removed, %d left", c.name, removed, length, s.Len())
			}
			if c.By == TrimMaxLen && s.Len() != c.left {
				t.Errorf("%s: %d left, want %d", c.name, s.Len(), c.left)
			}
			if c.By == TrimMinID && s.Len() > 0 && s.FirstID().Less(c.MinID) {
				t.Errorf("%s: the first left is %s", c.name, s.FirstID())
			}
			s = open(t, commit())
			check(t, s)
			n := uint64(0)
			s.After(ID{}, 0, func(*Entry) bool { n++; return true })
			if n != s.Len() {
				t.Errorf("%s: %d read of %d", c.name, n, s.Len())
			}
		}
	}
}

// TestTrimmedAway: reading a stream that was trimmed goes on at its first entry.
func TestTrimmedAway(t *testing.T) {
	tx, commit := openStore(t, storage.Options{})
	s := open(t, tx)
	if err := s.CreateGroup([]byte("g"), ID{}, 0); err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= 100; i++ {
		s.Append(ID{i, 0}, benchValues, benchLimits)
	}
	s = open(t, commit())
	g := s.Group([]byte("g"))
	read := func(count int) (ids []ID) {
		g.ReadNew(g.See([]byte("c")), Batch{Count: count}, false, func(e *Entry) { ids = append(ids, e.ID) })
		return ids
	}
	if ids := read(2); !slices.Equal(ids, []ID{{1, 0}, {2, 0}}) {
		t.Errorf("read %v", ids)
	}
	s.Trim(Trim{By: TrimMaxLen, MaxLen: 50})
	if ids := read(2); !slices.Equal(ids, []ID{{51, 0}, {52, 0}}) {
		t.Errorf("read %v after a trim", ids)
	}
	// Entries that were trimmed before they were read are not to come any more.
	if lag, known := g.Lag(); !known || lag != 48 {
		t.Errorf("the lag is %d, %v", lag, known)
	}
	s = open(t, commit())
	s.Trim(Trim{By: TrimMaxLen})
	g = s.Group([]byte("g"))
	if ids := read(2); len(ids) != 0 {
		t.Errorf("read %v of an empty stream", ids)
	}
	check(t, s)
}
