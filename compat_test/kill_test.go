package compat_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	killRounds      = 2
	killClients     = 4    // of each kind
	killAfterWrites = 3000 // acknowledged ones; where exactly the kill hits is chance
)

// TestKill9 ends the server with SIGKILL while clients write, starts it again, and compares what is there with what
// was acknowledged. A command without a reply is in doubt: it may have happened or not, and both are right.
func TestKill9(t *testing.T) {
	// The end of the process loses nothing, whatever is promised of the loss of power.
	for _, policy := range []string{"always", "everysec", "no"} {
		t.Run(policy, func(t *testing.T) { killAgainAndAgain(t, policy) })
	}
}

func killAgainAndAgain(t *testing.T, policy string) {
	server := ownCairn(t, t.TempDir(), "--appendfsync", policy)
	var rounds []*killRound
	for n := range killRounds {
		round := newKillRound(n)
		rounds = append(rounds, round)
		round.run(t, server)
		server = server.restart(t)
		rdb := connect(t, server, 3)
		for _, r := range rounds {
			r.checkList(t, rdb)
			r.checkStream(t, rdb)
		}
		if t.Failed() {
			return
		}
	}
}

// A killRound knows what the clients of one round have done and been told.
type killRound struct {
	list, stream string
	writes       atomic.Int64
	enough       chan struct{}

	mu        sync.Mutex
	pushed    map[string]fate
	popped    map[string]bool
	lostPops  int // RPOPs without a reply: each may have taken one element
	added     map[string]fate
	delivered map[string]fate // to a member of the group; known once the XACK has its reply
	lostReads int             // XREADGROUPs without a reply: each may have made one entry pending
}

// A fate is what a client knows of a command that it sent.
type fate int

const (
	inDoubt fate = iota // no reply
	known               // acknowledged
	unsent              // delivered to a client that did not get round to the XACK
)

func newKillRound(n int) *killRound {
	return &killRound{
		list: fmt.Sprintf("list-%d", n), stream: fmt.Sprintf("stream-%d", n), enough: make(chan struct{}),
		pushed: map[string]fate{}, popped: map[string]bool{}, added: map[string]fate{}, delivered: map[string]fate{},
	}
}

func (r *killRound) run(t *testing.T, server *daemon) {
	ctx := t.Context()
	// A retry would turn one command into two.
	rdb := redis.NewClient(&redis.Options{Addr: server.addr, MaxRetries: -1, PoolSize: 4*killClients + 1})
	defer rdb.Close()
	want(t, rdb.XGroupCreateMkStream(ctx, r.stream, "g", "0"), "OK")
	var clients sync.WaitGroup
	for c := range killClients {
		clients.Go(func() { r.push(ctx, rdb, c) })
		clients.Go(func() { r.pop(ctx, rdb) })
		clients.Go(func() { r.add(ctx, rdb, c) })
		clients.Go(func() { r.consume(ctx, rdb, c) })
	}
	<-r.enough
	server.kill()
	clients.Wait()
}

func (r *killRound) note(change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
}

func (r *killRound) wrote() {
	if r.writes.Add(1) == killAfterWrites {
		close(r.enough)
	}
}

func (r *killRound) push(ctx context.Context, rdb *redis.Client, client int) {
	for i := 0; ; i++ {
		v := fmt.Sprintf("%d-%d", client, i)
		r.note(func() { r.pushed[v] = inDoubt })
		if rdb.LPush(ctx, r.list, v).Err() != nil {
			return
		}
		r.note(func() { r.pushed[v] = known })
		r.wrote()
	}
}

func (r *killRound) pop(ctx context.Context, rdb *redis.Client) {
	for i := 0; ; i++ {
		v, err := rdb.RPop(ctx, r.list).Result()
		if err == redis.Nil {
			continue
		}
		if err != nil {
			r.note(func() { r.lostPops++ })
			return
		}
		r.note(func() { r.popped[v] = true })
		r.wrote()
	}
}

func (r *killRound) add(ctx context.Context, rdb *redis.Client, client int) {
	for i := 0; ; i++ {
		v := fmt.Sprintf("%d-%d", client, i)
		r.note(func() { r.added[v] = inDoubt })
		if rdb.XAdd(ctx, &redis.XAddArgs{Stream: r.stream, Values: []string{"v", v}}).Err() != nil {
			return
		}
		r.note(func() { r.added[v] = known })
		r.wrote()
	}
}

