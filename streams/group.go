package streams

import (
	"slices"
	"strings"

	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// Group is a consumer group: how far it has read the stream, who its consumers
// are, and what was delivered to them and not yet acknowledged (page.go).
type Group struct {
	s      *Stream
	number uint32
	name   string

	last         ID
	entriesRead  int64 // ReadUnknown if not known
	nextConsumer uint32
	nacks        int64 // how often entries were given back

	byName   map[string]*Consumer // nil: consumers and pages are not loaded
	byNumber map[uint32]*Consumer
	pages    directory
	ahead    run

	// DropIdle has looked for consumers idle for so long, and need not before then.
	idleChecked, idleNext int64

	// Acked counts the entries that are acknowledged.
	Acked storage.Meter

	listed bool     // on the stream's list of groups with something to write
	moved  bool     // the header is to be written
	blocks []uint32 // blocks of times to write
}

// Consumer is a member of a group.
type Consumer struct {
	Name string
	// Seen is when it last tried to get entries, Active when it last got any, in
	// unix ms; Never if it did not.
	Seen, Active int64
	// Pending is how many entries it has to acknowledge.
	Pending int

	number uint32
}

// Never is the time of what did not happen yet.
const Never = -1

// ErrGroupExists is the reply to creating a group twice.
const ErrGroupExists resp.Error = "BUSYGROUP Consumer Group name already exists"

// Group returns the consumer group of that name, nil if there is none.
func (s *Stream) Group(name []byte) *Group {
	s.loadGroups()
	g := s.byName[string(name)]
	if g != nil {
		g.load()
	}
	return g
}

// Groups returns all consumer groups in the order of their names.
func (s *Stream) Groups() []*Group {
	s.loadGroups()
	list := make([]*Group, 0, len(s.byName))
	for _, g := range s.byName {
		g.load()
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *Group) int { return strings.Compare(a.name, b.name) })
	return list
}

// CreateGroup makes a consumer group that gets the entries behind last.
func (s *Stream) CreateGroup(name []byte, last ID, entriesRead int64) error {
	s.loadGroups()
	if s.byName[string(name)] != nil {
		return ErrGroupExists
	}
	s.addGroup(name, last, s.atMostAdded(entriesRead))
	s.tx.ChangedQuietly(s.o, "xgroup-create")
	return nil
}

// atMostAdded bounds what a client says that a group has read.
func (s *Stream) atMostAdded(entriesRead int64) int64 {
	if entriesRead != ReadUnknown && uint64(entriesRead) > s.added {
		return int64(s.added)
	}
	return entriesRead
}

// addGroup adds a group of a new name, without a word to anybody.
func (s *Stream) addGroup(name []byte, last ID, entriesRead int64) *Group {
	g := &Group{s: s, number: s.nextGroup, name: string(name), last: last, entriesRead: entriesRead, pages: newDirectory()}
	g.byName = make(map[string]*Consumer)
	g.byNumber = make(map[uint32]*Consumer)
	s.nextGroup++
	s.groups++
	s.byName[g.name] = g
	g.move()
	return g
}

// DestroyGroup removes a consumer group with all it has.
func (s *Stream) DestroyGroup(name []byte) bool {
	s.loadGroups()
	g := s.byName[string(name)]
	if g == nil {
		return false
	}
	delete(s.byName, g.name)
	s.groups--
	if i := slices.Index(s.dirty, g); i >= 0 {
		s.dirty = slices.Delete(s.dirty, i, i+1)
	}
	s.tx.Delete(s.o, new(subKey).group(g.number))
	for _, kind := range []byte{kindConsumer, kindTimes, kindPage} {
		from, to := groupBounds(kind, g.number)
		s.tx.Clear(s.o, from, to)
	}
	s.tx.ChangedQuietly(s.o, "xgroup-destroy")
	s.tx.MarkReady(s.o) // those who wait for it learn that it is gone
	return true
}

// loadGroups reads the headers of all groups.
func (s *Stream) loadGroups() {
	if s.byName != nil {
		return
	}
	s.byName = make(map[string]*Group, s.groups)
	if s.groups == 0 {
		return
	}
	for sub, record := range s.tx.Scan(s.o, []byte{kindGroup}, []byte{kindGroup + 1}, false) {
		g := &Group{s: s, number: keyNumber(sub[1:]), pages: newDirectory()}
		if err := g.decodeHeader(record); err != nil {
			s.corrupt("a consumer group", err)
			return
		}
		s.byName[g.name] = g
	}
}

