package compat_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A difference is one that there may be between Redis 7.0.15 and cairn. Each is as narrow as it can be: the reply of
// what, from where the commands are, and nothing else.
//
// Some differences leave the servers in different states; those the generator does not bring about:
//
//	own order   A client that waits for several keys, of which several become ready at once, is served from the first of
//	            its own (7.2); 7.0 takes what was written first. So it waits for one key, or there are no transactions
//	            and neither SWAPDB nor BLMOVE (profile.manyKeys). And no key twice: 7.0 answers with one stream (tame).
//	asking      XREADGROUP, XCLAIM and XAUTOCLAIM create the consumer (7.2); 7.0 only if it gets something. So it is
//	            created before (consumerFirst), and not removed while it waits (profile.waits).
//	tracking    A client that waited in XREAD is told of the key's next change as well (7.2): the command has run again.
//	            So no seed has both.
//	last of node  XADD and XTRIM with MINID ~ drop a macro node if its last entry is low enough, which in Redis may be one
//	            that XDEL has deleted; cairn looks at the last one there is. So no seed has both (profile.deletes).
//	minimum     LPOS RANK -9223372036854775808 is an error (7.2); 7.0 takes it for the last match (tame).
//	overflow    A timeout that is a number of milliseconds but ends after the end of time is an error (7.2); 7.0 waits.
//	last entry  XREAD STREAMS key + (7.4) is an error in 7.0 (tame).
type difference struct {
	name  string
	of    map[string]bool // commands, in upper case
	alike func(args []string, redis, cairn frame) (frame, frame)
}

// parting is a difference after which the servers do not hold the same: the play ends there.
const parting = "an XSETID that goes back to before what was deleted (7.2)"

var differences = []difference{
	{"the order of names", set("KEYS", "SCAN", "PUBSUB"), func(args []string, redis, cairn frame) (frame, frame) {
		if !is(args, 1, "NUMSUB") && !is(args, 1, "SHARDNUMSUB") {
			redis, cairn = sortNames(redis), sortNames(cairn)
		}
		return redis, cairn
	}},
	{"where a cursor that no SCAN has returned leads to", set("SCAN"), func(args []string, redis, cairn frame) (frame, frame) {
		if !is(args, 1, "0") && redis.kind == '*' && cairn.kind == '*' {
			cairn = redis
		}
		return redis, cairn
	}},
	{"the serialised form (its version, what is compressed)", set("DUMP"), both(mode{name: "text"}.apply)},
	{"SORT ALPHA looks behind a byte of zero", set("SORT", "SORT_RO"), func(args []string, redis, cairn frame) (frame, frame) {
		if indexWord(args, "ALPHA") > 0 && len(redis.items) == len(cairn.items) && slices.EqualFunc(redis.items, cairn.items, sameUpToZero) {
			cairn = redis
		}
		return redis, cairn
	}},
	{"which key is random", set("RANDOMKEY"), both(mode{name: "text"}.apply)},
	{"fields that XINFO did not have (7.2, 8.6, 8.8)", set("XINFO"), func(_ []string, redis, cairn frame) (frame, frame) {
		return redis, mode{name: "without", args: newFields}.apply(cairn)
	}},
	{"what a group has read, and its lag (8.2)", set("XINFO"), both(mode{name: "hide", args: []string{"entries-read", "lag"}}.apply)},
	{"radix trees are estimated", set("XINFO"), both(mode{name: "hide", args: []string{"radix-tree-keys", "radix-tree-nodes"}}.apply)},
	{"IDs made from the clock", nil, func(_ []string, redis, cairn frame) (frame, frame) { return pairwise(redis, cairn, sameClockID) }},
	{"time has passed", set("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"), passed},
	{"time has passed", set("XPENDING", "XINFO"), func(_ []string, redis, cairn frame) (frame, frame) { return passedWithin(redis, cairn) }},
	{"listpack is quicklist in 7.0", set("OBJECT"), func(args []string, redis, cairn frame) (frame, frame) {
		if is(args, 1, "ENCODING") && redis.text == "quicklist" && cairn.text == "listpack" {
			cairn = redis
		}
		return redis, cairn
	}},
	{"ids and versions", set("CLIENT", "HELLO"), func(args []string, redis, cairn frame) (frame, frame) {
		if is(args, 0, "HELLO") {
			hide := mode{name: "hide", args: []string{"id", "version"}}
			return hide.apply(redis), hide.apply(cairn)
		}
		if is(args, 1, "ID") {
			integer := mode{name: "int"}
			return integer.apply(redis), integer.apply(cairn)
		}
		return redis, cairn
	}},
	{"the words for unbalanced streams (7.4)", set("XREAD", "XREADGROUP"), func(_ []string, redis, cairn frame) (frame, frame) {
		if redis.kind == '-' && cairn.kind == '-' && strings.HasPrefix(redis.text, "ERR Unbalanced XREAD ") && strings.HasPrefix(cairn.text, "ERR Unbalanced 'xread") {
			cairn = redis
		}
		return redis, cairn
	}},
	{parting, set("XSETID"), func(_ []string, redis, cairn frame) (frame, frame) {
		if cairn.kind == '-' && cairn.text == "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id" {
			cairn = redis
		}
		return redis, cairn
	}},
	// 7.0 adds the time without looking, and a sum that is negative is over at once.
	{"a timeout too far off (7.2)", blocking, func(_ []string, redis, cairn frame) (frame, frame) {
		over := redis.null || redis.kind == '_' || redis.kind == ':' || redis.kind == '-'
		if over && cairn.kind == '-' && cairn.text == "ERR timeout is out of range" {
			cairn = redis
		}
		return redis, cairn
	}},
	{"whom a vanished group leaves waiting (7.2)", set("XREADGROUP"), func(_ []string, redis, cairn frame) (frame, frame) {
		if redis.kind == '-' && strings.HasPrefix(redis.text, "UNBLOCKED ") || strings.HasPrefix(redis.text, "NOGROUP the consumer group this client was blocked on") {
			if cairn.kind == '-' && strings.HasPrefix(cairn.text, "NOGROUP No such key") || strings.HasPrefix(cairn.text, "WRONGTYPE ") {
				cairn = redis
			}
		}
		return redis, cairn
	}},
}