func (r *killRound) consume(ctx context.Context, rdb *redis.Client, client int) {
	for i := 0; ; i++ {
		streams, err := rdb.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: "g", Consumer: fmt.Sprint(client), Streams: []string{r.stream, ">"}, Count: 1, Block: -1,
		}).Result()
		if err == redis.Nil {
			continue
		}
		if err != nil {
			r.note(func() { r.lostReads++ })
			return
		}
		id := streams[0].Messages[0].ID
		r.note(func() { r.delivered[id] = unsent })
		if i%5 == 4 {
			continue // a worker that dies over its job
		}
		r.note(func() { r.delivered[id] = inDoubt })
		if rdb.XAck(ctx, r.stream, "g", id).Err() != nil {
			return
		}
		r.note(func() { r.delivered[id] = known })
		r.wrote()
	}
}

func (r *killRound) checkList(t *testing.T, rdb *redis.Client) {
	t.Helper()
	left := map[string]bool{}
	for _, v := range value(t, rdb.LRange(t.Context(), r.list, 0, -1)) {
		if left[v] {
			t.Errorf("%s: %s is there twice", r.list, v)
		}
		left[v] = true
		if r.popped[v] {
			t.Errorf("%s: %s came back after its RPOP was answered", r.list, v)
		}
		if _, sent := r.pushed[v]; !sent {
			t.Errorf("%s: %s was never pushed", r.list, v)
		}
	}
	missing := 0
	for v, f := range r.pushed {
		if f == known && !r.popped[v] && !left[v] {
			missing++
		}
	}
	if missing > r.lostPops {
		t.Errorf("%s: %d acknowledged elements are missing; only %d RPOPs are in doubt", r.list, missing, r.lostPops)
	}
	if len(r.popped) == 0 || len(r.pushed) == 0 {
		t.Errorf("%s: %d pushes and %d pops: no load", r.list, len(r.pushed), len(r.popped))
	}
}

func (r *killRound) checkStream(t *testing.T, rdb *redis.Client) {
	t.Helper()
	ctx := t.Context()
	there := map[string]bool{}
	for _, m := range value(t, rdb.XRange(ctx, r.stream, "-", "+")) {
		there[m.Values["v"].(string)] = true
	}
	missing := 0
	for v, f := range r.added {
		if f == known && !there[v] {
			missing++
		}
	}
	if missing > 0 {
		t.Fatalf("%s: %d of %d acknowledged entries are missing", r.stream, missing, len(r.added))
	}
	pending := map[string]bool{}
	for _, p := range value(t, rdb.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: r.stream, Group: "g", Start: "-", End: "+", Count: int64(len(there)) + 1,
	})) {
		pending[p.ID] = true
	}
	extra := len(pending)
	for id, f := range r.delivered {
		if pending[id] {
			extra--
		}
		if f == known && pending[id] {
			t.Errorf("%s: %s is pending after its XACK was answered", r.stream, id)
		}
		if f == unsent && !pending[id] {
			t.Errorf("%s: %s was delivered, not acknowledged, and is not pending", r.stream, id)
		}
	}
	if extra > r.lostReads {
		t.Errorf("%s: %d entries are pending that nobody was given; only %d reads are in doubt", r.stream, extra, r.lostReads)
	}
	group := value(t, rdb.XInfoGroups(ctx, r.stream))[0]
	for id := range r.delivered {
		if before(group.LastDeliveredID, id) {
			t.Errorf("%s: %s was delivered, and the group is back at %s: it would come again", r.stream, id, group.LastDeliveredID)
		}
	}
	if len(r.delivered) == 0 {
		t.Errorf("%s: nothing was delivered: no load", r.stream)
	}
}

// before compares stream IDs as numbers.
func before(a, b string) bool {
	var ams, aseq, bms, bseq uint64
	fmt.Sscanf(a, "%d-%d", &ams, &aseq) // the server made them
	fmt.Sscanf(b, "%d-%d", &bms, &bseq)
	return ams < bms || ams == bms && aseq < bseq
}
