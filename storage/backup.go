package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// # Backups
//
// A backup is a data folder: the state of the store at one moment, between two
// turns, made while the store is in use. Tables never change, so they are linked
// where the file system allows it, which takes no time and no space until the
// original is gone; the log is copied. It gets its name when it is complete.

// backupPartial is what a backup's name ends with until it is complete.
const backupPartial = ".partial"

// Backup makes a backup with all that was committed before the call, in a folder
// that must not exist, and returns its size in bytes. It may be called from any
// goroutine.
func (s *Store) Backup(dir string) (bytes int64, err error) {
	fs := s.fs
	if _, err := fs.Stat(dir); err == nil {
		return 0, fmt.Errorf("%s exists already", dir)
	}
	partial := dir + backupPartial
	if err := fs.RemoveAll(partial); err != nil { // of a backup that was cut off
		return 0, err
	}
	if err := makeDir(fs, partial); err != nil {
		return 0, err
	}
	unpin := s.log.Pin() // what the tables do not have
	err = s.db.Checkpoint(filepath.Join(partial, storeDir))
	if err == nil {
		err = s.copyLog(filepath.Join(partial, logDir))
	}
	err = errors.Join(err, unpin())
	if err == nil {
		err = titleFolder(fs, partial)
	}
	if err == nil {
		bytes, err = folderBytes(fs, partial)
	}
	if err == nil {
		err = fs.Rename(partial, dir)
	}
	if err == nil {
		err = syncDir(fs, filepath.Dir(dir))
	}
	if err != nil {
		return 0, errors.Join(err, fs.RemoveAll(partial))
	}
	return bytes, nil
}

func (s *Store) copyLog(dir string) error {
	if err := makeDir(s.fs, dir); err != nil {
		return err
	}
	return s.log.Copy(dir)
}

func folderBytes(fs vfs.FS, dir string) (total int64, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			return 0, err
		}
		n := info.Size()
		if info.IsDir() {
			if n, err = folderBytes(fs, path); err != nil {
				return 0, err
			}
		}
		total += n
	}
	return total, nil
}

const (
	backupPrefix     = "backup-"
	backupTimeLayout = "20060102T150405.000Z"
)

// BackupName is the name of the folder of a backup that begins now. Names are in
// the order of time.
func BackupName(now time.Time) string {
	return backupPrefix + now.UTC().Format(backupTimeLayout)
}

// KeepBackups removes all but the newest backups of a folder, and what is left
// of those that were cut off; 0 keeps all that are complete. Files of other
// names are left alone.
func (s *Store) KeepBackups(dir string, keep int) error {
	fs := s.fs
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	var complete []string
	var errs []error
	for _, name := range names {
		at, isBackup := strings.CutPrefix(name, backupPrefix)
		at, cutOff := strings.CutSuffix(at, backupPartial)
		if _, err := time.Parse(backupTimeLayout, at); !isBackup || err != nil {
			continue
		}
		if cutOff {
			errs = append(errs, fs.RemoveAll(filepath.Join(dir, name)))
		} else {
			complete = append(complete, name)
		}
	}
	slices.Sort(complete)
	if keep > 0 && len(complete) > keep {
		for _, name := range complete[:len(complete)-keep] {
			errs = append(errs, fs.RemoveAll(filepath.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}
