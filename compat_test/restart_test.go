package compat_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	restarts         = 3
	restartClients   = 3 // of each kind
	restartsMessages = 200
)

// TestRestartUnderLoad has the server end in good order and start again while clients with their default options work on:
// they connect again by themselves. What was acknowledged is received, blocked clients are released, the status is 0.
// A push without a reply is made again, so that a message may come twice, but none is lost.
func TestRestartUnderLoad(t *testing.T) {
	server := ownCairn(t, t.TempDir(), "--appendfsync", "always")
	rdb := redis.NewClient(&redis.Options{Addr: server.addr, PoolSize: 4 * restartClients})
	defer rdb.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients, consumers sync.WaitGroup
	var pushed atomic.Int64
	for p := range restartClients {
		clients.Go(func() {
			for n := range restartsMessages {
				for rdb.LPush(ctx, "q", fmt.Sprintf("%d-%d", p, n)).Err() != nil && ctx.Err() == nil {
				}
				pushed.Add(1)
			}
		})
	}
	var mu sync.Mutex
	received := map[string]bool{}
	for range restartClients {
		consumers.Go(func() {
			for ctx.Err() == nil {
				popped, err := rdb.BRPop(ctx, 0, "q").Result()
				if err == nil {
					mu.Lock()
					received[popped[1]] = true
					mu.Unlock()
				}
			}
		})
	}
	for n := range restarts {
		for pushed.Load() < int64((n+1)*restartClients*restartsMessages/(restarts+2)) {
			time.Sleep(time.Millisecond)
		}
		server.terminate(t)
		if status := server.cmd.ProcessState.ExitCode(); status != 0 {
			t.Fatalf("exit status %d:\n%s", status, server.log)
		}
		server = server.restart(t)
	}
	clients.Wait()
	deadline := time.Now().Add(patience)
	for {
		mu.Lock()
		n := len(received)
		mu.Unlock()
		if n == restartClients*restartsMessages {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d messages were received, %d are left", n, restartClients*restartsMessages, value(t, rdb.LLen(t.Context(), "q")))
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	rdb.Close()
	consumers.Wait()
}
