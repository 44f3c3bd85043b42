package compat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestGoRedisPubSub(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		channel := rdb.Subscribe(ctx, "news", "sport")
		defer channel.Close()
		pattern := rdb.PSubscribe(ctx, "n*")
		defer pattern.Close()
		shard := rdb.SSubscribe(ctx, "orders")
		defer shard.Close()
		confirm(t, channel, "subscribe", "news", 1)
		confirm(t, channel, "subscribe", "sport", 2)
		confirm(t, pattern, "psubscribe", "n*", 1)
		confirm(t, shard, "ssubscribe", "orders", 1)

		want(t, rdb.PubSubNumSub(ctx, "news", "none"), map[string]int64{"news": 1, "none": 0})
		want(t, rdb.PubSubNumPat(ctx), int64(1))
		want(t, rdb.PubSubChannels(ctx, "n*"), []string{"news"})
		want(t, rdb.PubSubShardChannels(ctx, "*"), []string{"orders"})
		want(t, rdb.PubSubShardNumSub(ctx, "orders"), map[string]int64{"orders": 1})

		want(t, rdb.Publish(ctx, "news", "hello"), int64(2))
		hear(t, channel, redis.Message{Channel: "news", Payload: "hello"})
		hear(t, pattern, redis.Message{Channel: "news", Pattern: "n*", Payload: "hello"})
		want(t, rdb.SPublish(ctx, "orders", "one"), int64(1))
		hear(t, shard, redis.Message{Channel: "orders", Payload: "one"})

		if err := channel.Ping(ctx); err != nil {
			t.Error(err)
		}
		if pong, ok := next(t, channel).(*redis.Pong); !ok {
			t.Errorf("PING in subscribed mode: %v", pong)
		}
		if err := channel.Unsubscribe(ctx, "news"); err != nil {
			t.Error(err)
		}
		confirm(t, channel, "unsubscribe", "news", 1)
		want(t, rdb.Publish(ctx, "news", "again"), int64(1))
	})
}

func next(t testing.TB, sub *redis.PubSub) any {
	t.Helper()
	msg, err := sub.ReceiveTimeout(t.Context(), patience)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func confirm(t testing.TB, sub *redis.PubSub, kind, channel string, count int) {
	t.Helper()
	s, ok := next(t, sub).(*redis.Subscription)
	if !ok || s.Kind != kind || s.Channel != channel || s.Count != count {
		t.Fatalf("got %+v, want %s %s %d", s, kind, channel, count)
	}
}

func hear(t testing.TB, sub *redis.PubSub, expected redis.Message) {
	t.Helper()
	m, ok := next(t, sub).(*redis.Message)
	if !ok || m.Channel != expected.Channel || m.Pattern != expected.Pattern || m.Payload != expected.Payload {
		t.Fatalf("got %+v, want %+v", m, expected)
	}
}

// Every subscriber hears everything, in the order of publishing.
func TestGoRedisFanOut(t *testing.T) {
	const subscribers, messages = 10, 500
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		subs := make([]*redis.PubSub, subscribers)
		for i := range subs {
			subs[i] = rdb.Subscribe(ctx, "all")
			defer subs[i].Close()
			confirm(t, subs[i], "subscribe", "all", 1)
		}
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range messages {
				p.Publish(ctx, "all", i)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, sub := range subs {
			for i := range messages {
				hear(t, sub, redis.Message{Channel: "all", Payload: fmt.Sprint(i)})
			}
		}
	})
}

// The library subscribes again by itself when the server has been away.
func TestGoRedisSubscriberReconnects(t *testing.T) {
	server := ownCairn(t, t.TempDir())
	for _, protocol := range []int{2, 3} {
		ctx := t.Context()
		subscriber := connect(t, server, protocol)
		sub := subscriber.Subscribe(ctx, "news")
		confirm(t, sub, "subscribe", "news", 1)
		heard := sub.Channel(redis.WithChannelHealthCheckInterval(time.Second))
		server.kill()
		server = server.restart(t)

		rdb := connect(t, server, protocol)
		err := eventually("the subscriber is back", func() (bool, error) {
			n, err := rdb.PubSubNumSub(ctx, "news").Result()
			return n["news"] == 1, err
		})
		if err != nil {
			t.Fatal(err)
		}
		want(t, rdb.Publish(ctx, "news", "back"), int64(1))
		select {
		case m := <-heard:
			if m.Payload != "back" {
				t.Errorf("got %+v", m)
			}
		case <-time.After(patience):
			t.Error("nothing was heard after the restart")
		}
		sub.Close()
	}
}

// Who does not read is cut off at the limit, and holds up neither the publisher nor the other subscribers.
func TestGoRedisSlowSubscriber(t *testing.T) {
	const messagesMax = 2000 // at 64 KB each, far more than any socket buffers
	server := ownCairn(t, t.TempDir())
	rdb := connect(t, server, 3)
	ctx := t.Context()
	want(t, rdb.ConfigSet(ctx, "client-output-buffer-limit", "pubsub 8mb 0 0"), "OK")
	slow, err := dial(server.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.close()
	if f, err := slow.do("SUBSCRIBE", "news"); err != nil || f.String() != `["subscribe", "news", :1]` {
		t.Fatal(f, err)
	}
	quick := rdb.Subscribe(ctx, "news")
	defer quick.Close()
	confirm(t, quick, "subscribe", "news", 1)
	payload := strings.Repeat("x", 64<<10)
	for range messagesMax {
		receivers := value(t, rdb.Publish(ctx, "news", payload))
		hear(t, quick, redis.Message{Channel: "news", Payload: payload})
		if receivers == 1 {
			return
		}
	}
	t.Errorf("the subscriber that does not read was never cut off")
}
