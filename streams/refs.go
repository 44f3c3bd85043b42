package streams

// Refs says what it means for an entry that is to be deleted that consumer
// groups refer to it: that it is pending there, or that a group has not read it
// yet.
type Refs uint8

const (
	KeepRefs Refs = iota // nothing: it is deleted, and pending all the same
	DropRefs             // it is deleted, and pending no longer
	Acked                // it is not deleted
)

// Deleted says what became of an entry that was to be deleted.
type Deleted int64

const (
	DeletedNot  Deleted = -1 // there was no such entry
	DeletedDone Deleted = 1
	DeletedKept Deleted = 2 // somebody refers to it
)

// references is what groups refer to, while entries are being deleted.
type references struct {
	mode   Refs
	groups []groupRefs
	// passed is the last ID that every group has been given.
	passed ID
}

// groupRefs looks into a group's pending entries. The page looked at last is
// kept, as the next one is likely to be in it.
type groupRefs struct {
	*Group
	page    *page
	entries []Pending // of it, unless the page has them
}

func (s *Stream) references(mode Refs) *references {
	r := &references{mode: mode}
	if mode == KeepRefs {
		return r
	}
	for i, g := range s.Groups() {
		r.groups = append(r.groups, groupRefs{Group: g})
		if i == 0 || g.last.Less(r.passed) {
			r.passed = g.last
		}
	}
	return r
}

// protects reports whether the entry id has to stay.
func (r *references) protects(id ID) bool {
	if r.mode != Acked || len(r.groups) == 0 {
		return false
	}
	if r.passed.Less(id) {
		return true
	}
	for i := range r.groups {
		if r.groups[i].has(id) {
			return true
		}
	}
	return false
}

// has reports whether the entry id is pending.
func (g *groupRefs) has(id ID) bool {
	i := g.pages.find(id)
	if i < 0 {
		return false
	}
	p := g.pages.all[i]
	entries := p.entries
	if entries == nil {
		if g.page != p {
			g.page, g.entries = p, g.read(p, g.entries[:0])
		}
		entries = g.entries
	}
	_, ok := searchPending(entries, id)
	return ok
}

// drop removes what refers to the entry id, if that is wanted.
func (r *references) drop(id ID) (dropped bool) {
	if r.mode != DropRefs {
		return false
	}
	for i := range r.groups {
		dropped = r.groups[i].remove(id) || dropped
	}
	return dropped
}

// DeleteEach removes single entries, as far as mode lets it, and says of each
// what became of it.
func (s *Stream) DeleteEach(ids []ID, mode Refs) []Deleted {
	r, before := s.references(mode), s.length
	results := make([]Deleted, len(ids))
	released := false
	for i, id := range ids {
		released = r.drop(id) || released
		results[i] = s.deleteUnless(id, r)
	}
	s.deletedEach(before, released)
	return results
}

// AckDelete acknowledges entries and removes them, as far as mode lets it. What
// is not pending in the group counts as not there.
func (g *Group) AckDelete(ids []ID, mode Refs) []Deleted {
	s := g.s
	r, before := s.references(mode), s.length
	results := make([]Deleted, len(ids))
	released := false
	for i, id := range ids {
		if !g.remove(id) {
			results[i] = DeletedNot
			continue
		}
		released = true
		g.Acked.Add(1, s.tx.NowMillis())
		r.drop(id)
		if results[i] = s.deleteUnless(id, r); results[i] == DeletedNot {
			results[i] = DeletedDone // long ago
		}
	}
	s.deletedEach(before, released)
	return results
}

func (s *Stream) deleteUnless(id ID, r *references) Deleted {
	switch {
	case r.protects(id):
		return DeletedKept
	case s.deleteOne(id):
		return DeletedDone
	}
	return DeletedNot
}

// deletedEach reports what was done to the stream, which had that many entries
// before, and to its groups.
func (s *Stream) deletedEach(before uint64, released bool) {
	if s.length != before {
		s.tx.Changed(s.o, "xdel")
	} else if released {
		s.tx.ChangedQuietly(s.o, "")
	}
}

// ---- trimming --------------------------------------------------------------

