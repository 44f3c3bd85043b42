package streams

import (
	"math"
	"slices"
	"sort"
)

// Pending is an entry that was delivered and not yet acknowledged.
type Pending struct {
	ID ID
	// Time is when it was last delivered (unix ms), Deliveries how often. Within
	// this package the Time of an entry that was given back is its place in the
	// line of those (layout.go); outside it is 0.
	Time       int64
	Deliveries uint64

	consumer uint32
	nacked   int64 // of an entry that was given back: when that was
}

// idle returns for how long the entry has been waiting, in ms: for ever, if it
// is nobody's.
func (p *Pending) idle(now int64) int64 { return idleSince(p.Time, now) }

func idleSince(time, now int64) int64 {
	if time < 0 {
		return math.MaxInt64
	}
	return now - time
}

// deliveriesMax is the highest number of deliveries that clients can be told.
const deliveriesMax = math.MaxInt64

// delivered counts a delivery.
func (p *Pending) delivered() { p.Deliveries = min(p.Deliveries, deliveriesMax-1) + 1 }

// A page holds up to pageEntriesMax pending entries with neighbouring IDs. In
// memory there is always its place in the directory; its entries only while
// they are in use.
type page struct {
	key     ID // of its record; not above its first entry
	count   int
	oldest  int64     // no entry was delivered before that
	owners  uint64    // a bit for each consumer, modulo 64; never one too few
	entries []Pending // nil: on disk only

	stored bool // there is a record
	dirty  bool // it is not what the entries say
	used   bool // since the last flush
	gone   bool // no longer in the directory
	in     [lineCount]standing
}

// directory is the pages of a group in the order of their IDs.
type directory struct {
	all     []*page
	pending int // entries in all of them
	nacked  int // of these are nobody's
	lines   [lineCount]line
	rules   Redelivery

	hot      []*page // those in memory, in no order, and some that are gone
	resident int     // how many are in memory
	dirty    []*page // those to write, and some that are gone
	scratch  []Pending
	shares   []share
	spare    [][]Pending // for new pages
}

func newDirectory() (d directory) {
	for which := range d.lines {
		d.lines[which].which = which
	}
	return d
}

const (
	pageEntriesMax = 128
	// Two neighbours that got small become one.
	pageEntriesSmall  = 32
	pageEntriesMerged = 64
	// hotPagesMax is how many unchanged pages a group keeps in memory.
	hotPagesMax = 256

	sparePagesMax = 8

	pageBytes    = 170 // of a page without entries
	pendingBytes = 48
)

func (d *directory) memoryBytes() int {
	entries := min(d.resident*pageEntriesMax, 2*d.pending) + len(d.spare)*pageEntriesMax + cap(d.scratch)
	return len(d.all)*pageBytes + entries*pendingBytes
}

// blank returns an empty list for the entries of a page.
func (d *directory) blank() []Pending {
	if n := len(d.spare); n > 0 {
		entries := d.spare[n-1]
		d.spare = d.spare[:n-1]
		return entries
	}
	return make([]Pending, 0, 16)
}

// cool lets go of a page's entries, but not of its place.
func (d *directory) cool(p *page) {
	if p.entries == nil {
		return
	}
	if len(d.spare) < sparePagesMax {
		d.spare = append(d.spare, p.entries[:0])
	}
	p.entries, p.used = nil, false
	d.resident--
}

// heat notes that a page has its entries in memory.
func (d *directory) heat(p *page) {
	d.hot = append(d.hot, p)
	d.resident++
}

func owner(consumer uint32) uint64 { return 1 << (consumer % 64) }

// find returns the index of the last page that begins at or below id, -1 if
// there is none.
func (d *directory) find(id ID) int {
	return sort.Search(len(d.all), func(i int) bool { return id.Less(d.all[i].key) }) - 1
}

func searchPending(entries []Pending, id ID) (int, bool) {
	i := sort.Search(len(entries), func(i int) bool { return !entries[i].ID.Less(id) })
	return i, i < len(entries) && entries[i].ID == id
}

