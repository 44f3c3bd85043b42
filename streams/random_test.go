package streams

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/storage"
)

// player drives a stream and its model with the same random operations.
type player struct {
	t     *testing.T
	rnd   *rand.Rand
	fs    vfs.FS
	store *storage.Store
	cache int
	now   int64
	tx    *storage.Tx
	m     *model // nil: no stream
	nodes NodeLimits
	log   []string
}

var modelSeeds = flag.Uint64("seeds", 16, "how many random runs TestModel makes")

func TestModel(t *testing.T) {
	seeds, steps := *modelSeeds, 2000
	if testing.Short() {
		seeds = min(seeds, 4)
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			p := &player{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), fs: vfs.NewMem(), now: 1_000_000}
			if seed%2 == 0 {
				p.cache = 1 // nothing stays in memory from turn to turn
			}
			p.nodes = NodeLimits{Entries: []int{100, 7, 3, 1}[seed%4]}
			p.open()
			for range steps {
				p.step()
			}
			p.commit()
			if err := p.store.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (p *player) open() {
	store, err := storage.Open("/data", storage.Options{FS: p.fs, CacheBytes: p.cache, LogSegmentBytes: 64 << 10, ApplyAsideMin: 1})
	if err != nil {
		p.t.Fatal(err)
	}
	p.store = store
	p.tx = store.Begin(time.UnixMilli(p.now))
}

func (p *player) commit() {
	if s := p.stream(); s != nil && p.rnd.IntN(4) == 0 {
		if err := s.Check(); err != nil {
			p.fatal("check: %v", err)
		}
	}
	if _, err := p.store.Commit(); err != nil {
		p.t.Fatal(err)
	}
	p.tx = p.store.Begin(time.UnixMilli(p.now))
}

func (p *player) fatal(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(p.log[max(0, len(p.log)-60):], "\n"))
}

func (p *player) same(what string, got, want any) {
	p.t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		p.fatal("%s: got  %s\nwant %s", what, g, w)
	}
}

func (p *player) note(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf(format, args...))
}

var modelKey = []byte("stream")

func (p *player) stream() *Stream {
	s, err := Open(p.tx, modelKey)
	if err != nil {
		p.t.Fatal(err)
	}
	if (s == nil) != (p.m == nil) {
		p.fatal("the stream exists: %v, in the model: %v", s != nil, p.m != nil)
	}
	return s
}

func (p *player) step() {
	switch n := p.rnd.IntN(100); {
	case n < 12:
		p.note("commit")
		p.commit()
		return
	case n < 13:
		p.note("reopen")
		p.commit()
		if err := p.store.Close(); err != nil {
			p.t.Fatal(err)
		}
		p.open()
		return
	case n < 20:
		p.now += int64(p.rnd.IntN(50))
		p.commit()
		return
	case n == 20 && p.rnd.IntN(20) == 0:
		p.rename()
		return
	}
	s := p.stream()
	if s == nil {
		s = Create(p.tx, modelKey)
		p.m = &model{groups: map[string]*modelGroup{}, produced: map[string][]modelProduced{}}
	}
	p.one(s)
	p.compare(p.stream())
	if err := p.tx.Err(); err != nil {
		p.fatal("store: %v", err)
	}
}

// rename moves the stream away and back, or drops it.
func (p *player) rename() {
	s := p.stream()
	if s == nil {
		return
	}
	if p.rnd.IntN(2) == 0 {
		p.note("drop")
		p.tx.Drop(s.o)
		p.m = nil
		return
	}
	p.note("rename and copy back")
	away := p.tx.Rename(s.o, p.tx, []byte("away"))
	p.tx.Copy(away, p.tx, modelKey)
	p.tx.Drop(away)
}

func (p *player) one(s *Stream) {
	switch n := p.rnd.IntN(100); {
	case n < 30:
		p.add(s)
	case n < 34:
		p.trim(s)
	case n < 36:
		p.shed(s)
	case n < 42:
		p.delete(s)
	case n < 43:
		p.setID(s)
	case n < 47:
		p.produce(s)
	case n < 50:
		p.read(s)
	case n < 54:
		p.group(s)
	default:
		p.withGroup(s)
	}
}

