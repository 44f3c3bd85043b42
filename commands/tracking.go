package commands

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cairnmq/cairn/resp"
)

// # Client-side caching
//
// A client that caches what it reads wants to be told when that is no longer
// true (https://redis.io/docs/latest/develop/reference/client-side-caching/).
// There are two ways to know whom to tell. In the first the server remembers
// which keys a client has read, and forgets it with the message: a key is
// reported once, then the client has to read it again. In the second (BCAST)
// the client names prefixes, and is told of every key that begins so.
//
// Keys are known by name only, whatever their database, as in Redis: a message
// too many does no harm.
//
// A message is put behind the reply of the command that runs, and leaves with
// it, when the write is durable (rule R4). Those of the second way are collected
// in a turn: a thousand writes to a key are one message.

// TrackingMode is how a session tracks keys: CLIENT TRACKING ON.
type TrackingMode struct {
	// Redirect is the id of the client that gets the messages instead, 0 for
	// none. Broken says that a message could not be sent, as it was gone.
	Redirect int64
	Broken   bool
	// Broadcast: messages are about keys that begin with one of Prefixes
	// (sorted), not about those that were read.
	Broadcast bool
	Prefixes  []string
	// With OptIn only those reads count that follow CLIENT CACHING YES, with
	// OptOut those that follow CLIENT CACHING NO do not. Chosen says that it was
	// given, for the next command or transaction.
	OptIn, OptOut bool
	Chosen        bool
	// NoLoop: the client is not told of what it has changed itself.
	NoLoop bool

	bytes int // of the prefixes
}

// prefixBytes is about what the prefixes take.
func (m *TrackingMode) prefixBytes() int { return m.bytes + len(m.Prefixes)*namedBytes }

// Tracking knows who is to be told of a change to which key. The zero value
// knows of nobody.
type Tracking struct {
	clients int

	// keys are those that were read, with their places in order, from which
	// those to be forgotten are picked.
	keys  map[string]*trackedKey
	order []*trackedKey
	items int // readers of all keys
	units int // of trackedUnitBytes, that the keys take

	// audiences are the listeners of each prefix of BCAST, lengths how long they
	// are, from short to long, and how many there are of each length.
	audiences map[string]*audience
	lengths   []prefixLength
	changed   []string // prefixes of which keys have changed in this turn

	own []ownInvalidation // until the command that runs is over
}

// ownInvalidation is what a session has to be told of its own doing.
type ownInvalidation struct {
	session *Session
	message *invalidation
}

type trackedKey struct {
	name    string
	place   int     // in order
	readers []int64 // ids of sessions, sorted; some may be gone
}

// trackedUnitBytes is what a key may take, name and readers, to count as one
// (tracking-table-max-keys).
const trackedUnitBytes = 512

func (k *trackedKey) units() int { return 1 + (len(k.name)+8*len(k.readers))/trackedUnitBytes }

type prefixLength struct{ length, prefixes int }

type audience struct {
	sessions []*Session
	changed  map[string]*Session // in this turn, and by whom last; nil: by nobody
}

// Clients returns how many sessions track keys.
func (t *Tracking) Clients() int { return t.clients }

// Keys returns of how many keys it is known who has read them, and how many
// readers they have together.
func (t *Tracking) Keys() (keys, items int) { return len(t.keys), t.items }

// Prefixes returns how many prefixes have listeners.
func (t *Tracking) Prefixes() int { return len(t.audiences) }

// remember notes that a session has read a key.
func (t *Tracking) remember(name []byte, id int64) {
	k := t.keys[string(name)]
	if k == nil {
		if t.keys == nil {
			t.keys = make(map[string]*trackedKey)
		}
		k = &trackedKey{name: string(name), place: len(t.order)}
		t.keys[k.name] = k
		t.order = append(t.order, k)
		t.units += k.units()
	}
	if i, found := slices.BinarySearch(k.readers, id); !found {
		t.units -= k.units()
		k.readers = slices.Insert(k.readers, i, id)
		t.units += k.units()
		t.items++
	}
}

// forget returns who has read a key, and forgets it.
func (t *Tracking) forget(name string) (readers []int64) {
	k := t.keys[name]
	if k == nil {
		return nil
	}
	delete(t.keys, name)
	last := len(t.order) - 1
	t.order[k.place] = t.order[last]
	t.order[k.place].place = k.place
	t.order[last] = nil
	t.order = t.order[:last]
	t.items -= len(k.readers)
	t.units -= k.units()
	return k.readers
}

// pick returns any key.
func (t *Tracking) pick(r *rand.Rand) string { return t.order[r.IntN(len(t.order))].name }

// forgetAll forgets who has read what.
func (t *Tracking) forgetAll() { t.keys, t.order, t.items, t.units = nil, nil, 0, 0 }

