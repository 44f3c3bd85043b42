package lists

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/storage"
)

// world is a store with lists in it beside a plain model of them.
type world struct {
	t     *testing.T
	fs    vfs.FS
	store *storage.Store
	tx    *storage.Tx
	model map[string][]string
	rng   *rand.Rand
	log   []string
	cache int
}

func newWorld(t *testing.T, seed uint64, cacheBytes int) *world {
	w := &world{
		t: t, fs: vfs.NewMem(), model: make(map[string][]string),
		rng: rand.New(rand.NewPCG(seed, 0)), cache: cacheBytes,
	}
	w.open()
	return w
}

func (w *world) open() {
	store, err := storage.Open("/data", storage.Options{FS: w.fs, CacheBytes: w.cache, LogSegmentBytes: 64 << 10})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = store
	w.tx = store.Begin(time.UnixMilli(1000))
}

func (w *world) commit() {
	if _, err := w.store.Commit(); err != nil {
		w.t.Fatal(err)
	}
	w.tx = w.store.Begin(time.UnixMilli(1000))
}

func (w *world) reopen() {
	w.commit()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

func (w *world) list(key string) (List, bool) {
	l, ok, err := Open(w.tx, []byte(key))
	if err != nil {
		w.t.Fatal(err)
	}
	return l, ok
}

func (w *world) element() string {
	if w.rng.IntN(3) == 0 {
		return string(rune('a' + w.rng.IntN(4))) // equal ones, for LREM
	}
	return strings.Repeat(string(rune('a'+w.rng.IntN(26))), 1+w.rng.IntN(30))
}

// step does one random thing to the list and to its model.
func (w *world) step() {
	key := fmt.Sprintf("k%d", w.rng.IntN(3))
	m := w.model[key]
	n := len(m)
	switch op := w.rng.IntN(100); {
	case op < 30: // push
		end := End(w.rng.IntN(2) == 0)
		var elements [][]byte
		for range 1 + w.rng.IntN(8) {
			e := w.element()
			elements = append(elements, []byte(e))
			if end == Left {
				m = slices.Insert(m, 0, e)
			} else {
				m = append(m, e)
			}
		}
		w.logf("push %s %v %q", key, end, elements)
		l, err := OpenOrCreate(w.tx, []byte(key))
		if err != nil {
			w.t.Fatal(err)
		}
		l.Push(end, elements...)
	case op < 60: // pop
		l, ok := w.list(key)
		if !ok {
			break
		}
		end, count := End(w.rng.IntN(2) == 0), 1+w.rng.IntN(9)
		w.logf("pop %s %v %d", key, end, count)
		for _, e := range l.Pop(end, int64(count)) {
			var want string
			if end == Left {
				want, m = m[0], m[1:]
			} else {
				want, m = m[len(m)-1], m[:len(m)-1]
			}
			if string(e) != want {
				w.fail("popped %q, want %q", e, want)
			}
		}
	case op < 64: // trim
		l, ok := w.list(key)
		if !ok {
			break
		}
		from := w.rng.IntN(n)
		to := from + w.rng.IntN(n-from+1)
		w.logf("trim %s %d %d", key, from, to)
		l.Trim(int64(from), int64(to))
		m = slices.Clone(m[from:to])
	case op < 69: // set
		if l, ok := w.list(key); ok {
			i, e := w.rng.IntN(n), w.element()
			w.logf("set %s %d %q", key, i, e)
			l.Set(int64(i), []byte(e))
			m[i] = e
		}
	case op < 75: // insert
		if l, ok := w.list(key); ok {
			i, e := w.rng.IntN(n+1), w.element()
			w.logf("insert %s %d %q", key, i, e)
			if err := l.Insert(int64(i), []byte(e)); err != nil {
				w.fail("%v", err)
			}
			m = slices.Insert(m, i, e)
		}
	case op < 82: // remove
		if l, ok := w.list(key); ok {
			e, limit, fromTail := w.element(), w.rng.IntN(4), w.rng.IntN(2) == 0
			w.logf("remove %s %q %d %v", key, e, limit, fromTail)
			var want int
			m, want = removeModel(m, e, limit, fromTail)
			if got, err := l.Remove([]byte(e), int64(limit), fromTail); int(got) != want || err != nil {
				w.fail("removed %d, want %d", got, want)
			}
		}
	case op < 86: // move
		if l, ok := w.list(key); ok {
			from, to := End(w.rng.IntN(2) == 0), End(w.rng.IntN(2) == 0)
			dst := fmt.Sprintf("k%d", w.rng.IntN(3))
			w.logf("move %s %v %s %v", key, from, dst, to)
			var e string
			if from == Left {
				e, m = m[0], m[1:]
			} else {
				e, m = m[n-1], m[:n-1]
			}
			w.model[key] = m
			if to == Left {
				w.model[dst] = slices.Insert(slices.Clone(w.model[dst]), 0, e)
			} else {
				w.model[dst] = append(slices.Clone(w.model[dst]), e)
			}
			m = w.model[key]
			if got, err := l.MoveTo(from, []byte(dst), to); err != nil || string(got) != e {
				w.fail("moved %q, %v, want %q", got, err, e)
			}
		}
	case op < 88: // drop
		if l, ok := w.list(key); ok {
			w.logf("drop %s", key)
			w.tx.Drop(l.Object())
			m = nil
		}
	case op < 90: // rename
		to := fmt.Sprintf("k%d", w.rng.IntN(3))
		if l, ok := w.list(key); ok && len(w.model[to]) == 0 {
			w.logf("rename %s %s", key, to)
			w.tx.Rename(l.Object(), w.tx, []byte(to))
			w.model[to], m = m, nil
		}
	case op < 92: // copy
		to := fmt.Sprintf("k%d", w.rng.IntN(3))
		if l, ok := w.list(key); ok && len(w.model[to]) == 0 {
			w.logf("copy %s %s", key, to)
			w.tx.Copy(l.Object(), w.tx, []byte(to))
			w.model[to] = slices.Clone(m)
		}
	case op < 98:
		w.logf("commit")
		w.commit()
		w.tx.Sweep(10)
	default:
		w.logf("reopen")
		w.reopen()
	}
	w.model[key] = m
}

func removeModel(m []string, e string, limit int, fromTail bool) ([]string, int) {
	m = slices.Clone(m)
	if fromTail {
		slices.Reverse(m)
	}
	n := 0
	m = slices.DeleteFunc(m, func(x string) bool {
		if x == e && (limit == 0 || n < limit) {
			n++
			return true
		}
		return false
	})
	if fromTail {
		slices.Reverse(m)
	}
	return m, n
}

// check compares everything that can be read with the model.
func (w *world) check() {
	for key, m := range w.model {
		l, ok := w.list(key)
		if ok != (len(m) > 0) {
			w.fail("%s exists: %v, want %d elements", key, ok, len(m))
		}
		if !ok {
			continue
		}
		size := 0
		for _, e := range m {
			size += len(e)
		}
		if l.Len() != int64(len(m)) || l.Bytes() != int64(size) {
			w.fail("%s: %d elements, %d bytes, want %d, %d", key, l.Len(), l.Bytes(), len(m), size)
		}
		var got []string
		from := w.rng.IntN(len(m))
		to := from + w.rng.IntN(len(m)-from+1)
		l.Range(int64(from), int64(to), func(i int64, e []byte) bool {
			if i != int64(from+len(got)) {
				w.fail("%s: range gives index %d", key, i)
			}
			got = append(got, string(e))
			return true
		})
		if !slices.Equal(got, m[from:to]) {
			w.fail("%s[%d:%d] is\n%q, want\n%q", key, from, to, got, m[from:to])
		}
		got = nil
		l.RangeReverse(int64(from), int64(to), func(_ int64, e []byte) bool {
			got = append(got, string(e))
			return true
		})
		slices.Reverse(got)
		if !slices.Equal(got, m[from:to]) {
			w.fail("%s[%d:%d] in reverse is\n%q, want\n%q", key, from, to, got, m[from:to])
		}
		i := w.rng.IntN(len(m))
		if e := l.Index(int64(i)); string(e) != m[i] {
			w.fail("%s[%d] is %q, want %q", key, i, e, m[i])
		}
		w.checkWindows(key, l)
	}
	if err := w.tx.Err(); err != nil {
		w.fail("%v", err)
	}
}

// checkWindows holds the invariants of type list.
func (w *world) checkWindows(key string, l List) {
	if l.front.n > 0 && l.front.from != l.head {
		w.fail("%s: the front window starts at %d, not at the head %d", key, l.front.from, l.head)
	}
	if l.back.n > 0 && l.back.to() != l.tail() {
		w.fail("%s: the back window ends at %d, not at the tail %d", key, l.back.to(), l.tail())
	}
	if l.front.n > 0 && l.back.n > 0 && l.front.to() > l.back.from {
		w.fail("%s: the windows overlap", key)
	}
	for _, win := range []*window{&l.front, &l.back} {
		size := 0
		for i := range win.n {
			size += len(win.at(i)) + elementBytes
		}
		if size != win.bytes {
			w.fail("%s: a window counts %d bytes and has %d", key, win.bytes, size)
		}
	}
}

func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(w.log[max(0, len(w.log)-40):], "\n"))
}

