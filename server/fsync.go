package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairnmq/cairn/storage"
)

// everySecond syncs the log once a second while appendfsync is everysec.
type everySecond struct {
	store *storage.Store
	on    atomic.Bool
	fail  func(error) // takes an error after which nothing may be acknowledged
}

// start begins with it, until stop has returned.
func (e *everySecond) start() (stop func()) {
	var running sync.WaitGroup
	quit := make(chan struct{})
	running.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
			}
			if !e.on.Load() {
				continue
			}
			if err := e.store.SyncNow(); err != nil {
				e.fail(fmt.Errorf("sync the log: %w", err))
				return
			}
		}
	})
	return func() {
		close(quit)
		running.Wait()
	}
}
