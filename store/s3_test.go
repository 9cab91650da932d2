package store_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"satchel/store"
	"satchel/store/storetest"
)

// fakeS3 starts gofakes3 with one bucket and gives its configuration. It
// checks no signature and answers an If-Match on an absent key with 412, where
// AWS says 404; what real servers do is tested with versitygw (tag e2e).
func fakeS3(t testing.TB, front func(http.Handler) http.Handler, o ...gofakes3.Option) store.S3Config {
	t.Helper()
	return fakeS3On(t, s3mem.New(), front, o...)
}

func fakeS3On(t testing.TB, backend *s3mem.Backend, front func(http.Handler) http.Handler, o ...gofakes3.Option) store.S3Config {
	t.Helper()
	if err := backend.CreateBucket("bundles"); err != nil {
		t.Fatal(err)
	}
	var h http.Handler = gofakes3.New(backend, o...).Server()
	if front != nil {
		h = front(h)
	}
	return serve(t, h)
}

// serve gives the configuration of a bucket on an HTTP server of the test's.
func serve(t testing.TB, h http.Handler) store.S3Config {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "testkey")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
	t.Setenv("AWS_SESSION_TOKEN", "canary-token")
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // gofakes3 writes some headers twice
	srv.Start()
	t.Cleanup(srv.Close)
	return store.S3Config{Bucket: "bundles", Endpoint: srv.URL}
}

