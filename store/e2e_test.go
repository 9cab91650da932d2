//go:build e2e

package store_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
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

func TestVersitygwSignedURL(t *testing.T) {
	endpoint, access, secret := s3server.Start(t)
	s := newS3(t, s3server.Bucket(t, endpoint, access, secret))
	put(t, s, "courses/x/bundles/ab", "0123456789")
	put(t, s, "courses/x/bundles/cd", "another")
	link, err := s.SignedURL(t.Context(), "courses/x/bundles/ab", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	fetched := time.Now()
	for name, c := range map[string]struct {
		url, method, span string
		status            int
		body              string
	}{
		"good":             {link, http.MethodGet, "", 200, "0123456789"},
		"a range":          {link, http.MethodGet, "bytes=2-4", 206, "234"},
		"tampered":         {link[:len(link)-4] + "0000", http.MethodGet, "", 403, ""},
		"for another key":  {strings.Replace(link, "/ab?", "/cd?", 1), http.MethodGet, "", 403, ""},
		"longer life":      {strings.Replace(link, "X-Amz-Expires=2", "X-Amz-Expires=9", 1), http.MethodGet, "", 403, ""},
		"to write with":    {link, http.MethodPut, "", 403, ""},
		"to delete with":   {link, http.MethodDelete, "", 403, ""},
		"without a signer": {link[:strings.IndexByte(link, '?')], http.MethodGet, "", 403, ""},
	} {
		status, body := fetch(t, c.method, c.url, c.span)
		if status != c.status || c.status < 300 && body != c.body {
			t.Errorf("%s: %d %.200q; want %d %q", name, status, body, c.status, c.body)
		}
	}
	deadline := fetched.Add(15 * time.Second)
	for { // it dies by itself
		if status, _ := fetch(t, http.MethodGet, link, ""); status == http.StatusForbidden {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a URL signed for two seconds still reads")
		}
		<-time.After(200 * time.Millisecond)
	}
}

func fetch(t *testing.T, method, url, span string) (int, string) {
	t.Helper()
	req := request(t, method, url, "")
	if span != "" {
		req.Header.Set("Range", span)
	}
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
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"))
	if err != nil {
		t.Fatal(err)
	}
	raw := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true })
	_, err = raw.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &c.Bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newS3(t, c)
	for _, data := range []string{"one", "two", "three"} {
		put(t, s, "courses/x/bundles/ab", data)
		put(t, s, "courses/x/bundles/abc", data)
	}
	link, err := s.SignedURL(t.Context(), "courses/x/bundles/ab", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), "courses/x/bundles/ab"); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := fetch(t, http.MethodGet, link, ""); status != http.StatusNotFound {
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
