package commands

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/pubsub"
	"github.com/cairnmq/cairn/storage"
)

var infoCommands = []Command{
	{
		Name: "info", Arity: -1, Flags: Loading | Stale | Dangerous,
		Group: "server", Since: "1.0.0", Syntax: "[section [section ...]]",
		Tips:       []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
		Summary:    "Returns what the server knows of itself, section by section.",
		Complexity: "O(1)",
		History:    []string{"7.0.0: Added support for taking multiple section arguments."},
		Run:        info,
	},
}

// RedisVersion is the version of Redis whose behaviour clients can expect.
const RedisVersion = "7.2.4"

// Version and Commit are cairn's own, set by main.
var (
	Version = "dev"
	Commit  = ""
)

// report collects the lines of INFO.
type report struct {
	strings.Builder
	c *Ctx
}

func (r *report) put(name string, value any) { fmt.Fprintf(r, "%s:%v\r\n", name, value) }

// bytes puts a number of bytes, plain and as people read it.
func (r *report) bytes(name string, n int64) {
	r.put(name, n)
	r.put(name+"_human", human(n))
}

// human writes a number of bytes as Redis does: 1.37M.
func human(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%dB", n)
	}
	f, units := float64(n)/(1<<10), "KMGTP"
	for f >= 1<<10 && len(units) > 1 {
		f, units = f/(1<<10), units[1:]
	}
	return fmt.Sprintf("%.2f%c", f, units[0])
}

// infoSections are the sections of INFO in their order.
var infoSections = []struct {
	title  string
	always bool // in INFO without arguments
	write  func(*report)
}{
	{"Server", true, infoServer},
	{"Clients", true, infoClients},
	{"Memory", true, infoMemory},
	{"Persistence", true, infoPersistence},
	{"Stats", true, infoStats},
	{"Replication", true, infoReplication},
	{"CPU", true, infoCPU},
	{"Commandstats", false, infoCommandStats},
	{"Errorstats", true, infoErrorStats},
	{"Latencystats", false, infoLatencyStats},
	{"Cluster", true, func(r *report) { r.put("cluster_enabled", 0) }},
	{"Keyspace", true, infoKeyspace},
	{"Schedule", true, infoSchedule},
	{"Queues", true, infoQueues},
	{"Cairn", true, infoCairn},
}

func info(c *Ctx) error {
	wanted := make(map[string]bool)
	for c.Args.More() {
		wanted[strings.ToLower(string(c.Args.Next()))] = true
	}
	usual := len(wanted) == 0 || wanted["default"]
	all := wanted["all"] || wanted["everything"]
	c.Server.Sample(c.Tx.Now())
	r := report{c: c}
	for _, section := range infoSections {
		if !all && !(usual && section.always) && !wanted[strings.ToLower(section.title)] {
			continue
		}
		if r.Len() > 0 {
			r.WriteString("\r\n")
		}
		r.WriteString("# " + section.title + "\r\n")
		section.write(&r)
	}
	c.Out.Verbatim("txt", r.String())
	return nil
}

func infoServer(r *report) {
	srv, now := r.c.Server, r.c.Tx.Now()
	up := seconds(now.Sub(srv.Started))
	r.put("redis_version", RedisVersion)
	r.put("redis_git_sha1", "00000000")
	r.put("redis_git_dirty", 0)
	r.put("redis_mode", "standalone")
	r.put("os", osName()+" "+runtime.GOARCH)
	r.put("arch_bits", 32<<(^uint(0)>>63))
	r.put("go_version", runtime.Version())
	r.put("process_id", os.Getpid())
	r.put("run_id", srv.runID())
	r.put("tcp_port", cmp.Or(srv.Config.Port, srv.Config.TLSPort))
	r.put("server_time_usec", now.UnixMicro())
	r.put("uptime_in_seconds", up)
	r.put("uptime_in_days", up/(24*60*60))
	if path, err := os.Executable(); err == nil {
		r.put("executable", path)
	}
	r.put("config_file", srv.Config.File)
}

// runID is a name for this run of the server.
func (srv *Server) runID() string {
	if srv.run == "" {
		srv.run = fmt.Sprintf("%016x%016x%08x", srv.Rand.Uint64(), srv.Rand.Uint64(), srv.Rand.Uint32())
	}
	return srv.run
}

