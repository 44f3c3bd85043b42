// Package server is the world around the broker: sockets, the clock, signals,
// goroutines, the log. It moves bytes and knows no commands.
//
// One goroutine, the loop, owns the broker and all connections. It waits for
// sockets, reads what is there, gives complete commands to the broker as one
// turn, and when the turn is on disk writes each connection's replies. What
// else runs beside it: long reads (read.go), the fsync of every second
// (fsync.go), and, for connections with TLS and where sockets cannot be waited
// for together, two goroutines for each connection that move its bytes
// (link_portable.go). They reach the loop only through its inbox and mailbox.
//
// Start at loop.go, then conn.go and frame.go.
package server
