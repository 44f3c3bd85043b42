package acl

import (
	"slices"
	"strings"

	"github.com/cairnmq/cairn/glob"
)

// Access is what a call does with a key's value, or what a pattern allows.
type Access uint8

const (
	Read Access = 1 << iota
	Write
)

// selector allows calls. Its zero value allows none.
type selector struct {
	allKeys     bool
	keys        []keyPattern
	allChannels bool
	channels    []string // patterns
	// everything says that the rules began with +@all: commands that are new in
	// a later version are allowed as well, unless a rule says otherwise.
	everything bool
	allowed    bitmap          // by command
	firstArgs  map[ID][]string // of commands that are not allowed otherwise: with these first arguments they are
	rules      []commandRule   // what has led to allowed, from everything or nothing
	known      *Commands
}

type keyPattern struct {
	pattern string
	access  Access
}

// commandRule is +name, -name, +@name, -@name or +name|first-arg.
type commandRule struct {
	allow bool
	name  string // with the "@"
}

func newSelector(known *Commands, allChannels bool) *selector {
	return &selector{known: known, allChannels: allChannels, allowed: newBitmap(len(known.all))}
}

func (s *selector) clone() *selector {
	c := *s
	c.keys, c.channels, c.rules = slices.Clone(s.keys), slices.Clone(s.channels), slices.Clone(s.rules)
	c.allowed = slices.Clone(s.allowed)
	c.firstArgs = nil
	for id, args := range s.firstArgs {
		c.letFirstArgs(id, args...)
	}
	return &c
}

// ---- Rules -----------------------------------------------------------------

// apply changes the selector by one rule; after an error nothing has changed.
func (s *selector) apply(rule string) Reason {
	switch lower(rule) {
	case "allkeys", "~*":
		s.allKeys, s.keys = true, nil
	case "resetkeys":
		s.allKeys, s.keys = false, nil
	case "allchannels", "&*":
		s.allChannels, s.channels = true, nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
	case "allcommands", "+@all":
		s.setEverything(true)
	case "nocommands", "-@all":
		s.setEverything(false)
	default:
		return s.applyTo(rule[0], rule[1:])
	}
	return ""
}

func (s *selector) applyTo(kind byte, what string) Reason {
	switch kind {
	case '~':
		return s.addKeys(what, Read|Write)
	case '%':
		return s.addAccess(what)
	case '&':
		return s.addChannels(what)
	case '+', '-':
		if category, ok := strings.CutPrefix(what, "@"); ok {
			return s.setCategory(category, kind == '+')
		}
		if kind == '-' {
			return s.deny(what)
		}
		return s.allow(what)
	}
	return Syntax
}

func (s *selector) setEverything(allow bool) {
	s.everything = allow
	s.allowed.setAll(len(s.known.all), allow)
	s.firstArgs, s.rules = nil, nil
}

// addAccess reads what stands behind "%": R, W or both, "~" and a pattern.
func (s *selector) addAccess(what string) Reason {
	letters, pattern, _ := strings.Cut(what, "~")
	if s.allKeys {
		return AfterAllKeys
	}
	var access Access
	for _, letter := range lower(letters) {
		var one Access
		switch letter {
		case 'r':
			one = Read
		case 'w':
			one = Write
		}
		if one == 0 || access&one != 0 {
			return Syntax
		}
		access |= one
	}
	if access == 0 {
		return Syntax
	}
	return s.addKeys(pattern, access)
}

func (s *selector) addKeys(pattern string, access Access) Reason {
	if s.allKeys {
		return AfterAllKeys
	}
	if hasSpace(pattern) {
		return Syntax
	}
	i := slices.IndexFunc(s.keys, func(k keyPattern) bool { return k.pattern == pattern })
	if i < 0 {
		s.keys = append(s.keys, keyPattern{pattern, access})
	} else {
		s.keys[i].access |= access
	}
	return ""
}

func (s *selector) addChannels(pattern string) Reason {
	if s.allChannels {
		return AfterAllChan
	}
	if hasSpace(pattern) {
		return Syntax
	}
	if !slices.Contains(s.channels, pattern) {
		s.channels = append(s.channels, pattern)
	}
	return ""
}

func (s *selector) setCategory(name string, allow bool) Reason {
	bit, ok := s.known.category(name)
	if !ok {
		return Unknown
	}
	for id := range s.known.all {
		if s.known.all[id].categories&bit != 0 {
			s.set(ID(id), allow)
		}
	}
	s.note("@"+lower(name), allow)
	return ""
}

// set allows or refuses a command with its subcommands.
func (s *selector) set(id ID, allow bool) {
	s.allowed.set(id, allow)
	delete(s.firstArgs, id)
	for _, child := range s.known.all[id].children {
		s.allowed.set(child, allow)
	}
}

func (s *selector) deny(name string) Reason {
	id, ok := s.known.find(name)
	if !ok {
		return Unknown
	}
	s.set(id, false)
	s.note(lower(name), false)
	return ""
}

// allow takes a command, a subcommand, or command|first-arg where the command
// has no subcommands.
func (s *selector) allow(name string) Reason {
	if i := strings.LastIndexByte(name, '|'); i >= 0 {
		above, ok := s.known.find(name[:i])
		switch {
		case !ok:
			return Unknown
		case s.known.isSub(above):
			return SubFirstArg
		case i == len(name)-1 || hasSpace(name):
			return Syntax
		case len(s.known.all[above].children) == 0:
			s.letFirstArgs(above, name[i+1:])
			s.note(lower(name), true)
			return ""
		}
	}
	id, ok := s.known.find(name)
	if !ok {
		return Unknown
	}
	s.set(id, true)
	s.note(lower(name), true)
	return ""
}

