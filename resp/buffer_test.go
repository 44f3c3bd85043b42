package resp

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestReplies(t *testing.T) {
	for _, tc := range []struct {
		name  string
		write func(*Buffer)
		resp2 string
		resp3 string // "" if the same
	}{
		{"ok", func(b *Buffer) { b.OK() }, "+OK\r\n", ""},
		{"simple", func(b *Buffer) { b.Simple("QUEUED") }, "+QUEUED\r\n", ""},
		{"error", func(b *Buffer) { b.Error("ERR a\r\nb") }, "-ERR a  b\r\n", ""},
		{"int", func(b *Buffer) { b.Int(-42) }, ":-42\r\n", ""},
		{"bulk", func(b *Buffer) { b.Bulk([]byte("a\r\n\x00")) }, "$4\r\na\r\n\x00\r\n", ""},
		{"bulk string", func(b *Buffer) { b.BulkString("") }, "$0\r\n\r\n", ""},
		{"array", func(b *Buffer) { b.Array(3) }, "*3\r\n", ""},
		{"map", func(b *Buffer) { b.Map(3) }, "*6\r\n", "%3\r\n"},
		{"set", func(b *Buffer) { b.Set(3) }, "*3\r\n", "~3\r\n"},
		{"push", func(b *Buffer) { b.Push(3) }, "*3\r\n", ">3\r\n"},
		{"null", func(b *Buffer) { b.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(b *Buffer) { b.NullArray() }, "*-1\r\n", "_\r\n"},
		{"double", func(b *Buffer) { b.Double(1.5) }, "$3\r\n1.5\r\n", ",1.5\r\n"},
		{"true", func(b *Buffer) { b.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(b *Buffer) { b.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"verbatim", func(b *Buffer) { b.Verbatim("txt", "hi") }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
	} {
		for proto, want := range map[int]string{2: tc.resp2, 3: tc.resp3} {
			if want == "" {
				want = tc.resp2
			}
			b := Buffer{Proto: proto}
			tc.write(&b)
			if got := string(b.Bytes()); got != want || b.Len() != len(want) {
				t.Errorf("%s in RESP%d: %q, want %q", tc.name, proto, got, want)
			}
		}
	}
}

func TestFormatDouble(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 3: "3", -3: "-3", 1.5: "1.5", 0.1: "0.1", 1e16: "10000000000000000", 7300000000000001: "7300000000000001",
		1e20: "1e+20", math.Inf(1): "inf", math.Inf(-1): "-inf",
	} {
		if got := FormatDouble(f); got != want {
			t.Errorf("FormatDouble(%v) = %q, want %q", f, got, want)
		}
	}
}

func TestLater(t *testing.T) {
	b := Buffer{Proto: 3}
	b.OK()
	outer := b.ArrayLater()
	b.Int(1)
	inner := b.MapLater()
	b.BulkString("k")
	b.BulkString("v")
	b.SetLen(inner, 1)
	b.SetLen(outer, 2)
	if got, want := string(b.Bytes()), "+OK\r\n*2\r\n:1\r\n%1\r\n$1\r\nk\r\n$1\r\nv\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A buffer is a queue of bytes whatever it is made of: written, shared, cut
// back, and taken in pieces.
func TestBufferModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		var b Buffer
		var want []byte
		for range 60 {
			switch rng.IntN(6) {
			case 0, 1:
				p := []byte(strings.Repeat("w", rng.IntN(50)))
				b.Raw(p)
				want = append(want, p...)
			case 2:
				p := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, rng.IntN(2*sharedFrameBytesMin))
				switch rng.IntN(3) {
				case 0:
					b.Frame(&Frame{Bytes: p})
				case 1:
					b.Chunk(p)
				case 2:
					var other Buffer
					other.Raw([]byte("first"))
					other.Chunk(p)
					b.Move(&other)
					p = append([]byte("first"), p...)
				}
				want = append(want, p...)
			case 3:
				mark, size := b.Mark(), len(want)
				b.Raw([]byte("to be dropped"))
				if rng.IntN(2) == 0 {
					b.Frame(&Frame{Bytes: make([]byte, 2*sharedFrameBytesMin)})
					b.Raw([]byte("this too"))
				}
				if b.Since(mark) == 0 {
					t.Fatal("nothing written since the mark")
				}
				b.Truncate(mark)
				want = want[:size]
			case 4:
				n := rng.IntN(len(want) + 1)
				b.Consume(n)
				want = append([]byte(nil), want[n:]...)
			case 5:
				if rng.IntN(5) == 0 {
					b.Reset(rng.IntN(100))
					want = nil
				}
			}
			if b.Len() != len(want) || !bytes.Equal(b.Bytes(), want) {
				t.Fatalf("%d bytes %.80q, want %d bytes %.80q", b.Len(), b.Bytes(), len(want), want)
			}
			if got := bytes.Join(b.Segments(nil), nil); !bytes.Equal(got, want) {
				t.Fatalf("segments %.80q, want %.80q", got, want)
			}
		}
	}
}

// A shared frame is never written to.
func TestFrameIsShared(t *testing.T) {
	frame := &Frame{Bytes: bytes.Repeat([]byte("f"), sharedFrameBytesMin)}
	var a, b Buffer
	for _, buffer := range []*Buffer{&a, &b} {
		buffer.Raw([]byte("before"))
		buffer.Frame(frame)
		buffer.Raw([]byte("behind"))
	}
	if !bytes.Equal(frame.Bytes, bytes.Repeat([]byte("f"), sharedFrameBytesMin)) {
		t.Error("the frame has changed")
	}
	if &a.Segments(nil)[1][0] != &b.Segments(nil)[1][0] {
		t.Error("the frame was copied")
	}
}

// Each frame counts once, as long as any buffer holds a part of it; what is a
// buffer's own counts there.
func TestMemoryOfFrames(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var shared int64
	buffers := make([]Buffer, 4)
	for i := range buffers {
		buffers[i].Shared = &shared
	}
	frames := make([]*Frame, 8)
	for i := range frames {
		frames[i] = &Frame{Bytes: make([]byte, sharedFrameBytesMin<<i)}
	}
	for range 20_000 {
		b := &buffers[rng.IntN(len(buffers))]
		mark := b.Mark()
		switch rng.IntN(8) {
		case 0, 1, 2:
			b.Frame(frames[rng.IntN(len(frames))])
		case 3:
			b.Raw(make([]byte, rng.IntN(100)))
		case 4:
			b.Consume(rng.IntN(b.Len() + 1))
		case 5:
			b.Frame(frames[rng.IntN(len(frames))])
			b.Raw([]byte("x"))
			b.Truncate(mark)
		case 6:
			if other := &buffers[rng.IntN(len(buffers))]; other != b {
				b.Move(other)
			}
		case 7:
			if rng.IntN(10) == 0 {
				b.Reset(0)
			}
		}
		held, want := make(map[*Frame]bool), int64(0)
		for i := range buffers {
			owned := cap(buffers[i].cur) + len(buffers[i].segs)*segmentBytes
			for _, s := range buffers[i].segs {
				if s.frame == nil {
					owned += len(s.bytes)
				} else if !held[s.frame] {
					held[s.frame] = true
					want += int64(len(s.frame.Bytes))
				}
			}
			if got := buffers[i].MemoryBytes(); got != owned {
				t.Fatalf("a buffer counts %d bytes of its own, not %d", got, owned)
			}
		}
		if shared != want {
			t.Fatalf("%d bytes are shared, not %d", shared, want)
		}
	}
}

// A long reply leaves in chunks, but not before its length is known.
func TestFlush(t *testing.T) {
	var chunks []string
	b := Buffer{FlushBytes: 10}
	b.Flush = func(p []byte) { chunks = append(chunks, string(p)) }
	b.Array(2)
	b.BulkString("0123456789")
	later := b.ArrayLater()
	b.BulkString("0123456789")
	b.BulkString("0123456789")
	if len(chunks) != 1 {
		t.Fatalf("%d chunks before the length was set", len(chunks))
	}
	b.SetLen(later, 2)
	b.FlushNow()
	if got, want := strings.Join(chunks, ""), "*2\r\n$10\r\n0123456789\r\n*2\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
