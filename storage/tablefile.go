package storage

import (
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
		f = &tableFile{File: f}
	}
	return f, err
}

// Unwrap implements vfs.FS.
func (fs tableWrites) Unwrap() vfs.FS { return fs.FS }

// tableFile is a table that is being written.
type tableFile struct {
	vfs.File
	buffer []byte // not yet written
}

func (f *tableFile) flush() error {
	if len(f.buffer) == 0 {
		return nil
	}
	_, err := f.File.Write(f.buffer)
	f.buffer = f.buffer[:0]
	return err
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

// Sync implements vfs.File.
func (f *tableFile) Sync() error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *tableFile) SyncData() error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// SyncTo implements vfs.File.
func (f *tableFile) SyncTo(length int64) (fullSync bool, err error) {
	if err := f.flush(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}

// Close implements vfs.File.
func (f *tableFile) Close() error {
	err := f.flush()
	if e := f.File.Close(); err == nil {
		err = e
	}
	f.buffer = nil
	return err
}
