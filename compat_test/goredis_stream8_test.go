package compat_test

import (
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// again is an entry that XREADGROUP with CLAIM hands out, without its idle time.
func again(id, n string, deliveries int64) redis.XMessage {
	m := entry(id, "n", n)
	m.DeliveredCount = deliveries
	return m
}

func wantAgain(t testing.TB, cmd *redis.XStreamSliceCmd, stream string, expected ...redis.XMessage) {
	t.Helper()
	for _, s := range value(t, cmd) {
		for i := range s.Messages {
			s.Messages[i].MillisElapsedFromDelivery = 0
		}
	}
	want(t, cmd, []redis.XStream{{Stream: stream, Messages: expected}})
}

// What Redis has added to streams from 8.2 on, as a client library sees it.

func TestGoRedisDeleteWithReferences(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		for _, n := range []string{"1", "2", "3", "4"} {
			add(t, rdb, "s", n+"-0", n)
		}
		want(t, rdb.XGroupCreate(ctx, "s", "g", "0"), "OK")
		want(t, rdb.XGroupCreate(ctx, "s", "h", "0"), "OK")
		for _, group := range []string{"g", "h"} {
			value(t, rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "c", Streams: []string{"s", ">"}, Count: 3, Block: -1}))
		}
		want(t, rdb.XAckDel(ctx, "s", "g", "KEEPREF", "1-0", "9-0"), []any{int64(1), int64(-1)})
		want(t, rdb.XAckDel(ctx, "s", "g", "ACKED", "2-0"), []any{int64(2)})
		want(t, rdb.XAckDel(ctx, "s", "h", "ACKED", "2-0"), []any{int64(1)})
		want(t, rdb.XDelEx(ctx, "s", "ACKED", "3-0", "4-0"), []any{int64(2), int64(2)})
		want(t, rdb.XDelEx(ctx, "s", "DELREF", "3-0", "1-0"), []any{int64(1), int64(-1)})
		if p := value(t, rdb.XPending(ctx, "s", "h")); p.Count != 0 {
			t.Errorf("XPENDING: %+v", p)
		}
		want(t, rdb.XTrimMaxLenMode(ctx, "s", 0, "ACKED"), int64(0))
		want(t, rdb.XTrimMinIDMode(ctx, "s", "9-0", "DELREF"), int64(1))
		want(t, rdb.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "5-0", MaxLen: 1, Mode: "DELREF", Values: []string{"n", "5"}}), "5-0")
		wantErr(t, rdb.XDelEx(ctx, "s", "NOSUCH", "5-0"), "ERR syntax error")
	})
}

func TestGoRedisReadWithClaim(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		want(t, rdb.XGroupCreateMkStream(ctx, "s", "g", "0"), "OK")
		add(t, rdb, "s", "1-0", "1")
		read := func(consumer string, block, claim time.Duration) *redis.XStreamSliceCmd {
			return rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: consumer, Streams: []string{"s", ">"}, Block: block, Claim: claim})
		}
		wantAgain(t, read("alice", -1, time.Hour), "s", again("1-0", "1", 0))
		wantNil(t, read("bob", -1, time.Hour))
		// Alice has died: what she had comes when it is old enough.
		began := time.Now()
		messages := value(t, read("bob", 0, 100*time.Millisecond))[0].Messages
		if len(messages) != 1 || messages[0].ID != "1-0" || messages[0].DeliveredCount != 1 || messages[0].MillisElapsedFromDelivery < 100 {
			t.Errorf("claimed: %+v", messages)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		add(t, rdb, "s", "2-0", "2")
		value(t, rdb.Do(ctx, "XCLAIM", "s", "g", "bob", "0", "1-0", "IDLE", "60000", "JUSTID"))
		wantAgain(t, read("alice", -1, time.Minute), "s", again("1-0", "1", 2), again("2-0", "2", 0))
		want(t, rdb.XAck(ctx, "s", "g", "1-0", "2-0"), int64(2))
	})
}

