// Cairn is a message broker that speaks the Redis protocol and keeps every
// message on disk before it acknowledges it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/maintain"
	"github.com/cairnmq/cairn/server"
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
	if len(args) > 0 && maintain.Is(args[0]) {
		return maintain.Run(context.Background(), args[0], args[1:], os.Stdout, os.Stderr)
	}
	c := config.New()
	switch err := c.Load(args); {
	case errors.Is(err, config.ErrHelp):
		fmt.Print(config.Help(maintain.Usage))
		return nil
	case errors.Is(err, config.ErrVersion):
		commit := commands.Commit
		if strings.Contains(commands.Version, commit) { // as it does without a tag
			commit = ""
		}
		fmt.Println(strings.Join(strings.Fields("cairn "+commands.Version+" "+commit+" "+runtime.Version()), " "))
		return nil
	case err != nil:
		return err
	}
	// From here on: whoever has started cairn may ask it to end at any time. A
	// log that nobody reads any more is no such request.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGPIPE)
	log, err := openLog(c)
	if err != nil {
		return err
	}
	limitMemory(c)
	commands.ReserveGarbage(garbageReserve(c))
	store, err := openStore(c, log)
	if err != nil {
		return err
	}
	s, err := server.New(server.Options{Config: c, Store: store, Log: log, Started: started})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	go endOnSignal(signals, s, log)
	if err := s.Run(); err != nil {
		log.Warningf("Nothing more is acknowledged, cairn ends: %v", err)
		return err
	}
	log.Warningf("cairn has ended, all data are on disk")
	return nil
}

// endOnSignal ends the server in good order on the first signal, and at once if
// somebody presses Ctrl-C meanwhile. Another SIGTERM changes nothing: programs that
// run others send it twice, to what they have started and to its group.
func endOnSignal(signals <-chan os.Signal, s *server.Server, log *server.Log) {
	s.Stop("Received " + (<-signals).String())
	for <-signals != os.Interrupt {
	}
	log.Warningf("Received an interrupt: not waiting any longer")
	os.Exit(1)
}
