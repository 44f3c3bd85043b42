package lists

import (
	"iter"

	"github.com/cairnmq/cairn/storage"
)

// Create makes a list of elements, of which there has to be one, in place of
// what the key has, and marks the key ready. Each element is valid until the
// next only; none may come from what the key has. What happened is the
// caller's to report.
func Create(tx *storage.Tx, key []byte, elements iter.Seq[[]byte]) List {
	o := tx.Peek(key)
	if o == nil {
		o = tx.Create(key, storage.TypeList)
	} else {
		tx.Overwrite(o, storage.TypeList)
	}
	l := empty(tx, o)
	for e := range elements {
		l.push(Right, append([]byte(nil), e...))
	}
	tx.MarkReady(o)
	tx.Changed(o, "")
	return l
}

// empty makes o, which was just created, a list without elements.
func empty(tx *storage.Tx, o *storage.Object) List {
	state := &list{head: firstPosition, first: firstPosition, end: firstPosition}
	state.resetWindows()
	o.State = state
	return List{tx, o, state}
}
