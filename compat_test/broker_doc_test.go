package compat_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The transcripts in docs/broker.md are what redis-cli prints. IDs that are made and
// times differ. What takes two of them, which the page says behind a command, is
// left out.
func TestBrokerPageIsTrue(t *testing.T) {
	redisCLI(t)
	page, err := os.ReadFile("../docs/broker.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```redis-cli\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("there are none")
	}
	volatile := regexp.MustCompile(`@[0-9a-z]+-[0-9a-z]+|\b\d{13}(-\d+)?\b|\(\d+\.\d\ds\)`)
	for _, block := range blocks {
		if strings.Contains(block[1], "   (in ") {
			continue
		}
		var commands []string
		var expected strings.Builder
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(line, "> "); ok {
				commands = append(commands, command)
			} else {
				expected.WriteString(line)
			}
		}
		server := startCairn(t, t.TempDir())
		got := cli(t, server, strings.Join(commands, ""), "--no-raw")
		wantText(t, "redis-cli", volatile.ReplaceAllString(got, "…"), volatile.ReplaceAllString(expected.String(), "…"))
	}
}

func TestExampleDelayed(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "delayed")
	if out, err := exec.Command("go", "build", "-o", bin, "../examples/delayed").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := startCairn(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "-addr", server.addr)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for !strings.Contains(text.String(), "done: retry of welcome mail to alice") || !strings.Contains(text.String(), "done: heartbeat") {
		buf := make([]byte, 4096)
		n, err := out.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v\n%s", err, text.String())
		}
	}
	cancel()
	_ = cmd.Wait() // it was killed
	if !strings.Contains(text.String(), "again in a second: welcome mail to alice") {
		t.Error(text.String())
	}
	want(t, connect(t, server, 2).Do(t.Context(), "SCHEDULE", "CANCEL", "heartbeat", "report", "reminder:bob"), any(int64(2)))
}
