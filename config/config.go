package config

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cairnmq/cairn/glob"
)

// Databases is the number of databases that SELECT can choose from.
const Databases = 16

// Config holds the values in force, under the names of their directives. It is
// filled before the broker starts; from then on it belongs to the broker's loop,
// and whoever needs a value in another goroutine is given a copy.
type Config struct {
	File string // path of the file it was read from; empty: none

	Port           int
	Bind           []string // a leading - tolerates an address that the machine lacks
	UnixSocket     string   // path; empty: none
	UnixSocketPerm fs.FileMode
	TCPBacklog     int
	TCPKeepAlive   time.Duration // 0: no probes
	Timeout        time.Duration // idle clients are closed after it; 0: never
	MaxClients     int

	TLSPort           int    // 0: none
	TLSCertFile       string // paths
	TLSKeyFile        string
	TLSCACertFile     string // empty: none
	TLSCACertDir      string // empty: none
	TLSAuthClients    string // TLSAuthNo, TLSAuthYes or TLSAuthOptional
	TLSProtocols      []string
	TLSSessionCaching bool

	RequirePass   string // empty: no password
	ProtectedMode bool

	ACLFile          string     // path; empty: none
	Users            [][]string // of the lines "user name rule ..."
	ACLPubSubDefault string     // ChannelsAll or ChannelsNone
	ACLLogMaxLen     int

	// Policies are the lines "policy name word ...".
	Policies [][]string

	Renames            []Rename // of the lines "rename-command name new"
	EnableDebugCommand string   // DebugNo, DebugLocal or DebugYes

	Dir             string
	AppendFsync     string // FsyncAlways, FsyncEverySecond or FsyncNo
	ObjectCacheSize int64  // bytes
	BlockCacheSize  int64  // bytes
	GarbageReserve  int64  // bytes
	Databases       int
	MinFreeDisk     int64  // bytes; 0: none
	MaxDisk         int64  // bytes; 0: no limit
	BackupDir       string // empty: within Dir
	BackupKeep      int    // 0: all
	ShutdownTimeout time.Duration

	ProtoMaxBulkLen        int64 // bytes
	ProtoMaxReplyLen       int64 // bytes
	ProtoMaxMultibulkLen   int   // arguments
	ProtoMaxNameLen        int64 // bytes
	ClientQueryBufferLimit int64 // bytes
	MaxMemoryClients       Share // zero: no limit
	MaxClientsBlocked      int   // 0: no limit
	BlockedKeysLimit       int   // 0: no limit
	SubscriptionsLimit     int   // of a client; 0: no limit
	PatternsLimit          int   // of all clients; 0: no limit
	OutputLimits           [classes]OutputLimit
	StreamNodeMaxEntries   int64
	StreamNodeMaxBytes     int64
	StreamIdmpDuration     int // seconds
	StreamIdmpMaxSize      int
	NotifyKeyspaceEvents   Events
	TrackingTableMaxKeys   int64 // 0: no limit

	LogLevel             string // LogDebug … LogNothing
	LogFile              string // empty: standard output
	SlowlogLogSlowerThan int64  // microseconds; negative: nothing is logged
	SlowlogMaxLen        int

	LatencyMonitorThreshold int64 // milliseconds; 0: nothing is noted
	LatencyTracking         bool
	LatencyPercentiles      []float64

	prepare []func(next *Config, names []string) (apply func(), err error)
	changed []func(name string)
}

// Values of TLSAuthClients.
const (
	TLSAuthNo       = "no"
	TLSAuthYes      = "yes"
	TLSAuthOptional = "optional"
)

// Values of TLSProtocols. None stands for both.
const (
	TLS12 = "TLSv1.2"
	TLS13 = "TLSv1.3"
)

// Values of AppendFsync.
const (
	FsyncAlways      = "always"
	FsyncEverySecond = "everysec"
	FsyncNo          = "no"
)

// Values of EnableDebugCommand.
const (
	DebugNo    = "no"
	DebugLocal = "local"
	DebugYes   = "yes"
)

// Values of ACLPubSubDefault.
const (
	ChannelsAll  = "allchannels"
	ChannelsNone = "resetchannels"
)

// Values of LogLevel, from most to least.
const (
	LogDebug   = "debug"
	LogVerbose = "verbose"
	LogNotice  = "notice"
	LogWarning = "warning"
	LogNothing = "nothing"
)

// Class is a kind of client with output limits of its own.
type Class int

const (
	ClassNormal Class = iota
	ClassReplica
	ClassPubSub
	classes
)

