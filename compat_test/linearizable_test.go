package compat_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
)

var linearRounds = flag.Int("linear.rounds", 12, "how many histories TestLinearizable checks")

const (
	linearClients = 4
	linearCalls   = 40 // of each client, before and after the kill
)

// TestLinearizable has clients call commands at the same time, kills the broker in the middle and starts it again, and
// lets porcupine look for an order of all calls in which each of them, one after the other, gets the reply that it
// got: an order that respects which call had its reply before which other was made. A call without a reply may have
// taken place or not. Lists are called with transactions and blocking pops among the rest, streams with a group.
func TestLinearizable(t *testing.T) {
	server := ownCairn(t, t.TempDir(), "--appendfsync", "always")
	for round := range *linearRounds {
		seed := uint64(round)
		for _, family := range []struct {
			name  string
			model porcupine.Model
			call  func(*linearClient) call
		}{{"lists", listModel, (*linearClient).callLists}, {"stream", streamModel, (*linearClient).callStream}} {
			h := &history{server: server, began: time.Now(), name: fmt.Sprintf("%s-%d", family.name, round)}
			h.run(t, seed, family.call)
			server = h.server
			if family.name == "stream" {
				h.learn(t)
			}
			result, info := porcupine.CheckOperationsVerbose(family.model, h.calls, time.Minute)
			if result == porcupine.Ok {
				continue
			}
			path := filepath.Join(os.TempDir(), "cairn-"+h.name+".html")
			if err := porcupine.VisualizePath(family.model, info, path); err != nil {
				t.Error(err)
			}
			t.Fatalf("%s: %s (seed %d): no order explains the replies of %d calls; %s shows them", h.name, result, seed, len(h.calls), path)
		}
	}
}

// A history is what the clients of one round have called and been told.
type history struct {
	name   string
	server *daemon
	began  time.Time

	mu    sync.Mutex
	calls []porcupine.Operation
}

// A call is a command, or several in a transaction, with the reply that it got; unknown if it got none.
type call struct {
	commands []command
}

type command struct {
	name string
	key  string
	args []string
}

func (h *history) run(t *testing.T, seed uint64, next func(*linearClient) call) {
	ctx := t.Context()
	setUp := redis.NewClient(&redis.Options{Addr: h.server.addr})
	if err := setUp.XGroupCreateMkStream(ctx, h.key("s"), "g", "0").Err(); err != nil {
		t.Fatal(err)
	}
	setUp.Close()
	phase := func(first int) {
		var clients sync.WaitGroup
		for c := range linearClients {
			clients.Go(func() {
				l := &linearClient{h: h, id: first + c, rng: rand.New(rand.NewPCG(seed, uint64(first+c)))}
				l.rdb = redis.NewClient(&redis.Options{Addr: h.server.addr, MaxRetries: -1, PoolSize: 1})
				defer l.rdb.Close()
				l.run(ctx, next)
			})
		}
		if first == 0 {
			time.Sleep(time.Duration(seed%5) * 3 * time.Millisecond) // where the kill hits is chance
			h.server.kill()
		}
		clients.Wait()
	}
	phase(0)
	h.server = h.server.restart(t)
	phase(linearClients)
	if len(h.calls) < linearClients*linearCalls {
		t.Errorf("%s: only %d calls", h.name, len(h.calls))
	}
}

