// Command rueidis runs the checks of the client matrix with rueidis. Arguments: host and port.
package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/cairnmq/cairn/compat_test/clients/go/check"
)

var ctx = context.Background()

func connect(option rueidis.ClientOption) rueidis.Client {
	option.InitAddress = []string{check.Addr()}
	return check.Must(rueidis.NewClient(option))
}

func main() {
	c := connect(rueidis.ClientOption{})
	check.Do("connect", func() {
		named := connect(rueidis.ClientOption{ClientName: "matrix", SelectDB: 3})
		defer named.Close()
		check.Equal(check.Must(named.Do(ctx, named.B().Echo().Message("hello").Build()).ToString()), "hello")
		info := check.Must(named.Do(ctx, named.B().ClientInfo().Build()).ToString())
		check.True(strings.Contains(info, " name=matrix ") && strings.Contains(info, " db=3 "), "CLIENT INFO: %s", info)
		check.Client("rueidis", "github.com/redis/rueidis", info)
	})
	check.Do("load-balancing", func() {
		check.Equal(integer(c, c.B().Lpush().Key("jobs").Element("a", "b", "c").Build()), int64(3))
		for _, job := range []string{"a", "b", "c"} {
			check.Equal(check.Must(c.Do(ctx, c.B().Brpop().Key("jobs").Timeout(1).Build()).AsStrSlice()), []string{"jobs", job})
		}
		check.Equal(integer(c, c.B().Llen().Key("jobs").Build()), int64(0))
	})
	check.Do("fan-out", func() {
		listener := connect(rueidis.ClientOption{})
		defer listener.Close()
		channel := subscribe(listener, c.B().Subscribe().Channel("news").Build())
		pattern := subscribe(listener, c.B().Psubscribe().Pattern("n*").Build())
		awaitListeners(c, "news", 1)
		check.Eventually("a pattern", func() bool { return integer(c, c.B().PubsubNumpat().Build()) == 1 })
		check.Equal(integer(c, c.B().Publish().Channel("news").Message("hello").Build()), int64(2))
		check.Equal(check.Next(channel), rueidis.PubSubMessage{Channel: "news", Message: "hello"})
		check.Equal(check.Next(pattern), rueidis.PubSubMessage{Channel: "news", Pattern: "n*", Message: "hello"})
	})
	check.Do("hybrid", func() {
		for _, group := range []string{"billing", "shipping"} {
			check.OK(c.Do(ctx, c.B().XgroupCreate().Key("orders").Group(group).Id("$").Mkstream().Build()).Error())
		}
		id := check.Must(c.Do(ctx, c.B().Xadd().Key("orders").Id("*").FieldValue().FieldValue("item", "lamp").Build()).ToString())
		for _, group := range []string{"billing", "shipping"} {
			check.Equal(read(c, "orders", group, "alice", 10), []string{id + " lamp"})
			check.Equal(integer(c, c.B().Xack().Key("orders").Group(group).Id(id).Build()), int64(1))
			check.Equal(pending(c, "orders", group), int64(0))
		}
	})
	check.Do("pop-timeout", func() {
		err := c.Do(ctx, c.B().Brpop().Key("none").Timeout(0.1).Build()).Error()
		check.True(rueidis.IsRedisNil(err), "BRPOP: %v", err)
		err = c.Do(ctx, c.B().Xreadgroup().Group("billing", "alice").Block(100).Streams().Key("orders").Id(">").Build()).Error()
		check.True(rueidis.IsRedisNil(err), "XREADGROUP: %v", err)
	})
	check.Do("pop-served", func() {
		popped := make(chan []string, 1)
		go func() {
			values, _ := c.Do(ctx, c.B().Brpop().Key("late").Timeout(0).Build()).AsStrSlice() // what is not popped is missed below
			popped <- values
		}()
		check.Eventually("a client is blocked", func() bool {
			info := check.Must(c.Do(ctx, c.B().Info().Section("clients").Build()).ToString())
			return strings.Contains(info, "blocked_clients:1\r\n")
		})
		integer(c, c.B().Lpush().Key("late").Element("v").Build())
		check.Equal(check.Next(popped), []string{"late", "v"})
	})
	check.Do("redelivery", func() { redelivery(c) })
	check.Do("transaction", func() {
		check.OK(c.Dedicated(func(d rueidis.DedicatedClient) error {
			results := d.DoMulti(ctx, d.B().Multi().Build(),
				d.B().Rpush().Key("tx").Element("a", "b").Build(), d.B().Llen().Key("tx").Build(), d.B().Exec().Build())
			check.Equal(check.Must(results[3].AsIntSlice()), []int64{2, 2})
			return nil
		}))
	})
	check.Do("watch", func() { watch(c) })
	check.Do("pipeline", func() {
		cmds := make(rueidis.Commands, 10_000)
		for i := range cmds {
			cmds[i] = c.B().Rpush().Key("pipe").Element(strconv.Itoa(i)).Build()
		}
		for i, result := range c.DoMulti(ctx, cmds...) {
			check.Equal(check.Must(result.ToInt64()), int64(i+1))
		}
		check.Equal(check.Must(c.Do(ctx, c.B().Lindex().Key("pipe").Index(-1).Build()).ToString()), "9999")
	})
	check.Do("binary", func() {
		binary := check.Binary()
		integer(c, c.B().Lpush().Key(binary[:256]).Element(binary).Build())
		check.Equal(check.Must(c.Do(ctx, c.B().Rpop().Key(binary[:256]).Build()).ToString()), binary)
		check.OK(c.Do(ctx, c.B().Xadd().Key("blobs").Id("*").FieldValue().FieldValue(binary[:256], binary).Build()).Error())
		entries := check.Must(c.Do(ctx, c.B().Xrange().Key("blobs").Start("-").End("+").Build()).AsXRange())
		check.Equal(entries[0].FieldValues, map[string]string{binary[:256]: binary})
		listener := connect(rueidis.ClientOption{})
		defer listener.Close()
		heard := subscribe(listener, c.B().Subscribe().Channel("blobs").Build())
		awaitListeners(c, "blobs", 1)
		integer(c, c.B().Publish().Channel("blobs").Message(binary).Build())
		check.Equal(check.Next(heard).Message, binary)
	})
	check.Do("error", func() {
		err := c.Do(ctx, c.B().Lpush().Key("orders").Element("v").Build()).Error()
		check.Equal(err.Error(), "WRONGTYPE Operation against a key holding the wrong kind of value")
		check.Equal(check.Must(c.Do(ctx, c.B().Ping().Build()).ToString()), "PONG")
	})
	check.Do("cache", func() { cache(c) })
	restart(c)
	check.Exit()
}

