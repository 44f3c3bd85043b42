package commands

import "github.com/cairnmq/cairn/storage"

// QueueCounters count what policies have done to the messages of a queue, since
// start or CONFIG RESETSTAT.
type QueueCounters struct {
	Rejected     int64 // pushes refused because the queue was full
	Dropped      int64 // messages dropped to make room, or because they were too old
	Redelivered  int64 // messages that went to a consumer once more, on their own or by a claim
	DeadLettered int64 // messages that went to the dead letters
}

func (q *QueueCounters) add(more QueueCounters) {
	q.Rejected += more.Rejected
	q.Dropped += more.Dropped
	q.Redelivered += more.Redelivered
	q.DeadLettered += more.DeadLettered
}

// countedQueuesMax bounds the queues whose counters are kept; of one more,
// another's are forgotten. The totals go on.
const countedQueuesMax = 10_000

// CountQueue adds to the counters of a key, and to the totals.
func (srv *Server) CountQueue(tx *storage.Tx, key string, more QueueCounters) {
	srv.Counters.Queues.add(more)
	ref := DBKey{DB: tx.DB(), Key: key}
	q := srv.queues[ref]
	if q == nil {
		if srv.queues == nil {
			srv.queues = make(map[DBKey]*QueueCounters)
		}
		if len(srv.queues) >= countedQueuesMax {
			for other := range srv.queues {
				delete(srv.queues, other)
				break
			}
		}
		q = new(QueueCounters)
		srv.queues[ref] = q
	}
	q.add(more)
}

// QueueCounters returns the counters of a key.
func (srv *Server) QueueCounters(tx *storage.Tx, key string) QueueCounters {
	if q := srv.queues[DBKey{DB: tx.DB(), Key: key}]; q != nil {
		return *q
	}
	return QueueCounters{}
}
