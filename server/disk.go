package server

import (
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// # Disk space
//
// The loop looks at the disk now and then, and at the latest after so many bytes
// were written. Where there is too little room (min-free-disk), or the store has
// too much of it (maxdisk), commands that add data are refused until there is
// enough again.

const (
	diskPeriod = 100 * time.Millisecond
	// diskBytes is how much is written at most between two looks.
	diskBytes = 8 << 20
	// A limit is over once there is a sixteenth more room than it asks for, so
	// that it does not come and go with every message.
	diskSlack = 16
	// spareRoom is how much more has to be free for spare log files to be made.
	spareRoom = 128 << 20
)

// disk is what the loop knows of the disk.
type disk struct {
	at      time.Time // of the last look
	written int64     // Store.Written then
	storage.Disk
	full bool
}

// tidy has what has been in memory for long written to disk, so that the space
// of what was taken away comes back.
func (l *loop) tidy(now time.Time) {
	if now.Before(l.tidyAt) {
		return
	}
	l.tidyAt = now.Add(tidyPeriod)
	if err := l.broker.Server().Store.FlushOld(now, l.disk.full); err != nil {
		l.log.Warningf("What is in memory could not be flushed: %v", err)
	}
}

// tidyPeriod is the time between two looks at what is in memory.
const tidyPeriod = time.Second

// lookAtDisk looks if it is time to.
func (l *loop) lookAtDisk(now time.Time) {
	store := l.broker.Server().Store
	d := &l.disk
	wrote := store.Written() - d.written
	if (wrote == 0 && !d.full && !d.at.IsZero()) || (now.Sub(d.at) < diskPeriod && wrote < diskBytes) {
		return
	}
	d.at, d.written = now, store.Written()
	stands, err := store.Disk()
	if err != nil {
		l.log.Warningf("The free space of %s cannot be told: %v", l.config.Dir, err)
		return
	}
	d.Disk = stands
	full := l.diskFull(d.full)
	l.broker.Server().Full = full
	l.broker.Server().Disk = commands.Disk{Free: stands.Free, Total: stands.Total, Used: stands.Used}
	// Spare files are not what the last room is for.
	store.KeepSpares(full == "" && (stands.Total == 0 || stands.Free > l.config.MinFreeDisk+spareRoom))
	if was := d.full; (full != "") != was {
		d.full = full != ""
		if d.full {
			l.log.Warningf("Commands that add data are refused: %s", full)
		} else {
			l.log.Warningf("There is room on the disk again: commands that add data are taken")
		}
	}
}

// diskFull returns the reply to those who want to add data, empty if there is
// room; was says whether there was none the last time.
func (l *loop) diskFull(was bool) resp.Error {
	d, slack := &l.disk, int64(0)
	known := d.Total > 0
	if least := l.config.MinFreeDisk; least > 0 && known {
		if was {
			slack = least / diskSlack
		}
		if d.Free < least+slack {
			return resp.Errorf("OOM command not allowed when free disk space < 'min-free-disk' (%d of %d bytes).", d.Free, least)
		}
	}
	if most := l.config.MaxDisk; most > 0 {
		if was {
			slack = most / diskSlack
		}
		if d.Used > most-slack {
			return resp.Errorf("OOM command not allowed when used disk space > 'maxdisk' (%d of %d bytes).", d.Used, most)
		}
	}
	if d.RanOut {
		return resp.Errorf("OOM command not allowed when the disk is full (%d bytes are free).", d.Free)
	}
	return ""
}
