package config

import (
	"errors"
	"fmt"
	"strings"
)

// ErrQuotes is the error for a line whose quotes do not match.
var ErrQuotes = errors.New("unbalanced quotes")

// Split cuts a line into words at white space. Words may be quoted: 'as it is'
// with \' for a quote, or "with \n \r \t \b \a \xff escapes". These are the
// rules of redis.conf and of inline commands alike.
func Split(line string) ([]string, error) {
	var words []string
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return words, nil
		}
		word, n, ok := splitWord(line[i:])
		if !ok {
			return nil, ErrQuotes
		}
		words = append(words, word)
		i += n
	}
}

// splitWord reads the word at the start of line, which is not white space, and
// returns how many bytes it took.
func splitWord(line string) (word string, n int, ok bool) {
	var w []byte
	for n < len(line) && !isSpace(line[n]) {
		quote := line[n]
		if quote != '"' && quote != '\'' {
			w = append(w, line[n])
			n++
			continue
		}
		var width int
		if w, width, ok = splitQuoted(w, line[n:]); !ok {
			return "", 0, false
		}
		n += width
		if n < len(line) && !isSpace(line[n]) {
			return "", 0, false // something glued to the closing quote
		}
	}
	return string(w), n, true
}

// splitQuoted appends what stands between the quote at the start of line and
// its end.
func splitQuoted(w []byte, line string) (_ []byte, n int, ok bool) {
	quote := line[0]
	for i := 1; i < len(line); {
		rest := line[i:]
		switch {
		case rest[0] == quote:
			return w, i + 1, true
		case quote == '\'' && len(rest) > 1 && rest[0] == '\\' && rest[1] == '\'':
			w = append(w, '\'')
			i += 2
		case quote == '"' && len(rest) > 3 && rest[0] == '\\' && rest[1] == 'x' && isHex(rest[2]) && isHex(rest[3]):
			w = append(w, unhex(rest[2])<<4|unhex(rest[3]))
			i += 4
		case quote == '"' && len(rest) > 1 && rest[0] == '\\':
			w = append(w, unescape(rest[1]))
			i += 2
		default:
			w = append(w, rest[0])
			i++
		}
	}
	return nil, 0, false
}

// quoteIfNeeded writes a word so that Split reads it back.
func quoteIfNeeded(word string) string {
	plain := word != ""
	for i := range len(word) {
		plain = plain && '!' <= word[i] && word[i] <= '~' && !strings.ContainsRune(`"'\\#`, rune(word[i]))
	}
	if plain {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(word) {
		switch c := word[i]; {
		case c == '"' || c == '\\':
			b.WriteString("\\" + word[i:i+1])
		case ' ' <= c && c <= '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// isSpace is C's isspace, and the NUL byte at which C's strings end.
func isSpace(c byte) bool { return c == ' ' || ('\t' <= c && c <= '\r') || c == 0 }

func isHex(c byte) bool {
	return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f') || ('A' <= c && c <= 'F')
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
