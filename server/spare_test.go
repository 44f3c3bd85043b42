package server

import (
	"testing"

	"github.com/cairnmq/cairn/resp"
)

// Who is sent long replies again and again writes them to the same memory, and
// does not keep it between them.
func TestLongRepliesShareMemory(t *testing.T) {
	var s spare
	var a, b resp.Buffer
	long := make([]byte, 10*keptBytes)
	a.Bulk(long)
	a.Consume(a.Len())
	memory := a.TakeBack(keptBytes)
	if cap(memory) < len(long) || a.MemoryBytes() != 0 {
		t.Fatalf("%d bytes were given back, %d kept", cap(memory), a.MemoryBytes())
	}
	s.put(memory)
	b.Lend(s.take())
	if n := testing.AllocsPerRun(10, func() { b.Bulk(long); b.Consume(b.Len()) }); n != 0 {
		t.Errorf("%v allocations for a reply into memory that was lent", n)
	}
	if s.bytes != 0 || s.take() != nil {
		t.Errorf("%d bytes are left of what was taken", s.bytes)
	}
	// Short replies keep what they have.
	var c resp.Buffer
	c.Bulk([]byte("short"))
	c.Consume(c.Len())
	if memory := c.TakeBack(keptBytes); memory != nil || c.MemoryBytes() == 0 {
		t.Errorf("a short reply gave back %d bytes and kept %d", cap(memory), c.MemoryBytes())
	}
	// What has not left is not written over.
	c.Bulk([]byte("short"))
	c.Lend(make([]byte, keptBytes))
	if got := string(c.Bytes()); got != "$5\r\nshort\r\n" {
		t.Errorf("lent in the middle of a reply: %q", got)
	}
}

func TestSpareMemoryIsBounded(t *testing.T) {
	var s spare
	s.put(nil)
	s.put(make([]byte, spareEachMax+1))
	if s.bytes != 0 || len(s.buffers) != 0 {
		t.Errorf("%d bytes in %d buffers", s.bytes, len(s.buffers))
	}
	for range 100 {
		s.put(make([]byte, spareEachMax))
	}
	if s.bytes != spareBytesMax || len(s.buffers) != spareBytesMax/spareEachMax {
		t.Errorf("%d bytes in %d buffers", s.bytes, len(s.buffers))
	}
}
