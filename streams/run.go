package streams

import (
	"slices"
	"sort"
)

// A run is a part of a stream in memory, without gaps: all entries behind
// `after` up to `upto`. A stream keeps few of them, each of bounded size: its
// end, for consumers who are caught up; what was read ahead for a group (or for
// XREAD, or for a trim), by one iterator for many calls. The entries just read
// stay a while, as they are likely to be deleted or claimed.
type run struct {
	after, upto ID
	entries     []stored
	bytes       int
	arena       []byte
	chunk       int // how many entries to read next time
}

// stored is an entry as it is on disk. The record never changes.
type stored struct {
	id     ID
	record []byte
}

const (
	// runBytesMax bounds a run.
	runBytesMax = 128 << 10
	// chunkMin and chunkMax are how many entries are read ahead at once: few
	// at first, more for who goes on reading.
	chunkMin = 16
	chunkMax = 1024

	storedBytes   = 40
	arenaBytesMin = 1 << 10
	arenaBytesMax = 16 << 10
)

// reset empties the run: it then covers nothing, and begins behind id.
func (r *run) reset(id ID) {
	r.after, r.upto = id, id
	if len(r.entries) > 0 {
		*r = run{after: id, upto: id}
	}
}

// covers reports whether the run knows what comes behind id.
func (r *run) covers(id ID) bool { return !id.Less(r.after) && id.Less(r.upto) }

// push adds an entry at the end.
func (r *run) push(id ID, record []byte) {
	if cap(r.arena)-len(r.arena) < len(record) {
		size := min(max(2*cap(r.arena), arenaBytesMin), arenaBytesMax)
		r.arena = make([]byte, 0, max(size, len(record)))
	}
	at := len(r.arena)
	r.arena = append(r.arena, record...)
	r.entries = append(r.entries, stored{id, r.arena[at:len(r.arena):len(r.arena)]})
	r.bytes += storedBytes + len(record)
	r.upto = id
}

// shrink drops the oldest entries until the run is within its bounds.
func (r *run) shrink(bytesMax int) {
	n := 0
	for ; r.bytes > bytesMax && n < len(r.entries)-1; n++ {
		r.bytes -= storedBytes + len(r.entries[n].record)
	}
	if n == 0 {
		return
	}
	r.after = r.entries[n-1].id
	clear(r.entries[:n]) // lets go of the records
	r.entries = r.entries[n:]
}

// search returns the index of the first entry from id on.
func (r *run) search(id ID) int {
	return sort.Search(len(r.entries), func(i int) bool { return !r.entries[i].id.Less(id) })
}

// find returns the record of the entry id. known tells whether the run knows
// of id at all: if it does and there is no record, there is no such entry.
func (r *run) find(id ID) (record []byte, known bool) {
	if !r.after.Less(id) || r.upto.Less(id) {
		return nil, false
	}
	if i := r.search(id); i < len(r.entries) && r.entries[i].id == id {
		return r.entries[i].record, true
	}
	return nil, true
}

// remove drops one entry.
func (r *run) remove(id ID) {
	if i := r.search(id); i < len(r.entries) && r.entries[i].id == id {
		r.bytes -= storedBytes + len(r.entries[i].record)
		r.entries = slices.Delete(r.entries, i, i+1)
	}
}

// walk calls yield for the entries behind id until it returns false. It reads
// ahead into r, expecting that the caller takes about want entries and comes
// back for more.
func (s *Stream) walk(r *run, id ID, want int, yield func(*Entry) bool) {
	var e Entry
	for {
		if s.length == 0 || !id.Less(s.top) {
			s.readsTail()
			return
		}
		source := r
		if s.tail.covers(id) {
			source = &s.tail
		} else if !r.covers(id) && !s.fill(r, id, want) {
			return
		}
		if source == &s.tail {
			s.unread = 0
		}
		upto := source.upto
		next, _ := later(id, s.beforeFirst()).Next() // below top
		for i := source.search(next); i < len(source.entries); i++ {
			ok := false
			if e, ok = s.parse(source.entries[i].id, source.entries[i].record); !ok || !yield(&e) {
				return
			}
		}
		id = upto
	}
}

// beforeFirst returns the ID before the first entry: nothing that is there is
// at or below it.
func (s *Stream) beforeFirst() ID {
	id, _ := s.first.Prev() // 0-0 is no entry's ID
	return id
}

