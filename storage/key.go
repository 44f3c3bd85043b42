package storage

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// # What is on disk
//
// One Pebble database. The first byte of a Pebble key says what it is; numbers
// are big-endian, so that byte order is number order.
//
//	s name                         system records: format version, counters,
//	                               which space each database number shows
//	c space(4)                     how many keys the space has
//	m space(4) hash(6) key         metadata of a key: type, incarnation id,
//	                               expiry, and what its type needs (head, tail …)
//	d id(8) sub                    a record of the object with that incarnation id;
//	                               sub is the data type's business
//	x at(8) space(4) key           the key runs out at that unix time in ms
//	g id(8)                        the records of this id are garbage; between
//	                               which sub keys there are any, if that is known
//	h space(4)                     the metadata in this space are garbage
//	p name                         a policy
//	u seq(8)                       what was popped and is not yet confirmed
//	v db(1) hash(8) key            how often a message of the list was delivered
//	t at(8) seq(8)                 a timer, due at that unix time in ms (timer.go)
//	n name                         where the timer of that name is
//
// A *space* is what a database number shows at the moment. FLUSHDB gives the
// number a fresh, empty space; SWAPDB exchanges two numbers' spaces. An
// *incarnation id* is given to a key when it is created and never again: DEL
// drops the metadata, and a key of the same name that is created later cannot
// see the old records, which the sweeper (sweep.go) removes when there is time.
// RENAME and MOVE write new metadata and leave the records where they are.
//
// Metadata are in the order of a hash of the key, not of the key: SCAN's
// cursor is that hash, so it needs no memory in the server and keeps its
// promise (what is there all the time is returned) however the keyspace
// changes between two calls; RANDOMKEY is a seek to a random hash. The hash is
// seeded at random for each data folder, so that nobody can choose keys that
// collide.
//
// # How to change this
//
// Anything that makes an older cairn misread the folder: raise formatVersion,
// say in docs/storage-format.md what changed, and teach Store.open to convert
// the older format or to refuse it with a clear message. Also for versions that
// were never released: somebody's test folder is somebody's data.
const formatVersion = 5

const (
	kindSystem  = 's'
	kindCount   = 'c'
	kindMeta    = 'm'
	kindRecord  = 'd'
	kindExpiry  = 'x'
	kindGarbage = 'g'
	kindDropped = 'h'
	kindPolicy  = 'p'
	kindPopped  = 'u'

	kindDeliveries = 'v'

	kindTimer     = 't'
	kindTimerName = 'n'
)

// hashBits is the size of a SCAN cursor: small enough for clients that keep
// cursors in a double.
const hashBits = 48

func (s *Store) hash(key string) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(s.seed)
	_, _ = d.WriteString(key) // cannot fail
	return d.Sum64() >> (64 - hashBits)
}

func appendSystemKey(dst []byte, name string) []byte {
	return append(append(dst, kindSystem), name...)
}

func appendCountKey(dst []byte, space uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, kindCount), space)
}

func appendMetaPrefix(dst []byte, space uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, kindMeta), space)
}

func appendHash(dst []byte, hash uint64) []byte {
	return append(dst, byte(hash>>40), byte(hash>>32), byte(hash>>24), byte(hash>>16), byte(hash>>8), byte(hash))
}

func (s *Store) appendMetaKey(dst []byte, space uint32, key string) []byte {
	return append(appendHash(appendMetaPrefix(dst, space), s.hash(key)), key...)
}

// metaKeyPrefixLen is where the user's key starts in a metadata key.
const metaKeyPrefixLen = 1 + 4 + hashBits/8

func metaKeyHash(k []byte) uint64 {
	return uint64(k[5])<<40 | uint64(k[6])<<32 | uint64(k[7])<<24 | uint64(k[8])<<16 | uint64(k[9])<<8 | uint64(k[10])
}

func appendRecordKey(dst []byte, id uint64, sub []byte) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, kindRecord), id), sub...)
}

// recordKeyPrefixLen is where the data type's part starts in a record's key.
const recordKeyPrefixLen = 1 + 8

func appendExpiryKey(dst []byte, at int64, space uint32, key string) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, kindExpiry), uint64(at))
	return append(binary.BigEndian.AppendUint32(dst, space), key...)
}

func parseExpiryKey(k []byte) (at int64, space uint32, key []byte) {
	return int64(binary.BigEndian.Uint64(k[1:])), binary.BigEndian.Uint32(k[9:]), k[13:]
}

func appendGarbageKey(dst []byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, kindGarbage), id)
}

// appendPlaces writes the value of a garbage record: each end of each place, with
// its length before it. No end is empty but the last, which is then open.
func appendPlaces(dst []byte, places []Place) []byte {
	for _, p := range places {
		dst = append(binary.AppendUvarint(dst, uint64(len(p.From))), p.From...)
		dst = append(binary.AppendUvarint(dst, uint64(len(p.To))), p.To...)
	}
	return dst
}

// decodePlaces is the reverse of appendPlaces. Nothing means everywhere, and so
// does what makes no sense.
func decodePlaces(p []byte) (places []Place) {
	everywhere := []Place{{}}
	for len(p) > 0 {
		var ends [2][]byte
		for i := range ends {
			n, size := binary.Uvarint(p)
			if size <= 0 || n > uint64(len(p)-size) {
				return everywhere
			}
			if n > 0 {
				ends[i] = p[size : size+int(n)]
			}
			p = p[size+int(n):]
		}
		places = append(places, Place{ends[0], ends[1]})
	}
	if places == nil {
		return everywhere
	}
	return places
}

func appendDroppedKey(dst []byte, space uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, kindDropped), space)
}

// after returns the first key behind all keys with the given prefix, which
// must not be all 0xff.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	panic("storage: no key is behind this prefix")
}
