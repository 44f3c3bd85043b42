package streams

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/storage"
)

// bench is a store in memory whose turns end after a number of operations.
type bench struct {
	b     *testing.B
	store *storage.Store
	tx    *storage.Tx
	ops   int
}

func newBench(b *testing.B) *bench {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	return &bench{b: b, store: store, tx: store.Begin(time.UnixMilli(1))}
}

func (n *bench) turn(opsPerTurn int) {
	if n.ops++; n.ops%opsPerTurn != 0 {
		return
	}
	if _, err := n.store.Commit(); err != nil {
		n.b.Fatal(err)
	}
	n.tx = n.store.Begin(time.UnixMilli(int64(n.ops)))
}

func (n *bench) open(key string) *Stream {
	s, err := Open(n.tx, []byte(key))
	if err != nil {
		n.b.Fatal(err)
	}
	if s == nil {
		s = Create(n.tx, []byte(key))
	}
	return s
}

var (
	benchValues = [][]byte{[]byte("payload"), make([]byte, 128)}
	benchLimits = NodeLimits{Entries: 100, Bytes: 4096}
)

func (n *bench) add(s *Stream) ID {
	id, err := (Wanted{Auto: true}).Resolve(s.LastID(), n.tx.NowMillis())
	if err != nil {
		n.b.Fatal(err)
	}
	s.Append(id, benchValues, benchLimits)
	return id
}

// 800 commands in a turn are 50 connections with 16 commands in flight.
func BenchmarkAppend(b *testing.B) {
	for _, trim := range []struct {
		name string
		Trim
	}{
		{"plain", Trim{}},
		{"maxlen-1000", Trim{By: TrimMaxLen, MaxLen: 1000}},
		{"maxlen-1000-approx", Trim{By: TrimMaxLen, MaxLen: 1000, Approx: true, Limit: 10000}},
	} {
		b.Run(trim.name, func(b *testing.B) {
			n := newBench(b)
			b.ReportAllocs()
			for b.Loop() {
				s := n.open("s")
				n.add(s)
				if trim.By != TrimNone {
					s.Trim(trim.Trim)
				}
				n.turn(800)
			}
		})
	}
}

func BenchmarkAppend1000Streams(b *testing.B) {
	n := newBench(b)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("stream", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n.add(n.open(keys[i%len(keys)]))
		n.turn(50)
	}
}

// BenchmarkGroup reads a backlog that is on disk, and acknowledges it: in the
// same turn, or in the next one. An operation is one entry.
func BenchmarkGroup(b *testing.B) {
	for _, count := range []int{1, 100} {
		for _, later := range []bool{false, true} {
			b.Run(fmt.Sprintf("count-%d-later-%v", count, later), func(b *testing.B) {
				n := newBench(b)
				for range b.N + 1000 {
					n.add(n.open("s"))
					n.turn(1000)
				}
				if err := n.open("s").CreateGroup([]byte("g"), ID{}, 0); err != nil {
					b.Fatal(err)
				}
				var ids, old []ID
				name := []byte("worker")
				b.ReportAllocs()
				b.ResetTimer()
				for done := 0; done < b.N; done += count {
					g := n.open("s").Group([]byte("g"))
					ids = ids[:0]
					g.ReadNew(g.See(name), Batch{Count: count}, false, func(e *Entry) { ids = append(ids, e.ID) })
					if later {
						ids, old = old, ids
					}
					g.Ack(ids)
					n.turn(50)
				}
			})
		}
	}
}

// BenchmarkTail is a stream whose consumer keeps up: each turn adds entries,
// and they are read and acknowledged in it.
func BenchmarkTail(b *testing.B) {
	n := newBench(b)
	if err := n.open("s").CreateGroup([]byte("g"), ID{}, 0); err != nil {
		b.Fatal(err)
	}
	name := []byte("worker")
	var ids []ID
	b.ReportAllocs()
	for b.Loop() {
		s := n.open("s")
		n.add(s)
		g := s.Group([]byte("g"))
		ids = ids[:0]
		g.ReadNew(g.See(name), Batch{Count: 10}, false, func(e *Entry) { ids = append(ids, e.ID) })
		g.Ack(ids)
		n.turn(50)
	}
}

