package storage

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/journal"
)

// Options say how a Store works.
type Options struct {
	// FS is the file system; nil means the machine's.
	FS vfs.FS
	// Sync says when the log is synced; it can be changed while running
	// (Store.SetSync).
	Sync SyncPolicy
	// CacheBytes bounds the memory of objects (queue heads and the like),
	// BlockCacheBytes that of sstable blocks; zero means the default.
	CacheBytes      int
	BlockCacheBytes int64
	// MemTableBytes is how much is collected in memory before it is written to
	// tables; zero means the default.
	MemTableBytes int
	// BatchBytes is how much the turn may have written at most when a command is
	// to write more than its client has sent: a copy, what moves in the middle of
	// a list (Tx.Fits). A batch is in memory; zero means BatchBytesMax.
	BatchBytes int64
	// ApplyAsideMin is how many keys a turn has to change for its batch to be put into
	// the memtable beside the loop (apply.go); zero means the default.
	ApplyAsideMin int
	// LogSegmentBytes is how long the files of the log are; zero means the
	// default.
	LogSegmentBytes int64
	// Seed makes the hash of keys of a new store unpredictable. An existing
	// store keeps the seed that it was made with.
	Seed uint64
	// ReadOnly opens a store that is there, to read it: nothing is written.
	ReadOnly bool
	// Logf takes messages of the storage engine that an operator should see;
	// nil drops them.
	Logf func(format string, args ...any)
	// Elapsed is a monotonic clock, for how long the engine has writes wait. Nil counts
	// no time.
	Elapsed func() time.Duration
	// Fatal is called, from any goroutine, when the storage engine cannot go on:
	// it has to end the process. Nil panics with a FatalError.
	Fatal func(reason string)

	tune   func(*pebble.Options) // for tests
	slowly func()                // for tests: what else applying a batch beside the loop does
}

const (
	defaultCacheBytes      = 64 << 20
	defaultBlockCacheBytes = 64 << 20
	memTableBytes          = 32 << 20
	applyAsideMin          = 128
)

// BatchBytesMax leaves room below the 4 GB that the storage engine takes at once.
const BatchBytesMax = 2 << 30

// Store is the keyspace of one data folder. It belongs to one goroutine (the
// broker's loop), except where a method says otherwise.
type Store struct {
	// WantReady, WantTouched and WantEvents are set by the broker when there is
	// anybody to tell; otherwise units report nothing.
	WantReady, WantTouched, WantEvents bool
	// WantRoom is set while somebody waits for a key to have room: every key that
	// changes is ready then.
	WantRoom bool
	// LeaveExpired has Sweep leave keys that have run out to those who ask for
	// them (DEBUG SET-ACTIVE-EXPIRE).
	LeaveExpired bool

	// Expired counts the keys that ran out, Commits the turns written, Changes
	// the changes in those.
	Expired int64
	Commits int64
	Changes int64

	dir  string
	fs   vfs.FS
	db   *pebble.DB
	lock *pebble.Lock
	log  *journal.Journal
	// synced is the log for those who sync it (syncLog).
	synced atomic.Pointer[journal.Journal]
	// overlay is what is read in place of db where nothing may be written.
	overlay  *pebble.Batch
	releaser releaser

	turn  *turn
	cache *cache
	seed  uint64
	spare *pebble.Batch // for the next turn
	held  held

	applying applying

	nextID        uint64 // the next incarnation id
	reservedID    uint64 // ids below are reserved on disk
	nextSpace     uint32 // the highest space id in use
	stateDirty    bool
	soft          []*Object
	droppedSpaces []uint32
	droppedCursor uint64
	batchBytesMax int64
	hasGarbage    bool
	buildings     map[uint64]bool // ids that look like garbage while something is built
	garbageFloor  uint64
	nextExpiry    int64
	expiryFloor   []byte // no record of an expiry is before this key
	timers        timers
	failed        error
	closed        bool
	readOnly      bool
	written       int64
	ranOut        atomic.Bool
	unflushed     unflushed
	squeezing     squeezing
	logf          func(format string, args ...any)
	rotated       atomic.Bool // a memtable has become full
	quiet         atomic.Bool // a memtable is flushed because it is old
	stalls        stalls
}