func (t *Tracking) listen(s *Session, prefix string) {
	a := t.audiences[prefix]
	if a == nil {
		if t.audiences == nil {
			t.audiences = make(map[string]*audience)
		}
		a = &audience{changed: make(map[string]*Session)}
		t.audiences[prefix] = a
		t.count(len(prefix), 1)
	}
	if !slices.Contains(a.sessions, s) {
		a.sessions = append(a.sessions, s)
	}
}

func (t *Tracking) leave(s *Session, prefix string) {
	a := t.audiences[prefix]
	a.sessions = slices.DeleteFunc(a.sessions, func(other *Session) bool { return other == s })
	if len(a.sessions) > 0 {
		return
	}
	delete(t.audiences, prefix)
	t.count(len(prefix), -1)
}

// count notes that there are n prefixes more of a length.
func (t *Tracking) count(length, n int) {
	i, found := slices.BinarySearchFunc(t.lengths, length, func(l prefixLength, length int) int { return l.length - length })
	if !found {
		t.lengths = slices.Insert(t.lengths, i, prefixLength{length: length})
	}
	if t.lengths[i].prefixes += n; t.lengths[i].prefixes == 0 {
		t.lengths = slices.Delete(t.lengths, i, i+1)
	}
}

// collect notes for those who listen to its prefixes that a key has changed.
func (t *Tracking) collect(name string, by *Session) {
	for _, l := range t.lengths {
		if l.length > len(name) {
			break
		}
		prefix := name[:l.length]
		a := t.audiences[prefix]
		if a == nil {
			continue
		}
		if len(a.changed) == 0 {
			t.changed = append(t.changed, prefix)
		}
		a.changed[name] = by
	}
}

// invalidation tells that what a client knows of keys is no longer true. It is
// encoded once for each form, however many get it.
type invalidation struct {
	keys   []string
	all    bool // of all keys
	frames [2]*resp.Frame
}

// invalidationChannel is what a RESP2 client that gets the messages of others
// subscribes to.
const invalidationChannel = "__redis__:invalidate"

func (m *invalidation) frame(proto int) *resp.Frame {
	i := proto - 2
	if m.frames[i] == nil {
		b := resp.Buffer{Proto: proto}
		if proto == 3 {
			b.Push(2)
			b.BulkString("invalidate")
		} else {
			b.Push(3)
			b.BulkString("message")
			b.BulkString(invalidationChannel)
		}
		if m.all {
			b.Null()
		} else {
			b.Array(len(m.keys))
		}
		for _, key := range m.keys {
			b.BulkString(key)
		}
		m.frames[i] = &resp.Frame{Bytes: b.Bytes()}
	}
	return m.frames[i]
}

// tell sends a message to a session that tracks keys, or to whom it redirects.
// To whom its protocol allows no message, nothing is sent.
func (srv *Server) tell(s *Session, m *invalidation) {
	to, t := s, s.Tracking
	if t.Redirect != 0 {
		if to = srv.Sessions[t.Redirect]; to == nil || to.Killed {
			t.Broken = true
			if s.Out.Proto == 3 {
				s.Push(brokenRedirect(t.Redirect))
			}
			return
		}
	}
	switch {
	case to.Out.Proto == 3:
		to.Push(m.frame(3))
	case t.Redirect != 0 && to.Subscribed():
		to.Push(m.frame(2))
	}
}

func brokenRedirect(id int64) *resp.Frame {
	b := resp.Buffer{Proto: 3}
	b.Push(2)
	b.BulkString("tracking-redir-broken")
	b.Int(id)
	return &resp.Frame{Bytes: b.Bytes()}
}

// Remember notes the keys of a call as read by its client, if that is to be
// told of their changes.
func (srv *Server) Remember(c *Ctx) {
	t := c.Session.Tracking
	if t == nil || t.Broadcast || !c.Cmd.Has(ReadOnly) || (t.OptIn && !t.Chosen) || (t.OptOut && t.Chosen) {
		return
	}
	args := c.Args.All()
	at, _ := c.Cmd.KeyIndexes(args)
	for _, i := range at {
		srv.Tracking.remember(args[i], c.Session.ID)
	}
}

// Invalidate tells that a key has changed. by is the session that did it, nil
// if none did; it is told by TellOwn.
func (srv *Server) Invalidate(key string, by *Session) {
	srv.Tracking.collect(key, by)
	srv.tellReaders(key, by)
}

func (srv *Server) tellReaders(key string, by *Session) {
	m := invalidation{keys: []string{key}}
	for _, id := range srv.Tracking.forget(key) {
		s := srv.Sessions[id]
		if s == nil || s.Tracking == nil || s.Tracking.Broadcast || (s.Tracking.NoLoop && s == by) {
			continue
		}
		srv.tellOther(s, by, &m)
	}
}

