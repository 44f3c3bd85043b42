package broker

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// # The ledger
//
// Half of the simulations have queues, in a database that nobody else uses, whose
// policies take messages and consumers away, and in which no two messages are equal.
// The ledger knows of each message whether it was accepted, who has taken it or
// acknowledged it, and looks after each turn where it is. What holds in every state
// that can be reached:
//
//   - What was accepted is in its queue, or in the dead letters, or with who has taken
//     it, and in one of these only; what was refused is nowhere. Where messages go
//     without becoming dead letters, they go because they are too old, or the oldest of a
//     queue that drops those, or as all groups are done with them.
//   - Nobody is given a message that is as old as TTL; and it is gone soon after.
//   - No message dies before it is that old, and none is pushed out where the policy
//     does not say so.
//   - For each group an entry that is there is to be delivered, pending, acknowledged or
//     a dead letter, and one of these only. So no consumer takes with it what it has pending.
//   - With RETENTION UNACKED an entry is there as long as a group is not done with it,
//     and no longer.
//   - A consumer is there for CONSUMER-TTL after it has read, and while it waits; and is
//     gone soon after if it has nothing pending.
//   - What is delivered again has waited for the end of its lease, and for BACKOFF.
//   - Limits are kept.

const (
	ledgerDB = 2
	// graves and tombs are the dead letters of lists and of streams.
	graves, tombs = "graves", "tombs"
	// tendedSlack is how long after its time something goes at the latest, as a walk
	// over the keys begins a second after the last has come to its end, and each of its
	// few slices up to 300 ms later than it is due.
	tendedSlack = 2500 * time.Millisecond
)

type ledger struct {
	*simulation
	queues   []*policedQueue
	groups   []string
	redrives bool // dead letters go back to lists, now and then

	messages map[string]*message
	names    []string                // of messages, as they were sent
	found    map[string]string       // messages by stream and ID
	asked    map[string][]asked      // what clients have still to be answered
	read     map[[3]string]time.Time // when consumers did, by stream and group
	free     map[[3]string]time.Time // since when they have nothing pending
	looked   time.Time               // when, the last time
	last     snapshot                // and what was found
	redriven bool                    // since then
	claimed  map[string]bool         // streams and groups in which somebody has claimed or given back since
}

// policedQueue is a queue with its policy.
type policedQueue struct {
	key                    string
	isStream               bool
	ttl                    time.Duration // 0: none, as below
	lenMax, bytesMax       int64
	overflow               string
	buries, unacked        bool
	lease, consumerTTL     time.Duration
	backoffMin, backoffMax time.Duration
	deliveriesMax          int
}

// message is what the ledger knows of one.
type message struct {
	name  string
	queue *policedQueue // where it was sent
	fate  fate
	taken bool
	acked map[string]bool // by groups

	place     string    // where it was when the ledger last looked; empty: nowhere
	id        string    // of an entry
	from      time.Time // it came there after this
	since     time.Time // and before this
	untracked bool      // but it may have been away since
}

type fate int

const (
	sent fate = iota // nothing is known of it
	accepted
	refused
	dropped // not even a dead letter is left
)

// asked is a command that is to be answered.
type asked struct {
	at       time.Time
	words    []string
	queue    *policedQueue
	messages []string
}

func (s *simulation) newLedger() *ledger {
	l := &ledger{
		simulation: s, groups: []string{"g1", "g2"}[:1+s.rng.IntN(2)], redrives: s.rng.IntN(3) == 0,
		messages: make(map[string]*message), found: make(map[string]string),
		asked: make(map[string][]asked), read: make(map[[3]string]time.Time), free: make(map[[3]string]time.Time), looked: s.now,
	}
	for _, key := range []string{"jobs1", "jobs2", "feed1", "feed2"} {
		q := l.newQueue(key)
		l.queues = append(l.queues, q)
		s.rule(fmt.Sprintf("POLICY SET %s PATTERN %s %s", key, key, q.settings()))
		for _, g := range l.groups {
			if q.isStream {
				l.client("o").session.DB = ledgerDB
				s.do("o", "XGROUP", "CREATE", key, g, "0", "MKSTREAM")
			}
		}
	}
	return l
}

