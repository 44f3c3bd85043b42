package broker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// # Hostile clients
//
// The fuzz targets of this package let clients send anything, in virtual time,
// and hold the broker against what must be true all the same:
//
//   - nothing panics, and no error reply has written anything (rule R3, which the
//     broker itself watches);
//   - what clients are sent is whole replies, one for each command;
//   - who is blocked stands in the queues, and nobody else does;
//   - when the clients have gone nothing is left of them;
//   - every list and stream is sound, and after a restart all is as it was.
//
// FuzzCommands makes commands out of the table: mostly such that make sense,
// and some that do not. FuzzTranscripts begins with what real clients have sent,
// the scripts of compat_test, and lets the fuzzer write on.

// hostile is a stage that is watched.
type hostile struct {
	*stage
	open  map[string]*hostileClient
	log   []string
	files map[string][]byte
}

type hostileClient struct {
	*client
	owed int  // replies; negative: not known any more
	lost bool // CLIENT REPLY in a transaction leaves holes in EXEC's reply, as in Redis
}

// hostileNames are the clients. The upper half begins in RESP3.
const hostileNames = "abcdef"

// hostileInput bounds one run of a target: what is longer finds nothing new, and
// keeps the others waiting.
const (
	hostileInputMax = 8 << 10
	hostileStepsMax = 200
)

func newHostile(t *testing.T) *hostile {
	h := &hostile{
		stage: &stage{
			t: t, fs: vfs.NewMem(), long: 3, config: config.New(), now: time.UnixMilli(1_700_000_000_000), clients: make(map[string]*client),
		},
		open: make(map[string]*hostileClient), files: make(map[string][]byte),
	}
	h.config.ACLFile = "users.acl"
	h.stage.open()
	b := h.broker.Server()
	b.ReadFile = func(path string) ([]byte, error) {
		if text, ok := h.files[path]; ok {
			return text, nil
		}
		return nil, fs.ErrNotExist
	}
	b.WriteFile = func(path string, text []byte) error {
		h.files[path] = slices.Clone(text)
		return nil
	}
	return h
}

func (h *hostile) connected(name string) *hostileClient {
	c := h.open[name]
	if c == nil {
		c = &hostileClient{client: h.client(name)}
		if strings.Index(hostileNames, name) >= len(hostileNames)/2 {
			c.session.Out.Proto = 3
		}
		h.open[name] = c
	}
	return c
}

func (h *hostile) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(h.log, "\n"))
}

// step gives the broker a turn with the next commands of clients.
func (h *hostile) step(requests ...request) {
	for _, r := range requests {
		c := h.connected(r.client)
		if len(r.args) == 0 || len(c.pending) > 8 {
			continue // it waits: no need to pile up
		}
		c.pending = append(c.pending, r.args)
		h.log = append(h.log, fmt.Sprintf("%s %s> %q", h.now.Format("05.000"), r.client, r.args))
	}
	for range 50 {
		if !h.round() {
			break
		}
	}
	for _, name := range strings.Split(hostileNames, "") {
		if c := h.open[name]; c != nil {
			h.took(c)
		}
	}
	h.checkWaits()
	if h.broker.Server().Shutdown != nil {
		h.drain()
	}
}

// round is one turn. It reports whether another may find something to do.
func (h *hostile) round() bool {
	h.broker.Begin(h.now)
	progress := false
	for _, name := range strings.Split(hostileNames, "") {
		c := h.open[name]
		for c != nil && len(c.pending) > 0 && !c.session.Killed && !c.session.CloseAfterReply {
			args := c.pending[0]
			owed := h.owedFor(c, args)
			if !h.broker.Do(c.session, args) {
				break
			}
			if c.owed += owed; owed < 0 || c.owed < 0 {
				c.owed = -1 << 30
			}
			c.pending = c.pending[1:]
			progress = true
		}
	}
	if err := h.broker.End(); err != nil {
		h.fail("the turn failed: %v", err)
	}
	for _, job := range slices.Clone(h.broker.Jobs()) {
		if err := job.Run(func(p []byte) bool { h.broker.Deliver(job, p); return true }); err != nil {
			h.fail("a long read failed: %v", err)
		}
		h.broker.Finish(job)
		progress = true
	}
	return progress || len(h.broker.Resumed()) > 0
}

