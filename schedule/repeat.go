package schedule

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // the zones of CRON_TZ, on machines that have none

	"github.com/robfig/cron/v3"
)

// Repeat says how often an entry runs; the zero value: once.
type Repeat struct {
	Every int64  // ms
	Cron  string // a cron expression
}

// String returns the words in which it was asked for, "" for once.
func (r Repeat) String() string {
	switch {
	case r.Every > 0:
		return "EVERY " + strconv.FormatInt(r.Every, 10)
	case r.Cron != "":
		return "CRON " + r.Cron
	}
	return ""
}

// Next returns the first time after now at which an entry is due again that was
// due before: what was missed is not made up for. ok is false when it never is.
func (r Repeat) Next(due, now int64) (at int64, ok bool) {
	switch {
	case r.Every > 0:
		at = due + r.Every
		if at <= now {
			at += (now - at) / r.Every * r.Every
			if at <= now {
				at += r.Every
			}
		}
	case r.Cron != "":
		c, err := parseCron(r.Cron)
		if err != nil {
			return 0, false // it was checked when it was added
		}
		next := c.Next(time.UnixMilli(max(due, now)).UTC())
		if next.IsZero() {
			return 0, false
		}
		at = next.UnixMilli()
	}
	return at, at > now && at <= TimeMax
}

// cronBytesMax bounds a cron expression.
const cronBytesMax = 256

// Errors of cron expressions.
var (
	errCronLong  = errors.New("it is too long")
	errCronZone  = errors.New("there is no such time zone")
	errCronEvery = errors.New("for @every there is SCHEDULE EVERY")
)

// CheckCron says what is wrong with a cron expression: minute, hour, day of the
// month, month, day of the week, or @hourly, @daily and the like, with "CRON_TZ=zone "
// before it for another zone than UTC.
func CheckCron(expr string) error {
	_, err := parseCron(expr)
	return err
}

// parseCron reads the time zone itself: the parser looks for its file each time,
// which takes longer than everything else, and panics where nothing follows.
func parseCron(expr string) (*cron.SpecSchedule, error) {
	if len(expr) > cronBytesMax {
		return nil, errCronLong
	}
	zone := time.UTC
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		rest, ok := strings.CutPrefix(expr, prefix)
		if !ok {
			continue
		}
		var name string
		name, expr, _ = strings.Cut(rest, " ")
		expr = strings.TrimSpace(expr)
		if zone = zoneOf(name); zone == nil {
			return nil, errCronZone
		}
		break
	}
	if strings.Contains(expr, "TZ=") {
		return nil, errCronZone // two of them
	}
	parsed, err := cron.ParseStandard(expr)
	if err != nil {
		return nil, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok { // @every
		return nil, errCronEvery
	}
	spec.Location = zone
	return spec, nil
}

// zones are the time zones that were asked for: there are only so many.
var zones sync.Map

// zoneOf returns the time zone of a name, or nil.
func zoneOf(name string) *time.Location {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location)
	}
	if name == "" || name == "Local" { // not a place
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	zones.Store(name, zone)
	return zone
}
