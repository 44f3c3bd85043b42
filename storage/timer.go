package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// # Timers
//
// A timer is something that is due at a time, and has a name. Timers belong to no
// database and to no key: what empties or exchanges databases leaves them alone.
//
//	t at(8) seq(8)   the timer: its name and its value, in the order in which timers
//	                 are due; of those due at the same time the one that was set
//	                 first comes first
//	n name           the time and number of the timer of that name
//	s timers         how many there are, and the number of the next
//
// There may be many millions, so what is in memory of them is when the first is
// due. Those that are due are read from the first on: timers before it have been
// removed, and walking over their tombstones each time is what makes queues on an
// LSM tree slow; hence the floor, a key before which there is none. A timer is put
// once and removed once at each place it has, so that both vanish in memory if it
// was due soon.

// Timer is something that is due at a time.
type Timer struct {
	Name  string
	At    int64  // unix ms, not negative
	Seq   uint64 // orders the timers that are due at the same time
	Value []byte
}

// timers is what the store knows of them without reading.
type timers struct {
	count int64
	seq   uint64 // the number of the next
	dirty bool   // count or seq has changed in this turn
	next  int64  // nothing is due before this time
	floor []byte // no timer is before this key
}

func newTimers() timers {
	return timers{seq: 1, next: math.MaxInt64, floor: []byte{kindTimer}}
}

// timerPlace is where a timer is, or with gone set no longer is.
type timerPlace struct {
	at   int64
	seq  uint64
	gone bool
}

const systemTimers = "timers"

var timersKey = appendSystemKey(nil, systemTimers)

func appendTimerKey(dst []byte, at int64, seq uint64) []byte {
	return appendTimerPlace(append(dst, kindTimer), at, seq)
}

func appendTimerPlace(dst []byte, at int64, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, uint64(at)), seq)
}

func appendTimerName(dst []byte, name string) []byte {
	return append(append(dst, kindTimerName), name...)
}

const timerPlaceLen = 8 + 8

func decodeTimerPlace(p []byte) (at int64, seq uint64, err error) {
	if len(p) != timerPlaceLen || p[0]&0x80 != 0 {
		return 0, 0, fmt.Errorf("%w: a timer at %x", ErrDamaged, p)
	}
	return int64(binary.BigEndian.Uint64(p)), binary.BigEndian.Uint64(p[8:]), nil
}

// decodeTimer makes sense of a timer's record, of which it keeps nothing.
func decodeTimer(k, v []byte) (t Timer, err error) {
	if t.At, t.Seq, err = decodeTimerPlace(k[1:]); err != nil {
		return t, err
	}
	n, size := binary.Uvarint(v)
	if size <= 0 || n > uint64(len(v)-size) {
		return t, fmt.Errorf("%w: the timer at %d has no name", ErrDamaged, t.At)
	}
	v = v[size:]
	t.Name, t.Value = string(v[:n]), bytes.Clone(v[n:])
	return t, nil
}

// AddTimer sets a timer of a name that none has.
func (tx *Tx) AddTimer(name string, at int64, value []byte) {
	s := &tx.store.timers
	tx.putTimer(Timer{Name: name, At: at, Seq: s.seq, Value: value})
	s.seq++
	s.count++
	s.dirty = true
}

// MoveTimer changes when a timer is due, and its value. It keeps its place among
// those that are due at the same time.
func (tx *Tx) MoveTimer(t Timer, at int64, value []byte) {
	tx.dropTimer(t)
	t.At, t.Value = at, value
	tx.putTimer(t)
}

// RemoveTimer removes a timer.
func (tx *Tx) RemoveTimer(t Timer) {
	tx.dropTimer(t)
	tx.store.unflushed.deleted++
	tx.check(tx.batch.Delete(appendTimerName(nil, t.Name), nil))
	tx.notePlace(t.Name, timerPlace{gone: true})
	tx.store.timers.count--
	tx.store.timers.dirty = true
}

func (tx *Tx) putTimer(t Timer) {
	if t.At < 0 {
		panic("storage: a timer before 1970: " + t.Name)
	}
	tx.writable()
	tx.edits++
	value := append(binary.AppendUvarint(nil, uint64(len(t.Name))), t.Name...)
	key := appendTimerKey(nil, t.At, t.Seq)
	tx.check(tx.batch.Set(key, append(value, t.Value...), nil))
	tx.check(tx.batch.Set(appendTimerName(nil, t.Name), key[1:], nil))
	tx.notePlace(t.Name, timerPlace{at: t.At, seq: t.Seq})
	tx.store.timers.lower(t.At, key)
}

