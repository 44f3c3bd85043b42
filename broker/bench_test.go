package broker

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkTurn measures turns of 50 commands, one of each client, on a store in
// memory: what the broker itself costs, without sockets and disks. An operation is
// one turn of each command.
func BenchmarkTurn(b *testing.B) {
	payload := string(bytes.Repeat([]byte("x"), 128))
	for _, bench := range []struct {
		name     string
		keys     int
		commands [][]string // of which the second word is the key
	}{
		{"PING", 1, [][]string{{"PING"}}},
		{"LPUSH+RPOP", 1, [][]string{{"LPUSH", "", payload}, {"RPOP", ""}}},
		{"LPUSH+RPOP", 1000, [][]string{{"LPUSH", "", payload}, {"RPOP", ""}}},
		{"LPUSH", 1, [][]string{{"LPUSH", "", payload}}},
		{"LPUSH", 1000, [][]string{{"LPUSH", "", payload}}},
		{"XADD", 1, [][]string{{"XADD", "", "*", "message", payload}}},
		{"XADD", 1000, [][]string{{"XADD", "", "*", "message", payload}}},
	} {
		b.Run(fmt.Sprintf("%s/keys=%d", bench.name, bench.keys), func(b *testing.B) {
			const clients = 50
			s := newStageOn(b, vfs.NewMem())
			var sessions []*Session
			for i := range clients {
				sessions = append(sessions, s.client(fmt.Sprint("c", i)).session)
			}
			var names [][]byte
			for i := range bench.keys {
				names = append(names, fmt.Append(nil, "queue:", i))
			}
			var calls [][][]byte
			for _, command := range bench.commands {
				var call [][]byte
				for _, word := range command {
					call = append(call, []byte(word))
				}
				calls = append(calls, call)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				for _, call := range calls {
					s.broker.Begin(s.now)
					for k, session := range sessions {
						if len(call) > 1 {
							call[1] = names[(i*clients+k)%len(names)]
						}
						s.broker.Do(session, call)
					}
					if err := s.broker.End(); err != nil {
						b.Fatal(err)
					}
					for _, session := range s.broker.Touched() {
						session.Out.Consume(session.Out.Len())
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(calls)*clients), "ns/command")
		})
	}
}

// BenchmarkSchedule measures turns of 50 commands that are scheduled, due at random
// times of an hour that does not come, and then how commands run that are due.
func BenchmarkSchedule(b *testing.B) {
	payload := bytes.Repeat([]byte("x"), 128)
	s := newStageOn(b, vfs.NewMem())
	c := s.client("a")
	turn := func(f func()) {
		s.broker.Begin(s.now)
		f()
		if err := s.broker.End(); err != nil {
			b.Fatal(err)
		}
		c.session.Out.Consume(c.session.Out.Len())
	}
	schedule := func(n, from, to int) {
		turn(func() {
			for range n {
				at := fmt.Append(nil, from+s.broker.server.Rand.IntN(to-from))
				s.broker.Do(c.session, [][]byte{[]byte("SCHEDULE"), []byte("IN"), at, []byte("RPUSH"), []byte("q"), payload})
			}
		})
	}
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			schedule(50, 3_600_000, 7_200_000)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/50, "ns/command")
	})
	b.Run("run", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			schedule(1, 1, 2)
		}
		b.ResetTimer()
		s.now = s.now.Add(time.Second)
		for range (b.N + scheduledMax - 1) / scheduledMax {
			turn(func() {})
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/command")
	})
}
