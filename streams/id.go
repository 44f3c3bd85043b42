package streams

import (
	"bytes"
	"math"
	"math/bits"
	"strconv"

	"github.com/cairnmq/cairn/resp"
)

// ID names an entry: the milliseconds of its birth and a number that tells
// entries of one millisecond apart. IDs only grow within a stream.
type ID struct{ Ms, Seq uint64 }

// MaxID is the last ID there can be; the first is the zero ID, which no entry
// has.
var MaxID = ID{math.MaxUint64, math.MaxUint64}

// What is wrong with an ID.
const (
	ErrInvalidID   resp.Error = "ERR Invalid stream ID specified as stream command argument"
	ErrStartID     resp.Error = "ERR invalid start ID for the interval"
	ErrEndID       resp.Error = "ERR invalid end ID for the interval"
	ErrIDZero      resp.Error = "ERR The ID specified in XADD must be greater than 0-0"
	ErrIDNotAbove  resp.Error = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	ErrIDExhausted resp.Error = "ERR The stream has exhausted the last possible ID, unable to add more items"
)

// Compare returns -1, 0 or 1 as a is below, equal to or above b.
func (a ID) Compare(b ID) int {
	switch {
	case a == b:
		return 0
	case a.Less(b):
		return -1
	}
	return 1
}

// Less reports whether a is below b.
func (a ID) Less(b ID) bool { return a.Ms < b.Ms || (a.Ms == b.Ms && a.Seq < b.Seq) }

// IsZero reports whether a is 0-0.
func (a ID) IsZero() bool { return a == ID{} }

// Next returns the ID behind a; there is none behind MaxID.
func (a ID) Next() (next ID, ok bool) {
	seq, carry := bits.Add64(a.Seq, 1, 0)
	ms, overflow := bits.Add64(a.Ms, 0, carry)
	return ID{ms, seq}, overflow == 0
}

// Prev returns the ID before a; there is none before 0-0.
func (a ID) Prev() (prev ID, ok bool) {
	seq, borrow := bits.Sub64(a.Seq, 1, 0)
	ms, underflow := bits.Sub64(a.Ms, 0, borrow)
	return ID{ms, seq}, underflow == 0
}

// AppendTo appends the ID as clients see it.
func (a ID) AppendTo(dst []byte) []byte {
	dst = strconv.AppendUint(dst, a.Ms, 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, a.Seq, 10)
}

func (a ID) String() string { return string(a.AppendTo(nil)) }

func later(a, b ID) ID {
	if a.Less(b) {
		return b
	}
	return a
}

func earlier(a, b ID) ID {
	if b.Less(a) {
		return b
	}
	return a
}

// Wanted is the ID that a new entry is to get.
type Wanted struct {
	ID ID
	// Auto leaves all of the ID to the clock, AutoSeq only its second part.
	Auto, AutoSeq bool
}

// Resolve returns the ID of a new entry in a stream whose last ID is last. The
// clock may go back; IDs do not.
func (w Wanted) Resolve(last ID, nowMillis int64) (ID, error) {
	if !w.Auto && !w.AutoSeq && w.ID.IsZero() {
		return ID{}, ErrIDZero
	}
	if last == MaxID {
		return ID{}, ErrIDExhausted
	}
	id := w.ID
	switch {
	case w.Auto && uint64(nowMillis) > last.Ms:
		id = ID{uint64(nowMillis), 0}
	case w.Auto:
		id, _ = last.Next() // last is not MaxID
	case w.AutoSeq && w.ID.Ms == last.Ms:
		if last.Seq == math.MaxUint64 {
			return ID{}, ErrIDNotAbove
		}
		id = ID{last.Ms, last.Seq + 1}
	}
	if !last.Less(id) {
		return ID{}, ErrIDNotAbove
	}
	return id, nil
}

// ParseWanted reads the ID argument of XADD: "*", "ms-*", "ms-seq" or "ms".
func ParseWanted(p []byte) (w Wanted, ok bool) {
	if len(p) == 1 && p[0] == '*' {
		return Wanted{Auto: true}, true
	}
	if ms, found := bytes.CutSuffix(p, []byte("-*")); found && bytes.IndexByte(ms, '-') < 0 {
		w.ID, ok = ParseID(ms, 0)
		w.AutoSeq = true
		return w, ok
	}
	w.ID, ok = ParseID(p, 0)
	return w, ok
}

// ParseLimit reads an ID, or "-" and "+" for the first and the last there can
// be. missingSeq completes an ID of milliseconds only.
func ParseLimit(p []byte, missingSeq uint64) (id ID, ok bool) {
	if len(p) == 1 {
		switch p[0] {
		case '-':
			return ID{}, true
		case '+':
			return MaxID, true
		}
	}
	return ParseID(p, missingSeq)
}

// ParseStart reads the lower end of an interval, inclusive unless it begins
// with "(".
func ParseStart(p []byte) (ID, error) {
	id, exclusive, ok := parseEnd(p, 0)
	if !ok {
		return ID{}, ErrInvalidID
	}
	if exclusive {
		if id, ok = id.Next(); !ok {
			return ID{}, ErrStartID
		}
	}
	return id, nil
}

// ParseStop reads the upper end of an interval, inclusive unless it begins
// with "(".
func ParseStop(p []byte) (ID, error) {
	id, exclusive, ok := parseEnd(p, math.MaxUint64)
	if !ok {
		return ID{}, ErrInvalidID
	}
	if exclusive {
		if id, ok = id.Prev(); !ok {
			return ID{}, ErrEndID
		}
	}
	return id, nil
}

func parseEnd(p []byte, missingSeq uint64) (id ID, exclusive, ok bool) {
	if len(p) > 1 && p[0] == '(' {
		id, ok = ParseID(p[1:], missingSeq)
		return id, true, ok
	}
	id, ok = ParseLimit(p, missingSeq)
	return id, false, ok
}

// idBytesMax is longer than any sensible ID.
const idBytesMax = 127

// ParseID reads "ms-seq", or "ms", which missingSeq completes.
func ParseID(p []byte, missingSeq uint64) (id ID, ok bool) {
	if len(p) > idBytesMax {
		return ID{}, false
	}
	if end := bytes.IndexByte(p, 0); end >= 0 {
		p = p[:end] // Redis reads a C string
	}
	ms, seq, hasSeq := bytes.Cut(p, []byte{'-'})
	if id.Ms, ok = parseNumber(ms); !ok {
		return ID{}, false
	}
	if !hasSeq {
		return ID{id.Ms, missingSeq}, true
	}
	id.Seq, ok = parseNumber(seq)
	return id, ok
}

// parseNumber reads an unsigned number as generously as Redis does: what is no
// plain decimal goes through strtoull, which takes leading blanks, zeros and a
// sign, and counts negative numbers down from 2^64.
func parseNumber(p []byte) (n uint64, ok bool) {
	if len(p) > 1 && p[0] == '-' && '1' <= p[1] && p[1] <= '9' {
		if _, err := strconv.ParseInt(string(p), 10, 64); err == nil {
			return 0, false // a plain negative number is out of range
		}
	}
	for len(p) > 0 && (p[0] == ' ' || ('\t' <= p[0] && p[0] <= '\r')) {
		p = p[1:]
	}
	negative := false
	if len(p) > 0 && (p[0] == '+' || p[0] == '-') {
		negative = p[0] == '-'
		p = p[1:]
	}
	if len(p) == 0 {
		return 0, false
	}
	for _, c := range p {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		n = -n
	}
	return n, true
}
