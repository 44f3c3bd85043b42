package commands

import (
	"fmt"
	"strings"
	"testing"
)

func TestSyntax(t *testing.T) {
	for _, test := range []struct{ syntax, want string }{
		{"", ""},
		{"key", "key:key#0"},
		{"key [count]", "key:key#0 count:integer?"},
		{"key element [element ...]", "key:key#0 element:string+"},
		{"[channel [channel ...]]", "channel:string?+"},
		{"command [arg ...]", "command:string arg:string?+"},
		{"source destination <LEFT | RIGHT>", "source:key#0 destination:key#1 left-right:oneof(left:pure-token=LEFT right:pure-token=RIGHT)"},
		{"[NX | XX]", "nx-xx:oneof?(nx:pure-token=NX xx:pure-token=XX)"},
		{"[NOSAVE | SAVE] [NOW]", "nosave-save:oneof?(nosave:pure-token=NOSAVE save:pure-token=SAVE) now:pure-token=NOW?"},
		{"numkeys key [key ...] [COUNT count]", "numkeys:integer key:key#0+ count:integer=COUNT?"},
		{"parameter value [parameter value ...]", "parameter-value:block+(parameter:string value:string)"},
		{"[protover [AUTH username password] [SETNAME clientname]]", "protover-auth-clientname:block?(protover:integer auth:block=AUTH?(username:string password:string) clientname:string=SETNAME?)"},
		{"[PREFIX prefix [PREFIX prefix ...]]", "prefix:string=PREFIX?+*"},
		{"GROUP group consumer [NOACK] STREAMS key [key ...] id [id ...]",
			"group:block=GROUP(group:string consumer:string) noack:pure-token=NOACK? streams:block=STREAMS(key:key#0+ id:string+)"},
		{"key [FULL [COUNT count]]", "key:key#0 full:block=FULL?(count:integer=COUNT?)"},
		{"[FILTERBY <MODULE module-name | PATTERN pattern>]", "module-name-pattern:oneof=FILTERBY?(module-name:string=MODULE pattern:pattern=PATTERN)"},
		{"[[IDLE min-idle-time] start end count [consumer]]",
			"min-idle-time-start-end-count-consumer:block?(min-idle-time:string=IDLE? start:string end:string count:integer consumer:string?)"},
		{"key [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
			"key:key#0 maxlen-minid-equal-approximately-threshold-count:block?(maxlen-minid:oneof(maxlen:pure-token=MAXLEN minid:pure-token=MINID)" +
				" equal-approximately:oneof?(equal:pure-token== approximately:pure-token=~) threshold:string count:integer=LIMIT?)" +
				" auto-id-id:oneof(auto-id:pure-token=* id:string) field-value:block+(field:string value:string)"},
		{"<ip:port | <ID client-id | USER username> [<ID client-id | USER username> ...]>",
			"ip:port-client-id-username:oneof(ip:port:string client-id-username:oneof+(client-id:integer=ID username:string=USER))"},
	} {
		c := &Command{Name: "test", Syntax: test.syntax, Access: []string{"RO", "RO"}, Keys: Keys{1, 2, 1}}
		args, err := c.arguments()
		if err != nil {
			t.Errorf("%s: %v", test.syntax, err)
			continue
		}
		if got := showArguments(args); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.syntax, got, test.want)
		}
	}
}

// showArguments writes arguments as name:type=TOKEN, ? for optional, + for
// multiple, * for multiple_token, # for the key specification.
func showArguments(list []argument) string {
	var shown []string
	for _, a := range list {
		s := a.name + ":" + a.kind
		if a.kind == argKey {
			s += fmt.Sprintf("#%d", a.keySpec)
		}
		if a.token != "" {
			s += "=" + a.token
		}
		for _, flag := range []struct {
			set  bool
			sign string
		}{{a.optional, "?"}, {a.multiple, "+"}, {a.multipleToken, "*"}} {
			if flag.set {
				s += flag.sign
			}
		}
		if len(a.args) > 0 {
			s += "(" + showArguments(a.args) + ")"
		}
		shown = append(shown, s)
	}
	return strings.Join(shown, " ")
}

func TestSyntaxErrors(t *testing.T) {
	for _, syntax := range []string{"[key", "key]", "<a | b]", "[]", "a [| b]", "<a", "key >"} {
		c := &Command{Name: "test", Syntax: syntax}
		if args, err := c.arguments(); err == nil {
			t.Errorf("%s parses: %s", syntax, showArguments(args))
		}
	}
}

func TestWidth(t *testing.T) {
	for _, test := range []struct {
		syntax string
		least  int
		more   bool
	}{
		{"", 0, false},
		{"key element", 2, false},
		{"key [count]", 1, true},
		{"key [key ...]", 1, true},
		{"<LEFT | RIGHT>", 1, false},
		{"<ON | ID client-id>", 1, true},
		{"GROUP group consumer STREAMS key [key ...] id [id ...]", 6, true},
		{"key <MAXLEN | MINID> [= | ~] threshold", 3, true},
	} {
		c := &Command{Name: "test", Syntax: test.syntax}
		args, err := c.arguments()
		if err != nil {
			t.Fatal(err)
		}
		if least, more := width(args); least != test.least || more != test.more {
			t.Errorf("%s: %d, %v", test.syntax, least, more)
		}
	}
}
