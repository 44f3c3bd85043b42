package compat_test

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A mode says which part of a reply two servers must agree on:
//
//	~sorted            the elements, in any order; ~sorted(1) those of the second element
//	~pairs             name-value pairs, in any order
//	~shape             types and lengths, not values
//	~int               that it is an integer
//	~range(lo,hi)      that it is an integer between these
//	~text              that it is text
//	~error             the error's code, its first word
//	~any               nothing
//	~list              that it is a list, of whatever
//	~unordered         of several frames, which there are
//	~count             how many elements there are
//	~at(0.2,*.3)       everything but the elements at these places (* is every place)
//	~hide(a,b)         everything but the values that follow these names
//	~without(a,b)      everything but these names and their values
//	~only(a,b)         only these names and their values, in this order
//	~first(n)          the first n elements of every element
//	~has(a,b)          which of these are among the elements
//	~fields(a,b)       of lines name:value or name=value, only these
//	~names             of lines name:value or name=value, only the names
//	~origin             of a line of MONITOR, everything but the time and who it was
type mode struct {
	name string
	args []string
}

var monitorOrigin = regexp.MustCompile(`^\d+\.\d{6} \[(\d+) \S+\]`)

var modeNames = []string{
	"sorted", "pairs", "shape", "int", "range", "text", "error", "any", "list", "unordered", "count",
	"at", "hide", "without", "only", "first", "has", "fields", "names", "origin",
}

func parseModes(text string) ([]mode, error) {
	var modes []mode
	for text != "" {
		text = text[1:] // the ~
		end := strings.IndexAny(text, "~(")
		if end < 0 {
			end = len(text)
		}
		m := mode{name: text[:end]}
		text = text[end:]
		if strings.HasPrefix(text, "(") {
			end := strings.IndexByte(text, ')')
			m.args = strings.Split(text[1:end], ",")
			text = text[end+1:]
		}
		if !slices.Contains(modeNames, m.name) {
			return nil, fmt.Errorf("no such mode: ~%s", m.name)
		}
		modes = append(modes, m)
	}
	return modes, nil
}

// apply changes what does not count into something that is the same everywhere. A reply that the mode was not
// meant for (an error, say) stays as it is and so shows up as a difference.
func (m mode) apply(f frame) frame {
	switch m.name {
	case "sorted":
		return m.sorted(f)
	case "pairs":
		return sortGroups(f, 2)
	case "shape":
		return shape(f)
	case "int":
		if f.kind == ':' {
			return mask("(int)")
		}
	case "range":
		return m.inRange(f)
	case "text":
		if f.kind == '+' || (f.kind == '$' && !f.null) || f.kind == '=' {
			return mask("(text)")
		}
	case "error":
		if f.kind == '-' {
			code, _, _ := strings.Cut(f.text, " ")
			return mask("-" + code + " …")
		}
	case "any":
		return mask("(any)")
	case "list":
		if f.isAggregate() && !f.null {
			return mask("(list)")
		}
	case "count":
		if f.isAggregate() && !f.null {
			return mask(fmt.Sprintf("(%d elements)", len(f.items)))
		}
	case "at":
		for _, place := range m.args {
			f = maskAt(f, strings.Split(place, "."))
		}
	case "hide", "without", "only":
		return m.named(f)
	case "first":
		return m.firstOfEach(f)
	case "has":
		return m.among(f)
	case "fields", "names":
		return m.lines(f)
	case "origin":
		f.text = monitorOrigin.ReplaceAllString(f.text, "(time) [$1 (address)]")
	}
	return f
}

func (m mode) sorted(f frame) frame {
	if len(m.args) == 0 {
		return sortGroups(f, 1)
	}
	if i, err := strconv.Atoi(m.args[0]); err == nil && i < len(f.items) {
		f.items = slices.Clone(f.items)
		f.items[i] = sortGroups(f.items[i], 1)
	}
	return f
}