// id is one that may be there, or nearly.
func (p *player) id() ID {
	if n := len(p.m.entries); n > 0 && p.rnd.IntN(10) > 0 {
		id := p.m.entries[p.rnd.IntN(n)].id
		switch p.rnd.IntN(8) {
		case 0:
			id, _ = id.Next()
		case 1:
			id, _ = id.Prev()
		}
		return id
	}
	return ID{uint64(p.rnd.Int64N(int64(p.m.last.Ms + 2))), uint64(p.rnd.IntN(3))}
}

func (p *player) add(s *Stream) {
	count := 1
	if p.rnd.IntN(10) == 0 {
		count = p.rnd.IntN(400)
	}
	for range count {
		w := Wanted{Auto: true}
		if p.rnd.IntN(3) == 0 {
			w = Wanted{ID: ID{p.m.last.Ms + uint64(p.rnd.IntN(3)), p.m.last.Seq + uint64(p.rnd.IntN(3))}}
		}
		id, err := w.Resolve(s.LastID(), p.tx.NowMillis())
		if err != nil {
			continue
		}
		values := make([]string, 2+2*p.rnd.IntN(2))
		raw := make([][]byte, len(values))
		for i := range values {
			values[i] = strings.Repeat(string(rune('a'+p.rnd.IntN(26))), p.rnd.IntN(12))
			raw[i] = []byte(values[i])
		}
		nodeMax := p.nodes.Entries
		p.m.append(id, values, nodeMax, p.tx.NowMillis())
		s.Append(id, raw, p.nodes)
	}
	p.note("add %d, last %s", count, p.m.last)
}

// produce adds a message that may be there already.
func (p *player) produce(s *Stream) {
	if p.rnd.IntN(30) == 0 {
		i := Idempotence{1 + p.rnd.Uint32N(3), 1 + p.rnd.Uint32N(20)}
		p.note("idempotence %+v", i)
		s.SetIdempotence(i)
		if i != p.m.idem {
			clear(p.m.produced)
		}
		p.m.idem = i
		return
	}
	if p.rnd.IntN(3) == 0 {
		p.now += int64(p.rnd.IntN(2000))
		p.commit()
		s = p.stream()
	}
	now := p.tx.NowMillis()
	for range p.rnd.IntN(20) {
		producer, message := fmt.Sprint("p", p.rnd.IntN(5)), fmt.Sprint("m", p.rnd.IntN(30))
		if p.rnd.IntN(10) == 0 {
			producer = fmt.Sprint("p", p.rnd.IntN(500))
		}
		m := ProducedAs([]byte(producer), []byte(message))
		want, known := p.m.recall(producer, message, now)
		id, ok := s.Recall(m)
		p.note("produce %s %s", producer, message)
		p.same("recall", fmt.Sprint(id, ok), fmt.Sprint(want, known))
		if ok {
			s.Repeated()
			p.m.repeated++
			continue
		}
		id, err := Wanted{Auto: true}.Resolve(s.LastID(), now)
		if err != nil {
			continue
		}
		values := [][]byte{[]byte("f"), []byte(message)}
		p.m.append(id, []string{"f", message}, p.nodes.Entries, now)
		s.Append(id, values, p.nodes)
		if p.m.idem.Seconds == 0 {
			p.m.idem = Idempotence{2, 10}
		}
		s.Remember(m, id, Idempotence{2, 10})
		p.m.remember(producer, message, id, now)
	}
}

func (p *player) trim(s *Stream) {
	t := Trim{By: TrimMaxLen, MaxLen: uint64(p.rnd.IntN(len(p.m.entries) + 10)), Approx: p.rnd.IntN(2) == 0}
	if p.rnd.IntN(3) == 0 {
		t.By, t.MinID = TrimMinID, p.id()
	}
	if t.Approx {
		t.Limit = uint64(p.rnd.IntN(200))
		if t.By == TrimMinID {
			// A node's last entry counts even after it was deleted.
			if i, ok := p.m.find(t.MinID); !ok || i == 0 {
				return
			}
		}
	}
	t.Refs = Refs(p.rnd.IntN(3))
	p.note("trim %+v", t)
	if p.rnd.IntN(2) == 0 {
		p.trimForOneMore(s, t)
		return
	}
	p.same("trim", s.Trim(t), p.m.trim(t))
}

