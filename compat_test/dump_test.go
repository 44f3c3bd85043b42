package compat_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// What one server dumps the other restores, and dumps again byte by byte the same. The real Redis does not compress
// here, so that there is only one way to write a value.
func TestDumpBothWays(t *testing.T) {
	from := connect(t, startRedis(t, t.TempDir(), "--rdbcompression", "no"), 2)
	to := connect(t, startCairn(t, t.TempDir()), 2)
	to.ConfigSet(t.Context(), "rdbcompression", "no") // a Redis that stands in for cairn would compress
	for _, c := range []struct {
		name string
		fill func(*testing.T, *redis.Client)
	}{
		{"short list", func(t *testing.T, r *redis.Client) {
			do(t, r, "RPUSH", "k", "a", "", "0", "-1", "127", "128", "4095", "-4096", "-4097", "32768", "8388608", "2147483648", "007", "9223372036854775807")
		}},
		{"long list", func(t *testing.T, r *redis.Client) { pushMany(t, r, "k", 5000) }},
		{"large elements", func(t *testing.T, r *redis.Client) {
			for _, n := range []int{1, 63, 64, 4095, 4096, 8183, 8184, 8185, 100_000, 3_000_000} {
				do(t, r, "RPUSH", "k", strings.Repeat("x", n), "y")
			}
		}},
		{"stream", func(t *testing.T, r *redis.Client) {
			do(t, r, "XADD", "k", "1-1", "f", "v", "g", "70000")
			do(t, r, "XADD", "k", "1-2", "f", "-1", "g", "")
			do(t, r, "XADD", "k", "18446744073709551615-5", "other", strings.Repeat("x", 5000))
		}},
		{"empty stream", func(t *testing.T, r *redis.Client) {
			do(t, r, "XGROUP", "CREATE", "k", "g", "$", "MKSTREAM")
			do(t, r, "XSETID", "k", "7-7", "ENTRIESADDED", "9", "MAXDELETEDID", "6-6")
		}},
		{"long stream", func(t *testing.T, r *redis.Client) { addMany(t, r, "k", 3000) }},
		{"groups", fillGroups},
		{"deleted pending entries", func(t *testing.T, r *redis.Client) {
			fillGroups(t, r)
			do(t, r, "XTRIM", "k", "MAXLEN", "0")
		}},
		{"many pending entries", func(t *testing.T, r *redis.Client) {
			addMany(t, r, "k", 3000)
			do(t, r, "XGROUP", "CREATE", "k", "g", "0")
			for i := range 30 {
				do(t, r, "XREADGROUP", "GROUP", "g", fmt.Sprint("c", i%7), "COUNT", 100, "STREAMS", "k", ">")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			do(t, from, "FLUSHALL")
			do(t, to, "FLUSHALL")
			c.fill(t, from)
			first := dumpOf(t, from, "k")
			restoreAs(t, to, "k", first)
			sameKey(t, from, to, "k")
			second := dumpOf(t, to, "k")
			if second != first {
				t.Errorf("cairn dumps %s,\nRedis %s", shorten(fmt.Sprintf("%q", second)), shorten(fmt.Sprintf("%q", first)))
			}
			restoreAs(t, from, "back", second)
			restoreAs(t, from, "k", second)
			sameKey(t, from, to, "k")

			// And what was first made there.
			do(t, from, "FLUSHALL")
			do(t, to, "FLUSHALL")
			c.fill(t, to)
			restoreAs(t, from, "k", dumpOf(t, to, "k"))
			sameKey(t, to, from, "k")
			if a, b := dumpOf(t, from, "k"), dumpOf(t, to, "k"); a != b {
				t.Errorf("Redis dumps %s,\ncairn %s", shorten(fmt.Sprintf("%q", a)), shorten(fmt.Sprintf("%q", b)))
			}
			useOn(t, from, to)
		})
	}
}

// As Redis comes: compressed, with deleted entries left inside, and lists that were changed in the middle.
func TestDumpCompressed(t *testing.T) {
	from := connect(t, startRedis(t, t.TempDir(), "--list-compress-depth", "1"), 2)
	to := connect(t, startCairn(t, t.TempDir()), 2)
	pushMany(t, from, "list", 4000)
	do(t, from, "RPUSH", "list", strings.Repeat("z", 100_000))
	do(t, from, "LINSERT", "list", "BEFORE", "element 1000", "between")
	do(t, from, "LREM", "list", 0, "element 17")
	addMany(t, from, "stream", 1000)
	do(t, from, "XGROUP", "CREATE", "stream", "g", "0")
	do(t, from, "XREADGROUP", "GROUP", "g", "c", "COUNT", 500, "STREAMS", "stream", ">")
	for i := range 300 {
		do(t, from, "XDEL", "stream", fmt.Sprintf("%d-1", 1+i*3))
	}
	for _, key := range []string{"list", "stream"} {
		payload := dumpOf(t, from, key)
		restoreAs(t, to, key, payload)
		sameKey(t, from, to, key)
		restoreAs(t, from, key+"2", dumpOf(t, to, key))
		restoreAs(t, to, key+"2", payload)
		sameKey(t, from, to, key+"2")
		do(t, to, "DEL", key)
	}
}

// The forms in which older Redis wrote, and what is none of cairn's.
func TestRestoreForms(t *testing.T) {
	redis7 := connect(t, startRedis(t, t.TempDir()), 2)
	cairn := connect(t, startCairn(t, t.TempDir()), 2)
	ziplist := "\x16\x00\x00\x00\x0f\x00\x00\x00\x04\x00" + "\x00\x01a" + "\x03\xf6" + "\x02\xfe\xff" + "\x03\xc0\x00\x80" + "\xff"
	ziplist = string(rune(len(ziplist))) + ziplist[1:]
	ziplist = ziplist[:4] + string(rune(len(ziplist)-5)) + ziplist[5:]
	sized := string(rune(len(ziplist))) + ziplist
	id11 := "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"
	listpack := "\x1d\x00\x00\x00\x0a\x00\x01\x01\x00\x01\x01\x01\x81f\x02\x00\x01\x02\x01\x00\x01\x00\x01\x81v\x02\x04\x01\xff"
	for name, body := range map[string]string{
		"list":               "\x01\x03\x01a\xc0\xff\xc3\x07\x09\x01ab\x80\x01\x00c",
		"list of a ziplist":  "\x0a" + sized,
		"quicklist":          "\x0e\x02" + sized + sized,
		"quicklist 2":        "\x12\x02\x01\x02zz\x02\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff",
		"stream of Redis 5":  "\x0f\x01\x10" + id11 + "\x1d" + listpack + "\x01\x05\x00" + "\x02\x01g\x01\x01\x00\x00" + "\x01h\x05\x00\x00\x00",
		"a group cut off":    "\x0f\x01\x10" + id11 + "\x1d" + listpack + "\x01\x05\x00" + "\x02\x01g\x01\x01\x00\x00",
		"empty stream":       "\x13\x00\x00\x02\x01\x00\x00\x00\x00\x05\x00",
		"no elements":        "\x01\x00",
		"cut":                "\x01\x02\x01a",
		"unknown type":       "\x08",
		"nothing":            "",
		"a length without":   "\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff",
		"bad LZF":            "\x01\x01\xc3\x02\x0a\xe0\xff",
		"stream without end": "\x13\x01",
	} {
		payload := sealed(body, 10)
		theirs := redis7.Do(t.Context(), "RESTORE", "k", 0, payload, "REPLACE").Err()
		ours := cairn.Do(t.Context(), "RESTORE", "k", 0, payload, "REPLACE").Err()
		if fmt.Sprint(theirs) != fmt.Sprint(ours) {
			t.Errorf("%s: %v, Redis says %v", name, ours, theirs)
		} else if ours == nil {
			sameKey(t, redis7, cairn, "k")
		}
	}
	for body, reply := range map[string]string{
		sealed("\x00\x01v", 10):            "ERR RESTORE of this type is not supported: string",
		sealed("\x14\x00", 11):             "ERR RESTORE of this type is not supported: set",
		sealed("\x01\x01\x01a", 99):        "ERR DUMP payload version or checksum are wrong",
		sealed("\x01\x01\x01a", 10)[:11]:   "ERR DUMP payload version or checksum are wrong",
		sealed("\x12\x01\x01\x01v\x00", 9): "ERR Bad data format",
	} {
		wantErr(t, cairn.Do(t.Context(), "RESTORE", "k", 0, body, "REPLACE"), reply)
	}

	// Redis 7.2 tells when a consumer was last active.
	do(t, cairn, "DEL", "k")
	seen, active := time.Now().UnixMilli()-5000, time.Now().UnixMilli()-60_000
	body := "\x15\x00\x00\x02\x01\x00\x00\x00\x00\x05\x01\x01g\x02\x01\x00\x00\x01\x01c"
	body = string(binary.LittleEndian.AppendUint64([]byte(body), uint64(seen)))
	body = string(binary.LittleEndian.AppendUint64([]byte(body), uint64(active))) + "\x00"
	do(t, cairn, "RESTORE", "k", 0, sealed(body, 11))
	c := value(t, cairn.XInfoConsumers(t.Context(), "k", "g"))[0]
	if c.Idle < 5*time.Second || c.Idle > 20*time.Second || c.Inactive < time.Minute || c.Inactive > 75*time.Second {
		t.Errorf("%+v", c)
	}
}

// A large dump streams from a snapshot while others go on.
func TestDumpLarge(t *testing.T) {
	server := startCairn(t, t.TempDir())
	r := connect(t, server, 2)
	pushMany(t, r, "k", 200_000)
	payload := dumpOf(t, r, "k")
	restoreAs(t, r, "copy", payload)
	want(t, r.LLen(t.Context(), "copy"), 200_000)
	want(t, r.LIndex(t.Context(), "copy", 199_999), "element 199999")
	if dumpOf(t, r, "copy") != payload {
		t.Error("the copy is not the same")
	}
	pipe := r.TxPipeline() // inside EXEC nothing leaves the loop
	inExec := pipe.Dump(t.Context(), "k")
	if _, err := pipe.Exec(t.Context()); err != nil || inExec.Val() != payload {
		t.Errorf("in EXEC: %v, %d bytes", err, len(inExec.Val()))
	}
}

// Payloads that are not what a server has written must do no harm.
func TestRestoreGarbage(t *testing.T) {
	r := connect(t, startCairn(t, t.TempDir()), 2)
	r.ConfigSet(t.Context(), "sanitize-dump-payload", "yes") // a Redis that stands in for cairn would die of it
	fillGroups(t, r)
	do(t, r, "RPUSH", "l", "a", "1", strings.Repeat("x", 100))
	random := rand.New(rand.NewPCG(1, 2))
	for _, key := range []string{"k", "l"} {
		payload := dumpOf(t, r, key)
		body := []byte(payload[:len(payload)-10])
		restored := 0
		for range 3000 {
			spoiled := slices.Clone(body)
			for range 1 + random.IntN(3) {
				spoiled[random.IntN(len(spoiled))] = byte(random.Uint32())
			}
			if r.Do(t.Context(), "RESTORE", "g", 0, sealed(string(spoiled), 10), "REPLACE").Err() == nil {
				restored++
				dumpOf(t, r, "g")
			}
		}
		t.Logf("%s: %d of 3000 were sound", key, restored)
	}
	want(t, r.Ping(t.Context()), "PONG")
}

// ---- helpers ---------------------------------------------------------------------------------------------------------

func do(t testing.TB, r *redis.Client, args ...any) {
	t.Helper()
	if err := r.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args[0], err)
	}
}

