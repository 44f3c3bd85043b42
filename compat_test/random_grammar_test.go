package compat_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// grammar says what commands look like: a weight, then words.
//
//	LPUSH        itself
//	list         what the token of that name makes
//	A|b          one of these
//	elem+        one to three of these
//	[ A b ]      perhaps; several in a row come in any order
//	list#        how many there are, and as many
var grammar = []string{
	"30 LPUSH|RPUSH list elem+",
	"4 LPUSHX|RPUSHX list elem+",
	"10 LPOP|RPOP list [ count ]",
	"3 LLEN list",
	"5 LRANGE list index index",
	"4 LINDEX list index",
	"5 LSET list index elem",
	"3 LTRIM list index index",
	"6 LINSERT list BEFORE|AFTER elem elem",
	"6 LREM list int elem",
	"6 LPOS list elem [ RANK int ] [ COUNT count ] [ MAXLEN count ]",
	"6 LMOVE list list LEFT|RIGHT LEFT|RIGHT",
	"3 RPOPLPUSH list list",
	"5 LMPOP list# LEFT|RIGHT [ COUNT count ]",
	"4 SORT list [ BY pattern ] [ LIMIT int int ] [ GET getpattern ] [ ASC|DESC ] [ ALPHA ] [ STORE list ]",
	"2 SORT_RO list [ BY pattern ] [ LIMIT int int ] [ GET getpattern ] [ ASC|DESC ] [ ALPHA ]",

	"6 BLPOP|BRPOP list+ timeout",
	"5 BLMOVE list list LEFT|RIGHT LEFT|RIGHT timeout",
	"3 BRPOPLPUSH list list timeout",
	"4 BLMPOP timeout waitlist# LEFT|RIGHT [ COUNT count ]",
	"4 XREAD [ COUNT int ] BLOCK millis STREAMS waitstreams",
	"6 XREADGROUP GROUP group consumer [ COUNT int ] BLOCK millis [ NOACK ] STREAMS stream >",
	"1 XREADGROUP BLOCK millis GROUP group consumer STREAMS stream >|lastid|id",
	"8 CLIENT UNBLOCK who [ TIMEOUT|ERROR ]",

	"40 XADD stream newid pair+",
	"10 XADD stream [ NOMKSTREAM ] [ trim ] newid pair+",
	"1 XADD stream * pair",
	"2 XLEN stream",
	"4 XRANGE stream start end [ COUNT int ]",
	"4 XREVRANGE stream end start [ COUNT int ]",
	"7 XDEL stream id+",
	"3 XTRIM stream trim",
	"4 XREAD [ COUNT int ] STREAMS streams",
	"2 XSETID stream newid [ ENTRIESADDED int ] [ MAXDELETEDID id ]",
	"2 XINFO STREAM stream [ FULL ] [ COUNT int ]",
	"1 XINFO GROUPS stream",
	"2 XINFO CONSUMERS stream group",

	"14 XGROUP CREATE stream group lastid [ MKSTREAM ] [ ENTRIESREAD int ]",
	"3 XGROUP SETID stream group lastid [ ENTRIESREAD int ]",
	"1 XGROUP DESTROY stream group",
	"2 XGROUP CREATECONSUMER stream group consumer",
	"2 XGROUP DELCONSUMER stream group consumer",
	"16 XREADGROUP GROUP group consumer [ COUNT int ] [ NOACK ] STREAMS stream >",
	"2 XREADGROUP GROUP group consumer [ COUNT int ] [ NOACK ] STREAMS groupstreams",
	"6 XREADGROUP GROUP group consumer [ COUNT int ] [ NOACK ] STREAMS stream id|0",
	"9 XACK stream group id+",
	"2 XPENDING stream group",
	"5 XPENDING stream group [ IDLE idle ] start end int [ consumer ]",
	"9 XCLAIM stream group consumer idle id+ [ IDLE idle ] [ TIME unixtime ] [ RETRYCOUNT int ] [ FORCE ] [ JUSTID ] [ LASTID id ]",
	"7 XAUTOCLAIM stream group consumer idle id|0 [ COUNT int ] [ JUSTID ]",

	"4 DEL|UNLINK key",
	"1 DEL|UNLINK key+",
	"3 EXISTS key+",
	"2 TOUCH key+",
	"2 TYPE key",
	"1 KEYS pattern",
	"1 SCAN 0 COUNT 1000 [ MATCH pattern ] [ TYPE typename ]",
	"1 RANDOMKEY",
	"1 DBSIZE",
	"3 RENAME|RENAMENX list list",
	"3 RENAME|RENAMENX stream stream",
	"1 RENAME|RENAMENX key key",
	"3 COPY list list [ DB db ] [ REPLACE ]",
	"3 COPY stream stream [ DB db ] [ REPLACE ]",
	"4 MOVE key db",
	"2 OBJECT ENCODING|REFCOUNT|FREQ|IDLETIME key",
	"5 SELECT db",
	"1 SWAPDB db db",
	"1 DUMP nokey",

	"6 EXPIRE|PEXPIRE key ttl [ NX|XX|GT|LT ] [ NX|XX|GT|LT ]",
	"4 EXPIREAT|PEXPIREAT key unixtime [ NX|XX|GT|LT ]",
	"5 TTL|PTTL|EXPIRETIME|PEXPIRETIME key",
	"3 PERSIST key",

	"14 MULTI",
	"1 EXEC",
	"1 DISCARD",
	"5 WATCH key+",
	"1 UNWATCH",

	"12 PUBLISH channel elem",
	"4 SPUBLISH channel elem",
	"6 SUBSCRIBE channel+",
	"6 PSUBSCRIBE pattern+",
	"4 SSUBSCRIBE channel+",
	"4 UNSUBSCRIBE [ channel+ ]",
	"4 PUNSUBSCRIBE [ pattern+ ]",
	"3 SUNSUBSCRIBE [ channel+ ]",
	"2 PUBSUB CHANNELS|SHARDCHANNELS [ pattern ]",
	"2 PUBSUB NUMSUB|SHARDNUMSUB [ channel+ ]",
	"1 PUBSUB NUMPAT",

	"3 PING [ elem ]",
	"1 ECHO elem",
	"1 CLIENT GETNAME|ID|GETREDIR|TRACKINGINFO",
	"1 CLIENT SETNAME key",
	"20 CLIENT TRACKING ON|OFF|ON|ON [ OPTIN ] [ OPTOUT ] [ NOLOOP ]",
	"6 CLIENT CACHING YES|NO",
	"1 CLIENT NO-EVICT ON|OFF",
	"1 WAIT int millis",
	"1 RESET",
	"1 HELLO 2|3|4 [ SETNAME key ]",
	"1 COMMAND GETKEYS command",
	"1 AUTH elem",
	"1 NOSUCH|GETS key [ elem ]",
}