// sortGroups orders the elements, size at a time. A set and an array are told apart by their kind, not their order.
func sortGroups(f frame, size int) frame {
	if f.kind == '%' {
		size = 2
	}
	var groups [][]frame
	for i := 0; i+size <= len(f.items); i += size {
		groups = append(groups, f.items[i:i+size])
	}
	sort.SliceStable(groups, func(i, j int) bool { return join(groups[i]) < join(groups[j]) })
	f.items = slices.Concat(groups...)
	return f
}

func shape(f frame) frame {
	switch f.kind {
	case ':':
		return mask("(int)")
	case '$', '=', '+':
		if !f.null {
			return mask("(text)")
		}
	case ',':
		return mask("(double)")
	}
	items := make([]frame, len(f.items))
	for i, item := range f.items {
		if f.kind == '%' && i%2 == 0 {
			items[i] = item // names of fields are part of the shape
			continue
		}
		items[i] = shape(item)
	}
	f.items = items
	return f
}

func (m mode) inRange(f frame) frame {
	if f.kind != ':' || len(m.args) != 2 {
		return f
	}
	n, err := strconv.ParseInt(f.text, 10, 64)
	lo, loErr := strconv.ParseInt(m.args[0], 10, 64)
	hi, hiErr := strconv.ParseInt(m.args[1], 10, 64)
	if err != nil || loErr != nil || hiErr != nil || n < lo || n > hi {
		return f
	}
	return mask("(int " + m.args[0] + "…" + m.args[1] + ")")
}

func maskAt(f frame, place []string) frame {
	if len(place) == 0 {
		if f.null || f.kind == '_' {
			return f
		}
		return mask("*")
	}
	f.items = slices.Clone(f.items)
	for i, item := range f.items {
		if place[0] == "*" || place[0] == strconv.Itoa(i) {
			f.items[i] = maskAt(item, place[1:])
		}
	}
	return f
}

// named finds names at any depth. A RESP2 array has names at even places like a map, but not every array holds
// names: so a name counts wherever it stands before a value.
func (m mode) named(f frame) frame {
	var items []frame
	if m.name == "only" && f.isAggregate() {
		for _, name := range m.args {
			for i := 0; i+1 < len(f.items); i += 2 {
				if f.items[i].text == name {
					items = append(items, f.items[i], f.items[i+1])
				}
			}
		}
		f.items = items
		return f
	}
	for i := 0; i < len(f.items); i++ {
		item := f.items[i]
		if item.kind != '$' || item.null || !slices.Contains(m.args, item.text) || i+1 == len(f.items) {
			items = append(items, m.named(item))
			continue
		}
		if m.name == "hide" {
			items = append(items, item, mask("*"))
		}
		i++
	}
	f.items = items
	return f
}

func (m mode) firstOfEach(f frame) frame {
	n, err := strconv.Atoi(m.args[0])
	if err != nil {
		return f
	}
	f.items = slices.Clone(f.items)
	for i, item := range f.items {
		if len(item.items) > n {
			item.items = item.items[:n]
			f.items[i] = item
		}
	}
	return f
}

func (m mode) among(f frame) frame {
	if !f.isAggregate() {
		return f
	}
	var found []string
	for _, name := range m.args {
		if slices.ContainsFunc(f.items, func(item frame) bool { return item.text == name }) {
			found = append(found, name)
		}
	}
	return mask("(has " + strings.Join(found, ",") + ")")
}

func (m mode) lines(f frame) frame {
	if (f.kind != '$' && f.kind != '=') || f.null {
		return f
	}
	if f.kind == '=' { // verbatim or plain: clients accept both
		f.kind, f.text = '$', strings.TrimPrefix(f.text, "txt:")
	}
	var out []string
	for _, text := range strings.FieldsFunc(f.text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		var kept []string
		for _, word := range strings.Split(text, " ") {
			end := strings.IndexAny(word, ":=")
			if end < 0 {
				continue
			}
			if m.name == "names" {
				kept = append(kept, word[:end])
			} else if slices.Contains(m.args, word[:end]) {
				kept = append(kept, word)
			}
		}
		if len(kept) > 0 {
			out = append(out, strings.Join(kept, " "))
		}
	}
	f.text = strings.Join(out, "\n")
	return f
}
