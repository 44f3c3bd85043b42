package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

const (
	headerBytes = 16      // of a message: the tag of the run and the message's number
	fillerBytes = 1 << 18 // of random bytes that messages are filled from; fits a processor's cache
)

// A mint makes the messages of a run and knows them again. Message i is
//
//	tag of the run, 8 bytes | i, 8 bytes | random bytes that are i's own
//
// so that a message that is foreign, cut, or mixed up with another is noticed,
// and nothing is to be won by compressing: neighbours have no bytes in common.
type mint struct {
	size   int // of a message, bytes
	tag    uint64
	filler []byte
	slots  int // different fillings
	issued int // messages made so far
}

func newMint(size int, random *rand.Rand) *mint {
	m := &mint{size: size, tag: random.Uint64(), filler: make([]byte, fillerBytes), slots: fillerBytes / max(1, size-headerBytes)}
	for i := 0; i < len(m.filler); i += 8 {
		binary.LittleEndian.PutUint64(m.filler[i:], random.Uint64())
	}
	return m
}

// issue appends the next message.
func (m *mint) issue(out []byte) []byte {
	out = binary.LittleEndian.AppendUint64(out, m.tag)
	out = binary.LittleEndian.AppendUint64(out, uint64(m.issued))
	out = append(out, m.filling(m.issued)...)
	m.issued++
	return out
}

func (m *mint) filling(i int) []byte {
	n := m.size - headerBytes
	return m.filler[i%m.slots*n:][:n]
}

// number says which message this is.
func (m *mint) number(message []byte) (int, error) {
	if len(message) != m.size || binary.LittleEndian.Uint64(message) != m.tag {
		return 0, fmt.Errorf("a foreign message of %d bytes: %.32q", len(message), message)
	}
	i := binary.LittleEndian.Uint64(message[8:])
	if i >= uint64(m.issued) {
		return 0, fmt.Errorf("message %d, which was never sent", i)
	}
	if !bytes.Equal(message[headerBytes:], m.filling(int(i))) {
		return 0, fmt.Errorf("message %d, but its content is not what was sent", i)
	}
	return int(i), nil
}

// A ledger ticks messages off: each of a mint's is to come once.
type ledger struct {
	mint *mint
	seen []uint64 // a bit for each message
	n    int      // messages seen
}

func newLedger(m *mint, messages int) *ledger {
	return &ledger{mint: m, seen: make([]uint64, (messages+63)/64)}
}

// tick notes that a message came and says which it is.
func (l *ledger) tick(message []byte) (int, error) {
	i, err := l.mint.number(message)
	if err != nil {
		return 0, err
	}
	word, bit := &l.seen[i/64], uint64(1)<<(i%64)
	if *word&bit != 0 {
		return 0, fmt.Errorf("message %d came twice", i)
	}
	*word |= bit
	l.n++
	return i, nil
}

// missing is an error that names the first message that did not come.
func (l *ledger) missing() error {
	for i := range l.mint.issued {
		if l.seen[i/64]>>(i%64)&1 == 0 {
			return fmt.Errorf("%d of %d messages are lost, the first is message %d", l.mint.issued-l.n, l.mint.issued, i)
		}
	}
	return nil
}
