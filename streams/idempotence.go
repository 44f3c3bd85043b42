package streams

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// # Adding a message once
//
// A producer that got no reply sends its message again, with the same ID of its
// own (XADD IDMP), and must find out that it is there already. So a stream
// remembers, for each producer, the last so many messages for so many seconds:
//
//	u name                    a producer: number, how far its window reaches
//	i producer(8) name        a message: its place in the window, arrival, entry ID
//	q producer(8) place(8)    the window in order of arrival: arrival, name
//	x due(8) producer(8)      when to look whether the producer's oldest are over
//
//	producer 3   q7 ─► "m-7"    q8 ─► "m-8"   …   q106 ─► "m-106"
//	             head: the next to go                    next place: 107
//
// Adding a message reads one record and writes two, whatever the window. What is
// over goes by arrival, not by entry ID: IDs may be far in the future, and would
// keep a message for ever. It is removed a few at a time by later messages; until
// then it counts as gone. A producer that has fallen silent is found by its
// record x, which is moved only when it is due: it says when the oldest message
// is over at the earliest.
//
// Rejected: all of it in memory (producers are many and come and go); a window as
// one record (rewritten by each message); an index by time of all messages (a
// third record for each).

// Idempotence says what a stream remembers of each producer.
type Idempotence struct {
	Seconds uint32 // for how long
	MaxSize uint32 // how many messages
}

// Produced names a message of a producer.
type Produced struct{ producer, message string }

// Names are on disk as they are if they are short, and as a hash if not.
const (
	nameMax    = 32
	nameShort  = 0
	nameHashed = 1
	nameAuto   = 2 // the hash of the message's fields and values
)

func producedName(p []byte) string {
	if len(p) <= nameMax {
		return string(append([]byte{nameShort}, p...))
	}
	hash := sha256.Sum256(p)
	return string(append([]byte{nameHashed}, hash[:]...))
}

// ProducedAs names a message as its producer does.
func ProducedAs(producer, message []byte) Produced {
	return Produced{producedName(producer), producedName(message)}
}

// ProducedWith names a message by its fields and values, whatever the order of
// the pairs.
func ProducedWith(producer []byte, values [][]byte) Produced {
	var sum [sha256.Size / 8]uint64
	var pair []byte
	for i := 0; i+1 < len(values); i += 2 {
		pair = binary.AppendUvarint(pair[:0], uint64(len(values[i])))
		pair = append(append(pair, values[i]...), values[i+1]...)
		hash := sha256.Sum256(pair)
		for j := range sum {
			sum[j] += binary.BigEndian.Uint64(hash[8*j:])
		}
	}
	name := []byte{nameAuto}
	for _, n := range sum {
		name = binary.BigEndian.AppendUint64(name, n)
	}
	return Produced{producedName(producer), string(name)}
}

// idemMeta is what a stream has of this in its metadata.
type idemMeta struct {
	Idempotence // 0: not settled yet

	producers    uint64 // that have messages, perhaps some that are over
	tracked      uint64 // messages, perhaps some that are over
	added        uint64 // ever
	duplicates   uint64 // ever
	nextProducer uint64
}

// producer is one that has messages.
type producer struct {
	name       string
	number     uint64
	head, next uint64 // places of the oldest message, or before it, and of the next
	count      uint64 // messages
	newest     int64  // arrival of the last one
	due        int64  // of its record x

	dirty bool
}

// producers are those in memory.
type producers struct {
	byName map[string]*producer
	dirty  []*producer
	// first is where the records x begin: those before it, of which there may be
	// many, were deleted of late, and are not to be walked over each time.
	first overdueAt
}

// overdueAt is the key of a record x.
type overdueAt struct {
	due      int64
	producer uint64
}

func (a overdueAt) less(b overdueAt) bool {
	return a.due < b.due || (a.due == b.due && a.producer < b.producer)
}

