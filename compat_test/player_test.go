package compat_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A player plays one script in one protocol against one server.
type player struct {
	script   *script
	protocol int
	server   *daemon
	control  *control
	clients  map[string]*client
	gone     map[string]bool   // clients that hung up or were hung up on
	kept     map[string]string // captured values by name
	got      map[int][]string  // replies by index of the line
}

// play returns the replies by index of the script's lines. An error means that the script could not be played to
// its end; the replies up to there are returned with it.
func play(s *script, protocol int, server *daemon) (map[int][]string, error) {
	p := &player{
		script: s, protocol: protocol, server: server,
		clients: map[string]*client{}, gone: map[string]bool{}, kept: map[string]string{}, got: map[int][]string{},
	}
	var err error
	if p.control, err = dialControl(server.addr, s.password); err != nil {
		return nil, err
	}
	defer p.hangUp()
	if err := p.control.ok("FLUSHALL"); err != nil {
		return nil, err
	}
	for i, l := range s.lines {
		if l.step == nil {
			continue
		}
		if err := p.step(i, l.step); err != nil {
			return p.got, fmt.Errorf("%s:%d: %s: %w", s.path, l.number, l.text, err)
		}
	}
	return p.got, p.nothingLeft()
}

// hangUp leaves the server without this script's clients, so that the next one does not meet them.
func (p *player) hangUp() {
	for name, c := range p.clients {
		addr := c.addr()
		c.close()
		if p.gone[name] {
			continue
		}
		if err := p.awaitGone(addr); err != nil {
			break // the server is gone, or has shown already that it is ill
		}
	}
	p.control.close()
}

func (p *player) awaitGone(addr string) error {
	return eventually("the server still lists "+addr, func() (bool, error) {
		_, listed, err := p.control.field(addr, "id")
		return !listed, err
	})
}

func (p *player) step(index int, st *step) error {
	c, err := p.client(st.client)
	if err != nil {
		return err
	}
	var frames []frame
	switch st.action {
	case actionCall:
		frames, err = p.call(c, st)
	case actionRead:
		frames, err = p.read(c, st.count)
	case actionSend:
		err = c.send(p.encode(st.calls))
	case actionRaw:
		err = c.send([]byte(st.raw))
	case actionBlock:
		if err = c.send(p.encode(st.calls)); err == nil {
			err = p.awaitBlocked(c)
		}
	case actionUnblocked:
		err = p.awaitUnblocked(c)
	case actionSilent:
		err = p.silent(st.client)
	case actionClose:
		p.gone[st.client] = true
		addr := c.addr()
		c.close()
		err = p.awaitGone(addr)
	case actionClosed:
		p.gone[st.client] = true
		frames, err = c.drain()
		frames = append(frames, mask("(closed)"))
	}
	p.got[index] = p.show(st, frames)
	return err
}

func (p *player) client(name string) (*client, error) {
	if c := p.clients[name]; c != nil {
		return c, nil
	}
	c, err := dial(p.server.addr)
	if err != nil {
		return nil, err
	}
	p.clients[name] = c
	if p.script.plain {
		return c, nil
	}
	hello := []string{"HELLO", fmt.Sprint(p.protocol)}
	if p.script.password != "" {
		hello = append(hello, "AUTH", "default", p.script.password)
	}
	f, err := c.do(hello...)
	if err == nil && f.kind == '-' {
		err = fmt.Errorf("%s: %v", strings.Join(hello, " "), f)
	}
	return c, err
}

func (p *player) call(c *client, st *step) ([]frame, error) {
	if st.until == "" {
		if err := c.send(p.encode(st.calls)); err != nil {
			return nil, err
		}
		return p.read(c, st.count)
	}
	var frames []frame
	err := eventually("last reply before giving up is in the diff", func() (bool, error) {
		if err := c.send(p.encode(st.calls)); err != nil {
			return false, err
		}
		var err error
		frames, err = p.read(c, st.count)
		return err == nil && slices.Equal(p.show(st, frames), []string{st.until}), err
	})
	return frames, err
}

