package roots

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// authority is a certificate that signed itself, for 127.0.0.1.
func authority(t *testing.T, number int64) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	like := &x509.Certificate{
		SerialNumber: big.NewInt(number), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, like, like, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestFollow changes a server's authority under a client that lives on.
func TestFollow(t *testing.T) {
	old, oldPEM := authority(t, 1)
	next, nextPEM := authority(t, 2)
	var shown atomic.Pointer[tls.Certificate]
	shown.Store(&old)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*shown.Load()}, NextProtos: []string{"h2"}}, nil
	}}
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(oldPEM)
	rt, err := Follow(file, Read, &http.Transport{ForceAttemptHTTP2: true})
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: rt}
	defer c.CloseIdleConnections()
	ask := func(what string, good bool) {
		t.Helper()
		s.CloseClientConnections()
		c.CloseIdleConnections()
		resp, err := c.Get(s.URL)
		if (err == nil) != good {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			if resp.ProtoMajor != 2 {
				t.Errorf("%s: %s", what, resp.Proto)
			}
			resp.Body.Close()
		}
	}
	ask("the first authority", true)
	write(append(oldPEM[:len(oldPEM):len(oldPEM)], nextPEM...))
	ask("both, the first is shown", true)
	shown.Store(&next)
	ask("both, the second is shown", true)
	write([]byte("nothing\n"))
	ask("a file without any: the former stay", true)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	ask("no file: the former stay", true)
	write(nextPEM)
	ask("the second alone", true)
	shown.Store(&old)
	ask("the first, which is trusted no more", false)
}

func TestFollowBeginsWithAFile(t *testing.T) {
	if _, err := Follow(filepath.Join(t.TempDir(), "absent"), Read, &http.Transport{}); err == nil {
		t.Error("a file that is not there was followed")
	}
}
