package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const testSegment = 4096

// world is a log beside what was appended to it.
type world struct {
	t    *testing.T
	rng  *rand.Rand
	fs   *vfs.MemFS
	j    *Journal
	log  []string
	want []string // payloads; want[i] is record i+1

	later   bool
	after   uint64 // released
	durable uint64 // acknowledged as synced
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), fs: vfs.NewCrashableMem()}
	if err := w.fs.MkdirAll("/log", 0o755); err != nil || syncDir(w.fs, "/") != nil {
		t.Fatal(err)
	}
	w.open()
	return w
}

func (w *world) policy() Policy {
	if w.later {
		return Later
	}
	return Always
}

// open opens the log and holds what it hands out against what was appended. What
// was not known to be synced may be missing, from some record on.
func (w *world) open() {
	w.t.Helper()
	next := w.after + 1
	var last uint64
	j, err := Open(Options{
		FS: w.fs, Dir: "/log", SegmentBytes: testSegment, Policy: w.policy(), After: w.after,
		Apply: func(seq uint64, payload []byte) error {
			if seq != next {
				return fmt.Errorf("record %d comes where %d is expected", seq, next)
			}
			if int(seq) > len(w.want) || string(payload) != w.want[seq-1] {
				return fmt.Errorf("record %d is not what was appended", seq)
			}
			next, last = seq+1, seq
			return nil
		},
	})
	if err != nil {
		w.fail("open: %v", err)
	}
	last = max(last, w.after)
	if last < w.durable {
		w.fail("records %d to %d were synced and are missing", last+1, w.durable)
	}
	if j.Seq() != last {
		w.fail("the last record is %d, not %d", j.Seq(), last)
	}
	w.j, w.want, w.durable = j, w.want[:last], last
}

func (w *world) step() {
	switch n := w.rng.IntN(100); {
	case n < 60:
		payload := strings.Repeat(string(rune('a'+w.rng.IntN(26))), w.rng.IntN(300))
		if w.rng.IntN(40) == 0 {
			payload = strings.Repeat("L", w.rng.IntN(3*testSegment))
		}
		w.logf("append %d", len(payload))
		seq, err := w.j.Append([]byte(payload))
		if err != nil || int(seq) != len(w.want)+1 {
			w.fail("append: %d, %v", seq, err)
		}
		w.want = append(w.want, payload)
		if !w.later {
			w.durable = seq
		}
	case n < 70:
		w.logf("sync")
		if err := w.j.Sync(); err != nil {
			w.fail("sync: %v", err)
		}
		w.durable = uint64(len(w.want))
	case n < 75:
		w.later = !w.later
		w.logf("later %v", w.later)
		if err := w.j.SetPolicy(w.policy()); err != nil {
			w.fail("policy: %v", err)
		}
		if !w.later {
			w.durable = uint64(len(w.want))
		}
	case n < 85:
		// Whoever releases has made it durable elsewhere.
		w.after += uint64(w.rng.IntN(len(w.want) - int(w.after) + 1))
		w.durable = max(w.durable, w.after)
		w.logf("release %d", w.after)
		if err := w.j.Release(w.after); err != nil {
			w.fail("release: %v", err)
		}
	case n < 88:
		w.logf("close and open")
		if err := w.j.Close(); err != nil {
			w.fail("close: %v", err)
		}
		w.durable = uint64(len(w.want))
		w.open()
	case n < 92:
		w.copy()
	default:
		percent := w.rng.IntN(101)
		w.logf("power failure, %d %%", percent)
		fs := w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: w.rng})
		_ = w.j.Close()
		w.fs = fs
		w.open()
	}
}