func (p *player) read(c *client, count int) ([]frame, error) {
	var frames []frame
	for range count {
		f, err := c.receive()
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

func (p *player) awaitBlocked(c *client) error {
	return eventually("CLIENT LIST never showed flags=b", func() (bool, error) {
		if answered, err := c.pending(); answered || err != nil {
			if err == nil {
				f, _ := c.receive() // it is shown, whatever it is
				err = fmt.Errorf("answered instead of waiting: %s", f.brief())
			}
			return false, err
		}
		flags, listed, err := p.control.field(c.addr(), "flags")
		if err == nil && !listed {
			err = errors.New("CLIENT LIST does not have the client")
		}
		return strings.Contains(flags, "b"), err
	})
}

func (p *player) awaitUnblocked(c *client) error {
	return eventually("CLIENT LIST still shows flags=b", func() (bool, error) {
		flags, _, err := p.control.field(c.addr(), "flags")
		return !strings.Contains(flags, "b"), err
	})
}

func (p *player) silent(name string) error {
	if err := p.control.settle(); err != nil {
		return err
	}
	c := p.clients[name]
	waiting, err := c.pending()
	if err != nil || !waiting {
		return err
	}
	f, err := c.receive()
	if err != nil {
		return err
	}
	return fmt.Errorf("client %s was sent %s", name, f.brief())
}

// nothingLeft holds at the end of every script: each reply has been read.
func (p *player) nothingLeft() error {
	for name := range p.clients {
		if p.gone[name] {
			continue
		}
		if err := p.silent(name); err != nil {
			return fmt.Errorf("%s: at the end: %w", p.script.path, err)
		}
	}
	return nil
}

// show prints the frames as the script has them, and keeps what the step captures.
func (p *player) show(st *step, frames []frame) []string {
	if st.capture != "" && len(frames) > 0 {
		frames = p.keep(st, frames)
	}
	shown := make([]string, len(frames))
	for i, f := range frames {
		f = p.named(f)
		for _, m := range st.modes {
			f = m.apply(f)
		}
		shown[i] = f.String()
	}
	if slices.ContainsFunc(st.modes, func(m mode) bool { return m.name == "unordered" }) {
		slices.Sort(shown)
	}
	return shown
}

func (p *player) keep(st *step, frames []frame) []frame {
	f := frames[0]
	for _, i := range st.path {
		if i >= len(f.items) {
			return frames // the reply is shown as it is, and differs
		}
		f = f.items[i]
	}
	p.kept[st.capture] = f.text
	if len(st.path) > 0 || f.kind == '$' {
		return frames
	}
	return []frame{mask("$" + st.capture)}
}

// named puts $name for texts that are captured values. A change of type still shows.
func (p *player) named(f frame) frame {
	if f.kind == '$' && !f.null && f.text != "" {
		for name, value := range p.kept {
			if value == f.text {
				return mask("$" + name)
			}
		}
	}
	if len(f.items) > 0 {
		items := make([]frame, len(f.items))
		for i, item := range f.items {
			items[i] = p.named(item)
		}
		f.items = items
	}
	return f
}

func (p *player) encode(calls [][]string) []byte {
	var out []byte
	for _, call := range calls {
		args := make([]string, len(call))
		for i, arg := range call {
			args[i] = p.expand(arg)
		}
		out = append(out, encode(args)...)
	}
	return out
}

var variable = regexp.MustCompile(`\$[a-z][a-z0-9]*(\.(id|addr))?`)

// expand leaves what it does not know: a bare $ is an argument of XREAD.
func (p *player) expand(arg string) string {
	return variable.ReplaceAllStringFunc(arg, func(ref string) string {
		name, field, dotted := strings.Cut(ref[1:], ".")
		if value, ok := p.kept[name]; ok && !dotted {
			return value
		}
		if name == "port" && !dotted {
			return p.server.port()
		}
		c := p.clients[name]
		if c == nil || !dotted {
			return ref
		}
		if field == "addr" {
			return c.addr()
		}
		id, _, err := p.control.field(c.addr(), "id")
		if err != nil || id == "" {
			return ref
		}
		return id
	})
}
