package server

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairnmq/cairn/config"
)

// endLog ends the server and returns what it has logged.
func (i *instance) endLog(t *testing.T) string {
	t.Helper()
	i.Stop("the test wants the log")
	i.wait(t)
	return i.log.String()
}

// shake does a handshake over a connection of its own and returns what the
// client then knows of it. With TLS 1.3 a client is refused only after its own
// part of the handshake: reading tells.
func (i *instance) shake(t *testing.T, settings *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	c := i.dialPlain(t).secure(settings)
	defer c.Close()
	if _, err := io.WriteString(c.Conn, "PING\r\n"); err != nil {
		return tls.ConnectionState{}, err
	}
	line, err := c.r.ReadString('\n')
	if err == nil && line != "+PONG\r\n" {
		err = fmt.Errorf("PING: %q", line)
	}
	return c.Conn.(*tls.Conn).ConnectionState(), err
}

func TestTLSVersions(t *testing.T) {
	for _, tc := range []struct {
		directive   string
		least, most uint16 // of the client
		want        uint16 // 0: refused
	}{
		{"", 0, 0, tls.VersionTLS13},
		{"", 0, tls.VersionTLS12, tls.VersionTLS12},
		{"", tls.VersionTLS10, tls.VersionTLS11, 0},
		{"", tls.VersionTLS10, tls.VersionTLS10, 0},
		{"TLSv1.2", 0, 0, tls.VersionTLS12},
		{"TLSv1.2", tls.VersionTLS13, 0, 0},
		{"TLSv1.3", 0, tls.VersionTLS12, 0},
		{"TLSv1.2 TLSv1.3", 0, 0, tls.VersionTLS13},
	} {
		i := start(t, setup{path: tlsPath, options: []string{"--tls-protocols", tc.directive}})
		settings := i.tls.Clone()
		settings.MinVersion, settings.MaxVersion = tc.least, tc.most
		state, err := i.shake(t, settings)
		if tc.want == 0 && err == nil || tc.want != 0 && (err != nil || state.Version != tc.want) {
			t.Errorf("tls-protocols %q, client %x to %x: version %x, %v", tc.directive, tc.least, tc.most, state.Version, err)
		}
	}
}

// A client that offers only what is no longer safe is refused.
func TestTLSSuites(t *testing.T) {
	i := start(t, setup{path: tlsPath})
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		settings := i.tls.Clone()
		settings.MaxVersion, settings.CipherSuites = tls.VersionTLS12, []uint16{suite.ID}
		safe := strings.HasPrefix(suite.Name, "TLS_ECDHE_ECDSA") && (strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "POLY1305"))
		if _, err := i.shake(t, settings); (err == nil) != safe {
			t.Errorf("%s: %v", suite.Name, err)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	ours, theirs := sharedAuthority(), otherAuthority(t)
	known, unknown := ours.issue(t, "client"), theirs.issue(t, "client")
	// Sent although the server does not ask for one of this authority.
	forced := ours.clientConfig()
	forced.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &unknown, nil }
	expired := ours.issue(t, "client", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	file := ours.files(t, "server").ca
	dir := t.TempDir()
	if err := os.Symlink(file, filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		directive                  string
		none, good, wrong, expired bool
	}{
		{"yes", false, true, false, false},
		{"optional", true, true, false, false},
		{"no", true, true, true, true},
	} {
		for _, authority := range [][]string{{"--tls-ca-cert-file", file}, {"--tls-ca-cert-dir", dir}} {
			i := start(t, setup{path: tlsPath, options: append(authority, "--tls-auth-clients", tc.directive)})
			check := func(what string, settings *tls.Config, want bool) {
				if _, err := i.shake(t, settings); (err == nil) != want {
					t.Errorf("tls-auth-clients %s, %s: %v", tc.directive, what, err)
				}
			}
			check("no certificate", ours.clientConfig(), tc.none)
			check("a good certificate", ours.clientConfig(known), tc.good)
			check("one of another authority", forced, tc.wrong)
			check("an expired one", ours.clientConfig(expired), tc.expired)
			if log := i.endLog(t); tc.directive == "yes" && !strings.Contains(log, "the TLS handshake failed: tls: client didn't provide a certificate") {
				t.Error(log)
			}
		}
	}
}

