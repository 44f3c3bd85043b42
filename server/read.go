package server

import (
	"runtime"
	"sync"

	"github.com/cairnmq/cairn/broker"
)

// # Long reads
//
// A read of a million elements runs in a goroutine of its own against a
// snapshot. Its reply reaches the client in chunks through the loop, which takes
// them only as fast as the client does: a client that does not read holds up its
// own reply and nothing else. A fixed number of such reads works at a time; one
// that waits for its client does not count.

const (
	// readAheadBytes is how much of a reply waits for the loop; about as much
	// again waits for the socket.
	readAheadBytes = 1 << 20
	// jobBytes is about what a long read takes beside its reply.
	jobBytes = 256 << 10
)

// readSlots are the places for reads at work.
type readSlots struct {
	taken   chan struct{}
	running *sync.WaitGroup // also those that wait for a place
}

func newReadSlots() readSlots {
	return readSlots{taken: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))), running: new(sync.WaitGroup)}
}

func (s readSlots) acquire() { s.taken <- struct{}{} }
func (s readSlots) release() { <-s.taken }

// A long write (broker/longwrite.go) works the same way. What it emits goes into the
// batches of turns instead, as fast as these take it.

// longRead is one of them.
type longRead struct {
	job   broker.Job
	conn  *conn
	slots readSlots
	loop  *loop // only to post to its inbox

	mu      sync.Mutex
	taken   *sync.Cond // chunks were taken, or nobody wants them
	chunks  [][]byte
	bytes   int  // in chunks, and of a long write in those that no turn has taken
	noticed bool // the loop has been told of the chunks that there are
	gone    bool // nobody wants the rest
	done    bool

	finished bool // the loop's: of a long write, the broker knows that it is done
}

// startRead sets off a job that a turn has left.
func (l *loop) startRead(job broker.Job) {
	r := &longRead{job: job, conn: job.Session.Peer.(*conn), loop: l, slots: l.reads}
	r.taken = sync.NewCond(&r.mu)
	if r.conn.closed {
		r.cancel()
	}
	r.conn.read = r
	r.slots.running.Add(1)
	go r.run()
}

func (r *longRead) run() {
	defer r.slots.running.Done()
	r.slots.acquire()
	err := r.job.Run(r.emit)
	r.slots.release()
	r.mu.Lock()
	r.done = true
	r.mu.Unlock()
	r.loop.inbox.post(func() {
		if err != nil {
			r.loop.fatal = err
		}
		r.loop.readOn(r)
	})
}

// emit passes a chunk on. It waits, without taking a place from others, while
// the client is slow, and returns false when it is gone.
func (r *longRead) emit(chunk []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes >= readAheadBytes && !r.gone {
		r.slots.release()
		for r.bytes >= readAheadBytes && !r.gone {
			r.taken.Wait()
		}
		r.mu.Unlock()
		r.slots.acquire()
		r.mu.Lock()
	}
	if r.gone {
		return false
	}
	r.chunks = append(r.chunks, chunk)
	r.bytes += len(chunk)
	if !r.noticed {
		r.noticed = true
		r.loop.inbox.post(func() { r.loop.readOn(r) })
	}
	return true
}

// waiting returns how much of the reply waits for the loop, and room for what is
// being written.
func (r *longRead) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes + jobBytes
}

// cancel tells the read that nobody wants the rest.
func (r *longRead) cancel() {
	r.job.GiveUp()
	r.mu.Lock()
	r.gone = true
	r.chunks = nil
	r.mu.Unlock()
	r.taken.Broadcast()
}

// take returns the chunks that are there, and whether they are the last.
func (r *longRead) take() (chunks [][]byte, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	chunks = r.chunks
	r.chunks, r.bytes, r.noticed = nil, 0, false
	r.taken.Broadcast()
	return chunks, r.done
}

// collect is take for a long write, which goes on only when a turn has taken what
// it has brought (took).
func (r *longRead) collect() (chunks [][]byte, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	chunks = r.chunks
	r.chunks, r.noticed = nil, false
	return chunks, r.done
}

func (r *longRead) took(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= bytes
	r.taken.Broadcast()
}

// writeOn passes on what a long write has brought, between two turns.
func (l *loop) writeOn(r *longRead) {
	chunks, last := r.collect()
	for _, chunk := range chunks {
		l.broker.Deliver(r.job, chunk)
	}
	if last && !r.finished {
		r.finished = true
		r.conn.read = nil
		l.broker.Finish(r.job)
	}
}

// readOn looks at what a long read has brought, between two turns.
func (l *loop) readOn(r *longRead) {
	if r.job.Writes() {
		l.writeOn(r)
		return
	}
	if r.conn.closed {
		r.mu.Lock()
		done := r.done
		r.mu.Unlock()
		if done {
			l.broker.Finish(r.job)
		}
		return
	}
	l.send(r.conn)
}

// refill moves the next chunks of a connection's long read to its output. It
// returns whether there is anything to write.
func (l *loop) refill(c *conn) bool {
	r, out := c.read, &c.session.Out
	if r == nil || r.job.Writes() || out.Len() > 0 {
		return false
	}
	chunks, last := r.take()
	for _, chunk := range chunks {
		l.broker.Deliver(r.job, chunk)
	}
	if last {
		c.read = nil
		l.broker.Finish(r.job)
		if l.ending != nil {
			c.session.CloseAfterReply = true
		}
		l.resume(c)
	}
	return out.Len() > 0
}
