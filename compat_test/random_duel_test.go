package compat_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// A duel plays moves against a real Redis and against cairn and compares what each of the clients is sent.
//
// The order of commands has to be the same on both servers. So one client at a time sends, a run of commands in one
// write; when the replies are there and somebody else waits or listens, the servers are given time to write out what
// they owe to others. A client that waits sends nothing: its moves are left out until it has got its reply.
type duel struct {
	t            testing.TB
	redis, cairn *side
	actors       map[string]*actor
	tally        tally
	forked       bool // the servers have parted, and were allowed to
}

// A side is one of the servers.
type side struct {
	start   func() *daemon
	server  *daemon
	control *control
	clients map[string]*client
	ids     map[string]string // $a1.id and the like
}

// An actor is a client as both servers should see it.
type actor struct {
	name    string
	waits   []string   // the command it is blocked in
	queue   [][]string // since MULTI
	listens bool       // has subscribed once: anybody may cause it to be sent something
	gone    bool
}

// A disagreement is the first difference between the servers.
type disagreement struct {
	at           int // index of the move
	client       string
	args         []string // the command that was answered differently; nil: nobody has asked for it
	redis, cairn string
}

// kind is what stays the same while a disagreement is shrunk.
func (b *disagreement) kind() string {
	if len(b.args) == 0 {
		return "push"
	}
	return strings.ToUpper(b.args[0])
}

func newDuel(t testing.TB) *duel {
	return &duel{
		t:     t,
		redis: &side{start: func() *daemon { return startRedis(t, t.TempDir()) }},
		cairn: &side{start: func() *daemon {
			return startCairn(t, t.TempDir(), "--enable-debug-command", "yes", "--proto-max-name-len", "1mb")
		}},
		tally: tally{},
	}
}

func (d *duel) sides() [2]*side { return [2]*side{d.redis, d.cairn} }

