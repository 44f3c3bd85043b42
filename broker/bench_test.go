package broker

import (
	"bytes"
	"fmt"
	"testing"

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
