package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Who waits for time alone stands at no key and is released all the same.
func TestDrainReleasesWhoWaitsForNoKey(t *testing.T) {
	s := newStage(t)
	s.play("a> WAIT 1 0\nb> BLPOP q 0\nc> WAITAOF 1 1 0\n")
	s.broker.Begin(s.now)
	s.broker.Drain()
	if err := s.broker.End(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, c := range s.sorted() {
		s.drain(&out, c)
	}
	if got := strings.Count(out.String(), "-UNBLOCKED the server is shutting down"); got != 3 {
		t.Errorf("%d are released:\n%s", got, &out)
	}
}

// A push costs a look at one of those who wait for the same and cannot have it yet,
// not at each of them.
func TestOneOfManyLooks(t *testing.T) {
	for _, c := range []struct{ wait, push []string }{
		{[]string{"BLMOVEM", "q", "r", "LEFT", "LEFT", "0", "EXACTLY", "3", "BULK"}, []string{"RPUSH", "q", "x"}},
		{[]string{"XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"}, []string{"XADD", "s", "*", "f", "v"}},
	} {
		s := newStage(t)
		looks := 0
		s.broker.options.Elapsed = func() time.Duration { looks++; return 0 }
		s.do("a", "XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
		for i := range 100 {
			s.do(fmt.Sprint("w", i), c.wait...)
		}
		before := looks
		s.do("a", "LLEN", "none")
		idle := looks - before
		before = looks
		s.do("a", c.push...)
		// Two for each time that a handler runs: the push, one that is served or not,
		// the next that finds nothing.
		if extra := looks - before - idle; extra > 6 {
			t.Errorf("%s: the clock is read %d times more than by a command that serves nobody", c.wait[0], extra)
		}
	}
}
