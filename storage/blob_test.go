package storage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// noise returns so many bytes that cannot be compressed. They must not be changed.
func noise(rng *rand.Rand, size int) []byte {
	from := rng.IntN(len(noises) - size)
	return noises[from : from+size]
}

var noises = func() []byte {
	text := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text) // cannot fail
	return text
}()

// churn writes and takes records of all sizes until blob files come and go, are
// written anew, and stay in part, and tables hold deletions of ranges.
func churn(t *testing.T, s *Store, rng *rand.Rand) {
	t.Helper()
	now := at(1)
	for turn := range 200 {
		tx := s.Begin(now)
		o := put(tx, "q", "v")
		for range 20 {
			tx.Put(o, sub(rng.Uint32N(2000)), noise(rng, rng.IntN(3*blobBytesMin)))
			tx.Delete(o, sub(rng.Uint32N(2000)))
		}
		if turn%50 == 49 {
			from := rng.Uint32N(2000)
			tx.DeleteRange(o, sub(from), sub(from+100))
		}
		commit(t, s)
		if turn%10 == 9 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	rest(t, s, &now)
}

// The manifest says by our reading what it says by Pebble's.
func TestBlobFilesOfTheManifest(t *testing.T) {
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(1, 1))
	var rewritten atomic.Int64
	for range 5 {
		s := open(t, fs, Options{MemTableBytes: 1 << 20, tune: func(o *pebble.Options) {
			blobsAgeAtOnce(o)
			o.EventListener.BlobFileRewriteEnd = func(pebble.BlobFileRewriteInfo) { rewritten.Add(1) }
		}})
		churn(t, s, rng)
		for s.db.Metrics().Compact.NumInProgress > 0 {
			runtime.Gosched()
		}
		description, err := pebble.Peek("/data/store", fs)
		if err != nil {
			t.Fatal(err)
		}
		m := s.db.Metrics()
		sizes, err := blobSizes(fs, description.ManifestFilename)
		total := uint64(0)
		for _, n := range sizes {
			total += n
		}
		if err != nil || len(sizes) == 0 || uint64(len(sizes)) != m.BlobFiles.LiveCount || total != m.BlobFiles.LiveSize {
			t.Errorf("%d blob files of %d bytes: Pebble knows %d of %d; %v", len(sizes), total, m.BlobFiles.LiveCount, m.BlobFiles.LiveSize, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := inspectBlobs(fs, "/data/store"); err != nil {
			t.Error(err)
		}
	}
	if rewritten.Load() == 0 {
		t.Error("no blob file was written anew: the test does not test")
	}
}

// What the store takes is what is in its folder, also after a restart.
func TestDiskBytes(t *testing.T) {
	fs := vfs.NewMem()
	for range 3 {
		s := open(t, fs, Options{MemTableBytes: 1 << 20})
		churn(t, s, rand.New(rand.NewPCG(1, 1)))
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		m := s.db.Metrics()
		for m.Compact.NumInProgress > 0 || m.Table.ObsoleteCount+m.Table.ZombieCount > 0 || m.BlobFiles.ObsoleteCount+uint64(m.BlobFiles.ZombieCount) > 0 {
			m = s.db.Metrics()
		}
		held, err := folderBytes(fs, "/data/store")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.DiskBytes(); got < held*9/10 || got > held*11/10 {
			t.Errorf("%d bytes are taken, %d are in the folder", got, held)
		}
		if m.BlobFiles.LiveSize < uint64(held)/2 {
			t.Errorf("of %d bytes %d are in blob files", held, m.BlobFiles.LiveSize)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A blob file whose end is spoilt while the store is in use ends the process with
// a message.
func TestDamagedWhileInUse(t *testing.T) {
	fs := filled(t)
	told := make(chan string, 100)
	s := open(t, fs, Options{
		Fatal: func(reason string) { told <- reason },
		tune:  func(o *pebble.Options) { o.DisableAutomaticCompactions = true },
	})
	path := find(t, fs, blobSuffix)
	whole := contents(t, fs, "/data")[path]
	writeFile(t, fs, path, whole[:len(whole)-20]+"damage"+whole[len(whole)-14:])
	tx := s.Begin(at(2))
	for i := range 100 {
		tx.Get(tx.Lookup(fmt.Append(nil, "k", i)), []byte("large"))
	}
	if _, err := s.Commit(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("the turn ends with %v", err)
	}
	if reason := <-told; !strings.Contains(reason, path+" is damaged") {
		t.Error(reason)
	}
	_ = s.Close()
}

// Each damaged blob file is named, wherever the damage is.
func TestCheckOfBlobFiles(t *testing.T) {
	fs := filled(t)
	path := find(t, fs, blobSuffix)
	whole := contents(t, fs, "/data")[path]
	for at := 0; at+6 < len(whole); at += 5000 {
		writeFile(t, fs, path, whole[:at]+"damage"+whole[at+6:])
		var found []error
		sum, err := CheckTables(fs, "/data", Check{Problem: func(err error) { found = append(found, err) }})
		if err != nil || sum.Blobs == 0 || len(found) != 1 || !strings.Contains(found[0].Error(), "blob file "+filepath.Base(path)) {
			t.Errorf("byte %d: %v %v", at, found, err)
		}
	}
}

// A backup has the values.
func TestBackupOfBlobFiles(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{MemTableBytes: 1 << 20, tune: blobsAgeAtOnce})
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 3 {
		churn(t, s, rng)
		dir := fmt.Sprint("/backup", n)
		want := contentsOf(t, s)
		if _, err := s.Backup(dir); err != nil {
			t.Fatal(err)
		}
		churn(t, s, rng)
		b, err := Open(dir, Options{FS: fs, ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := contentsOf(t, b); !bytes.Equal(got, want) || len(got) == 0 {
			t.Errorf("the backup has %d bytes, not the %d of the store", len(got), len(want))
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// contentsOf returns all records of the key q, one after the other.
func contentsOf(t *testing.T, s *Store) (all []byte) {
	t.Helper()
	tx, release := s.Snapshot(at(1))
	defer release()
	for k, v := range tx.Scan(tx.Lookup([]byte("q")), nil, nil, false) {
		all = append(append(all, k...), v...)
	}
	if tx.err != nil {
		t.Fatal(tx.err)
	}
	return all
}