// Those who mix up the ports are closed, the log says why, and nobody else
// notices.
func TestWrongPort(t *testing.T) {
	i := start(t, setup{path: tlsPath})
	other := i.dial(t)
	for _, sent := range []string{"PING\r\n", bulkCommand("RPUSH", "q", strings.Repeat("x", 100_000)), "GET / HTTP/1.1\r\n\r\n"} {
		c := i.dialPlain(t)
		c.sendBehind(sent)
		c.closedBy()
	}
	other.do("LLEN q", ":0")
	if log := i.endLog(t); strings.Count(log, ": it does not speak TLS, and this is the port for it\n") != 3 {
		t.Error(log)
	}

	onEveryPath(t, func(t *testing.T, path path) {
		if path.isTLS() {
			return
		}
		i := start(t, setup{path: path})
		c := i.dialPlain(t).secure(sharedAuthority().clientConfig())
		if err := c.Conn.(*tls.Conn).Handshake(); err == nil {
			t.Error("a handshake without TLS")
		}
		i.dial(t).do("PING", "+PONG")
		if log := i.endLog(t); strings.Count(log, ": it speaks TLS, and this port does not\n") != 1 {
			t.Error(log)
		}
	})
}

// Who connects and says nothing, or half of it, is closed after a while; until
// then it counts as a client, and holds nobody up.
func TestHandshakeTakesTooLong(t *testing.T) {
	for _, path := range []path{tlsPath, tlsPortablePath} {
		t.Run(string(path), func(t *testing.T) {
			i := start(t, setup{path: path, handshakeTimeMax: 300 * time.Millisecond})
			other := i.dial(t)
			silent, half := i.dialPlain(t), i.dialPlain(t)
			half.send("\x16\x03\x01\x02\x00\x01\x00")
			other.until("INFO clients", "connected_clients:3")
			silent.closedBy()
			half.closedBy()
			other.until("INFO clients", "connected_clients:1")
			if log := i.endLog(t); strings.Count(log, ": it has not completed the TLS handshake in 300ms\n") != 2 {
				t.Error(log)
			}
		})
	}
}

// Somebody who does not complete the handshake does not hold up the end.
func TestEndDuringHandshake(t *testing.T) {
	i := start(t, setup{path: tlsPath, options: []string{"--shutdown-timeout", "60"}})
	silent := i.dialPlain(t)
	i.dial(t).until("INFO clients", "connected_clients:2")
	began := time.Now()
	i.Stop("Received a signal")
	silent.closedBy()
	i.wait(t)
	if took := time.Since(began); took > handshakeTimeMax/2 {
		t.Errorf("took %v", took)
	}
}

// serial tells certificates apart.
func (i *instance) serial(t *testing.T, settings *tls.Config) string {
	t.Helper()
	state, err := i.shake(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].SerialNumber.String()
}

