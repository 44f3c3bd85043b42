package streams

import (
	"fmt"

	"github.com/cairnmq/cairn/storage"
)

// Stream is a stream in memory: its metadata, and what it keeps of its records
// so that the common calls read no disk. It is its object's [storage.State];
// Open hands it out for one unit.
type Stream struct {
	meta

	tx *storage.Tx
	o  *storage.Object

	tail    run  // the last entries, once somebody has read there
	tailing bool // somebody has
	unread  int  // bytes added since
	ahead   run  // what XREAD is likely to ask for next
	head    run  // what a trim is likely to remove next

	// headLast is the last entry of the first macro node and headLive how many
	// it has; 0: not known.
	headLast ID
	headLive uint32

	arrivedOf ID // the entry that arrived then
	arrived   int64

	byName map[string]*Group // nil: not loaded
	dirty  []*Group          // those with something to write
	record []byte            // scratch

	producers producers
}

// meta is what the stream has in its key's metadata.
type meta struct {
	length uint64
	last   ID // the last ID given, whether or not the entry is still there
	first  ID // the first entry there is; 0-0 when empty
	top    ID // the last entry there is; 0-0 when empty
	added  uint64
	bytes  uint64 // of all fields and values there are

	// maxDeleted is the highest ID that XDEL removed, as clients see and set it.
	// deletedTo is a bound that nobody can set: behind it, and from first on,
	// every ID that was ever given is there.
	maxDeleted ID
	deletedTo  ID

	groups    uint32
	nextGroup uint32
	node      node
	idem      idemMeta
}

// Open returns the stream at key, nil if there is none.
func Open(tx *storage.Tx, key []byte) (*Stream, error) {
	o, err := tx.Open(key, storage.TypeStream)
	if o == nil || err != nil {
		return nil, err
	}
	return Of(tx, o)
}

// Of returns the stream that an object of TypeStream holds.
func Of(tx *storage.Tx, o *storage.Object) (*Stream, error) {
	s, _ := o.State.(*Stream)
	if s == nil {
		s = &Stream{}
		if err := s.decode(o.Meta); err != nil {
			return nil, fmt.Errorf("metadata of the stream %q: %w", o.Key, err)
		}
		s.tail.reset(s.last)
		o.State = s
	}
	s.tx, s.o = tx, o
	return s, nil
}

// Create makes an empty stream at a key that has nothing.
func Create(tx *storage.Tx, key []byte) *Stream {
	s := &Stream{tx: tx, o: tx.Create(key, storage.TypeStream), byName: make(map[string]*Group)}
	s.o.State = s
	s.tx.Changed(s.o, "") // a group may be all it gets, and that alone is no change to those who watch
	return s
}

// Len returns the number of entries.
func (s *Stream) Len() uint64 { return s.length }

// LastID returns the last ID given.
func (s *Stream) LastID() ID { return s.last }

// FirstID returns the ID of the first entry, 0-0 when there is none.
func (s *Stream) FirstID() ID { return s.first }

// TopID returns the ID of the last entry, 0-0 when there is none.
func (s *Stream) TopID() ID { return s.top }

// MaxDeletedID returns the highest ID that was deleted singly.
func (s *Stream) MaxDeletedID() ID { return s.maxDeleted }

// Added returns how many entries the stream ever got.
func (s *Stream) Added() uint64 { return s.added }

// Bytes returns the size of all fields and values.
func (s *Stream) Bytes() uint64 { return s.bytes }

// GroupCount returns the number of consumer groups.
func (s *Stream) GroupCount() int { return int(s.groups) }

// Append adds an entry; id must come from Wanted.Resolve. values are field,
// value, field, value …
func (s *Stream) Append(id ID, values [][]byte, limits NodeLimits) {
	s.add(id, values, limits)
	s.tx.Changed(s.o, "xadd")
	s.tx.MarkReady(s.o)
}

// add is Append without a word to anybody.
func (s *Stream) add(id ID, values [][]byte, limits NodeLimits) {
	if !s.deletedTo.Less(id) { // XSETID has gone back
		for _, g := range s.byName {
			g.reconsider()
		}
	}
	s.node.add(id, values, limits)
	s.record = appendEntry(s.record[:0], id, s.node.mark, s.tx.NowMillis(), values)
	s.tx.Put(s.o, new(subKey).entry(id), s.record)
	s.length++
	s.added++
	s.o.In.Add(1, s.tx.NowMillis())
	for _, v := range values {
		s.bytes += uint64(len(v))
	}
	s.last, s.top = id, id
	if s.length == 1 {
		s.first = id
	}
	s.extendTail(id)
	if cap(s.record) > recordKeepBytes {
		s.record = nil
	}
}