// owedFor returns how many replies a call gets; negative: it depends.
func (h *hostile) owedFor(c *hostileClient, args [][]byte) int {
	cmd, err := h.broker.Server().Table.Resolve(args)
	if err != nil {
		return 1
	}
	c.lost = c.lost || (cmd.FullName() == "client|reply" && c.session.Multi != nil)
	depends := cmd.Group == "pubsub" || cmd.Name == "monitor" || cmd.FullName() == "client|reply" ||
		slices.Contains([]string{"exec", "reset", "shutdown"}, cmd.Name)
	if depends || c.session.Reply != commands.ReplyOn || c.session.Monitors || c.session.Subscribed() {
		return -1
	}
	return 1
}

// took reads what a client was sent.
func (h *hostile) took(c *hostileClient) {
	sent := slices.Clone(c.session.Out.Bytes())
	c.session.Out.Reset(4 << 10)
	r := bufio.NewReader(bytes.NewReader(sent))
	for !c.lost {
		push, err := wholeReply(r, 0)
		if err == io.EOF {
			break
		}
		if err != nil {
			h.fail("client %s was sent garbage: %v in %.500q", c.name, err, sent)
		}
		if !push {
			c.owed--
		}
	}
	s := c.session
	switch {
	case s.Killed, s.CloseAfterReply:
		h.close(c.name)
	case c.owed < -1<<20 || c.lost: // not counted
	case s.Blocked == nil && !s.Detached && !s.Paused && c.owed != 0:
		h.fail("client %s is owed %d replies", c.name, c.owed)
	case (s.Blocked != nil || s.Detached) && c.owed != 1:
		h.fail("client %s waits and is owed %d replies", c.name, c.owed)
	}
}

var errReply = errors.New("not a reply")

