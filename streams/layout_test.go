package streams

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"testing"
)

func packPage(key ID, entries []Pending) []byte {
	return appendPage(nil, key, summarise(entries, nil), entries)
}

func TestKeysKeepOrder(t *testing.T) {
	ids := []ID{{}, {0, 1}, {0, 255}, {0, 256}, {1, 0}, {1 << 40, 3}, {math.MaxUint64, 0}, MaxID}
	for i, id := range ids {
		key := new(subKey).entry(id)
		if got := decodeID(key[1:]); got != id {
			t.Errorf("%s reads back as %s", id, got)
		}
		if i > 0 && bytes.Compare(new(subKey).entry(ids[i-1]), key) >= 0 {
			t.Errorf("%s is not behind %s", id, ids[i-1])
		}
		if end := behind(id); bytes.Compare(key, end) >= 0 || (i+1 < len(ids) && bytes.Compare(end, new(subKey).entry(ids[i+1])) > 0) {
			t.Errorf("what is behind %s is %x", id, end)
		}
	}
	for _, group := range []uint32{0, 1, 255, math.MaxUint32} {
		from, to := groupBounds(kindPage, group)
		first, last := new(subKey).page(group, ID{}), new(subKey).page(group, MaxID)
		if bytes.Compare(from, first) > 0 || bytes.Compare(last, to) >= 0 || keyNumber(first[1:]) != group {
			t.Errorf("pages of group %d are not within %x and %x", group, from, to)
		}
	}
}

func TestRecordsReadBack(t *testing.T) {
	same := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	m := meta{
		length: 5, last: MaxID, first: ID{1, 2}, top: ID{3, 4}, added: math.MaxUint64, bytes: 77, maxDeleted: ID{9, 9},
		deletedTo: ID{8, 8}, groups: 2, nextGroup: math.MaxUint32,
		node: node{first: ID{2, 2}, entries: 100, live: 99, size: 4096, mark: 200, fields: 1 << 63},
		idem: idemMeta{Idempotence: Idempotence{100, 10000}, producers: 7, tracked: 70, added: 1 << 40, duplicates: 9, nextProducer: math.MaxUint64},
	}
	for _, want := range []meta{m, {}} {
		var got meta
		if err := got.decode(want.append(nil)); err != nil {
			t.Error(err)
		}
		same("metadata", got, want)
	}

	g := &Group{name: "workers \x00\xff", last: ID{5, 6}, entriesRead: ReadUnknown, nextConsumer: 70, nacks: 1 << 40}
	got := &Group{}
	if err := got.decodeHeader(g.appendHeader(nil)); err != nil {
		t.Error(err)
	}
	same("group", got, g)

	var c Consumer
	if err := c.decodeRecord((&Consumer{Name: "a\x00b"}).appendRecord(nil)); err != nil {
		t.Error(err)
	}
	same("consumer", c, Consumer{Name: "a\x00b"})

	times := []byte{timesVersion}
	times = appendTimes(times, &Consumer{number: 64, Seen: 123456, Active: Never})
	times = appendTimes(times, &Consumer{number: 127, Seen: 1 << 50, Active: 0})
	var list []string
	if err := decodeTimes(times, func(within uint32, seen, active int64) { list = append(list, fmt.Sprint(within, seen, active)) }); err != nil {
		t.Error(err)
	}
	same("times", list, []string{"0 123456 -1", "63 1125899906842624 0"})

	pages := [][]Pending{
		{{ID: ID{7, 7}, Time: 5, Deliveries: 1, consumer: 3}},
		{
			{ID: ID{7, 8}, Time: math.MaxInt64, Deliveries: math.MaxUint64, consumer: nobody - 1},
			{ID: ID{7, 9}, Time: 0}, {ID: ID{8, 0}, Time: 1}, {ID: ID{8, math.MaxUint64}}, {ID: MaxID},
		},
		{
			{ID: ID{7, 8}, Time: 1 << 40, Deliveries: 1}, {ID: ID{7, 9}, Time: placeFirst + 5, consumer: nobody}, {ID: ID{8, 0}, Time: 1<<40 + 1},
			{ID: ID{8, 1}, Time: placeFirst, consumer: nobody, nacked: 1 << 40}, {ID: ID{8, 2}, Time: -1, consumer: nobody, nacked: 5},
		},
	}
	for _, want := range pages {
		got, err := decodePage(ID{7, 7}, packPage(ID{7, 7}, want), nil)
		if err != nil {
			t.Error(err)
		}
		same("page", got, want)
	}

	for _, arrived := range []int64{5, 0, math.MaxInt64} {
		for _, values := range [][]string{{"f", "v"}, {"", ""}, {"f", "v", "g", string(make([]byte, 300))}} {
			var raw [][]byte
			for _, v := range values {
				raw = append(raw, []byte(v))
			}
			e, err := decodeEntry(ID{5, 0}, appendEntry(nil, ID{5, 0}, 9, arrived, raw))
			if err != nil {
				t.Fatal(err)
			}
			var back []string
			e.Each(func(p []byte) { back = append(back, string(p)) })
			same("entry", back, values)
			if e.Len() != len(values) || e.node != 9 {
				t.Errorf("entry with %d values of node %d", e.Len(), e.node)
			}
		}
	}
}

