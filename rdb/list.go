package rdb

import (
	"iter"
	"strconv"
)

// The two kinds of nodes of a list.
const (
	nodePlain  = 1 // one element
	nodePacked = 2 // a listpack
)

// list calls yield, which may be nil, for the elements until it returns false.
func (v *Value) list(yield func([]byte) bool) error {
	r := &listReader{reader: reader{p: v.payload}, yield: yield}
	switch v.typ {
	case typeList:
		for n := r.items(1); n > 0 && r.more(); n-- {
			r.element(r.string())
		}
	case typeListZiplist:
		r.zipped(r.string())
	case typeListQuicklist:
		for n := r.items(1); n > 0 && r.more(); n-- {
			r.zipped(r.string())
		}
	case typeListQuicklist2:
		for n := r.items(2); n > 0 && r.more(); n-- {
			r.node()
		}
	}
	if r.done {
		return nil
	}
	v.Cost = r.spent
	if r.count == 0 { // there are no empty lists
		r.fail(ErrFormat)
	}
	return r.end()
}

type listReader struct {
	reader
	yield func([]byte) bool
	count int
	done  bool // nothing more is wanted
	text  [20]byte
}

func (r *listReader) more() bool { return r.err == nil && !r.done }

func (r *listReader) element(e []byte) bool {
	r.count++
	if r.spend(1, len(e)); r.err != nil {
		return false
	}
	if r.yield != nil && !r.yield(e) {
		r.done = true
	}
	return !r.done
}

func (r *listReader) item(it item) bool {
	if it.text == nil {
		it.text = strconv.AppendInt(r.text[:0], it.number, 10)
	}
	return r.element(it.text)
}

func (r *listReader) zipped(p []byte) {
	if r.err == nil {
		r.ziplist(p, r.item)
	}
}

func (r *listReader) node() {
	kind, p := r.length(), r.string()
	switch {
	case r.err != nil:
	case len(p) == 0 || (kind != nodePlain && kind != nodePacked):
		r.fail(ErrFormat)
	case kind == nodePlain:
		r.element(p)
	default:
		l := openListpack(p)
		for l.more() {
			it := l.next()
			if l.err == nil && !r.item(it) {
				return
			}
		}
		if l.end() != nil {
			r.fail(ErrFormat)
		}
	}
}

// DumpList makes a dump of a list with the given elements, which are walked
// through once now and once for each time the dump is written.
func DumpList(elements iter.Seq[[]byte]) *Dump {
	var sizing writer
	nodes := sizing.nodes(elements)
	sizing.length(uint64(nodes))
	return newDump(typeListQuicklist2, sizing.size, func(w *writer) {
		w.length(uint64(nodes))
		w.nodes(elements)
	})
}

const (
	// nodeBytesMax is the size of a node in Redis unless it is configured
	// otherwise (list-max-listpack-size -2), nodeItemBytes what Redis reckons an
	// element takes beside its content.
	nodeBytesMax  = 8 << 10
	nodeItemBytes = 8
	// plainBytesMin is the size of elements from which on Redis gives each a node
	// of its own.
	plainBytesMin = 1 << 30
)

// nodes writes elements in the nodes in which Redis would have them, and
// returns how many nodes those are.
func (w *writer) nodes(elements iter.Seq[[]byte]) (n int) {
	var node pack
	flush := func() {
		if node.items > 0 {
			n++
			w.length(nodePacked)
			w.pack(&pack{}, &node)
			node.reset()
		}
	}
	for e := range elements {
		if len(e) >= plainBytesMin {
			flush()
			n++
			w.length(nodePlain)
			w.string(e)
			continue
		}
		if node.bytes()+len(e)+nodeItemBytes > nodeBytesMax {
			flush()
		}
		node.string(e)
	}
	flush()
	return n
}
