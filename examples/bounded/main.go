// Bounded is a queue that never holds more than 100 messages, with producers
// that are faster than its consumers. They back off when it is full.
//
//	cairn &
//	go run ./examples/bounded
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const queue = "example:bounded"

func main() {
	addr := flag.String("addr", "localhost:6379", "where cairn is")
	messages := flag.Int("messages", 500, "how many each producer sends")
	flag.Parse()
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: *addr})

	// An operator does this once. POLICY has no method in go-redis: Do takes any command.
	if err := rdb.Do(ctx, "POLICY", "SET", queue, "PATTERN", queue, "MAXLEN", 100, "OVERFLOW", "REJECT").Err(); err != nil {
		log.Fatal(err)
	}
	defer rdb.Do(ctx, "POLICY", "DEL", queue)

	var producers, consumers sync.WaitGroup
	var waited, longest atomic.Int64
	for p := range 4 {
		producers.Go(func() {
			for i := range *messages {
				n, err := push(ctx, rdb, fmt.Sprintf("message %d of producer %d", i, p))
				if err != nil {
					log.Fatal(err)
				}
				waited.Add(n)
			}
		})
	}
	var consumed atomic.Int64
	for range 2 {
		consumers.Go(func() {
			for consume(ctx, rdb, &longest) {
				consumed.Add(1)
			}
		})
	}
	producers.Wait()
	consumers.Wait()
	fmt.Printf("%d messages consumed; the queue held at most %d; producers had to wait %d times\n", consumed.Load(), longest.Load(), waited.Load())
}

// push sends a message, and tries again as long as the queue is full. go-redis has
// tried a few times itself when it returns the error.
func push(ctx context.Context, rdb *redis.Client, message string) (waited int64, err error) {
	pause := 10 * time.Millisecond
	for {
		err := rdb.RPush(ctx, queue, message).Err()
		if err == nil || !strings.HasPrefix(err.Error(), "TRYAGAIN ") {
			return waited, err
		}
		waited++
		time.Sleep(pause/2 + rand.N(pause)) // not all at the same time
		pause = min(2*pause, time.Second)
	}
}

// consume handles one message, and reports whether there was one.
func consume(ctx context.Context, rdb *redis.Client, longest *atomic.Int64) bool {
	length, err := rdb.LLen(ctx, queue).Result()
	if err != nil {
		log.Fatal(err)
	}
	for seen := longest.Load(); length > seen && !longest.CompareAndSwap(seen, length); seen = longest.Load() {
	}
	_, err = rdb.BLPop(ctx, 2*time.Second, queue).Result()
	if errors.Is(err, redis.Nil) {
		return false // nobody has sent anything for two seconds
	}
	if err != nil {
		log.Fatal(err)
	}
	time.Sleep(time.Millisecond) // the work
	return true
}
