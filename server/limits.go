package server

import (
	"time"

	"github.com/cairnmq/cairn/config"
)

// outputTooLong closes a client that leaves more unread than its class may, at
// once or for too long (client-output-buffer-limit).
func (l *loop) outputTooLong(c *conn, now time.Time) bool {
	class := config.ClassNormal
	if c.session.Subscribed() {
		class = config.ClassPubSub
	}
	limit, size := l.config.OutputLimits[class], int64(c.session.Out.Len()+c.session.Pushes.Len()) // which a long read holds back
	switch {
	case limit.Hard > 0 && size > limit.Hard:
	case limit.Soft == 0 || size <= limit.Soft:
		c.overSoftSince = time.Time{}
		return false
	case c.overSoftSince.IsZero():
		c.overSoftSince = now
		return false
	case now.Sub(c.overSoftSince) <= time.Duration(limit.SoftSeconds)*time.Second:
		return false
	}
	l.complain("Client %s (id %d) closed: %d bytes of output that it did not read, more than client-output-buffer-limit allows", c.remote, c.session.ID, size)
	l.broker.Server().Counters.OutputLimitKills++
	l.drop(c)
	return true
}

// queryTooLong reports, and logs, that a client has sent more than it may
// without a command having been complete, or run: the commands that it queues in
// a transaction included (client-query-buffer-limit).
func (l *loop) queryTooLong(c *conn) bool {
	queued := c.session.QueuedBytes()
	if int64(len(c.input))+queued <= l.config.ClientQueryBufferLimit {
		return false
	}
	l.complain("Client %s (id %d) closed: %d bytes of input that are no whole command and %d bytes of queued commands, more than client-query-buffer-limit allows",
		c.remote, c.session.ID, len(c.input), queued)
	l.broker.Server().Counters.QueryLimitKills++
	return true
}

// evict closes the clients that take most, until all together are within their
// bound (maxmemory-clients).
func (l *loop) evict() {
	srv := l.broker.Server()
	for srv.ClientsTakeTooMuch() {
		s, bytes := srv.Heaviest()
		if s == nil {
			return // those that are left are not to be closed
		}
		c := s.Peer.(*conn)
		l.complain("Client %s (id %d) closed: it takes %d bytes, and clients together more than maxmemory-clients allows", c.remote, s.ID, bytes)
		srv.Counters.Evicted++
		l.drop(c)
	}
}

const (
	// upkeepPeriod is the time between two rounds of upkeep, each of which looks
	// at every upkeepParts-th connection.
	upkeepPeriod = 100 * time.Millisecond
	upkeepParts  = 10
)

// upkeep closes idle clients and those over their limits for too long, a slice
// of them at a time.
func (l *loop) upkeep(now time.Time) {
	l.upkeepAt = now.Add(upkeepPeriod)
	l.sumUp(now)
	for range min(len(l.conns), len(l.conns)/upkeepParts+1) {
		if len(l.conns) == 0 {
			return
		}
		l.cursor++
		if l.cursor >= len(l.conns) {
			l.cursor = 0
		}
		l.look(l.conns[l.cursor], now)
	}
}

func (l *loop) look(c *conn, now time.Time) {
	s := c.session
	idle := now.Sub(s.LastUsed)
	if timeout := l.config.Timeout; timeout > 0 && idle > timeout && s.Blocked == nil && !s.Detached && !s.Subscribed() && !s.Monitors {
		l.log.Printf(Verbose, "Closing idle client %s (id %d)", c.remote, s.ID)
		l.drop(c)
		return
	}
	if s.Out.Len() > 0 || s.Detached {
		l.outputTooLong(c, now)
		return
	}
	if idle > time.Second {
		s.Out.Reset(0)
		if len(c.input) == 0 {
			c.input = nil
		}
	}
}
