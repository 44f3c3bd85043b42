// Package journal is the log that makes turns durable: records with consecutive
// numbers, written and synced before anybody is answered, and read again after a
// crash.
//
// It knows nothing of what is in a record. Start at record.go (what is on disk),
// then journal.go (appending, giving back what is not needed any more) and
// recover.go (what a log means after a crash).
package journal
