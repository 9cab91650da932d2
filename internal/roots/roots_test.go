package roots

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	if pool, err := Read(""); pool != nil || err != nil {
		t.Errorf("%v, %v: nil is the system's own", pool, err)
	}
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	pool, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Client()
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = pool
	if _, err := c.Get(s.URL); err != nil {
		t.Error(err)
	}
	for text, says := range map[string]string{"": "holds no certificate", "nothing\n": "holds no certificate", strings.Repeat("x", maxFile+1): "is larger than"} {
		write(text)
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a file that is not there was read")
	}
}
