package config

import "strings"

// directive is one entry of the table: all that is said about it outside the
// code that it steers.
type directive struct {
	name    string
	group   string
	initial string // the default, as a configuration file would have it
	flags   flags
	help    string
	value   func(*Config) value
}

type flags uint8

const (
	mutable flags = 1 << iota // CONFIG SET may change it
	many                      // takes several words
)

// The groups, in the order in which they are shown.
var groups = []string{network, secure, security, data, limits, logging}

const (
	network  = "Network"
	secure   = "TLS"
	security = "Security"
	data     = "Data"
	limits   = "Limits"
	logging  = "Log"
)

const (
	secondsMax        = 1<<31 - 1
	bytesMax          = 1<<63 - 1
	clientBytesMin    = 1 << 20 // Redis' least bound for what a client may send
	cacheBytesMin     = 1 << 20
	garbageReserveMax = 1 << 30 // more saves nothing
	nameBytesMin      = 64
	nameBytesMax      = 1 << 20 // names beyond it would hold up everybody
	argumentsMin      = 16
	argumentsMax      = 1 << 20 // as in Redis
	clientsMax        = 1<<32 - 1
	fsyncDefault      = FsyncAlways
	loglevelDefault   = LogNotice
)

var table = []directive{
	{
		name: "port", group: network, initial: "6379", flags: mutable,
		help:  "TCP port for clients without TLS; 0 for none.",
		value: func(c *Config) value { return integer[int]{&c.Port, 0, 65535} },
	}, {
		name: "bind", group: network, initial: "127.0.0.1 -::1", flags: mutable | many,
		help:  "Addresses to listen on. * is every IPv4 address, ::* every IPv6 address; - in front tolerates an address that the machine does not have.",
		value: func(c *Config) value { return list{&c.Bind, "address"} },
	}, {
		name: "unixsocket", group: network,
		help:  "Path of a unix socket to listen on as well; empty for none.",
		value: func(c *Config) value { return text{&c.UnixSocket, "path"} },
	}, {
		name: "unixsocketperm", group: network, initial: "0",
		help:  "Permission bits of the unix socket, in octal (700); 0 leaves them to the umask.",
		value: func(c *Config) value { return permission{&c.UnixSocketPerm} },
	}, {
		name: "tcp-backlog", group: network, initial: "511",
		help:  "Connections that may wait to be accepted; the system's own limit (somaxconn) applies as well.",
		value: func(c *Config) value { return integer[int]{&c.TCPBacklog, 0, secondsMax} },
	}, {
		name: "tcp-keepalive", group: network, initial: "300", flags: mutable,
		help:  "Silence after which a connection is probed, so that a dead peer is noticed; 0 never probes. Applies to new connections.",
		value: func(c *Config) value { return seconds{&c.TCPKeepAlive} },
	}, {
		name: "timeout", group: network, initial: "0", flags: mutable,
		help:  "Silence after which a client is closed, unless it waits for a key or is subscribed; 0 never closes.",
		value: func(c *Config) value { return seconds{&c.Timeout} },
	}, {
		name: "maxclients", group: network, initial: "10000", flags: mutable,
		help:  "Connections at the same time; one more is refused with an error. Lowered at start if the system's limit of open files demands it.",
		value: func(c *Config) value { return integer[int]{&c.MaxClients, 1, clientsMax} },
	},

	{
		name: "tls-port", group: secure, initial: "0", flags: mutable,
		help:  "TCP port for clients with TLS, on the addresses of bind; 0 for none. With port 0 there is no other.",
		value: func(c *Config) value { return integer[int]{&c.TLSPort, 0, 65535} },
	}, {
		name: "tls-cert-file", group: secure, flags: mutable,
		help:  "Path of the server's certificate in PEM form, followed by those between it and its authority. Setting it, even to the same path, reads it again for new connections, as with all files here.",
		value: func(c *Config) value { return text{&c.TLSCertFile, "path"} },
	}, {
		name: "tls-key-file", group: secure, flags: mutable,
		help:  "Path of the certificate's private key in PEM form, not encrypted. When both change, set both in one CONFIG SET.",
		value: func(c *Config) value { return text{&c.TLSKeyFile, "path"} },
	}, {
		name: "tls-ca-cert-file", group: secure, flags: mutable,
		help:  "Path of the certificates, in PEM form, of the authorities that clients' certificates must come from.",
		value: func(c *Config) value { return text{&c.TLSCACertFile, "path"} },
	}, {
		name: "tls-ca-cert-dir", group: secure, flags: mutable,
		help:  "Path of a folder of such files, all of which are read.",
		value: func(c *Config) value { return text{&c.TLSCACertDir, "path"} },
	}, {
		name: "tls-auth-clients", group: secure, initial: TLSAuthYes, flags: mutable,
		help: "Whether clients must show a certificate of an authority named above: yes; optional checks those that show one; no asks for none.",
		value: func(c *Config) value {
			return choice{&c.TLSAuthClients, []string{TLSAuthNo, TLSAuthYes, TLSAuthOptional}}
		},
	}, {
		name: "tls-protocols", group: secure, flags: mutable | many,
		help:  "Versions of TLS: TLSv1.2, TLSv1.3 or both; empty for both.",
		value: func(c *Config) value { return protocols{&c.TLSProtocols} },
	}, {
		name: "tls-session-caching", group: secure, initial: "yes", flags: mutable,
		help:  "Let clients resume a session that they had, which spares both sides most of the handshake.",
		value: func(c *Config) value { return boolean{&c.TLSSessionCaching} },
	},

	{
		name: "requirepass", group: security, flags: mutable,
		help:  "Password that clients must give with AUTH or HELLO; empty for none.",
		value: func(c *Config) value { return text{&c.RequirePass, "password"} },
	}, {
		name: "protected-mode", group: security, initial: "yes", flags: mutable,
		help:  "While there is no password, refuse clients that do not come from this machine.",
		value: func(c *Config) value { return boolean{&c.ProtectedMode} },
	}, {
		name: "aclfile", group: security,
		help:  "Path of a file of users, one a line: user name rule ... The same lines may stand in the configuration instead, but not in both. requirepass is ignored then.",
		value: func(c *Config) value { return text{&c.ACLFile, "path"} },
	}, {
		name: "acl-pubsub-default", group: security, initial: ChannelsNone, flags: mutable,
		help: "Channels of new users: all, or none until a rule names some.",
		value: func(c *Config) value {
			return choice{&c.ACLPubSubDefault, []string{ChannelsAll, ChannelsNone}}
		},
	}, {
		name: "acllog-max-len", group: security, initial: "128", flags: mutable,
		help:  "Kinds of refused calls that ACL LOG keeps.",
		value: func(c *Config) value { return integer[int]{&c.ACLLogMaxLen, 0, bytesMax} },
	}, {
		name: "enable-debug-command", group: security, initial: DebugNo,
		help: "Who may use DEBUG, which can make the broker hang: nobody (no), clients on this machine (local), or every client whose rights allow it (yes).",
		value: func(c *Config) value {
			return choice{&c.EnableDebugCommand, []string{DebugNo, DebugYes, DebugLocal}}
		},
	},

	{
		name: "dir", group: data, initial: "./data",
		help:  "The data folder. It is made if need be, and belongs to one cairn at a time.",
		value: func(c *Config) value { return text{&c.Dir, "path"} },
	}, {
		name: "appendfsync", group: data, initial: fsyncDefault, flags: mutable,
		help: "When a write is safe on disk: always before its reply; everysec within a second; no when the system sees fit. It is always safe from the end of the process.",
		value: func(c *Config) value {
			return choice{&c.AppendFsync, []string{FsyncEverySecond, FsyncAlways, FsyncNo}}
		},
	}, {
		name: "appendonly", group: data, initial: "yes", flags: mutable,
		help:  "Always yes: every write goes to the log.",
		value: func(*Config) value { return fixed{"yes", "cairn keeps everything on disk"} },
	}, {
		name: "save", group: data, flags: mutable,
		help:  "Always empty: there are no snapshots to schedule, the data folder is up to date at any time.",
		value: func(*Config) value { return fixed{"", "cairn has no snapshots to schedule"} },
	}, {
		name: "databases", group: data, initial: "16",
		help:  "Always 16.",
		value: func(*Config) value { return fixed{"16", "cairn has 16 databases"} },
	}, {
		name: "maxmemory", group: data, initial: "0", flags: mutable,
		help: "Always 0: data are on disk, memory holds the caches below.",
		value: func(*Config) value {
			return fixed{"0", "data are on disk; see object-cache-size and block-cache-size"}
		},
	}, {
		name: "maxmemory-policy", group: data, initial: "noeviction", flags: mutable,
		help:  "Always noeviction: no message is ever dropped to make room.",
		value: func(*Config) value { return fixed{"noeviction", "cairn never drops a message to make room"} },
	}, {
		name: "object-cache-size", group: data, initial: "64mb",
		help:  "Memory for keys in use: heads of queues, ends of streams, consumer groups.",
		value: func(c *Config) value { return memory{&c.ObjectCacheSize, cacheBytesMin, bytesMax} },
	}, {
		name: "block-cache-size", group: data, initial: "64mb",
		help:  "Memory for blocks read from disk. The storage engine's memtables (32 MB each) are taken out of it while there are any.",
		value: func(c *Config) value { return memory{&c.BlockCacheSize, cacheBytesMin, bytesMax} },
	}, {
		name: "garbage-reserve", group: data, initial: "64mb",
		help:  "Memory that garbage may take beside as much as is in use before it is collected. More takes less processor time. 0 leaves it to Go; so does the environment variable GOGC.",
		value: func(c *Config) value { return memory{&c.GarbageReserve, 0, garbageReserveMax} },
	}, {
		name: "min-free-disk", group: data, initial: "256mb", flags: mutable,
		help:  "Free space on the disk of dir, in bytes, at which commands that add data are refused with an error; those that take data away go on. 0 for none.",
		value: func(c *Config) value { return memory{&c.MinFreeDisk, 0, bytesMax} },
	}, {
		name: "maxdisk", group: data, initial: "0", flags: mutable,
		help:  "Disk space that the data folder may take, in bytes; at more, commands that add data are refused with an error. Space comes back some time after data were taken away. 0 for no limit.",
		value: func(c *Config) value { return memory{&c.MaxDisk, 0, bytesMax} },
	}, {
		name: "backup-dir", group: data, flags: mutable,
		help:  "Folder in which BGSAVE and `cairn backup` make backups; empty for `backups` in the data folder. On the file system of the data folder a backup takes no time, and no space until what it holds is gone from there.",
		value: func(c *Config) value { return text{&c.BackupDir, "path"} },
	}, {
		name: "backup-keep", group: data, initial: "1", flags: mutable,
		help:  "How many backups stay: when one is complete, older ones are removed. 0 keeps all.",
		value: func(c *Config) value { return integer[int]{&c.BackupKeep, 0, bytesMax} },
	}, {
		name: "shutdown-timeout", group: data, initial: "10", flags: mutable,
		help:  "How long clients have to take their last replies when the broker ends.",
		value: func(c *Config) value { return seconds{&c.ShutdownTimeout} },
	},

	{
		name: "proto-max-bulk-len", group: limits, initial: "512mb", flags: mutable,
		help:  "Length of one argument of a command, and so of one message.",
		value: func(c *Config) value { return memory{&c.ProtoMaxBulkLen, clientBytesMin, bytesMax} },
	}, {
		name: "proto-max-multibulk-len", group: limits, initial: "1048576", flags: mutable,
		help:  "Arguments of one command, and commands of one transaction. A higher number than Redis has cannot be set.",
		value: func(c *Config) value { return integer[int]{&c.ProtoMaxMultibulkLen, argumentsMin, argumentsMax} },
	}, {
		name: "proto-max-name-len", group: limits, initial: "64kb", flags: mutable,
		help:  "Length of the name of a key, a channel or a pattern.",
		value: func(c *Config) value { return memory{&c.ProtoMaxNameLen, nameBytesMin, nameBytesMax} },
	}, {
		name: "proto-max-reply-len", group: limits, initial: "1gb", flags: mutable,
		help:  "Length of a reply that has to be in memory as a whole: of a transaction, or of a command that takes things out. What only reads is sent as it is read and has no limit. Never more than maxmemory-clients.",
		value: func(c *Config) value { return memory{&c.ProtoMaxReplyLen, clientBytesMin, bytesMax} },
	}, {
		name: "client-query-buffer-limit", group: limits, initial: "1gb", flags: mutable,
		help:  "What a client may have sent of a command that is not complete, together with the commands that it has queued in a transaction; at more it is closed.",
		value: func(c *Config) value { return memory{&c.ClientQueryBufferLimit, clientBytesMin, bytesMax} },
	}, {
		name: "client-output-buffer-limit", group: limits, flags: mutable | many,
		initial: "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
		help:    "Replies and messages that a client has not taken: class, bytes at which it is closed at once, bytes at which it is closed after so many seconds. Classes that are not named keep their limits.",
		value:   func(c *Config) value { return outputLimits{&c.OutputLimits} },
	}, {
		name: "maxmemory-clients", group: limits, initial: "25%", flags: mutable,
		help:  "Memory for all clients together: what they have sent and not yet taken, what they queue, wait for, watch and listen to. At more, those that use most are closed. In percent of the machine's memory, or of the control group's; 0 for no limit.",
		value: func(c *Config) value { return share{&c.MaxMemoryClients} },
	}, {
		name: "maxclients-blocked", group: limits, initial: "0", flags: mutable,
		help:  "Clients that may wait for keys at the same time; one more gets an error instead. 0 for as many as there are clients.",
		value: func(c *Config) value { return integer[int]{&c.MaxClientsBlocked, 0, clientsMax} },
	}, {
		name: "client-blocked-keys-limit", group: limits, initial: "10000", flags: mutable,
		help:  "Keys that one client may wait for; 0 for no limit.",
		value: func(c *Config) value { return integer[int]{&c.BlockedKeysLimit, 0, secondsMax} },
	}, {
		name: "client-subscriptions-limit", group: limits, initial: "1000000", flags: mutable,
		help:  "Channels and patterns that one client may listen to; 0 for no limit.",
		value: func(c *Config) value { return integer[int]{&c.SubscriptionsLimit, 0, secondsMax} },
	}, {
		name: "pubsub-patterns-limit", group: limits, initial: "10000", flags: mutable,
		help:  "Patterns that all clients together may listen to: every message is compared with each of them. 0 for no limit.",
		value: func(c *Config) value { return integer[int]{&c.PatternsLimit, 0, secondsMax} },
	}, {
		name: "tracking-table-max-keys", group: limits, initial: "1000000", flags: mutable,
		help:  "Keys of which it is remembered who has read them (CLIENT TRACKING); of one more a key is forgotten, and its readers are told that it is invalid. One with a long name or many readers counts as several. 0 for no limit.",
		value: func(c *Config) value { return integer[int64]{&c.TrackingTableMaxKeys, 0, bytesMax} },
	}, {
		name: "stream-node-max-entries", group: limits, initial: "100", flags: mutable,
		help:  "Entries of a stream that count as one node: trimming with ~ removes whole nodes only, and at most 100 times as many entries at once unless LIMIT says otherwise. 0 for no limit.",
		value: func(c *Config) value { return integer[int64]{&c.StreamNodeMaxEntries, 0, bytesMax} },
	}, {
		name: "stream-node-max-bytes", group: limits, initial: "4kb", flags: mutable,
		help:  "Size at which such a node ends, however few entries it has; 0 for no limit.",
		value: func(c *Config) value { return memory{&c.StreamNodeMaxBytes, 0, bytesMax} },
	}, {
		name: "stream-idmp-duration", group: limits, initial: "100", flags: mutable,
		help:  "Seconds for which a new stream remembers the messages of XADD IDMP and IDMPAUTO, so as not to add them again; XCFGSET changes it for a stream.",
		value: func(c *Config) value { return integer[int]{&c.StreamIdmpDuration, 1, 86400} },
	}, {
		name: "stream-idmp-maxsize", group: limits, initial: "100", flags: mutable,
		help:  "How many of those messages a new stream remembers of each producer; XCFGSET changes it for a stream.",
		value: func(c *Config) value { return integer[int]{&c.StreamIdmpMaxSize, 1, 10000} },
	},

	{
		name: "loglevel", group: logging, initial: loglevelDefault, flags: mutable,
		help: "What is logged: debug, verbose, notice, warning, or nothing at all.",
		value: func(c *Config) value {
			return choice{&c.LogLevel, []string{LogDebug, LogVerbose, LogNotice, LogWarning, LogNothing}}
		},
	}, {
		name: "logfile", group: logging,
		help:  "Path of the log; empty for standard output.",
		value: func(c *Config) value { return text{&c.LogFile, "path"} },
	}, {
		name: "slowlog-log-slower-than", group: logging, initial: "10000", flags: mutable,
		help:  "Microseconds from which a command is kept in SLOWLOG; 0 keeps all, -1 none.",
		value: func(c *Config) value { return integer[int64]{&c.SlowlogLogSlowerThan, -1, bytesMax} },
	}, {
		name: "notify-keyspace-events", group: data, flags: mutable,
		help:  "Classes of keyspace events to publish, a letter for each: K and E for the channels, g l t x m n for the events, A for all but m and n; empty for none.",
		value: func(c *Config) value { return events{&c.NotifyKeyspaceEvents} },
	}, {
		name: "slowlog-max-len", group: logging, initial: "128", flags: mutable,
		help:  "Commands that SLOWLOG keeps.",
		value: func(c *Config) value { return integer[int]{&c.SlowlogMaxLen, 0, bytesMax} },
	}, {
		name: "latency-monitor-threshold", group: logging, initial: "0", flags: mutable,
		help:  "Milliseconds from which LATENCY notes what took long: a command, a sync, a sweep; 0 notes nothing.",
		value: func(c *Config) value { return integer[int64]{&c.LatencyMonitorThreshold, 0, bytesMax} },
	}, {
		name: "latency-tracking", group: logging, initial: "yes", flags: mutable,
		help:  "Count how long the calls of each command take, for LATENCY HISTOGRAM and INFO latencystats.",
		value: func(c *Config) value { return boolean{&c.LatencyTracking} },
	}, {
		name: "latency-tracking-info-percentiles", group: logging, initial: "50 99 99.9", flags: mutable | many,
		help:  "Percentiles that INFO latencystats shows.",
		value: func(c *Config) value { return percentiles{&c.LatencyPercentiles} },
	},
}

// find returns the directive of a name in any case, or nil.
func find(name string) *directive {
	for i := range table {
		if strings.EqualFold(table[i].name, name) {
			return &table[i]
		}
	}
	return nil
}

// words splits a value given as one text the way that CONFIG SET does.
func (d *directive) words(text string) []string {
	switch {
	case d.flags&many == 0:
		return []string{text}
	case text == "":
		return nil
	}
	return strings.Split(text, " ")
}