func (l *ledger) newQueue(key string) *policedQueue {
	ms := func(choices ...int) time.Duration {
		return time.Duration(choices[l.rng.IntN(len(choices))]) * time.Millisecond
	}
	q := &policedQueue{key: key, isStream: strings.HasPrefix(key, "feed"), buries: l.rng.IntN(2) == 0}
	q.ttl = ms(0, 1200, 1500, 2500)
	switch l.rng.IntN(3) {
	case 0:
		q.lenMax = 5
	case 1:
		q.bytesMax = 32
	}
	q.overflow = l.pick("REJECT", "BLOCK 300", "BLOCK 0", "DROPOLDEST", "DROPOLDEST")
	if q.isStream {
		q.unacked = l.rng.IntN(2) == 0
		q.lease, q.consumerTTL = ms(0, 400, 1000), ms(0, 0, 1200, 2500)
		if l.rng.IntN(2) == 0 {
			q.backoffMin, q.backoffMax = ms(50, 200), ms(300, 500)
		}
		if q.buries {
			q.deliveriesMax = l.rng.IntN(4)
		}
	}
	return q
}

func (q *policedQueue) settings() string {
	text := fmt.Sprintf("OVERFLOW %s TTL %d MAXLEN %d MAXBYTES %d", q.overflow, q.ttl.Milliseconds(), q.lenMax, q.bytesMax)
	if q.isStream {
		text += fmt.Sprintf(" LEASE %d CONSUMER-TTL %d", q.lease.Milliseconds(), q.consumerTTL.Milliseconds())
	}
	if q.backoffMax > 0 {
		text += fmt.Sprintf(" BACKOFF %d %d", q.backoffMin.Milliseconds(), q.backoffMax.Milliseconds())
	}
	if q.unacked {
		text += " RETENTION UNACKED"
	}
	if q.buries {
		text += " DEADLETTER " + q.graveyard()
	}
	if q.deliveriesMax > 0 {
		text += fmt.Sprintf(" MAXDELIVERIES %d", q.deliveriesMax)
	}
	return text
}

func (q *policedQueue) graveyard() string {
	if q.isStream {
		return tombs
	}
	return graves
}

func (q *policedQueue) dropsOldest() bool {
	return q.overflow == "DROPOLDEST" && (q.lenMax > 0 || q.bytesMax > 0)
}

// ---- what clients do ---------------------------------------------------------

// requests are the next commands of the clients that wait for nothing.
func (l *ledger) requests() (requests []request) {
	for _, name := range []string{"p", "q", "r", "s", "t"} {
		if l.clients[name] == nil {
			delete(l.asked, name)
		}
		if len(l.asked[name]) > 0 || l.rng.IntN(2) == 0 {
			continue
		}
		l.client(name).session.DB = ledgerDB
		a := l.command()
		a.at = l.now
		l.asked[name] = append(l.asked[name], a)
		l.note(name, a)
		requests = append(requests, request{name, args(a.words...)})
	}
	if l.redrives && l.rng.IntN(12) == 0 {
		l.client("o").session.DB = ledgerDB
		a := asked{words: []string{"XREDRIVE", graves, "COUNT", "3"}}
		l.note("o", a)
		l.redriven = true
		requests = append(requests, request{"o", args(a.words...)})
	}
	return requests
}

func (l *ledger) note(client string, a asked) {
	l.log = append(l.log, fmt.Sprintf("%s %s> %s", l.now.Format("05.000"), client, strings.Join(a.words, " ")))
}

func (l *ledger) newMessage(q *policedQueue) string {
	name := fmt.Sprint("m", len(l.names)+1)
	l.names = append(l.names, name)
	l.messages[name] = &message{name: name, queue: q, acked: make(map[string]bool)}
	return name
}

