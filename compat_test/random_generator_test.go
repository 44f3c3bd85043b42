package compat_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A move is one thing that a client does: it sends a command, or one of the two things that take a pair of steps.
type move struct {
	client string
	args   []string
	first  [][]string // commands that go with it, sent before
	kind   moveKind
}

type moveKind int

const (
	moveCall   moveKind = iota
	moveExpire          // PEXPIRE key 1, and wait until the key is gone
	moveClose           // hang up
	moveReload          // cairn forgets what it has in memory: what is on disk must do
)

// observer is the client that looks at all keys now and then. It never waits and is never in a transaction.
const observer = "x"

// String is the move as a line of a script.
func (m move) String() string { return m.client + "> " + quoteWords(m.args) }

// generator makes moves from a seed. It does not look at replies: what a seed makes is known before it is played, and
// any part of it can be left out.
type generator struct {
	*rand.Rand
	protocol int
	profile  profile
	clients  []string       // their names; one that hung up comes back under another name
	inMulti  map[string]int // commands since MULTI
	top      map[string]int // the highest milliseconds that were generated for a stream's IDs
	ttl      int            // no time to live is generated twice, so that NX, GT and LT do not depend on the clock
}

// A profile is what a seed is about. Not everything is comparable with everything else.
type profile struct {
	// manyKeys: clients wait for several keys at once, and nothing makes several keys ready at once; see
	// "own order" in random_known_test.go.
	manyKeys bool
	deletes  bool   // XDEL is used, and MINID only with =; see "last of node" in random_known_test.go
	big      bool   // elements have up to 100 kB
	node     int    // stream-node-max-entries
	waits    bool   // XREADGROUP waits, and there is no DELCONSUMER; see "asking"
	notify   bool   // keyspace events are on, and somebody listens to them
	tracking bool   // CLIENT TRACKING is used
	focus    string // how the commands begin of which most are made; empty: all alike
}

func newGenerator(seed uint64) *generator {
	g := &generator{
		Rand:    rand.New(rand.NewPCG(seed, 7)),
		clients: []string{"a1", "b1", "c1", "d1", "p1", "q1"},
		inMulti: map[string]int{}, top: map[string]int{},
	}
	g.protocol = 2 + g.IntN(2)
	g.profile = profile{manyKeys: g.IntN(3) == 0, deletes: g.IntN(3) > 0, waits: g.IntN(3) > 0, notify: g.IntN(4) == 0, tracking: g.IntN(6) == 0, big: g.IntN(20) == 0, node: g.pickInt(100, 100, 3, 7), focus: g.pick("", "", "X", "X", "X", "L")}
	return g
}

const (
	observeEvery = 120 // commands
	runMax       = 12  // commands that a client sends before it is another one's turn
)

func (g *generator) moves(n int) []move {
	moves := []move{{client: observer, args: []string{"CONFIG", "SET", "stream-node-max-entries", strconv.Itoa(g.profile.node)}}}
	if g.profile.notify {
		moves = append(moves, move{client: observer, args: []string{"CONFIG", "SET", "notify-keyspace-events", "KEA"}},
			move{client: g.clients[4], args: []string{"PSUBSCRIBE", "__key*__:*"}})
	}
	observed := 0
	for i := range 4 * g.IntN(2) { // else groups would often not be there
		moves = append(moves, move{client: observer, args: []string{"XGROUP", "CREATE", streamKeys[i/2], groups[i%2], "$", "MKSTREAM"}})
	}
	for len(moves) < n {
		slot := g.IntN(len(g.clients))
		for range 1 + g.IntN(runMax) {
			moves = append(moves, g.move(slot))
		}
		if g.IntN(40) == 0 {
			moves = append(moves, g.expire()...)
		}
		if g.IntN(80) == 0 {
			moves = append(moves, move{client: g.clients[slot], kind: moveClose, args: []string{"close"}})
			delete(g.inMulti, g.clients[slot])
			g.clients[slot] = successor(g.clients[slot])
		}
		if g.IntN(20) == 0 {
			moves = append(moves, reload)
		}
		if len(moves)-observed > observeEvery {
			moves = append(moves, reload)
			moves = append(moves, observation()...)
			observed = len(moves)
		}
	}
	return append(moves, observation()...)
}