// recordKeepBytes bounds the scratch memory that a stream keeps.
const recordKeepBytes = 4 << 10

// extendTail keeps the entry that was just added, if somebody reads at the end
// of the stream.
func (s *Stream) extendTail(id ID) {
	if s.tailing {
		s.unread += len(s.record)
		s.tailing = s.unread <= 2*runBytesMax
	}
	if !s.tailing || len(s.record) > runBytesMax {
		s.tail.reset(id)
		return
	}
	s.tail.push(id, s.record)
	s.tail.shrink(runBytesMax)
}

// readsTail notes that somebody has read all there is.
func (s *Stream) readsTail() {
	s.unread = 0
	if !s.tailing && !s.tx.ReadOnly() {
		s.tailing = true
		s.tail.reset(s.last)
	}
}

// SetID sets the last ID and, if given, what is known of the past. The caller
// has checked it against the entries there are.
func (s *Stream) SetID(last ID, added *uint64, maxDeleted ID) {
	if last.Less(s.last) {
		// IDs up to the old one will be given again.
		s.deletedTo = later(s.deletedTo, s.last)
	}
	s.last = last
	if added != nil {
		s.added = *added
	}
	if !maxDeleted.IsZero() {
		s.maxDeleted = maxDeleted
	}
	s.forget()
	s.tx.ChangedQuietly(s.o, "xsetid")
}

// forget drops the entries in memory.
func (s *Stream) forget() {
	s.tailing = false
	s.tail.reset(s.last)
	s.ahead.reset(ID{})
	s.head.reset(ID{})
	for _, g := range s.byName {
		g.ahead.reset(ID{})
	}
	s.headLive = 0
	s.arrivedOf = ID{}
}

// ReadUnknown stands for a number of entries read that is not known.
const ReadUnknown = -1

// distance returns how many entries were ever added up to id, ReadUnknown if
// that does not follow from what the stream knows.
func (s *Stream) distance(id ID) int64 {
	switch {
	case s.added == 0:
		return 0
	case s.length == 0 && !s.last.Less(id):
		return int64(s.added)
	case id.Less(s.maxDeleted):
		return ReadUnknown
	case id == s.last:
		return int64(s.added)
	case s.first.Less(s.maxDeleted) || s.last.Less(id):
		return ReadUnknown
	case id.Less(s.first):
		return int64(s.added - s.length)
	case id == s.first:
		return int64(s.added - s.length + 1)
	}
	return ReadUnknown
}

// ---- storage.State ---------------------------------------------------------

// Flush writes what groups hold back.
func (s *Stream) Flush(tx *storage.Tx, o *storage.Object) {
	s.tx, s.o = tx, o
	for i, g := range s.dirty {
		g.flush()
		s.dirty[i] = nil
	}
	s.dirty = s.dirty[:0]
	s.flushProducers()
}

// AppendMeta appends the metadata.
func (s *Stream) AppendMeta(dst []byte) []byte { return s.meta.append(dst) }

// MemoryBytes tells what the stream holds in memory.
func (s *Stream) MemoryBytes() int {
	n := 1<<10 + len(s.producers.byName)*producerBytes + cap(s.record) + s.tail.bytes + s.ahead.bytes + s.head.bytes
	for _, g := range s.byName {
		n += g.memoryBytes()
	}
	return n
}

// Places implements storage.Placed: all but where there were entries.
func (s *Stream) Places() []storage.Place {
	entries := []byte{kindEntry}
	if s.length == 0 {
		return []storage.Place{{To: entries}, {From: entriesEnd}}
	}
	first := new(subKey).entry(s.first)
	return []storage.Place{{To: entries}, {From: first, To: behind(s.top)}, {From: entriesEnd}}
}

// corrupt stops the broker: a record that was read does not decode.
func (s *Stream) corrupt(what string, err error) {
	s.tx.Fail(fmt.Sprintf("%s of the stream %q", what, s.o.Key), err)
}