// reset leaves both servers empty and without clients.
func (d *duel) reset() {
	d.actors = map[string]*actor{}
	for _, s := range d.sides() {
		if err := s.reset(); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (s *side) reset() error {
	if s.server != nil && s.server.exited != nil {
		select {
		case <-s.server.exited: // it may have panicked, which is told when the test ends
			s.server = nil
		default:
		}
	}
	for _, c := range s.clients {
		c.close()
	}
	if s.server == nil {
		s.server, s.control = s.start(), nil
	}
	s.clients, s.ids = map[string]*client{}, map[string]string{}
	if s.control == nil {
		var err error
		if s.control, err = dialControl(s.server.addr, ""); err != nil {
			return err
		}
	}
	err := eventually("clients of before are still there", func() (bool, error) {
		f, err := s.control.do("CLIENT", "LIST")
		return strings.Count(f.text, "\n") == 1, err
	})
	if err != nil {
		return err
	}
	for _, call := range [][]string{
		{"FLUSHALL"}, {"CONFIG", "SET", "stream-node-max-entries", "100"}, {"CONFIG", "SET", "notify-keyspace-events", ""},
	} {
		if err := s.control.ok(call...); err != nil {
			return err
		}
	}
	return nil
}

// play returns the first disagreement, if any, and how many commands were sent. What Redis answers is written to
// script, if that is not nil.
func (d *duel) play(protocol int, moves []move, script *transcript) (*disagreement, int) {
	d.reset()
	d.forked = false
	moves, of := separate(moves)
	sent := 0
	for i := 0; i < len(moves); {
		run := d.run(moves[i:])
		if a := d.actors[moves[i].client]; a != nil && (a.gone || a.waits != nil) {
			i++
			continue
		}
		sent += len(run)
		bad, err := d.turn(protocol, run, script)
		if err != nil {
			d.t.Fatalf("%s: %v", run[0], err)
		}
		if bad != nil {
			bad.at = of[bad.at+i]
			return bad, sent
		}
		if d.forked {
			break
		}
		i += len(run)
	}
	return nil, sent
}

// runBytesMax keeps a run within what a server takes in one go.
const runBytesMax = 10_000

// run is how many moves can be sent in one write.
func (d *duel) run(moves []move) []move {
	n, bytes := 0, 0
	for ; n < len(moves); n++ {
		m := moves[n]
		for _, arg := range m.args {
			bytes += len(arg)
		}
		if n > 0 && (m.client != moves[0].client || alone(m) || alone(moves[n-1]) || bytes > runBytesMax) {
			break
		}
	}
	return moves[:n]
}

// alone reports whether a move cannot be part of a run.
func alone(m move) bool {
	name := strings.ToUpper(m.args[0])
	return m.kind != moveCall || blocking[name] || subscriptions[name] || onItsOwn[name]
}

func (d *duel) turn(protocol int, run []move, script *transcript) (*disagreement, error) {
	a, err := d.actor(protocol, run[0].client)
	if err != nil {
		return nil, err
	}
	if run[0].kind == moveClose {
		script.add(run[0].client + " close")
		return nil, d.close(a)
	}
	if run[0].kind == moveReload {
		script.add("# cairn: DEBUG RELOAD")
		return nil, d.cairn.control.ok("DEBUG", "RELOAD")
	}
	if run[0].kind == moveExpire {
		return d.expire(a, run[0], script)
	}
	for _, m := range run {
		a.listens = a.listens || subscriptions[strings.ToUpper(m.args[0])] || is(m.args, 0, "CLIENT") && is(m.args, 1, "TRACKING")
	}
	var frames [2][]frame
	for _, s := range d.sides() {
		if err := s.send(run); err != nil {
			return nil, err
		}
	}
	for i, s := range d.sides() {
		if frames[i], err = s.answers(a, run); err != nil {
			return s.lost(a.name, run[min(len(replies(frames[i])), len(run)-1)].args, err), nil
		}
	}
	if !d.anybody() {
		bad := d.compareRun(a, run, frames)
		script.addRun(a, run, frames[0])
		return bad, nil
	}
	return d.settle(a, run, frames, script)
}

// anybody reports whether there is somebody who may have been sent something besides the replies.
func (d *duel) anybody() bool {
	for _, a := range d.actors {
		if !a.gone && (a.waits != nil || a.listens) {
			return true
		}
	}
	return false
}

const grace = 300 * time.Millisecond // for what one server has sent and the other has not

// settle waits until the servers have sent out all they owe, and compares it.
func (d *duel) settle(a *actor, run []move, frames [2][]frame, script *transcript) (*disagreement, error) {
	others := map[string]*[2][]frame{}
	for deadline := time.Now().Add(grace); ; {
		for i, s := range d.sides() {
			if err := s.control.settle(); err != nil {
				return s.lost(a.name, run[0].args, err), nil
			}
			for name, other := range d.actors {
				if other.gone || (other.waits == nil && !other.listens && name != a.name) {
					continue
				}
				more, err := s.pushed(name)
				if err != nil {
					return s.lost(name, run[0].args, err), nil
				}
				if name == a.name {
					frames[i] = append(frames[i], more...)
					continue
				}
				if others[name] == nil {
					others[name] = new([2][]frame)
				}
				others[name][i] = append(others[name][i], more...)
			}
		}
		same := len(frames[0]) == len(frames[1])
		for _, f := range others {
			same = same && len(f[0]) == len(f[1])
		}
		if same || time.Now().After(deadline) {
			break
		}
	}
	for name, f := range others {
		if d.tally.forked(d.actors[name].waits, run, replies(f[0]), replies(f[1])) {
			d.forked = true
			return nil, nil
		}
	}
	bad := d.compareRun(a, run, frames)
	script.addRun(a, run, frames[0])
	if d.forked {
		return bad, nil
	}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		script.addRead(name, others[name][0])
		if worse := d.compareOther(d.actors[name], *others[name]); worse != nil && bad == nil {
			bad = worse
			bad.at = len(run) - 1
		}
	}
	return bad, nil
}

// compareRun compares what the client that has sent the run was sent.
func (d *duel) compareRun(a *actor, run []move, frames [2][]frame) *disagreement {
	redis, cairn := replies(frames[0]), replies(frames[1])
	parted := d.tally[parting]
	for i, m := range run {
		if i >= len(redis) && i >= len(cairn) {
			break
		}
		if i >= len(redis) || i >= len(cairn) {
			return &disagreement{at: i, client: a.name, args: m.args, redis: show(redis, i), cairn: show(cairn, i)}
		}
		if !d.tally.agree(a.calls(m.args), redis[i], cairn[i]) {
			r, c := firstDifference("", redis[i], cairn[i])
			return &disagreement{at: i, client: a.name, args: m.args, redis: r, cairn: c}
		}
		if d.tally[parting] > parted {
			d.forked = true
			return nil
		}
		a.answered(m.args, redis[i])
	}
	if blocking[strings.ToUpper(run[0].args[0])] && len(redis) == 0 && !subscriptions[strings.ToUpper(run[0].args[0])] {
		a.waits = run[0].args
	}
	order := func(frames []frame) []frame { return frames }
	if a.listens { // 7.0 sends what a client causes itself to be sent before the reply, 7.2 behind it
		order = pushes
	}
	if name := strings.ToUpper(run[0].args[0]); subscriptions[name] && strings.Contains(name, "UNSUB") && len(run[0].args) == 1 {
		order = sortedNames
	}
	if bad := comparePushes(a, order(frames[0]), order(frames[1])); bad != nil {
		bad.at = len(run) - 1
		return bad
	}
	return nil
}

// sortMatches puts what a client is sent because of several patterns into the order of the patterns: servers have
// their own.
func sortMatches(frames []frame) []frame {
	frames = slices.Clone(frames)
	same := func(a, b frame) bool {
		return isPush(a) && isPush(b) && len(a.items) == 4 && len(b.items) == 4 && a.items[2].equal(b.items[2]) && a.items[3].equal(b.items[3])
	}
	for from := 0; from < len(frames); {
		to := from + 1
		for to < len(frames) && same(frames[from], frames[to]) {
			to++
		}
		slices.SortFunc(frames[from:to], func(a, b frame) int { return strings.Compare(a.items[1].text, b.items[1].text) })
		from = to
	}
	return frames
}

// sortedNames puts what somebody is told who leaves all channels into the order of their names: servers have their own.
func sortedNames(frames []frame) []frame {
	frames = slices.Clone(frames)
	var names []frame
	for i, f := range frames {
		if isPush(f) {
			names = append(names, f.items[1])
			frames[i].items = slices.Clone(f.items)
		}
	}
	slices.SortFunc(names, func(a, b frame) int { return strings.Compare(a.text, b.text) })
	for _, f := range frames {
		if isPush(f) {
			f.items[1], names = names[0], names[1:]
		}
	}
	return frames
}

// comparePushes compares what was sent without being asked for; replies only by where they stand.
func comparePushes(a *actor, redis, cairn []frame) *disagreement {
	redis, cairn = sortMatches(redis), sortMatches(cairn)
	for i := range max(len(redis), len(cairn)) {
		if i < len(redis) && i < len(cairn) && (isPush(redis[i]) == isPush(cairn[i])) {
			if !isPush(redis[i]) || redis[i].String() == cairn[i].String() {
				continue
			}
		}
		return &disagreement{client: a.name, redis: show(redis, i), cairn: show(cairn, i)}
	}
	return nil
}

// compareOther compares what a client was sent that had sent nothing itself.
func (d *duel) compareOther(a *actor, frames [2][]frame) *disagreement {
	redis, cairn := replies(frames[0]), replies(frames[1])
	for i := range max(len(redis), len(cairn)) {
		if i < len(redis) && i < len(cairn) && a.waits != nil && d.tally.agree([][]string{a.waits}, redis[i], cairn[i]) {
			a.waits = nil
			continue
		}
		return &disagreement{client: a.name, args: a.waits, redis: show(redis, i), cairn: show(cairn, i)}
	}
	return comparePushes(a, pushes(frames[0]), pushes(frames[1]))
}

// calls are the commands that a reply is about: of EXEC those that were queued.
func (a *actor) calls(args []string) [][]string {
	if strings.EqualFold(args[0], "EXEC") && len(args) == 1 {
		return append([][]string{args}, a.queue...)
	}
	return [][]string{args}
}

// answered keeps track of what a transaction holds.
func (a *actor) answered(args []string, f frame) {
	name := strings.ToUpper(args[0])
	switch {
	case f.kind == '+' && f.text == "QUEUED":
		a.queue = append(a.queue, args)
	case name == "MULTI" && f.kind == '+', name == "EXEC", name == "DISCARD", name == "RESET":
		a.queue = nil
	}
}

func (d *duel) actor(protocol int, name string) (*actor, error) {
	if a := d.actors[name]; a != nil {
		return a, nil
	}
	for _, s := range d.sides() {
		c, err := dial(s.server.addr)
		if err != nil {
			return nil, err
		}
		s.clients[name] = c
		if f, err := c.do("HELLO", fmt.Sprint(protocol)); err != nil || f.kind == '-' {
			return nil, fmt.Errorf("HELLO %d: %v %w", protocol, f, err)
		}
		f, err := c.do("CLIENT", "ID")
		if err != nil {
			return nil, err
		}
		s.ids["$"+name+".id"] = f.text
	}
	d.actors[name] = &actor{name: name}
	return d.actors[name], nil
}

func (d *duel) close(a *actor) error {
	a.gone = true
	for _, s := range d.sides() {
		addr := s.clients[a.name].addr()
		s.clients[a.name].close()
		err := eventually("the server still lists "+addr, func() (bool, error) {
			_, listed, err := s.control.field(addr, "id")
			return !listed, err
		})
		if err != nil {
			return err
		}
		delete(s.ids, "$"+a.name+".id")
	}
	return nil
}

// expire has a key run out on both servers before anything else happens.
func (d *duel) expire(a *actor, m move, script *transcript) (*disagreement, error) {
	script.add(m.client+"~any> "+quoteWords(m.args), "(any)")
	script.add("until :0 "+m.client+"> EXISTS "+quoteWords(m.args[1:2]), ":0")
	for _, s := range d.sides() {
		c := s.clients[a.name]
		if _, err := c.do(m.args...); err != nil {
			return nil, err
		}
		err := eventually("the key does not run out", func() (bool, error) {
			f, err := c.do("EXISTS", m.args[1])
			return f.text == "0", err
		})
		if err != nil {
			return s.lost(a.name, m.args, err), nil
		}
	}
	return d.settle(a, []move{m}, [2][]frame{}, script)
}

// lost is the disagreement that one side has given no answer, the other perhaps has.
func (s *side) lost(client string, args []string, err error) *disagreement {
	return &disagreement{client: client, args: args, redis: "(other side: " + err.Error() + ")", cairn: "(" + err.Error() + " from " + s.server.bin + ")"}
}

// ---- one side --------------------------------------------------------------

func (s *side) send(run []move) error {
	var raw []byte
	for _, m := range run {
		args := m.args
		if slices.ContainsFunc(args, func(arg string) bool { return s.ids[arg] != "" }) {
			args = slices.Clone(args)
			for i, arg := range args {
				if id := s.ids[arg]; id != "" {
					args[i] = id
				}
			}
		}
		raw = append(raw, encode(args)...)
	}
	return s.clients[run[0].client].send(raw)
}

const answerPatience = 5 * time.Second

// answers reads the replies to a run, and what comes between them. A client that waits, and one that subscribes, may
// be sent nothing or more.
func (s *side) answers(a *actor, run []move) (frames []frame, err error) {
	c := s.clients[a.name]
	name := strings.ToUpper(run[0].args[0])
	if subscriptions[name] {
		return nil, nil
	}
	if blocking[name] && !slices.Contains(run[0].args, "0.001") {
		answered, err := s.answersOrWaits(c)
		if err != nil || !answered {
			return nil, err
		}
	}
	for n := 0; n < len(run); {
		f, err := receiveWithin(c, answerPatience)
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
		if !isPush(f) {
			n++
		}
	}
	return frames, nil
}

func (s *side) answersOrWaits(c *client) (answered bool, err error) {
	err = eventually("neither an answer nor flags=b in CLIENT LIST", func() (bool, error) {
		if answered, err = c.pending(); answered || err != nil {
			return true, err
		}
		flags, listed, err := s.control.field(c.addr(), "flags")
		if err == nil && !listed {
			err = errors.New("CLIENT LIST does not have the client")
		}
		return strings.Contains(flags, "b"), err
	})
	return answered, err
}

// pushed reads what is there.
func (s *side) pushed(name string) (frames []frame, err error) {
	for c := s.clients[name]; ; {
		waiting, err := c.pending()
		if err != nil || !waiting {
			return frames, err
		}
		f, err := receiveWithin(c, answerPatience)
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
}

func receiveWithin(c *client, patience time.Duration) (frame, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return frame{}, err
	}
	f, err := readFrame(c.in)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return f, fmt.Errorf("no reply within %v", patience)
	}
	return f, err
}

