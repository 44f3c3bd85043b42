package server

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/storage"
)

// Policies of the configuration hold, before stored ones of their name, and no
// command changes them.
func TestPoliciesOfTheConfiguration(t *testing.T) {
	fs := vfs.NewMem()
	i := start(t, setup{fs: fs})
	c := i.dial(t)
	c.do("POLICY SET a PATTERN x TTL 1", "+OK")
	c.do("POLICY SET b PATTERN x LEASE 1", "+OK")
	i.Stop("again")
	i.wait(t)

	i = start(t, setup{fs: fs, options: []string{"--policy", "a pattern x ttl 7"}})
	c = i.dial(t)
	c.do("POLICY MATCH x", `[LEASE [1 b] TTL [7 a]]`)
	c.do("POLICY SET a PATTERN x TTL 2", "-ERR policy 'a' stands in the configuration file: change it there")
	c.do("POLICY DEL b a", "-ERR policy 'a' stands in the configuration file: change it there")
	c.do("POLICY DEL b", ":1")
	c.do("POLICY LIST", `[[name a pattern x priority :0 source configuration settings [TTL 7]]]`)
	i.Stop("without the policy in the configuration the stored one holds again")
	i.wait(t)

	i = start(t, setup{fs: fs})
	i.dial(t).do("POLICY MATCH x", `[TTL [1 a]]`)
}

func TestPolicyThatMakesNoSense(t *testing.T) {
	store, err := storage.Open("/data", storage.Options{FS: vfs.NewMem(), Seed: 1, MemTableBytes: 1 << 20, LogSegmentBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := config.New()
	c.Policies = [][]string{{"a", "pattern", "x", "ttl", "-1"}}
	_, err = New(Options{Config: c, Store: store, Log: &Log{}, Started: time.Now()})
	if want := "policy a: TTL must be a number of milliseconds from 0 to 9007199254740992"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
