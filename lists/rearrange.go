package lists

// What changes in the middle of a list is changed in a window, which has to have
// all that moves: everything on one side of it. What has changed or moved is
// written again with the turn.

// piece is a run of a window that is being rearranged: n elements, which are not
// the ones that they were if it has changed.
type piece struct {
	run
	n       int
	changed bool
}

// reach returns a window that has the element at a position and all on one side
// of it; nil if the store cannot be read.
func (l List) reach(side End, position uint64) *window {
	w := l.filled(side)
	if side == Left {
		if !w.holds(position) {
			l.growFront(func() bool { return !l.front.holds(position) })
		}
	} else if w == &l.back && !w.holds(position) {
		l.growBack(func() bool { return !l.back.holds(position) })
	}
	if !w.holds(position) {
		l.joinWindows()
		w = &l.front
	}
	if !w.holds(position) {
		l.missing()
		return nil
	}
	return w
}

// joinWindows makes one window of the two, when there is nothing between them.
func (l *list) joinWindows() {
	for i := range l.back.items.n {
		l.front.pushBack(*l.back.items.at(i))
	}
	for i := range l.back.runs.n {
		l.front.pushRun(Right, *l.back.runs.at(i))
	}
	l.back.reset(l.tail())
}

// newRun returns a run that is to get an element.
func (l List) newRun() run {
	l.fresh++
	return run{ms: l.tx.NowMillis(), fresh: true}
}

// pieces returns the runs of a window.
func (l List) pieces(w *window) []piece {
	pieces := make([]piece, w.runs.n, w.runs.n+2)
	for i := range pieces {
		r := w.runs.at(i)
		from, to := w.live(r)
		pieces[i] = piece{run: *r, n: int(to - from)}
	}
	return pieces
}

// split puts a piece behind so many elements of the ith one, in place of the next
// few of them.
func (l List) split(pieces []piece, i, behind int, p piece, inPlaceOf int) []piece {
	whole := pieces[i]
	out := append(make([]piece, 0, len(pieces)+2), pieces[:i]...)
	before, after := whole, whole
	before.n, after.n = behind, whole.n-behind-inPlaceOf
	before.changed, after.changed = before.n < whole.n, after.n < whole.n
	switch {
	case before.n == 0:
		out = append(out, p, after)
	case after.n == 0:
		out = append(out, before, p)
	default:
		// The record, if there is one, goes with the first of the two.
		after.run = run{ms: whole.ms, fresh: true}
		l.fresh++
		out = append(out, before, p, after)
	}
	return append(out, pieces[i+1:]...)
}

// lay gives a window other elements, in runs of which those at the fixed end stay
// where they are. The list's count is what it is to be.
func (l List) lay(w *window, fixed End, items [][]byte, pieces []piece) {
	l.buryAll() // what moves may get their keys
	position := w.from
	if fixed == Right {
		position = w.to() - uint64(len(items))
	}
	var runs []run
	from, old := position, *w
	w.reset(from)
	w.items.set(items)
	for _, p := range pieces {
		if p.n == 0 {
			l.forget(p.run)
			continue
		}
		start, _ := old.live(&p.run)
		if p.changed || start != position {
			r := &p.run
			if !r.fresh {
				l.gone = append(l.gone, r.key)
				r.fresh = true
				l.fresh++
			}
			r.key, r.end = position, position+uint64(p.n)
			size := 0
			for _, e := range items[position-from : r.end-from] {
				size += encodedBytes(e)
			}
			l.resize(r, size)
		}
		runs = append(runs, p.run)
		position += uint64(p.n)
	}
	w.runs.set(runs)
	w.bytes = len(runs) * runOverhead
	for _, e := range items {
		w.bytes += len(e) + elementBytes
	}
	if w == &l.front {
		l.head = w.from
	}
	if l.back.empty() {
		l.back.from = l.tail()
	}
	if w.empty() && w == &l.front {
		l.first = l.head
	}
	if w.empty() && (w == &l.back || l.count == 0) {
		l.end = l.tail()
	}
	l.noteEnds()
	l.shrinkBoth()
}

// shrinkBoth keeps the windows to their bounds.
func (l List) shrinkBoth() {
	l.shrink(&l.front, Right)
	l.shrink(&l.back, Left)
}
