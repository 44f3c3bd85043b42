//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options are the flags of the program; the Makefile fills them from variables.
type options struct {
	cairn, peer string // paths
	folder      string
	out         string
	against     string
	only        string
	rounds      int
	quick       bool
	backlog     int
	page        string
}

// noPeer as the peer measures cairn alone.
const noPeer = "none"

const defaultRounds = 3

// rest is how long a server that has just started is left alone: what it does
// once and for all is no part of what a message costs.
const rest = 200 * time.Millisecond

func main() {
	// The load generator is one thread; and a server must not be killed because
	// the thread that started it is gone (Pdeathsig).
	runtime.LockOSThread()
	var o options
	flag.StringVar(&o.cairn, "cairn", "bin/cairn", "`path` of cairn")
	flag.StringVar(&o.peer, "peer", "redis-server", "`path` of what cairn is compared with: redis-server, valkey-server, another cairn; "+noPeer+" for nothing")
	flag.StringVar(&o.folder, "folder", "bin/bench-data", "`folder` for the data of both servers; it is emptied")
	flag.StringVar(&o.out, "out", "", "writes `name`.json and name.md (default docs/benchmarks for a whole run, nothing for a part)")
	flag.StringVar(&o.against, "against", "", "compares cairn with what an earlier report, a `file`, says")
	flag.StringVar(&o.only, "only", "", "measures the cases that match a `pattern`, such as publish or rpop-1/128B/P16/always")
	flag.IntVar(&o.rounds, "rounds", defaultRounds, "how `often` everything is measured")
	flag.BoolVar(&o.quick, "quick", false, "measures with a tenth of the messages")
	flag.IntVar(&o.backlog, "backlog", 0, "`messages` of 128 bytes in the backlog (default 5,000,000); two fifths of that of 1 KiB")
	flag.StringVar(&o.page, "page", "", "measures nothing: writes the page of a report, a `file`, again")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := o.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) error {
	if o.page != "" {
		r, err := readReport(o.page)
		if err != nil {
			return err
		}
		return writePage(r, strings.TrimSuffix(o.page, ".json"))
	}
	b, err := o.benchmark()
	if err != nil {
		return err
	}
	var before *Report
	if o.against != "" {
		if before, err = readReport(o.against); err != nil {
			return err
		}
	}
	if b.folder, err = filepath.Abs(o.folder); err != nil {
		return err
	}
	if err := os.MkdirAll(o.folder, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(o.folder)
	r, err := b.run(ctx)
	if err != nil {
		return err
	}
	r.About.Command, r.About.Options = o.command(), strings.Join(quoted(serverOptions("always|everysec")), " ")
	fmt.Print("\n", r.table(before))
	if o.out == "" && o.whole() {
		o.out = filepath.Join("docs", "benchmarks")
	}
	if o.out != "" {
		if err := errors.Join(r.write(o.out+".json"), writePage(r, o.out)); err != nil {
			return err
		}
		fmt.Printf("%s.md is written\n", o.out)
	}
	for _, c := range r.Cells {
		if failure := c.Cairn.failure(); failure != "" {
			return fmt.Errorf("cairn failed: %s: %s", c.name(), failure)
		}
	}
	return nil
}

func writePage(r *Report, name string) error {
	return os.WriteFile(name+".md", []byte(r.page(filepath.Base(name)+".json")), 0o644)
}

func (o *options) benchmark() (*benchmark, error) {
	b := &benchmark{folder: o.folder, rounds: o.rounds, scale: fullScale, random: rand.New(rand.NewPCG(rand.Uint64(), 0)), log: os.Stdout, rest: rest}
	if o.rounds < 1 {
		return nil, errors.New("less than one round")
	}
	if o.only != "" {
		pattern, err := regexp.Compile(o.only)
		if err != nil {
			return nil, fmt.Errorf("the pattern of cases: %w", err)
		}
		b.only = pattern
	}
	if o.quick {
		b.scale = quickScale
	}
	if o.backlog > 0 {
		b.scale.Backlog, b.scale.BacklogLarge = o.backlog, o.backlog*2/5
	}
	for _, path := range []string{o.cairn, o.peer} {
		if path == noPeer {
			continue
		}
		s, err := identify(path)
		if err != nil {
			return nil, err
		}
		b.servers = append(b.servers, s)
	}
	return b, nil
}

// whole says whether the run is one for the documentation.
func (o *options) whole() bool {
	return o.only == "" && !o.quick && o.backlog == 0 && o.peer == "redis-server"
}

// command is how to do the same again.
func (o *options) command() string {
	words := []string{"make bench"}
	if o.peer != "redis-server" {
		words = append(words, "PEER=/path/to/"+filepath.Base(o.peer))
	}
	if o.only != "" {
		words = append(words, "ONLY='"+o.only+"'")
	}
	if o.rounds != defaultRounds {
		words = append(words, fmt.Sprintf("ROUNDS=%d", o.rounds))
	}
	if o.quick {
		words = append(words, "QUICK=1")
	}
	if o.backlog > 0 {
		words = append(words, fmt.Sprintf("BACKLOG=%d", o.backlog))
	}
	return strings.Join(words, " ")
}

// quoted makes words fit for a shell, as far as they need it here.
func quoted(words []string) []string {
	for i, w := range words {
		if w == "" {
			words[i] = `""`
		}
	}
	return words
}

// identify asks a program what it is.
func identify(name string) (Server, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return Server{}, fmt.Errorf("%w (PEER=/path/to/one names another, PEER=%s measures cairn alone)", err, noPeer)
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return Server{}, fmt.Errorf("%s --version: %w", path, err)
	}
	s, err := parseVersion(string(out))
	s.path = path
	return s, err
}

// parseVersion takes what "Redis server v=7.0.15 sha=…", "Valkey server v=8.0.1 …"
// or "cairn v1.0 commit go1.26" say.
func parseVersion(text string) (Server, error) {
	words := strings.Fields(text)
	if len(words) >= 3 && words[1] == "server" {
		if version, ok := strings.CutPrefix(words[2], "v="); ok {
			return Server{Name: strings.ToLower(words[0]), Version: version}, nil
		}
	}
	if len(words) >= 2 && words[0] == "cairn" {
		return Server{Name: words[0], Version: words[1]}, nil
	}
	return Server{}, fmt.Errorf("not a server that is known: %.80q", text)
}
