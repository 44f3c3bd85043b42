//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A run is one scenario in one setting on one server.
type run struct {
	Setting
	ctx     context.Context // of the benchmark: it may be interrupted
	scale   Scale
	rest    time.Duration
	daemon  *daemon
	loop    *loop
	random  *rand.Rand
	limit   time.Duration // for each phase
	samples map[string]*Sample
	latest  string // case that was measured: what fails now is its fault
	latency latencies
}

// do starts the server with an empty data folder, runs the scenario and removes
// everything again. Cases without a sample have not been reached then.
func (r *run) do(ctx context.Context, s Server, folder string, course func(*run) error) (err error) {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if r.rest > 0 {
		// What the server before has written or removed must not be this one's burden.
		if err := syncFileSystem(filepath.Dir(folder)); err != nil {
			return err
		}
	}
	r.ctx = ctx
	if r.loop, err = newLoop(ctx); err != nil {
		return err
	}
	defer r.loop.close()
	if r.daemon, err = startDaemon(ctx, s, folder, r.Fsync); err != nil {
		return err
	}
	defer func() { r.daemon.kill() }()
	time.Sleep(r.rest)
	if err := course(r); err != nil {
		return fmt.Errorf("%w%s", err, r.daemon.lastWords())
	}
	return nil
}

// play gives connections a role. Replies are timed if the histogram is not nil.
func (r *run) play(latency *hdrhistogram.Histogram, role role, conns ...*conn) {
	for _, c := range conns {
		c.role, c.latency = role, latency
	}
}

// phase lets all connections play until done, and notes as a case what it cost.
func (r *run) phase(name string, messages int, latency *hdrhistogram.Histogram, done func() bool) (*Sample, error) {
	return r.measure(name, messages, latency, func() error { return r.loop.run(r.limit, done) })
}

// measure notes as a case what it costs to do something.
func (r *run) measure(name string, messages int, latency *hdrhistogram.Histogram, do func() error) (*Sample, error) {
	r.latest = name
	cpu, err := r.daemon.cpu()
	if err != nil {
		return nil, err
	}
	own := ownCPU()
	began := r.loop.clock()
	if err := do(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	seconds := float64(r.loop.now-began) / 1e9
	own = ownCPU() - own
	cpuAfter, err := r.daemon.cpu()
	if err != nil {
		return nil, err
	}
	s := &Sample{
		Messages: messages, Seconds: round4(seconds), Latency: latencyOf(latency),
		CPU: round4((cpuAfter - cpu).Seconds()), GeneratorCPU: round4(own.Seconds()),
	}
	if s.Memory, s.MemoryMax, err = r.daemon.memory(); err != nil {
		return nil, err
	}
	if s.Disk, err = r.daemon.disk(); err != nil {
		return nil, err
	}
	r.samples[name], r.latency[name] = s, latency
	return s, nil
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic("getrusage: " + err.Error()) // it has no reason to
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
