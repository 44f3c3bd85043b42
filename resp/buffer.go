package resp

import (
	"math"
	"strconv"

	"github.com/tidwall/redcon"
)

// sharedFrameBytesMin is the size from which a frame that goes to several
// receivers is referred to instead of copied.
const sharedFrameBytesMin = 1 << 10

// Frame is a complete message that several buffers may hold, so that it is in
// memory once. Its bytes must not change any more.
type Frame struct {
	Bytes   []byte
	holders int
}

// Buffer collects replies in the order in which they leave. The zero value is
// an empty buffer that speaks RESP2.
//
// Its bytes are a list of segments, so that a message for a thousand
// subscribers is in memory once ([Buffer.Frame]).
type Buffer struct {
	// Proto is the RESP version, 2 or 3 (0 means 2).
	Proto int

	// Flush, when set, takes the bytes written so far whenever more than
	// FlushBytes have come together: a reply that is larger than memory
	// streams through a small buffer. While a length is open
	// ([Buffer.ArrayLater]) nothing is flushed.
	Flush      func([]byte)
	FlushBytes int

	// Bound, when set, is the length beyond which nothing is written: what would
	// make the buffer longer panics with TooLong instead.
	Bound int

	// Shared, when set, counts the bytes of the frames that any buffer with the
	// same counter holds, each frame once.
	Shared *int64

	segs      []segment // complete segments, not to be written to any more
	segSize   int       // bytes in segs
	ownedSize int       // of these, bytes that are in no frame
	cur       []byte    // the segment that is being written
	open      int       // lengths not yet set
}

// TooLong is the panic of a buffer that has reached its Bound.
type TooLong struct{}

// segment is a part of a buffer: all or the rest of a frame, or bytes of the
// buffer's own.
type segment struct {
	bytes []byte
	frame *Frame
}

// Mark is a position in a Buffer to which it can be cut back.
type Mark struct{ segs, segSize, cur int }

// Len returns the number of bytes in the buffer.
func (b *Buffer) Len() int { return b.segSize + len(b.cur) }

// segmentBytes is what a segment takes beside its bytes.
const segmentBytes = 32

// MemoryBytes returns about how much memory the buffer takes, frames excepted
// (Shared).
func (b *Buffer) MemoryBytes() int { return b.ownedSize + cap(b.cur) + len(b.segs)*segmentBytes }

// SharedBytes returns how many bytes of the buffer are in frames.
func (b *Buffer) SharedBytes() int { return b.segSize - b.ownedSize }

// Mark returns the current end of the buffer.
func (b *Buffer) Mark() Mark { return Mark{len(b.segs), b.segSize, len(b.cur)} }

// Since returns the number of bytes written after m.
func (b *Buffer) Since(m Mark) int { return b.Len() - m.segSize - m.cur }

// Truncate drops what was written after m.
func (b *Buffer) Truncate(m Mark) {
	if len(b.segs) > m.segs {
		var cur []byte
		if m.cur > 0 {
			cur = b.segs[m.segs].bytes[:m.cur]
		}
		for _, s := range b.segs[m.segs:] {
			b.dropped(s, len(s.bytes))
			b.release(s.frame)
		}
		b.cur = cur
		clear(b.segs[m.segs:])
		b.segs = b.segs[:m.segs]
	} else {
		b.cur = b.cur[:m.cur]
	}
	b.open = 0
}

// add puts a segment behind those that there are.
func (b *Buffer) add(s segment) {
	b.segs = append(b.segs, s)
	b.segSize += len(s.bytes)
	if s.frame == nil {
		b.ownedSize += len(s.bytes)
		return
	}
	if s.frame.holders++; s.frame.holders == 1 && b.Shared != nil {
		*b.Shared += int64(len(s.frame.Bytes))
	}
}

// dropped counts n bytes less of a segment.
func (b *Buffer) dropped(s segment, n int) {
	b.segSize -= n
	if s.frame == nil {
		b.ownedSize -= n
	}
}

