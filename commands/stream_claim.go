package commands

import (
	"math"
	"strconv"

	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/streams"
)

// XPENDING, XCLAIM, XAUTOCLAIM: what was delivered and not acknowledged.

const (
	errClaimIdleMin     resp.Error = "ERR Invalid min-idle-time argument for XCLAIM"
	errClaimIdle        resp.Error = "ERR Invalid IDLE option argument for XCLAIM"
	errClaimTime        resp.Error = "ERR Invalid TIME option argument for XCLAIM"
	errClaimRetryCount  resp.Error = "ERR Invalid RETRYCOUNT option argument for XCLAIM"
	errAutoClaimIdleMin resp.Error = "ERR Invalid min-idle-time argument for XAUTOCLAIM"
	errAutoClaimCount   resp.Error = "ERR COUNT must be > 0"
)

// findGroup returns a group that has to exist, in the words of XPENDING and
// XCLAIM.
func findGroup(c *Ctx, key, group []byte) (*streams.Group, error) {
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return nil, err
	}
	if s != nil {
		if g := s.Group(group); g != nil {
			return g, nil
		}
	}
	return nil, errNoKeyOrGroup(key, group)
}

// ---- XPENDING --------------------------------------------------------------

// pendingArgs are those of XPENDING's longer form.
type pendingArgs struct {
	idleMin     int64
	start, stop streams.ID
	count       int64
	consumer    []byte // nil: any
}

func xpending(c *Ctx) error {
	key, group := c.Args.Next(), c.Args.Next()
	if !c.Args.More() {
		return pendingSummary(c, key, group)
	}
	p, err := readPending(c)
	if err != nil {
		return err
	}
	g, err := findGroup(c, key, group)
	if err != nil {
		return err
	}
	var consumer *streams.Consumer
	if p.consumer != nil {
		if consumer = g.Consumer(p.consumer); consumer == nil {
			c.Out.Array(0)
			return nil
		}
	}
	return p.write(c, g, consumer)
}

// readPending reads [IDLE min-idle-time] start end count [consumer], of which
// Redis looks at the count first.
func readPending(c *Ctx) (p pendingArgs, err error) {
	a := &c.Args
	if n := a.Len(); n < 3 || n > 6 {
		return p, ErrSyntax
	}
	if a.Word("IDLE") {
		p.idleMin = a.Int()
		if a.Err() == nil && a.Len() < 3 {
			return p, ErrSyntax
		}
	}
	start, stop := a.Next(), a.Next()
	p.count = max(a.Int(), 0)
	if err := a.Err(); err != nil {
		return p, err
	}
	if p.start, err = streams.ParseStart(start); err != nil {
		return p, err
	}
	if p.stop, err = streams.ParseStop(stop); err != nil {
		return p, err
	}
	if a.More() {
		p.consumer = a.Next()
	}
	return p, nil
}

// pendingPerItem is how many pending entries are passed over in about the time
// that one takes that is shown.
const pendingPerItem = 64

func (p *pendingArgs) write(c *Ctx, g *streams.Group, consumer *streams.Consumer) error {
	all := int64(g.PendingCount())
	if c.Slow(min(p.count, all)) || (p.count > 0 && c.Slow(all/pendingPerItem)) {
		return c.Detach()
	}
	count := p.count
	if c.Detached {
		// A long reply streams, so its length has to come first.
		n := int64(0)
		p.each(g, consumer, count, func(*streams.Pending, *streams.Consumer) { n++ })
		count = n
		c.Out.Array(int(n))
		p.each(g, consumer, count, p.writer(c))
		return nil
	}
	length := c.Out.ArrayLater()
	n := p.each(g, consumer, count, p.writer(c))
	c.Out.SetLen(length, n)
	return nil
}

// each calls yield for up to count of the pending entries asked for.
func (p *pendingArgs) each(g *streams.Group, consumer *streams.Consumer, count int64, yield func(*streams.Pending, *streams.Consumer)) (n int) {
	if count == 0 {
		return 0
	}
	g.EachPending(p.start, p.stop, consumer, p.idleMin, func(e *streams.Pending, owned *streams.Consumer) bool {
		yield(e, owned)
		n++
		return int64(n) < count
	})
	return n
}

func (p *pendingArgs) writer(c *Ctx) func(*streams.Pending, *streams.Consumer) {
	now := c.Tx.NowMillis()
	return func(e *streams.Pending, owned *streams.Consumer) {
		c.Out.Array(4)
		writeID(c.Out, e.ID)
		if owned == nil { // it was given back
			c.Out.BulkString("")
			c.Out.Int(-1)
		} else {
			c.Out.BulkString(owned.Name)
			c.Out.Int(max(now-e.Time, 0))
		}
		c.Out.Int(int64(e.Deliveries))
	}
}

