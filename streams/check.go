package streams

import (
	"errors"
	"fmt"
)

// Check reads the whole stream and says what is wrong with it.
func (s *Stream) Check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	count, bytes, open := uint64(0), uint64(0), uint32(0)
	var first, top ID
	// All records of entries, not only those between first and top.
	for sub, record := range s.tx.Scan(s.o, []byte{kindEntry}, entriesEnd, false) {
		if len(sub) != 1+idBytes {
			wrong("entry with the key %x", sub)
			continue
		}
		id := decodeID(sub[1:])
		e, err := decodeEntry(id, record)
		if err != nil {
			wrong("entry %s: %w", id, err)
			continue
		}
		if count == 0 {
			first = id
		}
		top = id
		count++
		bytes += uint64(len(e.data))
		if s.node.has(id) {
			open++
		}
	}
	if count != s.length || bytes != s.bytes {
		wrong("there are %d entries of %d bytes, the metadata say %d of %d", count, bytes, s.length, s.bytes)
	}
	if first != s.first || top != s.top {
		wrong("entries from %s to %s, the metadata say %s to %s", first, top, s.first, s.top)
	}
	if s.last.Less(s.top) {
		wrong("entry %s is behind the last ID %s", s.top, s.last)
	}
	if s.node.live != open {
		wrong("the open macro node has %d entries, the metadata say %d", open, s.node.live)
	}
	for _, r := range []*run{&s.tail, &s.ahead, &s.head} {
		errs = append(errs, s.checkRun(r))
	}
	s.checkProducers(wrong)
	groups := s.Groups()
	if len(groups) != int(s.groups) {
		wrong("there are %d groups, the metadata say %d", len(groups), s.groups)
	}
	for _, g := range groups {
		errs = append(errs, s.checkRun(&g.ahead))
		if err := g.check(); err != nil {
			wrong("group %q: %w", g.name, err)
		}
	}
	return errors.Join(errs...)
}

// checkRun compares a run with what the records say.
func (s *Stream) checkRun(r *run) error {
	if s.length == 0 || !r.after.Less(r.upto) {
		return nil
	}
	start, _ := later(r.after, s.beforeFirst()).Next()
	at := r.search(start)
	for sub, record := range s.tx.Scan(s.o, new(subKey).entry(start), behind(earlier(r.upto, s.top)), false) {
		id := decodeID(sub[1:])
		if at == len(r.entries) || r.entries[at].id != id || string(r.entries[at].record) != string(record) {
			return fmt.Errorf("entry %s is not what is in memory between %s and %s", id, r.after, r.upto)
		}
		at++
	}
	if at < len(r.entries) && !s.top.Less(r.entries[at].id) {
		return fmt.Errorf("entry %s is in memory only", r.entries[at].id)
	}
	return nil
}

func (g *Group) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	pending := make(map[uint32]int)
	total, resident := 0, 0
	for i, p := range g.pages.all {
		if p.entries != nil {
			resident++
		}
		entries := g.peek(p)
		total += len(entries)
		if len(entries) != p.count || p.count == 0 || p.count > pageEntriesMax {
			wrong("page %s has %d entries, the directory says %d", p.key, len(entries), p.count)
		}
		for j := range entries {
			e := &entries[j]
			pending[e.consumer]++
			if (e.consumer == nobody) != (e.Time < 0) || e.Time > placeFirst+g.nacks && e.Time < 0 {
				wrong("pending entry %s has the time %d", e.ID, e.Time)
			}
			if e.consumer != nobody && g.byNumber[e.consumer] == nil {
				wrong("pending entry %s has an unknown owner", e.ID)
			}
			if e.ID.Less(p.key) || (i+1 < len(g.pages.all) && !e.ID.Less(g.pages.all[i+1].key)) {
				wrong("pending entry %s is in the wrong page, %s", e.ID, p.key)
			}
			if j > 0 && !entries[j-1].ID.Less(e.ID) {
				wrong("pending entry %s is out of order", e.ID)
			}
			if e.Time < p.oldest || p.owners&owner(e.consumer) == 0 {
				wrong("pending entry %s does not fit what the directory says of page %s", e.ID, p.key)
			}
		}
	}
	if pending[nobody] != g.pages.nacked {
		wrong("%d entries are nobody's, the directory says %d", pending[nobody], g.pages.nacked)
	}
	errs = append(errs, g.checkDue())
	if total != g.pages.pending || resident != g.pages.resident {
		wrong("%d entries are pending, %d pages in memory, the directory says %d and %d", total, resident, g.pages.pending, g.pages.resident)
	}
	for _, c := range g.byName {
		if pending[c.number] != c.Pending {
			wrong("consumer %q has %d pending, counted were %d", c.Name, pending[c.number], c.Pending)
		}
	}
	if len(g.byName) != len(g.byNumber) {
		wrong("%d consumers by name, %d by number", len(g.byName), len(g.byNumber))
	}
	return errors.Join(errs...)
}
