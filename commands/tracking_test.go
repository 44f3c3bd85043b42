package commands

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestTrackingModel does random things to the table and to plain maps.
func TestTrackingModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var table Tracking
	read := make(map[string]map[int64]bool)
	listens := make(map[string]map[*Session]bool)
	changed := make(map[string]map[string]bool) // by prefix
	sessions := []*Session{{ID: 1}, {ID: 2}, {ID: 3}}
	names := []string{"", "a", "aa", "ab", "b", "abc", "bcd"}
	any := func() string { return names[rng.IntN(len(names))] }
	for range 20_000 {
		key, s := any(), sessions[rng.IntN(len(sessions))]
		switch rng.IntN(6) {
		case 0, 1:
			table.remember([]byte(key), s.ID)
			if read[key] == nil {
				read[key] = make(map[int64]bool)
			}
			read[key][s.ID] = true
		case 2:
			if got := table.forget(key); !slices.Equal(got, slices.Sorted(maps.Keys(read[key]))) {
				t.Fatalf("%q was read by %v, want %v", key, got, read[key])
			}
			delete(read, key)
		case 3:
			table.listen(s, key)
			if listens[key] == nil {
				listens[key] = make(map[*Session]bool)
			}
			listens[key][s] = true
		case 4:
			if listens[key][s] {
				table.leave(s, key)
				if delete(listens[key], s); len(listens[key]) == 0 {
					delete(listens, key)
					delete(changed, key)
				}
			}
		case 5:
			table.collect(key, nil)
			for prefix := range listens {
				if strings.HasPrefix(key, prefix) {
					if changed[prefix] == nil {
						changed[prefix] = make(map[string]bool)
					}
					changed[prefix][key] = true
				}
			}
		}
		items := 0
		for _, readers := range read {
			items += len(readers)
		}
		if keys, n := table.Keys(); keys != len(read) || n != items || len(table.order) != keys {
			t.Fatalf("%d keys with %d readers, want %d with %d", keys, n, len(read), items)
		}
		if table.Prefixes() != len(listens) {
			t.Fatalf("%d prefixes, want %d", table.Prefixes(), len(listens))
		}
		for prefix, a := range table.audiences {
			if !slices.Equal(slices.Sorted(maps.Keys(a.changed)), slices.Sorted(maps.Keys(changed[prefix]))) || len(a.sessions) != len(listens[prefix]) {
				t.Fatalf("prefix %q: %v changed, want %v", prefix, a.changed, changed[prefix])
			}
		}
		if len(read) > 0 {
			if _, there := read[table.pick(rng)]; !there {
				t.Fatal("picked a key that is not there")
			}
		}
	}
}

// The table is bounded, and what one turn does about it as well.
func TestTrackingLimit(t *testing.T) {
	b := newBench(t)
	b.server.Config.TrackingTableMaxKeys = 10
	for i := range trackedKeysDroppedMax + 15 {
		b.server.Tracking.remember(fmt.Append(nil, i), 1)
	}
	if more := b.server.LimitTracking(); !more {
		t.Error("all at once")
	}
	if more := b.server.LimitTracking(); more || b.server.TracksTooMuch() {
		t.Error("not in the end")
	}
	if keys, items := b.server.Tracking.Keys(); keys != 10 || items != 10 {
		t.Errorf("%d keys, %d items", keys, items)
	}
}

// A key counts for what it takes: its name, and everybody who has read it.
func TestTrackedUnits(t *testing.T) {
	b := newBench(t)
	b.server.Config.TrackingTableMaxKeys = 100
	table := &b.server.Tracking
	long := strings.Repeat("x", 10*trackedUnitBytes)
	for i := range 50 {
		table.remember(fmt.Append(nil, long, i), 1)
	}
	for id := range int64(40 * trackedUnitBytes / 8) {
		table.remember([]byte("popular"), id)
	}
	b.server.LimitTracking()
	units := 0
	for _, k := range table.keys {
		units += k.units()
	}
	if keys, _ := table.Keys(); units != table.units || units > 100 || units < 50 || keys > 10 {
		t.Errorf("%d keys count as %d, by the table's own count %d", keys, units, table.units)
	}
	table.forgetAll()
	if table.units != 0 {
		t.Errorf("%d units of nothing", table.units)
	}
}

// Overlapping prefixes are found without comparing each with each.
func TestOverlappingPrefixes(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 5000 {
		var list []string
		for range rng.IntN(8) {
			list = append(list, []string{"", "a", "ab", "abc", "b", "ba", "c"}[rng.IntN(7)])
		}
		found := overlapping(list[:len(list)/2], list[len(list)/2:])
		for i, prefix := range list {
			_, want := overlap(prefix, slices.Delete(slices.Clone(list), i, i+1))
			if found[prefix] != want {
				t.Fatalf("%q: %q overlaps: %v", list, prefix, found[prefix])
			}
		}
	}
	m := TrackingMode{Broadcast: true}
	for i := range 1_000_000 {
		m.Prefixes = append(m.Prefixes, fmt.Sprintf("%07d", i))
	}
	if err := m.check(nil); err != nil {
		t.Error(err)
	}
	m.Prefixes = append(m.Prefixes, "0999999x")
	if err := m.check(nil); err == nil || err.Error() != "ERR Prefix '0999999' overlaps with another provided prefix '0999999x'. Prefixes for a single client must not overlap." {
		t.Error(err)
	}
}
