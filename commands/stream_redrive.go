package commands

import (
	"slices"

	"github.com/cairnmq/cairn/acl"
	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/resp"
	"github.com/cairnmq/cairn/storage"
	"github.com/cairnmq/cairn/streams"
)

var streamRedriveCommands = []Command{
	{
		Name: "xredrive", Arity: -2, Flags: Write | DenyOOM, KeysFunc: keysOfRedrive,
		Group: "broker", Since: "1.0.0", Syntax: "key [TO key] [COUNT count]",
		KeySearch: KeySearch{Anywhere: true}, Keys: Keys{1, 1, 1}, Access: []string{"RW access delete", "RW insert"},
		Summary:    "Returns dead letters to where they came from, or to another key, oldest first, and returns how many.",
		Complexity: "O(N) where N is the number of entries looked at",
		Run:        xredrive,
	},
}

const (
	errRedriveCount  resp.Error = "ERR COUNT must be > 0"
	errRedriveItself resp.Error = "ERR dead letters cannot be returned to the stream that they are in"
)

// redriveMax is how many dead letters a call returns, redriveLookedAtMax how many
// entries it looks at: those that are no dead letters stay where they are.
const (
	redriveMax         = 10_000
	redriveLookedAtMax = 100_000
)

func keysOfRedrive(args [][]byte) (at []int, ok bool) {
	at = append(at, 1)
	for i := 2; i+1 < len(args); i += 2 {
		if EqualFold(args[i], "TO") {
			at = append(at, i+1)
		}
	}
	return at, true
}

// redriven is a dead letter on its way back.
type redriven struct {
	id     streams.ID // among the dead letters
	to     string
	isList bool
	values [][]byte
	newID  streams.ID
}

func xredrive(c *Ctx) error {
	key := c.Args.Next()
	var to []byte
	count := int64(redriveMax)
	for c.Args.More() {
		switch {
		case c.Args.Len() > 1 && to == nil && c.Args.Word("TO"):
			to = c.Args.Next()
		case c.Args.Len() > 1 && c.Args.Word("COUNT"):
			count = c.Args.AtLeast(1, errRedriveCount)
		default:
			c.Args.Fail(ErrSyntax)
		}
	}
	if err := c.Args.Err(); err != nil {
		return err
	}
	if to != nil && string(to) == string(key) {
		return errRedriveItself
	}
	s, err := streams.Open(c.Tx, key)
	if err != nil {
		return err
	}
	if s == nil {
		c.Out.Int(0)
		return nil
	}
	letters, err := mayRedrive(c, deadLetters(c, s, key, to, min(count, redriveMax)))
	if err != nil {
		return err
	}
	ids := make([]streams.ID, len(letters))
	for i, l := range letters {
		ids[i] = l.id
		if err := l.put(c); err != nil {
			panic("commands: a dead letter cannot go back where it could: " + err.Error())
		}
	}
	if len(ids) > 0 {
		s.DeleteEach(ids, streams.DropRefs)
	}
	c.Out.Int(int64(len(letters)))
	return nil
}

// deadLetters reads the oldest dead letters, as many as the turn may write.
func deadLetters(c *Ctx, s *streams.Stream, key, to []byte, count int64) (letters []redriven) {
	bytes, lookedAt := int64(0), 0
	s.Range(streams.ID{}, streams.MaxID, false, func(e *streams.Entry) bool {
		lookedAt++
		l, ok := readDeadLetter(e, to)
		if !ok || l.to == string(key) {
			return lookedAt < redriveLookedAtMax
		}
		bytes += int64(e.Bytes())
		if !c.Tx.Fits(int64(2*len(letters)+2), bytes) && len(letters) > 0 {
			return false
		}
		letters = append(letters, l)
		return int64(len(letters)) < count && lookedAt < redriveLookedAtMax
	})
	return letters
}

// readDeadLetter takes apart what Bury has put together; ok is false for what is
// no dead letter. What the entry had of these fields before it died is its own.
func readDeadLetter(e *streams.Entry, to []byte) (l redriven, ok bool) {
	all := make([][]byte, 0, e.Len())
	e.Each(func(p []byte) { all = append(all, p) })
	end, n := deadEnd(all), len(all)-deadFields
	if end == nil || n < 2 {
		return l, false
	}
	l = redriven{id: e.ID, to: string(end[deadSourceAt]), isList: len(end[deadIDAt]) == 0}
	if l.isList && (n != 2 || string(all[0]) != DeadElement) {
		return l, false
	}
	if to != nil {
		l.to = string(to)
	}
	for _, p := range all[:n] {
		l.values = append(l.values, slices.Clone(p))
	}
	return l, true
}

