package storage

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// What is written to a table is there when it is asked for, in whatever pieces it was
// written.
func TestTableFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for range 50 {
		mem := vfs.NewMem()
		f, err := tableWrites{mem}.Create("1.sst", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		for range rng.IntN(12) {
			p := make([]byte, rng.IntN(1<<rng.IntN(19)+1))
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			want = append(want, p...)
			n, err := f.Write(p)
			if n != len(p) || err != nil {
				t.Fatal(n, err)
			}
			clear(p) // it is the caller's again
			switch rng.IntN(8) {
			case 0:
				err = f.Sync()
			case 1:
				err = f.SyncData()
			case 2:
				_, err = f.SyncTo(int64(len(want)))
			case 3:
				var info vfs.FileInfo
				if info, err = f.Stat(); err == nil && info.Size() != int64(len(want)) {
					t.Fatalf("%d bytes, want %d", info.Size(), len(want))
				}
			default:
				continue
			}
			if got := readAll(t, mem, "1.sst"); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes are there of %d, %v", len(got), len(want), err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, mem, "1.sst"); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes are there of %d", len(got), len(want))
		}
	}
}

// What could not be written is told by whoever comes to write it.
func TestTableFileErrors(t *testing.T) {
	for name, end := range map[string]func(vfs.File) error{
		"sync":      vfs.File.Sync,
		"sync data": vfs.File.SyncData,
		"sync to":   func(f vfs.File) error { _, err := f.SyncTo(1); return err },
		"stat":      func(f vfs.File) error { _, err := f.Stat(); return err },
		"write":     func(f vfs.File) error { _, err := f.Write(make([]byte, tablePieceBytes)); return err },
		"close":     vfs.File.Close,
	} {
		full := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileWrite {
				return errorfs.ErrInjected
			}
			return nil
		}))
		f, err := tableWrites{full}.Create("1.sst", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := end(f); !errors.Is(err, errorfs.ErrInjected) {
			t.Errorf("%s: %v", name, err)
		}
		// It is not forgotten when somebody has been told.
		if err := f.Sync(); !errors.Is(err, errorfs.ErrInjected) {
			t.Errorf("%s, then sync: %v", name, err)
		}
	}
}

func readAll(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