func newS3(t testing.TB, c store.S3Config) *store.S3 {
	t.Helper()
	s, err := store.NewS3(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestS3Contract(t *testing.T) {
	storetest.Contract(t, func(t *testing.T) store.Store { return newS3(t, fakeS3(t, nil)) })
}

// An S3 server behind a certificate of the institution's own.
func TestS3Authorities(t *testing.T) {
	plain := fakeS3(t, nil)
	to, err := url.Parse(plain.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(to))
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	c := plain
	c.Endpoint = front.URL
	if err := newS3(t, c).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
	c.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(c.CAFile, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newS3(t, c).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestS3ContractWithPrefixAndChecksums(t *testing.T) {
	storetest.Contract(t, func(t *testing.T) store.Store {
		c := fakeS3(t, nil)
		yes := true
		c.Prefix, c.Checksums = "/school/satchel/", &yes
		return newS3(t, c)
	})
}

// TestS3DeleteTakesAllVersions: after Delete not even a version id reads what
// was there; another key that begins with the same letters keeps its versions.
func TestS3DeleteTakesAllVersions(t *testing.T) {
	backend := s3mem.New()
	c := fakeS3On(t, backend, nil)
	if err := backend.SetVersioningConfiguration("bundles", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
		t.Fatal(err)
	}
	s := newS3(t, c)
	for _, data := range []string{"one", "two", "three"} {
		put(t, s, "courses/x/bundles/ab", data)
		put(t, s, "courses/x/bundles/abc", data)
	}
	if err := s.Delete(t.Context(), "courses/x/bundles/ab"); err != nil {
		t.Fatal(err)
	}
	left, err := backend.ListBucketVersions("bundles", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, v := range left.Versions {
		switch v := v.(type) {
		case *gofakes3.Version:
			keys = append(keys, v.Key)
		case *gofakes3.DeleteMarker:
			keys = append(keys, "marker "+v.Key)
		}
	}
	if want := slices.Repeat([]string{"courses/x/bundles/abc"}, 3); !slices.Equal(keys, want) {
		t.Errorf("versions left: %q; want %q", keys, want)
	}
}

func TestS3TellsItsClock(t *testing.T) {
	there := time.Now().Add(3 * time.Minute).UTC().Truncate(time.Second)
	s := newS3(t, fakeS3(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", there.Format(http.TimeFormat))
			h.ServeHTTP(w, r)
		})
	}))
	put(t, s, "a/b", "x")
	o, err := s.Head(t.Context(), "a/b")
	if err != nil || !o.Now.Equal(there) {
		t.Errorf("Head: Now %v, %v; want %v", o.Now, err, there)
	}
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil || !o.Now.Equal(there) {
			t.Errorf("List: Now %v, %v; want %v", o.Now, err, there)
		}
	}
	if d, _ := newDir(t, t.TempDir()).Head(t.Context(), "a"); !d.Now.IsZero() {
		t.Error("a folder has no clock of its own")
	}
}

func TestS3ListPassesOverWhatIsNotOurs(t *testing.T) {
	c := fakeS3(t, nil)
	s := newS3(t, c)
	put(t, s, "courses/x/record", "x")
	res, err := http.DefaultClient.Do(request(t, http.MethodPut, c.Endpoint+"/bundles/courses/x/.DS_Store%20(1)", "junk"))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	res.Body.Close()
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil || o.Key != "courses/x/record" {
			t.Errorf("List gives %q, %v", o.Key, err)
		}
	}
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recorder notes the requests that pass.
type recorder struct {
	mu   sync.Mutex
	seen []*http.Request
}

func (r *recorder) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		r.mu.Lock()
		r.seen = append(r.seen, req)
		r.mu.Unlock()
		return next.RoundTrip(req)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestS3Addressing: with an endpoint the bucket is in the path, no checksum
// goes along, and the body has a length; each can be set otherwise.
func TestS3Addressing(t *testing.T) {
	var rec recorder
	c := fakeS3(t, nil)
	c.Wrap = rec.wrap
	put(t, newS3(t, c), "a/b", "x")
	yes, no := true, false
	c.Checksums, c.PathStyle, c.Endpoint = &yes, &no, "http://s3.invalid"
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	s, err := store.NewS3(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Put(ctx, "a/b", strings.NewReader("x")) // to nowhere
	first, second := rec.seen[0], rec.seen[1]
	if first.URL.Path != "/bundles/a/b" || first.ContentLength != 1 || first.Header.Get("X-Amz-Checksum-Crc32") != "" {
		t.Errorf("path style: %s, %d bytes, %v", first.URL, first.ContentLength, first.Header)
	}
	if second.URL.Host != "bundles.s3.invalid" || second.Header.Get("X-Amz-Checksum-Crc32") == "" {
		t.Errorf("host style: %s, %v", second.URL, second.Header)
	}
}

func TestS3SignedURL(t *testing.T) {
	s := newS3(t, fakeS3(t, nil))
	put(t, s, "courses/x/bundles/ab", "0123456789")
	o, err := s.Head(t.Context(), "courses/x/bundles/ab")
	if err != nil {
		t.Fatal(err)
	}
	sec := store.Section{ETag: o.ETag, Offset: 2, Length: 3}
	link, err := s.SignedURL(t.Context(), "courses/x/bundles/ab", sec, 90*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil || u.Query().Get("X-Amz-Expires") != "90" || u.Query().Get("X-Amz-Signature") == "" {
		t.Errorf("signed URL %s, %v", link, err)
	}
	if got := u.Query().Get("X-Amz-SignedHeaders"); got != "host;if-match;if-range;range" {
		t.Errorf("signed headers %q", got)
	}
	req := request(t, http.MethodGet, link, "")
	req.Header = sec.Header()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if data, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusPartialContent || string(data) != "234" {
		t.Errorf("a section by a signed URL: %d %q", res.StatusCode, data)
	}
	for name, ttl := range map[string]time.Duration{"no time": 0, "less": -time.Minute, "more than a week": 8 * 24 * time.Hour} {
		if _, err := s.SignedURL(t.Context(), "a/b", sec, ttl); err == nil {
			t.Errorf("a URL signed for %s", name)
		}
	}
	for _, sec := range []store.Section{
		{ETag: `"x"`}, {ETag: `"x"`, Offset: -1, Length: 5}, {ETag: `"x"`, Length: -1}, {ETag: `"x"`, Offset: 1, Length: math.MaxInt64},
		{Length: 5}, {ETag: `""`, Length: 5}, {ETag: `W/"x"`, Length: 5}, {ETag: "x", Length: 5},
	} {
		if _, err := s.SignedURL(t.Context(), "a/b", sec, time.Minute); err == nil {
			t.Errorf("a URL signed for %+v", sec)
		}
	}
}

func TestOpen(t *testing.T) {
	lg, _ := logger(t)
	if _, err := store.Open(t.Context(), lg, store.Config{}); err == nil {
		t.Error("opened nothing")
	}
	c := fakeS3(t, nil)
	if _, err := store.Open(t.Context(), lg, store.Config{Dir: t.TempDir(), S3: &c}); err == nil {
		t.Error("opened both")
	}
	for _, cfg := range []store.Config{{Dir: t.TempDir()}, {S3: &c}} {
		s, err := store.Open(t.Context(), lg, cfg)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "a/b", "x")
	}
	c.Bucket = "absent"
	if _, err := store.Open(t.Context(), lg, store.Config{S3: &c}); err == nil || !strings.Contains(err.Error(), "no such bucket") {
		t.Errorf("absent bucket: %v", err)
	}
}

// TestOpenWithoutAnswer: the service starts although S3 is away, and says so.
func TestOpenWithoutAnswer(t *testing.T) {
	lg, said := logger(t)
	c := serve(t, http.NotFoundHandler())
	c.Endpoint = "http://127.0.0.1:1"
	s, err := store.Open(t.Context(), lg, store.Config{S3: &c})
	if err != nil || s == nil || !strings.Contains(said.String(), "does not answer") {
		t.Errorf("Open: %v, %v; log: %s", s, err, said)
	}
	if _, err := s.Head(t.Context(), "a/b"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Head: %v; want ErrUnavailable", err)
	}
}
