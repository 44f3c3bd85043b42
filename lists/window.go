package lists

import "sort"

// window is a part of a list in memory: consecutive elements, from the position
// from on, and the runs that they are in. All of a run is in a window, or
// nothing of it, but for what was popped.
type window struct {
	from  uint64
	items ring[[]byte]
	runs  ring[run]
	bytes int
}

// run is what is known of a run in memory.
type run struct {
	// key is the position of its first element, end is behind its last one, those
	// included that were popped since its record was written.
	key, end uint64
	ms       int64
	// fresh says that it has no record yet. Then size is what its elements will
	// take there.
	fresh bool
	size  int
}

// elementBytes and runOverhead are what an element and a run cost in a window
// beside the content.
const (
	elementBytes = 32
	runOverhead  = 40
)

func (w *window) n() int { return w.items.n }

func (w *window) empty() bool { return w.items.n == 0 }

func (w *window) to() uint64 { return w.from + uint64(w.items.n) }

// at returns the element at a position.
func (w *window) at(position uint64) []byte { return *w.items.at(int(position - w.from)) }

// holds reports whether the window has the element at a position.
func (w *window) holds(position uint64) bool {
	return position >= w.from && position < w.to()
}

// live returns where the elements of a run are that were not popped.
func (w *window) live(r *run) (from, to uint64) {
	return max(r.key, w.from), min(r.end, w.to())
}

// runAt returns the index of the run that has the element at a position.
func (w *window) runAt(position uint64) int {
	return sort.Search(w.runs.n, func(i int) bool { return w.runs.at(i).end > position })
}

func (w *window) pushFront(e []byte) {
	w.items.pushFront(e)
	w.from--
	w.bytes += len(e) + elementBytes
}

func (w *window) pushBack(e []byte) {
	w.items.pushBack(e)
	w.bytes += len(e) + elementBytes
}

func (w *window) popFront() []byte {
	e := w.items.popFront()
	w.from++
	w.bytes -= len(e) + elementBytes
	return e
}

func (w *window) popBack() []byte {
	e := w.items.popBack()
	w.bytes -= len(e) + elementBytes
	return e
}

func (w *window) pushRun(end End, r run) {
	if end == Left {
		w.runs.pushFront(r)
	} else {
		w.runs.pushBack(r)
	}
	w.bytes += runOverhead
}

func (w *window) popRun(end End) run {
	w.bytes -= runOverhead
	if end == Left {
		return w.runs.popFront()
	}
	return w.runs.popBack()
}

// outermost returns the run at an end of a window that is not empty.
func (w *window) outermost(end End) *run {
	if end == Left {
		return w.runs.at(0)
	}
	return w.runs.at(w.runs.n - 1)
}

// drop forgets the run at an end, with its elements.
func (w *window) drop(end End) {
	r := w.outermost(end)
	from, to := w.live(r)
	for range to - from {
		if end == Left {
			w.popFront()
		} else {
			w.popBack()
		}
	}
	w.popRun(end)
}

// reset empties the window; its next element will be at position from.
func (w *window) reset(from uint64) {
	*w = window{from: from}
}

// ring is a queue that grows and shrinks at both ends.
type ring[T any] struct {
	slots []T // as many as a power of two
	first int // the index of the first one in use
	n     int
}

func (r *ring[T]) at(i int) *T { return &r.slots[(r.first+i)&(len(r.slots)-1)] }

func (r *ring[T]) grow() {
	if r.n < len(r.slots) {
		return
	}
	bigger := make([]T, max(4, 2*len(r.slots)))
	for i := range r.n {
		bigger[i] = *r.at(i)
	}
	r.slots, r.first = bigger, 0
}

func (r *ring[T]) pushFront(v T) {
	r.grow()
	r.first = (r.first - 1) & (len(r.slots) - 1)
	r.slots[r.first] = v
	r.n++
}

func (r *ring[T]) pushBack(v T) {
	r.grow()
	r.n++
	*r.at(r.n - 1) = v
}

func (r *ring[T]) popFront() (v T) {
	slot := r.at(0)
	v, *slot = *slot, v
	r.first = (r.first + 1) & (len(r.slots) - 1)
	r.n--
	return v
}

func (r *ring[T]) popBack() (v T) {
	slot := r.at(r.n - 1)
	v, *slot = *slot, v
	r.n--
	return v
}

// all copies what is in the ring.
func (r *ring[T]) all() []T {
	out := make([]T, r.n)
	for i := range out {
		out[i] = *r.at(i)
	}
	return out
}

// set makes the ring hold what all is.
func (r *ring[T]) set(all []T) {
	*r = ring[T]{}
	for _, v := range all {
		r.pushBack(v)
	}
}