// wholeReply reads one reply as strictly as the strictest client, and reports
// whether it was a push.
func wholeReply(r *bufio.Reader, depth int) (push bool, err error) {
	line, err := r.ReadString('\n')
	if err == io.EOF && line == "" && depth == 0 {
		return false, io.EOF
	}
	if err != nil || !strings.HasSuffix(line, "\r\n") || len(line) < 3 {
		return false, fmt.Errorf("%w: line %q", errReply, line)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '+', '-':
		if strings.ContainsAny(rest, "\r\n") || (kind == '+' && depth == 0 && strings.HasPrefix(rest, "[")) {
			return false, errReply
		}
		// A line that monitors are shown is no reply.
		_, after, shown := strings.Cut(rest, " [")
		return kind == '+' && shown && strings.Contains(after, "] \""), nil
	case ':':
		_, err := strconv.ParseInt(rest, 10, 64)
		return false, err
	case ',':
		_, err := strconv.ParseFloat(rest, 64)
		return false, err
	case '_':
		if rest != "" {
			return false, errReply
		}
		return false, nil
	case '#':
		if rest != "t" && rest != "f" {
			return false, errReply
		}
		return false, nil
	case '$', '=', '*', '~', '>', '%':
	default:
		return false, fmt.Errorf("%w: line %q", errReply, line)
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < -1 || strconv.Itoa(n) != rest {
		return false, fmt.Errorf("%w: length %q", errReply, line)
	}
	if n < 0 {
		if kind != '$' && kind != '*' {
			return false, errReply
		}
		return false, nil
	}
	if kind == '$' || kind == '=' {
		body := make([]byte, n+2)
		if _, err := io.ReadFull(r, body); err != nil || string(body[n:]) != "\r\n" {
			return false, fmt.Errorf("%w: a string of %d bytes: %v", errReply, n, err)
		}
		return false, nil
	}
	if kind == '%' {
		n *= 2
	}
	// Inside EXEC the confirmation of a subscription stands where the reply would.
	if head, _ := r.Peek(24); kind == '>' && depth > 0 && !bytes.Contains(head, []byte("subscribe\r\n")) {
		return false, fmt.Errorf("%w: a push inside", errReply)
	}
	for range n {
		if _, err := wholeReply(r, depth+1); err != nil {
			return false, err
		}
	}
	return kind == '>', nil
}

// checkWaits compares who is blocked with who stands in a queue.
func (h *hostile) checkWaits() {
	w := &h.broker.waits
	blocked := 0
	for _, s := range h.broker.Server().Sessions {
		if s.Blocked != nil {
			blocked++
			if _, stands := w.nodes[s]; !stands {
				h.fail("a blocked client stands in no queue")
			}
		}
	}
	if blocked != w.count || len(w.nodes) != w.count {
		h.fail("%d clients are blocked, %d stand in queues, counted were %d", blocked, len(w.nodes), w.count)
	}
	for ref, q := range w.queues {
		if q.first == nil || q.last == nil || q.first.prev != nil || q.last.next != nil {
			h.fail("the queue at %q is not sound", ref.Key)
		}
	}
}

func (h *hostile) close(name string) {
	c := h.open[name]
	if c == nil {
		return
	}
	h.broker.Disconnect(c.session)
	delete(h.open, name)
	delete(h.clients, name)
}

// drain is what the server does after SHUTDOWN, or at the end of a run.
func (h *hostile) drain() {
	h.broker.Begin(h.now)
	h.broker.Drain()
	if err := h.broker.End(); err != nil {
		h.fail("%v", err)
	}
	for _, name := range strings.Split(hostileNames, "") {
		h.close(name)
	}
	h.broker.Server().Shutdown = nil
}

// finish ends the run: nothing is left of the clients, and the data are sound
// and survive a restart.
func (h *hostile) finish() {
	h.drain()
	srv := h.broker.Server()
	tracked, _ := srv.Tracking.Keys()
	left := len(srv.Sessions) + len(srv.Watchers) + len(srv.Monitors) + srv.Tracking.Clients() + srv.Tracking.Prefixes() + tracked
	for _, kind := range []pubsub.Kind{pubsub.Channel, pubsub.Pattern, pubsub.Shard} {
		left += srv.Hub.Count(kind)
	}
	if left += len(h.broker.waits.queues) + h.broker.waits.count; left != 0 {
		h.fail("%d things are left of clients that have gone", left)
	}
	before := h.contents()
	if err := h.store.Close(); err != nil {
		h.fail("%v", err)
	}
	h.stage.open()
	if after := h.contents(); after != before {
		h.fail("after a restart: %s", firstDifference(before, after))
	}
	problem := func(err error) { h.fail("%v", err) }
	if _, err := h.store.Check(storage.Check{Object: commands.CheckObject, Timer: commands.CheckTimer, Problem: problem}); err != nil {
		problem(err)
	}
	if err := h.store.Close(); err != nil {
		h.fail("%v", err)
	}
}

// contents checks everything that is stored and writes it down.
func (h *hostile) contents() string {
	var out strings.Builder
	all := h.store.Begin(h.now)
	for timer := range all.Timers() {
		fmt.Fprintf(&out, "%d %d %q %q\n", timer.At, timer.Seq, timer.Name, timer.Value)
	}
	for db := range storage.Databases {
		tx, keys := all.In(db), int64(0)
		var names []string
		tx.ScanKeys(0, func(i storage.KeyInfo) bool {
			names = append(names, string(i.Key))
			return true
		})
		slices.Sort(names)
		for _, name := range names {
			keys++
			o := tx.Peek([]byte(name))
			if o == nil {
				h.fail("key %q is listed and not there", name)
			}
			fmt.Fprintf(&out, "%d %q %s %d\n", db, name, o.Type(), o.ExpireAt())
			switch o.Type() {
			case storage.TypeList:
				h.listContents(&out, lists.Of(tx, o))
			case storage.TypeStream:
				s, err := streams.Open(tx, []byte(name))
				if err == nil {
					err = s.Check()
				}
				if err != nil {
					h.fail("stream %q: %v", name, err)
				}
				streamContents(&out, s)
			}
		}
		if keys > tx.Keys() {
			h.fail("database %d has %d keys, counted were %d", db, keys, tx.Keys())
		}
	}
	if _, err := h.store.Commit(); err != nil {
		h.fail("%v", err)
	}
	return out.String()
}

func (h *hostile) listContents(out *strings.Builder, l lists.List) {
	n, size := int64(0), int64(0)
	l.Range(0, l.Len(), func(i int64, e []byte) bool {
		if i != n {
			h.fail("index %d comes as %d", n, i)
		}
		fmt.Fprintf(out, "\t%q\n", e)
		n++
		size += int64(len(e))
		return true
	})
	if n == 0 || n != l.Len() || size != l.Bytes() {
		h.fail("a list has %d elements of %d bytes, its metadata say %d of %d", n, size, l.Len(), l.Bytes())
	}
}

func streamContents(out *strings.Builder, s *streams.Stream) {
	fmt.Fprintf(out, "\t%d %v %v %v %d\n", s.Len(), s.LastID(), s.FirstID(), s.MaxDeletedID(), s.Added())
	s.Range(streams.ID{}, streams.MaxID, false, func(e *streams.Entry) bool {
		fmt.Fprintf(out, "\t%v", e.ID)
		e.Each(func(p []byte) { fmt.Fprintf(out, " %q", p) })
		out.WriteByte('\n')
		return true
	})
	for _, g := range s.Groups() {
		fmt.Fprintf(out, "\tgroup %q %v %d\n", g.Name(), g.LastDelivered(), g.EntriesRead())
		for _, c := range g.Consumers() {
			fmt.Fprintf(out, "\t\t%q %d\n", c.Name, c.Pending)
		}
		g.EachPending(streams.ID{}, streams.MaxID, nil, 0, func(p *streams.Pending, c *streams.Consumer) bool {
			name := ""
			if c != nil {
				name = c.Name
			}
			fmt.Fprintf(out, "\t\t%v %q %d %d\n", p.ID, name, p.Time, p.Deliveries)
			return true
		})
	}
}

// ---- commands from the table -------------------------------------------------

// dice are the decisions of the fuzzer.
type dice struct{ p []byte }

func (d *dice) more() bool { return len(d.p) > 0 }

func (d *dice) next() int {
	if len(d.p) == 0 {
		return 0
	}
	n := d.p[0]
	d.p = d.p[1:]
	return int(n)
}

func (d *dice) below(n int) int {
	if n > 256 {
		return (d.next()<<8 | d.next()) % n
	}
	return d.next() % n
}

func (d *dice) pick(words ...string) string { return words[d.below(len(words))] }

func (d *dice) bytes() []byte {
	n := min(d.below(40), len(d.p))
	b := d.p[:n:n]
	d.p = d.p[n:]
	return b
}

// hostileValues are arguments at which mistakes show.
var hostileValues = []string{
	"", "0", "1", "-1", "2", "3", "-2", "10", "100", "5000", "00", "+1", " 1", "1.5", "-0", "0x10", "1e3", "inf", "-inf", "nan", "1e400",
	"9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616", "4294967296", "2147483648",
	"*", "-", "+", "$", ">", "(", "(1", "(1-1", "0-0", "0-1", "1-1", "1-*", "1-", "-1-1", "5-5", "18446744073709551615-18446744073709551615", "1-18446744073709551615",
	"l0", "l1", "l2", "s0", "s1", "s2", "g0", "g1", "c0", "c1", "p0", "m0", "ch0", "ch1", "a*", "*?[a-", "[^", "\\", "\x00", "\r\n", "a b", "\xff\xfe", "default", "on", "off", "nopass", ">secret", "allkeys", "+@all", "-@all", "~*", "%R~l*", "&*", "resetpass",
	"COUNT", "BLOCK", "STREAMS", "GROUP", "IDS", "STORE", "BY", "GET", "LIMIT", "MAXLEN", "MINID", "~", "=", "NOMKSTREAM", "FULL", "FORCE", "JUSTID", "MATCH", "TYPE", "REPLACE", "LEFT", "RIGHT", "BEFORE", "AFTER",
}

// value makes any argument.
func (d *dice) value() []byte {
	if n := d.next(); n < 208 {
		return []byte(hostileValues[n%len(hostileValues)])
	}
	return d.bytes()
}

// syntaxNode is a part of a Syntax: a word, [optional], <one | of>, or several.
type syntaxNode struct {
	word         string
	alternatives [][]syntaxNode
	optional     bool
}

func parseSyntax(words []string, closing string) (alternatives [][]syntaxNode, rest []string) {
	alternatives = [][]syntaxNode{nil}
	last := func() *[]syntaxNode { return &alternatives[len(alternatives)-1] }
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch word {
		case closing:
			return alternatives, words
		case "[", "<":
			var inner [][]syntaxNode
			inner, words = parseSyntax(words, map[string]string{"[": "]", "<": ">"}[word])
			*last() = append(*last(), syntaxNode{alternatives: inner, optional: word == "["})
		case "|":
			alternatives = append(alternatives, nil)
		default:
			*last() = append(*last(), syntaxNode{word: word})
		}
	}
	return alternatives, nil
}