func (l *ledger) command() asked {
	q := l.queues[l.rng.IntN(len(l.queues))]
	w := func(format string, args ...any) asked {
		return asked{words: strings.Fields(fmt.Sprintf(format, args...)), queue: q}
	}
	if q.isStream {
		return l.streamCommand(q, w)
	}
	switch l.rng.IntN(12) {
	case 0, 1, 2, 3, 4:
		a := w("RPUSH %s", q.key)
		for range 1 + l.rng.IntN(3) {
			a.messages = append(a.messages, l.newMessage(q))
		}
		a.words = append(a.words, a.messages...)
		return a
	case 5:
		return w("%s %s", l.pick("LPOP", "RPOP"), q.key)
	case 6:
		return w("%s %s %d", l.pick("LPOP", "RPOP"), q.key, 1+l.rng.IntN(8))
	case 7:
		return w("%s 1 %s %s COUNT %d", l.pick("LMPOP", "BLMPOP 0.2"), q.key, l.end(), 1+l.rng.IntN(8))
	case 8:
		return w("%s %s 0.%d", l.pick("BLPOP", "BRPOP"), q.key, 1+l.rng.IntN(9))
	case 9:
		a := w("LMOVEM jobs1 jobs2 LEFT RIGHT COUNT %d %s", 1+l.rng.IntN(3), l.pick("OBO", "BULK"))
		a.queue = l.queues[0]
		return a
	default:
		a := w("%s", l.pick("LMOVE jobs1 jobs2 LEFT RIGHT", "BLMOVE jobs1 jobs2 LEFT RIGHT 0.2"))
		a.queue = l.queues[0]
		return a
	}
}

func (l *ledger) streamCommand(q *policedQueue, w func(string, ...any) asked) asked {
	group, consumer := l.groups[l.rng.IntN(len(l.groups))], l.consumer()
	id := "1-1"
	if pending := slices.Sorted(maps.Keys(l.last.groups[q.key+" "+group].pending)); len(pending) > 0 {
		id = pending[l.rng.IntN(len(pending))]
	}
	switch l.rng.IntN(20) {
	case 0, 1, 2, 3, 4:
		m := l.newMessage(q)
		a := w("XADD %s * n %s", q.key, m)
		a.messages = []string{m}
		return a
	case 5, 6, 7, 8, 9:
		return w("XREADGROUP GROUP %s %s COUNT %d %s STREAMS %s >", group, consumer, 1+l.rng.IntN(4), l.pick("", "", "BLOCK 300", "BLOCK 3000"), q.key)
	case 10:
		return w("XREADGROUP GROUP %s %s COUNT 3 CLAIM %s STREAMS %s >", group, consumer, l.number(400), q.key)
	case 11:
		return w("XREADGROUP GROUP %s %s STREAMS %s 0", group, consumer, q.key)
	case 12:
		return w("XCLAIM %s %s %s %s %s", q.key, group, consumer, l.number(400), id)
	case 13:
		return w("XAUTOCLAIM %s %s %s %s 0 COUNT 3", q.key, group, consumer, l.number(400))
	case 14:
		return w("XNACK %s %s %s IDS 1 %s", q.key, group, l.pick("FAIL", "FATAL", "SILENT"), id)
	default:
		return w("XACK %s %s %s", q.key, group, id)
	}
}

// ---- what is found -----------------------------------------------------------

// snapshot is what is in the queues.
type snapshot struct {
	places  map[string][]place       // of each message
	letters map[string][]letter      // of each message
	groups  map[string]groupSnapshot // by stream and group
	first   map[string]streams.ID    // of streams that are not empty
	bytes   map[string][2]int64      // messages and bytes in each queue
}

type place struct {
	key string
	id  string // in a stream
}

type letter struct{ source, group, reason string }

type groupSnapshot struct {
	last      streams.ID
	pending   map[string]pendingSnapshot // by ID
	consumers map[string]streams.Consumer
}

type pendingSnapshot struct {
	consumer   string
	time       int64
	deliveries uint64
}

// find looks at what is in the queues, in a turn of its own.
func (l *ledger) find() snapshot {
	l.broker.Begin(l.now)
	f := l.take(l.broker.tx.In(ledgerDB))
	if err := l.broker.End(); err != nil {
		l.fail("%v", err)
	}
	return f
}

