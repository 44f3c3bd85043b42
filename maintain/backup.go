package maintain

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/redis/go-redis/v9"

	"github.com/cairnmq/cairn/config"
	"github.com/cairnmq/cairn/server"
	"github.com/cairnmq/cairn/storage"
)

// Backup makes a backup of a data folder, in to or, if that is empty, in
// backup-dir. If a broker uses the folder it is asked for the backup (BGSAVE)
// at the address that the configuration names, as the user whose name and
// password are given; otherwise the files are copied.
func Backup(ctx context.Context, c *config.Config, user, password, to string, out, progress io.Writer) error {
	fs := vfs.Default
	p := newProgress(progress)
	if _, _, err := storage.Files(fs, c.Dir); err != nil {
		return fmt.Errorf("%s: %w", c.Dir, err)
	}
	if to != "" {
		if _, err := fs.Stat(to); err == nil {
			return fmt.Errorf("%s exists already: name another folder", to)
		}
	}
	release, err := storage.Lock(fs, c.Dir)
	if errors.Is(err, storage.ErrLocked) {
		made, err := askBroker(ctx, c, user, password, p)
		if err == nil && to != "" {
			err = copyFolder(fs, made, to, p)
			made = to
		}
		p.clear()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "Backup:", made)
		return nil
	}
	if err != nil {
		return err
	}
	made := cmp.Or(to, filepath.Join(server.BackupDir(c), storage.BackupName(time.Now())))
	err = fs.MkdirAll(filepath.Dir(made), 0o755)
	if err == nil {
		err = copyFolder(fs, c.Dir, made, p)
	}
	p.clear()
	if err := errors.Join(err, release()); err != nil {
		return err
	}
	fmt.Fprintln(out, "Backup:", made)
	return nil
}

// pollPeriod is the time between two questions whether the backup is complete.
const pollPeriod = 200 * time.Millisecond

// askBroker has the broker that uses the folder make a backup, and returns where
// that is.
func askBroker(ctx context.Context, c *config.Config, user, password string, p *progress) (path string, err error) {
	options, err := clientOptions(c, user, password)
	if err != nil {
		return "", err
	}
	rdb := redis.NewClient(options)
	defer rdb.Close()
	dir, err := rdb.ConfigGet(ctx, "dir").Result()
	if err != nil {
		return "", fmt.Errorf("a broker uses %s, and could not be asked at %s: %w: give the options that it was started with, and its password in REDISCLI_AUTH", c.Dir, options.Addr, err)
	}
	if !sameFolder(dir["dir"], c.Dir) {
		return "", fmt.Errorf("the broker at %s serves %s, not %s: give the --port or --unixsocket of the one that does", options.Addr, dir["dir"], c.Dir)
	}
	before, err := persistence(ctx, rdb)
	if err != nil {
		return "", err
	}
	if err := rdb.Do(ctx, "BGSAVE", "SCHEDULE").Err(); err != nil {
		return "", err
	}
	began := time.Now()
	for {
		now, err := persistence(ctx, rdb)
		if err != nil {
			return "", err
		}
		if now["rdb_bgsave_in_progress"] == "0" {
			if now["rdb_last_bgsave_status"] != "ok" {
				return "", errors.New(now["backup_last_error"])
			}
			if now["backup_last_path"] == before["backup_last_path"] {
				return "", errors.New("the broker has made no backup")
			}
			return now["backup_last_path"], nil
		}
		p.told("seconds", int64(time.Since(began).Seconds()), 0)
		time.Sleep(pollPeriod)
	}
}

// persistence reads the fields of INFO that tell of backups.
func persistence(ctx context.Context, rdb *redis.Client) (map[string]string, error) {
	text, err := rdb.Info(ctx, "persistence", "cairn").Result()
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

func sameFolder(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// clientOptions says how the broker with this configuration can be reached.
func clientOptions(c *config.Config, user, password string) (*redis.Options, error) {
	o := &redis.Options{Username: user, Password: cmp.Or(password, c.RequirePass), MaxRetries: -1, DisableIdentity: true}
	switch {
	case c.UnixSocket != "":
		o.Network, o.Addr = "unix", c.UnixSocket
	case c.Port != 0:
		o.Addr = net.JoinHostPort(host(c.Bind), strconv.Itoa(c.Port))
	default:
		o.Addr = net.JoinHostPort(host(c.Bind), strconv.Itoa(c.TLSPort))
		var err error
		if o.TLSConfig, err = clientTLS(c); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// clientTLS trusts the certificate that the broker is configured with, whatever
// name is in it, and shows it to the broker, which may ask for one.
func clientTLS(c *config.Config) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		return nil, err
	}
	own := certificate.Leaf
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		// The comparison takes the place of the usual verification.
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(shown [][]byte, _ [][]*x509.Certificate) error {
			if len(shown) == 0 || string(shown[0]) != string(own.Raw) {
				return fmt.Errorf("the broker does not show the certificate of %s", c.TLSCertFile)
			}
			return nil
		},
	}, nil
}

// host is an address of this machine that a broker bound like this listens on.
func host(bind []string) string {
	for _, address := range bind {
		switch address = strings.TrimPrefix(address, "-"); address {
		case "*", "0.0.0.0":
			return "127.0.0.1"
		case "::*", "::":
			return "::1"
		default:
			return address
		}
	}
	return "127.0.0.1"
}
