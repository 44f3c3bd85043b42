package server

// spare is memory for replies that are too long for what each connection keeps:
// who is sent such replies again and again need not get new memory each time, and
// ten thousand who were sent one once do not keep it.
type spare struct {
	buffers [][]byte // the one that came last is taken first
	bytes   int
}

const (
	spareBytesMax = 8 << 20 // of all of them
	spareEachMax  = 1 << 20
)

// put takes memory that nobody uses any more; nil is none.
func (s *spare) put(memory []byte) {
	if n := cap(memory); n > 0 && n <= spareEachMax && s.bytes+n <= spareBytesMax {
		s.buffers = append(s.buffers, memory)
		s.bytes += n
	}
}

// take gives memory away, or nil if there is none.
func (s *spare) take() []byte {
	last := len(s.buffers) - 1
	if last < 0 {
		return nil
	}
	memory := s.buffers[last]
	s.buffers[last] = nil
	s.buffers = s.buffers[:last]
	s.bytes -= cap(memory)
	return memory
}
