package commands

import (
	"fmt"
	"runtime/metrics"
	"strings"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// memoryCommands is part of adminCommands.
var memoryCommands = []Command{
	{
		Name: "memory", Arity: -2,
		Group: "server", Since: "4.0.0",
		Summary: "Commands about memory.", Complexity: "Depends on the subcommand",
	},
	{
		Parent: "memory", Name: "doctor", Arity: 2,
		Group: "server", Since: "4.0.0",
		Tips:    []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
		Summary: "Returns a report on memory, for people.", Complexity: "O(N) where N is the number of connections",
		Run: memoryDoctor,
	},
	helpCommand("memory", 0, "server", "4.0.0"),
	{
		Parent: "memory", Name: "malloc-stats", Arity: 2,
		Group: "server", Since: "4.0.0",
		Tips:    []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
		Summary: "Returns what the runtime knows of its memory, a name and a number a line.", Complexity: "O(1)",
		Run: memoryMallocStats,
	},
	{
		Parent: "memory", Name: "purge", Arity: 2,
		Group: "server", Since: "4.0.0",
		Tips:    []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Summary: "Begins to give memory that is free back to the system.", Complexity: "O(1); the work is done beside other work",
		Run: func(c *Ctx) error {
			c.Server.PurgeMemory()
			c.Out.OK()
			return nil
		},
	},
	{
		Parent: "memory", Name: "stats", Arity: 2,
		Group: "server", Since: "4.0.0",
		Tips:    []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
		Summary: "Returns what memory is used for, in bytes.", Complexity: "O(N) where N is the number of connections",
		Run: memoryStats,
	},
	{
		Parent: "memory", Name: "usage", Arity: -3, Flags: ReadOnly | Touches, Keys: Keys{2, 2, 1},
		Group: "server", Since: "4.0.0", Syntax: "key [SAMPLES count]", Access: []string{"RO"},
		Summary:    "Returns how many bytes a key and what it holds take, wherever they are.",
		Complexity: "O(1)",
		Run:        memoryUsage,
	},
}

// memory is what the process has in memory, in bytes.
type memory struct {
	used, peak             int64 // peak as far as anybody has looked
	resident, residentPeak int64 // 0: the system does not tell

	objects, blocks, memtables int64 // of used: what holds data
	clients                    int64
}

func (srv *Server) measureMemory() (m memory) {
	m.used = usedMemory(srv)
	srv.memoryPeak = max(srv.memoryPeak, m.used)
	m.peak = srv.memoryPeak
	m.resident, m.residentPeak = residentMemory()
	_, objects := srv.Store.CachedObjects()
	engine := srv.Store.Metrics()
	m.objects, m.blocks, m.memtables = int64(objects), engine.BlockCache.Size, int64(engine.MemTable.Size)
	m.clients = srv.ClientMemory.Total + srv.ClientMemory.Shared
	return m
}

func (m *memory) data() int64               { return m.objects + m.blocks + m.memtables }
func (m *memory) fragmentation() float64    { return float64(m.resident) / float64(m.used) }
func (m *memory) percentOf(n int64) float64 { return 100 * float64(m.used) / float64(n) }

// reserved is memory that nobody writes to, so that the system need not have it.
var reserved []byte

// ReserveGarbage has the garbage collector let so many bytes of garbage come
// together beside as much as there is memory in use, which is what it does anyway.
// A broker whose backlog is on disk has little in use, and messages pass through at
// hundreds of megabytes a second: it would collect dozens of times a second, a
// quarter of all its work.
//
// For the collector the reserve is memory in use: so it need not be told anew after
// each collection what the percentage is that comes to so many bytes, which is too late
// when memory in use grows fast. It is to be called once, at the start.
func ReserveGarbage(bytes int64) { reserved = make([]byte, bytes) }

// usedMemory is what the process has in use: Go's memory that is neither free
// nor given back, and the storage engine's caches where they lie outside it.
func usedMemory(srv *Server) int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	used := samples[0].Value.Uint64() - samples[1].Value.Uint64() - samples[2].Value.Uint64() - uint64(len(reserved))
	if engineOutsideGo {
		m := srv.Store.Metrics()
		used += m.MemTable.Size + m.MemTable.ZombieSize + uint64(m.BlockCache.Size)
	}
	return int64(used)
}

