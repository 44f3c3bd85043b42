package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/cairnmq/cairn/broker"
	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

// # The loop
//
//	wait      until a socket is ready, a deadline comes, or the inbox has something
//	take      new connections, ends of connections, room to write, the inbox
//	turn      read what is there and give it to the broker, command by command
//	          (broker.Begin, Do …, End: when End returns, the turn is on disk)
//	send      one write for each connection that has replies; of large ones a part
//	          at a time (pace.go)
//
// Nothing is sent between Begin and End, and no connection is dropped: what a
// command answers leaves only when it is durable, and the end of a client comes
// before a turn or after it. Ends are taken before the turn so that a message
// is not handed to a client of which the kernel has already told that it is
// gone.
//
// A turn is bounded: in commands, bytes and time, and in commands for each
// connection before the next has its go. What is left waits for the next turn:
// connections with more than their share, be it many commands or a long one, in
// the backlog, of which one is served at the head of each turn, and the others
// when all have been who want little. So who sends a command now and then is not
// held up by hundreds that send as much as they can, and these do not starve.
// Bounding by time looks like nondeterminism, but it only decides where one turn
// ends and the next begins, which clients decide as well by when they send.

const (
	turnRequestsMax = 4096
	turnBytesMax    = 4 << 20
	turnWrittenMax  = 64 << 20 // bytes of the batch
	turnTimeMax     = 5 * time.Millisecond
	shareMax        = 256 // commands of one connection before the next has its go,
	firstShareMax   = 32  // if it does not come from the backlog
	timeCheckEach   = 64  // commands between two looks at the clock

	sharedBufferBytes = 64 << 10
	segmentsMax       = 1024 // IOV_MAX: segments that one write takes
	argumentsKept     = 1024 // size of the argument list kept for the next command
)

// loop owns the broker and all connections. Everything in it belongs to the
// goroutine that runs it, except the inbox.
type loop struct {
	broker *broker.Broker
	config *config.Config
	log    *Log
	poller poller
	inbox  inbox
	reads  readSlots

	line       line
	complaints complaints
	// background is work that has to end before the store is closed.
	background sync.WaitGroup

	listeners []net.Listener

	conns []*conn
	queue []*conn // to be run in this turn or the next, in order
	// backlog are those of them that have more to run than their share, behind the
	// others but for the first.
	backlog []*conn
	events  []event

	shared    []byte
	spare     spare
	arguments [][]byte
	segments  [][]byte

	turnRequests, turnBytes int // left in this turn
	turnBegan               time.Time
	turnOver                bool

	disk   disk
	tidyAt time.Time

	cursor        int       // place in conns where the upkeep goes on
	upkeepAt      time.Time // when it goes on
	acceptAgainAt time.Time // zero: connections are accepted, or never again
	ending        *ending   // set once the server is to end
	fatal         error
}

func newLoop(b *broker.Broker, c *config.Config, log *Log, p poller, listeners []net.Listener) *loop {
	l := &loop{
		broker: b, config: c, log: log, poller: p, listeners: listeners,
		shared: make([]byte, sharedBufferBytes),
		reads:  newReadSlots(),
	}
	l.inbox.wake = p.wake
	return l
}

// run turns until the server has ended, or something has happened after which
// nothing may be answered any more.
func (l *loop) run() (err error) {
	defer func() {
		if p := recover(); p != nil {
			fatal, ok := p.(storage.FatalError)
			if !ok {
				panic(p)
			}
			err = fatal
		}
	}()
	for {
		l.events, err = l.poller.wait(l.events[:0], l.patience(time.Now()))
		if err != nil {
			return fmt.Errorf("wait for connections: %w", err)
		}
		now := time.Now()
		l.take(now)
		if l.fatal == nil {
			l.fatal = l.turn(now)
		}
		if l.fatal != nil {
			return l.fatal
		}
		l.sendLine()
		l.evict()
		if !now.Before(l.upkeepAt) {
			l.upkeep(now)
		}
		l.tidy(now)
		if l.ending != nil && l.ended(now) {
			return nil
		}
	}
}

