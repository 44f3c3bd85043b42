//go:build linux

package main

import (
	"strconv"
	"time"
)

const (
	connections = 50
	clientsMax  = 11_000 // maxclients of the servers: the idle ones and some more

	phaseLimit   = time.Minute
	backlogLimit = 10 * time.Minute
)

// A scenario is a course of phases on a server that has just been started with
// an empty data folder. Phases that belong to no case only prepare.
type scenario struct {
	cases     []string // workload/case
	payloads  []int    // bytes
	inFlights []int
	fsyncs    []string
	limit     time.Duration
	costly    bool // takes minutes: done in the first round only
	run       func(*run) error
}

var (
	bothPayloads  = []int{128, 1024}
	bothInFlights = []int{1, 16}
	bothFsyncs    = []string{"always", "everysec"}
	always        = []string{"always"}
)

var scenarios = []scenario{
	{[]string{"publish/lpush-1", "consume/rpop-1"}, bothPayloads, bothInFlights, bothFsyncs, phaseLimit, false, lists(1)},
	{[]string{"publish/lpush-1000", "consume/rpop-1000"}, bothPayloads, bothInFlights, bothFsyncs, phaseLimit, false, lists(1000)},
	{[]string{"publish/xadd-1", "consume/xreadgroup-1"}, bothPayloads, bothInFlights, bothFsyncs, phaseLimit, false, streamOneByOne},
	{[]string{"publish/xadd-1000"}, bothPayloads, bothInFlights, bothFsyncs, phaseLimit, false, streams(1000)},
	{[]string{"consume/xreadgroup-100"}, bothPayloads, bothInFlights, bothFsyncs, phaseLimit, false, streamHundreds},
	{[]string{"end-to-end/flat-out"}, bothPayloads, bothInFlights, bothFsyncs, phaseLimit, false, flatOut},
	{[]string{"end-to-end/5000-per-second"}, bothPayloads, []int{1}, bothFsyncs, phaseLimit, false, openLoop},
	{[]string{"groups/1"}, bothPayloads, bothInFlights, bothFsyncs, phaseLimit, false, groups(1)},
	{[]string{"groups/4"}, bothPayloads, bothInFlights, bothFsyncs, phaseLimit, false, groups(4)},
	{[]string{"fan-out/1"}, bothPayloads, bothInFlights, always, phaseLimit, false, fanOut(1)},
	{[]string{"fan-out/100"}, bothPayloads, bothInFlights, always, phaseLimit, false, fanOut(100)},
	{[]string{"fan-out/1000"}, bothPayloads, bothInFlights, always, phaseLimit, false, fanOut(1000)},
	{[]string{"idle/connections", "idle/wake-all", "idle/wake-one"}, []int{128}, []int{1}, always, phaseLimit, false, idle},
	{[]string{"backlog/fill", "backlog/drain-cold", "backlog/drain-warm"}, bothPayloads, []int{16}, always, backlogLimit, true, backlog},
}

var (
	fullScale  = Scale{Divisor: 1, Backlog: 5_000_000, BacklogLarge: 2_000_000, Connections: 10_000, Cooling: 60}
	quickScale = Scale{Divisor: 10, Backlog: 500_000, BacklogLarge: 200_000, Connections: 1_000, Cooling: 5}
)

// messages is how many a phase has: a second or two of work, in percent of what
// LPUSH does in that time. It is the same for both servers.
func (r *run) messages(percent int) int {
	n := 60_000 // one in flight
	switch {
	case r.InFlight > 1 && r.Payload > 512:
		n = 160_000
	case r.InFlight > 1:
		n = 400_000
	}
	if r.Fsync != "always" {
		n *= 2
	}
	n = n * percent / 100 / r.scale.Divisor
	return max(n/1000*1000, 1000) // the same for each of 1,000 keys
}

// names are the keys of a case.
func names(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = prefix + ":" + strconv.Itoa(i)
	}
	return keys
}
