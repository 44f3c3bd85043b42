package streams

import (
	"fmt"
	"testing"

	"github.com/cairnmq/cairn/storage"
)

// A restored stream is as good as one that grew here: sound, with the macro
// nodes it had, and aware that entries may be missing.
func TestRestore(t *testing.T) {
	for _, cache := range []int{0, 1} { // with 1 nothing stays in memory from turn to turn
		t.Run(fmt.Sprint("cache=", cache), func(t *testing.T) {
			tx, commit := openStore(t, storage.Options{CacheBytes: cache})
			r := Restore(tx, []byte("s"))
			for i := uint64(1); i <= 1000; i++ {
				if i%10 != 3 { // those are gone
					r.Append(ID{i, 0}, [][]byte{[]byte("f"), []byte("v")}, i%50 == 1)
				}
			}
			r.SetPast(ID{2000, 0}, 1500, ID{993, 0})
			g := r.Group([]byte("g"), ID{700, 0}, 800)
			var consumers []*Consumer
			for i := range 200 {
				consumers = append(consumers, r.Consumer(g, fmt.Append(nil, "c", i), int64(i), int64(i)-1))
			}
			for i := uint64(1); i <= 700; i++ {
				r.Pending(g, consumers[i%150], ID{i, 0}, int64(i), i)
			}
			r.Group([]byte("empty"), ID{1, 0}, ReadUnknown)

			for range 2 {
				s := open(t, tx)
				check(t, s)
				g := s.Group([]byte("g"))
				if s.Len() != 900 || s.LastID() != (ID{2000, 0}) || s.Added() != 1500 || s.MaxDeletedID() != (ID{993, 0}) || s.GroupCount() != 2 {
					t.Errorf("%+v", s.meta)
				}
				if g.PendingCount() != 700 || len(g.Consumers()) != 200 || g.LastDelivered() != (ID{700, 0}) || g.EntriesRead() != 800 {
					t.Errorf("%d pending, %d consumers", g.PendingCount(), len(g.Consumers()))
				}
				if c := g.Consumer([]byte("c7")); c.Seen != 7 || c.Active != 6 || c.Pending != 5 {
					t.Errorf("%+v", c)
				}
				tx = commit()
			}

			s := open(t, tx)
			g = s.Group([]byte("g"))
			_, claimed, deleted := g.AutoClaim([]byte("c0"), ID{}, 20, Claim{Retries: -1, JustID: true})
			if len(claimed) != 18 || len(deleted) != 2 {
				t.Errorf("%d claimed, %d deleted", len(claimed), len(deleted))
			}
			if n := s.Trim(Trim{By: TrimMaxLen, MaxLen: 870, Approx: true}); n != 0 { // the first node has 45
				t.Errorf("%d trimmed", n)
			}
			if n := s.Trim(Trim{By: TrimMaxLen, MaxLen: 850, Approx: true}); n != 45 {
				t.Errorf("%d trimmed", n)
			}
			s.Append(ID{2001, 0}, [][]byte{[]byte("f"), []byte("v")}, benchLimits)
			check(t, s)
			s = open(t, commit())
			check(t, s)
			if lag, known := s.Group([]byte("g")).Lag(); known {
				t.Errorf("the lag is %d, though nobody knows", lag)
			}
		})
	}
}

// Redis 6 did not say how far a group had read: it follows where it can.
func TestRestoredDistance(t *testing.T) {
	tx, _ := openStore(t, storage.Options{})
	r := Restore(tx, []byte("s"))
	for i := uint64(1); i <= 3; i++ {
		r.Append(ID{i, 0}, nil, i == 1)
	}
	r.SetPast(ID{3, 0}, 3, ID{})
	for id, want := range map[ID]int64{{0, 5}: 0, {1, 0}: 1, {2, 0}: ReadUnknown, {3, 0}: 3} {
		if got := r.Distance(id); got != want {
			t.Errorf("%s: %d, want %d", id, got, want)
		}
	}
}
