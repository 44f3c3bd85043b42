package server

import (
	"bytes"
	"strconv"

	"github.com/tidwall/redcon"

	"github.com/cairnmq/cairn/config"
)

// # Framing
//
// redcon's parser is quick but trusts its input: there are frames that crash
// it, spin it, or make it wait for gigabytes (`*1\r\n$9223372036854775807\r\n`
// is enough). So nothing reaches it before framing has seen the whole command
// and found every length within Redis' limits.
//
// The check resumes where it stopped: a command that arrives in a thousand
// pieces is looked at once, not a thousand times, and a long value is not looked
// at at all but waited for by its length.

// What a client may send, beside the limits that are directives.
const (
	lineBytesMax                = 64 << 10 // a header or an inline command without its end
	unauthenticatedArgumentsMax = 10
	unauthenticatedBulkMax      = 16 << 10 // bytes
)

// framingLimits are the limits that depend on the connection or the
// configuration.
type framingLimits struct {
	bulkBytesMax    int64
	argumentsMax    int
	unauthenticated bool
}

// framing says how far the command at the start of a connection's input has
// been checked. The zero value stands at the start of a command.
type framing struct {
	checked   int  // bytes of the command that are whole lines and whole arguments
	scanned   int  // bytes behind them in which there is no line end
	arguments int  // arguments still to come, 0 before the count is known
	inBulk    bool // the length of the next argument is known
	bulk      int  // that length
}

// A frame is what stands at the start of the input.
type frame struct {
	kind frameKind
	size int // bytes it takes; of an incomplete one, the least that it will take
}

type frameKind uint8

const (
	incomplete   frameKind = iota
	emptyFrame             // *0, *-1: nothing to do
	commandFrame           // *2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n
	inlineFrame            // ECHO hi\r\n
)

// protocolError is the text behind "ERR Protocol error: "; the connection is
// closed after it.
type protocolError string

func (e protocolError) Error() string { return string(e) }

const (
	errCountTooLong   protocolError = "too big mbulk count string"
	errCount          protocolError = "invalid multibulk length"
	errCountUnauth    protocolError = "unauthenticated multibulk length"
	errLengthTooLong  protocolError = "too big bulk count string"
	errLength         protocolError = "invalid bulk length"
	errLengthUnauth   protocolError = "unauthenticated bulk length"
	errInlineTooLong  protocolError = "too big inline request"
	errInlineUnquoted protocolError = "unbalanced quotes in request"
)

// next looks at the input, which starts where the command starts and has only
// grown since the last call. Anything but an incomplete frame ends the command:
// the next call is to start behind it.
func (f *framing) next(input []byte, limits framingLimits) (frame, error) {
	if len(input) == 0 {
		return frame{incomplete, 1}, nil
	}
	if input[0] != '*' {
		return f.inline(input)
	}
	if f.arguments == 0 {
		line, ok, err := f.line(input, errCountTooLong, errCount)
		if !ok {
			return frame{incomplete, len(input) + 1}, err
		}
		count, ok := decimal(line[1:])
		switch {
		case !ok || count > int64(limits.argumentsMax):
			return frame{}, errCount
		case count > unauthenticatedArgumentsMax && limits.unauthenticated:
			return frame{}, errCountUnauth
		case count <= 0:
			return f.end(emptyFrame), nil
		}
		f.arguments = int(count)
	}
	for f.arguments > 0 {
		if !f.inBulk {
			if ok, err := f.bulkHeader(input, limits); !ok {
				return frame{incomplete, len(input) + 1}, err
			}
		}
		end := f.checked + f.bulk
		if len(input) < end+2 {
			return frame{incomplete, end + 2}, nil
		}
		if input[end] != '\r' || input[end+1] != '\n' {
			return frame{}, errLength
		}
		f.checked = end + 2
		f.inBulk = false
		f.arguments--
	}
	return f.end(commandFrame), nil
}

// bulkHeader reads the length of the next argument.
func (f *framing) bulkHeader(input []byte, limits framingLimits) (ok bool, err error) {
	line, ok, err := f.line(input, errLengthTooLong, errLength)
	if !ok {
		return false, err
	}
	if len(line) == 0 || line[0] != '$' {
		return false, expectedBulk(input[f.checked-len(line)-2])
	}
	length, ok := decimal(line[1:])
	switch {
	case !ok || length < 0 || length > limits.bulkBytesMax:
		return false, errLength
	case length > unauthenticatedBulkMax && limits.unauthenticated:
		return false, errLengthUnauth
	}
	f.inBulk, f.bulk = true, int(length)
	return true, nil
}

func expectedBulk(got byte) protocolError {
	return protocolError("expected '$', got '" + string([]byte{got}) + "'")
}

// line returns the next header line without its end, once it is there.
func (f *framing) line(input []byte, tooLong, malformed protocolError) (line []byte, ok bool, err error) {
	rest := input[f.checked:]
	length := bytes.IndexByte(rest[f.scanned:], '\r')
	if length < 0 {
		f.scanned = len(rest)
		if len(rest) > lineBytesMax {
			return nil, false, tooLong
		}
		return nil, false, nil
	}
	length += f.scanned
	if length+1 == len(rest) {
		f.scanned = length
		return nil, false, nil
	}
	if rest[length+1] != '\n' {
		return nil, false, malformed
	}
	f.scanned = 0
	f.checked += length + 2
	return rest[:length], true, nil
}

// inline waits for the end of a command that somebody has typed.
func (f *framing) inline(input []byte) (frame, error) {
	length := bytes.IndexByte(input[f.scanned:], '\n')
	if length < 0 {
		f.scanned = len(input)
		if len(input) > lineBytesMax {
			return frame{}, errInlineTooLong
		}
		return frame{incomplete, len(input) + 1}, nil
	}
	f.checked = f.scanned + length + 1
	return f.end(inlineFrame), nil
}

func (f *framing) end(kind frameKind) frame {
	size := f.checked
	*f = framing{}
	return frame{kind, size}
}

// decimal reads an integer as strictly as Redis does: no plus sign, no leading
// zeros, no blanks. Numbers that do not fit are none.
func decimal(digits []byte) (n int64, ok bool) {
	negative := len(digits) > 1 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	switch {
	case len(digits) == 0 || len(digits) > 19:
		return 0, false
	case digits[0] == '0':
		return 0, len(digits) == 1 && !negative
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0') // may wrap around at 19 digits
	}
	if n < 0 {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// arguments parses a complete frame. The result refers to the input and is
// valid until the next call with the same dst.
func (fr frame) arguments(dst [][]byte, input []byte) ([][]byte, error) {
	packet := input[:fr.size]
	switch fr.kind {
	case commandFrame:
		complete, args, kind, leftover, err := redcon.ReadNextCommand(packet, dst)
		if err != nil || !complete || kind != redcon.Redis || len(leftover) > 0 {
			// Not more of it: what follows may be a password.
			panic("server: redcon does not agree with the framing check: " + strconv.Quote(string(packet[:min(len(packet), 16)])))
		}
		return args, nil
	case inlineFrame:
		words, err := config.Split(string(packet))
		if err != nil {
			return nil, errInlineUnquoted
		}
		args := dst[:0]
		for _, word := range words {
			args = append(args, []byte(word))
		}
		return args, nil
	}
	return dst[:0], nil
}
