package rdb

import "encoding/binary"

// Dump is a value on its way out. Its size is known before it is written, as
// in a reply the size comes first, and it is written piece by piece: it is
// never in memory as a whole.
type Dump struct {
	typ  byte
	size int64
	body func(*writer)
}

func newDump(typ byte, bodySize int64, body func(*writer)) *Dump {
	return &Dump{typ, 1 + bodySize + footerBytes, body}
}

// Size returns the number of bytes that Write writes.
func (d *Dump) Size() int64 { return d.size }

// Write hands the dump to emit, in pieces that are valid during the call only.
func (d *Dump) Write(emit func([]byte)) {
	w := &writer{emit: emit}
	w.raw([]byte{d.typ})
	d.body(w)
	w.raw([]byte{version, 0})
	w.flush()
	emit(binary.LittleEndian.AppendUint64(nil, w.crc))
}

// writerBytes is the size of the pieces.
const writerBytes = 16 << 10

// writer writes a payload, or, without emit, just finds out its size.
type writer struct {
	emit func([]byte)
	size int64
	crc  uint64
	buf  []byte
}

func (w *writer) raw(p []byte) {
	w.size += int64(len(p))
	if w.emit == nil {
		return
	}
	if len(w.buf)+len(p) > writerBytes {
		w.flush()
	}
	if len(p) > writerBytes {
		w.out(p)
		return
	}
	w.buf = append(w.buf, p...)
}

func (w *writer) flush() {
	if len(w.buf) > 0 {
		w.out(w.buf)
		w.buf = w.buf[:0]
	}
}

func (w *writer) out(p []byte) {
	w.crc = checksum(w.crc, p)
	w.emit(p)
}

func (w *writer) length(n uint64) {
	var b [9]byte
	switch {
	case n < 1<<6:
		w.raw(append(b[:0], byte(n)))
	case n < 1<<14:
		w.raw(append(b[:0], length14<<6|byte(n>>8), byte(n)))
	case n < 1<<32:
		w.raw(binary.BigEndian.AppendUint32(append(b[:0], length32), uint32(n)))
	default:
		w.raw(binary.BigEndian.AppendUint64(append(b[:0], length64), n))
	}
}

// integerBytesMax is the length of strings up to which Redis tries to write a
// number.
const integerBytesMax = 11

// string writes a string, not compressed: compression would have to be done
// twice, the first time for the size.
func (w *writer) string(p []byte) {
	const special = lengthSpecial << 6
	var b [5]byte
	if n, ok := plainInt(p); ok && len(p) <= integerBytesMax {
		switch {
		case n == int64(int8(n)):
			w.raw(append(b[:0], special+specialInt8, byte(n)))
			return
		case n == int64(int16(n)):
			w.raw(binary.LittleEndian.AppendUint16(append(b[:0], special+specialInt16), uint16(n)))
			return
		case n == int64(int32(n)):
			w.raw(binary.LittleEndian.AppendUint32(append(b[:0], special+specialInt32), uint32(n)))
			return
		}
	}
	w.length(uint64(len(p)))
	w.raw(p)
}

// pack writes a string that is a listpack of the items of head and then of
// tail.
func (w *writer) pack(head, tail *pack) {
	w.length(uint64(tail.bytes() + len(head.body)))
	w.raw(tail.header(head))
	w.raw(head.body)
	w.raw(tail.body)
	w.raw([]byte{packEnd})
}

// id writes an ID as two lengths.
func (w *writer) id(id ID) {
	w.length(id.Ms)
	w.length(id.Seq)
}

// rawID writes an ID in fixed size.
func (w *writer) rawID(id ID) {
	var b [16]byte
	w.raw(appendID(b[:0], id))
}

func appendID(dst []byte, id ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.Ms), id.Seq)
}

func (w *writer) millis(ms int64) {
	var b [8]byte
	w.raw(binary.LittleEndian.AppendUint64(b[:0], uint64(ms)))
}