func TestGoRedisNack(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		want(t, rdb.XGroupCreateMkStream(ctx, "s", "g", "0"), "OK")
		for _, n := range []string{"1", "2", "3"} {
			add(t, rdb, "s", n+"-0", n)
		}
		read := func(consumer string, count int64, claim time.Duration) *redis.XStreamSliceCmd {
			return rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: consumer, Streams: []string{"s", ">"}, Count: count, Block: -1, Claim: claim})
		}
		value(t, read("alice", 3, 0))
		nack := func(mode string, ids ...string) *redis.IntCmd {
			return rdb.XNack(ctx, &redis.XNackArgs{Stream: "s", Group: "g", Mode: mode, IDs: ids})
		}
		want(t, nack(redis.XNackModeFail, "3-0"), int64(1))
		want(t, nack(redis.XNackModeSilent, "1-0", "9-0"), int64(1))
		wantErr(t, nack("", "1-0"), "ERR mode must be SILENT, FAIL, or FATAL")
		pending := value(t, rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: "s", Group: "g", Start: "-", End: "+", Count: 10}))
		if len(pending) != 3 || pending[0].Consumer != "" || pending[0].RetryCount != 0 || pending[1].Consumer != "alice" || pending[2].RetryCount != 1 {
			t.Errorf("XPENDING: %+v", pending)
		}
		full := value(t, rdb.XInfoStreamFull(ctx, "s", 0))
		if g := full.Groups[0]; g.NackedCount != 2 || g.PelCount != 3 || len(g.Pending) != 3 || len(g.Consumers) != 1 || g.Consumers[0].PelCount != 1 {
			t.Errorf("XINFO STREAM FULL: %+v", g)
		}
		wantAgain(t, read("bob", 5, time.Hour), "s", again("3-0", "3", 1), again("1-0", "1", 0))
		want(t, nack(redis.XNackModeFatal, "1-0"), int64(1))
		wantAgain(t, read("bob", 1, time.Hour), "s", again("1-0", "1", math.MaxInt64))
		retries := uint64(7)
		add(t, rdb, "s", "4-0", "4")
		want(t, rdb.XNack(ctx, &redis.XNackArgs{Stream: "s", Group: "g", Mode: redis.XNackModeFail, IDs: []string{"4-0"}, RetryCount: &retries, Force: true}), int64(1))
		messages, _, err := rdb.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: "s", Group: "g", Consumer: "carol", MinIdle: time.Hour, Start: "0"}).Result()
		if err != nil || len(messages) != 1 || messages[0].ID != "4-0" {
			t.Errorf("XAUTOCLAIM: %v %v", messages, err)
		}
	})
}

func TestGoRedisIdempotentProducer(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		named := &redis.XAddArgs{Stream: "s", ProducerID: "p", IdempotentID: "m1", Values: []string{"n", "1"}}
		id := value(t, rdb.XAdd(ctx, named))
		want(t, rdb.XAdd(ctx, named), id)
		hashed := &redis.XAddArgs{Stream: "s", ProducerID: "q", IdempotentAuto: true, Values: []string{"n", "1", "m", "2"}}
		id = value(t, rdb.XAdd(ctx, hashed))
		hashed.Values = []string{"m", "2", "n", "1"}
		want(t, rdb.XAdd(ctx, hashed), id)
		want(t, rdb.XLen(ctx, "s"), int64(2))
		info := value(t, rdb.XInfoStream(ctx, "s"))
		if info.IDMPDuration != 100 || info.IDMPMaxSize != 100 || info.PIDsTracked != 2 || info.IIDsTracked != 2 || info.IIDsAdded != 2 || info.IIDsDuplicates != 2 {
			t.Errorf("XINFO STREAM: %+v", info)
		}
		want(t, rdb.XCfgSet(ctx, &redis.XCfgSetArgs{Stream: "s", Duration: 200, MaxSize: 500}), "OK")
		full := value(t, rdb.XInfoStreamFull(ctx, "s", 1))
		if full.IDMPDuration != 200 || full.IDMPMaxSize != 500 || full.PIDsTracked != 0 || full.IIDsTracked != 0 || full.IIDsAdded != 2 {
			t.Errorf("XINFO STREAM FULL: %+v", full)
		}
		wantErr(t, rdb.XCfgSet(ctx, &redis.XCfgSetArgs{Stream: "none", MaxSize: 5}), "ERR no such key")
	})
}

// A producer that retries blindly adds nothing twice, also when the broker was
// killed in between.
func TestGoRedisIdempotentAfterKill(t *testing.T) {
	server := ownCairn(t, t.TempDir(), "--appendfsync", "always")
	args := &redis.XAddArgs{Stream: "s", ProducerID: "p", IdempotentID: "m1", Values: []string{"n", "1"}}
	id := value(t, connect(t, server, 3).XAdd(t.Context(), args))
	server.kill()
	rdb := connect(t, server.restart(t), 3)
	want(t, rdb.XAdd(t.Context(), args), id)
	want(t, rdb.XLen(t.Context(), "s"), int64(1))
}

func TestGoRedisReadBudget(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		for _, n := range []string{"1", "2", "3"} {
			add(t, rdb, "s", n+"-0", n)
			add(t, rdb, "t", n+"-0", n)
		}
		want(t, rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "t", "0", "0"}, Count: 2, MaxCount: 3, Block: -1}), []redis.XStream{
			{Stream: "s", Messages: []redis.XMessage{entry("1-0", "n", "1"), entry("2-0", "n", "2")}},
			{Stream: "t", Messages: []redis.XMessage{entry("1-0", "n", "1")}},
		})
		want(t, rdb.XGroupCreate(ctx, "t", "g", "0"), "OK")
		want(t, rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"t", ">"}, MaxSize: 1, Block: -1}),
			[]redis.XStream{{Stream: "t", Messages: []redis.XMessage{entry("1-0", "n", "1")}}})
		if p := value(t, rdb.XPending(ctx, "t", "g")); p.Count != 1 {
			t.Errorf("XPENDING: %+v", p)
		}
	})
}
