package server

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var testLimits = framingLimits{bulkBytesMax: 512 << 20, argumentsMax: 1 << 20}

// readAll runs the framing check over input the way a connection does when it
// arrives in pieces of the given size, and returns what it made of it.
func readAll(input []byte, piece int, limits framingLimits) (commands []string, err error) {
	var f framing
	var args [][]byte
	start := 0
	for arrived := min(piece, len(input)); ; arrived = min(arrived+piece, len(input)) {
		for start < arrived {
			fr, err := f.next(input[start:arrived], limits)
			if err != nil {
				return commands, err
			}
			if fr.kind == incomplete {
				if fr.size <= arrived-start {
					return commands, fmt.Errorf("incomplete at %d bytes, of which %d are there", fr.size, arrived-start)
				}
				break
			}
			if args, err = fr.arguments(args, input[start:arrived]); err != nil {
				return commands, err
			}
			if len(args) > 0 {
				commands = append(commands, fmt.Sprintf("%q", args))
			}
			start += fr.size
		}
		if arrived == len(input) {
			return commands, nil
		}
	}
}

// The answers are those of redis-server 7.0.15, except where it is noted.
func TestFraming(t *testing.T) {
	digits := strings.Repeat("1", 70000)
	for _, tc := range []struct {
		input    string
		commands string
		err      string
	}{
		{"*1\r\n$4\r\nPING\r\n", `["PING"]`, ""},
		{"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", `["ECHO" ""]`, ""},
		{"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", `["ECHO" "\r\n\r\n"]`, ""},
		{"*1\r\n$0\r\n\r\n", `[""]`, ""},
		{"*0\r\n*-1\r\n*-5\r\n\r\n  \r\n\nPING\r\n", `["PING"]`, ""},
		{"PING\n", `["PING"]`, ""},
		{"SET a \"b\\x41\\n\" 'c d'\r\n", `["SET" "a" "bA\n" "c d"]`, ""},
		{"$4\r\nPING\r\n", `["$4"] ["PING"]`, ""}, // redcon alone would take it for Tile38's protocol
		{`""` + "\r\n", `[""]`, ""},
		{"*1\r\n$4\r\nPI", "", ""},
		{"*2\r\n$4\r\nECHO\r\n", "", ""},
		{"*1", "", ""},
		{"*1\n$4\nPING\n", "", ""}, // Redis, too, waits for a \r
		{"PING", "", ""},
		{"*1048576\r\n", "", ""},
		{"*1048577\r\n", "", "invalid multibulk length"}, // Redis: from 2147483648
		{"*3000000000\r\n", "", "invalid multibulk length"},
		{"*9223372036854775808\r\n", "", "invalid multibulk length"},
		{"*99999999999999999999\r\n", "", "invalid multibulk length"},
		{"*\r\n", "", "invalid multibulk length"},
		{"*01\r\n", "", "invalid multibulk length"},
		{"*-\r\n", "", "invalid multibulk length"},
		{"*-0\r\n", "", "invalid multibulk length"},
		{"*+1\r\n", "", "invalid multibulk length"},
		{"*x\r\n", "", "invalid multibulk length"},
		{"*1\rX$4\r\nPING\r\n", "", "invalid multibulk length"}, // Redis does not look at the byte
		{"*1\r\nPING\r\n", "", "expected '$', got 'P'"},
		{"*1\r\n\r\n", "", "expected '$', got '\r'"},
		{"*2\r\n$4\r\nECHO\r\n:1\r\n", "", "expected '$', got ':'"},
		{"*1\r\n$\r\n", "", "invalid bulk length"},
		{"*1\r\n$-1\r\n", "", "invalid bulk length"},
		{"*1\r\n$01\r\n", "", "invalid bulk length"},
		{"*1\r\n$536870913\r\n", "", "invalid bulk length"},
		{"*1\r\n$9223372036854775807\r\n", "", "invalid bulk length"},
		{"*1\r\n$4\r\nPINGxx", "", "invalid bulk length"}, // Redis does not look at the bytes
		{"*1\r\n$536870912\r\nPI", "", ""},
		{"*" + digits, "", "too big mbulk count string"},
		{"*1\r\n$" + digits, "", "too big bulk count string"},
		{digits, "", "too big inline request"},
		{"\"PING\r\n", "", "unbalanced quotes in request"},
		{"PING \"a\"b\r\n", "", "unbalanced quotes in request"},
		{"PING\r\n*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n", `["PING"] ["PING"]`, "invalid multibulk length"},
	} {
		for _, piece := range []int{len(tc.input), 1, 7} {
			commands, err := readAll([]byte(tc.input), piece, testLimits)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if got := strings.Join(commands, " "); got != tc.commands || text != tc.err {
				t.Errorf("%.60q in pieces of %d: got %s, %q; want %s, %q", tc.input, piece, got, text, tc.commands, tc.err)
			}
		}
	}
}