// learn finds out what became of the calls of a stream that got no reply. Entries stay where they are added, and tell to
// whom they were delivered: with that it is known, and left to guess is only when. (Guessing all of it takes too long.)
func (h *history) learn(t *testing.T) {
	ctx := t.Context()
	rdb := redis.NewClient(&redis.Options{Addr: h.server.addr})
	defer rdb.Close()
	ids, values := map[string]string{}, map[string]string{}
	for _, e := range value(t, rdb.XRange(ctx, h.key("s"), "-", "+")) {
		v := e.Values["v"].(string)
		ids[v], values[e.ID] = e.ID, v
	}
	pending := map[string]bool{}
	for _, p := range value(t, rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: h.key("s"), Group: "g", Start: "-", End: "+", Count: 10_000})) {
		pending[values[p.ID]] = true
	}
	known := map[string]bool{} // values that somebody was told of
	for _, op := range h.calls {
		if replies := op.Output.([]string); replies != nil && op.Input.([]command)[0].name == "XREADGROUP" {
			for _, v := range strings.Fields(replies[0]) {
				known[v] = true
			}
		}
	}
	delivered := map[int][]string{} // to whom nobody was told of, by client
	for _, p := range value(t, rdb.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: h.key("s"), Group: "g", Start: "-", End: "+", Count: 10_000})) {
		if v := values[p.ID]; !known[v] {
			client, err := strconv.Atoi(p.Consumer)
			if err != nil {
				t.Fatal(err)
			}
			delivered[client] = append(delivered[client], v)
		}
	}
	h.calls = slices.DeleteFunc(h.calls, func(op porcupine.Operation) bool {
		if op.Output.([]string) != nil {
			return false
		}
		switch c := op.Input.([]command)[0]; c.name {
		case "XADD":
			return ids[c.args[2]] == ""
		case "XREADGROUP":
			return len(delivered[op.ClientId]) == 0
		case "XACK":
			return pending[c.args[1]]
		}
		return true // it has changed nothing
	})
	for i := range h.calls {
		op := &h.calls[i]
		if op.Output.([]string) != nil {
			continue
		}
		switch c := op.Input.([]command)[0]; c.name {
		case "XADD":
			op.Output = []string{ids[c.args[2]]}
		case "XREADGROUP":
			op.Output = []string{strings.Join(delivered[op.ClientId], " ")}
		case "XACK":
			op.Output = []string{"1"}
		}
	}
}

func (h *history) key(name string) string { return h.name + "-" + name }

// A linearClient calls one command after the other.
type linearClient struct {
	h     *history
	id    int
	rng   *rand.Rand
	rdb   *redis.Client
	made  int
	taken []string // values read from the group and not acknowledged yet
	ids   map[string]string
}

