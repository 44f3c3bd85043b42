//go:build cgo

package commands

// engineOutsideGo says that the storage engine's memtables and block cache are
// not in Go's memory: with cgo they come from malloc.
const engineOutsideGo = true