func integer(c rueidis.CoreClient, cmd rueidis.Completed) int64 {
	return check.Must(c.Do(ctx, cmd).ToInt64())
}

// subscribe listens until the listener is closed.
func subscribe(listener rueidis.Client, cmd rueidis.Completed) <-chan rueidis.PubSubMessage {
	messages := make(chan rueidis.PubSubMessage, 16)
	go listener.Receive(ctx, cmd, func(m rueidis.PubSubMessage) { messages <- m })
	return messages
}

func awaitListeners(c rueidis.Client, channel string, count int64) {
	check.Eventually("a listener on "+channel, func() bool {
		reply, err := c.Do(ctx, c.B().PubsubNumsub().Channel(channel).Build()).AsIntMap()
		return err == nil && reply[channel] == count
	})
}

// read returns what a consumer gets: IDs and the value of the field item.
func read(c rueidis.Client, stream, group, consumer string, count int64) (got []string) {
	cmd := c.B().Xreadgroup().Group(group, consumer).Count(count).Streams().Key(stream).Id(">").Build()
	for _, entry := range check.Must(c.Do(ctx, cmd).AsXRead())[stream] {
		got = append(got, entry.ID+" "+entry.FieldValues["item"])
	}
	return got
}

func pending(c rueidis.Client, stream, group string) int64 {
	summary := check.Must(c.Do(ctx, c.B().Xpending().Key(stream).Group(group).Build()).ToArray())
	return check.Must(summary[0].AsInt64())
}