// callMaker writes calls of one command.
type callMaker struct {
	cmd    *commands.Command
	syntax []syntaxNode
}

func callMakers(table *commands.Table) (makers []callMaker) {
	add := func(c *commands.Command) {
		if c.Run == nil {
			return
		}
		words := strings.Fields(strings.NewReplacer("[", " [ ", "]", " ] ", "<", " < ", ">", " > ", "|", " | ").Replace(c.Syntax))
		alternatives, _ := parseSyntax(words, "")
		makers = append(makers, callMaker{c, alternatives[0]})
	}
	for _, c := range table.All() {
		add(c)
		for _, sub := range c.Subcommands() {
			add(sub)
		}
	}
	return makers
}

func (m callMaker) call(d *dice) [][]byte {
	var args [][]byte
	for _, word := range strings.Split(m.cmd.FullName(), "|") {
		args = append(args, []byte(word))
	}
	switch how := d.below(16); {
	case how == 0: // anything at all
		for range d.below(12) {
			args = append(args, d.value())
		}
		return args
	default:
		e := expansion{d: d, args: args}
		e.sequence(m.syntax)
		if how == 1 && len(e.args) > 1 { // one is wrong
			e.args[1+d.below(len(e.args)-1)] = d.value()
		}
		if how == 2 {
			e.args = append(e.args, d.value())
		}
		return e.args
	}
}

