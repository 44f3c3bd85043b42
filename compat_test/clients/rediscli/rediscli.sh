#!/usr/bin/env bash
# Runs the checks of the client matrix with redis-cli: each command in a process of its own, or, where a connection has
# to stay, with a redis-cli that reads commands from a pipe. Arguments: host and port.
set -u
host=$1 port=$2
readonly patience=20 # seconds
failed=0
reason=          # why the running check gave up
files=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$files"' EXIT

cli() { redis-cli -h "$host" -p "$port" "$@"; }

# want 'expected' command...: compares what the command prints, its lines joined by blanks.
want() {
	local expected=$1 got
	shift
	got=$("$@" 2>&1 | tr '\n' ' ' | sed 's/ *$//')
	equal "$got" "$expected" "$*"
}

equal() {
	if [ "$1" != "$2" ] && [ -z "$reason" ]; then
		reason="${3-}: got ${1:0:200}, want ${2:0:200}"
	fi
}

report() {
	if [ -z "$reason" ]; then
		echo "ok $1"
	else
		failed=1
		echo "not ok $1: $reason"
	fi
	reason=
}

eventually() {
	local end=$((SECONDS + patience))
	until "$@"; do
		if [ $SECONDS -gt $end ]; then
			equal "" "in time" "$*"
			return
		fi
		sleep 0.01
	done
}

# listen name command...: what a subscriber prints goes to a file of that name; it has subscribed when this returns.
listen() {
	local name=$1
	shift
	cli "$@" >"$files/$name" 2>&1 &
	eventually heard "$name" 'subscribe*'
}

# heard name pattern: the file has that in its lines, joined by blanks.
heard() {
	local lines
	lines=$(tr '\n\0' '  ' <"$files/$1")
	# shellcheck disable=SC2053 # a pattern
	[[ $lines == *$2* ]]
}

# The channel's name and the message come behind the three lines of the confirmation; a line end is added to all.
heard_binary() { tail -n +6 "$files/blobs" | head -c -1 | cmp -s - "$files/binary"; }

# A redis-cli that listens ends with its connection: who listens starts it again.
keep_listening() {
	while :; do
		cli subscribe after
		sleep 0.05
	done >"$files/after" 2>&1
}

blocked() { cli info clients | grep -q blocked_clients:1; }

info=$(printf 'client setname matrix\nclient info\n' | cli -n 3)
[[ $info == *' name=matrix '*' db=3 '* ]] || equal "$info" "name and database" "client info"
want hello cli echo hello
[[ $info =~ resp=([0-9]) ]] && echo "client $(redis-cli --version | cut -d ' ' -f 1,2) RESP${BASH_REMATCH[1]}"
report connect

want 3 cli lpush jobs a b c
for job in a b c; do want "jobs $job" cli brpop jobs 1; done
want 0 cli llen jobs
report load-balancing

listen channel subscribe news
listen pattern psubscribe 'n*'
want 2 cli publish news hello
eventually heard channel 'message news hello'
eventually heard pattern 'pmessage n\* news hello'
report fan-out

for group in billing shipping; do want OK cli xgroup create orders "$group" '$' mkstream; done
id=$(cli xadd orders '*' item lamp)
for group in billing shipping; do
	want "orders $id item lamp" cli xreadgroup group "$group" alice count 10 streams orders '>'
	want 1 cli xack orders "$group" "$id"
	want 0 cli xpending orders "$group"
done
report hybrid

want '' cli brpop none 0.1
want '' cli xreadgroup group billing alice block 100 streams orders '>'
report pop-timeout

cli brpop late 0 >"$files/late" &
eventually blocked
want 1 cli lpush late v
wait $!
want 'late v' cat "$files/late"
report pop-served

want OK cli xgroup create work team '$' mkstream
want 1-0 cli xadd work 1-0 item one
want 2-0 cli xadd work 2-0 item two
want 'work 1-0 item one 2-0 item two' cli xreadgroup group team crashing count 2 streams work '>'
want 1 cli xack work team 1-0
want '1 2-0 2-0 crashing 1' cli xpending work team
want '0-0 2-0 item two' cli xautoclaim work team rescuer 0 0
want '2-0 item two' cli xclaim work team other 0 2-0
want 1 cli xack work team 2-0
want 0 cli xpending work team
report redelivery

want 'OK QUEUED QUEUED 2 2' cli <<<$'multi\nrpush tx a b\nllen tx\nexec'
report transaction

coproc watching { cli; }
echo 'watch watched' >&"${watching[1]}"
read -r -t "$patience" line <&"${watching[0]}"
equal "$line" OK watch
want 1 cli rpush watched intruder
printf '%s\n' multi 'rpush watched mine' exec multi 'rpush watched mine' exec >&"${watching[1]}"
exec {answers}<&"${watching[0]}" # bash forgets watching as soon as it has ended
eval "exec ${watching[1]}>&-"     # the end of its input
want 'OK QUEUED  OK QUEUED 2' cat <&"$answers"
exec {answers}<&-
report watch

for ((i = 0; i < 10000; i++)); do
	printf '*3\r\n$5\r\nRPUSH\r\n$4\r\npipe\r\n$%d\r\n%d\r\n' ${#i} "$i"
done | cli --pipe >"$files/pipe" 2>&1
eventually heard pipe 'errors: 0, replies: 10000'
want 10000 cli llen pipe
want 9999 cli lindex pipe -1
report pipeline

LC_ALL=C awk 'BEGIN { for (n = 0; n < 4096; n++) for (i = 0; i < 256; i++) printf "%c", i }' >"$files/binary"
want 1 cli -x lpush blob <"$files/binary"
cli rpop blob | head -c -1 >"$files/back" # without the line end that redis-cli adds
want '' cmp "$files/binary" "$files/back"
cli -x xadd blobs '*' field <"$files/binary" >"$files/id"
cli xrange blobs - + | tail -n +3 | head -c -1 >"$files/back"
want '' cmp "$files/binary" "$files/back"
listen blobs subscribe blobs
want 1 cli -x publish blobs <"$files/binary"
eventually heard_binary
report binary

want 'WRONGTYPE Operation against a key holding the wrong kind of value' cli lpush orders v
want PONG cli ping
report error

echo 'skip cache: the program has none'

coproc kept { cli; }
keep_listening &
eventually heard after 'subscribe after 1'
want 2 cli lpush kept a b
want OK cli xgroup create kept-stream team '$' mkstream
want 1-0 cli xadd kept-stream 1-0 item lamp
want 'kept-stream 1-0 item lamp' cli xreadgroup group team alice count 1 streams kept-stream '>'
echo restart
read -r
# The first command tells it that the connection is gone, the next one connects again.
printf '%s\n' ping 'brpop kept 1' 'xpending kept-stream team' 'xack kept-stream team 1-0' >&"${kept[1]}"
eval "exec ${kept[1]}>&-"
want 'kept a 1 1-0 1-0 alice 1 1' cat <&"${kept[0]}"
report restart-data

eventually heard after 'subscribe after 1*subscribe after 1'
want 1 cli publish after hello
eventually heard after 'message after hello'
report restart-subscription

exit $failed
