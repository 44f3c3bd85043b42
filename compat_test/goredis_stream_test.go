package compat_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func entry(id string, pairs ...string) redis.XMessage {
	m := redis.XMessage{ID: id, Values: map[string]any{}}
	for i := 0; i < len(pairs); i += 2 {
		m.Values[pairs[i]] = pairs[i+1]
	}
	return m
}

func add(t testing.TB, rdb *redis.Client, stream, id, n string) string {
	t.Helper()
	return value(t, rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: id, Values: []string{"n", n}}))
}

func TestGoRedisStreams(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		for i := 1; i <= 5; i++ {
			n := fmt.Sprint(i)
			if id := add(t, rdb, "s", n+"-0", n); id != n+"-0" {
				t.Errorf("XADD answered %s", id)
			}
		}
		wantErr(t, rdb.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "1-0", Values: []string{"f", "v"}}),
			"ERR The ID specified in XADD is equal or smaller than the target stream top item")
		wantNil(t, rdb.XAdd(ctx, &redis.XAddArgs{Stream: "none", NoMkStream: true, Values: []string{"f", "v"}}))
		want(t, rdb.XLen(ctx, "s"), int64(5))
		want(t, rdb.XRange(ctx, "s", "-", "+"), []redis.XMessage{
			entry("1-0", "n", "1"), entry("2-0", "n", "2"), entry("3-0", "n", "3"), entry("4-0", "n", "4"), entry("5-0", "n", "5"),
		})
		want(t, rdb.XRangeN(ctx, "s", "(1-0", "+", 1), []redis.XMessage{entry("2-0", "n", "2")})
		want(t, rdb.XRevRangeN(ctx, "s", "+", "-", 1), []redis.XMessage{entry("5-0", "n", "5")})
		want(t, rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "4"}, Block: -1}),
			[]redis.XStream{{Stream: "s", Messages: []redis.XMessage{entry("5-0", "n", "5")}}})
		wantNil(t, rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "$"}, Block: 20 * time.Millisecond}))
		want(t, rdb.XDel(ctx, "s", "5-0", "9-0"), int64(1))
		want(t, rdb.XTrimMaxLen(ctx, "s", 3), int64(1))
		want(t, rdb.XTrimMinID(ctx, "s", "3-0"), int64(1))
		info := value(t, rdb.XInfoStream(ctx, "s"))
		if info.Length != 2 || info.EntriesAdded != 5 || info.MaxDeletedEntryID != "5-0" || info.FirstEntry.ID != "3-0" {
			t.Errorf("XINFO STREAM: %+v", info)
		}
	})
}

func TestGoRedisGroups(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		want(t, rdb.XGroupCreateMkStream(ctx, "s", "g", "0"), "OK")
		wantErr(t, rdb.XGroupCreate(ctx, "s", "g", "0"), "BUSYGROUP Consumer Group name already exists")
		for i := 1; i <= 4; i++ {
			add(t, rdb, "s", fmt.Sprintf("%d-0", i), fmt.Sprint(i))
		}
		read := func(consumer, id string, count int64) *redis.XStreamSliceCmd {
			return rdb.XReadGroup(ctx, &redis.XReadGroupArgs{
				Group: "g", Consumer: consumer, Streams: []string{"s", id}, Count: count, Block: -1,
			})
		}
		want(t, read("alice", ">", 2), []redis.XStream{{Stream: "s", Messages: []redis.XMessage{entry("1-0", "n", "1"), entry("2-0", "n", "2")}}})
		want(t, read("bob", ">", 1), []redis.XStream{{Stream: "s", Messages: []redis.XMessage{entry("3-0", "n", "3")}}})
		want(t, rdb.XAck(ctx, "s", "g", "1-0", "9-0"), int64(1))
		want(t, read("alice", "0", 10), []redis.XStream{{Stream: "s", Messages: []redis.XMessage{entry("2-0", "n", "2")}}})
		want(t, rdb.XPending(ctx, "s", "g"), &redis.XPending{
			Count: 2, Lower: "2-0", Higher: "3-0", Consumers: map[string]int64{"alice": 1, "bob": 1},
		})
		pending := value(t, rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: "s", Group: "g", Start: "-", End: "+", Count: 10, Consumer: "alice"}))
		if len(pending) != 1 || pending[0].ID != "2-0" || pending[0].RetryCount != 2 {
			t.Errorf("XPENDING: %+v", pending)
		}
		want(t, rdb.XClaim(ctx, &redis.XClaimArgs{Stream: "s", Group: "g", Consumer: "bob", Messages: []string{"2-0"}}),
			[]redis.XMessage{entry("2-0", "n", "2")})
		want(t, rdb.XClaimJustID(ctx, &redis.XClaimArgs{Stream: "s", Group: "g", Consumer: "alice", Messages: []string{"2-0"}}), []string{"2-0"})
		messages, next, err := rdb.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: "s", Group: "g", Consumer: "carol", Start: "0", Count: 1}).Result()
		if err != nil || next != "3-0" || len(messages) != 1 || messages[0].ID != "2-0" {
			t.Errorf("XAUTOCLAIM: %v %s %v", messages, next, err)
		}
		want(t, rdb.XGroupCreateConsumer(ctx, "s", "g", "dave"), int64(1))
		want(t, rdb.XGroupDelConsumer(ctx, "s", "g", "carol"), int64(1))
		groups := value(t, rdb.XInfoGroups(ctx, "s"))
		if len(groups) != 1 || groups[0].Pending != 1 || groups[0].Lag != 1 || groups[0].EntriesRead != 3 || groups[0].LastDeliveredID != "3-0" {
			t.Errorf("XINFO GROUPS: %+v", groups)
		}
		if consumers := value(t, rdb.XInfoConsumers(ctx, "s", "g")); len(consumers) != 3 || consumers[1].Name != "bob" || consumers[1].Pending != 1 {
			t.Errorf("XINFO CONSUMERS: %+v", consumers)
		}
		full := value(t, rdb.XInfoStreamFull(ctx, "s", 2))
		if full.Length != 4 || len(full.Entries) != 2 || len(full.Groups) != 1 || full.Groups[0].PelCount != 1 || len(full.Groups[0].Consumers) != 3 {
			t.Errorf("XINFO STREAM FULL: %+v", full)
		}
		want(t, rdb.XGroupSetID(ctx, "s", "g", "$"), "OK")
		wantNil(t, read("bob", ">", 10))
		want(t, rdb.XGroupDestroy(ctx, "s", "g"), int64(1))
		wantErr(t, read("bob", ">", 1), "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")
	})
}