// trimForOneMore adds an entry and trims, which was foretold.
func (p *player) trimForOneMore(s *Stream, t Trim) {
	count, bytes := s.TrimRoom(t)
	id, err := Wanted{Auto: true}.Resolve(s.LastID(), p.tx.NowMillis())
	if err != nil {
		return
	}
	p.m.append(id, []string{"field", "v"}, p.nodes.Entries, p.tx.NowMillis())
	s.Append(id, [][]byte{[]byte("field"), []byte("v")}, p.nodes)
	length, size := s.Len(), s.Bytes()
	p.same("trim", s.Trim(t), p.m.trim(t))
	gone, freed := length-s.Len(), size-s.Bytes()
	if gone < count || freed < bytes {
		p.fatal("%d entries of %d bytes went, %d of %d were foretold", gone, freed, count, bytes)
	}
	if t.Refs != Acked && !t.Approx && s.Len() > 0 && (gone != count || freed != bytes) {
		p.fatal("%d entries of %d bytes went, exactly %d of %d were foretold", gone, freed, count, bytes)
	}
}

// shed removes what nobody needs any more, or what is too old.
func (p *player) shed(s *Stream) {
	limit := 1 + p.rnd.IntN(300)
	if p.rnd.IntN(2) == 0 {
		ids := []ID{p.id(), p.id(), p.id()}
		p.note("retain %v %d", ids, limit)
		p.same("retain", s.Retain(ids, limit), p.m.retain(ids, limit))
		return
	}
	before, most := p.tx.NowMillis()-int64(p.rnd.IntN(2000)), p.rnd.IntN(20)
	var buried, want []string
	bury := func(e *Entry) bool {
		if len(buried) == most {
			return false
		}
		buried = append(buried, showEntry(e))
		return true
	}
	p.note("expire %d %d %d", before, limit, most)
	wantN := p.m.leading(limit, true, func(e modelEntry) bool {
		if e.arrived >= before || len(want) == most {
			return false
		}
		want = append(want, show(e.id, e.values))
		return true
	})
	p.same("expire", s.Expire(before, limit, bury), wantN)
	p.same("expired", buried, want)
}

func (p *player) delete(s *Stream) {
	ids := make([]ID, 1+p.rnd.IntN(4))
	for i := range ids {
		ids[i] = p.id()
	}
	if p.rnd.IntN(3) == 0 && len(p.m.entries) > 0 {
		ids[0] = p.m.entries[0].id
	}
	if p.rnd.IntN(6) == 0 && len(p.m.entries) > 0 {
		ids[0] = p.m.entries[len(p.m.entries)-1].id
	}
	if p.rnd.IntN(2) == 0 {
		mode := Refs(p.rnd.IntN(3))
		p.note("delete %v %d", ids, mode)
		p.same("delete", s.DeleteEach(ids, mode), p.m.deleteEach(nil, ids, mode))
		return
	}
	p.note("delete %v", ids)
	p.same("delete", s.Delete(ids), p.m.delete(ids))
}

func (p *player) setID(s *Stream) {
	last := ID{p.m.last.Ms + uint64(p.rnd.IntN(5)), 0}
	if len(p.m.entries) == 0 {
		last = p.id()
	}
	if last.Less(s.TopID()) || last.Less(s.MaxDeletedID()) {
		return
	}
	var deleted ID
	if p.rnd.IntN(3) == 0 {
		deleted = earlier(p.id(), last)
	}
	var added *uint64
	if p.rnd.IntN(3) == 0 {
		n := uint64(len(p.m.entries) + p.rnd.IntN(20))
		added = &n
		p.m.added = int64(n)
	}
	p.note("setid %s %v %s", last, added, deleted)
	s.SetID(last, added, deleted)
	p.m.told = p.m.told || last.Less(p.m.last) || added != nil || !deleted.IsZero()
	p.m.last = last
	if !deleted.IsZero() {
		p.m.maxDeleted = deleted
	}
}

func (p *player) read(s *Stream) {
	start, stop := p.id(), p.id()
	count := 1 + p.rnd.IntN(300)
	var want, got []string
	for _, e := range p.m.entries {
		if !e.id.Less(start) && !stop.Less(e.id) {
			want = append(want, show(e.id, e.values))
		}
	}
	p.same("count", s.Count(start, stop, uint64(count)), min(count, len(want)))
	reverse := p.rnd.IntN(2) == 0
	if reverse {
		slices.Reverse(want)
	}
	s.Range(start, stop, reverse, func(e *Entry) bool {
		got = append(got, showEntry(e))
		return len(got) < count
	})
	p.note("range %s %s %d %v", start, stop, count, reverse)
	p.same("range", got, want[:min(count, len(want))])
	got, want = nil, nil
	for _, e := range p.m.entries {
		if start.Less(e.id) && len(want) < count {
			want = append(want, show(e.id, e.values))
		}
	}
	var held []Entry
	s.After(start, count, func(e *Entry) bool {
		held = append(held, *e)
		return len(held) < count
	})
	for i := range held {
		got = append(got, showEntry(&held[i]))
	}
	p.note("after %s %d", start, count)
	p.same("after", got, want)
}