// tellOther is tell, but puts off what a session has to be told of its own doing:
// that comes behind the reply and all that the command has caused.
func (srv *Server) tellOther(s, by *Session, m *invalidation) {
	if s == by {
		srv.Tracking.own = append(srv.Tracking.own, ownInvalidation{s, m})
		return
	}
	srv.tell(s, m)
}

// TellOwn tells the session whose command, or transaction, is over of what it
// has changed itself.
func (srv *Server) TellOwn() {
	for i, own := range srv.Tracking.own {
		if own.session.Tracking != nil {
			srv.tell(own.session, own.message)
		}
		srv.Tracking.own[i] = ownInvalidation{}
	}
	srv.Tracking.own = srv.Tracking.own[:0]
}

// InvalidateAll tells that all keys of a database have changed at once, by's
// doing. In the end that means all keys, as it is not known who has read in which.
func (srv *Server) InvalidateAll(by *Session) {
	if srv.Tracking.clients == 0 {
		return
	}
	m := invalidation{all: true}
	for _, s := range srv.sessions() {
		if s.Tracking != nil {
			srv.tellOther(s, by, &m)
		}
	}
	srv.Tracking.forgetAll()
}

// Broadcast tells those who listen to prefixes what has changed in this turn.
func (srv *Server) Broadcast() {
	t := &srv.Tracking
	slices.Sort(t.changed)
	for _, prefix := range t.changed {
		a := t.audiences[prefix]
		if a == nil {
			continue // everybody has left
		}
		all := invalidation{keys: slices.Sorted(maps.Keys(a.changed))}
		for _, s := range a.sessions {
			if !s.Tracking.NoLoop {
				srv.tell(s, &all)
				continue
			}
			others := slices.DeleteFunc(slices.Clone(all.keys), func(key string) bool { return a.changed[key] == s })
			if len(others) > 0 {
				srv.tell(s, &invalidation{keys: others})
			}
		}
		clear(a.changed)
	}
	t.changed = t.changed[:0]
}

// trackedKeysDroppedMax is how many keys one turn forgets for lack of room.
const trackedKeysDroppedMax = 10_000

// LimitTracking forgets keys, any of them, until they are no more than
// tracking-table-max-keys; their readers are told as if they had changed. It
// reports whether there is more to forget.
func (srv *Server) LimitTracking() (more bool) {
	for dropped := 0; srv.TracksTooMuch(); dropped++ {
		if dropped == trackedKeysDroppedMax {
			return true
		}
		srv.tellReaders(srv.Tracking.pick(srv.Rand), nil)
	}
	return false
}

// TracksTooMuch reports whether more keys are tracked than may be.
func (srv *Server) TracksTooMuch() bool {
	most := srv.Config.TrackingTableMaxKeys
	return most > 0 && int64(srv.Tracking.units) > most
}

// track begins or changes a session's tracking.
func (srv *Server) track(s *Session, m TrackingMode) {
	t := &srv.Tracking
	if s.Tracking == nil {
		t.clients++
	} else {
		m.Chosen = s.Tracking.Chosen
		m.Prefixes = append(m.Prefixes, s.Tracking.Prefixes...)
	}
	slices.Sort(m.Prefixes)
	m.Prefixes = slices.Compact(m.Prefixes)
	for _, prefix := range m.Prefixes {
		t.listen(s, prefix)
		m.bytes += len(prefix)
	}
	s.Tracking = &m
	// From here on, also within the unit that runs.
	srv.Store.WantTouched = true
}

// untrack ends a session's tracking. Who has read what is forgotten key by key,
// as they change, or at once when nobody is left to tell.
func (srv *Server) untrack(s *Session) {
	if s.Tracking == nil {
		return
	}
	t := &srv.Tracking
	for _, prefix := range s.Tracking.Prefixes {
		t.leave(s, prefix)
	}
	s.Tracking = nil
	if t.clients--; t.clients == 0 {
		t.forgetAll()
	}
}

// overlapping returns those of many prefixes that begin another or that another
// begins: a key with both would be told of twice. In order, those that begin a
// prefix stand before it with nothing between but others that they begin.
func overlapping(lists ...[]string) map[string]bool {
	var found map[string]bool
	var begin []string // each begins the next
	for _, prefix := range slices.Sorted(slices.Values(slices.Concat(lists...))) {
		for len(begin) > 0 && !strings.HasPrefix(prefix, begin[len(begin)-1]) {
			begin = begin[:len(begin)-1]
		}
		if len(begin) > 0 {
			if found == nil {
				found = make(map[string]bool)
			}
			found[prefix], found[begin[len(begin)-1]] = true, true
		}
		begin = append(begin, prefix)
	}
	return found
}

// overlap returns the first prefix of a list that begins another one or that it
// begins.
func overlap(prefix string, list []string) (other string, found bool) {
	for _, other := range list {
		if strings.HasPrefix(prefix, other) || strings.HasPrefix(other, prefix) {
			return other, true
		}
	}
	return "", false
}
