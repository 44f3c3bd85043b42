package storage

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// problems checks a store.
func problems(t *testing.T, s *Store) (list []string) {
	t.Helper()
	_, err := s.Check(Check{
		Object:  func(*Tx, *Object) error { return nil },
		Problem: func(err error) { list = append(list, err.Error()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Random changes, against a slice; now and then the store is opened anew.
func TestTimersModel(t *testing.T) {
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, seed))
	fs := vfs.NewMem()
	s := open(t, fs, Options{MemTableBytes: 64 << 10})
	defer func() { _ = s.Close() }()
	var model []Timer
	seq, now := uint64(1), int64(0)
	sort := func() {
		slices.SortFunc(model, func(a, b Timer) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Seq, b.Seq)) })
	}
	same := func(a, b Timer) bool {
		return a.Name == b.Name && a.At == b.At && a.Seq == b.Seq && bytes.Equal(a.Value, b.Value)
	}
	for turn := range 1500 {
		now += rng.Int64N(20)
		tx := s.Begin(time.UnixMilli(now))
		// What is due, of which some is kept.
		limit := rng.IntN(8)
		sort()
		var behind *Timer
		passed := 0
		if len(model) > 0 && rng.IntN(3) == 0 {
			passed = 1 + rng.IntN(min(len(model), 4))
			place := model[passed-1]
			behind = &place
		}
		due := tx.DueTimers(behind, limit, 1<<20)
		for i, d := range due {
			if !same(d, model[passed+i]) {
				t.Fatalf("turn %d: due is %+v, not %+v", turn, d, model[passed+i])
			}
		}
		if next := passed + len(due); len(due) < limit && next < len(model) && model[next].At <= now {
			t.Fatalf("turn %d: %+v is due, too", turn, model[next])
		}
		model = slices.Delete(model, passed, passed+len(due))
		for _, d := range due {
			switch rng.IntN(4) {
			case 0:
				tx.KeepTimer(d)
				model = append(model, d)
			case 1:
				at, value := now+1+rng.Int64N(50), []byte(fmt.Sprint(turn))
				tx.MoveTimer(d, at, value)
				d.At, d.Value = at, value
				model = append(model, d)
			default:
				tx.RemoveTimer(d)
			}
		}
		for range rng.IntN(6) {
			name := fmt.Sprint("t", rng.IntN(40))
			i := slices.IndexFunc(model, func(m Timer) bool { return m.Name == name })
			found, ok := tx.Timer(name)
			if ok != (i >= 0) || ok != tx.HasTimer(name) || (ok && !same(found, model[i])) {
				t.Fatalf("turn %d: %s is %+v, %v", turn, name, found, ok)
			}
			switch {
			case !ok:
				m := Timer{name, max(0, now-10+rng.Int64N(60)), seq, []byte(fmt.Sprint("v", turn))}
				tx.AddTimer(m.Name, m.At, m.Value)
				model = append(model, m)
				seq++
			case rng.IntN(2) == 0:
				tx.RemoveTimer(found)
				model = slices.Delete(model, i, i+1)
			}
		}
		sort()
		read := func(tx *Tx) {
			i := 0
			for m := range tx.Timers() {
				if i >= len(model) || !same(m, model[i]) {
					t.Fatalf("turn %d: the %d. is %+v", turn, i, m)
				}
				i++
			}
			if i != len(model) {
				t.Fatalf("turn %d: %d timers, not %d", turn, i, len(model))
			}
		}
		if rng.IntN(8) == 0 {
			read(tx)
		}
		commit(t, s)
		if s.TimerCount() != int64(len(model)) || s.turn.views[0].NextTimerSeq() != seq {
			t.Fatalf("turn %d: %d timers, %d given", turn, s.TimerCount(), seq)
		}
		if at, ok := s.NextTimer(); len(model) > 0 && (!ok || at.UnixMilli() > model[0].At) {
			t.Fatalf("turn %d: nothing before %v, %v", turn, at, ok)
		}
		switch rng.IntN(30) {
		case 0:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, fs, Options{MemTableBytes: 64 << 10})
		case 1:
			snapshot, release := s.Snapshot(time.UnixMilli(now))
			read(snapshot)
			release()
			if p := problems(t, s); p != nil {
				t.Fatalf("turn %d: %v", turn, p)
			}
		}
	}
}

// FLUSHALL and SWAPDB leave timers alone.
func TestTimersBelongToNoDatabase(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer func() { _ = s.Close() }()
	tx := s.Begin(at(1))
	for i := range flushWholeMin {
		put(tx, fmt.Sprint("k", i), "v")
	}
	tx.AddTimer("x", 5, []byte("value"))
	commit(t, s)
	tx = s.Begin(at(2))
	tx.FlushAll()
	tx.SwapDB(0, 1)
	commit(t, s)
	if timer, ok := s.Begin(at(3)).Timer("x"); !ok || string(timer.Value) != "value" {
		t.Errorf("%+v, %v", timer, ok)
	}
	commit(t, s)
	if p := problems(t, s); p != nil {
		t.Error(p)
	}
}

// A check finds what does not fit together.
func TestCheckTimers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		wrong func(tx *Tx)
		want  string
	}{
		{"nothing", func(tx *Tx) {}, ""},
		{"no name", func(tx *Tx) { tx.check(tx.batch.Delete(appendTimerName(nil, "b"), nil)) }, "is not where its name says"},
		{"no timer", func(tx *Tx) { tx.check(tx.batch.Delete(appendTimerKey(nil, 20, 2), nil)) }, "there is none at 20"},
		{"another place", func(tx *Tx) {
			tx.check(tx.batch.Set(appendTimerName(nil, "a"), appendTimerPlace(nil, 20, 2), nil))
		}, `the timer "a" at 10 is not where its name says`},
		{"a count", func(tx *Tx) { tx.store.timers.count, tx.store.timers.dirty = 3, true }, "counted were 3"},
		{"a number", func(tx *Tx) { tx.store.timers.seq, tx.store.timers.dirty = 2, true }, "was not given yet"},
		{"no place", func(tx *Tx) { tx.check(tx.batch.Set(appendTimerName(nil, "a"), []byte("?"), nil)) }, "a timer at 3f"},
		{"no value", func(tx *Tx) { tx.check(tx.batch.Set(appendTimerKey(nil, 10, 1), []byte{200}, nil)) }, "has no name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, vfs.NewMem(), Options{})
			defer func() { _ = s.Close() }()
			tx := s.Begin(at(1))
			tx.AddTimer("a", 10, nil)
			tx.AddTimer("b", 20, nil)
			commit(t, s)
			tx = s.Begin(at(1))
			tx.writable()
			tc.wrong(tx)
			commit(t, s)
			got := strings.Join(problems(t, s), "\n")
			if !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
				t.Errorf("%q", got)
			}
		})
	}
}
