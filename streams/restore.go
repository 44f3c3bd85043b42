package streams

import "github.com/cairnmq/cairn/storage"

// Restored is a stream that is being built as it was elsewhere: its entries in
// the order of their IDs, its past, then its groups. It exists from the start,
// so the caller has checked all of it before.
type Restored struct{ s *Stream }

// Restore makes a stream at a key that has nothing, and marks the key ready.
// What happened to the key is the caller's to report.
func Restore(tx *storage.Tx, key []byte) Restored {
	s := Create(tx, key)
	tx.MarkReady(s.o)
	tx.Changed(s.o, "")
	return Restored{s}
}

// Object returns the key of the stream.
func (r Restored) Object() *storage.Object { return r.s.o }

// Append adds the next entry. newNode says that a macro node begins with it.
func (r Restored) Append(id ID, values [][]byte, newNode bool) {
	if newNode {
		r.s.node.live = 0 // it is left as if it were empty
	}
	r.s.add(id, values, NodeLimits{})
}

// SetPast says what cannot be seen in the entries: the last ID given, how many
// entries there ever were, and the highest ID deleted singly.
func (r Restored) SetPast(last ID, added uint64, maxDeleted ID) {
	s := r.s
	s.last, s.added, s.maxDeleted = last, added, maxDeleted
	s.deletedTo = last // which of them are missing is not known
	s.forget()
}

// Distance returns how many entries were ever added up to id, ReadUnknown if
// that is not known.
func (r Restored) Distance(id ID) int64 { return r.s.distance(id) }

// Group adds a consumer group, of a new name.
func (r Restored) Group(name []byte, last ID, entriesRead int64) *Group {
	return r.s.addGroup(name, last, entriesRead)
}

// Consumer adds a consumer, of a new name.
func (r Restored) Consumer(g *Group, name []byte, seen, active int64) *Consumer {
	return g.addConsumer(name, seen, active)
}

// Pending adds an entry that c has to acknowledge. Its ID is new, too; there
// may be no such entry.
func (r Restored) Pending(g *Group, c *Consumer, id ID, time int64, deliveries uint64) {
	g.put(Pending{ID: id, Time: time, Deliveries: deliveries, consumer: c.number})
}
