// Package commands is the table of commands and their handlers. All that is
// true of a command (arity, flags, keys, documentation) is said once, in its
// entry; what checks calls, answers COMMAND and writes docs/commands.md reads
// it there.
//
// Handlers know no sockets, no clock and no storage engine: they read their
// arguments, work on a transaction, and write a reply or return an error. A
// handler that returns an error has written nothing.
//
// Start at command.go, then list.go for what a family of commands looks like.
package commands