// refsTrim is a trim that looks at each entry, as groups refer to entries. It
// goes through the stream once, a batch at a time.
type refsTrim struct {
	Trim
	s *Stream
	r *references

	from     ID     // where the next batch begins
	goes     []ID   // the batch
	leading  int    // how many of them nothing stays before
	kept     bool   // something has stayed
	examined uint64 // entries
	done     bool
}

// refsTrimBatch is about how many entries are removed at once: their IDs are in
// memory.
const refsTrimBatch = 1 << 16

// trimRefs is Trim where groups refer to entries.
func (s *Stream) trimRefs(t Trim) {
	if t.By == TrimMaxLen && s.length <= t.MaxLen {
		return
	}
	if t.Approx && t.By == TrimMaxLen { // what most calls find, and firstNode remembers
		if entries, _ := s.firstNode(); s.length < t.MaxLen+entries {
			return
		}
	}
	trim := refsTrim{Trim: t, s: s, r: s.references(t.Refs), from: s.first}
	if trim.allStay(s.first) {
		return
	}
	for !trim.done && s.length > 0 && s.tx.Err() == nil {
		trim.goes, trim.leading = trim.goes[:0], 0
		if t.Approx {
			trim.chooseNodes()
		} else {
			trim.chooseEntries()
		}
		trim.remove()
	}
}

// chooseEntries finds the next batch.
func (t *refsTrim) chooseEntries() {
	t.done = true // unless the batch gets full
	t.s.Range(t.from, t.s.top, false, func(e *Entry) bool {
		switch {
		case len(t.goes) == refsTrimBatch:
			t.from, t.done = e.ID, false
			return false
		case t.By == TrimMaxLen && t.left() <= t.MaxLen, t.By == TrimMinID && !e.ID.Less(t.MinID), t.allStay(e.ID):
			return false
		}
		t.choose(e.ID)
		return true
	})
}

// left is how many entries there will be.
func (t *refsTrim) left() uint64 { return t.s.length - uint64(len(t.goes)) }

// allStay reports whether all entries from id on have to stay.
func (t *refsTrim) allStay(id ID) bool { return t.Refs == Acked && t.r.passed.Less(id) }

func (t *refsTrim) choose(id ID) {
	t.examined++
	if t.r.protects(id) {
		t.kept = true
		return
	}
	t.goes = append(t.goes, id)
	if !t.kept {
		t.leading++
	}
}

// chooseNodes finds the next batch, of the macro nodes that may go as a whole.
func (t *refsTrim) chooseNodes() {
	t.done = true
	var node []ID
	mark, open := byte(0), false
	ended := false // the last of them was found
	t.s.Range(t.from, t.s.top, false, func(e *Entry) bool {
		isOpen := t.s.node.has(e.ID)
		if len(node) > 0 && (e.node != mark || isOpen != open) {
			if ended = !t.chooseNode(node); ended {
				return false
			}
			node = node[:0]
			if len(t.goes) >= refsTrimBatch {
				t.from, t.done, ended = e.ID, false, true
				return false
			}
		}
		mark, open = e.node, isOpen
		node = append(node, e.ID)
		return true
	})
	if !ended && len(node) > 0 {
		t.chooseNode(node)
	}
}

// chooseNode takes the entries of a macro node, and reports whether it may.
func (t *refsTrim) chooseNode(node []ID) bool {
	n := uint64(len(node))
	switch {
	case t.Limit > 0 && t.examined+n > t.Limit:
		return false
	case t.By == TrimMaxLen && (t.left() <= t.MaxLen || t.left()-n < t.MaxLen):
		return false
	case t.By == TrimMinID && !node[n-1].Less(t.MinID), t.allStay(node[0]):
		return false
	}
	for _, id := range node {
		t.choose(id)
	}
	return true
}

// remove deletes the batch.
func (t *refsTrim) remove() {
	s := t.s
	for _, id := range t.goes {
		t.r.drop(id)
	}
	for _, id := range t.goes[t.leading:] {
		s.erase(id)
	}
	switch n := uint64(t.leading); {
	case n == 0:
	case n == s.length:
		s.clear()
	default:
		s.removeFirst(n)
	}
}
