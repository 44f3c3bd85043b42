package storage

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// contents reads all files below a folder, locks excepted.
func contents(t *testing.T, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	names, err := fs.List(dir)
	if err != nil {
		return all
	}
	for _, name := range names {
		p := path.Join(dir, name)
		info, err := fs.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			maps.Copy(all, contents(t, fs, p))
			continue
		}
		if name == "LOCK" {
			continue
		}
		f, err := fs.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		all[p] = string(text)
	}
	return all
}

// refuses opens a folder that must be refused, and left as it was.
func refuses(t *testing.T, fs vfs.FS, want error) {
	t.Helper()
	before := contents(t, fs, "/data")
	for _, o := range []Options{{FS: fs}, {FS: fs, ReadOnly: true}} {
		s, err := Open("/data", o)
		if err == nil {
			_ = s.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%v, not %v", err, want)
		}
	}
	after := contents(t, fs, "/data")
	for p, text := range before {
		if now, there := after[p]; !there || now != text {
			t.Errorf("%s is not what it was", p)
		}
	}
}

func writeFile(t *testing.T, fs vfs.FS, p, text string) {
	t.Helper()
	if err := fs.MkdirAll(path.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(p, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A folder of somebody else's, or of a newer cairn, is refused and not touched.
func TestFoldersThatAreNotOurs(t *testing.T) {
	t.Run("a newer format", func(t *testing.T) {
		fs := filled(t)
		writeFile(t, fs, "/data/cairn.format", fmt.Sprintf("cairn data folder\nformat %d\n", formatVersion+1))
		refuses(t, fs, ErrFormat)
	})
	t.Run("an older format", func(t *testing.T) {
		fs := filled(t)
		writeFile(t, fs, "/data/cairn.format", fmt.Sprintf("cairn data folder\nformat %d\n", formatVersion-1))
		refuses(t, fs, ErrDraft)
	})
	t.Run("a newer format from before there was a title", func(t *testing.T) {
		fs := filled(t)
		s := open(t, fs, Options{})
		b := s.db.NewBatch()
		if err := b.Set(appendSystemKey(nil, systemFormat), []byte{0, 0, 0, formatVersion + 1}, nil); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.write(b, nil), s.Close(), fs.Remove("/data/cairn.format")); err != nil {
			t.Fatal(err)
		}
		refuses(t, fs, ErrFormat)
	})
	t.Run("another program's title", func(t *testing.T) {
		fs := vfs.NewMem()
		writeFile(t, fs, "/data/cairn.format", "stone age\n")
		refuses(t, fs, ErrForeign)
	})
	t.Run("another program's database", func(t *testing.T) {
		fs := vfs.NewMem()
		db, err := pebble.Open("/data/store", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatMinSupported, Logger: &engineLog{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Set([]byte("hello"), nil, pebble.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		refuses(t, fs, ErrForeign)
	})
	t.Run("another program's files", func(t *testing.T) {
		fs := vfs.NewMem()
		writeFile(t, fs, "/data/store/index.html", "<p>")
		refuses(t, fs, ErrForeign)
	})
	t.Run("nothing to read", func(t *testing.T) {
		fs := vfs.NewMem()
		if _, err := Open("/data", Options{FS: fs, ReadOnly: true}); !errors.Is(err, ErrNoData) {
			t.Errorf("%v", err)
		}
		if len(contents(t, fs, "/")) > 0 {
			t.Error("something was written")
		}
	})
}

// A folder from before there was a title gets one.
func TestFolderWithoutTitle(t *testing.T) {
	fs := filled(t)
	title := contents(t, fs, "/data")["/data/cairn.format"]
	if err := fs.Remove("/data/cairn.format"); err != nil {
		t.Fatal(err)
	}
	s := open(t, fs, Options{})
	if got := meta(s.Begin(at(1)), "k0"); got != "v" {
		t.Errorf("k0 is %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, fs, "/data")["/data/cairn.format"]; got != title || title == "" {
		t.Errorf("the title is %q, not %q", got, title)
	}
}

// payload is 2,000 bytes that cannot be compressed.
var payload = func() string {
	text := make([]byte, 2000)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range text {
		text[i] = byte(rng.Uint32())
	}
	return string(text)
}()

// filled returns a file system with a store that has records in a table, and
// more in its log.
func filled(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := open(t, fs, Options{})
	defer s.Close()
	for i := range 100 {
		tx := s.Begin(at(1))
		o := put(tx, fmt.Sprint("k", i), "v")
		tx.Put(o, []byte("r"), []byte(payload))
		commit(t, s)
		if i == 49 {
			if err := errors.Join(s.awaitApplied(), s.db.Flush()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return fs.CrashClone(vfs.CrashCloneCfg{})
}

// find returns the last file of the store that has such a name.
func find(t *testing.T, fs vfs.FS, has string) (last string) {
	t.Helper()
	for name := range contents(t, fs, "/data") {
		if base := path.Base(name); strings.Contains(base, has) && !strings.HasPrefix(base, "marker") {
			last = max(last, name)
		}
	}
	if last == "" {
		t.Fatalf("no %s", has)
	}
	return last
}

// Damage that shows at the start is told, and the attempt loses nothing: with
// the damage mended everything is there.
func TestDamagedFolders(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		spoil      func(whole string) (spoilt string)
	}{
		{"the middle of the log", "log-", func(whole string) string { return whole[:150_000] + "damage" + whole[150_006:] }},
		{"the beginning of the log", "log-", func(whole string) string { return "damage" + whole[6:] }},
		{"the manifest", "MANIFEST-", func(whole string) string { return whole[:20] + "damage" + whole[26:] }},
		{"the end of a table", ".sst", func(whole string) string { return whole[:len(whole)-20] + "damage" + whole[len(whole)-14:] }},
		{"a table cut short", ".sst", func(whole string) string { return whole[:len(whole)/2] }},
		{"a table is missing", ".sst", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := filled(t)
			path := find(t, fs, tt.file)
			whole := contents(t, fs, "/data")[path]
			if tt.spoil == nil {
				if err := fs.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				writeFile(t, fs, path, tt.spoil(whole))
			}
			for _, o := range []Options{{FS: fs}, {FS: fs, ReadOnly: true}} {
				if s, err := Open("/data", o); err == nil {
					_ = s.Close()
					t.Fatalf("opened (read only: %v)", o.ReadOnly)
				} else if !errors.Is(err, ErrDamaged) {
					t.Errorf("%v", err)
				}
			}
			writeFile(t, fs, path, whole)
			s := open(t, fs, Options{})
			defer s.Close()
			tx := s.Begin(at(2))
			for i := range 100 {
				if got := meta(tx, fmt.Sprint("k", i)); got != "v" {
					t.Errorf("k%d is %q", i, got)
				}
			}
		})
	}
}

// Damage within a table shows when it is read, be it by the storage engine's
// own work: then the store cannot be opened, or the turn fails and the process
// is told to end. Nothing wrong is ever answered.
func TestDamagedBlocks(t *testing.T) {
	read := 0
	fs := filled(t)
	table := find(t, fs, ".sst")
	whole := contents(t, fs, "/data")[table]
	for at := 0; at+6 < len(whole); at += len(whole)/20 | 1 {
		fs := filled(t)
		writeFile(t, fs, table, whole[:at]+"damage"+whole[at+6:])
		told := make(chan string, 100)
		s, err := Open("/data", Options{
			FS: fs, Fatal: func(reason string) { told <- reason },
			tune: func(o *pebble.Options) { o.DisableAutomaticCompactions = at%2 == 0 },
		})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d: %v", at, err)
			}
			continue
		}
		tx := s.Begin(time.UnixMilli(2))
		right := 0
		for i := range 50 {
			if o := tx.Lookup(fmt.Append(nil, "k", i)); o != nil {
				switch r, ok := tx.Get(o, []byte("r")); {
				case ok && string(r) == payload:
					right++
				case ok:
					t.Errorf("byte %d: k%d holds %q", at, i, r)
				}
			}
		}
		switch _, err := s.Commit(); {
		case err == nil:
			if right < 50 {
				t.Errorf("byte %d: %d of 50 records, and no error", at, right)
			}
		case !errors.Is(err, ErrDamaged):
			t.Errorf("byte %d: the turn ends with %v", at, err)
		default:
			read++
			if reason := <-told; !strings.Contains(reason, table+" is damaged") {
				t.Error(reason)
			}
		}
		_ = s.Close()
	}
	if read == 0 {
		t.Error("no damage was left for a read to find")
	}
}

// The last record of the log that was cut off by a crash was not acknowledged.
func TestTornLog(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs, Options{})
	put(s.Begin(at(1)), "a", "acknowledged")
	commit(t, s)
	fs = fs.CrashClone(vfs.CrashCloneCfg{})
	log := find(t, fs, "log-")
	text := contents(t, fs, "/data")[log]
	records := strings.TrimRight(text, "\x00")
	torn := len(records) + 64 - len(records)%64
	writeFile(t, fs, log, text[:torn]+"cnRc and what was written of a record"+text[torn+37:])
	s = open(t, fs, Options{})
	defer s.Close()
	if got := meta(s.Begin(at(2)), "a"); got != "acknowledged" {
		t.Errorf("a is %q", got)
	}
}