// sameUpToZero reports whether two elements are the same to a locale, to which a byte of zero is the end.
func sameUpToZero(a, b frame) bool {
	a.text, _, _ = strings.Cut(a.text, "\x00")
	b.text, _, _ = strings.Cut(b.text, "\x00")
	return a.kind == b.kind && a.null == b.null && a.text == b.text
}

var newFields = []string{
	"inactive", "active-time", "nacked-count",
	"idmp-duration", "idmp-maxsize", "pids-tracked", "iids-tracked", "iids-added", "iids-duplicates",
}

// A fork is a difference in whether, or by what, a client that waits is served. What the servers hold afterwards is
// not the same, so the play ends there.
type fork struct {
	name string
	is   func(waits []string, run []move, redis, cairn []frame) bool
}

var forks = []fork{
	{"an entry that has gone at once wakes nobody (7.2)", func(waits []string, _ []move, redis, cairn []frame) bool {
		return (is(waits, 0, "XREAD") || is(waits, 0, "XREADGROUP")) && len(redis) == 1 &&
			regexp.MustCompile(`^(\[\["\w*", \[\]\]\]|\{"\w*": \[\]\})$`).MatchString(redis[0].String())
	}},
	{"who waits for several keys asks for all of them again (7.2)", func(waits []string, _ []move, redis, cairn []frame) bool {
		return len(waits) > 3 && len(redis) == 1 && redis[0].kind != '-' && len(cairn) == 1 && strings.HasPrefix(cairn[0].text, "WRONGTYPE ")
	}},
	{"a list that SORT puts in the place of a stream wakes nobody (as late as 7.2)", func(_ []string, run []move, redis, cairn []frame) bool {
		stores := func(m move) bool { return is(m.args, 0, "SORT") && indexWord(m.args, "STORE") > 0 }
		return slices.ContainsFunc(run, stores) && len(redis) == 0 && len(cairn) == 1 && cairn[0].kind != '-'
	}},
}

// forked reports whether servers part here, and counts it.
func (t tally) forked(waits []string, run []move, redis, cairn []frame) bool {
	for _, known := range forks {
		if waits != nil && known.is(waits, run, redis, cairn) {
			t[known.name]++
			return true
		}
	}
	return false
}

// tally counts which differences were met.
type tally map[string]int

func (t tally) String() string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(t)) {
		texts = append(texts, fmt.Sprintf("%s %d", name, t[name]))
	}
	return strings.Join(texts, "; ")
}

