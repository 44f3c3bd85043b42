package acl

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Users are all users. There is always a default one.
type Users struct {
	// AllChannels says that users and selectors begin with all channels, not
	// with none (acl-pubsub-default).
	AllChannels bool

	known  *Commands
	byName map[string]*User
}

// NewUsers returns the default user alone, who may do everything without a
// password.
func NewUsers(known *Commands) *Users {
	us := &Users{known: known, byName: make(map[string]*User)}
	us.add(us.newDefault())
	return us
}

func newUser(name string, known *Commands, allChannels bool) *User {
	return &User{name: name, selectors: []*selector{newSelector(known, allChannels)}}
}

func (us *Users) newDefault() *User {
	u := newUser(DefaultName, us.known, true)
	for _, rule := range []string{"+@all", "~*", "on", "nopass"} {
		if reason := u.apply(rule, true); reason != "" {
			panic("acl: the default user: " + string(reason))
		}
	}
	return u
}

// add makes u the user of its name: where there is one it changes in place.
func (us *Users) add(u *User) *User {
	u.unrestricted = slices.ContainsFunc(u.selectors, (*selector).allowsAll)
	if old := us.byName[u.name]; old != nil {
		*old = *u
		return old
	}
	us.byName[u.name] = u
	return u
}

// Get returns a user, or nil.
func (us *Users) Get(name string) *User { return us.byName[name] }

// Default returns the default user: always the same, whatever its rules.
func (us *Users) Default() *User { return us.byName[DefaultName] }

// All returns the users by name.
func (us *Users) All() []*User {
	list := make([]*User, 0, len(us.byName))
	for _, u := range us.byName {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *User) int { return cmp.Compare(a.name, b.name) })
	return list
}

// Authenticate returns the user if the password is right and the user is on,
// otherwise nil.
func (us *Users) Authenticate(name, password string) *User {
	u := us.byName[name]
	var known passwords // a name that there is not takes as long
	if u != nil {
		known = u.passwords
	}
	right := known.match(password)
	if u == nil || !u.on || !u.noPass && !right {
		return nil
	}
	return u
}

// ValidName reports whether a user can have the name.
func ValidName(name string) bool { return !hasSpace(name) }

// Set applies rules to a user, who is made if need be: all of them, or none
// when it returns an error, which is a *RuleError. hearsLess says that there
// may be channels that the user no longer has.
func (us *Users) Set(name string, rules []string) (u *User, hearsLess bool, err error) {
	old := us.byName[name]
	if old == nil {
		old = newUser(name, us.known, us.AllChannels)
	}
	next := old.clone()
	joined, unmatched := joinSelectors(rules)
	if unmatched != nil {
		return nil, false, unmatched
	}
	for _, rule := range joined {
		if reason := next.apply(rule, us.AllChannels); reason != "" {
			return nil, false, &RuleError{rule, reason}
		}
	}
	hearsLess = old.hearsLess(next)
	return us.add(next), hearsLess, nil
}

// SetDefaultPassword gives the default user one password, or with an empty one
// lets everybody in (requirepass).
func (us *Users) SetDefaultPassword(password string) {
	u := us.Default()
	u.noPass, u.passwords = password == "", nil
	if password != "" {
		u.passwords = u.passwords.with(hashOf(password))
	}
}

// Delete removes a user and returns it, or nil. The default user stays.
func (us *Users) Delete(name string) *User {
	u := us.byName[name]
	if u == us.Default() {
		return nil
	}
	delete(us.byName, name)
	return u
}

// Save writes the users as Load reads them.
func (us *Users) Save(w io.Writer) error {
	for _, u := range us.All() {
		if _, err := fmt.Fprintln(w, u.Line()); err != nil {
			return err
		}
	}
	return nil
}

// Line describes the user as a line of a file.
func (u *User) Line() string { return "user " + u.name + " " + u.String() }

// Load replaces all users by those that are described in a file, one a line:
// all of them, or none when there is an error, which says where in the file
// (named path) things are wrong, without showing passwords. Who has the name of
// a user there was is that user, with other rules; the default user has those
// of the beginning if the file says nothing of him. It returns the users that
// are no more, and those that may not hear all that they could.
func (us *Users) Load(text, path string) (gone, deafer []*User, err error) {
	next := &Users{AllChannels: us.AllChannels, known: us.known, byName: make(map[string]*User)}
	var complaints strings.Builder
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		next.loadLine(strings.Trim(line, " \t\r\n"), fmt.Sprintf("%s:%d", path, number), number, &complaints)
	}
	if complaints.Len() > 0 {
		return nil, nil, LoadError(complaints.String() + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	if next.Default() == nil {
		next.add(next.newDefault())
	}
	for _, old := range us.All() {
		if u := next.byName[old.name]; u == nil {
			gone = append(gone, old)
			delete(us.byName, old.name)
		} else if old.hearsLess(u) {
			deafer = append(deafer, old)
		}
	}
	for _, u := range next.byName {
		us.add(u)
	}
	return gone, deafer, nil
}

// LoadError is all that is wrong with a file, in one line and in Redis' words.
type LoadError string

func (e LoadError) Error() string { return string(e) }

func (us *Users) loadLine(line, place string, number int, complaints *strings.Builder) {
	if line == "" {
		return
	}
	words := strings.Split(line, " ")
	if words[0] != "user" || len(words) < 2 {
		fmt.Fprintf(complaints, "%s should start with user keyword followed by the username. ", place)
		return
	}
	name := words[1]
	if !ValidName(name) {
		fmt.Fprintf(complaints, "'%s: username '%s' contains invalid characters. ", place, name)
		return
	}
	if us.byName[name] != nil {
		fmt.Fprintf(complaints, "WARNING: Duplicate user '%s' found on line %d. ", name, number)
		return
	}
	u := us.add(newUser(name, us.known, us.AllChannels))
	rules, unmatched := joinSelectors(words[2:])
	if unmatched != nil {
		fmt.Fprintf(complaints, "%s: %s.", place, Unmatched)
		return
	}
	told := false
	for _, rule := range rules {
		rule = strings.Trim(rule, "\t\r\n")
		switch reason := u.apply(rule, us.AllChannels); {
		case reason == "":
		case reason == Unknown: // the rule holds no secret
			fmt.Fprintf(complaints, "%s: Error in applying operation '%s': %s. ", place, rule, reason)
		case !told:
			fmt.Fprintf(complaints, "%s: %s. ", place, reason)
			told = true
		}
	}
	us.add(u)
}
