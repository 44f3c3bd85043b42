package storage

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	blobfile "github.com/cockroachdb/pebble/v2/sstable/blob"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// # Blob files
//
// Large values stand in files of their own, and tables say where
// (docs/adr/0010-values-beside-the-tables.md). Pebble reads a blob file when a
// value in it is asked for, and no sooner: that one is missing would show weeks
// after the fact, and one with a spoilt end makes it panic. So we look at all of
// them before it does; which there are says its manifest.

const (
	blobSuffix = ".blob"
	// blobBytesMin is from which size on a value is large.
	blobBytesMin = 1 << 10
	// blobTablesMax is how many blob files that overlap a table refers to at most;
	// with more of them their values are written to a new one.
	blobTablesMax = 10
	// A blob file that is older than blobAge may be written anew without what
	// nothing refers to any more; that is done while more than blobGarbageShare of
	// all values are of that kind.
	blobAge          = time.Minute
	blobGarbageShare = 0.3
)

func blobPolicy() pebble.ValueSeparationPolicy {
	return pebble.ValueSeparationPolicy{
		Enabled:               true,
		MinimumSize:           blobBytesMin,
		MaxBlobReferenceDepth: blobTablesMax,
		RewriteMinimumAge:     blobAge,
		TargetGarbageRatio:    blobGarbageShare,
	}
}

// inspectBlobs returns what is wrong with the blob files of a database that is
// not open: one that is missing, or of another size, or that does not end as it
// should.
func inspectBlobs(fs vfs.FS, dir string) error {
	description, err := pebble.Peek(dir, fs)
	if err != nil || !description.Exists {
		return nil // there is none, or Pebble says what is wrong when it opens it
	}
	sizes, err := blobSizes(fs, description.ManifestFilename)
	if err != nil {
		return err
	}
	var errs []error
	for _, number := range slices.Sorted(maps.Keys(sizes)) {
		size := sizes[number]
		path := filepath.Join(dir, fmt.Sprintf("%06d", number)+blobSuffix)
		info, err := fs.Stat(path)
		switch {
		case err != nil:
			errs = append(errs, openError(err))
		case info.Size() != int64(size):
			errs = append(errs, fmt.Errorf("%w: %s has %d bytes and not %d", ErrDamaged, path, info.Size(), size))
		default:
			if err := inspectBlob(fs, path); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", path, damage(err)))
			}
		}
	}
	return errors.Join(errs...)
}

// inspectBlob reads the end of a blob file.
func inspectBlob(fs vfs.FS, path string) error {
	r, err := openBlob(fs, path)
	if err != nil {
		return err
	}
	return r.Close()
}

func openBlob(fs vfs.FS, path string) (*blobfile.FileReader, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r, err := blobfile.NewFileReader(context.Background(), readable, blobfile.FileReaderOptions{
		ReaderOptions: (&pebble.Options{FS: fs}).MakeReaderOptions().ReaderOptions,
	})
	if err != nil {
		return nil, errors.Join(err, readable.Close())
	}
	return r, nil
}

// checkBlob reads every block of a blob file.
func checkBlob(fs vfs.FS, path string) error {
	r, err := openBlob(fs, path)
	if err != nil {
		return err
	}
	err = eachBlobBlock(r, func(h block.Handle) error {
		b, err := r.ReadValueBlock(context.Background(), block.NoReadEnv, nil, h)
		if err == nil {
			b.Release()
		}
		return err
	})
	return errors.Join(err, r.Close())
}

// eachBlobBlock calls do with where each block of values is. The index has four
// bytes of its own, a column that is of no interest here, and one with the ends of
// the blocks, the beginning of the first before them.
func eachBlobBlock(r *blobfile.FileReader, do func(block.Handle) error) error {
	index, err := r.ReadIndexBlock(context.Background(), block.NoReadEnv, nil)
	if err != nil {
		return err
	}
	defer index.Release()
	var d colblk.BlockDecoder
	d.Init(index.BlockData(), 4)
	ends := colblk.DecodeColumn(&d, 1, d.Rows()+1, colblk.DataTypeUint, colblk.DecodeUnsafeUints)
	var errs []error
	for i := range d.Rows() {
		start, end := ends.At(i), ends.At(i+1)
		errs = append(errs, do(block.Handle{Offset: start, Length: end - start - block.TrailerLen}))
	}
	return errors.Join(errs...)
}

// # The manifest
//
// A manifest is a log of edits: which files there are from now on, and which not
// any more. An edit is a sequence of fields, each with a number of its kind.

