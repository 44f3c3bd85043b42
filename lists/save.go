package lists

import (
	"fmt"

	"github.com/cairnmq/cairn/storage"
)

// What a turn does to a list stays in memory until it ends: runs without a record
// (fresh), and records without a run (gone, and dead: dead.go). Then all of it is
// written at once.
// Until then nobody else reads the records of a list, and the list itself reads
// only what is between its windows, where nothing is fresh: so a turn that pushes
// and pops needs no index of what it has written (storage.Tx.view).
//
// It is written earlier when a window becomes too big for what has no record yet,
// and before something in the middle of a list is changed on disk.

// Flush implements storage.State.
func (l *list) Flush(tx *storage.Tx, o *storage.Object) { List{tx, o, l}.save() }

// save writes what has changed since it was last called.
func (l List) save() {
	l.bury(Left)
	l.bury(Right)
	for _, key := range l.gone {
		l.tx.DeleteOnce(l.o, l.subKey(key))
	}
	if l.gone = l.gone[:0]; cap(l.gone) > goneMax {
		l.gone = nil
	}
	// Fresh runs are nearly always at an end of a window.
	for i := 0; l.fresh > 0; i++ {
		if i >= l.front.runs.n && i >= l.back.runs.n {
			panic(fmt.Sprintf("lists: key %q has %d fresh runs that are in no window", l.o.Key, l.fresh))
		}
		for _, w := range []*window{&l.front, &l.back} {
			if i < w.runs.n {
				l.saveRun(w, w.runs.at(i))
				l.saveRun(w, w.runs.at(w.runs.n-1-i))
			}
		}
	}
}

// goneMax is for how many records to be deleted a list keeps room.
const goneMax = 64

// saveRun writes the record of a run that has none.
func (l List) saveRun(w *window, r *run) {
	if !r.fresh {
		return
	}
	first, count := int(r.key-w.from), int(r.end-r.key)
	l.tx.PutFunc(l.o, l.subKey(r.key), runBytes(count, r.size), func(value []byte) {
		p := appendRunHeader(value[:0], r.ms, count)
		for i := first; i < first+count; i++ {
			p = appendElement(p, *w.items.at(i))
		}
		if len(p) != len(value) {
			panic(fmt.Sprintf("lists: a run of %d bytes in a record of %d", len(p), len(value)))
		}
	})
	l.resize(r, 0)
	r.fresh = false
	l.fresh--
}

// freshen has the record of a run in a window written again, as the run is now.
func (l List) freshen(w *window, r *run) {
	from, to := w.live(r)
	if !r.fresh {
		l.gone = append(l.gone, r.key)
		r.fresh = true
		l.fresh++
	}
	r.key, r.end = from, to
	size := 0
	for p := from; p < to; p++ {
		size += encodedBytes(w.at(p))
	}
	l.resize(r, size)
}

// resize notes what a fresh run will take.
func (l List) resize(r *run, size int) {
	l.tx.Hold(size - r.size)
	r.size = size
}

// forget has the record of a run removed which is in no window any more.
func (l List) forget(r run) {
	if r.fresh {
		l.resize(&r, 0)
		l.fresh--
	} else {
		l.gone = append(l.gone, r.key)
	}
}
