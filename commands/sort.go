package commands

import (
	"bytes"
	"cmp"
	"iter"
	"math"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

var sortCommands = []Command{
	{
		Name: "sort", Arity: -2, Flags: Write | DenyOOM | Dangerous | Sorts, Keys: Keys{1, 1, 1}, KeysFunc: sortKeys,
		Group: "generic", Since: "1.0.0",
		Syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]",
		Access: []string{"RO access", "OW update"}, KeySearch: KeySearch{Anywhere: true},
		Summary:    "Returns the elements of a list in order, or puts them into another list.",
		Complexity: "O(N+M*log(M)) where N is the length of the list and M the number of elements returned",
		Run:        func(c *Ctx) error { return sort(c, true) },
	},
	{
		Name: "sort_ro", Arity: -2, Flags: ReadOnly | MovableKeys | Dangerous | Sorts, Keys: Keys{1, 1, 1},
		Group: "generic", Since: "7.0.0",
		Syntax:     "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
		Summary:    "Returns the elements of a list in order.",
		Complexity: "O(N+M*log(M)) where N is the length of the list and M the number of elements returned",
		Run:        func(c *Ctx) error { return sort(c, false) },
	},
}

// sortKeys finds the list and where it is to be stored: the last STORE counts.
// What stands behind an option is no option, also behind STORE: rights are checked
// for the keys that are found here.
func sortKeys(args [][]byte) ([]int, bool) {
	at, store := []int{1}, 0
	for i := 2; i < len(args); i++ {
		switch {
		case EqualFold(args[i], "LIMIT"):
			i += 2
		case EqualFold(args[i], "GET"), EqualFold(args[i], "BY"):
			i++
		case EqualFold(args[i], "STORE") && i+1 < len(args):
			i++
			store = i
		}
	}
	if store > 0 {
		at = append(at, store)
	}
	return at, true
}

const (
	errSortScore resp.Error = "ERR One or more scores can't be converted into double"
	errSortBy    resp.Error = "ERR BY option of SORT denied due to insufficient ACL permissions."
	errSortGet   resp.Error = "ERR GET option of SORT denied due to insufficient ACL permissions."
	errSortLarge resp.Error = "ERR The list is too large to be sorted in memory"
	errSortBusy  resp.Error = "ERR Too much is being sorted already, try again later"
)

// sortItemBytes is what an element takes while it is sorted, beside its content.
const sortItemBytes = 48

// Budget is memory that several goroutines share. The zero value has none taken.
type Budget struct{ taken atomic.Int64 }

// take reserves bytes, if with them no more than most are taken.
func (b *Budget) take(bytes, most int64) bool {
	if b.taken.Add(bytes) > most {
		b.taken.Add(-bytes)
		return false
	}
	return true
}

func (b *Budget) giveBack(bytes int64) { b.taken.Add(-bytes) }

// sorting is a call of SORT.
//
// BY and GET look for keys with strings or hashes in them, which cairn does not
// have. What they find is what Redis finds for missing keys: a weight of 0 for
// numbers, none for ALPHA, nil.
type sorting struct {
	key           []byte
	weighed       bool // BY a pattern with an element's place in it
	unsorted      bool // BY a pattern without
	offset, count int64
	get           []bool // for each GET: it is the element itself, not nil
	descending    bool
	alpha         bool
	store         []byte // nil: answer
}

func readSorting(c *Ctx, mayStore bool) (s sorting, err error) {
	a := &c.Args
	s.key, s.count = a.Next(), -1
	for a.More() {
		switch option := a.Option(); {
		case option == "ASC":
			s.descending = false
		case option == "DESC":
			s.descending = true
		case option == "ALPHA":
			s.alpha = true
		case option == "LIMIT" && a.Len() >= 2:
			s.offset, s.count = a.Int(), a.Int()
		case option == "STORE" && a.More() && mayStore:
			s.store = a.Next()
		case option == "BY" && a.More():
			if bytes.IndexByte(cString(a.Next()), '*') < 0 {
				s.unsorted = true
			} else if s.weighed = true; !mayLookAround(c) {
				a.Fail(errSortBy)
			}
		case option == "GET" && a.More():
			if !mayLookAround(c) {
				a.Fail(errSortGet)
			}
			s.get = append(s.get, string(cString(a.Next())) == "#")
		default:
			a.Fail(ErrSyntax)
		}
	}
	return s, a.Err()
}

