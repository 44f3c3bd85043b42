package streams

import (
	"math"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// # Macro nodes
//
// Redis keeps about a hundred entries together in a "macro node", and XTRIM
// with ~ removes whole nodes only. Clients see that: after MAXLEN ~ 1000 a
// stream is as long as Redis' nodes make it. So cairn, which has no such nodes,
// counts as if it had: it follows how full the node is that Redis would be
// filling, and gives each entry the low byte of its node's number. A node is a
// run of entries with the same byte. (After 256 nodes were emptied by XDEL, two
// of the same byte may meet and count as one: a trim with ~ then removes a bit
// more or less than Redis would, which is what ~ permits.)

// NodeLimits say when a macro node is full.
type NodeLimits struct {
	Entries int // 0: any number
	Bytes   int // 0: any size
}

// nodeBytesMax is where Redis ends a node whatever its configuration says.
const nodeBytesMax = 1 << 30

// node is the macro node that new entries go to.
type node struct {
	first   ID     // its first entry; those from there on are in this node
	entries uint32 // how many it ever got
	live    uint32 // how many of them are left
	size    uint32 // the bytes that Redis would use for it
	mark    byte   // the low byte of its number
	fields  uint64 // hash of the field names of its first entry
}

// add counts a new entry, in a new node if the present one is full or gone.
func (n *node) add(id ID, values [][]byte, limits NodeLimits) {
	payload := 0
	for _, v := range values {
		payload += len(v)
	}
	bytesMax := limits.Bytes
	if bytesMax <= 0 || bytesMax > nodeBytesMax {
		bytesMax = nodeBytesMax
	}
	fields := fieldsHash(values)
	if n.live == 0 || int(n.size)+payload >= bytesMax || (limits.Entries > 0 && int(n.entries) >= limits.Entries) {
		*n = node{first: id, mark: n.mark + 1, fields: fields}
		n.grow(7 + 2*2) // header and end, two counters
		n.grow(packedInt(int64(len(values) / 2)))
		for i := 0; i < len(values); i += 2 {
			n.grow(packedBytes(values[i]))
		}
		n.grow(2)
	}
	n.entries++
	n.live++
	same := fields == n.fields
	n.grow(2 + packedInt(int64(id.Ms-n.first.Ms)) + packedInt(int64(id.Seq-n.first.Seq)))
	items := int64(len(values)/2) + 3
	if !same {
		n.grow(packedInt(int64(len(values) / 2)))
		items += int64(len(values)/2) + 1
	}
	for i, v := range values {
		if i%2 == 1 || !same {
			n.grow(packedBytes(v))
		}
	}
	n.grow(packedInt(items))
}

func (n *node) grow(bytes int) {
	n.size = uint32(min(int64(n.size)+int64(bytes), math.MaxUint32))
}

// has reports whether the entry id is in this node.
func (n *node) has(id ID) bool { return n.live > 0 && !id.Less(n.first) }

// gone counts entries of this node that were deleted.
func (n *node) gone(count uint32) { n.live -= count }

func fieldsHash(values [][]byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	var size [8]byte
	for i := 0; i < len(values); i += 2 {
		for b := range size {
			size[b] = byte(len(values[i]) >> (8 * b))
		}
		_, _ = d.Write(size[:]) // cannot fail
		_, _ = d.Write(values[i])
	}
	return d.Sum64()
}

// packedInt is the size of a number in Redis' listpack encoding.
func packedInt(v int64) int {
	switch {
	case 0 <= v && v <= 127:
		return 2
	case -1<<12 <= v && v < 1<<12:
		return 3
	case -1<<15 <= v && v < 1<<15:
		return 4
	case -1<<23 <= v && v < 1<<23:
		return 5
	case -1<<31 <= v && v < 1<<31:
		return 6
	}
	return 10
}

// packedIntDigitsMax is the number of characters in the longest number.
const packedIntDigitsMax = 20

// packedBytes is the size of a string there: what looks like a number is
// packed as one, and behind each item stands its length.
func packedBytes(p []byte) int {
	n := len(p)
	if 0 < n && n <= packedIntDigitsMax && (p[0] == '-' || ('0' <= p[0] && p[0] <= '9')) {
		if v, err := strconv.ParseInt(string(p), 10, 64); err == nil && isPlain(p) {
			return packedInt(v)
		}
	}
	switch {
	case n < 64:
		n++
	case n < 4096:
		n += 2
	default:
		n += 5
	}
	switch {
	case n <= 127:
		return n + 1
	case n < 1<<14-1:
		return n + 2
	case n < 1<<21-1:
		return n + 3
	case n < 1<<28-1:
		return n + 4
	}
	return n + 5
}

// isPlain reports whether a number is written as it would be printed.
func isPlain(p []byte) bool {
	if p[0] == '-' {
		return len(p) > 1 && p[1] != '0'
	}
	return p[0] != '0' || len(p) == 1
}
