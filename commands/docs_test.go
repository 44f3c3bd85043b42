package commands

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

// COMMAND describes everything, well formed, in both protocols.
func TestCommandRepliesAreWhole(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	for _, proto := range []string{"HELLO 2", "HELLO 3"} {
		b.do(s, proto)
		commands := strconv.Itoa(len(b.server.Table.All()))
		for call, start := range map[string]string{
			"COMMAND":       "*" + commands + " *10 ",
			"COMMAND INFO":  "*" + commands + " *10 ",
			"COMMAND COUNT": ":" + commands,
		} {
			if got := b.do(s, call); !strings.HasPrefix(got, start) {
				t.Errorf("%s: %.40s", call, got)
			}
		}
		for _, call := range []string{"COMMAND", "COMMAND DOCS", "COMMAND LIST", "CLIENT HELP"} {
			cmd, _ := b.server.Table.Resolve(words(call))
			tx := b.server.Store.Begin(b.now)
			if err := cmd.Run(&Ctx{Cmd: cmd, Args: NewArgs(cmd, words(call)), Tx: tx, Out: &s.Out, Session: s, Server: b.server}); err != nil {
				t.Fatal(err)
			}
			if rest, ok := skipReply(s.Out.Bytes()); !ok || len(rest) > 0 {
				t.Errorf("%s, %s: the reply is not one whole reply", proto, call)
			}
			s.Out.Reset(0)
		}
	}
}

// skipReply returns what stands behind the first reply in p.
func skipReply(p []byte) (rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(p, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, false
	}
	n, _ := strconv.Atoi(string(line[1:]))
	switch line[0] {
	case '+', '-', ':', '_', ',', '#':
		return rest, true
	case '$', '=':
		if n < 0 {
			return rest, true
		}
		if len(rest) < n+2 {
			return nil, false
		}
		return rest[n+2:], true
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		return nil, false
	}
	for ok = true; n > 0 && ok; n-- {
		rest, ok = skipReply(rest)
	}
	return rest, ok
}

func TestCommandQueries(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s,
		"COMMAND INFO nosuch config|nosuch -> *2 $-1 $-1",
		"COMMAND INFO llen -> *1 *10 $4 llen :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@list +@fast *0"+
			" *1 *6 $5 flags *1 +RO $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 *0",
		"COMMAND DOCS nosuch -> *0",
		"COMMAND DOCS TIME -> *2 $4 time *8 $7 summary $58 Returns the server's time: unix seconds, and microseconds. $5 since $5 2.6.0 $5 group $6 server $10 complexity $4 O(1)",
		"COMMAND GETKEYS LPUSH k v -> *1 $1 k",
		"COMMAND GETKEYS LPUSH k -> -ERR Invalid number of arguments specified for command",
		"COMMAND GETKEYS nosuch k -> -ERR Invalid command specified",
		"COMMAND GETKEYS PING k -> -ERR The command has no key arguments",
		"COMMAND GETKEYS LMPOP 3 a LEFT -> -ERR Invalid arguments specified for command",
		"COMMAND GETKEYSANDFLAGS LMOVE a b LEFT LEFT -> *2 *2 $1 a *3 +RW +access +delete *2 $1 b *2 +RW +insert",
		"COMMAND LIST FILTERBY PATTERN OBJECT|?req -> *1 $11 object|freq",
		"COMMAND LIST FILTERBY ACLCAT TRANSACTION -> *5 $7 discard $4 exec $5 multi $7 unwatch $5 watch",
		"COMMAND LIST FILTERBY ACLCAT @list -> *0",
		"COMMAND LIST FILTERBY MODULE m -> *0",
		"COMMAND LIST FILTERBY NAME m -> -ERR syntax error",
		"COMMAND LIST FILTERBY PATTERN -> -ERR syntax error",
		"COMMAND LIST FILTERBY PATTERN a b -> -ERR syntax error",
		"COMMAND LIST x -> -ERR syntax error",
	)
}

func TestHelp(t *testing.T) {
	b := newBench(t)
	b.expect(b.client("10.0.0.1:1"),
		"MODULE HELP -> *5 +MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"+
			" +LIST +    Returns the modules that are loaded: none, as there are no modules. +HELP +    Prints this help.")
}