// BenchmarkPendingMillion: reading and acknowledging in a group that has a
// million pending entries; opening it from disk.
func BenchmarkPendingMillion(b *testing.B) {
	n := newBench(b)
	if err := n.open("s").CreateGroup([]byte("g"), ID{}, 0); err != nil {
		b.Fatal(err)
	}
	const million = 1_000_000
	for i := 0; i < million; i += 1000 {
		s := n.open("s")
		for range 1000 {
			n.add(s)
		}
		g := s.Group([]byte("g"))
		g.ReadNew(g.See([]byte(fmt.Sprint("c", i/1000%10))), Batch{}, false, func(*Entry) {})
		n.turn(1)
	}
	s := n.open("s")
	g := s.Group([]byte("g"))
	b.Logf("%d pending, %d pages, %d KB in memory, %d in the store's cache", g.PendingCount(), len(g.pages.all), s.MemoryBytes()>>10, func() int { _, bytes := n.store.CachedObjects(); return bytes >> 10 }())
	b.Run("read-ack-1", func(b *testing.B) {
		for b.Loop() {
			s := n.open("s")
			id := n.add(s)
			g := s.Group([]byte("g"))
			g.ReadNew(g.See([]byte("c1")), Batch{Count: 1}, false, func(*Entry) {})
			g.Ack([]ID{id})
			n.turn(50)
		}
	})
	b.Run("ack-and-claim-anywhere", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			s := n.open("s")
			g := s.Group([]byte("g"))
			id := g.pages.all[i*7919%len(g.pages.all)].key
			g.Claim([]byte("c2"), []ID{id}, Claim{Time: 5, Retries: -1, JustID: true})
			n.turn(50)
		}
	})
	b.Run("autoclaim-nothing", func(b *testing.B) {
		for b.Loop() {
			g := n.open("s").Group([]byte("g"))
			g.AutoClaim([]byte("c2"), ID{}, million, Claim{IdleMin: 1 << 40, Retries: -1})
			n.turn(1)
		}
	})
	b.Run("redeliver-1", func(b *testing.B) {
		for b.Loop() {
			g := n.open("s").Group([]byte("g"))
			g.ReadDue(g.See([]byte("c2")), Due{Batch: Batch{Count: 1}}, func(Again) {})
			n.turn(50)
		}
	})
	b.Run("redeliver-nothing", func(b *testing.B) {
		for b.Loop() {
			g := n.open("s").Group([]byte("g"))
			g.ReadDue(g.See([]byte("c2")), Due{IdleMin: 1 << 40, Batch: Batch{Count: 1}}, func(Again) {})
			n.turn(50)
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			tx, release := n.store.Snapshot(time.UnixMilli(9))
			s, err := Open(tx, []byte("s"))
			if err != nil {
				b.Fatal(err)
			}
			s.Group([]byte("g"))
			release()
		}
	})
}

// BenchmarkAddOnce: XADD of messages that producers name, all of them new; the
// windows are full.
func BenchmarkAddOnce(b *testing.B) {
	for _, c := range []struct{ producers, perTurn int }{{1, 1}, {1, 50}, {1000, 50}} {
		b.Run(fmt.Sprintf("producers=%d/per-turn=%d", c.producers, c.perTurn), func(b *testing.B) {
			n := newBench(b)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s := n.open("s")
				m := ProducedAs(fmt.Append(nil, "producer-", i%c.producers), fmt.Append(nil, "message-", i))
				if _, ok := s.Recall(m); ok {
					b.Fatal("there already")
				}
				s.Remember(m, n.add(s), Idempotence{100, 100})
				n.turn(c.perTurn)
			}
		})
	}
}
