package streams

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cairnmq/cairn/policy"
)

// # Delivering again, by time
//
// XREADGROUP with CLAIM, and with a lease, wants the entries that nobody owns,
// then those whose delivery was over longest ago. Pending entries are in pages by
// ID, of which a million may be on disk; so they are found by way of the
// directory, whose pages also stand in two lines: one by when those of its
// entries can be had that were given back, one by when those were delivered that
// somebody owns. Each is a heap by `due`, before which no entry of the page has
// its turn.
//
//	line of owners   p5-0 due 100    p9-3 due 140    p7-0 due 170  …
//	                      │ opened first: 5-0 at 100, 6-0 at 150
//	redelivered      5-0  (100)        ► then p9-3 has to be opened, as 140 < 150
//
// An entry's turn is its delivery time; if deliveries back off, that and the wait
// after so many of them: how long it has to be idle is added to all alike, so
// that one line serves whoever asks. Those that were given back have their turn
// in the order in which they were; if deliveries back off, when their wait is
// over.
//
// What a consumer may get are the entries whose message is still there. One
// whose message was deleted stays pending and would be looked at by every call;
// so `due` leaves those out that were found to be gone, and those that were
// delivered as often as may be and can go nowhere. It is a bound, not the truth:
// it may be too low (an entry was acknowledged, or deleted), never too high.
// Whoever comes for nothing makes it exact.

// Redelivery is what is said about delivering the entries of a group again. The
// zero value says nothing, which is Redis' way.
type Redelivery struct {
	// BackoffMin is how long after its first delivery has ended an entry waits for
	// the next, in ms; the wait doubles each time, up to BackoffMax.
	BackoffMin, BackoffMax int64
	// Most is how many deliveries an entry gets; one that has had them is buried
	// in place of the next. 0: any number.
	Most uint64
	// Stuck says that there is no place to bury them: they stay pending.
	Stuck bool
	// DropGone makes entries no longer pending when they have their turn and their
	// message was deleted.
	DropGone bool
}

// Dead is an entry that is not to be delivered any more. It is valid during the
// call only.
type Dead struct {
	*Entry
	Consumer   string // who had it last; empty: nobody
	Deliveries uint64
	Rejected   bool // by XNACK FATAL, not for its deliveries
}

// Bury takes an entry away for good, and reports whether it could. The group
// then acknowledges it. nil cannot.
type Bury func(Dead) bool

// Obey sets what holds for the group from now on. It is to be called before
// whatever delivers entries or gives them back; nobody else remembers it.
func (g *Group) Obey(r Redelivery) {
	if g.pages.rules != r {
		g.pages.rules = r
		g.reconsider()
	}
}

func (r *Redelivery) delays() bool { return r.BackoffMax > 0 }

// wait returns how long an entry has to wait after so many deliveries. One that
// was never delivered, or whose delivery does not count, need not, nor one that is
// to be buried.
func (r *Redelivery) wait(deliveries uint64) int64 {
	if !r.delays() || deliveries == 0 || r.ends(deliveries) {
		return 0
	}
	s := policy.Settings{BackoffMin: r.BackoffMin, BackoffMax: r.BackoffMax}
	return s.Backoff(int64(min(deliveries, deliveriesMax)))
}

// exhausted reports whether the entry was delivered as often as may be.
func (r *Redelivery) exhausted(p *Pending) bool { return r.ends(p.Deliveries) }

func (r *Redelivery) ends(deliveries uint64) bool { return r.Most > 0 && deliveries >= r.Most }

// turn returns when the entry has its turn, in its line: of one that was given
// back without any delay its place among those.
func (r *Redelivery) turn(p *Pending) int64 {
	at := p.Time
	if p.consumer == nobody {
		if !r.delays() {
			return at
		}
		at = p.nacked
	}
	if wait := r.wait(p.Deliveries); at <= math.MaxInt64-wait {
		return at + wait
	}
	return dueNever - 1
}

// The lines in which a page stands.
const (
	lineNacked = iota // of the entries that were given back
	lineOwned
	lineCount
)

// standing is a page's place in a line.
type standing struct {
	due   int64 // no entry of the line that can be delivered again has its turn before
	place int   // from 1 on; 0: not there
}

