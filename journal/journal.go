package journal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Policy says when records are synced.
type Policy int32

const (
	// Always: before Append returns.
	Always Policy = iota
	// Later: written to the operating system before Append returns, synced by
	// Sync.
	Later
)

// Options say how a journal works.
type Options struct {
	FS  vfs.FS
	Dir string // is there
	// SegmentBytes is how long segments are; zero means the default.
	SegmentBytes int64
	Policy       Policy
	// After is the last record that is not needed any more, Apply takes those
	// behind it, in order, while the journal is opened. Payloads become its own.
	After uint64
	Apply func(seq uint64, payload []byte) error
	// Logf takes what an operator should see; nil drops it.
	Logf func(format string, args ...any)
}

const (
	segmentBytesDefault = 16 << 20
	// firstBytes is the length of the very first segment, which has to be made
	// before anything can be written.
	firstBytes = 1 << 20
	// segmentsFree is how many segments that are not needed any more are kept to
	// be used again: those that become free at once when much is written. Trim
	// leaves fewer.
	segmentsFree    = 4
	segmentsTrimmed = 1
	// growthMax is how many times its length a segment is written to at most while
	// the next one is being made.
	growthMax = 4
	// bufferMax is the longest payload that is written along with its header.
	bufferMax = 1 << 20
)

// Journal is a log that is being written. Its methods belong to one goroutine,
// except where they say otherwise.
type Journal struct {
	fs     vfs.FS
	dir    string
	bytes  int64 // of a segment
	policy atomic.Int32
	logf   func(format string, args ...any)

	seq     uint64        // of the last record
	written atomic.Uint64 // the same, for other goroutines
	durable atomic.Uint64 // the last that is known to be synced
	file    vfs.File
	at      int64         // where the next record goes
	room    int64         // up to where records may go in the current segment
	half    int64         // when so much is written the next one is wanted
	end     *atomic.Int64 // the same, in the segment
	buffer  []byte
	failed  atomic.Pointer[error] // the first write or sync that failed
	// bytesWritten counts what was appended.
	bytesWritten int64

	// syncing guards files against being closed by one who syncs while another
	// does. It is locked before mu.
	syncing sync.Mutex

	mu       sync.Mutex
	segments []*segment // with records that are needed, oldest first; not current
	current  *segment
	files    []logFile // of current, and before it those that were not closed yet
	ready    *prepared // the next segment
	free     []string  // files that may become segments
	number   uint64    // of the last segment made
	// least is the number of a segment that is, or is about to be, in use: one that
	// is made ahead and has a lower number came too late.
	least    uint64
	released uint64
	pins     int
	noRoom   bool
	closed   bool
	wake     chan struct{}
	done     chan struct{}
}

// prepared is a segment that nobody has written to yet.
type prepared struct {
	*segment
	file vfs.File
}

// logFile is an open segment. The last of them is being written; of the others
// last is the last record.
type logFile struct {
	file vfs.File
	last uint64
}