// load reads the consumers of the group and the directory of its pages.
func (g *Group) load() {
	if g.byName != nil {
		return
	}
	s := g.s
	g.byName = make(map[string]*Consumer)
	g.byNumber = make(map[uint32]*Consumer)
	from, to := groupBounds(kindConsumer, g.number)
	for sub, record := range s.tx.Scan(s.o, from, to, false) {
		c := &Consumer{number: keyNumber(sub[5:]), Active: Never}
		if err := c.decodeRecord(record); err != nil {
			s.corrupt("a consumer of group "+g.name, err)
			return
		}
		g.byName[c.Name] = c
		g.byNumber[c.number] = c
	}
	from, to = groupBounds(kindTimes, g.number)
	for sub, record := range s.tx.Scan(s.o, from, to, false) {
		block := keyNumber(sub[5:])
		err := decodeTimes(record, func(within uint32, seen, active int64) {
			if c := g.byNumber[block*timesBlockSize+within]; c != nil {
				c.Seen, c.Active = seen, active
			}
		})
		if err != nil {
			s.corrupt("the times of consumers of group "+g.name, err)
			return
		}
	}
	g.loadPages()
}

// Stream returns the stream that the group reads.
func (g *Group) Stream() *Stream { return g.s }

// Name returns the name of the group.
func (g *Group) Name() string { return g.name }

// LastDelivered returns the ID of the last entry that the group got.
func (g *Group) LastDelivered() ID { return g.last }

// EntriesRead returns how many entries the group has read, ReadUnknown if that
// is not known.
func (g *Group) EntriesRead() int64 { return g.entriesRead }

// Lag returns how many entries the group has not read yet, if that is known.
func (g *Group) Lag() (lag int64, known bool) {
	s := g.s
	switch {
	case s.length == 0:
		return 0, true
	case g.last.Less(s.first) && s.maxDeleted.Less(s.first):
		return int64(s.length), true
	case g.countsOn():
		return int64(s.added) - g.entriesRead, true
	}
	if read := s.distance(g.last); read != ReadUnknown {
		return int64(s.added) - read, true
	}
	return 0, false
}

// countsOn reports whether each entry that the group is yet to read is one more
// of those ever added: the count so far is known, and no entry behind is gone.
func (g *Group) countsOn() bool {
	s := g.s
	return g.entriesRead != ReadUnknown && !g.last.Less(s.first) && !g.last.Less(s.maxDeleted)
}

// SetID makes the group go on behind last.
func (g *Group) SetID(last ID, entriesRead int64) {
	g.last, g.entriesRead = last, g.s.atMostAdded(entriesRead)
	g.move()
	g.s.tx.ChangedQuietly(g.s.o, "xgroup-setid")
}

// move notes that the header has to be written.
func (g *Group) move() {
	g.moved = true
	g.list()
}

// list puts the group on the list of those with something to write.
func (g *Group) list() {
	if !g.listed {
		g.listed = true
		g.s.dirty = append(g.s.dirty, g)
	}
}

// ---- consumers -------------------------------------------------------------

// Consumer returns the consumer of that name, nil if there is none.
func (g *Group) Consumer(name []byte) *Consumer { return g.byName[string(name)] }

