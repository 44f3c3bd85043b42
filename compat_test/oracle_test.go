package compat_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var record = flag.Bool("record", false, "write the replies of the real Redis into the scripts (with -run Oracle)")

// recordedFrom names the Redis whose replies the scripts hold.
const recordedFrom = "7.0.15"

func loadScripts(t *testing.T) []*script {
	t.Helper()
	paths, err := filepath.Glob("testdata/*/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var scripts []*script
	for _, path := range paths {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), "testdata/"), ".txt")
		s, err := loadScript(path, name)
		if err != nil {
			t.Error(err)
			continue
		}
		scripts = append(scripts, s)
	}
	return scripts
}

func TestOracleCairn(t *testing.T) {
	if *record {
		t.Skip("the replies are being recorded")
	}
	playAll(t, loadScripts(t), func(t *testing.T, options ...string) *daemon {
		return startCairn(t, t.TempDir(), options...)
	})
}

func TestOracleRedis(t *testing.T) {
	bin, missing := redisServer()
	if missing != "" {
		t.Skip(missing)
	}
	if version := redisVersion(t, bin); version != recordedFrom && !*record {
		t.Skipf("the scripts hold the replies of Redis %s, and %s is %s", recordedFrom, bin, version)
	}
	var scripts []*script
	for _, s := range loadScripts(t) {
		if s.since == "" {
			scripts = append(scripts, s)
		}
	}
	launch := func(t *testing.T, options ...string) *daemon { return startRedis(t, t.TempDir(), options...) }
	if *record {
		recordAll(t, scripts, launch)
		return
	}
	playAll(t, scripts, launch)
}

type launcher func(t *testing.T, options ...string) *daemon

// playAll gives scripts that ask for it a server of their own; the others share one, one after the other.
func playAll(t *testing.T, scripts []*script, launch launcher) {
	shared := launch(t)
	for _, s := range scripts {
		for _, protocol := range s.protocols() {
			passed := t.Run(fmt.Sprintf("%s/resp%d", s.name, protocol), func(t *testing.T) {
				server := shared
				if s.ownServer {
					server = launch(t, s.server...)
				}
				got, err := play(s, protocol, server)
				compare(t, s, protocol, got)
				if err != nil {
					t.Errorf("not played to the end: %v", err)
				}
			})
			if !passed && !s.ownServer {
				shared = launch(t) // paused clients or a changed configuration must not fail the next script too
			}
		}
	}
}

// diffsMax keeps the report of a script that is off from its first line readable.
const diffsMax = 25

func compare(t *testing.T, s *script, protocol int, got map[int][]string) {
	t.Helper()
	diffs := 0
	for i, l := range s.lines {
		replies, played := got[i]
		if l.step == nil || !l.step.replies() || !played || slices.Equal(replies, l.want[protocol]) {
			continue
		}
		if diffs++; diffs > diffsMax {
			t.Errorf("%s: more differences follow", s.path)
			return
		}
		t.Errorf("%s:%d (RESP%d)\n\t%s\n\twant %s\n\tgot  %s", s.path, l.number, protocol, l.text,
			indent(l.want[protocol]), indent(replies))
	}
}

func indent(replies []string) string {
	if len(replies) == 0 {
		return "(nothing)"
	}
	short := make([]string, len(replies))
	for i, r := range replies {
		short[i] = shorten(r)
	}
	return strings.Join(short, "\n\t     ")
}

func recordAll(t *testing.T, scripts []*script, launch launcher) {
	shared := launch(t)
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			var got [4]map[int][]string
			for _, protocol := range s.protocols() {
				server := shared
				if s.ownServer {
					server = launch(t, s.server...)
				}
				var err error
				if got[protocol], err = play(s, protocol, server); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(s.path, []byte(s.transcript(got)), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// transcript is the script's text with these replies.
func (s *script) transcript(got [4]map[int][]string) string {
	var b strings.Builder
	for i, l := range s.lines {
		b.WriteString(l.text + "\n")
		if l.step == nil || !l.step.replies() {
			continue
		}
		writeReplies(&b, s.protocols(), got, i)
	}
	return b.String()
}

// writeReplies says what both protocols have in common only once.
func writeReplies(b *strings.Builder, protocols []int, got [4]map[int][]string, index int) {
	if len(protocols) == 1 {
		for _, reply := range got[protocols[0]][index] {
			b.WriteString("  " + reply + "\n")
		}
		return
	}
	two, three := got[2][index], got[3][index]
	for i := range max(len(two), len(three)) {
		if i < len(two) && i < len(three) && two[i] == three[i] {
			b.WriteString("  " + two[i] + "\n")
			continue
		}
		if i < len(two) {
			b.WriteString("  2| " + two[i] + "\n")
		}
		if i < len(three) {
			b.WriteString("  3| " + three[i] + "\n")
		}
	}
}

// redisVersion reads "Redis server v=7.0.15 sha=…".
func redisVersion(t *testing.T, bin string) string {
	t.Helper()
	out := run(t, bin, "--version")
	for _, word := range strings.Fields(out) {
		if version, ok := strings.CutPrefix(word, "v="); ok {
			return version
		}
	}
	t.Fatalf("%s --version says %q", bin, out)
	return ""
}