var (
	listKeys   = []string{"l1", "l2", "l3"}
	streamKeys = []string{"s1", "s2"}
	mixedKeys  = []string{"m1", "m2"}
	databases  = []string{"0", "1", "2"}
	groups     = []string{"g1", "g2"}
	consumers  = []string{"alice", "bob", "carol"}

	// edges are numbers at which parsers and arithmetic end.
	edges = []string{
		"0", "-1", "-0", "+1", " 1", "1 ", "01", "1.5", "1e3", "0x10", "", "abc", "-", "inf", "nan",
		"2147483647", "2147483648", "-2147483649", "4294967296", "9223372036854775807", "9223372036854775808",
		"-9223372036854775807", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
		"4611686018427387904", "9223372036854775", "9223372036854776",
	}
	badIDs = []string{
		"0", "0-0", "-", "+", "$", ">", "5-", "-5", "a-1", "1-a", "1-1-1", "(", "(5", "*", "1-*", "",
		"18446744073709551615-18446744073709551615", "18446744073709551615", "18446744073709551616-1", "0-18446744073709551615",
		"1-18446744073709551615", "18446744073709551615-0",
	}
	options = []string{
		"COUNT", "LEFT", "RIGHT", "MAXLEN", "MINID", "LIMIT", "~", "=", "NOMKSTREAM", "MKSTREAM", "ENTRIESREAD", "BLOCK", "STREAMS",
		"GROUP", "NOACK", "IDLE", "TIME", "RETRYCOUNT", "FORCE", "JUSTID", "LASTID", "RANK", "NX", "XX", "GT", "LT", "REPLACE",
		"DB", "ALPHA", "DESC", "STORE", "GET", "BY", "FULL", "BEFORE", "MATCH", "TYPE",
	}
)

// tokens make the words of the grammar that are not themselves.
var tokens map[string]func(g *generator) []string

