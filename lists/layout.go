// Package lists is the list type: messages in a row, taken from either end.
//
// It works on a storage.Tx and knows no replies, clients or clocks. Start at
// list.go; what is on disk is here.
package lists

import (
	"encoding/binary"
	"errors"
)

// # What is on disk
//
// A list of n elements has n records. Their sub keys are consecutive
// *positions*, 8 bytes big-endian, from head to head+n-1; index i is at
// position head+i. LPUSH takes the position before the head, RPUSH the one
// behind the tail, so both ends grow without moving anything, and a pop deletes
// a record whose key is known: it never has to seek for "the first", which on
// an LSM tree means walking over the tombstones of all that were popped before.
//
//	metadata:  head(8)  count(8)  bytes(8)  flags(1)
//	record:    position(8) -> element
//
// The first element gets the position in the middle of the range, 1<<63.
//
// Elements in the middle move only for LINSERT and LREM, which shift the
// shorter side by one. From then on the list has the flag rewritten: a position
// may have been put twice without a deletion in between, so deletions are no
// longer storage.DeleteOnce.
const (
	firstPosition = 1 << 63
	metaBytes     = 8 + 8 + 8 + 1

	// recordKeyBytes is the size of an element's key, what all records have
	// included.
	recordKeyBytes = 9 + 8

	flagRewritten = 1 << 0
)

var (
	errMeta      = errors.New("metadata of a list: wrong length")
	errMetaFlags = errors.New("metadata of a list: flags that are not known")
)

func (l *list) AppendMeta(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, l.head)
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.count))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.bytes))
	flags := byte(0)
	if l.rewritten {
		flags |= flagRewritten
	}
	return append(dst, flags)
}

func (l *list) decodeMeta(p []byte) error {
	if len(p) != metaBytes {
		return errMeta
	}
	if p[24]&^flagRewritten != 0 {
		return errMetaFlags
	}
	l.head = binary.BigEndian.Uint64(p)
	l.count = int64(binary.BigEndian.Uint64(p[8:]))
	l.bytes = int64(binary.BigEndian.Uint64(p[16:]))
	l.rewritten = p[24]&flagRewritten != 0
	return nil
}

// subKey returns the sub key of a position, valid until the next call.
func (l *list) subKey(position uint64) []byte {
	binary.BigEndian.PutUint64(l.sub[:], position)
	return l.sub[:]
}