func lineOf(p *Pending) int {
	if p.consumer == nobody {
		return lineNacked
	}
	return lineOwned
}

// line is a heap of pages by due.
type line struct {
	pages []*page
	which int
}

func (h *line) Len() int { return len(h.pages) }
func (h *line) Less(i, j int) bool {
	a, b := h.pages[i], h.pages[j]
	if x, y := a.in[h.which].due, b.in[h.which].due; x != y {
		return x < y
	}
	return a.key.Less(b.key)
}

func (h *line) Swap(i, j int) {
	h.pages[i], h.pages[j] = h.pages[j], h.pages[i]
	h.pages[i].in[h.which].place, h.pages[j].in[h.which].place = i+1, j+1
}

func (h *line) Push(x any) {
	p := x.(*page)
	h.pages = append(h.pages, p)
	p.in[h.which].place = len(h.pages)
}

func (h *line) Pop() any {
	last := len(h.pages) - 1
	p := h.pages[last]
	h.pages[last] = nil
	h.pages = h.pages[:last]
	p.in[h.which].place = 0
	return p
}

// set changes when a page is due, which may be out of the line.
func (h *line) set(p *page, due int64) {
	at := &p.in[h.which]
	at.due = due
	if at.place > 0 {
		heap.Fix(h, at.place-1)
	}
}

func (h *line) drop(p *page) {
	if place := p.in[h.which].place; place > 0 {
		heap.Remove(h, place-1)
	}
}

// dueNever is when a page is due with nothing to deliver again.
const dueNever = math.MaxInt64

// least returns a bound for when the page is due in a line, as far as its header
// tells.
func (d *directory) least(p *page, which int) int64 {
	switch {
	case which == lineOwned:
		return max(p.oldest, 0)
	case p.oldest >= 0:
		return dueNever
	case d.rules.delays():
		return 0
	}
	return p.oldest
}

// enter puts a new page into the lines.
func (d *directory) enter(p *page) {
	for which := range d.lines {
		p.in[which].due = d.least(p, which)
		heap.Push(&d.lines[which], p)
	}
}

// reconsider forgets what was found to be gone: IDs are given again, or other
// rules hold.
func (g *Group) reconsider() {
	d := &g.pages
	for which := range d.lines {
		for _, p := range d.all {
			p.in[which].due = d.least(p, which)
		}
		heap.Init(&d.lines[which])
	}
}

// NextDue returns a time before which nothing can be delivered again to who
// wants what has been idle for so many ms; ok is false if there is no such thing.
func (g *Group) NextDue(idleMin int64) (at int64, ok bool) {
	first := func(which int) int64 {
		if l := &g.pages.lines[which]; l.Len() > 0 {
			return l.pages[0].in[which].due
		}
		return dueNever
	}
	at = dueNever
	if due := first(lineNacked); due != dueNever {
		at = max(due, 0)
	}
	if due := first(lineOwned); due < dueNever-idleMin {
		at = min(at, due+idleMin)
	}
	return at, at != dueNever
}

// Delayed returns how many pending entries have to wait for their next delivery
// although the last one is over: those given back, and those delivered lease ms
// ago (0: a delivery has no end) that r makes wait. It looks at all that are pending.
func (g *Group) Delayed(r Redelivery, lease int64) (n int64) {
	if !r.delays() {
		return 0
	}
	now := g.s.tx.NowMillis()
	g.EachPending(ID{}, MaxID, nil, 0, func(p *Pending, owner *Consumer) bool {
		switch at := r.turn(p); {
		case owner == nil && at > now,
			owner != nil && lease > 0 && p.Time+lease <= now && at > now-lease:
			n++
		}
		return true
	})
	return n
}

// openPage is a page of which entries have their turn.
type openPage struct {
	*page
	left []Pending // by turn
	due  int64     // of what is not in left
}

// openPages is a heap of them.
type openPages struct {
	pages []*openPage
	rules *Redelivery
}

func (r *Redelivery) compare(a, b *Pending) int {
	if c := cmp.Compare(r.turn(a), r.turn(b)); c != 0 {
		return c
	}
	return a.ID.Compare(b.ID)
}

