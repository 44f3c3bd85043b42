package lists

import (
	"bytes"
	"flag"
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
	now   int64
	model map[string][]item
	rng   *rand.Rand
	log   []string
	cache int
}

// item is an element with the time of the turn in which it was written.
type item struct {
	string
	ms int64
}

func elementsOf(m []item) (out []string) {
	for _, e := range m {
		out = append(out, e.string)
	}
	return out
}

func newWorld(t *testing.T, seed uint64, cacheBytes int) *world {
	w := &world{
		t: t, fs: vfs.NewMem(), model: make(map[string][]item), now: 1000,
		rng: rand.New(rand.NewPCG(seed, 0)), cache: cacheBytes,
	}
	w.open()
	return w
}

func (w *world) open() {
	store, err := storage.Open("/data", storage.Options{FS: w.fs, CacheBytes: w.cache, LogSegmentBytes: 64 << 10, ApplyAsideMin: 1 + w.rng.IntN(4)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = store
	w.begin()
}

func (w *world) begin() {
	w.tx = w.store.Begin(time.UnixMilli(w.now))
}

// commit ends the turn and begins the next.
func (w *world) commit() {
	w.commitOnly()
	w.now++
	w.begin()
}

// commitTurn is commit that checks nothing.
func (w *world) commitTurn() {
	if _, err := w.store.Commit(); err != nil {
		w.t.Fatal(err)
	}
	w.now++
	w.begin()
}

// commitOnly ends the turn, and holds what is on disk against what is in memory.
func (w *world) commitOnly() {
	if _, err := w.store.Commit(); err != nil {
		w.t.Fatal(err)
	}
	w.begin()
	for key := range w.model {
		if l, ok := w.list(key); ok {
			if err := l.Check(); err != nil {
				w.fail("%s: %v", key, err)
			}
			w.checkRuns(key, l)
		}
	}
	if _, err := w.store.Check(storage.Check{
		Object:  func(tx *storage.Tx, o *storage.Object) error { return Of(tx, o).Check() },
		Problem: func(err error) { w.fail("%v", err) },
	}); err != nil {
		w.fail("%v", err)
	}
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
	return strings.Repeat(string(rune('a'+w.rng.IntN(26))), w.rng.IntN(30))
}

func (w *world) item() item { return item{w.element(), w.now} }

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
			e := w.item()
			elements = append(elements, []byte(e.string))
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
			var want item
			if end == Left {
				want, m = m[0], m[1:]
			} else {
				want, m = m[len(m)-1], m[:len(m)-1]
			}
			if string(e) != want.string {
				w.fail("popped %q, want %q", e, want.string)
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
			i, e := w.rng.IntN(n), w.item()
			w.logf("set %s %d %q", key, i, e.string)
			l.Set(int64(i), []byte(e.string))
			m[i] = e
		}
	case op < 75: // insert
		if l, ok := w.list(key); ok {
			i, e := w.rng.IntN(n+1), w.item()
			w.logf("insert %s %d %q", key, i, e.string)
			if err := l.Insert(int64(i), []byte(e.string)); err != nil {
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
			var e item
			if from == Left {
				e, m = m[0], m[1:]
			} else {
				e, m = m[n-1], m[:n-1]
			}
			w.model[key] = m
			e.ms = w.now
			if to == Left {
				w.model[dst] = slices.Insert(slices.Clone(w.model[dst]), 0, e)
			} else {
				w.model[dst] = append(slices.Clone(w.model[dst]), e)
			}
			m = w.model[key]
			if got, err := l.MoveTo(from, []byte(dst), to); err != nil || string(got) != e.string {
				w.fail("moved %q, %v, want %q", got, err, e.string)
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

func removeModel(m []item, e string, limit int, fromTail bool) ([]item, int) {
	m = slices.Clone(m)
	if fromTail {
		slices.Reverse(m)
	}
	n := 0
	m = slices.DeleteFunc(m, func(x item) bool {
		if x.string == e && (limit == 0 || n < limit) {
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
			size += len(e.string)
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
		want := elementsOf(m[from:to])
		if !slices.Equal(got, want) {
			w.fail("%s[%d:%d] is\n%q, want\n%q", key, from, to, got, want)
		}
		got = nil
		l.RangeReverse(int64(from), int64(to), func(_ int64, e []byte) bool {
			got = append(got, string(e))
			return true
		})
		slices.Reverse(got)
		if !slices.Equal(got, want) {
			w.fail("%s[%d:%d] in reverse is\n%q, want\n%q", key, from, to, got, want)
		}
		i := w.rng.IntN(len(m))
		if e := l.Index(int64(i)); string(e) != m[i].string {
			w.fail("%s[%d] is %q, want %q", key, i, e, m[i].string)
		}
		if left, right := l.WrittenAt(Left), l.WrittenAt(Right); left != m[0].ms || right != m[len(m)-1].ms {
			w.fail("%s: the ends were written at %d and %d, want %d and %d", key, left, right, m[0].ms, m[len(m)-1].ms)
		}
		w.checkWindows(key, l)
	}
	if err := w.tx.Err(); err != nil {
		w.fail("%v", err)
	}
}

// checkWindows holds the invariants of type list.
func (w *world) checkWindows(key string, l List) {
	if !l.front.empty() && l.front.from != l.head {
		w.fail("%s: the front window starts at %d, not at the head %d", key, l.front.from, l.head)
	}
	if l.back.to() != l.tail() {
		w.fail("%s: the back window ends at %d, not at the tail %d", key, l.back.to(), l.tail())
	}
	if !l.front.empty() && l.front.to() > l.back.from {
		w.fail("%s: the windows overlap", key)
	}
	if l.first > l.head || l.head-l.first >= runElementsMax || l.end < l.tail() || l.end-l.tail() >= runElementsMax {
		w.fail("%s: from %d to %d, in runs from %d to %d", key, l.head, l.tail(), l.first, l.end)
	}
	fresh, held := 0, 0
	for _, win := range []*window{&l.front, &l.back} {
		size, next := 0, win.from
		for i := range win.items.n {
			size += len(*win.items.at(i)) + elementBytes
		}
		for i := range win.runs.n {
			r := win.runs.at(i)
			size += runOverhead
			from, to := win.live(r)
			if from != next || from >= to {
				w.fail("%s: the run %d has elements from %d to %d, they should be from %d on", key, r.key, from, to, next)
			}
			if next = to; r.fresh {
				fresh++
				held += r.size
				encoded := 0
				for p := from; p < to; p++ {
					encoded += encodedBytes(win.at(p))
				}
				if r.key != from || r.end != to || r.size != encoded || to-from > runElementsMax || (to-from > 1 && encoded > runBytesMax) {
					w.fail("%s: the fresh run %v has elements from %d to %d, of %d bytes", key, *r, from, to, encoded)
				}
			}
		}
		if next != win.to() || size != win.bytes {
			w.fail("%s: a window counts %d bytes and has %d, its runs go to %d of %d", key, win.bytes, size, next, win.to())
		}
		if win.bytes > windowBytesMax+runBytesMax+int(runElementsMax)*elementBytes+runOverhead && win.runs.n > 1 {
			w.fail("%s: a window of %d bytes", key, win.bytes)
		}
	}
	if fresh != l.fresh {
		w.fail("%s: %d fresh runs are counted as %d", key, fresh, l.fresh)
	}
}

// checkRuns holds the runs in windows against the records.
func (w *world) checkRuns(key string, l List) {
	if l.fresh > 0 || len(l.gone) > 0 {
		w.fail("%s: %d fresh runs, %d gone after a commit", key, l.fresh, len(l.gone))
	}
	for _, win := range []*window{&l.front, &l.back} {
		for i := range win.runs.n {
			r := win.runs.at(i)
			value, ok := l.tx.Get(l.o, l.subKey(r.key))
			if !ok {
				w.fail("%s: the run %v has no record", key, *r)
			}
			elements, ms, err := decodeRun(value, nil)
			if err != nil || ms != r.ms || uint64(len(elements)) != r.end-r.key {
				w.fail("%s: the record of the run %v has %d elements, time %d, %v", key, *r, len(elements), ms, err)
			}
		}
	}
	for i := range l.dead {
		d := &l.dead[i]
		var there []uint64
		if l.scan(d.from, d.to, false, func(r run, _ [][]byte) bool { there = append(there, r.key); return true }); d.found {
			if len(d.keys) > 0 {
				w.fail("%s: among the dead records at end %d are some from before, which were not looked for", key, i)
			}
		} else if known := slices.Sorted(slices.Values(d.keys)); !slices.Equal(there, known) {
			w.fail("%s: the dead records at end %d are %v, there are %v", key, i, known, there)
		}
		if len(there) >= deadRecordsMax || d.due {
			w.fail("%s: %d dead records at end %d were not deleted", key, len(there), i)
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

var modelSeeds = flag.Uint64("model.seeds", 12, "how many seeds TestModel runs")

// shrinkAll makes runs and windows so small that a few elements fill them.
func shrinkAll() (undo func()) {
	windowMax, windowMin, readAhead, rangeMin, runBytes, runElements := windowBytesMax, windowBytesMin, readAheadMax, rangeDeleteMin, runBytesMax, runElementsMax
	deadRecords, deadBytes := deadRecordsMax, deadBytesMax
	windowBytesMax, windowBytesMin, readAheadMax, rangeDeleteMin, runBytesMax, runElementsMax = 300, 0, 5, 7, 60, 4
	deadRecordsMax, deadBytesMax = 4, 1000
	return func() {
		windowBytesMax, windowBytesMin, readAheadMax, rangeDeleteMin, runBytesMax, runElementsMax = windowMax, windowMin, readAhead, rangeMin, runBytes, runElements
		deadRecordsMax, deadBytesMax = deadRecords, deadBytes
	}
}

// TestModel does random things to lists and to plain slices, with windows so
// small that elements keep moving between memory and disk.
func TestModel(t *testing.T) {
	defer shrinkAll()()
	for seed := range *modelSeeds {
		if testing.Short() && seed == 3 {
			break
		}
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			cache := 1 << 20
			if seed%2 == 1 {
				cache = 1 // everything is forgotten after each turn
			}
			w := newWorld(t, seed, cache)
			for range 1500 {
				w.step()
				w.check()
			}
			w.commit()
			// What was dropped goes, and leaves nothing.
			for {
				if _, ok := w.store.NextSweep(w.tx.Now()); !ok {
					break
				}
				w.tx.Sweep(10)
				w.commit()
			}
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
		if got, limit := l.MemoryBytes(), 2*(windowBytesMax+runBytesMax)+1000; got > limit {
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

// BenchmarkManyLists is BenchmarkPushPop for a turn of many clients, each at a
// list of its own.
func BenchmarkManyLists(b *testing.B) {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	e := bytes.Repeat([]byte("x"), 128)
	var keys [][]byte
	for i := range 1000 {
		keys = append(keys, fmt.Append(nil, "list:", i))
	}
	b.ReportAllocs()
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		tx := store.Begin(time.UnixMilli(1000))
		for range 400 {
			l, err := OpenOrCreate(tx, keys[rng.IntN(len(keys))])
			if err != nil {
				b.Fatal(err)
			}
			l.Push(Left, e)
		}
		if _, err := store.Commit(); err != nil {
			b.Fatal(err)
		}
		tx = store.Begin(time.UnixMilli(1000))
		for range 400 {
			if l, ok, _ := Open(tx, keys[rng.IntN(len(keys))]); ok {
				l.PopOne(Right)
			}
		}
		if _, err := store.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}