// fill reads entries behind id into the run, so that it covers id.
func (s *Stream) fill(r *run, id ID, want int) bool {
	if r.upto != id || len(r.entries) == 0 {
		r.reset(id)
		r.chunk = min(max(want, chunkMin), chunkMax)
	} else {
		r.chunk = min(2*r.chunk, chunkMax)
	}
	from, _ := later(id, s.beforeFirst()).Next() // id is below top
	to := s.top
	if id.Less(s.tail.after) {
		to = earlier(to, s.tail.after) // the rest is in memory
	}
	if to.Less(from) { // all between has been trimmed
		r.reset(id)
		r.upto = to
		return true
	}
	count, bytes, upto := 0, 0, to
	for sub, record := range s.tx.Scan(s.o, new(subKey).entry(from), behind(to), false) {
		if count == r.chunk || (count > 0 && bytes+len(record) > runBytesMax/2) {
			upto = r.upto
			break
		}
		count++
		bytes += storedBytes + len(record)
		r.push(decodeID(sub[1:]), record)
	}
	if s.tx.Err() != nil {
		r.reset(id)
		return false
	}
	r.upto = upto
	r.shrink(runBytesMax)
	return true
}

// parse takes a record apart.
func (s *Stream) parse(id ID, record []byte) (Entry, bool) {
	e, err := decodeEntry(id, record)
	if err != nil {
		s.corrupt("entry "+id.String(), err)
		return Entry{}, false
	}
	return e, true
}

// Get returns the entry id, if it is there. It stays valid.
func (s *Stream) Get(id ID) (Entry, bool) {
	if s.length == 0 || id.Less(s.first) || s.top.Less(id) {
		return Entry{}, false
	}
	record, known := s.inMemory(id)
	if !known {
		record, known = s.tx.Get(s.o, new(subKey).entry(id))
	}
	if !known || record == nil {
		return Entry{}, false
	}
	return s.parse(id, record)
}

// inMemory looks for an entry in the runs.
func (s *Stream) inMemory(id ID) (record []byte, known bool) {
	for _, r := range []*run{&s.tail, &s.ahead, &s.head} {
		if record, known = r.find(id); known {
			return record, known
		}
	}
	for _, g := range s.byName {
		if record, known = g.ahead.find(id); known {
			return record, known
		}
	}
	return nil, false
}

// has reports whether the entry id, which was given once, is still there.
func (s *Stream) has(id ID) bool {
	if s.length == 0 || id.Less(s.first) || s.top.Less(id) {
		return false
	}
	if s.deletedTo.Less(id) {
		return true
	}
	_, there := s.Get(id)
	return there
}

// HasAfter reports whether there are entries behind id.
func (s *Stream) HasAfter(id ID) bool {
	if s.length > 0 && id.Less(s.top) {
		return true
	}
	s.readsTail()
	return false
}

// After calls yield for the entries behind id until it returns false: what
// XREAD wants. want is how many the caller is likely to take. What an entry
// holds stays valid, the entry itself is used for the next one.
func (s *Stream) After(id ID, want int, yield func(*Entry) bool) {
	s.walk(&s.ahead, id, want, yield)
}

// Range calls yield for the entries from start to stop, both included, until
// it returns false; in reverse from stop to start. An entry and what it holds
// are valid during the call only.
func (s *Stream) Range(start, stop ID, reverse bool, yield func(*Entry) bool) {
	start, stop = later(start, s.first), earlier(stop, s.top)
	if s.length == 0 || stop.Less(start) {
		return
	}
	if reverse {
		if s.tail.after.Less(stop) && !s.rangeTail(start, stop, true, yield) {
			return
		}
		if !s.tail.after.Less(start) {
			s.rangeDisk(start, earlier(stop, s.tail.after), true, yield)
		}
		return
	}
	if !s.tail.after.Less(start) && !s.rangeDisk(start, earlier(stop, s.tail.after), false, yield) {
		return
	}
	if s.tail.after.Less(stop) {
		s.rangeTail(start, stop, false, yield)
	}
}

func (s *Stream) rangeTail(start, stop ID, reverse bool, yield func(*Entry) bool) (more bool) {
	entries := s.tail.entries[s.tail.search(start):]
	var e Entry
	for i := range entries {
		at := &entries[i]
		if reverse {
			at = &entries[len(entries)-1-i]
		}
		if stop.Less(at.id) {
			if reverse {
				continue
			}
			break
		}
		ok := false
		if e, ok = s.parse(at.id, at.record); !ok || !yield(&e) {
			return false
		}
	}
	return true
}

func (s *Stream) rangeDisk(start, stop ID, reverse bool, yield func(*Entry) bool) (more bool) {
	var e Entry
	for sub, record := range s.tx.Scan(s.o, new(subKey).entry(start), behind(stop), reverse) {
		ok := false
		if e, ok = s.parse(decodeID(sub[1:]), record); !ok || !yield(&e) {
			return false
		}
	}
	return s.tx.Err() == nil
}

// Count returns how many entries there are from start to stop, at most limit.
func (s *Stream) Count(start, stop ID, limit uint64) uint64 {
	if !s.first.Less(start) && !stop.Less(s.top) {
		return min(limit, s.length)
	}
	n := uint64(0)
	s.Range(start, stop, false, func(*Entry) bool {
		n++
		return n < limit
	})
	return min(n, limit)
}
