package server

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// # System calls that do not wait
//
// Before a system call Go prepares for another thread to take over, as the call
// may wait, and the thread that comes back may have to wait for a place. What
// works on sockets that do not block never waits: here Go is not told of it, which
// makes the calls cheaper, and nobody takes the loop's place.

// readSocket is read(2) on a socket that does not block.
func readSocket(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return result(n, errno)
}

// writeSocket is writev(2) on a socket that does not block. vectors is scratch.
func writeSocket(fd int, segments [][]byte, vectors *[]unix.Iovec) (int, error) {
	list := (*vectors)[:0]
	for _, s := range segments {
		if len(s) > 0 {
			v := unix.Iovec{Base: &s[0]}
			v.SetLen(len(s))
			list = append(list, v)
		}
	}
	*vectors = list
	var n uintptr
	var errno unix.Errno
	switch len(list) {
	case 0:
		return 0, nil
	case 1:
		n, _, errno = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(list[0].Base)), uintptr(list[0].Len))
	default:
		n, _, errno = unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)))
	}
	clear(list) // not to hold on to what was sent
	return result(n, errno)
}

// pollEvents is epoll_wait(2) that does not wait.
func pollEvents(epfd int, events []unix.EpollEvent) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return result(n, errno)
}

func result(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