// mayLookAround reports whether the user may have SORT look for any key. A
// command that runs outside the loop has been asked before.
func mayLookAround(c *Ctx) bool { return c.Detached || c.MayReadAllKeys() }

// cString is what of p Redis' C sees: all up to the first zero.
func cString(p []byte) []byte {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		return p[:i]
	}
	return p
}

func sort(c *Ctx, mayStore bool) error {
	s, err := readSorting(c, mayStore)
	if err != nil {
		return err
	}
	if p, ok := c.Prepared.(*sortedStore); ok {
		if c.Tx.Lookup(s.key) == nil { // it has run out since
			p = &sortedStore{}
		}
		return p.store(c, s.store)
	}
	l, ok, err := lists.Open(c.Tx, s.key)
	if err != nil {
		return err
	}
	n := int64(0)
	if ok {
		n = l.Len()
	}
	from, to := s.limits(n)
	need, bytes := int64(0), int64(0) // memory for sorting, of the list
	if ok {
		bytes = l.Bytes()
	}
	if !s.unsorted {
		need = bytes + n*sortItemBytes
	}
	if need > c.ReplyBytesMax {
		return errSortLarge
	}
	if s.store == nil && c.Detachable && ok && (c.Slow(s.items(to-from)) || (!s.unsorted && c.Slow(n)) || bytes > LoopReplyBytesMax) {
		return c.Detach()
	}
	if s.store != nil && c.SlowWrite(max(n, s.items(to-from)), bytes) {
		return c.Prepare()
	}
	if s.store == nil && !c.Detached && ok && !c.FitsReply(s.items(to-from), bytes*int64(max(1, len(s.get)))) {
		return ErrReplyTooLong
	}
	// A client that is slow to take what was sorted holds it all the while.
	if !c.Server.Sorting.take(need, c.ReplyBytesMax) {
		return errSortBusy
	}
	defer c.Server.Sorting.giveBack(need)
	var elements iter.Seq[[]byte]
	switch {
	case !ok:
		elements = func(func([]byte) bool) {}
	case s.unsorted:
		elements = s.inOrder(l, from, to)
	default:
		sorted, err := s.sorted(l)
		if err != nil {
			return err
		}
		elements = slices.Values(sorted[from:to])
	}
	if s.store != nil {
		return s.storeIn(c, elements)
	}
	c.Out.Array(int(s.items(to - from)))
	for e := range elements {
		if len(s.get) == 0 {
			c.Out.Bulk(e)
		}
		for _, element := range s.get {
			if element {
				c.Out.Bulk(e)
			} else {
				c.Out.Null()
			}
		}
	}
	return nil
}

// items is how many items n elements are in the result.
func (s *sorting) items(n int64) int64 { return n * int64(max(1, len(s.get))) }

// limits turns LIMIT into from <= index < to, for n elements.
func (s *sorting) limits(n int64) (from, to int64) {
	from = min(max(s.offset, 0), n)
	if s.count < 0 {
		return from, n
	}
	return from, from + min(s.count, n-from)
}

// inOrder returns elements of a list in the order in which they are.
func (s *sorting) inOrder(l lists.List, from, to int64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		each := func(_ int64, e []byte) bool { return yield(e) }
		if s.descending {
			l.RangeReverse(l.Len()-to, l.Len()-from, each)
		} else {
			l.Range(from, to, each)
		}
	}
}

// sorted returns all elements of a list in the order that is asked for.
func (s *sorting) sorted(l lists.List) ([][]byte, error) {
	type scored struct {
		element []byte
		score   float64
	}
	all := make([]scored, 0, l.Len())
	valid := true
	l.Range(0, l.Len(), func(_ int64, e []byte) bool {
		it := scored{element: append([]byte(nil), e...)}
		if !s.alpha && !s.weighed {
			it.score, valid = sortScore(e)
		}
		all = append(all, it)
		return valid
	})
	if !valid {
		return nil, errSortScore
	}
	if !s.alpha || !s.weighed { // else all are equal
		slices.SortStableFunc(all, func(a, b scored) int {
			if s.descending {
				a, b = b, a
			}
			return cmp.Or(cmp.Compare(a.score, b.score), bytes.Compare(a.element, b.element))
		})
	}
	elements := make([][]byte, len(all))
	for i := range all {
		elements[i] = all[i].element
	}
	return elements, nil
}

