package broker

import (
	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/storage"
)

// tell tells those who track keys of what the unit has changed since the last
// call, which was by's doing (nil: nobody's). It is asked after each command, not
// at the end of the unit: a key that a transaction writes and then reads is
// known to its client as it is now.
func (b *Broker) tell(by *Session) {
	touched := b.tx.Touched()
	if b.server.Tracking.Clients() > 0 {
		for _, key := range touched[b.told:] {
			b.server.Invalidate(key.Key, by)
		}
	}
	b.told = len(touched)
}

// report ends a unit and returns what it has reported.
func (b *Broker) report() storage.Report {
	b.tell(nil)
	b.told = 0
	return b.tx.Unit()
}

// endChoice ends what CLIENT CACHING has said for the command or transaction
// that is over now. cmd is nil if there is no such command.
func endChoice(s *Session, cmd *commands.Command) {
	if s.Tracking != nil && s.Multi == nil && (cmd == nil || cmd.Parent != "client") {
		s.Tracking.Chosen = false
	}
}
