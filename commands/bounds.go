package commands

import (
	"bytes"
	"math"
	"time"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// # Bounded queues
//
// A policy may say how much a list or a stream holds (MAXLEN, MAXBYTES), and what
// becomes of a message beyond that (OVERFLOW). Each command that adds messages
// asks here, before it writes anything:
//
//	admit      may it go on, or wait, or is the reply an error? A call is taken
//	           as a whole or not at all.
//	displaced  under DROPOLDEST: what has to go for it, found out before, removed
//	           after the new messages are in, so that a key is never empty in
//	           between and keeps its expiry.
//
// A producer that waits for room stands in the line at its key like a consumer
// that waits for a message (broker/wait.go); it has the same class as all others
// that wait there for room, so that none overtakes another. A call that comes
// later does not overtake them either, even if it would fit.
//
// What makes a whole list or stream (COPY, RENAME, SORT with STORE …) takes the
// place of what was there: it fits or it never does, so it never waits. Commands
// that change a list in its middle (LINSERT, LSET) neither wait nor push anything
// out, as no end is the other one: without room they are refused.

// load is an amount of messages.
type load struct{ messages, bytes int64 }

func (l load) plus(o load) load  { return load{l.messages + o.messages, l.bytes + o.bytes} }
func (l load) minus(o load) load { return load{l.messages - o.messages, l.bytes - o.bytes} }

// within reports whether l is in no respect more than o.
func (l load) within(o load) bool { return l.messages <= o.messages && l.bytes <= o.bytes }

// Holds returns how many messages of how many bytes a key holds.
func Holds(tx *storage.Tx, key []byte) (messages, bytes int64) {
	l := loadOf(tx, tx.Peek(key))
	return l.messages, l.bytes
}

// loadOf returns what a key holds; o may be nil.
func loadOf(tx *storage.Tx, o *storage.Object) load {
	if o == nil {
		return load{}
	}
	switch o.Type() {
	case storage.TypeList:
		return listLoad(lists.Of(tx, o), true)
	case storage.TypeStream:
		if s, err := streams.Of(tx, o); err == nil {
			return streamLoad(s)
		}
	}
	return load{}
}

func listLoad(l lists.List, there bool) load {
	if !there {
		return load{}
	}
	return load{l.Len(), l.Bytes()}
}

func streamLoad(s *streams.Stream) load {
	if s == nil {
		return load{}
	}
	return load{int64(s.Len()), int64(s.Bytes())}
}

// loadOfAll is the load of single messages.
func loadOfAll(elements [][]byte) load {
	l := load{messages: int64(len(elements))}
	for _, e := range elements {
		l.bytes += int64(len(e))
	}
	return l
}

// boundsOf returns what is said about a key that has a limit, nil if it has none.
func (c *Ctx) boundsOf(key []byte) *policy.Effect {
	if e := c.Server.Policies.Of(key); e != nil && e.Bounded() {
		return e
	}
	return nil
}

// exceeds reports whether l is more than a key may hold.
func exceeds(e *policy.Effect, l load) bool {
	return (e.MaxLen > 0 && l.messages > e.MaxLen) || (e.MaxBytes > 0 && l.bytes > e.MaxBytes)
}

// shownKeyBytes bounds what an error repeats of a key.
const shownKeyBytes = 128

// errFull is the reply for which clients try again: those of them that back off
// and repeat by themselves do so for this code (of go-redis, all commands; its
// text is matched by older ones).
func errFull(e *policy.Effect, key []byte, have, add load) resp.Error {
	if !exceeds(e, have.plus(add)) {
		return resp.Errorf("TRYAGAIN service unavailable: others wait for room in '%s', try again later", clip(key, shownKeyBytes))
	}
	tooMany := e.MaxLen > 0 && have.messages+add.messages > e.MaxLen
	tooLarge := e.MaxBytes > 0 && have.bytes+add.bytes > e.MaxBytes
	if e.MaxLen == 0 || (tooLarge && !tooMany) {
		return resp.Errorf("TRYAGAIN service unavailable: '%s' is full (%d of %d bytes), try again later", clip(key, shownKeyBytes), have.bytes, e.MaxBytes)
	}
	return resp.Errorf("TRYAGAIN service unavailable: '%s' is full (%d of %d messages), try again later", clip(key, shownKeyBytes), have.messages, e.MaxLen)
}

// errNeverFits is the reply for what is too much even for an empty queue.
func errNeverFits(e *policy.Effect, key []byte, add load) resp.Error {
	if e.MaxLen > 0 && add.messages > e.MaxLen {
		return resp.Errorf("ERR %d messages can never fit into '%s', which holds %d at most", add.messages, clip(key, shownKeyBytes), e.MaxLen)
	}
	return resp.Errorf("ERR %d bytes can never fit into '%s', which holds %d at most", add.bytes, clip(key, shownKeyBytes), e.MaxBytes)
}

// admitWhole refuses a value that is more than the key may hold, in whose place
// it comes. How much that is is only asked where there is a limit.
func (c *Ctx) admitWhole(key []byte, value func() load) error {
	e := c.boundsOf(key)
	if e == nil {
		return nil
	}
	if l := value(); exceeds(e, l) {
		return errNeverFits(e, key, l)
	}
	return nil
}

// admitEdit refuses to make more of a list in its middle than it may hold: by add,
// with a message of so many bytes. What does not grow is not asked for.
func (c *Ctx) admitEdit(key []byte, have, add load, bytes int64) error {
	e := c.boundsOf(key)
	if e == nil || add.within(load{}) {
		return nil
	}
	then := load{}
	if add.messages > 0 {
		then.messages = have.messages + add.messages
	}
	if add.bytes > 0 {
		then.bytes = have.bytes + add.bytes
	}
	switch {
	case exceeds(e, load{1, bytes}):
		return errNeverFits(e, key, load{1, bytes})
	case exceeds(e, then) || c.waitedFor(key):
		return c.refuseFull(e, key, have, add)
	}
	return nil
}

// admit decides about a command that adds messages at an end. have is what the key
// will hold besides; freed is what the command itself removes. If the command may
// not go on, the handler returns err, which is nil when it waits.
func (c *Ctx) admit(e *policy.Effect, key []byte, have, freed, add load) (ok bool, err error) {
	if exceeds(e, add) {
		return false, errNeverFits(e, key, add)
	}
	fits := !exceeds(e, have.minus(freed).plus(add)) || add.within(freed)
	switch {
	case fits && !c.waitedFor(key), e.Overflow == policy.OverflowDropOldest:
		return true, nil
	case e.Overflow == policy.OverflowBlock && !c.InExec:
		c.wait = &Wait{
			Keys: []string{string(key)}, Timeout: durationOf(e.OverflowWait), Within: c.within,
			Room: true, AlsoGone: true, Class: classRoom, TimeoutError: errFull(e, key, have, add),
		}
		return false, nil
	}
	return false, c.refuseFull(e, key, have, add)
}

// classRoom is the class of those who wait for room. No other begins like it.
const classRoom = "room"

// durationOf is a setting in ms as a duration, of 73 years at most: so that the
// time after it still is one.
func durationOf(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond)/4)) * time.Millisecond
}