const (
	// producersMax is how many a stream keeps in memory.
	producersMax  = 256
	producerBytes = 200

	// What one message removes of others that are over.
	overdueProducersMax = 2
	overdueMessagesMax  = 16
)

// Idempotence returns what the stream remembers; zero if that was never settled.
func (s *Stream) Idempotence() Idempotence { return s.idem.Idempotence }

// SetIdempotence settles it. A change makes the stream forget all messages.
func (s *Stream) SetIdempotence(i Idempotence) {
	if i == s.idem.Idempotence {
		return
	}
	s.idem.Idempotence = i
	if s.idem.producers > 0 {
		for _, kind := range []byte{kindProducer, kindProduced, kindWindow, kindOverdue} {
			s.tx.Clear(s.o, []byte{kind}, []byte{kind + 1})
		}
	}
	s.idem.producers, s.idem.tracked = 0, 0
	s.producers = producers{}
	s.tx.ChangedQuietly(s.o, "")
}

// ProducedCounts returns how many messages were ever remembered, and how many
// were found to be there already.
func (s *Stream) ProducedCounts() (added, duplicates uint64) {
	return s.idem.added, s.idem.duplicates
}

// Recall returns the ID of the entry that the message became, if that is
// remembered; the entry itself may be gone.
func (s *Stream) Recall(m Produced) (ID, bool) {
	r, ok := s.recall(m)
	if !ok || s.over(r.arrived) {
		return ID{}, false
	}
	return r.id, true
}

// Repeated counts a message that was there already.
func (s *Stream) Repeated() {
	s.idem.duplicates++
	s.tx.ChangedQuietly(s.o, "")
}

// Remember notes that the message, which Recall did not know, became the entry
// id. Unless the stream has settled what it remembers, that is i.
func (s *Stream) Remember(m Produced, id ID, i Idempotence) {
	if s.idem.Seconds == 0 {
		s.idem.Idempotence = i
	}
	now := s.tx.NowMillis()
	p := s.producer(m.producer)
	if p == nil {
		p = s.addProducer(m.producer, now)
	} else if old, ok := s.recall(m); ok { // it is over
		s.tx.DeleteOnce(s.o, windowKey(p.number, old.place))
		s.forgetOne(p, m.message)
	}
	p.newest = max(p.newest, now)
	r := produced{p.next, p.newest, id}
	s.record = r.append(s.record[:0])
	s.tx.Put(s.o, producedKey(p.number, m.message), s.record)
	s.record = window{p.newest, m.message}.append(s.record[:0])
	s.tx.Put(s.o, windowKey(p.number, p.next), s.record)
	p.next++
	p.count++
	s.idem.tracked++
	s.idem.added++
	s.movedProducer(p)
	for p.count > uint64(s.idem.MaxSize) && s.tx.Err() == nil {
		w, ok := s.oldest(p)
		if !ok {
			break
		}
		s.forgetOldest(p, w)
	}
	s.forgetOverdue(now)
	s.tx.ChangedQuietly(s.o, "")
}

// over reports whether what arrived then is no longer remembered.
func (s *Stream) over(arrived int64) bool { return s.overAt(arrived) <= s.tx.NowMillis() }

func (s *Stream) overAt(arrived int64) int64 { return arrived + int64(s.idem.Seconds)*1000 }

func (s *Stream) recall(m Produced) (r produced, ok bool) {
	p := s.producer(m.producer)
	if p == nil {
		return r, false
	}
	record, ok := s.tx.Get(s.o, producedKey(p.number, m.message))
	if !ok {
		return r, false
	}
	if err := r.decode(record); err != nil {
		s.corrupt("a producer's message", err)
		return r, false
	}
	return r, true
}

// producer returns a producer that has messages, nil if there is none of that
// name.
func (s *Stream) producer(name string) *producer {
	if s.idem.producers == 0 {
		return nil
	}
	if p := s.producers.byName[name]; p != nil {
		return p
	}
	record, ok := s.tx.Get(s.o, producerKey(name))
	if !ok {
		return nil
	}
	p := &producer{name: name}
	if err := p.decode(record); err != nil {
		s.corrupt("a producer", err)
		return nil
	}
	s.keepProducer(p)
	return p
}

