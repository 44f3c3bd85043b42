// Package compat_test holds cairn to what a real Redis does, from the outside, through a socket:
//
//   - Scripts (testdata/<family>/<name>.txt) are transcripts whose replies were recorded from redis-server.
//     TestOracleCairn plays them against cairn, TestOracleRedis against redis-server where that is installed,
//     and `go test ./compat_test -run Oracle -record` writes its replies into the scripts anew.
//   - goredis_*_test.go drives the daemon with go-redis, rediscli_test.go with redis-cli in a terminal.
//   - tls_test.go does so over TLS, with certificates that it makes.
//   - kill_test.go ends the daemon with SIGKILL under load and counts what survived.
//
// The daemon is built once, as a binary, with -race when the tests are. Two variables put another server in its place,
// which is how the tests themselves are tested:
//
//	CAIRN_ADDR=127.0.0.1:6379 go test ./compat_test            one that runs already
//	CAIRN_COMMAND="redis-server --appendonly yes" go test …    one that the tests start, kill and start again
//
// Start with script_test.go: it explains what a script may say.
package compat_test
