package commands

import (
	"io/fs"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	const total = 1 << 34
	for name, tc := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no control groups": {nil, total},
		"version 2": {map[string]string{
			"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "1000000\n", "/sys/fs/cgroup/memory.max": "2000000\n",
		}, 1000000},
		"version 2 in a container": {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "3000000\n"}, 3000000},
		"version 1": {map[string]string{
			"/proc/self/cgroup": "5:cpu:/a\n4:memory:/a\n0::/\n", "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4000000\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 4000000},
		"more than there is": {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "99999999999999\n"}, total},
		"nonsense":           {map[string]string{"/proc/self/cgroup": "0::/\nx\n\n", "/sys/fs/cgroup/memory.max": "-1\n"}, total},
	} {
		got := limitedBy(total, func(path string) ([]byte, error) {
			if text, ok := tc.files[path]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		})
		if got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	if MemoryLimit() <= 0 {
		t.Error("this machine has no memory")
	}
}