func (s *Stream) keepProducer(p *producer) {
	if s.producers.byName == nil {
		s.producers.byName = make(map[string]*producer)
	}
	s.producers.byName[p.name] = p
}

func (s *Stream) addProducer(name string, now int64) *producer {
	p := &producer{name: name, number: s.idem.nextProducer, newest: now}
	s.idem.nextProducer++
	s.idem.producers++
	s.keepProducer(p)
	s.lookAt(p, s.overAt(now))
	return p
}

// lookAt says when to look at the producer.
func (s *Stream) lookAt(p *producer, due int64) {
	p.due = due
	s.record = overdue{p.name}.append(s.record[:0])
	at := overdueAt{due, p.number}
	s.tx.Put(s.o, at.key(), s.record)
	if at.less(s.producers.first) {
		s.producers.first = at
	}
	s.movedProducer(p)
}

// movedProducer notes that a producer has to be written.
func (s *Stream) movedProducer(p *producer) {
	if !p.dirty {
		p.dirty = true
		s.producers.dirty = append(s.producers.dirty, p)
	}
}

// oldest returns the oldest message of a producer.
func (s *Stream) oldest(p *producer) (w window, ok bool) {
	for ; p.head < p.next; p.head++ { // there are gaps
		record, there := s.tx.Get(s.o, windowKey(p.number, p.head))
		if !there {
			if s.tx.Err() != nil {
				return w, false
			}
			continue
		}
		if err := w.decode(record); err != nil {
			s.corrupt("a producer's window", err)
			return w, false
		}
		return w, true
	}
	return w, false
}

// forgetOldest forgets the message at the head of the window.
func (s *Stream) forgetOldest(p *producer, w window) {
	s.tx.DeleteOnce(s.o, windowKey(p.number, p.head))
	p.head++
	s.forgetOne(p, w.message)
}

func (s *Stream) forgetOne(p *producer, message string) {
	s.tx.DeleteOnce(s.o, producedKey(p.number, message))
	p.count--
	s.idem.tracked--
	s.movedProducer(p)
}

// forgetOverdue forgets some messages that are over, of producers that are due.
func (s *Stream) forgetOverdue(now int64) {
	if now < s.producers.first.due {
		return
	}
	var due []string
	first := overdueAt{due: math.MaxInt64}
	for sub, record := range s.tx.Scan(s.o, s.producers.first.key(), []byte{kindOverdue + 1}, false) {
		if at := decodeOverdueAt(sub); at.due > now || len(due) == overdueProducersMax {
			first = at
			break
		}
		var o overdue
		if err := o.decode(record); err != nil {
			s.corrupt("what is due of producers", err)
			return
		}
		due = append(due, o.name)
	}
	s.producers.first = first
	for _, name := range due {
		p := s.producer(name)
		if p == nil {
			s.corrupt("a producer", errMissing)
			return
		}
		s.forgetOver(p)
	}
}

// forgetOver forgets some of a due producer's messages, if they are over.
func (s *Stream) forgetOver(p *producer) {
	due := p.due
	for n := 0; ; n++ {
		w, ok := s.oldest(p)
		if !ok {
			break
		}
		if due = s.overAt(w.arrived); n == overdueMessagesMax || !s.over(w.arrived) {
			break
		}
		s.forgetOldest(p, w)
	}
	if s.tx.Err() != nil {
		return
	}
	s.tx.DeleteOnce(s.o, overdueAt{p.due, p.number}.key())
	if p.count > 0 {
		s.lookAt(p, due)
		return
	}
	s.tx.Delete(s.o, producerKey(p.name))
	s.idem.producers--
	delete(s.producers.byName, p.name)
}

