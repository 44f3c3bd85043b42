// Cairn is a message broker that speaks the Redis protocol and keeps every
// message on disk before it acknowledges it.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/server"
	"github.com/cairnmq/cairn/storage"
)

// version and commit are set by the Makefile.
var version, commit string

func main() {
	if version != "" {
		commands.Version, commands.Commit = version, commit
	}
	if err := run(time.Now(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cairn:", err)
		os.Exit(1)
	}
}

func run(started time.Time, args []string) error {
	c := config.New()
	switch err := c.Load(args); {
	case errors.Is(err, config.ErrHelp):
		fmt.Print(config.Help())
		return nil
	case errors.Is(err, config.ErrVersion):
		fmt.Println("cairn", commands.Version, commands.Commit, runtime.Version())
		return nil
	case err != nil:
		return err
	}
	log, err := openLog(c)
	if err != nil {
		return err
	}
	store, err := openStore(c, log)
	if err != nil {
		return err
	}
	s, err := server.New(server.Options{Config: c, Store: store, Log: log, Started: started})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	go endOnSignal(s, log)
	if err := s.Run(); err != nil {
		log.Warningf("Nothing more is acknowledged, cairn ends: %v", err)
		return err
	}
	log.Warningf("cairn has ended, all data are on disk")
	return nil
}

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

func openStore(c *config.Config, log *server.Log) (*storage.Store, error) {
	store, err := storage.Open(c.Dir, storage.Options{
		Sync:            server.SyncPolicy(c),
		CacheBytes:      int(c.ObjectCacheSize),
		BlockCacheBytes: c.BlockCacheSize,
		Seed:            rand.Uint64(),
		Logf:            log.Warningf,
	})
	switch {
	case errors.Is(err, storage.ErrLocked):
		return nil, fmt.Errorf("%s: %w: stop that one or name another folder with --dir", c.Dir, err)
	case errors.Is(err, storage.ErrFormat):
		return nil, fmt.Errorf("%s: %w: start the newer cairn, or name another folder with --dir", c.Dir, err)
	case errors.Is(err, storage.ErrForeign):
		return nil, fmt.Errorf("%s: %w: name another folder with --dir", c.Dir, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the data folder %s is not writable: %w: change its owner or name another with --dir", c.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("the data folder %s: %w", c.Dir, err)
	}
	return store, nil
}

// endOnSignal ends the server in good order on the first signal and at once on
// the second.
func endOnSignal(s *server.Server, log *server.Log) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	s.Stop("Received " + (<-signals).String())
	<-signals
	log.Warningf("Received a second signal: not waiting any longer")
	os.Exit(1)
}
