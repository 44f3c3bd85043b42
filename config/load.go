package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What the command line may ask for instead of a broker.
var (
	ErrHelp    = errors.New("help was asked for")
	ErrVersion = errors.New("the version was asked for")
)

// Load reads a command line without the program's name:
//
//	[file] [--name value ...]... [--name=value]... ["--name value ..."]...
//
// The flags win over the file, wherever they stand. An error says what is wrong
// and where in one line; ErrHelp and ErrVersion are requests.
func (c *Config) Load(args []string) error {
	var file string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		file, args = args[0], args[1:]
	}
	options, err := parseOptions(args)
	if err != nil {
		return err
	}
	if file != "" {
		if err := c.loadFile(file, 0); err != nil {
			return err
		}
		if c.File, err = filepath.Abs(file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, o := range options {
		if err := c.assign(o.name, o.words); err != nil {
			return fmt.Errorf("--%s: %w", o.name, err) // not its value, which may be secret
		}
	}
	return c.settle()
}

// option is one directive on the command line.
type option struct {
	name  string
	words []string
}

func parseOptions(args []string) ([]option, error) {
	var options []option
	for _, arg := range args {
		switch arg {
		case "-h", "--help":
			return nil, ErrHelp
		case "-v", "--version":
			return nil, ErrVersion
		}
		flag, isFlag := strings.CutPrefix(arg, "--")
		switch {
		case isFlag:
			o, err := parseFlag(flag)
			if err != nil {
				return nil, fmt.Errorf("--%s: %w", o.name, err)
			}
			options = append(options, o)
		case len(options) == 0:
			return nil, fmt.Errorf("%q is not an option: they are written --name value (cairn --help shows them)", arg)
		default:
			last := &options[len(options)-1]
			last.words = append(last.words, arg)
		}
	}
	return options, nil
}

// parseFlag reads "name", "name=value", or, as a line of a file would have it,
// "name value ...".
func parseFlag(flag string) (o option, err error) {
	end := strings.IndexAny(flag, "= \t")
	if end < 0 {
		return option{name: flag}, nil
	}
	o.name = flag[:end]
	if flag[end] == '=' {
		o.words = []string{flag[end+1:]}
	} else {
		o.words, err = Split(flag[end:])
	}
	return o, err
}

// assign sets a directive from a file or the command line.
func (c *Config) assign(name string, words []string) error {
	switch strings.ToLower(name) {
	case "user":
		return addNamed(&c.Users, words, errUserName, errUserTwice)
	case "rename-command":
		return c.addRename(words)
	case "policy":
		return addNamed(&c.Policies, words, errPolicyName, errPolicyTwice)
	}
	d := find(name)
	if d == nil {
		return unknown(name)
	}
	if d.flags&many != 0 && len(words) == 1 {
		words = strings.Fields(words[0]) // --bind "127.0.0.1 ::1"
	}
	return d.value(c).set(words)
}

var (
	errUserName  = errors.New("the user has no name (user <name> [<rule> ...])")
	errUserTwice = errors.New("a user can be defined only once (Duplicate user found)")

	errPolicyName  = errors.New("the policy has no name (policy <name> pattern <glob> <setting> <value> ...)")
	errPolicyTwice = errors.New("a policy can be defined only once")
)

// addNamed adds a line "user name rule ..." or "policy name setting value ..." to
// those there are. What stands behind the name means nothing here.
func addNamed(lines *[][]string, words []string, noName, twice error) error {
	if len(words) == 1 {
		words = strings.Fields(words[0]) // --user "alice on ~jobs:*"
	}
	if len(words) == 0 {
		return noName
	}
	if slices.ContainsFunc(*lines, func(line []string) bool { return line[0] == words[0] }) {
		return twice
	}
	*lines = append(*lines, words)
	return nil
}

// addRename takes a line "rename-command name new". Which commands there are is
// not known here.
func (c *Config) addRename(words []string) error {
	if len(words) != 2 {
		return errWords
	}
	c.Renames = append(c.Renames, Rename{words[0], words[1]})
	return nil
}

func unknown(name string) error {
	if near := nearest(name); near != "" {
		return fmt.Errorf("unknown directive; did you mean %s?", near)
	}
	return errors.New("unknown directive (cairn --help shows what there is)")
}

// settle checks what no single directive can, and makes paths independent of
// the working directory.
func (c *Config) settle() error {
	if c.Dir == "" {
		return errors.New("dir is empty: name a data folder with --dir")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("dir %s: %w", c.Dir, err)
	}
	c.Dir = dir
	if c.UnixSocket == "" && (c.Port == 0 && c.TLSPort == 0 || len(c.Bind) == 0) {
		return errors.New("nothing to listen on: give a --port or --tls-port and a --bind address, or a --unixsocket")
	}
	if c.Port != 0 && c.Port == c.TLSPort {
		return fmt.Errorf("port and tls-port are both %d: give them different numbers, or --port 0 for TLS only", c.Port)
	}
	return nil
}

// includeDepthMax bounds files that include each other.
const includeDepthMax = 16

// loadFile reads a file of directives, one a line, with # for comments.
func (c *Config) loadFile(path string, depth int) error {
	if depth > includeDepthMax {
		return fmt.Errorf("%s: files include each other more than %d deep", path, includeDepthMax)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w: check the path", err)
	}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		if err := c.loadLine(line, depth); err != nil {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	return nil
}

func (c *Config) loadLine(line string, depth int) error {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	words, err := Split(line)
	if err != nil || len(words) == 0 { // bytes of zero are blanks
		return err
	}
	name := words[0]
	if strings.EqualFold(name, "include") {
		return c.include(words[1:], depth)
	}
	if err := c.assign(name, words[1:]); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// include reads the files that a pattern names, in alphabetical order.
func (c *Config) include(words []string, depth int) error {
	pattern, err := one(words)
	if err != nil {
		return fmt.Errorf("include: %w", err)
	}
	paths := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		if paths, err = filepath.Glob(pattern); err != nil {
			return fmt.Errorf("include %s: %w", pattern, err)
		}
	}
	for _, path := range paths {
		if err := c.loadFile(path, depth+1); err != nil {
			return err
		}
	}
	return nil
}
