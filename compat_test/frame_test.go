package compat_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A frame is one RESP value with its type kept, so that a null array and a null bulk are two answers.
type frame struct {
	kind  byte // the first byte on the wire; kindMask for a value that a mode has hidden
	text  string
	null  bool
	items []frame // of arrays, sets, pushes; keys and values in turn for maps and attributes
}

const kindMask = 0

func mask(text string) frame { return frame{kind: kindMask, text: text} }

func (f frame) isAggregate() bool {
	return strings.IndexByte("*%~>", f.kind) >= 0 && f.kind != kindMask
}

var errNotRESP = errors.New("not RESP")

func readFrame(r *bufio.Reader) (frame, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return frame{}, err
	}
	if len(line) < 3 || !strings.HasSuffix(line, "\r\n") {
		return frame{}, fmt.Errorf("%w: %q", errNotRESP, line)
	}
	f := frame{kind: line[0], text: line[1 : len(line)-2]}
	switch f.kind {
	case '+', '-', ':', ',', '#', '(', '_':
		return f, nil
	case '$', '=':
		return readBulk(r, f)
	case '*', '%', '~', '>', '|': // an attribute is a frame of its own, before the one it is about
		return readAggregate(r, f)
	}
	return frame{}, fmt.Errorf("%w: %q", errNotRESP, line)
}

func readBulk(r *bufio.Reader, f frame) (frame, error) {
	n, err := strconv.Atoi(f.text)
	if err != nil {
		return frame{}, fmt.Errorf("%w: bulk length %q", errNotRESP, f.text)
	}
	f.text = ""
	if n < 0 {
		f.null = true
		return f, nil
	}
	body := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, body); err != nil {
		return frame{}, err
	}
	if string(body[n:]) != "\r\n" {
		return frame{}, fmt.Errorf("%w: bulk ends in %q", errNotRESP, body[n:])
	}
	f.text = string(body[:n])
	return f, nil
}

func readAggregate(r *bufio.Reader, f frame) (frame, error) {
	n, err := strconv.Atoi(f.text)
	if err != nil {
		return frame{}, fmt.Errorf("%w: length %q", errNotRESP, f.text)
	}
	f.text = ""
	f.null = n < 0
	if f.kind == '%' || f.kind == '|' {
		n *= 2
	}
	for range n {
		item, err := readFrame(r)
		if err != nil {
			return frame{}, err
		}
		f.items = append(f.items, item)
	}
	return f, nil
}

// String is the form in which scripts show a reply: one line, and every type looks different.
func (f frame) String() string {
	switch f.kind {
	case kindMask:
		return f.text
	case '$':
		if f.null {
			return "(null bulk)"
		}
		return strconv.Quote(f.text)
	case '_':
		return "(null)"
	case '=':
		return "=" + strconv.Quote(f.text)
	case '*':
		if f.null {
			return "(null array)"
		}
		return "[" + join(f.items) + "]"
	case '~', '>':
		return string(f.kind) + "[" + join(f.items) + "]"
	case '%', '|':
		var b strings.Builder
		if f.kind == '|' {
			b.WriteByte('|')
		}
		b.WriteByte('{')
		for i := 0; i < len(f.items); i += 2 {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(f.items[i].String() + ": " + f.items[i+1].String())
		}
		b.WriteByte('}')
		return b.String()
	}
	return string(f.kind) + f.text
}

// brief is String for messages: a reply may be megabytes long.
func (f frame) brief() string { return shorten(f.String()) }

const shownMax = 2000

func shorten(text string) string {
	if len(text) <= shownMax {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:shownMax], len(text))
}

func join(frames []frame) string {
	texts := make([]string, len(frames))
	for i, f := range frames {
		texts[i] = f.String()
	}
	return strings.Join(texts, ", ")
}
