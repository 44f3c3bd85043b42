// Package policy is what an operator has said about queues: how large they may
// get, who has a message for how long, how often it is delivered, where it goes
// then. A policy names keys by a pattern; several may match a key, and for each
// setting the one with the highest priority decides.
//
// It knows names and values only. What a setting does is where it is done: in
// the handlers of package commands and in the data types. Start at settings.go.
package policy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cairnmq/cairn/glob"
)

// Policy is a set of settings for the keys that match a pattern, or for the
// consumer groups of those keys that match another.
type Policy struct {
	Name     string
	Pattern  string // of keys, in all databases
	Group    string // pattern of consumer groups; without HasGroup: not asked
	HasGroup bool
	Priority int64
	// FromFile says that it stands in the configuration: it is not stored, and
	// only a change of the file takes it away.
	FromFile bool

	settings Settings
	has      [settingCount]bool
}

const (
	nameBytesMax    = 256
	patternBytesMax = 1024
)

// Errors of Parse.
var (
	errName       = fmt.Errorf("the name of a policy has 1 to %d bytes", nameBytesMax)
	errPattern    = errors.New("a policy needs PATTERN and a pattern of keys")
	errPatternLen = fmt.Errorf("a pattern has 1 to %d bytes", patternBytesMax)
	errNothing    = errors.New("a policy needs at least one setting")
	errPriority   = fmt.Errorf("PRIORITY must be an integer from %d to %d", math.MinInt32, math.MaxInt32)
)

// Parse reads a policy as POLICY SET and the configuration have it behind its
// name:
//
//	PATTERN glob [GROUP glob] [PRIORITY n] setting value ... [setting value ...]
//
// Words are taken in any case and in any order. An error says what is wrong in
// one sentence.
func Parse(name string, words []string) (*Policy, error) {
	p := &Policy{Name: name}
	if name == "" || len(name) > nameBytesMax {
		return nil, errName
	}
	seen := make(map[string]bool)
	for len(words) > 0 {
		word := strings.ToUpper(words[0])
		if seen[word] {
			return nil, fmt.Errorf("%s is given twice", word)
		}
		seen[word] = true
		n, err := p.take(word, words[1:])
		if err != nil {
			return nil, err
		}
		words = words[1+n:]
	}
	if !seen["PATTERN"] {
		return nil, errPattern
	}
	return p, p.check()
}

// take reads what follows a word and returns how many words that were.
func (p *Policy) take(word string, rest []string) (int, error) {
	s := find(word)
	want := 1
	if s != nil {
		want = s.words(rest)
	}
	if s == nil && word != "PATTERN" && word != "GROUP" && word != "PRIORITY" {
		return 0, fmt.Errorf("there is no setting '%s'", clip(word))
	}
	if len(rest) < want {
		return 0, fmt.Errorf("%s lacks its value", word)
	}
	switch word {
	case "PATTERN", "GROUP":
		if rest[0] == "" || len(rest[0]) > patternBytesMax {
			return 0, errPatternLen
		}
		if word == "PATTERN" {
			p.Pattern = rest[0]
		} else {
			p.Group, p.HasGroup = rest[0], true
		}
	case "PRIORITY":
		n, err := strconv.ParseInt(rest[0], 10, 32)
		if err != nil {
			return 0, errPriority
		}
		p.Priority = n
	default:
		if err := s.set(&p.settings, rest[:want]); err != nil {
			return 0, fmt.Errorf("%s %w", s.name, err)
		}
		p.has[s.id] = true
	}
	return want, nil
}

// clip shortens what an error repeats.
func clip(word string) string {
	if len(word) > 64 {
		return word[:64] + "..."
	}
	return word
}

// check refuses settings that make no sense together.
func (p *Policy) check() error {
	if !slices.Contains(p.has[:], true) {
		return errNothing
	}
	if p.HasGroup {
		for i := range table {
			if s := &table[i]; p.has[s.id] && !s.group {
				return fmt.Errorf("%s is about a key as a whole: a policy with GROUP cannot have it", s.name)
			}
		}
	}
	if p.has[idMaxDeliveries] && p.settings.MaxDeliveries > 0 && p.settings.DeadLetter == "" {
		return errors.New("MAXDELIVERIES needs a DEADLETTER in the same policy: no message is thrown away unsaid")
	}
	return nil
}

// Words returns the policy as Parse reads it, in one form for all ways to write
// it.
func (p *Policy) Words() []string {
	words := []string{"PATTERN", p.Pattern}
	if p.HasGroup {
		words = append(words, "GROUP", p.Group)
	}
	words = append(words, "PRIORITY", strconv.FormatInt(p.Priority, 10))
	for i := range table {
		if s := &table[i]; p.has[s.id] {
			words = append(append(words, s.name), s.get(&p.settings)...)
		}
	}
	return words
}

// Setting is a setting's name and value, as POLICY shows it.
type Setting struct {
	Name, Value string
	// Policy is who has said so.
	Policy *Policy
}

// Settings returns what the policy sets, in the order of the table.
func (p *Policy) Settings() (list []Setting) {
	for i := range table {
		if s := &table[i]; p.has[s.id] {
			list = append(list, Setting{s.name, strings.Join(s.get(&p.settings), " "), p})
		}
	}
	return list
}

func (p *Policy) matches(key string) bool { return glob.Match(p.Pattern, key) }

