package glob

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", false}, {"*", "abc", true}, {"a*", "abc", true},
		{"*c", "abc", true}, {"a*c", "abc", true}, {"a*d", "abc", false}, {"a**c", "abc", true},
		{"h?llo", "hello", true}, {"h?llo", "hllo", false}, {"h[ae]llo", "hallo", true},
		{"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true}, {"h[^e]llo", "hello", false},
		{"h[a-b]llo", "hbllo", true}, {"h[b-a]llo", "hbllo", true}, {"h[a-b]llo", "hcllo", false},
		{`\*`, "*", true}, {`\*`, "a", false}, {`[\]]`, "]", true}, {`a\`, `a\`, true},
		{"[abc", "a", true}, {"*a*b*c*", "xxaxxbxxcxx", true}, {"*a*b*c*", "xxaxxcxxbxx", false},
		{"a", "A", false}, {"[^]", "x", true}, {"[]", "x", false},
	} {
		if got := Match(tc.pattern, tc.name); got != tc.want {
			t.Errorf("Match(%q, %q) = %v", tc.pattern, tc.name, got)
		}
	}
	if !MatchFold("MAX*", "maxclients") || !MatchFold("[A-C]x", "bX") {
		t.Error("MatchFold: case matters")
	}
}

// A pattern of many stars must not take exponential time.
func TestMatchIsNotExponential(t *testing.T) {
	if Match(strings.Repeat("a*", 1000)+"b", strings.Repeat("a", 10000)) {
		t.Error("matched")
	}
}
