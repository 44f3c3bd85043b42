package server

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cairnmq/cairn/config"
)

// # TLS
//
// A listener of tls-port hands out connections that speak TLS. Goroutines move
// their bytes (link_portable.go), shake hands and encrypt; to the loop they are
// connections like any other. The settings are made as a whole, at the start and
// by CONFIG SET, and hold for the connections that are accepted from then on.

// tlsSuites are the cipher suites of TLS 1.2 that give both forward secrecy and
// authenticated encryption. Those of TLS 1.3 all do.
var tlsSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,
}

// tlsSettings are what the directives say, ready for use.
type tlsSettings struct {
	inForce atomic.Pointer[tls.Config]
	log     *Log
}

// newTLSSettings reads the files that the configuration names. An error says
// what to do about it.
func newTLSSettings(c *config.Config, log *Log) (*tlsSettings, error) {
	s := &tlsSettings{log: log}
	next, err := s.read(c)
	if err != nil {
		return nil, err
	}
	s.inForce.Store(next)
	return s, nil
}

// prepare is for config.OnPrepare.
func (s *tlsSettings) prepare(next *config.Config, names []string) (apply func(), err error) {
	i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, "tls-") })
	if i < 0 {
		return nil, nil
	}
	settings, err := s.read(next)
	if err != nil {
		return nil, &config.SetError{Name: names[i], Kind: config.BadValue, Reason: err.Error()}
	}
	return func() {
		s.inForce.Store(settings)
		s.log.Printf(Notice, "TLS: new settings for the connections from now on")
	}, nil
}

