package compat_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// An authority issues certificates for one test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca")
	return a
}

// issue makes a certificate and writes it to <name>.crt and its key to <name>.key. The first is the authority's own.
func (a *authority) issue(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		a.path(name + ".crt"): {Type: "CERTIFICATE", Bytes: der},
		a.path(name + ".key"): {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// clientConfig trusts the authority and shows the certificate of that name, if there is one.
func (a *authority) clientConfig(t *testing.T, name string) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(a.cert)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(a.path(name+".crt"), a.path(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// startTLS runs a server with a port for TLS beside the other and returns it under either address.
func startTLS(t *testing.T, a *authority, options ...string) (plain, secure *daemon) {
	t.Helper()
	a.issue(t, "server")
	a.issue(t, "client")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	plain = ownCairn(t, t.TempDir(), append([]string{"--tls-port", port, "--tls-cert-file", a.path("server.crt"),
		"--tls-key-file", a.path("server.key"), "--tls-ca-cert-file", a.path("ca.crt")}, options...)...)
	other := *plain
	other.addr = net.JoinHostPort("127.0.0.1", port)
	return plain, &other
}

func connectTLS(t testing.TB, server *daemon, protocol int, settings *tls.Config) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: server.addr, Protocol: protocol, TLSConfig: settings, MaxRetries: -1,
		ReadTimeout: patience, WriteTimeout: patience, DialTimeout: patience,
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func TestTLSGoRedis(t *testing.T) {
	a := newAuthority(t)
	plain, secure := startTLS(t, a)
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("resp%d", protocol), func(t *testing.T) {
			ctx := t.Context()
			rdb := connectTLS(t, secure, protocol, a.clientConfig(t, "client"))
			want(t, rdb.FlushAll(ctx), "OK")
			const commands = 10_000
			replies, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				for i := range commands {
					p.RPush(ctx, "q", i)
				}
				return nil
			})
			if err != nil || len(replies) != commands {
				t.Fatalf("%d replies, %v", len(replies), err)
			}
			want(t, connect(t, plain, protocol).LLen(ctx, "q"), int64(commands))
			if all := value(t, rdb.LRange(ctx, "q", 0, -1)); len(all) != commands || all[commands-1] != fmt.Sprint(commands-1) {
				t.Errorf("%d elements", len(all))
			}

			served := make(chan []string)
			go func() {
				got, _ := rdb.BLPop(ctx, 0, "waited").Result() // a failure shows as nothing served
				served <- got
			}()
			awaitBlocked(t, rdb, 1)
			want(t, rdb.RPush(ctx, "waited", "x"), int64(1))
			if got := <-served; fmt.Sprint(got) != "[waited x]" {
				t.Errorf("BLPOP: %v", got)
			}

			sub := rdb.Subscribe(ctx, "news")
			defer sub.Close()
			if _, err := sub.Receive(ctx); err != nil {
				t.Fatal(err)
			}
			want(t, rdb.Publish(ctx, "news", "hello"), int64(1))
			if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
				t.Errorf("message: %v, %v", m, err)
			}
			if _, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.RPush(ctx, "tx", "a")
				p.LLen(ctx, "tx")
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTLSClientCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	stranger.issue(t, "client")
	_, secure := startTLS(t, a)
	ctx := t.Context()
	known := connectTLS(t, secure, 3, a.clientConfig(t, "client"))
	want(t, known.Ping(ctx), "PONG")
	foreign := a.clientConfig(t, "")
	foreign.Certificates = stranger.clientConfig(t, "client").Certificates
	for what, settings := range map[string]*tls.Config{"without a certificate": a.clientConfig(t, ""), "with a stranger's": foreign} {
		if err := connectTLS(t, secure, 3, settings).Ping(ctx).Err(); err == nil {
			t.Errorf("let in %s", what)
		}
	}
	want(t, known.ConfigSet(ctx, "tls-auth-clients", "optional"), "OK")
	want(t, connectTLS(t, secure, 3, a.clientConfig(t, "")).Ping(ctx), "PONG")

	// A new certificate, for connections from now on.
	before := peerSerial(t, secure, a)
	a.issue(t, "next")
	if err := known.ConfigSet(ctx, "tls-cert-file", a.path("next.crt")).Err(); err == nil {
		t.Error("took a certificate without its key")
	}
	if peerSerial(t, secure, a) != before {
		t.Error("an error has changed the certificate")
	}
	if err := known.Do(ctx, "CONFIG", "SET", "tls-cert-file", a.path("next.crt"), "tls-key-file", a.path("next.key")).Err(); err != nil {
		t.Fatal(err)
	}
	if peerSerial(t, secure, a) == before {
		t.Error("still the old certificate")
	}
	want(t, known.Ping(ctx), "PONG")
}

func peerSerial(t *testing.T, server *daemon, a *authority) string {
	t.Helper()
	c, err := tls.Dial("tcp", server.addr, a.clientConfig(t, "client"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// redisCLIWithTLS skips the test where redis-cli was built without TLS.
func redisCLIWithTLS(t *testing.T) {
	t.Helper()
	out, _ := exec.Command(redisCLI(t), "--help").CombinedOutput() // exits with 1 in some versions
	if !strings.Contains(string(out), "--tls") {
		t.Skip("redis-cli is built without TLS")
	}
}

func TestTLSRedisCLI(t *testing.T) {
	redisCLIWithTLS(t)
	a := newAuthority(t)
	plain, secure := startTLS(t, a)
	with := []string{"--tls", "--cacert", a.path("ca.crt"), "--cert", a.path("client.crt"), "--key", a.path("client.key")}
	tlsCLI := func(stdin string, args ...string) string {
		t.Helper()
		return cli(t, secure, stdin, append(with, args...)...)
	}
	wantText(t, "rpush", tlsCLI("", "rpush", "q", "a b", "c"), "2\n")
	wantText(t, "the same without TLS", cli(t, plain, "", "--no-raw", "lrange", "q", "0", "-1"), "1) \"a b\"\n2) \"c\"\n")
	wantText(t, "-3", tlsCLI("", "-3", "ping"), "PONG\n")
	const commands = 20_000
	var stdin strings.Builder
	for i := range commands {
		stdin.Write(encode([]string{"RPUSH", "piped", fmt.Sprint(i)}))
	}
	if out := tlsCLI(stdin.String(), "--pipe"); !strings.Contains(out, fmt.Sprintf("errors: 0, replies: %d", commands)) {
		t.Errorf("--pipe says %s", out)
	}
	wantText(t, "a long reply", tlsCLI("", "lrange", "piped", "-1", "-1"), fmt.Sprintln(commands-1))
	if out := tlsCLI("", "lrange", "piped", "0", "-1"); strings.Count(out, "\n") != commands {
		t.Errorf("%d elements", strings.Count(out, "\n"))
	}
	wantText(t, "TLS 1.2", tlsCLI("", "--tls-ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256", "ping"), "PONG\n")

	refused := map[string][]string{
		"without a certificate": {"-p", secure.port(), "--tls", "--cacert", a.path("ca.crt")},
		"without TLS":           {"-p", secure.port()},
	}
	if os.Getenv("CAIRN_COMMAND") == "" { // Redis waits for the end of the line
		refused["with TLS on the ordinary port"] = append([]string{"-p", plain.port()}, with...)
	}
	for what, args := range refused {
		out, err := exec.CommandContext(t.Context(), redisCLI(t), append(args, "ping")...).CombinedOutput()
		if err == nil || strings.Contains(string(out), "PONG") {
			t.Errorf("let in %s: %s", what, out)
		}
	}
	wantText(t, "afterwards", tlsCLI("", "ping"), "PONG\n")
}

// With port 0 there is nothing but TLS. What clients are owed when the server is told to end reaches them.
func TestTLSOnly(t *testing.T) {
	if os.Getenv("CAIRN_COMMAND") != "" || os.Getenv("CAIRN_ADDR") != "" {
		t.Skip("the words, and the end, are cairn's own")
	}
	a := newAuthority(t)
	a.issue(t, "server")
	command, err := buildCairn()
	if err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	server, err := launchCommand(command[0], port, []string{"--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(),
		"--tls-cert-file", a.path("server.crt"), "--tls-key-file", a.path("server.key"), "--tls-auth-clients", "no"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.stop(t) })
	if log := server.log.String(); !strings.Contains(log, "Listening (TLS) on 127.0.0.1:"+port) || strings.Contains(log, "Listening on") {
		t.Errorf("the log says %s", log)
	}
	rdb := connectTLS(t, server, 3, a.clientConfig(t, ""))
	big := strings.Repeat("x", 8<<20)
	want(t, rdb.RPush(t.Context(), "q", big), int64(1))
	blocked := make(chan error)
	go func() { blocked <- rdb.BLPop(t.Context(), 0, "nothing").Err() }()
	awaitBlocked(t, rdb, 1)
	reply := make(chan string)
	go func() {
		got, _ := rdb.LIndex(t.Context(), "q", 0).Result() // a failure shows as a short reply
		reply <- got
	}()
	if err := eventually("the reply is on its way", func() (bool, error) {
		info, err := rdb.InfoMap(t.Context(), "commandstats").Result()
		return strings.HasPrefix(info["Commandstats"]["cmdstat_lindex"], "calls=1"), err
	}); err != nil {
		t.Fatal(err)
	}
	server.terminate(t)
	if got := <-reply; len(got) != len(big) {
		t.Errorf("%d bytes of the reply", len(got))
	}
	if err := <-blocked; err == nil || !strings.HasPrefix(err.Error(), "UNBLOCKED") {
		t.Errorf("BLPOP: %v", err)
	}
	if code := server.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d:\n%s", code, server.log)
	}
}

func TestTLSStartupErrors(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server")
	a.issue(t, "other")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	options := func(more ...string) []string {
		return append([]string{"--dir", t.TempDir(), "--port", "0", "--tls-port", port}, more...)
	}
	wantMention(t, refuse(t, options()...), "tls-cert-file")
	wantMention(t, refuse(t, options("--tls-cert-file", a.path("server.crt"))...), "tls-key-file")
	wantMention(t, refuse(t, options("--tls-cert-file", a.path("server.crt"), "--tls-key-file", a.path("other.key"))...),
		"tls-key-file", "does not match")
	wantMention(t, refuse(t, options("--tls-cert-file", a.path("server.crt"), "--tls-key-file", a.path("server.key"))...),
		"tls-auth-clients", "tls-ca-cert-file")
	wantMention(t, refuse(t, options("--tls-cert-file", a.path("nosuch"), "--tls-key-file", a.path("server.key"))...), "nosuch")
	wantMention(t, refuse(t, options("--tls-protocols", "TLSv1.1")...), "tlsv1.1 is not safe")
}