// ---- frames ----------------------------------------------------------------

var pushWords = set("message", "pmessage", "smessage", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe")

// isPush reports whether a frame is no reply. RESP2 has no type for it; the replies of other commands never begin so.
func isPush(f frame) bool {
	return f.kind == '>' || (f.kind == '*' && len(f.items) > 2 && f.items[0].kind == '$' && pushWords[f.items[0].text])
}

func pushes(frames []frame) (some []frame) {
	for _, f := range frames {
		if isPush(f) {
			some = append(some, f)
		}
	}
	return some
}

func replies(frames []frame) (some []frame) {
	for _, f := range frames {
		if !isPush(f) {
			some = append(some, f)
		}
	}
	return some
}

// firstDifference is the innermost place at which two frames are not the same.
func firstDifference(path string, a, b frame) (string, string) {
	if len(a.items) == len(b.items) && a.kind == b.kind {
		for i := range a.items {
			if !a.items[i].equal(b.items[i]) && (i == 0 || !clockField[a.items[i-1].text]) {
				return firstDifference(fmt.Sprintf("%s[%d]", path, i), a.items[i], b.items[i])
			}
		}
	}
	return path + " " + a.brief(), path + " " + b.brief()
}

func show(frames []frame, i int) string {
	if i >= len(frames) {
		return "(nothing)"
	}
	return frames[i].brief()
}
