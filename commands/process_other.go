//go:build !linux

package commands

import (
	"runtime"
	"time"
)

// What INFO tells of the process is known on Linux only.

func residentMemory() (now, peak int64)               { return 0, 0 }
func systemMemory() int64                             { return 0 }
func cpuTimes() (system, user time.Duration, ok bool) { return 0, 0, false }
func osName() string                                  { return runtime.GOOS }

// MemoryLimit returns how much memory the process may take; 0: not known.
func MemoryLimit() int64 { return 0 }
