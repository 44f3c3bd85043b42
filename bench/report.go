package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Report is what a run of the benchmark found: all that the page is made of.
type Report struct {
	About About  `json:"about"`
	Cells []Cell `json:"cells"`
}

// About says when, where and how it was measured.
type About struct {
	Date    string  `json:"date"`
	Command string  `json:"command"`
	Options string  `json:"options"` // of both servers
	Minutes float64 `json:"minutes"` // that it took
	Rounds  int     `json:"rounds"`
	Scale   Scale   `json:"scale"`
	Machine Machine `json:"machine"`
	Cairn   Server  `json:"cairn"`
	Peer    Server  `json:"peer"` // without a name: there was none
}

// A Scale says how much is done.
type Scale struct {
	Divisor      int `json:"divisor"`      // of the numbers of messages where they are not given below
	Backlog      int `json:"backlog"`      // messages of 128 bytes
	BacklogLarge int `json:"backlogLarge"` // messages of 1 KiB
	Connections  int `json:"connections"`  // idle ones
	Cooling      int `json:"cooling"`      // seconds from the end of a drain until the disk is looked at again
}

// A Machine is what it was measured on.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Memory     int64  `json:"memory"` // bytes
	Kernel     string `json:"kernel"`
	FileSystem string `json:"fileSystem"` // of the data folders
	Go         string `json:"go"`
	// What an fdatasync takes, in microseconds, at the start of each round.
	Append    Spread `json:"append"`    // after 50 messages of 128 bytes were appended to a file
	Overwrite Spread `json:"overwrite"` // after they were written over what was there
}

// A Server is a program under test.
type Server struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	path    string
}

// A Cell is one case of a workload in one setting, on both servers.
type Cell struct {
	Setting
	Case  string `json:"case"` // workload/case, of the table in scenario.go
	Cairn Series `json:"cairn"`
	Peer  Series `json:"peer"`
}

// name is that of a case in a setting, as ONLY matches it.
func (c *Cell) name() string {
	return c.Case + "/" + c.Setting.String()
}

// A Setting is what a case is measured in.
type Setting struct {
	Payload  int    `json:"payload"`  // bytes of a message
	InFlight int    `json:"inFlight"` // commands on each connection
	Fsync    string `json:"fsync"`    // appendfsync
}

// String is how ONLY names it.
func (s Setting) String() string {
	return fmt.Sprintf("%dB/P%d/%s", s.Payload, s.InFlight, s.Fsync)
}

// A Series is what was measured on one server, round by round.
type Series struct {
	Latency Latency  `json:"latency"` // of all rounds together
	Samples []Sample `json:"samples"`
}

// A Sample is one measurement.
type Sample struct {
	Failure      string             `json:"failure,omitempty"` // why there is nothing else
	Messages     int                `json:"messages,omitempty"`
	Seconds      float64            `json:"seconds,omitempty"`
	Latency      Latency            `json:"latency,omitzero"`
	CPU          float64            `json:"cpu,omitempty"`          // seconds, of the server
	GeneratorCPU float64            `json:"generatorCPU,omitempty"` // seconds
	Memory       int64              `json:"memory,omitempty"`       // resident at the end, bytes
	MemoryMax    int64              `json:"memoryMax,omitempty"`    // since the server's start
	Disk         int64              `json:"disk,omitempty"`         // at the end, bytes
	Numbers      map[string]float64 `json:"numbers,omitempty"`      // that only this case has
}

// Numbers that only some cases have.
const (
	firstTenthRate = "firstTenthRate"      // messages a second
	lastTenthRate  = "lastTenthRate"       // messages a second
	diskPeak       = "diskPeak"            // bytes, at most
	diskCooled     = "diskCooled"          // bytes, a while after the last message was taken
	restartSeconds = "restartSeconds"      // from the start of the process to its first reply
	perConnection  = "memoryPerConnection" // bytes
	perBlocked     = "memoryPerBlocked"    // bytes, of a connection that waits
	wakeSeconds    = "wakeSeconds"         // from one push to the last reply
)

// Latency is in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

// rate is in messages a second, 0 for a failure.
func (s Sample) rate() float64 {
	if s.Seconds == 0 {
		return 0
	}
	return float64(s.Messages) / s.Seconds
}

// cpuPerMillion is in seconds for a million messages.
func (s Sample) cpuPerMillion() float64       { return perMillion(s.CPU, s.Messages) }
func (s Sample) generatorPerMillion() float64 { return perMillion(s.GeneratorCPU, s.Messages) }

func (s Sample) p99() float64 { return s.Latency.P99 }

func perMillion(seconds float64, messages int) float64 {
	if messages == 0 {
		return 0
	}
	return seconds * 1e6 / float64(messages)
}

// special is a reading of a case's own, by name.
func special(name string) func(Sample) float64 {
	return func(s Sample) float64 { return s.Numbers[name] }
}

// A Spread is where the values of several rounds lie.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// spread is zero for no values.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	median := v[len(v)/2]
	if len(v)%2 == 0 {
		median = (v[len(v)/2-1] + median) / 2
	}
	return Spread{v[0], median, v[len(v)-1]}
}

// of takes a reading from all rounds that did not fail.
func (s Series) of(reading func(Sample) float64) Spread {
	var values []float64
	for _, sample := range s.Samples {
		if sample.Failure == "" {
			values = append(values, reading(sample))
		}
	}
	return spread(values)
}

// failure is that of the first round that failed, or empty.
func (s Series) failure() string {
	for _, sample := range s.Samples {
		if sample.Failure != "" {
			return sample.Failure
		}
	}
	return ""
}

// ratio compares cairn's and the peer's readings in each round, the two having
// been measured one after the other. The readings of several cells are added up.
// It is false if there is no such round.
func ratio(cells []*Cell, reading func(Sample) float64) (Spread, bool) {
	var values []float64
	for round := range cells[0].Cairn.Samples {
		ours, theirs := 0.0, 0.0
		for _, c := range cells {
			if round >= len(c.Cairn.Samples) || round >= len(c.Peer.Samples) || c.Cairn.Samples[round].Failure+c.Peer.Samples[round].Failure != "" {
				theirs = 0
				break
			}
			ours += reading(c.Cairn.Samples[round])
			theirs += reading(c.Peer.Samples[round])
		}
		if theirs > 0 {
			values = append(values, ours/theirs)
		}
	}
	return spread(values), len(values) > 0
}

// find returns the cell of a case in a setting, or nil.
func (r *Report) find(name string, s Setting) *Cell {
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Case == name && c.Setting == s {
			return c
		}
	}
	return nil
}

// write puts the report on disk, a cell a line so that two reports can be
// compared.
func (r *Report) write(path string) error {
	text, err := r.encode()
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func (r *Report) encode() ([]byte, error) {
	about, err := json.MarshalIndent(r.About, "\t", "\t")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\t\"about\": %s,\n\t\"cells\": [", about)
	for i, c := range r.Cells {
		line, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n\t\t%s", line)
	}
	b.WriteString("\n\t]\n}\n")
	return []byte(b.String()), nil
}

func readReport(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// round4 keeps four digits of a number: more is noise.
func round4(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // it is one
	return rounded
}