func (c *Ctx) refuseFull(e *policy.Effect, key []byte, have, add load) error {
	c.Server.CountQueue(c.Tx, string(key), QueueCounters{Rejected: 1})
	return errFull(e, key, have, add)
}

// waitedFor reports whether others wait for room at a key who are not to be
// overtaken. Who stands in that line himself is asked when it is his turn.
func (c *Ctx) waitedFor(key []byte) bool {
	b := c.Session.Blocked
	if (b != nil && b.Wait.Room) || c.Server.Waiting == nil {
		return false
	}
	_, producers := c.Server.Waiting(DBKey{DB: c.Tx.DB(), Key: string(key)})
	return producers > 0
}

// ---- dropping the oldest -----------------------------------------------------

// displaced are messages that go so that others have room.
type displaced struct {
	n       int64
	to      string // where they are buried; empty: nowhere
	letters []DeadLetter
}

// shrinkMax is how many messages beyond what it adds a call removes from a key
// that is over its limit, as it was when the limit was set. So it takes many calls
// until ten million are ten, and none of them holds up the others.
const shrinkMax = 10_000

// queued calls yield for the messages of a key, the oldest first; letter makes a
// dead letter of the one at hand.
type queued func(yield func(bytes int64, letter func() DeadLetter) bool)

// displace finds out what has to go from a key that holds have, for add to come.
// It fails where that is more than the turn may write.
func (c *Ctx) displace(e *policy.Effect, key []byte, have, add load, all queued) (d displaced, err error) {
	if e.Overflow != policy.OverflowDropOldest || !exceeds(e, have.plus(add)) {
		return d, nil
	}
	if c.Server.CanBury(c.Tx, key, e.DeadLetter) {
		d.to = e.DeadLetter
	}
	if d.to == "" && e.MaxBytes == 0 { // no need to look at them
		d.n = min(have.messages+add.messages-e.MaxLen, add.messages+shrinkMax)
		return d, c.mayDisplace(d.n, add.bytes)
	}
	gone, written := load{}, add.bytes
	all(func(bytes int64, letter func() DeadLetter) bool {
		if !exceeds(e, have.plus(add).minus(gone)) || (gone.messages >= shrinkMax && add.within(gone)) {
			return false
		}
		gone = gone.plus(load{1, bytes})
		if d.to != "" {
			l := letter()
			l.Source, l.Reason = string(key), DeadOverflow
			d.letters = append(d.letters, l)
			written += bytes + deadLetterBytes + int64(len(key))
		}
		err = c.mayDisplace(gone.messages, written)
		return err == nil
	})
	d.n = gone.messages
	return d, err
}

