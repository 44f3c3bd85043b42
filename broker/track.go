package broker

import (
	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/storage"
)

// tell tells those who track keys, and those who listen to keyspace events, of
// what the unit has changed since the last call, which was by's doing (nil:
// nobody's), in the order in which it happened. It is asked after each command,
// not at the end of the unit: a key that a transaction writes and then reads is
// known to its client as it is now, and what a command publishes comes behind
// the events of the one before.
func (b *Broker) tell(by *Session) {
	for _, event := range b.tx.TakeEvents() {
		b.invalidate(event.Changes, by)
		b.notify(event)
	}
	b.invalidate(len(b.tx.Touched()), by)
}

// invalidate tells those who track keys of the unit's first changes, those of
// which they were told already excepted.
func (b *Broker) invalidate(changes int, by *Session) {
	if b.server.Tracking.Clients() > 0 {
		for _, key := range b.tx.Touched()[b.told:changes] {
			b.server.Invalidate(key.Key, by)
		}
	}
	b.told = changes
}

// report ends a unit and returns what it has reported; who has to be told of
// changes and events has been.
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
