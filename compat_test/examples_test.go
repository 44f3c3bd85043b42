package compat_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The examples that come to an end do what they say. (examples/delayed works until
// it is stopped.)
func TestExamples(t *testing.T) {
	for _, example := range []struct {
		name string
		args []string
		says string
	}{
		{"bounded", []string{"-messages", "60"}, "240 messages consumed; the queue held at most "},
		{"fanout", []string{"-orders", "20"}, "billing handled 20, the warehouse 20 of 20 orders; 0 are left in the stream"},
		{"retries", []string{"-jobs", "10"}, "2 returned\n2 jobs done, 0 among the dead letters"},
	} {
		t.Run(example.name, func(t *testing.T) {
			server := startCairn(t, t.TempDir())
			args := append([]string{"run", "../examples/" + example.name, "-addr", server.addr}, example.args...)
			out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), example.says) {
				t.Errorf("%v, no %q in: %s", err, example.says, out)
			}
		})
	}
}
