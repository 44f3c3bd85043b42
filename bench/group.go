//go:build linux

package main

import "fmt"

// A group is a consumer group that reads a stream and acknowledges what it read.
type group struct {
	name   string
	ledger *ledger
	watch  *stopwatch // nil: replies are timed instead
	ack    []byte     // XACK, the stream and the group, without the number of words
	acked  int
}

const ackWords = 3 // of group.ack

// newGroup creates a group of the first stream, which is made if need be. It
// begins behind an ID.
func (r *run) newGroup(p *publisher, i int, from string) (*group, error) {
	g := &group{name: fmt.Sprintf("group:%d", i), ledger: newLedger(p.mint, p.total), watch: p.watch}
	g.ack = appendWords(nil, "XACK", "stream:0", g.name)
	_, err := r.daemon.ask("XGROUP", "CREATE", "stream:0", g.name, from, "MKSTREAM")
	return g, err
}

// newMember returns a member that reads so many entries at a time.
func (g *group) newMember(i, count, inFlight int, waits bool) *member {
	words := []string{"XREADGROUP", "GROUP", g.name, fmt.Sprintf("consumer:%d", i), "COUNT", fmt.Sprint(count)}
	if waits {
		words = append(words, "BLOCK", "0")
	}
	return &member{group: g, read: command(nil, append(words, "STREAMS", "stream:0", ">")...), inFlight: inFlight, waits: waits}
}

// done says whether all has been read and acknowledged.
func (g *group) done() bool {
	return g.acked == g.ledger.mint.issued && g.ledger.n == g.acked
}

// A member is the role of one connection that reads for a group.
type member struct {
	group    *group
	read     []byte // XREADGROUP
	inFlight int    // of them
	waits    bool   // read waits for entries, and goes out together with the XACK of those before

	empty   bool    // there was nothing to read
	ids     []byte  // that were read, as words for XACK
	batches []batch // which came with which reply
	entries int     // of the reply that is arriving
}

// A batch is what one XREADGROUP gave.
type batch struct {
	entries int
	end     int // of its words in ids
}

func (m *member) next(l *loop, c *conn) error {
	out, replies, begin := l.out[:0], len(m.batches), 0
	for _, b := range m.batches {
		out = append(header(out, ackWords+b.entries), m.group.ack...)
		out = append(out, m.ids[begin:b.end]...)
		begin = b.end
	}
	m.ids, m.batches = m.ids[:0], m.batches[:0]
	if !m.empty && (m.waits || replies == 0) {
		for range m.inFlight {
			out = append(out, m.read...)
		}
		replies += m.inFlight
	}
	if l.out = out; replies == 0 {
		return nil
	}
	return l.send(c, replies)
}

func (m *member) token(l *loop, _ *conn, t *token) error {
	switch {
	case t.kind == ':' && t.depth == 0:
		m.group.acked += t.n
	case t.kind == '*' && t.depth == 0 && t.null && !m.waits:
		m.empty = true
	case t.kind == '$' && t.depth == 4: // the ID of an entry
		m.ids = append(bulkHeader(m.ids, len(t.text)), t.text...)
		m.ids = append(m.ids, '\r', '\n')
		m.entries++
	case t.kind == '$' && t.depth == 5 && t.index == 1: // the value of its field
		i, err := m.group.ledger.tick(t.text)
		if err != nil {
			return err
		}
		if m.group.watch != nil {
			if err := m.group.watch.stop(i, l.now); err != nil {
				return err
			}
		}
	case t.null || t.depth == 0 && t.kind != '*':
		return unexpected(t)
	}
	if t.last && m.entries > 0 {
		m.batches = append(m.batches, batch{m.entries, len(m.ids)})
		m.entries = 0
	}
	return nil
}
