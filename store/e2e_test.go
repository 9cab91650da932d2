//go:build e2e

package store_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"satchel/internal/s3server"
	"satchel/store"
	"satchel/store/storetest"
)

func TestVersitygwContract(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	storetest.Contract(t, func(t *testing.T) store.Store {
		return newS3(t, s3server.Bucket(t, endpoint, access, secret))
	})
}

func TestVersitygwContractWithPrefixAndChecksums(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	storetest.Contract(t, func(t *testing.T) store.Store {
		c := s3server.Bucket(t, endpoint, access, secret)
		yes := true
		c.Prefix, c.Checksums = "school/satchel", &yes
		return newS3(t, c)
	})
}

func TestVersitygwRefusals(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	good := s3server.Bucket(t, endpoint, access, secret)
	for name, c := range map[string]struct {
		access, secret, bucket, want string
	}{
		"unknown access key": {"nobody", secret, good.Bucket, "AWS_ACCESS_KEY_ID"},
		"wrong secret key":   {access, "wrong-canary", good.Bucket, "AWS_SECRET_ACCESS_KEY"},
		"missing bucket":     {access, secret, "absent", "no such bucket"},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", c.access)
		t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
		lg, _ := logger(t)
		cfg := good
		cfg.Bucket = c.bucket
		_, err := store.Open(t.Context(), lg, store.Config{S3: &cfg})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: Open: %v; want %q in it", name, err, c.want)
		}
		s := newS3(t, cfg)
		_, _, gerr := s.Get(t.Context(), "courses/x/record")
		_, herr := s.Head(t.Context(), "courses/x/record")
		for op, err := range map[string]error{"Get": gerr, "Head": herr} {
			if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s: %v; want %q in it, and not like a course never published", name, op, err, c.want)
			}
		}
	}
}

// TestVersitygwSignedURL: a URL reads the section that it was signed for, and
// nothing else, whatever a request says beside it.
func TestVersitygwSignedURL(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	s := newS3(t, s3server.Bucket(t, endpoint, access, secret))
	put(t, s, "courses/x/bundles/ab", "0123456789")
	put(t, s, "courses/x/bundles/cd", "0123456789")
	sec := sectionOf(t, s, "courses/x/bundles/ab", 2, 3)
	link, err := s.SignedURL(t.Context(), "courses/x/bundles/ab", sec, 6*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	fetched := time.Now()
	set := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			u, err := url.Parse(strings.Replace(link, old, new, 1))
			if err != nil || u.String() == link {
				t.Fatalf("%s: %v", u, err)
			}
			r.URL = u
		}
	}
	method := func(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }
	for name, change := range map[string]func(*http.Request){
		"no range":                    func(r *http.Request) { r.Header.Del("Range") },
		"an empty range":              set("Range", ""),
		"a longer range":              set("Range", "bytes=2-5"),
		"to the end":                  set("Range", "bytes=2-"),
		"from before":                 set("Range", "bytes=0-4"),
		"a shorter range":             set("Range", "bytes=2-3"),
		"the last bytes":              set("Range", "bytes=-10"),
		"two ranges":                  set("Range", "bytes=2-4,0-9"),
		"another range before":        set("Range", "bytes=0-9", "bytes=2-4"),
		"another range behind":        set("Range", "bytes=2-4", "bytes=0-9"),
		"the same range twice":        set("Range", "bytes=2-4", "bytes=2-4"),
		"If-Range of another":         set("If-Range", `"another"`),
		"If-Range of another before":  set("If-Range", `"another"`, sec.ETag),
		"If-Range of another behind":  set("If-Range", sec.ETag, `"another"`),
		"no If-Range":                 func(r *http.Request) { r.Header.Del("If-Range") },
		"If-Match of any":             set("If-Match", "*"),
		"no If-Match":                 func(r *http.Request) { r.Header.Del("If-Match") },
		"none of the headers":         func(r *http.Request) { r.Header = http.Header{} },
		"a range in the query":        replace("?", "?range=bytes%3D0-9&"),
		"a part":                      replace("?", "?partNumber=1&"),
		"fewer headers in the query":  replace("%3Brange", ""),
		"Range taken for another":     replace("%3Bif-range%3Brange", "%3Bif-range"),
		"If-Range not among the rest": replace("%3Bif-range", ""),
		"tampered":                    replace(link[len(link)-4:], "0000"),
		"for another key":             replace("/ab?", "/cd?"),
		"longer life":                 replace("X-Amz-Expires=6", "X-Amz-Expires=9"),
		"without a signer":            replace(link[strings.IndexByte(link, '?'):], ""),
		"only to look":                method(http.MethodHead),
		"to write with":               method(http.MethodPut),
		"to delete with":              method(http.MethodDelete),
	} {
		req := request(t, http.MethodGet, link, "")
		req.Header = sec.Header()
		change(req)
		if status, body := send(t, req); status != http.StatusForbidden {
			t.Errorf("%s: %d %.200q", name, status, body)
		}
	}
	if status, body := fetch(t, link, sec.Header()); status != http.StatusPartialContent || body != "234" {
		t.Errorf("as it was signed: %d %q", status, body)
	}
	if time.Since(fetched) > 6*time.Second {
		t.Fatal("all of this was refused for its age")
	}
	deadline := fetched.Add(20 * time.Second)
	for { // it dies by itself
		if status, _ := fetch(t, link, sec.Header()); status == http.StatusForbidden {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a URL signed for six seconds still reads")
		}
		<-time.After(200 * time.Millisecond)
	}
}

