package storage

import (
	"cmp"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// tableWrites is a file system on which tables are written in large pieces: Pebble
// writes block by block, and a block has a few KiB.
type tableWrites struct{ vfs.FS }

// tablePieceBytes is the size of such a piece.
const tablePieceBytes = 128 << 10

// Create implements vfs.FS.
func (fs tableWrites) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err == nil && strings.HasSuffix(name, ".sst") {
		t := new(tableFile)
		t.preparedFile = preparedFile{f, t.flush}
		f = t
	}
	return f, err
}

// Unwrap implements vfs.FS.
func (fs tableWrites) Unwrap() vfs.FS { return fs.FS }

// tableFile is a table that is being written.
type tableFile struct {
	preparedFile
	buffer []byte // not yet written
	err    error  // of what could not be written: the table is of no use
}

func (f *tableFile) flush() error {
	if f.err == nil && len(f.buffer) > 0 {
		_, f.err = f.File.Write(f.buffer)
		f.buffer = f.buffer[:0]
	}
	return f.err
}

// Write implements vfs.File.
func (f *tableFile) Write(p []byte) (int, error) {
	if len(f.buffer)+len(p) > tablePieceBytes {
		if err := f.flush(); err != nil {
			return 0, err
		}
		if len(p) >= tablePieceBytes {
			return f.File.Write(p)
		}
	}
	if f.buffer == nil {
		f.buffer = make([]byte, 0, tablePieceBytes)
	}
	f.buffer = append(f.buffer, p...)
	return len(p), nil
}

// Stat implements vfs.File.
func (f *tableFile) Stat() (vfs.FileInfo, error) {
	if err := f.flush(); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

// Close implements vfs.File.
func (f *tableFile) Close() error {
	err := cmp.Or(f.flush(), f.File.Close())
	f.buffer = nil
	return err
}