// OutputLimit bounds what a client has not yet taken of its replies: at Hard
// bytes it is closed at once, at Soft bytes after SoftSeconds. 0 is no limit.
type OutputLimit struct {
	Hard, Soft  int64
	SoftSeconds int64
}

// Share is an amount of memory: Percent of what there is, or Bytes when that is
// 0.
type Share struct {
	Bytes   int64
	Percent int
}

// Of returns the share's bytes where there are total.
func (s Share) Of(total int64) int64 {
	if s.Percent > 0 {
		return total / 100 * int64(s.Percent)
	}
	return s.Bytes
}

// Rename gives a command another name; an empty one takes it away.
type Rename struct{ Command, To string }

// Pair is a directive's name and its value as text.
type Pair struct{ Name, Value string }

// New returns the configuration with the default of every directive.
func New() *Config {
	c := &Config{Databases: Databases}
	for i := range table {
		d := &table[i]
		if err := d.value(c).set(d.words(d.initial)); err != nil {
			panic("config: the default of " + d.name + ": " + err.Error())
		}
	}
	return c
}

// Get returns the directives whose names match the pattern in any case, sorted
// by name. A pattern that names one directive is answered under the name as it
// was written.
func (c *Config) Get(pattern string) []Pair {
	if !glob.HasMeta(pattern) {
		if d := find(pattern); d != nil {
			return []Pair{{pattern, d.value(c).String()}}
		}
		return nil
	}
	var pairs []Pair
	for i := range table {
		if d := &table[i]; glob.MatchFold(pattern, d.name) {
			pairs = append(pairs, Pair{d.name, d.value(c).String()})
		}
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Name, b.Name) })
	return pairs
}

// Set changes directives while the broker runs: all of the pairs, or none when
// it returns an error, which is a *SetError then.
func (c *Config) Set(pairs []Pair) error {
	chosen := make([]*directive, 0, len(pairs))
	for _, p := range pairs {
		d := find(p.Name)
		switch {
		case d == nil:
			return &SetError{Name: p.Name, Kind: UnknownDirective}
		case d.flags&mutable == 0:
			return &SetError{Name: p.Name, Kind: ImmutableDirective}
		case slices.Contains(chosen, d):
			return &SetError{Name: p.Name, Kind: DuplicateDirective}
		}
		chosen = append(chosen, d)
	}
	next := *c
	for i, d := range chosen {
		if err := d.value(&next).set(d.words(pairs[i].Value)); err != nil {
			return &SetError{Name: d.name, Kind: BadValue, Reason: err.Error()}
		}
	}
	applies, err := c.prepared(&next, chosen)
	if err != nil {
		return err
	}
	*c = next
	for _, apply := range applies {
		apply()
	}
	for _, d := range chosen {
		for _, f := range c.changed {
			f(d.name)
		}
	}
	return nil
}

func (c *Config) prepared(next *Config, chosen []*directive) (applies []func(), err error) {
	var names []string
	for _, d := range chosen {
		names = append(names, d.name)
	}
	for _, prepare := range c.prepare {
		apply, err := prepare(next, names)
		if err != nil {
			return nil, err
		}
		if apply != nil {
			applies = append(applies, apply)
		}
	}
	return applies, nil
}

// OnPrepare has f called by Set before it changes anything, with what it is
// going to make of the configuration and the directives that were set. An error
// of f, which should be a *SetError, keeps everything as it was; the function
// that it returns, which may be nil, is called once the change is made.
func (c *Config) OnPrepare(f func(next *Config, names []string) (apply func(), err error)) {
	c.prepare = append(c.prepare, f)
}

// OnChange has f called after each successful Set, once for each directive that
// was set. It must not call Set.
func (c *Config) OnChange(f func(name string)) { c.changed = append(c.changed, f) }

// Kind says what is wrong with a pair given to Set.
type Kind int

const (
	UnknownDirective Kind = iota
	ImmutableDirective
	DuplicateDirective
	BadValue
)

// SetError is the first thing wrong with the pairs given to Set.
type SetError struct {
	Name   string
	Kind   Kind
	Reason string // why the value is bad, when Kind is BadValue
}

// Error returns Redis' words, without the code ERR.
func (e *SetError) Error() string {
	reason := e.Reason
	switch e.Kind {
	case UnknownDirective:
		return fmt.Sprintf("Unknown option or number of arguments for CONFIG SET - '%s'", e.Name)
	case ImmutableDirective:
		reason = "can't set immutable config"
	case DuplicateDirective:
		reason = "duplicate parameter"
	}
	return fmt.Sprintf("CONFIG SET failed (possibly related to argument '%s') - %s", e.Name, reason)
}