// TrackedItems is how many records Tracked may have to read.
func (s *Stream) TrackedItems() int64 {
	if s.tx.NowMillis() < s.producers.first.due {
		return 0
	}
	return int64(min(s.idem.tracked, math.MaxInt64))
}

// Tracked returns how many producers and messages are remembered.
func (s *Stream) Tracked() (producers, messages uint64) {
	producers, messages = s.idem.producers, s.idem.tracked
	if messages == 0 || s.tx.NowMillis() < s.producers.first.due {
		return producers, messages
	}
	for sub, record := range s.tx.Scan(s.o, s.producers.first.key(), []byte{kindOverdue + 1}, false) {
		if decodeOverdueAt(sub).due > s.tx.NowMillis() {
			break
		}
		var o overdue
		if err := o.decode(record); err != nil {
			s.corrupt("what is due of producers", err)
			break
		}
		p := s.producer(o.name)
		if p == nil {
			continue
		}
		n := s.countOver(p)
		messages -= n
		if n == p.count {
			producers--
		}
	}
	s.coolProducers()
	return producers, messages
}

// countOver counts the messages of a producer that are over, and still there.
func (s *Stream) countOver(p *producer) (n uint64) {
	for _, record := range s.tx.Scan(s.o, windowKey(p.number, p.head), windowKey(p.number, p.next), false) {
		var w window
		if err := w.decode(record); err != nil {
			s.corrupt("a producer's window", err)
			break
		}
		if !s.over(w.arrived) {
			break
		}
		n++
	}
	return n
}

// flushProducers writes those that have changed, and bounds those in memory.
func (s *Stream) flushProducers() {
	for i, p := range s.producers.dirty {
		s.producers.dirty[i] = nil
		p.dirty = false
		if p.count > 0 {
			s.record = p.append(s.record[:0])
			s.tx.Put(s.o, producerKey(p.name), s.record)
		}
	}
	s.producers.dirty = s.producers.dirty[:0]
	s.coolProducers()
}

func (s *Stream) coolProducers() {
	if len(s.producers.byName) <= producersMax {
		return
	}
	for name, p := range s.producers.byName {
		if !p.dirty {
			delete(s.producers.byName, name)
		}
	}
}

// ---- records ---------------------------------------------------------------

func producerKey(name string) []byte { return append([]byte{kindProducer}, name...) }

func producedKey(producer uint64, message string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{kindProduced}, producer), message...)
}

func windowKey(producer, place uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{kindWindow}, producer), place)
}

// key orders by time, also by one below 0.
func (a overdueAt) key() []byte {
	k := binary.BigEndian.AppendUint64([]byte{kindOverdue}, uint64(a.due)^1<<63)
	return binary.BigEndian.AppendUint64(k, a.producer)
}

func decodeOverdueAt(sub []byte) overdueAt {
	return overdueAt{int64(binary.BigEndian.Uint64(sub[1:]) ^ 1<<63), binary.BigEndian.Uint64(sub[9:])}
}

const (
	producerVersion = 1
	producedVersion = 1
	windowVersion   = 1
	overdueVersion  = 1
)

func (p *producer) append(dst []byte) []byte {
	dst = append(dst, producerVersion)
	for _, n := range []uint64{p.number, p.head, p.next, p.count} {
		dst = binary.AppendUvarint(dst, n)
	}
	return binary.AppendVarint(binary.AppendVarint(dst, p.newest), p.due)
}

func (p *producer) decode(record []byte) error {
	r := reader{p: record}
	r.version(producerVersion)
	for _, n := range []*uint64{&p.number, &p.head, &p.next, &p.count} {
		*n = r.uvarint()
	}
	p.newest, p.due = r.varint(), r.varint()
	if p.head > p.next || p.count > p.next-p.head {
		r.fail(errGarbage)
	}
	return r.end()
}

// produced is the record of a message.
type produced struct {
	place   uint64
	arrived int64
	id      ID
}

func (m *produced) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, producedVersion), m.place)
	return appendUvarintID(binary.AppendVarint(dst, m.arrived), m.id)
}

