package commands

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/storage"
)

// # Confirmed pops
//
// In Redis an element that BRPOP has answered is gone, whether the reply
// arrives or not. Under the policy POP CONFIRMED it is kept on disk, invisible,
// until the client's next command shows that it did: one that has come in after
// the reply had gone out. If the connection ends first, or the broker, or a lease
// runs out, the element goes back to the end that it came from.
//
// Invariants: what was popped is in the list or in a record (storage.PutPopped),
// never in both and never in neither, as each step is one batch. Each record
// belongs to one session, or to nobody: then it goes back in the next turn.
// Which ones there are is in memory, what is in them is not.

// Unconfirmed is what one call has popped and its client is not yet known to
// have.
type Unconfirmed struct {
	Seq uint64 // of its record
	// Sent says that the reply has left, After how many bytes had come from the
	// client by then.
	Sent  bool
	After int64
}

// poppedRef is what is in memory of a record.
type poppedRef struct {
	key     DBKey
	n       int64
	session *Session // nil: nobody's
	lease   time.Time
}

// Confirmations are all pops that are not confirmed. The zero value has none.
type Confirmations struct {
	popped map[uint64]*poppedRef
	counts map[DBKey]int64 // elements, by key
	leases leases
	// back are records that go back in the next turn.
	back []uint64
	// deliveries counts those of messages that have gone back, by their hash.
	// Equal messages share a count.
	deliveries     map[DBKey]map[uint64]uint64
	deliveriesSize int
}

// deliveriesMax bounds how many messages have such a count: of one more, another
// begins anew.
const deliveriesMax = 100_000

var errPoppedGone = errors.New("there is no record of it")

// confirms returns what holds for pops from a key, nil if they need no
// confirmation: because no policy asks for it, or because there is nobody who
// could give it.
func (c *Ctx) confirms(key []byte) *policy.Effect {
	e := c.Server.Policies.Of(key)
	if e == nil || !e.PopConfirmed || c.Session.Peer == nil || c.Session.Reply != ReplyOn {
		return nil
	}
	return e
}

// hold keeps what was popped until it is confirmed.
func (c *Ctx) hold(e *policy.Effect, key []byte, end lists.End, elements ...[]byte) {
	if e == nil || len(elements) == 0 {
		return
	}
	srv := c.Server
	ref := DBKey{DB: c.Tx.DB(), Key: string(key)}
	p := lists.Popped{DB: ref.DB, Key: key, End: end}
	for _, v := range elements {
		n := srv.Confirmations.deliveries[ref][xxhash.Sum64(v)] + 1
		if n > 1 {
			srv.CountQueue(c.Tx, ref.Key, QueueCounters{Redelivered: 1})
		}
		p.Elements = append(p.Elements, lists.PoppedElement{Value: v, Deliveries: n})
	}
	r := &poppedRef{key: ref, n: int64(len(elements)), session: c.Session}
	seq := c.Tx.PutPopped(p.Append(nil))
	if e.Lease > 0 {
		r.lease = c.Tx.Now().Add(durationOf(e.Lease))
	}
	srv.Confirmations.add(seq, r)
	c.Session.Unconfirmed = append(c.Session.Unconfirmed, Unconfirmed{Seq: seq})
}

func (f *Confirmations) add(seq uint64, r *poppedRef) {
	if f.popped == nil {
		f.popped = make(map[uint64]*poppedRef)
		f.counts = make(map[DBKey]int64)
	}
	f.popped[seq] = r
	f.counts[r.key] += r.n
	if !r.lease.IsZero() {
		f.leases.tidy(f.popped)
		heap.Push(&f.leases, lease{r.lease, seq})
	}
}

func (f *Confirmations) remove(seq uint64) {
	r := f.popped[seq]
	delete(f.popped, seq)
	if f.counts[r.key] -= r.n; f.counts[r.key] == 0 {
		delete(f.counts, r.key)
	}
}

// InFlight returns how many elements popped from a key are not confirmed.
func (f *Confirmations) InFlight(key DBKey) int64 { return f.counts[key] }

// Total returns how many pops are not confirmed.
func (f *Confirmations) Total() int { return len(f.popped) }

// ReplySent notes that everything for the session has left, when so many bytes
// had come from it.
func (s *Session) ReplySent() {
	for i := range s.Unconfirmed {
		if u := &s.Unconfirmed[i]; !u.Sent {
			u.Sent, u.After = true, s.Arrived
		}
	}
}

