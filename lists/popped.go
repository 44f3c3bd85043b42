package lists

import (
	"encoding/binary"
	"errors"

	"github.com/cairnmq/cairn/storage"
)

// Popped is what one call has popped from an end of a list, while nobody knows
// whether it has arrived.
type Popped struct {
	DB       int
	Key      []byte
	End      End
	Elements []PoppedElement // as they were popped: the first was outermost
}

// PoppedElement is an element, and how often it was delivered, this time
// included.
type PoppedElement struct {
	Value      []byte
	Deliveries uint64
}

// Append appends what was popped as it is stored:
//
//	db(1) end(1) length key { deliveries length element }
//
// with lengths and numbers as varints.
func (p *Popped) Append(dst []byte) []byte {
	end := byte(0)
	if p.End == Right {
		end = 1
	}
	dst = append(dst, byte(p.DB), end)
	dst = append(binary.AppendUvarint(dst, uint64(len(p.Key))), p.Key...)
	for _, e := range p.Elements {
		dst = binary.AppendUvarint(dst, e.Deliveries)
		dst = append(binary.AppendUvarint(dst, uint64(len(e.Value))), e.Value...)
	}
	return dst
}

var errPopped = errors.New("what was popped from a list makes no sense")

// DecodePopped is the reverse of Append. The slices are parts of record.
func DecodePopped(record []byte) (p Popped, err error) {
	if len(record) < 2 || record[1] > 1 || int(record[0]) >= storage.Databases {
		return p, errPopped
	}
	p.DB, p.End = int(record[0]), record[1] == 1
	record = record[2:]
	bytes := func() []byte {
		n, size := binary.Uvarint(record)
		if size <= 0 || n > uint64(len(record)-size) {
			err = errPopped
			return nil
		}
		part := record[size : size+int(n)]
		record = record[size+int(n):]
		return part
	}
	p.Key = bytes()
	for err == nil && len(record) > 0 {
		n, size := binary.Uvarint(record)
		if size <= 0 {
			return Popped{}, errPopped
		}
		record = record[size:]
		p.Elements = append(p.Elements, PoppedElement{bytes(), n})
	}
	if err != nil {
		return Popped{}, err
	}
	return p, nil
}