func infoClients(r *report) {
	var input, output, blocked, listening, watching int
	awaited := make(map[DBKey]bool) // true: also by who wants to know that the key is gone
	list := r.c.Server.sessions()
	for _, s := range list {
		used, free := s.Peer.QueryBuffer()
		input = max(input, used+free)
		output = max(output, s.Out.Len())
		if s.Blocked != nil || s.Paused {
			blocked++
		}
		if s.Blocked != nil {
			for _, key := range s.Blocked.Wait.Keys {
				ref := DBKey{DB: s.Blocked.DB, Key: key}
				awaited[ref] = awaited[ref] || (s.Blocked.Wait.AlsoGone && !s.Blocked.Wait.Room)
			}
		}
		if s.Subs.Len() > 0 {
			listening++
		}
		if len(s.Watching) > 0 {
			watching++
		}
	}
	onNoKey := 0
	for _, alsoGone := range awaited {
		if alsoGone {
			onNoKey++
		}
	}
	r.put("connected_clients", len(list))
	r.put("cluster_connections", 0)
	r.put("maxclients", r.c.Config().MaxClients)
	r.put("client_recent_max_input_buffer", input)
	r.put("client_recent_max_output_buffer", output)
	r.put("blocked_clients", blocked)
	r.put("tracking_clients", r.c.Server.Tracking.Clients())
	r.put("pubsub_clients", listening)
	r.put("watching_clients", watching)
	r.put("total_watched_keys", len(r.c.Server.Watchers))
	r.put("total_blocking_keys", len(awaited))
	r.put("total_blocking_keys_on_nokey", onNoKey)
}

func infoMemory(r *report) {
	m := r.c.Server.measureMemory()
	r.bytes("used_memory", m.used)
	if m.resident > 0 {
		r.bytes("used_memory_rss", m.resident)
		r.bytes("used_memory_rss_peak", m.residentPeak)
	}
	r.bytes("used_memory_peak", m.peak)
	r.put("used_memory_peak_perc", fmt.Sprintf("%.2f%%", m.percentOf(m.peak)))
	if total := systemMemory(); total > 0 {
		r.bytes("total_system_memory", total)
	}
	r.bytes("maxmemory", 0)
	r.put("maxmemory_policy", "noeviction")
	if m.resident > 0 {
		r.put("mem_fragmentation_ratio", fmt.Sprintf("%.2f", m.fragmentation()))
	}
	r.put("mem_clients_normal", m.clients)
	r.put("maxmemory_clients", r.c.Server.ClientBytesMax())
	r.put("mem_allocator", "go")
}

// infoPersistence tells of backups and of the log in the words that Redis has for
// its RDB files and its append-only file.
func infoPersistence(r *report) {
	r.put("loading", 0)
	r.put("async_loading", 0)
	infoBackups(r)
	r.put("aof_enabled", 1)
	r.put("aof_rewrite_in_progress", 0)
	r.put("aof_rewrite_scheduled", 0)
	r.put("aof_last_bgrewrite_status", "ok")
	r.put("aof_last_write_status", "ok")
	log, _ := r.c.Server.Store.LogBytes()
	r.put("aof_current_size", log)
}