type expansion struct {
	d     *dice
	args  [][]byte
	count int // how many of what comes next were announced
}

func (e *expansion) sequence(nodes []syntaxNode) {
	for _, n := range nodes {
		switch {
		case n.word == "...":
		case n.word != "":
			e.args = append(e.args, e.argument(n.word))
		case len(n.alternatives) == 1 && n.optional && n.alternatives[0][len(n.alternatives[0])-1].word == "...":
			times := e.count - 1
			if e.count == 0 {
				times = e.d.below(4)
			}
			e.count = 0
			for range min(times, 8) {
				e.sequence(n.alternatives[0])
			}
		case n.optional && e.d.below(3) != 0:
		default:
			e.sequence(n.alternatives[e.d.below(len(n.alternatives))])
		}
	}
}

func (e *expansion) argument(word string) []byte {
	d := e.d
	if word == strings.ToUpper(word) {
		return []byte(word)
	}
	if d.below(24) == 0 {
		return d.value()
	}
	number := func() []byte { return []byte(d.pick("0", "1", "2", "3", "5", "-1", "-2", "20", "3000")) }
	switch word {
	case "key", "source", "destination", "newkey":
		if strings.HasPrefix(string(e.args[0]), "x") {
			return []byte(d.pick("s0", "s1", "s1", "s2", "l0"))
		}
		return []byte(d.pick("l0", "l0", "l1", "l2", "s0", "s1"))
	case "group":
		return []byte(d.pick("g0", "g1"))
	case "consumer":
		return []byte(d.pick("c0", "c1", "c2"))
	case "numkeys", "numids":
		e.count = 1 + d.below(3)
		return []byte(strconv.Itoa(e.count))
	case "id", "start", "end", "last-id", "max-deleted-id", "threshold":
		return []byte(d.pick("0", "-", "+", "1-1", "2-1", "5-0", "1-2", "3", "(1-1", "$", ">", "*", "9-*", "7-7"))
	case "timeout":
		return []byte(d.pick("0", "0.1", "1", "0.5", "100"))
	case "element", "pivot", "value", "field", "message":
		return []byte(d.pick("a", "b", "c", "", "1", "2.5", strings.Repeat("x", 100)))
	case "channel", "shardchannel":
		return []byte(d.pick("ch0", "ch1"))
	case "pattern":
		return []byte(d.pick("*", "ch*", "l*", "s?", "#"))
	case "parameter":
		return []byte(d.pick("timeout", "maxclients", "requirepass", "notify-keyspace-events", "slowlog-log-slower-than", "client-output-buffer-limit", "stream-node-max-entries", "proto-max-bulk-len", "tracking-table-max-keys", "acllog-max-len", "maxmemory", "*"))
	case "username":
		return []byte(d.pick("default", "u0", "u1"))
	case "password":
		return []byte(d.pick("secret", ""))
	case "client-id":
		return []byte(d.pick("1", "2", "3", "4", "5"))
	case "expression":
		return []byte(d.pick("* * * * *", "@every 1s", "CRON_TZ=Asia/Tokyo 0 9 * * *", "CRON_TZ=UTC"))
	case "serialized-value":
		return []byte(d.pick(hostileDumps...))
	case "db", "index", "index1", "index2", "destination-db":
		return []byte(d.pick("0", "1", "15", "-1", "2"))
	}
	return number()
}

