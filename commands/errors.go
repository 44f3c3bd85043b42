package commands

import (
	"strings"

	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

// Error replies, in Redis' words. What one file alone uses stands there.
const (
	ErrSyntax         resp.Error = "ERR syntax error"
	ErrNotInteger     resp.Error = "ERR value is not an integer or out of range"
	ErrNotFloat       resp.Error = "ERR value is not a valid float"
	ErrNotPositive    resp.Error = "ERR value is out of range, must be positive"
	ErrOutOfRange     resp.Error = "ERR index out of range"
	ErrNoSuchKey      resp.Error = "ERR no such key"
	ErrCursor         resp.Error = "ERR invalid cursor"
	ErrDBIndex        resp.Error = "ERR DB index is out of range"
	ErrSameObject     resp.Error = "ERR source and destination objects are the same"
	ErrTimeoutFloat   resp.Error = "ERR timeout is not a float or out of range"
	ErrTimeoutInteger resp.Error = "ERR timeout is not an integer or out of range"
	ErrTimeoutNeg     resp.Error = "ERR timeout is negative"
	ErrTimeoutRange   resp.Error = "ERR timeout is out of range"
	ErrNumkeys        resp.Error = "ERR numkeys should be greater than 0"
	ErrCountPositive  resp.Error = "ERR count should be greater than 0"
	ErrUnblocked      resp.Error = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
	ErrNoAuth         resp.Error = "NOAUTH Authentication required."
	ErrNameTooLong    resp.Error = "ERR the name of a key, channel, pattern or client is longer than proto-max-name-len allows"
	ErrQueueTooLong   resp.Error = "ERR the transaction has more commands than proto-max-multibulk-len allows"
	ErrShuttingDown   resp.Error = "UNBLOCKED the server is shutting down"
	ErrBlockedClients resp.Error = "ERR max number of blocked clients reached"
	ErrBlockedKeys    resp.Error = "ERR more keys to wait for than client-blocked-keys-limit allows"
	ErrSubscriptions  resp.Error = "ERR more subscriptions than client-subscriptions-limit allows"
	ErrPatterns       resp.Error = "ERR more patterns than pubsub-patterns-limit allows"
	ErrPatternEffort  resp.Error = "ERR comparing the name of the channel with all patterns would take too long"
	ErrReplyTooLong   resp.Error = "ERR the reply is longer than proto-max-reply-len allows"
	ErrExecAbort      resp.Error = "EXECABORT Transaction discarded because of previous errors."
)

// ErrWrongType is the reply for a key of another type.
const ErrWrongType = storage.ErrWrongType

// ArityError is the reply for a wrong number of arguments.
func ArityError(c *Command) resp.Error {
	return resp.Errorf("ERR wrong number of arguments for '%s' command", strings.ToLower(c.FullName()))
}
