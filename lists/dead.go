package lists

// # Dead records
//
// A queue that many take from, among many others, has a run of one element or two,
// and each pop would delete a record, far away in the memtable from all else that the
// turn deletes. So records whose elements were popped are left where they are for a
// while: they are *dead*. They lie outside of what the list has (first, end), where
// nobody reads, and the metadata say how far they reach. They are deleted together,
// next to each other, when there are deadRecordsMax of them or deadBytesMax were
// popped; before something is pushed at their end, where it would get their keys; and
// with the last element.

// Variables for the tests only, which shrink them.
var (
	// deadRecordsMax is how many records are dead at one end of a list when they are
	// deleted.
	deadRecordsMax = 64
	// deadBytesMax is how much was popped at an end when what is dead there is
	// deleted: it bounds what a list that nobody uses any more has on disk in vain.
	deadBytesMax = 8 << 10
)

// dead are the dead records at one end of a list.
type dead struct {
	from, to uint64   // of their keys; equal if there are none
	keys     []uint64 // those that died since the list came into memory
	found    bool     // there may be others, from before
	bytes    int      // that were popped
	due      bool     // they have to be deleted
}

func (d *dead) empty() bool { return d.from == d.to }

// add says that a record is dead.
func (d *dead) add(key uint64) {
	if d.empty() {
		d.from, d.to = key, key+1
	}
	d.from, d.to = min(d.from, key), max(d.to, key+1)
	d.keys = append(d.keys, key)
}

// at returns what is dead at an end.
func (l *list) deadAt(end End) *dead {
	if end == Left {
		return &l.dead[0]
	}
	return &l.dead[1]
}

// buryAll has all dead records deleted when the list is saved.
func (l *list) buryAll() { l.dead[0].due, l.dead[1].due = true, true }

// bury deletes dead records, if it is time to.
func (l List) bury(end End) {
	d := l.deadAt(end)
	if !d.due && !l.manyDead(d) {
		return
	}
	if d.found {
		d.keys = d.keys[:0]
		l.scan(d.from, d.to, false, func(r run, _ [][]byte) bool {
			d.keys = append(d.keys, r.key)
			return true
		})
	}
	for _, key := range d.keys {
		l.tx.DeleteOnce(l.o, l.subKey(key))
	}
	*d = dead{keys: d.keys[:0]}
	if cap(d.keys) > goneMax {
		d.keys = nil
	}
}

// isDead says whether a record with that key is one that is not deleted yet.
func (l *list) isDead(key uint64) bool {
	left, right := l.deadAt(Left), l.deadAt(Right)
	return key < l.first && left.from <= key || key >= l.end && key < right.to
}

// manyDead says whether what is dead is to be deleted.
func (l List) manyDead(d *dead) bool {
	return len(d.keys) >= l.part(deadRecordsMax) || d.bytes >= l.part(deadBytesMax)
}

// part returns between a half and all of n, for each list something else: lists that
// are emptied at the same pace would otherwise all come to it in the same turn.
func (l List) part(n int) int {
	const steps = 16
	return max(1, n*(steps+int(l.o.ID()%steps))/(2*steps))
}

// deadReach returns how many positions before the first record, and how many behind the
// last one, there may be dead ones.
func (l *list) deadReach() (before, behind uint64) {
	if d := l.deadAt(Left); !d.empty() {
		before = l.first - d.from
	}
	if d := l.deadAt(Right); !d.empty() {
		behind = d.to - l.end
	}
	return before, behind
}

// foundDead takes what the metadata say.
func (l *list) foundDead(before, behind uint64) {
	l.dead = [2]dead{
		{from: l.first - before, to: l.first, found: before > 0},
		{from: l.end, to: l.end + behind, found: behind > 0},
	}
}