func (s *tlsSettings) read(c *config.Config) (*tls.Config, error) {
	certificate, err := readCertificate(c.TLSCertFile, c.TLSKeyFile)
	if err != nil {
		return nil, err
	}
	settings := &tls.Config{
		Certificates:           []tls.Certificate{certificate},
		CipherSuites:           tlsSuites,
		SessionTicketsDisabled: !c.TLSSessionCaching,
	}
	settings.MinVersion, settings.MaxVersion = tlsVersions(c.TLSProtocols)
	if c.TLSAuthClients != config.TLSAuthNo {
		if settings.ClientCAs, err = readAuthorities(c.TLSCACertFile, c.TLSCACertDir); err != nil {
			return nil, err
		}
		settings.ClientAuth = tls.RequireAndVerifyClientCert
		if c.TLSAuthClients == config.TLSAuthOptional {
			settings.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	switch now := time.Now(); {
	case now.After(certificate.Leaf.NotAfter):
		s.log.Warningf("tls-cert-file %s has expired on %s: clients will refuse it", c.TLSCertFile, certificate.Leaf.NotAfter.Format(time.DateTime))
	case now.Before(certificate.Leaf.NotBefore):
		s.log.Warningf("tls-cert-file %s is not valid before %s: clients will refuse it", c.TLSCertFile, certificate.Leaf.NotBefore.Format(time.DateTime))
	}
	return settings, nil
}

func tlsVersions(protocols []string) (least, most uint16) {
	least, most = tls.VersionTLS12, tls.VersionTLS13
	if len(protocols) > 0 && !slices.Contains(protocols, config.TLS12) {
		least = tls.VersionTLS13
	}
	if len(protocols) > 0 && !slices.Contains(protocols, config.TLS13) {
		most = tls.VersionTLS12
	}
	return least, most
}

func readCertificate(certFile, keyFile string) (tls.Certificate, error) {
	var none tls.Certificate
	switch {
	case certFile == "":
		return none, errors.New("TLS needs a certificate: name its file with tls-cert-file, and that of its key with tls-key-file")
	case keyFile == "":
		return none, errors.New("TLS needs the private key of the certificate: name its file with tls-key-file")
	}
	cert, err := readPEM("tls-cert-file", certFile)
	if err != nil {
		return none, err
	}
	key, err := readPEM("tls-key-file", keyFile)
	if err != nil {
		return none, err
	}
	if isEncrypted(key) {
		return none, fmt.Errorf("tls-key-file %s is encrypted, which cairn cannot read: openssl pkey -in %s -out <file> writes it in the clear", keyFile, keyFile)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return none, fmt.Errorf("tls-cert-file %s and tls-key-file %s do not make a certificate with its private key: %w", certFile, keyFile, err)
	}
	pair.PrivateKey = patientSigner{pair.PrivateKey.(crypto.Signer), make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
	return pair, nil
}

// patientSigner signs only as many handshakes at a time as leave a processor to
// the loop: with an RSA key a signature takes milliseconds, and of a crowd that
// connects each peer has its own goroutine.
type patientSigner struct {
	crypto.Signer
	slots chan struct{}
}

func (s patientSigner) Sign(random io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	return s.Signer.Sign(random, digest, o)
}

func isEncrypted(key []byte) bool {
	for block, rest := pem.Decode(key); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}

// pemBytesMax bounds what is read of a file; the certificates of all public
// authorities take a quarter of a megabyte.
const pemBytesMax = 16 << 20

// readPEM reads a file whole. It comes from the loop as well: nothing that could
// keep it waiting, or never ends, counts as a file.
func readPEM(directive, path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no regular file", path)
	case err == nil && info.Size() > pemBytesMax:
		err = fmt.Errorf("%s is too large for certificates", path)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", directive, err)
	}
	return text, nil
}

// readAuthorities reads those whose word on clients counts.
func readAuthorities(file, dir string) (*x509.CertPool, error) {
	if file == "" && dir == "" {
		return nil, errors.New("tls-auth-clients needs the authority of the clients' certificates: name it with tls-ca-cert-file or tls-ca-cert-dir, or let everybody in with tls-auth-clients no")
	}
	pool := x509.NewCertPool()
	if file != "" {
		text, err := readPEM("tls-ca-cert-file", file)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls-ca-cert-file %s holds no certificate in PEM form", file)
		}
	}
	if dir != "" {
		if err := addAuthorities(pool, dir); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

func addAuthorities(pool *x509.CertPool, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot read tls-ca-cert-dir: %w", err)
	}
	found := false
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			continue
		}
		text, err := readPEM("tls-ca-cert-dir", path)
		if err != nil {
			return err
		}
		found = pool.AppendCertsFromPEM(text) || found
	}
	if !found {
		return fmt.Errorf("tls-ca-cert-dir %s holds no certificate in PEM form", dir)
	}
	return nil
}

// tlsListener makes connections that speak TLS of those of another listener.
type tlsListener struct {
	net.Listener
	settings *tlsSettings
	timeMax  time.Duration // of the handshake
}

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsConn{tls.Server(c, l.settings.inForce.Load()), l.timeMax}, nil
}

// tlsConn is a connection that has to shake hands first.
type tlsConn struct {
	*tls.Conn
	timeMax time.Duration
}

// handshake waits for the peer, for no longer than timeMax. It leaves a deadline
// behind.
func (c *tlsConn) handshake() error {
	err := c.SetDeadline(time.Now().Add(c.timeMax))
	if err == nil {
		err = c.Handshake()
	}
	var header tls.RecordHeaderError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &header) && header.Conn != nil:
		return handshakeError{errors.New("it does not speak TLS, and this is the port for it")}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return handshakeError{fmt.Errorf("it has not completed the TLS handshake in %v", c.timeMax)}
	case errors.Is(err, io.EOF):
		return handshakeError{errors.New("it left in the middle of the TLS handshake")}
	}
	return handshakeError{fmt.Errorf("the TLS handshake failed: %w", err)}
}

// handshakeError is why a peer could not be talked to at all.
type handshakeError struct{ error }

// speaksTLS recognizes the start of a TLS handshake, which no command starts
// with.
func speaksTLS(input []byte) bool {
	return len(input) >= 2 && input[0] == 0x16 && input[1] == 0x03
}