func (p *player) group(s *Stream) {
	name := string(rune('A' + p.rnd.IntN(3)))
	g := p.m.groups[name]
	switch {
	case g == nil:
		last, read := p.id(), int64(p.rnd.IntN(5))-1
		p.note("group %s %s %d", name, last, read)
		if err := s.CreateGroup([]byte(name), last, read); err != nil {
			p.fatal("create group: %v", err)
		}
		p.m.groups[name] = &modelGroup{last: last, read: min(read, p.m.added), told: read != ReadUnknown, consumers: map[string]*modelConsumer{}}
	case p.rnd.IntN(4) == 0:
		p.note("destroy %s", name)
		p.same("destroy", s.DestroyGroup([]byte(name)), true)
		delete(p.m.groups, name)
	default:
		p.same("create", s.CreateGroup([]byte(name), ID{}, 0), ErrGroupExists)
		last := p.id()
		p.note("group setid %s %s", name, last)
		g.last, g.read, g.told = last, ReadUnknown, false
		s.Group([]byte(name)).SetID(last, -1)
	}
}

func (p *player) withGroup(s *Stream) {
	var names []string
	for name := range p.m.groups {
		names = append(names, name)
	}
	if len(names) == 0 {
		p.group(s)
		return
	}
	slices.Sort(names)
	name := names[p.rnd.IntN(len(names))]
	m, g := p.m.groups[name], s.Group([]byte(name))
	who := fmt.Sprintf("c%d", p.rnd.IntN(5))
	if p.rnd.IntN(20) == 0 {
		who = fmt.Sprintf("c%d", p.rnd.IntN(200))
	}
	now := p.tx.NowMillis()
	ids := make([]ID, 1+p.rnd.IntN(60))
	for i := range ids {
		ids[i] = p.id()
		if len(m.pending) > 0 && p.rnd.IntN(4) > 0 {
			ids[i] = m.pending[p.rnd.IntN(len(m.pending))].id
		}
	}
	if len(m.pending) > 0 && p.rnd.IntN(3) == 0 {
		for i := range ids {
			ids[i] = m.pending[min(i, len(m.pending)-1)].id
		}
	}
	o := Claim{IdleMin: int64(p.rnd.IntN(2) * p.rnd.IntN(100)), Time: now, Retries: -1, JustID: p.rnd.IntN(2) == 0}
	if p.rnd.IntN(4) == 0 {
		o.Time = now - int64(p.rnd.IntN(100))
	}
	if p.rnd.IntN(15) == 0 {
		m.rules = Redelivery{}
		if p.rnd.IntN(3) > 0 {
			m.rules = Redelivery{Most: uint64(p.rnd.IntN(5)), Stuck: p.rnd.IntN(4) == 0, DropGone: p.rnd.IntN(2) == 0}
			if p.rnd.IntN(2) == 0 {
				m.rules.BackoffMin = int64(p.rnd.IntN(40))
				m.rules.BackoffMax = m.rules.BackoffMin + int64(p.rnd.IntN(200))
			}
		}
		p.note("rules %s %+v", name, m.rules)
	}
	g.Obey(m.rules)
	m.buried = nil
	var buried []string
	bury := func(d Dead) bool {
		buried = append(buried, fmt.Sprint(showEntry(d.Entry), " ", d.Consumer, " ", d.Deliveries))
		return true
	}
	o.Bury = bury
	defer func() { p.same("buried", buried, m.buried) }()
	switch n := p.rnd.IntN(27); {
	case n >= 25:
		mode := Refs(p.rnd.IntN(3))
		p.note("ackdelete %s %v %d", name, ids, mode)
		p.same("ackdelete", g.AckDelete(ids, mode), p.m.deleteEach(m, ids, mode))
	case n >= 23:
		o := Nack{Mode: NackMode(p.rnd.IntN(3)), Retries: -1, Force: p.rnd.IntN(3) == 0}
		if p.rnd.IntN(4) == 0 {
			o.Retries = int64(p.rnd.IntN(9))
		}
		if p.rnd.IntN(3) == 0 {
			o.Bury = bury
		}
		p.note("nack %s %v %+v", name, ids, o)
		p.same("nack", g.Nack(ids, o), p.m.nack(m, ids, o, now))
	case n >= 20:
		count := p.rnd.IntN(200)
		if p.rnd.IntN(2) == 0 {
			count = 1 + p.rnd.IntN(5)
		}
		d := Due{Batch: Batch{Count: count}, IdleMin: o.IdleMin, Bury: bury}
		p.note("readdue %s %s %+v", name, who, d)
		var got []string
		g.ReadDue(g.See([]byte(who)), d, func(e Again) {
			got = append(got, fmt.Sprint(showEntry(e.Entry), " ", e.Idle, " ", e.Deliveries))
		})
		p.same("readdue", got, p.m.readDue(m, who, d, now))
		p.noneDue(g, m, o.IdleMin, count, len(got))
	case n < 6:
		count, noAck := p.rnd.IntN(200), p.rnd.IntN(5) == 0
		p.note("readnew %s %s %d %v", name, who, count, noAck)
		var got, want []string
		s.Group([]byte(name)).ReadNew(g.See([]byte(who)), Batch{Count: count}, noAck, func(e *Entry) { got = append(got, showEntry(e)) })
		for _, e := range p.m.readNew(m, who, count, noAck, now) {
			want = append(want, show(e.id, e.values))
		}
		p.same("readnew", got, want)
	case n < 8:
		after, count := p.id(), p.rnd.IntN(50)
		if p.rnd.IntN(2) == 0 {
			after = ID{}
		}
		p.note("history %s %s %s %d", name, who, after, count)
		m.consumer(who, now)
		var got []string
		g.ReadHistory(g.See([]byte(who)), after, Batch{Count: count}, func(id ID, e *Entry) {
			if e == nil {
				got = append(got, id.String()+" gone")
			} else {
				got = append(got, showEntry(e))
			}
		})
		p.same("history", got, p.m.readHistory(m, who, after, count, now))
	case n < 12:
		p.note("ack %s %v", name, ids)
		want := 0
		for _, id := range ids {
			if i, ok := m.find(id); ok {
				m.pending = slices.Delete(m.pending, i, i+1)
				want++
			}
		}
		p.same("ack", g.Ack(ids), want)
	case n < 15:
		o.Force = p.rnd.IntN(3) == 0
		if p.rnd.IntN(3) == 0 {
			o.Retries = int64(p.rnd.IntN(9))
		}
		if p.rnd.IntN(9) == 0 {
			o.LastID = p.id()
		}
		p.note("claim %s %s %v %+v", name, who, ids, o)
		p.same("claim", p.claimed(g.Claim([]byte(who), ids, o), o.JustID), p.m.claim(m, who, ids, o, now))
	case n < 17:
		start, count := p.id(), 1+p.rnd.IntN(100)
		o.Time = now
		p.note("autoclaim %s %s %s %d %+v", name, who, start, count, o)
		next, claimed, deleted := g.AutoClaim([]byte(who), start, int64(count), o)
		wantNext, want, wantDeleted := p.m.autoClaim(m, who, start, count, o, now)
		p.same("autoclaim", p.claimed(claimed, o.JustID), want)
		p.same("autoclaim deleted", deleted, wantDeleted)
		p.same("autoclaim next", next, wantNext)
	case n < 18 && p.rnd.IntN(2) == 0:
		idle := 100 + int64(p.rnd.IntN(5000))
		p.note("dropidle %s %d", name, idle)
		g.idleChecked = 0 // look at once
		p.same("dropidle", g.DropIdle(idle, func(c string) bool { return c == who }), p.m.dropIdle(m, idle, now, who))
	case n < 18:
		p.note("createconsumer %s %s", name, who)
		_, created := g.CreateConsumer([]byte(who))
		p.same("createconsumer", created, m.consumers[who] == nil)
		if created {
			m.consumer(who, now)
		}
	case n < 19:
		p.note("delconsumer %s %s", name, who)
		before := len(m.pending)
		m.pending = slices.DeleteFunc(m.pending, func(q modelPending) bool { return q.owner == who })
		delete(m.consumers, who)
		p.same("delconsumer", g.DeleteConsumer([]byte(who)), before-len(m.pending))
	default:
		p.pending(g, m, who)
	}
}