// release lets go of a frame; nil is none.
func (b *Buffer) release(f *Frame) {
	if f == nil {
		return
	}
	if f.holders--; f.holders == 0 && b.Shared != nil {
		*b.Shared -= int64(len(f.Bytes))
	}
}

// Segments returns the bytes of the buffer in order. They are valid until the
// buffer is next written to.
func (b *Buffer) Segments(dst [][]byte) [][]byte {
	for _, s := range b.segs {
		dst = append(dst, s.bytes)
	}
	if len(b.cur) > 0 {
		dst = append(dst, b.cur)
	}
	return dst
}

// Bytes returns the content as one slice, for tests and small replies.
func (b *Buffer) Bytes() []byte {
	if len(b.segs) == 0 {
		return b.cur
	}
	out := make([]byte, 0, b.Len())
	for _, s := range b.segs {
		out = append(out, s.bytes...)
	}
	return append(out, b.cur...)
}

// Consume drops the first n bytes: what the socket has taken.
func (b *Buffer) Consume(n int) {
	i := 0
	for i < len(b.segs) && n >= len(b.segs[i].bytes) {
		s := b.segs[i]
		n -= len(s.bytes)
		b.dropped(s, len(s.bytes))
		b.release(s.frame)
		i++
	}
	if i > 0 {
		rest := copy(b.segs, b.segs[i:])
		clear(b.segs[rest:])
		b.segs = b.segs[:rest]
	}
	if len(b.segs) > 0 {
		b.segs[0].bytes = b.segs[0].bytes[n:]
		b.dropped(b.segs[0], n)
		return
	}
	if n == len(b.cur) {
		b.cur = b.cur[:0]
		return
	}
	// The rest becomes a segment: to move it to the front, each time a slow
	// client takes a little of a long reply, would cost the square of its length.
	if n > 0 {
		rest := b.cur[n:]
		b.cur = nil
		b.add(segment{bytes: rest})
	}
}

// Reset empties the buffer. Memory up to keepBytes is kept for reuse.
func (b *Buffer) Reset(keepBytes int) {
	for _, s := range b.segs {
		b.release(s.frame)
	}
	clear(b.segs)
	b.segs = b.segs[:0]
	b.segSize, b.ownedSize = 0, 0
	b.open = 0
	if cap(b.cur) > keepBytes {
		b.cur = nil
	}
	b.cur = b.cur[:0]
}

// Lend gives an empty buffer memory for what is going to be written, if it has less.
func (b *Buffer) Lend(memory []byte) {
	if b.Len() == 0 && cap(b.cur) < cap(memory) {
		b.cur = memory[:0]
	}
}

// TakeBack empties the buffer and returns the memory that it was writing to if that
// is more than keepBytes, for others to use; it is nil otherwise, and kept.
func (b *Buffer) TakeBack(keepBytes int) (memory []byte) {
	if cap(b.cur) > keepBytes {
		memory, b.cur = b.cur[:0], nil
	}
	b.Reset(keepBytes)
	return memory
}

// Frame appends a frame that other buffers may hold as well.
func (b *Buffer) Frame(f *Frame) {
	if len(f.Bytes) < sharedFrameBytesMin {
		b.Raw(f.Bytes)
		return
	}
	b.cut()
	b.add(segment{f.Bytes, f})
}

// Chunk appends bytes that are a part of a reply and become the buffer's own.
func (b *Buffer) Chunk(p []byte) {
	b.cut()
	b.add(segment{bytes: p})
}

// Move appends all that is in another buffer, which is empty then.
func (b *Buffer) Move(from *Buffer) {
	for _, s := range from.segs {
		if len(s.bytes) < sharedFrameBytesMin {
			b.Raw(s.bytes)
			continue
		}
		b.cut()
		b.add(s)
	}
	if len(from.cur) < sharedFrameBytesMin {
		b.Raw(from.cur)
	} else {
		b.cut()
		b.add(segment{bytes: from.cur})
		from.cur = nil
	}
	from.Reset(0)
}

