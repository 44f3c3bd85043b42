package storage

import (
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cairnmq/cairn/resp"
)

// Type is the data type of a key. The numbers are on disk.
type Type uint8

const (
	TypeNone   Type = 0
	TypeList   Type = 1
	TypeStream Type = 2
)

// String returns the name that TYPE answers.
func (t Type) String() string {
	switch t {
	case TypeList:
		return "list"
	case TypeStream:
		return "stream"
	}
	return "none"
}

// ErrWrongType is the reply for a key that holds another type.
const ErrWrongType resp.Error = "WRONGTYPE Operation against a key holding the wrong kind of value"

// State is what a data type keeps of an object in memory: its decoded metadata
// and whatever it caches of the records. All of it can be rebuilt from disk.
type State interface {
	// Flush writes records that the state still holds back; it is called once
	// before a commit for an object that has changed, and before the records
	// are read from outside the data type.
	Flush(tx *Tx, o *Object)
	// AppendMeta appends the metadata of the type to dst.
	AppendMeta(dst []byte) []byte
	// MemoryBytes is roughly how much memory the state holds.
	MemoryBytes() int
}

// Placed is a State that knows where its records are. Between them there may be
// the tombstones of a million that were deleted, which removing the object is not
// to walk over.
type Placed interface {
	// Places returns ranges of sub keys, from <= sub < to (a nil to: all from there
	// on), outside of which there are no records.
	Places() []Place
}

// Place is a range of sub keys.
type Place struct{ From, To []byte }

// Object is a key and what is known of it. Objects belong to the loop; one is
// valid until the end of the unit that opened it (a commit may evict it).
type Object struct {
	// Key is the name, without its database.
	Key string
	// State belongs to the data type; it is nil until the type has decoded
	// Meta.
	State State
	// Meta is the type's part of the metadata as last read from disk.
	Meta []byte

	// In and Out count the messages that come and go.
	In, Out Meter

	space    *space
	typ      Type
	id       uint64
	expireAt int64 // unix ms, 0: never
	lastUsed time.Time

	onDisk  bool // there are metadata in Pebble, or in the log
	dirty   bool // on the turn's list of objects to write
	written bool // records were written in this turn: reads need the batch
	// writtenIn is the last turn before in which records were written.
	writtenIn uint64
	soft      bool // changed in a way that may be lost (Tx.Soft)
	usedIn    uint64

	// held says that the log has newer metadata than Pebble, which are heldMeta: those
	// of the batch heldSeq, written when the log had heldAt bytes.
	held     *list.Element
	heldMeta []byte
	heldSeq  uint64
	heldAt   int64

	changes uint64 // how often it was changed since it came into memory
	guards  int    // who wants to know; it stays in memory for them

	size       int // what the cache has counted
	prev, next *Object
}

// Type returns the object's type, TypeNone once it has been dropped.
func (o *Object) Type() Type { return o.typ }

// ID returns the incarnation id.
func (o *Object) ID() uint64 { return o.id }

// ExpireAt returns when the object runs out in unix ms, 0 for never.
func (o *Object) ExpireAt() int64 { return o.expireAt }

// LastUsed returns when a command last used the object, as far as memory goes
// back: an object that has to be read from disk counts as used then.
func (o *Object) LastUsed() time.Time { return o.lastUsed }

// SetLastUsed makes the object look as if it had not been used since t.
func (o *Object) SetLastUsed(t time.Time) { o.lastUsed = t }

const metaHasExpiry = 1 << 0

var (
	errShortMeta = errors.New("metadata too short")
	errNoExpiry  = errors.New("metadata of a key that runs out never")
	errMetaKind  = errors.New("metadata of a kind that is not known")
)

// appendMeta encodes the metadata record: type, flags, id, expiry, and the
// type's own part.
func (o *Object) appendMeta(dst []byte) []byte {
	flags := byte(0)
	if o.expireAt != 0 {
		flags |= metaHasExpiry
	}
	dst = append(dst, byte(o.typ), flags)
	dst = binary.BigEndian.AppendUint64(dst, o.id)
	if o.expireAt != 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(o.expireAt))
	}
	if o.State == nil {
		return append(dst, o.Meta...) // never decoded: as it was
	}
	return o.State.AppendMeta(dst)
}

// decodeMeta is the reverse of appendMeta; it copies what it keeps.
func (o *Object) decodeMeta(p []byte) error {
	if len(p) < 10 {
		return errShortMeta
	}
	flags := p[1]
	if p[0] == byte(TypeNone) || p[0] > byte(TypeStream) || flags&^metaHasExpiry != 0 {
		return fmt.Errorf("%w: the type %d, flags %#x", errMetaKind, p[0], flags)
	}
	o.typ = Type(p[0])
	o.id = binary.BigEndian.Uint64(p[2:])
	p = p[10:]
	o.expireAt = 0
	if flags&metaHasExpiry != 0 {
		if len(p) < 8 {
			return errShortMeta
		}
		if o.expireAt = int64(binary.BigEndian.Uint64(p)); o.expireAt == 0 {
			return errNoExpiry
		}
		p = p[8:]
	}
	o.Meta = append([]byte(nil), p...)
	o.State = nil
	o.onDisk = true
	return nil
}
