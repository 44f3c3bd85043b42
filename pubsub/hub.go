package pubsub

import (
	"sort"

	"github.com/cairnmq/cairn/glob"
)

// Receiver takes messages. It must not call back into the hub.
type Receiver interface {
	Deliver(m *Message)
}

// Subscriber is one receiver's subscriptions. The zero value with a Receiver
// has none.
type Subscriber struct {
	Receiver Receiver
	// places holds, by kind and name, where the subscriber stands in the
	// audience of that name, so that leaving takes constant time.
	places [kinds]map[string]int
	bytes  int // of all names
}

// Len returns the number of subscriptions of all kinds, Bytes the size of their
// names.
func (s *Subscriber) Len() int   { return s.Count(Channel, Pattern, Shard) }
func (s *Subscriber) Bytes() int { return s.bytes }

// Count returns the number of subscriptions of the given kinds.
func (s *Subscriber) Count(of ...Kind) int {
	n := 0
	for _, k := range of {
		n += len(s.places[k])
	}
	return n
}

// Has reports whether there is a subscription of that name.
func (s *Subscriber) Has(kind Kind, name string) bool {
	_, ok := s.places[kind][name]
	return ok
}

// Names returns the subscriber's subscriptions of one kind, sorted.
func (s *Subscriber) Names(kind Kind) []string {
	names := make([]string, 0, len(s.places[kind]))
	for name := range s.places[kind] {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Hub knows who listens to what.
type Hub struct {
	audiences [kinds]map[string][]*Subscriber
}

// NewHub returns a hub without subscribers.
func NewHub() *Hub {
	h := &Hub{}
	for k := range h.audiences {
		h.audiences[k] = make(map[string][]*Subscriber)
	}
	return h
}

// Subscribe adds a subscription; it reports false when there was one already.
func (h *Hub) Subscribe(s *Subscriber, kind Kind, name string) bool {
	if _, ok := s.places[kind][name]; ok {
		return false
	}
	if s.places[kind] == nil {
		s.places[kind] = make(map[string]int)
	}
	audience := h.audiences[kind][name]
	s.places[kind][name] = len(audience)
	s.bytes += len(name)
	h.audiences[kind][name] = append(audience, s)
	return true
}

// Unsubscribe ends a subscription; it reports false when there was none.
func (h *Hub) Unsubscribe(s *Subscriber, kind Kind, name string) bool {
	place, ok := s.places[kind][name]
	if !ok {
		return false
	}
	delete(s.places[kind], name)
	s.bytes -= len(name)
	audience := h.audiences[kind][name]
	last := len(audience) - 1
	if place != last {
		audience[place] = audience[last]
		audience[place].places[kind][name] = place
	}
	audience[last] = nil
	if last == 0 {
		delete(h.audiences[kind], name)
	} else {
		h.audiences[kind][name] = audience[:last]
	}
	return true
}

// UnsubscribeAll ends all subscriptions of s.
func (h *Hub) UnsubscribeAll(s *Subscriber) {
	for kind := range kinds {
		for name := range s.places[kind] {
			h.Unsubscribe(s, kind, name)
		}
	}
}

// publishEffort is how many comparisons of bytes one message may take: some tens of
// milliseconds, in which nobody else is served. Ten thousand patterns of the usual
// kind take a hundredth of it.
const publishEffort = 8 << 20

// Publish delivers payload to the subscribers of channel and of the patterns
// that match it, and returns how many deliveries that were: a receiver with a
// matching pattern as well gets the message twice. If it takes too long to compare
// the channel with all patterns, nobody gets it and ok is false.
func (h *Hub) Publish(channel, payload []byte) (n int, ok bool) {
	var matching []string
	name, effort, matches := string(channel), publishEffort, false
	for pattern := range h.audiences[Pattern] {
		if matches, effort = glob.MatchWithin(pattern, name, effort); effort < 0 {
			return 0, false
		}
		if matches {
			matching = append(matching, pattern)
		}
	}
	n = h.send(&Message{Kind: Channel, Channel: channel, Payload: payload}, h.audiences[Channel][name])
	for _, pattern := range matching {
		n += h.send(&Message{Kind: Pattern, Pattern: pattern, Channel: channel, Payload: payload}, h.audiences[Pattern][pattern])
	}
	return n, true
}

// PublishShard delivers payload to the subscribers of a shard channel.
func (h *Hub) PublishShard(channel, payload []byte) int {
	return h.send(&Message{Kind: Shard, Channel: channel, Payload: payload}, h.audiences[Shard][string(channel)])
}

func (h *Hub) send(m *Message, audience []*Subscriber) int {
	for _, s := range audience {
		s.Receiver.Deliver(m)
	}
	return len(audience)
}

// Names returns the names with subscribers that match pattern, sorted; an
// empty pattern matches all.
func (h *Hub) Names(kind Kind, pattern string) []string {
	var names []string
	for name := range h.audiences[kind] {
		if pattern == "" || glob.Match(pattern, name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// Audience returns the number of subscribers of a name.
func (h *Hub) Audience(kind Kind, name string) int { return len(h.audiences[kind][name]) }

// Count returns the number of names of a kind that have subscribers.
func (h *Hub) Count(kind Kind) int { return len(h.audiences[kind]) }