// noneDue checks that who was given all there is learns when there may be more.
func (p *player) noneDue(g *Group, m *modelGroup, idleMin int64, count, got int) {
	if idleMin == 0 || got == count {
		return
	}
	at, ok := g.NextDue(idleMin)
	if now := p.tx.NowMillis(); ok && at <= now {
		p.fatal("it is %d and something would be due at %d", now, at)
	}
	for _, q := range m.pending {
		if _, there := p.m.find(q.id); there && !(m.exhausted(q) && m.rules.Stuck) && (!ok || m.turn(q, idleMin) < at) {
			p.fatal("something is pending and due at %d, the next is said to be at %d, %v", m.turn(q, idleMin), at, ok)
		}
	}
}

func (p *player) claimed(list []Claimed, justID bool) (got []string) {
	for _, c := range list {
		if justID {
			got = append(got, c.ID.String())
		} else {
			got = append(got, showEntry(&c.Entry))
		}
	}
	return got
}

func (p *player) pending(g *Group, m *modelGroup, who string) {
	start, stop, idle, count := p.id(), p.id(), int64(p.rnd.IntN(2)*p.rnd.IntN(100)), 1+p.rnd.IntN(100)
	c := g.Consumer([]byte(who))
	if p.rnd.IntN(2) == 0 {
		c = nil
	}
	now := p.tx.NowMillis()
	var got, want []string
	for _, q := range m.pending {
		if !q.id.Less(start) && !stop.Less(q.id) && (c == nil || q.owner == who) && (idle == 0 || q.owner == "" || now-q.time >= idle) && len(want) < count {
			want = append(want, fmt.Sprint(q.id, q.owner, max(q.time, 0), q.count))
		}
	}
	g.EachPending(start, stop, c, idle, func(q *Pending, owned *Consumer) bool {
		name := ""
		if owned != nil {
			name = owned.Name
		}
		got = append(got, fmt.Sprint(q.ID, name, q.Time, q.Deliveries))
		return len(got) < count
	})
	p.note("pending %s %s", start, stop)
	p.same("pending", got, want)
}