// loadPages reads the directory, and how much each consumer has pending.
func (g *Group) loadPages() {
	s, d := g.s, &g.pages
	from, to := groupBounds(kindPage, g.number)
	for sub, record := range s.tx.Scan(s.o, from, to, false) {
		r := reader{p: record}
		h := r.pageHeader(d.shares[:0])
		if r.err != nil {
			s.corrupt("pending entries of group "+g.name, r.err)
			return
		}
		d.shares = h.shares
		p := &page{key: decodeID(sub[5:]), stored: true}
		p.say(h)
		for _, share := range h.shares {
			g.counted(share.consumer, int(share.count))
		}
		d.all = append(d.all, p)
		for which := range d.lines {
			d.lines[which].Push(p)
		}
	}
	g.reconsider()
}

// say takes over what a header says.
func (p *page) say(h pageHeader) {
	p.count, p.oldest, p.owners = h.count, h.oldest, 0
	for _, share := range h.shares {
		p.owners |= owner(share.consumer)
	}
}

// summarise computes what the directory says of a page from its entries.
func (d *directory) summarise(p *page) pageHeader {
	h := summarise(p.entries, d.shares[:0])
	d.shares = h.shares
	p.say(h)
	for which := range d.lines {
		if least := d.least(p, which); p.in[which].due < least {
			d.lines[which].set(p, least)
		}
	}
	return h
}

// peek returns the entries of a page, which are not to be changed; they are
// valid until the next peek.
func (g *Group) peek(p *page) []Pending {
	if p.entries != nil {
		return p.entries
	}
	g.pages.scratch = g.read(p, g.pages.scratch[:0])
	return g.pages.scratch
}

// hold returns the entries of a page, kept in memory.
func (g *Group) hold(p *page) []Pending {
	if p.entries == nil {
		p.entries = g.read(p, g.pages.blank())
		g.pages.heat(p)
	}
	p.used = true
	return p.entries
}

func (g *Group) read(p *page, entries []Pending) []Pending {
	record, ok := g.s.tx.Get(g.s.o, new(subKey).page(g.number, p.key))
	if !ok {
		g.s.corrupt("pending entries of group "+g.name, errMissing)
		return entries
	}
	entries, err := decodePage(p.key, record, entries)
	if err != nil {
		g.s.corrupt("pending entries of group "+g.name, err)
		return entries[:0]
	}
	return entries
}

// changed notes that a page has to be written.
func (g *Group) changed(p *page) {
	if !p.dirty {
		p.dirty = true
		g.pages.dirty = append(g.pages.dirty, p)
		g.list()
	}
}

// newPage puts a page with the given entries at place i of the directory.
func (g *Group) newPage(i int, entries []Pending) *page {
	p := &page{key: entries[0].ID, entries: entries, used: true}
	g.pages.summarise(p)
	g.pages.enter(p)
	g.pages.all = slices.Insert(g.pages.all, i, p)
	g.pages.heat(p)
	g.changed(p)
	return p
}

// dropPage takes page i, which has no entries left, out of the directory.
func (g *Group) dropPage(i int) {
	p := g.pages.all[i]
	p.gone = true
	if p.stored {
		g.s.tx.Delete(g.s.o, new(subKey).page(g.number, p.key))
	}
	g.pages.cool(p)
	for which := range g.pages.lines {
		g.pages.lines[which].drop(p)
	}
	g.pages.all = slices.Delete(g.pages.all, i, i+1)
}

// deliver makes id pending for c as of now, whether or not it was.
func (g *Group) deliver(id ID, c *Consumer, now int64) {
	g.put(Pending{ID: id, Time: now, Deliveries: 1, consumer: c.number})
}

// put writes a pending entry, in place of the one with the same ID if there is
// one.
func (g *Group) put(e Pending) {
	d := &g.pages
	i := d.find(e.ID)
	if i < 0 {
		if len(d.all) == 0 || d.all[0].count >= pageEntriesMax {
			g.newPage(0, append(d.blank(), e))
			g.counted(e.consumer, 1)
			return
		}
		g.rekey(d.all[0], e.ID)
		i = 0
	}
	p := d.all[i]
	entries := g.hold(p)
	at, there := len(entries), false
	if at > 0 && !entries[at-1].ID.Less(e.ID) {
		at, there = searchPending(entries, e.ID)
	}
	if there {
		g.counted(entries[at].consumer, -1)
		entries[at] = e
	} else {
		if len(entries) >= pageEntriesMax {
			if at == len(entries) && i == len(d.all)-1 {
				g.newPage(i+1, append(d.blank(), e))
				g.counted(e.consumer, 1)
				return
			}
			g.split(i)
			g.put(e)
			return
		}
		p.entries = slices.Insert(entries, at, e)
		p.count++
	}
	g.counted(e.consumer, 1)
	g.took(p, &e)
	g.changed(p)
}

