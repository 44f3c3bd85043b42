package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cairnmq/cairn/"

// levels says how far up a package stands; imports only point down
// (docs/architecture.md).
var levels = map[string]int{
	"resp": 0, "glob": 0, "journal": 0,
	"acl": 1, "config": 1, "pubsub": 1, "rdb": 1, "storage": 1, "policy": 1,
	"lists": 2, "schedule": 2, "streams": 2,
	"commands": 3, "broker": 4, "server": 5, "maintain": 6,
}

// worldly are the names that only server and main may use: below, time and
// chance are arguments.
var worldly = map[string][]string{
	"time":         {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"math/rand":    {"*"},
	"math/rand/v2": {"Int", "IntN", "Int64", "Int64N", "Uint32", "Uint64", "Float64", "N", "Perm", "Shuffle"},
	"net":          {"*"},
}

func TestTidy(t *testing.T) {
	for pkg, level := range levels {
		files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("package %s: no files (%v)", pkg, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				for _, complaint := range untidy(t, file, nil, level) {
					t.Errorf("%s: %s", file, complaint)
				}
			}
		}
	}
}

// untidy returns what is wrong with a file of a package at a level.
func untidy(t *testing.T, name string, source any, level int) (complaints []string) {
	f, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]string) // local name to import path
	for _, spec := range f.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if local, ok := strings.CutPrefix(path, module); ok {
			if other, known := levels[local]; !known || other >= level {
				complaints = append(complaints, "imports "+local+", which does not stand below it")
			}
		}
		if _, ok := worldly[path]; !ok || level >= levels["server"] {
			continue
		}
		names[localName(spec, path)] = path
		if worldly[path][0] == "*" {
			complaints = append(complaints, "imports "+path)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok {
				for _, banned := range worldly[names[id.Name]] {
					if sel.Sel.Name == banned {
						complaints = append(complaints, "uses "+id.Name+"."+banned)
					}
				}
			}
		}
		return true
	})
	return complaints
}

func localName(spec *ast.ImportSpec, path string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	if path == "math/rand/v2" {
		return "rand"
	}
	return filepath.Base(path)
}

// The tidy test finds what it is there to find.
func TestTidyFinds(t *testing.T) {
	for _, source := range []string{
		`package lists; import _ "github.com/cairnmq/cairn/commands"`,
		`package lists; import _ "github.com/cairnmq/cairn/lists"`,
		`package lists; import "time"; var x = time.Now()`,
		`package lists; import "math/rand/v2"; var x = rand.IntN(3)`,
		`package lists; import "net"; var x net.Conn`,
	} {
		if len(untidy(t, "x.go", source, levels["lists"])) == 0 {
			t.Errorf("nothing wrong with %s", source)
		}
	}
	if got := untidy(t, "x.go", `package lists; import "time"; var x time.Duration`, levels["lists"]); got != nil {
		t.Errorf("a duration: %v", got)
	}
}

// Every package says what it is.
func TestEveryPackageHasADoc(t *testing.T) {
	for pkg := range levels {
		files, _ := filepath.Glob(filepath.Join(pkg, "*.go"))
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "// Package "+pkg+" ")
		}
		if !found {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}
