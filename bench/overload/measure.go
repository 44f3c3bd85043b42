//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/redis/go-redis/v9"
)

const (
	queue      = "jobs"
	producers  = 24
	consumers  = 16
	stampBytes = 48 // that the head of a message takes at most
	warmUp     = 5 * time.Second
)

// The columns of what is measured, each second.
const (
	accepted = iota
	refused
	pushP99 // ms
	ageP99  // ms
	depth
	memory // MB
	columns
)

// measurement is what one setting has given.
type measurement struct {
	way     string
	seconds [][columns]float64

	mu                          sync.Mutex
	accepted, refused, consumed int
	now                         [columns]float64
	push, age                   *hdrhistogram.Histogram
	seen                        [producers][]byte // of each message: accepted, consumed
	wrong                       int
	failed                      error
}

const (
	wasAccepted = 1 << iota
	wasConsumed
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 600_000_000, 3) }

// measure starts a server, and lets producers and consumers at it.
func (o *options) measure(ctx context.Context, way string) (*measurement, error) {
	server, addr, err := o.start()
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	// Without retries of its own, so that each refusal is seen.
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, PoolSize: producers + consumers + 2, ReadTimeout: time.Minute})
	defer rdb.Close()
	for rdb.Ping(ctx).Err() != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		time.Sleep(10 * time.Millisecond)
	}
	set := []any{"POLICY", "SET", queue, "PATTERN", queue, "MAXLEN", o.maxLen, "OVERFLOW"}
	for _, word := range strings.Fields(way) {
		set = append(set, word)
	}
	if err := rdb.Do(ctx, set...).Err(); err != nil {
		return nil, err
	}
	m := &measurement{way: way, push: newHistogram(), age: newHistogram()}
	producing, stop := context.WithTimeout(ctx, warmUp+o.time)
	defer stop()
	var sending, taking sync.WaitGroup
	for p := range producers {
		sending.Go(func() { o.produce(producing, rdb, m, p) })
	}
	sent := make(chan struct{})
	for range consumers {
		taking.Go(func() { o.consume(ctx, rdb, m, sent) })
	}
	m.watch(producing, rdb, server.Process.Pid)
	sending.Wait()
	close(sent)
	taking.Wait()
	m.check()
	return m, errors.Join(m.failed, ctx.Err())
}

func (o *options) start() (*exec.Cmd, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, "", err
	}
	if err := errors.Join(os.RemoveAll(o.folder), os.MkdirAll(o.folder, 0o755)); err != nil {
		return nil, "", err
	}
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command(o.cairn, "--dir", o.folder, "--port", port, "--appendfsync", "always", "--loglevel", "warning")
	server.Stdout, server.Stderr = os.Stderr, os.Stderr
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return server, addr, server.Start()
}

// produce pushes at its share of the rate. One that was held up does not catch up.
func (o *options) produce(ctx context.Context, rdb *redis.Client, m *measurement, number int) {
	every := time.Second * producers / time.Duration(overload*o.rate)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	padding := strings.Repeat("x", o.bytes)
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		began := time.Now()
		message := fmt.Sprintf("%d %d %d ", number, i, began.UnixNano())
		// What was begun comes to its end: only then it is known what became of it.
		err := rdb.RPush(context.WithoutCancel(ctx), queue, message+padding[len(message):]).Err()
		m.pushed(number, i, time.Since(began), err)
	}
}

func (m *measurement) pushed(number, i int, took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.accepted++
		m.now[accepted]++
		m.failed = errors.Join(m.failed, m.push.RecordValue(took.Microseconds()))
		m.mark(number, i, wasAccepted)
	case strings.HasPrefix(err.Error(), "TRYAGAIN "):
		m.refused++
		m.now[refused]++
	case m.failed == nil:
		m.failed = err
	}
}

// mark notes what became of a message; a second time it is wrong.
func (m *measurement) mark(number, i int, what byte) {
	for len(m.seen[number]) <= i {
		m.seen[number] = append(m.seen[number], 0)
	}
	if m.seen[number][i]&what != 0 {
		m.wrong++
	}
	m.seen[number][i] |= what
}

// consume takes its share of the rate, also after it was held up, and what is left
// when the producers are done.
func (o *options) consume(ctx context.Context, rdb *redis.Client, m *measurement, sent <-chan struct{}) {
	every := time.Second * consumers / time.Duration(o.rate)
	for due := time.Now().Add(every); ; due = due.Add(every) {
		done := false
		select {
		case <-ctx.Done():
			return
		case <-sent:
			done = true
		case <-time.After(time.Until(due)):
		}
		message, err := rdb.LPop(ctx, queue).Result()
		switch {
		case errors.Is(err, redis.Nil) && done:
			return
		case errors.Is(err, redis.Nil):
		case err != nil:
			m.mu.Lock()
			m.failed = errors.Join(m.failed, err)
			m.mu.Unlock()
			return
		default:
			m.took(message)
		}
	}
}

func (m *measurement) took(message string) {
	var number, i int
	var began int64
	_, err := fmt.Sscan(message, &number, &i, &began)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.failed = errors.Join(m.failed, err)
		return
	}
	m.consumed++
	m.mark(number, i, wasConsumed)
	m.failed = errors.Join(m.failed, m.age.RecordValue((time.Now().UnixNano()-began)/1000))
}

// watch notes each second how it is going, after the warm-up.
func (m *measurement) watch(ctx context.Context, rdb *redis.Client, pid int) {
	began, ticker := time.Now(), time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		length, err := rdb.LLen(ctx, queue).Result()
		if err != nil {
			return // the time is over; else the others see it
		}
		m.mu.Lock()
		m.now[pushP99] = float64(m.push.ValueAtPercentile(99)) / 1000
		m.now[ageP99] = float64(m.age.ValueAtPercentile(99)) / 1000
		m.now[depth], m.now[memory] = float64(length), residentMB(pid)
		if time.Since(began) > warmUp {
			m.seconds = append(m.seconds, m.now)
		}
		m.now = [columns]float64{}
		m.push.Reset()
		m.age.Reset()
		m.mu.Unlock()
	}
}

func residentMB(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 1 {
		if pages, err := strconv.Atoi(fields[1]); err == nil {
			return float64(pages*os.Getpagesize()) / 1e6
		}
	}
	return 0
}

// check counts the messages that were lost, or came without having been accepted.
func (m *measurement) check() {
	for _, messages := range m.seen {
		for _, what := range messages {
			if what != 0 && what != wasAccepted|wasConsumed {
				m.wrong++
			}
		}
	}
	if m.wrong > 0 {
		m.failed = errors.Join(m.failed, fmt.Errorf("%d messages were lost, or came twice", m.wrong))
	}
}

func (m *measurement) column(c int, of [][columns]float64) (values []float64) {
	for _, second := range of {
		values = append(values, second[c])
	}
	return values
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (m *measurement) median(c int) float64 { return median(m.column(c, m.seconds)) }
func (m *measurement) most(c int) float64   { return slices.Max(m.column(c, m.seconds)) }

// thirds returns the medians of the first and the last third.
func (m *measurement) thirds(c int) (first, last float64) {
	n := len(m.seconds) / 3
	return median(m.column(c, m.seconds[:n])), median(m.column(c, m.seconds[len(m.seconds)-n:]))
}