// TestGarbageIsRefused: what cannot have been written is an error, and so is
// every part of what was.
func TestGarbageIsRefused(t *testing.T) {
	entry := appendEntry(nil, ID{5, 0}, 1, 9, [][]byte{[]byte("field"), []byte("value")})
	page := packPage(ID{5, 0}, []Pending{{ID: ID{5, 1}, Time: 1 << 40, Deliveries: 1}, {ID: ID{6, 0}}})
	full := (&meta{length: 1 << 40, node: node{fields: 5}}).append(nil)
	from := (&producer{number: 5, head: 3, next: 300, count: 200, newest: 1 << 40, due: 1 << 41}).append(nil)
	sent := (&produced{300, 1 << 40, ID{5, 1}}).append(nil)
	for name, c := range map[string]struct {
		record []byte
		decode func([]byte) error
	}{
		"entry":    {entry, func(p []byte) error { _, err := decodeEntry(ID{5, 0}, p); return err }},
		"page":     {page, func(p []byte) error { _, err := decodePage(ID{5, 0}, p, nil); return err }},
		"metadata": {full, func(p []byte) error { return new(meta).decode(p) }},
		"producer": {from, func(p []byte) error { return new(producer).decode(p) }},
		"message":  {sent, func(p []byte) error { return new(produced).decode(p) }},
	} {
		if err := c.decode(c.record); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range c.record {
			if c.decode(c.record[:n]) == nil {
				t.Errorf("%s: the first %d bytes of %d are taken for all", name, n, len(c.record))
			}
		}
		if c.decode(append(bytes.Clone(c.record), 0)) == nil {
			t.Errorf("%s: a byte too many is accepted", name)
		}
		if newer := append([]byte{0x7e}, c.record[1:]...); c.decode(newer) == nil {
			t.Errorf("%s: a format to come is accepted", name)
		}
	}
	for name, entries := range map[string][]Pending{
		"none":         {},
		"twice":        {{ID: ID{5, 1}}, {ID: ID{5, 1}}},
		"out of order": {{ID: ID{6, 0}}, {ID: ID{5, 0}}},
	} {
		if _, err := decodePage(ID{5, 0}, packPage(ID{5, 0}, entries), nil); err == nil {
			t.Errorf("a page with %s is accepted", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(appendEntry(nil, ID{5, 0}, 1, 9, [][]byte{[]byte("field"), []byte("value")}))
	f.Add(packPage(ID{5, 0}, []Pending{{ID: ID{5, 1}, Time: 7, Deliveries: 1}, {ID: ID{6, 0}}}))
	f.Add((&meta{length: 3}).append(nil))
	f.Add(appendTimes([]byte{timesVersion}, &Consumer{Seen: 5}))
	f.Add((&Group{name: "g"}).appendHeader(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		if e, err := decodeEntry(ID{5, 0}, p); err == nil {
			bytes := 0
			e.Each(func(v []byte) { bytes += len(v) })
			if bytes != e.Bytes() {
				t.Errorf("an entry of %d bytes has %d", e.Bytes(), bytes)
			}
		}
		if entries, err := decodePage(ID{5, 0}, p, nil); err == nil {
			again, err := decodePage(ID{5, 0}, packPage(ID{5, 0}, entries), nil)
			if err != nil || !reflect.DeepEqual(again, entries) {
				t.Errorf("%v reads back as %v, %v", entries, again, err)
			}
		}
		_ = new(meta).decode(p)
		_ = new(producer).decode(p)
		_ = new(produced).decode(p)
		_ = new(window).decode(p)
		_ = new(overdue).decode(p)
		_ = new(Group).decodeHeader(p)
		_ = new(Consumer).decodeRecord(p)
		_ = decodeTimes(p, func(uint32, int64, int64) {})
	})
}
