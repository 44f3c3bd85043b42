package compat_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestGoRedisClientSideCache lets go-redis keep replies and has other clients change
// what they are about.
func TestGoRedisClientSideCache(t *testing.T) {
	server := startCairn(t, t.TempDir())
	for name, test := range map[string]struct {
		change func(ctx context.Context, other *redis.Client) error
		left   []string
	}{
		"push":   {func(ctx context.Context, other *redis.Client) error { return other.RPush(ctx, "q", "b").Err() }, []string{"a", "b"}},
		"delete": {func(ctx context.Context, other *redis.Client) error { return other.Del(ctx, "q").Err() }, []string{}},
		"expiry": {func(ctx context.Context, other *redis.Client) error {
			return other.PExpire(ctx, "q", 20*time.Millisecond).Err()
		}, []string{}},
		"flush": {func(ctx context.Context, other *redis.Client) error { return other.FlushAll(ctx).Err() }, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			other := connect(t, server, 3)
			want(t, other.FlushAll(ctx), "OK")
			want(t, other.RPush(ctx, "q", "a"), 1)
			want(t, other.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "1-1", Values: []string{"f", "v"}}), "1-1")

			caching := redis.NewClient(&redis.Options{
				Addr: server.addr, Protocol: 3, PoolSize: 2, ClientSideCacheConfig: &redis.ClientSideCacheConfig{MaxEntries: 100},
				ReadTimeout: patience, WriteTimeout: patience, DialTimeout: patience,
			})
			t.Cleanup(func() { caching.Close() })
			want(t, caching.LRange(ctx, "q", 0, -1), []string{"a"})
			want(t, caching.XLen(ctx, "s"), 1)
			for range 5 {
				want(t, caching.LRange(ctx, "q", 0, -1), []string{"a"})
				want(t, caching.XLen(ctx, "s"), 1)
			}
			if stats := caching.CSCStats(); stats.Hits != 10 || stats.Misses != 2 || stats.Entries != 2 {
				t.Errorf("%+v: the replies were not kept", stats)
			}
			if err := test.change(ctx, other); err != nil {
				t.Fatal(err)
			}
			err := eventually("the reply to be forgotten", func() (bool, error) {
				return caching.CSCStats().Entries < 2, caching.Ping(ctx).Err()
			})
			if err != nil {
				t.Fatal(err)
			}
			// Until its time is up the list may be read, and kept, once more.
			err = eventually("the list as it was left", func() (bool, error) {
				items, err := caching.LRange(ctx, "q", 0, -1).Result()
				return slices.Equal(items, test.left), err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestGoRedisCacheOptIn does by hand what rueidis does for every cached read.
func TestGoRedisCacheOptIn(t *testing.T) {
	server := startCairn(t, t.TempDir())
	rdb := connect(t, server, 3)
	ctx := t.Context()
	conn := rdb.Conn()
	t.Cleanup(func() { conn.Close() })
	want(t, conn.Do(ctx, "CLIENT", "TRACKING", "ON", "OPTIN"), any("OK"))
	replies, err := conn.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, call := range [][]any{{"CLIENT", "CACHING", "YES"}, {"MULTI"}, {"PTTL", "q"}, {"LLEN", "q"}, {"EXEC"}} {
			p.Do(ctx, call...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, replies[4].(*redis.Cmd), any([]any{int64(-2), int64(0)}))
	if got := value(t, rdb.InfoMap(ctx, "stats"))["Stats"]["tracking_total_keys"]; got != "1" {
		t.Errorf("%s keys are tracked, want 1", got)
	}
}