// Open opens the store in dir, which is created if need be.
func Open(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.Elapsed == nil {
		o.Elapsed = func() time.Duration { return 0 }
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = memTableBytes
	}
	if o.BlockCacheBytes == 0 {
		o.BlockCacheBytes = defaultBlockCacheBytes
	}
	// Before anything in the folder is touched.
	titled, empty, err := inspectFolder(o.FS, dir)
	switch {
	case err != nil:
		return nil, err
	case empty && o.ReadOnly:
		return nil, ErrNoData
	}
	if !o.ReadOnly {
		if err := makeDir(o.FS, filepath.Join(dir, storeDir)); err != nil {
			return nil, err
		}
	}
	lock, err := pebble.LockDirectory(filepath.Join(dir, storeDir), o.FS)
	if err != nil {
		return nil, openError(err)
	}
	if !titled && !o.ReadOnly {
		if err := titleFolder(o.FS, dir); err != nil {
			return nil, errors.Join(err, lock.Close())
		}
	}
	s, err := openLocked(dir, o, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func openLocked(dir string, o Options, lock *pebble.Lock) (*Store, error) {
	engine := &engineLog{logf: o.Logf, fatal: o.Fatal}
	engine.opening.Store(true)
	s := &Store{
		dir:          dir,
		lock:         lock,
		readOnly:     o.ReadOnly,
		cache:        newCache(o.CacheBytes),
		nextExpiry:   math.MaxInt64,
		expiryFloor:  []byte{kindExpiry},
		garbageFloor: math.MaxUint64,
		timers:       newTimers(),
		buildings:    make(map[uint64]bool),

		batchBytesMax: cmp.Or(o.BatchBytes, BatchBytesMax),
		releaser:      newReleaser(),
		logf:          o.Logf,
	}
	s.held.bytesMax = int64(o.MemTableBytes / heldShare)
	s.squeezing.init()
	s.fs = s.fullFS(o.FS)
	options := pebbleOptions(tableWrites{logFirst{s.fs, s.syncLog}}, o, engine)
	options.EventListener.FlushBegin = func(pebble.FlushInfo) { s.rotated.Store(true) }
	options.EventListener.WriteStallBegin = func(i pebble.WriteStallBeginInfo) {
		s.stalls.begin(o.Elapsed())
		options.Logger.Errorf("writes wait: %s", i.Reason)
	}
	options.EventListener.WriteStallEnd = func() {
		s.stalls.end(o.Elapsed())
		options.Logger.Errorf("writes go on")
	}
	options.EventListener.FlushEnd = func(pebble.FlushInfo) { s.noteFlush() }
	if o.tune != nil {
		o.tune(options)
	}
	options.Lock, options.ReadOnly = lock, o.ReadOnly
	db, err := pebble.Open(filepath.Join(dir, storeDir), options)
	if err == nil {
		// Reads the ends of all tables: what is wrong with those shows now.
		_, err = db.SSTables(pebble.WithProperties())
	}
	if err := engine.opened(err); err != nil {
		if db != nil {
			_ = db.Close() // the first error is the one to tell
		}
		return nil, err
	}
	s.db = db
	if err = s.openLog(dir, o); err == nil {
		err = s.load(o.Seed)
	}
	if err == nil && !o.ReadOnly {
		s.startApplying(cmp.Or(o.ApplyAsideMin, applyAsideMin), o.slowly)
	}
	if err != nil {
		if s.log != nil {
			_ = s.log.Close() // the first error is the one to tell
		}
		if s.overlay != nil {
			_ = s.overlay.Close()
		}
		_ = db.Close()
		return nil, err
	}
	s.startReleaser(o.Logf)
	return s, nil
}

func pebbleOptions(fs vfs.FS, o Options, log *engineLog) *pebble.Options {
	options := &pebble.Options{
		FS:                 fs,
		FormatMajorVersion: pebble.FormatNewest,
		DisableWAL:         true, // there is a log of our own (log.go)
		CacheSize:          o.BlockCacheBytes,
		MemTableSize:       uint64(o.MemTableBytes),
		// A queue that is filled and drained writes a lot and reads little:
		// memtables are better kept than flushed in a hurry.
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       10,
		L0StopWritesThreshold:       40,
		LBaseMaxBytes:               256 << 20,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		Logger:                      log,
	}
	options.EventListener = &pebble.EventListener{
		DataCorruption:  log.corrupted,
		BackgroundError: func(err error) { options.Logger.Errorf("in the background: %v", err) },
		DiskSlow:        func(i pebble.DiskSlowInfo) { options.Logger.Errorf("%s", i) },
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		options.Levels[i].BlockSize = 16 << 10 // most reads want what lies next to each other
	}
	return options
}

// damage makes ErrDamaged of an error that says that a file is not what was
// written.
func damage(err error) error {
	if pebble.IsCorruptionError(err) {
		return damaged(err)
	}
	return err
}

func damaged(err error) error {
	reason, _, _ := strings.Cut(err.Error(), "\n") // what follows is for developers
	return fmt.Errorf("%w: %s", ErrDamaged, reason)
}

func openError(err error) error {
	switch {
	case isLocked(err):
		return ErrLocked
	case pebble.IsCorruptionError(err), errors.Is(err, iofs.ErrNotExist), strings.Contains(err.Error(), "size mismatch"):
		return damaged(err)
	}
	return fmt.Errorf("open the store: %w", err)
}

// engineLog passes on what Pebble says of problems, not its every step.
type engineLog struct {
	logf  func(string, ...any)
	fatal func(string)
	// damaged takes what Pebble found out while it opened the store; nil: it is
	// open.
	opening atomic.Bool
	damaged atomic.Pointer[string]
}

// Infof implements pebble.Logger.
func (l *engineLog) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l *engineLog) Errorf(format string, args ...any) {
	if l.logf != nil {
		l.logf("storage engine: "+format, args...)
	}
}

// Fatalf is called when Pebble cannot go on: the log cannot be written or
// synced. It must not return (rule R5).
func (l *engineLog) Fatalf(format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if l.fatal != nil {
		l.fatal(reason)
	}
	panic(FatalError{reason})
}

// corrupted is called when Pebble reads something that it cannot have written.
// Whatever else is on that disk is not to be trusted: the process ends, unless
// the store is just being opened, which fails then.
func (l *engineLog) corrupted(info pebble.DataCorruptionInfo) {
	details, _, _ := strings.Cut(info.Details.Error(), "\n")
	reason := fmt.Sprintf("%s is damaged: %s", info.Path, details)
	if l.opening.Load() {
		l.damaged.CompareAndSwap(nil, &reason)
		return
	}
	if l.fatal != nil {
		l.fatal(reason)
	}
}

// opened ends the opening: err is what Pebble says of it.
func (l *engineLog) opened(err error) error {
	l.opening.Store(false)
	if reason := l.damaged.Load(); reason != nil {
		return fmt.Errorf("%w: %s", ErrDamaged, *reason)
	}
	if err != nil {
		return openError(err)
	}
	return nil
}

// FatalError is the panic of a storage engine that cannot go on.
type FatalError struct{ Reason string }

func (e FatalError) Error() string { return "the storage engine cannot go on: " + e.Reason }

// ---- system records --------------------------------------------------------

const (
	systemFormat = "format"
	systemSeed   = "seed"
	systemState  = "state"
)

// idsReserved is how many incarnation ids are reserved at once, so that not
// every new key writes the counter.
const idsReserved = 4096

func (s *Store) newID() uint64 {
	if s.nextID >= s.reservedID {
		s.reservedID = s.nextID + idsReserved
		s.stateDirty = true
	}
	s.nextID++
	return s.nextID - 1
}

func (s *Store) appendState(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, s.reservedID)
	dst = binary.BigEndian.AppendUint32(dst, s.nextSpace)
	for _, sp := range s.turn.dbs {
		dst = binary.BigEndian.AppendUint32(dst, sp.id)
	}
	return dst
}

