package broker

import (
	"strings"
	"testing"
)

// A long read that runs outside the loop is tracked from the turn of its
// request on: a change that it may not have seen is told behind its reply.
func TestLongReadIsTracked(t *testing.T) {
	s := newStage(t)
	s.play("resp3 a\na> CLIENT TRACKING ON\nw> RPUSH q" + strings.Repeat(" x", 2001) + "\n")
	out := s.play("a> LRANGE q 0 -1 | w> RPUSH q last\n")
	reply, push, _ := strings.Cut(out, " \"last\"]\n")
	if strings.Count(reply, "x") != 2001 || !strings.HasPrefix(push, "  a: >[\"invalidate\" [\"q\"]]\n") {
		t.Errorf("%.100s … %s", reply, push)
	}
}