func (l *ledger) take(tx *storage.Tx) snapshot {
	f := snapshot{
		places: make(map[string][]place), letters: make(map[string][]letter), groups: make(map[string]groupSnapshot),
		first: make(map[string]streams.ID), bytes: make(map[string][2]int64),
	}
	for _, q := range l.queues {
		if q.isStream {
			l.takeStream(&f, tx, q.key)
		} else if list, ok, err := lists.Open(tx, []byte(q.key)); err != nil {
			l.fail("%v", err)
		} else if ok {
			list.Range(0, list.Len(), func(_ int64, e []byte) bool {
				f.places[string(e)] = append(f.places[string(e)], place{key: q.key})
				return true
			})
			f.bytes[q.key] = [2]int64{list.Len(), list.Bytes()}
		}
	}
	for _, key := range []string{graves, tombs} {
		s, err := streams.Open(tx, []byte(key))
		if err != nil {
			l.fail("%v", err)
		}
		if s == nil {
			continue
		}
		s.Range(streams.ID{}, streams.MaxID, false, func(e *streams.Entry) bool {
			var words []string
			e.Each(func(p []byte) { words = append(words, string(p)) })
			fields := make(map[string]string)
			for i := 2; i+1 < len(words); i += 2 {
				fields[words[i]] = words[i+1]
			}
			f.letters[words[1]] = append(f.letters[words[1]], letter{fields["dead-source"], fields["dead-group"], fields["dead-reason"]})
			return true
		})
	}
	return f
}

func (l *ledger) takeStream(f *snapshot, tx *storage.Tx, key string) {
	s, err := streams.Open(tx, []byte(key))
	if err != nil || s == nil {
		l.fail("there is no stream %s any more: %v", key, err)
	}
	f.bytes[key] = [2]int64{int64(s.Len()), int64(s.Bytes())}
	s.Range(streams.ID{}, streams.MaxID, false, func(e *streams.Entry) bool {
		name := ""
		e.Each(func(p []byte) { name = string(p) })
		if _, has := f.first[key]; !has {
			f.first[key] = e.ID
		}
		f.places[name] = append(f.places[name], place{key, e.ID.String()})
		l.found[key+" "+e.ID.String()] = name
		return true
	})
	for _, g := range s.Groups() {
		b := groupSnapshot{last: g.LastDelivered(), pending: make(map[string]pendingSnapshot), consumers: make(map[string]streams.Consumer)}
		g.EachPending(streams.ID{}, streams.MaxID, nil, 0, func(p *streams.Pending, owned *streams.Consumer) bool {
			at := pendingSnapshot{time: p.Time, deliveries: p.Deliveries}
			if owned != nil {
				at.consumer = owned.Name
			}
			b.pending[p.ID.String()] = at
			return true
		})
		for _, c := range g.Consumers() {
			b.consumers[c.Name] = *c
		}
		f.groups[key+" "+g.Name()] = b
	}
}

// restarted forgets who waits for an answer. What they have sent was accepted or not.
func (l *ledger) restarted() {
	clear(l.asked)
	clear(l.read)
}

// look reads what clients were sent, and holds the queues against the rules.
// What is between began and now is one step of the simulation.
func (l *ledger) look(began time.Time) {
	f := l.find()
	if l.redriven { // what had died may have come back at once
		for _, m := range l.messages {
			m.untracked = m.untracked || !m.queue.isStream
		}
	}
	l.claimed = make(map[string]bool)
	l.hear(began)
	for _, name := range l.names {
		m := l.messages[name]
		if m.queue.isStream {
			l.lookAtEntry(m, f)
		} else {
			l.lookAtElement(m, f)
		}
		l.place(m, f)
	}
	l.lookAtConsumers(f)
	for _, q := range l.queues {
		if n := f.bytes[q.key]; (q.lenMax > 0 && n[0] > q.lenMax) || (q.bytesMax > 0 && n[1] > q.bytesMax) {
			l.fail("%s holds %d messages of %d bytes", q.key, n[0], n[1])
		}
	}
	l.last, l.looked, l.redriven = f, l.now, false
}

// place notes where a message is.
func (l *ledger) place(m *message, f snapshot) {
	at := place{}
	switch {
	case len(f.places[m.name]) > 0:
		at = f.places[m.name][0]
	case len(f.letters[m.name]) > 0:
		at.key = m.queue.graveyard()
	}
	if at.key != m.place {
		m.place, m.from, m.since, m.untracked = at.key, l.looked, l.now, false
	}
	if m.untracked {
		m.since, m.untracked = l.now, false // from stays: it came then at the earliest
	}
	if at.id != "" {
		m.id = at.id
	}
}

