package compat_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A terminal is a program with somebody in front of it.
type terminal struct {
	t      testing.TB
	tty    *os.File
	exited chan struct{}

	mu     sync.Mutex
	screen string // without escape sequences
	seen   int    // up to where expect has looked
	more   chan struct{}
}

// Sequences that move the cursor, clear and colour; what remains is text in the order of its writing.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]")

func openTerminal(t testing.TB, name string, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "TERM=xterm", "HOME="+t.TempDir())
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, tty: tty, exited: make(chan struct{}), more: make(chan struct{}, 1)}
	go term.read()
	go func() {
		cmd.Wait() // how it ended is on the screen
		close(term.exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // an error means that it has ended already
		<-term.exited
		tty.Close()
	})
	return term
}

func (term *terminal) read() {
	var raw strings.Builder
	chunk := make([]byte, 4096)
	for {
		n, err := term.tty.Read(chunk)
		raw.Write(chunk[:n])
		term.mu.Lock()
		term.screen = escapes.ReplaceAllString(raw.String(), "")
		term.mu.Unlock()
		select {
		case term.more <- struct{}{}:
		default:
		}
		if err != nil {
			return // the program has ended
		}
	}
}

func (term *terminal) typeKeys(keys string) {
	term.t.Helper()
	if _, err := term.tty.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// enter types a line at the prompt, never before: a program that switches the terminal's mode drops what came early.
func (term *terminal) enter(prompt, text, answer string) {
	term.t.Helper()
	term.expect(prompt)
	term.typeKeys(text + "\r")
	term.expect(answer)
}

// expect waits until the text has appeared after what was expected before.
func (term *terminal) expect(text string) {
	term.t.Helper()
	term.expectBy(text, strings.Index)
}

// expectFold is expect for text whose case does not matter. The text is ASCII: its length is the same in any case.
func (term *terminal) expectFold(text string) {
	term.t.Helper()
	term.expectBy(text, func(s, text string) int { return strings.Index(strings.ToLower(s), strings.ToLower(text)) })
}

func (term *terminal) expectBy(text string, index func(s, text string) int) {
	term.t.Helper()
	deadline := time.After(patience)
	for {
		term.mu.Lock()
		fresh := term.screen[min(term.seen, len(term.screen)):]
		if i := index(fresh, text); i >= 0 {
			term.seen += i + len(text)
			term.mu.Unlock()
			return
		}
		term.mu.Unlock()
		select {
		case <-term.more:
		case <-deadline:
			term.t.Fatalf("the terminal never showed %q; it shows\n%s", text, fresh)
		}
	}
}

func (term *terminal) expectExit() {
	term.t.Helper()
	select {
	case <-term.exited:
	case <-time.After(patience):
		term.t.Fatal("the program goes on")
	}
}

func redisCLI(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skipf("no redis-cli to drive: %v", err)
	}
	return path
}
