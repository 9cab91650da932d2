package store_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/store"
)

// TestS3CredentialsAreReadAgain: the SDK reads its shared files once.
func TestS3CredentialsAreReadAgain(t *testing.T) {
	var mu sync.Mutex
	var shown string
	c := fakeS3(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
			shown, _, _ = strings.Cut(key, "/")
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	})
	file := filepath.Join(t.TempDir(), "s3")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys := func(name string) string {
		return "[default]\naws_access_key_id = " + name + "\naws_secret_access_key = canary-secret-of-" + name + "\n"
	}
	write(keys("first"))
	var log bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := newS3(t, c)
	expect := func(what, want string) {
		t.Helper()
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if mu.Lock(); shown != want {
			t.Errorf("%s: S3 was shown the key %q", what, shown)
		}
		mu.Unlock()
	}
	expect("as it began", "first")
	if log.Len() > 0 {
		t.Errorf("nothing changed, and the log says %s", &log)
	}
	write(keys("the-second"))
	expect("replaced", "the-second")
	if !strings.Contains(log.String(), "the-second") || strings.Contains(log.String(), "canary") {
		t.Errorf("the log says %s", &log)
	}
	url, err := s.SignedURL(t.Context(), "a/b", store.Section{Length: 1, ETag: `"e"`}, time.Minute)
	if err != nil || !strings.Contains(url, "Credential=the-second") {
		t.Errorf("a signed URL: %s, %v", url, err)
	}
	write("[default]\naws_access_key_id = half\n")
	expect("half written", "the-second")
	if !strings.Contains(log.String(), "not taken up") {
		t.Errorf("the log says %s", &log)
	}
	write(keys("a-third-key"))
	expect("written at last", "a-third-key")
}