func (m *produced) decode(p []byte) error {
	r := reader{p: p}
	r.version(producedVersion)
	m.place, m.arrived, m.id = r.uvarint(), r.varint(), r.id()
	return r.end()
}

// window is the record of a place in a producer's window.
type window struct {
	arrived int64
	message string
}

func (w window) append(dst []byte) []byte {
	return append(binary.AppendVarint(append(dst, windowVersion), w.arrived), w.message...)
}

func (w *window) decode(p []byte) error {
	r := reader{p: p}
	r.version(windowVersion)
	w.arrived = r.varint()
	w.message = string(r.p)
	return r.err
}

// overdue is the record of when to look at a producer.
type overdue struct{ name string }

func (o overdue) append(dst []byte) []byte {
	return append(append(dst, overdueVersion), o.name...)
}

func (o *overdue) decode(p []byte) error {
	r := reader{p: p}
	r.version(overdueVersion)
	o.name = string(r.p)
	return r.err
}

// ---- checking --------------------------------------------------------------

// checkProducers compares the records with each other.
func (s *Stream) checkProducers(wrong func(format string, args ...any)) {
	s.flushProducers()
	byNumber := make(map[uint64]*producer)
	for sub, record := range s.tx.Scan(s.o, []byte{kindProducer}, []byte{kindProducer + 1}, false) {
		p := &producer{name: string(sub[1:])}
		if err := p.decode(record); err != nil || p.number >= s.idem.nextProducer {
			wrong("producer %q: %+v, %w", p.name, p, err)
		}
		if known := s.producers.byName[p.name]; known != nil && *known != *p {
			wrong("producer %q is %+v in memory, %+v on disk", p.name, known, p)
		}
		byNumber[p.number] = p
	}
	names := make(map[string]uint64)
	places := make(map[uint64]uint64)
	for sub, record := range s.tx.Scan(s.o, []byte{kindWindow}, []byte{kindWindow + 1}, false) {
		number, place := binary.BigEndian.Uint64(sub[1:]), binary.BigEndian.Uint64(sub[9:])
		var w window
		p := byNumber[number]
		if err := w.decode(record); err != nil || p == nil || place < p.head || place >= p.next || s.overAt(w.arrived) < p.due {
			wrong("place %d of producer %d: %+v, %+v, %w", place, number, w, p, err)
		}
		names[string(producedKey(number, w.message))] = place
		places[number]++
	}
	messages := 0
	for sub, record := range s.tx.Scan(s.o, []byte{kindProduced}, []byte{kindProduced + 1}, false) {
		var m produced
		if err := m.decode(record); err != nil || names[string(sub)] != m.place {
			wrong("message %x is at place %d, not %+v, %w", sub, names[string(sub)], m, err)
		}
		messages++
	}
	due := make(map[uint64]bool)
	for sub := range s.tx.Scan(s.o, []byte{kindOverdue}, []byte{kindOverdue + 1}, false) {
		at := decodeOverdueAt(sub)
		if p := byNumber[at.producer]; p == nil || p.due != at.due || due[at.producer] {
			wrong("producer %d is due at %d", at.producer, at.due)
		}
		due[at.producer] = true
		if at.less(s.producers.first) {
			wrong("producer %d is due at %d, the first was %+v", at.producer, at.due, s.producers.first)
		}
	}
	if len(due) != len(byNumber) || uint64(len(byNumber)) != s.idem.producers {
		wrong("%d producers, %d of them due, the metadata say %d", len(byNumber), len(due), s.idem.producers)
	}
	if len(names) != messages || uint64(messages) != s.idem.tracked {
		wrong("%d messages in %d places, the metadata say %d", messages, len(names), s.idem.tracked)
	}
	for number, p := range byNumber {
		if places[number] != p.count {
			wrong("producer %q has %d messages in its window, not %d", p.name, places[number], p.count)
		}
	}
}
