package server

import (
	"bytes"
	"fmt"
	"testing"
)

// arriving is a link from which a large command comes, a little at a time.
type arriving struct {
	stuck
	rest []byte
}

func (a *arriving) read(p []byte) (int, error) {
	n := copy(p[:min(len(p), 4<<10)], a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// However a command arrives, each byte of it is copied but a few times, and no
// more memory is taken than about as much as has arrived.
func TestInputGrowsInProportion(t *testing.T) {
	many := []byte("*100001\r\n$4\r\nPING\r\n")
	for range 100_000 {
		many = append(many, "$100\r\n"...)
		many = append(append(many, bytes.Repeat([]byte("x"), 100)...), "\r\n"...)
	}
	const large = 12 << 20
	one := append(fmt.Appendf(nil, "*2\r\n$4\r\nPING\r\n$%d\r\n", large), append(bytes.Repeat([]byte("x"), large), "\r\n"...)...)
	for name, command := range map[string][]byte{"many arguments": many, "a large one": one} {
		c := newConn(&arriving{rest: command})
		copied, f := 0, frame{}
		for f.kind == incomplete {
			before := cap(c.input)
			n, err := c.receiveOwn()
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			if cap(c.input) != before {
				copied += len(c.input)
			}
			if f, err = c.framing.next(c.input, testLimits); err != nil {
				t.Fatal(err)
			}
			c.need = f.size
			if size := cap(c.input); size > 2*len(c.input)+inputBytesMin {
				t.Fatalf("%s: a buffer of %d bytes for %d", name, size, len(c.input))
			}
		}
		if copied > 8*len(command) {
			t.Errorf("%s: %d bytes were copied, of %d", name, copied, len(command))
		}
	}
}