func (s *Store) load(seed uint64) error {
	t := &turn{store: s, reader: s.reader()}
	for db := range t.views {
		t.views[db] = &Tx{turn: t, db: db}
	}
	s.turn = t
	format, err := s.system(systemFormat)
	if err != nil {
		return err
	}
	if format == nil && s.readOnly {
		return ErrNoData
	}
	if format == nil {
		return s.initialise(seed)
	}
	if err := s.checkFormat(format); err != nil {
		return err
	}
	stored, err := s.system(systemSeed)
	if err != nil {
		return err
	}
	if len(stored) != 8 {
		return fmt.Errorf("%w: the system record %q has %d bytes", ErrDamaged, systemSeed, len(stored))
	}
	s.seed = binary.BigEndian.Uint64(stored)
	state, err := s.system(systemState)
	if err != nil {
		return err
	}
	if len(state) != 12+4*Databases {
		return fmt.Errorf("%w: the system record %q has %d bytes", ErrDamaged, systemState, len(state))
	}
	s.reservedID = binary.BigEndian.Uint64(state)
	s.nextID = s.reservedID
	s.nextSpace = binary.BigEndian.Uint32(state[8:])
	for db := range t.dbs {
		t.dbs[db] = newSpace(binary.BigEndian.Uint32(state[12+4*db:]), db)
		if err := s.loadCounts(t.dbs[db]); err != nil {
			return err
		}
	}
	return errors.Join(s.loadSweep(), s.loadTimers())
}