func (tx *Tx) dropTimer(t Timer) {
	tx.writable()
	tx.edits++
	tx.store.unflushed.deleted++
	tx.check(tx.batch.SingleDelete(appendTimerKey(nil, t.At, t.Seq), nil))
}

// notePlace remembers what the turn has done to a timer, so that finding it does
// not take an index of the batch.
func (tx *Tx) notePlace(name string, p timerPlace) {
	if tx.turn.timers == nil {
		tx.turn.timers = make(map[string]timerPlace)
	}
	tx.turn.timers[name] = p
}

// lower keeps next and floor: there is a timer at a key.
func (s *timers) lower(at int64, key []byte) {
	if at < s.next {
		s.next = at
	}
	if bytes.Compare(key, s.floor) < 0 {
		s.floor = append(s.floor[:0], key...)
	}
}

// HasTimer reports whether there is a timer of a name.
func (tx *Tx) HasTimer(name string) bool {
	_, ok := tx.timerPlace(name)
	return ok
}

func (tx *Tx) timerPlace(name string) (p timerPlace, ok bool) {
	if p, known := tx.turn.timers[name]; known {
		return p, !p.gone
	}
	tx.scratch = appendTimerName(tx.scratch[:0], name)
	value, closer, err := tx.reader.Get(tx.scratch)
	if errors.Is(err, pebble.ErrNotFound) {
		return p, false
	}
	if err != nil {
		tx.fail("read the place of a timer", err)
		return p, false
	}
	if p.at, p.seq, err = decodeTimerPlace(value); err != nil {
		tx.fail("read the place of a timer", err)
	}
	_ = closer.Close() // releases a block of the cache, cannot fail
	return p, err == nil
}

// Timer returns the timer of a name.
func (tx *Tx) Timer(name string) (t Timer, ok bool) {
	p, ok := tx.timerPlace(name)
	if !ok {
		return t, false
	}
	key := appendTimerKey(nil, p.at, p.seq)
	value, closer, err := tx.view(len(tx.turn.timers) > 0).Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		err = fmt.Errorf("%w: there is none where %q should be", ErrDamaged, name)
	}
	if err != nil {
		tx.fail("read a timer", err)
		return t, false
	}
	if t, err = decodeTimer(key, value); err != nil {
		tx.fail("read a timer", err)
	}
	_ = closer.Close() // releases a block of the cache, cannot fail
	return t, err == nil
}

// DueTimers returns timers that are due, first the one that has been due for
// longest: up to limit of them, with not much more than so many bytes of values.
// Each of them has to be removed, moved or kept (KeepTimer) in the same turn. If
// behind is not nil those up to its place are passed over.
func (tx *Tx) DueTimers(behind *Timer, limit, bytesMax int) (list []Timer) {
	s := &tx.store.timers
	if s.next > tx.nowMs {
		return nil
	}
	lo, end := s.floor, []byte{kindTimer + 1}
	if behind != nil {
		lo = append(appendTimerKey(nil, behind.At, behind.Seq), 0)
	} else {
		s.next, s.floor = math.MaxInt64, end
	}
	tx.scan(tx.view(len(tx.turn.timers) > 0), lo, end, false, func(k, v []byte) bool {
		t, err := decodeTimer(k, v)
		if err != nil {
			tx.fail("read a timer", err)
			return false
		}
		if t.At > tx.nowMs || len(list) == limit || bytesMax <= 0 {
			if behind == nil {
				s.next, s.floor = t.At, bytes.Clone(k)
			}
			return false
		}
		bytesMax -= len(v)
		list = append(list, t)
		return true
	})
	return list
}

// KeepTimer leaves a timer that DueTimers has returned as it is: it is due still.
func (tx *Tx) KeepTimer(t Timer) {
	tx.store.timers.lower(t.At, appendTimerKey(nil, t.At, t.Seq))
}

// Timers returns all timers in the order in which they are due. What is done to
// them meanwhile is not seen.
func (tx *Tx) Timers() iter.Seq[Timer] {
	return func(yield func(Timer) bool) {
		lo := []byte{kindTimer}
		if tx.inLoop() {
			lo = tx.store.timers.floor
		}
		tx.scan(tx.view(len(tx.turn.timers) > 0), lo, []byte{kindTimer + 1}, false, func(k, v []byte) bool {
			t, err := decodeTimer(k, v)
			if err != nil {
				tx.fail("read a timer", err)
				return false
			}
			return yield(t)
		})
	}
}

