package commands

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cairnmq/cairn/config"
)

func TestInfo(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s, "RPUSH k v -> :1", "RPUSH k2 v -> :1", "EXPIRE k2 100 -> :1", "SELECT 3 -> +OK", "RPUSH k v -> :1")
	text := b.do(s, "INFO everything")
	for _, field := range []string{
		"redis_version:7.2.4", "redis_mode:standalone", "tcp_port:6379", "role:master", "loading:0", "maxmemory_policy:noeviction",
		"connected_clients:1", "blocked_clients:0", "total_commands_processed:0", "total_connections_received:0", "cluster_enabled:0",
		"uptime_in_days:0", "cairn_version:dev", "appendfsync:always",
		"db0:keys=2,expires=1,avg_ttl=0", "db3:keys=1,expires=0,avg_ttl=0",
	} {
		if !strings.Contains(text, " "+field+" ") && !strings.HasSuffix(text, " "+field) {
			t.Errorf("no %s in\n%s", field, text)
		}
	}
	for _, pattern := range []string{
		`used_memory:[1-9]\d* `, `used_memory_human:[\d.]+[KMG] `, `used_memory_peak_human:`, `process_id:\d+ `, `run_id:[0-9a-f]{40} `, `storage_disk_bytes:\d+ `,
	} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("no %s in\n%s", pattern, text)
		}
	}
}

// MEMORY DOCTOR says what to do, and nothing if there is nothing to do.
func TestMemoryDoctor(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		m    memory
		want string
	}{
		{memory{used: 200 * mb, resident: 210 * mb, objects: 1 * mb}, "There is nothing to mend."},
		{memory{used: 20 * mb, resident: 60 * mb, clients: 15 * mb}, "There is nothing to mend."},
		{memory{used: 200 * mb, resident: 210 * mb, objects: 63 * mb}, "raise object-cache-size"},
		{memory{used: 200 * mb, resident: 210 * mb, clients: 80 * mb}, "CLIENT LIST shows whose"},
		{memory{used: 200 * mb, resident: 400 * mb}, "MEMORY PURGE"},
	} {
		text := c.m.diagnosis(config.New())
		if strings.Count(text, "\n") != 2 || !strings.Contains(text, c.want) {
			t.Errorf("%+v: %s", c.m, text)
		}
	}
	b := newBench(t)
	if text := b.do(b.client("10.0.0.1:1"), "MEMORY DOCTOR"); !strings.Contains(text, " in use, data have ") {
		t.Error(text)
	}
}

func TestInfoSections(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.expect(s,
		"INFO nosuch -> $0 ",
		"INFO CLUSTER nosuch -> $30 # Cluster cluster_enabled:0 ",
		"INFO keyspace Cluster -> $44 # Cluster cluster_enabled:0  # Keyspace ",
	)
	usual, all := b.do(s, "INFO"), b.do(s, "INFO all")
	for _, section := range infoSections {
		title := "# " + section.title + " "
		if strings.Contains(usual, title) != section.always && section.title != "Cairn" || !strings.Contains(all, title) {
			t.Errorf("section %s", section.title)
		}
	}
	if b.do(s, "INFO default commandstats") == usual {
		t.Error("commandstats are not added")
	}
}

func TestCommandStats(t *testing.T) {
	b := newBench(t)
	s := b.client("10.0.0.1:1")
	b.server.Table.FindFull("config|get").Stats = Stats{Calls: 4, Micros: 10, Rejected: 1, Failed: 2}
	b.server.Counters.ErrorReplies = map[string]int64{"WRONGTYPE": 3, "ERR": 1}
	b.expect(s,
		"INFO commandstats -> $103 # Commandstats cmdstat_config|get:calls=4,usec=10,usec_per_call=2.50,rejected_calls=1,failed_calls=2 ",
		"INFO errorstats -> $66 # Errorstats errorstat_ERR:count=1 errorstat_WRONGTYPE:count=3 ",
		"CONFIG RESETSTAT -> +OK",
		"INFO commandstats -> $16 # Commandstats ",
		"INFO errorstats -> $14 # Errorstats ",
	)
}

func TestHuman(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.00K", 1437248: "1.37M", 25276502016: "23.54G", 1 << 60: "1024.00P"} {
		if got := human(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestRates(t *testing.T) {
	var srv Server
	now := time.Unix(1000, 0)
	if n, _, _ := srv.rates.perSecond(now, &srv.Counters); n != 0 {
		t.Errorf("%v at the start", n)
	}
	for range 50 { // 5 s of 200 commands a second
		srv.Sample(now)
		now = now.Add(100 * time.Millisecond)
		srv.Counters.Commands += 20
	}
	if n, _, _ := srv.rates.perSecond(now, &srv.Counters); n != 200 {
		t.Errorf("%v under load", n)
	}
	now = now.Add(10 * time.Second)
	if n, _, _ := srv.rates.perSecond(now, &srv.Counters); n > 2 {
		t.Errorf("%v after a pause", n)
	}
}
