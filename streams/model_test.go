package streams

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The model is a stream as one would write it without a disk.
type model struct {
	entries    []modelEntry
	last       ID
	maxDeleted ID
	added      int64
	told       bool // that things were otherwise: the counts are not what happened
	nodes      int  // macro nodes begun
	inNode     int  // entries that the last one ever got
	groups     map[string]*modelGroup

	idem       Idempotence
	produced   map[string][]modelProduced // by producer
	remembered uint64                     // messages, ever
	repeated   uint64
}

type modelProduced struct {
	message string
	id      ID
	arrived int64
}

// recall returns the entry that a message became.
func (m *model) recall(producer, message string, now int64) (ID, bool) {
	for _, p := range m.produced[producer] {
		if p.message == message && p.arrived+int64(m.idem.Seconds)*1000 > now {
			return p.id, true
		}
	}
	return ID{}, false
}

func (m *model) remember(producer, message string, id ID, now int64) {
	list := slices.DeleteFunc(m.produced[producer], func(p modelProduced) bool { return p.message == message })
	list = append(list, modelProduced{message, id, now})
	m.produced[producer] = list[max(0, len(list)-int(m.idem.MaxSize)):]
	m.remembered++
}

// tracked counts producers and messages.
func (m *model) tracked(now int64) (producers, messages uint64) {
	for _, list := range m.produced {
		n := uint64(0)
		for _, p := range list {
			if p.arrived+int64(m.idem.Seconds)*1000 > now {
				n++
			}
		}
		if messages += n; n > 0 {
			producers++
		}
	}
	return producers, messages
}

type modelEntry struct {
	id     ID
	values []string
	node   int

	arrived int64
}

type modelGroup struct {
	last      ID
	read      int64
	told      bool
	consumers map[string]*modelConsumer
	pending   []modelPending // by ID
	nacks     int64
	rules     Redelivery
	buried    []string
}

// bury takes an entry out of the group if it can go, and reports that.
func (m *model) bury(g *modelGroup, p modelPending, at int) bool {
	if g.rules.Stuck {
		return false
	}
	g.buried = append(g.buried, fmt.Sprint(show(p.id, m.entries[at].values), " ", p.owner, " ", p.count))
	g.pending = slices.DeleteFunc(g.pending, func(q modelPending) bool { return q.id == p.id })
	return true
}

func (g *modelGroup) exhausted(p modelPending) bool {
	return g.rules.Most > 0 && uint64(p.count) >= g.rules.Most
}

// turn is when an entry can be had by who wants what has been idle for a time.
func (g *modelGroup) turn(p modelPending, idleMin int64) int64 {
	wait := int64(0)
	if p.count > 0 && g.rules.BackoffMax > 0 && !g.exhausted(p) {
		wait = g.rules.BackoffMin
		for n := p.count; n > 1 && wait > 0 && wait < g.rules.BackoffMax; n-- {
			wait *= 2
		}
		wait = min(wait, g.rules.BackoffMax)
	}
	switch {
	case p.owner != "":
		return p.time + idleMin + wait
	case g.rules.BackoffMax > 0:
		return p.nacked + wait
	}
	return p.time
}

type modelConsumer struct{ seen, active int64 }

type modelPending struct {
	id    ID
	owner string // "": nobody; time is then when it was given back, below 0
	time  int64
	count int64

	nacked int64 // when it was given back
}

func (m *model) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(m.entries, id, func(e modelEntry, id ID) int { return e.id.Compare(id) })
}

func (m *model) first() ID {
	if len(m.entries) == 0 {
		return ID{}
	}
	return m.entries[0].id
}

func (m *model) append(id ID, values []string, nodeMax int, now int64) {
	if m.inNode >= nodeMax || len(m.entries) == 0 || m.entries[len(m.entries)-1].node != m.nodes {
		m.nodes++
		m.inNode = 0
	}
	m.inNode++
	m.entries = append(m.entries, modelEntry{id, values, m.nodes, now})
	m.last = id
	m.added++
}

// refers reports whether a group refers to the entry.
func (m *model) refers(id ID) bool {
	for _, g := range m.groups {
		if _, ok := g.find(id); ok || g.last.Less(id) {
			return true
		}
	}
	return false
}