// patience is how long to wait if nothing happens; negative: for ever.
func (l *loop) patience(now time.Time) time.Duration {
	if l.waiting() || len(l.line.conns) > 0 {
		return 0
	}
	next, bounded := l.broker.Deadline()
	sooner := func(at time.Time) {
		if !bounded || at.Before(next) {
			next, bounded = at, true
		}
	}
	if len(l.conns) > 0 {
		sooner(l.upkeepAt)
	}
	if !l.acceptAgainAt.IsZero() {
		sooner(l.acceptAgainAt)
	}
	if l.broker.Server().Store.Unflushed() {
		sooner(l.tidyAt)
	}
	if l.ending != nil {
		sooner(l.ending.deadline)
	}
	if !bounded {
		return -1
	}
	return max(0, next.Sub(now))
}

// take does what has to be done between two turns.
func (l *loop) take(now time.Time) {
	for _, f := range l.inbox.take() {
		f()
	}
	if !l.acceptAgainAt.IsZero() && !now.Before(l.acceptAgainAt) {
		l.acceptAgain()
	}
	for _, e := range l.events {
		switch {
		case e.accepted != nil:
			l.accept(e.accepted, now)
		case e.refused != nil:
			l.acceptLater(e.refused, now)
		case !e.conn.closed:
			l.happened(e.conn, e.happened)
		}
	}
	clear(l.events)
}

func (l *loop) happened(c *conn, what interest) {
	if what&toWrite != 0 {
		c.full = false
		l.offer(c)
	}
	if c.closed || what&(toRead|toEnd) == 0 {
		return
	}
	switch {
	case c.ended || c.session.CloseAfterReply:
		if what&toEnd != 0 { // nobody is left to take the replies
			l.drop(c)
		}
	case c.slow():
		if what&toEnd != 0 {
			l.drop(c)
		}
	case c.session.Held():
		l.hold(c, what)
	default:
		l.enqueue(c)
	}
}

// hold reads ahead of a client that waits: to notice that it is gone, and to
// have its next commands at hand.
func (l *loop) hold(c *conn, what interest) {
	if what&toEnd != 0 {
		l.drop(c)
		return
	}
	c.runnable = true
	n, err := c.receiveOwn()
	l.arrived(c, n)
	switch {
	case err != nil, l.queryTooLong(c):
		l.drop(c)
	default:
		l.broker.Server().Weigh(c.session)
		l.watch(c)
	}
}

func (l *loop) arrived(c *conn, n int) {
	l.broker.Server().Counters.BytesIn += int64(n)
	c.session.Arrived += int64(n)
}

func (l *loop) enqueue(c *conn) {
	switch {
	case c.queued:
		return
	case c.busy:
		l.backlog = append(l.backlog, c)
	default:
		l.queue = append(l.queue, c)
	}
	c.queued = true
}

// waiting reports whether any connection waits to be run.
func (l *loop) waiting() bool { return len(l.queue)+len(l.backlog) > 0 }

// turn runs what has arrived. After an error nothing may be answered any more.
func (l *loop) turn(now time.Time) error {
	if !l.due(now) {
		return nil
	}
	l.lookAtDisk(now)
	l.broker.Begin(now)
	// Only now: what was due may have taken long, and clients must not wait until
	// nothing is due any more.
	l.turnRequests, l.turnBytes, l.turnBegan, l.turnOver = turnRequestsMax, turnBytesMax, time.Now(), false
	l.feedSome(&l.backlog, 1)
	l.feedSome(&l.queue, math.MaxInt)
	l.feedSome(&l.backlog, math.MaxInt)
	if l.ending != nil && !l.ending.drained {
		l.ending.drained = true
		l.broker.Drain()
	}
	if err := cmp.Or(l.broker.End(), l.fatal); err != nil {
		return err
	}
	l.settle()
	return nil
}

// feedSome feeds connections of a queue until the turn is over. Who has had its
// share goes to the end of the backlog.
func (l *loop) feedSome(queue *[]*conn, most int) {
	i := 0
	for ; i < min(len(*queue), most) && !l.turnOver; i++ {
		c := (*queue)[i]
		(*queue)[i] = nil
		if l.waitsBehind(c) {
			continue
		}
		c.queued = false
		if !c.closed {
			l.feed(c)
			l.turnOver = l.turnOver || time.Since(l.turnBegan) > turnTimeMax
		}
	}
	*queue = slices.Delete(*queue, 0, i)
}

// due reports whether there is anything to do in a turn.
func (l *loop) due(now time.Time) bool {
	if l.waiting() || (l.ending != nil && !l.ending.drained) {
		return true
	}
	at, ok := l.broker.Deadline()
	return ok && !at.After(now)
}

