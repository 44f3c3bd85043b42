package server

import "time"

const (
	// complaintsMax is how many lines about what clients did the log takes in
	// complaintsPeriod. Whoever may connect can cause one, and must not be able to
	// fill the disk with them.
	complaintsMax    = 100
	complaintsPeriod = time.Minute
)

// complaints are the lines about clients since some time.
type complaints struct {
	since             time.Time
	written, withheld int
}

// complain logs what a client did that an operator should know of.
func (l *loop) complain(format string, args ...any) { l.complainAt(time.Now(), format, args...) }

func (l *loop) complainAt(now time.Time, format string, args ...any) {
	c := &l.complaints
	l.sumUp(now)
	if c.written == complaintsMax {
		c.withheld++
		return
	}
	if c.written == 0 {
		c.since = now
	}
	c.written++
	l.log.Warningf(format, args...)
}

// sumUp says how many lines were withheld, once the time for them is over.
func (l *loop) sumUp(now time.Time) {
	c := &l.complaints
	if now.Sub(c.since) < complaintsPeriod {
		return
	}
	if c.withheld > 0 {
		l.log.Warningf("%d more lines about what clients did were withheld", c.withheld)
	}
	*c = complaints{}
}