// release removes what refers to the entry.
func (m *model) release(id ID) {
	for _, g := range m.groups {
		if i, ok := g.find(id); ok {
			g.pending = slices.Delete(g.pending, i, i+1)
		}
	}
}

// trimRefs is trim with DELREF or ACKED, when there are groups.
func (m *model) trimRefs(t Trim) (removed int) {
	examined := 0
	var kept []modelEntry
	for i := 0; i < len(m.entries); {
		n := 1
		if t.Approx {
			for i+n < len(m.entries) && m.entries[i+n].node == m.entries[i].node {
				n++
			}
			if t.Limit > 0 && examined+n > int(t.Limit) {
				break
			}
		}
		left := len(m.entries) - removed
		if t.By == TrimMaxLen && (left <= int(t.MaxLen) || left-n < int(t.MaxLen)) {
			break
		}
		if t.By == TrimMinID && !m.entries[i+n-1].id.Less(t.MinID) {
			break
		}
		for _, e := range m.entries[i : i+n] {
			if t.Refs == Acked && m.refers(e.id) {
				kept = append(kept, e)
				continue
			}
			removed++
			if t.Refs == DropRefs {
				m.release(e.id)
			}
		}
		examined += n
		i += n
	}
	m.entries = append(kept, m.entries[removed+len(kept):]...)
	return removed
}

// deleteEach is XDELEX, and with g XACKDEL.
func (m *model) deleteEach(g *modelGroup, ids []ID, mode Refs) (results []Deleted) {
	for _, id := range ids {
		if g != nil {
			i, ok := g.find(id)
			if !ok {
				results = append(results, DeletedNot)
				continue
			}
			g.pending = slices.Delete(g.pending, i, i+1)
		}
		if mode == DropRefs {
			m.release(id)
		}
		result := DeletedDone
		if mode == Acked && m.refers(id) {
			result = DeletedKept
		} else if m.delete([]ID{id}) == 0 && g == nil {
			result = DeletedNot
		}
		results = append(results, result)
	}
	return results
}

func (m *model) nack(g *modelGroup, ids []ID, o Nack, now int64) (n int) {
	for _, id := range ids {
		p := modelPending{id: id}
		if i, ok := g.find(id); ok {
			p = g.pending[i]
		} else if _, there := m.find(id); !there || !o.Force {
			continue
		}
		if o.Mode == NackFatal && o.Bury != nil {
			at, there := m.find(id)
			if !there {
				g.pending = slices.DeleteFunc(g.pending, func(q modelPending) bool { return q.id == id })
			}
			if !there || m.bury(g, p, at) {
				n++
				continue
			}
		}
		switch {
		case o.Retries >= 0:
			p.count = o.Retries
		case o.Mode == NackFatal:
			p.count = math.MaxInt64
		case o.Mode == NackSilent:
			p.count = max(p.count-1, 0)
		}
		p.owner, p.time, p.nacked = "", math.MinInt64/2+g.nacks, now
		g.nacks++
		g.put(p)
		n++
	}
	return n
}

// readDue is what CLAIM, and a lease, add to XREADGROUP.
func (m *model) readDue(g *modelGroup, name string, d Due, now int64) (got []string) {
	c := g.consumer(name, now)
	due := slices.Clone(g.pending)
	slices.SortStableFunc(due, func(a, b modelPending) int {
		if (a.owner == "") != (b.owner == "") {
			return cmp.Compare(a.owner, b.owner)
		}
		return cmp.Compare(g.turn(a, 0), g.turn(b, 0))
	})
	for _, p := range due {
		at, there := m.find(p.id)
		switch {
		case g.turn(p, d.IdleMin) > now, g.rules.Stuck && g.exhausted(p):
			continue
		case !there && g.rules.DropGone:
			g.pending = slices.DeleteFunc(g.pending, func(q modelPending) bool { return q.id == p.id })
			continue
		case !there:
			continue
		case g.exhausted(p):
			m.bury(g, p, at)
			continue
		}
		got = append(got, fmt.Sprint(show(p.id, m.entries[at].values), " ", now-max(p.time, 0), " ", p.count))
		c.active = now
		g.put(modelPending{id: p.id, owner: name, time: now, count: min(p.count, math.MaxInt64-1) + 1})
		if len(got) == d.Count {
			break
		}
	}
	return got
}

