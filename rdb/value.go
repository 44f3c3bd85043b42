package rdb

import (
	"encoding/binary"
	"errors"
	"hash/crc64"
	"iter"
)

// Kind is what a payload holds.
type Kind uint8

const (
	List Kind = iota + 1
	Stream
)

// The numbers of types, in the order in which Redis got them.
const (
	typeList           = 1
	typeListZiplist    = 10
	typeListQuicklist  = 14
	typeStream         = 15
	typeListQuicklist2 = 18
	typeStream2        = 19
	typeStream3        = 21
)

// otherTypes names what the types hold that are not read here. Numbers are
// never given twice, and a type is never written differently.
var otherTypes = map[byte]string{
	0: "string", 2: "set", 3: "sorted set", 4: "hash", 5: "sorted set", 6: "module", 7: "module",
	9: "hash", 11: "set", 12: "sorted set", 13: "hash", 16: "hash", 17: "sorted set", 20: "set",
	22: "hash", 23: "hash", 24: "hash", 25: "hash",
	26: "stream (Redis 8.6)", 27: "stream (Redis 8.8)", 28: "array",
}

const (
	// version is that of Redis 7.0, the first that reads the types written
	// here.
	version = 10
	// versionMax is the newest version taken: Redis 8.8 is at 14, Valkey 9 began
	// anew at 80. It is the type that says how to read a value.
	versionMax = 80

	footerBytes = 2 + 8
)

// costMax bounds what a payload may stand for: the bytes of all that is in it,
// unpacked, and itemCost for each item.
var costMax int64 = 2 << 30

const itemCost = 64

// What is wrong with a payload.
var (
	ErrChecksum = errors.New("version or checksum are wrong")
	ErrFormat   = errors.New("bad data format")
	ErrTooLarge = errors.New("too much in it")
)

// UnsupportedError says that a payload holds something else than a list or a
// stream.
type UnsupportedError struct{ Kind string }

func (e *UnsupportedError) Error() string { return "a " + e.Kind }

// Value is a payload that has been read once and is sound: reading it again
// cannot fail.
type Value struct {
	Kind Kind
	// Cost is about what it takes unpacked, in bytes.
	Cost int64

	typ     byte
	payload []byte
}

// Parse checks a payload from its checksum to its last item.
func Parse(payload []byte) (*Value, error) {
	if len(payload) < footerBytes {
		return nil, ErrChecksum
	}
	footer := payload[len(payload)-footerBytes:]
	if binary.LittleEndian.Uint16(footer) > versionMax ||
		binary.LittleEndian.Uint64(footer[2:]) != checksum(0, payload[:len(payload)-8]) {
		return nil, ErrChecksum
	}
	body := payload[:len(payload)-footerBytes]
	if len(body) == 0 {
		return nil, ErrFormat
	}
	v := &Value{typ: body[0], payload: body[1:]}
	var err error
	switch v.typ {
	case typeList, typeListZiplist, typeListQuicklist, typeListQuicklist2:
		v.Kind = List
		err = v.list(nil)
	case typeStream, typeStream2, typeStream3:
		v.Kind = Stream
		err = v.stream(nil)
	default:
		if kind := otherTypes[v.typ]; kind != "" {
			return nil, &UnsupportedError{kind}
		}
		return nil, ErrFormat
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Elements returns the elements of a list. Each is valid until the next.
func (v *Value) Elements() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		_ = v.list(yield) // read before
	}
}

// Stream hands the parts of a stream to sink, in their order.
func (v *Value) Stream(sink StreamSink) {
	_ = v.stream(sink) // read before
}

// jones is the polynomial of Redis' CRC64, least significant bit first.
var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

// checksum continues Redis' CRC64, which does without the inversions of the
// usual ones.
func checksum(crc uint64, p []byte) uint64 { return ^crc64.Update(^crc, jones, p) }