// copy copies the log, and reads the copy.
func (w *world) copy() {
	w.logf("copy")
	unpin := w.j.Pin()
	dir := fmt.Sprintf("/copy-%d", len(w.log))
	if err := w.fs.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := w.j.Copy(dir); err != nil {
		w.fail("copy: %v", err)
	}
	n := w.after
	err := Read(w.fs, dir, w.after, func(seq uint64, payload []byte) error {
		if n++; seq != n || string(payload) != w.want[seq-1] {
			return fmt.Errorf("record %d of the copy", seq)
		}
		return nil
	})
	if err != nil || int(n) != len(w.want) {
		w.fail("the copy has %d of %d records: %v", n, len(w.want), err)
	}
	if err := unpin(); err != nil {
		w.fail("unpin: %v", err)
	}
	if err := w.fs.RemoveAll(dir); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) logf(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	names, _ := w.fs.List("/log")
	slices.Sort(names)
	w.t.Fatalf("%s\nfiles: %s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(names, " "), strings.Join(w.log[max(0, len(w.log)-30):], "\n"))
}

// What was synced is read again after a loss of power, in order, and nothing else,
// whatever was written, released and lost before.
func TestJournal(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 400 {
				w.step()
			}
			if err := w.j.Close(); err != nil {
				t.Fatal(err)
			}
			// What is released does not pile up.
			names, err := w.fs.List("/log")
			if err != nil {
				t.Fatal(err)
			}
			if w.after == uint64(len(w.want)) && len(names) > segmentsFree+6 {
				t.Errorf("%d files", len(names))
			}
		})
	}
}

// payloadOf is what the tests append as record seq.
func payloadOf(seq uint64) string {
	return strings.Repeat(string(rune('a'+seq%26)), int(seq*37%300))
}

// Before whatever the log writes, syncs, renames or removes the power may fail: it
// opens, and has all that was synced. Files are used again and again meanwhile.
func TestPowerFailsAnywhere(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 2))
			mem := vfs.NewCrashableMem()
			if err := mem.MkdirAll("/log", 0o755); err != nil || syncDir(mem, "/") != nil {
				t.Fatal(err)
			}
			var durable, after atomic.Uint64
			var mu sync.Mutex // of what the injector uses, as segments are made in the background
			crashes := 0
			clones := rand.New(rand.NewPCG(seed, 3))
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpFileClose {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				crashes++
				least := durable.Load()
				crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 25 * clones.IntN(5), RNG: clones})
				if err := reopen(crashed, least, after.Load()); err != nil {
					t.Errorf("power failure %d, before %v of %s: %v", crashes, op.Kind, op.Path, err)
				}
				return nil
			}))
			policy := Always
			if seed%2 == 1 {
				policy = Later
			}
			open := func() *Journal {
				j, err := Open(Options{
					FS: fs, Dir: "/log", SegmentBytes: testSegment, Policy: policy, After: after.Load(),
					Apply: func(uint64, []byte) error { return nil },
				})
				if err != nil {
					t.Fatal(err)
				}
				return j
			}
			j := open()
			for range 500 {
				seq, err := j.Append([]byte(payloadOf(j.Seq() + 1)))
				if err == nil && policy == Later && rng.IntN(5) == 0 {
					err = j.Sync()
					durable.Store(seq)
				}
				if err != nil {
					t.Fatal(err)
				}
				if policy == Always {
					durable.Store(seq)
				}
				if rng.IntN(20) == 0 {
					// Whoever releases has made it durable elsewhere.
					after.Store(after.Load() + rng.Uint64N(durable.Load()-after.Load()+1))
					if err := j.Release(after.Load()); err != nil {
						t.Fatal(err)
					}
				}
				if rng.IntN(100) == 0 {
					if err := j.Close(); err != nil {
						t.Fatal(err)
					}
					durable.Store(seq)
					j = open()
				}
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if crashes < 500 {
				t.Errorf("the power failed %d times only", crashes)
			}
		})
	}
}

// reopen opens a log after a loss of power, when records up to durable were synced
// and those up to after were released.
func reopen(fs vfs.FS, durable, after uint64) error {
	next := after + 1
	j, err := Open(Options{FS: fs, Dir: "/log", SegmentBytes: testSegment, After: after, Apply: func(seq uint64, payload []byte) error {
		if seq != next || string(payload) != payloadOf(seq) {
			return fmt.Errorf("record %d comes where %d is expected, or is not what was appended", seq, next)
		}
		next++
		return nil
	}})
	if err != nil {
		return err
	}
	if next <= durable {
		err = fmt.Errorf("records %d to %d were synced and are missing", next, durable)
	}
	return errors.Join(err, j.Close())
}