// Confirm forgets what the session's next command shows to have arrived.
func (srv *Server) Confirm(tx *storage.Tx, s *Session) {
	kept := s.Unconfirmed[:0]
	for _, u := range s.Unconfirmed {
		r := srv.Confirmations.popped[u.Seq]
		switch {
		case r == nil || r.session != s: // flushed, or its lease has run out
		case u.Sent && s.Offset >= u.After:
			srv.confirm(tx, u.Seq)
		default:
			kept = append(kept, u)
		}
	}
	s.Unconfirmed = kept
	if len(kept) == 0 {
		s.Unconfirmed = nil
	}
}

func (srv *Server) confirm(tx *storage.Tx, seq uint64) {
	r := srv.Confirmations.popped[seq]
	if len(srv.Confirmations.deliveries[r.key]) > 0 {
		if record, ok := tx.Popped(seq); ok {
			p, err := lists.DecodePopped(record)
			if err != nil {
				tx.Fail("read what was popped", err)
				return
			}
			for _, e := range p.Elements {
				srv.Confirmations.setDeliveries(tx, r.key, xxhash.Sum64(e.Value), 0)
			}
		}
	}
	tx.DeletePopped(seq)
	srv.Confirmations.remove(seq)
}

func (f *Confirmations) setDeliveries(tx *storage.Tx, key DBKey, message, n uint64) {
	known, has := f.deliveries[key][message]
	switch {
	case n == 0 && !has, n == known && has:
		return
	case n == 0:
		delete(f.deliveries[key], message)
		f.deliveriesSize--
		if len(f.deliveries[key]) == 0 {
			delete(f.deliveries, key)
		}
	default:
		if !has && f.deliveriesSize >= deliveriesMax {
			f.forgetDeliveries(tx)
		}
		if f.deliveries == nil {
			f.deliveries = make(map[DBKey]map[uint64]uint64)
		}
		if f.deliveries[key] == nil {
			f.deliveries[key] = make(map[uint64]uint64)
		}
		f.deliveries[key][message] = n
		if !has {
			f.deliveriesSize++
		}
	}
	tx.PutDeliveries(key, message, n)
}

// forgetDeliveries has one message begin anew.
func (f *Confirmations) forgetDeliveries(tx *storage.Tx) {
	for key, messages := range f.deliveries {
		for message := range messages {
			f.setDeliveries(tx, key, message, 0)
			return
		}
	}
}

// Abandon has all that a session was not known to have go back in the next turn:
// its connection has ended.
func (srv *Server) Abandon(s *Session) {
	for _, u := range s.Unconfirmed {
		if r := srv.Confirmations.popped[u.Seq]; r != nil && r.session == s {
			r.session = nil
			srv.Confirmations.back = append(srv.Confirmations.back, u.Seq)
		}
	}
	s.Unconfirmed = nil
}

