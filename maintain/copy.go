package maintain

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/storage"
)

// copyFolder copies a data folder of which nothing changes meanwhile to a name
// that must not exist. The copy has been read and found sound before it gets its
// name.
func copyFolder(fs vfs.FS, from, to string, p *progress) error {
	if _, err := fs.Stat(to); err == nil {
		return fmt.Errorf("%s exists already: name another folder", to)
	}
	partial := to + ".partial"
	if err := fs.RemoveAll(partial); err != nil { // of one that was cut off
		return err
	}
	err := copyInto(fs, from, partial, p)
	if err == nil {
		err = sound(fs, partial, p)
	}
	if err == nil {
		err = fs.Rename(partial, to)
	}
	if err == nil {
		err = syncDir(fs, filepath.Dir(to))
	}
	if err != nil {
		return errors.Join(err, fs.RemoveAll(partial))
	}
	return nil
}

// copyInto copies the files of a data folder into another folder, and sees to it
// that they are on disk.
func copyInto(fs vfs.FS, from, to string, p *progress) error {
	files, total, err := storage.Files(fs, from)
	if err != nil {
		return err
	}
	done := int64(0)
	dirs := make(map[string]bool)
	for _, f := range files {
		p.told("copied", done, total)
		target := filepath.Join(to, f.Path)
		if dir := filepath.Dir(target); !dirs[dir] {
			dirs[dir] = true
			if err := fs.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := vfs.Copy(fs, filepath.Join(from, f.Path), target); err != nil {
			return fmt.Errorf("copy %s: %w", f.Path, err)
		}
		done += f.Bytes
	}
	for dir := range dirs {
		if err := syncDir(fs, dir); err != nil {
			return err
		}
	}
	return syncDir(fs, filepath.Dir(to))
}

// sound checks a copy.
func sound(fs vfs.FS, dir string, p *progress) error {
	var first error
	_, err := check(fs, dir, storage.Check{
		Object: commands.CheckObject, Timer: commands.CheckTimer, Progress: p.told,
		Problem: func(err error) {
			if first == nil {
				first = err
			}
		},
	})
	if err == nil && first != nil {
		err = fmt.Errorf("%w: %w", ErrProblems, first)
	}
	return err
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
