package agent

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bare runs this test again in a process that has no authorities of its own,
// as in an image without ca-certificates: Go reads them once in a process.
func bare(t *testing.T) (inside bool) {
	t.Helper()
	if os.Getenv("SATCHEL_TEST_BARE") != "" {
		return true
	}
	absent := filepath.Join(t.TempDir(), "absent")
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), "SATCHEL_TEST_BARE=1", "SSL_CERT_FILE="+absent, "SSL_CERT_DIR="+absent)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("without authorities: %v\n%s", err, out)
	}
	return false
}

// In an image without ca-certificates a sync works with SATCHEL_CA_FILE; without
// it nothing breaks, and doctor says what is missing.
func TestAnImageWithoutCertificates(t *testing.T) {
	if !bare(t) {
		return
	}
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	s := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.srv.Student().ServeHTTP(rw, r) }))
	defer s.Close()
	h := w.home("ana")
	h.http, h.s.URL = nil, s.URL
	h.sync()
	if said := strings.Join(h.said(), "\n"); !strings.Contains(said, "The course server cannot be reached") {
		t.Errorf("said %q", said)
	}
	do := ""
	for _, c := range h.agent().Doctor(t.Context()) {
		if c.Name == "service" && !c.OK {
			do = c.Do
		}
	}
	if !strings.Contains(do, "trusts no authority at all") || !strings.Contains(do, "ca-certificates") || !strings.Contains(do, "SATCHEL_CA_FILE") {
		t.Errorf("doctor says to do %q", do)
	}
	h.s.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(h.s.CAFile, own, 0o600); err != nil {
		t.Fatal(err)
	}
	h.sync()
	if _, err := os.Stat(filepath.Join(h.root, "scala101")); err != nil {
		t.Errorf("with SATCHEL_CA_FILE: %v; %q", err, h.said())
	}
}
