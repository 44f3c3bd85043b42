// Command redigo runs the checks of the client matrix with redigo. Arguments: host and port.
package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/cairnmq/cairn/compat_test/clients/go/check"
)

func dial(options ...redis.DialOption) redis.Conn {
	return check.Must(redis.Dial("tcp", check.Addr(), append(options, redis.DialReadTimeout(20*time.Second))...))
}

func main() {
	pool := &redis.Pool{
		Dial:         func() (redis.Conn, error) { return redis.Dial("tcp", check.Addr()) },
		TestOnBorrow: func(c redis.Conn, _ time.Time) error { _, err := c.Do("PING"); return err },
	}
	c := pool.Get()
	check.Do("connect", func() {
		named := dial(redis.DialClientName("matrix"), redis.DialDatabase(3))
		defer named.Close()
		check.Equal(check.Must(redis.String(named.Do("ECHO", "hello"))), "hello")
		info := check.Must(redis.String(named.Do("CLIENT", "INFO")))
		check.True(strings.Contains(info, " name=matrix ") && strings.Contains(info, " db=3 "), "CLIENT INFO: %s", info)
		check.Client("redigo", "github.com/gomodule/redigo", info)
	})
	check.Do("load-balancing", func() {
		check.Equal(check.Must(c.Do("LPUSH", "jobs", "a", "b", "c")), int64(3))
		for _, job := range []string{"a", "b", "c"} {
			check.Equal(check.Must(redis.Strings(c.Do("BRPOP", "jobs", 1))), []string{"jobs", job})
		}
		check.Equal(check.Must(c.Do("LLEN", "jobs")), int64(0))
	})
	check.Do("fan-out", func() {
		channel, pattern := redis.PubSubConn{Conn: dial()}, redis.PubSubConn{Conn: dial()}
		defer channel.Close()
		defer pattern.Close()
		check.OK(channel.Subscribe("news"))
		check.OK(pattern.PSubscribe("n*"))
		check.Equal(channel.Receive(), redis.Subscription{Kind: "subscribe", Channel: "news", Count: 1})
		check.Equal(pattern.Receive(), redis.Subscription{Kind: "psubscribe", Channel: "n*", Count: 1})
		check.Equal(check.Must(c.Do("PUBLISH", "news", "hello")), int64(2))
		check.Equal(channel.Receive(), redis.Message{Channel: "news", Data: []byte("hello")})
		check.Equal(pattern.Receive(), redis.Message{Channel: "news", Pattern: "n*", Data: []byte("hello")})
	})
	check.Do("hybrid", func() {
		for _, group := range []string{"billing", "shipping"} {
			check.Must(c.Do("XGROUP", "CREATE", "orders", group, "$", "MKSTREAM"))
		}
		id := check.Must(redis.String(c.Do("XADD", "orders", "*", "item", "lamp")))
		for _, group := range []string{"billing", "shipping"} {
			check.Equal(read(c, "orders", group, "alice", 10), []string{id + " lamp"})
			check.Equal(check.Must(c.Do("XACK", "orders", group, id)), int64(1))
			check.Equal(pending(c, "orders", group), int64(0))
		}
	})
	check.Do("pop-timeout", func() {
		check.Equal(check.Must(c.Do("BRPOP", "none", "0.1")), nil)
		check.Equal(check.Must(c.Do("XREADGROUP", "GROUP", "billing", "alice", "BLOCK", 100, "STREAMS", "orders", ">")), nil)
	})
	check.Do("pop-served", func() {
		waiting := dial()
		defer waiting.Close()
		popped := make(chan []string, 1)
		go func() {
			values, _ := redis.Strings(waiting.Do("BRPOP", "late", 0)) // what is not popped is missed below
			popped <- values
		}()
		check.Eventually("a client is blocked", func() bool {
			return strings.Contains(check.Must(redis.String(c.Do("INFO", "clients"))), "blocked_clients:1\r\n")
		})
		check.Must(c.Do("LPUSH", "late", "v"))
		check.Equal(check.Next(popped), []string{"late", "v"})
	})
	check.Do("redelivery", func() { redelivery(c) })
	check.Do("transaction", func() {
		check.OK(c.Send("MULTI"))
		check.OK(c.Send("RPUSH", "tx", "a", "b"))
		check.OK(c.Send("LLEN", "tx"))
		check.Equal(check.Must(redis.Int64s(c.Do("EXEC"))), []int64{2, 2})
	})
	check.Do("watch", func() { watch(c) })
	check.Do("pipeline", func() {
		for i := range 10_000 {
			check.OK(c.Send("RPUSH", "pipe", i))
		}
		check.OK(c.Flush())
		for i := range 10_000 {
			check.Equal(check.Must(c.Receive()), int64(i+1))
		}
		check.Equal(check.Must(redis.String(c.Do("LINDEX", "pipe", -1))), "9999")
	})
	check.Do("binary", func() {
		binary := check.Binary()
		check.Must(c.Do("LPUSH", binary[:256], binary))
		check.Equal(check.Must(redis.String(c.Do("RPOP", binary[:256]))), binary)
		check.Must(c.Do("XADD", "blobs", "*", binary[:256], binary))
		entries := check.Must(redis.Values(c.Do("XRANGE", "blobs", "-", "+")))
		check.Equal(entries[0].([]any)[1], []any{[]byte(binary[:256]), []byte(binary)})
		sub := redis.PubSubConn{Conn: dial()}
		defer sub.Close()
		check.OK(sub.Subscribe("blobs"))
		sub.Receive()
		check.Must(c.Do("PUBLISH", "blobs", binary))
		check.Equal(sub.Receive(), redis.Message{Channel: "blobs", Data: []byte(binary)})
	})
	check.Do("error", func() {
		_, err := c.Do("LPUSH", "orders", "v")
		check.Equal(err, redis.Error("WRONGTYPE Operation against a key holding the wrong kind of value"))
		check.Equal(check.Must(c.Do("PING")), "PONG")
	})
	check.Skip("cache", "the library has none")
	restart(pool, c)
	check.Exit()
}

