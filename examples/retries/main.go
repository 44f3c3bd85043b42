// Retries is a work queue whose consumers fail, die and recover: cairn delivers
// again what was not acknowledged, a little later each time, puts aside what never
// works, and returns that when its cause is gone.
//
//	cairn &
//	go run ./examples/retries
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

const (
	jobs  = "example:retries"
	dead  = "example:retries:dead"
	group = "workers"
)

func main() {
	addr := flag.String("addr", "localhost:6379", "where cairn is")
	count := flag.Int("jobs", 20, "how many jobs there are")
	flag.Parse()
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: *addr})

	// An operator does this once. POLICY has no method in go-redis: Do takes any command.
	err := rdb.Do(ctx, "POLICY", "SET", jobs, "PATTERN", jobs, "LEASE", 500, "BACKOFF", 50, 200,
		"MAXDELIVERIES", 3, "DEADLETTER", dead, "RETENTION", "UNACKED").Err()
	if err != nil {
		log.Fatal(err)
	}
	defer rdb.Do(ctx, "POLICY", "DEL", jobs)
	defer rdb.Del(ctx, jobs, dead)
	if err := rdb.XGroupCreateMkStream(ctx, jobs, group, "0").Err(); err != nil {
		log.Fatal(err)
	}
	for i := range *count {
		if err := rdb.XAdd(ctx, &redis.XAddArgs{Stream: jobs, Values: map[string]any{"job": i}}).Err(); err != nil {
			log.Fatal(err)
		}
	}

	var broken atomic.Bool // what every fifth job needs
	broken.Store(true)
	work := func() {
		var done atomic.Int64
		var workers sync.WaitGroup
		for w := range 3 {
			workers.Go(func() { consume(ctx, rdb, fmt.Sprint("worker-", w), &broken, &done) })
		}
		workers.Wait()
		fmt.Printf("%d jobs done, %d among the dead letters\n", done.Load(), rdb.XLen(ctx, dead).Val())
	}
	work()

	letters, err := rdb.XRangeN(ctx, dead, "-", "+", 1).Result()
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range letters {
		fmt.Printf("for example job %v: %v after %v deliveries, the last to %v\n", l.Values["job"], l.Values["dead-reason"], l.Values["dead-deliveries"], l.Values["dead-consumer"])
	}

	// The cause is found and removed: once more.
	broken.Store(false)
	n, err := rdb.Do(ctx, "XREDRIVE", dead).Int()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d returned\n", n)
	work()
}

// consume works until there has been nothing to do for a second. It knows nothing
// of retries: it acknowledges what has worked.
func consume(ctx context.Context, rdb *redis.Client, name string, broken *atomic.Bool, done *atomic.Int64) {
	for {
		streams, err := rdb.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: group, Consumer: name, Streams: []string{jobs, ">"}, Count: 1, Block: time.Second,
		}).Result()
		if errors.Is(err, redis.Nil) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range streams[0].Messages {
			var job int
			if _, err := fmt.Sscan(fmt.Sprint(m.Values["job"]), &job); err != nil {
				log.Fatal(err)
			}
			if job%5 == 0 && broken.Load() {
				continue // as if the process had died
			}
			if err := rdb.XAck(ctx, jobs, group, m.ID).Err(); err != nil {
				log.Fatal(err)
			}
			done.Add(1)
		}
	}
}
