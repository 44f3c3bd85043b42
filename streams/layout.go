package streams

import (
	"encoding/binary"
	"errors"
	"math"
)

// # What is on disk
//
// The records of a stream; all numbers in keys are big-endian, so that byte
// order is number order. A *group number* and a *consumer number* are given
// once per stream and group and never again.
//
//	e id(16)                    an entry
//	g group(4)                  a consumer group: name, how far it has read
//	c group(4) consumer(4)      a consumer: its name
//	t group(4) block(4)         when 64 consumers were last seen and active
//	p group(4) id(16)           a page of pending entries, from that ID on
//	u, i, q, x                  what producers have sent (idempotence.go)
//
// and in the key's metadata: length, last ID, first and last entry there is,
// what was deleted, how many were ever added, payload bytes, how many groups,
// and the macro node that is being filled (node.go).
//
//	  metadata ── first ──────────────────────────────┐
//	                                                  ▼
//	  entries      · · · trimmed · · ·   e5-0  e6-0  e6-1  …  e9-3  ◄── top, last
//	                                       ▲           ▲
//	  group 1     p5-0 [5-0 6-0 …] p… ─────┘           └── last delivered
//	              c1 "worker-a"  c2 "worker-b"  t0 [1: seen, active  2: …]
//
// An entry is written once and deleted once (DeleteOnce): consumed quickly it
// never reaches an sstable. No iterator starts below the first entry there is,
// so none walks over the tombstones of what was trimmed.
//
// A pending entry is not a record of its own. Pending entries are kept as the
// leaves of a B-tree would be, up to pageEntriesMax in a page, ordered by ID; a
// page that changes is written once per turn. XREADGROUP COUNT 100 costs one or
// two records instead of hundreds, and what is delivered and acknowledged
// within a turn costs none. In memory a group has a directory of its pages
// (where each begins, how many entries, the lowest delivery time, which
// consumers), and the few pages in use; so a million pending entries are on
// disk, and both orders are at hand without reading them: by ID the order of
// the pages, by time the directory (due.go).
//
// A pending entry that XNACK has given back belongs to nobody. Those come before
// all others when entries are delivered again, in the order in which they were
// given back. So in place of a delivery time such an entry has its place in that
// line, a number that the group counts up and that is below every time: order
// by time is order of redelivery. When it was given back stands beside it, for
// deliveries that back off (due.go).
//
// What consumers do changes their times with every call; the times stand
// apart from the names, 64 consumers in a record, so that a turn in which fifty
// consumers read writes one small record for all of them.
//
// Rejected: a record per pending entry and one per consumer (six records for
// each entry delivered and acknowledged); pending entries by delivery time as
// a second index on disk (rewritten by every claim); counts of pending entries
// in the consumer's record (they follow from the pages, which are read when a
// group is first used anyway).
//
// Every value starts with a byte that says how to read it (entries: what else
// is in there; others: a version), so that later features find room.

const (
	kindEntry    = 'e'
	kindGroup    = 'g'
	kindConsumer = 'c'
	kindTimes    = 't'
	kindPage     = 'p'
	kindProducer = 'u'
	kindProduced = 'i'
	kindWindow   = 'q'
	kindOverdue  = 'x'
)

const idBytes = 16

func appendID(dst []byte, id ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.Ms), id.Seq)
}

func decodeID(p []byte) ID {
	return ID{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])}
}

// subKey is long enough for every key.
type subKey [1 + 4 + idBytes]byte

func (k *subKey) entry(id ID) []byte { return appendID(append(k[:0], kindEntry), id) }

func (k *subKey) group(group uint32) []byte {
	return binary.BigEndian.AppendUint32(append(k[:0], kindGroup), group)
}

func (k *subKey) consumer(group, consumer uint32) []byte {
	return k.pair(kindConsumer, group, consumer)
}
func (k *subKey) times(group, block uint32) []byte { return k.pair(kindTimes, group, block) }

func (k *subKey) page(group uint32, id ID) []byte {
	return appendID(binary.BigEndian.AppendUint32(append(k[:0], kindPage), group), id)
}

