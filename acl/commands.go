package acl

import "strings"

// ID is the number of a command.
type ID int

// Commands are the commands and categories that rules can name.
type Commands struct {
	categories []string
	all        []command // by ID
	byName     map[string]ID
}

type command struct {
	name       string // "get", "config|set"
	categories uint64 // bits, in the order of Commands.categories
	parent     ID     // of a subcommand; otherwise its own
	children   []ID
}

// categoriesMax is how many categories fit a command's bits.
const categoriesMax = 64

// NewCommands returns a set without commands. Categories are named in lower
// case, without the "@".
func NewCommands(categories []string) *Commands {
	if len(categories) > categoriesMax {
		panic("acl: more categories than bits")
	}
	return &Commands{categories: categories, byName: make(map[string]ID)}
}

// Add adds a command ("config") or, after it, a subcommand ("config|set").
func (c *Commands) Add(name string, categories []string) ID {
	id := ID(len(c.all))
	added := command{name: name, parent: id}
	for _, category := range categories {
		bit, ok := c.category(category)
		if !ok {
			panic("acl: " + name + " is in a category that does not exist: " + category)
		}
		added.categories |= bit
	}
	if parent, _, isSub := strings.Cut(name, "|"); isSub {
		above, ok := c.byName[parent]
		if !ok {
			panic("acl: " + name + " is added before " + parent)
		}
		added.parent = above
		c.all[above].children = append(c.all[above].children, id)
	}
	c.all = append(c.all, added)
	c.byName[name] = id
	return id
}

// Categories returns the names of all categories.
func (c *Commands) Categories() []string { return c.categories }

// In returns the names of the commands in a category, in the order in which
// they were added; ok is false when there is no such category.
func (c *Commands) In(category string) (names []string, ok bool) {
	bit, ok := c.category(category)
	if !ok {
		return nil, false
	}
	for _, cmd := range c.all {
		if cmd.categories&bit != 0 {
			names = append(names, cmd.name)
		}
	}
	return names, true
}

func (c *Commands) category(name string) (bit uint64, ok bool) {
	for i, known := range c.categories {
		if known == lower(name) {
			return 1 << i, true
		}
	}
	return 0, false
}

// find returns the command of a full name in any case.
func (c *Commands) find(name string) (ID, bool) {
	id, ok := c.byName[lower(name)]
	return id, ok
}

func (c *Commands) isSub(id ID) bool { return c.all[id].parent != id }

// lower makes ASCII letters small: the only ones that names have.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
