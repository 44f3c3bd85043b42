// Package schedule keeps commands that are to run later: once, every so often, or
// at the times of a cron expression.
//
// It knows what an entry is, how it is written down (as a timer of package
// storage, so that ten million of them are on disk and not in memory), and when it
// is due next. It does not know what a command is, who may run it, or how: the
// broker takes what is due, runs it, and says what has become of it (Done, PutOff,
// Keep) in the same turn, so that the effect and the end of the entry are one
// batch.
package schedule
