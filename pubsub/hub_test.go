package pubsub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cairnmq/cairn/glob"
	"github.com/cairnmq/cairn/resp"
)

type inbox struct{ got []*Message }

func (i *inbox) Deliver(m *Message) { i.got = append(i.got, m) }

// TestModel does random things to a hub and to plain sets, and compares who
// gets what.
func TestModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	h := NewHub()
	type subscription struct {
		who  int
		kind Kind
		name string
	}
	model := make(map[subscription]bool)
	subscribers := make([]*Subscriber, 8)
	boxes := make([]*inbox, len(subscribers))
	for i := range subscribers {
		boxes[i] = &inbox{}
		subscribers[i] = &Subscriber{Receiver: boxes[i]}
	}
	names := [kinds][]string{{"news", "new", "sport", ""}, {"new*", "*", "s?ort", "news"}, {"news", "shard"}}
	for range 5000 {
		who, kind := rng.IntN(len(subscribers)), Kind(rng.IntN(int(kinds)))
		name := names[kind][rng.IntN(len(names[kind]))]
		sub := subscription{who, kind, name}
		switch rng.IntN(10) {
		case 0, 1, 2:
			if added := h.Subscribe(subscribers[who], kind, name); added == model[sub] {
				t.Fatalf("Subscribe(%v) = %v", sub, added)
			}
			model[sub] = true
		case 3, 4:
			if removed := h.Unsubscribe(subscribers[who], kind, name); removed != model[sub] {
				t.Fatalf("Unsubscribe(%v) = %v", sub, removed)
			}
			delete(model, sub)
		case 5:
			if rng.IntN(4) == 0 {
				h.UnsubscribeAll(subscribers[who])
				for s := range model {
					if s.who == who {
						delete(model, s)
					}
				}
			}
		default:
			channel := names[Channel][rng.IntN(4)]
			want := make([]int, len(subscribers))
			total := 0
			for s := range model {
				if (s.kind == Channel && s.name == channel) || (s.kind == Pattern && glob.Match(s.name, channel)) {
					want[s.who]++
					total++
				}
			}
			for _, b := range boxes {
				b.got = nil
			}
			if n, ok := h.Publish([]byte(channel), []byte("payload")); n != total || !ok {
				t.Fatalf("Publish(%q) reached %d, want %d", channel, n, total)
			}
			for i, b := range boxes {
				if len(b.got) != want[i] {
					t.Fatalf("subscriber %d got %d messages, want %d", i, len(b.got), want[i])
				}
			}
		}
		for i, s := range subscribers {
			var own []string
			for sub := range model {
				if sub.who == i && sub.kind == kind {
					own = append(own, sub.name)
				}
			}
			slices.Sort(own)
			if got := s.Names(kind); !slices.Equal(got, own) || s.Count(kind) != len(own) {
				t.Fatalf("subscriber %d has %q, want %q", i, got, own)
			}
		}
	}
	for i := range subscribers {
		h.UnsubscribeAll(subscribers[i])
	}
	for kind := range kinds {
		if h.Count(kind) != 0 || len(h.Names(kind, "")) != 0 {
			t.Errorf("kind %d: names without subscribers stay", kind)
		}
	}
}

func TestShardChannelsAreApart(t *testing.T) {
	h := NewHub()
	box := &inbox{}
	s := &Subscriber{Receiver: box}
	h.Subscribe(s, Shard, "a")
	if n, _ := h.Publish([]byte("a"), nil); n != 0 || h.PublishShard([]byte("a"), nil) != 1 || len(box.got) != 1 {
		t.Error("a shard channel is a name space of its own")
	}
}

// A message is encoded once for each version of the protocol.
func TestFrames(t *testing.T) {
	m := &Message{Kind: Pattern, Pattern: "n*", Channel: []byte("news"), Payload: []byte("hi")}
	if got := string(m.Frame(2).Bytes); got != "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n" {
		t.Errorf("RESP2: %q", got)
	}
	if got := string(m.Frame(3).Bytes); got[0] != '>' {
		t.Errorf("RESP3: %q", got)
	}
	if first, second := m.Frame(3), m.Frame(3); first != second {
		t.Error("encoded twice")
	}
}

func TestConfirm(t *testing.T) {
	for kind, word := range []string{"subscribe", "psubscribe", "ssubscribe"} {
		var b resp.Buffer
		Confirm(&b, Kind(kind), true, []byte("a"), 3)
		if want := fmt.Sprintf("*3\r\n$%d\r\n%s\r\n$1\r\na\r\n:3\r\n", len(word), word); string(b.Bytes()) != want {
			t.Errorf("%q, want %q", b.Bytes(), want)
		}
	}
	var b resp.Buffer
	Confirm(&b, Channel, false, nil, 0)
	if want := "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"; string(b.Bytes()) != want {
		t.Errorf("%q, want %q", b.Bytes(), want)
	}
}

// A message that would take too long to be compared with all patterns reaches nobody.
func TestPublishEffort(t *testing.T) {
	h, box := NewHub(), &inbox{}
	s := &Subscriber{Receiver: box}
	name := strings.Repeat("a", 60_000)
	h.Subscribe(s, Channel, name)
	for i := range 10_000 {
		h.Subscribe(s, Pattern, fmt.Sprint("*?b", i))
	}
	if n, ok := h.Publish([]byte(name), nil); ok || n != 0 || len(box.got) != 0 {
		t.Errorf("%d deliveries, %v", n, ok)
	}
	if n, ok := h.Publish([]byte("a long but usual name of a channel, as it were b17"), nil); !ok || n != 1 {
		t.Errorf("%d deliveries, %v", n, ok)
	}
}
