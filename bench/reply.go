package main

import (
	"bytes"
	"errors"
)

// What a server may send. Whatever is beyond is refused: the parser looks at
// what a broken server sends as well.
const (
	depthMax       = 8
	lineBytesMax   = 64 << 10
	bulkBytesMax   = 64 << 20
	arrayLengthMax = 1 << 24
)

var (
	errFraming = errors.New("the server's reply is not RESP2")
	errTooBig  = errors.New("the server's reply is beyond all bounds")
)

// A token is a piece of a reply: an array's header or something without parts.
type token struct {
	kind  byte   // + - : $ *, as in the protocol
	null  bool   // $-1 or *-1
	n     int    // of an integer its value, of an array its length
	text  []byte // of a status, an error or a bulk string; valid until the next read
	depth int    // 0 for a reply itself, 1 for the elements of an array
	index int    // which element of its array it is
	last  bool   // the reply ends with it
}

// A parser cuts replies into tokens as they arrive, without holding on to any
// bytes: what is not a whole token yet is offered again with more behind it.
type parser struct {
	depth int
	left  [depthMax]int // elements to come of the arrays around the next token
	index [depthMax]int
}

// next takes a token from the front of b and returns its length, 0 if there is
// no whole token yet.
func (p *parser) next(b []byte, t *token) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	*t = token{kind: b[0], depth: p.depth, index: p.index[p.depth]}
	size := 0
	switch b[0] {
	case '+', '-':
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return 0, tooLong(b)
		}
		if end < 2 || b[end-1] != '\r' {
			return 0, errFraming
		}
		t.text, size = b[1:end-1], end+1
	case ':', '$', '*':
		n, end, err := number(b)
		if end == 0 || err != nil {
			return 0, err
		}
		t.n, size = n, end
		if b[0] == ':' {
			break
		}
		if n == -1 {
			t.null, t.n = true, 0
			break
		}
		if n < 0 || b[0] == '$' && n > bulkBytesMax || n > arrayLengthMax && b[0] == '*' {
			return 0, errTooBig
		}
		if b[0] == '$' {
			size = end + n + 2
			if len(b) < size {
				return 0, nil
			}
			if b[size-2] != '\r' || b[size-1] != '\n' {
				return 0, errFraming
			}
			t.text, t.n = b[end:end+n], 0
		}
	default:
		return 0, errFraming
	}
	if t.kind == '*' && t.n > 0 {
		if p.depth+1 == depthMax {
			return 0, errTooBig
		}
		p.depth++
		p.left[p.depth], p.index[p.depth] = t.n, 0
		return size, nil
	}
	// Something is whole, and with it may be the arrays that it ends.
	for p.depth > 0 {
		p.left[p.depth]--
		p.index[p.depth]++
		if p.left[p.depth] > 0 {
			break
		}
		p.depth--
	}
	t.last = p.depth == 0
	return size, nil
}

// number reads the line of a token that is a number or begins with one. The end
// of the line is 0 if it has not arrived.
func number(b []byte) (n, end int, err error) {
	i, negative := 1, false
	if len(b) > 1 && b[1] == '-' {
		i, negative = 2, true
	}
	first := i
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if i-first == 18 { // 18 digits always fit
			return 0, 0, errTooBig
		}
		n = n*10 + int(b[i]-'0')
	}
	if i == len(b) || i+1 == len(b) && b[i] == '\r' {
		return 0, 0, nil
	}
	if i == first || b[i] != '\r' || b[i+1] != '\n' {
		return 0, 0, errFraming
	}
	if negative {
		n = -n
	}
	return n, i + 2, nil
}

func tooLong(b []byte) error {
	if len(b) > lineBytesMax {
		return errTooBig
	}
	return nil
}
