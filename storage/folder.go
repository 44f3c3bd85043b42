package storage

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// # The data folder
//
//	cairn.format   what this folder is: "cairn data folder", "format 4"
//	store/         the storage engine's files, and its lock
//	log/           what is not in those yet
//
// Before anything is written into a folder, it has to be clear that it is
// cairn's and of a format that this cairn knows: opening a database of another
// program, or of a newer cairn, could already change it. That is what the file
// is for. A folder from before there was such a file is recognised by the
// records in it, read without writing.

const (
	formatFile     = "cairn.format"
	formatTitle    = "cairn data folder"
	formatBytesMax = 1 << 10
	// storeDir is the folder of Pebble's files within the data folder.
	storeDir = "store"
)

// Errors of Open that tell a person what to do.
var (
	ErrLocked  = errors.New("the data folder is in use by another cairn")
	ErrFormat  = errors.New("the data folder was written by a newer cairn")
	ErrDraft   = errors.New("the data folder was written by a cairn from before the first release, and cannot be read any more")
	ErrForeign = errors.New("the data folder holds something that is not cairn's")
	ErrDamaged = errors.New("the data folder is damaged")
	ErrNoData  = errors.New("there is no data folder of cairn's")
)

// inspectFolder finds out what a folder is without changing it. titled is
// whether it says so itself, empty whether there is nothing in it yet. An error
// says that it is not to be used.
func inspectFolder(fs vfs.FS, dir string) (titled, empty bool, err error) {
	text, err := readFile(fs, filepath.Join(dir, formatFile))
	switch {
	case errors.Is(err, iofs.ErrNotExist):
	case err != nil:
		return false, false, err
	default:
		return true, false, checkTitle(text)
	}
	names, err := fs.List(filepath.Join(dir, storeDir))
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return false, false, err
	}
	for _, name := range names {
		if name != "LOCK" {
			return false, false, inspectRecords(fs, dir)
		}
	}
	return false, true, nil
}

// checkTitle reads what the folder says of itself.
func checkTitle(text string) error {
	title, rest, _ := strings.Cut(text, "\n")
	number, isFormat := strings.CutPrefix(strings.TrimSpace(rest), "format ")
	format, err := strconv.ParseUint(number, 10, 32)
	if title != formatTitle || !isFormat || err != nil {
		return fmt.Errorf("%w: its %s says %.100q", ErrForeign, formatFile, text)
	}
	return checkFormat(uint32(format))
}

func checkFormat(format uint32) error {
	switch {
	case format > formatVersion:
		return fmt.Errorf("%w: format %d, this one knows up to %d", ErrFormat, format, formatVersion)
	case format < formatVersion:
		return fmt.Errorf("%w: format %d", ErrDraft, format)
	}
	return nil
}

// inspectRecords looks into a database that nothing is known of.
func inspectRecords(fs vfs.FS, dir string) error {
	db, err := pebble.Open(filepath.Join(dir, storeDir), &pebble.Options{
		FS: fs, ReadOnly: true, ErrorIfNotExists: true, Logger: &engineLog{},
	})
	switch {
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		return ErrForeign
	case err != nil:
		return openError(err)
	}
	s := &Store{db: db}
	format, err := s.system(systemFormat)
	if err == nil && format == nil {
		if empty, e := s.isEmpty(); e != nil {
			err = e
		} else if !empty {
			err = ErrForeign
		}
	}
	if err == nil && format != nil {
		err = s.checkFormat(format)
	}
	return errors.Join(err, db.Close())
}

// titleFolder writes what the folder is.
func titleFolder(fs vfs.FS, dir string) error {
	path := filepath.Join(dir, formatFile)
	f, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s\nformat %d\n", formatTitle, formatVersion)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

func readFile(fs vfs.FS, path string) (string, error) {
	f, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, formatBytesMax))
	return string(text), err
}

// makeDir creates a folder with those above it, and sees to it that they
// survive a crash: a new name is durable only once the folder that holds it has
// been synced.
func makeDir(fs vfs.FS, dir string) error {
	var made []string
	for d := dir; ; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil || d == fs.PathDir(d) {
			break
		}
		made = append(made, d)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range made {
		if err := syncDir(fs, fs.PathDir(d)); err != nil {
			return fmt.Errorf("sync the folder above %s: %w", d, err)
		}
	}
	return nil
}

// syncDir makes the names in a folder durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// File is a file of a data folder; Path is relative to it.
type File struct {
	Path  string
	Bytes int64
}

// Files returns the files that make up a data folder, which nobody may be using,
// and how many bytes they have together. It is an error if it is none.
func Files(fs vfs.FS, dir string) (files []File, total int64, err error) {
	if _, empty, err := inspectFolder(fs, dir); err != nil {
		return nil, 0, err
	} else if empty {
		return nil, 0, ErrNoData
	}
	paths := []string{formatFile}
	for _, sub := range []string{storeDir, logDir} {
		names, err := fs.List(filepath.Join(dir, sub))
		if err != nil {
			return nil, 0, err
		}
		for _, name := range names {
			if name != "LOCK" {
				paths = append(paths, filepath.Join(sub, name))
			}
		}
	}
	for _, path := range paths {
		info, err := fs.Stat(filepath.Join(dir, path))
		if path == formatFile && errors.Is(err, iofs.ErrNotExist) {
			continue // from before there was one
		}
		if err != nil {
			return nil, 0, err
		}
		if !info.IsDir() {
			files = append(files, File{path, info.Size()})
			total += info.Size()
		}
	}
	return files, total, nil
}

// Lock takes a data folder into use, as a broker does, without opening it.
func Lock(fs vfs.FS, dir string) (release func() error, err error) {
	lock, err := pebble.LockDirectory(filepath.Join(dir, storeDir), fs)
	if err != nil {
		return nil, openError(err)
	}
	return lock.Close, nil
}

func isLocked(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process")
}
