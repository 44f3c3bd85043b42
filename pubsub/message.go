package pubsub

import "github.com/cairnmq/cairn/resp"

// Kind is one of the three name spaces of subscriptions.
type Kind uint8

const (
	Channel Kind = iota // SUBSCRIBE
	Pattern             // PSUBSCRIBE
	Shard               // SSUBSCRIBE
	kinds
)

// The words of the protocol, by kind.
var (
	messageWord     = [kinds]string{"message", "pmessage", "smessage"}
	subscribeWord   = [kinds]string{"subscribe", "psubscribe", "ssubscribe"}
	unsubscribeWord = [kinds]string{"unsubscribe", "punsubscribe", "sunsubscribe"}
)

// Message is one published payload on its way to the receivers of one
// subscription. It is encoded once for each version of the protocol, however
// many receive it.
type Message struct {
	Kind    Kind
	Pattern string // of the subscription, when Kind is Pattern
	Channel []byte
	Payload []byte

	frames [2]*resp.Frame
}

// Frame returns the message in the given RESP version, the same for all.
func (m *Message) Frame(proto int) *resp.Frame {
	i := 0
	if proto == 3 {
		i = 1
	}
	if m.frames[i] == nil {
		b := resp.Buffer{Proto: proto}
		if m.Kind == Pattern {
			b.Push(4)
			b.BulkString(messageWord[m.Kind])
			b.BulkString(m.Pattern)
		} else {
			b.Push(3)
			b.BulkString(messageWord[m.Kind])
		}
		b.Bulk(m.Channel)
		b.Bulk(m.Payload)
		m.frames[i] = &resp.Frame{Bytes: b.Bytes()}
	}
	return m.frames[i]
}

// Confirm writes the confirmation of one subscription or its end. A nil name
// stands for "there was none".
func Confirm(out *resp.Buffer, kind Kind, subscribed bool, name []byte, count int) {
	word := subscribeWord[kind]
	if !subscribed {
		word = unsubscribeWord[kind]
	}
	out.Push(3)
	out.BulkString(word)
	if name == nil {
		out.Null()
	} else {
		out.Bulk(name)
	}
	out.Int(int64(count))
}
