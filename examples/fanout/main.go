// Fanout sends every order to two groups: to billing, where one of several workers
// handles it, and to the warehouse, which has one. Each group is at its own pace,
// and the stream keeps an order until both have acknowledged it.
//
//	cairn &
//	go run ./examples/fanout
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const orders = "example:orders"

func main() {
	addr := flag.String("addr", "localhost:6379", "where cairn is")
	count := flag.Int("orders", 200, "how many orders there are")
	flag.Parse()
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: *addr})

	// An operator does this once: what a worker has not acknowledged after two
	// seconds another gets, and what nobody needs any more goes.
	if err := rdb.Do(ctx, "POLICY", "SET", orders, "PATTERN", orders, "LEASE", 2000, "RETENTION", "UNACKED").Err(); err != nil {
		log.Fatal(err)
	}
	defer rdb.Do(ctx, "POLICY", "DEL", orders)
	defer rdb.Del(ctx, orders)
	for _, group := range []string{"billing", "warehouse"} {
		if err := rdb.XGroupCreateMkStream(ctx, orders, group, "0").Err(); err != nil {
			log.Fatal(err)
		}
	}

	var members sync.WaitGroup
	handled := map[string]*atomic.Int64{"billing": {}, "warehouse": {}}
	member := func(group, name string, takes time.Duration) {
		members.Go(func() { handle(ctx, rdb, group, name, takes, handled[group]) })
	}
	member("billing", "billing-1", 2*time.Millisecond)
	member("billing", "billing-2", 2*time.Millisecond)
	member("billing", "billing-3", 2*time.Millisecond)
	member("warehouse", "warehouse-1", time.Millisecond)

	for i := range *count {
		if err := rdb.XAdd(ctx, &redis.XAddArgs{Stream: orders, Values: map[string]any{"order": i}}).Err(); err != nil {
			log.Fatal(err)
		}
	}
	members.Wait()
	left, err := rdb.XLen(ctx, orders).Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("billing handled %d, the warehouse %d of %d orders; %d are left in the stream\n",
		handled["billing"].Load(), handled["warehouse"].Load(), *count, left)
}

// handle is one member of a group. It works until there has been nothing to do for
// a while.
func handle(ctx context.Context, rdb *redis.Client, group, name string, takes time.Duration, handled *atomic.Int64) {
	for {
		streams, err := rdb.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: group, Consumer: name, Streams: []string{orders, ">"}, Count: 10, Block: 2500 * time.Millisecond,
		}).Result()
		if errors.Is(err, redis.Nil) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range streams[0].Messages {
			time.Sleep(takes)
			n, err := rdb.XAck(ctx, orders, group, m.ID).Result()
			if err != nil {
				log.Fatal(err)
			}
			handled.Add(n)
		}
	}
}
