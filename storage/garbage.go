package storage

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// garbageShare estimates how much of what tables hold is of no use: deletions, and
// what they delete. It is not known while the engine has not looked at deletions of ranges, which only it knows. levels has
// the tables by level.
func garbageShare(levels [][]pebble.SSTableInfo) (share float64, known bool) {
	var all, dead float64
	var size, ranges uint64 // on disk
	for level, tables := range levels {
		for i := range tables {
			t := &tables[i]
			p := t.Properties
			all += float64(p.RawKeySize + p.RawValueSize)
			size += t.Size
			if p.NumRangeDeletions > 0 && t.TableStats.NumEntries == 0 {
				return 0, false
			}
			ranges += t.TableStats.RangeDeletionsBytesEstimate
			if level == 0 && p.NumRangeDeletions > 0 {
				// What it knows is in the levels below. Here it may be all of it.
				_, bytes := recordsUnder(levels[:1], 0, t)
				dead += bytes
			}
			if deletions := float64(p.NumPointDeletions()); deletions > 0 {
				dead += float64(p.RawPointTombstoneKeySize)
				if records, bytes := recordsUnder(levels, level, t); records > 0 {
					dead += min(deletions/records, 1) * bytes
				}
			}
		}
	}
	if all == 0 {
		return 0, true
	}
	return min(dead/all+float64(ranges)/float64(size), 1), true
}

// recordsUnder returns how many records the tables hold that a deletion in t may
// delete, and their bytes.
func recordsUnder(levels [][]pebble.SSTableInfo, level int, t *pebble.SSTableInfo) (records, size float64) {
	for l := level; l < len(levels); l++ {
		for i := range levels[l] {
			u := &levels[l][i]
			switch {
			case u == t || l == level && (l > 0 || u.SmallestSeqNum > t.LargestSeqNum):
				continue // beside it, or newer
			case bytes.Compare(u.Largest.UserKey, t.Smallest.UserKey) < 0, bytes.Compare(t.Largest.UserKey, u.Smallest.UserKey) < 0:
				continue
			}
			p := u.Properties
			records += float64(p.NumEntries - p.NumDeletions)
			size += float64(p.RawKeySize + p.RawValueSize - p.RawPointTombstoneKeySize)
		}
	}
	return records, size
}
