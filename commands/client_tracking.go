package commands

import "github.com/cairnmq/cairn/resp"

var clientTrackingCommands = []Command{
	{
		Parent: "client", Name: "caching", Arity: 3, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "6.0.0", Syntax: "<YES | NO>",
		Summary: "Says for the next command or transaction whether its reads are tracked.", Complexity: "O(1)",
		Run: clientCaching,
	},
	{
		Parent: "client", Name: "getredir", Arity: 2, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "6.0.0",
		Summary: "Returns the id of the client that gets the connection's invalidations.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Int(c.Session.redirect())
			return nil
		},
	},
	{
		Parent: "client", Name: "tracking", Arity: -3, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "6.0.0",
		Syntax:     "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
		Summary:    "Chooses whether the connection is told when keys change that it may have cached.",
		Complexity: "O(1). Some options may introduce additional complexity",
		Run:        clientTracking,
	},
	{
		Parent: "client", Name: "trackinginfo", Arity: 2, Flags: NoScript | Loading | Stale | Connection,
		Group: "connection", Since: "6.2.0",
		Summary: "Returns how the connection tracks keys.", Complexity: "O(1)",
		Run: clientTrackingInfo,
	},
}

// Errors of CLIENT TRACKING and CACHING.
const (
	errRedirectTwice  resp.Error = "ERR A client can only redirect to a single other client"
	errRedirectToNone resp.Error = "ERR The client ID you want redirect to does not exist"
	errPrefixNoBcast  resp.Error = "ERR PREFIX option requires BCAST mode to be enabled"
	errSwitchBcast    resp.Error = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	errOptBcast       resp.Error = "ERR OPTIN and OPTOUT are not compatible with BCAST"
	errOptBoth        resp.Error = "ERR You can't specify both OPTIN mode and OPTOUT mode"
	errSwitchOpt      resp.Error = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	errCachingOff     resp.Error = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
	errCachingYes     resp.Error = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
	errCachingNo      resp.Error = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
)

func clientTracking(c *Ctx) error {
	status := c.Args.Option()
	m, err := trackingOptions(c)
	if err != nil {
		return err
	}
	switch status {
	case "ON":
		if err := m.check(c.Session.Tracking); err != nil {
			return err
		}
		if m.Broadcast && len(m.Prefixes) == 0 {
			m.Prefixes = []string{""}
		}
		c.Server.track(c.Session, m)
	case "OFF":
		c.Server.untrack(c.Session)
	default:
		return ErrSyntax
	}
	c.Out.OK()
	return nil
}

func trackingOptions(c *Ctx) (m TrackingMode, err error) {
	for c.Args.More() {
		switch option := c.Args.Option(); {
		case option == "REDIRECT" && c.Args.More():
			if m.Redirect != 0 {
				return m, errRedirectTwice
			}
			m.Redirect = c.Args.Int()
			if s := c.Server.Sessions[m.Redirect]; c.Args.Err() == nil && (s == nil || s.Killed) {
				return m, errRedirectToNone
			}
		case option == "PREFIX" && c.Args.More():
			m.Prefixes = append(m.Prefixes, string(c.Args.Next()))
		case option == "BCAST":
			m.Broadcast = true
		case option == "OPTIN":
			m.OptIn = true
		case option == "OPTOUT":
			m.OptOut = true
		case option == "NOLOOP":
			m.NoLoop = true
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	return m, c.Args.Err()
}

// check says what is wrong with the options among each other, or with what is
// in force.
func (m *TrackingMode) check(now *TrackingMode) error {
	switch {
	case !m.Broadcast && len(m.Prefixes) > 0:
		return errPrefixNoBcast
	case now != nil && now.Broadcast != m.Broadcast:
		return errSwitchBcast
	case m.Broadcast && (m.OptIn || m.OptOut):
		return errOptBcast
	case m.OptIn && m.OptOut:
		return errOptBoth
	case now != nil && ((m.OptIn && now.OptOut) || (m.OptOut && now.OptIn)):
		return errSwitchOpt
	}
	var present []string
	if now != nil {
		present = now.Prefixes
	}
	suspects := overlapping(present, m.Prefixes)
	for i, prefix := range m.Prefixes {
		if !suspects[prefix] {
			continue // else there would be a million to compare each with
		}
		if now != nil {
			if other, found := overlap(prefix, now.Prefixes); found {
				return overlapError(prefix, "an existing prefix", other)
			}
		}
		if other, found := overlap(prefix, m.Prefixes[i+1:]); found {
			return overlapError(prefix, "another provided prefix", other)
		}
	}
	return nil
}

func overlapError(prefix, what, other string) error {
	return resp.Errorf("ERR Prefix '%s' overlaps with %s '%s'. Prefixes for a single client must not overlap.",
		clip([]byte(prefix), len(prefix)), what, clip([]byte(other), len(other)))
}

func clientCaching(c *Ctx) error {
	t := c.Session.Tracking
	if t == nil {
		return errCachingOff
	}
	switch c.Args.Option() {
	case "YES":
		if !t.OptIn {
			return errCachingYes
		}
	case "NO":
		if !t.OptOut {
			return errCachingNo
		}
	default:
		return ErrSyntax
	}
	t.Chosen = true
	c.Out.OK()
	return nil
}

// redirect is the id of the client that gets the session's invalidations: 0 for
// itself, -1 without tracking.
func (s *Session) redirect() int64 {
	if s.Tracking == nil {
		return -1
	}
	return s.Tracking.Redirect
}

func clientTrackingInfo(c *Ctx) error {
	t := c.Session.Tracking
	words := []string{"off"}
	var prefixes []string
	if t != nil {
		words, prefixes = t.words(), t.Prefixes
	}
	c.Out.Map(3)
	c.Out.BulkString("flags")
	c.Out.Set(len(words))
	for _, w := range words {
		c.Out.BulkString(w)
	}
	c.Out.BulkString("redirect")
	c.Out.Int(c.Session.redirect())
	c.Out.BulkString("prefixes")
	c.Out.Array(len(prefixes))
	for _, p := range prefixes {
		c.Out.BulkString(p)
	}
	return nil
}

// words are the flags of CLIENT TRACKINGINFO.
func (m *TrackingMode) words() []string {
	words := []string{"on"}
	for _, f := range []struct {
		set  bool
		word string
	}{
		{m.Broadcast, "bcast"},
		{m.OptIn, "optin"},
		{m.OptIn && m.Chosen, "caching-yes"},
		{m.OptOut, "optout"},
		{m.OptOut && m.Chosen, "caching-no"},
		{m.NoLoop, "noloop"},
		{m.Broken, "broken_redirect"},
	} {
		if f.set {
			words = append(words, f.word)
		}
	}
	return words
}