// Consumers returns all consumers in the order of their names.
func (g *Group) Consumers() []*Consumer {
	list := make([]*Consumer, 0, len(g.byName))
	for _, c := range g.byName {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Consumer) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// ConsumerCount returns the number of consumers.
func (g *Group) ConsumerCount() int { return len(g.byName) }

// CreateConsumer adds a consumer, unless there is one of that name.
func (g *Group) CreateConsumer(name []byte) (c *Consumer, created bool) {
	if c = g.byName[string(name)]; c != nil {
		return c, false
	}
	c = g.addConsumer(name, g.s.tx.NowMillis(), Never)
	g.s.tx.ChangedQuietly(g.s.o, "xgroup-createconsumer")
	return c, true
}

// addConsumer adds a consumer of a new name, without a word to anybody.
func (g *Group) addConsumer(name []byte, seen, active int64) *Consumer {
	s := g.s
	c := &Consumer{Name: string(name), number: g.nextConsumer, Seen: seen, Active: active}
	g.nextConsumer++
	g.byName[c.Name] = c
	g.byNumber[c.number] = c
	s.tx.Put(s.o, new(subKey).consumer(g.number, c.number), c.appendRecord(nil))
	g.timesMoved(c)
	g.move()
	return c
}

// See returns the consumer of that name, made if need be, and notes that it
// was there. That alone is worth no wait for the disk.
func (g *Group) See(name []byte) *Consumer {
	c, created := g.CreateConsumer(name)
	if now := g.s.tx.NowMillis(); !created && c.Seen != now {
		c.Seen = now
		g.timesMoved(c)
		g.s.tx.Soft(g.s.o)
	}
	return c
}

// active notes that the consumer got something.
func (g *Group) active(c *Consumer) {
	if now := g.s.tx.NowMillis(); c.Active != now {
		c.Active = now
		g.timesMoved(c)
	}
}

func (g *Group) timesMoved(c *Consumer) {
	block := c.number / timesBlockSize
	if n := len(g.blocks); n > 0 && g.blocks[n-1] == block {
		return // a restored group may have a million consumers
	}
	if !slices.Contains(g.blocks, block) {
		g.blocks = append(g.blocks, block)
		g.list()
	}
}

// DeleteConsumer removes a consumer with its pending entries and returns how
// many those were.
func (g *Group) DeleteConsumer(name []byte) (pending int) {
	c := g.byName[string(name)]
	if c == nil {
		return 0
	}
	s := g.s
	pending = c.Pending
	g.dropPending(c)
	delete(g.byName, c.Name)
	delete(g.byNumber, c.number)
	s.tx.Delete(s.o, new(subKey).consumer(g.number, c.number))
	g.timesMoved(c)
	s.tx.ChangedQuietly(s.o, "xgroup-delconsumer")
	return pending
}

// ---- reading ---------------------------------------------------------------

// HasNew reports whether there are entries that the group has not had yet.
func (g *Group) HasNew() bool { return g.s.HasAfter(g.last) }

// Batch bounds what is delivered at once.
type Batch struct {
	// Count is how many entries at most; 0: any number.
	Count int
	// Room is asked before each entry; nil: there always is.
	Room func() bool
}

func (b *Batch) full(delivered int) bool {
	return (b.Count > 0 && delivered >= b.Count) || (b.Room != nil && !b.Room())
}

// ReadNew delivers to c entries that the group has not had yet, and returns how
// many. They become c's pending entries unless noAck is set. What an entry holds
// stays valid, the entry itself does not.
func (g *Group) ReadNew(c *Consumer, b Batch, noAck bool, yield func(*Entry)) (delivered int) {
	s := g.s
	now := s.tx.NowMillis()
	s.walk(&g.ahead, g.last, b.Count, func(e *Entry) bool {
		if b.full(delivered) {
			return false
		}
		g.pass(e.ID)
		yield(e)
		if !noAck {
			g.deliver(e.ID, c, now)
		}
		delivered++
		return delivered != b.Count
	})
	if delivered == 0 {
		return 0
	}
	if !noAck {
		g.active(c)
	}
	g.move()
	s.tx.ChangedQuietly(s.o, "")
	return delivered
}

// pass moves the group on to the entry id.
func (g *Group) pass(id ID) {
	if g.countsOn() {
		g.entriesRead++
	} else if g.s.added > 0 {
		g.entriesRead = g.s.distance(id)
	}
	g.last = id
}

// ReadHistory calls yield for c's pending entries behind id, with nil in place of
// one that was deleted. Each of the others counts as delivered once more.
func (g *Group) ReadHistory(c *Consumer, id ID, b Batch, yield func(ID, *Entry)) (delivered int) {
	s := g.s
	start, ok := id.Next()
	if !ok || c.Pending == 0 {
		return 0
	}
	again := false
	now := s.tx.NowMillis()
	entries := sought{s: s}
	defer entries.close()
	g.edit(start, c, nil, func(p *Pending) (done edit) {
		if b.full(delivered) {
			return enough
		}
		delivered++
		e, there := entries.get(p.ID)
		if there {
			yield(p.ID, &e)
			p.Time = now
			p.delivered()
			again = true
			done = written
		} else {
			yield(p.ID, nil)
		}
		if delivered == b.Count {
			done |= enough
		}
		return done
	})
	if again {
		s.tx.ChangedQuietly(s.o, "")
	}
	return delivered
}

// ---- writing ---------------------------------------------------------------

// flush writes what has changed.
func (g *Group) flush() {
	s := g.s
	if g.moved {
		g.moved = false
		s.record = g.appendHeader(s.record[:0])
		s.tx.Put(s.o, new(subKey).group(g.number), s.record)
	}
	for _, block := range g.blocks {
		g.flushTimes(block)
	}
	g.blocks = g.blocks[:0]
	g.flushPages()
	g.listed = false
}

func (g *Group) flushTimes(block uint32) {
	s := g.s
	s.record = append(s.record[:0], timesVersion)
	for n := block * timesBlockSize; n < (block+1)*timesBlockSize && n < g.nextConsumer; n++ {
		if c := g.byNumber[n]; c != nil {
			s.record = appendTimes(s.record, c)
		}
	}
	if len(s.record) == 1 {
		s.tx.Delete(s.o, new(subKey).times(g.number, block))
		return
	}
	s.tx.Put(s.o, new(subKey).times(g.number, block), s.record)
}

// consumerBytes is about what a consumer needs in memory.
const consumerBytes = 200

func (g *Group) memoryBytes() int {
	return 512 + len(g.byName)*consumerBytes + g.ahead.bytes + g.pages.memoryBytes()
}
