package commands

import (
	"fmt"
	"slices"
	"strings"
)

// Argument kinds of COMMAND DOCS.
const (
	argKey       = "key"
	argString    = "string"
	argInteger   = "integer"
	argDouble    = "double"
	argPattern   = "pattern"
	argUnixTime  = "unix-time"
	argPureToken = "pure-token"
	argOneOf     = "oneof"
	argBlock     = "block"
)

// argument is one node of the tree in which COMMAND DOCS describes what a
// command takes (https://redis.io/docs/latest/develop/reference/command-arguments/).
type argument struct {
	name          string
	kind          string
	token         string // a word that stands before it: COUNT
	optional      bool
	multiple      bool
	multipleToken bool // the token is repeated, too
	keySpec       int  // of a key: which specification it belongs to
	args          []argument
}

// arguments parses the command's Syntax.
func (c *Command) arguments() ([]argument, error) {
	p := syntaxParser{words: syntaxWords(c.Syntax), kind: c.argumentKind, specs: len(c.keySpecs())}
	items, err := p.sequence("")
	if err == nil && p.pos < len(p.words) {
		err = fmt.Errorf("%q is not opened", p.words[p.pos])
	}
	if err != nil {
		return nil, fmt.Errorf("syntax of %s: %w", c.FullName(), err)
	}
	return p.build(items, false), nil
}

// argumentKinds tells the types of arguments by name; what is not here is a
// string. A name may be given with its group or its command where the same
// word means different things.
var argumentKinds = map[string]string{
	"key": argKey, "source": argKey, "destination": argKey, "newkey": argKey,

	"numkeys": argInteger, "numids": argInteger, "count": argInteger, "num-matches": argInteger, "rank": argInteger,
	"len": argInteger, "index": argInteger, "index1": argInteger, "index2": argInteger, "db": argInteger,
	"destination-db": argInteger, "cursor": argInteger, "seconds": argInteger, "milliseconds": argInteger,
	"protover": argInteger, "client-id": argInteger, "maxage": argInteger, "entries-read": argInteger,
	"entries-added": argInteger, "min-idle-ms": argInteger, "ms": argInteger, "samples": argInteger,
	"ttl": argInteger, "frequency": argInteger, "offset": argInteger,
	"numreplicas": argInteger, "numlocal": argInteger, "wait timeout": argInteger, "waitaof timeout": argInteger,
	"slot": argInteger, "start-slot": argInteger, "end-slot": argInteger, "config-epoch": argInteger, "port": argInteger,
	"cluster-bus-port": argInteger,
	"list start":       argInteger, "list stop": argInteger, "client|pause timeout": argInteger,
	"xpending min-idle-time": argInteger, "xreadgroup min-idle-time": argInteger,

	"timeout": argDouble,
	"pattern": argPattern,

	"unix-time-seconds": argUnixTime, "unix-time-milliseconds": argUnixTime,
}

func (c *Command) argumentKind(name string) string {
	for _, k := range []string{c.FullName() + " " + name, c.Group + " " + name, name} {
		if kind := argumentKinds[k]; kind != "" {
			return kind
		}
	}
	return argString
}

// symbolNames are the names of tokens that are no words.
var symbolNames = map[string]string{
	"=": "equal", "~": "approximately", "*": "auto-id", "$": "new-id", "+": "last-id",
}

// syntaxWords splits a Syntax: brackets and bars are words of their own.
func syntaxWords(syntax string) []string {
	return strings.Fields(strings.NewReplacer("[", " [ ", "]", " ] ", "<", " < ", ">", " > ", "|", " | ").Replace(syntax))
}

// syntaxItem is a word or a bracketed group: [optional], <one | of>, and with
// repeat [again ...].
type syntaxItem struct {
	word         string
	alternatives [][]syntaxItem // of a group
	optional     bool
	repeat       bool
}

func (i syntaxItem) isGroup() bool { return i.word == "" }

// isToken reports whether the item is a word to be typed as it stands.
func (i syntaxItem) isToken() bool {
	return !i.isGroup() && (symbolNames[i.word] != "" || i.word == strings.ToUpper(i.word))
}

type syntaxParser struct {
	words []string
	pos   int
	kind  func(name string) string
	specs int // number of key specifications
	keys  int // keys met so far
}

// sequence reads items up to the closing bracket (not read) or a bar.
func (p *syntaxParser) sequence(closing string) (items []syntaxItem, err error) {
	for p.pos < len(p.words) {
		w := p.words[p.pos]
		if w == closing || w == "|" || w == "]" || w == ">" {
			return items, nil
		}
		p.pos++
		if w != "[" && w != "<" {
			items = append(items, syntaxItem{word: w})
			continue
		}
		group, err := p.group(w)
		if err != nil {
			return nil, err
		}
		items = append(items, group)
	}
	return items, nil
}

