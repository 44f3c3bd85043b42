package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Clients cannot flood the log: after so many lines about them they are counted.
func TestComplaintsAreBounded(t *testing.T) {
	var text strings.Builder
	l := &loop{log: &Log{out: &text}}
	began := time.Unix(1000, 0)
	complain := func(after time.Duration, n int) {
		for range n {
			l.complainAt(began.Add(after), "client closed")
		}
	}
	lines := func(want int, end string) {
		t.Helper()
		if got := text.String(); strings.Count(got, "\n") != want || !strings.HasSuffix(got, end+"\n") {
			t.Errorf("%d lines, the last ends …%q", strings.Count(got, "\n"), got[max(0, len(got)-80):])
		}
		text.Reset()
	}
	complain(0, complaintsMax/2)
	complain(time.Second, 10_000)
	lines(complaintsMax, "client closed")
	complain(complaintsPeriod, 5)
	lines(1+5, "client closed")
	complain(complaintsPeriod+time.Second, complaintsMax+7)
	lines(complaintsMax-5, "client closed")
	l.sumUp(began.Add(2*complaintsPeriod - time.Second))
	l.sumUp(began.Add(2*complaintsPeriod + time.Second))
	l.sumUp(began.Add(3 * complaintsPeriod))
	lines(1, fmt.Sprint(5+7, " more lines about what clients did were withheld"))
}
