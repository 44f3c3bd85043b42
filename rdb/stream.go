package rdb

import (
	"iter"
	"slices"
)

// ID names an entry of a stream.
type ID struct{ Ms, Seq uint64 }

// Less reports whether a is below b.
func (a ID) Less(b ID) bool { return a.compare(b) < 0 }

func (a ID) compare(b ID) int {
	switch {
	case a == b:
		return 0
	case a.Ms < b.Ms || (a.Ms == b.Ms && a.Seq < b.Seq):
		return -1
	}
	return 1
}

// Entry is one entry of a stream.
type Entry struct {
	ID ID
	// Values are field, value, field, value …
	Values [][]byte
	// NewNode says that a macro node begins with this entry: XTRIM with ~ removes
	// whole ones only.
	NewNode bool
}

// StreamInfo is what a stream knows beside its entries.
type StreamInfo struct {
	Length     uint64
	Last       ID // the last ID given
	First      ID // the first entry there is; not read, as it follows
	MaxDeleted ID
	Added      uint64 // entries there ever were
	// Old says that Redis 6 or older has written it, which knew nothing of
	// MaxDeleted, Added and Group.Read.
	Old bool
}

// Group is a consumer group.
type Group struct {
	Name      []byte
	Last      ID
	Read      int64 // how many entries it has read; negative: not known
	Pending   []Pending
	Consumers []Consumer
}

// Pending is an entry that was delivered to a consumer and not acknowledged.
type Pending struct {
	ID         ID
	Time       int64 // of delivery, unix ms
	Deliveries uint64
	Consumer   int // index in Group.Consumers
}

// Consumer is a member of a group. Times are unix ms.
type Consumer struct {
	Name         []byte
	Seen, Active int64
}

// StreamSink takes a stream apart from its entries, in the order of their IDs,
// to its groups. Nothing it gets is to be kept.
type StreamSink interface {
	Entry(*Entry)
	Info(StreamInfo)
	Group(*Group)
}

// stream hands the stream to sink, which may be nil.
func (v *Value) stream(sink StreamSink) error {
	r := &streamReader{reader: reader{p: v.payload}, typ: v.typ, sink: sink}
	for n := r.items(2); n > 0 && r.err == nil; n-- {
		r.macroNode()
	}
	r.info()
	r.groups()
	v.Cost = r.spent
	return r.end()
}

type streamReader struct {
	reader
	typ   byte
	sink  StreamSink
	count uint64
	top   ID // of the entries read
	entry Entry
}

// The flags of an entry in a listpack.
const (
	entryDeleted    = 1 << 0
	entrySameFields = 1 << 1
)

// macroNode reads a listpack of entries:
//
//	entries  deleted ones  n  field×n  0
//	each: flags  ms  seq  (n field value …, or just the values)  items so far
//
// IDs count from that of the node.
func (r *streamReader) macroNode() {
	key, p := r.string(), r.string()
	if r.err != nil {
		return
	}
	if len(key) != 16 {
		r.fail(ErrFormat)
		return
	}
	l := openListpack(p)
	live, deleted, fields := l.int(), l.int(), l.int()
	limit := int64(len(p))
	if live < 0 || deleted < 0 || fields < 0 || live > limit || deleted > limit || fields > limit {
		l.fail(ErrFormat)
	}
	if r.spend(int(fields), 0); l.err != nil || r.err != nil {
		r.fail(ErrFormat)
		return
	}
	var names [][]byte
	for ; fields > 0 && l.err == nil; fields-- {
		names = append(names, l.string())
	}
	if l.int() != 0 {
		l.fail(ErrFormat)
	}
	texts := len(l.text) // those of the names stay
	newNode := true
	for n := live + deleted; n > 0 && l.err == nil && r.err == nil; n-- {
		flags := l.int()
		there := flags&entryDeleted == 0
		r.entry = Entry{ID: l.id(decodeID(key)), Values: r.entry.Values[:0], NewNode: newNode && there}
		l.text = l.text[:texts]
		r.values(l, names, flags&entrySameFields != 0)
		if l.err == nil && r.err == nil && there {
			live--
			newNode = false
			r.take()
		}
	}
	if live != 0 || l.end() != nil {
		r.fail(ErrFormat)
	}
}

// id reads an ID that counts from base.
func (l *listpack) id(base ID) ID {
	return ID{base.Ms + uint64(l.int()), base.Seq + uint64(l.int())}
}

