// Package pubsub holds channels, patterns and their subscribers, in memory
// only. It knows no sockets: a subscriber is whoever can take a message.
//
// Delivery is at most once and never waits: Publish hands the message to every
// receiver in turn. What a receiver cannot send on is its own affair: the
// server cuts a connection whose output grows beyond its limit.
package pubsub