// reload is called DEBUG RELOAD in Redis, where it has side effects, so that only cairn is told.
var reload = move{client: observer, kind: moveReload, args: []string{"reload"}}

// successor names the client that takes another one's place.
func successor(name string) string {
	n, _ := strconv.Atoi(name[1:])
	return name[:1] + strconv.Itoa(n+1)
}

// listens reports whether a slot's clients subscribe. They use no transactions, in which 7.0 puts pushes into the
// middle of EXEC's reply.
func listens(client string) bool { return client[0] >= 'p' }

func (g *generator) move(slot int) move {
	name := g.clients[slot]
	args := g.command(name)
	return move{client: name, args: args, first: consumerFirst(args)}
}

// separate makes moves of the commands that go with others; of tells where they were.
func separate(moves []move) (all []move, of []int) {
	for i, m := range moves {
		for _, args := range m.first {
			all, of = append(all, move{client: m.client, args: args}), append(of, i)
		}
		all, of = append(all, move{client: m.client, args: m.args, kind: m.kind}), append(of, i)
	}
	return all, of
}

func (g *generator) expire() []move {
	return []move{
		{client: observer, args: []string{"SELECT", g.token("db")[0]}},
		{client: observer, kind: moveExpire, args: []string{"PEXPIRE", g.token("key")[0], "1"}},
	}
}

// observation asks for everything that is in the databases.
func observation() (moves []move) {
	ask := func(args ...string) { moves = append(moves, move{client: observer, args: args}) }
	for _, db := range databases {
		ask("SELECT", db)
		ask("DBSIZE")
		ask("KEYS", "*")
		for _, key := range slices.Concat(listKeys, streamKeys, mixedKeys) {
			ask("PTTL", key)
			ask("LRANGE", key, "0", "-1")
			ask("XINFO", "STREAM", key, "FULL", "COUNT", "0")
			if slices.Contains(listKeys, key) {
				continue
			}
			ask("XINFO", "GROUPS", key)
			ask("XINFO", "STREAM", key)
			ask("XREVRANGE", key, "+", "-")
			for _, group := range groups {
				ask("XINFO", "CONSUMERS", key, group)
				ask("XPENDING", key, group)
				ask("XPENDING", key, group, "-", "+", "1000")
			}
		}
	}
	return append(moves, move{client: observer, args: []string{"PUBSUB", "CHANNELS"}}, move{client: observer, args: []string{"PUBSUB", "NUMPAT"}})
}

func (g *generator) command(client string) []string {
	args := g.family(client)
	chance := 9
	if _, in := g.inMulti[client]; in {
		chance = 60 // one error is enough for EXECABORT
	}
	if g.profile.tracking && strings.HasPrefix(args[0], "XREAD") {
		chance = 1 << 20 // 7.0 looks for the keys of a wrong one to track in another way than COMMAND GETKEYS
	}
	if g.IntN(chance) == 0 {
		args = g.mutate(args)
	}
	for i, arg := range args {
		if i == 0 || arg == strings.ToUpper(arg) {
			args[i] = g.letterCase(arg)
		}
	}
	return g.tame(args)
}

