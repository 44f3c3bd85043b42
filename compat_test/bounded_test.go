package compat_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A go-redis producer with its default options that meets a full queue backs off and
// tries again: its pushes succeed if the consumers have caught up meanwhile.
func TestGoRedisBacksOff(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, consumer *redis.Client) {
		ctx := t.Context()
		want(t, consumer.Do(ctx, "POLICY", "SET", "full", "PATTERN", "full*", "MAXLEN", "3"), any("OK"))
		var consumed []string
		// The consumer takes all there is whenever the producer has been told that the
		// queue is full, so that nothing hangs on who is faster.
		refused := 0
		producer := redis.NewClient(&redis.Options{
			Addr: server.addr,
			Dialer: func(dialing context.Context, network, addr string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(dialing, network, addr)
				return &overhearing{conn, func() {
					refused++
					got, err := consumer.LPopCount(ctx, "full", 3).Result()
					if err != nil {
						t.Error(err)
					}
					consumed = append(consumed, got...)
				}}, err
			},
		})
		defer producer.Close()
		var sent []string
		for i := range 20 {
			sent = append(sent, fmt.Sprint("message ", i))
			if err := producer.RPush(ctx, "full", sent[i]).Err(); err != nil {
				t.Fatal(err)
			}
		}
		rest, err := consumer.LRange(ctx, "full", 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := append(consumed, rest...); fmt.Sprint(got) != fmt.Sprint(sent) {
			t.Errorf("sent %v, got %v", sent, got)
		}
		if refused != 6 {
			t.Errorf("the producer was refused %d times", refused)
		}
		if err := producer.RPush(ctx, "full", "a", "b", "c", "d").Err(); err == nil || !strings.HasPrefix(err.Error(), "ERR ") || refused != 6 {
			t.Errorf("what can never fit: %v, tried again %v", err, refused != 6)
		}
	})
}

// overhearing calls refused whenever a full queue has been answered.
type overhearing struct {
	net.Conn
	refused func()
}

func (c *overhearing) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if bytes.HasPrefix(p[:n], []byte("-TRYAGAIN ")) {
		c.refused()
	}
	return n, err
}

// Producers that wait for room are served in turn, and nothing is lost or comes
// twice.
func TestGoRedisProducersWait(t *testing.T) {
	server := startCairn(t, t.TempDir())
	eachProtocol(t, server, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		want(t, rdb.Do(ctx, "POLICY", "SET", "slow", "PATTERN", "slow", "MAXLEN", "2", "OVERFLOW", "BLOCK", "0"), any("OK"))
		const producers, each = 8, 50
		var sending sync.WaitGroup
		for p := range producers {
			sending.Go(func() {
				for i := range each {
					if err := rdb.RPush(ctx, "slow", fmt.Sprint(p, " ", i)).Err(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		next := make([]int, producers)
		for range producers * each {
			got, err := rdb.BLPop(ctx, 0, "slow").Result()
			if err != nil {
				t.Fatal(err)
			}
			var p, i int
			if _, err := fmt.Sscan(got[1], &p, &i); err != nil || next[p] != i {
				t.Fatalf("got %v, want message %d of it", got, next[p])
			}
			next[p]++
		}
		sending.Wait()
		want(t, rdb.LLen(ctx, "slow"), int64(0))
	})
}
