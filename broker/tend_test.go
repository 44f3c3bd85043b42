package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Keys are looked after a few at a time, where that takes long one at a time; all
// of them have their turn, and between two walks there is rest.
func TestSlowKeysAreLookedAfterOneByOne(t *testing.T) {
	s := newStage(t)
	s.play("admin> POLICY SET old PATTERN q* TTL 1000\nadvance 1ms")
	clock := time.Duration(0)
	s.broker.options.Elapsed = func() time.Duration {
		clock += time.Second
		return clock
	}
	for i := range 20 {
		s.do("admin", "RPUSH", fmt.Sprint("q", i), "x")
	}
	left := 20
	for range 400 {
		s.play("advance 10ms")
		was := left
		if _, err := fmt.Sscanf(s.do("admin", "DBSIZE"), ":%d", &left); err != nil || was-left > 1 {
			t.Fatalf("%d keys were left, then %d, %v", was, left, err)
		}
	}
	if got := s.do("admin", "DBSIZE"); !strings.Contains(got, ":0") {
		t.Errorf("%s keys are left", got)
	}
	if at, ok := s.broker.Deadline(); !ok || at.Sub(s.now) <= tendPause {
		t.Errorf("the next walk begins at %v, %v after this", at, at.Sub(s.now))
	}
}
