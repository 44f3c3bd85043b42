package broker

import (
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/storage"
)

// # What runs out without being asked for
//
// Policies make messages too old and consumers superfluous. Nobody knows when that
// is for all keys there are, and an index by time would cost every message
// something; so the keys are walked over, in slices between the commands of
// clients, as often as the shortest of these times needs. A walk is made only while
// a policy wants one, looks at names only where none matches, and goes on at once
// with a key where it has left something.

// tending is how far the walk has come.
type tending struct {
	version uint64    // of the policies that it follows
	next    time.Time // when to go on
	db      int
	cursor  uint64
	walked  bool             // all keys were passed
	more    []commands.DBKey // keys that are not done with
}

const (
	// tendKeys is how many keys one turn passes, tendItems how many messages it
	// takes away.
	tendKeys  = 500
	tendItems = 1000
	// tendTime is when a slice ends before: a key that has to be read from disk
	// takes a hundred times as long as one that is only passed.
	tendTime = 2 * time.Millisecond
	// tendPause is how long the walk rests between its slices.
	tendPause = 5 * time.Millisecond
)

// nextTend returns when the walk goes on; ok is false if there is none.
func (b *Broker) nextTend() (at time.Time, ok bool) {
	if b.server.Policies.TendedEvery() == 0 {
		return time.Time{}, false
	}
	if b.tending.version != b.server.Policies.Version {
		return b.now, true
	}
	return b.tending.next, true
}

// tend does a slice of the walk, if it is time. Each key is a unit.
func (b *Broker) tend() {
	at, ok := b.nextTend()
	if !ok || at.After(b.now) {
		return
	}
	t := &b.tending
	if version := b.server.Policies.Version; t.version != version {
		*t = tending{version: version}
	}
	left, began := tendItems, b.options.Elapsed()
	looked := false // at one at least
	enough := func() bool { return left <= 0 || (looked && b.options.Elapsed()-began >= tendTime) }
	first := func() {
		key := t.more[0]
		t.more = t.more[1:]
		left -= b.tendKey(key, left)
		looked = true
	}
	for len(t.more) > 0 && !enough() {
		first()
	}
	for passed := 0; len(t.more) == 0 && !t.walked && passed < tendKeys && !enough(); {
		t.cursor = b.tx.In(t.db).ScanSome(t.cursor, tendKeys, func(info storage.KeyInfo) bool {
			if passed++; b.server.Policies.Tends(info.Key) {
				t.more = append(t.more, commands.DBKey{DB: t.db, Key: string(info.Key)})
			}
			return passed < tendKeys
		})
		for n := len(t.more); n > 0 && !enough(); n-- {
			first()
		}
		if t.cursor != 0 {
			break // as many keys, deleted ones among them, as a turn passes
		}
		t.db++
		t.walked = t.db == storage.Databases
	}
	t.next = b.now.Add(tendPause)
	if t.walked && len(t.more) == 0 {
		t.db, t.walked = 0, false
		t.next = b.now.Add(time.Duration(b.server.Policies.TendedEvery()) * time.Millisecond)
	}
}

// tendKey looks after a key, unless a long write holds it, and returns how much
// there was to do.
func (b *Broker) tendKey(ref commands.DBKey, limit int) (did int) {
	if b.locks[ref.Key] > 0 {
		return 0
	}
	if did = b.server.Tend(b.tx.In(ref.DB), []byte(ref.Key), limit); did >= limit {
		b.tending.more = append(b.tending.more, ref)
	}
	b.settle()
	return did
}

// waiting returns the names of the consumers of a group that wait at a key.
func (b *Broker) waiting(db int, key, group string) (consumers []string) {
	q := b.waits.queues[storage.KeyRef{DB: db, Key: key}]
	if q == nil {
		return nil
	}
	for n := q.first; n != nil; n = n.next {
		if w := &n.session.Blocked.Wait; w.Group == group {
			consumers = append(consumers, w.Consumer)
		}
	}
	return consumers
}