func infoStats(r *report) {
	srv := r.c.Server
	n := &srv.Counters
	commands, in, out := srv.rates.perSecond(r.c.Tx.Now(), n)
	errorReplies := int64(0)
	for _, count := range n.ErrorReplies {
		errorReplies += count
	}
	r.put("total_connections_received", n.Connections)
	r.put("total_commands_processed", n.Commands)
	r.put("instantaneous_ops_per_sec", int64(commands))
	r.put("total_net_input_bytes", n.BytesIn)
	r.put("total_net_output_bytes", n.BytesOut)
	r.put("instantaneous_input_kbps", fmt.Sprintf("%.2f", in/1024))
	r.put("instantaneous_output_kbps", fmt.Sprintf("%.2f", out/1024))
	r.put("rejected_connections", n.Rejected)
	r.put("sync_full", 0)
	r.put("sync_partial_ok", 0)
	r.put("sync_partial_err", 0)
	r.put("expired_keys", srv.Store.Expired)
	r.put("evicted_keys", 0)
	r.put("evicted_clients", n.Evicted)
	r.put("keyspace_hits", n.Hits)
	r.put("keyspace_misses", n.Misses)
	r.put("pubsub_channels", srv.Hub.Count(pubsub.Channel))
	r.put("pubsub_patterns", srv.Hub.Count(pubsub.Pattern))
	r.put("pubsubshard_channels", srv.Hub.Count(pubsub.Shard))
	r.put("latest_fork_usec", 0)
	r.put("total_forks", 0)
	trackedKeys, trackedItems := srv.Tracking.Keys()
	r.put("tracking_total_keys", trackedKeys)
	r.put("tracking_total_items", trackedItems)
	r.put("tracking_total_prefixes", srv.Tracking.Prefixes())
	r.put("unexpected_error_replies", n.UnexpectedError)
	r.put("total_error_replies", errorReplies)
	r.put("client_query_buffer_limit_disconnections", n.QueryLimitKills)
	r.put("client_output_buffer_limit_disconnections", n.OutputLimitKills)
	r.put("acl_access_denied_auth", n.Denied[acl.DeniedAuth])
	r.put("acl_access_denied_cmd", n.Denied[acl.DeniedCommand])
	r.put("acl_access_denied_key", n.Denied[acl.DeniedKey])
	r.put("acl_access_denied_channel", n.Denied[acl.DeniedChannel])
}

func infoReplication(r *report) {
	r.put("role", "master")
	r.put("connected_slaves", 0)
	r.put("master_failover_state", "no-failover")
	r.put("master_replid", r.c.Server.runID())
	r.put("master_replid2", strings.Repeat("0", 40))
	r.put("master_repl_offset", 0)
	r.put("second_repl_offset", -1)
	r.put("repl_backlog_active", 0)
	r.put("repl_backlog_size", 0)
	r.put("repl_backlog_first_byte_offset", 0)
	r.put("repl_backlog_histlen", 0)
}

func infoCPU(r *report) {
	if system, user, ok := cpuTimes(); ok {
		r.put("used_cpu_sys", fmt.Sprintf("%.6f", system.Seconds()))
		r.put("used_cpu_user", fmt.Sprintf("%.6f", user.Seconds()))
	}
}

func infoCommandStats(r *report) {
	for _, cmd := range r.c.Server.Table.All() {
		for _, one := range append([]*Command{cmd}, cmd.Subcommands()...) {
			s := &one.Stats
			if s.Calls == 0 && s.Rejected == 0 && s.Failed == 0 {
				continue
			}
			perCall := 0.0
			if s.Calls > 0 {
				perCall = float64(s.Micros) / float64(s.Calls)
			}
			r.put("cmdstat_"+one.FullName(), fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
				s.Calls, s.Micros, perCall, s.Rejected, s.Failed))
		}
	}
}

func infoLatencyStats(r *report) {
	if !r.c.Config().LatencyTracking {
		return
	}
	for _, cmd := range r.c.Server.Table.All() {
		for _, one := range append([]*Command{cmd}, cmd.Subcommands()...) {
			if h := one.Stats.Latency; h != nil {
				r.put("latency_percentiles_usec_"+one.FullName(), percentilesOf(h, r.c.Config().LatencyPercentiles))
			}
		}
	}
}

// percentilesOf writes percentiles in microseconds: p50=1.003,p99.9=20.031.
func percentilesOf(h *Histogram, percentiles []float64) string {
	list := make([]string, len(percentiles))
	for i, p := range percentiles {
		name := strconv.FormatFloat(math.Round(p*1e6)/1e6, 'f', -1, 64)
		list[i] = fmt.Sprintf("p%s=%.3f", name, float64(h.Percentile(p))/float64(time.Microsecond))
	}
	return strings.Join(list, ",")
}

func infoErrorStats(r *report) {
	replies := r.c.Server.Counters.ErrorReplies
	for _, code := range slices.Sorted(maps.Keys(replies)) {
		r.put("errorstat_"+code, fmt.Sprintf("count=%d", replies[code]))
	}
}

