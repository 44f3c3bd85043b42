package server

import "slices"

// # Large outputs
//
// A message of 1 MB for a thousand subscribers is a gigabyte to be copied into
// sockets, which takes half a second, and nobody else would be served meanwhile.
// So large outputs stand in a line: between two turns a part of it is sent, after
// the small ones. Who publishes waits when the line gets long; otherwise messages
// would come faster than they can leave, and subscribers be cut off who read as
// fast as they can.

const (
	// largeBytes is the output from which a connection stands in line.
	largeBytes = 256 << 10
	// sendBytesMax is about how much of the line is sent between two turns.
	sendBytesMax = 4 << 20
	// congestedBytes is the length of the line from which publishers wait.
	congestedBytes = 64 << 20
)

// line holds the connections with large outputs, in order.
type line struct {
	conns  []*conn
	bytes  int     // of their outputs when they joined
	behind []*conn // those who publish, until it is shorter
}

// offer sends what a connection has to be sent, or puts it in line.
func (l *loop) offer(c *conn) {
	size := c.session.Out.Len()
	switch {
	case c.inLine > 0:
		l.broker.Server().Weigh(c.session)
	case size <= largeBytes, c.full, c.session.Killed:
		l.send(c)
	default:
		c.inLine = size
		l.line.conns = append(l.line.conns, c)
		l.line.bytes += size
		l.broker.Server().Weigh(c.session)
	}
}

// sendLine sends a part of the line.
func (l *loop) sendLine() {
	if len(l.line.conns) == 0 {
		return
	}
	sent := &l.broker.Server().Counters.BytesOut
	until, i := *sent+sendBytesMax, 0
	for ; i < len(l.line.conns) && *sent < until; i++ {
		c := l.line.conns[i]
		l.line.bytes -= c.inLine
		c.inLine = 0
		if !c.closed {
			l.send(c)
		}
	}
	l.line.conns = slices.Delete(l.line.conns, 0, i)
	if len(l.line.behind) > 0 && !l.congested() {
		l.queue = append(l.queue, l.line.behind...)
		clear(l.line.behind)
		l.line.behind = l.line.behind[:0]
	}
}

func (l *loop) congested() bool { return l.line.bytes > congestedBytes }

// waitsBehind reports whether a connection of the queue has to wait until the
// line is shorter, and keeps it then.
func (l *loop) waitsBehind(c *conn) bool {
	cmd := c.session.LastCmd
	if !l.congested() || cmd == nil || !(cmd.Name == "publish" || cmd.Name == "spublish" || cmd.Name == "exec") {
		return false
	}
	l.line.behind = append(l.line.behind, c)
	return true
}
