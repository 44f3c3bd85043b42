// Package glob matches names against the patterns of KEYS, SCAN, PSUBSCRIBE
// and CONFIG GET: ? for one byte, * for any number, [a-c] and [^a-c] for
// classes, \ to take the next byte as it is
// (https://redis.io/docs/latest/commands/keys/).
package glob

import (
	"math"
	"strings"
)

// Match reports whether name matches pattern. As in Redis an empty name matches
// an empty pattern only, not even a star.
//
// It takes time proportional to len(pattern) + len(name), whatever the number of
// stars. A pattern that would take longer, as hardly any does that is not made for
// it, matches nothing: with many of them one message could keep the server busy
// for hours.
func Match(pattern, name string) bool {
	matches, _ := match(pattern, name, false, math.MaxInt)
	return matches
}

// MatchFold is Match without regard to the case of ASCII letters.
func MatchFold(pattern, name string) bool {
	matches, _ := match(pattern, name, true, math.MaxInt)
	return matches
}

// MatchWithin is Match with a bound for the comparisons that it may take. It returns
// what is left of that; less than nothing: it was not enough to tell.
func MatchWithin(pattern, name string, effort int) (matches bool, left int) {
	return match(pattern, name, false, effort)
}

// effortPerByte is how many comparisons a byte of the pattern and the name may
// take on average, effortMin how many there may always be. A star takes as long as
// effortStar comparisons of bytes.
const (
	effortPerByte = 8
	effortMin     = 1 << 10
	effortStar    = 4
)

// match walks both strings once and returns to the last star on a mismatch:
// an earlier star never needs to be tried again, as the later one can take
// whatever it would have given up.
func match(pattern, name string, fold bool, within int) (matches bool, left int) {
	if name == "" {
		return pattern == "", within - 1
	}
	effort := min(within, effortMin+effortPerByte*(len(pattern)+len(name)))
	left = within - effort
	matches = matchFor(pattern, name, fold, &effort)
	return matches, left + effort
}

func matchFor(pattern, name string, fold bool, effort *int) bool {
	p, n := 0, 0
	starP, starN := -1, 0
	for n < len(name) {
		if *effort--; *effort < 0 {
			return false
		}
		if p < len(pattern) && pattern[p] == '*' {
			p++
			if p == len(pattern) {
				return true
			}
			*effort -= effortStar
			starP, starN = p, n
			if text, last := literal(pattern[p:]); text != "" && !fold {
				if last {
					return strings.HasSuffix(name[n:], text)
				}
				at := strings.Index(name[n:], text)
				if at < 0 {
					return false
				}
				p, n = p+len(text), n+at+len(text)
			}
			continue
		}
		if p < len(pattern) {
			width, ok := one(pattern[p:], name[n], fold)
			*effort -= width - 1 // all of a class is looked at
			if ok {
				p += width
				n++
				continue
			}
		}
		if starP < 0 {
			return false
		}
		starN++
		p, n = starP, starN
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// literal returns what a pattern begins with if up to the next star, or its end
// (last), it stands for itself; else nothing.
func literal(pattern string) (text string, last bool) {
	end := strings.IndexAny(pattern, `*?[\`)
	switch {
	case end < 0:
		return pattern, true
	case pattern[end] == '*':
		return pattern[:end], false
	}
	return "", false
}

// one matches a single byte against the first element of pattern and returns
// the element's width.
func one(pattern string, c byte, fold bool) (width int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return class(pattern, c, fold)
	case '\\':
		if len(pattern) > 1 {
			return 2, equal(pattern[1], c, fold)
		}
	}
	return 1, equal(pattern[0], c, fold)
}

// class matches "[...]". As in Redis a class that is not closed ends with the
// pattern.
func class(pattern string, c byte, fold bool) (width int, ok bool) {
	i := 1
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			ok = ok || equal(pattern[i], c, fold)
		case i+2 < len(pattern) && pattern[i+1] == '-':
			lo, hi := lower(pattern[i], fold), lower(pattern[i+2], fold)
			if lo > hi {
				lo, hi = hi, lo
			}
			if x := lower(c, fold); lo <= x && x <= hi {
				ok = true
			}
			i += 2
		default:
			ok = ok || equal(pattern[i], c, fold)
		}
	}
	if i < len(pattern) {
		i++ // the closing bracket
	}
	return i, ok != not
}

func equal(a, b byte, fold bool) bool { return lower(a, fold) == lower(b, fold) }

func lower(c byte, fold bool) byte {
	if fold && 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// HasMeta reports whether pattern can match anything but itself.
func HasMeta(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[', '\\':
			return true
		}
	}
	return false
}
