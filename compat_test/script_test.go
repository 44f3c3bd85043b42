package compat_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// A script is a transcript of clients and their replies:
//
//	# The oldest waiter is served first.
//	a& BLPOP q 0
//	b> RPUSH q one
//	  :1
//	a<
//	  ["q", "one"]
//
// Header lines, before the first step:
//
//	since 7.2            the replies are written by hand: the Redis they were recorded from is older
//	server --opt val …   plays on a server of its own, started with these options
//	password secret      which the harness uses itself (HELLO 3 AUTH, control connection)
//	plain                clients say nothing at connect, and the script is played once, not once per protocol
//	resp 2 | resp 3      is played in this protocol only
//
// Steps; a client is connected when its name first appears:
//
//	a> CMD arg "a\x00b"     send, read one reply. `CMD | CMD` sends both in one write and reads two
//	a& CMD                  send, wait until the server shows the client as blocked
//	a! CMD                  send, read nothing
//	a raw "*1\r\n…"         send these bytes
//	a<  or  a< 3            read one frame, or three
//	a silent                nothing has been sent to a that is not in the transcript
//	a close                 hang up; goes on when the server has noticed
//	a closed                read until the server hangs up
//	a unblocked             wait until the server no longer shows the client as blocked
//	until :0 a> CMD         ask again until this is the reply
//	id = a> CMD             keep the reply; $id stands for it from now on, in commands and in replies
//	id[0.1] = a> CMD        keep the second element of the first
//
// $a.id, $a.addr and $port are known without asking: client a's number and address, the server's port.
// Modes between client and mark say which part of the reply counts: a~sorted> KEYS * (mode_test.go lists them).
//
// Replies are the indented lines below a step. When the protocols differ they start with "2| " and "3| ".
type script struct {
	path      string
	name      string // family/name
	since     string
	server    []string
	ownServer bool
	password  string
	plain     bool
	only      int // the one protocol to play in, or 0
	lines     []line
}

// A line of the file: a step, or text that only -record cares for.
type line struct {
	number int
	text   string
	step   *step
	want   [4][]string // replies by protocol
}

type step struct {
	action  action
	client  string
	modes   []mode
	raw     string     // of actionRaw
	calls   [][]string // commands in one write
	count   int        // frames to read
	until   string     // the reply to wait for, or empty
	capture string
	path    []int // which part of the reply is captured
}

type action int

const (
	actionCall action = iota
	actionBlock
	actionSend
	actionRaw
	actionRead
	actionSilent
	actionClose
	actionClosed
	actionUnblocked
)

// replies reports whether the step's line is followed by replies.
func (s *step) replies() bool {
	return s.action == actionCall || s.action == actionRead || s.action == actionClosed
}

func loadScript(path, name string) (*script, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &script{path: path, name: name}
	for i, text := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		if err := s.add(i+1, text); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
	}
	return s, nil
}

func (s *script) add(number int, text string) error {
	if strings.HasPrefix(text, "  ") {
		return s.addReply(strings.TrimPrefix(text, "  "))
	}
	l := line{number: number, text: text}
	if trimmed := strings.TrimSpace(text); trimmed != "" && !strings.HasPrefix(trimmed, "#") {
		header, err := s.header(trimmed)
		if err != nil {
			return err
		}
		if !header {
			if l.step, err = parseStep(trimmed); err != nil {
				return err
			}
		}
	}
	s.lines = append(s.lines, l)
	return nil
}

func (s *script) addReply(text string) error {
	if len(s.lines) == 0 || s.lines[len(s.lines)-1].step == nil {
		return fmt.Errorf("a reply without a step: %s", text)
	}
	want := &s.lines[len(s.lines)-1].want
	for _, protocol := range []int{2, 3} {
		if rest, ok := strings.CutPrefix(text, fmt.Sprintf("%d| ", protocol)); ok {
			want[protocol] = append(want[protocol], rest)
			return nil
		}
	}
	want[2] = append(want[2], text)
	want[3] = append(want[3], text)
	return nil
}

func (s *script) header(text string) (bool, error) {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "since":
		s.since = rest
	case "server":
		args, err := splitWords(rest)
		if err != nil {
			return false, err
		}
		s.server, s.ownServer = args, true
	case "password":
		s.password = rest
	case "plain":
		s.plain, s.only = true, 2
	case "resp":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 2 || n > 3 {
			return false, fmt.Errorf("no such protocol: %s", rest)
		}
		s.only = n
	default:
		return false, nil
	}
	return true, nil
}

