package maintain

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// parts are what a data folder is made of, in the order in which they get their
// names: a folder with no title and no store is an empty one.
var parts = []string{"log", "store", "cairn.format"}

// Restore makes a data folder of a backup. There must be no data in it yet. The
// backup is only read, and the folder holds nothing until all of it has been
// copied and checked.
func Restore(fs vfs.FS, from, dir string, out, progress io.Writer) error {
	p := newProgress(progress)
	names, err := fs.List(dir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if slices.Contains(parts, name) {
			return fmt.Errorf("%s holds data already: move them away, or name another folder with --dir", dir)
		}
	}
	// Within the folder, which may be a file system of its own.
	partial := filepath.Join(dir, "restore.partial")
	if err := fs.RemoveAll(partial); err != nil {
		return err
	}
	err = copyInto(fs, from, partial, p)
	if err == nil {
		err = sound(fs, partial, p)
	}
	p.clear()
	if err != nil {
		return errors.Join(fmt.Errorf("restore %s: %w", from, err), fs.RemoveAll(partial))
	}
	for _, name := range parts {
		err := fs.Rename(filepath.Join(partial, name), filepath.Join(dir, name))
		if err != nil && !(name == "cairn.format" && errors.Is(err, iofs.ErrNotExist)) {
			return err
		}
		if err := syncDir(fs, dir); err != nil {
			return err
		}
	}
	if err := fs.RemoveAll(partial); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s holds what was in %s: cairn --dir %s starts a broker on it\n", dir, from, dir)
	return nil
}