// CONFIG SET of the files reads them for new connections, or changes nothing.
func TestReloadCertificates(t *testing.T) {
	ours := sharedAuthority()
	i := start(t, setup{path: tlsPath})
	c := i.dial(t)
	first := i.serial(t, i.tls)
	next := ours.files(t, "next")
	set := func(pairs string) string {
		t.Helper()
		c.send("CONFIG SET " + pairs + "\r\n")
		return c.reply()
	}
	const failed = "-ERR CONFIG SET failed (possibly related to argument '"
	for pairs, want := range map[string]string{
		"tls-cert-file " + next.cert: failed + "tls-cert-file') - tls-cert-file " + next.cert + " and tls-key-file",
		"tls-key-file /nosuch":       failed + "tls-key-file') - cannot read tls-key-file: stat /nosuch: no such file or directory",
		"timeout 77 tls-cert-file " + next.cert + " tls-key-file " + next.cert: failed + "tls-cert-file') - tls-cert-file " + next.cert + " and tls-key-file",
		"tls-auth-clients yes":    failed + "tls-auth-clients') - tls-auth-clients needs the authority",
		"tls-protocols TLSv1.1":   failed + "tls-protocols') - TLSv1.1 is not safe any more: cairn speaks only TLSv1.2 and TLSv1.3",
		"tls-cert-file /dev/zero": failed + "tls-cert-file') - cannot read tls-cert-file: /dev/zero is no regular file",
	} {
		if got := set(pairs); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", pairs, got, want)
		}
	}
	c.do("CONFIG GET timeout", "[timeout 0]")
	c.do("CONFIG GET tls-auth-clients", "[tls-auth-clients no]")
	if got := i.serial(t, i.tls); got != first {
		t.Error("an error has changed the certificate")
	}

	if got := set("tls-cert-file " + next.cert + " tls-key-file " + next.key); got != "+OK" {
		t.Fatal(got)
	}
	second := i.serial(t, i.tls)
	if second == first {
		t.Error("still the old certificate")
	}
	// The same name again: the content counts.
	again := ours.files(t, "again")
	for from, to := range map[string]string{again.cert: next.cert, again.key: next.key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if got := i.serial(t, i.tls); got != second {
		t.Error("the files were read without having been set")
	}
	if got := set("tls-cert-file " + next.cert); got != "+OK" {
		t.Fatal(got)
	}
	if got := i.serial(t, i.tls); got == second {
		t.Error("the same name was not read again")
	}
	c.do("PING", "+PONG") // who was there stays
}

// A client resumes its session if it may, but not one that it owes to settings
// that are no longer in force.
func TestSessionCaching(t *testing.T) {
	ours := sharedAuthority()
	i := start(t, setup{path: tlsPath})
	c := i.dial(t)
	settings := i.tls.Clone()
	settings.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	resumed := func() bool {
		t.Helper()
		state, err := i.shake(t, settings)
		if err != nil {
			t.Fatal(err)
		}
		return state.DidResume
	}
	resumed() // makes a session
	if !resumed() {
		t.Error("not resumed")
	}
	c.do("CONFIG SET tls-session-caching no", "+OK")
	resumed()
	if resumed() {
		t.Error("resumed without tls-session-caching")
	}
	c.do("CONFIG SET tls-session-caching yes", "+OK")
	resumed() // makes a session
	if !resumed() {
		t.Error("not resumed after tls-session-caching yes")
	}
	c.do("CONFIG SET tls-ca-cert-file "+ours.files(t, "x").ca+" tls-auth-clients yes", "+OK")
	if _, err := i.shake(t, settings); err == nil {
		t.Error("an old session lets somebody in without a certificate")
	}
}

func TestTLSErrorsSayWhatToDo(t *testing.T) {
	ours := sharedAuthority()
	good, other := ours.files(t, "server"), ours.files(t, "other")
	dir := t.TempDir()
	encrypted, sealed := filepath.Join(dir, "encrypted.pem"), filepath.Join(dir, "sealed.pem")
	writePEM(t, encrypted, "ENCRYPTED PRIVATE KEY", []byte("x"))
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")})
	if err := os.WriteFile(sealed, legacy, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ cert, key, rest, want string }{
		{"", "", "", "TLS needs a certificate: name its file with tls-cert-file, and that of its key with tls-key-file"},
		{good.cert, "", "", "TLS needs the private key of the certificate: name its file with tls-key-file"},
		{dir + "/nosuch", good.key, "", "cannot read tls-cert-file: stat " + dir + "/nosuch: no such file or directory"},
		{good.cert, dir, "", "cannot read tls-key-file: " + dir + " is no regular file"},
		{good.cert, other.key, "", "tls-cert-file " + good.cert + " and tls-key-file " + other.key + " do not make a certificate with its private key: tls: private key does not match public key"},
		{good.key, good.key, "", "tls-cert-file " + good.key + " and tls-key-file " + good.key + " do not make a certificate with its private key: tls: failed to find certificate PEM data"},
		{good.cert, encrypted, "", "tls-key-file " + encrypted + " is encrypted, which cairn cannot read: openssl pkey -in " + encrypted + " -out <file> writes it in the clear"},
		{good.cert, sealed, "", "tls-key-file " + sealed + " is encrypted, which cairn cannot read: openssl pkey -in " + sealed + " -out <file> writes it in the clear"},
		{good.cert, good.key, "", "tls-auth-clients needs the authority of the clients' certificates: name it with tls-ca-cert-file or tls-ca-cert-dir, or let everybody in with tls-auth-clients no"},
		{good.cert, good.key, "--tls-ca-cert-file " + good.key, "tls-ca-cert-file " + good.key + " holds no certificate in PEM form"},
		{good.cert, good.key, "--tls-ca-cert-dir " + t.TempDir(), "holds no certificate in PEM form"},
		{good.cert, good.key, "--tls-ca-cert-dir " + dir + "/nosuch", "cannot read tls-ca-cert-dir: open " + dir + "/nosuch: no such file or directory"},
	} {
		c := config.New()
		if err := c.Load(append([]string{"--tls-cert-file", tc.cert, "--tls-key-file", tc.key}, strings.Fields(tc.rest)...)); err != nil {
			t.Fatal(err)
		}
		if _, err := newTLSSettings(c, &Log{out: io.Discard}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %s", tc.rest, err, tc.want)
		}
	}
}

