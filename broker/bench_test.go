package broker

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkTurn measures turns of 50 commands, one of each client, on a store in
// memory: what the broker itself costs, without sockets and disks.
func BenchmarkTurn(b *testing.B) {
	payload := bytes.Repeat([]byte("x"), 128)
	for _, keys := range []int{1, 1000} {
		b.Run(fmt.Sprintf("LPUSH+RPOP/keys=%d", keys), func(b *testing.B) {
			s := newStageOn(b, vfs.NewMem())
			var names [][]byte
			for i := range keys {
				names = append(names, fmt.Append(nil, "queue:", i))
			}
			turn := func(command string, at int, more ...[]byte) {
				s.broker.Begin(s.now)
				for i := range 50 {
					c := s.client(fmt.Sprint("c", i))
					call := append([][]byte{[]byte(command), names[(at*50+i)%keys]}, more...)
					s.broker.Do(c.session, call)
				}
				if err := s.broker.End(); err != nil {
					b.Fatal(err)
				}
				for _, session := range s.broker.Touched() {
					session.Out.Consume(session.Out.Len())
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				turn("LPUSH", i, payload)
				turn("RPOP", i)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/command")
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
