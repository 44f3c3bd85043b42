package streams

// Node returns the low byte of the number of the entry's macro node: entries
// with the same one, next to each other, are in one node (node.go).
func (e *Entry) Node() byte { return e.node }
