package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
)

// seal adds version and checksum to a body.
func seal(body []byte) []byte {
	p := append(slices.Clone(body), version, 0)
	return binary.LittleEndian.AppendUint64(p, checksum(0, p))
}

// body joins strings and bytes.
func body(parts ...any) []byte {
	var b []byte
	for _, part := range parts {
		switch part := part.(type) {
		case int:
			b = append(b, byte(part))
		case string:
			b = append(b, part...)
		case []byte:
			b = append(b, part...)
		}
	}
	return b
}

// sized puts the length before p.
func sized(p []byte) []byte { return append(size(len(p)), p...) }

func size(n int) (b []byte) {
	w := &writer{emit: func(p []byte) { b = append(b, p...) }}
	w.length(uint64(n))
	w.flush()
	return b
}

func packed(items ...any) []byte {
	var p pack
	for _, it := range items {
		switch it := it.(type) {
		case int:
			p.int(int64(it))
		case string:
			p.string([]byte(it))
		}
	}
	return slices.Concat(p.header(&pack{}), p.body, []byte{packEnd})
}

// zipped makes a ziplist of items that are encoded already.
func zipped(items ...string) []byte {
	var all []byte
	before := 0
	for _, it := range items {
		at := len(all)
		if before < 0xfe {
			all = append(all, byte(before))
		} else {
			all = binary.LittleEndian.AppendUint32(append(all, 0xfe), uint32(before))
		}
		all = append(all, it...)
		before = len(all) - at
	}
	size := zipHeaderBytes + len(all) + 1
	head := binary.LittleEndian.AppendUint32(nil, uint32(size))
	head = binary.LittleEndian.AppendUint32(head, uint32(size-1-before))
	head = binary.LittleEndian.AppendUint16(head, uint16(len(items)))
	return slices.Concat(head, all, []byte{zipEnd})
}

func elementsOf(v *Value) (list []string) {
	for e := range v.Elements() {
		list = append(list, string(e))
	}
	return list
}

func strings2seq(list []string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, e := range list {
			if !yield([]byte(e)) {
				return
			}
		}
	}
}

func write(d *Dump) []byte {
	var out []byte
	d.Write(func(p []byte) { out = append(out, p...) })
	return out
}

