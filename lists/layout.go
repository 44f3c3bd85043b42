// Package lists is the list type: messages in a row, taken from either end.
//
// It works on a storage.Tx and knows no replies, clients or clocks. Start at
// list.go; what is on disk is here, and when it gets there in save.go.
package lists

import (
	"encoding/binary"
	"errors"
)

// # What is on disk
//
// Elements have consecutive *positions*, from head to head+n-1; index i is at
// position head+i. LPUSH takes the position before the head, RPUSH the one
// behind the tail, so both ends grow without moving anything. The first element
// gets the position in the middle of the range, 1<<63.
//
// Elements are not records of their own. What a turn has pushed at an end is
// written as a *run*: one record with consecutive elements, up to runElementsMax
// of them and runBytesMax bytes, or a single one of any size. Fifty clients who
// push in the same turn make one record instead of fifty.
//
//	metadata:           version(1) head(8) count(8) bytes(8) before(2) behind(2)
//	                    dead before(uvarint) dead behind(uvarint)
//	e position(8)       version(1) time(8) count(uvarint), then for each element
//	                    its length(uvarint) and itself
//
// The key says where the first element of the run is, big-endian, so that byte
// order is the order of the list. The time is that of the turn which wrote the
// run, in ms. Runs follow each other without a gap:
//
//	            before                                     behind
//	           ┌──────┐                                    ┌────┐
//	records    100 · · · 103 104 105 | 106 107 | 108 109 110 · ·
//	                     ▲                               ▲
//	metadata             head 103                        103 + count 8
//
// A pop moves the head or the tail, and nothing else, until a run has been taken
// whole: then its record is deleted, by a key that is known, together with some
// others (dead.go). It never has to seek for "the first", which on an LSM tree means
// walking over the tombstones of all that were popped before, and it never writes a
// run again. How many elements of the outermost runs were popped is what before and
// behind say, and in how many positions beyond these runs there may be records that
// are yet to be deleted, dead before and dead behind. Who pushes at an end at which
// the run is no longer whole has it written again without them, so that runs never
// overlap.
//
// Every key is put and deleted in turn, never put twice: what changes a run
// deletes its record and puts another one. So all deletions are
// storage.DeleteOnce.
//
// LSET, LINSERT and LREM write the runs again that they change, and, for the
// latter two, all of the shorter side, whose positions shift by one.
//
// Rejected: docs/adr/0008-lists-are-runs.md.
const (
	firstPosition = 1 << 63

	kindRun     = 'e'
	subKeyBytes = 1 + 8

	metaVersion  = 3
	metaBytesMin = 1 + 8 + 8 + 8 + 2 + 2 + 1 + 1

	runVersion     = 1
	runHeaderBytes = 1 + 8 // and the count

	// recordKeyBytes is the size of a record's key, what all records have
	// included.
	recordKeyBytes = 9 + subKeyBytes
)

// Variables for the tests only, which shrink them.
var (
	runBytesMax = 16 << 10
	// runElementsMax fits into what before and behind have in the metadata.
	runElementsMax uint64 = 256
)

var (
	errMeta        = errors.New("metadata of a list: wrong length")
	errMetaVersion = errors.New("metadata of a list: of a version that is not known")
	errMetaNumbers = errors.New("metadata of a list: numbers that make no sense")
	errRun         = errors.New("a run of elements: cut short, or too long")
	errRunVersion  = errors.New("a run of elements: of a version that is not known")
)

// AppendMeta implements storage.State.
func (l *list) AppendMeta(dst []byte) []byte {
	if l.fresh > 0 || len(l.gone) > 0 {
		panic("lists: metadata of what is not written")
	}
	dst = append(dst, metaVersion)
	dst = binary.BigEndian.AppendUint64(dst, l.head)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.count))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.bytes))
	dst = binary.BigEndian.AppendUint16(dst, uint16(l.head-l.first))
	dst = binary.BigEndian.AppendUint16(dst, uint16(l.end-l.tail()))
	before, behind := l.deadReach()
	return binary.AppendUvarint(binary.AppendUvarint(dst, before), behind)
}

func (l *list) decodeMeta(p []byte) error {
	if len(p) < metaBytesMin {
		return errMeta
	}
	if p[0] != metaVersion {
		return errMetaVersion
	}
	l.head = binary.BigEndian.Uint64(p[1:])
	l.count = int64(binary.BigEndian.Uint64(p[9:]))
	l.bytes = int64(binary.BigEndian.Uint64(p[17:]))
	if l.count < 0 || l.bytes < 0 {
		return errMetaNumbers
	}
	l.first = l.head - uint64(binary.BigEndian.Uint16(p[25:]))
	l.end = l.tail() + uint64(binary.BigEndian.Uint16(p[27:]))
	p = p[29:]
	var reach [2]uint64
	for i := range reach {
		n, size := binary.Uvarint(p)
		if size <= 0 {
			return errMeta
		}
		reach[i], p = n, p[size:]
	}
	if len(p) > 0 {
		return errMeta
	}
	l.foundDead(reach[0], reach[1])
	return nil
}

// subKey returns the sub key of a run, valid until the next call.
func (l *list) subKey(position uint64) []byte {
	l.sub[0] = kindRun
	binary.BigEndian.PutUint64(l.sub[1:], position)
	return l.sub[:]
}

// subKeyOf is subKey in memory of its own.
func subKeyOf(position uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kindRun}, position)
}

// decodeSubKey returns the position of a run.
func decodeSubKey(sub []byte) (position uint64, ok bool) {
	if len(sub) != subKeyBytes || sub[0] != kindRun {
		return 0, false
	}
	return binary.BigEndian.Uint64(sub[1:]), true
}

// uvarintBytes is the length of a number in a record.
func uvarintBytes(n uint64) (size int) {
	for size = 1; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// encodedBytes is what an element takes in a record.
func encodedBytes(e []byte) int { return uvarintBytes(uint64(len(e))) + len(e) }

// runBytes is the size of the record of count elements that take size bytes.
func runBytes(count, size int) int { return runHeaderBytes + uvarintBytes(uint64(count)) + size }

func appendRunHeader(dst []byte, ms int64, count int) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, runVersion), uint64(ms))
	return binary.AppendUvarint(dst, uint64(count))
}

func appendElement(dst, e []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(e))), e...)
}

// decodeRun takes a record apart, and appends its elements, which are parts of
// it, to items.
func decodeRun(p []byte, items [][]byte) (all [][]byte, ms int64, err error) {
	if len(p) < runHeaderBytes {
		return items, 0, errRun
	}
	if p[0] != runVersion {
		return items, 0, errRunVersion
	}
	ms = int64(binary.BigEndian.Uint64(p[1:]))
	p = p[runHeaderBytes:]
	count, size := binary.Uvarint(p)
	if size <= 0 || count == 0 || count > uint64(len(p)-size) {
		return items, 0, errRun
	}
	p = p[size:]
	for range count {
		n, size := binary.Uvarint(p)
		if size <= 0 || n > uint64(len(p)-size) {
			return items, 0, errRun
		}
		stop := size + int(n)
		items = append(items, p[size:stop:stop])
		p = p[stop:]
	}
	if len(p) > 0 {
		return items, 0, errRun
	}
	return items, ms, nil
}
