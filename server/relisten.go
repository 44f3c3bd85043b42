package server

import (
	"cmp"
	"errors"
	"net"
	"slices"

	"github.com/cairnmq/cairn/config"
)

// listen opens the listeners, after the files that TLS needs have been read.
func (s *Server) listen() ([]net.Listener, error) {
	o := &s.options
	if o.Config.TLSPort != 0 || o.tlsListeners != nil {
		var err error
		if s.tls, err = newTLSSettings(o.Config, o.Log); err != nil {
			return nil, err
		}
	}
	plain, secure := o.Listeners, o.tlsListeners
	if plain == nil && secure == nil {
		var err error
		if plain, secure, err = openListeners(o.Config); err != nil {
			return nil, err
		}
	}
	return append(plain, s.secured(secure)...), nil
}

// secured has what the listeners accept speak TLS.
func (s *Server) secured(listeners []net.Listener) (secured []net.Listener) {
	for _, l := range listeners {
		secured = append(secured, &tlsListener{l, s.tls, cmp.Or(s.options.handshakeTimeMax, handshakeTimeMax)})
	}
	return secured
}

// prepare is for config.OnPrepare. Listeners come last: what they do cannot be
// kept for later, as a port may be free only once another listener is closed.
func (s *Server) prepare(next *config.Config, names []string) (apply func(), err error) {
	switch {
	case s.tls != nil:
		apply, err = s.tls.prepare(next, names)
	case next.TLSPort != 0:
		if s.tls, err = newTLSSettings(next, s.options.Log); err != nil {
			err = &config.SetError{Name: "tls-port", Kind: config.BadValue, Reason: err.Error()}
		}
	}
	if err == nil {
		err = s.relisten(next)
	}
	return apply, err
}

// Redis' words for what a listener could not be opened for.
const (
	cannotBind   = "Failed to bind to specified addresses."
	cannotListen = "Unable to listen on this port. Check server logs."
)

// relisten listens where the next configuration says, or goes on as before.
// Connections stay, wherever they came in.
func (s *Server) relisten(next *config.Config) error {
	c := s.options.Config
	bind := !slices.Equal(next.Bind, c.Bind)
	change := ports{plain: bind || next.Port != c.Port, secure: bind || next.TLSPort != c.TLSPort}
	if !change.plain && !change.secure || s.loop.ending != nil {
		return nil
	}
	s.unlisten(change)
	directive, err := s.relistenOn(next, change)
	if err == nil {
		s.announceListeners()
		return nil
	}
	s.options.Log.Warningf("CONFIG SET: %v", err)
	s.unlisten(change)
	if _, err := s.relistenOn(c, change); err != nil {
		s.options.Log.Warningf("Nobody can connect any more as before: %v", err)
	}
	refused := &config.SetError{Name: directive, Kind: config.BadValue, Reason: cannotListen}
	if bind {
		refused.Name, refused.Reason = "bind", cannotBind
	}
	return refused
}

// ports are those of the directives port and tls-port.
type ports struct{ plain, secure bool }

func (p ports) of(l net.Listener) bool {
	if _, secure := l.(*tlsListener); secure {
		return p.secure
	}
	return p.plain && l.Addr().Network() != "unix"
}

func (s *Server) unlisten(change ports) {
	s.loop.listeners = slices.DeleteFunc(s.loop.listeners, func(l net.Listener) bool {
		if !change.of(l) {
			return false
		}
		s.loop.poller.unlisten(l)
		closeListeners([]net.Listener{l})
		return true
	})
}

// relistenOn opens the listeners of c. With an error it returns the directive
// that caused it.
func (s *Server) relistenOn(c *config.Config, change ports) (directive string, err error) {
	if change.plain {
		plain, err := listenAll(c, "port", c.Port)
		if err := s.take(plain, err); err != nil {
			return "port", err
		}
	}
	if change.secure {
		secure, err := listenAll(c, "tls-port", c.TLSPort)
		if err := s.take(s.secured(secure), err); err != nil {
			return "tls-port", err
		}
	}
	if len(s.loop.listeners) == 0 {
		return "port", errors.New("nothing is left to listen on")
	}
	return "", nil
}

// take adds listeners, also those that were opened before another one failed.
func (s *Server) take(listeners []net.Listener, failed error) error {
	s.loop.listeners = append(s.loop.listeners, listeners...)
	for _, l := range listeners {
		if failed == nil {
			failed = s.loop.poller.listen(l)
		}
	}
	return failed
}
