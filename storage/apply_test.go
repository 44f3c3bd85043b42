package storage

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What is on its way into the memtable is waited for by who reads what it writes, also
// under another name, and by nobody else.
func TestReadWhileABatchIsApplied(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	tx := s.Begin(at(1))
	for _, key := range []string{"written", "renamed", "left alone"} {
		tx.Put(put(tx, key, ""), []byte("r"), []byte("before"))
	}
	commit(t, s)
	read := func(key string) string {
		value, _ := tx.Get(tx.Lookup([]byte(key)), []byte("r"))
		return string(value)
	}
	for _, key := range []string{"written", "renamed"} {
		tx = s.Begin(at(2))
		tx.Put(tx.Lookup([]byte(key)), []byte("r"), []byte("after"))
		tx.Changed(tx.Lookup([]byte(key)), "")
		tx.Lookup([]byte("new name"))
		commit(t, s)
		if s.applying.batch == nil {
			t.Fatal("the batch was applied in the loop")
		}
		// It takes as long as the test wants it to.
		<-s.applying.done
		late := time.AfterFunc(10*time.Second, func() { s.applying.done <- errors.New("somebody waits who need not") })
		tx = s.Begin(at(3))
		if got := read("left alone"); got != "before" || s.applying.batch == nil {
			t.Fatalf("read %q, waited: %v", got, s.applying.batch == nil)
		}
		if key == "renamed" {
			tx.Rename(tx.Lookup([]byte(key)), tx, []byte("new name"))
			key = "new name"
		}
		late.Stop()
		s.applying.done <- nil
		if got := read(key); got != "after" || s.applying.batch != nil {
			t.Errorf("read %q of %s, waited: %v", got, key, s.applying.batch == nil)
		}
		commit(t, s)
	}
}

// Whatever looks at all there is waits.
func TestEverybodyWaitsForABatch(t *testing.T) {
	for what, look := range map[string]func(s *Store) error{
		"commit": func(s *Store) error {
			put(s.Begin(at(3)), "k", "2")
			_, err := s.Commit()
			return err
		},
		"a key that is not in memory": func(s *Store) error { s.Begin(at(3)).Lookup([]byte("other")); _, err := s.Commit(); return err },
		"keys":                        func(s *Store) error { allKeys(s.Begin(at(3))); _, err := s.Commit(); return err },
		"snapshot":                    func(s *Store) error { _, release := s.Snapshot(at(3)); release(); _, err := s.Commit(); return err },
		"forget":                      func(s *Store) error { return s.Forget() },
		"flush":                       func(s *Store) error { return s.FlushOld(at(3).Add(time.Hour), true) },
		"close":                       func(s *Store) error { return s.Close() },
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, vfs.NewMem(), Options{})
			put(s.Begin(at(1)), "k", "1")
			commit(t, s)
			if s.applying.batch == nil {
				t.Fatal("the batch was applied in the loop")
			}
			<-s.applying.done
			failure := errors.New("it could not be applied")
			done := make(chan error, 1)
			done <- failure
			s.applying.done = done
			if err := look(s); !errors.Is(err, failure) || s.applying.batch != nil {
				t.Errorf("%v, waited %v", err, s.applying.batch == nil)
			}
			if err := s.Close(); what != "close" && !errors.Is(err, failure) {
				t.Errorf("close: %v", err)
			}
			_ = s.db.Close() // as the end of the process would
		})
	}
}

// recorder is a State that writes a record when it is flushed.
type recorder struct{ blob }

func (*recorder) Flush(tx *Tx, o *Object) { tx.Put(o, []byte("r"), nil) }

// What is written without a turn is not taken for what the next turn has written.
func TestForgottenAfterASoftChange(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer s.Close()
	put(s.Begin(at(1)), "k", "")
	commit(t, s)
	tx := s.Begin(at(2))
	o := tx.Lookup([]byte("k"))
	o.State = &recorder{}
	guard := tx.Guard([]byte("k")) // it stays in memory
	tx.Soft(o)
	commit(t, s)
	if err := s.Forget(); err != nil {
		t.Fatal(err)
	}
	tx = s.Begin(at(3))
	if _, ok := tx.Get(tx.Lookup([]byte("k")), []byte("r")); !ok {
		t.Error("the record is not there")
	}
	tx.Unguard(guard)
	commit(t, s)
}

// A turn that changes few keys is applied by the loop.
func TestSmallBatchesAreAppliedInTheLoop(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{ApplyAsideMin: 3})
	defer s.Close()
	for n := range 5 {
		tx := s.Begin(at(1))
		for i := range n {
			o := tx.Lookup(fmt.Append(nil, n, i))
			if o == nil {
				o = put(tx, fmt.Sprint(n, i), "")
			}
			tx.Put(o, []byte("r"), nil)
		}
		commit(t, s)
		if aside := s.applying.batch != nil; aside != (n >= 3) {
			t.Errorf("%d keys: beside the loop: %v", n, aside)
		}
	}
}