func (k *subKey) pair(kind byte, group, number uint32) []byte {
	dst := binary.BigEndian.AppendUint32(append(k[:0], kind), group)
	return binary.BigEndian.AppendUint32(dst, number)
}

// keyNumber reads a group's or consumer's number out of a key.
func keyNumber(p []byte) uint32 { return binary.BigEndian.Uint32(p) }

// groupBounds returns the keys of one kind of a group's records.
func groupBounds(kind byte, group uint32) (from, to []byte) {
	from = binary.BigEndian.AppendUint32([]byte{kind}, group)
	if group == math.MaxUint32 {
		return from, []byte{kind + 1}
	}
	return from, binary.BigEndian.AppendUint32([]byte{kind}, group+1)
}

// entriesEnd is behind the keys of all entries.
var entriesEnd = []byte{kindEntry + 1}

// behind returns the key behind that of the entry id.
func behind(id ID) []byte {
	next, ok := id.Next()
	if !ok {
		return entriesEnd
	}
	return new(subKey).entry(next)
}

var (
	errShort   = errors.New("too short")
	errVersion = errors.New("written by a newer cairn")
	errDraft   = errors.New("written by a cairn from before the first release")
	errGarbage = errors.New("makes no sense")
	errMissing = errors.New("missing")
)

// reader takes a record apart. What does not fit sticks: read straight
// through, then ask err.
type reader struct {
	p   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.p = nil
}

func (r *reader) byte() byte {
	if len(r.p) == 0 {
		r.fail(errShort)
		return 0
	}
	b := r.p[0]
	r.p = r.p[1:]
	return b
}

func (r *reader) version(known byte) {
	switch v := r.byte(); {
	case v > known:
		r.fail(errVersion)
	case v < known:
		r.fail(errDraft)
	}
}

// knows reads the version, if it is this one.
func (r *reader) knows(version byte) bool {
	if len(r.p) == 0 || r.p[0] != version {
		return false
	}
	r.byte()
	return true
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.p)
	if size <= 0 {
		r.fail(errShort)
		return 0
	}
	r.p = r.p[size:]
	return n
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.p)
	if size <= 0 {
		r.fail(errShort)
		return 0
	}
	r.p = r.p[size:]
	return n
}

// number reads a uvarint that must fit 32 bits.
func (r *reader) number() uint32 {
	n := r.uvarint()
	if n > math.MaxUint32 {
		r.fail(errGarbage)
		return 0
	}
	return uint32(n)
}

func (r *reader) id() ID { return ID{r.uvarint(), r.uvarint()} }

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.p)) {
		r.fail(errShort)
		return nil
	}
	b := r.p[:n]
	r.p = r.p[n:]
	return b
}

// end expects that nothing is left.
func (r *reader) end() error {
	if r.err == nil && len(r.p) > 0 {
		r.fail(errGarbage)
	}
	return r.err
}

func appendUvarintID(dst []byte, id ID) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, id.Ms), id.Seq)
}

const metaVersion = 2

