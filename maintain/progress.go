package maintain

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress shows on a terminal how far something has come, in one line that is
// written over; elsewhere, which may be a log, in a line now and then.
type progress struct {
	w        io.Writer // nil: nobody wants to know
	terminal bool
	shown    bool
	at       time.Time
}

const (
	terminalPeriod = 200 * time.Millisecond
	logPeriod      = 10 * time.Second
)

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, at: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// told takes a step: done of total, 0 if that is not known.
func (p *progress) told(doing string, done, total int64) {
	period := logPeriod
	if p.terminal {
		period = terminalPeriod
	}
	now := time.Now()
	if p.w == nil || now.Sub(p.at) < period {
		return
	}
	p.at = now
	text := fmt.Sprintf("%s: %d", doing, done)
	if total > 0 {
		text = fmt.Sprintf("%s: %d %%", doing, 100*done/total)
	}
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	fmt.Fprintf(p.w, "\r%-60s", text)
	p.shown = true
}

// clear makes room for another line.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprintf(p.w, "\r%-60s\r", "")
		p.shown = false
	}
}

// size writes a number of bytes as people read it.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f := float64(n)
	for f >= 1024 && len(units) > 1 {
		f, units = f/1024, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[0])
}
