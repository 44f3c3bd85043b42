// Package broker is cairn without the world: sessions, turns, waiting,
// transactions, deadlines. It has no sockets, no clock and no goroutines; the
// server feeds it commands and tells it the time, and takes away what it
// releases. That is what makes it testable to the last interleaving.
//
// Start at turn.go.
package broker
