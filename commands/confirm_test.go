package commands

import (
	"testing"
	"time"
)

// What is confirmed leaves nothing in memory, even if its lease has years to go.
func TestLeasesOfWhatIsConfirmedGo(t *testing.T) {
	var f Confirmations
	ends := time.UnixMilli(1_700_000_000_000).AddDate(10, 0, 0)
	const held = 10
	for seq := range uint64(100_000) {
		f.add(seq, &poppedRef{n: 1, lease: ends.Add(-time.Duration(seq))})
		if seq >= held {
			f.remove(seq)
		}
	}
	if len(f.leases) > leasesSpare+3*held {
		t.Errorf("%d leases of %d pops", len(f.leases), held)
	}
	for seq := range uint64(held) { // the last one that was given ends first
		if at, ok := f.NextGoesBack(ends); !ok || !at.Equal(ends.Add(-time.Duration(held-1-seq))) {
			t.Errorf("%v, %v", at, ok)
		}
		f.remove(held - 1 - seq)
	}
	if at, ok := f.NextGoesBack(ends); ok {
		t.Errorf("something goes back at %v", at)
	}
}
