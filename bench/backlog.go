//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// diskInterval is how often the size of the data folder is looked at while it
// grows.
const diskInterval = 100 * time.Millisecond

// backlog piles messages up in a list, kills the server, starts it again and
// takes all of them, which the server has nothing of in memory. Then it does the
// same once more without a restart.
func backlog(r *run) error {
	total := r.scale.Backlog
	if r.Payload > 512 {
		total = r.scale.BacklogLarge
	}
	p, err := r.pileUp("backlog/fill", total)
	if err != nil {
		return err
	}
	r.loop.hangUp()
	r.daemon.kill()
	if err := r.daemon.start(r.ctx, r.Fsync); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	restarted := time.Since(r.daemon.started)
	if err := r.daemon.expect(total, "LLEN", "list:0"); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := r.loop.connect(r.daemon.port, connections, nil); err != nil {
		return err
	}
	s, err := r.drain("backlog/drain-cold", p, 1)
	if err != nil {
		return err
	}
	s.Numbers = map[string]float64{restartSeconds: round4(restarted.Seconds())}
	r.loop.hangUp()
	if p, err = r.pileUp("", total); err != nil {
		return err
	}
	if s, err = r.drain("backlog/drain-warm", p, 1); err != nil {
		return err
	}
	select {
	case <-time.After(time.Duration(r.scale.Cooling) * time.Second):
	case <-r.ctx.Done():
		return errInterrupted
	}
	disk, err := r.daemon.disk()
	s.Numbers = map[string]float64{diskCooled: float64(disk)}
	return err
}

// pileUp connects and pushes. Without a name it is no case.
func (r *run) pileUp(name string, total int) (*publisher, error) {
	p := r.pusher(total, 1)
	if err := r.loop.connect(r.daemon.port, connections, p); err != nil {
		return nil, err
	}
	if name == "" {
		return p, r.loop.run(r.limit, p.done)
	}
	latency := newHistogram()
	r.play(latency, p, r.loop.conns...)
	peak := watchDisk(r.daemon)
	began := r.loop.clock()
	s, err := r.phase(name, total, latency, p.done)
	most, diskErr := peak()
	if err := errors.Join(err, diskErr); err != nil {
		return nil, err
	}
	tenth := float64(total / 10)
	s.Numbers = map[string]float64{
		firstTenthRate: round4(tenth / float64(p.firstTenth-began) * 1e9),
		lastTenthRate:  round4(tenth / float64(r.loop.now-p.lastTenth) * 1e9),
		diskPeak:       float64(max(most, s.Disk)),
	}
	return p, nil
}

// watchDisk looks at the data folder until it is asked for the most that it saw.
func watchDisk(d *daemon) func() (int64, error) {
	type found struct {
		most int64
		err  error
	}
	stop, result := make(chan bool), make(chan found)
	go func() {
		var f found
		for {
			select {
			case <-stop:
				result <- f
				return
			case <-time.After(diskInterval):
				n, err := d.disk()
				f.most, f.err = max(f.most, n), errors.Join(f.err, err)
			}
		}
	}()
	return func() (int64, error) {
		close(stop)
		f := <-result
		return f.most, f.err
	}
}
