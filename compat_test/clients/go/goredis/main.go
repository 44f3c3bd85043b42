// Command goredis runs the checks of the client matrix with go-redis v9. Arguments: host, port, protocol (2 or 3).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cairnmq/cairn/compat_test/clients/go/check"
)

var ctx = context.Background()

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func options() *redis.Options {
	options := &redis.Options{Addr: check.Addr(), ReadTimeout: 20 * time.Second}
	if os.Args[3] == "2" {
		options.Protocol = 2
	}
	return options
}

func main() {
	redis.SetLogger(silence{}) // the broker's restart is no news
	rdb := redis.NewClient(options())
	check.Do("connect", func() {
		options := options()
		options.ClientName, options.DB = "matrix", 3
		named := redis.NewClient(options)
		defer named.Close()
		check.Equal(check.Must(named.Echo(ctx, "hello").Result()), "hello")
		info := check.Must(named.Do(ctx, "CLIENT", "INFO").Text())
		check.True(strings.Contains(info, " name=matrix ") && strings.Contains(info, " db=3 "), "CLIENT INFO: %s", info)
		check.Client("go-redis", "github.com/redis/go-redis/v9", info)
	})
	check.Do("load-balancing", func() {
		check.Equal(check.Must(rdb.LPush(ctx, "jobs", "a", "b", "c").Result()), int64(3))
		for _, job := range []string{"a", "b", "c"} {
			check.Equal(check.Must(rdb.BRPop(ctx, time.Second, "jobs").Result()), []string{"jobs", job})
		}
		check.Equal(check.Must(rdb.LLen(ctx, "jobs").Result()), int64(0))
	})
	check.Do("fan-out", func() {
		channel, pattern := rdb.Subscribe(ctx, "news"), rdb.PSubscribe(ctx, "n*")
		defer channel.Close()
		defer pattern.Close()
		for _, sub := range []*redis.PubSub{channel, pattern} {
			check.Must(sub.Receive(ctx))
		}
		check.Equal(check.Must(rdb.Publish(ctx, "news", "hello").Result()), int64(2))
		check.Equal(check.Next(channel.Channel()), &redis.Message{Channel: "news", Payload: "hello"})
		check.Equal(check.Next(pattern.Channel()), &redis.Message{Channel: "news", Pattern: "n*", Payload: "hello"})
	})
	check.Do("hybrid", func() {
		for _, group := range []string{"billing", "shipping"} {
			check.OK(rdb.XGroupCreateMkStream(ctx, "orders", group, "$").Err())
		}
		id := check.Must(rdb.XAdd(ctx, &redis.XAddArgs{Stream: "orders", Values: []string{"item", "lamp"}}).Result())
		for _, group := range []string{"billing", "shipping"} {
			check.Equal(read(rdb, "orders", group, "alice", 10), []string{id + " lamp"})
			check.Equal(check.Must(rdb.XAck(ctx, "orders", group, id).Result()), int64(1))
			check.Equal(check.Must(rdb.XPending(ctx, "orders", group).Result()).Count, int64(0))
		}
	})
	check.Do("pop-timeout", func() {
		check.Equal(rdb.BRPop(ctx, time.Second, "none").Err(), redis.Nil)
		args := &redis.XReadGroupArgs{Group: "billing", Consumer: "alice", Streams: []string{"orders", ">"}, Block: 100 * time.Millisecond}
		check.Equal(rdb.XReadGroup(ctx, args).Err(), redis.Nil)
	})
	check.Do("pop-served", func() {
		popped := make(chan []string, 1)
		go func() { popped <- rdb.BRPop(ctx, 0, "late").Val() }()
		awaitBlocked(rdb)
		check.OK(rdb.LPush(ctx, "late", "v").Err())
		check.Equal(check.Next(popped), []string{"late", "v"})
	})
	check.Do("redelivery", func() { redelivery(rdb) })
	check.Do("transaction", func() {
		var length *redis.IntCmd
		check.Must(rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.RPush(ctx, "tx", "a", "b")
			length = p.LLen(ctx, "tx")
			return nil
		}))
		check.Equal(length.Val(), int64(2))
	})
	check.Do("watch", func() { watch(rdb) })
	check.Do("pipeline", func() {
		cmds := check.Must(rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 10_000 {
				p.RPush(ctx, "pipe", i)
			}
			return nil
		}))
		for i, cmd := range cmds {
			check.Equal(cmd.(*redis.IntCmd).Val(), int64(i+1))
		}
		check.Equal(check.Must(rdb.LIndex(ctx, "pipe", -1).Result()), "9999")
	})
	check.Do("binary", func() {
		binary := check.Binary()
		check.OK(rdb.LPush(ctx, binary[:256], binary).Err())
		check.Equal(check.Must(rdb.RPop(ctx, binary[:256]).Result()), binary)
		check.OK(rdb.XAdd(ctx, &redis.XAddArgs{Stream: "blobs", Values: []string{binary[:256], binary}}).Err())
		check.Equal(check.Must(rdb.XRange(ctx, "blobs", "-", "+").Result())[0].Values, map[string]any{binary[:256]: binary})
		sub := rdb.Subscribe(ctx, "blobs")
		defer sub.Close()
		check.Must(sub.Receive(ctx))
		check.OK(rdb.Publish(ctx, "blobs", binary).Err())
		check.Equal(check.Next(sub.Channel()).Payload, binary)
	})
	check.Do("error", func() {
		err := rdb.LPush(ctx, "orders", "v").Err()
		check.Equal(fmt.Sprint(err), "WRONGTYPE Operation against a key holding the wrong kind of value")
		check.Equal(check.Must(rdb.Ping(ctx).Result()), "PONG")
	})
	if os.Args[3] == "2" {
		check.Skip("cache", "needs RESP3")
	} else {
		check.Do("cache", func() { cache(rdb) })
	}
	restart(rdb)
	check.Exit()
}

