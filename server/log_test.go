package server

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/cairnmq/cairn/config"
)

// Tools look for Redis' form of a line.
func TestLogLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, err := OpenLog(path, config.LogNotice)
	if err != nil {
		t.Fatal(err)
	}
	log.Printf(Verbose, "not %s", "this")
	log.Printf(Notice, "Ready to accept connections")
	log.SetLevel(config.LogNothing)
	log.Warningf("nor this")
	log.SetLevel(config.LogDebug)
	log.Printf(Debug, "a detail")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const stamp = `\d+:M \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} `
	if !regexp.MustCompile(`^` + stamp + `\* Ready to accept connections\n` + stamp + `\. a detail\n$`).Match(content) {
		t.Errorf("%s", content)
	}
	if _, err := OpenLog(filepath.Join(path, "nosuch"), config.LogNotice); err == nil {
		t.Error("no error for a path that cannot be")
	}
}
