package storage

import (
	"sync"
	"time"
)

// stalls counts how often and for how long the engine has had writes wait, because
// memtables cannot be flushed, or tables be merged, as fast as they come. That is
// noticed where a batch is applied, be it beside the loop.
type stalls struct {
	mu    sync.Mutex
	n     int64
	took  time.Duration
	began time.Duration // on the clock of Options.Elapsed
}

func (s *stalls) begin(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.began = now
}

func (s *stalls) end(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took += now - s.began
}

// WriteStalls returns how often the engine has had writes wait, and for how long; one
// that lasts is not in the time yet.
func (s *Store) WriteStalls() (n int64, took time.Duration) {
	s.stalls.mu.Lock()
	defer s.stalls.mu.Unlock()
	return s.stalls.n, s.stalls.took
}
