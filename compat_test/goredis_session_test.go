package compat_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

// What go-redis has no method for, or seldom calls: on one connection.
func TestGoRedisSession(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		conn := rdb.Conn()
		defer conn.Close()

		want(t, conn.Do(ctx, "MULTI"), any("OK"))
		want(t, conn.Do(ctx, "RPUSH", "jobs", "one"), any("QUEUED"))
		want(t, conn.Do(ctx, "DISCARD"), any("OK"))
		want(t, conn.Exists(ctx, "jobs"), int64(0))
		wantErr(t, conn.Do(ctx, "DISCARD"), "ERR DISCARD without MULTI")

		// What is no longer watched may change.
		want(t, conn.Do(ctx, "WATCH", "jobs"), any("OK"))
		want(t, rdb.RPush(ctx, "jobs", "one"), int64(1))
		want(t, conn.Do(ctx, "UNWATCH"), any("OK"))
		want(t, conn.Do(ctx, "MULTI"), any("OK"))
		want(t, conn.Do(ctx, "LLEN", "jobs"), any("QUEUED"))
		want(t, conn.Do(ctx, "EXEC"), any([]any{int64(1)}))

		want(t, conn.Do(ctx, "SWAPDB", "0", "9"), any("OK"))
		want(t, conn.Exists(ctx, "jobs"), int64(0))
		want(t, conn.Select(ctx, 9), "OK")
		want(t, conn.LRange(ctx, "jobs", 0, -1), []string{"one"})
		want(t, conn.Do(ctx, "SWAPDB", "9", "0"), any("OK"))

		wantErr(t, conn.Auth(ctx, "secret"), "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
		want(t, conn.Do(ctx, "RESET"), any("RESET"))
		want(t, conn.LRange(ctx, "jobs", 0, -1), []string{"one"}) // database 0 again

		add(t, rdb, "events", "1-0", "one")
		want(t, rdb.Do(ctx, "XSETID", "events", "5-0", "ENTRIESADDED", "7", "MAXDELETEDID", "4-0"), any("OK"))
		info, err := rdb.XInfoStream(ctx, "events").Result()
		if err != nil || info.LastGeneratedID != "5-0" || info.EntriesAdded != 7 || info.MaxDeletedEntryID != "4-0" {
			t.Errorf("%+v, %v", info, err)
		}
		wantErr(t, rdb.Do(ctx, "XSETID", "events", "0-1"), "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")

		want(t, rdb.Save(ctx), "OK")
		want(t, conn.Do(ctx, "QUIT"), any("OK"))
	})
}

func TestGoRedisUnsubscribe(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		patterns := rdb.PSubscribe(ctx, "n*", "s*")
		defer patterns.Close()
		confirm(t, patterns, "psubscribe", "n*", 1)
		confirm(t, patterns, "psubscribe", "s*", 2)
		if err := patterns.PUnsubscribe(ctx, "n*"); err != nil {
			t.Error(err)
		}
		confirm(t, patterns, "punsubscribe", "n*", 1)
		want(t, rdb.Publish(ctx, "news", "hello"), int64(0))
		want(t, rdb.Publish(ctx, "sport", "hello"), int64(1))
		hear(t, patterns, redis.Message{Channel: "sport", Pattern: "s*", Payload: "hello"})

		shards := rdb.SSubscribe(ctx, "orders", "returns")
		defer shards.Close()
		confirm(t, shards, "ssubscribe", "orders", 1)
		confirm(t, shards, "ssubscribe", "returns", 2)
		if err := shards.SUnsubscribe(ctx, "orders"); err != nil {
			t.Error(err)
		}
		confirm(t, shards, "sunsubscribe", "orders", 1)
		want(t, rdb.SPublish(ctx, "orders", "one"), int64(0))
		want(t, rdb.SPublish(ctx, "returns", "one"), int64(1))
	})
}

// go-redis takes the end of the connection for success, as it is of a SHUTDOWN.
func TestGoRedisShutdown(t *testing.T) {
	server := startCairn(t, t.TempDir())
	rdb := connect(t, server, 3)
	want(t, rdb.RPush(t.Context(), "jobs", "one"), int64(1))
	want(t, rdb.BgSave(t.Context()), "Background saving started")
	once := redis.NewClient(&redis.Options{Addr: server.addr, MaxRetries: -1})
	defer once.Close()
	if err := once.ShutdownSave(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}