func TestFramingOfTheUnauthenticated(t *testing.T) {
	for _, tc := range []struct{ input, err string }{
		{"*10\r\n", ""},
		{"*11\r\n", "unauthenticated multibulk length"},
		{"*1\r\n$16384\r\n", ""},
		{"*1\r\n$16385\r\n", "unauthenticated bulk length"},
	} {
		_, err := readAll([]byte(tc.input), 1, framingLimits{bulkBytesMax: 1 << 20, argumentsMax: 1 << 20, unauthenticated: true})
		if (err == nil) != (tc.err == "") || (err != nil && err.Error() != tc.err) {
			t.Errorf("%q: got %v, want %q", tc.input, err, tc.err)
		}
	}
}

// A pipeline means the same wherever the network cuts it.
func TestFramingAtEverySplit(t *testing.T) {
	pipeline := []byte("*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$12\r\nwith \r\n ends\r\n\r\n*0\r\nPING \"a b\"\r\n*1\r\n$4\r\nPING\r\nECHO 'x'\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n")
	want, err := readAll(pipeline, len(pipeline), testLimits)
	if err != nil || len(want) != 5 {
		t.Fatalf("%v %v", want, err)
	}
	for cut := 1; cut < len(pipeline); cut++ {
		var f framing
		var got []string
		start := 0
		for _, arrived := range []int{cut, len(pipeline)} {
			for start < arrived {
				fr, err := f.next(pipeline[start:arrived], testLimits)
				if err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				if fr.kind == incomplete {
					break
				}
				args, err := fr.arguments(nil, pipeline[start:])
				if err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				if len(args) > 0 {
					got = append(got, fmt.Sprintf("%q", args))
				}
				start += fr.size
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("cut at %d: %v, want %v", cut, got, want)
		}
	}
	for piece := 1; piece < 20; piece++ {
		if got, err := readAll(pipeline, piece, testLimits); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in pieces of %d: %v %v, want %v", piece, got, err, want)
		}
	}
}

// A long value that comes in small pieces is not looked at again and again: the
// check only waits for its length.
func TestFramingResumes(t *testing.T) {
	var f framing
	input := append([]byte("*2\r\n$4\r\nECHO\r\n$1000000\r\n"), bytes.Repeat([]byte("\r"), 1000000)...)
	for arrived := 40; arrived < len(input); arrived += 1000 {
		fr, err := f.next(input[:arrived], testLimits)
		if err != nil || fr.kind != incomplete || fr.size != len(input)+2 {
			t.Fatalf("at %d: %+v, %v", arrived, fr, err)
		}
		if f.checked != 24 || f.scanned != 0 {
			t.Fatalf("at %d: %+v", arrived, f)
		}
	}
}

// FuzzFraming feeds arbitrary bytes in arbitrary pieces: whatever they are, the
// outcome does not depend on the pieces, and redcon agrees with the check (or
// arguments panics).
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{
		"*1\r\n$4\r\nPING\r\n", "*1\r\n$9223372036854775807\r\n", "*3000000000\r\n", "$4\r\nPING\r\n", "*0\r\n*-1\r\n\r\n",
		"PING 'a' \"\\x00\"\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n", "*2\r\n$0\r\n\r\n$1\r\n\n\r\n",
	} {
		f.Add([]byte(seed), uint64(1))
	}
	for _, sent := range sessions(f) {
		f.Add(sent, uint64(len(sent)))
	}
	f.Fuzz(func(t *testing.T, input []byte, seed uint64) {
		limits := framingLimits{bulkBytesMax: 1 << 20, argumentsMax: 1 << 20, unauthenticated: seed%2 == 0}
		whole, wholeErr := readAll(input, max(1, len(input)), limits)
		piece := 1 + rand.New(rand.NewPCG(seed, 0)).IntN(1+len(input))
		pieces, piecesErr := readAll(input, piece, limits)
		if fmt.Sprint(whole) != fmt.Sprint(pieces) || !errors.Is(wholeErr, piecesErr) {
			t.Fatalf("whole: %v %v; in pieces of %d: %v %v", whole, wholeErr, piece, pieces, piecesErr)
		}
	})
}

func BenchmarkFraming(b *testing.B) {
	input := []byte("*3\r\n$5\r\nLPUSH\r\n$5\r\nqueue\r\n$128\r\n" + strings.Repeat("x", 128) + "\r\n")
	var f framing
	var args [][]byte
	b.ReportAllocs()
	for b.Loop() {
		fr, err := f.next(input, testLimits)
		if err != nil {
			b.Fatal(err)
		}
		args, _ = fr.arguments(args, input) // a complete frame of this kind has no errors
	}
	if len(args) != 3 {
		b.Fatal(args)
	}
}
