package schedule

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/storage"
)

func args(words ...string) (list [][]byte) {
	for _, w := range words {
		list = append(list, []byte(w))
	}
	return list
}

var examples = []Entry{
	{Due: 1_700_000_000_000, User: "default", Args: args("LPUSH", "q", "x")},
	{Due: 0, Repeat: Repeat{Every: 1}, DB: 15, Args: args("FLUSHALL")},
	{Due: TimeMax, Repeat: Repeat{Cron: "CRON_TZ=Europe/Berlin 0 9 * * 1-5"}, User: "é", Args: args("XADD", "s", "*", "f", strings.Repeat("v", 1000))},
	{Due: 5, Args: args("PUBLISH", "", "")},
}

func TestCodec(t *testing.T) {
	for _, e := range examples {
		timer := storage.Timer{Name: "id", At: e.Due, Value: e.append(nil)}
		e.ID, e.timer = "id", timer
		got, err := decode(timer)
		if err != nil || !reflect.DeepEqual(*got, e) {
			t.Errorf("%+v, %v", got, err)
		}
		for n := range timer.Value {
			if _, err := decode(storage.Timer{Value: timer.Value[:n]}); err == nil {
				t.Errorf("%d bytes of %x", n, timer.Value)
			}
		}
		if Check(storage.Timer{Value: append(timer.Value, 0)}) == nil {
			t.Error("a byte too many")
		}
	}
}

// What makes sense is written as it was read, and nothing else does harm.
func FuzzDecode(f *testing.F) {
	for _, e := range examples {
		f.Add(e.append(nil))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := decode(storage.Timer{Name: "id", Value: value})
		if err != nil {
			return
		}
		again, err := decode(storage.Timer{Name: "id", Value: e.append(nil)})
		if err != nil {
			t.Fatal(err)
		}
		e.timer, again.timer = storage.Timer{}, storage.Timer{}
		if !reflect.DeepEqual(e, again) {
			t.Errorf("%+v, %+v", e, again)
		}
		e.Next(e.Due, 1_700_000_000_000)
	})
}

func TestNext(t *testing.T) {
	ms := func(text string) int64 {
		at, err := time.Parse("2006-01-02 15:04:05.000", text)
		if err != nil {
			t.Fatal(err)
		}
		return at.UnixMilli()
	}
	const never = ""
	for _, tc := range []struct {
		repeat         Repeat
		due, now, want string
	}{
		{Repeat{}, "2024-01-01 00:00:00.000", "2024-01-01 00:00:00.000", never},
		{Repeat{Every: 60_000}, "2024-01-01 00:00:00.000", "2024-01-01 00:00:00.000", "2024-01-01 00:01:00.000"},
		{Repeat{Every: 60_000}, "2024-01-01 00:00:00.000", "2024-01-01 00:00:59.999", "2024-01-01 00:01:00.000"},
		{Repeat{Every: 60_000}, "2024-01-01 00:00:00.000", "2024-01-01 00:01:00.000", "2024-01-01 00:02:00.000"},
		// Missed periods are not made up for, and the beat is kept.
		{Repeat{Every: 60_000}, "2024-01-01 00:00:30.000", "2024-01-03 17:05:12.345", "2024-01-03 17:05:30.000"},
		{Repeat{Every: TimeMax}, "2024-01-01 00:00:00.000", "2024-01-01 00:00:00.000", never},
		{Repeat{Cron: "*/5 * * * *"}, "2024-01-01 00:00:00.000", "2024-01-01 00:00:00.001", "2024-01-01 00:05:00.000"},
		{Repeat{Cron: "*/5 * * * *"}, "2024-01-01 00:00:00.000", "2024-06-01 00:04:59.999", "2024-06-01 00:05:00.000"},
		{Repeat{Cron: "0 9 * * 1"}, "2024-01-01 09:00:00.000", "2024-01-01 09:00:00.000", "2024-01-08 09:00:00.000"},
		{Repeat{Cron: "@daily"}, "2024-01-01 09:00:00.000", "2024-01-01 09:00:00.000", "2024-01-02 00:00:00.000"},
		{Repeat{Cron: "0 0 29 2 *"}, "2024-03-01 00:00:00.000", "2024-03-01 00:00:00.000", "2028-02-29 00:00:00.000"},
		{Repeat{Cron: "0 0 30 2 *"}, "2024-03-01 00:00:00.000", "2024-03-01 00:00:00.000", never},
		// 9 o'clock in Berlin, before and after its clocks are changed.
		{Repeat{Cron: "CRON_TZ=Europe/Berlin 0 9 * * *"}, "2024-03-29 12:00:00.000", "2024-03-29 12:00:00.000", "2024-03-30 08:00:00.000"},
		{Repeat{Cron: "CRON_TZ=Europe/Berlin 0 9 * * *"}, "2024-03-30 12:00:00.000", "2024-03-30 12:00:00.000", "2024-03-31 07:00:00.000"},
	} {
		at, ok := tc.repeat.Next(ms(tc.due), ms(tc.now))
		if ok != (tc.want != never) || (ok && at != ms(tc.want)) {
			t.Errorf("%q after %s, at %s: %v, %v", tc.repeat, tc.due, tc.now, time.UnixMilli(at).UTC(), ok)
		}
	}
}

