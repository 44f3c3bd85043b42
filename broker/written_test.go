package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/storage"
)

// A command that would write more at once than fits into memory, though its client
// has sent little, is refused and has written nothing.
func TestTooMuchAtOnce(t *testing.T) {
	const limit = 100 << 10
	s := newStageWith(t, vfs.NewCrashableMem(), storage.Options{Seed: 1, BatchBytes: limit})
	element := func(i int) string { return fmt.Sprintf("%04d%s", i, strings.Repeat("x", 1000)) }
	for i := range 300 {
		s.do("a", "RPUSH", "large", element(i))
		s.do("a", "XADD", "stream", fmt.Sprintf("%d-1", i+1), "f", element(i))
	}
	s.do("a", "RPUSH", "small", "x")
	s.do("a", "RPUSH", "one", strings.Repeat("y", limit/3))
	dump := s.do("a", "DUMP", "large")
	refused := "-" + string(storage.ErrTooMuch)
	for _, words := range [][]string{
		{"COPY", "large", "copy"}, {"COPY", "large", "small", "REPLACE"}, {"COPY", "stream", "copy", "DB", "1"},
		{"LINSERT", "large", "BEFORE", element(150), "new"}, {"LINSERT", "large", "AFTER", element(150), "new"},
		{"LREM", "large", "1", element(150)}, {"LREM", "large", "-1", element(150)},
		{"LMOVEM", "large", "small", "LEFT", "LEFT", "COUNT", "200", "BULK"}, {"LMOVEM", "large", "large", "RIGHT", "LEFT", "COUNT", "200", "BULK"},
		{"SORT", "large", "ALPHA", "STORE", "small"},
	} {
		if got := s.do("a", words...); got != refused {
			t.Errorf("%.60q: %.100s", words, got)
		}
	}
	for _, words := range [][]string{{"LLEN", "large"}, {"XLEN", "stream"}} {
		if got := s.do("a", words...); got != ":300" {
			t.Errorf("%q: %s", words, got)
		}
	}
	if got := s.do("a", "LRANGE", "small", "0", "-1"); got != `["x"]` {
		t.Errorf("the small list has become %.100s", got)
	}
	if got := s.do("a", "DUMP", "large"); got != dump {
		t.Error("the large list is not what it was")
	}

	// What does fit is done: near the ends there is little to move.
	for _, words := range [][]string{
		{"LINSERT", "large", "BEFORE", element(3), "new"}, {"LINSERT", "large", "AFTER", element(297), "new"},
		{"LREM", "large", "1", "new"}, {"LREM", "large", "-1", "new"}, {"COPY", "small", "copy"},
	} {
		if got := s.do("a", words...); !strings.HasPrefix(got, ":") || got == ":0" {
			t.Errorf("%.60q: %.100s", words, got)
		}
	}

	// A transaction is one turn.
	for range 4 {
		s.do("a", "RPUSH", "one", strings.Repeat("y", limit/3))
	}
	s.do("a", "MULTI")
	for range 5 {
		s.do("a", "LMOVE", "one", "moved", "LEFT", "RIGHT")
	}
	s.do("a", "RPUSH", "small", "y")
	if got := s.do("a", "EXEC"); strings.Count(got, refused) != 3 || !strings.Contains(got, "yyy") {
		t.Errorf("EXEC: %.300s", got)
	}
	// A chain of those who wait is one, too, but what only passes is not written.
	for i := range 5 {
		s.do(fmt.Sprint("w", i), "BLMOVE", fmt.Sprint("q", i), fmt.Sprint("q", i+1), "LEFT", "RIGHT", "0")
	}
	s.do("a", "RPUSH", "q0", strings.Repeat("z", limit/3))
	lengths := ""
	for i := range 6 {
		lengths += s.do("a", "LLEN", fmt.Sprint("q", i))
	}
	if lengths != ":0:0:0:0:0:1" {
		t.Errorf("the element is at %s", lengths)
	}
}