// LoadPopped has all go back that was not confirmed when the broker ended: no
// connection has outlived it.
func (srv *Server) LoadPopped() error {
	f := &srv.Confirmations
	err := srv.Store.EachPopped(func(seq uint64, record []byte) error {
		p, err := lists.DecodePopped(record)
		if err != nil {
			return err
		}
		f.add(seq, &poppedRef{key: DBKey{DB: p.DB, Key: string(p.Key)}, n: int64(len(p.Elements))})
		f.back = append(f.back, seq)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what was popped and not confirmed: %w", err)
	}
	return srv.Store.EachDeliveries(func(key DBKey, message, n uint64) {
		if f.deliveries == nil {
			f.deliveries = make(map[DBKey]map[uint64]uint64)
		}
		if f.deliveries[key] == nil {
			f.deliveries[key] = make(map[uint64]uint64)
		}
		f.deliveries[key][message] = n
		f.deliveriesSize++
	})
}

// NextGoesBack returns when something that is not confirmed goes back.
func (f *Confirmations) NextGoesBack(now time.Time) (at time.Time, ok bool) {
	if len(f.back) > 0 {
		return now, true
	}
	for len(f.leases) > 0 && f.popped[f.leases[0].seq] == nil {
		heap.Pop(&f.leases)
	}
	if len(f.leases) == 0 {
		return time.Time{}, false
	}
	return f.leases[0].at, true
}

// goBackMax is how many elements go back in a turn, or a few more, goBackBytesMax
// how many bytes of them: all that was under way when the broker ended is too much
// for one batch.
const (
	goBackMax      = 100_000
	goBackBytesMax = 64 << 20
)

// GoBack puts back what is due to go back, and reports whether there was
// anything. The last that was popped goes first: so they stand as they did. What is
// too much for a turn goes in the next.
func (srv *Server) GoBack(tx *storage.Tx) bool {
	f := &srv.Confirmations
	due := f.back
	f.back = nil
	for len(f.leases) > 0 && !f.leases[0].at.After(tx.Now()) {
		due = append(due, heap.Pop(&f.leases).(lease).seq)
	}
	due = slices.DeleteFunc(due, func(seq uint64) bool { return f.popped[seq] == nil }) // flushed, or confirmed
	slices.SortFunc(due, func(a, b uint64) int { return cmp.Compare(b, a) })
	due = slices.Compact(due)
	// All are read before any is written: so the turn's batch needs no index.
	records := make([]lists.Popped, len(due))
	n, bytes := int64(0), 0
	for i, seq := range due {
		if n >= goBackMax || bytes >= goBackBytesMax {
			f.back = append(f.back, due[i:]...)
			due = due[:i]
			break
		}
		record, ok := tx.Popped(seq)
		n += f.popped[seq].n
		bytes += len(record)
		err := errPoppedGone
		if ok {
			records[i], err = lists.DecodePopped(record)
		}
		if err != nil {
			tx.Fail(fmt.Sprintf("read what was popped from %q", f.popped[seq].key.Key), err)
			return false
		}
	}
	for i, seq := range due {
		srv.goBack(tx.In(records[i].DB), seq, &records[i])
	}
	return len(due) > 0
}

func (srv *Server) goBack(tx *storage.Tx, seq uint64, p *lists.Popped) {
	f := &srv.Confirmations
	r := f.popped[seq]
	r.session = nil
	if o := tx.Peek(p.Key); o != nil && o.Type() != storage.TypeList {
		// It cannot go where it was, and is not thrown away.
		srv.Logf("%d elements popped from %q were not confirmed, and cannot go back as the key holds a %s: they do when cairn starts and it does not", r.n, p.Key, o.Type())
		return
	}
	most, to := uint64(0), ""
	if e := srv.Policies.Of(p.Key); e != nil {
		most, to = uint64(e.MaxDeliveries), e.DeadLetter
	}
	for _, e := range slices.Backward(p.Elements) {
		message := xxhash.Sum64(e.Value)
		if most > 0 && e.Deliveries >= most && srv.CanBury(tx, p.Key, to) {
			srv.Bury(tx, to, DeadLetter{
				Source: r.key.Key, Deliveries: int64(e.Deliveries), Reason: DeadDeliveries,
				Fields: [][]byte{[]byte(DeadElement), e.Value},
			})
			f.setDeliveries(tx, r.key, message, 0)
			continue
		}
		l, err := lists.OpenOrCreate(tx, p.Key)
		if err != nil {
			panic("commands: a list that was one is none: " + err.Error())
		}
		l.Push(p.End, e.Value)
		if most > 0 {
			f.setDeliveries(tx, r.key, message, e.Deliveries)
		}
	}
	tx.DeletePopped(seq)
	f.remove(seq)
}

// forgetPopped drops what is not confirmed of the databases that were emptied.
func (srv *Server) forgetPopped(tx *storage.Tx, flushed func(db int) bool) {
	f := &srv.Confirmations
	for seq, r := range f.popped {
		if flushed(r.key.DB) {
			tx.DeletePopped(seq)
			f.remove(seq)
		}
	}
	for key, messages := range f.deliveries {
		if flushed(key.DB) {
			for message := range messages {
				f.setDeliveries(tx, key, message, 0)
			}
		}
	}
}

type lease struct {
	at  time.Time
	seq uint64
}

// leases orders leases by their end.
type leases []lease

// leasesSpare is how many leases of what is confirmed may be there beside as many
// as there are others.
const leasesSpare = 1000

// tidy removes the leases of what is confirmed when they are many: nobody comes
// for them before they end, which may be never.
func (l *leases) tidy(popped map[uint64]*poppedRef) {
	if len(*l) > 2*len(popped)+leasesSpare {
		*l = slices.DeleteFunc(*l, func(e lease) bool { return popped[e.seq] == nil })
		heap.Init(l)
	}
}

func (l leases) Len() int           { return len(l) }
func (l leases) Less(i, j int) bool { return l[i].at.Before(l[j].at) }
func (l leases) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *leases) Push(x any)        { *l = append(*l, x.(lease)) }
func (l *leases) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}