// values reads the fields and values of an entry, or, with names, its values.
func (r *streamReader) values(l *listpack, names [][]byte, sameFields bool) {
	before := l.read - 3
	n := int64(len(names))
	if !sameFields {
		if n = l.int(); n < 0 || n > int64(len(l.p)) {
			l.fail(ErrFormat)
			return
		}
	}
	if r.spend(1+int(n), 0); r.err != nil {
		return
	}
	for i := int64(0); i < n && l.err == nil; i++ {
		var name []byte
		if sameFields {
			name = names[i]
		} else {
			name = l.string()
		}
		r.entry.Values = append(r.entry.Values, name, l.string())
	}
	items := l.read - before
	if l.int() != int64(items) {
		l.fail(ErrFormat)
	}
}

// take takes the entry just read.
func (r *streamReader) take() {
	e := &r.entry
	size := 0
	for _, v := range e.Values {
		size += len(v)
	}
	if !r.top.Less(e.ID) {
		r.fail(ErrFormat)
	}
	if r.spend(0, size); r.err != nil {
		return
	}
	r.top = e.ID
	r.count++
	if r.sink != nil {
		r.sink.Entry(e)
	}
}

func (r *streamReader) info() {
	length := r.length()
	i := StreamInfo{Length: r.count, Last: r.id(), Added: r.count, Old: r.typ == typeStream}
	if !i.Old {
		r.id() // the first entry, which has been seen
		i.MaxDeleted = r.id()
		i.Added = max(r.count, r.length())
	}
	if (length > 0 && r.count == 0) || i.Last.Less(r.top) {
		r.fail(ErrFormat)
	}
	if r.err == nil && r.sink != nil {
		r.sink.Info(i)
	}
}

func (r *streamReader) groups() {
	names := make(map[string]bool)
	for n := r.items(5); n > 0 && r.err == nil; n-- {
		g := r.group()
		if names[string(g.Name)] {
			r.fail(ErrFormat)
		}
		names[string(g.Name)] = true
		if r.err == nil && r.sink != nil {
			r.sink.Group(g)
		}
	}
}

const (
	pendingBytes   = 16 + 8 + 1 // at least
	consumerBytes  = 1 + 8 + 1  // at least
	pendingUnowned = -1

	// Groups and consumers cost their reader more than an element does.
	groupItems    = 16
	consumerItems = 4
)

func (r *streamReader) group() *Group {
	g := &Group{Name: r.string(), Last: r.id(), Read: -1}
	if r.typ != typeStream {
		g.Read = max(-1, int64(r.length()))
	}
	r.spend(groupItems, len(g.Name))
	n := r.items(pendingBytes)
	if r.spend(n, 0); r.err != nil {
		return g
	}
	g.Pending = make([]Pending, n)
	for i := range g.Pending {
		g.Pending[i] = Pending{ID: r.rawID(), Time: r.millis(), Deliveries: r.length(), Consumer: pendingUnowned}
	}
	byID := func(a, b Pending) int { return a.ID.compare(b.ID) }
	if !slices.IsSortedFunc(g.Pending, byID) {
		slices.SortFunc(g.Pending, byID)
	}
	for i := 1; i < len(g.Pending); i++ {
		if g.Pending[i-1].ID == g.Pending[i].ID {
			r.fail(ErrFormat)
		}
	}
	r.consumers(g)
	return g
}

// consumers reads the consumers of a group and finds out which of its pending
// entries is whose.
func (r *streamReader) consumers(g *Group) {
	n := r.items(consumerBytes)
	if r.spend(n*consumerItems, 0); r.err != nil {
		return
	}
	g.Consumers = make([]Consumer, 0, n)
	names := make(map[string]bool)
	owned := 0
	for ; n > 0 && r.err == nil; n-- {
		c := Consumer{Name: r.string(), Seen: r.millis()}
		c.Active = c.Seen
		if r.typ == typeStream3 {
			c.Active = max(Never, r.fixed(8))
		}
		r.spend(0, len(c.Name))
		if names[string(c.Name)] {
			r.fail(ErrFormat)
		}
		names[string(c.Name)] = true
		for k := r.items(16); k > 0 && r.err == nil; k-- {
			i, ok := slices.BinarySearchFunc(g.Pending, r.rawID(), func(p Pending, id ID) int { return p.ID.compare(id) })
			if !ok || g.Pending[i].Consumer != pendingUnowned {
				r.fail(ErrFormat)
				return
			}
			g.Pending[i].Consumer = len(g.Consumers)
			owned++
		}
		g.Consumers = append(g.Consumers, c)
	}
	if owned != len(g.Pending) {
		r.fail(ErrFormat)
	}
}

