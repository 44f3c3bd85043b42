package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// # What is on disk
//
// A policy is a record under its name: its words (Policy.Words), each with its
// length before it. It reads as it was written by people, so that a setting
// that comes later does not change the format.

var errRecord = errors.New("a policy that makes no sense")

// AppendRecord appends the policy as it is stored.
func (p *Policy) AppendRecord(dst []byte) []byte {
	for _, w := range p.Words() {
		dst = append(binary.AppendUvarint(dst, uint64(len(w))), w...)
	}
	return dst
}

// Decode reads a policy as it is stored.
func Decode(name string, record []byte) (*Policy, error) {
	var words []string
	for len(record) > 0 {
		n, size := binary.Uvarint(record)
		if size <= 0 || n > uint64(len(record)-size) {
			return nil, errRecord
		}
		words = append(words, string(record[size:size+int(n)]))
		record = record[size+int(n):]
	}
	p, err := Parse(name, words)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	return p, nil
}
