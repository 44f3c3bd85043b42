package broker

import (
	"strings"
	"testing"
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
