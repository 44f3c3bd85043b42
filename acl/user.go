package acl

import (
	"slices"
	"strings"
)

// DefaultName is the name of the user that connections have until they
// authenticate as another.
const DefaultName = "default"

// User is who may do what. It keeps its place in memory while rules change it.
type User struct {
	name         string
	on           bool
	noPass       bool
	sanitize     string // "", "sanitize-payload", "skip-sanitize-payload"
	passwords    passwords
	selectors    []*selector // the first is the root: what stands outside parentheses
	unrestricted bool
}

func (u *User) clone() *User {
	c := *u
	c.passwords = slices.Clone(u.passwords)
	c.selectors = make([]*selector, len(u.selectors))
	for i, s := range u.selectors {
		c.selectors[i] = s.clone()
	}
	return &c
}

// Name returns the user's name.
func (u *User) Name() string { return u.name }

// Copy returns the user as it is now: rules do not change the copy.
func (u *User) Copy() *User { return u.clone() }

// On reports whether the user may be used at all.
func (u *User) On() bool { return u.on }

// Unrestricted reports whether the user may do everything, so that there is
// nothing to check.
func (u *User) Unrestricted() bool { return u.unrestricted }

// LetsIn reports whether the user needs no password: a new connection, whose
// user is the default one, may go on at once.
func (u *User) LetsIn() bool { return u.on && u.noPass }

// NoPass reports whether any password is right.
func (u *User) NoPass() bool { return u.noPass }

// ---- Rules -----------------------------------------------------------------

// Words of rules about payloads; there is no difference between the two here.
const (
	sanitizePayload     = "sanitize-payload"
	skipSanitizePayload = "skip-sanitize-payload"
)

// apply changes the user by one rule. After an error the user may be changed
// in part: rules are tried on a copy.
func (u *User) apply(rule string, allChannels bool) Reason {
	if rule == "" {
		return ""
	}
	switch word := lower(rule); word {
	case "on", "off":
		u.on = word == "on"
		return ""
	case sanitizePayload, skipSanitizePayload:
		u.sanitize = word
		return ""
	case "nopass", "resetpass":
		u.noPass, u.passwords = word == "nopass", nil
		return ""
	case "clearselectors":
		u.selectors = u.selectors[:1]
		return ""
	case "reset":
		*u = *newUser(u.name, u.selectors[0].known, allChannels)
		u.sanitize = sanitizePayload
		return ""
	}
	switch what := rule[1:]; rule[0] {
	case '>', '#':
		return u.addPassword(rule[0] == '>', what)
	case '<', '!':
		return u.removePassword(rule[0] == '<', what)
	case '(':
		if inside, ok := strings.CutSuffix(what, ")"); ok {
			return u.addSelector(inside, allChannels)
		}
	}
	return u.selectors[0].apply(rule)
}

func (u *User) addPassword(clear bool, password string) Reason {
	if clear {
		password = hashOf(password)
	} else if !isHash(password) {
		return BadHash
	}
	u.noPass, u.passwords = false, u.passwords.with(password)
	return ""
}

func (u *User) removePassword(clear bool, password string) Reason {
	if clear {
		password = hashOf(password)
	} else if !isHash(password) {
		return BadHash
	}
	rest, ok := u.passwords.without(password)
	if !ok {
		return NoPassword
	}
	u.passwords = rest
	return ""
}

func (u *User) addSelector(rules string, allChannels bool) Reason {
	s := newSelector(u.selectors[0].known, allChannels)
	for _, rule := range strings.FieldsFunc(rules, func(r rune) bool { return hasSpace(string(r)) }) {
		if strings.HasSuffix(rule, ")") {
			return Syntax // could not be told from the selector's end when it is read again
		}
		if reason := s.apply(rule); reason != "" {
			return reason
		}
	}
	u.selectors = append(u.selectors, s)
	return ""
}

// joinSelectors puts selectors together that are spread over several words.
func joinSelectors(words []string) ([]string, *RuleError) {
	var rules []string
	var open []string
	for _, word := range words {
		if len(open) == 0 && !strings.HasPrefix(word, "(") {
			rules = append(rules, word)
			continue
		}
		open = append(open, word)
		if strings.HasSuffix(word, ")") {
			rules = append(rules, strings.Join(open, " "))
			open = nil
		}
	}
	if len(open) > 0 {
		return nil, &RuleError{open[0], Unmatched}
	}
	return rules, nil
}

