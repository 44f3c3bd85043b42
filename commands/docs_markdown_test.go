package commands

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write docs/commands.md")

const markdownPath = "../docs/commands.md"

// TestDocs fails when docs/commands.md does not say what the table says.
func TestDocs(t *testing.T) {
	var page bytes.Buffer
	if err := WriteMarkdown(&page, NewTable()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(markdownPath, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(markdownPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, page.Bytes()) {
		t.Errorf("%s is stale: make docs", markdownPath)
	}
}

func TestEveryGroupIsInTheDocs(t *testing.T) {
	for _, group := range groups {
		if !slices.ContainsFunc(markdownGroups, func(g struct{ group, title string }) bool { return g.group == group }) {
			t.Errorf("no title for %q", group)
		}
	}
}
