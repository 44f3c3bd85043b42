package commands

import (
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// Producers that send a message again and add it once: XADD with IDMP and
// IDMPAUTO (https://redis.io/docs/latest/develop/data-types/streams/idempotency/).

var streamProducerCommands = []Command{
	{
		Name: "xcfgset", Arity: -2, Flags: Write | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "8.6.0", Syntax: "key [IDMP-DURATION duration] [IDMP-MAXSIZE maxsize]",
		Summary:    "Sets for how long a stream remembers the messages of its producers, and how many; if that changes anything it forgets them.",
		Complexity: "O(1)",
		Run:        xcfgset,
	},
	{
		Name: "xidmprecord", Arity: 5, Flags: Write | DenyOOM | Fast, Keys: Keys{1, 1, 1},
		Group: "stream", Since: "8.6.2", Syntax: "key pid iid stream-id",
		Summary:    "Notes which entry a producer's message became, as XADD with IDMP does; for tools that copy streams.",
		Complexity: "O(1)",
		Run:        xidmprecord,
	},
}

const (
	errIdempotentID    resp.Error = "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs"
	errIdempotentTwice resp.Error = "ERR syntax error, IDMP/IDMPAUTO specified multiple times"
	errAutoProducer    resp.Error = "ERR syntax error, IDMPAUTO requires a non-empty producer ID"
	errProducer        resp.Error = "ERR syntax error, IDMP requires a non-empty producer ID"
	errProducerMessage resp.Error = "ERR syntax error, IDMP requires a non-empty idempotent ID"

	errDurationRange resp.Error = "ERR IDMP-DURATION must be between 1 and 86400 seconds"
	errDurationTwice resp.Error = "ERR IDMP-DURATION specified multiple times"
	errMaxSizeRange  resp.Error = "ERR IDMP-MAXSIZE must be between 1 and 10000 entries"
	errMaxSizeTwice  resp.Error = "ERR IDMP-MAXSIZE specified multiple times"
	errConfigNothing resp.Error = "ERR At least one parameter must be specified"

	errNoSuchMessage resp.Error = "ERR No such message in stream"
	errMessageTaken  resp.Error = "ERR IID already exists for this producer with a different stream ID"
)

const (
	idmpDurationMax = 86400 // seconds
	idmpMaxSizeMax  = 10000
)

// readIdempotent reads IDMP or IDMPAUTO, if that is next.
func (t *trimArgs) readIdempotent(a *Args) bool {
	named := a.Len() > 2 && a.Word("IDMP")
	auto := !named && a.Len() > 1 && a.Word("IDMPAUTO")
	if !named && !auto {
		return false
	}
	if t.idempotent {
		a.Fail(errIdempotentTwice)
	}
	t.idempotent, t.auto = true, auto
	t.producer = a.Next()
	switch {
	case auto && len(t.producer) == 0:
		a.Fail(errAutoProducer)
	case len(t.producer) == 0:
		a.Fail(errProducer)
	}
	if named {
		if t.message = a.Next(); len(t.message) == 0 {
			a.Fail(errProducerMessage)
		}
	}
	return true
}

// produced names the message that XADD is to add.
func (t *trimArgs) produced(values [][]byte) (m streams.Produced) {
	switch {
	case !t.idempotent:
		return m
	case t.auto:
		return streams.ProducedWith(t.producer, values)
	}
	return streams.ProducedAs(t.producer, t.message)
}

// recall returns the entry that the message became long ago.
func (t *trimArgs) recall(s *streams.Stream, m streams.Produced) (streams.ID, bool) {
	if !t.idempotent {
		return streams.ID{}, false
	}
	return s.Recall(m)
}

// idempotence returns what the stream remembers of its producers.
func idempotence(c *Ctx, s *streams.Stream) streams.Idempotence {
	if i := s.Idempotence(); i.Seconds > 0 {
		return i
	}
	return c.Server.idempotence()
}

// idempotence is what new streams remember of their producers.
func (srv *Server) idempotence() streams.Idempotence {
	return streams.Idempotence{Seconds: uint32(srv.Config.StreamIdmpDuration), MaxSize: uint32(srv.Config.StreamIdmpMaxSize)}
}

// createStream makes an empty stream at a key that has nothing.
func createStream(c *Ctx, key []byte) *streams.Stream {
	return c.Server.createStream(c.Tx, key)
}

func (srv *Server) createStream(tx *storage.Tx, key []byte) *streams.Stream {
	s := streams.Create(tx, key)
	s.SetIdempotence(srv.idempotence())
	return s
}

func xcfgset(c *Ctx) error {
	s, err := openInfo(c, c.Args.Next())
	if err != nil {
		return err
	}
	a := &c.Args
	i := idempotence(c, s)
	hasDuration, hasMaxSize := false, false
	for a.More() {
		switch value := a.Len() > 1; {
		case value && a.Word("IDMP-DURATION"):
			if hasDuration {
				a.Fail(errDurationTwice)
			}
			hasDuration = true
			i.Seconds = a.upTo(idmpDurationMax, errDurationRange)
		case value && a.Word("IDMP-MAXSIZE"):
			if hasMaxSize {
				a.Fail(errMaxSizeTwice)
			}
			hasMaxSize = true
			i.MaxSize = a.upTo(idmpMaxSizeMax, errMaxSizeRange)
		default:
			a.Fail(ErrSyntax)
		}
	}
	if !hasDuration && !hasMaxSize {
		a.Fail(errConfigNothing)
	}
	if err := a.Err(); err != nil {
		return err
	}
	s.SetIdempotence(i)
	c.Out.OK()
	return nil
}

// upTo reads an integer from 1 to highest.
func (a *Args) upTo(highest int64, outside resp.Error) uint32 {
	n := a.Int()
	if a.err == nil && (n < 1 || n > highest) {
		a.Fail(outside)
	}
	return uint32(n)
}

func xidmprecord(c *Ctx) error {
	s, err := openInfo(c, c.Args.Next())
	if err != nil {
		return err
	}
	producer, message, id := c.Args.Next(), c.Args.Next(), c.Args.id()
	switch {
	case c.Args.Err() != nil:
		return c.Args.Err()
	case len(producer) == 0:
		return errProducer
	case len(message) == 0:
		return errProducerMessage
	}
	m := streams.ProducedAs(producer, message)
	known, there := s.Recall(m)
	switch _, exists := s.Get(id); {
	case there && known != id:
		return errMessageTaken
	case !there && !exists:
		return errNoSuchMessage
	case !there:
		s.Remember(m, id, idempotence(c, s))
	}
	c.Out.OK()
	return nil
}
