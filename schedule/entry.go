package schedule

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/cairnmq/cairn/storage"
)

// Entry is a command that is to run later.
type Entry struct {
	ID string
	// Due is when it is to run, in unix ms.
	Due int64
	Repeat
	User string // in whose name
	DB   int    // the selected database
	Args [][]byte

	timer storage.Timer
}

// TimeMax is the latest time at which something can be due: the end of the year
// 9999, in unix ms.
const TimeMax = 253402300799999

// At returns when the entry runs: later than Due if it was put off.
func (e *Entry) At() int64 { return e.timer.At }

// Add adds an entry, whose ID no other has.
func Add(tx *storage.Tx, e *Entry) {
	tx.AddTimer(e.ID, e.Due, e.append(nil))
}

// MadeMark begins the IDs that are made here. Nobody may choose one that does: so
// there is no need to look whether there is such an entry, which among millions
// takes longer than all the rest.
const MadeMark = '@'

// NewID makes an ID: of the time, and of a number that is not given again.
func NewID(tx *storage.Tx) string {
	id := strconv.AppendInt([]byte{MadeMark}, tx.NowMillis(), 36)
	return string(strconv.AppendUint(append(id, '-'), tx.NextTimerSeq(), 36))
}

// Has reports whether there is an entry of an ID.
func Has(tx *storage.Tx, id string) bool { return tx.HasTimer(id) }

// Get returns the entry of an ID, or nil.
func Get(tx *storage.Tx, id string) *Entry {
	t, ok := tx.Timer(id)
	if !ok {
		return nil
	}
	return of(tx, t)
}

// of makes an entry of its timer. If there is no making sense of it the turn, and
// with it the process, comes to an end.
func of(tx *storage.Tx, t storage.Timer) *Entry {
	e, err := decode(t)
	if err != nil {
		tx.Fail(fmt.Sprintf("read the scheduled command %q", t.Name), err)
		return nil
	}
	return e
}

// All returns the entries in the order in which they run.
func All(tx *storage.Tx) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for t := range tx.Timers() {
			if e := of(tx, t); e == nil || !yield(e) {
				return
			}
		}
	}
}

// Due returns entries that are due, up to limit of them and not much more than so
// many bytes: the first of all, or the first behind one that was. What has become of
// each has to be said in the same turn, with Done, PutOff or Keep.
func Due(tx *storage.Tx, behind *Entry, limit, bytesMax int) (list []*Entry) {
	var place *storage.Timer
	if behind != nil {
		place = &behind.timer
	}
	for _, t := range tx.DueTimers(place, limit, bytesMax) {
		if e := of(tx, t); e != nil {
			list = append(list, e)
		}
	}
	return list
}

// Cancel removes the entry.
func (e *Entry) Cancel(tx *storage.Tx) { tx.RemoveTimer(e.timer) }

// Done says that the entry has run, or that it is not to run this time: it is
// removed, or waits for its next time.
func (e *Entry) Done(tx *storage.Tx) {
	next, ok := e.Next(e.Due, tx.NowMillis())
	if !ok {
		tx.RemoveTimer(e.timer)
		return
	}
	e.Due = next
	tx.MoveTimer(e.timer, next, e.append(nil))
}

// Bounds for how long an entry is put off.
const (
	putOffMin = int64(time.Second / time.Millisecond)
	putOffMax = int64(time.Minute / time.Millisecond)
)

// PutOff says that the entry could not run and is to be tried again: the later it
// is already the less often, but at the next time of one that repeats at the
// latest.
func (e *Entry) PutOff(tx *storage.Tx) {
	now := tx.NowMillis()
	at := now + min(max(now-e.Due, putOffMin), putOffMax)
	if next, ok := e.Next(e.Due, now); ok && next < at {
		at, e.Due = next, next
	}
	tx.MoveTimer(e.timer, at, e.append(nil))
}

// Keep says that the entry has to wait where it is.
func (e *Entry) Keep(tx *storage.Tx) { tx.KeepTimer(e.timer) }

// Check reports what is wrong with a timer (storage.Check).
func Check(t storage.Timer) error {
	_, err := decode(t)
	return err
}

// ---- on disk -----------------------------------------------------------------

// An entry is the value of a timer, which has its ID as a name and is due when the
// entry runs. Numbers are unsigned varints, texts have their length before them:
//
//	version(1) due db user kind(1) [every | cron] args, how many of them first
const version = 1

const (
	kindOnce byte = iota
	kindEvery
	kindCron
)

func (e *Entry) append(dst []byte) []byte {
	dst = binary.AppendUvarint(append(dst, version), uint64(e.Due))
	dst = binary.AppendUvarint(dst, uint64(e.DB))
	dst = appendText(dst, e.User)
	switch {
	case e.Every > 0:
		dst = binary.AppendUvarint(append(dst, kindEvery), uint64(e.Every))
	case e.Cron != "":
		dst = appendText(append(dst, kindCron), e.Cron)
	default:
		dst = append(dst, kindOnce)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Args)))
	for _, a := range e.Args {
		dst = appendText(dst, a)
	}
	return dst
}

func appendText[T string | []byte](dst []byte, text T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

var errEntry = errors.New("it makes no sense as a scheduled command")

func decode(t storage.Timer) (*Entry, error) {
	r := reader{p: t.Value}
	if r.byte() != version {
		return nil, errEntry
	}
	e := &Entry{ID: t.Name, Due: r.number(TimeMax), DB: int(r.number(storage.Databases - 1)), User: string(r.text()), timer: t}
	switch r.byte() {
	case kindOnce:
	case kindEvery:
		if e.Every = r.number(TimeMax); e.Every == 0 {
			r.bad = true
		}
	case kindCron:
		if e.Cron = string(r.text()); e.Cron == "" {
			r.bad = true
		}
	default:
		r.bad = true
	}
	n := r.number(int64(len(r.p))) // each takes a byte at least
	e.Args = make([][]byte, 0, min(n, argsExpected))
	for range n {
		e.Args = append(e.Args, r.text())
	}
	if r.bad || len(r.p) > 0 || n == 0 {
		return nil, errEntry
	}
	return e, nil
}

// argsExpected bounds what is allocated before it is known how many arguments
// there really are.
const argsExpected = 64

// reader takes an entry apart. Once bad it returns zero values.
type reader struct {
	p   []byte
	bad bool
}

func (r *reader) byte() (b byte) {
	if r.bad || len(r.p) == 0 {
		r.bad = true
		return 0
	}
	b, r.p = r.p[0], r.p[1:]
	return b
}

func (r *reader) number(most int64) int64 {
	n, size := binary.Uvarint(r.p)
	if r.bad || size <= 0 || n > math.MaxInt64 || int64(n) > most {
		r.bad = true
		return 0
	}
	r.p = r.p[size:]
	return int64(n)
}

func (r *reader) text() (text []byte) {
	n := r.number(int64(len(r.p)))
	if r.bad || n > int64(len(r.p)) {
		r.bad = true
		return nil
	}
	text, r.p = r.p[:n:n], r.p[n:]
	return text
}
