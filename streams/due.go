package streams

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"math"
	"slices"
)

// # Delivering again, by time
//
// XREADGROUP with CLAIM wants the entries that nobody owns, then those that were
// delivered longest ago: the order of Pending.Time. Pending entries are in pages
// by ID, of which a million may be on disk; so they are found by way of the
// directory, whose pages also stand in a line by time: a heap by `due`, before
// which no entry of the page was delivered.
//
//	line by time   p5-0 due 100    p9-3 due 140    p7-0 due 170  …
//	                    │ opened first: 5-0 at 100, 6-0 at 150
//	redelivered    5-0  (100)        ► then p9-3 has to be opened, as 140 < 150
//
// What a consumer may get are the entries whose message is still there. One
// whose message was deleted stays pending and would be looked at by every call;
// so `due` leaves those out that were found to be gone. It is a bound, not the
// truth: it may be too low (an entry was acknowledged, or deleted), never too
// high. Whoever comes for nothing makes it exact.

// duePages is a heap of pages by due.
type duePages []*page

func (h duePages) Len() int { return len(h) }
func (h duePages) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].key.Less(h[j].key)
}

func (h duePages) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

func (h *duePages) Push(x any) {
	p := x.(*page)
	*h = append(*h, p)
	p.place = len(*h)
}

func (h *duePages) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	p.place = 0
	return p
}

// set changes the due time of a page, which may be out of the line.
func (h *duePages) set(p *page, due int64) {
	p.due = due
	if p.place > 0 {
		heap.Fix(h, p.place-1)
	}
}

func (h *duePages) drop(p *page) {
	if p.place > 0 {
		heap.Remove(h, p.place-1)
	}
}

// dueNever is the due time of a page with nothing to deliver again.
const dueNever = math.MaxInt64

// reconsider forgets what was found to be gone: IDs are given again.
func (g *Group) reconsider() {
	for _, p := range g.pages.all {
		p.due = p.oldest
	}
	heap.Init(&g.pages.byTime)
}

// NextDue returns a time before which nothing was delivered that can be
// delivered again; ok is false if there is no such thing.
func (g *Group) NextDue() (at int64, ok bool) {
	if line := g.pages.byTime; len(line) > 0 && line[0].due != dueNever {
		return max(line[0].due, 0), true
	}
	return 0, false
}

// openPage is a page of which entries have their turn.
type openPage struct {
	*page
	left []Pending // by time
	due  int64     // of what is not in left
}

func byTime(a, b Pending) int {
	if c := cmp.Compare(a.Time, b.Time); c != 0 {
		return c
	}
	return a.ID.Compare(b.ID)
}

type openPages []*openPage

func (h openPages) Len() int           { return len(h) }
func (h openPages) Less(i, j int) bool { return byTime(h[i].left[0], h[j].left[0]) < 0 }
func (h openPages) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *openPages) Push(x any)        { *h = append(*h, x.(*openPage)) }
func (h *openPages) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}

// open takes the first page out of the line by time.
func (g *Group) open(limit int64) *openPage {
	p := &openPage{page: heap.Pop(&g.pages.byTime).(*page), due: dueNever}
	for _, e := range g.peek(p.page) {
		if e.Time <= limit {
			p.left = append(p.left, e)
		} else {
			p.due = min(p.due, e.Time)
		}
	}
	slices.SortFunc(p.left, byTime)
	return p
}

// eachDue calls do for the pending entries that were delivered at limit or
// before, the one first that is first to be delivered again. do may change it
// and says so; what it neither changes nor has enough of is gone.
func (g *Group) eachDue(limit int64, do func(*Pending) edit) {
	d := &g.pages
	var opened []*openPage
	var turn openPages
	for done := edit(0); done&enough == 0; {
		for len(d.byTime) > 0 && d.byTime[0].due <= limit && (len(turn) == 0 || d.byTime[0].mayPrecede(&turn[0].left[0])) {
			p := g.open(limit)
			opened = append(opened, p)
			if len(p.left) > 0 {
				heap.Push(&turn, p)
			}
		}
		if len(turn) == 0 {
			break
		}
		p := turn[0]
		e := p.left[0]
		if done = do(&e); done&enough != 0 {
			break
		}
		if done&written != 0 {
			g.replace(p.page, e)
			p.due = min(p.due, e.Time)
		}
		if p.left = p.left[1:]; len(p.left) > 0 {
			heap.Fix(&turn, 0)
		} else {
			heap.Pop(&turn)
		}
	}
	for _, p := range opened {
		p.page.due = p.due
		if len(p.left) > 0 {
			p.page.due = min(p.due, p.left[0].Time)
		}
		heap.Push(&d.byTime, p.page)
	}
}

// mayPrecede reports whether the page may have an entry whose turn is before e's.
func (p *page) mayPrecede(e *Pending) bool {
	return p.due < e.Time || (p.due == e.Time && p.key.Less(e.ID))
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

// Again is an entry that is delivered again, and how it was before: for how
// long it had been waiting, in ms, and how often it had been delivered.
type Again struct {
	*Entry
	Idle       int64
	Deliveries uint64
}

// ReadDue delivers to c pending entries that are nobody's or were delivered at
// least idleMin ms ago, whoever had them, and returns how many. An entry is valid
// during the call only.
func (g *Group) ReadDue(c *Consumer, idleMin int64, b Batch, yield func(Again)) (delivered int) {
	s := g.s
	now := s.tx.NowMillis()
	entries := sought{s: s}
	defer entries.close()
	g.eachDue(max(now-idleMin, -1), func(p *Pending) edit {
		if b.full(delivered) {
			return enough
		}
		e, there := entries.get(p.ID)
		if !there {
			return 0
		}
		yield(Again{&e, now - max(p.Time, 0), p.Deliveries})
		delivered++
		p.consumer, p.Time = c.number, now
		p.delivered()
		return written
	})
	if delivered > 0 {
		g.active(c)
		s.tx.ChangedQuietly(s.o, "")
	}
	return delivered
}

// checkDue looks for entries that the line by time would miss.
func (g *Group) checkDue() error {
	var errs []error
	if len(g.pages.byTime) != len(g.pages.all) {
		errs = append(errs, fmt.Errorf("%d pages, %d of them in the line by time", len(g.pages.all), len(g.pages.byTime)))
	}
	for i, p := range g.pages.byTime {
		if p.place != i+1 || (i > 0 && g.pages.byTime.Less(i, (i-1)/2)) {
			errs = append(errs, fmt.Errorf("page %s is at place %d of the line by time, not %d", p.key, i+1, p.place))
		}
		entries := g.peek(p)
		for j := range entries {
			if e := &entries[j]; e.Time < p.due && g.s.has(e.ID) {
				if _, there := g.s.Get(e.ID); there {
					errs = append(errs, fmt.Errorf("pending entry %s of %d is missed: page %s is due at %d", e.ID, e.Time, p.key, p.due))
				}
			}
		}
	}
	return errors.Join(errs...)
}
