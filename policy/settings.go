package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Settings are the values in force. The zero value is Redis' behaviour: no
// limit, no lease, nothing is dropped. Times are in milliseconds.
type Settings struct {
	// MaxLen and MaxBytes bound what a list or stream holds; 0: no limit.
	MaxLen, MaxBytes int64
	// Overflow is what becomes of a message beyond that.
	Overflow     Overflow
	OverflowWait int64 // of OverflowBlock: how long a producer waits

	// Lease is how long a consumer has a message before others get it; 0: until
	// somebody claims it.
	Lease int64
	// MaxDeliveries is how often a message is delivered before it goes to
	// DeadLetter; 0: as often as it takes. It has no effect without DeadLetter.
	MaxDeliveries int64
	// DeadLetter is the stream, in the same database, that takes what could not
	// be delivered; empty: none.
	DeadLetter string
	// BackoffMin is how long after the end of a delivery the next one may come,
	// doubled with each up to BackoffMax; 0: at once.
	BackoffMin, BackoffMax int64

	// PopConfirmed keeps what was popped until the client has shown that it
	// arrived.
	PopConfirmed bool
	// TTL is how old a message gets; 0: as old as it wants.
	TTL int64
	// RetainUnacked has a stream keep only what some group has still to
	// acknowledge.
	RetainUnacked bool
	// ConsumerTTL is how long a consumer stays that does nothing; 0: for ever.
	ConsumerTTL int64
}

// Overflow is what becomes of a message for which there is no room.
type Overflow uint8

const (
	OverflowReject     Overflow = iota // the producer gets an error and tries again
	OverflowBlock                      // the producer waits
	OverflowDropOldest                 // the message at the other end goes
)

type settingID int

const (
	idMaxLen settingID = iota
	idMaxBytes
	idOverflow
	idLease
	idMaxDeliveries
	idDeadLetter
	idBackoff
	idPop
	idTTL
	idRetention
	idConsumerTTL
	settingCount
)

// setting is one entry of the table: all that is said about a setting outside
// the code that it steers.
type setting struct {
	id    settingID
	name  string
	group bool // may differ between the groups of a stream
	form  string
	help  string
	// words returns how many words the value has, given those that follow.
	words func(rest []string) int
	// set reads the value; the error goes behind the setting's name.
	set func(s *Settings, words []string) error
	get func(s *Settings) []string
}

// copy takes the setting's value over.
func (d *setting) copy(to, from *Settings) {
	if err := d.set(to, d.get(from)); err != nil {
		panic("policy: " + d.name + " does not read what it writes: " + err.Error())
	}
}

func one([]string) int { return 1 }
func two([]string) int { return 2 }

const (
	countMax  = 1 << 53
	millisMax = 1 << 53
)

var (
	errCount   = fmt.Errorf("must be an integer from 0 to %d", countMax)
	errMillis  = fmt.Errorf("must be a number of milliseconds from 0 to %d", millisMax)
	errBackoff = fmt.Errorf("must be two numbers of milliseconds from 0 to %d, the first no greater than the second", millisMax)
	errChoice  = fmt.Errorf("must be REJECT, BLOCK with a number of milliseconds from 0 to %d, or DROPOLDEST", millisMax)
	errPop     = errors.New("must be CONFIRMED or AUTO")
	errRetain  = errors.New("must be ALL or UNACKED")
	errKeyLong = errors.New("must be the name of a key, of at most 1024 bytes")
)

func number(word string, most int64, fail error) (int64, error) {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 0 || n > most || word[0] == '+' {
		return 0, fail
	}
	return n, nil
}

func numberSetting(id settingID, name string, group bool, form, help string, most int64, fail error, p func(*Settings) *int64) setting {
	return setting{
		id: id, name: name, group: group, form: form, help: help, words: one,
		set: func(s *Settings, w []string) error {
			n, err := number(w[0], most, fail)
			if err == nil {
				*p(s) = n
			}
			return err
		},
		get: func(s *Settings) []string { return []string{strconv.FormatInt(*p(s), 10)} },
	}
}

