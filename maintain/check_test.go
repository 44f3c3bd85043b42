package maintain

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/schedule"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

func openStore(t *testing.T, fs vfs.FS) *storage.Store {
	t.Helper()
	s, err := storage.Open("/data", storage.Options{FS: fs, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func turn(t *testing.T, s *storage.Store, do func(*storage.Tx)) {
	t.Helper()
	do(s.Begin(time.UnixMilli(1000)))
	if _, err := s.Commit(); err != nil {
		t.Fatal(err)
	}
}

// push makes a run of a list.
func push(t *testing.T, tx *storage.Tx, key string, elements ...string) {
	t.Helper()
	l, err := lists.OpenOrCreate(tx, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range elements {
		l.Push(lists.Right, []byte(e))
	}
}

// folder returns a data folder with a list, a stream with pending entries, keys
// that run out, several databases, and something for the sweeper to do.
func folder(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	s := openStore(t, fs)
	turn(t, s, func(tx *storage.Tx) {
		for _, key := range []string{"q", "other"} {
			push(t, tx, key, "one", "two")
		}
		tx.SetExpiry(tx.Lookup([]byte("q")), 5000)
		l, err := lists.OpenOrCreate(tx.In(3), []byte("flushed"))
		if err != nil {
			t.Fatal(err)
		}
		l.Push(lists.Left, []byte("x"))
		st := streams.Create(tx, []byte("s"))
		for i := range uint64(300) {
			st.Append(streams.ID{Ms: 1, Seq: i + 1}, [][]byte{[]byte("f"), fmt.Append(nil, i)}, streams.NodeLimits{})
		}
		if err := st.CreateGroup([]byte("g"), streams.ID{}, 0); err != nil {
			t.Fatal(err)
		}
		g := st.Group([]byte("g"))
		g.ReadNew(g.See([]byte("c")), streams.Batch{Count: 200}, false, func(*streams.Entry) {})
		g.Ack([]streams.ID{{Ms: 1, Seq: 7}})
	})
	turn(t, s, func(tx *storage.Tx) { push(t, tx, "q", "three") })
	turn(t, s, func(tx *storage.Tx) { tx.In(3).FlushDB() })
	turn(t, s, func(tx *storage.Tx) { tx.Drop(tx.Lookup([]byte("other"))) })
	turn(t, s, func(tx *storage.Tx) {
		p, err := policy.Parse("safe", []string{"PATTERN", "q", "POP", "CONFIRMED"})
		if err != nil {
			t.Fatal(err)
		}
		tx.PutPolicy(p.Name, p.AppendRecord(nil))
		popped := lists.Popped{Key: []byte("q"), Elements: []lists.PoppedElement{{Value: []byte("zero"), Deliveries: 1}}}
		tx.PutPopped(popped.Append(nil))
		tx.PutDeliveries(storage.KeyRef{Key: "q"}, 77, 2)
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestCheckOfWhatIsSound(t *testing.T) {
	fs := folder(t)
	var out bytes.Buffer
	if err := Check(fs, "/data", &out, nil); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if text := out.String(); !strings.Contains(text, "/data is sound") || !strings.Contains(text, "3 keys") {
		t.Error(text)
	}
	// Also when the sweeper has done its work.
	s := openStore(t, fs)
	for {
		if _, ok := s.NextSweep(time.UnixMilli(6000)); !ok {
			break
		}
		s.Begin(time.UnixMilli(6000)).Sweep(100)
		if _, err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := Check(fs, "/data", &out, nil); err != nil || !strings.Contains(out.String(), "1 keys") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// record finds the nth Pebble key that begins so, and its value.
func record(t *testing.T, db *pebble.DB, prefix string, n int) (key, value []byte) {
	t.Helper()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte(prefix)})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	ok := it.First()
	for ; ok && n > 0; n-- {
		ok = it.Next()
	}
	if !ok || !bytes.HasPrefix(it.Key(), []byte(prefix)) {
		t.Fatalf("no record %d of %q", n, prefix)
	}
	return bytes.Clone(it.Key()), bytes.Clone(it.Value())
}

// Whatever does not fit together is found.
func TestCheckFinds(t *testing.T) {
	remove := func(prefix string, n int) func(*testing.T, *pebble.DB) {
		return func(t *testing.T, db *pebble.DB) {
			key, _ := record(t, db, prefix, n)
			if err := db.Delete(key, pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
	}
	change := func(prefix string, n int, do func(key, value []byte) (newKey, newValue []byte)) func(*testing.T, *pebble.DB) {
		return func(t *testing.T, db *pebble.DB) {
			key, value := record(t, db, prefix, n)
			if err := db.Delete(key, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			key, value = do(key, value)
			if err := db.Set(key, value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := "d\x00\x00\x00\x00\x00\x00\x00\x02"
	stream := "d\x00\x00\x00\x00\x00\x00\x00\x05"
	for _, tt := range []struct {
		name  string
		spoil func(*testing.T, *pebble.DB)
		want  string
	}{
		{"a run is missing", remove(list, 0), `key "q": a run at position`},
		{"the last run is missing", remove(list, 1), `there are 2 elements of 6 bytes, the metadata say 3 of 11`},
		{"a run has an element less", change(list, 0, func(k, v []byte) ([]byte, []byte) { v[9] = 1; return k, v[:len(v)-4] }), `there are 2 elements of 8 bytes`},
		{"a run has an element more", change(list, 1, func(k, v []byte) ([]byte, []byte) { v[9] = 2; return k, append(v, 1, '!') }), `the last run ends at position`},
		{"an element is not as long", change(list, 1, func(k, v []byte) ([]byte, []byte) { v[10]++; return k, append(v, '!') }), `of 12 bytes`},
		{"a run is cut short", change(list, 0, func(k, v []byte) ([]byte, []byte) { return k, v[:len(v)-1] }), `a run of elements: cut short`},
		{"a run of a list at the wrong place", change(list, 0, func(k, v []byte) ([]byte, []byte) { k[len(k)-1]++; return k, v }), `where 9223372036854775808 is expected`},
		{"an entry is missing", remove(stream+"e", 5), `key "s": there are 299 entries`},
		{"a page of pending entries at the wrong place", change(stream+"p", 1, func(k, v []byte) ([]byte, []byte) { k[len(k)-1] = 9; return k, v }), `is in the wrong page`},
		{"a consumer is missing", remove(stream+"c", 0), `unknown owner`},
		{"a group is missing", remove(stream+"g", 0), `there are 0 groups, the metadata say 1`},
		{"a page that makes no sense", change(stream+"p", 0, func(k, v []byte) ([]byte, []byte) { return k, v[:len(v)-3] }), `pending entries of group g`},
		{"an expiry is missing", remove("x", 0), `runs out at 5000, but will not`},
		{"an expiry too many", change("x", 0, func(k, v []byte) ([]byte, []byte) { k[8]++; return k, v }), `an expiry at 5001 that it does not have`},
		{"a key is missing", remove("m\x00\x00\x00\x01", 0), `counted were 2 and 1`},
		{"metadata at the wrong place", change("m\x00\x00\x00\x01", 0, func(k, v []byte) ([]byte, []byte) { k[7] ^= 1; return k, v }), `is at the hash`},
		{"metadata of no database", change("m\x00\x00\x00\x01", 0, func(k, v []byte) ([]byte, []byte) { k[4] = 99; return k, v }), `space 99, which no database shows`},
		{"metadata cut short", change("m\x00\x00\x00\x01", 0, func(k, v []byte) ([]byte, []byte) { return k, v[:5] }), `metadata too short`},
		{"metadata of another type", change("m\x00\x00\x00\x01", 0, func(k, v []byte) ([]byte, []byte) { v[0] = 77; return k, v }), `the type 77`},
		{"records of no key", change(list, 0, func(k, v []byte) ([]byte, []byte) { k[7] = 1; return k, v }), `records of the id 258, which no key has`},
		{"a policy that makes no sense", change("psafe", 0, func(k, v []byte) ([]byte, []byte) { return k, v[:5] }), `policy "safe": a policy that makes no sense`},
		{"what was popped makes no sense", change("u", 0, func(k, v []byte) ([]byte, []byte) { return k, v[:5] }), `what was popped from a list makes no sense`},
		{"a pop of nothing", change("u", 0, func(k, v []byte) ([]byte, []byte) { return k, v[:4] }), `from "q": of nothing`},
		{"deliveries in no database", change("v", 0, func(k, v []byte) ([]byte, []byte) { k[1] = 99; return k, v }), `how often messages were delivered`},
		{"garbage that was forgotten", remove("g", 0), `records of the id 3, which no key has`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := folder(t)
			db, err := pebble.Open("/data/store", &pebble.Options{FS: fs, Logger: quiet{}})
			if err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, db)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err = Check(fs, "/data", &out, nil)
			if !errors.Is(err, ErrProblems) || !strings.Contains(out.String(), tt.want) {
				t.Errorf("not found: %s\n%v\n%s", tt.want, err, out.String())
			}
		})
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// All damaged tables are named, also if the store does not open.
func TestCheckNamesTables(t *testing.T) {
	fs := folder(t)
	if err := openStore(t, fs).Close(); err != nil { // what was in the log is now in a table
		t.Fatal(err)
	}
	var tables []string
	names, err := fs.List("/data/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			tables = append(tables, name)
			f, err := fs.OpenReadWrite("/data/store/"+name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("damage"), 20); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
	}
	if len(tables) == 0 {
		t.Fatal("no tables")
	}
	var out bytes.Buffer
	if err := Check(fs, "/data", &out, nil); !errors.Is(err, ErrProblems) {
		t.Errorf("%v", err)
	}
	for _, name := range tables {
		if !strings.Contains(out.String(), "table "+name+": ") {
			t.Errorf("%s is not named:\n%s", name, out.String())
		}
	}
}

// The table that was being written when a broker was killed is not damage: nothing
// uses it.
func TestCheckOfATableThatWasCutOff(t *testing.T) {
	fs := folder(t)
	if err := openStore(t, fs).Close(); err != nil { // what was in the log is now in a table
		t.Fatal(err)
	}
	var sound, out bytes.Buffer
	if err := Check(fs, "/data", &sound, nil); err != nil || strings.Contains(sound.String(), " 0 tables") {
		t.Fatalf("%v\n%s", err, sound.String())
	}
	f, err := fs.Create("/data/store/000999.sst", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("cut off"), 100)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Check(fs, "/data", &out, nil); err != nil || out.String() != sound.String() {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestCheckOfNothing(t *testing.T) {
	if err := Check(vfs.NewMem(), "/data", io.Discard, nil); !errors.Is(err, storage.ErrNoData) {
		t.Error(err)
	}
}

// What is scheduled is checked, too.
func TestCheckSchedule(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, fs)
	turn(t, s, func(tx *storage.Tx) {
		schedule.Add(tx, &schedule.Entry{ID: "good", Due: 5000, Args: [][]byte{[]byte("LPUSH"), []byte("q"), []byte("x")}})
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Check(fs, "/data", &out, io.Discard); err != nil || !strings.Contains(out.String(), "1 scheduled command") {
		t.Errorf("%v\n%s", err, out.String())
	}
	s = openStore(t, fs)
	turn(t, s, func(tx *storage.Tx) { tx.AddTimer("bad", 6000, []byte("?")) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := Check(fs, "/data", &out, io.Discard); !errors.Is(err, ErrProblems) || !strings.Contains(out.String(), `the timer "bad" at 6000: it makes no sense as a scheduled command`) {
		t.Errorf("%v\n%s", err, out.String())
	}
}