// takes reports whether the last command of a session was one that takes elements
// from a list.
func takes(s *broker.Session) bool {
	cmd := s.LastCmd
	return cmd != nil && cmd.Group == "list" && cmd.Flags&commands.Write != 0 && cmd.Flags&(commands.DenyOOM|commands.Blocking) != commands.DenyOOM
}

func (l *loop) offerTo(s *broker.Session) {
	if c := s.Peer.(*conn); !c.closed {
		l.offer(c)
	}
}

// settle acts on what the turn has left: replies, ends, long reads.
//
// Who takes messages from a list is answered first. Who is answered first comes back
// first: when these are the producers, they are a step ahead of the consumers all the
// time, and the queue between them grows as if there were too few consumers. A
// consumer of a group takes many entries at once when there are many, so there it is
// not needed, and turns with more in them cost less.
func (l *loop) settle() {
	for _, s := range l.broker.Touched() {
		if takes(s) {
			l.offerTo(s)
		}
	}
	for _, s := range l.broker.Touched() {
		if !takes(s) {
			l.offerTo(s)
		}
	}
	for _, part := range l.broker.Taken() {
		if r := part.Session.Peer.(*conn).read; r != nil {
			r.took(part.Bytes)
		}
	}
	for _, s := range l.broker.Resumed() {
		l.resume(s.Peer.(*conn))
	}
	for _, job := range l.broker.Jobs() {
		l.startRead(job)
	}
	if l.broker.Server().Backups.Wanted {
		l.startBackup(l.turnBegan)
	}
	if l.broker.Server().Shutdown != nil && l.ending == nil {
		l.end("SHUTDOWN")
	}
}

// resume goes on with a client that is no longer held.
func (l *loop) resume(c *conn) {
	if c.closed {
		return
	}
	if c.runnable {
		l.enqueue(c)
	}
	l.watch(c)
}

// feed reads from a connection and runs the commands that are complete, up to
// its share.
func (l *loop) feed(c *conn) {
	input, own := c.input, true
	if !c.runnable {
		var n int
		var err error
		if own = !c.fitsShared(l.shared); own {
			n, err = c.receiveOwn()
			input = c.input
		} else {
			input, n, err = c.receiveShared(l.shared)
		}
		l.arrived(c, n)
		if err != nil {
			l.peerEnded(c, err)
			return
		}
	}
	c.running = len(input)
	if c.talkative {
		c.session.Out.Lend(l.spare.take())
	}
	rest := l.runCommands(c, input)
	if c.talkative && c.session.Out.Len() == 0 { // it waits, maybe for long
		l.spare.put(c.session.Out.TakeBack(keptBytes))
	}
	c.running = 0
	l.turnBytes -= len(input) - len(rest)
	c.keep(rest, own)
	if own {
		clear(l.arguments[:cap(l.arguments)]) // they refer to a buffer that may be large
	}
	if cap(l.arguments) > argumentsKept {
		l.arguments = nil
	}
	if c.session.Blocked != nil && c.link.gone() {
		// It would be served in this turn, and dropped before the next.
		l.broker.Disconnect(c.session)
		c.session.Touch(c.session)
	}
	if (!c.runnable || c.session.Multi != nil) && l.queryTooLong(c) {
		c.session.Killed = true
		c.session.Touch(c.session)
	}
	l.broker.Server().Weigh(c.session)
	l.watch(c)
}

// runCommands runs the complete commands at the start of the input and returns
// what is left.
func (l *loop) runCommands(c *conn, input []byte) (rest []byte) {
	s := c.session
	c.runnable = true
	if speaksTLS(input) {
		l.log.Printf(Verbose, "Closing client %s: it speaks TLS, and this port does not", c.remote)
		s.Killed = true
		s.Touch(s)
		return nil
	}
	share := firstShareMax
	if c.busy {
		share = shareMax
	}
	for ran := 0; len(input) > 0; ran++ {
		switch {
		case s.CloseAfterReply || s.Killed:
			return nil
		case s.Held(), c.slow():
			return input
		case ran == share:
			c.busy = true
			l.enqueue(c)
			return input
		case l.turnIsOver():
			l.enqueue(c)
			return input
		}
		limits := l.framingLimits(s)
		c.unauthenticated = limits.unauthenticated
		f, err := c.framing.next(input, limits)
		if f.kind == incomplete && err == nil {
			c.runnable, c.need, c.busy = false, f.size, f.size > len(l.shared)
			return input
		}
		if err == nil {
			l.arguments, err = f.arguments(l.arguments, input)
		}
		if err != nil {
			l.broker.ProtocolError(s, err.Error())
			return nil
		}
		if len(l.arguments) > 0 {
			if f.kind == inlineFrame && crossProtocol(l.arguments) {
				l.complain("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to cairn from %s: a web page that talks to it through a browser? Connection aborted.", c.remote)
				s.Killed = true
				s.Touch(s)
				return nil
			}
			s.Offset = s.Arrived - int64(len(input))
			if !l.broker.Do(s, l.arguments) {
				return input
			}
			l.turnRequests--
		}
		input = input[f.size:]
	}
	c.runnable, c.need, c.busy = false, 0, false
	return nil
}

