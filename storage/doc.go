// Package storage keeps the keyspace on Pebble.
//
// Data types and command handlers see a [Tx]: they open an [Object] by its
// key, read and write its records, and say what they have changed. Nothing of
// it reaches Pebble before [Store.Commit], which writes a whole turn as one
// batch and, by the fsync policy, waits for the disk. There is no rollback: a
// handler that fails must not have written (rule R3 in docs/architecture.md),
// and a commit that fails ends the process (rule R5).
//
// The package knows no commands, no sockets, no goroutines but Pebble's own,
// and no clock: the time of a turn is given to [Store.Begin].
//
// Start reading at key.go (what is on disk), then object.go and tx.go (what
// the program sees), then commit.go (how the one becomes the other).
package storage