// appendMeta encodes the metadata of the stream.
func (m *meta) append(dst []byte) []byte {
	dst = append(dst, metaVersion)
	for _, n := range []uint64{m.length, m.added, m.bytes} {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, id := range []ID{m.last, m.first, m.top, m.maxDeleted, m.deletedTo, m.node.first} {
		dst = appendUvarintID(dst, id)
	}
	for _, n := range []uint32{m.groups, m.nextGroup, m.node.entries, m.node.live, m.node.size} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	dst = append(dst, m.node.mark)
	dst = binary.BigEndian.AppendUint64(dst, m.node.fields)
	dst = binary.AppendUvarint(dst, uint64(m.idem.Seconds))
	dst = binary.AppendUvarint(dst, uint64(m.idem.MaxSize))
	for _, n := range []uint64{m.idem.producers, m.idem.tracked, m.idem.added, m.idem.duplicates, m.idem.nextProducer} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

// decode is the reverse of append.
func (m *meta) decode(p []byte) error {
	r := reader{p: p}
	r.version(metaVersion)
	for _, n := range []*uint64{&m.length, &m.added, &m.bytes} {
		*n = r.uvarint()
	}
	for _, id := range []*ID{&m.last, &m.first, &m.top, &m.maxDeleted, &m.deletedTo, &m.node.first} {
		*id = r.id()
	}
	for _, n := range []*uint32{&m.groups, &m.nextGroup, &m.node.entries, &m.node.live, &m.node.size} {
		*n = r.number()
	}
	m.node.mark = r.byte()
	if hash := r.bytes(8); r.err == nil {
		m.node.fields = binary.BigEndian.Uint64(hash)
	}
	m.idem.Seconds, m.idem.MaxSize = r.number(), r.number()
	for _, n := range []*uint64{&m.idem.producers, &m.idem.tracked, &m.idem.added, &m.idem.duplicates, &m.idem.nextProducer} {
		*n = r.uvarint()
	}
	return r.end()
}

// A group's header.

const groupVersion = 2

func (g *Group) appendHeader(dst []byte) []byte {
	dst = append(dst, groupVersion)
	dst = appendUvarintID(dst, g.last)
	dst = binary.AppendVarint(dst, g.entriesRead)
	dst = binary.AppendUvarint(dst, uint64(g.nextConsumer))
	dst = binary.AppendUvarint(dst, uint64(g.nacks))
	return append(dst, g.name...)
}

func (g *Group) decodeHeader(p []byte) error {
	r := reader{p: p}
	r.version(groupVersion)
	g.last = r.id()
	g.entriesRead = r.varint()
	g.nextConsumer = r.number()
	if g.nacks = int64(r.uvarint()); g.nacks < 0 {
		r.fail(errGarbage)
	}
	g.name = string(r.p)
	return r.err
}

// A consumer.

const consumerVersion = 1

func (c *Consumer) appendRecord(dst []byte) []byte {
	return append(append(dst, consumerVersion), c.Name...)
}

func (c *Consumer) decodeRecord(p []byte) error {
	r := reader{p: p}
	r.version(consumerVersion)
	c.Name = string(r.p)
	return r.err
}

// The times of the consumers of one block: number within the block, seen,
// active + 1 (0: never).

const (
	timesVersion   = 1
	timesBlockSize = 64
)

func appendTimes(dst []byte, c *Consumer) []byte {
	dst = append(dst, byte(c.number%timesBlockSize))
	dst = binary.AppendVarint(dst, c.Seen)
	return binary.AppendVarint(dst, c.Active+1)
}

func decodeTimes(p []byte, set func(within uint32, seen, active int64)) error {
	r := reader{p: p}
	r.version(timesVersion)
	for r.err == nil && len(r.p) > 0 {
		within, seen, active := r.byte(), r.varint(), r.varint()-1
		if within >= timesBlockSize {
			return errGarbage
		}
		if r.err == nil {
			set(uint32(within), seen, active)
		}
	}
	return r.err
}

// A page: what the directory keeps of it (how many entries, the lowest delivery
// time, whose they are), so that the directory can be read without taking the
// entries apart; then for each entry the distance of its ID from the one before
// (the first: from the page's own ID), the consumer's number + 1 (0: nobody's),
// the distance of its delivery time from the one before (the first: from 0; of
// nobody's: of its place from the place before), how often it was delivered,
// and of nobody's when it was given back, as the distance from the one before.
// Version 2 did not know that.

const (
	pageVersion       = 3
	pageVersionBefore = 2
)

// nobody is the owner of an entry that was given back.
const nobody uint32 = math.MaxUint32

// placeFirst is the place of the first entry that a group gave back. All places
// are below 0, and all delivery times are not.
const placeFirst int64 = math.MinInt64 / 2

// clocks are the last delivery time, the last place, and when the last entry was
// given back, in a page.
type clocks struct{ time, place, nacked int64 }

func newClocks() clocks { return clocks{place: placeFirst} }

// of returns which of them counts for the consumer's entries.
func (c *clocks) of(consumer uint32) *int64 {
	if consumer == nobody {
		return &c.place
	}
	return &c.time
}

// share is how many entries of a page are one consumer's.
type share struct {
	consumer uint32
	count    uint32
}

// pageHeader is what a page says of itself.
type pageHeader struct {
	version byte
	count   int
	oldest  int64
	shares  []share
}

// summarise computes the header of a page; shares is used for its own.
func summarise(entries []Pending, shares []share) (h pageHeader) {
	h.count = len(entries)
	for i := range entries {
		e := &entries[i]
		if i == 0 || e.Time < h.oldest {
			h.oldest = e.Time
		}
		at := 0
		for at < len(shares) && shares[at].consumer != e.consumer {
			at++
		}
		if at == len(shares) {
			shares = append(shares, share{consumer: e.consumer})
		}
		shares[at].count++
	}
	h.shares = shares
	return h
}

func appendPage(dst []byte, key ID, h pageHeader, entries []Pending) []byte {
	dst = append(dst, pageVersion)
	dst = binary.AppendUvarint(dst, uint64(h.count))
	dst = binary.AppendVarint(dst, h.oldest)
	dst = binary.AppendUvarint(dst, uint64(len(h.shares)))
	for _, s := range h.shares {
		dst = binary.AppendUvarint(dst, uint64(s.consumer+1))
		dst = binary.AppendUvarint(dst, uint64(s.count))
	}
	prev, last := key, newClocks()
	for i := range entries {
		e := &entries[i]
		dst = binary.AppendUvarint(dst, e.ID.Ms-prev.Ms)
		if e.ID.Ms == prev.Ms {
			dst = binary.AppendUvarint(dst, e.ID.Seq-prev.Seq)
		} else {
			dst = binary.AppendUvarint(dst, e.ID.Seq)
		}
		dst = binary.AppendUvarint(dst, uint64(e.consumer+1))
		time := last.of(e.consumer)
		dst = binary.AppendVarint(dst, e.Time-*time)
		dst = binary.AppendUvarint(dst, e.Deliveries)
		if e.consumer == nobody {
			dst = binary.AppendVarint(dst, e.nacked-last.nacked)
			last.nacked = e.nacked
		}
		prev, *time = e.ID, e.Time
	}
	return dst
}

// pageEntriesLimit bounds what decodePage believes.
const pageEntriesLimit = 1 << 16

// pageHeader reads the header of a page; shares is used for its own.
func (r *reader) pageHeader(shares []share) (h pageHeader) {
	if r.knows(pageVersionBefore) {
		h.version = pageVersionBefore
	} else {
		h.version = pageVersion
		r.version(pageVersion)
	}
	count := r.uvarint()
	h.oldest = r.varint()
	owners := r.uvarint()
	if count == 0 || count > pageEntriesLimit || owners > count {
		r.fail(errGarbage)
	}
	left := count
	for i := uint64(0); i < owners && r.err == nil; i++ {
		s := share{r.number() - 1, r.number()}
		if uint64(s.count) > left {
			r.fail(errGarbage)
		}
		left -= uint64(s.count)
		shares = append(shares, s)
	}
	if left != 0 {
		r.fail(errGarbage)
	}
	h.count, h.shares = int(count), shares
	return h
}

func decodePage(key ID, p []byte, entries []Pending) ([]Pending, error) {
	r := reader{p: p}
	var few [8]share
	h := r.pageHeader(few[:0])
	prev, last := key, newClocks()
	for i := 0; i < h.count && r.err == nil; i++ {
		ms, seq := r.uvarint(), r.uvarint()
		id := ID{prev.Ms + ms, seq}
		if ms == 0 {
			id.Seq += prev.Seq
		}
		if id.Less(prev) || (i > 0 && id == prev) {
			r.fail(errGarbage)
		}
		e := Pending{ID: id, consumer: r.number() - 1}
		time := last.of(e.consumer)
		e.Time, e.Deliveries = *time+r.varint(), r.uvarint()
		if e.consumer == nobody && h.version > pageVersionBefore {
			last.nacked += r.varint()
			e.nacked = last.nacked
		}
		prev, *time = e.ID, e.Time
		entries = append(entries, e)
	}
	return entries, r.end()
}
