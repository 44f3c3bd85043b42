package streams

import "encoding/binary"

// Entry is one entry of a stream. Its content is valid as long as whoever
// handed it out says.
type Entry struct {
	ID      ID
	Arrived int64 // when it was added here, in unix ms, whatever its ID says
	node    byte  // the low byte of its macro node's number

	count int    // fields and values
	sizes []byte // their lengths, as uvarints
	data  []byte // they themselves
}

// entryArrived says that the entry holds when it came, as it is not what the
// first part of its ID says: a client may choose any ID, and age is counted from
// the arrival.
const entryArrived = 1 << 0

// appendEntry encodes an entry: flags, macro node, perhaps the distance of the
// time of arrival from the ID's, number of fields and values, their lengths,
// their bytes.
func appendEntry(dst []byte, id ID, node byte, arrived int64, values [][]byte) []byte {
	if delta := arrived - int64(id.Ms); delta == 0 {
		dst = append(dst, 0, node)
	} else {
		dst = append(dst, entryArrived, node)
		dst = binary.AppendVarint(dst, delta)
	}
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	for _, v := range values {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
	}
	for _, v := range values {
		dst = append(dst, v...)
	}
	return dst
}

// decodeEntry is the reverse of appendEntry; the entry refers to p.
func decodeEntry(id ID, p []byte) (Entry, error) {
	r := reader{p: p}
	flags := r.byte()
	if flags&^entryArrived != 0 {
		r.fail(errVersion)
	}
	e := Entry{ID: id, Arrived: int64(id.Ms), node: r.byte()}
	if flags&entryArrived != 0 {
		e.Arrived += r.varint()
	}
	count := r.uvarint()
	if count > uint64(len(r.p)) {
		r.fail(errShort)
	}
	if r.err != nil {
		return Entry{}, r.err
	}
	sizes := r.p
	bytes := uint64(0)
	for range count {
		n := r.uvarint()
		if n > uint64(len(p)) {
			r.fail(errShort)
		}
		bytes += n
	}
	if r.err != nil {
		return Entry{}, r.err
	}
	if bytes != uint64(len(r.p)) {
		return Entry{}, errGarbage
	}
	e.count = int(count)
	e.sizes = sizes[:len(sizes)-len(r.p)]
	e.data = r.p
	return e, nil
}

// Len returns how many fields and values there are, together.
func (e *Entry) Len() int { return e.count }

// Bytes returns the size of the fields and values.
func (e *Entry) Bytes() int { return len(e.data) }

// Each calls yield for field, value, field, value …
func (e *Entry) Each(yield func(p []byte)) {
	sizes, data := e.sizes, e.data
	for range e.count {
		size, n := binary.Uvarint(sizes)
		yield(data[:size:size])
		sizes, data = sizes[n:], data[size:]
	}
}
