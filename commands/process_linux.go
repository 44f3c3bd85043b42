package commands

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What INFO tells of the process and its machine.

// residentMemory returns how much of the process is in memory, now and at most
// so far.
func residentMemory() (now, peak int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	return kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")
}

func systemMemory() int64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	return kilobytes(info, "MemTotal:")
}

// kilobytes finds a line such as "VmRSS:	 1234 kB" and returns its bytes.
func kilobytes(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == name {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

func cpuTimes() (system, user time.Duration, ok bool) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, 0, false
	}
	return time.Duration(usage.Stime.Nano()), time.Duration(usage.Utime.Nano()), true
}

func osName() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "Linux"
	}
	return "Linux " + string(bytes.TrimSpace(release))
}

// MemoryLimit returns how much memory the process may take: what the machine
// has, or what its control groups leave of that; 0 if that is not known.
func MemoryLimit() int64 {
	return limitedBy(systemMemory(), os.ReadFile)
}

// limitedBy returns the least limit of memory among the process's control group
// and those around it, or what there is in total.
func limitedBy(total int64, read func(path string) ([]byte, error)) int64 {
	groups, err := read("/proc/self/cgroup")
	if err != nil {
		return total
	}
	least := total
	for line := range bytes.Lines(groups) {
		// 0::/path for version 2, 4:memory:/path for version 1
		fields := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(fields) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		switch fields[1] {
		case "":
			root, file = "/sys/fs/cgroup", "memory.max"
		case "memory":
		default:
			continue
		}
		// In a container the path may be one that is seen from outside only.
		for dir := fields[2]; ; dir = path.Dir(dir) {
			if text, err := read(path.Join(root, dir, file)); err == nil {
				if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && n > 0 && (least == 0 || n < least) {
					least = n
				}
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return least
}