const (
	manifestComparer      = 1
	manifestLogNumber     = 2
	manifestNextFile      = 3
	manifestLastSequence  = 4
	manifestCompactAt     = 5
	manifestTableGone     = 6
	manifestPrevLog       = 9
	manifestTablePlain    = 100
	manifestTable         = 103
	manifestTableOfRanges = 104
	manifestBacking       = 105
	manifestBackingGone   = 106
	manifestBlob          = 107
	manifestBlobGone      = 108

	tableEnd     = 1
	tableVirtual = 66
	tableBlobs   = 69
)

// blobSizes returns the numbers and sizes of the blob files that are in use.
func blobSizes(fs vfs.FS, manifest string) (map[uint64]uint64, error) {
	f, err := fs.Open(manifest)
	if err != nil {
		return nil, openError(err)
	}
	sizes, records := make(map[uint64]uint64), record.NewReader(f, 0)
	for {
		r, err := records.Next()
		if errors.Is(err, io.EOF) || record.IsInvalidRecord(err) {
			break // Pebble takes it for the end as well
		}
		if err == nil {
			edit := manifestEdit{r: bufio.NewReader(r)}
			edit.blobs(sizes)
			err = edit.err
			if record.IsInvalidRecord(err) {
				break
			}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read %s: %w", manifest, err), f.Close())
		}
	}
	return sizes, f.Close()
}

// manifestEdit reads an edit; err is the first error.
type manifestEdit struct {
	r   *bufio.Reader
	err error
}

// blobs notes which blob files come and go with this edit.
func (e *manifestEdit) blobs(sizes map[uint64]uint64) {
	var gone, added []uint64
	for {
		field, err := binary.ReadUvarint(e.r)
		if err != nil || e.err != nil {
			if !errors.Is(err, io.EOF) && e.err == nil {
				e.err = err
			}
			break
		}
		switch field {
		case manifestComparer:
			e.bytes(1)
		case manifestLogNumber, manifestNextFile, manifestLastSequence, manifestPrevLog, manifestBackingGone:
			e.numbers(1)
		case manifestCompactAt:
			e.numbers(1)
			e.bytes(1)
		case manifestTableGone, manifestBacking:
			e.numbers(2)
		case manifestTablePlain, manifestTable:
			e.numbers(3) // level, number, size
			e.bytes(2)   // smallest and largest key
			e.numbers(2) // smallest and largest sequence number
			if field != manifestTablePlain {
				e.table()
			}
		case manifestTableOfRanges:
			e.numbers(3)
			if points, err := e.r.ReadByte(); err != nil {
				e.err = err
			} else if points&1 != 0 {
				e.bytes(2)
			}
			e.bytes(2)
			e.numbers(2)
			e.table()
		case manifestBlob:
			e.numbers(1) // its name in tables, which stays when it is written anew
			added = append(added, e.number(), e.number())
			e.numbers(2) // size of its values, time
		case manifestBlobGone:
			e.numbers(1)
			gone = append(gone, e.number())
		default:
			e.err = fmt.Errorf("%w: the field %d is not known", ErrDamaged, field)
		}
	}
	if e.err != nil {
		return
	}
	for _, number := range gone {
		delete(sizes, number)
	}
	for i := 0; i < len(added); i += 2 {
		sizes[added[i]] = added[i+1]
	}
}

// table reads the rest of a new table: fields up to an end. Those that are not
// known are bytes.
func (e *manifestEdit) table() {
	for e.err == nil {
		switch e.number() {
		case tableEnd:
			return
		case tableVirtual:
			e.numbers(1)
		case tableBlobs:
			e.numbers(1)
			for n := e.number(); n > 0 && e.err == nil; n-- {
				e.numbers(2)
			}
		default:
			e.bytes(1)
		}
	}
}

func (e *manifestEdit) number() (n uint64) {
	if e.err == nil {
		n, e.err = binary.ReadUvarint(e.r)
	}
	return n
}

func (e *manifestEdit) numbers(count int) {
	for range count {
		e.number()
	}
}

// bytes passes so many strings with their length before them.
func (e *manifestEdit) bytes(count int) {
	for range count {
		n := e.number()
		if e.err == nil {
			_, e.err = e.r.Discard(int(n))
		}
	}
}

// ---- while the store is in use ----------------------------------------------

// blobFS looks at the end of a blob file each time that it is opened: Pebble
// panics where it is spoilt.
type blobFS struct {
	vfs.FS
	engine *engineLog
}

// Unwrap implements vfs.FS.
func (fs blobFS) Unwrap() vfs.FS { return fs.FS }

// Open implements vfs.FS.
func (fs blobFS) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	if strings.HasSuffix(name, blobSuffix) {
		if err := inspectBlob(fs.FS, name); pebble.IsCorruptionError(err) {
			fs.engine.corrupted(pebble.DataCorruptionInfo{Path: name, Details: err})
			return nil, fmt.Errorf("%w: %s", ErrDamaged, name)
		}
	}
	return fs.FS.Open(name, options...)
}
