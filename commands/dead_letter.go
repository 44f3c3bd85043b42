package commands

import (
	"math"
	"strconv"

	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// DeadLetter is a message that could not be delivered, with what an operator
// wants to know of it.
type DeadLetter struct {
	Source     string // the key it was in
	ID         string // of a stream's entry; empty: an element of a list
	Group      string // empty: of a list, or nobody's
	Consumer   string
	Deliveries int64
	Reason     string // one of the reasons below
	// Fields are the entry's fields and values, or of an element of a list the
	// field DeadElement and its value.
	Fields [][]byte
}

// Reasons for which a message becomes a dead letter.
const (
	DeadDeliveries = "maxdeliveries" // it was delivered as often as it may be
	DeadRejected   = "rejected"      // XNACK FATAL
	DeadExpired    = "expired"       // older than TTL
	DeadOverflow   = "overflow"      // the queue was full
)

// DeadElement is the field of a dead letter that holds an element of a list.
const DeadElement = "element"

// The fields that Bury puts behind those of a message. XREDRIVE reads them.
const (
	deadSource     = "dead-source"
	deadID         = "dead-id"
	deadGroup      = "dead-group"
	deadConsumer   = "dead-consumer"
	deadDeliveries = "dead-deliveries"
	deadReason     = "dead-reason"
	deadTime       = "dead-time"

	deadFields = 2 * 7 // with their values
)

// Where among these fields some values are.
const (
	deadSourceAt = 1
	deadIDAt     = 3
	deadReasonAt = 11
)

// deadNames are these fields, in their order.
var deadNames = [...]string{deadSource, deadID, deadGroup, deadConsumer, deadDeliveries, deadReason, deadTime}

// deadEnd returns the fields of a dead letter that Bury has put behind those of the
// message; nil if there are none.
func deadEnd(fields [][]byte) [][]byte {
	n := len(fields) - deadFields
	if n < 0 {
		return nil
	}
	for i, name := range deadNames {
		if string(fields[n+2*i]) != name {
			return nil
		}
	}
	return fields[n:]
}

// wentRound reports whether a letter has been in a stream already, and nobody has had
// it since: it got too old there, or was pushed out, and then here. Two streams that
// name each other would pass it to and fro for ever.
func (l *DeadLetter) wentRound(to string) bool {
	unseen := func(reason string) bool { return reason == DeadExpired || reason == DeadOverflow }
	fields := l.Fields
	for reason := l.Reason; unseen(reason); {
		end := deadEnd(fields)
		if end == nil {
			return false
		}
		fields = fields[:len(fields)-deadFields]
		if reason = string(end[deadReasonAt]); string(end[deadSourceAt]) == to {
			return unseen(reason)
		}
	}
	return false
}

// CanBury reports whether dead letters from a key may go to another, where there
// is a stream or nothing: not to the key itself. There is room for as many as a unit
// buries. What comes back to where it was is found out of each letter (wentRound).
func (srv *Server) CanBury(tx *storage.Tx, source []byte, to string) bool {
	if to == "" || to == string(source) {
		return false
	}
	o := tx.Peek([]byte(to))
	if o == nil {
		return true
	}
	if o.Type() != storage.TypeStream {
		return false
	}
	s, err := streams.Of(tx, o)
	if err != nil {
		return false
	}
	return s.LastID().Ms < math.MaxUint64 // else its IDs come to their end
}

// unburiedMax bounds what is remembered of dead letters that had no place to go.
const unburiedMax = 1000

// warnUnburied tells the operator, once, that a key cannot take the dead letters
// of another.
func (srv *Server) warnUnburied(source, to string) {
	if srv.unburied[source] == to {
		return
	}
	if srv.unburied == nil || len(srv.unburied) >= unburiedMax {
		srv.unburied = make(map[string]string)
	}
	srv.unburied[source] = to
	srv.Logf("Dead letters of %q stay where they are: %q cannot take them", source, to)
}

// Bury adds a dead letter to a stream of which CanBury was true, whatever its
// limits: a message that was accepted is not lost because its last place is
// full. Taking it from where it was is up to the caller, in the same unit. One that
// would go round in circles is dropped.
func (srv *Server) Bury(tx *storage.Tx, to string, letter DeadLetter) {
	if letter.wentRound(to) {
		if letter.Reason == DeadExpired { // what was pushed out counts as dropped wherever it goes
			srv.CountQueue(tx, letter.Source, QueueCounters{Dropped: 1})
		}
		return
	}
	s, err := streams.Open(tx, []byte(to))
	if err != nil {
		panic("commands: a dead letter for a key that cannot take it: " + err.Error())
	}
	if s == nil {
		s = srv.createStream(tx, []byte(to))
	}
	id, err := streams.Wanted{Auto: true}.Resolve(s.LastID(), tx.NowMillis())
	if err != nil {
		panic("commands: a dead letter for a stream whose IDs are at their end")
	}
	fields := append([][]byte(nil), letter.Fields...)
	add := func(name, value string) { fields = append(fields, []byte(name), []byte(value)) }
	add(deadSource, letter.Source)
	add(deadID, letter.ID)
	add(deadGroup, letter.Group)
	add(deadConsumer, letter.Consumer)
	add(deadDeliveries, strconv.FormatInt(letter.Deliveries, 10))
	add(deadReason, letter.Reason)
	add(deadTime, strconv.FormatInt(tx.NowMillis(), 10))
	s.Append(id, fields, srv.nodeLimits())
	srv.CountQueue(tx, letter.Source, QueueCounters{DeadLettered: 1})
}
