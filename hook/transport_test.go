package hook

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// Over TLS all that an agent asks shares one connection, also where it has
// roots of its own.
func TestClientSpeaksHTTP2OverTLS(t *testing.T) {
	var asked, other atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.ProtoMajor != 2 {
			other.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, reach := range []Reach{Anywhere, Near} {
		c := NewClient(ClientOptions{URL: s.URL, CAFile: roots, Reach: reach, Ticket: func() string { return "t" }})
		defer c.Close()
		if err := c.Receipt(t.Context(), Receipt{}); err != nil {
			t.Error(err)
		}
	}
	if asked.Load() != 2 || other.Load() > 0 {
		t.Errorf("%d requests, %d of them not of HTTP/2", asked.Load(), other.Load())
	}
}
