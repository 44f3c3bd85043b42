package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// # Listpacks
//
//	bytes(4)  items(2)  item …  0xff
//
// both numbers little-endian, bytes counting all of it, items 65535 if there
// are more than that tells. Behind each item stands its size, to be read
// backwards: seven bits in a byte, the highest bit of all but the first set.
//
//	0xxxxxxx              integer, 0 to 127
//	10nnnnnn bytes        string
//	110xxxxx x            integer of 13 bits
//	1110nnnn n bytes      string
//	11110000 n×4 bytes    string, length little-endian
//	11110001 … 11110100   integer of 2, 3, 4, 8 bytes, little-endian
const (
	packHeaderBytes  = 4 + 2
	packItemsUnknown = math.MaxUint16
	packEnd          = 0xff

	packString32 = 0xf0
	packInt16    = 0xf1
	packInt24    = 0xf2
	packInt32    = 0xf3
	packInt64    = 0xf4
)

// listpack reads the items of one.
type listpack struct {
	reader
	announced int
	read      int
	text      []byte // what integers look like
}

func openListpack(p []byte) *listpack {
	l := &listpack{reader: reader{p: p}}
	if len(p) < packHeaderBytes+1 || uint64(binary.LittleEndian.Uint32(p)) != uint64(len(p)) || p[len(p)-1] != packEnd {
		l.fail(ErrFormat)
		return l
	}
	l.announced = int(binary.LittleEndian.Uint16(p[4:]))
	l.p = p[packHeaderBytes : len(p)-1]
	return l
}

// more reports whether there is another item.
func (l *listpack) more() bool { return len(l.p) > 0 }

// end expects that all items have been read.
func (l *listpack) end() error {
	if l.announced != packItemsUnknown && l.announced != l.read {
		l.fail(ErrFormat)
	}
	return l.reader.end()
}

// item is a string or, if it is nil, a number.
type item struct {
	text   []byte
	number int64
}

func (l *listpack) next() (it item) {
	begin := l.p
	first := l.byte()
	switch {
	case first < 1<<7:
		it.number = int64(first)
	case first < 0xc0:
		it.text = l.bytes(uint64(first & 0x3f))
	case first < 0xe0:
		it.number = signed(uint64(first&0x1f)<<8|uint64(l.byte()), 13)
	case first < 0xf0:
		it.text = l.bytes(uint64(first&0x0f)<<8 | uint64(l.byte()))
	case first == packString32:
		if n := l.bytes(4); n != nil {
			it.text = l.bytes(uint64(binary.LittleEndian.Uint32(n)))
		}
	case first <= packInt64:
		it.number = l.fixed([...]int{2, 3, 4, 8}[first-packInt16])
	default:
		l.fail(ErrFormat)
	}
	var back [5]byte
	behind := appendBackward(back[:0], len(begin)-len(l.p))
	if string(l.bytes(uint64(len(behind)))) != string(behind) {
		l.fail(ErrFormat)
	}
	l.read++
	if l.err != nil {
		return item{}
	}
	return it
}

// string returns the next item as a string. It is valid as long as the
// listpack is.
func (l *listpack) string() []byte {
	it := l.next()
	if it.text != nil || l.err != nil {
		return it.text
	}
	at := len(l.text)
	l.text = strconv.AppendInt(l.text, it.number, 10)
	return l.text[at:len(l.text):len(l.text)]
}

// int returns the next item, which is to be a number; a string that reads as
// one is, too, as it is for Redis.
func (l *listpack) int() int64 {
	it := l.next()
	if it.text == nil {
		return it.number
	}
	n, ok := plainInt(it.text)
	if !ok {
		l.fail(ErrFormat)
	}
	return n
}

// plainInt reads a number that is written as it would be printed.
func plainInt(p []byte) (int64, bool) {
	if len(p) == 0 || len(p) > 20 || p[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(p), 10, 64)
	if err != nil {
		return 0, false
	}
	var text [20]byte
	return n, string(strconv.AppendInt(text[:0], n, 10)) == string(p)
}

// backwardLimits are the sizes from which on a byte more is taken: in Redis the
// last of each width but the first belongs to the next.
var backwardLimits = [...]int{1 << 7, 1<<14 - 1, 1<<21 - 1, 1<<28 - 1}

// appendBackward appends a size so that it can be read from behind.
func appendBackward(dst []byte, n int) []byte {
	more := 0
	for more < len(backwardLimits) && n >= backwardLimits[more] {
		more++
	}
	dst = append(dst, byte(n>>(7*more)))
	for ; more > 0; more-- {
		dst = append(dst, 0x80|byte(n>>(7*(more-1))))
	}
	return dst
}

// pack collects items for a listpack.
type pack struct {
	body  []byte
	items int
}

// bytes is how large the listpack is.
func (b *pack) bytes() int { return packHeaderBytes + len(b.body) + 1 }

func (b *pack) reset() { b.body, b.items = b.body[:0], 0 }

// string adds an item; what looks like a number becomes one.
func (b *pack) string(p []byte) {
	if n, ok := plainInt(p); ok {
		b.int(n)
		return
	}
	at := len(b.body)
	switch n := len(p); {
	case n < 1<<6:
		b.body = append(b.body, 0x80|byte(n))
	case n < 1<<12:
		b.body = append(b.body, 0xe0|byte(n>>8), byte(n))
	default:
		b.body = binary.LittleEndian.AppendUint32(append(b.body, packString32), uint32(n))
	}
	b.body = append(b.body, p...)
	b.close(at)
}

// int adds an item.
func (b *pack) int(n int64) {
	at := len(b.body)
	switch {
	case 0 <= n && n < 1<<7:
		b.body = append(b.body, byte(n))
	case -1<<12 <= n && n < 1<<12:
		b.body = append(b.body, 0xc0|byte(n>>8)&0x1f, byte(n))
	case -1<<15 <= n && n < 1<<15:
		b.body = append(b.body, packInt16, byte(n), byte(n>>8))
	case -1<<23 <= n && n < 1<<23:
		b.body = append(b.body, packInt24, byte(n), byte(n>>8), byte(n>>16))
	case -1<<31 <= n && n < 1<<31:
		b.body = binary.LittleEndian.AppendUint32(append(b.body, packInt32), uint32(n))
	default:
		b.body = binary.LittleEndian.AppendUint64(append(b.body, packInt64), uint64(n))
	}
	b.close(at)
}

func (b *pack) close(at int) {
	b.body = appendBackward(b.body, len(b.body)-at)
	b.items++
}

// header is what the listpack begins with if more items stand before those
// collected.
func (b *pack) header(before *pack) []byte {
	head := binary.LittleEndian.AppendUint32(nil, uint32(b.bytes()+len(before.body)))
	return binary.LittleEndian.AppendUint16(head, uint16(min(b.items+before.items, packItemsUnknown)))
}