// rewind takes what is found as what is, after a loss of power has taken back what
// was acknowledged.
func (l *ledger) rewind() {
	f := l.find()
	l.last = f
	for _, m := range l.messages {
		l.place(m, f)
		m.taken, m.acked, m.untracked, m.from = false, make(map[string]bool), true, time.Time{}
		switch m.fate = accepted; {
		case len(f.places[m.name]) == 0 && (len(f.letters[m.name]) == 0 || (m.queue.isStream && l.whole(m, f) == 0)):
			m.fate = dropped
		case m.queue.isStream && len(f.places[m.name]) > 0:
			id := f.places[m.name][0].id
			for _, g := range l.groups {
				_, pending := f.groups[m.queue.key+" "+g].pending[id]
				m.acked[g] = l.delivered(f, m.queue.key, g, id) && !pending && l.died(m, f, g) == 0
			}
		}
	}
}

// ---- answers -----------------------------------------------------------------

type answer struct {
	asked
	client, text string
}

func (l *ledger) answers() (list []answer) {
	for _, c := range l.sorted() {
		if len(l.asked[c.name]) == 0 {
			continue
		}
		for text := range strings.SplitSeq(l.simulation.sent(c.name), "\n") {
			if text == "" {
				continue
			}
			a := answer{l.asked[c.name][0], c.name, text}
			l.asked[c.name] = l.asked[c.name][1:]
			l.log = append(l.log, fmt.Sprintf("  %s: %s", c.name, text))
			list = append(list, a)
		}
	}
	return list
}

// hear reads what clients were sent since began.
func (l *ledger) hear(began time.Time) {
	answers := l.answers()
	for _, a := range answers {
		l.learn(a)
	}
	for _, a := range answers {
		l.given(a, began)
	}
}

// learn notes what has become of what was sent, and acknowledged.
func (l *ledger) learn(a answer) {
	for _, name := range a.messages {
		l.messages[name].fate = accepted
		if a.text[0] == '-' {
			l.messages[name].fate = refused
		}
	}
	switch key := a.queue.key; a.words[0] {
	case "XACK":
		if m := l.messages[l.found[key+" "+a.words[3]]]; m != nil && a.text == ":1" {
			m.acked[a.words[2]] = true
		}
	case "XREADGROUP":
		if a.text[0] == '-' {
			l.fail("%s was answered %s", strings.Join(a.words, " "), a.text)
		}
		l.read[[3]string{key, a.words[2], a.words[3]}] = a.at
		if slices.Contains(a.words, "CLAIM") {
			l.claimed[key+" "+a.words[2]] = true
		}
	case "XCLAIM", "XAUTOCLAIM", "XNACK":
		l.claimed[key+" "+a.words[2]] = true
	}
}

var messageName = regexp.MustCompile(`"(m[0-9]+)"`)

// given looks at what a client was given.
func (l *ledger) given(a answer, began time.Time) {
	q, given := a.queue, messageName.FindAllStringSubmatch(a.text, -1)
	// What has come back stands before older ones, which a call that takes several meets.
	mayBeOld := l.redrives && !q.isStream && len(given) > 1
	for _, match := range given {
		m := l.messages[match[1]]
		if age := began.Sub(m.since); q.ttl > 0 && m.place == q.key && !m.untracked && !mayBeOld && age >= q.ttl {
			l.fail("%s was given %s, %v after it came to %s", a.client, m.name, age, q.key)
		}
		if a.words[0] == "XREADGROUP" {
			l.deliveredAgain(a, m)
		}
		if q.isStream || strings.Contains(a.words[0], "MOVE") {
			continue
		}
		if m.taken {
			l.fail("%s was given %s, which somebody has taken", a.client, m.name)
		}
		m.taken = true
	}
}