// read returns what a consumer gets: IDs and the value of the field item.
func read(rdb redis.Cmdable, stream, group, consumer string, count int64) (got []string) {
	streams := check.Must(rdb.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: consumer, Streams: []string{stream, ">"}, Count: count,
	}).Result())
	for _, m := range streams[0].Messages {
		got = append(got, fmt.Sprint(m.ID, " ", m.Values["item"]))
	}
	return got
}

func awaitBlocked(rdb *redis.Client) {
	check.Eventually("a client is blocked", func() bool {
		return strings.Contains(rdb.Info(ctx, "clients").Val(), "blocked_clients:1\r\n")
	})
}

func redelivery(rdb *redis.Client) {
	check.OK(rdb.XGroupCreateMkStream(ctx, "work", "team", "$").Err())
	for _, id := range []string{"1-0", "2-0"} {
		check.OK(rdb.XAdd(ctx, &redis.XAddArgs{Stream: "work", ID: id, Values: []string{"item", id}}).Err())
	}
	crashing := redis.NewClient(options())
	check.Equal(len(read(crashing, "work", "team", "crashing", 2)), 2)
	check.OK(crashing.XAck(ctx, "work", "team", "1-0").Err())
	crashing.Close()

	pending := check.Must(rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: "work", Group: "team", Start: "-", End: "+", Count: 9}).Result())
	check.True(len(pending) == 1 && pending[0].ID == "2-0" && pending[0].Consumer == "crashing", "XPENDING: %v", pending)
	messages, _, err := rdb.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: "work", Group: "team", Consumer: "rescuer", Start: "0"}).Result()
	check.OK(err)
	check.Equal(messages[0].Values, map[string]any{"item": "2-0"})
	claimed := check.Must(rdb.XClaim(ctx, &redis.XClaimArgs{Stream: "work", Group: "team", Consumer: "other", Messages: []string{"2-0"}}).Result())
	check.Equal(claimed[0].ID, "2-0")
	check.Equal(check.Must(rdb.XAck(ctx, "work", "team", "2-0").Result()), int64(1))
	check.Equal(check.Must(rdb.XPending(ctx, "work", "team").Result()).Count, int64(0))
}

func watch(rdb *redis.Client) {
	add := func(intruder bool) error {
		return rdb.Watch(ctx, func(tx *redis.Tx) error {
			if intruder {
				check.OK(rdb.RPush(ctx, "watched", "intruder").Err())
			}
			_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.RPush(ctx, "watched", "mine")
				return nil
			})
			return err
		}, "watched")
	}
	check.Equal(add(true), redis.TxFailedErr)
	check.OK(add(false))
	check.Equal(check.Must(rdb.LRange(ctx, "watched", 0, -1).Result()), []string{"intruder", "mine"})
}

func cache(rdb *redis.Client) {
	options := options()
	cache := redis.NewLocalCache(redis.CacheConfig{MaxEntries: 128})
	options.ClientSideCache = cache
	caching := redis.NewClient(options)
	defer caching.Close()
	check.OK(rdb.RPush(ctx, "cached", "a").Err())
	for range 2 {
		check.Equal(check.Must(caching.LRange(ctx, "cached", 0, -1).Result()), []string{"a"})
	}
	check.Equal(cache.Len(), 1)
	check.OK(rdb.RPush(ctx, "cached", "b").Err())
	check.Eventually("the other client's write is seen", func() bool {
		return len(check.Must(caching.LRange(ctx, "cached", 0, -1).Result())) == 2
	})
}

// restart checks that the client finds its way back, to the data and to its channels.
func restart(rdb *redis.Client) {
	sub := rdb.Subscribe(ctx, "after")
	check.Do("restart-data", func() {
		check.Must(sub.Receive(ctx))
		check.OK(rdb.LPush(ctx, "kept", "a", "b").Err())
		check.OK(rdb.XGroupCreateMkStream(ctx, "kept-stream", "team", "$").Err())
		check.OK(rdb.XAdd(ctx, &redis.XAddArgs{Stream: "kept-stream", ID: "1-0", Values: []string{"item", "lamp"}}).Err())
		check.Equal(read(rdb, "kept-stream", "team", "alice", 1), []string{"1-0 lamp"})
		sub.Channel() // listens from now on, while the broker goes away
		check.Restart()
		check.Eventually("the broker answers", func() bool { return !netError(rdb.Ping(ctx).Err()) })
		check.Equal(check.Must(rdb.BRPop(ctx, time.Second, "kept").Result()), []string{"kept", "a"})
		check.Equal(check.Must(rdb.XPending(ctx, "kept-stream", "team").Result()).Count, int64(1))
		check.Equal(check.Must(rdb.XAck(ctx, "kept-stream", "team", "1-0").Result()), int64(1))
	})
	check.Do("restart-subscription", func() {
		check.Eventually("a subscriber is there", func() bool { return rdb.Publish(ctx, "after", "hello").Val() == 1 })
		check.Equal(check.Next(sub.Channel()).Payload, "hello")
	})
}

func netError(err error) bool {
	var reply redis.Error
	return err != nil && !errors.As(err, &reply)
}
