package journal

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// # Making segments
//
// A segment is made in the background once half of the one before is written, or
// anything of the very first, which is small, of a file that is not needed any more
// or of a new one full of zeros. It gets its name when its header is on disk, so
// that there is no segment without one.

const (
	freePrefix = "free-" // a file that was a segment
	zerosBytes = 1 << 20 // written at once
)

// prepare makes the next segment whenever it is wanted.
func (j *Journal) prepare() {
	defer close(j.done)
	for range j.wake {
		j.mu.Lock()
		wanted := j.ready == nil && !j.closed
		j.mu.Unlock()
		if !wanted {
			continue
		}
		next, err := j.make(j.bytes, 0, ahead)
		if err != nil {
			// No harm yet: it is made when it is needed, if that is possible then.
			j.logf("The next segment of the log cannot be made ahead of time: %v", err)
			continue
		}
		j.mu.Lock()
		if j.ready == nil && !j.closed && next.number > j.least {
			j.ready = next
		} else if err := errors.Join(next.file.Close(), j.retire(next.segment)); err != nil {
			j.logf("A segment of the log that came too late cannot be put aside: %v", err)
		}
		j.mu.Unlock()
	}
}

// ask wants the next segment to be made.
func (j *Journal) ask() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// moment says when a segment is made.
type moment int

const (
	atStart moment = iota
	ahead          // for when the current one is full
	inHaste        // to be written to at once
)

// make makes a segment. A new file is filled only if there is time for it.
func (j *Journal) make(size int64, base uint64, when moment) (*prepared, error) {
	j.mu.Lock()
	j.number++
	number := j.number
	if when != ahead {
		j.least = number
	}
	var old string
	if n := len(j.free); n > 0 && size == j.bytes {
		old = j.free[n-1]
		j.free = j.free[:n-1]
	}
	j.mu.Unlock()
	path := j.fs.PathJoin(j.dir, segmentName(number))
	f, err := j.makeFile(path+partialSuffix, old, size, number, base, when != inHaste)
	if err != nil {
		return nil, errors.Join(err, ignoreMissing(j.fs.Remove(path+partialSuffix)))
	}
	if err := j.fs.Rename(path+partialSuffix, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := syncDir(j.fs, j.dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &segment{number: number, base: base, path: path, size: size}
	return &prepared{s, f}, nil
}

func (j *Journal) makeFile(path, old string, size int64, number, base uint64, fill bool) (vfs.File, error) {
	if old != "" {
		if err := j.fs.Rename(old, path); err != nil {
			return nil, err
		}
		// Until that is durable the file may be found under a name of before, with
		// what is written to it now: as a segment that has the header of another.
		if err := syncDir(j.fs, j.dir); err != nil {
			return nil, err
		}
		fill = false
	} else if err := createFile(j.fs, path); err != nil {
		return nil, err
	}
	f, err := j.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	if fill {
		err = fillFile(f, size)
	}
	if err == nil {
		_, err = f.WriteAt(appendHeader(nil, number, base), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func createFile(fs vfs.FS, path string) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return f.Close()
}

func fillFile(f vfs.File, size int64) error {
	block := make([]byte, min(zerosBytes, size))
	for at := int64(0); at < size; at += int64(len(block)) {
		if _, err := f.WriteAt(block[:min(int64(len(block)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// retire keeps the file of a segment that is not needed any more to be used
// again, or removes it. The lock is held, or nobody else knows of the journal.
func (j *Journal) retire(s *segment) error {
	grown := s.end.Load() > s.size
	if len(j.free) >= segmentsFree || s.size != j.bytes || grown || j.noRoom {
		return j.fs.Remove(s.path)
	}
	path := j.fs.PathJoin(j.dir, fmt.Sprintf("%s%d", freePrefix, s.number))
	if err := j.fs.Rename(s.path, path); err != nil {
		return err
	}
	j.free = append(j.free, path)
	return nil
}

// adoptFree finds what an earlier run has left to be used again, and removes what
// it was making.
func (j *Journal) adoptFree() error {
	names, err := j.fs.List(j.dir)
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	for _, path := range j.free {
		known[path] = true
	}
	for _, name := range names {
		path := j.fs.PathJoin(j.dir, name)
		switch {
		case known[path]:
		case strings.HasPrefix(name, segmentPrefix) && strings.HasSuffix(name, partialSuffix):
			err = j.fs.Remove(path)
		case strings.HasPrefix(name, freePrefix):
			info, statErr := j.fs.Stat(path)
			if statErr == nil && info.Size() == j.bytes && len(j.free) < segmentsFree {
				j.free = append(j.free, path)
			} else {
				err = errors.Join(statErr, j.fs.Remove(path))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// KeepFree says whether there is room on the disk for files that are of no use at
// the moment; there is until it is said that there is not. It may be called from
// any goroutine.
func (j *Journal) KeepFree(room bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.noRoom = !room
	if room {
		return
	}
	for _, path := range j.free {
		_ = j.fs.Remove(path) // what cannot be removed makes no room
	}
	j.free = nil
}

// Trim gives up files that are kept to be used again, but for one: not much is
// written at the moment. It may be called from any goroutine.
func (j *Journal) Trim() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.free) > segmentsTrimmed {
		last := len(j.free) - 1
		if err := j.fs.Remove(j.free[last]); err != nil {
			return err
		}
		j.free = j.free[:last]
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}

func syncFile(fs vfs.FS, path string) error {
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir makes the names in a folder durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
