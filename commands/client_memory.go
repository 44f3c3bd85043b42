package commands

// # Memory of clients
//
// What clients make the server hold has one bound for all of them together
// (maxmemory-clients): what they have sent and not yet taken, and what they
// queue, wait for, watch and listen to. Each session is weighed when something
// has changed in it, which takes constant time as all that it holds is counted
// as it comes and goes. Messages that many receive are in memory once, and count
// once, whoever holds them.

const (
	// sessionBytes is about what a session takes beside its buffers.
	sessionBytes = 1 << 10
	// queuedBytes is what a command of a transaction takes beside its arguments,
	// argumentBytes an argument.
	queuedBytes   = 64
	argumentBytes = 24
	// namedBytes is what each key under WATCH or waited for, and each channel,
	// takes beside its name: places in tables, both ways.
	namedBytes = 256
	// clientsBytesMin is the least bound: with less nobody could even ask what is
	// wrong.
	clientsBytesMin = 128 << 10
)

// ClientMemory is what all sessions hold.
type ClientMemory struct {
	// Total is the sum of what the sessions weigh, Shared what is in frames that
	// any of them holds.
	Total, Shared int64
}

// QueuedBytes is about what the commands of a transaction take while they are
// queued.
func (s *Session) QueuedBytes() int64 {
	if s.Multi == nil {
		return 0
	}
	return s.Multi.Bytes
}

// callBytes is about what a call takes while it is kept.
func callBytes(args [][]byte) int64 {
	return queuedBytes + int64(len(args)*argumentBytes+argsBytes(args))
}

// waitBytes is about what a command takes while it waits.
func (w *Blocked) waitBytes() int64 {
	n := callBytes(w.Args)
	for _, key := range w.Wait.Keys {
		n += namedBytes + int64(len(key))
	}
	return n
}

// weigh returns about how much memory the session takes, shared frames excepted.
func (s *Session) weigh() int64 {
	used, free := s.Peer.QueryBuffer()
	n := sessionBytes + len(s.Name) + len(s.LibName) + len(s.LibVer) + used + free + s.Peer.TransitBytes() +
		s.Out.MemoryBytes() + s.Pushes.MemoryBytes() + s.Subs.Bytes() + s.Subs.Len()*namedBytes
	if s.Tracking != nil {
		n += s.Tracking.prefixBytes()
	}
	bytes := int64(n) + s.QueuedBytes() + s.watchBytes
	if s.Blocked != nil {
		if s.Blocked.bytes == 0 {
			s.Blocked.bytes = s.Blocked.waitBytes()
		}
		bytes += s.Blocked.bytes
	}
	return bytes
}

// Weigh counts anew what a session takes.
func (srv *Server) Weigh(s *Session) {
	if s.Killed {
		return // it is gone, or as good as
	}
	now := s.weigh()
	srv.ClientMemory.Total += now - s.weight
	s.weight = now
}

// Forget drops a session that is gone.
func (srv *Server) Forget(s *Session) {
	srv.ClientMemory.Total -= s.weight
	s.weight = 0
	delete(srv.Sessions, s.ID)
}

// ClientBytesMax is the bound for all clients together; 0: none.
func (srv *Server) ClientBytesMax() int64 {
	most := srv.Config.MaxMemoryClients.Of(srv.MemoryBytes)
	if most == 0 {
		return 0
	}
	return max(most, clientsBytesMin)
}

// ReplyBytesMax is the bound for a reply that has to be in memory as a whole.
func (srv *Server) ReplyBytesMax() int64 {
	most := srv.Config.ProtoMaxReplyLen
	if clients := srv.ClientBytesMax(); clients > 0 {
		most = min(most, clients)
	}
	return most
}

// ClientsTakeTooMuch reports whether clients are over their bound.
func (srv *Server) ClientsTakeTooMuch() bool {
	most := srv.ClientBytesMax()
	return most > 0 && srv.ClientMemory.Total+srv.ClientMemory.Shared > most
}

// Heaviest returns the client that holds most and may be closed for it, nil if
// there is none. A frame counts for each that holds it: none is free before all
// have let go.
func (srv *Server) Heaviest() (heaviest *Session, bytes int64) {
	for _, s := range srv.Sessions {
		n := s.weight + int64(s.Out.SharedBytes()+s.Pushes.SharedBytes())
		if !s.NoEvict && !s.Killed && (n > bytes || (n == bytes && s.ID > heaviest.ID)) {
			heaviest, bytes = s, n
		}
	}
	return heaviest, bytes
}
