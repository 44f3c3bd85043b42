package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// # Log files that are overwritten
//
// Syncing a file that has grown has to write the file's metadata as well as its
// data: its size, the blocks it got. Syncing bytes that overwrite what was there
// writes the data only, in about half the time (100 against 180 µs for a turn
// of 50 small messages on a virtual SSD). fallocate does not help: blocks that
// were never written are marked so, and writing them changes that mark.
//
// Pebble reuses log files once the memtables that they stood for have been
// flushed, and from then on overwrites. Until it has some to reuse, and
// whenever it runs out of them, it takes one of the spare files here, which
// were filled with zeros in the background. Zeros behind the last record are
// what a reused or preallocated log may have there anyway: recovery takes them
// for the end.
//
// A log holds what a memtable holds, and Pebble begins with a small memtable
// after each start and doubles it with each that follows. So the first spares
// are small, too, and made quickly: before the store opens, so that all this
// holds from the first write on. A log file that is too small to be reused for
// a bigger memtable gives way to a spare.

const (
	sparePrefix   = "spare-"
	spareReady    = ".zero"    // complete and synced
	sparePartial  = ".partial" // being written; worthless after a crash
	sparesKept    = 2          // for the logs that come next
	spareStepSize = 1 << 20
	// firstMemTable is Pebble's first memtable after a start.
	firstMemTable = 256 << 10
)

// spareLogs makes and keeps spare log files of one folder. A nil one has none.
type spareLogs struct {
	fs   vfs.FS
	dir  string
	size int64 // of the largest

	mu      sync.Mutex
	ready   []spare
	begun   int // logs that were begun since the start
	made    int // for their names
	stopped bool
	noRoom  bool // the disk is nearly full
	wake    chan struct{}
	done    chan struct{}
}

type spare struct {
	path string
	size int64
}

// logSize returns how large the nth log since the start is to be.
func (p *spareLogs) logSize(n int) int64 {
	size := min(int64(firstMemTable), p.size)
	for ; n > 0 && size < p.size; n-- {
		size = min(2*size, p.size)
	}
	return size
}

// openSpareLogs adopts the spares that an earlier run has left, makes sure that
// there are those for the first logs, and begins to keep more of them ready.
// Without a size there are none.
func openSpareLogs(fs vfs.FS, dir string, size int64) (*spareLogs, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	p := &spareLogs{fs: fs, dir: dir, size: size, wake: make(chan struct{}, 1), done: make(chan struct{})}
	for _, name := range names {
		if !strings.HasPrefix(name, sparePrefix) {
			continue
		}
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err == nil && strings.HasSuffix(name, spareReady) && len(p.ready) < sparesKept && (info.Size() == size || info.Size() == p.logSize(0)) {
			p.ready = append(p.ready, spare{path, info.Size()})
			continue
		}
		if err := fs.Remove(path); err != nil {
			return nil, fmt.Errorf("remove a spare log file: %w", err)
		}
	}
	if size == 0 {
		return nil, nil
	}
	for missing, ok := p.missing(); ok && missing < size; missing, ok = p.missing() {
		// A broker must be able to start on a full disk: how else would it be
		// emptied?
		if err := p.make(missing); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("write a spare log file: %w", err)
		}
	}
	go p.keep()
	p.wake <- struct{}{}
	return p, nil
}

// missing returns the size of a spare that is wanted for one of the logs that
// come next; ok is false if all are ready.
func (p *spareLogs) missing() (size int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.noRoom {
		return 0, false
	}
	for n := range sparesKept {
		size := p.logSize(p.begun + n)
		have, want := 0, 0
		for _, r := range p.ready {
			if r.size == size {
				have++
			}
		}
		for m := range n + 1 {
			if p.logSize(p.begun+m) == size {
				want++
			}
		}
		if have < want {
			return size, true
		}
	}
	return 0, false
}

// take begins a log. It returns the path of a spare file for it, "" if none is
// ready: nobody waits for one. has is the size of a file that could be reused
// instead, and will be if it is large enough.
func (p *spareLogs) take(has int64) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := p.logSize(p.begun)
	p.begun++
	p.ask()
	if has >= size {
		return ""
	}
	for i, r := range p.ready {
		if r.size == size {
			p.ready = slices.Delete(p.ready, i, i+1)
			return r.path
		}
	}
	return ""
}

// giveUp removes the spares, to make room on a full disk.
func (p *spareLogs) giveUp() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noRoom = true
	for _, r := range p.ready {
		_ = p.fs.Remove(r.path) // what cannot be removed makes no room
	}
	p.ready = nil
}

// allow says whether there is room for spares.
func (p *spareLogs) allow(room bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noRoom = !room
	p.ask()
}

// ask wakes the making of spares. The lock is held.
func (p *spareLogs) ask() {
	if p.stopped {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// bytes returns the size of the spares.
func (p *spareLogs) bytes() (total int64) {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.ready {
		total += r.size
	}
	return total
}

// stop ends the making of spares; those that are ready stay for the next run.
func (p *spareLogs) stop() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	close(p.wake)
	<-p.done
}

// keep makes spares whenever some were taken. A spare that cannot be made is
// no harm (the disk may be full): the log then starts empty.
func (p *spareLogs) keep() {
	defer close(p.done)
	for range p.wake {
		for size, ok := p.missing(); ok; size, ok = p.missing() {
			if p.make(size) != nil {
				break
			}
		}
	}
}

var errStopped = errors.New("stopped")

// make writes one spare file.
func (p *spareLogs) make(size int64) (err error) {
	p.mu.Lock()
	base := ""
	for base == "" || p.taken(base+spareReady) {
		p.made++
		base = p.fs.PathJoin(p.dir, fmt.Sprintf("%s%d-%d", sparePrefix, size, p.made))
	}
	p.mu.Unlock()

	f, err := p.fs.Create(base+sparePartial, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = p.fs.Remove(base + sparePartial) // removed at the next start otherwise
		}
	}()
	if err := p.fill(f, size); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := p.fs.Rename(base+sparePartial, base+spareReady); err != nil {
		return err
	}
	p.mu.Lock()
	p.ready = append(p.ready, spare{base + spareReady, size})
	p.mu.Unlock()
	return nil
}

func (p *spareLogs) taken(path string) bool {
	for _, r := range p.ready {
		if r.path == path {
			return true
		}
	}
	return false
}

// fill writes zeros and syncs them. It goes in steps, so that an end of the
// process need not wait and other writes get their share of the disk.
func (p *spareLogs) fill(f vfs.File, size int64) error {
	zeros := make([]byte, min(spareStepSize, size))
	for left := size; left > 0; {
		p.mu.Lock()
		enough := p.stopped || p.noRoom
		p.mu.Unlock()
		if enough {
			return errStopped
		}
		n := min(left, int64(len(zeros)))
		if _, err := f.Write(zeros[:n]); err != nil {
			return err
		}
		left -= n
	}
	return f.Sync()
}
