package compat_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// eachProtocol gives the test a client for RESP2 and one for RESP3, on an empty server.
func eachProtocol(t *testing.T, server *daemon, test func(t *testing.T, rdb *redis.Client)) {
	t.Helper()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("resp%d", protocol), func(t *testing.T) {
			rdb := connect(t, server, protocol)
			want(t, rdb.FlushAll(t.Context()), "OK")
			test(t, rdb)
		})
	}
}

func connect(t testing.TB, server *daemon, protocol int) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: server.addr, Protocol: protocol,
		ReadTimeout: patience, WriteTimeout: patience, DialTimeout: patience,
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

type result[T any] interface{ Result() (T, error) }

func want[T any](t testing.TB, cmd result[T], expected T) {
	t.Helper()
	got, err := cmd.Result()
	if err != nil {
		t.Fatalf("%v: %v, want %v", cmd, err, expected)
	}
	if !reflect.DeepEqual(got, expected) {
		t.Fatalf("%v: got %#v, want %#v", cmd, got, expected)
	}
}

func wantErr(t testing.TB, cmd redis.Cmder, expected string) {
	t.Helper()
	if err := cmd.Err(); err == nil || err.Error() != expected {
		t.Fatalf("%v: error %v, want %q", cmd, err, expected)
	}
}

func wantNil(t testing.TB, cmd redis.Cmder) {
	t.Helper()
	if err := cmd.Err(); !errors.Is(err, redis.Nil) {
		t.Fatalf("%v: error %v, want nil reply", cmd, err)
	}
}

func value[T any](t testing.TB, cmd result[T]) T {
	t.Helper()
	v, err := cmd.Result()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	return v
}

// awaitBlocked returns when so many clients wait on the server.
func awaitBlocked(t testing.TB, rdb *redis.Client, clients int) {
	t.Helper()
	err := eventually(fmt.Sprintf("%d blocked clients", clients), func() (bool, error) {
		info, err := rdb.InfoMap(t.Context(), "clients").Result()
		return info["Clients"]["blocked_clients"] == fmt.Sprint(clients), err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGoRedisConnection(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		want(t, rdb.Ping(ctx), "PONG")
		want(t, rdb.Echo(ctx, "hello"), "hello")
		conn := rdb.Conn()
		defer conn.Close()
		want(t, conn.ClientSetName(ctx, "worker"), true)
		want(t, conn.ClientGetName(ctx), "worker")
		want(t, conn.Select(ctx, 3), "OK")
		info := value(t, conn.ClientInfo(ctx))
		if info.Name != "worker" || info.DB != 3 || info.ID != value(t, conn.ClientID(ctx)) {
			t.Errorf("CLIENT INFO: %+v", info)
		}
		hello := value(t, conn.Hello(ctx, 3, "", "", ""))
		if hello["proto"] != int64(3) || hello["role"] != "master" {
			t.Errorf("HELLO 3: %v", hello)
		}
		if now := value(t, rdb.Time(ctx)); time.Since(now).Abs() > time.Minute {
			t.Errorf("TIME is %v", now)
		}
	})
}

func TestGoRedisServer(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		commands := value(t, rdb.Command(ctx))
		if lpush := commands["lpush"]; lpush == nil || lpush.Arity != -3 || lpush.FirstKeyPos != 1 || lpush.ReadOnly {
			t.Errorf("COMMAND: lpush is %+v", lpush)
		}
		want(t, rdb.CommandGetKeys(ctx, "lmove", "a", "b", "left", "right"), []string{"a", "b"})
		if names := value(t, rdb.CommandList(ctx, nil)); !slices.Contains(names, "xreadgroup") {
			t.Errorf("COMMAND LIST lacks xreadgroup: %v", names)
		}
		want(t, rdb.ConfigSet(ctx, "timeout", "77"), "OK")
		want(t, rdb.ConfigGet(ctx, "timeout"), map[string]string{"timeout": "77"})
		want(t, rdb.ConfigSet(ctx, "timeout", "0"), "OK")
		want(t, rdb.ConfigResetStat(ctx), "OK")
		if info := value(t, rdb.InfoMap(ctx, "server")); info["Server"]["redis_version"] == "" {
			t.Errorf("INFO server: %v", info)
		}
		value(t, rdb.LastSave(ctx))
		value(t, rdb.SlowLogGet(ctx, 10))
		want(t, rdb.RPush(ctx, "q", "v"), int64(1))
		if n := value(t, rdb.MemoryUsage(ctx, "q")); n <= 0 {
			t.Errorf("MEMORY USAGE %d", n)
		}
		value(t, rdb.ObjectEncoding(ctx, "q"))
		if clients := value(t, rdb.ClientList(ctx)); clients == "" {
			t.Error("CLIENT LIST is empty")
		}
	})
}