func TestCheckCron(t *testing.T) {
	for _, expr := range []string{"* * * * *", "CRON_TZ=Europe/Berlin   @daily", "0 9 * * MON-FRI", "CRON_TZ=America/New_York 30 4 1,15 * *", "TZ=UTC @hourly", "@weekly"} {
		if err := CheckCron(expr); err != nil {
			t.Errorf("%q: %v", expr, err)
		}
	}
	for _, expr := range []string{"", " ", "* * * *", "* * * * * *", "60 * * * *", "CRON_TZ=", "CRON_TZ=UTC", "TZ=UTC ", "CRON_TZ=Nowhere/Land * * * * *", "CRON_TZ=Local * * * * *", "CRON_TZ= * * * * *", "TZ=UTC CRON_TZ=UTC * * * * *",
		"CRON_TZ=../../etc/passwd * * * * *", "@yesterday", "@every 90s", "@every 1ns", "CRON_TZ=UTC @every 1h", "*/0 * * * *", strings.Repeat(" ", 300) + "* * * * *"} {
		if err := CheckCron(expr); err == nil {
			t.Errorf("%q", expr)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, expr := range []string{"*/5 0-3,7 * JAN ?", "CRON_TZ=Europe/Berlin 0 9 * * *", "@every 1h30m", "TZ=", "CRON_TZ=UTC", "@monthly"} {
		f.Add(expr, int64(1_700_000_000_000))
	}
	f.Fuzz(func(t *testing.T, expr string, now int64) {
		now = max(0, min(now, TimeMax))
		if CheckCron(expr) != nil {
			return
		}
		if at, ok := (Repeat{Cron: expr}).Next(now, now); ok && at <= now {
			t.Errorf("%q: %d after %d", expr, at, now)
		}
	})
}

// stage is a store whose time the test moves.
type stage struct {
	t     *testing.T
	store *storage.Store
}

func newStage(t *testing.T) *stage {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return &stage{t, store}
}

func (s *stage) turn(now int64, f func(tx *storage.Tx)) {
	s.t.Helper()
	f(s.store.Begin(time.UnixMilli(now)))
	if _, err := s.store.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

// next is when the only entry runs, 0 if there is none.
func (s *stage) next() (at int64) {
	s.turn(0, func(tx *storage.Tx) {
		for e := range All(tx) {
			at = e.At()
		}
	})
	return at
}

func TestDoneAndPutOff(t *testing.T) {
	s := newStage(t)
	s.turn(0, func(tx *storage.Tx) { Add(tx, &Entry{ID: "a", Due: 1000, Args: args("X")}) })
	putOff := func(now, want int64) {
		t.Helper()
		s.turn(now, func(tx *storage.Tx) {
			due := Due(tx, nil, 10, 1<<20)
			if len(due) != 1 {
				t.Fatalf("at %d: %d are due", now, len(due))
			}
			due[0].PutOff(tx)
		})
		if at := s.next(); at != want {
			t.Errorf("at %d put off to %d, not %d", now, at, want)
		}
	}
	putOff(1000, 2000)
	putOff(2000, 3000)
	putOff(3000, 5000) // as late again as it is
	putOff(5000, 9000)
	putOff(100_000, 160_000) // but a minute at most
	s.turn(160_000, func(tx *storage.Tx) { Due(tx, nil, 10, 1<<20)[0].Done(tx) })
	if at := s.next(); at != 0 {
		t.Errorf("after it was done: %d", at)
	}

	// What repeats is tried again at its next time at the latest.
	s.turn(0, func(tx *storage.Tx) {
		Add(tx, &Entry{ID: "a", Due: 1000, Repeat: Repeat{Every: 1500}, Args: args("X")})
	})
	putOff(1000, 2000)
	putOff(2000, 2500)
	s.turn(2500, func(tx *storage.Tx) { Due(tx, nil, 10, 1<<20)[0].Done(tx) })
	if at := s.next(); at != 4000 {
		t.Errorf("after it was done: %d", at)
	}
	s.turn(2500, func(tx *storage.Tx) { Get(tx, "a").Cancel(tx) })
	if at := s.next(); at != 0 {
		t.Errorf("after it was cancelled: %d", at)
	}
}

func TestDueIsBounded(t *testing.T) {
	s := newStage(t)
	s.turn(0, func(tx *storage.Tx) {
		for range 100 {
			Add(tx, &Entry{ID: NewID(tx), Due: 10, Args: [][]byte{bytes.Repeat([]byte("x"), 1000)}})
		}
	})
	s.turn(10, func(tx *storage.Tx) {
		for _, e := range Due(tx, nil, 30, 1<<20) {
			e.Keep(tx)
		}
	})
	for _, tc := range []struct{ limit, bytes, want int }{{30, 1 << 20, 30}, {1000, 5000, 5}, {1000, 1, 1}, {1000, 1 << 20, 100}} {
		s.turn(10, func(tx *storage.Tx) {
			due := Due(tx, nil, tc.limit, tc.bytes)
			if len(due) != tc.want {
				t.Errorf("%+v: %d", tc, len(due))
			}
			for _, e := range due {
				e.Keep(tx)
			}
		})
	}
}

func TestNewID(t *testing.T) {
	s := newStage(t)
	s.turn(1_700_000_000_000, func(tx *storage.Tx) {
		for range 2 {
			id := NewID(tx)
			if Has(tx, id) || len(id) > 12 || id[0] != MadeMark {
				t.Error(id)
			}
			Add(tx, &Entry{ID: id, Args: args("X")})
		}
	})
}
