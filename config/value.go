package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is a directive's place in a Config, with how it is read and written.
type value interface {
	// set takes the words given for the directive; after an error nothing has
	// changed. The error says what is wrong with them, in Redis' words.
	set(words []string) error
	// String is what CONFIG GET answers.
	String() string
	// form shows what to write, for people.
	form() string
}

// wording is an error in Redis' own words, which clients may look for.
type wording string

func (w wording) Error() string { return string(w) }

const (
	errWords     wording = "wrong number of arguments"
	errInteger   wording = "argument couldn't be parsed into an integer"
	errBoolean   wording = "argument must be 'yes' or 'no'"
	errMemory    wording = "argument must be a memory value"
	errShare     wording = "argument must be a memory or percent value"
	errPercent   wording = "percentage argument must be less or equal to 100"
	errClass     wording = "Invalid client class specified in buffer limit configuration."
	errLimit     wording = "Error in hard, soft or soft_seconds setting in buffer limit configuration."
	errLimitForm wording = "Wrong number of arguments in buffer limit configuration."
)

func one(words []string) (string, error) {
	if len(words) != 1 {
		return "", errWords
	}
	return words[0], nil
}

func between(n, least, most int64) error {
	if n < least || n > most {
		return fmt.Errorf("argument must be between %d and %d inclusive", least, most)
	}
	return nil
}

// integer is a number in decimal.
type integer[T int | int64] struct {
	p           *T
	least, most int64
}

func (v integer[T]) String() string { return strconv.FormatInt(int64(*v.p), 10) }
func (v integer[T]) form() string   { return "number" }
func (v integer[T]) set(words []string) error {
	n, err := parseInteger(words, v.least, v.most)
	if err == nil {
		*v.p = T(n)
	}
	return err
}

func parseInteger(words []string, least, most int64) (int64, error) {
	word, err := one(words)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || word[0] == '+' {
		return 0, errInteger
	}
	return n, between(n, least, most)
}

// seconds is a time in whole seconds.
type seconds struct{ p *time.Duration }

func (v seconds) String() string { return strconv.FormatInt(int64(*v.p/time.Second), 10) }
func (v seconds) form() string   { return "seconds" }
func (v seconds) set(words []string) error {
	n, err := parseInteger(words, 0, secondsMax)
	if err == nil {
		*v.p = time.Duration(n) * time.Second
	}
	return err
}

// memory is a number of bytes, written with or without a unit.
type memory struct {
	p           *int64
	least, most int64
}

func (v memory) String() string { return strconv.FormatInt(*v.p, 10) }
func (v memory) form() string   { return "bytes" }
func (v memory) file() string   { return formatMemory(*v.p) }
func (v memory) set(words []string) error {
	word, err := one(words)
	if err != nil {
		return err
	}
	n, ok := parseMemory(word)
	if !ok {
		return errMemory
	}
	if err := between(n, v.least, v.most); err != nil {
		return err
	}
	*v.p = n
	return nil
}

// share is a number of bytes, or with % a part of the memory that there is.
type share struct{ p *Share }

func (v share) form() string { return "bytes|percent" }
func (v share) String() string {
	if v.p.Percent > 0 {
		return strconv.Itoa(v.p.Percent) + "%"
	}
	return strconv.FormatInt(v.p.Bytes, 10)
}

func (v share) file() string {
	if v.p.Percent > 0 {
		return v.String()
	}
	return formatMemory(v.p.Bytes)
}

func (v share) set(words []string) error {
	word, err := one(words)
	if err != nil {
		return err
	}
	if digits, percent := strings.CutSuffix(word, "%"); percent {
		n, err := strconv.Atoi(digits)
		switch {
		case err != nil || n < 0 || strconv.Itoa(n) != digits:
			return errShare
		case n > 100:
			return errPercent
		}
		*v.p = Share{Percent: n}
		return nil
	}
	n, ok := parseMemory(word)
	if !ok {
		return errShare
	}
	*v.p = Share{Bytes: n}
	return nil
}

// units are Redis' units of memory: with a b they are powers of 1024.
var units = []struct {
	name  string
	bytes int64
}{
	{"", 1}, {"b", 1}, {"k", 1e3}, {"kb", 1 << 10}, {"m", 1e6}, {"mb", 1 << 20}, {"g", 1e9}, {"gb", 1 << 30},
}

func parseMemory(word string) (int64, bool) {
	digits := strings.TrimRight(word, "bkmgBKMG")
	unit := strings.ToLower(word[len(digits):])
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, false
	}
	for _, u := range units {
		if u.name == unit {
			return int64(n) * u.bytes, int64(n) <= bytesMax/u.bytes
		}
	}
	return 0, false
}