// crossProtocol recognizes the lines that tell an HTTP request.
func crossProtocol(arguments [][]byte) bool {
	word := string(arguments[0])
	return word == "POST" || word == "Host:"
}

func (l *loop) framingLimits(s *broker.Session) framingLimits {
	return framingLimits{
		bulkBytesMax: l.config.ProtoMaxBulkLen, argumentsMax: l.config.ProtoMaxMultibulkLen,
		unauthenticated: l.broker.Server().MustAuthenticate(s),
	}
}

func (l *loop) turnIsOver() bool {
	if l.turnRequests <= 0 || l.turnBytes <= 0 || l.broker.Written() > turnWrittenMax {
		l.turnOver = true
	} else if l.turnRequests%timeCheckEach == 0 && time.Since(l.turnBegan) > turnTimeMax {
		l.turnOver = true
	}
	return l.turnOver
}

// peerEnded notes in the middle of a turn that a client has sent all that it is
// going to send. Redis closes at once; here it first gets what it is owed.
func (l *loop) peerEnded(c *conn, err error) {
	var failed handshakeError
	if errors.As(err, &failed) {
		l.log.Printf(Verbose, "Closing client %s: %v", c.remote, failed)
	}
	if errors.Is(err, io.EOF) && c.session.Out.Len() > 0 {
		c.ended = true
		c.session.CloseAfterReply = true
	} else {
		c.session.Killed = true
	}
	c.session.Touch(c.session)
}

// send writes what a connection has to be sent, as far as its socket takes it,
// and closes the connection if that is due.
func (l *loop) send(c *conn) {
	s := c.session
	if s.Killed {
		l.drop(c)
		return
	}
	for !c.full { // else the poller tells when there is room
		if err := l.write(c); err != nil {
			l.drop(c)
			return
		}
		if c.full || !l.refill(c) {
			break
		}
	}
	switch {
	case s.Out.Len() > 0:
		if l.outputTooLong(c, time.Now()) {
			return
		}
	case s.CloseAfterReply:
		l.drop(c)
		return
	default:
		c.overSoftSince = time.Time{}
		memory := s.Out.TakeBack(keptBytes)
		l.spare.put(memory)
		c.talkative = memory != nil
		s.ReplySent()
		if c.runnable && !s.Held() {
			l.enqueue(c) // it had to wait until it took its replies
		}
	}
	l.broker.Server().Weigh(s)
	l.watch(c)
}

// write offers the socket what there is.
func (l *loop) write(c *conn) error {
	out := &c.session.Out
	for out.Len() > 0 {
		l.segments = out.Segments(l.segments[:0])
		offered := l.segments[:min(len(l.segments), segmentsMax)]
		size := 0
		for _, segment := range offered {
			size += len(segment)
		}
		n, err := c.link.write(offered)
		clear(l.segments)
		if err != nil {
			return err
		}
		l.broker.Server().Counters.BytesOut += int64(n)
		out.Consume(n)
		if n < size {
			c.full = true
			return nil
		}
	}
	return nil
}

func (l *loop) watch(c *conn) {
	if c.closed {
		return
	}
	if err := c.watch(); err != nil {
		l.complain("Closing client %s: %v", c.remote, err)
		c.session.Killed = true
		l.inbox.post(func() {
			if !c.closed {
				l.drop(c)
			}
		})
	}
}

// drop ends a connection, never in the middle of a turn.
func (l *loop) drop(c *conn) {
	c.closed = true
	c.input = nil
	if c.read != nil {
		c.read.cancel()
	}
	c.link.close()
	l.broker.Disconnect(c.session)
	last := len(l.conns) - 1
	l.conns[c.index] = l.conns[last]
	l.conns[c.index].index = c.index
	l.conns[last] = nil
	l.conns = l.conns[:last]
}