func (s *selector) letFirstArgs(id ID, args ...string) {
	if s.firstArgs == nil {
		s.firstArgs = make(map[ID][]string)
	}
	for _, arg := range args {
		if arg = lower(arg); !slices.Contains(s.firstArgs[id], arg) {
			s.firstArgs[id] = append(s.firstArgs[id], arg)
		}
	}
}

// note adds a rule to those that describe the selector. Earlier rules that it
// makes void go: the same one, and those about its subcommands.
func (s *selector) note(name string, allow bool) {
	s.rules = slices.DeleteFunc(s.rules, func(r commandRule) bool {
		return r.name == name || strings.HasPrefix(r.name, name+"|")
	})
	s.rules = append(s.rules, commandRule{allow, name})
}

// hasSpace reports whether s cannot be a word of a rule.
func hasSpace(s string) bool { return strings.ContainsAny(s, " \t\n\v\f\r\x00") }

// ---- Description -----------------------------------------------------------

// String returns the rules that make this selector of an empty one.
func (s *selector) String() string {
	var words []string
	if keys := s.describeKeys(); keys != "" {
		words = append(words, keys)
	}
	if !s.allChannels {
		words = append(words, "resetchannels")
	}
	if channels := s.describeChannels(); channels != "" {
		words = append(words, channels)
	}
	return strings.Join(append(words, s.describeCommands()), " ")
}

func (s *selector) describeKeys() string {
	if s.allKeys {
		return "~*"
	}
	words := make([]string, len(s.keys))
	for i, k := range s.keys {
		words[i] = k.String()
		if words[i] == "~*" && len(s.keys) > 1 {
			words[i] = "%RW~*" // "~*" would not let others stand beside it
		}
	}
	return strings.Join(words, " ")
}

func (k keyPattern) String() string {
	switch k.access {
	case Read:
		return "%R~" + k.pattern
	case Write:
		return "%W~" + k.pattern
	}
	return "~" + k.pattern
}

func (s *selector) describeChannels() string {
	if s.allChannels {
		return "&*"
	}
	words := make([]string, len(s.channels))
	for i, pattern := range s.channels {
		words[i] = "&" + pattern
	}
	return strings.Join(words, " ")
}

func (s *selector) describeCommands() string {
	words := []string{sign(s.everything) + "@all"}
	for _, r := range s.rules {
		words = append(words, sign(r.allow)+r.name)
	}
	return strings.Join(words, " ")
}

func sign(allow bool) string {
	if allow {
		return "+"
	}
	return "-"
}

// ---- Checks ----------------------------------------------------------------

func (s *selector) allowsAll() bool {
	return s.allKeys && s.allChannels && s.everything && s.allowed.full(len(s.known.all))
}

// check says whether the selector allows a call, and if not which argument is
// to blame.
func (s *selector) check(c *Call) (denied Denied, at int) {
	if !c.Free && !s.allowsCommand(c) {
		return DeniedCommand, 0
	}
	if !s.allKeys {
		for _, k := range c.Keys {
			if !s.allowsKey(c.Args[k.At], k.Access) {
				return DeniedKey, k.At
			}
		}
	}
	for _, ch := range c.Channels {
		if !s.allowsChannel(string(c.Args[ch.At]), ch.Pattern) {
			return DeniedChannel, ch.At
		}
	}
	return Allowed, 0
}

func (s *selector) allowsCommand(c *Call) bool {
	if s.allowed.has(c.Command) {
		return true
	}
	args := s.firstArgs[c.Command]
	return len(args) > 0 && len(c.Args) > 1 && slices.Contains(args, lower(string(c.Args[1])))
}

// readsAll reports whether the rules say outright that every key may be read.
func (s *selector) readsAll() bool {
	return s.allKeys || slices.ContainsFunc(s.keys, func(k keyPattern) bool { return k.pattern == "*" && k.access&Read != 0 })
}

func (s *selector) allowsKey(key []byte, access Access) bool {
	return slices.ContainsFunc(s.keys, func(k keyPattern) bool {
		return k.access&access == access && glob.Match(k.pattern, string(key))
	})
}

// allowsChannel takes a channel's name or a pattern of names; a pattern is
// allowed only where the rule is the same pattern.
func (s *selector) allowsChannel(name string, isPattern bool) bool {
	return s.allChannels || slices.ContainsFunc(s.channels, func(pattern string) bool {
		return pattern == name && isPattern || !isPattern && glob.Match(pattern, name)
	})
}

// bitmap is a set of commands.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) has(id ID) bool { return b[id/64]&(1<<(id%64)) != 0 }

func (b bitmap) set(id ID, on bool) {
	if on {
		b[id/64] |= 1 << (id % 64)
	} else {
		b[id/64] &^= 1 << (id % 64)
	}
}

func (b bitmap) setAll(n int, on bool) {
	for id := range n {
		b.set(ID(id), on)
	}
}

func (b bitmap) full(n int) bool {
	for id := range n {
		if !b.has(ID(id)) {
			return false
		}
	}
	return true
}