// initialise makes an empty folder a store.
func (s *Store) initialise(seed uint64) error {
	if empty, err := s.isEmpty(); err != nil {
		return err
	} else if !empty {
		return ErrForeign
	}
	s.seed = seed
	s.nextID = 1
	s.nextSpace = Databases
	for db := range s.turn.dbs {
		s.turn.dbs[db] = newSpace(uint32(db)+1, db)
	}
	s.newID()
	b := s.db.NewBatch()
	for name, value := range map[string][]byte{
		systemFormat: binary.BigEndian.AppendUint32(nil, formatVersion),
		systemSeed:   binary.BigEndian.AppendUint64(nil, seed),
		systemState:  s.appendState(nil),
	} {
		if err := b.Set(appendSystemKey(nil, name), value, nil); err != nil {
			return err
		}
	}
	return s.write(b, nil)
}

// reader is what is committed, for the loop.
func (s *Store) reader() pebble.Reader {
	if s.overlay != nil {
		return s.overlay
	}
	return appliedReader{s}
}

// isEmpty reports whether the database has no record at all.
func (s *Store) isEmpty() (bool, error) {
	it, err := s.reader().NewIter(nil)
	if err != nil {
		return false, err
	}
	empty := !it.First()
	return empty, it.Close()
}

func (s *Store) checkFormat(record []byte) error {
	if len(record) != 4 {
		return fmt.Errorf("%w: the system record %q has %d bytes", ErrDamaged, systemFormat, len(record))
	}
	return checkFormat(binary.BigEndian.Uint32(record))
}

func (s *Store) system(name string) ([]byte, error) {
	value, closer, err := s.reader().Get(appendSystemKey(nil, name))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the system record %q: %w", name, damage(err))
	}
	defer closer.Close()
	return append([]byte(nil), value...), nil
}

