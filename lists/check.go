package lists

import (
	"errors"
	"fmt"
)

// Check reads the whole list, between two turns, and says what is wrong with it.
func (l List) Check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if l.count <= 0 {
		wrong("the metadata say %d elements", l.count)
	}
	var items [][]byte
	count, size, next := int64(0), int64(0), l.first
	for sub, value := range l.tx.Scan(l.o, nil, nil, false) {
		if len(errs) == wrongMax {
			wrong("and so on")
			return errors.Join(errs...)
		}
		key, ok := decodeSubKey(sub)
		if !ok {
			wrong("a record with the key %x", sub)
			continue
		}
		if l.isDead(key) {
			continue
		}
		if key != next {
			wrong("a run at position %d where %d is expected", key, next)
		}
		var err error
		if items, _, err = decodeRun(value, items[:0]); err != nil {
			wrong("the run at position %d: %w", key, err)
			continue
		}
		next = key + uint64(len(items))
		from, to := max(key, l.head), min(next, l.tail())
		if from >= to {
			wrong("a run from position %d to %d has no element of those from %d to %d", key, next, l.head, l.tail())
			continue
		}
		count += int64(to - from)
		for _, e := range items[from-key : to-key] {
			size += int64(len(e))
		}
	}
	if count != l.count || size != l.bytes {
		wrong("there are %d elements of %d bytes, the metadata say %d of %d", count, size, l.count, l.bytes)
	}
	if next != l.end {
		wrong("the last run ends at position %d, where %d is expected", next, l.end)
	}
	return errors.Join(errs...)
}

// wrongMax is how many things Check finds before it has seen enough.
const wrongMax = 20
