package commands

import (
	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/storage"
)

// openToTake opens a list of which elements are to be taken: those that are too
// old go first, so that nobody gets one of them. What was prepared is taken as it was
// found then: if more went now, others than those answered would be taken.
func (c *Ctx) openToTake(key []byte) (l lists.List, ok bool, err error) {
	l, ok, err = lists.Open(c.Tx, key)
	if !ok || err != nil || c.Site != nil || c.Prepared != nil {
		return l, ok, err
	}
	e := c.Server.Policies.Of(key)
	if e == nil || e.TTL == 0 {
		return l, ok, err
	}
	did := 0
	c.Tx.Aside(func() { did = c.Server.expireList(c.Tx, key, l, &e.Settings, tendedMax) })
	if did == 0 {
		return l, ok, err
	}
	return lists.Open(c.Tx, key)
}

// openToAdd opens a list to which elements are to be added: those that are too old
// make room for them.
func (c *Ctx) openToAdd(key []byte) (l lists.List, ok bool, err error) {
	if c.boundsOf(key) == nil {
		return lists.Open(c.Tx, key)
	}
	return c.openToTake(key)
}

// expireList removes the elements at the ends of a list that are as old as TTL, up
// to so many, and returns how many those were. Where a list is filled at one end
// and emptied at the other that is all that are too old.
func (srv *Server) expireList(tx *storage.Tx, key []byte, l lists.List, p *policy.Settings, limit int) (did int) {
	oldest := tx.NowMillis() - p.TTL
	old := func(end lists.End) bool { return did < limit && l.Len() > 0 && l.WrittenAt(end) <= oldest }
	if p.TTL == 0 || !(old(lists.Left) || old(lists.Right)) {
		return 0
	}
	bury := srv.CanBury(tx, key, p.DeadLetter)
	if p.DeadLetter != "" && p.DeadLetter != string(key) && !bury {
		srv.warnUnburied(string(key), p.DeadLetter)
		return 0
	}
	for _, end := range []lists.End{lists.Left, lists.Right} {
		for old(end) {
			at := int64(0)
			if end == lists.Right {
				at = l.Len() - 1
			}
			if bury && !tx.Fits(1, int64(len(l.Index(at)))) {
				return did // the next turn has room
			}
			element := l.PopOne(end)
			did++
			if bury {
				srv.Bury(tx, p.DeadLetter, DeadLetter{
					Source: string(key), Reason: DeadExpired, Fields: [][]byte{[]byte(DeadElement), element},
				})
			} else {
				srv.CountQueue(tx, string(key), QueueCounters{Dropped: 1})
			}
		}
	}
	return did
}