func (s *Store) loadCounts(sp *space) error {
	value, closer, err := s.reader().Get(appendCountKey(nil, sp.id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the number of keys: %w", damage(err))
	}
	defer closer.Close()
	if len(value) != 16 {
		return fmt.Errorf("%w: the number of keys of space %d has %d bytes", ErrDamaged, sp.id, len(value))
	}
	sp.keys = int64(binary.BigEndian.Uint64(value))
	sp.expiring = int64(binary.BigEndian.Uint64(value[8:]))
	return nil
}

// loadSweep finds out what the sweeper had left to do.
func (s *Store) loadSweep() error {
	tx := s.turn.views[0]
	tx.scan(s.reader(), []byte{kindDropped}, []byte{kindDropped + 1}, false, func(k, _ []byte) bool {
		s.droppedSpaces = append(s.droppedSpaces, binary.BigEndian.Uint32(k[1:]))
		return true
	})
	tx.scan(s.reader(), []byte{kindGarbage}, []byte{kindGarbage + 1}, false, func(k, _ []byte) bool {
		s.garbage(binary.BigEndian.Uint64(k[1:]))
		return false
	})
	tx.scan(s.reader(), []byte{kindExpiry}, []byte{kindExpiry + 1}, false, func(k, _ []byte) bool {
		s.nextExpiry, _, _ = parseExpiryKey(k)
		return false
	})
	s.expiryFloor = []byte{kindExpiry}
	return tx.err
}

func (s *Store) newBatch() *pebble.Batch {
	if b := s.spare; b != nil {
		s.spare = nil
		b.Reset()
		return b
	}
	return s.db.NewBatch()
}

// ---- life ------------------------------------------------------------------

// Close writes what is left (soft changes), syncs, and closes the store. After a
// commit that has failed it leaves everything as it is. A second time it does
// nothing.
func (s *Store) Close() error {
	if s.closed {
		return s.failed
	}
	s.closed = true
	s.releaser.stop()
	s.squeezing.stop()
	if s.overlay != nil {
		return errors.Join(s.overlay.Close(), s.db.Close(), s.lock.Close())
	}
	if s.failed == nil && len(s.soft) > 0 {
		s.failed = s.commit(s.turn.views[0])
	}
	s.stopApplying()
	var err error
	if s.failed == nil {
		// So that the next start has nothing to do. What cannot be flushed stands in
		// the log.
		if err = s.settleAll(); s.db.Flush() == nil {
			err = errors.Join(err, s.releaseLog())
		}
	}
	err = errors.Join(err, s.log.Close())
	if s.failed != nil {
		return s.failed // the process ends
	}
	return errors.Join(err, s.db.Close(), s.lock.Close())
}

// SetSync changes when the log is synced. What was put off is synced first if it
// is to be always.
func (s *Store) SetSync(p SyncPolicy) error { return s.log.SetPolicy(p.journal()) }

// SyncNow syncs the log if anything was written since the last sync. It may be
// called from any goroutine; with SyncEverySecond somebody has to, once a
// second.
func (s *Store) SyncNow() error { return s.log.Sync() }

// Snapshot returns a read-only transaction of the state between two turns, for
// use in one other goroutine; release gives its resources back.
func (s *Store) Snapshot(now time.Time) (tx *Tx, release func()) {
	var reader pebble.Reader
	release = func() {}
	if s.overlay != nil {
		reader = s.overlay
	} else {
		if err := s.settleAll(); err != nil {
			s.turn.views[0].fail("settle metadata", err)
		}
		if err := s.awaitApplied(); err != nil {
			s.turn.views[0].fail("apply a turn", err)
		}
		snapshot := s.db.NewSnapshot()
		reader, release = snapshot, func() { _ = snapshot.Close() } // fails only when closed twice
	}
	t := &turn{store: s, reader: reader, readOnly: true, seq: 1, now: now, nowMs: now.UnixMilli()}
	for db, sp := range s.turn.dbs {
		own := newSpace(sp.id, db)
		own.keys, own.expiring = sp.keys, sp.expiring
		t.dbs[db] = own
		t.views[db] = &Tx{turn: t, db: db}
	}
	return t.views[0], release
}

// Unwanted is what a scan panics with once nobody wants what it reads: the way
// out of a handler in the middle of a long read, past code that relies on having
// seen everything.
type Unwanted struct{}

// GiveUp makes the scans of a snapshot panic with Unwanted from now on. It may be
// called from any goroutine.
func (tx *Tx) GiveUp() {
	if !tx.readOnly {
		panic("storage: a turn cannot be given up")
	}
	tx.unwanted.Store(true)
}

// Metrics returns the storage engine's own figures.
func (s *Store) Metrics() *pebble.Metrics { return s.db.Metrics() }

// LogBytes returns how much disk space the log takes, and how much was ever
// written to it since the start.
func (s *Store) LogBytes() (size, written int64) { return s.log.Bytes(), s.log.BytesWritten() }

// CachedObjects returns how many objects are in memory and their bytes.
func (s *Store) CachedObjects() (count, bytes int) { return s.cache.count, s.cache.bytes }