// Open reads what there is, hands the records that are needed to Apply, and begins
// a new segment. An error that is ErrDamaged says that synced records are missing.
func Open(o Options) (*Journal, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = segmentBytesDefault
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	j := &Journal{
		fs: o.FS, dir: o.Dir, bytes: o.SegmentBytes, logf: o.Logf,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	j.policy.Store(int32(o.Policy))
	if err := j.recover(o); err != nil {
		return nil, err
	}
	go j.prepare()
	return j, nil
}

// Read hands the records behind after to apply, changing nothing.
func Read(fs vfs.FS, dir string, after uint64, apply func(seq uint64, payload []byte) error) error {
	segments, err := scanDir(fs, dir)
	if err != nil {
		return err
	}
	r := reading{fs: fs, segments: segments, after: after, apply: apply}
	return r.read()
}

func (j *Journal) recover(o Options) error {
	segments, err := scanDir(j.fs, j.dir)
	if err != nil {
		return err
	}
	// What is there may not have been synced, and whoever it is applied to may make
	// that durable at any time.
	for _, s := range segments {
		if err := syncFile(j.fs, s.path); err != nil {
			return err
		}
	}
	r := reading{fs: j.fs, segments: segments, after: o.After, apply: o.Apply}
	if err := r.read(); err != nil {
		return err
	}
	if r.broken {
		j.logf("The end of the log was not whole: it had not been synced, and nobody was told of what is lost there")
	}
	j.seq = max(r.last, o.After)
	j.released = o.After
	var superseded []*segment
	for _, s := range segments {
		j.number = max(j.number, s.number)
		switch {
		case s.last <= o.After, s.empty() && s.base == 0:
			if err := j.retire(s); err != nil {
				return err
			}
			continue
		case s.empty() && s.base == j.seq:
			// The segment that is begun now says the same, but is not there yet.
			superseded = append(superseded, s)
			continue
		}
		j.segments = append(j.segments, s)
	}
	if err := j.adoptFree(); err != nil {
		return err
	}
	// Old segments that end before what is not needed must not be found again in
	// front of one that begins there.
	if err := syncDir(j.fs, j.dir); err != nil {
		return err
	}
	size := j.bytes
	if len(j.free) == 0 {
		size = min(size, firstBytes)
	}
	next, err := j.make(size, j.seq, atStart)
	if err != nil {
		return fmt.Errorf("begin a segment of the log: %w", err)
	}
	for _, s := range superseded {
		if err := j.retire(s); err != nil {
			return errors.Join(err, next.file.Close())
		}
	}
	j.begin(next)
	j.written.Store(j.seq)
	j.durable.Store(j.seq)
	return nil
}

// fail makes an error final. The first one stays.
func (j *Journal) fail(err error) error {
	j.failed.CompareAndSwap(nil, &err)
	return j.failure()
}

// failure returns the error after which nothing may be said to be on disk.
func (j *Journal) failure() error {
	if err := j.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Seq returns the number of the last record.
func (j *Journal) Seq() uint64 { return j.seq }

// Append writes a record, whose payload may be in parts, and, with the policy
// Always, syncs it. After an error nothing more can be appended: what is on disk is
// known only after a restart.
func (j *Journal) Append(payload ...[]byte) (seq uint64, err error) {
	if err := j.failure(); err != nil {
		return 0, err
	}
	if err := j.append(payload); err != nil {
		return 0, j.fail(fmt.Errorf("write the log: %w", err))
	}
	return j.seq, nil
}

func (j *Journal) append(payload [][]byte) error {
	length := 0
	for _, p := range payload {
		length += len(p)
	}
	if uint64(length) > payloadBytes {
		return fmt.Errorf("a record of %d bytes", length)
	}
	size := recordSize(int64(length))
	if j.at+size > j.room && !j.grow(size) {
		if err := j.rotate(size); err != nil {
			return err
		}
	}
	if err := j.write(record{
		length: uint32(length), seq: j.seq + 1, durable: j.durable.Load(), segment: j.current.number,
	}, payload); err != nil {
		return err
	}
	j.seq++
	wanted := j.at/j.half != (j.at+size)/j.half || j.at == headerBytes && j.current.size < j.bytes
	j.at += size
	j.written.Store(j.seq)
	j.end.Store(j.at)
	j.bytesWritten += size
	if wanted {
		j.ask()
	}
	if Policy(j.policy.Load()) == Always {
		if err := j.file.SyncData(); err != nil {
			return err
		}
		// An error is told to one who syncs a file: that may have been another.
		if err := j.failure(); err != nil {
			return err
		}
		j.advance(j.seq)
	}
	return nil
}

// write writes a record where the next one goes, a long one without a copy of it.
func (j *Journal) write(r record, payload [][]byte) error {
	j.buffer = appendRecordHeader(j.buffer[:0], r, payload...)
	if r.length <= bufferMax {
		for _, p := range payload {
			j.buffer = append(j.buffer, p...)
		}
		j.buffer = append(j.buffer, r.padding()...)
		_, err := j.file.WriteAt(j.buffer, j.at)
		return err
	}
	at := j.at
	put := func(p []byte) error {
		_, err := j.file.WriteAt(p, at)
		at += int64(len(p))
		return err
	}
	err := put(j.buffer)
	for i := 0; i < len(payload) && err == nil; i++ {
		err = put(payload[i])
	}
	if err == nil {
		err = put(r.padding())
	}
	return err
}

// grow makes room in the current segment if the next one is not there yet: to make
// that now would hold everybody up for several syncs, while to sync a file that
// grows takes a little longer only.
func (j *Journal) grow(size int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ready != nil || j.at+size > growthMax*j.bytes {
		return false
	}
	j.room = j.at + size
	return true
}

// rotate goes on in the next segment, which is to have room for a record of the
// given size.
func (j *Journal) rotate(size int64) error {
	next, err := j.next(size + headerBytes)
	if err != nil {
		return fmt.Errorf("begin a segment: %w", err)
	}
	j.mu.Lock()
	old := j.current
	old.last = j.seq
	if old.empty() && old.base == 0 && j.pins == 0 {
		err = j.retire(old) // one with a base still says what is void before it
	} else {
		j.segments = append(j.segments, old)
	}
	j.files[len(j.files)-1].last = j.seq
	j.mu.Unlock()
	j.begin(next)
	if err == nil && j.durable.Load() == j.seq && j.syncing.TryLock() {
		defer j.syncing.Unlock()
		err = j.closeSynced()
	}
	return err
}

// next takes the segment that was prepared, or makes one if there is none, or a
// larger one is needed.
func (j *Journal) next(size int64) (*prepared, error) {
	j.mu.Lock()
	next := j.ready
	j.ready = nil
	if next != nil && next.size < size {
		// It has to go: segments are read in the order of their numbers.
		err := errors.Join(next.file.Close(), j.retire(next.segment))
		next = nil
		if err != nil {
			j.mu.Unlock()
			return nil, err
		}
	}
	j.mu.Unlock()
	if next != nil {
		return next, nil
	}
	return j.make(max(j.bytes, size), 0, inHaste)
}

// begin goes on in a segment.
func (j *Journal) begin(next *prepared) {
	j.file, j.at, j.room, j.half = next.file, headerBytes, next.size, next.size/2
	j.mu.Lock()
	defer j.mu.Unlock()
	j.current, j.end = next.segment, &next.end
	j.end.Store(headerBytes)
	j.current.first, j.current.last = j.seq+1, j.seq
	j.files = append(j.files, logFile{file: next.file})
}

// Sync syncs what was appended before the call. It may be called from any
// goroutine. After an error no sync succeeds any more, and nothing can be appended:
// the system may have dropped what it could not write, and say so only once.
func (j *Journal) Sync() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if err := j.failure(); err != nil {
		return err
	}
	j.mu.Lock()
	files, written, closed := slices.Clone(j.files), j.written.Load(), j.closed
	j.mu.Unlock()
	if closed {
		return nil
	}
	durable := j.durable.Load()
	for i, f := range files {
		last := f.last
		if i == len(files)-1 {
			last = written
		}
		if last <= durable {
			continue
		}
		if err := f.file.SyncData(); err != nil {
			return j.fail(fmt.Errorf("sync the log: %w", err))
		}
		durable = last
	}
	j.advance(durable)
	return j.closeSynced()
}

// closeSynced closes the files that nobody writes to or has to sync any more.
func (j *Journal) closeSynced() error {
	j.mu.Lock()
	durable, n := j.durable.Load(), 0
	for n < len(j.files)-1 && j.files[n].last <= durable {
		n++
	}
	synced := j.files[:n]
	j.files = j.files[n:]
	j.mu.Unlock()
	var err error
	for _, f := range synced {
		err = errors.Join(err, f.file.Close())
	}
	return err
}

// advance raises durable; another sync may have raised it further.
func (j *Journal) advance(durable uint64) {
	for {
		was := j.durable.Load()
		if durable <= was || j.durable.CompareAndSwap(was, durable) {
			return
		}
	}
}

// SetPolicy changes when records are synced. What was put off until now is synced
// before it returns, if it is Always.
func (j *Journal) SetPolicy(p Policy) error {
	j.policy.Store(int32(p))
	if p != Always {
		return nil
	}
	return j.Sync()
}

// Release says that records up to seq are not needed any more. It may be called
// from any goroutine.
func (j *Journal) Release(seq uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.released = max(j.released, seq)
	return j.releaseLocked()
}

func (j *Journal) releaseLocked() error {
	if j.pins > 0 || j.closed {
		return nil
	}
	for len(j.segments) > 0 && j.segments[0].last <= j.released {
		s := j.segments[0]
		j.segments = j.segments[1:]
		if err := j.retire(s); err != nil {
			return err
		}
	}
	return nil
}

// Pin keeps all records that are needed now until it is undone. Both may be called
// from any goroutine.
func (j *Journal) Pin() (unpin func() error) {
	j.mu.Lock()
	j.pins++
	j.mu.Unlock()
	return func() error {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.pins--
		return j.releaseLocked()
	}
}

// Copy copies the segments into another folder, which holds a log then with all
// records that were needed at the time of the call, and perhaps some that came
// meanwhile. It may be called from any goroutine, while the segments are pinned.
func (j *Journal) Copy(dir string) error {
	j.mu.Lock()
	segments := make([]*segment, 0, len(j.segments)+1)
	segments = append(segments, j.segments...)
	segments = append(segments, j.current)
	j.mu.Unlock()
	for _, s := range segments {
		// Not what is being written meanwhile, of which it might get the end and not
		// the beginning.
		if err := copyFile(j.fs, s.path, j.fs.PathJoin(dir, segmentName(s.number)), s.end.Load()); err != nil {
			return fmt.Errorf("copy %s: %w", s.path, err)
		}
	}
	return syncDir(j.fs, dir)
}

func copyFile(fs vfs.FS, from, to string, bytes int64) error {
	src, err := fs.Open(from)
	if err != nil {
		return err
	}
	dst, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return errors.Join(err, src.Close())
	}
	_, err = io.CopyN(dst, src, bytes)
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, src.Close(), dst.Close())
}

// BytesWritten returns how many bytes were appended since the journal was opened.
func (j *Journal) BytesWritten() int64 { return j.bytesWritten }

// Bytes returns how much disk space the log takes. It may be called from any
// goroutine.
func (j *Journal) Bytes() (total int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range append(j.segments[:len(j.segments):len(j.segments)], j.current) {
		total += max(s.size, s.end.Load())
	}
	if j.ready != nil {
		total += j.ready.size
	}
	return total + int64(len(j.free))*j.bytes
}

// Close syncs what there is and closes the log.
func (j *Journal) Close() error {
	err := j.Sync()
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	close(j.wake)
	j.mu.Unlock()
	<-j.done
	j.syncing.Lock()
	defer j.syncing.Unlock()
	for _, f := range j.files {
		err = errors.Join(err, f.file.Close())
	}
	if j.ready != nil {
		err = errors.Join(err, j.ready.file.Close())
	}
	return err
}
