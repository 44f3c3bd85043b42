// Bench compares cairn with a peer, redis-server or another of its kind: the
// same load on both in turn, several times, every message checked (make bench).
//
// Where to start: scenario.go says what is measured, run.go how. loop.go is the
// load generator: one thread, because it shares the machine with the server that
// it measures. Above it stand the roles that connections play (publisher.go,
// consumer.go, group.go, subscriber.go), below it the parser of replies.
// What has been measured is a Report (report.go); page.go makes
// docs/benchmarks.md of it and targets.go holds it against what is wanted.
package main