// A certificate that has expired is a reason to warn, not to stand still.
func TestExpiredCertificate(t *testing.T) {
	f := sharedAuthority().files(t, "old", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	i := start(t, setup{path: tlsPath, options: []string{"--tls-cert-file", f.cert, "--tls-key-file", f.key}})
	settings := &tls.Config{InsecureSkipVerify: true}
	if _, err := i.shake(t, settings); err != nil {
		t.Error(err)
	}
	if log := i.endLog(t); !strings.Contains(log, " # tls-cert-file "+f.cert+" has expired on ") {
		t.Error(log)
	}
}

func TestListenWithTLS(t *testing.T) {
	f := sharedAuthority().files(t, "server")
	port := freePort(t)
	c := config.New()
	options := []string{"--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--tls-cert-file", f.cert, "--tls-key-file", f.key, "--tls-auth-clients", "no"}
	if err := c.Load(options); err != nil {
		t.Fatal(err)
	}
	listeners, err := (&Server{options: Options{Config: c, Log: &Log{out: io.Discard}}}).listen()
	if err != nil {
		t.Fatal(err)
	}
	defer closeListeners(listeners)
	if plain, secure := describeListeners(listeners); plain != "" || secure != "127.0.0.1:"+port {
		t.Errorf("plain %q, TLS %q", plain, secure)
	}
	other := config.New()
	if err := other.Load(append(options, "--dir", t.TempDir())); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Server{options: Options{Config: other, Log: &Log{out: io.Discard}}}).listen(); err == nil ||
		err.Error() != "port "+port+" is in use: stop the other server or start with --tls-port 7000" {
		t.Error(err)
	}
}

// A crowd that shakes hands at once does not keep those who are there waiting
// for long, and all get in.
func TestCrowdOfHandshakes(t *testing.T) {
	i := start(t, setup{path: tlsPath})
	var crowd sync.WaitGroup
	for range 200 {
		crowd.Go(func() {
			c, err := tls.Dial("tcp", i.addr.String(), i.tls)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, "PING\r\n") // reading tells
			if line, err := bufio.NewReader(c).ReadString('\n'); line != "+PONG\r\n" {
				t.Error(line, err)
			}
		})
	}
	crowd.Wait()
	i.dial(t).until("INFO clients", "connected_clients:1\r")
}

// Links that are closed with bytes that their peers do not take are not kept
// without limit.
func TestPartingIsBounded(t *testing.T) {
	m := newMailbox(func() {})
	for range partingMax {
		if !m.part() {
			t.Fatal("refused before the limit")
		}
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	l := newPortableLink(m, ours)
	if n, err := l.write([][]byte{[]byte("never read")}); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	l.close()
	if _, err := io.ReadAll(theirs); err != nil { // at once
		t.Fatal(err)
	}
	m.close(time.Now()) // does not wait for them
	for range partingMax {
		m.parted()
	}
	m.close(time.Now().Add(time.Hour))
}
