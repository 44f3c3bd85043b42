package server

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairnmq/cairn/config"
)

// Level is the weight of a log line.
type Level int32

const (
	Debug Level = iota
	Verbose
	Notice
	Warning
	nothing
)

// levelMarks are what Redis writes for each level; tools look for them.
const levelMarks = ".-*#"

// Log writes lines in Redis' form. It may be used from any goroutine.
type Log struct {
	least atomic.Int32

	mu  sync.Mutex
	out io.Writer
}

// OpenLog returns a log that appends to the file at path, or writes to standard
// output if path is empty, the lines of the given loglevel and above.
func OpenLog(path, loglevel string) (*Log, error) {
	l := &Log{out: os.Stdout}
	l.SetLevel(loglevel)
	if path == "" {
		return l, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	l.out = file
	return l, nil
}

// SetLevel changes what is written, by the name that the directive loglevel
// uses.
func (l *Log) SetLevel(loglevel string) {
	level := Notice
	switch loglevel {
	case config.LogDebug:
		level = Debug
	case config.LogVerbose:
		level = Verbose
	case config.LogWarning:
		level = Warning
	case config.LogNothing:
		level = nothing
	}
	l.least.Store(int32(level))
}

// Enabled reports whether lines of a level are written.
func (l *Log) Enabled(level Level) bool { return int32(level) >= l.least.Load() }

// Printf writes a line. A log that cannot be written to is no reason to stop.
func (l *Log) Printf(level Level, format string, args ...any) {
	if !l.Enabled(level) {
		return
	}
	line := fmt.Appendf(nil, "%d:M %s %c ", os.Getpid(), time.Now().Format("02 Jan 2006 15:04:05.000"), levelMarks[level])
	line = append(fmt.Appendf(line, format, args...), '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.out.Write(line)
}

// Warningf writes a line that an operator should see.
func (l *Log) Warningf(format string, args ...any) { l.Printf(Warning, format, args...) }