// cut closes the segment that is being written.
func (b *Buffer) cut() {
	if len(b.cur) == 0 {
		return
	}
	b.add(segment{bytes: b.cur})
	b.cur = nil
}

// Raw appends bytes that are a reply already.
func (b *Buffer) Raw(p []byte) {
	b.fits(len(p))
	b.cur = append(b.cur, p...)
	b.grown()
}

// fits panics if n more bytes are too many.
func (b *Buffer) fits(n int) {
	if b.Bound > 0 && b.Len()+n > b.Bound {
		panic(TooLong{})
	}
}

func (b *Buffer) grown() {
	if b.Flush != nil && b.open == 0 && len(b.cur) >= b.FlushBytes {
		b.FlushNow()
	}
}

// FlushNow hands everything that is in the buffer to Flush.
func (b *Buffer) FlushNow() {
	if b.Flush == nil || b.Len() == 0 {
		return
	}
	b.Flush(b.Bytes())
	b.Reset(b.FlushBytes * 2)
}

// OK appends the simple string OK.
func (b *Buffer) OK() { b.cur = append(b.cur, "+OK\r\n"...) }

// Simple appends a simple string, which must not contain line ends.
func (b *Buffer) Simple(s string) { b.cur = redcon.AppendString(b.cur, s) }

// Error appends an error reply. Line ends in the text become blanks, as they
// would otherwise end the reply.
func (b *Buffer) Error(e Error) {
	b.cur = append(b.cur, '-')
	for i := 0; i < len(e); i++ {
		if c := e[i]; c == '\r' || c == '\n' {
			b.cur = append(b.cur, ' ')
		} else {
			b.cur = append(b.cur, c)
		}
	}
	b.cur = append(b.cur, '\r', '\n')
}

// Int appends an integer.
func (b *Buffer) Int(n int64) {
	b.fits(0)
	switch n {
	case 0:
		b.cur = append(b.cur, ":0\r\n"...)
	case 1:
		b.cur = append(b.cur, ":1\r\n"...)
	default:
		b.cur = redcon.AppendInt(b.cur, n)
	}
	b.grown()
}

// Bulk appends a bulk string.
func (b *Buffer) Bulk(p []byte) {
	b.fits(len(p))
	b.cur = redcon.AppendBulk(b.cur, p)
	b.grown()
}

// BulkString appends a bulk string.
func (b *Buffer) BulkString(s string) {
	b.fits(len(s))
	b.cur = redcon.AppendBulkString(b.cur, s)
	b.grown()
}

// BulkPieces appends a bulk string of size bytes, which write hands over piece
// by piece.
func (b *Buffer) BulkPieces(size int64, write func(emit func([]byte))) {
	b.header('$', int(size))
	write(b.Raw)
	b.Raw([]byte("\r\n"))
}

// Array starts an array of n replies.
func (b *Buffer) Array(n int) { b.cur = redcon.AppendArray(b.cur, n) }

// Map starts a map of n pairs; in RESP2 an array of 2n replies.
func (b *Buffer) Map(n int) {
	if b.Proto == 3 {
		b.header('%', n)
		return
	}
	b.Array(2 * n)
}

// Set starts a set of n replies; in RESP2 an array.
func (b *Buffer) Set(n int) {
	if b.Proto == 3 {
		b.header('~', n)
		return
	}
	b.Array(n)
}

// Push starts an out-of-band message of n replies; in RESP2 an array.
func (b *Buffer) Push(n int) {
	if b.Proto == 3 {
		b.header('>', n)
		return
	}
	b.Array(n)
}

// Null appends the reply for "no such thing"; in RESP2 a null bulk string.
func (b *Buffer) Null() {
	b.fits(0)
	if b.Proto == 3 {
		b.cur = append(b.cur, "_\r\n"...)
	} else {
		b.cur = append(b.cur, "$-1\r\n"...)
	}
	b.grown()
}