// NextTimerSeq returns the number that the next timer gets: no other ever had it.
func (tx *Tx) NextTimerSeq() uint64 { return tx.store.timers.seq }

// TimerCount returns how many timers there are.
func (s *Store) TimerCount() int64 { return s.timers.count }

// NextTimer returns a time before which no timer is due: usually when the first
// is. ok is false when there are none.
func (s *Store) NextTimer() (at time.Time, ok bool) {
	if s.timers.next == math.MaxInt64 {
		return time.Time{}, false
	}
	return time.UnixMilli(s.timers.next), true
}

// flushTimers writes the counters of timers if the turn has moved them.
func (tx *Tx) flushTimers() {
	clear(tx.turn.timers)
	if s := &tx.store.timers; s.dirty {
		s.dirty = false
		value := binary.BigEndian.AppendUint64(nil, uint64(s.count))
		tx.check(tx.batch.Set(timersKey, binary.BigEndian.AppendUint64(value, s.seq), nil))
	}
}

// loadTimers finds out what there is.
func (s *Store) loadTimers() error {
	value, err := s.system(systemTimers)
	if err != nil || value == nil {
		return err
	}
	if len(value) != 16 {
		return fmt.Errorf("%w: the system record %q has %d bytes", ErrDamaged, systemTimers, len(value))
	}
	s.timers.count = int64(binary.BigEndian.Uint64(value))
	s.timers.seq = binary.BigEndian.Uint64(value[8:])
	tx := s.turn.views[0]
	tx.scan(s.reader(), []byte{kindTimer}, []byte{kindTimer + 1}, false, func(k, _ []byte) bool {
		if s.timers.next, _, err = decodeTimerPlace(k[1:]); err == nil {
			s.timers.floor = bytes.Clone(k)
		}
		return false
	})
	return errors.Join(err, tx.err)
}

// timers checks that each timer makes sense and is where its name says, and that
// they are as many as the counter says.
func (k *checker) timers() {
	tx := k.tx
	count, seq := int64(0), uint64(1)
	if value, closer, err := tx.reader.Get(timersKey); err == nil {
		if len(value) == 16 {
			count, seq = int64(binary.BigEndian.Uint64(value)), binary.BigEndian.Uint64(value[8:])
		} else {
			k.wrong("the system record %q has %d bytes", systemTimers, len(value))
		}
		_ = closer.Close() // releases a block of the cache, cannot fail
	} else if !errors.Is(err, pebble.ErrNotFound) {
		tx.fail("read a record", err)
	}
	tx.scan(tx.reader, []byte{kindTimer}, []byte{kindTimer + 1}, false, func(key, value []byte) bool {
		k.sum.Timers++
		t, err := decodeTimer(key, value)
		if err != nil {
			k.wrong("%w", err)
			return true
		}
		switch p, ok := tx.timerPlace(t.Name); {
		case tx.err != nil: // not the end: others may be sound
			k.wrong("the timer %q at %d: %w", t.Name, t.At, tx.err)
			tx.err = nil
		case !ok || p.at != t.At || p.seq != t.Seq:
			k.wrong("the timer %q at %d is not where its name says", t.Name, t.At)
		case t.Seq >= seq:
			k.wrong("the timer %q has the number %d, which was not given yet", t.Name, t.Seq)
		case k.Timer != nil:
			if err := k.Timer(t); err != nil {
				k.wrong("the timer %q at %d: %w", t.Name, t.At, err)
			}
		}
		return tx.err == nil
	})
	if k.sum.Timers != count {
		k.wrong("there are %d timers; counted were %d", k.sum.Timers, count)
	}
	tx.scan(tx.reader, []byte{kindTimerName}, []byte{kindTimerName + 1}, false, func(key, value []byte) bool {
		at, seq, err := decodeTimerPlace(value)
		if err == nil && !k.has(appendTimerKey(nil, at, seq)) {
			err = fmt.Errorf("there is none at %d", at)
		}
		if err != nil {
			k.wrong("the name %q of a timer: %w", key[1:], err)
		}
		return tx.err == nil
	})
}