// deliveredAgain looks whether what a read for new entries got had waited enough.
func (l *ledger) deliveredAgain(a answer, m *message) {
	q, group := a.queue, a.words[2]
	was, pending := l.last.groups[q.key+" "+group].pending[m.id]
	if !pending || slices.Contains(a.words, "CLAIM") || a.words[len(a.words)-1] != ">" {
		return
	}
	if q.lease == 0 {
		l.fail("%s was delivered once more to %s, without a lease", m.name, a.client)
	}
	if was.consumer == "" {
		return // it was given back
	}
	wait := q.lease
	if q.backoffMax > 0 && (q.deliveriesMax == 0 || was.deliveries < uint64(q.deliveriesMax)) && was.deliveries > 0 {
		wait += min(q.backoffMin<<min(was.deliveries-1, 20), q.backoffMax)
	}
	if got := l.now.Sub(time.UnixMilli(was.time)); got < wait && !l.claimed[q.key+" "+group] {
		l.fail("%s was delivered to %s again after %v, and should have waited %v", m.name, a.client, got, wait)
	}
}

// ---- the rules ---------------------------------------------------------------

func (l *ledger) lookAtElement(m *message, f snapshot) {
	n := len(f.places[m.name]) + len(f.letters[m.name])
	if m.taken {
		n++
	}
	for _, t := range f.letters[m.name] {
		l.lookAtDeath(m, t)
	}
	l.count(m, n, "")
	if len(f.places[m.name]) > 0 && !l.redrives {
		l.lookAtAge(m, f.places[m.name][0].key)
	}
}

// count holds how often a message was found against what is known of it.
func (l *ledger) count(m *message, n int, free string) {
	switch {
	case m.fate == sent && n > 0:
		m.fate = accepted
	case m.fate == accepted && n == 0 && free == "":
		if why := l.mayDrop(m); why != "" {
			l.fail("%s is neither in %s nor among its dead letters, nor taken: %s", m.name, m.place, why)
		}
		m.fate = dropped
	case (m.fate == refused || m.fate == dropped) && n > 0:
		l.fail("%s, which was refused or dropped, is there %d times", m.name, n)
	}
	if n > 1 {
		l.fail("%s is there %d times", m.name, n)
	}
}

// mayDrop returns why a message may not be gone without a trace; empty: it may.
func (l *ledger) mayDrop(m *message) string {
	for _, q := range l.queues {
		here := q.key == m.place || (m.place == "" && q == m.queue)
		// What is moved may be pushed out in the same step.
		moved := q.key == "jobs2" && !m.queue.isStream && (m.place != graves || l.redriven)
		if (here || moved) && !q.buries && q.dropsOldest() {
			return ""
		}
		if here && !q.buries && q.ttl > 0 && m.place != "" && l.now.Sub(m.from) >= q.ttl {
			return ""
		}
	}
	return fmt.Sprintf("it had been there since %s", m.since.Format("05.000"))
}

// lookAtDeath looks whether a message had to become a dead letter.
func (l *ledger) lookAtDeath(m *message, t letter) {
	q := l.queues[slices.IndexFunc(l.queues, func(q *policedQueue) bool { return q.key == t.source })]
	switch {
	case !q.buries:
		l.fail("%s died in %s, which has no dead letters", m.name, t.source)
	case t.reason == "overflow" && !q.dropsOldest():
		l.fail("%s was pushed out of %s", m.name, t.source)
	case t.reason == "expired" && (q.ttl == 0 || (m.place == q.key && l.now.Sub(m.from) < q.ttl)):
		l.fail("%s died in %s, %v after it came there", m.name, q.key, l.now.Sub(m.from))
	}
}

// lookAtAge looks whether what is too old has gone.
func (l *ledger) lookAtAge(m *message, key string) {
	if m.place != key || m.untracked {
		return
	}
	q := l.queues[slices.IndexFunc(l.queues, func(q *policedQueue) bool { return q.key == key })]
	if age := l.now.Sub(m.since); q.ttl > 0 && age >= q.ttl+tendedSlack {
		l.fail("%s is in %s still, after %v", m.name, key, age)
	}
}

// whole is how many dead letters there are of an entry as such, died how many for a group.
func (l *ledger) whole(m *message, f snapshot) int { return l.died(m, f, "") }

func (l *ledger) died(m *message, f snapshot, group string) (n int) {
	for _, t := range f.letters[m.name] {
		if t.group == group {
			n++
		}
	}
	return n
}

func (l *ledger) delivered(f snapshot, key, group, id string) bool {
	parsed, _ := streams.ParseID([]byte(id), 0)
	return !f.groups[key+" "+group].last.Less(parsed)
}