func init() { // what makes a command needs the tokens
	one := func(make func(g *generator) string) func(g *generator) []string {
		return func(g *generator) []string { return []string{make(g)} }
	}
	pick := func(choices ...string) func(g *generator) []string {
		return one(func(g *generator) string { return g.pick(choices...) })
	}
	tokens = map[string]func(g *generator) []string{
		"list":     one(func(g *generator) string { return g.key(listKeys) }),
		"waitlist": one(func(g *generator) string { return g.key(listKeys) }),
		"stream":   one(func(g *generator) string { return g.key(streamKeys) }),
		"key":      one(func(g *generator) string { return g.key(slices.Concat(listKeys, streamKeys)) }),
		"nokey":    pick("none"),
		"elem":     one((*generator).element),
		"int": one(func(g *generator) string {
			return g.mostly(8, []string{"1", "2", "3", "5", "10", "0", "-1", "-2"}, edges)
		}),
		"count": one(func(g *generator) string { return g.mostly(8, []string{"1", "2", "3", "0", "100"}, edges) }),
		"index": one(func(g *generator) string {
			return g.mostly(10, []string{"0", "1", "2", "4", "-1", "-2", "-5", "20", "-20"}, edges)
		}),
		"edge":     pick(edges...),
		"id":       one(func(g *generator) string { return g.mostly(15, []string{g.oldID()}, badIDs) }),
		"badid":    pick(badIDs...),
		"newid":    one((*generator).newID),
		"lastid":   one(func(g *generator) string { return g.pick("0", "$", "0-0", g.oldID()) }),
		"start":    one(func(g *generator) string { return g.mostly(12, []string{"-", "-", g.oldID(), "(" + g.oldID()}, badIDs) }),
		"end":      one(func(g *generator) string { return g.mostly(12, []string{"+", "+", g.oldID(), "(" + g.oldID()}, badIDs) }),
		"group":    one(func(g *generator) string { return g.mostly(20, []string{"g1", "g1", "g2"}, []string{"none", ""}) }),
		"consumer": pick(consumers...),
		"idle":     pick("0", "0", "3600000", "7200000", "-1", "1000000000000000", "x"),
		"unixtime": pick("0", "1", "1000", "-1", "4102444800", "4102444800000", "9999999999999", "99999999999999999", "x"),
		"timeout": one(func(g *generator) string {
			return g.mostly(10, []string{"0", "0", "0.0", "1e3", "1000"}, append([]string{"0.001", "0.001"}, edges...))
		}),
		"millis": one(func(g *generator) string { return g.mostly(10, []string{"0", "0", "1000000"}, edges) }),
		"db": one(func(g *generator) string {
			return g.mostly(12, []string{"0", "0", "0", "0", "0", "0", "0", "1", "1", "2"}, []string{"16", "-1", "x", "4294967296"})
		}),
		"channel":    pick("c1", "c2", "d1", "l1"),
		"pattern":    pick("*", "c*", "c?", "[cd]1", "l*", "?1", "c1", "[^c]*", "nosuch", `\*`, "[a"),
		"getpattern": pick("#", "#", "w_*", "*", "none"),
		"typename":   pick("list", "stream", "string", "nosuch"),
		"option":     pick(options...),
		"who":        one(func(g *generator) string { return "$" + g.pick(g.clients...) + ".id" }),
		"pair":       func(g *generator) []string { return []string{g.pick("f", "g", "n"), g.element()} },
		"trim":       (*generator).trim,
		"ttl":        one((*generator).timeToLive),
		"streams":    func(g *generator) []string { return g.streams(1+g.IntN(2), "0", "$", "") },
		"waitstreams": func(g *generator) []string {
			if g.profile.manyKeys {
				return g.streams(1+g.IntN(2), "$", "$", "0", "")
			}
			return g.streams(1, "$", "$", "0", "")
		},
		"groupstreams": func(g *generator) []string { return g.streams(2, ">", ">", "0", "") },
		"command":      func(g *generator) []string { return g.expand(g.rule()) },
	}
}

type grammarRule struct {
	weight int
	words  []string
}

var grammarRules, grammarWeight = func() (rules []grammarRule, sum int) {
	for _, text := range grammar {
		words := strings.Fields(text)
		weight, err := strconv.Atoi(words[0])
		if err != nil {
			panic("grammar: no weight: " + text)
		}
		sum += weight
		rules = append(rules, grammarRule{weight, words[1:]})
	}
	return rules, sum
}()

// expand makes a command from a rule.
func (g *generator) expand(rule []string) (args []string) {
	for len(rule) > 0 {
		if rule[0] != "[" {
			args = append(args, g.word(rule[0])...)
			rule = rule[1:]
			continue
		}
		var optional [][]string
		optional, rule = cutOptional(rule)
		g.Shuffle(len(optional), func(i, j int) { optional[i], optional[j] = optional[j], optional[i] })
		for _, words := range optional {
			if g.IntN(5) < 2 {
				args = append(args, g.expand(words)...)
			}
		}
	}
	return args
}