// filled is a log of a few segments, and its files.
func filled(t testing.TB, policy Policy) (fs *vfs.MemFS, records int) {
	t.Helper()
	fs = vfs.NewCrashableMem()
	if err := fs.MkdirAll("/log", 0o755); err != nil || syncDir(fs, "/") != nil {
		t.Fatal(err)
	}
	j, err := Open(Options{FS: fs, Dir: "/log", SegmentBytes: testSegment, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 60 {
		if _, err := j.Append([]byte(strings.Repeat(fmt.Sprint(n%10), 50+7*n))); err != nil {
			t.Fatal(err)
		}
		records++
		j.awaitReady()
	}
	if policy != Always {
		_ = j.fail(errors.New("killed")) // closing would sync
	}
	if err := j.Close(); err != nil && policy == Always {
		t.Fatal(err)
	}
	return fs, records
}

// awaitReady waits until the next segment is there, if that is wanted: segments are
// as long then as they were made.
func (j *Journal) awaitReady() {
	for ready := j.at < j.half; !ready; {
		runtime.Gosched()
		j.mu.Lock()
		ready = j.ready != nil
		j.mu.Unlock()
	}
}

func clone(fs *vfs.MemFS) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

func read(fs vfs.FS, after uint64) (n int, err error) {
	err = Read(fs, "/log", after, func(uint64, []byte) error { n++; return nil })
	return n, err
}

// Wherever a byte is damaged, either nothing is missing that was synced, or it is
// said that something is. (The last record cannot be told from one that a loss of
// power has cut off.)
func TestDamage(t *testing.T) {
	whole, records := filled(t, Always)
	segments, err := scanDir(whole, "/log")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, s := range segments {
		text, err := readFile(whole, s.path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(text); at += 13 {
			fs := clone(whole)
			spoilt := slices.Clone(text)
			spoilt[at] ^= 0x55
			f, err := fs.Create(s.path, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(spoilt); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			n, err := read(fs, 0)
			switch {
			case errors.Is(err, ErrDamaged):
				found++
			case err != nil:
				t.Errorf("%s, byte %d: %v", s.path, at, err)
			case n < records-1:
				t.Errorf("%s, byte %d: %d of %d records, and no error", s.path, at, n, records)
			}
			// What is not needed may be damaged.
			if _, err := read(fs, uint64(records)); err != nil && at >= headerBytes {
				t.Errorf("%s, byte %d: nothing is needed, and yet: %v", s.path, at, err)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d damages were found", found)
	}
}

// A segment that is missing is damage, unless it is not needed.
func TestMissingSegment(t *testing.T) {
	whole, _ := filled(t, Always)
	segments, err := scanDir(whole, "/log")
	if err != nil || len(segments) < 5 {
		t.Fatal(len(segments), err)
	}
	r := reading{fs: whole, segments: segments}
	if err := r.read(); err != nil {
		t.Fatal(err)
	}
	for i, s := range segments {
		if s.empty() || i+1 == len(segments) || segments[i+1].empty() {
			continue // nothing behind it tells
		}
		fs := clone(whole)
		if err := fs.Remove(s.path); err != nil {
			t.Fatal(err)
		}
		if _, err := read(fs, 0); !errors.Is(err, ErrDamaged) {
			t.Errorf("without %s: %v", s.path, err)
		}
		if _, err := read(fs, s.last); err != nil {
			t.Errorf("without %s, which is not needed: %v", s.path, err)
		}
	}
}

// After a write or a sync that failed nothing more is appended.
func TestFaults(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWriteAt, errorfs.OpFileSyncData, errorfs.OpCreate, errorfs.OpRename} {
		for skip := range 12 {
			mem := vfs.NewCrashableMem()
			if err := mem.MkdirAll("/log", 0o755); err != nil || syncDir(mem, "/") != nil {
				t.Fatal(err)
			}
			armed := make(chan struct{})
			var mu sync.Mutex
			left := skip
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				select {
				case <-armed:
				default:
					return nil
				}
				if op.Kind != kind || strings.Contains(op.Path, partialSuffix) != (kind == errorfs.OpRename) && kind != errorfs.OpCreate {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if left--; left >= 0 {
					return nil
				}
				return errors.New("the disk is on fire")
			}))
			j, err := Open(Options{FS: fs, Dir: "/log", SegmentBytes: testSegment})
			if err != nil {
				t.Fatal(err)
			}
			j.wake <- struct{}{} // nothing is prepared any more: the journal has to make segments itself
			close(armed)
			acknowledged := 0
			for range 60 {
				if _, err = j.Append(make([]byte, 300)); err != nil {
					break
				}
				acknowledged++
			}
			if err == nil {
				_ = j.Close()
				continue // the fault was met by nobody, or did no harm
			}
			if _, again := j.Append(nil); again == nil {
				t.Errorf("%v after %d: a record was appended after one had failed", kind, skip)
			}
			_ = j.Close()
			n := 0
			err = Read(mem.CrashClone(vfs.CrashCloneCfg{}), "/log", 0, func(uint64, []byte) error { n++; return nil })
			if err != nil || n < acknowledged {
				t.Errorf("%v after %d: %d of %d records, %v", kind, skip, n, acknowledged, err)
			}
		}
	}
}

// Records behind an end that was not whole are void, also when the first record
// of the next run is so long that it needs a segment of its own.
func TestLongRecordBehindATornEnd(t *testing.T) {
	fs, _ := filled(t, Later)
	segments, err := scanDir(fs, "/log")
	if err != nil {
		t.Fatal(err)
	}
	first := segments[0]
	text, err := readFile(fs, first.path)
	if err != nil {
		t.Fatal(err)
	}
	// A loss of power has cut off a record in the middle of what was not synced.
	text[len(text)/2] ^= 0x55
	f, err := fs.Create(first.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, s := range segments[1:] {
		if err := fs.Remove(s.path); err != nil {
			t.Fatal(err)
		}
	}
	nothing := func(uint64, []byte) error { return nil }
	j, err := Open(Options{FS: fs, Dir: "/log", SegmentBytes: testSegment, Apply: nothing})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := j.Append(make([]byte, (growthMax+1)*testSegment)); err != nil {
			t.Fatal(err)
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		if n, err := read(crashed, 0); err != nil || uint64(n) != j.Seq() {
			t.Fatalf("%d of %d records, %v", n, j.Seq(), err)
		}
	}
	// The segment that says so goes when nothing before it is needed.
	if err := errors.Join(j.Release(j.Seq()), j.Close()); err != nil {
		t.Fatal(err)
	}
	if segments, err := scanDir(fs, "/log"); err != nil || len(segments) > 2 {
		t.Errorf("%d segments are left, %v", len(segments), err)
	}
}

// After a sync that failed, nothing is said to be synced any more, nor appended:
// the system may have dropped what it could not write, and forgotten about it.
func TestFailedSyncIsFinal(t *testing.T) {
	for _, way := range []struct {
		name string
		sync func(*Journal) error
	}{
		{"sync", (*Journal).Sync},
		{"policy", func(j *Journal) error { return j.SetPolicy(Always) }},
		{"close", (*Journal).Close},
		{"append", func(j *Journal) error { _, err := j.Append(nil); return err }},
	} {
		t.Run(way.name, func(t *testing.T) {
			mem := vfs.NewMem()
			if err := mem.MkdirAll("/log", 0o755); err != nil {
				t.Fatal(err)
			}
			var broken errorfs.Toggle
			broken.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileSyncData {
					return errors.New("the disk is on fire")
				}
				return nil
			})
			j, err := Open(Options{FS: errorfs.Wrap(mem, &broken), Dir: "/log", SegmentBytes: testSegment, Policy: Later})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.Append([]byte("x")); err != nil {
				t.Fatal(err)
			}
			broken.On()
			if err := j.Sync(); err == nil {
				t.Fatal("no error")
			}
			broken.Off() // the disk works again: too late
			if err := way.sync(j); err == nil || !strings.Contains(err.Error(), "the disk is on fire") {
				t.Errorf("%v", err)
			}
			_ = j.Close()
		})
	}
}

// While the next segment cannot be made, or not as fast as records come, they go
// on in the current one, up to a bound.
func TestSegmentsGrow(t *testing.T) {
	mem := vfs.NewCrashableMem()
	if err := mem.MkdirAll("/log", 0o755); err != nil || syncDir(mem, "/") != nil {
		t.Fatal(err)
	}
	var broken errorfs.Toggle
	broken.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpRename {
			return errors.New("the disk is on fire")
		}
		return nil
	})
	j, err := Open(Options{FS: errorfs.Wrap(mem, &broken), Dir: "/log", SegmentBytes: testSegment})
	if err != nil {
		t.Fatal(err)
	}
	broken.On()
	const payload = 300
	for range (growthMax - 1) * testSegment / recordSize(payload) {
		if _, err := j.Append(make([]byte, payload)); err != nil {
			t.Fatalf("after %d records: %v", j.Seq(), err)
		}
	}
	if size := j.Bytes(); size < (growthMax-1)*testSegment-1000 || size > growthMax*testSegment {
		t.Errorf("the log takes %d bytes", size)
	}
	broken.Off()
	for range 3 * growthMax * testSegment / recordSize(payload) {
		if _, err := j.Append(make([]byte, payload)); err != nil {
			t.Fatalf("after %d records: %v", j.Seq(), err)
		}
	}
	if n, err := read(mem.CrashClone(vfs.CrashCloneCfg{}), 0); err != nil || uint64(n) != j.Seq() {
		t.Errorf("%d of %d records, %v", n, j.Seq(), err)
	}
	if err := errors.Join(j.Release(j.Seq()), j.Close()); err != nil {
		t.Error(err)
	}
}