// Members of a group share the work, and each group has all of it.
func TestGoRedisGroupWork(t *testing.T) {
	const groups, members, messages = 2, 4, 500
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		type delivery struct{ group, id string }
		delivered := make(chan delivery, groups*messages)
		var running sync.WaitGroup
		for g := range groups {
			group := fmt.Sprintf("group-%d", g)
			want(t, rdb.XGroupCreateMkStream(ctx, "s", group, "$"), "OK")
			for m := range members {
				running.Go(func() {
					for {
						streams, err := rdb.XReadGroup(ctx, &redis.XReadGroupArgs{
							Group: group, Consumer: fmt.Sprint(m), Streams: []string{"s", ">"}, Count: 10, Block: 0,
						}).Result()
						if err != nil {
							return // the group is gone: the end of the test
						}
						for _, msg := range streams[0].Messages {
							if err := rdb.XAck(ctx, "s", group, msg.ID).Err(); err != nil {
								t.Error(err)
							}
							delivered <- delivery{group, msg.ID}
						}
					}
				})
			}
		}
		for i := range messages {
			value(t, rdb.XAdd(ctx, &redis.XAddArgs{Stream: "s", Values: []any{"n", i}}))
		}
		seen := map[delivery]int{}
		for range groups * messages {
			select {
			case d := <-delivered:
				seen[d]++
			case <-time.After(patience):
				t.Fatalf("%d of %d delivered", len(seen), groups*messages)
			}
		}
		if len(seen) != groups*messages {
			t.Errorf("%d different deliveries, want %d", len(seen), groups*messages)
		}
		for g := range groups {
			group := fmt.Sprintf("group-%d", g)
			if p := value(t, rdb.XPending(ctx, "s", group)); p.Count != 0 {
				t.Errorf("%s has %d pending", group, p.Count)
			}
			want(t, rdb.XGroupDestroy(ctx, "s", group), int64(1))
		}
		running.Wait()
	})
}

// What a crashed consumer left is delivered again, also when the broker was killed in between.
func TestGoRedisRedeliveryAfterKill(t *testing.T) {
	server := ownCairn(t, t.TempDir(), "--appendfsync", "always")
	for _, protocol := range []int{2, 3} {
		ctx := t.Context()
		stream := fmt.Sprintf("jobs-%d", protocol)
		rdb := connect(t, server, protocol)
		want(t, rdb.XGroupCreateMkStream(ctx, stream, "workers", "$"), "OK")
		for i := 1; i <= 3; i++ {
			add(t, rdb, stream, fmt.Sprintf("%d-0", i), fmt.Sprint(i))
		}
		crashing := connect(t, server, protocol)
		value(t, crashing.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "workers", Consumer: "crashing", Streams: []string{stream, ">"}, Count: 2}))
		want(t, crashing.XAck(ctx, stream, "workers", "1-0"), int64(1))
		crashing.Close()

		server.kill()
		server = server.restart(t)
		rdb = connect(t, server, protocol)
		pending := value(t, rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: stream, Group: "workers", Start: "-", End: "+", Count: 10}))
		if len(pending) != 1 || pending[0].ID != "2-0" || pending[0].Consumer != "crashing" || pending[0].RetryCount != 1 {
			t.Errorf("pending after the restart: %+v", pending)
		}
		messages, _, err := rdb.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: stream, Group: "workers", Consumer: "rescuer", Start: "0"}).Result()
		if err != nil || len(messages) != 1 || messages[0].ID != "2-0" {
			t.Errorf("XAUTOCLAIM: %v %v", messages, err)
		}
		want(t, rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "workers", Consumer: "rescuer", Streams: []string{stream, ">"}}),
			[]redis.XStream{{Stream: stream, Messages: []redis.XMessage{entry("3-0", "n", "3")}}})
		want(t, rdb.XAck(ctx, stream, "workers", "2-0", "3-0"), int64(2))
		if p := value(t, rdb.XPending(ctx, stream, "workers")); p.Count != 0 {
			t.Errorf("%d still pending", p.Count)
		}
	}
}

// A reader that waits finds out that its group is gone.
func TestGoRedisBlockedReaderOfGoneGroup(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		want(t, rdb.XGroupCreateMkStream(ctx, "s", "g", "$"), "OK")
		got := make(chan error, 1)
		go func() {
			got <- rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"s", ">"}, Block: 0}).Err()
		}()
		awaitBlocked(t, rdb, 1)
		want(t, rdb.XGroupDestroy(ctx, "s", "g"), int64(1))
		if err := <-got; err == nil || errors.Is(err, redis.Nil) || !redis.HasErrorPrefix(err, "NOGROUP") {
			t.Errorf("blocked XREADGROUP: %v", err)
		}
	})
}
