package config

import "strings"

// Events are the classes of keyspace events that are published, as
// notify-keyspace-events names them
// (https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/).
type Events uint16

// The classes that cairn's keys can cause, and the two kinds of channel. The
// classes of data types that cairn lacks are accepted and never occur.
const (
	EventsKeyspace Events = 1 << iota // K: channels named after keys
	EventsKeyevent                    // E: channels named after events
	EventsGeneric                     // g: DEL, EXPIRE, RENAME …
	EventsList                        // l
	EventsStream                      // t
	EventsExpired                     // x
	EventsMissed                      // m: look-ups of keys that do not exist
	EventsNew                         // n: keys that come into being
	eventsOther0                      // the classes of other types: $ s h z e d
	eventsOther1
	eventsOther2
	eventsOther3
	eventsOther4
	eventsOther5
)

const (
	eventsAll     = EventsGeneric | EventsList | EventsStream | EventsExpired | eventsOther0 | eventsOther1 | eventsOther2 | eventsOther3 | eventsOther4 | eventsOther5
	eventLetters  = "g$lshzxetdKEmn" // in the order in which they are shown
	eventsOfA     = "g$lshzxetd"
	eventsAllWord = "A"
)

var eventBits = map[rune]Events{
	'K': EventsKeyspace, 'E': EventsKeyevent, 'g': EventsGeneric, 'l': EventsList, 't': EventsStream, 'x': EventsExpired,
	'm': EventsMissed, 'n': EventsNew, '$': eventsOther0, 's': eventsOther1, 'h': eventsOther2, 'z': eventsOther3,
	'e': eventsOther4, 'd': eventsOther5, 'A': eventsAll,
}

// Any reports whether anything is to be published.
func (e Events) Any() bool {
	return e&(EventsKeyspace|EventsKeyevent) != 0 && e&^(EventsKeyspace|EventsKeyevent) != 0
}

const errEvents wording = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."

// events is a set of classes, a letter for each.
type events struct{ p *Events }

func (v events) form() string { return "letters" }

func (v events) String() string {
	var b strings.Builder
	letters := eventLetters
	if *v.p&eventsAll == eventsAll {
		b.WriteString(eventsAllWord)
		letters = strings.TrimPrefix(letters, eventsOfA)
	}
	for _, letter := range letters {
		if *v.p&eventBits[letter] != 0 {
			b.WriteRune(letter)
		}
	}
	return b.String()
}

func (v events) set(words []string) error {
	word := ""
	if len(words) > 0 {
		var err error
		if word, err = one(words); err != nil {
			return err
		}
	}
	var set Events
	for _, letter := range word {
		bits, ok := eventBits[letter]
		if !ok {
			return errEvents
		}
		set |= bits
	}
	*v.p = set
	return nil
}