// protocols lists those in which the script is played.
func (s *script) protocols() []int {
	if s.only != 0 {
		return []int{s.only}
	}
	return []int{2, 3}
}

var (
	stepForm    = regexp.MustCompile(`^([a-z][a-z0-9]*)((?:~[a-z]+(?:\([^)]*\))?)*)([>&!<])(?:\s+(.*))?$`)
	verbForm    = regexp.MustCompile(`^([a-z][a-z0-9]*) (raw|silent|close|closed|unblocked)(?: (.*))?$`)
	captureForm = regexp.MustCompile(`^([a-z]+)(?:\[([0-9.]+)\])? = (.*)$`)
	untilForm   = regexp.MustCompile(`^until (\S+) (.*)$`)
)

func parseStep(text string) (*step, error) {
	if m := captureForm.FindStringSubmatch(text); m != nil {
		return parseCapture(m[1], m[2], m[3])
	}
	if m := untilForm.FindStringSubmatch(text); m != nil {
		st, err := parseStep(m[2])
		if err == nil {
			st.until = m[1]
		}
		return st, err
	}
	if m := verbForm.FindStringSubmatch(text); m != nil {
		return parseVerb(m[1], m[2], m[3])
	}
	m := stepForm.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("neither a step nor a header: %s", text)
	}
	modes, err := parseModes(m[2])
	if err != nil {
		return nil, err
	}
	st := &step{client: m[1], modes: modes}
	if m[3] == "<" {
		return parseRead(st, m[4])
	}
	st.action = map[string]action{">": actionCall, "&": actionBlock, "!": actionSend}[m[3]]
	st.calls, err = parseCalls(m[4])
	st.count = len(st.calls)
	return st, err
}

func parseCapture(name, path, rest string) (*step, error) {
	st, err := parseStep(rest)
	if err != nil {
		return nil, err
	}
	st.capture = name
	for _, index := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
		i, err := strconv.Atoi(index)
		if err != nil {
			return nil, err
		}
		st.path = append(st.path, i)
	}
	return st, nil
}

func parseVerb(client, verb, rest string) (*step, error) {
	st := &step{client: client}
	st.action = map[string]action{
		"raw": actionRaw, "silent": actionSilent, "close": actionClose, "closed": actionClosed, "unblocked": actionUnblocked,
	}[verb]
	if verb != "raw" {
		return st, nil
	}
	words, err := splitWords(rest)
	st.raw = strings.Join(words, "")
	return st, err
}

func parseRead(st *step, count string) (*step, error) {
	st.action, st.count = actionRead, 1
	if count == "" {
		return st, nil
	}
	n, err := strconv.Atoi(count)
	st.count = n
	return st, err
}

// parseCalls splits at words that are just "|".
func parseCalls(text string) ([][]string, error) {
	words, err := splitWords(text)
	if err != nil {
		return nil, err
	}
	calls := [][]string{nil}
	for _, w := range words {
		if w == "|" {
			calls = append(calls, nil)
			continue
		}
		calls[len(calls)-1] = append(calls[len(calls)-1], w)
	}
	for _, call := range calls {
		if len(call) == 0 {
			return nil, fmt.Errorf("no command in %q", text)
		}
	}
	return calls, nil
}

// splitWords splits as redis-cli does: spaces separate, "…" knows escapes, '…' does not.
// A quoted word may be followed by *n, which repeats it: "x"*1000.
func splitWords(text string) ([]string, error) {
	var words []string
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		var word string
		var err error
		switch text[0] {
		case '"':
			quoted, qerr := strconv.QuotedPrefix(text)
			if qerr != nil {
				return nil, fmt.Errorf("bad quotes in %s", text)
			}
			word, err = strconv.Unquote(quoted)
			text = text[len(quoted):]
		case '\'':
			end := strings.IndexByte(text[1:], '\'')
			if end < 0 {
				return nil, fmt.Errorf("bad quotes in %s", text)
			}
			word, text = text[1:1+end], text[end+2:]
		default:
			end := strings.IndexByte(text, ' ')
			if end < 0 {
				end = len(text)
			}
			word, text = text[:end], text[end:]
		}
		if err != nil {
			return nil, err
		}
		if rest, ok := strings.CutPrefix(text, "*"); ok {
			digits, after, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(digits)
			if err != nil {
				return nil, fmt.Errorf("bad repetition %s", digits)
			}
			word, text = strings.Repeat(word, n), after
		}
		words = append(words, word)
	}
	return words, nil
}