// took notes in the directory that a page has got an entry.
func (g *Group) took(p *page, e *Pending) {
	p.oldest = min(p.oldest, e.Time)
	p.owners |= owner(e.consumer)
	which := lineOf(e)
	if turn := g.pages.rules.turn(e); turn < p.in[which].due {
		g.pages.lines[which].set(p, turn)
	}
}

// counted keeps the sums of pending entries.
func (g *Group) counted(consumer uint32, n int) {
	g.pages.pending += n
	if consumer == nobody {
		g.pages.nacked += n
	} else if c := g.byNumber[consumer]; c != nil {
		c.Pending += n
	}
}

// rekey gives the page a lower ID to begin with.
func (g *Group) rekey(p *page, id ID) {
	g.hold(p)
	if p.stored {
		g.s.tx.Delete(g.s.o, new(subKey).page(g.number, p.key))
		p.stored = false
	}
	p.key = id
	for which := range g.pages.lines {
		g.pages.lines[which].set(p, p.in[which].due)
	}
	g.changed(p)
}

// split divides a full page in two.
func (g *Group) split(i int) {
	p := g.pages.all[i]
	half := len(p.entries) / 2
	upper := append(g.pages.blank(), p.entries[half:]...)
	p.entries = p.entries[:half]
	g.pages.summarise(p)
	g.changed(p)
	g.newPage(i+1, upper)
}

// lookup returns the pending entry id.
func (g *Group) lookup(id ID) (e Pending, ok bool) {
	i := g.pages.find(id)
	if i < 0 {
		return Pending{}, false
	}
	entries := g.hold(g.pages.all[i])
	at, ok := searchPending(entries, id)
	if !ok {
		return Pending{}, false
	}
	return entries[at], true
}

// remove drops the pending entry id.
func (g *Group) remove(id ID) bool {
	i := g.pages.find(id)
	if i < 0 {
		return false
	}
	p := g.pages.all[i]
	at, ok := searchPending(g.hold(p), id)
	if !ok {
		return false
	}
	g.counted(p.entries[at].consumer, -1)
	p.entries = slices.Delete(p.entries, at, at+1)
	p.count--
	if p.count == 0 {
		g.dropPage(i)
	} else {
		g.changed(p)
	}
	return true
}

// flushPages writes the pages that have changed, and lets go of those in
// memory that were not used of late.
func (g *Group) flushPages() {
	s, d := g.s, &g.pages
	for i := 0; i < len(d.dirty); i++ { // merging adds to it
		p := d.dirty[i]
		d.dirty[i] = nil
		p.dirty = false
		if p.gone || g.merge(p) {
			continue
		}
		s.record = appendPage(s.record[:0], p.key, d.summarise(p), p.entries)
		s.tx.Put(s.o, new(subKey).page(g.number, p.key), s.record)
		p.stored = true
	}
	d.dirty = d.dirty[:0]
	g.coolPages()
}

// merge moves the entries of a page to the one before if both are small.
func (g *Group) merge(p *page) bool {
	if p.count > pageEntriesSmall {
		return false
	}
	d := &g.pages
	i := d.find(p.key)
	if i < 1 {
		return false
	}
	before := d.all[i-1]
	if before.entries == nil || before.count+p.count > pageEntriesMerged {
		return false
	}
	before.entries = append(before.entries, p.entries...)
	before.count = len(before.entries)
	before.oldest = min(before.oldest, p.oldest)
	before.owners |= p.owners
	for which := range d.lines {
		if due := p.in[which].due; due < before.in[which].due {
			d.lines[which].set(before, due)
		}
	}
	g.dropPage(i)
	g.changed(before)
	return true
}

// coolPages bounds the pages in memory. It comes after the dirty ones were
// written.
func (g *Group) coolPages() {
	d := &g.pages
	if len(d.hot) <= hotPagesMax {
		return
	}
	kept := d.hot[:0]
	for _, p := range d.hot {
		switch {
		case p.gone:
		case p.used && len(kept) < hotPagesMax:
			p.used = false
			kept = append(kept, p)
		default:
			d.cool(p)
		}
	}
	clear(d.hot[len(kept):])
	d.hot = kept
}