// deadLetterBytes is about what a dead letter takes beside the message.
const deadLetterBytes = 256

// displacedBytes is about what it takes to remove a message.
const displacedBytes = 64

func (c *Ctx) mayDisplace(n, bytes int64) error {
	if !c.Tx.Fits(n, bytes+n*displacedBytes) {
		return storage.ErrTooMuch
	}
	return nil
}

// bury counts what has gone from a key, and buries it.
func (c *Ctx) bury(key []byte, d displaced) {
	if d.n == 0 {
		return
	}
	for _, letter := range d.letters {
		c.Server.Bury(c.Tx, d.to, letter)
	}
	c.Server.CountQueue(c.Tx, string(key), QueueCounters{Dropped: d.n})
}

// ---- lists -------------------------------------------------------------------

// admitPush decides about messages that are to be pushed at an end of a list. what
// is for pushed, once they are in it.
func (c *Ctx) admitPush(key []byte, l lists.List, there bool, end lists.End, add func() load) (what displaced, ok bool, err error) {
	e := c.boundsOf(key)
	if e == nil {
		return what, true, nil
	}
	have, more := listLoad(l, there), add()
	if ok, err = c.admit(e, key, have, load{}, more); !ok {
		return what, false, err
	}
	what, err = c.displace(e, key, have, more, func(yield func(int64, func() DeadLetter) bool) {
		each := func(_ int64, p []byte) bool {
			return yield(int64(len(p)), func() DeadLetter {
				return DeadLetter{Fields: [][]byte{[]byte(DeadElement), bytes.Clone(p)}}
			})
		}
		switch {
		case !there:
		case end == lists.Left:
			l.RangeReverse(0, l.Len(), each)
		default:
			l.Range(0, l.Len(), each)
		}
	})
	return what, err == nil, err
}

// pushed ends a push at an end: what is displaced goes from the other one.
func (c *Ctx) pushed(l lists.List, end lists.End, what displaced) {
	switch {
	case what.n == 0:
		return
	case end == lists.Left:
		l.Trim(0, l.Len()-what.n)
	default:
		l.Trim(what.n, l.Len())
	}
	c.bury([]byte(l.Object().Key), what)
}

// ---- streams -----------------------------------------------------------------

// admitEntry decides about an entry that is to be added to a stream, which may be
// nil, by a command that trims it as well.
func (c *Ctx) admitEntry(key []byte, s *streams.Stream, add load, trim streams.Trim) (what displaced, ok bool, err error) {
	e := c.boundsOf(key)
	if e == nil {
		return what, true, nil
	}
	have, freed := streamLoad(s), load{}
	if s != nil && exceeds(e, have.plus(add)) {
		n, bytes := s.TrimRoom(trim)
		freed = load{int64(n), int64(bytes)}
	}
	if ok, err = c.admit(e, key, have, freed, add); !ok {
		return what, false, err
	}
	what, err = c.displace(e, key, have.minus(freed), add, func(yield func(int64, func() DeadLetter) bool) {
		if s == nil {
			return
		}
		s.Oldest(func(entry *streams.Entry) bool {
			if freed.messages > 0 {
				freed.messages-- // by the trim
				return true
			}
			return yield(int64(entry.Bytes()), func() DeadLetter {
				letter := DeadLetter{ID: entry.ID.String()}
				entry.Each(func(p []byte) { letter.Fields = append(letter.Fields, bytes.Clone(p)) })
				return letter
			})
		})
	})
	return what, err == nil, err
}

// added ends the adding of an entry, once the command has trimmed the stream,
// which may have removed more than was to be expected.
func (c *Ctx) added(key []byte, s *streams.Stream, what displaced) {
	if what.n == 0 {
		return
	}
	e, n := c.boundsOf(key), load{}
	s.Oldest(func(entry *streams.Entry) bool {
		if n.messages == what.n || !exceeds(e, streamLoad(s).minus(n)) {
			return false
		}
		n = n.plus(load{1, int64(entry.Bytes())})
		return true
	})
	if what.n = n.messages; what.n > 0 {
		s.DropOldest(uint64(what.n))
	}
	what.letters = what.letters[:min(len(what.letters), int(what.n))]
	c.bury(key, what)
}
