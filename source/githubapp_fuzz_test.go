package source

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
)

// canned answers each request with the same.
type canned struct {
	code int
	body []byte
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.code, Status: "0 \x1b\n", Body: io.NopCloser(bytes.NewReader(c.body))}, nil
}

// FuzzGitHubApp: whatever answers in GitHub's place, a token is one word, and
// what is wrong is said on one line.
func FuzzGitHubApp(f *testing.F) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	file := filepath.Join(f.TempDir(), "app.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Add(200, []byte(`{"id":77,"token":"ghs_x","expires_at":"2026-09-01T09:00:00Z"}`))
	f.Add(401, []byte("{\"message\":\"no\\n\\u001b[2J\"}"))
	f.Add(200, []byte(`{"id":-1,"token":"a b\n"}`))
	f.Add(503, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, code int, body []byte) {
		a := &app{of: GitHubApp{ID: 123, KeyFile: file}, now: time.Now}
		got, err := a.login(t.Context(), &http.Client{Transport: canned{code, body}}, address{path: "/school/course.git"})
		var e *Error
		switch {
		case err == nil && (got.password == "" || strings.ContainsAny(got.password, " \r\n\x00")):
			t.Errorf("a token %q", got.password)
		case err != nil && !errors.As(err, &e):
			t.Errorf("%v", err)
		case err != nil && strings.ContainsFunc(e.Sentence, unicode.IsControl):
			t.Errorf("said %q", e.Sentence)
		}
	})
}
