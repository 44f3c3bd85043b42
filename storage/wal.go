package storage

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SyncPolicy says when the log of the store is synced (appendfsync).
type SyncPolicy int32

const (
	// SyncAlways: before Commit returns. An acknowledged write survives the
	// loss of power.
	SyncAlways SyncPolicy = iota
	// SyncEverySecond: written to the operating system before Commit returns,
	// synced within a second. It survives the end of the process, and loses up
	// to a second when the machine goes down.
	SyncEverySecond
	// SyncNo: written to the operating system, synced when that sees fit.
	SyncNo
)

// logFS is the file system that Pebble sees. Commits always ask for a sync, as
// only then Pebble hands the record to the operating system at once: without,
// it may stay in a buffer of the process, and kill -9 would lose what was
// acknowledged. What the sync of a log file then does is decided here, by the
// policy.
type logFS struct {
	vfs.FS
	dir    string       // of the store: log files elsewhere are those of a backup
	policy atomic.Int32 // SyncPolicy
	spares *spareLogs   // nil: log files start empty
	// fatal ends the process when the log cannot be written, synced, or begun.
	// Pebble may meet the error while it goes on to the next log file, and would
	// then panic with a lock in the wrong state: nobody would learn the reason.
	fatal func(doing string, err error)

	mu   sync.Mutex
	open map[*logFile]struct{}
}

func newLogFS(fs vfs.FS, dir string, p SyncPolicy, spares *spareLogs, fatal func(string, error)) *logFS {
	l := &logFS{FS: fs, dir: dir, spares: spares, fatal: fatal, open: make(map[*logFile]struct{})}
	l.policy.Store(int32(p))
	return l
}

func (l *logFS) isLog(name string) bool {
	return strings.HasSuffix(name, ".log") && l.FS.PathDir(name) == l.dir
}

// Create implements vfs.FS.
func (l *logFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if l.spares != nil && l.isLog(name) {
		if spare := l.spares.take(0); spare != "" {
			f, err := l.FS.ReuseForWrite(spare, name, c)
			return l.wrap(name, f, err)
		}
	}
	f, err := l.FS.Create(name, c)
	return l.wrap(name, f, err)
}

// ReuseForWrite implements vfs.FS.
func (l *logFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if l.spares != nil && l.isLog(newname) {
		if info, err := l.FS.Stat(oldname); err == nil {
			if spare := l.spares.take(info.Size()); spare != "" {
				if err := l.FS.Remove(oldname); err != nil {
					return nil, err
				}
				oldname = spare
			}
		}
	}
	f, err := l.FS.ReuseForWrite(oldname, newname, c)
	return l.wrap(newname, f, err)
}

func (l *logFS) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if !l.isLog(name) {
		return f, err
	}
	if err != nil {
		l.fatal("begin a log file", err)
		return f, err
	}
	file := &logFile{File: f, fs: l}
	l.mu.Lock()
	l.open[file] = struct{}{}
	l.mu.Unlock()
	return file, nil
}

// Unwrap returns the file system below.
func (l *logFS) Unwrap() vfs.FS { return l.FS }

// SyncNow syncs the log files that were written to since their last sync.
func (l *logFS) SyncNow() error {
	l.mu.Lock()
	files := make([]*logFile, 0, len(l.open))
	for f := range l.open {
		files = append(files, f)
	}
	l.mu.Unlock()
	var err error
	for _, f := range files {
		err = errors.Join(err, f.syncPending())
	}
	return err
}

// logFile is a log file whose sync the policy decides.
type logFile struct {
	vfs.File
	fs *logFS
	// pending says that a sync was asked for and put off. closing guards a sync
	// from another goroutine against the file's end.
	pending atomic.Bool
	closing sync.Mutex
	closed  bool
}

// Preallocate implements vfs.File. Room for a whole log would be set aside in
// the first, small ones as well, and does not make syncs faster (spare.go).
func (f *logFile) Preallocate(offset, length int64) error { return nil }

// Write implements vfs.File.
func (f *logFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		f.fs.fatal("write the log", err)
	}
	return n, err
}

// Sync implements vfs.File.
func (f *logFile) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *logFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *logFile) sync(now func() error) error {
	if SyncPolicy(f.fs.policy.Load()) == SyncAlways {
		f.pending.Store(false)
		err := now()
		if err != nil {
			f.fs.fatal("sync the log", err)
		}
		return err
	}
	f.pending.Store(true)
	return nil
}

func (f *logFile) syncPending() error {
	f.closing.Lock()
	defer f.closing.Unlock()
	if f.closed || !f.pending.Swap(false) {
		return nil
	}
	return f.File.SyncData()
}

// Close implements vfs.File. What was put off is made up for: once the log has
// moved on to the next file nobody would sync this one.
func (f *logFile) Close() error {
	err := f.syncPending()
	f.closing.Lock()
	f.closed = true
	f.closing.Unlock()
	f.fs.mu.Lock()
	delete(f.fs.open, f)
	f.fs.mu.Unlock()
	err = errors.Join(err, f.File.Close())
	if err != nil {
		f.fs.fatal("end a log file", err)
	}
	return err
}

// OpenDir implements vfs.FS.
func (l *logFS) OpenDir(name string) (vfs.File, error) {
	f, err := l.FS.OpenDir(name)
	if err != nil || name != l.dir {
		return f, err
	}
	return &logDir{f, l}, nil
}

// logDir is the folder of the logs. If it cannot be synced, a log that was begun
// may not be there after a loss of power.
type logDir struct {
	vfs.File
	fs *logFS
}

// Sync implements vfs.File.
func (d *logDir) Sync() error {
	err := d.File.Sync()
	if err != nil {
		d.fs.fatal("sync the folder of the log", err)
	}
	return err
}

func isLocked(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process")
}