// ---- Description -----------------------------------------------------------

// String returns the rules that make this user of a new one.
func (u *User) String() string {
	words := u.Flags()
	for _, hash := range u.passwords {
		words = append(words, "#"+hash)
	}
	words = append(words, u.selectors[0].String())
	for _, s := range u.selectors[1:] {
		words = append(words, "("+s.String()+")")
	}
	return strings.Join(words, " ")
}

// Flags returns what the user is, in words that are rules.
func (u *User) Flags() []string {
	flags := []string{"off"}
	if u.on {
		flags[0] = "on"
	}
	if u.noPass {
		flags = append(flags, "nopass")
	}
	if u.sanitize != "" {
		flags = append(flags, u.sanitize)
	}
	return flags
}

// Passwords returns the hashes of the user's passwords.
func (u *User) Passwords() []string { return u.passwords }

// Rights are what one selector allows, as rules.
type Rights struct{ Commands, Keys, Channels string }

// Rights returns what the selectors allow; the first is the root.
func (u *User) Rights() []Rights {
	list := make([]Rights, len(u.selectors))
	for i, s := range u.selectors {
		list[i] = Rights{s.describeCommands(), s.describeKeys(), s.describeChannels()}
	}
	return list
}

// ---- Checks ----------------------------------------------------------------

// Call is what somebody wants to do.
type Call struct {
	Command  ID
	Free     bool // everybody may run the command
	Args     [][]byte
	Keys     []KeyUse
	Channels []ChannelUse
}

// KeyUse is a key among the arguments of a call. A call that neither reads nor
// changes the value still needs a pattern that the key matches.
type KeyUse struct {
	At     int
	Access Access
}

// ChannelUse is a channel among the arguments of a call, or a pattern of
// channels.
type ChannelUse struct {
	At      int
	Pattern bool
}

// Denied says what a call lacks, from the least that can be said to the most.
type Denied uint8

const (
	Allowed Denied = iota
	DeniedCommand
	DeniedKey
	DeniedAuth // a wrong password
	DeniedChannel
	Denials // how many there are
)

var deniedWords = [Denials]string{
	DeniedCommand: "command", DeniedKey: "key", DeniedAuth: "auth", DeniedChannel: "channel",
}

func (d Denied) String() string { return deniedWords[d] }

// Check says whether the user may make a call: whether one selector allows all
// of it. If none does, the answer is that of the one that came furthest: the
// key or channel is the last that some selector stopped at.
func (u *User) Check(c *Call) (denied Denied, at int) {
	denied = DeniedCommand
	for _, s := range u.selectors {
		d, i := s.check(c)
		if d == Allowed {
			return Allowed, 0
		}
		if d > denied || (d == denied && i > at) {
			denied, at = d, i
		}
	}
	return denied, at
}

// CheckReadingAll is Check for a call that may read any key as well, not only
// those it names: one selector has to allow both.
func (u *User) CheckReadingAll(c *Call) bool {
	return slices.ContainsFunc(u.selectors, func(s *selector) bool {
		denied, _ := s.check(c)
		return denied == Allowed && s.readsAll()
	})
}

// AllKeys reports whether the keys of a call make no difference.
func (u *User) AllKeys() bool {
	return !slices.ContainsFunc(u.selectors, func(s *selector) bool { return !s.allKeys })
}

// Hears reports whether the user may listen to a channel, or to a pattern of
// channels.
func (u *User) Hears(name string, isPattern bool) bool {
	return slices.ContainsFunc(u.selectors, func(s *selector) bool { return s.allowsChannel(name, isPattern) })
}

// hearsLess reports whether next may lack a channel that u has. It looks at
// the rules only, not at what they match.
func (u *User) hearsLess(next *User) bool {
	var channels []string
	for _, s := range next.selectors {
		if s.allChannels {
			return false
		}
		channels = append(channels, s.channels...)
	}
	return slices.ContainsFunc(u.selectors, func(s *selector) bool {
		return s.allChannels || slices.ContainsFunc(s.channels, func(pattern string) bool { return !slices.Contains(channels, pattern) })
	})
}
