package lists

import (
	"bytes"
	"iter"

	"github.com/cairnmq/cairn/storage"
)

// What takes long in a very large list is done in two steps. The first reads, and
// may do so in a snapshot: how large the part is that goes, where the elements
// are that equal another, or it builds a new list of those that stay. The second
// changes the list, and takes no time to speak of. Between the two the list must
// not have changed.

// Cut removes n elements of so many bytes from an end, as Pop does.
func (l List) Cut(end End, n, bytes int64) {
	if n < l.count {
		bytes = l.bytes - bytes
		l.trimEnd(end, n)
		l.bytes = bytes
		l.popped(end)
		return
	}
	l.o.Out.Add(n, l.tx.NowMillis())
	l.tx.Event(l.o, storage.TypeList, popEvent(end))
	l.tx.Event(l.o, storage.TypeNone, "del")
	l.tx.Drop(l.o)
}

// Matches are elements that are equal: N of them, from the index First to Last.
// No other element between these two equals them.
type Matches struct{ N, First, Last int64 }

// Find looks for elements equal to e: up to limit of them from the head on, from
// the tail on if fromTail, all if limit is 0. It gives up (ok is false) when it
// would have to look at more than so many elements.
func (l List) Find(e []byte, limit int64, fromTail bool, steps int64) (m Matches, ok bool) {
	ok = true
	look := func(i int64, x []byte) bool {
		if ok = steps > 0; !ok {
			return false
		}
		steps--
		if bytes.Equal(x, e) {
			if m.N == 0 {
				m.First, m.Last = i, i
			}
			m.First, m.Last = min(m.First, i), max(m.Last, i)
			m.N++
		}
		return limit == 0 || m.N < limit
	}
	if fromTail {
		l.RangeReverse(0, l.count, look)
	} else {
		l.Range(0, l.count, look)
	}
	return m, ok
}

// Shift returns how many elements have to move when matches are removed.
func (l List) Shift(m Matches) int64 { return min(m.Last+1, l.count-m.First) }

// Without returns the elements of the list but for matches of e. Each is valid
// until the next only.
func (l List) Without(e []byte, m Matches) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		l.Range(0, l.count, func(i int64, x []byte) bool {
			return (m.First <= i && i <= m.Last && bytes.Equal(x, e)) || yield(x)
		})
	}
}

// With returns the elements of the list with another one in front of index at.
// Each is valid until the next only.
func (l List) With(at int64, e []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		more := true
		l.Range(0, l.count, func(i int64, x []byte) bool {
			if i == at {
				more = yield(e)
			}
			more = more && yield(x)
			return more
		})
		if more && at == l.count {
			yield(e)
		}
	}
}

// RemoveMatches is Remove for matches of e.
func (l List) RemoveMatches(e []byte, m Matches) error {
	if m.N == l.count {
		l.tx.Changed(l.o, "lrem")
		l.tx.Event(l.o, storage.TypeNone, "del")
		l.tx.Drop(l.o)
		return nil
	}
	found := make([]int64, 0, m.N)
	l.Range(m.First, m.Last+1, func(i int64, x []byte) bool {
		if bytes.Equal(x, e) {
			found = append(found, i)
		}
		return true
	})
	return l.removeFound(found, e)
}

// Build builds a list of elements, of which there has to be one, at a site.
func Build(site *storage.Tx, elements iter.Seq[[]byte]) *storage.Built {
	return site.Complete(Create(site, nil, elements).o)
}

// Replace gives the list the elements of one that was built; event says of what
// that is the outcome.
func (l List) Replace(b *storage.Built, event string) {
	l.tx.Exchange(l.o, b)
	l.tx.Changed(l.o, event)
	l.tx.MarkReady(l.o)
}

func popEvent(end End) string {
	if end == Left {
		return "lpop"
	}
	return "rpop"
}