func pendingSummary(c *Ctx, key, group []byte) error {
	g, err := findGroup(c, key, group)
	if err != nil {
		return err
	}
	c.Out.Array(4)
	c.Out.Int(int64(g.PendingCount()))
	if g.PendingCount() == 0 {
		c.Out.Null()
		c.Out.Null()
		c.Out.NullArray()
		return nil
	}
	lowest, highest := g.PendingEnds()
	writeID(c.Out, lowest)
	writeID(c.Out, highest)
	length, n := c.Out.ArrayLater(), 0
	for _, consumer := range g.Consumers() {
		if consumer.Pending > 0 {
			c.Out.Array(2)
			c.Out.BulkString(consumer.Name)
			c.Out.BulkString(strconv.Itoa(consumer.Pending))
			n++
		}
	}
	c.Out.SetLen(length, n)
	return nil
}

// ---- claiming --------------------------------------------------------------

func xclaim(c *Ctx) error {
	key, group, consumer := c.Args.Next(), c.Args.Next(), c.Args.Next()
	g, err := findGroup(c, key, group)
	if err != nil {
		return err
	}
	o := streams.Claim{IdleMin: max(c.Args.IntOr(errClaimIdleMin), 0), Retries: -1}
	var ids []streams.ID
	for c.Args.More() {
		id, ok := streams.ParseID(c.Args.Peek(), 0)
		if !ok {
			break // perhaps an option
		}
		c.Args.Next()
		ids = append(ids, id)
	}
	readClaim(c, &o)
	if err := c.Args.Err(); err != nil {
		return err
	}
	if err := mayClaim(c, key, ids, o); err != nil {
		return err
	}
	c.expire(key, g.Stream())
	l := c.obey(key, group, g)
	o.Bury = l.bury
	claimed := g.Claim(consumer, ids, o)
	l.release(c, key)
	if !o.JustID {
		c.redelivered(key, len(claimed))
	}
	writeClaimed(c.Out, claimed, o.JustID)
	return nil
}

// mayClaim refuses to claim entries that together are more than a reply may hold.
func mayClaim(c *Ctx, key []byte, ids []streams.ID, o streams.Claim) error {
	s, err := streams.Open(c.Tx, key)
	if err != nil || o.JustID || float64(s.Bytes())*float64(len(ids)) < float64(LoopReplyBytesMax) { // the same ID may be there again and again
		return err
	}
	bytes := int64(0)
	for _, id := range ids {
		if e, ok := s.Get(id); ok {
			bytes += int64(entryBytes(&e))
		}
		if !c.FitsReply(0, bytes) {
			return ErrReplyTooLong
		}
	}
	return nil
}

// readClaim reads the options of XCLAIM. A delivery time that makes no sense
// counts as now: it comes from a client's clock.
func readClaim(c *Ctx, o *streams.Claim) {
	const notGiven = -1
	a, now := &c.Args, c.Tx.NowMillis()
	o.Time = notGiven
	for a.More() {
		value := a.Len() > 1
		switch {
		case a.Word("FORCE"):
			o.Force = true
		case a.Word("JUSTID"):
			o.JustID = true
		case value && a.Word("IDLE"):
			o.Time = now - a.IntOr(errClaimIdle)
		case value && a.Word("TIME"):
			o.Time = a.IntOr(errClaimTime)
		case value && a.Word("RETRYCOUNT"):
			o.Retries = a.IntOr(errClaimRetryCount)
		case value && a.Word("LASTID"):
			o.LastID = a.id()
		default:
			a.Fail(resp.Errorf("ERR Unrecognized XCLAIM option '%s'", a.Peek()))
		}
	}
	if o.Time < 0 || o.Time > now {
		o.Time = now
	}
}

// autoClaimCountMax keeps XAUTOCLAIM's arithmetic within 64 bits, as in Redis.
const autoClaimCountMax = math.MaxInt64 / 16

func xautoclaim(c *Ctx) error {
	key, group, consumer := c.Args.Next(), c.Args.Next(), c.Args.Next()
	o := streams.Claim{IdleMin: max(c.Args.IntOr(errAutoClaimIdleMin), 0), Time: c.Tx.NowMillis(), Retries: -1, BytesMax: c.groupReplyBytesMax()}
	start := c.Args.interval(streams.ParseStart)
	count := int64(100)
	for c.Args.More() {
		switch {
		case c.Args.Len() > 1 && c.Args.Word("COUNT"):
			count = c.Args.AtLeast(1, errAutoClaimCount)
			if count > autoClaimCountMax {
				c.Args.Fail(errAutoClaimCount)
			}
		case c.Args.Word("JUSTID"):
			o.JustID = true
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	g, err := findGroup(c, key, group)
	if err != nil {
		return err
	}
	c.expire(key, g.Stream())
	l := c.obey(key, group, g)
	o.Bury = l.bury
	next, claimed, deleted := g.AutoClaim(consumer, start, min(count, groupReplyEntriesMax), o)
	l.release(c, key)
	if !o.JustID {
		c.redelivered(key, len(claimed))
	}
	c.Out.Array(3)
	writeID(c.Out, next)
	writeClaimed(c.Out, claimed, o.JustID)
	c.Out.Array(len(deleted))
	for _, id := range deleted {
		writeID(c.Out, id)
	}
	return nil
}

func writeClaimed(out *resp.Buffer, claimed []streams.Claimed, justID bool) {
	out.Array(len(claimed))
	for i := range claimed {
		if justID {
			writeID(out, claimed[i].ID)
		} else {
			writeEntry(out, &claimed[i].Entry)
		}
	}
}