// memoryStats has the names of Redis where they mean something here, and three
// of its own.
func memoryStats(c *Ctx) error {
	m := c.Server.measureMemory()
	keys := int64(0)
	for db := range storage.Databases {
		keys += c.Tx.In(db).Keys()
	}
	later, n := c.Out.MapLater(), 0
	put := func(name string, bytes int64) {
		c.Out.BulkString(name)
		c.Out.Int(bytes)
		n++
	}
	ratio := func(name string, f float64) {
		c.Out.BulkString(name)
		c.Out.Double(f)
		n++
	}
	put("peak.allocated", m.peak)
	put("total.allocated", m.used)
	put("replication.backlog", 0)
	put("clients.slaves", 0)
	put("clients.normal", m.clients)
	put("cluster.links", 0)
	put("keys.count", keys)
	put("dataset.bytes", m.data())
	ratio("dataset.percentage", 100*float64(m.data())/float64(m.used))
	put("object.cache", m.objects)
	put("block.cache", m.blocks)
	put("memtables", m.memtables)
	ratio("peak.percentage", m.percentOf(m.peak))
	if m.resident > 0 {
		put("allocator.resident", m.resident)
		ratio("fragmentation", m.fragmentation())
		put("fragmentation.bytes", m.resident-m.used)
	}
	c.Out.SetLen(later, n)
	return nil
}

// Bounds from which MEMORY DOCTOR says something.
const (
	cacheFull      = 0.9 // of its size
	clientsMuch    = 0.25
	fragmentedFrom = 1.5
	smallBytes     = 64 << 20 // below, ratios mean nothing
)

// memoryDoctor says where the memory is, and what to do if that is too much.
func memoryDoctor(c *Ctx) error {
	m := c.Server.measureMemory()
	c.Out.Verbatim("txt", m.diagnosis(c.Config()))
	return nil
}

func (m *memory) diagnosis(config *config.Config) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Of %s in use, data have %s: %s of %s in the object cache, %s of %s in the block cache, %s in memtables. Clients have %s.\n",
		human(m.used), human(m.data()), human(m.objects), human(config.ObjectCacheSize), human(m.blocks), human(config.BlockCacheSize),
		human(m.memtables), human(m.clients))
	said := text.Len()
	if float64(m.objects) >= cacheFull*float64(config.ObjectCacheSize) {
		text.WriteString("The object cache is full: keys in use are read from disk again and again. If there is memory to spare, raise object-cache-size.\n")
	}
	if m.clients > smallBytes && float64(m.clients) > clientsMuch*float64(m.used) {
		text.WriteString("Clients have much that is not theirs yet: CLIENT LIST shows whose qbuf, multi-mem or omem is large, client-output-buffer-limit bounds the last, maxmemory-clients all of it.\n")
	}
	if m.resident > smallBytes && m.fragmentation() > fragmentedFrom {
		fmt.Fprintf(&text, "The process has %s: what is not in use goes back to the system by and by, or at once with MEMORY PURGE.\n", human(m.resident))
	}
	if text.Len() == said {
		text.WriteString("There is nothing to mend.\n")
	}
	return text.String()
}

func memoryMallocStats(c *Ctx) error {
	var samples []metrics.Sample
	for _, d := range metrics.All() {
		if strings.HasPrefix(d.Name, "/memory/") || strings.HasPrefix(d.Name, "/gc/heap/") {
			samples = append(samples, metrics.Sample{Name: d.Name})
		}
	}
	metrics.Read(samples)
	var text strings.Builder
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			fmt.Fprintf(&text, "%s %d\n", s.Name, s.Value.Uint64())
		}
	}
	c.Out.Verbatim("txt", text.String())
	return nil
}

// recordOverhead is about what an element takes beside its own bytes: its key
// and the storage engine's bookkeeping, before compression.
const recordOverhead = 32

// memoryUsage counts what a key's elements take, no matter whether they are in
// memory, on disk, or both. The sizes are known: no samples have to be taken.
func memoryUsage(c *Ctx) error {
	key := c.Args.Next()
	for c.Args.More() {
		if !c.Args.Word("SAMPLES") {
			return ErrSyntax
		}
		if samples := c.Args.Int(); c.Args.Err() == nil && samples < 0 {
			return ErrSyntax
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	o := c.Tx.Peek(key)
	if o == nil {
		c.Out.Null()
		return nil
	}
	bytes := int64(len(key)) + recordOverhead
	switch o.Type() {
	case storage.TypeList:
		l := lists.Of(c.Tx, o)
		bytes += l.Bytes() + l.Len()*recordOverhead
	case storage.TypeStream:
		s, err := streams.Open(c.Tx, key)
		if err != nil {
			return err
		}
		bytes += int64(s.Bytes() + s.Len()*recordOverhead)
	}
	c.Out.Int(bytes)
	return nil
}