// sortScore reads a number as strtod does: blanks may stand before it, and the
// empty string counts as 0.
func sortScore(p []byte) (score float64, ok bool) {
	p = cString(p)
	if len(p) == 0 {
		return 0, true
	}
	text := bytes.TrimLeft(p, " \t\n\v\f\r")
	if len(text) == 0 || bytes.IndexByte(text, '_') >= 0 {
		return 0, false
	}
	if hex := bytes.TrimLeft(text, "+-"); len(hex) > 2 && hex[0] == '0' && hex[1]|0x20 == 'x' && !bytes.ContainsAny(text, "pP") {
		text = append(bytes.Clone(text), "p0"...)
	}
	score, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(score) {
		return 0, false
	}
	// What is too small is out of range as well.
	tiny := math.Abs(score) < 0x1p-1022 && bytes.ContainsAny(mantissa(text), "123456789abcdefABCDEF")
	return score, !tiny
}

// mantissa returns a number without its exponent.
func mantissa(text []byte) []byte {
	exponent := "eE"
	if i := bytes.IndexAny(text, "xX"); i >= 0 {
		text, exponent = text[i+1:], "pP"
	}
	if i := bytes.IndexAny(text, exponent); i >= 0 {
		text = text[:i]
	}
	return text
}

// storeIn makes the destination a list of the elements, or removes it when
// there are none.
func (s *sorting) storeIn(c *Ctx, elements iter.Seq[[]byte]) error {
	if c.Site != nil {
		p := &sortedStore{}
		for e := range s.gotten(elements) {
			p.messages++
			p.bytes += int64(len(e))
		}
		if p.messages > 0 {
			p.built = lists.Build(c.Site, s.gotten(elements))
		}
		c.Prepared = p
		return nil
	}
	// The list may be its own destination, so it is read to the end first.
	var kept [][]byte
	size := int64(0)
	for e := range s.gotten(elements) {
		kept = append(kept, bytes.Clone(e))
		if size += sortItemBytes + int64(len(e)); size > c.ReplyBytesMax {
			return errSortLarge
		}
	}
	if !c.Tx.Fits(int64(len(kept)), size) {
		return storage.ErrTooMuch
	}
	if err := c.admitWhole(s.store, func() load { return loadOfAll(kept) }); err != nil {
		return err
	}
	if len(kept) > 0 {
		l := lists.Create(c.Tx, s.store, slices.Values(kept))
		c.Tx.Event(l.Object(), storage.TypeList, "sortstore")
	} else {
		dropSorted(c, s.store)
	}
	c.Out.Int(int64(len(kept)))
	return nil
}

// sortedStore is what SORT stores, when it has been built.
type sortedStore struct {
	load
	built *storage.Built // nil: nothing
}

func (p *sortedStore) store(c *Ctx, key []byte) error {
	if err := c.admitWhole(key, func() load { return p.load }); err != nil {
		return err
	}
	if p.built != nil {
		c.Tx.Event(c.Tx.Adopt(key, p.built), storage.TypeList, "sortstore")
	} else {
		dropSorted(c, key)
	}
	c.Out.Int(p.messages)
	return nil
}

// dropSorted removes the destination of a SORT that stores nothing.
func dropSorted(c *Ctx, key []byte) {
	if old := c.Tx.Lookup(key); old != nil {
		c.Tx.Drop(old)
		c.Tx.Event(old, storage.TypeNone, "del")
	}
}

// gotten returns what GET makes of elements to be stored: nil is empty then.
func (s *sorting) gotten(elements iter.Seq[[]byte]) iter.Seq[[]byte] {
	if len(s.get) == 0 {
		return elements
	}
	return func(yield func([]byte) bool) {
		for e := range elements {
			for _, element := range s.get {
				item := e
				if !element {
					item = nil
				}
				if !yield(item) {
					return
				}
			}
		}
	}
}
