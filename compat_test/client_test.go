package compat_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for a server. It is only spent when something is wrong, so it can be generous.
const patience = 60 * time.Second

// A client is one raw connection: what it sends and receives is exactly what the test says.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, in: bufio.NewReader(conn)}, nil
}

// addr is the client's end of the connection, as CLIENT LIST shows it.
func (c *client) addr() string { return c.conn.LocalAddr().String() }

func (c *client) close() { c.conn.Close() }

func (c *client) send(raw []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(raw)
	return err
}

func (c *client) receive() (frame, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return frame{}, err
	}
	f, err := readFrame(c.in)
	if errors.Is(err, errNotRESP) {
		return f, err
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return f, fmt.Errorf("no reply within %v", patience)
	}
	return f, err
}

// do sends one command and reads one frame.
func (c *client) do(args ...string) (frame, error) {
	if err := c.send(encode(args)); err != nil {
		return frame{}, err
	}
	return c.receive()
}

// pending reports whether the server has sent something that nobody has read, without waiting for it.
func (c *client) pending() (bool, error) {
	if c.in.Buffered() > 0 {
		return true, nil
	}
	raw, err := c.conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return false, err
	}
	var n int
	var peekErr error
	err = raw.Control(func(fd uintptr) {
		n, _, peekErr = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	if err != nil {
		return false, err
	}
	if errors.Is(peekErr, syscall.EAGAIN) {
		return false, nil
	}
	if peekErr == nil && n == 0 {
		return false, errors.New("the server closed the connection")
	}
	return n > 0, peekErr
}

// drain reads frames until the server closes.
func (c *client) drain() ([]frame, error) {
	var frames []frame
	for {
		f, err := c.receive()
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
}

func encode(args []string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return []byte(b.String())
}

// control asks the server about the clients of a test, over a connection of its own.
type control struct{ *client }

func dialControl(addr, password string) (*control, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	ctl := &control{c}
	if password != "" {
		if err := ctl.ok("AUTH", password); err != nil {
			return nil, err
		}
	}
	return ctl, nil
}

func (c *control) ok(args ...string) error {
	f, err := c.do(args...)
	if err != nil {
		return fmt.Errorf("control: %s: %w", args[0], err)
	}
	if f.kind != '+' {
		return fmt.Errorf("control: %s: %v", strings.Join(args, " "), f)
	}
	return nil
}

// field is one field of a client's line in CLIENT LIST; listed is false when the server no longer has the client.
func (c *control) field(addr, name string) (value string, listed bool, err error) {
	f, err := c.do("CLIENT", "LIST")
	if err != nil {
		return "", false, err
	}
	if f.kind != '$' {
		return "", false, fmt.Errorf("control: CLIENT LIST: %v", f)
	}
	for line := range strings.Lines(f.text) {
		fields := strings.Fields(line)
		if !slices.Contains(fields, "addr="+addr) {
			continue
		}
		for _, kv := range fields {
			if k, v, _ := strings.Cut(kv, "="); k == name {
				return v, true, nil
			}
		}
		return "", true, nil
	}
	return "", false, nil
}

// settle returns when the server has written out everything that earlier commands caused: a second PING is only
// read after the round that answered the first has sent all its replies.
func (c *control) settle() error {
	for range 2 {
		if err := c.ok("PING"); err != nil {
			return err
		}
	}
	return nil
}

// eventually asks again and again, at the pace of the server's answers.
func eventually(what string, ask func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; {
		done, err := ask()
		if done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v in vain: %s", patience, what)
		}
	}
}