// read returns what a consumer gets: IDs and the value of the only field.
func read(c redis.Conn, stream, group, consumer string, count int) (got []string) {
	streams := check.Must(redis.Values(c.Do("XREADGROUP", "GROUP", group, consumer, "COUNT", count, "STREAMS", stream, ">")))
	for _, entry := range streams[0].([]any)[1].([]any) {
		entry := entry.([]any)
		got = append(got, fmt.Sprintf("%s %s", entry[0], entry[1].([]any)[1]))
	}
	return got
}

func pending(c redis.Conn, stream, group string) int64 {
	return check.Must(redis.Values(c.Do("XPENDING", stream, group)))[0].(int64)
}

func redelivery(c redis.Conn) {
	check.Must(c.Do("XGROUP", "CREATE", "work", "team", "$", "MKSTREAM"))
	for _, id := range []string{"1-0", "2-0"} {
		check.Must(c.Do("XADD", "work", id, "item", id))
	}
	crashing := dial()
	check.Equal(len(read(crashing, "work", "team", "crashing", 2)), 2)
	check.Must(crashing.Do("XACK", "work", "team", "1-0"))
	crashing.Close()

	left := check.Must(redis.Values(c.Do("XPENDING", "work", "team", "-", "+", 9)))
	check.Equal(len(left), 1)
	check.Equal(left[0].([]any)[:2], []any{[]byte("2-0"), []byte("crashing")})
	entry := []any{[]byte("2-0"), []any{[]byte("item"), []byte("2-0")}}
	check.Equal(check.Must(redis.Values(c.Do("XAUTOCLAIM", "work", "team", "rescuer", 0, 0)))[1], []any{entry})
	check.Equal(check.Must(c.Do("XCLAIM", "work", "team", "other", 0, "2-0")), []any{entry})
	check.Equal(check.Must(c.Do("XACK", "work", "team", "2-0")), int64(1))
	check.Equal(pending(c, "work", "team"), int64(0))
}

func watch(c redis.Conn) {
	intruder := dial()
	defer intruder.Close()
	check.Must(c.Do("WATCH", "watched"))
	check.Must(intruder.Do("RPUSH", "watched", "intruder"))
	for _, want := range []any{nil, []any{int64(2)}} {
		check.Must(c.Do("MULTI"))
		check.Must(c.Do("RPUSH", "watched", "mine"))
		check.Equal(check.Must(c.Do("EXEC")), want)
	}
}

// restart checks what the broker keeps. redigo's pool replaces broken connections; who subscribes does so again himself.
func restart(pool *redis.Pool, c redis.Conn) {
	sub := redis.PubSubConn{Conn: dial()}
	check.Do("restart-data", func() {
		check.OK(sub.Subscribe("after"))
		check.Must(c.Do("LPUSH", "kept", "a", "b"))
		check.Must(c.Do("XGROUP", "CREATE", "kept-stream", "team", "$", "MKSTREAM"))
		check.Must(c.Do("XADD", "kept-stream", "1-0", "item", "lamp"))
		check.Equal(read(c, "kept-stream", "team", "alice", 1), []string{"1-0 lamp"})
		check.OK(c.Close())
		check.Restart()
		c = pool.Get()
		check.Equal(check.Must(redis.Strings(c.Do("BRPOP", "kept", 1))), []string{"kept", "a"})
		check.Equal(pending(c, "kept-stream", "team"), int64(1))
		check.Equal(check.Must(c.Do("XACK", "kept-stream", "team", "1-0")), int64(1))
	})
	check.Do("restart-subscription", func() {
		check.Equal(sub.Receive(), redis.Subscription{Kind: "subscribe", Channel: "after", Count: 1})
		_, broken := sub.Receive().(error)
		check.True(broken, "the subscriber did not notice")
		sub = redis.PubSubConn{Conn: dial()}
		check.OK(sub.Subscribe("after"))
		sub.Receive()
		check.Equal(check.Must(c.Do("PUBLISH", "after", "hello")), int64(1))
		check.Equal(sub.Receive(), redis.Message{Channel: "after", Data: []byte("hello")})
	})
}
