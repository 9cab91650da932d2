//go:build unix

package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/internal/config"
)

func TestDoctorWarnsBeforeACertificateEnds(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		life, left time.Duration
		well       bool
	}{
		{90 * day, 60 * day, true}, {90 * day, 15 * day, true}, {90 * day, 13 * day, false}, {90 * day, -day, false},
		{7 * day, 5 * day, true}, {7 * day, day, false}, // one that lives for days only
	} {
		k := &checks{}
		end := now.Add(c.left)
		k.certificate(&x509.Certificate{SerialNumber: big.NewInt(7), Issuer: pkix.Name{CommonName: "a"}, NotBefore: end.Add(-c.life), NotAfter: end}, now)
		if len(k.all) != 1 || k.all[0].OK != c.well || k.all[0].Stop == c.well {
			t.Errorf("%v of %v left: %+v", c.left, c.life, k.all)
		}
	}
}

// TestDoctorWithoutCertificates runs once more in a process that has no
// authorities of its own, as in an image without ca-certificates (Go reads them
// once in a process).
func TestDoctorWithoutCertificates(t *testing.T) {
	if os.Getenv("SATCHEL_TEST_BARE") == "" {
		absent := filepath.Join(t.TempDir(), "absent")
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		c.Env = append(os.Environ(), "SATCHEL_TEST_BARE=1", "SSL_CERT_FILE="+absent, "SSL_CERT_DIR="+absent)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("without authorities: %v\n%s", err, out)
		}
		return
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer s.Close()
	cfg := &config.Config{URL: s.URL}
	c := &checks{}
	c.students(t.Context(), cfg)
	c.one(t, "url", false, "is not trusted here")
	if do := c.all[0].Do; !strings.Contains(do, "install ca-certificates") || !strings.Contains(do, "`ca_file`") {
		t.Errorf("to do: %q", do)
	}
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c = &checks{}
	c.students(t.Context(), cfg)
	if n := len(c.all); n != 2 || !c.all[n-1].OK {
		t.Errorf("with ca_file: %+v", c.all)
	}
}