// table is in the order of settingID.
var table = [settingCount]setting{
	numberSetting(idMaxLen, "MAXLEN", false, "n", "how many messages a list or stream holds; 0 for no limit",
		countMax, errCount, func(s *Settings) *int64 { return &s.MaxLen }),
	numberSetting(idMaxBytes, "MAXBYTES", false, "n", "how many bytes of messages a list or stream holds; 0 for no limit",
		countMax, errCount, func(s *Settings) *int64 { return &s.MaxBytes }),
	{
		id: idOverflow, name: "OVERFLOW", form: "REJECT | BLOCK ms | DROPOLDEST",
		help: "what becomes of a message beyond the limit",
		words: func(rest []string) int {
			if len(rest) > 0 && strings.EqualFold(rest[0], "BLOCK") {
				return 2
			}
			return 1
		},
		set: func(s *Settings, w []string) (err error) {
			wait := int64(0)
			switch strings.ToUpper(w[0]) {
			case "REJECT":
				s.Overflow = OverflowReject
			case "DROPOLDEST":
				s.Overflow = OverflowDropOldest
			case "BLOCK":
				if wait, err = number(w[1], millisMax, errChoice); err != nil {
					return err
				}
				s.Overflow = OverflowBlock
			default:
				return errChoice
			}
			s.OverflowWait = wait
			return nil
		},
		get: func(s *Settings) []string {
			switch s.Overflow {
			case OverflowBlock:
				return []string{"BLOCK", strconv.FormatInt(s.OverflowWait, 10)}
			case OverflowDropOldest:
				return []string{"DROPOLDEST"}
			}
			return []string{"REJECT"}
		},
	},
	numberSetting(idLease, "LEASE", true, "ms", "how long a consumer has a message before it is delivered again; 0 for until it is claimed",
		millisMax, errMillis, func(s *Settings) *int64 { return &s.Lease }),
	numberSetting(idMaxDeliveries, "MAXDELIVERIES", true, "n", "how often a message is delivered before it goes to DEADLETTER; 0 for as often as it takes",
		countMax, errCount, func(s *Settings) *int64 { return &s.MaxDeliveries }),
	{
		id: idDeadLetter, name: "DEADLETTER", group: true, form: "key", words: one,
		help: "the stream that takes what could not be delivered; empty for none",
		set: func(s *Settings, w []string) error {
			if len(w[0]) > patternBytesMax {
				return errKeyLong
			}
			s.DeadLetter = w[0]
			return nil
		},
		get: func(s *Settings) []string { return []string{s.DeadLetter} },
	},
	{
		id: idBackoff, name: "BACKOFF", group: true, form: "min-ms max-ms", words: two,
		help: "how long the next delivery waits: min-ms after the first, doubled with each, up to max-ms; 0 0 for not at all",
		set: func(s *Settings, w []string) error {
			least, err := number(w[0], millisMax, errBackoff)
			if err != nil {
				return err
			}
			most, err := number(w[1], millisMax, errBackoff)
			if err != nil || least > most {
				return errBackoff
			}
			s.BackoffMin, s.BackoffMax = least, most
			return nil
		},
		get: func(s *Settings) []string {
			return []string{strconv.FormatInt(s.BackoffMin, 10), strconv.FormatInt(s.BackoffMax, 10)}
		},
	},
	choiceSetting(idPop, "POP", "CONFIRMED", "AUTO", "whether a popped element stays on disk until the client's next command shows that it arrived",
		errPop, func(s *Settings) *bool { return &s.PopConfirmed }),
	numberSetting(idTTL, "TTL", false, "ms", "how old a message gets before it is dropped, or goes to DEADLETTER; 0 for no limit",
		millisMax, errMillis, func(s *Settings) *int64 { return &s.TTL }),
	choiceSetting(idRetention, "RETENTION", "UNACKED", "ALL", "whether a stream keeps everything, or what some group has not acknowledged yet",
		errRetain, func(s *Settings) *bool { return &s.RetainUnacked }),
	numberSetting(idConsumerTTL, "CONSUMER-TTL", true, "ms", "how long a consumer stays that does nothing and has nothing pending; 0 for ever",
		millisMax, errMillis, func(s *Settings) *int64 { return &s.ConsumerTTL }),
}

func choiceSetting(id settingID, name, yes, no, help string, fail error, p func(*Settings) *bool) setting {
	return setting{
		id: id, name: name, form: yes + " | " + no, help: help, words: one,
		set: func(s *Settings, w []string) error {
			switch strings.ToUpper(w[0]) {
			case yes:
				*p(s) = true
			case no:
				*p(s) = false
			default:
				return fail
			}
			return nil
		},
		get: func(s *Settings) []string {
			if *p(s) {
				return []string{yes}
			}
			return []string{no}
		},
	}
}

func find(name string) *setting {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}

// Description says what a setting is, for people.
type Description struct{ Name, Form, Help string }

// Describe returns all settings, in the order in which they are shown.
func Describe() []Description {
	list := make([]Description, len(table))
	for i, s := range table {
		list[i] = Description{s.name, s.form, s.help}
	}
	return list
}

// Backoff returns how long after the end of its n-th delivery (1 is the first) a
// message waits for the next, in milliseconds.
func (s *Settings) Backoff(n int64) int64 {
	wait := s.BackoffMin
	for ; n > 1 && 0 < wait && wait < s.BackoffMax; n-- {
		wait *= 2
	}
	return min(wait, s.BackoffMax)
}

// Bounded reports whether there is a limit to what a key holds.
func (s *Settings) Bounded() bool { return s.MaxLen > 0 || s.MaxBytes > 0 }
