package streams

import (
	"math/rand/v2"
	"testing"

	"github.com/cairnmq/cairn/storage"
)

// TestManyPages: what is pending may be far more than what is kept in memory,
// and pages that become small are joined.
func TestManyPages(t *testing.T) {
	entries := 100_000
	if testing.Short() {
		entries = 50_000
	}
	tx, commit := openStore(t, storage.Options{})
	s := open(t, tx)
	if err := s.CreateGroup([]byte("g"), ID{}, 0); err != nil {
		t.Fatal(err)
	}
	ids := make([]ID, 0, entries)
	for i := uint64(1); i <= uint64(entries); i++ {
		s.Append(ID{i, 0}, [][]byte{nil, nil}, benchLimits)
		ids = append(ids, ID{i, 0})
		if i%1000 == 0 {
			g := s.Group([]byte("g"))
			g.ReadNew(g.See([]byte{'c', byte(i / 1000 % 7)}), Batch{}, false, func(*Entry) {})
			s = open(t, commit())
		}
	}
	g := s.Group([]byte("g"))
	if n := len(g.pages.all); n != (entries+pageEntriesMax-1)/pageEntriesMax {
		t.Errorf("%d pages", n)
	}
	if g.pages.resident > hotPagesMax {
		t.Errorf("%d pages are in memory", g.pages.resident)
	}
	check(t, s)

	// One in forty stays, as after consumers have died.
	rnd := rand.New(rand.NewPCG(1, 1))
	rnd.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	slow := entries / 40
	for at := slow; at < entries; at += 500 {
		s = open(t, commit())
		if n := s.Group([]byte("g")).Ack(ids[at:min(at+500, entries)]); n != min(500, entries-at) {
			t.Fatalf("%d acknowledged", n)
		}
	}
	s = open(t, commit())
	check(t, s)
	g = s.Group([]byte("g"))
	if g.PendingCount() != slow || len(g.pages.all) > entries/pageEntriesMax || g.pages.resident > hotPagesMax {
		t.Errorf("%d pending in %d pages, %d in memory", g.PendingCount(), len(g.pages.all), g.pages.resident)
	}
	if n := g.Ack(ids[:slow]); n != slow || len(g.pages.all) != 0 || g.pages.resident != 0 {
		t.Errorf("%d acknowledged, %d pages left, %d in memory", n, len(g.pages.all), g.pages.resident)
	}
	s = open(t, commit())
	check(t, s)
	for range tx.Scan(s.o, []byte{kindPage}, []byte{kindPage + 1}, false) {
		t.Fatal("a page is left on disk")
	}
}

// TestNothingWritten: what is delivered and acknowledged in one turn leaves no
// page, and an empty poll is not worth a commit.
func TestNothingWritten(t *testing.T) {
	tx, commit := openStore(t, storage.Options{})
	s := open(t, tx)
	if err := s.CreateGroup([]byte("g"), ID{}, 0); err != nil {
		t.Fatal(err)
	}
	g := s.Group([]byte("g"))
	c := g.See([]byte("c"))
	for i := uint64(1); i <= 300; i++ {
		s.Append(ID{i, 0}, benchValues, benchLimits)
	}
	var ids []ID
	g.ReadNew(c, Batch{}, false, func(e *Entry) { ids = append(ids, e.ID) })
	if n := g.Ack(ids); n != 300 {
		t.Errorf("%d acknowledged", n)
	}
	tx = commit()
	s = open(t, tx)
	for range tx.Scan(s.o, []byte{kindPage}, []byte{kindPage + 1}, false) {
		t.Error("a page was written")
	}
	edits := tx.Edits()
	g = s.Group([]byte("g"))
	if n := g.ReadNew(g.See([]byte("c")), Batch{Count: 10}, false, nil); n != 0 || tx.Edits() != edits {
		t.Errorf("an empty poll returned %d entries and made %d changes", n, tx.Edits()-edits)
	}
}