func TestGoRedisKeys(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		want(t, rdb.RPush(ctx, "a", 1, 2), int64(2))
		want(t, rdb.Exists(ctx, "a", "a", "b"), int64(2))
		want(t, rdb.Type(ctx, "a"), "list")
		want(t, rdb.Touch(ctx, "a", "b"), int64(1))
		want(t, rdb.Rename(ctx, "a", "b"), "OK")
		wantErr(t, rdb.Rename(ctx, "a", "b"), "ERR no such key")
		want(t, rdb.RenameNX(ctx, "b", "c"), true)
		want(t, rdb.Copy(ctx, "c", "d", 0, false), int64(1))
		want(t, rdb.Move(ctx, "d", 1), true)
		want(t, rdb.DBSize(ctx), int64(1))
		want(t, rdb.Keys(ctx, "*"), []string{"c"})
		want(t, rdb.RandomKey(ctx), "c")

		want(t, rdb.TTL(ctx, "c"), time.Duration(-1))
		want(t, rdb.Expire(ctx, "c", time.Hour), true)
		want(t, rdb.ExpireNX(ctx, "c", time.Hour), false)
		want(t, rdb.ExpireGT(ctx, "c", 2*time.Hour), true)
		want(t, rdb.ExpireLT(ctx, "c", time.Hour), true)
		want(t, rdb.ExpireXX(ctx, "c", time.Hour), true)
		if ttl := value(t, rdb.PTTL(ctx, "c")); ttl > time.Hour || ttl < time.Hour-time.Minute {
			t.Errorf("PTTL %v", ttl)
		}
		at := time.Unix(33177117420, 0)
		want(t, rdb.ExpireAt(ctx, "c", at), true)
		want(t, rdb.ExpireTime(ctx, "c"), time.Duration(at.Unix())*time.Second)
		want(t, rdb.PExpireAt(ctx, "c", at), true)
		want(t, rdb.PExpireTime(ctx, "c"), time.Duration(at.UnixMilli())*time.Millisecond)
		want(t, rdb.Persist(ctx, "c"), true)
		want(t, rdb.TTL(ctx, "none"), time.Duration(-2))
		want(t, rdb.Unlink(ctx, "c", "none"), int64(1))
		want(t, rdb.Del(ctx, "c"), int64(0))
		wantNil(t, rdb.RandomKey(ctx))
		want(t, rdb.FlushDB(ctx), "OK")
	})
}

func TestGoRedisScan(t *testing.T) {
	const keys = 1000
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range keys {
				p.RPush(ctx, fmt.Sprintf("list:%d", i), i)
				p.XAdd(ctx, &redis.XAddArgs{Stream: fmt.Sprintf("stream:%d", i), Values: []string{"f", "v"}})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for it := rdb.ScanType(ctx, 0, "list:*", 50, "list").Iterator(); it.Next(ctx); {
			seen[it.Val()] = true
		}
		if len(seen) != keys {
			t.Errorf("SCAN found %d of %d lists", len(seen), keys)
		}
	})
}

func TestGoRedisPipeline(t *testing.T) {
	const commands = 10_000
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		cmds, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range commands {
				p.RPush(ctx, "q", i)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, cmd := range cmds {
			want(t, cmd.(*redis.IntCmd), int64(i+1))
		}
		cmds, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range commands {
				p.LPop(ctx, "q")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, cmd := range cmds {
			want(t, cmd.(*redis.StringCmd), fmt.Sprint(i))
		}
	})
}

func TestGoRedisTransactions(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		var length *redis.IntCmd
		_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.RPush(ctx, "q", 1, 2, 3)
			p.LPop(ctx, "q")
			length = p.LLen(ctx, "q")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want(t, length, int64(2))

		// Everybody moves one element under WATCH; who loses the race tries again.
		const workers = 8
		moved := make(chan error, workers)
		want(t, rdb.RPush(ctx, "tokens", 0), int64(1))
		for range workers {
			go func() { moved <- increment(ctx, rdb) }()
		}
		for range workers {
			if err := <-moved; err != nil {
				t.Error(err)
			}
		}
		want(t, rdb.LRange(ctx, "tokens", 0, -1), []string{fmt.Sprint(workers)})

		err = rdb.Watch(ctx, func(tx *redis.Tx) error {
			if err := rdb.LPush(ctx, "tokens", "intruder").Err(); err != nil {
				return err
			}
			_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Del(ctx, "tokens")
				return nil
			})
			return err
		}, "tokens")
		if !errors.Is(err, redis.TxFailedErr) {
			t.Errorf("EXEC after a change: %v", err)
		}
	})
}

// increment reads a number and writes the next one, which is only right if nobody was faster.
func increment(ctx context.Context, rdb *redis.Client) error {
	for {
		err := rdb.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.LIndex(ctx, "tokens", 0).Int()
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.LSet(ctx, "tokens", 0, n+1)
				return nil
			})
			return err
		}, "tokens")
		if !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
}
