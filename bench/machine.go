//go:build linux

package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inspect says what machine this is, and on which file system the folder lies.
func inspect(folder string) (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.CPU = cmp.Or(field("/proc/cpuinfo", "model name"), runtime.GOARCH)
	var memory int64
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%d kB", &memory); err != nil {
		return m, fmt.Errorf("/proc/meminfo: %w", err)
	}
	m.Memory = memory << 10
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return m, fmt.Errorf("uname: %w", err)
	}
	m.Kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return m, err
	}
	m.FileSystem, err = fileSystem(string(mounts), folder)
	return m, err
}

// field is the value of a line "name : value" in a file, or empty.
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem finds, in the text of /proc/self/mountinfo, the type of the file
// system that a path lies on.
func fileSystem(mounts, path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	found, length := "", -1
	for line := range strings.Lines(mounts) {
		// id parent major:minor root mount-point options ... - type source ...
		mount, kind, ok := strings.Cut(line, " - ")
		words := strings.Fields(mount)
		if !ok || len(words) < 5 {
			continue
		}
		point := strings.TrimSuffix(words[4], "/")
		if (path == point || strings.HasPrefix(path, point+"/")) && len(point) >= length {
			found, length = strings.Fields(kind)[0], len(point)
		}
	}
	if found == "" {
		return "", fmt.Errorf("no file system found for %s", path)
	}
	return found, nil
}

// probeDisk returns how many microseconds an fdatasync takes, in the median,
// after 50 messages of 128 bytes were appended to a file and after they were
// written over what is there already.
func probeDisk(folder string) (appending, overwriting float64, err error) {
	const times = 100
	data := make([]byte, 50*128)
	f, err := os.CreateTemp(folder, "probe-")
	if err != nil {
		return 0, 0, fmt.Errorf("probe the disk: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	pass := func() (float64, error) {
		var took []time.Duration
		for i := range times {
			if _, err := f.WriteAt(data, int64(i*len(data))); err != nil {
				return 0, fmt.Errorf("probe the disk: %w", err)
			}
			start := time.Now()
			if err := syscall.Fdatasync(int(f.Fd())); err != nil {
				return 0, fmt.Errorf("probe the disk: %w", err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return float64(took[times/2].Microseconds()), nil
	}
	if appending, err = pass(); err != nil {
		return 0, 0, err
	}
	overwriting, err = pass()
	return appending, overwriting, err
}

// syncFileSystem waits until the file system that a folder lies on has nothing
// left to write.
func syncFileSystem(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", folder, err)
	}
	return nil
}
