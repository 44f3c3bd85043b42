package glob

import (
	"math/rand/v2"
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

// slowMatch is the definition.
func slowMatch(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if pattern[0] == '*' {
		for i := range len(name) + 1 {
			if slowMatch(pattern[1:], name[i:]) {
				return true
			}
		}
		return false
	}
	if name == "" {
		return false
	}
	width, ok := one(pattern, name[0], false)
	return ok && slowMatch(pattern[width:], name[1:])
}

func TestMatchModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	text := func(letters string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	for range 200_000 {
		pattern, name := text("aab*?[^]\\-", rng.IntN(8)), text("aaab*[\\", 1+rng.IntN(10))
		if got, want := Match(pattern, name), slowMatch(pattern, name); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	}
}

// Long names and patterns take time in proportion to their length.
func TestMatchIsLinear(t *testing.T) {
	name := strings.Repeat("a", 1<<20)
	for _, pattern := range []string{
		"*" + strings.Repeat("a", 1<<19) + "b", "*" + strings.Repeat("a", 1<<19) + "b*", "*?" + strings.Repeat("a", 1<<19) + "b", strings.Repeat("*a?", 1<<18) + "b", strings.Repeat("*[ab]", 1<<18) + "b",
		"*[" + strings.Repeat("b", 1<<19) + "]", "*[^" + strings.Repeat("ab", 1<<18) + "]",
	} {
		if Match(pattern, name) {
			t.Errorf("%.20q… matches", pattern)
		}
	}
	if !Match("*"+strings.Repeat("a", 1<<19)+"*", name) || !Match("*"+strings.Repeat("a", 1<<19), name) || !Match(strings.Repeat("?", 1<<20), name) {
		t.Error("a long pattern does not match")
	}
}

// MatchWithin takes no more than it may, and says whether that was enough.
func TestMatchWithin(t *testing.T) {
	name := strings.Repeat("a", 1000)
	for _, c := range []struct {
		pattern string
		effort  int
		matches bool
		enough  bool
	}{
		{"*", 100, true, true},
		{"a*a", 100, true, true},
		{strings.Repeat("?", 1000), 2000, true, true},
		{strings.Repeat("?", 1000), 900, false, false},
		{"*?b", 100, false, false},
		{"*?b", 5000, false, true},
		{"*[bcdefghijk]", 5000, false, false},
	} {
		matches, left := MatchWithin(c.pattern, name, c.effort)
		if matches != c.matches || (left >= 0) != c.enough || left >= c.effort {
			t.Errorf("%.20s within %d: %v, %d are left", c.pattern, c.effort, matches, left)
		}
	}
}
