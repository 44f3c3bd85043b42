package resp

import "fmt"

// Error is the text of an error reply, code first: "ERR syntax error".
// It is what a client did wrong; everything else that can fail is an ordinary
// Go error and never reaches the client in words of its own.
type Error string

func (e Error) Error() string { return string(e) }

// Errorf makes an Error from a format.
func Errorf(format string, args ...any) Error {
	return Error(fmt.Sprintf(format, args...))
}
