package compat_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
)

// What has been loaded is written as it was: -record changes nothing but replies.
func TestScriptRoundTrip(t *testing.T) {
	for _, s := range loadScripts(t) {
		var got [4]map[int][]string
		for _, protocol := range []int{2, 3} {
			got[protocol] = map[int][]string{}
			for i, l := range s.lines {
				got[protocol][i] = l.want[protocol]
			}
		}
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if s.since == "" && s.transcript(got) != string(text) {
			t.Errorf("%s is not written as -record would write it", s.path)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for text, words := range map[string][]string{
		`a  b `:            {"a", "b"},
		`"a b" 'c "d'`:     {"a b", `c "d`},
		`"\x00\r\n" ""`:    {"\x00\r\n", ""},
		`"ab"*3 x`:         {"ababab", "x"},
		`(1-1 * $ > h[a]*`: {"(1-1", "*", "$", ">", "h[a]*"},
	} {
		if got, err := splitWords(text); err != nil || !slices.Equal(got, words) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{`"a`, `'a`, `"a"*x`} {
		if got, err := splitWords(text); err == nil {
			t.Errorf("%s: %q, want an error", text, got)
		}
	}
}

func TestParseStepErrors(t *testing.T) {
	for _, text := range []string{"RPUSH q v", "a>", "a> PING |", "a~nosuch> PING", "a< x", "A> PING", "id[x] = a> PING"} {
		if st, err := parseStep(text); err == nil {
			t.Errorf("%s: %+v, want an error", text, st)
		}
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct{ modes, reply, shown string }{
		{"", "*3\r\n+a\r\n$-1\r\n*-1\r\n", "[+a, (null bulk), (null array)]"},
		{"", "%1\r\n+a\r\n_\r\n", "{+a: (null)}"},
		{"~sorted", "*2\r\n$1\r\nb\r\n$1\r\na\r\n", `["a", "b"]`},
		{"~sorted(1)", "*2\r\n:0\r\n*2\r\n:2\r\n:1\r\n", `[:0, [:1, :2]]`},
		{"~pairs", "*4\r\n$1\r\nb\r\n:1\r\n$1\r\na\r\n:2\r\n", `["a", :2, "b", :1]`},
		{"~int", ":7\r\n", "(int)"},
		{"~int", "$1\r\n7\r\n", `"7"`},
		{"~range(1,5)", ":5\r\n", "(int 1…5)"},
		{"~range(1,5)", ":6\r\n", ":6"},
		{"~error", "-ERR anything\r\n", "-ERR …"},
		{"~shape", "%1\r\n$1\r\na\r\n:1\r\n", `{"a": (int)}`},
		{"~at(*.1)", "*2\r\n*2\r\n:1\r\n:2\r\n*2\r\n:3\r\n:4\r\n", "[[:1, *], [:3, *]]"},
		{"~hide(b)", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", `["a", :1, "b", *]`},
		{"~without(b)", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", `["a", :1]`},
		{"~only(b)", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", `["b", :2]`},
		{"~has(a,c)", "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "(has a)"},
		{"~fields(b)", "$12\r\na:1\r\nb:2\r\nc:\r\n", `"b:2"`},
		{"~count", "*2\r\n:1\r\n:2\r\n", "(2 elements)"},
	} {
		f, err := readFrame(bufio.NewReader(strings.NewReader(c.reply)))
		if err != nil {
			t.Errorf("%q: %v", c.reply, err)
			continue
		}
		modes, err := parseModes(c.modes)
		if err != nil {
			t.Errorf("%s: %v", c.modes, err)
		}
		for _, m := range modes {
			f = m.apply(f)
		}
		if f.String() != c.shown {
			t.Errorf("%s of %q: got %s, want %s", c.modes, c.reply, f, c.shown)
		}
	}
}
