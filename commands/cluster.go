package commands

import "github.com/cairnmq/cairn/resp"

// What clients ask to find out whether they talk to a cluster, a replica, or
// one server. The answers are those of a Redis that is on its own.

var singleNodeCommands = []Command{
	{
		Name: "asking", Arity: 1, Flags: Fast | Connection,
		Group: "cluster", Since: "3.0.0",
		Summary: notInCluster, Complexity: "O(1)",
		Run: noCluster,
	},
	{
		Name: "readonly", Arity: 1, Flags: Loading | Stale | Fast | Connection,
		Group: "cluster", Since: "3.0.0",
		Summary: notInCluster, Complexity: "O(1)",
		Run: noCluster,
	},
	{
		Name: "readwrite", Arity: 1, Flags: Loading | Stale | Fast | Connection,
		Group: "cluster", Since: "3.0.0",
		Summary: notInCluster, Complexity: "O(1)",
		Run: noCluster,
	},
	{
		Name: "role", Arity: 1, Flags: NoScript | Loading | Stale | Fast | AdminCategory | Dangerous,
		Group: "server", Since: "2.8.12",
		Summary: "Returns the server's part in replication: a master without replicas.", Complexity: "O(1)",
		Run: func(c *Ctx) error {
			c.Out.Array(3)
			c.Out.BulkString("master")
			c.Out.Int(0)
			c.Out.Array(0)
			return nil
		},
	},
	{
		Name: "replicaof", Arity: 3, Flags: Admin | NoScript | Stale | NoAsyncLoading,
		Group: "server", Since: "5.0.0", Syntax: "<host port | NO ONE>",
		Summary: "Does nothing for NO ONE; there is no replication.", Complexity: "O(1)",
		Run: replicaOf,
	},
	{
		Name: "slaveof", Arity: 3, Flags: Admin | NoScript | Stale | NoAsyncLoading,
		Group: "server", Since: "1.0.0", Syntax: "<host port | NO ONE>",
		Summary: "Is the older name of REPLICAOF.", Complexity: "O(1)",
		Run: replicaOf,
	},
	{
		Name: "module", Arity: -2,
		Group: "server", Since: "4.0.0",
		Summary: "Commands about modules.", Complexity: "Depends on the subcommand",
	},
	helpCommand("module", 0, "server", "5.0.0"),
	{
		Parent: "module", Name: "list", Arity: 2, Flags: Admin | NoScript,
		Group: "server", Since: "4.0.0", Tips: []string{"nondeterministic_output_order"},
		Summary: "Returns the modules that are loaded: none, as there are no modules.", Complexity: "O(1)",
		Run: func(c *Ctx) error { c.Out.Array(0); return nil },
	},
	{
		Name: "cluster", Arity: -2,
		Group: "cluster", Since: "3.0.0",
		Summary: "Commands about a cluster.", Complexity: "Depends on the subcommand",
	},
	ofCluster("addslots", -3, clusterChange, "3.0.0", "slot [slot ...]"),
	ofCluster("addslotsrange", -4, clusterChange, "7.0.0", "start-slot end-slot [start-slot end-slot ...]"),
	ofCluster("bumpepoch", 2, clusterChange, "3.0.0", "", varies),
	ofCluster("count-failure-reports", 3, Admin|Stale, "3.0.0", "node-id", varies),
	ofCluster("countkeysinslot", 3, Stale, "3.0.0", "slot"),
	ofCluster("delslots", -3, clusterChange, "3.0.0", "slot [slot ...]"),
	ofCluster("delslotsrange", -4, clusterChange, "7.0.0", "start-slot end-slot [start-slot end-slot ...]"),
	ofCluster("failover", -2, clusterChange, "3.0.0", "[FORCE | TAKEOVER]"),
	ofCluster("flushslots", 2, clusterChange, "3.0.0", ""),
	ofCluster("forget", 3, clusterChange, "3.0.0", "node-id"),
	ofCluster("getkeysinslot", 4, Stale, "3.0.0", "slot count", varies),
	ofCluster("help", 2, Loading|Stale, "5.0.0", ""),
	ofCluster("info", 2, Stale, "3.0.0", "", varies),
	ofCluster("keyslot", 3, Stale, "3.0.0", "name"),
	ofCluster("links", 2, Stale, "7.0.0", "", varies),
	ofCluster("meet", -4, clusterChange, "3.0.0", "ip port [cluster-bus-port]"),
	ofCluster("myid", 2, Stale, "3.0.0", ""),
	ofCluster("nodes", 2, Stale, "3.0.0", "", varies),
	ofCluster("replicas", 3, Admin|Stale, "5.0.0", "node-id", varies),
	ofCluster("replicate", 3, clusterChange, "3.0.0", "node-id"),
	ofCluster("reset", -2, Admin|NoScript|Stale, "3.0.0", "[HARD | SOFT]"),
	ofCluster("saveconfig", 2, clusterChange, "3.0.0", ""),
	ofCluster("set-config-epoch", 3, clusterChange, "3.0.0", "config-epoch"),
	ofCluster("setslot", -4, clusterChange, "3.0.0", "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>"),
	ofCluster("shards", 2, Stale, "7.0.0", "", varies),
	ofCluster("slaves", 3, Admin|Stale, "3.0.0", "node-id", varies),
	ofCluster("slots", 2, Stale, "3.0.0", "", varies),
}

const (
	errNoCluster     resp.Error = "ERR This instance has cluster support disabled"
	errNoReplication resp.Error = "ERR REPLICAOF is not supported: cairn does not replicate"

	notInCluster  = "Answers an error: there is no cluster."
	clusterChange = Admin | Stale | NoAsyncLoading
	varies        = "nondeterministic_output"
)

// ofCluster is a subcommand of CLUSTER.
func ofCluster(name string, arity int, flags Flags, since, syntax string, tips ...string) Command {
	return Command{
		Parent: "cluster", Name: name, Arity: arity, Flags: flags,
		Group: "cluster", Since: since, Syntax: syntax, Tips: tips,
		Summary: notInCluster, Complexity: "O(1)",
		Run: noCluster,
	}
}

func noCluster(*Ctx) error { return errNoCluster }

// replicaOf accepts what makes a replica a master: it is one.
func replicaOf(c *Ctx) error {
	host, port := c.Args.Next(), c.Args.Next()
	if !EqualFold(host, "NO") || !EqualFold(port, "ONE") {
		return errNoReplication
	}
	c.Out.OK()
	return nil
}