// leading removes entries from the front, and what refers to them if that is
// wanted.
func (m *model) leading(limit int, release bool, goes func(e modelEntry) bool) (n int) {
	for len(m.entries) > 0 && n < limit && goes(m.entries[0]) {
		if release {
			m.release(m.entries[0].id)
		}
		m.entries = m.entries[1:]
		n++
	}
	return n
}

func (m *model) retain(ids []ID, limit int) (n int) {
	if len(m.groups) == 0 {
		return 0
	}
	n = m.leading(limit, false, func(e modelEntry) bool { return !m.refers(e.id) })
	for _, id := range ids {
		if !m.refers(id) {
			n += m.delete([]ID{id})
		}
	}
	return n
}

// dropIdle is DropIdle, but for when it looks.
func (m *model) dropIdle(g *modelGroup, idle, now int64, kept string) (n int) {
	for name, c := range g.consumers {
		pending := slices.ContainsFunc(g.pending, func(p modelPending) bool { return p.owner == name })
		if !pending && max(c.seen, c.active)+idle <= now && name != kept {
			delete(g.consumers, name)
			n++
		}
	}
	return n
}

func (m *model) trim(t Trim) int {
	if t.Refs != KeepRefs && len(m.groups) > 0 {
		return m.trimRefs(t)
	}
	before := len(m.entries)
	excess := func(n int) bool { // may the first n go?
		if t.By == TrimMaxLen {
			return len(m.entries)-n >= int(t.MaxLen)
		}
		return m.entries[n-1].id.Less(t.MinID)
	}
	for len(m.entries) > 0 {
		n := 1
		if t.Approx {
			for n < len(m.entries) && m.entries[n].node == m.entries[0].node {
				n++
			}
			if t.Limit > 0 && before-len(m.entries)+n > int(t.Limit) {
				break
			}
		}
		if !excess(n) || (t.By == TrimMaxLen && len(m.entries) <= int(t.MaxLen)) {
			break
		}
		m.entries = m.entries[n:]
	}
	return before - len(m.entries)
}

func (m *model) delete(ids []ID) (n int) {
	for _, id := range ids {
		if i, ok := m.find(id); ok {
			m.entries = slices.Delete(slices.Clone(m.entries), i, i+1)
			m.maxDeleted = later(m.maxDeleted, id)
			n++
		}
	}
	return n
}

// gone reports whether an entry that stood between others is no more.
func (m *model) gone() bool { return len(m.entries) > 0 && !m.maxDeleted.Less(m.first()) }

func (m *model) countsOn(g *modelGroup) bool {
	return g.read != -1 && !g.last.Less(m.first()) && !g.last.Less(m.maxDeleted)
}

func (m *model) distance(id ID) int64 {
	if m.added == 0 {
		return 0
	}
	if len(m.entries) == 0 && !m.last.Less(id) {
		return m.added
	}
	if id.Less(m.maxDeleted) {
		return -1
	}
	if id == m.last {
		return m.added
	}
	if !m.last.Less(id) && !m.gone() {
		if id.Less(m.first()) {
			return m.added - int64(len(m.entries))
		}
		if id == m.first() {
			return m.added - int64(len(m.entries)) + 1
		}
	}
	return -1
}

func (m *model) lag(g *modelGroup) string {
	if len(m.entries) == 0 {
		return "0"
	}
	if g.last.Less(m.first()) && !m.gone() {
		return fmt.Sprint(len(m.entries))
	}
	if m.countsOn(g) {
		return fmt.Sprint(m.added - g.read)
	}
	if d := m.distance(g.last); d != -1 {
		return fmt.Sprint(m.added - d)
	}
	return "?"
}

// unread is the lag as one counts it.
func (m *model) unread(g *modelGroup) (n int) {
	for _, e := range m.entries {
		if g.last.Less(e.id) {
			n++
		}
	}
	return n
}

func (g *modelGroup) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(g.pending, id, func(p modelPending, id ID) int { return p.id.Compare(id) })
}

func (g *modelGroup) nacked() (n int) {
	for _, p := range g.pending {
		if p.owner == "" {
			n++
		}
	}
	return n
}

