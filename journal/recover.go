package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// # After a crash
//
// Segments are read in the order of their numbers, records as long as they are
// whole and consecutive. Where that ends, the log ends, unless anything later
// proves that more of it had been synced.

// ErrDamaged says that records are missing that had been synced.
var ErrDamaged = errors.New("the log is damaged")

// segment is a file of the log.
type segment struct {
	number, base uint64
	path         string
	size         int64
	first, last  uint64 // records in it; last < first: none yet
	// end is where its last record ends; other goroutines may look.
	end atomic.Int64
}

func (s *segment) empty() bool { return s.last < s.first }

// scanDir finds the segments of a folder, in order.
func scanDir(fs vfs.FS, dir string) (segments []*segment, err error) {
	names, err := fs.List(dir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	for _, name := range names {
		number := parseSegmentName(name)
		if number == segmentOfNone {
			continue
		}
		s := &segment{number: number, path: fs.PathJoin(dir, name)}
		info, err := fs.Stat(s.path)
		if err != nil {
			return nil, err
		}
		s.size = info.Size()
		segments = append(segments, s)
	}
	slices.SortFunc(segments, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	return segments, nil
}

// A reading goes through a log from its oldest record on.
type reading struct {
	fs       vfs.FS
	segments []*segment
	after    uint64                                 // records up to here are not applied
	apply    func(seq uint64, payload []byte) error // nil: only look

	last   uint64 // the last whole record
	broken bool   // the log has ended
}

// read reads the log. What it leaves in last is its end.
func (r *reading) read() error {
	for _, s := range r.segments {
		if err := r.header(s); err != nil {
			return err
		}
	}
	for i, s := range r.segments {
		if s.base != 0 {
			if err := r.goOn(s); err != nil {
				return err
			}
		}
		if err := r.records(s, r.limit(i)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) header(s *segment) error {
	f, err := r.fs.Open(s.path)
	if err != nil {
		return err
	}
	var p [headerBytes]byte
	_, err = io.ReadFull(f, p[:])
	if err := errors.Join(err, f.Close()); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	number, base, err := decodeHeader(p[:])
	switch {
	case errors.Is(err, errVersion):
		return fmt.Errorf("%s: %w", s.path, err)
	case err != nil || number != s.number:
		// A segment gets its name when its header is on disk.
		return fmt.Errorf("%w: %s: %w", ErrDamaged, s.path, errHeader)
	}
	s.base = base
	return nil
}

// limit returns the last record that counts in a segment: what is behind it was
// found not to be whole by a later opening.
func (r *reading) limit(i int) uint64 {
	for _, later := range r.segments[i+1:] {
		if later.base != 0 {
			return later.base
		}
	}
	return math.MaxUint64
}

// goOn begins the segment of a later opening, which has found its base whole.
func (r *reading) goOn(s *segment) error {
	if r.last != s.base && s.base > r.after {
		return r.damaged()
	}
	r.last, r.broken = s.base, false
	return nil
}

// records reads those of one segment.
func (r *reading) records(s *segment, limit uint64) error {
	p, err := readFile(r.fs, s.path)
	if err != nil {
		return err
	}
	s.first, s.last = r.last+1, r.last
	end := int64(headerBytes)
	defer func() { s.end.Store(end) }()
	for !r.broken {
		if r.last == limit || end >= int64(len(p)) {
			return nil
		}
		rec, payload, ok := decodeRecord(p[end:], s.number)
		if !ok || !r.follows(rec.seq) {
			if at, found := r.resume(s, p, end); found {
				end = at
				continue
			}
			break
		}
		if s.empty() {
			s.first = rec.seq
		}
		s.last, r.last = rec.seq, rec.seq
		end += rec.size()
		if r.apply != nil && rec.seq > r.after {
			if err := r.apply(rec.seq, payload); err != nil {
				return fmt.Errorf("record %d of %s: %w", rec.seq, s.path, err)
			}
		}
	}
	if limit == math.MaxUint64 {
		return r.missed(s, p, end)
	}
	return nil // what is behind the limit is void
}

// follows reports whether a record is the next one. Where records are missing that
// nobody needs, as old segments are removed in no particular order, it may be a
// later one.
func (r *reading) follows(seq uint64) bool {
	return seq == r.last+1 || (seq > r.last && seq <= r.after+1)
}

// resume looks for the place where the records go on behind some that are not
// needed.
func (r *reading) resume(s *segment, p []byte, end int64) (at int64, found bool) {
	if r.last >= r.after {
		return 0, false
	}
	for at := end + recordAlign; at+recordHeader <= int64(len(p)); at += recordAlign {
		if rec, _, ok := decodeRecord(p[at:], s.number); ok && r.follows(rec.seq) {
			return at, true
		}
	}
	return 0, false
}

// missed looks for records behind those of the segment. If there are any the log
// has ended; without any the segment may just be full, and the log go on in the
// next.
func (r *reading) missed(s *segment, p []byte, end int64) error {
	for at := end; at+recordHeader <= int64(len(p)); at += recordAlign {
		rec, _, ok := decodeRecord(p[at:], s.number)
		if !ok {
			continue
		}
		if rec.seq <= r.after {
			continue // not needed
		}
		r.broken = true
		if rec.durable > max(r.last, r.after) {
			return r.damaged()
		}
	}
	return nil
}

func (r *reading) damaged() error {
	return fmt.Errorf("%w: record %d was on disk and is not whole any more", ErrDamaged, r.last+1)
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p := make([]byte, info.Size()) // once: there may be a single record of gigabytes
	_, err = io.ReadFull(f, p)
	return p, errors.Join(err, f.Close())
}
