//go:build linux

package main

import (
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "42 (a) b (c) S 1 42 42 0 -1 4194560 9 0 0 0 150 50 20 3 20 0 4 0 100 1000 25 1844674407370955 1 1\n"
	if got, err := parseStat([]byte(line)); err != nil || got != 2230*time.Millisecond {
		t.Errorf("%v, %v, want 2.23s", got, err)
	}
	for _, line := range []string{"", "42 (a) S 1", "42 (a) S 1 42 42 0 -1 4194560 9 0 0 0 x 50 20 3 20 0 4\n"} {
		if got, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q: %v, want an error", line, got)
		}
	}
}

func TestFileSystem(t *testing.T) {
	const mounts = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /tmp rw - tmpfs tmpfs rw
24 22 0:22 / /tmp/data rw shared:2 master:1 - xfs /dev/vdb rw
`
	for path, want := range map[string]string{"/": "ext4", "/home/x": "ext4", "/tmp": "tmpfs", "/tmp/data/a": "xfs", "/tmp/database": "tmpfs"} {
		if got, err := fileSystem(mounts, path); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
	if got, err := fileSystem("", "/x"); err == nil {
		t.Errorf("without mounts: %s", got)
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Server{
		"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d\n": {Name: "redis", Version: "7.0.15"},
		"Valkey server v=8.0.1 sha=0 malloc=libc bits=64 build=1\n":                       {Name: "valkey", Version: "8.0.1"},
		"cairn v0.1-3-gabc abc go1.26.8\n":                                                {Name: "cairn", Version: "v0.1-3-gabc"},
	} {
		if got, err := parseVersion(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "cairn", "nginx version: 1", "a server 7"} {
		if got, err := parseVersion(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

func TestInspect(t *testing.T) {
	folder := t.TempDir()
	m, err := inspect(folder)
	if err != nil || m.CPU == "" || m.Cores < 1 || m.Memory < 1<<20 || m.Kernel == "" || m.FileSystem == "" {
		t.Errorf("%+v, %v", m, err)
	}
	appending, overwriting, err := probeDisk(folder)
	if err != nil || appending < 0 || overwriting < 0 {
		t.Errorf("%v, %v, %v", appending, overwriting, err)
	}
}
