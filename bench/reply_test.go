package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// tokens parses what arrives in pieces of a length and shows what came of it.
func tokens(text []byte, piece int) (shown []string, err error) {
	var p parser
	var held []byte
	for len(text) > 0 {
		n := min(piece, len(text))
		held, text = append(held, text[:n]...), text[n:]
		for {
			var t token
			n, err := p.next(held, &t)
			if err != nil {
				return shown, err
			}
			if n == 0 {
				break
			}
			held = held[n:]
			shown = append(shown, fmt.Sprintf("%d.%d %c %d %q %t %t", t.depth, t.index, t.kind, t.n, t.text, t.null, t.last))
		}
	}
	return shown, nil
}

func TestParser(t *testing.T) {
	const text = "+OK\r\n:-12\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n-ERR no\r\n" +
		"*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n1-2\r\n*0\r\n" + ":7\r\n"
	want := []string{
		`0.0 + 0 "OK" false true`,
		`0.0 : -12 "" false true`,
		`0.0 $ 0 "a\r\n" false true`,
		`0.0 $ 0 "" true true`,
		`0.0 * 0 "" true true`,
		`0.0 * 0 "" false true`,
		`0.0 - 0 "ERR no" false true`,
		`0.0 * 1 "" false false`,
		`1.0 * 2 "" false false`,
		`2.0 $ 0 "s" false false`,
		`2.1 * 2 "" false false`,
		`3.0 * 2 "" false false`,
		`4.0 $ 0 "1-1" false false`,
		`4.1 * 2 "" false false`,
		`5.0 $ 0 "f" false false`,
		`5.1 $ 0 "v" false false`,
		`3.1 * 2 "" false false`,
		`4.0 $ 0 "1-2" false false`,
		`4.1 * 0 "" false true`,
		`0.0 : 7 "" false true`,
	}
	for piece := 1; piece <= len(text); piece++ {
		got, err := tokens([]byte(text), piece)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("in pieces of %d: %v\n%s", piece, err, strings.Join(got, "\n"))
		}
	}
}

func TestParserRefuses(t *testing.T) {
	for _, text := range []string{
		"\r\n", "x", "+OK\n", "+\n", ":\r\n", ":-\r\n", ":1x\r\n", ":1\rx", ":9999999999999999999\r\n", "$-2\r\n", "*-2\r\n",
		"$1\r\nabc\r\n", "$999999999999\r\n", "*999999999999\r\n", strings.Repeat("*1\r\n", depthMax),
		"+" + strings.Repeat("a", lineBytesMax+1), "_\r\n",
	} {
		if got, err := tokens([]byte(text), len(text)); err == nil {
			t.Errorf("%.40q: %q, want an error", text, got)
		}
	}
}

func FuzzParser(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n*1\r\n:5\r\n+OK\r\n-ERR x\r\n"), 3)
	f.Add([]byte("*1\r\n*-1\r\n$-1\r\n"), 1)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		whole, wholeErr := tokens(text, len(text))
		pieces, err := tokens(text, max(1, piece))
		if !slices.Equal(whole, pieces) || (err == nil) != (wholeErr == nil) {
			t.Errorf("in pieces of %d: %v %q, at once: %v %q", piece, err, pieces, wholeErr, whole)
		}
	})
}
