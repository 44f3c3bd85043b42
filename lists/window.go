package lists

// window is a run of consecutive elements of a list in memory, from the
// position from on. Elements may be taken from and put to either end.
type window struct {
	from  uint64
	items [][]byte // a ring: first is the index of the first element
	first int
	n     int
	bytes int
}

// elementBytes is what an element costs in a window beside its content.
const elementBytes = 32

func (w *window) to() uint64 { return w.from + uint64(w.n) }

func (w *window) at(i int) []byte { return w.items[(w.first+i)&(len(w.items)-1)] }

func (w *window) set(i int, e []byte) {
	slot := &w.items[(w.first+i)&(len(w.items)-1)]
	w.bytes += len(e) - len(*slot)
	*slot = e
}

// holds reports whether the window has the element at a position.
func (w *window) holds(position uint64) bool {
	return position >= w.from && position < w.to()
}

func (w *window) grow() {
	if w.n < len(w.items) {
		return
	}
	bigger := make([][]byte, max(8, 2*len(w.items)))
	for i := range w.n {
		bigger[i] = w.at(i)
	}
	w.items, w.first = bigger, 0
}

func (w *window) pushFront(e []byte) {
	w.grow()
	w.first = (w.first - 1) & (len(w.items) - 1)
	w.items[w.first] = e
	w.from--
	w.n++
	w.bytes += len(e) + elementBytes
}

func (w *window) pushBack(e []byte) {
	w.grow()
	w.items[(w.first+w.n)&(len(w.items)-1)] = e
	w.n++
	w.bytes += len(e) + elementBytes
}

func (w *window) popFront() []byte {
	slot := &w.items[w.first]
	e := *slot
	*slot = nil
	w.first = (w.first + 1) & (len(w.items) - 1)
	w.from++
	w.n--
	w.bytes -= len(e) + elementBytes
	return e
}

func (w *window) popBack() []byte {
	slot := &w.items[(w.first+w.n-1)&(len(w.items)-1)]
	e := *slot
	*slot = nil
	w.n--
	w.bytes -= len(e) + elementBytes
	return e
}

// reset empties the window; its next element will be at position from.
func (w *window) reset(from uint64) {
	*w = window{from: from}
}