func TestChecksum(t *testing.T) {
	if got := checksum(0, []byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("%x", got)
	}
	if got := checksum(checksum(0, []byte("1234")), []byte("56789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("in two parts: %x", got)
	}
}

// What Redis has written, in all its ways.
func TestLists(t *testing.T) {
	long := strings.Repeat("x", 70)
	for _, c := range []struct {
		name string
		body []byte
		want []string
	}{
		{"plain", body(1, 2, 1, "a", 0xc0, 0xff), []string{"a", "-1"}},
		{"integers", body(1, 3, 0xc0, 0x80, 0xc1, 0x00, 0x80, 0xc2, 0xff, 0xff, 0xff, 0x7f), []string{"-128", "-32768", "2147483647"}},
		{"lengths", body(1, 0x80, 0, 0, 0, 3, 0x40, 1, "a", 0x80, 0, 0, 0, 1, "b", 0x81, 0, 0, 0, 0, 0, 0, 0, 1, "c"), []string{"a", "b", "c"}},
		{"compressed", body(1, 1, 0xc3, 7, 9, 1, "ab", 0x80, 1, 0, "c"), []string{"ababababc"}},
		{"quicklist2", body(18, 2, 2, sized(packed("a", 5, "-7")), 1, 2, "zz"), []string{"a", "5", "-7", "zz"}},
		{"quicklist2 with an empty node", body(18, 2, 2, sized(packed()), 2, sized(packed("a"))), []string{"a"}},
		{"ziplist", body(10, sized(zipped("\x01a", "\xf1", "\xfd", "\xfe\xff", "\xc0\x00\x80"))), []string{"a", "0", "12", "-1", "-32768"}},
		{"ziplist integers", body(10, sized(zipped("\xf0\xff\xff\x7f", "\xd0\x00\x00\x00\x80", "\xe0\xff\xff\xff\xff\xff\xff\xff\x7f"))),
			[]string{"8388607", "-2147483648", "9223372036854775807"}},
		{"ziplist lengths", body(10, sized(zipped("\x40\x46"+long, "\x80\x00\x00\x00\x46"+long, "\x00"))), []string{long, long, ""}},
		{"quicklist", body(14, 2, sized(zipped("\x01a")), sized(zipped("\x01b", "\x01c"))), []string{"a", "b", "c"}},
	} {
		v, err := Parse(seal(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := elementsOf(v); v.Kind != List || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestElementsStop(t *testing.T) {
	for _, b := range [][]byte{
		body(1, 2, 1, "a", 1, "b"), body(18, 1, 2, sized(packed("a", "b"))), body(14, 1, sized(zipped("\x01a", "\x01b"))),
	} {
		v, err := Parse(seal(b))
		if err != nil {
			t.Fatal(err)
		}
		for e := range v.Elements() {
			if string(e) != "a" {
				t.Errorf("%q", e)
			}
			break
		}
	}
}

func TestListRoundTrip(t *testing.T) {
	list := []string{"", "a", "0", "-0", "007", "+1", "9223372036854775808"}
	for bits := range 64 {
		for _, n := range []int64{1<<bits - 1, 1 << bits, -1 << bits, -1<<bits - 1} {
			list = append(list, fmt.Sprint(n))
		}
	}
	for _, n := range []int{63, 64, 4095, 4096, 8191, 20000, 1 << 21} {
		list = append(list, strings.Repeat("x", n))
	}
	for i := range 5000 {
		list = append(list, fmt.Sprintf("element-%d", i))
	}
	d := DumpList(strings2seq(list))
	p := write(d)
	if int64(len(p)) != d.Size() || !bytes.Equal(p, write(d)) {
		t.Errorf("size %d, written %d", d.Size(), len(p))
	}
	v, err := Parse(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := elementsOf(v); !slices.Equal(got, list) {
		t.Errorf("%d elements, want %d", len(got), len(list))
	}
}

func TestBackward(t *testing.T) {
	for _, c := range []struct{ size, bytes int }{
		{1, 1}, {127, 1}, {128, 2}, {16382, 2}, {16383, 3}, {2097150, 3}, {2097151, 4}, {268435454, 4}, {268435455, 5}, {math.MaxInt32, 5},
	} {
		p := appendBackward(nil, c.size)
		got := 0
		for i := range p {
			got = got<<7 | int(p[i]&0x7f)
			if (p[i]&0x80 != 0) != (i > 0) {
				t.Errorf("%d: %x cannot be read backwards", c.size, p)
			}
		}
		if got != c.size || len(p) != c.bytes {
			t.Errorf("%d: %x, %d bytes", c.size, p, len(p))
		}
	}
}

func TestParseErrors(t *testing.T) {
	good := body(18, 1, 2, sized(packed("a", 5)))
	spoil := func(i int, b byte) []byte {
		p := seal(good)
		p[i] = b
		return p
	}
	for name, p := range map[string][]byte{
		"empty": nil, "short": make([]byte, 9), "no checksum": spoil(4, 'x'), "version": seal(good)[:len(good)],
		"too new": func() []byte {
			p := append(slices.Clone(good), 0xff, 0xff)
			return binary.LittleEndian.AppendUint64(p, checksum(0, p))
		}(),
	} {
		if _, err := Parse(p); !errors.Is(err, ErrChecksum) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": {}, "unknown type": body(8), "no elements": body(1, 0), "empty nodes only": body(18, 1, 2, sized(packed())),
		"trailing bytes": append(slices.Clone(good), 0), "cut": good[:len(good)-1], "too many elements": body(1, 3, 1, "a"),
		"huge count": body(1, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "huge string": body(1, 1, 0x80, 0xff, 0xff, 0xff, 0xff),
		"bad length": body(1, 1, 0x82), "bad special": body(1, 1, 0xc4), "special count": body(1, 0xc0, 1),
		"empty plain node": body(18, 1, 1, 0), "unknown node": body(18, 1, 3, 1, "a"), "no listpack": body(18, 1, 2, 1, "a"),
		"listpack without end":   body(18, 1, 2, sized(append(packed("a")[:9], 0))),
		"listpack size":          body(18, 1, 2, sized(append([]byte{11}, packed("a")[1:]...))),
		"listpack item cut":      body(18, 1, 2, 8, []byte{8, 0, 0, 0, 1, 0, 0x85, 0xff}),
		"listpack back":          body(18, 1, 2, 10, []byte{10, 0, 0, 0, 1, 0, 0x81, 'a', 9, 0xff}),
		"listpack count":         body(18, 1, 2, 10, []byte{10, 0, 0, 0, 2, 0, 0x81, 'a', 2, 0xff}),
		"listpack early end":     body(18, 1, 2, 10, []byte{10, 0, 0, 0, 1, 0, 0xff, 'a', 2, 0xff}),
		"listpack unknown":       body(18, 1, 2, 9, []byte{9, 0, 0, 0, 1, 0, 0xf5, 1, 0xff}),
		"ziplist previous":       body(10, 13, []byte{13, 0, 0, 0, 10, 0, 0, 0, 1, 0, 1, 0xf1, 0xff}),
		"ziplist count":          body(10, 13, []byte{13, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0xf1, 0xff}),
		"ziplist item":           body(10, 13, []byte{13, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0xff, 0xff}),
		"ziplist cut":            body(10, 13, []byte{13, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0x05, 0xff}),
		"compressed too far":     body(1, 1, 0xc3, 4, 9, 0, "a", 0x80, 1),
		"compressed too long":    body(1, 1, 0xc3, 2, 1, 1, "a"),
		"compressed short":       body(1, 1, 0xc3, 2, 2, 0, "a"),
		"compressed beyond":      body(1, 1, 0xc3, 2, 0x81, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, "a"),
		"compressed cut":         body(1, 1, 0xc3, 3, 9, 0, "a", 0xe0),
		"stream: node key":       body(19, 1, 1, "a", sized(packed(0, 0, 0, 0)), 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"stream: count":          body(19, 1, 16, make([]byte, 16), sized(packed(-1, 1, 0, 0)), 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"stream: no nodes":       body(19, 0, 3, 0, 0, 0, 0, 0, 0, 3, 0),
		"stream: nothing":        body(19),
		"stream: infinite nodes": body(19, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		if _, err := Parse(seal(b)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for typ, kind := range map[int]string{0: "string", 2: "set", 5: "sorted set", 16: "hash", 7: "module", 26: "stream (Redis 8.6)"} {
		_, err := Parse(seal(body(typ, 0)))
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Kind != kind {
			t.Errorf("type %d: %v", typ, err)
		}
	}
}

// A few bytes may stand for gigabytes: of compressed zeros, of items, of field
// names that all entries have in common.
func TestCostIsBounded(t *testing.T) {
	defer func(n int64) { costMax = n }(costMax)
	costMax = 10000
	zeros := body(0, 0)
	for range 80 {
		zeros = append(zeros, 0xe0, 0xff, 0)
	}
	many := body(1, size(256))
	for range 256 {
		many = append(many, 0)
	}
	shared := []any{100, 0, 1, strings.Repeat("f", 200), 0}
	for i := range 100 {
		shared = append(shared, 2, i+1, 0, "v", 4)
	}
	node := packed(shared...)
	for name, b := range map[string][]byte{
		"compressed": body(1, 1, 0xc3, size(len(zeros)), size(1+80*264), zeros),
		"items":      many,
		"shared":     body(19, 1, 16, make([]byte, 16), sized(node), size(100), size(100), 0, 0, 0, 0, 0, size(100), 0),
	} {
		if _, err := Parse(seal(b)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	costMax = 1 << 20
	for name, b := range map[string][]byte{
		"compressed": body(1, 1, 0xc3, size(len(zeros)), size(1+80*264), zeros),
	} {
		if _, err := Parse(seal(b)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ---- streams -----------------------------------------------------------------

// collected is a stream in memory, as a sink and as a source.
type collected struct {
	StreamInfo
	entries []Entry
	groups  []Group
}

func (c *collected) Entry(e *Entry) {
	k := *e
	k.Values = nil
	for _, v := range e.Values {
		k.Values = append(k.Values, append([]byte{}, v...))
	}
	c.entries = append(c.entries, k)
}

func (c *collected) Info(i StreamInfo) { c.StreamInfo = i }

func (c *collected) Group(g *Group) {
	k := *g
	k.Name = append([]byte{}, g.Name...)
	k.Consumers = nil
	for _, m := range g.Consumers {
		m.Name = append([]byte{}, m.Name...)
		k.Consumers = append(k.Consumers, m)
	}
	c.groups = append(c.groups, k)
}

func (c *collected) String() string {
	return fmt.Sprintf("%+v\n%v\n%v", c.StreamInfo, c.entries, c.groups)
}

func (c *collected) source() StreamSource {
	if len(c.entries) > 0 {
		c.First = c.entries[0].ID
	}
	return StreamSource{
		StreamInfo: c.StreamInfo, GroupCount: len(c.groups),
		Entries: func(yield func(*Entry) bool) {
			for i := range c.entries {
				if !yield(&c.entries[i]) {
					return
				}
			}
		},
		Groups: func(yield func(*Group) bool) {
			for i := range c.groups {
				if !yield(&c.groups[i]) {
					return
				}
			}
		},
	}
}

func entry(ms, seq uint64, newNode bool, values ...string) Entry {
	e := Entry{ID: ID{ms, seq}, NewNode: newNode}
	for _, v := range values {
		e.Values = append(e.Values, []byte(v))
	}
	return e
}

func sampleStream() *collected {
	c := &collected{
		StreamInfo: StreamInfo{Last: ID{math.MaxUint64, 7}, MaxDeleted: ID{5, 0}, Added: 12},
		entries: []Entry{
			entry(1, 1, true, "f", "v", "n", "1"), entry(1, 2, false, "f", "w", "n", "-70000"), entry(2, 0, false, "other", ""),
			entry(1<<40, math.MaxUint64, true, "f", strings.Repeat("x", 5000)), entry(1<<40+1, 0, false, "f", "v", "f", "v"),
			entry(math.MaxUint64, 3, false, "f", "9223372036854775807"),
		},
		groups: []Group{
			{Name: []byte("empty"), Last: ID{}, Read: -1},
			{
				Name: []byte("123"), Last: ID{2, 0}, Read: 3,
				Pending:   []Pending{{ID{1, 1}, 1700000000000, 1, 1}, {ID{1, 2}, 1700000000001, 1 << 40, 0}, {ID{9, 9}, 5, 2, 1}},
				Consumers: []Consumer{{[]byte("c1"), 1700000000000, 1700000000000}, {[]byte("c2"), 8, 8}, {[]byte("idle"), 3, 3}},
			},
		},
	}
	c.Length = uint64(len(c.entries))
	return c
}

func TestStreamRoundTrip(t *testing.T) {
	want := sampleStream()
	d := DumpStream(want.source())
	p := write(d)
	if int64(len(p)) != d.Size() || !bytes.Equal(p, write(d)) {
		t.Errorf("size %d, written %d", d.Size(), len(p))
	}
	v, err := Parse(p)
	if err != nil {
		t.Fatal(err)
	}
	got := &collected{}
	v.Stream(got)
	want.First = ID{}
	if v.Kind != Stream || got.String() != want.String() {
		t.Errorf("got  %.2000s\nwant %.2000s", got, want)
	}
}

// A macro node ends where its entries say, or when it gets too large.
func TestMacroNodes(t *testing.T) {
	c := &collected{StreamInfo: StreamInfo{Last: ID{9, 0}}}
	for i := range uint64(5) {
		c.entries = append(c.entries, entry(i+1, 0, false, "f", strings.Repeat("x", macroBytesMax*2/3)))
	}
	v, err := Parse(write(DumpStream(c.source())))
	if err != nil {
		t.Fatal(err)
	}
	got := &collected{}
	v.Stream(got)
	var starts []bool
	for _, e := range got.entries {
		starts = append(starts, e.NewNode)
	}
	if !slices.Equal(starts, []bool{true, false, true, false, true}) {
		t.Error(starts)
	}
}

// Older and newer streams: what they do not say, and what they say besides.
func TestStreamVersions(t *testing.T) {
	node := packed(2, 1, 1, "f", 0, 2, 0, 0, "a", 4, 3, 1, 0, "gone", 4, 0, 2, 0, 1, "g", 5, 6)
	nodes := body(1, 16, make([]byte, 15), 1, len(node), node)
	group := func(read []byte, active []byte) []byte {
		return body(1, 1, "g", 2, 0, read, 1, make([]byte, 15), 1, 1, make([]byte, 7), 3, 1, 1, "c", 9, make([]byte, 7), active, 1, make([]byte, 15), 1)
	}
	past := []byte{0, 1, 1, 1, 8}
	never := bytes.Repeat([]byte{0xff}, 8)
	for _, c := range []struct {
		typ          int
		body         []byte
		added        uint64
		old          bool
		read, active int64
	}{
		{15, body(nodes, 2, 2, 1, group(nil, nil)), 2, true, -1, 9},
		{19, body(nodes, 2, 2, 1, past, group([]byte{2}, nil)), 8, false, 2, 9},
		{21, body(nodes, 2, 2, 1, past, group([]byte{2}, body(4, make([]byte, 7)))), 8, false, 2, 4},
		{21, body(nodes, 2, 2, 1, past, group([]byte{2}, never)), 8, false, 2, Never},
	} {
		v, err := Parse(seal(body(c.typ, c.body)))
		if err != nil {
			t.Errorf("type %d: %v", c.typ, err)
			continue
		}
		got := &collected{}
		v.Stream(got)
		if len(got.entries) != 2 || got.entries[0].ID != (ID{0, 1}) || got.entries[1].ID != (ID{2, 1}) || got.Length != 2 ||
			!got.entries[0].NewNode || got.entries[1].NewNode || string(got.entries[1].Values[1]) != "5" {
			t.Errorf("type %d: %+v", c.typ, got.entries)
		}
		g := got.groups[0]
		if got.Added != c.added || got.Old != c.old || got.Last != (ID{2, 1}) || g.Read != c.read || g.Consumers[0].Active != c.active ||
			g.Pending[0] != (Pending{ID{0, 1}, 1, 3, 0}) {
			t.Errorf("type %d: %+v", c.typ, got)
		}
	}
}

func TestStreamErrors(t *testing.T) {
	for name, spoil := range map[string]func(*collected){
		"entries out of order":  func(c *collected) { c.entries[1].ID = ID{1, 0} },
		"the same entry twice":  func(c *collected) { c.entries[1].ID = ID{1, 1} },
		"entry 0-0":             func(c *collected) { c.entries[0].ID = ID{} },
		"last ID below entries": func(c *collected) { c.Last = ID{3, 0} },
		"a group twice":         func(c *collected) { c.groups[0].Name = []byte("123") },
		"a consumer twice":      func(c *collected) { c.groups[1].Consumers[0].Name = []byte("c2") },
		"pending twice":         func(c *collected) { c.groups[1].Pending[0].ID = ID{1, 2} },
	} {
		c := sampleStream()
		spoil(c)
		if _, err := Parse(write(DumpStream(c.source()))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	id := make([]byte, 16)
	pending := body(id[1:], 1, id[:8], 1)
	for name, group := range map[string][]byte{
		"without owner":    body(1, 1, "g", 0, 0, 0, 1, pending, 0),
		"two owners":       body(1, 1, "g", 0, 0, 0, 1, pending, 2, 1, "a", id[:8], 1, id[1:], 1, 1, "b", id[:8], 1, id[1:], 1),
		"owner of nothing": body(1, 1, "g", 0, 0, 0, 1, pending, 1, 1, "a", id[:8], 1, id),
	} {
		if _, err := Parse(seal(body(19, 0, 0, 0, 0, 0, 0, 0, 0, 0, group))); !errors.Is(err, ErrFormat) {
			t.Errorf("pending entry %s: %v", name, err)
		}
	}
}

// ---- garbage -----------------------------------------------------------------

func seeds() [][]byte {
	return [][]byte{
		body(1, 2, 1, "a", 0xc0, 0xff),
		body(1, 1, 0xc3, 7, 9, 1, "ab", 0x80, 1, 0, "c"),
		body(10, sized(zipped("\x01a", "\xf1", "\xfe\xff", "\xc0\x00\x80"))),
		body(14, 2, sized(zipped("\x01a")), sized(zipped("\x01b", "\x01c"))),
		body(18, 2, 2, sized(packed("a", 5, "-7", 100000, -5000)), 1, 2, "zz"),
	}
}

// check reads a body that may be anything: either it is refused, or what is
// read can be written and read again.
func check(t *testing.T, b []byte) {
	v, err := Parse(seal(b))
	if err != nil {
		return
	}
	if v.Kind == List {
		want := elementsOf(v)
		again, err := Parse(write(DumpList(strings2seq(want))))
		if err != nil {
			t.Fatal(err)
		}
		if got := elementsOf(again); !slices.Equal(got, want) {
			t.Fatalf("%q became %q", want, got)
		}
		return
	}
	want := &collected{}
	v.Stream(want)
	again, err := Parse(write(DumpStream(want.source())))
	if err != nil {
		t.Fatal(err)
	}
	got := &collected{}
	again.Stream(got)
	want.First, want.Old = ID{}, false
	for i := range want.groups {
		for j := range want.groups[i].Consumers {
			c := &want.groups[i].Consumers[j]
			c.Active = c.Seen
		}
	}
	if got.String() != want.String() {
		t.Fatalf("%.2000s\nbecame\n%.2000s", want, got)
	}
}

func FuzzDecodeList(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	costMax = 1 << 20
	f.Fuzz(func(t *testing.T, b []byte) { check(t, b) })
}

func FuzzDecodeStream(f *testing.F) {
	sample := sampleStream()
	sample.entries[3].Values[1] = []byte("short, or the fuzzer takes a minute to make it so")
	p := write(DumpStream(sample.source()))
	p = p[:len(p)-footerBytes]
	for _, typ := range []byte{typeStream, typeStream2, typeStream3} {
		p[0] = typ
		f.Add(slices.Clone(p[1:]), typ)
	}
	node := packed(2, 1, 1, "f", 0, 2, 0, 0, "a", 4, 3, 1, 0, "gone", 4, 0, 2, 0, 1, "g", 5, 6)
	f.Add(body(1, 16, make([]byte, 15), 1, sized(node), 2, 2, 1, 0), byte(typeStream))
	costMax = 1 << 20
	f.Fuzz(func(t *testing.T, b []byte, typ byte) {
		check(t, append([]byte{[]byte{typeStream, typeStream2, typeStream3}[typ%3]}, b...))
	})
}