func (h *openPages) Len() int { return len(h.pages) }
func (h *openPages) Less(i, j int) bool {
	return h.rules.compare(&h.pages[i].left[0], &h.pages[j].left[0]) < 0
}
func (h *openPages) Swap(i, j int) { h.pages[i], h.pages[j] = h.pages[j], h.pages[i] }
func (h *openPages) Push(x any)    { h.pages = append(h.pages, x.(*openPage)) }
func (h *openPages) Pop() any {
	last := len(h.pages) - 1
	p := h.pages[last]
	h.pages = h.pages[:last]
	return p
}

// open takes the first page out of a line.
func (g *Group) open(l *line, limit int64) *openPage {
	rules := &g.pages.rules
	p := &openPage{page: heap.Pop(l).(*page), due: dueNever}
	for _, e := range g.peek(p.page) {
		switch {
		case lineOf(&e) != l.which:
		case rules.turn(&e) <= limit:
			p.left = append(p.left, e)
		default:
			p.due = min(p.due, rules.turn(&e))
		}
	}
	slices.SortFunc(p.left, func(a, b Pending) int { return rules.compare(&a, &b) })
	return p
}

// eachDue calls do for the pending entries of a line that have their turn at
// limit or before, in order. do may change them and says so; what it neither
// changes nor has enough of is gone. It reports whether there was enough.
func (g *Group) eachDue(which int, limit int64, do func(*Pending) edit) bool {
	l := &g.pages.lines[which]
	rules := &g.pages.rules
	var opened []*openPage
	turn := openPages{rules: rules}
	done := edit(0)
	for done&enough == 0 {
		for l.Len() > 0 && l.pages[0].in[which].due <= limit && (len(turn.pages) == 0 || l.mayPrecede(rules, &turn.pages[0].left[0])) {
			p := g.open(l, limit)
			opened = append(opened, p)
			if len(p.left) > 0 {
				heap.Push(&turn, p)
			}
		}
		if len(turn.pages) == 0 {
			break
		}
		p := turn.pages[0]
		e := p.left[0]
		if done = do(&e); done&enough != 0 {
			break
		}
		switch {
		case done&dropped != 0:
			g.takeOut(p.page, e.ID)
		case done&written != 0:
			g.replace(p.page, e)
			if lineOf(&e) == which {
				p.due = min(p.due, rules.turn(&e))
			}
		}
		if p.left = p.left[1:]; len(p.left) > 0 {
			heap.Fix(&turn, 0)
		} else {
			heap.Pop(&turn)
		}
	}
	for _, p := range opened {
		if p.count == 0 {
			g.dropPage(g.pages.find(p.key))
			continue
		}
		p.in[which].due = p.due
		if len(p.left) > 0 {
			p.in[which].due = min(p.due, rules.turn(&p.left[0]))
		}
		heap.Push(l, p.page)
	}
	return done&enough != 0
}

// mayPrecede reports whether the first page of the line may have an entry whose
// turn is before e's.
func (h *line) mayPrecede(rules *Redelivery, e *Pending) bool {
	p, turn := h.pages[0], rules.turn(e)
	return p.in[h.which].due < turn || (p.in[h.which].due == turn && p.key.Less(e.ID))
}

// replace writes an entry that the page has.
func (g *Group) replace(p *page, e Pending) {
	entries := g.hold(p)
	at, ok := searchPending(entries, e.ID)
	if !ok {
		return // the store cannot be read
	}
	g.counted(entries[at].consumer, -1)
	entries[at] = e
	g.counted(e.consumer, +1)
	g.took(p, &e)
	g.changed(p)
}

// takeOut removes an entry that the page has. The caller drops the page if it is
// empty then.
func (g *Group) takeOut(p *page, id ID) {
	at, ok := searchPending(g.hold(p), id)
	if !ok {
		return // the store cannot be read
	}
	g.counted(p.entries[at].consumer, -1)
	p.entries = slices.Delete(p.entries, at, at+1)
	if p.count--; p.count > 0 {
		g.changed(p)
	}
}

// Again is an entry that is delivered again, and how it was before: for how
// long it had been waiting, in ms, and how often it had been delivered.
type Again struct {
	*Entry
	Idle       int64
	Deliveries uint64
}

