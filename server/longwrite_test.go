package server

import (
	"fmt"
	"strings"
	"testing"
)

// fill makes a list of so many elements of 1 kB.
func (c *client) fill(key string, elements int) {
	c.t.Helper()
	value := strings.Repeat("x", 1000)
	words := []string{"RPUSH", key}
	for i := range elements {
		words = append(words, fmt.Sprint(i)+value)
	}
	c.sendBehind(bulkCommand(words...))
	if got := c.reply(); got != fmt.Sprint(":", elements) {
		c.t.Fatal(got)
	}
}

// A change of very many elements does not hold up others, and its client's next
// commands come after it.
func TestLongWrites(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path})
		const elements = 13_000
		c := i.dial(t)
		c.fill("q", elements)
		other := i.dial(t) // now, as a handshake must not take for ever
		c.send("COPY q r\r\nLLEN r\r\nLINSERT r BEFORE nosuch x\r\nLPOP r 11000\r\nLLEN r\r\nCOPY q s\r\n")
		other.until("INFO commandstats", "cmdstat_copy:calls=1")
		for n := range 200 {
			other.do("LPUSH witness x", fmt.Sprint(":", n+1))
		}
		for _, want := range []string{":1", fmt.Sprint(":", elements), ":-1"} {
			if got := c.reply(); got != want {
				t.Errorf("got %.100s, want %s", got, want)
			}
		}
		if got := c.reply(); strings.Count(got, "xxx ")+1 != 11000 {
			t.Errorf("LPOP: %d bytes", len(got))
		}
		for _, want := range []string{fmt.Sprint(":", elements-11000), ":1"} {
			if got := c.reply(); got != want {
				t.Errorf("got %.100s, want %s", got, want)
			}
		}
		// Clients that go away in the middle leave nothing behind, and hold nothing.
		for n := range 5 {
			gone := i.dial(t)
			gone.send(fmt.Sprintf("COPY q gone%d\r\n", n))
			gone.Close()
		}
		other.until("INFO clients", "connected_clients:2")
		other.do("RPUSH q x", fmt.Sprint(":", elements+1))
		other.do("DEL q r s", ":3")
	})
}

// The end waits for a change that is under way, and its client gets the reply.
func TestEndDuringALongWrite(t *testing.T) {
	i := start(t, setup{options: []string{"--shutdown-timeout", "120"}})
	c := i.dial(t)
	c.fill("q", 13_000)
	c.send("COPY q r\r\nPING\r\n")
	i.dial(t).until("INFO commandstats", "cmdstat_copy:calls=1")
	i.Stop("the test says so")
	if got := c.reply(); got != ":1" {
		t.Error(got)
	}
	c.closedBy()
	i.wait(t)
	if i.err != nil {
		t.Error(i.err)
	}
}
