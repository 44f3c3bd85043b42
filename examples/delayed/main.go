// Command delayed shows delayed jobs, retries, and jobs that repeat, with go-redis
// and a list as the queue. Run a broker, then
//
//	go run ./examples/delayed
//
// in as many terminals as you like: each job is done by one of them. Stop them all
// for a while, or kill the broker: what was to run meanwhile runs when it is back,
// once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const queue = "jobs"

func main() {
	addr := flag.String("addr", "127.0.0.1:6379", "address of the broker")
	runFor := flag.Duration("for", time.Hour, "how long to work")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *runFor)
	defer cancel()
	rdb := redis.NewClient(&redis.Options{Addr: *addr})
	defer rdb.Close()
	if err := run(ctx, rdb); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rdb *redis.Client) error {
	// A job in two seconds. Any command that writes can be put off like this: XADD
	// for a stream, PUBLISH for a channel.
	id, err := rdb.Do(ctx, "SCHEDULE", "IN", 2000, "LPUSH", queue, "welcome mail to alice").Text()
	if err != nil {
		return err
	}
	fmt.Println("scheduled", id)

	// One that we think better of. The ID is ours, so we need not remember one.
	if err := rdb.Do(ctx, "SCHEDULE", "AT", time.Now().Add(time.Minute).UnixMilli(), "ID", "reminder:bob", "LPUSH", queue, "reminder to bob").Err(); ignoreExisting(err) != nil {
		return err
	}
	if err := rdb.Do(ctx, "SCHEDULE", "CANCEL", "reminder:bob").Err(); err != nil {
		return err
	}

	// Jobs that repeat. Every instance of the program says so when it starts; the ID
	// makes sure that there is one of each.
	for _, repeat := range [][]any{
		{"SCHEDULE", "EVERY", 1000, "ID", "heartbeat", "LPUSH", queue, "heartbeat"},
		{"SCHEDULE", "CRON", "CRON_TZ=Europe/Berlin 0 9 * * MON-FRI", "ID", "report", "LPUSH", queue, "daily report"},
	} {
		if err := rdb.Do(ctx, repeat...).Err(); ignoreExisting(err) != nil {
			return err
		}
	}
	return work(ctx, rdb)
}

// ignoreExisting takes "there is one of that ID" for success.
func ignoreExisting(err error) error {
	if err != nil && err.Error() == "ERR schedule id already exists" {
		return nil
	}
	return err
}

// work does jobs as they come.
func work(ctx context.Context, rdb *redis.Client) error {
	for ctx.Err() == nil {
		popped, err := rdb.BRPop(ctx, time.Second, queue).Result()
		if errors.Is(err, redis.Nil) {
			continue // nothing came
		}
		if err != nil {
			return err
		}
		if err := do(ctx, rdb, popped[1]); err != nil {
			return err
		}
	}
	return nil
}

// do does one job. The first attempt at a mail fails, so that it is put off: a
// retry with a delay is one command.
func do(ctx context.Context, rdb *redis.Client, job string) error {
	if strings.HasPrefix(job, "welcome mail") {
		fmt.Println("no answer from the mail server, again in a second:", job)
		return rdb.Do(ctx, "SCHEDULE", "IN", 1000, "LPUSH", queue, "retry of "+job).Err()
	}
	fmt.Println("done:", job)
	return nil
}
