package rdb

import (
	"encoding/binary"
	"math"
)

// # Ziplists
//
// What listpacks took the place of in Redis 7.
//
//	bytes(4)  offset of the last item(4)  items(2)  item …  0xff
//
// Each item begins with the size of the one before: one byte, or 0xfe and
// four. Little-endian all of it but the lengths of strings:
//
//	00nnnnnn                   string
//	01nnnnnn n                 string
//	10------ n×4               string
//	11000000 11010000 11100000 integer of 2, 4, 8 bytes
//	11110000 11111110          integer of 3 bytes, 1 byte
//	1111xxxx                   integer, x-1
const (
	zipHeaderBytes = 4 + 4 + 2
	zipEnd         = 0xff
)

// ziplist calls yield for the items of a ziplist, in r's name.
func (r *reader) ziplist(p []byte, yield func(item) bool) {
	if len(p) < zipHeaderBytes+1 || uint64(binary.LittleEndian.Uint32(p)) != uint64(len(p)) || p[len(p)-1] != zipEnd {
		r.fail(ErrFormat)
		return
	}
	announced := int(binary.LittleEndian.Uint16(p[8:]))
	items := reader{p: p[zipHeaderBytes : len(p)-1]}
	count, before := 0, 0
	for len(items.p) > 0 && items.err == nil {
		left := len(items.p)
		if items.zipSize() != before {
			items.fail(ErrFormat)
		}
		it := items.zipItem()
		before = left - len(items.p)
		count++
		if items.err == nil && !yield(it) {
			return
		}
	}
	if items.err != nil || (announced != math.MaxUint16 && announced != count) {
		r.fail(ErrFormat)
	}
}

// zipSize reads the size of the item before.
func (r *reader) zipSize() int {
	size := r.byte()
	if size < 0xfe {
		return int(size)
	}
	if b := r.bytes(4); b != nil && size == 0xfe {
		return int(binary.LittleEndian.Uint32(b))
	}
	r.fail(ErrFormat)
	return -1
}

func (r *reader) zipItem() (it item) {
	first := r.byte()
	switch {
	case first < 0x40:
		it.text = r.bytes(uint64(first))
	case first < 0x80:
		it.text = r.bytes(uint64(first&0x3f)<<8 | uint64(r.byte()))
	case first < 0xc0:
		if n := r.bytes(4); n != nil {
			it.text = r.bytes(uint64(binary.BigEndian.Uint32(n)))
		}
	case first == 0xc0:
		it.number = r.fixed(2)
	case first == 0xd0:
		it.number = r.fixed(4)
	case first == 0xe0:
		it.number = r.fixed(8)
	case first == 0xf0:
		it.number = r.fixed(3)
	case first == 0xfe:
		it.number = r.fixed(1)
	case 0xf1 <= first && first <= 0xfd:
		it.number = int64(first&0x0f) - 1
	default:
		r.fail(ErrFormat)
	}
	return it
}
