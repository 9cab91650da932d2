// Package webgit serves git repositories over HTTPS, for tests: the machine's
// real `git http-backend` (as behind Apache), a certificate by an authority of
// its own, and a login where one is wanted. It is no git host.
package webgit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options says what is served, and to whom.
type Options struct {
	// Repos maps the path that a client names ("/school/scala101.git") to a
	// repository's folder.
	Repos map[string]string
	// Passwords may read: any user with one of them. None: everybody may.
	Passwords []string
	// Names are those of the certificate beside the loopback addresses.
	Names []string
	// Wrap, where set, stands before the repositories, behind TLS.
	Wrap func(http.Handler) http.Handler
}

// Server is a running server. Close ends it.
type Server struct {
	lg  *slog.Logger
	web *httptest.Server
	git string
	ca  []byte

	mu    sync.Mutex
	o     Options
	asked []string
}

// Start listens on a free port of loopback and serves until Close.
func Start(lg *slog.Logger, o Options) (*Server, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("serve repositories over HTTPS: %w", err)
	}
	s := &Server{lg: lg, o: o, git: git}
	cert, ca, err := certificate(o.Names)
	if err != nil {
		return nil, err
	}
	s.ca = ca
	var h http.Handler = http.HandlerFunc(s.serve)
	if o.Wrap != nil {
		h = o.Wrap(h)
	}
	s.web = httptest.NewUnstartedServer(h)
	s.web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.web.EnableHTTP2 = true
	s.web.Config.ErrorLog = slog.NewLogLogger(lg.Handler(), slog.LevelDebug)
	s.web.StartTLS()
	return s, nil
}

// Close ends the server.
func (s *Server) Close() {
	s.web.CloseClientConnections()
	s.web.Close()
}

// Addr is the address it listens on, as host:port.
func (s *Server) Addr() string { return s.web.Listener.Addr().String() }

// URL is how a client names the repository at that path.
func (s *Server) URL(repo string) string {
	return "https://" + s.Addr() + "/" + strings.TrimPrefix(repo, "/")
}

// CA is the certificate (PEM) of the authority by which it is known.
func (s *Server) CA() []byte { return s.ca }

// Admit replaces the passwords.
func (s *Server) Admit(passwords ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.Passwords = passwords
}

// Asked gives the requests since it was called last: method, path, user.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.asked
	s.asked = nil
	return out
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	s.mu.Lock()
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+user))
	may := len(s.o.Passwords) == 0
	for _, p := range s.o.Passwords {
		may = may || password == p
	}
	dir, rest := s.repository(r.URL.Path)
	s.mu.Unlock()
	switch {
	case !may:
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "Authentication required", http.StatusUnauthorized)
	case dir == "":
		http.NotFound(w, r)
	default:
		(&cgi.Handler{
			Path: s.git, Args: []string{"http-backend"}, Dir: dir,
			Env: []string{"PATH_TRANSLATED=" + filepath.Join(dir, rest), "GIT_HTTP_EXPORT_ALL=1", "HOME=/nonexistent",
				"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "REMOTE_USER=" + user},
			Logger: slog.NewLogLogger(s.lg.Handler(), slog.LevelDebug),
		}).ServeHTTP(w, r)
	}
}

// repository finds the folder for a path, and what is asked of it.
func (s *Server) repository(path string) (dir, rest string) {
	for name, dir := range s.o.Repos {
		if rest, ok := strings.CutPrefix(path, "/"+strings.Trim(name, "/")+"/"); ok {
			return dir, rest
		}
	}
	return "", ""
}

// certificate makes an authority, and a certificate by it.
func certificate(names []string) (cert tls.Certificate, ca []byte, err error) {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "School CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	if err != nil {
		return cert, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "git.school.test"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), caKey)
	if err != nil {
		return cert, nil, err
	}
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca, nil
}
