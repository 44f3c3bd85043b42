package broker

import (
	"strings"
	"testing"
	"time"
)

// Of clients that have gone while their command was held back nothing is left,
// however many come and go, and however long that takes.
func TestThoseWhoAreGoneDoNotStandInLine(t *testing.T) {
	comeAndGo := func(s *stage, command ...string) {
		for range 1000 {
			session := s.broker.Connect(fakePeer{"x"}, s.now)
			s.broker.Begin(s.now)
			if s.broker.Do(session, args(command...)) {
				t.Fatalf("%q is not held back", command)
			}
			if err := s.broker.End(); err != nil {
				t.Fatal(err)
			}
			s.broker.Disconnect(session)
		}
		if paused, held := len(s.broker.paused), len(s.broker.held); paused+held > 100 {
			t.Errorf("%d sessions stand in line at a pause and %d at a key", paused, held)
		}
	}
	s := newStage(t)
	s.do("a", "CLIENT", "PAUSE", "1000000", "WRITE")
	comeAndGo(s, "RPUSH", "q", "x")

	s = newStage(t)
	s.broker.Server().LongWriteItems = 3
	s.do("a", "RPUSH", "q", "1", "2", "3", "4", "5")
	job := s.jobOf("a", "LREM", "q", "0", "3")
	comeAndGo(s, "RPUSH", "q", "x")
	s.complete(job)
	if got := s.sent("a"); got != ":1" {
		t.Error(got)
	}
}

// A pop that was being prepared when the end began does not begin to wait when its
// key has run out meanwhile: nobody would serve it.
func TestNobodyBeginsToWaitAtTheEnd(t *testing.T) {
	s := newStage(t)
	s.broker.Server().LongWriteItems = 3
	s.do("a", "RPUSH", "q", "1", "2", "3", "4", "5", "6", "7", "8")
	s.do("a", "PEXPIRE", "q", "10")
	job := s.jobOf("a", "BLMPOP", "0", "1", "q", "LEFT", "COUNT", "6")
	s.broker.Begin(s.now)
	s.broker.Drain()
	if err := s.broker.End(); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Second)
	s.complete(job)
	a := s.client("a")
	if a.session.Blocked != nil || !a.session.CloseAfterReply {
		t.Errorf("blocked %v, to be closed %v", a.session.Blocked != nil, a.session.CloseAfterReply)
	}
	if got := s.sent("a"); !strings.HasPrefix(got, "-UNBLOCKED") {
		t.Error(got)
	}
}