// cutOptional takes all optional parts off the front.
func cutOptional(rule []string) (optional [][]string, rest []string) {
	for len(rule) > 0 && rule[0] == "[" {
		end := slices.Index(rule, "]")
		optional = append(optional, rule[1:end])
		rule = rule[end+1:]
	}
	return optional, rule
}

func (g *generator) word(word string) []string {
	if len(word) > 1 && strings.HasSuffix(word, "+") {
		var all []string
		for range 1 + g.IntN(3) {
			all = append(all, g.word(strings.TrimSuffix(word, "+"))...)
		}
		return all
	}
	if name, ok := strings.CutSuffix(word, "#"); ok && name != "" {
		return g.counted(name)
	}
	if choices := strings.Split(word, "|"); len(choices) > 1 {
		return g.word(g.pick(choices...))
	}
	return g.token(word)
}

func (g *generator) token(word string) []string {
	if make := tokens[word]; make != nil {
		return make(g)
	}
	return []string{word}
}

// counted is numkeys and the keys; now and then the number is wrong.
func (g *generator) counted(name string) []string {
	n := 1 + g.IntN(3)
	if name == "waitlist" && !g.profile.manyKeys {
		n = 1
	}
	args := []string{strconv.Itoa(n)}
	for range n {
		args = append(args, g.token(name)...)
	}
	if name != "waitlist" && g.IntN(15) == 0 {
		args[0] = g.pick(edges...)
	}
	return args
}

// key is mostly one that holds what it is wanted for.
func (g *generator) key(usual []string) string {
	switch g.IntN(40) {
	case 0:
		return g.pick(slices.Concat(listKeys, streamKeys)...)
	case 1, 2, 3:
		return g.pick(mixedKeys...)
	}
	return g.pick(usual...)
}

func (g *generator) element() string {
	if g.profile.big && g.IntN(3) == 0 {
		return strings.Repeat(g.pick("a", "b"), 1+g.IntN(100_000))
	}
	return g.mostly(12, []string{"a", "b", "c", "1", "2", "10"}, []string{"", "-1.5", "1e2", "a b", "\x00\r\n", "9223372036854775807", "*", "é"})
}

// newID is mostly higher than those before.
func (g *generator) newID() string {
	key := "any"
	if g.IntN(3) > 0 {
		g.top[key]++
	}
	ms := g.top[key]
	switch g.IntN(24) {
	case 0:
		return g.oldID()
	case 1:
		if g.IntN(4) == 0 {
			return g.pick(badIDs...)
		}
		return strconv.Itoa(ms + 1)
	case 2, 3, 4:
		g.top[key]++
		return fmt.Sprintf("%d-%d", ms+1, g.IntN(3))
	}
	return fmt.Sprintf("%d-*", max(ms, 1))
}

// oldID is one that may exist.
func (g *generator) oldID() string {
	ms := max(1, g.top["any"]-g.IntN(14))
	if g.IntN(8) == 0 {
		return strconv.Itoa(ms)
	}
	return fmt.Sprintf("%d-%d", ms, g.pickInt(0, 0, 0, 0, 1, 1, 2))
}

func (g *generator) trim() []string {
	args := []string{"MAXLEN"}
	if g.IntN(2) == 0 {
		args[0] = "MINID"
	}
	args = append(args, g.pick("=", "~", "~", "")) // nothing is the same as =
	if args[1] == "" {
		args = args[:1]
	}
	if args[0] == "MINID" {
		args = append(args, g.token("id")...)
	} else {
		args = append(args, g.mostly(8, []string{"0", "1", "3", "5", "8", "20"}, edges))
	}
	if g.IntN(5) == 0 {
		args = append(args, "LIMIT", g.mostly(6, []string{"0", "1", "3", "10"}, edges))
	}
	return args
}

func (g *generator) timeToLive() string {
	if g.IntN(8) == 0 {
		return g.pick(edges...)
	}
	g.ttl++
	return strconv.Itoa(ttlMin + 100_000*((g.ttl*37)%101+1))
}

// streams are n keys and their IDs; an empty ID stands for one that may exist.
func (g *generator) streams(n int, ids ...string) (args []string) {
	for range n {
		args = append(args, g.token("stream")...)
	}
	for range n {
		id := g.pick(ids...)
		if id == "" {
			id = g.oldID()
		}
		args = append(args, id)
	}
	return args
}
