package commands

import (
	"slices"
	"strconv"

	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
)

var listMoveManyCommands = []Command{
	{
		Name: "lmovem", Arity: -5, Flags: Write | DenyOOM, Keys: Keys{1, 2, 1}, Access: []string{"RW access delete", "RW insert"},
		Group: "list", Since: "8.10.0",
		Syntax:     "source destination <LEFT | RIGHT> <LEFT | RIGHT> [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
		Summary:    "Moves several elements from one list to another and returns them.",
		Complexity: "O(N) where N is the number of elements moved",
		Run: func(c *Ctx) error {
			m, err := readMoveMany(c, false)
			if err != nil {
				return err
			}
			return m.run(c)
		},
	},
	{
		Name: "blmovem", Arity: -6, Flags: Write | DenyOOM | Blocking, Keys: Keys{1, 2, 1}, Access: []string{"RW access delete", "RW insert"},
		Group: "list", Since: "8.10.0",
		Syntax:     "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout [<COUNT count | EXACTLY exactly> <OBO | BULK>]",
		Summary:    "Moves several elements from one list to another and returns them; waits for them if need be.",
		Complexity: "O(N) where N is the number of elements moved",
		OnTimeout:  (*resp.Buffer).NullArray,
		Run: func(c *Ctx) error {
			m, err := readMoveMany(c, true)
			if err != nil {
				return err
			}
			return m.run(c)
		},
	},
}

// moveMany is a call of LMOVEM or BLMOVEM.
type moveMany struct {
	source, destination []byte
	from, to            lists.End
	wait                *Wait // nil: LMOVEM
	count               int64
	exactly             bool // all of count or nothing
	oneByOne            bool // in the order of so many LMOVEs
}

func readMoveMany(c *Ctx, blocking bool) (m moveMany, err error) {
	a := &c.Args
	m = moveMany{source: a.Next(), destination: a.Next(), from: end(a), to: end(a), count: 1}
	if blocking {
		m.wait = &Wait{Timeout: a.Timeout(c.Tx.NowMillis())}
	}
	if a.More() {
		switch a.Option() {
		case "COUNT":
		case "EXACTLY":
			m.exactly = true
		default:
			a.Fail(ErrSyntax)
		}
		m.count = a.AtLeast(1, ErrCountPositive)
		switch a.Option() {
		case "OBO":
			m.oneByOne = true
		case "BULK":
		default:
			a.Fail(ErrSyntax)
		}
		if a.More() {
			a.Fail(ErrSyntax)
		}
	}
	return m, a.Err()
}

// run moves what there is, or waits for it, or answers that there is nothing.
func (m moveMany) run(c *Ctx) error {
	src, ok, err := c.openToTake(m.source)
	if err != nil {
		return err
	}
	if !ok || (m.exactly && src.Len() < m.count) {
		if m.wait != nil {
			w := listWait(*m.wait, m.source)
			if m.exactly {
				// Where one finds too little, others who want as much need not look.
				w.Class = "exactly " + strconv.FormatInt(m.count, 10)
			}
			return c.Block(w)
		}
		c.Out.NullArray()
		return nil
	}
	if _, _, err := lists.Open(c.Tx, m.destination); err != nil {
		return err
	}
	if err := mayPop(c, src, m.from, m.count); err != nil {
		return err
	}
	from, to := int64(0), min(m.count, src.Len())
	if m.from == lists.Right {
		from, to = src.Len()-to, src.Len()
	}
	if !src.Fits(from, to) {
		return storage.ErrTooMuch
	}
	if m.wait != nil {
		c.within = m.wait.Timeout
	}
	what, ok, err := c.admitMoved(src, m.from, to-from, m.destination, m.to)
	if !ok {
		return err
	}
	expireAt := src.Object().ExpireAt()
	moved := m.block(src.Pop(m.from, m.count))
	dst, err := lists.OpenOrCreate(c.Tx, m.destination)
	if err != nil {
		return err
	}
	writeBulks(c.Out, moved)
	if m.to == lists.Left {
		slices.Reverse(moved) // pushed one after the other
	}
	dst.Push(m.to, moved...)
	c.pushed(dst, m.to, what)
	if string(m.source) == string(m.destination) && expireAt != dst.Object().ExpireAt() {
		c.Tx.SetExpiry(dst.Object(), expireAt) // the list was empty for a moment
	}
	return nil
}

// block puts popped elements into the order in which they are to stand in the
// destination, from left to right.
//
// As a block they keep the order they had in the source. One by one, each new
// one is put at the very end: what was popped last stands outermost.
func (m moveMany) block(popped [][]byte) [][]byte {
	if m.oneByOne {
		if m.to == lists.Left {
			slices.Reverse(popped)
		}
	} else if m.from == lists.Right {
		slices.Reverse(popped)
	}
	return popped
}