func (g *modelGroup) put(p modelPending) {
	if i, ok := g.find(p.id); ok {
		g.pending[i] = p
	} else {
		g.pending = slices.Insert(g.pending, i, p)
	}
}

func (g *modelGroup) consumer(name string, now int64) *modelConsumer {
	c := g.consumers[name]
	if c == nil {
		c = &modelConsumer{active: -1}
		g.consumers[name] = c
	}
	c.seen = now
	return c
}

func (m *model) readNew(g *modelGroup, name string, count int, noAck bool, now int64) (got []modelEntry) {
	c := g.consumer(name, now)
	for _, e := range m.entries {
		if !g.last.Less(e.id) {
			continue
		}
		if m.countsOn(g) {
			g.read++
		} else if m.added > 0 {
			g.read = m.distance(e.id)
		}
		g.last = e.id
		if !noAck {
			g.put(modelPending{id: e.id, owner: name, time: now, count: 1})
			c.active = now
		}
		got = append(got, e)
		if len(got) == count {
			break
		}
	}
	return got
}

func (m *model) readHistory(g *modelGroup, name string, after ID, count int, now int64) (got []string) {
	for i := range g.pending {
		p := &g.pending[i]
		if p.owner != name || !after.Less(p.id) {
			continue
		}
		if at, ok := m.find(p.id); ok {
			p.time = now
			p.count = min(p.count, math.MaxInt64-1) + 1
			got = append(got, show(m.entries[at].id, m.entries[at].values))
		} else {
			got = append(got, p.id.String()+" gone")
		}
		if len(got) == count {
			break
		}
	}
	return got
}

func (m *model) claim(g *modelGroup, name string, ids []ID, o Claim, now int64) (got []string) {
	g.told = g.told || g.last.Less(o.LastID)
	g.last = later(g.last, o.LastID)
	g.consumer(name, now)
	for _, id := range ids {
		i, pending := g.find(id)
		at, there := m.find(id)
		switch {
		case !there && pending:
			g.pending = slices.Delete(g.pending, i, i+1)
			continue
		case !there || (!pending && !o.Force):
			continue
		case pending && g.pending[i].owner != "" && o.IdleMin > 0 && now-g.pending[i].time < o.IdleMin:
			continue
		case pending && g.pending[i].owner != name && !o.JustID && o.Retries < 0 && g.exhausted(g.pending[i]):
			m.bury(g, g.pending[i], at)
			continue
		}
		p := modelPending{id: id, count: 1}
		if pending {
			p = g.pending[i]
		}
		got = append(got, m.take(g, &p, at, name, o, now))
		g.put(p)
	}
	return got
}

func (m *model) take(g *modelGroup, p *modelPending, at int, name string, o Claim, now int64) string {
	g.consumer(name, now).active = now
	p.owner, p.time, p.nacked = name, o.Time, 0
	if o.Retries >= 0 {
		p.count = o.Retries
	} else if !o.JustID {
		p.count = min(p.count, math.MaxInt64-1) + 1
	}
	if o.JustID {
		return p.id.String()
	}
	return show(m.entries[at].id, m.entries[at].values)
}

func (m *model) autoClaim(g *modelGroup, name string, start ID, count int, o Claim, now int64) (next ID, got, deleted []string) {
	tries := count * 10
	g.consumer(name, now)
	i, _ := g.find(start)
	for i < len(g.pending) {
		p := &g.pending[i]
		if tries == 0 || count == 0 {
			return p.id, got, deleted
		}
		tries--
		at, there := m.find(p.id)
		if !there {
			deleted = append(deleted, p.id.String())
			g.pending = slices.Delete(g.pending, i, i+1)
			count--
			continue
		}
		i++
		if p.owner != "" && o.IdleMin > 0 && now-p.time < o.IdleMin {
			continue
		}
		if !o.JustID && g.exhausted(*p) {
			if m.bury(g, *p, at) {
				i--
				count--
			}
			continue
		}
		got = append(got, m.take(g, p, at, name, o, now))
		count--
	}
	return ID{}, got, deleted
}

func show(id ID, values []string) string { return id.String() + " " + strings.Join(values, " ") }

func showEntry(e *Entry) string {
	var values []string
	e.Each(func(p []byte) { values = append(values, string(p)) })
	return show(e.ID, values)
}