// redriveTarget is a key to which dead letters go.
type redriveTarget struct {
	isList bool
	last   streams.ID
	bounds *policy.Effect // nil: none
	have   load
}

// target finds out about a key to which l goes.
func (c *Ctx) target(l *redriven) (t *redriveTarget, err error) {
	t = &redriveTarget{isList: l.isList, bounds: c.boundsOf([]byte(l.to))}
	o := c.Tx.Peek([]byte(l.to))
	if o == nil {
		return t, nil
	}
	t.have = loadOf(c.Tx, o)
	if t.isList = o.Type() == storage.TypeList; !t.isList {
		s, err := streams.Open(c.Tx, []byte(l.to))
		if err != nil {
			return nil, err
		}
		t.last = s.LastID()
	}
	return t, nil
}

// mayRedrive returns those of the letters that go: all up to the first for which
// there is no room where it is to go. It refuses all of them if one of them cannot
// go there, or may not.
func mayRedrive(c *Ctx, letters []redriven) ([]redriven, error) {
	targets := make(map[string]*redriveTarget)
	var keys [][]byte
	for i := range letters {
		l := &letters[i]
		t := targets[l.to]
		if t == nil {
			var err error
			if t, err = c.target(l); err != nil {
				return nil, err
			}
			targets[l.to] = t
			keys = append(keys, []byte(l.to))
		}
		if t.isList != l.isList {
			return nil, storage.ErrWrongType
		}
		add := l.load()
		if e := t.bounds; e != nil && (exceeds(e, t.have.plus(add)) || c.waitedFor([]byte(l.to))) {
			if i > 0 {
				letters = letters[:i]
				break
			}
			if exceeds(e, add) {
				return nil, errNeverFits(e, []byte(l.to), add)
			}
			return nil, c.refuseFull(e, []byte(l.to), t.have, add)
		}
		t.have = t.have.plus(add)
		if l.isList {
			continue
		}
		id, err := streams.Wanted{Auto: true}.Resolve(t.last, c.Tx.NowMillis())
		if err != nil {
			return nil, err
		}
		l.newID, t.last = id, id
	}
	return letters, c.mayWrite(keys)
}

// load is what the message adds where it goes.
func (l *redriven) load() load {
	values := l.values
	if l.isList {
		values = values[1:]
	}
	add := load{messages: 1}
	for _, v := range values {
		add.bytes += int64(len(v))
	}
	return add
}

// put adds the message where it is to go: behind what is there, as whoever adds
// to a stream does, or to a list with LPUSH.
func (l *redriven) put(c *Ctx) error {
	if l.isList {
		list, err := lists.OpenOrCreate(c.Tx, []byte(l.to))
		if err != nil {
			return err
		}
		list.Push(lists.Left, l.values[1])
		return nil
	}
	s, err := streams.Open(c.Tx, []byte(l.to))
	if err != nil {
		return err
	}
	if s == nil {
		s = createStream(c, []byte(l.to))
	}
	s.Append(l.newID, l.values, nodeLimits(c))
	return nil
}

// mayWrite refuses keys that the call does not name and its user may not write
// to, and notes that in the ACL log.
func (c *Ctx) mayWrite(keys [][]byte) error {
	u := c.Session.User
	if u.Unrestricted() || u.AllKeys() || len(keys) == 0 {
		return nil
	}
	call := c.Cmd.call(u, slices.Concat(c.Args.All(), keys))
	call.Keys = c.Cmd.keyUses(c.Args.All())
	for i := range keys {
		call.Keys = append(call.Keys, acl.KeyUse{At: len(c.Args.All()) + i, Access: acl.Write})
	}
	denied, at := u.Check(call)
	if denied == acl.Allowed {
		return nil
	}
	context := acl.Toplevel
	if c.InExec {
		context = acl.InMulti
	}
	c.Server.noteDenied(c.Session, acl.Entry{Reason: denied, Context: context, Object: string(call.Args[at]), User: u.Name()}, c.Args.All(), c.Tx.Now())
	return errDeniedKey
}
