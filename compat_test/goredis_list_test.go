package compat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestGoRedisLists(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		want(t, rdb.RPush(ctx, "q", "a", "b", "c"), int64(3))
		want(t, rdb.LPush(ctx, "q", "z"), int64(4))
		want(t, rdb.LPushX(ctx, "none", "v"), int64(0))
		want(t, rdb.RPushX(ctx, "q", "d"), int64(5))
		want(t, rdb.LRange(ctx, "q", 0, -1), []string{"z", "a", "b", "c", "d"})
		want(t, rdb.LLen(ctx, "q"), int64(5))
		want(t, rdb.LIndex(ctx, "q", -1), "d")
		want(t, rdb.LInsertBefore(ctx, "q", "b", "ab"), int64(6))
		want(t, rdb.LInsertAfter(ctx, "q", "b", "bc"), int64(7))
		want(t, rdb.LSet(ctx, "q", 0, "a"), "OK")
		wantErr(t, rdb.LSet(ctx, "q", 99, "a"), "ERR index out of range")
		want(t, rdb.LPos(ctx, "q", "a", redis.LPosArgs{Rank: 2}), int64(1))
		want(t, rdb.LPosCount(ctx, "q", "a", 0, redis.LPosArgs{}), []int64{0, 1})
		want(t, rdb.LRem(ctx, "q", 1, "a"), int64(1))
		want(t, rdb.LTrim(ctx, "q", 1, -2), "OK")
		want(t, rdb.LRange(ctx, "q", 0, -1), []string{"ab", "b", "bc", "c"})
		want(t, rdb.LPop(ctx, "q"), "ab")
		want(t, rdb.RPopCount(ctx, "q", 2), []string{"c", "bc"})
		want(t, rdb.LMove(ctx, "q", "dst", "left", "right"), "b")
		wantNil(t, rdb.LMove(ctx, "q", "dst", "left", "right"))
		//lint:ignore SA1019 old programs call RPOPLPUSH
		want(t, rdb.RPopLPush(ctx, "dst", "q"), "b")
		key, values, err := rdb.LMPop(ctx, "left", 5, "none", "q").Result()
		if err != nil || key != "q" || len(values) != 1 {
			t.Errorf("LMPOP: %s %v %v", key, values, err)
		}
		wantNil(t, rdb.LPop(ctx, "q"))
		wantNil(t, rdb.LPopCount(ctx, "q", 2))
		wantNil(t, rdb.LMPop(ctx, "left", 1, "q"))
		want(t, rdb.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "1-1", Values: []string{"f", "v"}}), "1-1")
		wantErr(t, rdb.LPush(ctx, "s", "v"), "WRONGTYPE Operation against a key holding the wrong kind of value")
	})
}

func TestGoRedisBlockingPops(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		// The methods of the library round timeouts up to whole seconds.
		wantNil(t, rdb.Do(ctx, "BLPOP", "q", 0.02))
		wantNil(t, rdb.Do(ctx, "BRPOPLPUSH", "q", "d", 0.02))
		wantNil(t, rdb.Do(ctx, "BLMOVE", "q", "d", "left", "left", 0.02))
		wantNil(t, rdb.Do(ctx, "BLMPOP", 0.02, 1, "q", "left"))

		for name, wait := range map[string]func() (string, error){
			"BLPOP":  func() (string, error) { return last(rdb.BLPop(ctx, 0, "other", "q")) },
			"BRPOP":  func() (string, error) { return last(rdb.BRPop(ctx, 0, "q", "other")) },
			"BLMOVE": func() (string, error) { return rdb.BLMove(ctx, "q", "d", "left", "left", 0).Result() },
			//lint:ignore SA1019 old programs call it
			"BRPOPLPUSH": func() (string, error) { return rdb.BRPopLPush(ctx, "q", "d", 0).Result() },
			"BLMPOP": func() (string, error) {
				_, values, err := rdb.BLMPop(ctx, 0, "left", 1, "q").Result()
				return strings.Join(values, " "), err
			},
		} {
			got := make(chan string, 1)
			go func() {
				v, err := wait()
				if err != nil {
					v = err.Error()
				}
				got <- v
			}()
			awaitBlocked(t, rdb, 1)
			want(t, rdb.RPush(ctx, "q", name), int64(1))
			if reply := <-got; reply != name {
				t.Errorf("%s: got %s", name, reply)
			}
		}
	})
}

func last(cmd *redis.StringSliceCmd) (string, error) {
	values, err := cmd.Result()
	if err != nil {
		return "", err
	}
	return values[len(values)-1], nil
}

// A client that gives up hangs up, and must not take an element along.
func TestGoRedisCancelledPop(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		patient := redis.NewClient(&redis.Options{Addr: server.addr, Protocol: 2, ContextTimeoutEnabled: true})
		defer patient.Close()
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- patient.BLPop(ctx, 0, "q").Err() }()
		awaitBlocked(t, rdb, 1)
		cancel()
		patient.Close()
		if err := <-gone; err == nil || errors.Is(err, redis.Nil) {
			t.Errorf("cancelled BLPOP: %v", err)
		}
		awaitBlocked(t, rdb, 0)
		want(t, rdb.RPush(t.Context(), "q", "kept"), int64(1))
		want(t, rdb.LPop(t.Context(), "q"), "kept")
	})
}

// Many producers and workers: every job is done once.
func TestGoRedisWorkQueue(t *testing.T) {
	const producers, workers, jobs = 4, 8, 250
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		done := make(chan string, producers*jobs)
		var running sync.WaitGroup
		for range workers {
			running.Go(func() {
				for {
					v, err := last(rdb.BRPop(ctx, 0, "jobs", "stop"))
					if err != nil || v == "stop" {
						return
					}
					done <- v
				}
			})
		}
		var producing sync.WaitGroup
		for p := range producers {
			producing.Go(func() {
				for j := range jobs {
					if err := rdb.LPush(ctx, "jobs", fmt.Sprintf("%d-%d", p, j)).Err(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		producing.Wait()
		seen := map[string]int{}
		for range producers * jobs {
			select {
			case v := <-done:
				seen[v]++
			case <-time.After(patience):
				t.Fatalf("%d of %d jobs done", len(seen), producers*jobs)
			}
		}
		for range workers {
			value(t, rdb.LPush(ctx, "stop", "stop"))
		}
		running.Wait()
		if len(seen) != producers*jobs {
			t.Errorf("%d different jobs, want %d", len(seen), producers*jobs)
		}
	})
}
