package maintain

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairnmq/cairn/commands"
	"github.com/cairnmq/cairn/lists"
	"github.com/cairnmq/cairn/policy"
	"github.com/cairnmq/cairn/storage"
)

// ErrProblems says that a check has found something.
var ErrProblems = errors.New("the data folder is damaged")

// Check reads a data folder that no broker uses from end to end, changes nothing,
// and writes what it has looked at, and what is wrong, to out. It returns
// ErrProblems if anything is.
func Check(fs vfs.FS, dir string, out io.Writer, progress io.Writer) error {
	c := storage.Check{Object: commands.CheckObject, Timer: commands.CheckTimer}
	p := newProgress(progress)
	c.Progress = p.told
	problems := 0
	c.Problem = func(err error) {
		p.clear()
		if problems++; problems <= problemsShown {
			fmt.Fprintln(out, "problem:", err)
		}
	}
	tables, err := check(fs, dir, c)
	p.clear()
	switch {
	case err != nil:
		return err
	case problems > 0:
		if more := problems - problemsShown; more > 0 {
			fmt.Fprintf(out, "and %d more problems\n", more)
		}
		return fmt.Errorf("%s: %w: %d problems were found. Keep a copy of the folder; cairn restore brings a backup back", dir, ErrProblems, problems)
	}
	fmt.Fprintf(out, "%s is sound: %d tables of %s, %d keys, %d records, %d scheduled commands\n",
		dir, tables.Tables, size(tables.TableBytes), tables.Keys, tables.Records, tables.Timers)
	return nil
}

// checkBesideKeys looks at what is stored beside the keys. What cannot be read
// is a problem; an error says that it could not go on.
func checkBesideKeys(store *storage.Store, problem func(error)) error {
	policies := store.Policies(func(name string, record []byte) error {
		if _, err := policy.Decode(name, record); err != nil {
			problem(fmt.Errorf("policy %q: %w", name, err))
		}
		return nil
	})
	popped := store.EachPopped(func(seq uint64, record []byte) error {
		if p, err := lists.DecodePopped(record); err != nil {
			problem(fmt.Errorf("pop %d: %w", seq, err))
		} else if len(p.Elements) == 0 {
			problem(fmt.Errorf("pop %d from %q: of nothing", seq, p.Key))
		}
		return nil
	})
	deliveries := store.EachDeliveries(func(storage.KeyRef, uint64, uint64) {})
	for _, err := range []error{policies, popped, deliveries} {
		switch {
		case errors.Is(err, storage.ErrDamaged):
			problem(err)
		case err != nil:
			return err
		}
	}
	return nil
}

// problemsShown bounds what is written of a folder with many of them.
const problemsShown = 100

func check(fs vfs.FS, dir string, c storage.Check) (storage.Summary, error) {
	store, err := storage.Open(dir, storage.Options{FS: fs, ReadOnly: true})
	if err != nil && !errors.Is(err, storage.ErrDamaged) {
		return storage.Summary{}, err
	}
	if err != nil {
		// Which table it is may be worth knowing, and whether it is the only one.
		c.Problem(err)
		return storage.CheckAllTables(fs, dir, c)
	}
	sum, err := store.CheckTables(c)
	if err != nil {
		return sum, errors.Join(err, store.Close())
	}
	tables := sum
	if sum, err = store.Check(c); err == nil {
		err = checkBesideKeys(store, c.Problem)
	}
	if errors.Is(err, storage.ErrDamaged) {
		c.Problem(err)
		err = nil
	}
	sum.Tables, sum.TableBytes = tables.Tables, tables.TableBytes
	return sum, errors.Join(err, store.Close())
}
