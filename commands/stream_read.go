package commands

import (
	"math"
	"strconv"

	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/streams"
)

// readReply is the reply of XREAD and XREADGROUP while it is being written: a map
// of streams and their entries, which in RESP2 is an array of pairs. MAXCOUNT
// and MAXSIZE bound it across all streams; those behind the bound are left out.
type readReply struct {
	out     *resp.Buffer
	begin   resp.Mark
	length  resp.Later
	alone   bool // there is one stream at most
	streams int
	entries int

	maxCount, maxSize int // 0: none
	// roomMax ends a reply that has to be in memory as a whole; 0: it has not.
	roomMax int
}

// groupReplyBytesMax and groupReplyEntriesMax are where a delivery to a consumer
// ends even if it has asked for more, as it changes the group, in the loop: the
// rest comes with the next call.
const (
	groupReplyBytesMax   = 64 << 20
	groupReplyEntriesMax = 10_000
)

func (c *Ctx) groupReplyBytesMax() int {
	if c.ReplyBytesMax == 0 {
		return groupReplyBytesMax
	}
	return int(min(groupReplyBytesMax, c.ReplyBytesMax))
}

func (r *readArgs) reply(out *resp.Buffer) *readReply {
	p := &readReply{out: out, begin: out.Mark(), alone: len(r.keys) == 1, maxCount: r.maxCount, maxSize: r.maxSize}
	switch {
	case p.alone:
		startReadReply(out, 1)
	case out.Proto == 3:
		p.length = out.MapLater()
	default:
		p.length = out.ArrayLater()
	}
	return p
}

// room reports whether one more entry may be written. The first always may, or
// a client with a small MAXSIZE would never get on.
func (p *readReply) room() bool {
	return (p.maxCount == 0 || p.entries < p.maxCount) &&
		(p.maxSize == 0 || p.entries == 0 || p.out.Since(p.begin) < p.maxSize) &&
		(p.roomMax == 0 || p.entries == 0 || (p.entries < groupReplyEntriesMax && p.out.Since(p.begin) < p.roomMax))
}

// stream writes what one stream has, unless there is nothing and empty is not to
// be shown either. write calls wrote for each entry.
func (p *readReply) stream(key []byte, empty bool, write func(wrote func())) {
	if !p.room() {
		return
	}
	mark := p.out.Mark()
	nameReadReply(p.out, key)
	length, n := p.out.ArrayLater(), 0
	write(func() { n++; p.entries++ })
	p.out.SetLen(length, n)
	if n == 0 && !empty {
		p.out.Truncate(mark)
		return
	}
	p.streams++
}

// end ends the reply and reports whether there is one.
func (p *readReply) end() bool {
	if !p.alone {
		p.out.SetLen(p.length, p.streams)
	}
	if p.streams == 0 {
		p.out.Truncate(p.begin)
	}
	return p.streams > 0
}

// startReadReply begins a reply with the entries of n streams.
func startReadReply(out *resp.Buffer, n int) {
	if out.Proto == 3 {
		out.Map(n)
		return
	}
	out.Array(n)
}

func nameReadReply(out *resp.Buffer, key []byte) {
	if out.Proto != 3 {
		out.Array(2)
	}
	out.Bulk(key)
}

// batch says how much one stream may contribute.
func (r *readArgs) batch(p *readReply) streams.Batch {
	b := streams.Batch{Count: r.count}
	if r.maxCount > 0 || r.maxSize > 0 || p.roomMax > 0 {
		b.Room = p.room
	}
	return b
}

// ---- long reads ------------------------------------------------------------

// entryReplyBytesMin is less than any entry takes in a reply.
const entryReplyBytesMin = 32

// isSlow reports whether there are so many entries that they are better read
// outside the loop.
func (r *readArgs) isSlow(c *Ctx, sources []source) bool {
	most := int64(math.MaxInt64)
	if r.maxCount > 0 {
		most = int64(r.maxCount)
	}
	if r.maxSize > 0 {
		most = min(most, int64(r.maxSize/entryReplyBytesMin)+1)
	}
	items := int64(0)
	for _, from := range sources {
		items = addItems(items, int64(min(from.s.Len(), uint64(r.countOr(math.MaxInt)))))
	}
	if !c.Slow(min(items, most)) {
		return false
	}
	items = 0
	for _, from := range sources {
		items += int64(from.s.Count(from.start(), streams.MaxID, min(uint64(r.countOr(math.MaxInt)), uint64(c.Server.LongReadItems)+1)))
	}
	return c.Slow(min(items, most))
}

func addItems(a, b int64) int64 {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return math.MaxInt64
}

// writeLong writes the reply outside the loop. It streams, so all lengths have
// to be known first: where they depend on the size of entries these are read
// twice.
func (r *readArgs) writeLong(c *Ctx, sources []source) error {
	counts := make([]uint64, len(sources))
	entries, n := uint64(0), 0
	bytes := 0 // as readReply.room counts them: a length that comes later, later
	if len(r.keys) == 1 {
		bytes = len("*1\r\n")
	}
	for i, from := range sources {
		if r.maxSize > 0 && entries > 0 && bytes >= r.maxSize {
			break
		}
		if bytes += bulkBytes(len(from.key)); c.Out.Proto != 3 {
			bytes += len("*2\r\n")
		}
		count := uint64(r.countOr(math.MaxInt))
		if r.maxCount > 0 {
			count = min(count, uint64(r.maxCount)-entries)
		}
		if r.maxSize > 0 && count > 0 {
			count = r.fitting(from, count, entries == 0, &bytes)
		} else {
			count = from.s.Count(from.start(), streams.MaxID, count)
		}
		if counts[i] = count; count > 0 {
			n++
			entries += count
			bytes += len("*\r\n") + len(strconv.FormatUint(count, 10))
		}
	}
	startReadReply(c.Out, n)
	for i, from := range sources {
		if counts[i] == 0 {
			continue
		}
		nameReadReply(c.Out, from.key)
		if err := writeRange(c, from.s, from.start(), streams.MaxID, counts[i], false); err != nil {
			return err
		}
	}
	return nil
}

// fitting returns how many of a stream's entries there is room for, at most
// count. bytes is the size of the reply.
func (r *readArgs) fitting(from source, count uint64, isFirst bool, bytes *int) (n uint64) {
	from.s.Range(from.start(), streams.MaxID, false, func(e *streams.Entry) bool {
		if *bytes >= r.maxSize && !(isFirst && n == 0) {
			return false
		}
		*bytes += entryBytes(e)
		n++
		return n < count
	})
	return n
}

// entryBytes is the size of an entry in a reply.
func entryBytes(e *streams.Entry) int {
	var text [41]byte
	n := len("*2\r\n*\r\n") + len(strconv.AppendInt(text[:0], int64(e.Len()), 10)) + bulkBytes(len(e.ID.AppendTo(text[:0])))
	e.Each(func(p []byte) { n += bulkBytes(len(p)) })
	return n
}

// bulkBytes is the size of a bulk string of n bytes in a reply.
func bulkBytes(n int) int {
	var text [20]byte
	return len("$\r\n\r\n") + len(strconv.AppendInt(text[:0], int64(n), 10)) + n
}
