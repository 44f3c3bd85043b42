package streams

import (
	"math"
	"testing"
)

func TestParseID(t *testing.T) {
	const top = math.MaxUint64
	for text, want := range map[string]ID{
		"5":       {5, 7},
		"5-3":     {5, 3},
		"0":       {0, 7},
		"0-0":     {0, 0},
		"007-010": {7, 10},
		"+5-+6":   {5, 6},
		" 5-\t6":  {5, 6},
		"18446744073709551615-18446744073709551615": {top, top},
		"1--01":      {1, top}, // strtoull counts down from 2^64
		"1--0":       {1, 0},
		"5-3\x00abc": {5, 3},
	} {
		if id, ok := ParseID([]byte(text), 7); !ok || id != want {
			t.Errorf("%q: %v %v, want %v", text, id, ok, want)
		}
	}
	for _, text := range []string{
		"", "-", "+", "*", "$", ">", "x", "5x", "5-", "-5", "5-x", "5-6-7", "5-*", "5 ", "5- ", "1--5", "--5", "(5",
		"18446744073709551616", "5-18446744073709551616", "99999999999999999999", "0x5", "1e3", "1.0",
		string(make([]byte, idBytesMax+1)),
	} {
		if id, ok := ParseID([]byte(text), 7); ok {
			t.Errorf("%q: %v, want none", text, id)
		}
	}
}

func TestParseInterval(t *testing.T) {
	type result struct {
		start, stop       ID
		startErr, stopErr error
	}
	const top = math.MaxUint64
	for text, want := range map[string]result{
		"-":    {ID{}, ID{}, nil, nil},
		"+":    {MaxID, MaxID, nil, nil},
		"5":    {ID{5, 0}, ID{5, top}, nil, nil},
		"(5":   {ID{5, 1}, ID{5, top - 1}, nil, nil},
		"(5-0": {ID{5, 1}, ID{4, top}, nil, nil},
		"(0-0": {ID{0, 1}, ID{}, nil, ErrEndID},
		"(0":   {ID{0, 1}, ID{0, top - 1}, nil, nil},
		"(-":   {ID{}, ID{}, ErrInvalidID, ErrInvalidID},
		"(+":   {ID{}, ID{}, ErrInvalidID, ErrInvalidID},
		"(":    {ID{}, ID{}, ErrInvalidID, ErrInvalidID},
		"[5":   {ID{}, ID{}, ErrInvalidID, ErrInvalidID},
		"(18446744073709551615-18446744073709551615": {ID{}, ID{top, top - 1}, ErrStartID, nil},
	} {
		start, startErr := ParseStart([]byte(text))
		stop, stopErr := ParseStop([]byte(text))
		if got := (result{start, stop, startErr, stopErr}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestWanted(t *testing.T) {
	const top = math.MaxUint64
	for _, c := range []struct {
		text string
		last ID
		now  int64
		want ID
		err  error
	}{
		{"*", ID{}, 1000, ID{1000, 0}, nil},
		{"*", ID{1000, 0}, 1000, ID{1000, 1}, nil},
		{"*", ID{2000, 5}, 1000, ID{2000, 6}, nil}, // the clock went back
		{"*", ID{2000, top}, 1000, ID{2001, 0}, nil},
		{"*", ID{2000, top}, 2000, ID{2001, 0}, nil},
		{"*", ID{top, top - 1}, 1000, ID{top, top}, nil},
		{"*", MaxID, 1000, ID{}, ErrIDExhausted},
		{"5-5", MaxID, 1000, ID{}, ErrIDExhausted},
		{"5", ID{4, 9}, 1000, ID{5, 0}, nil},
		{"5-5", ID{5, 4}, 1000, ID{5, 5}, nil},
		{"5-5", ID{5, 5}, 1000, ID{}, ErrIDNotAbove},
		{"5-4", ID{5, 5}, 1000, ID{}, ErrIDNotAbove},
		{"0", ID{}, 1000, ID{}, ErrIDZero},
		{"0-0", ID{5, 5}, 1000, ID{}, ErrIDZero},
		{"0-0", MaxID, 1000, ID{}, ErrIDZero},
		{"0-1", ID{}, 1000, ID{0, 1}, nil},
		{"0-*", ID{}, 1000, ID{0, 1}, nil},
		{"5-*", ID{}, 1000, ID{5, 0}, nil},
		{"5-*", ID{5, 0}, 1000, ID{5, 1}, nil},
		{"5-*", ID{6, 0}, 1000, ID{}, ErrIDNotAbove},
		{"5-*", ID{5, top}, 1000, ID{}, ErrIDNotAbove},
		{"*-5", ID{}, 1000, ID{}, ErrInvalidID},
		{"5-5-*", ID{}, 1000, ID{}, ErrInvalidID},
		{"*-*", ID{}, 1000, ID{}, ErrInvalidID},
	} {
		w, ok := ParseWanted([]byte(c.text))
		id, err := ID{}, error(ErrInvalidID)
		if ok {
			id, err = w.Resolve(c.last, c.now)
		}
		if err != nil {
			id = ID{}
		}
		if id != c.want || err != c.err {
			t.Errorf("%s after %s at %d: %v %v, want %v %v", c.text, c.last, c.now, id, err, c.want, c.err)
		}
	}
}

func TestNextPrev(t *testing.T) {
	const top = math.MaxUint64
	for _, pair := range [][2]ID{{{0, 0}, {0, 1}}, {{0, top}, {1, 0}}, {{7, top - 1}, {7, top}}, {{top, top - 1}, {top, top}}} {
		if next, ok := pair[0].Next(); !ok || next != pair[1] {
			t.Errorf("behind %s: %s", pair[0], next)
		}
		if prev, ok := pair[1].Prev(); !ok || prev != pair[0] {
			t.Errorf("before %s: %s", pair[1], prev)
		}
		if pair[0].Compare(pair[1]) != -1 || pair[1].Compare(pair[0]) != 1 || pair[0].Compare(pair[0]) != 0 {
			t.Errorf("%v are in the wrong order", pair)
		}
	}
	if _, ok := MaxID.Next(); ok {
		t.Error("there is an ID behind the last one")
	}
	if _, ok := (ID{}).Prev(); ok {
		t.Error("there is an ID before the first one")
	}
}

func FuzzParseID(f *testing.F) {
	for _, seed := range []string{"5-3", "5", "-", "+", "(5-3", "*", "5-*", "1--01", "18446744073709551615-0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := ParseID([]byte(text), 0); ok {
			if again, ok := ParseID([]byte(id.String()), 0); !ok || again != id {
				t.Errorf("%q: %s reads back as %s", text, id, again)
			}
		}
		_, _ = ParseWanted([]byte(text))
		_, _ = ParseStart([]byte(text))
		_, _ = ParseStop([]byte(text))
	})
}
