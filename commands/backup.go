package commands

import (
	"time"

	"github.com/cairnmq/cairn/resp"
)

// Backups is what is known of the backups that BGSAVE makes. The server makes
// them, outside the loop: it looks at Wanted after each turn.
type Backups struct {
	// Wanted asks for a backup, Began is when the one that runs began (zero: none
	// does), Again asks for another one after it.
	Wanted, Again bool
	Began         time.Time

	// Of the last one that came to its end.
	Path   string
	Bytes  int64
	Took   time.Duration
	Error  string // empty: it is complete
	Failed int64  // how many were not

	// Changes is how many changes there had been when the last complete one began.
	Changes int64
}

// Running reports whether a backup is being made, or about to be.
func (b *Backups) Running() bool { return b.Wanted || !b.Began.IsZero() }

// BackupEnded notes how the backup that runs has ended.
func (srv *Server) BackupEnded(path string, bytes, changes int64, now time.Time, err error) {
	b := &srv.Backups
	b.Took, b.Began = now.Sub(b.Began), time.Time{}
	if err != nil {
		b.Error = err.Error()
		b.Failed++
	} else {
		b.Path, b.Bytes, b.Changes, b.Error = path, bytes, changes, ""
		srv.LastSave = now
	}
	if b.Again {
		b.Again, b.Wanted = false, true
	}
}

const errBackupRuns resp.Error = "ERR Background save already in progress"

// bgsave has a backup made. Its reply does not wait for it.
func bgsave(c *Ctx) error {
	schedule := c.Args.More() && c.Args.Word("SCHEDULE")
	if c.Args.More() {
		return ErrSyntax
	}
	b := &c.Server.Backups
	switch {
	case !b.Running():
		b.Wanted = true
		c.Out.Simple("Background saving started")
	case schedule:
		b.Again = true
		c.Out.Simple("Background saving scheduled")
	default:
		return errBackupRuns
	}
	return nil
}

// save has the turn's commit synced, whatever the policy: the reply says that
// all before it is on disk.
func (c *Ctx) save() {
	c.Server.SyncTurn = true
	c.Server.LastSave = c.Tx.Now()
}

// lastSave is when SAVE or BGSAVE last came to a good end, the start of the
// process if neither has.
func (srv *Server) lastSave() time.Time {
	if srv.LastSave.IsZero() {
		return srv.Started
	}
	return srv.LastSave
}

func infoBackups(r *report) {
	b := &r.c.Server.Backups
	running, status := 0, "ok"
	if b.Running() {
		running = 1
	}
	if b.Error != "" {
		status = "err"
	}
	last, current := int64(-1), int64(-1)
	if b.Path != "" || b.Error != "" {
		last = seconds(b.Took)
	}
	if !b.Began.IsZero() {
		current = seconds(r.c.Tx.Now().Sub(b.Began))
	}
	r.put("rdb_changes_since_last_save", r.c.Server.Store.Changes-b.Changes)
	r.put("rdb_bgsave_in_progress", running)
	r.put("rdb_last_save_time", r.c.Server.lastSave().Unix())
	r.put("rdb_last_bgsave_status", status)
	r.put("rdb_last_bgsave_time_sec", last)
	r.put("rdb_current_bgsave_time_sec", current)
}

func infoBackupDetails(r *report) {
	b := &r.c.Server.Backups
	r.put("backup_last_path", b.Path)
	r.put("backup_last_bytes", b.Bytes)
	r.put("backup_last_error", b.Error)
	r.put("backup_failures", b.Failed)
}