// TestVersitygwHoldsURLsToTheirSections, and a server that takes any header for
// signed does not: that is seen before a URL goes out.
func TestVersitygwHoldsURLsToTheirSections(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	cfg := s3server.Bucket(t, endpoint, access, secret)
	s := newS3(t, cfg)
	put(t, s, "courses/x/bundles/ab", "0123456789")
	sec := sectionOf(t, s, "courses/x/bundles/ab", 2, 3)
	if err := s.CheckSection(t.Context(), "courses/x/bundles/ab", sec); err != nil {
		t.Error(err)
	}
	for name, lax := range map[string]func(http.Header){
		"the range":    func(h http.Header) { h.Set("Range", "bytes=2-4") },
		"If-Range":     func(h http.Header) { h.Set("If-Range", sec.ETag) },
		"every header": func(h http.Header) { maps.Copy(h, sec.Header()) },
	} {
		cfg.Wrap = func(next http.RoundTripper) http.RoundTripper { return laxServer{next, lax} }
		if err := newS3(t, cfg).CheckSection(t.Context(), "courses/x/bundles/ab", sec); !errors.Is(err, store.ErrSections) {
			t.Errorf("a server that does not look at %s: %v", name, err)
		}
	}
	if err := s.CheckSection(t.Context(), "courses/x/bundles/cd", sec); err == nil || errors.Is(err, store.ErrSections) {
		t.Errorf("nothing there: %v", err)
	}
}

// laxServer stands for one that does not check some headers.
type laxServer struct {
	next http.RoundTripper
	lax  func(http.Header)
}

func (l laxServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Has("X-Amz-Signature") {
		r = r.Clone(r.Context())
		l.lax(r.Header)
	}
	return l.next.RoundTrip(r)
}

// TestVersitygwSignedURLOfWhatWas: an object that was written anew, as another,
// is not read by a URL of the one before.
func TestVersitygwSignedURLOfWhatWas(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	s := newS3(t, s3server.Bucket(t, endpoint, access, secret))
	put(t, s, "a/b", "0123456789")
	sec := sectionOf(t, s, "a/b", 2, 3)
	link, err := s.SignedURL(t.Context(), "a/b", sec, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/b", "another")
	if status, body := fetch(t, link, sec.Header()); status != http.StatusPreconditionFailed {
		t.Errorf("%d %q", status, body)
	}
}

func sectionOf(t *testing.T, s *store.S3, key string, off, n int64) store.Section {
	t.Helper()
	o, err := s.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return store.Section{ETag: o.ETag, Offset: off, Length: n}
}

func fetch(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	req := request(t, http.MethodGet, url, "")
	req.Header = header
	return send(t, req)
}

func send(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}

// TestVersitygwDeleteTakesAllVersions: also a URL that was signed for one of
// them dies with it.
func TestVersitygwDeleteTakesAllVersions(t *testing.T) {
	endpoint, access, secret := s3server.StartVersioned(t)
	c := s3server.Bucket(t, endpoint, access, secret)
	raw := besideOf(t, c)
	raw.versioning(types.BucketVersioningStatusEnabled)
	s := newS3(t, c)
	for _, data := range []string{"one", "two", "three"} {
		put(t, s, "courses/x/bundles/ab", data)
		put(t, s, "courses/x/bundles/abc", data)
	}
	sec := sectionOf(t, s, "courses/x/bundles/ab", 0, 2)
	link, err := s.SignedURL(t.Context(), "courses/x/bundles/ab", sec, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), "courses/x/bundles/ab"); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := fetch(t, link, sec.Header()); status != http.StatusNotFound {
		t.Errorf("a URL signed before: %d %q", status, body)
	}
	left, err := raw.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &c.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range left.Versions {
		if aws.ToString(v.Key) != "courses/x/bundles/abc" {
			t.Errorf("left: %s %s", *v.Key, aws.ToString(v.VersionId))
		}
	}
	if len(left.Versions) != 3 || len(left.DeleteMarkers) != 0 {
		t.Errorf("left: %d versions, %d markers; want the other key's 3", len(left.Versions), len(left.DeleteMarkers))
	}
}

// TestDirOnAFullDisk fills a tmpfs of one megabyte, in a mount namespace of
// its own, and on a read-only one tries to write.
func TestDirOnAFullDisk(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const script = `mount -t tmpfs -o size=1m none "$1" && "$2" && mount -o remount,ro "$1" && "$2"`
	cmd := exec.Command("unshare", "-Urm", "sh", "-c", script, "sh", dir, self)
	cmd.Env = append(os.Environ(), workerEnv+"=fill "+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"is full", "the old object is whole", "nothing in .tmp", "read-only filesystem"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in what it said:\n%s", want, out)
		}
	}
}

func BenchmarkVersitygw(b *testing.B) {
	endpoint, access, secret := s3server.Start(b)
	benchmark(b, newS3(b, s3server.Bucket(b, endpoint, access, secret)))
}

// TestDirSystemCalls looks by strace at what a write is made of: the file is
// fsync'd before it gets its name, and the folder after.
func TestDirSystemCalls(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strace", "-f", "-y", "-e", "trace=fsync,linkat,renameat,renameat2,mkdirat", self)
	cmd.Env = append(os.Environ(), workerEnv+"=put "+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rest := string(out)
	for _, want := range []string{
		`fsync\(\d+<[^>]*/\.tmp/`, `mkdirat\(.*"courses"`, `fsync\(\d+<[^>]*/001>`, `mkdirat\(.*"x"`, `fsync\(\d+<[^>]*/courses>`,
		`linkat\(.*"bundle"`, `fsync\(\d+<[^>]*/courses/x>`,
		`fsync\(\d+<[^>]*/\.tmp/`, `renameat.*"record"`, `fsync\(\d+<[^>]*/courses/x>`,
	} {
		at := regexp.MustCompile(want).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("%s does not come in its turn in\n%s", want, out)
		}
		rest = rest[at[1]:]
	}
}
