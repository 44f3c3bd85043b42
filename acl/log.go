package acl

import (
	"slices"
	"time"
)

// Where a call was refused.
const (
	Toplevel = "toplevel"
	InMulti  = "multi"
	// Scheduled is where a command ran later in somebody's name.
	Scheduled = "schedule"
)

const (
	// groupingMax is how long refusals of one kind are counted as one entry.
	groupingMax = 60 * time.Second
	// groupingDepth is how many entries are looked at for one of the kind.
	groupingDepth = 10
	// namesBytesMax bounds what an entry keeps of names that clients choose.
	namesBytesMax = 1024
)

// Entry is what the log keeps of refused calls of one kind.
type Entry struct {
	ID       int64
	Count    int64
	Reason   Denied
	Context  string
	Object   string // the command, key or channel
	User     string
	Client   string // the last one
	Created  time.Time
	LastSeen time.Time
}

// Log keeps refused calls, newest first. The zero value is empty.
type Log struct {
	entries []Entry
	lastID  int64
}

// Add notes a refused call; the log is to hold no more than max entries.
func (l *Log) Add(e Entry, max int) {
	e.Object, e.User = clip(e.Object), clip(e.User)
	e.Count, e.Created = 1, e.LastSeen
	if i := slices.IndexFunc(l.entries[:min(groupingDepth, len(l.entries))], e.like); i >= 0 {
		e.Count, e.Created, e.ID = l.entries[i].Count+1, l.entries[i].Created, l.entries[i].ID
		l.entries = slices.Delete(l.entries, i, i+1)
	} else {
		e.ID = l.lastID
		l.lastID++
	}
	l.entries = slices.Insert(l.entries, 0, e)
	if len(l.entries) > max {
		l.entries = slices.Delete(l.entries, max, len(l.entries))
	}
}

func (e Entry) like(other Entry) bool {
	return e.Reason == other.Reason && e.Context == other.Context && e.Object == other.Object && e.User == other.User &&
		e.LastSeen.Sub(other.LastSeen).Abs() <= groupingMax
}

func clip(s string) string { return s[:min(len(s), namesBytesMax)] }

// Get returns the newest n entries, newest first.
func (l *Log) Get(n int64) []Entry { return l.entries[:min(n, int64(len(l.entries)))] }

// Reset empties the log. Numbers go on.
func (l *Log) Reset() { l.entries = nil }
