package server

import "testing"

// Pops that have to be confirmed, over real connections: what came with the pop
// confirms nothing, what comes behind its reply does.
func TestConfirmedPops(t *testing.T) {
	onEveryPath(t, func(t *testing.T, path path) {
		i := start(t, setup{path: path, options: []string{"--policy", "safe pattern q pop confirmed"}})
		admin := i.dial(t)
		admin.do("RPUSH q 1 2 3 4", ":4")

		c := i.dial(t)
		c.send(bulkCommand("LPOP", "q") + bulkCommand("LPOP", "q"))
		for _, want := range []string{"1", "2"} {
			if got := c.reply(); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		admin.do("LRANGE q 0 -1", "[3 4]")
		c.Close()
		admin.until("LRANGE q 0 -1", "[1 2 3 4]")

		c = i.dial(t)
		c.do("LPOP q", "1")
		c.do("BLPOP none q 0", "[q 2]") // confirms 1
		c.Close()
		admin.until("LRANGE q 0 -1", "[2 3 4]")

		c = i.dial(t)
		c.do("RPOP q 2", "[4 3]")
		c.do("QUIT", "+OK")
		c.closedBy()
		admin.do("LRANGE q 0 -1", "[2]")

		// A client that waits is gone before it is served: nothing has to come back.
		admin.do("DEL q", ":1")
		c = i.dial(t)
		c.send(bulkCommand("BLPOP", "q", "0"))
		admin.until("CLIENT LIST", "cmd=blpop")
		c.Close()
		admin.do("RPUSH q x", ":1")
		admin.until("LRANGE q 0 -1", "[x]")
	})
}