func (l *ledger) lookAtEntry(m *message, f snapshot) {
	in, done := len(f.places[m.name]), 0
	for _, g := range l.groups {
		if n := l.died(m, f, g); n > 1 {
			l.fail("%s died %d times for %s", m.name, n, g)
		}
		if m.acked[g] || l.died(m, f, g) > 0 {
			done++
		}
	}
	for _, t := range f.letters[m.name] {
		l.lookAtDeath(m, t)
	}
	released := m.queue.unacked && done == len(l.groups)
	free := ""
	if released && m.fate != refused {
		if free = "all groups are done with it"; in > 0 {
			l.fail("%s is in %s still, though all groups are done with it", m.name, m.place)
		}
	}
	was := m.fate
	l.count(m, in+l.whole(m, f), free)
	if was != dropped && m.fate == dropped && m.id != "" {
		// What goes without a trace is what is oldest.
		id, _ := streams.ParseID([]byte(m.id), 0)
		if first, some := f.first[m.queue.key]; some && first.Less(id) {
			l.fail("%s has gone from %s, where %s is still", m.name, m.queue.key, first)
		}
	}
	if in == 0 {
		for _, g := range l.groups {
			if _, pending := f.groups[m.queue.key+" "+g].pending[m.id]; pending && m.id != "" && !m.queue.dropsOldest() {
				l.fail("%s is gone, but pending in %s", m.name, g)
			}
		}
		return
	}
	l.lookAtAge(m, m.queue.key)
	id := f.places[m.name][0].id
	for _, g := range l.groups {
		l.lookAtGroup(m, f, g, id)
	}
}

// lookAtGroup looks what an entry that is there is to a group.
func (l *ledger) lookAtGroup(m *message, f snapshot, group, id string) {
	var is []string
	if !l.delivered(f, m.queue.key, group, id) {
		is = append(is, "to be delivered")
	}
	if p, pending := f.groups[m.queue.key+" "+group].pending[id]; pending {
		is = append(is, "pending for "+p.consumer)
	}
	if m.acked[group] {
		is = append(is, "acknowledged")
	}
	if l.died(m, f, group) > 0 {
		is = append(is, "dead")
	}
	if len(is) != 1 {
		l.fail("%s in %s is to %s: %q", m.name, m.queue.key, group, is)
	}
}

func (l *ledger) lookAtConsumers(f snapshot) {
	waits := make(map[[3]string]bool)
	for client, list := range l.asked {
		if l.clients[client] == nil {
			continue
		}
		for _, a := range list {
			if a.words[0] == "XREADGROUP" {
				waits[[3]string{a.queue.key, a.words[2], a.words[3]}] = true
				if _, there := f.groups[a.queue.key+" "+a.words[2]].consumers[a.words[3]]; !there {
					l.fail("%s waits as %s of %s in %s, who is gone", client, a.words[3], a.words[2], a.queue.key)
				}
			}
		}
	}
	for at, when := range l.read {
		q := l.queues[slices.IndexFunc(l.queues, func(q *policedQueue) bool { return q.key == at[0] })]
		_, there := f.groups[at[0]+" "+at[1]].consumers[at[2]]
		if age := l.now.Sub(when); !there && (q.consumerTTL == 0 || age < q.consumerTTL) {
			l.fail("%s of %s in %s has gone %v after it read", at[2], at[1], at[0], age)
		}
	}
	free := l.free
	l.free = make(map[[3]string]time.Time)
	for _, q := range l.queues {
		for _, g := range l.groups {
			for name, c := range f.groups[q.key+" "+g].consumers {
				at := [3]string{q.key, g, name}
				if q.consumerTTL == 0 || c.Pending > 0 || waits[at] {
					continue
				}
				l.free[at] = l.now
				if since, was := free[at]; was {
					l.free[at] = since
				}
				idle := l.now.Sub(time.UnixMilli(max(c.Seen, c.Active)))
				if idle > q.consumerTTL+tendedSlack && l.now.Sub(l.free[at]) > q.consumerTTL/10+tendedSlack {
					l.fail("%s of %s in %s is there still, idle for %v", name, g, q.key, idle)
				}
			}
		}
	}
}