func infoKeyspace(r *report) {
	for db := range storage.Databases {
		tx := r.c.Tx.In(db)
		if tx.Keys() > 0 {
			r.put(fmt.Sprintf("db%d", db), fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", tx.Keys(), tx.Expiring()))
		}
	}
}

func infoCairn(r *report) {
	srv := r.c.Server
	m := srv.Store.Metrics()
	r.put("cairn_version", Version)
	if Commit != "" {
		r.put("cairn_commit", Commit)
	}
	r.put("appendfsync", srv.Config.AppendFsync)
	r.put("turns", srv.Counters.Turns)
	r.put("commits", srv.Store.Commits)
	r.put("messages_published", srv.Counters.Published)
	infoBackupDetails(r)

	objects, objectBytes := srv.Store.CachedObjects()
	r.put("object_cache_objects", objects)
	r.put("object_cache_bytes", objectBytes)
	r.put("block_cache_bytes", m.BlockCache.Size)
	r.put("block_cache_hits", m.BlockCache.Hits)
	r.put("block_cache_misses", m.BlockCache.Misses)

	full := 0
	if srv.Full != "" {
		full = 1
	}
	r.put("disk_full", full)
	r.put("disk_refused_commands", srv.Counters.RefusedFull)
	r.bytes("disk_free_bytes", srv.Disk.Free)
	r.bytes("disk_total_bytes", srv.Disk.Total)
	log, written := srv.Store.LogBytes()
	r.bytes("storage_disk_bytes", int64(m.DiskSpaceUsage())+log)
	r.put("storage_log_bytes", log)
	r.put("storage_log_bytes_written", written)
	r.put("storage_memtables", m.MemTable.Count)
	r.put("storage_memtable_bytes", m.MemTable.Size)
	total := m.Total()
	r.put("storage_tables", total.TablesCount)
	r.put("storage_table_bytes", total.TablesSize)
	r.put("storage_l0_sublevels", m.Levels[0].Sublevels)
	r.put("storage_read_amplification", m.ReadAmp())
	r.put("storage_flushes", m.Flush.Count)
	r.put("storage_compactions", m.Compact.Count)
	r.put("storage_compactions_running", m.Compact.NumInProgress)
	r.put("storage_compaction_debt_bytes", m.Compact.EstimatedDebt)
	r.put("storage_tombstones", m.Keys.TombstoneCount)
}

// ---- rates -----------------------------------------------------------------

const (
	rateSampleEvery = 100 * time.Millisecond
	rateWindow      = 1600 * time.Millisecond
	rateSamples     = int(rateWindow / rateSampleEvery)
)

// rates remembers the counters of the last moments.
type rates struct {
	samples [rateSamples]rateSample // a ring
	next    int
}

type rateSample struct {
	at                time.Time
	commands, in, out int64
}

func sampleOf(now time.Time, n *Counters) rateSample {
	return rateSample{now, n.Commands, n.BytesIn, n.BytesOut}
}

// Sample notes the counters for INFO's rates. The broker calls it every turn.
func (srv *Server) Sample(now time.Time) {
	r := &srv.rates
	newest := r.samples[(r.next+rateSamples-1)%rateSamples]
	if now.Sub(newest.at) >= rateSampleEvery {
		r.samples[r.next] = sampleOf(now, &srv.Counters)
		r.next = (r.next + 1) % rateSamples
	}
}

// perSecond compares the counters with the oldest sample of the window; after a
// pause in which nothing happened, with the newest before it.
func (r *rates) perSecond(now time.Time, n *Counters) (commands, in, out float64) {
	var base rateSample
	for i := range rateSamples {
		s := r.samples[(r.next+i)%rateSamples]
		age := now.Sub(s.at)
		if s.at.IsZero() || age < rateSampleEvery {
			continue
		}
		base = s
		if age <= rateWindow {
			break
		}
	}
	if base.at.IsZero() {
		return 0, 0, 0
	}
	passed := now.Sub(base.at).Seconds()
	return float64(n.Commands-base.commands) / passed, float64(n.BytesIn-base.in) / passed, float64(n.BytesOut-base.out) / passed
}
