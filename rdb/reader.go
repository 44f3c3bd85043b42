package rdb

import (
	"encoding/binary"
	"strconv"
)

// reader takes a payload apart. What does not fit sticks: read straight
// through, then ask err. After an error it returns zero values.
type reader struct {
	p     []byte
	err   error
	spent int64 // of costMax
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.p = nil
}

// spend counts what the payload stands for.
func (r *reader) spend(items, bytes int) {
	r.spent += int64(items)*itemCost + int64(bytes)
	if r.spent > costMax {
		r.fail(ErrTooLarge)
	}
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.p)) {
		r.fail(ErrFormat)
		return nil
	}
	b := r.p[:n:n]
	r.p = r.p[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// fixed reads a little-endian integer of 1 to 8 bytes.
func (r *reader) fixed(size int) int64 {
	var wide [8]byte
	copy(wide[:], r.bytes(uint64(size)))
	return signed(binary.LittleEndian.Uint64(wide[:]), 8*size)
}

// signed reads the lowest bits of n as a number with a sign.
func signed(n uint64, bits int) int64 { return int64(n<<(64-bits)) >> (64 - bits) }

// millis reads a time.
func (r *reader) millis() int64 { return max(0, r.fixed(8)) }

// rawID reads an ID of fixed size.
func (r *reader) rawID() ID {
	if b := r.bytes(16); b != nil {
		return decodeID(b)
	}
	return ID{}
}

func decodeID(p []byte) ID {
	return ID{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])}
}

// id reads an ID as two lengths.
func (r *reader) id() ID { return ID{r.length(), r.length()} }

// end expects that nothing is left.
func (r *reader) end() error {
	if r.err == nil && len(r.p) > 0 {
		r.fail(ErrFormat)
	}
	return r.err
}

// length reads a number.
func (r *reader) length() uint64 {
	n, special := r.lengthOrSpecial()
	if special {
		r.fail(ErrFormat)
		return 0
	}
	return n
}

// items reads the number of items that follow, of at least size bytes each.
func (r *reader) items(size int) int {
	n := r.length()
	if n > uint64(len(r.p)/size) {
		r.fail(ErrFormat)
		return 0
	}
	return int(n)
}

// The first two bits of a length.
const (
	length6 = iota
	length14
	lengthLong
	lengthSpecial

	length32 = lengthLong << 6
	length64 = lengthLong<<6 | 1
)

// What a special length announces in place of a string.
const (
	specialInt8 = iota
	specialInt16
	specialInt32
	specialLZF
)

func (r *reader) lengthOrSpecial() (n uint64, special bool) {
	first := r.byte()
	switch first >> 6 {
	case length6:
		return uint64(first), false
	case length14:
		return uint64(first&0x3f)<<8 | uint64(r.byte()), false
	case lengthSpecial:
		return uint64(first & 0x3f), true
	}
	switch first {
	case length32:
		if b := r.bytes(4); b != nil {
			return uint64(binary.BigEndian.Uint32(b)), false
		}
	case length64:
		if b := r.bytes(8); b != nil {
			return binary.BigEndian.Uint64(b), false
		}
	default:
		r.fail(ErrFormat)
	}
	return 0, false
}

// string reads a string. It is a part of the payload unless it had to be
// unpacked.
func (r *reader) string() []byte {
	n, special := r.lengthOrSpecial()
	if !special {
		return r.bytes(n)
	}
	switch n {
	case specialInt8, specialInt16, specialInt32:
		return strconv.AppendInt(nil, r.fixed(1<<n), 10)
	case specialLZF:
		return r.compressed()
	}
	r.fail(ErrFormat)
	return nil
}

// lzfRatioMax is how much LZF can gain: three bytes may stand for 264.
const lzfRatioMax = 264 / 3

func (r *reader) compressed() []byte {
	packed, size := r.length(), r.length()
	p := r.bytes(packed)
	if r.err != nil {
		return nil
	}
	if size/lzfRatioMax > packed {
		r.fail(ErrFormat)
		return nil
	}
	if r.spend(0, int(size)); r.err != nil {
		return nil
	}
	out, ok := lzfExpand(make([]byte, 0, size), p)
	if !ok {
		r.fail(ErrFormat)
		return nil
	}
	return out
}

// lzfExpand unpacks p into all of dst's capacity and not beyond.
//
//	000nnnnn            n+1 bytes as they are
//	nnnooooo o          n+2 bytes from o+1 bytes back
//	111ooooo n o        n+9 bytes from o+1 bytes back
func lzfExpand(dst, p []byte) ([]byte, bool) {
	for len(p) > 0 {
		control := int(p[0])
		p = p[1:]
		if control < 1<<5 {
			n := control + 1
			if n > len(p) || n > cap(dst)-len(dst) {
				return nil, false
			}
			dst, p = append(dst, p[:n]...), p[n:]
			continue
		}
		n := control>>5 + 2
		if n == 7+2 {
			if len(p) == 0 {
				return nil, false
			}
			n, p = n+int(p[0]), p[1:]
		}
		if len(p) == 0 {
			return nil, false
		}
		from := len(dst) - (control&0x1f)<<8 - int(p[0]) - 1
		p = p[1:]
		if from < 0 || n > cap(dst)-len(dst) {
			return nil, false
		}
		for range n { // what is copied may be what was just written
			dst = append(dst, dst[from])
			from++
		}
	}
	return dst, len(dst) == cap(dst)
}
