//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: needs Linux: it waits with epoll and reads what a process costs from /proc")
	os.Exit(1)
}