// agree compares the replies to the first of the calls; of EXEC the others are those that were queued.
func (t tally) agree(calls [][]string, redis, cairn frame) bool {
	if redis.equal(cairn) {
		return true
	}
	if len(calls) > 1 && redis.kind == '*' && cairn.kind == '*' && len(redis.items) == len(calls)-1 && len(cairn.items) == len(redis.items) {
		parted := t[parting]
		for i, args := range calls[1:] {
			if !t.agree([][]string{args}, redis.items[i], cairn.items[i]) {
				return false
			}
			if t[parting] > parted {
				break
			}
		}
		return true
	}
	args := calls[0]
	for _, known := range differences {
		if known.of != nil && !known.of[strings.ToUpper(args[0])] {
			continue
		}
		r, c := known.alike(args, redis, cairn)
		if !r.equal(redis) || !c.equal(cairn) {
			redis, cairn = r, c
			if redis.equal(cairn) {
				t[known.name]++
				return true
			}
		}
	}
	return false
}

func (f frame) equal(other frame) bool {
	return f.kind == other.kind && f.text == other.text && f.null == other.null && slices.EqualFunc(f.items, other.items, frame.equal)
}

func is(args []string, i int, word string) bool {
	return i < len(args) && strings.EqualFold(args[i], word)
}

func both(change func(frame) frame) func(args []string, redis, cairn frame) (frame, frame) {
	return func(_ []string, redis, cairn frame) (frame, frame) { return change(redis), change(cairn) }
}

func sortNames(f frame) frame {
	f = sortGroups(f, 1)
	for i, item := range f.items {
		if item.kind == '*' {
			f.items[i] = sortGroups(item, 1)
		}
	}
	return f
}

// aboutMillis is how far apart the servers may be asked.
const aboutMillis = 5000

// passed lets integers at the same place differ by a little, where a time is.
func passed(_ []string, redis, cairn frame) (frame, frame) {
	if redis.kind == ':' && cairn.kind == ':' {
		return closeInts(redis, cairn)
	}
	return passedWithin(redis, cairn)
}

func passedWithin(a, b frame) (frame, frame) {
	if len(a.items) != len(b.items) || len(a.items) == 0 {
		return a, b
	}
	a.items, b.items = slices.Clone(a.items), slices.Clone(b.items)
	for i := range a.items {
		if a.items[i].kind == ':' && b.items[i].kind == ':' && isTime(a, i) {
			a.items[i], b.items[i] = closeInts(a.items[i], b.items[i])
			continue
		}
		a.items[i], b.items[i] = passedWithin(a.items[i], b.items[i])
	}
	return a, b
}

var clockField = set("idle", "seen-time")

// isTime reports whether an element is a time: behind the name of one, or in what is pending, which is lists of [ID,
// consumer, time, deliveries] and, within a consumer, of [ID, time, deliveries].
func isTime(f frame, i int) bool {
	switch {
	case i > 0 && clockField[f.items[i-1].text]:
		return true
	case len(f.items) == 4:
		return i == 2 && f.items[0].kind == '$' && f.items[1].kind == '$' && f.items[3].kind == ':'
	case len(f.items) == 3:
		return i == 1 && f.items[0].kind == '$' && f.items[2].kind == ':'
	}
	return false
}

func closeInts(a, b frame) (frame, frame) {
	x, errX := strconv.ParseInt(a.text, 10, 64)
	y, errY := strconv.ParseInt(b.text, 10, 64)
	if errX == nil && errY == nil && min(x, y) >= 0 && max(x, y)-min(x, y) <= aboutMillis {
		b = a
	}
	return a, b
}

// pairwise lets texts at the same place be the same if they are said to be.
func pairwise(a, b frame, same func(x, y string) bool) (frame, frame) {
	if a.kind == '$' && b.kind == '$' && same(a.text, b.text) {
		return a, a
	}
	if len(a.items) != len(b.items) || len(a.items) == 0 {
		return a, b
	}
	a.items, b.items = slices.Clone(a.items), slices.Clone(b.items)
	for i := range a.items {
		a.items[i], b.items[i] = pairwise(a.items[i], b.items[i], same)
	}
	return a, b
}

var clockID = regexp.MustCompile(`^(1[0-9]{12})-[0-9]+$`)

func sameClockID(x, y string) bool {
	mx, my := clockID.FindStringSubmatch(x), clockID.FindStringSubmatch(y)
	if mx == nil || my == nil {
		return false
	}
	a, _ := strconv.ParseInt(mx[1], 10, 64)
	b, _ := strconv.ParseInt(my[1], 10, 64)
	return max(a, b)-min(a, b) <= aboutMillis
}