// formatMemory writes bytes in the largest unit of which they are a multiple.
func formatMemory(n int64) string {
	for _, u := range slices.Backward(units) {
		if strings.HasSuffix(u.name, "b") && n != 0 && n%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// boolean is yes or no.
type boolean struct{ p *bool }

func (v boolean) form() string { return "yes|no" }
func (v boolean) String() string {
	if *v.p {
		return "yes"
	}
	return "no"
}

func (v boolean) set(words []string) error {
	word, err := one(words)
	if err != nil {
		return err
	}
	yes := strings.EqualFold(word, "yes")
	if !yes && !strings.EqualFold(word, "no") {
		return errBoolean
	}
	*v.p = yes
	return nil
}

// choice is one of several words.
type choice struct {
	p     *string
	words []string
}

func (v choice) String() string { return *v.p }
func (v choice) form() string   { return strings.Join(v.words, "|") }
func (v choice) set(words []string) error {
	word, err := one(words)
	if err != nil {
		return err
	}
	word = strings.ToLower(word)
	if !slices.Contains(v.words, word) {
		return errors.New("argument(s) must be one of the following: " + strings.Join(v.words, ", "))
	}
	*v.p = word
	return nil
}

// text is anything.
type text struct {
	p    *string
	what string
}

func (v text) String() string { return *v.p }
func (v text) form() string   { return v.what }
func (v text) set(words []string) error {
	word, err := one(words)
	if err == nil {
		*v.p = word
	}
	return err
}

// list is any number of words.
type list struct {
	p    *[]string
	what string
}

func (v list) String() string { return strings.Join(*v.p, " ") }
func (v list) form() string   { return v.what + " ..." }
func (v list) set(words []string) error {
	*v.p = slices.Clone(words)
	return nil
}

// permission is permission bits in octal.
type permission struct{ p *fs.FileMode }

func (v permission) String() string { return strconv.FormatUint(uint64(*v.p), 8) }
func (v permission) form() string   { return "octal" }
func (v permission) set(words []string) error {
	word, err := one(words)
	if err != nil {
		return err
	}
	bits, err := strconv.ParseUint(word, 8, 32)
	if err != nil || bits > 0o777 {
		return errors.New("argument must be between 0 and 777 inclusive, in octal")
	}
	*v.p = fs.FileMode(bits)
	return nil
}

// fixed is what Redis lets one choose and cairn does not. It can be asked for,
// and set to what it is.
type fixed struct{ is, why string }

func (v fixed) String() string { return v.is }
func (v fixed) form() string   { return strconv.Quote(v.is) }
func (v fixed) set(words []string) error {
	if word, err := one(words); err != nil || !strings.EqualFold(word, v.is) {
		return fmt.Errorf("can only be %q: %s", v.is, v.why)
	}
	return nil
}

// outputLimits are groups of four words: class, hard limit, soft limit, seconds.
type outputLimits struct{ p *[classes]OutputLimit }

// classNames are what CONFIG GET calls the classes.
var classNames = [classes]string{ClassNormal: "normal", ClassReplica: "slave", ClassPubSub: "pubsub"}

func (v outputLimits) form() string { return "class hard soft seconds ..." }
func (v outputLimits) String() string {
	return v.format(func(n int64) string { return strconv.FormatInt(n, 10) })
}
func (v outputLimits) file() string { return v.format(formatMemory) }

func (v outputLimits) format(bytes func(int64) string) string {
	var words []string
	for class, l := range v.p {
		words = append(words, fmt.Sprintf("%s %s %s %d", classNames[class], bytes(l.Hard), bytes(l.Soft), l.SoftSeconds))
	}
	return strings.Join(words, " ")
}

func (v outputLimits) set(words []string) error {
	if len(words)%4 != 0 {
		return errLimitForm
	}
	next := *v.p
	for group := range slices.Chunk(words, 4) {
		name := strings.ToLower(group[0])
		if name == "replica" {
			name = classNames[ClassReplica]
		}
		class := slices.Index(classNames[:], name)
		if class < 0 {
			return errClass
		}
		hard, okHard := parseMemory(group[1])
		soft, okSoft := parseMemory(group[2])
		after, err := strconv.ParseInt(group[3], 10, 32)
		if !okHard || !okSoft || err != nil || after < 0 {
			return errLimit
		}
		next[class] = OutputLimit{Hard: hard, Soft: soft, SoftSeconds: after}
	}
	*v.p = next
	return nil
}
