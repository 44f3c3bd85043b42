package server

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cairnmq/cairn/broker"
	"github.com/cairnmq/cairn/config"
)

// swallowing is a link whose socket takes everything.
type swallowing struct {
	stuck
	taken int
}

func (s *swallowing) write(segments [][]byte) (n int, err error) {
	for _, p := range segments {
		n += len(p)
	}
	s.taken += n
	return n, nil
}

// Of large outputs a part is sent between two turns, in order; small ones do not
// have to stand in line. Who publishes waits while the line is long.
func TestLargeOutputsStandInLine(t *testing.T) {
	b := broker.New(broker.Options{Config: config.New()})
	l := newLoop(b, config.New(), &Log{out: io.Discard}, newPortablePoller(), nil)
	connect := func(output int) (*conn, *swallowing) {
		link := &swallowing{}
		c := newConn(link)
		c.session = b.Connect(c, time.Unix(1000, 0))
		c.index = len(l.conns)
		l.conns = append(l.conns, c)
		c.session.Out.Chunk(make([]byte, output))
		return c, link
	}
	const large = 1 << 20
	var links []*swallowing
	for range 100 {
		c, link := connect(large)
		links = append(links, link)
		l.offer(c)
		l.offer(c) // again, as more has come
	}
	small, taken := connect(100)
	if l.offer(small); taken.taken != 100 {
		t.Error("a small output has to stand in line")
	}
	if l.patience(time.Now()) != 0 {
		t.Error("the loop sleeps while there is something to send")
	}
	publisher, _ := connect(0)
	publisher.session.LastCmd = b.Server().Table.Find([]byte("publish"))
	other, _ := connect(0)
	other.session.LastCmd = b.Server().Table.Find([]byte("lpush"))
	if !l.waitsBehind(publisher) || l.waitsBehind(other) {
		t.Error("not those wait who publish")
	}
	sent := 0
	for passes := 1; len(l.line.conns) > 0; passes++ {
		l.sendLine()
		now := 0
		for i, link := range links {
			now += link.taken
			if i > 0 && link.taken > links[i-1].taken {
				t.Fatal("out of order")
			}
		}
		if now-sent < large || now-sent > sendBytesMax+large {
			t.Fatalf("%d bytes were sent at once", now-sent)
		}
		sent = now
		if waits := len(l.queue) == 0; waits != (100*large-sent > congestedBytes) {
			t.Fatalf("after %d bytes who publishes waits: %v", sent, waits)
		}
	}
	if sent != 100*large || l.line.bytes != 0 || len(l.line.behind) != 0 || len(l.queue) != 1 {
		t.Errorf("%d bytes were sent, %d are left, %d wait", sent, l.line.bytes, len(l.line.behind))
	}
}

// Of large messages for many none is lost, and none overtakes another.
func TestPublishingToACrowd(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--client-output-buffer-limit", "pubsub", "0", "0", "0"}})
		const subscribers, messages, size = 10, 16, 1 << 20
		heard := make(chan error)
		for range subscribers {
			c := i.dial(t)
			c.do("SUBSCRIBE ch", "[subscribe ch :1]")
			go func() {
				for n := range messages {
					text, err := readReply(c.r)
					if err != nil || !strings.HasPrefix(text, fmt.Sprintf("[message ch %d ", n)) {
						heard <- fmt.Errorf("message %d: %.50s, %w", n, text, err)
						return
					}
				}
				heard <- nil
			}()
		}
		publisher := i.dial(t)
		var all strings.Builder
		for n := range messages {
			all.WriteString(bulkCommand("PUBLISH", "ch", fmt.Sprintf("%d %s", n, strings.Repeat("x", size))))
		}
		publisher.sendBehind(all.String())
		for range messages {
			if got := publisher.reply(); got != fmt.Sprint(":", subscribers) {
				t.Fatal(got)
			}
		}
		for range subscribers {
			if err := <-heard; err != nil {
				t.Error(err)
			}
		}
	})
}