// family chooses among the rules, those of transactions by what the client is in the middle of.
func (g *generator) family(client string) []string {
	if n, in := g.inMulti[client]; in {
		g.inMulti[client]++
		if g.IntN(40) == 0 || n > 12 || g.IntN(7) == 0 {
			delete(g.inMulti, client)
			return []string{g.pick("EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "DISCARD")}
		}
	}
	for {
		rule := g.rule()
		switch name := rule[0]; {
		case subscriptions[name] && (!listens(client) || g.IntN(3) == 0):
		case transactions[name] && (listens(client) || g.profile.manyKeys):
		case g.profile.manyKeys && (name == "SWAPDB" || name == "BLMOVE" || name == "BRPOPLPUSH"):
		case name == "CLIENT" && (rule[1] == "TRACKING" || rule[1] == "CACHING") && !g.profile.tracking:
		case g.profile.tracking && name == "SWAPDB": // cairn invalidates what clients hold, Redis does not
		case g.profile.waits && name == "XGROUP" && rule[1] == "DELCONSUMER":
		case name == "XDEL" && !g.profile.deletes:
		default:
			if name == "MULTI" {
				g.inMulti[client] = 0
			}
			return g.expand(rule)
		}
	}
}

var (
	subscriptions = set("SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE")
	transactions  = set("MULTI", "EXEC", "DISCARD")
	blocking      = set("BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "XREAD", "XREADGROUP", "WAIT")
	onItsOwn      = set("EXEC", "RESET", "QUIT", "HELLO") // change what the replies behind them look like
)

func set(names ...string) map[string]bool {
	s := map[string]bool{}
	for _, name := range names {
		s[name] = true
	}
	return s
}

// rule chooses one of the grammar's by its weight.
func (g *generator) rule() []string {
	elsewhere := g.profile.focus == "" || g.IntN(3) == 0
	for {
		n := g.IntN(grammarWeight)
		i := slices.IndexFunc(grammarRules, func(r grammarRule) bool {
			n -= r.weight
			return n < 0
		})
		if words := grammarRules[i].words; elsewhere || strings.HasPrefix(words[0], g.profile.focus) {
			return words
		}
	}
}

// mutate makes what is probably an error.
func (g *generator) mutate(args []string) []string {
	args = slices.Clone(args)
	if len(args) == 1 {
		return append(args, g.junk())
	}
	i := 1 + g.IntN(len(args)-1)
	switch g.IntN(7) {
	case 0:
		return slices.Delete(args, i, i+1)
	case 1:
		return slices.Insert(args, i, args[i])
	case 2:
		return slices.Insert(args, i, g.junk())
	case 3:
		j := 1 + g.IntN(len(args)-1)
		args[i], args[j] = args[j], args[i]
	case 4:
		return args[:i]
	default:
		args[i] = g.junk()
	}
	return args
}

// junk is a word of the grammar in a place where it may not belong.
func (g *generator) junk() string {
	kinds := []string{"int", "edge", "edge", "key", "elem", "id", "badid", "group", "option", "option", "index"}
	words := g.token(kinds[g.IntN(len(kinds))])
	return words[0]
}

func (g *generator) letterCase(word string) string {
	switch g.IntN(8) {
	case 0, 1:
		return strings.ToLower(word)
	case 2:
		return strings.ToUpper(word[:len(word)/2]) + strings.ToLower(word[len(word)/2:])
	}
	return word
}

// tame takes out what cannot be compared: times that pass while both servers are asked.
func (g *generator) tame(args []string) []string {
	last := len(args) - 1
	switch name := strings.ToUpper(args[0]); name {
	case "BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH":
		args[last] = tameTimeout(args[last])
		if g.profile.manyKeys || last < 2 {
			return args
		}
		if name == "BLPOP" || name == "BRPOP" {
			return append(args[:2:2], args[last])
		}
	case "BLMPOP":
		if last > 0 {
			args[1] = tameTimeout(args[1])
		}
	case "XREAD", "XREADGROUP":
		if i := indexWord(args, "STREAMS"); i > 0 && (repeats(args[i+1:][:(last-i)/2]) || g.profile.tracking && name == "XREAD" || !g.profile.waits && name == "XREADGROUP") {
			args[max(1, indexWord(args, "BLOCK"))] = "COUNT"
		}
		for i := range args {
			if strings.EqualFold(args[i], "BLOCK") && i < last {
				args[i+1] = tameTimeout(args[i+1])
			}
			if i > 0 && args[i] == "+" { // 7.4 has it
				args[i] = "-"
			}
		}
	case "SORT", "SORT_RO": // BY a pattern for texts makes all elements equal, and Redis' sorting is not stable
		if by := indexWord(args, "BY"); by > 0 && by < last && indexWord(args, "ALPHA") > 0 {
			args[by+1] = "nosort"
		}
	case "SCAN":
		for i := 1; i <= last; i++ {
			if n, err := strconv.ParseUint(args[i], 10, 64); err == nil && n < 1000 && n > 0 {
				args[i] = "1000"
			}
		}
		if last > 0 && args[1] == "1000" {
			args[1] = "0"
		}
	case "XADD", "XTRIM":
		for i := range args[:last] {
			if strings.EqualFold(args[i], "MINID") && args[i+1] == "~" && g.profile.deletes {
				args[i+1] = "="
			}
		}
	case "WAIT":
		if last > 1 {
			args[2] = tameTimeout(args[2])
		}
		if last > 0 && len(args[1]) > 9 { // 7.0 cuts 32 bits off and waits for those
			args[1] = "2147483647"
		}
	case "XCLAIM":
		for i, arg := range args { // Redis counts on at the negative end
			if arg == "9223372036854775807" {
				args[i] = "4611686018427387904"
			}
		}
	case "XAUTOCLAIM":
		for i, arg := range args { // so much memory Redis does not get
			if len(arg) > 10 && len(arg) < 19 {
				args[i] = "1000000"
			}
		}
	case "COMMAND":
		if last == 0 {
			args = append(args, "COUNT1")
		}
	case "EXPIRE", "PEXPIRE":
		if last > 1 {
			args[2] = tameTTL(args[2])
		}
	case "LPOS":
		for i, arg := range args { // 7.0 takes the rank for the last match
			if arg == "-9223372036854775808" {
				args[i] = "-9223372036854775807"
			}
		}
	case "CLIENT":
		if last > 0 && !slices.Contains(tameClient, strings.ToUpper(args[1])) {
			args[1] = "NOSUCH"
		}
	case "HELLO":
		if last > 0 && args[1] != "2" && args[1] != "3" {
			args[1] = "4"
		}
	}
	return args
}

// tameClient are the subcommands of CLIENT that a shuffle may bring forth.
var tameClient = []string{"GETNAME", "SETNAME", "ID", "UNBLOCK", "NO-EVICT", "GETREDIR", "TRACKING", "TRACKINGINFO", "CACHING", "NOSUCH"}

// tameTimeout leaves 0, what is wrong, what is too long to matter and what is over at once.
func tameTimeout(arg string) string {
	f, err := strconv.ParseFloat(arg, 64)
	if err == nil && (f > 0 && f < 1000 && arg != "0.001" || arg == "9223372036854775" || arg == "9223372036854775807") { // the latter: see "overflow"
		return "0"
	}
	return arg
}

// ttlMin is the shortest time to live that cannot end while a seed is played, whether taken for seconds or not.
const ttlMin = 1_000_000

func tameTTL(arg string) string {
	if n, err := strconv.ParseInt(arg, 10, 64); err == nil && n > 0 && n < ttlMin {
		return fmt.Sprint(ttlMin + n)
	}
	return arg
}

// consumerFirst makes the consumer before it asks for what may not be there; see "asking" in random_known_test.go.
func consumerFirst(args []string) (calls [][]string) {
	create := func(key, group, consumer string) {
		calls = append(calls, []string{"XGROUP", "CREATECONSUMER", key, group, consumer})
	}
	switch strings.ToUpper(args[0]) {
	case "XREADGROUP":
		i := indexWord(args, "GROUP")
		if i < 0 || i+3 >= len(args) {
			return nil
		}
		streams := args[i+3:]
		streams = streams[indexWord(streams, "STREAMS")+1:]
		for _, key := range streams[:len(streams)/2] {
			create(key, args[i+1], args[i+2])
		}
	case "XCLAIM", "XAUTOCLAIM":
		if len(args) > 3 {
			create(args[1], args[2], args[3])
		}
	}
	return calls
}

func indexWord(args []string, word string) int {
	return slices.IndexFunc(args, func(arg string) bool { return strings.EqualFold(arg, word) })
}

func repeats(names []string) bool {
	sorted := slices.Sorted(slices.Values(names))
	return len(slices.Compact(sorted)) < len(names)
}

func (g *generator) pick(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g *generator) pickInt(choices ...int) int { return choices[g.IntN(len(choices))] }

// mostly chooses from the first list, but for one time in n.
func (g *generator) mostly(n int, usual, other []string) string {
	if g.IntN(n) == 0 {
		return g.pick(other...)
	}
	return g.pick(usual...)
}

// quoteWords writes words as splitWords reads them.
func quoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		switch {
		case len(w) > 60 && strings.Count(w, w[:1]) == len(w):
			quoted[i] = fmt.Sprintf("%q*%d", w[:1], len(w))
		case w == "" || w == "|" || strings.ContainsAny(w, "\"'\\* |") && w != "*" || strconv.Quote(w) != `"`+w+`"`:
			quoted[i] = strconv.Quote(w)
		default:
			quoted[i] = w
		}
	}
	return strings.Join(quoted, " ")
}