// TestModel does random things to lists and to plain slices, with windows so
// small that elements keep moving between memory and disk.
func TestModel(t *testing.T) {
	windowBytesMax, readAheadMax, rangeDeleteMin = 300, 5, 7
	defer func() { windowBytesMax, readAheadMax, rangeDeleteMin = 256<<10, 1024, 1024 }()
	seeds, steps := uint64(12), 1500
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			cache := 1 << 20
			if seed%2 == 1 {
				cache = 1 // everything is forgotten after each turn
			}
			w := newWorld(t, seed, cache)
			for range steps {
				w.step()
				w.check()
			}
			w.commit()
			if err := w.store.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A backlog costs disk: the memory of a list stays bounded whatever its length.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t, 1, 64<<20)
	e := bytes.Repeat([]byte("x"), 128)
	for i := range 20000 {
		l, err := OpenOrCreate(w.tx, []byte("q"))
		if err != nil {
			t.Fatal(err)
		}
		l.Push(End(i%3 == 0), e)
		if i%100 == 0 {
			w.commit()
		}
		if got, limit := l.MemoryBytes(), 2*windowBytesMax+1000; got > limit {
			t.Fatalf("%d bytes in memory after %d elements, limit %d", got, i, limit)
		}
	}
	l, _ := w.list("q")
	for range 20000 {
		l.PopOne(Right)
		if got, limit := l.MemoryBytes(), 2*windowBytesMax+1000; got > limit {
			t.Fatalf("%d bytes in memory while draining, limit %d", got, limit)
		}
	}
	if _, ok := w.list("q"); ok {
		t.Fatal("an empty list still exists")
	}
}

func BenchmarkPushPop(b *testing.B) {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	e := bytes.Repeat([]byte("x"), 128)
	key := []byte("q")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tx := store.Begin(time.UnixMilli(1000))
		for range 50 {
			l, err := OpenOrCreate(tx, key)
			if err != nil {
				b.Fatal(err)
			}
			l.Push(Left, e)
		}
		if _, err := store.Commit(); err != nil {
			b.Fatal(err)
		}
		tx = store.Begin(time.UnixMilli(1000))
		for range 50 {
			l, _, err := Open(tx, key)
			if err != nil {
				b.Fatal(err)
			}
			l.PopOne(Right)
		}
		if _, err := store.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}