// Set is all policies there are. The zero value has none; it belongs to the
// broker's loop.
type Set struct {
	byName map[string]*Policy
	order  []*Policy // as they decide: highest priority first, then by name
	cache  map[string]*keyEffect
	cached int       // keys in it, and groups of them
	tends  []*Policy // those that have keys looked after
	every  int64     // how often, in ms
	groups bool      // consumers run out
	// Version changes with every change of the set.
	Version uint64
}

// Effect is what all policies together say about a key, or a group of it.
type Effect struct {
	Settings
	from [settingCount]*Policy
}

type keyEffect struct {
	effect *Effect // nil: nothing is said
	groups map[string]*Effect
}

// cachedMax bounds the keys and groups whose effect is kept.
const cachedMax = 20_000

// Len returns how many policies there are.
func (s *Set) Len() int { return len(s.order) }

// All returns the policies, the one that decides first of all first.
func (s *Set) All() []*Policy { return s.order }

// Get returns the policy of a name, or nil.
func (s *Set) Get(name string) *Policy { return s.byName[name] }

// Put adds a policy, in the place of one that has its name.
func (s *Set) Put(p *Policy) {
	if s.byName == nil {
		s.byName = make(map[string]*Policy)
	}
	s.Remove(p.Name)
	s.byName[p.Name] = p
	at, _ := slices.BinarySearchFunc(s.order, p, func(a, b *Policy) int {
		return cmp.Or(-cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Name, b.Name))
	})
	s.order = slices.Insert(s.order, at, p)
	s.changed()
}

// Remove takes a policy away and reports whether there was one.
func (s *Set) Remove(name string) bool {
	p := s.byName[name]
	if p == nil {
		return false
	}
	delete(s.byName, name)
	s.order = slices.DeleteFunc(s.order, func(o *Policy) bool { return o == p })
	s.changed()
	return true
}

func (s *Set) changed() {
	s.cache, s.cached = nil, 0
	s.tends, s.every, s.groups = nil, 0, false
	for _, p := range s.order {
		s.groups = s.groups || p.settings.ConsumerTTL > 0
		if every := p.tendedEvery(); every > 0 {
			s.tends = append(s.tends, p)
			if s.every == 0 || every < s.every {
				s.every = every
			}
		}
	}
	s.Version++
}

// Keys are looked after once in a tenth of the shortest time that a policy gives
// messages or consumers, within these bounds, in ms.
const (
	tendedMin = 1000
	tendedMax = 60_000
)

// tendedEvery is how often the keys have to be looked after that the policy
// matches, in ms; 0: they need not be.
func (p *Policy) tendedEvery() (every int64) {
	s := &p.settings
	if s.RetainUnacked {
		every = tendedMax
	}
	for _, ttl := range []int64{s.TTL, s.ConsumerTTL} {
		if at := min(max(ttl/10, tendedMin), tendedMax); ttl > 0 && (every == 0 || at < every) {
			every = at
		}
	}
	return every
}

// TendedEvery returns how often keys have to be looked after, in ms, as messages
// or consumers run out that nobody asks for; 0: never.
func (s *Set) TendedEvery() int64 { return s.every }

// TendsGroups reports whether groups have to be looked at at all, which is more
// work than a look at a stream.
func (s *Set) TendsGroups() bool { return s.groups }

// Tends reports whether a key has to be looked after. It is what to ask of every
// key there is: unlike Of it remembers nothing.
func (s *Set) Tends(key []byte) bool {
	return slices.ContainsFunc(s.tends, func(p *Policy) bool { return p.matches(string(key)) })
}

// Of returns what is said about a key; nil: nothing, everything is as in Redis.
// Policies with a GROUP are not asked.
func (s *Set) Of(key []byte) *Effect {
	if len(s.order) == 0 {
		return nil
	}
	return s.ofKey(key).effect
}

// OfGroup is Of for a consumer group of a stream: policies with a GROUP that
// matches are asked as well.
func (s *Set) OfGroup(key, group []byte) *Effect {
	if len(s.order) == 0 {
		return nil
	}
	k := s.ofKey(key)
	e, known := k.groups[string(group)]
	if !known {
		e = s.effect(string(key), string(group), true)
		if s.cached >= cachedMax {
			s.cache, s.cached = nil, 0
			k = s.ofKey(key)
		}
		if k.groups == nil {
			k.groups = make(map[string]*Effect)
		}
		k.groups[string(group)] = e
		s.cached++
	}
	return e
}

func (s *Set) ofKey(key []byte) *keyEffect {
	k := s.cache[string(key)]
	if k == nil {
		k = &keyEffect{effect: s.effect(string(key), "", false)}
		if s.cache == nil || s.cached >= cachedMax {
			s.cache, s.cached = make(map[string]*keyEffect), 0
		}
		s.cache[string(key)] = k
		s.cached++
	}
	return k
}

func (s *Set) effect(key, group string, inGroup bool) *Effect {
	var e *Effect
	for _, p := range s.order {
		if (p.HasGroup && !(inGroup && glob.Match(p.Group, group))) || !p.matches(key) {
			continue
		}
		if e == nil {
			e = new(Effect)
		}
		for i := range table {
			if d := &table[i]; p.has[d.id] && e.from[d.id] == nil {
				e.from[d.id] = p
				d.copy(&e.Settings, &p.settings)
			}
		}
	}
	return e
}

// Each returns the settings of the effect with who has said so, in the order of
// the table.
func (e *Effect) Each() (list []Setting) {
	if e == nil {
		return nil
	}
	for i := range table {
		if s := &table[i]; e.from[s.id] != nil {
			list = append(list, Setting{s.name, strings.Join(s.get(&e.Settings), " "), e.from[s.id]})
		}
	}
	return list
}
