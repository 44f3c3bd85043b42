package commands

import (
	"fmt"
	runtimedebug "runtime/debug"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/schedule"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

// CheckTimer says what is wrong with a timer (storage.Check).
func CheckTimer(t storage.Timer) error { return schedule.Check(t) }

// CheckObject reads all that belongs to a key and says what does not fit
// together (storage.Check).
func CheckObject(tx *storage.Tx, o *storage.Object) (err error) {
	// A data type panics at records that it cannot have written.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v\n%s", p, runtimedebug.Stack())
		}
	}()
	switch o.Type() {
	case storage.TypeList:
		return lists.Of(tx, o).Check()
	case storage.TypeStream:
		s, err := streams.Of(tx, o)
		if err != nil {
			return err
		}
		return s.Check()
	}
	return fmt.Errorf("it has the type %d, which there is not", o.Type())
}