func (p *syntaxParser) group(opening string) (g syntaxItem, err error) {
	closing := ">"
	if opening == "[" {
		closing, g.optional = "]", true
	}
	for {
		items, err := p.sequence(closing)
		if err != nil {
			return g, err
		}
		if len(items) == 0 {
			return g, fmt.Errorf("nothing inside %s%s", opening, closing)
		}
		g.alternatives = append(g.alternatives, items)
		if p.pos == len(p.words) {
			return g, fmt.Errorf("%q is not closed", opening)
		}
		w := p.words[p.pos]
		p.pos++
		if w == closing {
			break
		}
		if w != "|" {
			return g, fmt.Errorf("%q is closed by %q", opening, w)
		}
	}
	if last := g.alternatives[0]; len(g.alternatives) == 1 && last[len(last)-1].word == "..." {
		g.alternatives[0], g.repeat = last[:len(last)-1], true
	}
	return g, nil
}

// build makes arguments of items. A token takes the operands that follow it;
// where it is the first word inside brackets (whole) it takes all of them, else
// what is not optional.
func (p *syntaxParser) build(items []syntaxItem, whole bool) (list []argument) {
	for i := 0; i < len(items); {
		item := items[i]
		switch {
		case item.isToken():
			end := operandsEnd(items, i+1, whole && i == 0)
			list = append(list, p.token(item.word, p.build(items[i+1:end], false)))
			i = end
		case !item.isGroup():
			list = append(list, p.operand(item.word))
			i++
		case item.repeat:
			keys := p.keys
			again := p.build(item.alternatives[0], true)
			if at := len(list) - len(again); at >= 0 && sameNames(list[at:], again) {
				p.keys = keys
				list = append(list[:at], repeated(slices.Clone(list[at:])))
			} else {
				a := joined(again)
				a.optional, a.multiple = true, true
				list = append(list, a)
			}
			i++
		default:
			list = append(list, p.choice(item))
			i++
		}
	}
	return list
}

// operandsEnd returns where the operands of a token end that starts at from.
func operandsEnd(items []syntaxItem, from int, whole bool) int {
	end := from
	for ; end < len(items) && !items[end].isToken(); end++ {
		item := items[end]
		startsWithToken := item.isGroup() && item.alternatives[0][0].isToken()
		if item.repeat && startsWithToken || item.optional && !item.repeat && !whole {
			break
		}
	}
	return end
}

func (p *syntaxParser) operand(word string) argument {
	a := argument{name: word, kind: p.kind(word)}
	if a.kind == argKey {
		a.keySpec = min(p.keys, max(p.specs-1, 0))
		p.keys++
	}
	return a
}

// token puts a token before its operands.
func (p *syntaxParser) token(word string, operands []argument) argument {
	name := symbolNames[word]
	if name == "" {
		name = strings.ToLower(word)
	}
	switch {
	case len(operands) == 0:
		return argument{name: name, kind: argPureToken, token: word}
	case len(operands) == 1 && operands[0].token == "" && !operands[0].optional:
		operands[0].token = word
		return operands[0]
	}
	return argument{name: name, kind: argBlock, token: word, args: operands}
}

// choice makes an argument of a group that does not repeat anything.
func (p *syntaxParser) choice(g syntaxItem) argument {
	var a argument
	if len(g.alternatives) == 1 {
		a = joined(p.build(g.alternatives[0], true))
	} else {
		a.kind = argOneOf
		for _, items := range g.alternatives {
			a.args = append(a.args, joined(p.build(items, true)))
		}
		a.name = joinedName(a.args)
	}
	a.optional = a.optional || g.optional
	return a
}

// joined makes several arguments one.
func joined(list []argument) argument {
	if len(list) == 1 {
		return list[0]
	}
	return argument{name: joinedName(list), kind: argBlock, args: list}
}

func joinedName(list []argument) string {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a.name
	}
	return strings.Join(names, "-")
}

// repeated marks arguments that may be given again.
func repeated(list []argument) argument {
	a := joined(list)
	a.multiple = true
	a.multipleToken = a.token != ""
	return a
}

func sameNames(a, b []argument) bool {
	for i := range a {
		if a[i].name != b[i].name || a[i].token != b[i].token {
			return false
		}
	}
	return true
}

// width returns the smallest number of words that the arguments stand for, and
// whether there can be more.
func width(list []argument) (least int, more bool) {
	for _, a := range list {
		n, varies := a.width()
		more = more || varies || a.optional || a.multiple
		if !a.optional {
			least += n
		}
	}
	return least, more
}

func (a argument) width() (least int, more bool) {
	switch a.kind {
	case argPureToken:
		return 1, false
	case argOneOf:
		for i, alternative := range a.args {
			n, varies := width([]argument{alternative})
			more = more || varies || (i > 0 && n != least)
			if i == 0 || n < least {
				least = n
			}
		}
	case argBlock:
		least, more = width(a.args)
	default:
		least = 1
	}
	if a.token != "" {
		least++
	}
	return least, more
}
