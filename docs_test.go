package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page on guarantees names a test for each; they exist.
func TestGuaranteesNameTests(t *testing.T) {
	page, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, m := range regexp.MustCompile("`(\\w+) (Test\\w+)`").FindAllStringSubmatch(string(page), -1) {
		named++
		files, err := filepath.Glob(filepath.Join(m[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "func "+m[2]+"(")
		}
		if !found {
			t.Errorf("there is no %s in %s", m[2], m[1])
		}
	}
	for _, line := range strings.Split(string(page), "\n") {
		if !strings.Contains(line, "script") && !strings.HasPrefix(line, "   `") {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z]+(?:/[a-z0-9*-]+)?)`").FindAllStringSubmatch(line, -1) {
			found := false
			for _, pattern := range []string{"broker/testdata/" + m[1] + ".txt", "compat_test/testdata/" + m[1] + ".txt"} {
				files, err := filepath.Glob(pattern)
				found = found || (err == nil && len(files) > 0)
			}
			if m[1] != "broker" && m[1] != "always" && m[1] != "everysec" && m[1] != "no" && !found {
				t.Errorf("there is no script %s", m[1])
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d tests are named", named)
	}
}