// NullArray appends the reply for "no such list"; in RESP2 a null array.
func (b *Buffer) NullArray() {
	if b.Proto == 3 {
		b.cur = append(b.cur, "_\r\n"...)
		return
	}
	b.cur = append(b.cur, "*-1\r\n"...)
}

// Double appends a floating point number; in RESP2 a bulk string.
func (b *Buffer) Double(f float64) {
	text := FormatDouble(f)
	if b.Proto == 3 {
		b.cur = append(b.cur, ',')
		b.cur = append(b.cur, text...)
		b.cur = append(b.cur, '\r', '\n')
		return
	}
	b.BulkString(text)
}

// Bool appends a boolean; in RESP2 the integers 0 and 1.
func (b *Buffer) Bool(v bool) {
	switch {
	case b.Proto == 3 && v:
		b.cur = append(b.cur, "#t\r\n"...)
	case b.Proto == 3:
		b.cur = append(b.cur, "#f\r\n"...)
	case v:
		b.Int(1)
	default:
		b.Int(0)
	}
}

// BigNumber appends an integer of any size, in decimal; in RESP2 a bulk string.
func (b *Buffer) BigNumber(digits string) {
	if b.Proto != 3 {
		b.BulkString(digits)
		return
	}
	b.cur = append(b.cur, '(')
	b.cur = append(b.cur, digits...)
	b.cur = append(b.cur, '\r', '\n')
}

// Attribute starts a map of n pairs about the reply that follows. There is no
// such thing in RESP2.
func (b *Buffer) Attribute(n int) { b.header('|', n) }

// Verbatim appends text for people to read, with a three-letter format such as
// "txt"; in RESP2 a bulk string.
func (b *Buffer) Verbatim(format, text string) {
	if b.Proto != 3 {
		b.BulkString(text)
		return
	}
	b.fits(len(text))
	b.header('=', len(text)+len(format)+1)
	b.cur = append(b.cur, format...)
	b.cur = append(b.cur, ':')
	b.cur = append(b.cur, text...)
	b.cur = append(b.cur, '\r', '\n')
	b.grown()
}

// Later is the place of a length that is not known yet.
type Later struct {
	kind byte
	at   Mark
}

// ArrayLater starts an array whose length SetLen gives when its items are
// written.
func (b *Buffer) ArrayLater() Later { return b.later('*') }

// MapLater starts a map (RESP2: an array) whose number of pairs SetLen gives.
func (b *Buffer) MapLater() Later { return b.later('%') }

func (b *Buffer) later(kind byte) Later {
	b.open++
	return Later{kind, b.Mark()}
}

// SetLen writes the length of what l started: the replies written since.
func (b *Buffer) SetLen(l Later, n int) {
	if len(b.segs) != l.at.segs {
		panic("resp: a shared frame inside a reply of unknown length")
	}
	kind := l.kind
	if kind == '%' && b.Proto != 3 {
		kind, n = '*', 2*n
	}
	var head [24]byte
	h := append(head[:0], kind)
	h = strconv.AppendInt(h, int64(n), 10)
	h = append(h, '\r', '\n')
	body := len(b.cur) - l.at.cur
	b.cur = append(b.cur, h...)
	copy(b.cur[l.at.cur+len(h):], b.cur[l.at.cur:l.at.cur+body])
	copy(b.cur[l.at.cur:], h)
	b.open--
	b.grown()
}

func (b *Buffer) header(kind byte, n int) {
	b.cur = append(b.cur, kind)
	b.cur = strconv.AppendInt(b.cur, int64(n), 10)
	b.cur = append(b.cur, '\r', '\n')
}

// FormatDouble writes f as Redis does: the shortest text that reads back as
// the same number, no exponent for numbers of ordinary size.
func FormatDouble(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	case f == math.Trunc(f) && math.Abs(f) < 1e17:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