func redelivery(c rueidis.Client) {
	check.OK(c.Do(ctx, c.B().XgroupCreate().Key("work").Group("team").Id("$").Mkstream().Build()).Error())
	for _, id := range []string{"1-0", "2-0"} {
		check.OK(c.Do(ctx, c.B().Xadd().Key("work").Id(id).FieldValue().FieldValue("item", id).Build()).Error())
	}
	crashing := connect(rueidis.ClientOption{})
	check.Equal(len(read(crashing, "work", "team", "crashing", 2)), 2)
	integer(crashing, c.B().Xack().Key("work").Group("team").Id("1-0").Build())
	crashing.Close()

	left := check.Must(c.Do(ctx, c.B().Xpending().Key("work").Group("team").Start("-").End("+").Count(9).Build()).ToArray())
	check.Equal(len(left), 1)
	row := check.Must(left[0].ToArray())
	check.Equal(check.Must(row[0].ToString())+check.Must(row[1].ToString()), "2-0crashing")
	entry := []rueidis.XRangeEntry{{ID: "2-0", FieldValues: map[string]string{"item": "2-0"}}}
	taken := check.Must(c.Do(ctx, c.B().Xautoclaim().Key("work").Group("team").Consumer("rescuer").MinIdleTime("0").Start("0").Build()).ToArray())
	check.Equal(check.Must(taken[1].AsXRange()), entry)
	claim := c.B().Xclaim().Key("work").Group("team").Consumer("other").MinIdleTime("0").Id("2-0").Build()
	check.Equal(check.Must(c.Do(ctx, claim).AsXRange()), entry)
	check.Equal(integer(c, c.B().Xack().Key("work").Group("team").Id("2-0").Build()), int64(1))
	check.Equal(pending(c, "work", "team"), int64(0))
}

func watch(c rueidis.Client) {
	check.OK(c.Dedicated(func(d rueidis.DedicatedClient) error {
		check.OK(d.Do(ctx, d.B().Watch().Key("watched").Build()).Error())
		integer(c, c.B().Rpush().Key("watched").Element("intruder").Build())
		exec := func() rueidis.RedisResult {
			return d.DoMulti(ctx, d.B().Multi().Build(), d.B().Rpush().Key("watched").Element("mine").Build(), d.B().Exec().Build())[2]
		}
		err := exec().Error()
		check.True(rueidis.IsRedisNil(err), "EXEC after a change: %v", err)
		check.Equal(check.Must(exec().AsIntSlice()), []int64{2})
		return nil
	}))
}

func cache(c rueidis.Client) {
	integer(c, c.B().Rpush().Key("cached").Element("a").Build())
	get := func() rueidis.RedisResult {
		return c.DoCache(ctx, c.B().Lrange().Key("cached").Start(0).Stop(-1).Cache(), time.Minute)
	}
	check.Equal(check.Must(get().AsStrSlice()), []string{"a"})
	check.True(get().IsCacheHit(), "the second read went to the broker")
	other := connect(rueidis.ClientOption{})
	defer other.Close()
	integer(other, other.B().Rpush().Key("cached").Element("b").Build())
	check.Eventually("the other client's write is seen", func() bool { return len(check.Must(get().AsStrSlice())) == 2 })
}

// restart checks that the client finds its way back, to the data and to its channels.
func restart(c rueidis.Client) {
	heard := subscribe(c, c.B().Subscribe().Channel("after").Build())
	check.Do("restart-data", func() {
		awaitListeners(c, "after", 1)
		integer(c, c.B().Lpush().Key("kept").Element("a", "b").Build())
		check.OK(c.Do(ctx, c.B().XgroupCreate().Key("kept-stream").Group("team").Id("$").Mkstream().Build()).Error())
		check.OK(c.Do(ctx, c.B().Xadd().Key("kept-stream").Id("1-0").FieldValue().FieldValue("item", "lamp").Build()).Error())
		check.Equal(read(c, "kept-stream", "team", "alice", 1), []string{"1-0 lamp"})
		check.Restart()
		popped := again(c, c.B().Brpop().Key("kept").Timeout(1).Build())
		check.Equal(check.Must(popped.AsStrSlice()), []string{"kept", "a"})
		check.Equal(pending(c, "kept-stream", "team"), int64(1))
		check.Equal(check.Must(again(c, c.B().Xack().Key("kept-stream").Group("team").Id("1-0").Build()).ToInt64()), int64(1))
	})
	check.Do("restart-subscription", func() {
		awaitListeners(c, "after", 1)
		check.Equal(check.Must(again(c, c.B().Publish().Channel("after").Message("hello").Build()).ToInt64()), int64(1))
		check.Equal(check.Next(heard).Message, "hello")
	})
}

// again repeats a command while its connection is a broken one: rueidis has several, and does that itself only for
// commands that read.
func again(c rueidis.Client, cmd rueidis.Completed) (result rueidis.RedisResult) {
	cmd = cmd.Pin()
	check.Eventually("a connection", func() bool {
		result = c.Do(ctx, cmd)
		return result.NonRedisError() == nil
	})
	return result
}