// A record of a size that there is not much more memory than is neither copied to be
// written nor read a second time.
func TestLongRecordsAreNotCopied(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(Options{FS: vfs.Default, Dir: dir, SegmentBytes: testSegment, Policy: Later})
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte("0123456789"), 4<<20)
	allocated := func(do func()) int64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return int64(after.TotalAlloc - before.TotalAlloc)
	}
	for _, p := range [][]byte{payload, payload[:len(payload)-7], []byte("short")} {
		if got := allocated(func() { _, err = j.Append(p) }); err != nil || got > int64(len(payload)/4) {
			t.Errorf("to write %d bytes takes %d, %v", len(p), got, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	got := allocated(func() {
		err = Read(vfs.Default, dir, 0, func(_ uint64, p []byte) error {
			if n++; n < 3 && !bytes.HasPrefix(payload, p) {
				t.Error("the payload is another")
			}
			return nil
		})
	})
	if err != nil || n != 3 || got > int64(2*len(payload)+len(payload)/2) {
		t.Errorf("to read %d records takes %d bytes, %v", n, got, err)
	}
}

func TestNewerVersion(t *testing.T) {
	fs, _ := filled(t, Always)
	segments, err := scanDir(fs, "/log")
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.OpenReadWrite(segments[0].path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	header := appendHeader(nil, segments[0].number, 0)
	header[8]++
	header = binary.LittleEndian.AppendUint32(header[:60], crc32.Checksum(header[:60], castagnoli))
	if _, err := f.WriteAt(header, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := read(fs, 0); !errors.Is(err, errVersion) {
		t.Errorf("%v", err)
	}
}

// Whatever is in the files, reading them ends, with whole records or an error.
func FuzzRead(f *testing.F) {
	fs, _ := filled(f, Always)
	segments, err := scanDir(fs, "/log")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range segments[:3] {
		text, err := readFile(fs, s.path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, uint64(0))
		f.Add(text[:len(text)/2], uint64(7))
	}
	f.Fuzz(func(t *testing.T, text []byte, after uint64) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/log", 0o755); err != nil || syncDir(fs, "/") != nil {
			t.Fatal(err)
		}
		w, err := fs.Create("/log/"+segmentName(1), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		last := after
		_ = Read(fs, "/log", after, func(seq uint64, payload []byte) error {
			if seq <= last {
				t.Errorf("record %d after %d", seq, last)
			}
			last = seq
			return nil
		})
	})
}

// Files are never longer after a record than before it, from the first one on:
// syncing one that grows takes twice as long. What is released at once is used
// again, and given up when not much is written.
func TestFilesDoNotGrow(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/log", 0o755); err != nil {
		t.Fatal(err)
	}
	const size = 2 * firstBytes
	j, err := Open(Options{FS: fs, Dir: "/log", SegmentBytes: size})
	if err != nil {
		t.Fatal(err)
	}
	locked := func(read func() bool) bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return read()
	}
	for range 1500 {
		if _, err := j.Append(make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		info, err := fs.Stat(j.current.path)
		if err != nil || info.Size() != j.current.size || info.Size() > size {
			t.Fatalf("%s has %v bytes, not %d: %v", j.current.path, info.Size(), j.current.size, err)
		}
		// The test is faster than any disk.
		for locked(func() bool { return j.ready == nil && (j.current.size < size || j.at >= size/2) }) {
			runtime.Gosched()
		}
	}
	if err := j.Release(j.Seq()); err != nil {
		t.Fatal(err)
	}
	if locked(func() bool { return len(j.free) != segmentsFree }) {
		t.Error("files that could be used again are not kept")
	}
	if err := j.Trim(); err != nil {
		t.Error(err)
	}
	names, err := fs.List("/log")
	if most := 2 + segmentsTrimmed; err != nil || len(names) > most {
		t.Errorf("%v are left: %v", names, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
