// Package streams is the stream data type on a [storage.Tx]: entries in the
// order of their IDs, consumer groups that read them, and the entries that
// were delivered and not yet acknowledged.
//
// It knows no protocol, no clients and no clock: IDs are parsed and made here
// (id.go), but the time is the turn's. Its methods answer what a command wants
// to know; the reply is written in commands.
//
// Start at layout.go (what is on disk), then stream.go and run.go (entries),
// group.go and page.go (consumer groups and their pending entries), due.go (which
// of those are delivered again), idempotence.go (messages that are added once).
// The model test says what all of it has to amount to.
package streams