func (l *linearClient) run(ctx context.Context, next func(*linearClient) call) {
	for range linearCalls {
		c := next(l)
		op := porcupine.Operation{ClientId: l.id, Input: c.commands, Call: time.Since(l.h.began).Nanoseconds()}
		replies, err := l.send(ctx, c.commands)
		op.Return = time.Since(l.h.began).Nanoseconds()
		if err != nil {
			op.Return, replies = math.MaxInt64, nil
		}
		op.Output = replies
		l.h.mu.Lock()
		l.h.calls = append(l.h.calls, op)
		l.h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (l *linearClient) value() string {
	l.made++
	return fmt.Sprintf("%d.%d", l.id, l.made)
}

func (l *linearClient) pick(choices ...string) string { return choices[l.rng.IntN(len(choices))] }

func (l *linearClient) callLists() call {
	if l.rng.IntN(6) == 0 {
		return call{commands: []command{l.listCommand(), l.listCommand(), l.listCommand()}}
	}
	if l.rng.IntN(8) == 0 {
		return call{commands: []command{{name: "BRPOP", key: l.h.key(l.pick("a", "b")), args: []string{"0.01"}}}}
	}
	return call{commands: []command{l.listCommand()}}
}

func (l *linearClient) listCommand() command {
	key := l.h.key(l.pick("a", "b"))
	switch l.rng.IntN(9) {
	case 0, 1, 2:
		return command{"LPUSH", key, []string{l.value()}}
	case 3, 4:
		return command{"RPOP", key, nil}
	case 5:
		return command{"LMOVE", key, []string{l.h.key(l.pick("a", "b")), "RIGHT", "LEFT"}}
	case 6:
		return command{"LLEN", key, nil}
	default:
		return command{"LRANGE", key, []string{"0", "-1"}}
	}
}

func (l *linearClient) callStream() call {
	key := l.h.key("s")
	c := command{"XREADGROUP", key, nil}
	switch n := l.rng.IntN(9); {
	case n < 4:
		c = command{"XADD", key, []string{"*", "v", l.value()}}
	case n == 4 && len(l.taken) > 0:
		c = command{"XACK", key, []string{"g", l.taken[0]}}
		l.taken = l.taken[1:]
	case n == 5:
		c = command{"XLEN", key, nil}
	case n == 6:
		c = command{"XPENDING", key, []string{"g"}}
	case n == 7:
		c = command{"XRANGE", key, []string{"-", "+"}}
	}
	return call{commands: []command{c}}
}

// send calls the commands, in a transaction if there are several, and renders their replies.
func (l *linearClient) send(ctx context.Context, commands []command) ([]string, error) {
	var sent []*redis.Cmd
	for _, c := range commands {
		args := []any{c.name, c.key}
		switch c.name {
		case "XREADGROUP":
			args = []any{"XREADGROUP", "GROUP", "g", fmt.Sprint(l.id), "COUNT", 2, "STREAMS", c.key, ">"}
		case "XACK":
			args = []any{"XACK", c.key, c.args[0], l.ids[c.args[1]]}
		default:
			for _, a := range c.args {
				args = append(args, a)
			}
		}
		sent = append(sent, redis.NewCmd(ctx, args...))
	}
	var err error
	if len(sent) == 1 {
		err = l.rdb.Process(ctx, sent[0])
	} else {
		_, err = l.rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			for _, cmd := range sent {
				_ = tx.Process(ctx, cmd) // queued only
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	replies := make([]string, len(sent))
	for i, cmd := range sent {
		reply, err := cmd.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		replies[i] = l.render(commands[i], reply)
	}
	return replies, nil
}

// render keeps of a reply what the model knows: values in place of IDs, which the server makes. Of those it knows that
// they increase.
func (l *linearClient) render(c command, reply any) string {
	switch c.name {
	case "XRANGE":
		return strings.Join(l.values(reply), " ")
	case "XREADGROUP":
		if reply == nil {
			return ""
		}
		streams := reply.(map[any]any) // RESP3
		var values []string
		for _, entries := range streams {
			values = l.values(entries)
		}
		l.taken = append(l.taken, values...)
		return strings.Join(values, " ")
	case "XPENDING":
		return fmt.Sprint(reply.([]any)[0])
	}
	return fmt.Sprint(reply)
}

// values takes the values out of entries, and remembers their IDs.
func (l *linearClient) values(entries any) (values []string) {
	if l.ids == nil {
		l.ids = make(map[string]string)
	}
	for _, e := range entries.([]any) {
		entry := e.([]any)
		v := entry[1].([]any)[1].(string)
		l.ids[v] = entry[0].(string)
		values = append(values, v)
	}
	return values
}

// lists is the state of the lists: elements from head to tail.
type lists map[string][]string

var listModel = porcupine.Model{
	Init:  func() any { return lists{} },
	Equal: func(a, b any) bool { return reflect.DeepEqual(a, b) },
	Step: func(state, input, output any) (bool, any) {
		s := make(lists)
		for key, elements := range state.(lists) {
			s[key] = slices.Clone(elements)
		}
		replies := output.([]string)
		for i, c := range input.([]command) {
			if reply := s.step(c); replies != nil && reply != replies[i] {
				return false, state
			}
		}
		for key, elements := range s {
			if len(elements) == 0 {
				delete(s, key)
			}
		}
		return true, s
	},
	DescribeOperation: describeCall,
}

func describeCall(input, output any) string {
	var text []string
	for i, c := range input.([]command) {
		reply := "?"
		if replies := output.([]string); replies != nil {
			reply = replies[i]
		}
		text = append(text, fmt.Sprintf("%s %s %s -> %s", c.name, c.key, strings.Join(c.args, " "), reply))
	}
	return strings.Join(text, "; ")
}

func (s lists) pop(key string) (string, bool) {
	l := s[key]
	if len(l) == 0 {
		return "<nil>", false
	}
	s[key] = l[:len(l)-1]
	return l[len(l)-1], true
}

func (s lists) step(c command) string {
	switch c.name {
	case "LPUSH":
		s[c.key] = slices.Concat(c.args, s[c.key])
		return fmt.Sprint(len(s[c.key]))
	case "RPOP":
		e, _ := s.pop(c.key)
		return e
	case "BRPOP":
		if e, ok := s.pop(c.key); ok {
			return fmt.Sprint([]string{c.key, e})
		}
		return "<nil>"
	case "LMOVE":
		e, ok := s.pop(c.key)
		if ok {
			s[c.args[0]] = slices.Concat([]string{e}, s[c.args[0]])
		}
		return e
	case "LLEN":
		return fmt.Sprint(len(s[c.key]))
	case "LRANGE":
		return fmt.Sprint(s[c.key])
	}
	panic(c.name)
}

// streamState is the state of a stream and its one group: all values, how many of them the group was given, and
// which of those it has not acknowledged.
type streamState struct {
	last    string // ID
	values  []string
	read    int
	pending []string
}

var streamModel = porcupine.Model{
	Init:  func() any { return streamState{} },
	Equal: func(a, b any) bool { return reflect.DeepEqual(a, b) },
	Step: func(state, input, output any) (bool, any) {
		s := state.(streamState)
		s.values, s.pending = slices.Clone(s.values), slices.Clone(s.pending)
		c, replies := input.([]command)[0], output.([]string)
		reply := s.step(c)
		switch {
		case replies == nil:
			return true, s
		case c.name == "XADD":
			reply = replies[0]
			if !before(s.last, reply) {
				return false, s
			}
			s.last = reply
		}
		return replies[0] == reply, s
	},
	DescribeOperation: describeCall,
}

func (s *streamState) step(c command) string {
	switch c.name {
	case "XADD":
		s.values = append(s.values, c.args[2])
		return ""
	case "XLEN":
		return fmt.Sprint(len(s.values))
	case "XRANGE":
		return strings.Join(s.values, " ")
	case "XPENDING":
		return fmt.Sprint(len(s.pending))
	case "XREADGROUP":
		given := s.values[s.read:min(s.read+2, len(s.values))]
		s.read += len(given)
		s.pending = append(s.pending, given...)
		return strings.Join(given, " ")
	case "XACK":
		i := slices.Index(s.pending, c.args[1])
		if i < 0 {
			return "0"
		}
		s.pending = slices.Delete(s.pending, i, i+1)
		return "1"
	}
	panic(c.name)
}

// The models do not explain everything.
func TestLinearizableFinds(t *testing.T) {
	op := func(client int, at int64, reply, name string, args ...string) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: []command{{name, "k", args}}, Output: []string{reply}, Call: at, Return: at + 5}
	}
	for name, history := range map[string][]porcupine.Operation{
		"an element that comes twice": {op(0, 0, "1", "LPUSH", "x"), op(0, 10, "x", "RPOP"), op(1, 20, "x", "RPOP")},
		"an element that is lost":     {op(0, 0, "1", "LPUSH", "x"), op(1, 10, "<nil>", "RPOP")},
		"a read of the past":          {op(0, 0, "1", "LPUSH", "x"), op(1, 10, "[]", "LRANGE", "0", "-1")},
		"the wrong order":             {op(0, 0, "1", "LPUSH", "x"), op(0, 10, "2", "LPUSH", "y"), op(1, 20, "y", "RPOP")},
	} {
		if porcupine.CheckOperations(listModel, history) {
			t.Errorf("%s is explained", name)
		}
	}
	for name, history := range map[string][]porcupine.Operation{
		"an entry that comes twice":    {op(0, 0, "1-1", "XADD", "*", "v", "x"), op(0, 10, "x", "XREADGROUP"), op(1, 20, "x", "XREADGROUP")},
		"a pending entry that is lost": {op(0, 0, "1-1", "XADD", "*", "v", "x"), op(0, 10, "x", "XREADGROUP"), op(1, 20, "0", "XPENDING", "g")},
		"IDs that go back":             {op(0, 0, "1-2", "XADD", "*", "v", "x"), op(1, 10, "1-1", "XADD", "*", "v", "y")},
		"an ack that is forgotten":     {op(0, 0, "1-1", "XADD", "*", "v", "x"), op(0, 10, "x", "XREADGROUP"), op(0, 20, "1", "XACK", "g", "x"), op(1, 30, "1", "XPENDING", "g")},
	} {
		if porcupine.CheckOperations(streamModel, history) {
			t.Errorf("%s is explained", name)
		}
	}
}
