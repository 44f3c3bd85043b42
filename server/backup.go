package server

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

// BackupDir returns the folder of the backups.
func BackupDir(c *config.Config) string {
	if c.BackupDir != "" {
		return c.BackupDir
	}
	return filepath.Join(c.Dir, "backups")
}

// startBackup makes a backup of what has been committed, in a goroutine of its
// own: commands go on meanwhile.
func (l *loop) startBackup(now time.Time) {
	b := &l.broker.Server().Backups
	b.Wanted, b.Began = false, now
	dir, keep, store := BackupDir(l.config), l.config.BackupKeep, l.broker.Server().Store
	changes := store.Changes
	path := filepath.Join(dir, storage.BackupName(now))
	l.log.Printf(Notice, "Backup to %s begins", path)
	l.background.Go(func() {
		bytes, err := store.Backup(path)
		if err != nil {
			err = fmt.Errorf("backup to %s: %w", path, err)
			l.log.Warningf("%v", err)
		} else {
			l.log.Printf(Notice, "Backup to %s is complete: %d bytes", path, bytes)
			if err := store.KeepBackups(dir, keep); err != nil {
				l.log.Warningf("Old backups could not be removed: %v", err)
			}
		}
		l.inbox.post(func() {
			l.broker.Server().BackupEnded(path, bytes, changes, time.Now(), err)
			if b.Wanted {
				l.startBackup(time.Now())
			}
		})
	})
}
