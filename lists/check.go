package lists

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Check reads the whole list and says what is wrong with it.
func (l List) Check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	count, bytes, next := int64(0), int64(0), l.head
	for sub, e := range l.tx.Scan(l.o, nil, nil, false) {
		if len(sub) != 8 {
			wrong("an element with the key %x", sub)
			continue
		}
		position := binary.BigEndian.Uint64(sub)
		if position != next {
			wrong("an element at position %d where %d is expected", position, next)
		}
		next = position + 1
		count++
		bytes += int64(len(e))
		if len(errs) == wrongMax {
			wrong("and so on")
			return errors.Join(errs...)
		}
	}
	if count != l.count || bytes != l.bytes || count == 0 {
		wrong("there are %d elements of %d bytes, the metadata say %d of %d", count, bytes, l.count, l.bytes)
	}
	return errors.Join(errs...)
}

// wrongMax is how many things Check finds before it has seen enough.
const wrongMax = 20
