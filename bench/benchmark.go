//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A benchmark is all that is to be measured.
type benchmark struct {
	servers []Server // cairn, and the peer if there is one
	folder  string   // for the data of both, one after the other
	only    *regexp.Regexp
	rounds  int
	scale   Scale
	random  *rand.Rand
	log     io.Writer
	rest    time.Duration // of the disk and the server before the load begins

	cells   []Cell
	latency []latencies // of each server, by cell, over all rounds
}

// A job is a scenario in one setting.
type job struct {
	*scenario
	Setting
	wanted []string // of its cases
}

// jobs are what the pattern leaves of the scenarios. It is matched with
// workload/case/payload/commands in flight/fsync.
func jobs(only *regexp.Regexp) (list []job) {
	for i := range scenarios {
		sc := &scenarios[i]
		for _, fsync := range sc.fsyncs {
			for _, inFlight := range sc.inFlights {
				for _, payload := range sc.payloads {
					j := job{sc, Setting{payload, inFlight, fsync}, nil}
					for _, name := range sc.cases {
						if only == nil || only.MatchString(name+"/"+j.Setting.String()) {
							j.wanted = append(j.wanted, name)
						}
					}
					if len(j.wanted) > 0 {
						list = append(list, j)
					}
				}
			}
		}
	}
	return list
}

// run does all jobs in each round, each on one server after the other. What
// fails is noted and does not end it. When it is interrupted the report is of the
// rounds that are complete, if there are any.
func (b *benchmark) run(ctx context.Context) (*Report, error) {
	list := jobs(b.only)
	if len(list) == 0 {
		return nil, fmt.Errorf("no case matches %v: a case is %s/%v, for example", b.only, scenarios[0].cases[0], Setting{128, 1, "always"})
	}
	for range b.servers {
		b.latency = append(b.latency, make(latencies))
	}
	for _, j := range list {
		for _, name := range j.wanted {
			b.cells = append(b.cells, Cell{Setting: j.Setting, Case: name})
		}
	}
	began, complete := time.Now(), 0
	var appending, overwriting []float64
	for complete < b.rounds {
		a, o, err := probeDisk(b.folder)
		if err != nil {
			return nil, err
		}
		if err := b.round(ctx, list, complete, began); err != nil {
			if complete == 0 {
				return nil, err
			}
			fmt.Fprintf(b.log, "\n%v: what follows is of %d of %d rounds\n", err, complete, b.rounds)
			break
		}
		appending, overwriting = append(appending, a), append(overwriting, o)
		complete++
	}
	machine, err := inspect(b.folder)
	if err != nil {
		return nil, err
	}
	machine.Append, machine.Overwrite = spread(appending), spread(overwriting)
	for i := range b.cells {
		c := &b.cells[i]
		for s := range b.servers {
			if h := b.latency[s][c.name()]; h != nil {
				c.series(s).Latency = latencyOf(h)
			}
		}
	}
	r := &Report{About: About{
		Date: began.UTC().Format("2006-01-02 15:04 MST"), Minutes: round4(time.Since(began).Minutes()), Rounds: complete,
		Scale: b.scale, Machine: machine, Cairn: b.servers[0],
	}, Cells: b.cells}
	if len(b.servers) > 1 {
		r.About.Peer = b.servers[1]
	}
	return r, nil
}

// round does all jobs once, and forgets what it has measured if it is interrupted.
func (b *benchmark) round(ctx context.Context, list []job, round int, began time.Time) error {
	before := make([]Cell, len(b.cells))
	copy(before, b.cells)
	var measured []latencies
	for range b.servers {
		measured = append(measured, make(latencies))
	}
	first := 0 // of the job's cells
	for _, j := range list {
		cells := b.cells[first:][:len(j.wanted)]
		first += len(j.wanted)
		if j.costly && round > 0 {
			continue
		}
		for i := range b.servers {
			elapsed := time.Since(began).Round(time.Second)
			fmt.Fprintf(b.log, "%d/%d %6v %-6s %s", round+1, b.rounds, elapsed, b.servers[i].Name, j.Setting)
			b.do(ctx, j, cells, i, measured[i])
			if ctx.Err() != nil {
				copy(b.cells, before)
				return errInterrupted
			}
		}
	}
	for i, l := range measured {
		for name, h := range l {
			b.latency[i].add(name, h)
		}
	}
	return nil
}

// do does a job on one server and notes the samples of its cells, and latencies.
func (b *benchmark) do(ctx context.Context, j job, cells []Cell, server int, measured latencies) {
	r := &run{
		Setting: j.Setting, scale: b.scale, rest: b.rest, random: b.random, limit: j.limit,
		samples: make(map[string]*Sample), latency: make(latencies),
	}
	err := r.do(ctx, b.servers[server], filepath.Join(b.folder, "server"), j.scenario.run)
	for i := range cells {
		c := &cells[i]
		sample := r.samples[c.Case]
		if err != nil && (sample == nil || c.Case == r.latest) {
			sample = &Sample{Failure: err.Error()}
		}
		if sample == nil {
			panic("bench: the scenario of " + c.Case + " has not measured it")
		}
		series := c.series(server)
		series.Samples = append(series.Samples, *sample)
		fmt.Fprintf(b.log, "  %s %s", c.Case, sample.brief())
		if h := r.latency[c.Case]; h != nil && sample.Failure == "" {
			measured.add(c.name(), h)
		}
	}
	fmt.Fprintln(b.log)
	if err != nil {
		fmt.Fprintf(b.log, "    FAILED: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n    "))
	}
}

// series are the samples of cairn, 0, or of the peer, 1.
func (c *Cell) series(server int) *Series {
	if server == 0 {
		return &c.Cairn
	}
	return &c.Peer
}