// compare looks at what is quick to compare.
func (p *player) compare(s *Stream) {
	p.t.Helper()
	m := p.m
	p.same("length", s.Len(), len(m.entries))
	p.same("last, first, deleted, added", fmt.Sprint(s.LastID(), s.FirstID(), s.MaxDeletedID(), s.Added()), fmt.Sprint(m.last, m.first(), m.maxDeleted, m.added))
	p.same("groups", s.GroupCount(), len(m.groups))
	added, repeated := s.ProducedCounts()
	p.same("messages", fmt.Sprint(added, repeated), fmt.Sprint(m.remembered, m.repeated))
	if p.rnd.IntN(5) == 0 {
		producers, messages := s.Tracked()
		wantProducers, wantMessages := m.tracked(p.tx.NowMillis())
		p.same("tracked", fmt.Sprint(producers, messages), fmt.Sprint(wantProducers, wantMessages))
	}
	if p.rnd.IntN(5) > 0 {
		return
	}
	for _, g := range s.Groups() {
		mg := m.groups[g.Name()]
		lag, known := g.Lag()
		text := fmt.Sprint(lag)
		if !known {
			text = "?"
		}
		if known && !m.told && !mg.told {
			p.same("lag of "+g.Name(), lag, int64(m.unread(mg)))
		}
		p.same("group "+g.Name(), fmt.Sprint(g.LastDelivered(), g.EntriesRead(), text, g.PendingCount(), g.NackedCount()), fmt.Sprint(mg.last, mg.read, m.lag(mg), len(mg.pending), mg.nacked()))
		lowest, highest := g.PendingEnds()
		if n := len(mg.pending); n > 0 {
			p.same("ends", fmt.Sprint(lowest, highest), fmt.Sprint(mg.pending[0].id, mg.pending[n-1].id))
		}
		var want []string
		for name, c := range mg.consumers {
			n := 0
			for _, q := range mg.pending {
				if q.owner == name {
					n++
				}
			}
			want = append(want, fmt.Sprint(name, c.seen, c.active, n))
		}
		slices.Sort(want)
		var got []string
		for _, c := range g.Consumers() {
			got = append(got, fmt.Sprint(c.Name, c.Seen, c.Active, c.Pending))
		}
		slices.Sort(got)
		p.same("consumers", got, want)
	}
}
