package commands

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cairnmq/cairn/resp"
)

// Args are the arguments of a call, read from left to right. The first thing
// that does not parse sticks: a handler reads straight through and asks Err
// once. After an error the readers return zero values.
type Args struct {
	argv [][]byte
	pos  int
	err  error
}

// NewArgs returns the arguments of a call of cmd, behind its name.
func NewArgs(cmd *Command, argv [][]byte) Args {
	first := 1
	if cmd.Parent != "" {
		first = 2
	}
	return Args{argv: argv, pos: first}
}

// All returns the whole call with the name.
func (a *Args) All() [][]byte { return a.argv }

// Len returns the number of arguments not yet read.
func (a *Args) Len() int { return len(a.argv) - a.pos }

// More reports whether there are arguments left and none has failed.
func (a *Args) More() bool { return a.err == nil && a.pos < len(a.argv) }

// Err returns the first error.
func (a *Args) Err() error { return a.err }

// Fail records an error unless there is one already.
func (a *Args) Fail(err resp.Error) {
	if a.err == nil {
		a.err = err
	}
}

// Next returns the next argument as it is; a missing one is a syntax error.
func (a *Args) Next() []byte {
	if a.err != nil {
		return nil
	}
	if a.pos >= len(a.argv) {
		a.Fail(ErrSyntax)
		return nil
	}
	a.pos++
	return a.argv[a.pos-1]
}

// Rest returns all arguments that are left.
func (a *Args) Rest() [][]byte {
	rest := a.argv[a.pos:]
	a.pos = len(a.argv)
	return rest
}

// Take returns the next n arguments; fewer are a syntax error.
func (a *Args) Take(n int) [][]byte {
	if a.err != nil {
		return nil
	}
	if n > a.Len() {
		a.Fail(ErrSyntax)
		return nil
	}
	taken := a.argv[a.pos : a.pos+n]
	a.pos += n
	return taken
}

// Peek returns the next argument without reading it, nil at the end.
func (a *Args) Peek() []byte {
	if a.pos >= len(a.argv) {
		return nil
	}
	return a.argv[a.pos]
}

// Option reads the next argument as a word, in upper case.
func (a *Args) Option() string {
	p := a.Next()
	if len(p) > 64 {
		return string(p[:64])
	}
	return strings.ToUpper(string(p))
}

// Word reads the next argument if it is the given word (upper case) in any
// case.
func (a *Args) Word(word string) bool {
	if a.err != nil || !EqualFold(a.Peek(), word) {
		return false
	}
	a.pos++
	return true
}

// Replace changes the argument read last, in the call itself: a blocking
// command thereby pins what meant "now" when it first ran.
func (a *Args) Replace(i int, v []byte) { a.argv[i] = v }

// Pos returns the index in All of the next argument.
func (a *Args) Pos() int { return a.pos }

// Int reads a signed 64-bit integer in decimal, without leading zeros, blanks
// or plus sign.
func (a *Args) Int() int64 { return a.IntOr(ErrNotInteger) }

// IntOr is Int with an error text of its own.
func (a *Args) IntOr(fail resp.Error) int64 {
	p := a.Next()
	if a.err != nil {
		return 0
	}
	n, ok := ParseInt(p)
	if !ok {
		a.Fail(fail)
		return 0
	}
	return n
}

// Int32Or is IntOr for a number of 32 bits.
func (a *Args) Int32Or(fail resp.Error) int64 {
	n := a.IntOr(fail)
	if a.err == nil && (n < math.MinInt32 || n > math.MaxInt32) {
		a.Fail(fail)
		return 0
	}
	return n
}

// AtLeast reads an integer that must not be below min; fail is also the error
// for what is no integer, unless notInteger says otherwise.
func (a *Args) AtLeast(min int64, fail resp.Error) int64 {
	n := a.IntOr(fail)
	if a.err == nil && n < min {
		a.Fail(fail)
		return 0
	}
	return n
}

// Timeout reads a time in seconds, with fractions; 0 means for ever. now is in
// milliseconds.
func (a *Args) Timeout(now int64) time.Duration { return a.timeoutIn(a.Next(), now) }

// timeoutIn is Timeout for an argument that was read before.
func (a *Args) timeoutIn(p []byte, now int64) time.Duration {
	if a.err != nil {
		return 0
	}
	seconds, ok := ParseFloat(p)
	// Rounded up to milliseconds, as Redis does: 0.0001 must not mean "for ever".
	ms := math.Ceil(seconds * 1000)
	switch {
	case !ok:
		a.Fail(ErrTimeoutFloat)
	case ms >= 1<<63:
		a.Fail(ErrTimeoutRange)
	default:
		return a.timeout(max(int64(ms), -1), now)
	}
	return 0
}

// TimeoutMillis reads a time in whole milliseconds; 0 means for ever.
func (a *Args) TimeoutMillis(now int64) time.Duration {
	ms := a.IntOr(ErrTimeoutInteger)
	if a.err != nil {
		return 0
	}
	return a.timeout(ms, now)
}

// timeout checks that the time at which a wait of so many milliseconds ends is
// one.
func (a *Args) timeout(ms, now int64) time.Duration {
	switch {
	case ms < 0:
		a.Fail(ErrTimeoutNeg)
		return 0
	case ms > math.MaxInt64-now:
		a.Fail(ErrTimeoutRange)
		return 0
	case ms > math.MaxInt64/int64(time.Millisecond):
		return math.MaxInt64 // 292 years: for ever
	}
	return time.Duration(ms) * time.Millisecond
}

// EqualFold reports whether p is the word (upper case) in any case.
func EqualFold(p []byte, word string) bool {
	if len(p) != len(word) {
		return false
	}
	for i, c := range p {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// ParseInt reads an integer as strictly as Redis does: "01", "+1" and " 1" are
// none.
func ParseInt(p []byte) (int64, bool) {
	if len(p) == 0 || len(p) > 20 {
		return 0, false
	}
	digits, negative := p, false
	if p[0] == '-' {
		digits, negative = p[1:], true
	}
	if len(digits) == 0 || (digits[0] == '0' && (len(digits) > 1 || negative)) {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		if n > 1<<63 {
			return 0, false
		}
		return -int64(n), true
	}
	if n > math.MaxInt64 {
		return 0, false
	}
	return int64(n), true
}

// ParseFloat reads a number as strtold does: decimal or hexadecimal, an
// exponent, infinities; not NaN, no blanks around it.
func ParseFloat(p []byte) (float64, bool) {
	if len(p) == 0 || len(p) > 256 || strings.ContainsRune(string(p), '_') {
		return 0, false
	}
	f, err := strconv.ParseFloat(withExponent(string(p)), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // a long double reaches further, and infinity is none the less too much
		return 0, false
	}
	if math.IsNaN(f) {
		return 0, false
	}
	return f, true
}

// withExponent gives a hexadecimal number the exponent that strconv insists on.
func withExponent(number string) string {
	digits := strings.ToLower(strings.TrimLeft(number, "+-"))
	if strings.HasPrefix(digits, "0x") && len(digits) > 2 && !strings.Contains(digits, "p") {
		return number + "p0"
	}
	return number
}
