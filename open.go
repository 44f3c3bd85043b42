package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/server"
	"github.com/cairnmq/cairn/storage"
)

// openLog opens the log, and has a crash of the program reported there, too.
func openLog(c *config.Config) (*server.Log, error) {
	log, err := server.OpenLog(c.LogFile, c.LogLevel)
	if err != nil {
		return nil, fmt.Errorf("cannot write the log: %w: check --logfile", err)
	}
	if c.LogFile == "" {
		return log, nil
	}
	crashes, err := os.OpenFile(c.LogFile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot write the log: %w: check --logfile", err)
	}
	defer crashes.Close() // SetCrashOutput keeps a duplicate
	if err := debug.SetCrashOutput(crashes, debug.CrashOptions{}); err != nil {
		return nil, fmt.Errorf("cannot write crashes to the log: %w", err)
	}
	return log, nil
}

// batchBytes is how much of the memory that there is the writes of a turn may take.
func batchBytes() int64 {
	if total := commands.MemoryLimit(); total > 0 {
		return min(storage.BatchBytesMax, max(total/4, 256<<20))
	}
	return 0
}

// openStore opens the data folder. An error says what to do about it.
func openStore(c *config.Config, log *server.Log) (*storage.Store, error) {
	if err := checkWritable(c.Dir); err != nil {
		return nil, err
	}
	started := time.Now()
	store, err := storage.Open(c.Dir, storage.Options{
		Sync:            server.SyncPolicy(c),
		CacheBytes:      int(c.ObjectCacheSize),
		BlockCacheBytes: c.BlockCacheSize,
		BatchBytes:      batchBytes(),
		Seed:            rand.Uint64(),
		Logf:            log.Warningf,
		Elapsed:         func() time.Duration { return time.Since(started) },
		Fatal: func(reason string) {
			log.Warningf("Nothing more is acknowledged, cairn ends: the storage engine cannot go on: %s", reason)
			os.Exit(1)
		},
	})
	switch {
	case errors.Is(err, storage.ErrLocked):
		return nil, fmt.Errorf("%s: %w: stop that one or name another folder with --dir", c.Dir, err)
	case errors.Is(err, storage.ErrFormat):
		return nil, fmt.Errorf("%s: %w: start the newer cairn, or name another folder with --dir", c.Dir, err)
	case errors.Is(err, storage.ErrForeign), errors.Is(err, storage.ErrDraft):
		return nil, fmt.Errorf("%s: %w: name another folder with --dir", c.Dir, err)
	case errors.Is(err, storage.ErrDamaged):
		return nil, fmt.Errorf("%s: %w: keep a copy of the folder, `cairn check --dir %s` tells more, `cairn restore` brings a backup back", c.Dir, err, c.Dir)
	case errors.Is(err, syscall.ENOSPC):
		return nil, fmt.Errorf("the data folder %s: %w: free some space on that disk", c.Dir, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, notWritable(c.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("the data folder %s: %w", c.Dir, err)
	}
	return store, nil
}

// checkWritable looks at a folder that exists already: the store could not tell
// one that belongs to somebody else from one that is in use.
func checkWritable(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // the store makes it, durably
	case err == nil && !info.IsDir():
		return fmt.Errorf("the data folder %s is not a folder: name another with --dir", dir)
	}
	probe, err := os.CreateTemp(dir, ".probe-")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return notWritable(dir, err)
	}
	return nil
}

func notWritable(dir string, err error) error {
	return fmt.Errorf("the data folder %s is not writable: %w: change its owner or name another with --dir", dir, err)
}
