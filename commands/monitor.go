package commands

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cairnmq/cairn/resp"
)

// monitorCommands is part of adminCommands.
var monitorCommands = []Command{
	{
		Name: "monitor", Arity: 1, Flags: Admin | NoScript | Loading | Stale,
		Group: "server", Since: "1.0.0",
		Summary: "Shows the connection every command that is run from now on, until RESET.", Complexity: "O(1)",
		Run: monitor,
	},
}

const (
	errMonitorInMulti resp.Error = "ERR MONITOR isn't allowed for DENY BLOCKING client"

	// ErrMonitorKeys is the reply to a command about keys from who monitors. In
	// Redis that is a kind of replica.
	ErrMonitorKeys resp.Error = "ERR Replica can't interact with the keyspace"
)

// monitor is answered once: MONITOR again is answered by nothing, as in Redis.
func monitor(c *Ctx) error {
	if c.InExec {
		return errMonitorInMulti
	}
	if c.Session.Monitors {
		return nil
	}
	c.Session.Monitors = true
	c.Server.Monitors = append(c.Server.Monitors, c.Session)
	c.Out.OK()
	return nil
}

func (srv *Server) unmonitor(s *Session) {
	if s.Monitors {
		s.Monitors = false
		srv.Monitors = slices.DeleteFunc(srv.Monitors, func(other *Session) bool { return other == s })
	}
}

// ShowMonitors shows a call that has been run to those who monitor. args are its
// arguments as they came: a handler may have changed its own.
func (srv *Server) ShowMonitors(c *Ctx, args [][]byte) {
	if c.Cmd.Flags&(Admin|SkipMonitor) != 0 {
		return
	}
	line := &resp.Frame{Bytes: monitorLine(c.Session, c.Tx.Now(), c.Cmd.Shown(args))}
	for _, s := range srv.Monitors {
		if s.Reply != ReplyOff {
			s.Push(line)
		}
	}
}

// monitorLine writes a call as redis-cli and the log analysers read it:
//
//	+1339518083.107412 [0 127.0.0.1:60866] "LPUSH" "q" "one\n"
func monitorLine(s *Session, now time.Time, args [][]byte) []byte {
	from := s.Peer.RemoteAddr()
	if path, ok := strings.CutSuffix(from, ":0"); ok {
		from = "unix:" + path
	}
	line := fmt.Appendf(nil, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/int(time.Microsecond), s.DB, from)
	left := monitorBytesMax
	for i, a := range args {
		if left <= 0 {
			line = fmt.Appendf(line, " \"... (%d more arguments)\"", len(args)-i)
			break
		}
		if len(a) > left {
			a = fmt.Appendf(a[:left:left], "... (%d more bytes)", len(a)-left)
		}
		left -= len(a) + monitorArgumentBytes
		line = appendQuoted(append(line, ' '), a)
	}
	return append(line, '\r', '\n')
}

const (
	// monitorBytesMax bounds what is shown of a call; escaped it may be four times
	// as long.
	monitorBytesMax = 256 << 10
	// monitorArgumentBytes is what an argument takes beside its bytes.
	monitorArgumentBytes = 3
)

const hexDigits = "0123456789abcdef"

// appendQuoted writes p in quotes, what does not print escaped.
func appendQuoted(dst, p []byte) []byte {
	dst = append(dst, '"')
	for _, ch := range p {
		switch {
		case ch == '\\' || ch == '"':
			dst = append(dst, '\\', ch)
		case ch == '\n':
			dst = append(dst, '\\', 'n')
		case ch == '\r':
			dst = append(dst, '\\', 'r')
		case ch == '\t':
			dst = append(dst, '\\', 't')
		case ch == '\a':
			dst = append(dst, '\\', 'a')
		case ch == '\b':
			dst = append(dst, '\\', 'b')
		case ' ' <= ch && ch <= '~':
			dst = append(dst, ch)
		default:
			dst = append(dst, '\\', 'x', hexDigits[ch>>4], hexDigits[ch&0xf])
		}
	}
	return append(dst, '"')
}