// hostileDumps are what DUMP returns of a list and of a stream with a group.
var hostileDumps = []string{
	"\x12\x01\x02\b\b\x00\x00\x00\x01\x00\x01\x01\xff\n\x00\xa3H\x97c\x9d\xb1\xae\xfd", "garbage",
}

func FuzzCommands(f *testing.F) {
	makers := callMakers(commands.NewTable())
	rng := rand.New(rand.NewPCG(1, 1))
	for range 60 { // any decisions are a beginning
		seed := make([]byte, 400)
		for i := range seed {
			seed[i] = byte(rng.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, decisions []byte) {
		h := newHostile(t)
		d := &dice{decisions[:min(len(decisions), hostileInputMax)]}
		for range hostileStepsMax {
			if !d.more() {
				break
			}
			switch what := d.below(32); what {
			case 0:
				h.now = h.now.Add(time.Duration(d.below(1000)) * 10 * time.Millisecond)
				h.step()
			case 1:
				name := string(hostileNames[d.below(len(hostileNames))])
				h.log = append(h.log, name+" goes away")
				h.close(name)
				h.step()
			case 2, 3: // several in one turn
				var requests []request
				for range 1 + d.below(5) {
					requests = append(requests, h.dice(d, makers))
				}
				h.step(requests...)
			default:
				h.step(h.dice(d, makers))
			}
		}
		h.finish()
	})
}

func (h *hostile) dice(d *dice, makers []callMaker) request {
	name := string(hostileNames[d.below(len(hostileNames))])
	if d.below(3) == 0 {
		// What there is to do something with is made by few commands.
		return request{name, args(strings.Fields(d.pick(
			"RPUSH l0 a b c d", "LPUSH l1 1 2 3", "XADD s0 * f v", "XADD s1 1-1 f v g w", "XADD s1 * f v", "XGROUP CREATE s1 g0 0 MKSTREAM", "XGROUP CREATE s0 g1 $ MKSTREAM",
			"XREADGROUP GROUP g0 c0 STREAMS s1 >", "MULTI", "EXEC", "HELLO 3", "HELLO 2", "SUBSCRIBE ch0", "WATCH l0 s1", "CLIENT TRACKING ON", "MONITOR",
			"BRPOP l0 l2 0", "BLMOVE l2 l0 LEFT RIGHT 1", "XREADGROUP GROUP g0 c1 BLOCK 0 STREAMS s1 >", "XREAD BLOCK 100 STREAMS s0 $", "CONFIG SET notify-keyspace-events KEA",
			"SCHEDULE IN 10 RPUSH l0 later", "SCHEDULE EVERY 500 ID 1 XADD s1 * f v", "SCHEDULE IN 0 LPUSH s1 x", "SCHEDULE IN 700 LMOVE l0 l2 LEFT LEFT",
		))...)}
	}
	m := makers[d.below(len(makers))]
	call := m.call(d)
	if m.cmd.CallAt != nil && d.below(8) != 0 { // in which any other stands
		call = append(call[:min(m.cmd.CallAt(call), len(call))], makers[d.below(len(makers))].call(d)...)
	}
	return request{name, call}
}

// ---- transcripts -------------------------------------------------------------

// FuzzTranscripts takes text, a command a line: the client's name, blanks, words
// as in a shell. "+500" lets half a second pass, "a close" ends a connection.
func FuzzTranscripts(f *testing.F) {
	for _, seed := range transcripts(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := newHostile(t)
		steps := 0
		for line := range strings.SplitSeq(text[:min(len(text), hostileInputMax)], "\n") {
			if steps++; steps > hostileStepsMax || line == "" {
				continue
			}
			if ms, err := strconv.ParseUint(strings.TrimPrefix(line, "+"), 10, 24); err == nil {
				h.now = h.now.Add(time.Duration(ms) * time.Millisecond)
				h.step()
				continue
			}
			name, rest := string(hostileNames[int(line[0])%len(hostileNames)]), strings.TrimLeft(line[1:], ">&! ")
			if rest == "close" {
				h.close(name)
				h.step()
				continue
			}
			words, err := config.Split(rest)
			if err != nil {
				words = strings.Split(rest, " ")
			}
			h.step(request{name, args(words...)})
		}
		h.finish()
	})
}

// transcripts reads the scripts of compat_test, in pieces.
func transcripts(f *testing.F) (pieces []string) {
	files, err := filepath.Glob("../compat_test/testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var piece []string
		for line := range strings.Lines(string(text)) {
			line = strings.TrimRight(line, "\n")
			if len(line) < 4 || line[0] < 'a' || line[0] > 'z' || !strings.ContainsAny(line[1:2], ">&!") || len(line) > 1000 {
				continue
			}
			if piece = append(piece, line); len(piece) == 40 {
				pieces = append(pieces, strings.Join(piece, "\n"))
				piece = nil
			}
		}
		if len(piece) > 0 {
			pieces = append(pieces, strings.Join(piece, "\n"))
		}
	}
	return pieces
}
