package storage

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// # The end of a log that was not synced
//
// Pebble notes in the log how far it has been synced, and a log that is spoilt
// before such a mark is damaged: it does not open. That is what is wanted, as
// long as syncs are syncs. With any policy but SyncAlways they are put off
// (logFS), and a loss of power may leave any part of the last second unwritten,
// before marks that say that it was synced.
//
// So a file in the store's folder says that syncs are put off, from before the
// first of them until the log has been synced for good. If it is there at the
// start, the last log may end anywhere: what comes behind the first record that
// is not whole is given up, as the policy allows. Earlier logs were synced when
// the next one was begun.

const unsyncedFile = "unsynced"

// unsynced reports whether syncs were put off when the store was last used.
func unsynced(fs vfs.FS, dir string) (bool, error) {
	_, err := fs.Stat(filepath.Join(dir, unsyncedFile))
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// setUnsynced notes whether syncs are put off.
func setUnsynced(fs vfs.FS, dir string, putOff bool) error {
	path := filepath.Join(dir, unsyncedFile)
	was, err := unsynced(fs, dir)
	if err != nil || was == putOff {
		return err
	}
	if putOff {
		f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	} else if err := fs.Remove(path); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// giveUpTail makes the last log end where its whole records end. It returns how
// many bytes of the log, which may be nothing but zeros, were given up.
func giveUpTail(fs vfs.FS, dir string) (lost int64, err error) {
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: dir})
	if err != nil || len(logs) == 0 {
		return 0, err
	}
	last := logs[len(logs)-1]
	at, whole, err := readLog(last)
	if err != nil || whole {
		return 0, err
	}
	_, path := last.SegmentLocation(0)
	info, err := fs.Stat(path)
	if err != nil {
		return 0, err
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	zeros := make([]byte, 64<<10)
	for to := at; to < info.Size() && err == nil; to += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), info.Size()-to)], to)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("give up the end of %s: %w", path, err)
	}
	return info.Size() - at, nil
}

// readLog reads a log to its end. If that is not clean, whole is false and at is
// where the last whole record ends.
func readLog(log wal.LogicalLog) (at int64, whole bool, err error) {
	r := log.OpenForRead()
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		_, offset, err := r.NextRecord()
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, record.ErrUnexpectedEOF):
			return 0, true, nil // as far as Pebble is concerned
		case record.IsInvalidRecord(err), pebble.IsCorruptionError(err):
			return offset.Physical, false, nil
		default:
			return 0, false, err
		}
	}
}