// Never is the time at which a consumer was active that never got anything.
const Never = -1

// ---- writing -----------------------------------------------------------------

// StreamSource is a stream to be written. Its sequences are walked through once
// when the dump is made and once for each time it is written.
type StreamSource struct {
	StreamInfo
	Entries    iter.Seq[*Entry]
	GroupCount int
	Groups     iter.Seq[*Group]
}

// DumpStream makes a dump of a stream.
func DumpStream(s StreamSource) *Dump {
	var sizing writer
	nodes := sizing.macroNodes(s.Entries)
	sizing.length(uint64(nodes))
	sizing.streamRest(&s)
	return newDump(typeStream2, sizing.size, func(w *writer) {
		w.length(uint64(nodes))
		w.macroNodes(s.Entries)
		w.streamRest(&s)
	})
}

// macroBytesMax is where a macro node ends whatever the entries say: it has to
// be in memory until it is whole.
const macroBytesMax = 1 << 20

// macroNode collects the entries of a macro node.
type macroNode struct {
	first  ID
	names  [][]byte
	fields pack
	items  pack
	count  int64
}

// macroNodes writes entries and returns in how many nodes.
func (w *writer) macroNodes(entries iter.Seq[*Entry]) (n int) {
	var node macroNode
	flush := func() {
		if node.count > 0 {
			n++
			w.macroNode(&node)
		}
	}
	for e := range entries {
		if node.count == 0 || e.NewNode || node.items.bytes() >= macroBytesMax {
			flush()
			node.begin(e)
		}
		node.add(e)
	}
	flush()
	return n
}

func (m *macroNode) begin(e *Entry) {
	m.first, m.count = e.ID, 0
	m.items.reset()
	m.fields.reset()
	m.names = m.names[:0]
	for i := 0; i < len(e.Values); i += 2 {
		m.names = append(m.names, slices.Clone(e.Values[i]))
		m.fields.string(e.Values[i])
	}
}

func (m *macroNode) add(e *Entry) {
	m.count++
	same := m.sameFields(e)
	flags := int64(0)
	if same {
		flags = entrySameFields
	}
	before := m.items.items
	m.items.int(flags)
	m.items.int(int64(e.ID.Ms - m.first.Ms))
	m.items.int(int64(e.ID.Seq - m.first.Seq))
	if !same {
		m.items.int(int64(len(e.Values) / 2))
	}
	for i, v := range e.Values {
		if i%2 == 1 || !same {
			m.items.string(v)
		}
	}
	m.items.int(int64(m.items.items - before))
}

func (m *macroNode) sameFields(e *Entry) bool {
	if len(e.Values) != 2*len(m.names) {
		return false
	}
	for i, name := range m.names {
		if string(name) != string(e.Values[2*i]) {
			return false
		}
	}
	return true
}

func (w *writer) macroNode(m *macroNode) {
	var head pack
	head.int(m.count)
	head.int(0) // deleted
	head.int(int64(len(m.names)))
	head.body = append(head.body, m.fields.body...)
	head.items += m.fields.items
	head.int(0)
	w.string(appendID(nil, m.first))
	w.pack(&head, &m.items)
}

// streamRest writes what comes behind the entries.
func (w *writer) streamRest(s *StreamSource) {
	w.length(s.Length)
	w.id(s.Last)
	w.id(s.First)
	w.id(s.MaxDeleted)
	w.length(s.Added)
	w.length(uint64(s.GroupCount))
	for g := range s.Groups {
		w.group(g)
	}
}

func (w *writer) group(g *Group) {
	w.string(g.Name)
	w.id(g.Last)
	w.length(uint64(g.Read))
	w.length(uint64(len(g.Pending)))
	pending := make([]int, len(g.Consumers))
	for i := range g.Pending {
		p := &g.Pending[i]
		w.rawID(p.ID)
		w.millis(p.Time)
		w.length(p.Deliveries)
		pending[p.Consumer]++
	}
	owned := make([][]ID, len(g.Consumers))
	for i, n := range pending {
		owned[i] = make([]ID, 0, n)
	}
	for i := range g.Pending {
		c := g.Pending[i].Consumer
		owned[c] = append(owned[c], g.Pending[i].ID)
	}
	w.length(uint64(len(g.Consumers)))
	for i := range g.Consumers {
		c := &g.Consumers[i]
		w.string(c.Name)
		w.millis(c.Seen)
		w.length(uint64(len(owned[i])))
		for _, id := range owned[i] {
			w.rawID(id)
		}
	}
}
