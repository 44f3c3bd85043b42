// Package check is what the Go programs of the client matrix share: how they report, and how they give up on a check.
package check

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

const patience = 20 * time.Second

var failed bool

// failure is why a check gave up; it is thrown by what stands below and caught by Do.
type failure string

// Do runs one check and prints its line.
func Do(name string, check func()) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
			fmt.Println("ok", name)
		case failure:
			failed = true
			fmt.Printf("not ok %s: %s\n", name, strings.ReplaceAll(string(reason), "\n", " "))
		default:
			panic(reason)
		}
	}()
	check()
}

// Skip says why the library cannot do a check.
func Skip(name, reason string) { fmt.Printf("skip %s: %s\n", name, reason) }

// Exit ends the program, with a status that tells whether all went well.
func Exit() {
	if failed {
		os.Exit(1)
	}
	os.Exit(0)
}

// Addr is the server's address, as the command line gives it.
func Addr() string { return os.Args[1] + ":" + os.Args[2] }

// Client tells who runs: the version as it was built in, the protocol as CLIENT INFO has it.
func Client(name, module, clientInfo string) {
	proto := regexp.MustCompile(`\bresp=(\d)`).FindStringSubmatch(clientInfo)
	if proto == nil {
		panic(failure("CLIENT INFO lacks resp=: " + clientInfo))
	}
	info, _ := debug.ReadBuildInfo() // a program built from a module has it
	for _, m := range info.Deps {
		if m.Path == module {
			fmt.Printf("client %s %s RESP%s\n", name, strings.TrimPrefix(m.Version, "v"), proto[1])
		}
	}
}

// Restart has the broker killed and started again, and returns when it runs.
func Restart() {
	fmt.Println("restart")
	bufio.NewReader(os.Stdin).ReadString('\n') // at the end of stdin nobody is left to restart anything
}

func Must[T any](v T, err error) T {
	OK(err)
	return v
}

func OK(err error) {
	if err != nil {
		panic(failure("error " + err.Error()))
	}
}

func Equal(got, want any) {
	if !reflect.DeepEqual(got, want) {
		panic(failure(fmt.Sprintf("got %s, want %s", short(got), short(want))))
	}
}

func True(ok bool, format string, args ...any) {
	if !ok {
		panic(failure(fmt.Sprintf(format, args...)))
	}
}

// Eventually asks again and again, errors included: for what another connection or another process has to do first.
func Eventually(what string, reached func() bool) {
	for end := time.Now().Add(patience); !reached(); time.Sleep(10 * time.Millisecond) {
		True(time.Now().Before(end), "not within %v: %s", patience, what)
	}
}

// Next waits for what another goroutine is about to send.
func Next[T any](from <-chan T) T {
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		panic(failure(fmt.Sprintf("nothing came within %v", patience)))
	}
}

// Binary is a mebibyte in which every byte occurs, line ends included.
func Binary() string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return string(bytes.Repeat(all, 4096))
}

func short(v any) string {
	if text := fmt.Sprintf("%#v", v); len(text) > 300 {
		return text[:300] + "..."
	} else {
		return text
	}
}