// Due says what ReadDue is to deliver.
type Due struct {
	Batch
	// IdleMin is how long ago, in ms, an entry must have been delivered, if it is
	// not nobody's. What deliveries back off comes on top.
	IdleMin int64
	// Bury takes what was delivered as often as may be.
	Bury Bury
}

// buriedMax is how many entries a call buries; the next goes on.
const buriedMax = 1000

// ReadDue delivers to c pending entries that are nobody's or were delivered long
// enough ago, whoever had them, and returns how many. An entry is valid during
// the call only.
func (g *Group) ReadDue(c *Consumer, d Due, yield func(Again)) (delivered int) {
	s, rules := g.s, &g.pages.rules
	now := s.tx.NowMillis()
	entries := sought{s: s}
	defer entries.close()
	buried, changed := 0, false
	var fresh map[ID]bool // what was delivered just now, and is due again
	deliver := func(p *Pending) edit {
		if d.full(delivered) || buried == buriedMax {
			return enough
		}
		if fresh[p.ID] {
			return written // as it is
		}
		if rules.Stuck && rules.exhausted(p) {
			return 0
		}
		e, there := entries.get(p.ID)
		switch {
		case !there && rules.DropGone:
			changed = true
			return dropped
		case !there:
			return 0
		case rules.exhausted(p):
			if !s.tx.Fits(1, int64(e.Bytes())) {
				return enough
			}
			if !g.bury(d.Bury, &e, p, false) {
				return 0
			}
			buried++
			return dropped
		}
		yield(Again{&e, now - max(p.Time, 0), p.Deliveries})
		delivered++
		if d.IdleMin == 0 && p.consumer == nobody {
			if fresh == nil {
				fresh = make(map[ID]bool)
			}
			fresh[p.ID] = true
		}
		p.consumer, p.Time, p.nacked = c.number, now, 0
		p.delivered()
		return written
	}
	limit := int64(-1) // all places are below 0
	if rules.delays() {
		limit = now
	}
	if !g.eachDue(lineNacked, limit, deliver) {
		g.eachDue(lineOwned, max(now-d.IdleMin, -1), deliver)
	}
	if delivered > 0 {
		g.active(c)
	}
	if delivered > 0 || buried > 0 || changed {
		s.tx.ChangedQuietly(s.o, "")
	}
	return delivered
}

// bury takes a pending entry away, if that is possible. What is pending remains
// the caller's to change.
func (g *Group) bury(do Bury, e *Entry, p *Pending, fatal bool) bool {
	d := Dead{Entry: e, Consumer: g.ownerName(p), Deliveries: p.Deliveries, Rejected: fatal || p.Deliveries == deliveriesMax}
	if do == nil || g.pages.rules.Stuck || !do(d) {
		g.pages.rules.Stuck = true // until Obey says otherwise
		return false
	}
	return true
}

// ownerName returns the name of the consumer that has the entry, if anybody has.
func (g *Group) ownerName(p *Pending) string {
	if c := g.byNumber[p.consumer]; c != nil {
		return c.Name
	}
	return ""
}

// checkDue looks for entries that the lines would miss.
func (g *Group) checkDue() error {
	var errs []error
	d := &g.pages
	for which := range d.lines {
		l := &d.lines[which]
		if l.Len() != len(d.all) {
			errs = append(errs, fmt.Errorf("%d pages, %d of them in line %d", len(d.all), l.Len(), which))
		}
		for i, p := range l.pages {
			if p.in[which].place != i+1 || (i > 0 && l.Less(i, (i-1)/2)) {
				errs = append(errs, fmt.Errorf("page %s is at place %d of line %d, not %d", p.key, i+1, which, p.in[which].place))
			}
		}
	}
	for _, p := range d.all {
		entries := g.peek(p)
		for i := range entries {
			e := &entries[i]
			due := p.in[lineOf(e)].due
			if d.rules.turn(e) >= due || (d.rules.Stuck && d.rules.exhausted(e)) || !g.s.has(e.ID) {
				continue
			}
			if _, there := g.s.Get(e.ID); there {
				errs = append(errs, fmt.Errorf("pending entry %s of %d is missed: page %s is due at %d", e.ID, e.Time, p.key, due))
			}
		}
	}
	return errors.Join(errs...)
}