func dumpOf(t testing.TB, r *redis.Client, key string) string {
	t.Helper()
	return value(t, r.Dump(t.Context(), key))
}

func restoreAs(t testing.TB, r *redis.Client, key, payload string) {
	t.Helper()
	want(t, r.RestoreReplace(t.Context(), key, 0, payload), "OK")
}

// sealed adds version and checksum.
func sealed(body string, version uint16) string {
	p := binary.LittleEndian.AppendUint16([]byte(body), version)
	sum := ^crc64.Update(^uint64(0), crc64.MakeTable(0x95ac9329ac4bc9b5), p)
	return string(binary.LittleEndian.AppendUint64(p, sum))
}

func pushMany(t testing.TB, r *redis.Client, key string, n int) {
	pipe := r.Pipeline()
	for i := range n {
		pipe.RPush(t.Context(), key, fmt.Sprint("element ", i))
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func addMany(t testing.TB, r *redis.Client, key string, n int) {
	pipe := r.Pipeline()
	for i := range n {
		pipe.Do(t.Context(), "XADD", key, fmt.Sprintf("%d-%d", 1+i, 1), "n", i, "text", fmt.Sprint("message ", i), "same", "same")
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func fillGroups(t *testing.T, r *redis.Client) {
	addMany(t, r, "k", 20)
	do(t, r, "XGROUP", "CREATE", "k", "empty", "5-1")
	do(t, r, "XGROUP", "CREATE", "k", "123", "0", "ENTRIESREAD", 0)
	do(t, r, "XGROUP", "CREATECONSUMER", "k", "123", "idle")
	do(t, r, "XREADGROUP", "GROUP", "123", "a", "COUNT", 5, "STREAMS", "k", ">")
	do(t, r, "XREADGROUP", "GROUP", "123", "b", "COUNT", 7, "STREAMS", "k", ">")
	do(t, r, "XACK", "k", "123", "2-1", "7-1")
	do(t, r, "XCLAIM", "k", "123", "a", 0, "8-1", "RETRYCOUNT", 300)
}

// sameKey compares what the servers tell of a key.
func sameKey(t *testing.T, a, b *redis.Client, key string) {
	t.Helper()
	commands := [][]any{{"TYPE", key}}
	if value(t, a.Type(t.Context(), key)) == "list" {
		commands = append(commands, []any{"LRANGE", key, 0, -1})
	} else {
		commands = append(commands, []any{"XLEN", key}, []any{"XRANGE", key, "-", "+"}, []any{"XREVRANGE", key, "+", "-", "COUNT", 3})
		for _, g := range value(t, a.XInfoGroups(t.Context(), key)) {
			commands = append(commands, []any{"XPENDING", key, g.Name})
		}
	}
	for _, c := range commands {
		x, errX := a.Do(t.Context(), c...).Result()
		y, errY := b.Do(t.Context(), c...).Result()
		if errX != nil || errY != nil || fmt.Sprint(x) != fmt.Sprint(y) {
			t.Errorf("%v: %s (%v) and %s (%v)", c, shorten(fmt.Sprint(x)), errX, shorten(fmt.Sprint(y)), errY)
		}
	}
	if value(t, a.Type(t.Context(), key)) == "stream" {
		x, y := streamFacts(t, a, key), streamFacts(t, b, key)
		if x != y {
			t.Errorf("%s:\n%s\n%s", key, x, y)
		}
	}
}

// streamFacts are what XINFO tells, as far as it does not depend on the time or on how a server keeps streams.
func streamFacts(t *testing.T, r *redis.Client, key string) string {
	t.Helper()
	i := value(t, r.XInfoStream(t.Context(), key))
	var b strings.Builder
	fmt.Fprintln(&b, i.Length, i.LastGeneratedID, i.MaxDeletedEntryID, i.EntriesAdded, i.RecordedFirstEntryID, i.FirstEntry, i.LastEntry)
	for _, g := range value(t, r.XInfoGroups(t.Context(), key)) {
		g.EntriesRead, g.Lag = 0, 0 // 7.0 has them wrong once entries have gone (8.2)
		fmt.Fprintf(&b, "%+v\n", g)
		for _, c := range value(t, r.XInfoConsumers(t.Context(), key, g.Name)) {
			fmt.Fprintln(&b, c.Name, c.Pending)
		}
		for _, p := range value(t, r.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: key, Group: g.Name, Start: "-", End: "+", Count: 100_000})) {
			fmt.Fprintln(&b, p.ID, p.Consumer, p.RetryCount)
		}
	}
	return b.String()
}

// useOn does the same to the key on both: what was restored is as good as new.
func useOn(t *testing.T, a, b *redis.Client) {
	t.Helper()
	ctx := context.Background()
	isList := value(t, a.Type(ctx, "k")) == "list"
	for _, r := range []*redis.Client{a, b} {
		if isList {
			do(t, r, "RPUSH", "k", "new")
			do(t, r, "LPOP", "k")
			do(t, r, "LINSERT", "k", "BEFORE", "new", "newer")
			continue
		}
		r.XAdd(ctx, &redis.XAddArgs{Stream: "k", ID: "18446744073709551615-10", Values: []string{"n", "v"}})
		for _, g := range value(t, r.XInfoGroups(ctx, "k")) {
			r.Do(ctx, "XREADGROUP", "GROUP", g.Name, "late", "COUNT", 2, "STREAMS", "k", ">")
			r.Do(ctx, "XAUTOCLAIM", "k", g.Name, "late", 0, "-", "COUNT", 3)
			r.Do(ctx, "XACK", "k", g.Name, "9-1", "10-1")
			r.Do(ctx, "XGROUP", "DELCONSUMER", "k", g.Name, "b")
		}
		do(t, r, "XTRIM", "k", "MAXLEN", "~", 50)
		do(t, r, "XDEL", "k", "2950-1")
	}
	sameKey(t, a, b, "k")
}
