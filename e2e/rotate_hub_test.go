//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/internal/listen"
)

// fakeHubAPI is a fake of the two questions that the service puts to a hub:
// whose a server's token is ("token-of-NAME" is NAME's), and a user's groups.
type fakeHubAPI struct {
	url string

	mu       sync.Mutex
	services map[string]bool // tokens of services that may read users
}

func newFakeHubAPI(t testing.TB) *fakeHubAPI {
	t.Helper()
	f := &fakeHubAPI{services: map[string]bool{}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL + "/hub/api"
	return f
}

// trust lets a service's token read users, or no longer.
func (f *fakeHubAPI) trust(token string, yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.services[token] = yes
}

func (f *fakeHubAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "token ")
	owner, isServer := strings.CutPrefix(token, "token-of-")
	name, aboutUser := strings.CutPrefix(r.URL.Path, "/hub/api/users/")
	f.mu.Lock()
	service := f.services[token]
	f.mu.Unlock()
	model := map[string]any{"kind": "user", "groups": []string{}, "session_id": nil}
	switch {
	case r.URL.Path == "/hub/api/user" && isServer:
		model["name"], model["scopes"] = owner, []string{"access:servers!server=" + owner + "/", "users:activity!user=" + owner}
	case aboutUser && service:
		model["name"] = name
	default:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	_ = json.NewEncoder(w).Encode(model)
}

// issuer is one that issues certificates for this machine and *.school.test.
type issuer struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB, name string) *issuer {
	t.Helper()
	a := &issuer{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	return a
}

// sign makes a key and a certificate; the authority's own signs itself.
func (a *issuer) sign(like *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	like.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	must(a.t, err)
	like.NotBefore, like.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour)
	by, with := a.cert, a.key
	if by == nil {
		by, with = like, key
	}
	der, err := x509.CreateCertificate(rand.Reader, like, by, key.Public(), with)
	must(a.t, err)
	cert, err := x509.ParseCertificate(der)
	must(a.t, err)
	return cert, key
}

// front is the TLS server before the service, as a proxy of the site's: it
// shows the certificate that it was given last.
type front struct {
	url   string
	shown atomic.Pointer[tls.Certificate]

	mu      sync.Mutex
	streams map[net.Conn]bool // on which a watch waits for events
}

type connKey struct{}

func newFront(t testing.TB, a *issuer, to string) *front {
	t.Helper()
	f := &front{streams: map[net.Conn]bool{}}
	f.show(a)
	l, err := listen.Here()
	must(t, err)
	f.url = "https://" + l.Addr().String()
	at, err := url.Parse("http://" + to)
	must(t, err)
	through := httputil.NewSingleHostReverseProxy(at)
	through.FlushInterval = -1 // events go on at once
	quiet := log.New(io.Discard, "", 0)
	through.ErrorLog = quiet
	serve := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/v1/events") {
			f.mu.Lock()
			f.streams[r.Context().Value(connKey{}).(net.Conn)] = true
			f.mu.Unlock()
		}
		through.ServeHTTP(w, r)
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(serve), ErrorLog: quiet,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return f.shown.Load(), nil
		}},
	}
	go func() { _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { srv.Close() })
	return f
}

// show replaces the certificate by one of this authority's.
func (f *front) show(a *issuer) {
	cert, key := a.sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"*.school.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	f.shown.Store(&tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})
}

// cutStreams ends the connections on which watches wait for events, as a proxy
// does in the end that shows another certificate; they have to come anew.
func (f *front) cutStreams() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.streams {
		c.Close()
	}
	clear(f.streams)
}

// number is the serial number of the certificate that is shown.
func (f *front) number() string {
	cert, err := x509.ParseCertificate(f.shown.Load().Certificate[0])
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", cert.SerialNumber.Bytes())
}
