//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	readyTimeout   = 5 * time.Minute // a peer may load a large log first
	readyInterval  = time.Millisecond
	answerTimeout  = time.Minute
	logShownBytes  = 500
	ticksPerSecond = 100 // of the times in /proc, whatever the kernel's own
)

// A daemon is a server process with a data folder of its own.
type daemon struct {
	server  Server
	port    int
	folder  string // data and log lie in it
	started time.Time
	process *exec.Cmd
	ended   chan error // the process has ended
}

// startDaemon starts a server and waits until it answers.
func startDaemon(ctx context.Context, s Server, folder, fsync string) (*daemon, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	d := &daemon{server: s, port: port, folder: folder}
	if err := os.MkdirAll(d.data(), 0o755); err != nil {
		return nil, err
	}
	if err := d.start(ctx, fsync); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *daemon) data() string {
	return filepath.Join(d.folder, "data")
}

func (d *daemon) logFile() string {
	return filepath.Join(d.folder, "log")
}

// start starts the process. Cairn and its peers take the same options.
func (d *daemon) start(ctx context.Context, fsync string) error {
	log, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append([]string{"--port", strconv.Itoa(d.port), "--dir", d.data()}, serverOptions(fsync)...)
	d.process = exec.Command(d.server.path, args...)
	d.process.Stdout, d.process.Stderr = log, log
	d.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not survive the benchmark
	d.started = time.Now()
	if err := d.process.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.server.Name, err)
	}
	ended := make(chan error, 1)
	d.ended = ended
	process := d.process
	go func() { ended <- process.Wait() }()
	if err := d.waitReady(ctx); err != nil {
		d.kill()
		return fmt.Errorf("%w%s", err, d.lastWords())
	}
	return nil
}

// serverOptions are those that a server runs with, beside its port and folders.
func serverOptions(fsync string) []string {
	return []string{
		"--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--maxclients", strconv.Itoa(clientsMax), "--loglevel", "warning",
	}
}

// waitReady returns at the first reply that is not "loading".
func (d *daemon) waitReady(ctx context.Context) error {
	for time.Since(d.started) < readyTimeout {
		reply, err := d.ask("PING")
		if err == nil && string(reply[0].text) == "PONG" {
			return nil
		}
		select {
		case <-d.ended:
			d.ended <- nil // for kill
			return fmt.Errorf("%s ended instead of answering", d.server.Name)
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(readyInterval):
		}
	}
	return fmt.Errorf("%s has not answered within %v", d.server.Name, readyTimeout)
}

// ask sends a command on a connection of its own and returns the reply.
func (d *daemon) ask(words ...string) ([]token, error) {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", d.port), answerTimeout)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write(command(nil, words...)); err != nil {
		return nil, err
	}
	var p parser
	var reply []token
	held, buffer := []byte(nil), make([]byte, 4096)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return nil, err
		}
		held = append(held, buffer[:n]...)
		for {
			var t token
			n, err := p.next(held, &t)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				break
			}
			held = held[n:]
			reply = append(reply, t)
			if t.kind == '-' {
				return nil, fmt.Errorf("%s: %s", words[0], t.text)
			}
			if t.last {
				return reply, nil
			}
		}
	}
}

// expect asks for a number and compares it.
func (d *daemon) expect(want int, words ...string) error {
	reply, err := d.ask(words...)
	if err == nil && (reply[0].kind != ':' || reply[0].n != want) {
		err = fmt.Errorf("%s %s: %d, want %d", words[0], words[1], reply[0].n, want)
	}
	return err
}

// kill ends the process at once, as a crash does.
func (d *daemon) kill() {
	d.process.Process.Kill() // it may have ended by itself
	<-d.ended
}

// lastWords is what the server's log ends with, for an error.
func (d *daemon) lastWords() string {
	text, err := os.ReadFile(d.logFile())
	if err != nil || len(text) == 0 {
		return ""
	}
	return "\nits log ends: " + string(text[max(0, len(text)-logShownBytes):])
}

// cpu is the processor time that the server has used, with the children that it
// waited for, such as one that rewrites a log.
func (d *daemon) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseStat(text)
}

// parseStat adds up utime, stime, cutime and cstime of /proc/PID/stat.
func parseStat(text []byte) (time.Duration, error) {
	const first, after = 11, 15 // counted from behind the name, which may hold anything
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < after {
		return 0, errors.New("/proc/PID/stat: too short")
	}
	ticks := 0
	for _, f := range fields[first:after] {
		n, err := strconv.Atoi(string(f))
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// memory is what the process has in memory now and at most since it started,
// in bytes.
func (d *daemon) memory() (now, most int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.process.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			now = kb << 10
		} else if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			most = kb << 10
		}
	}
	return now, most, nil
}

// disk is what the data folder takes on disk, in bytes: blocks, not lengths of
// files.
func (d *daemon) disk() (int64, error) {
	var sum int64
	err := filepath.WalkDir(d.data(), func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		const block = 512
		sum += info.Sys().(*syscall.Stat_t).Blocks * block
		return nil
	})
	return sum, err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
