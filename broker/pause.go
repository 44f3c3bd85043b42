package broker

import (
	"cmp"
	"slices"

	"github.com/cairnmq/cairn/commands"
)

// pauses reports whether CLIENT PAUSE holds the command back
// (https://redis.io/docs/latest/commands/client-pause/).
func (b *Broker) pauses(s *Session, cmd *commands.Command) bool {
	p := &b.server.Pause
	if p.Until.IsZero() || !b.now.Before(p.Until) {
		return false
	}
	return !p.Writes || writes(cmd) || (cmd.Name == "exec" && s.Multi != nil && slices.ContainsFunc(s.Multi.Queue, func(q commands.Queued) bool { return writes(q.Cmd) }))
}

func writes(cmd *commands.Command) bool {
	return cmd.Flags&(commands.Write|commands.MayReplicate) != 0
}

// endPause lets everybody go on once the pause is over.
func (b *Broker) endPause() {
	if len(b.paused) == 0 || b.now.Before(b.server.Pause.Until) {
		return
	}
	for _, s := range b.paused {
		s.Paused = false
		b.resume(s)
	}
	clear(b.paused)
	b.paused = b.paused[:0]
}

// putOff adds a session to those who have to wait until they may go on, from which
// those who have left go when they become many.
func (b *Broker) putOff(waiting []*Session, s *Session) []*Session {
	if len(waiting) > 2*len(b.server.Sessions) {
		waiting = slices.DeleteFunc(waiting, func(s *Session) bool { return s.Killed })
	}
	return append(waiting, s)
}

func sortBySeq(list []*Session) {
	slices.SortFunc(list, func(a, b *Session) int { return cmp.Compare(a.Blocked.Seq, b.Blocked.Seq) })
}
