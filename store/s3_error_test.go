package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"satchel/store"
)

func answer(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

func logger(t *testing.T) (*slog.Logger, *bytes.Buffer) {
	t.Helper()
	said := &bytes.Buffer{}
	return slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})), said
}

// TestS3Sentences: what the server says, and what an administrator reads.
func TestS3Sentences(t *testing.T) {
	for _, c := range []struct {
		status        int
		code, message string
		want          string
		is            error
	}{
		{403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", "AWS_ACCESS_KEY_ID", nil},
		{403, "SignatureDoesNotMatch", "The request signature we calculated does not match", "AWS_SECRET_ACCESS_KEY", nil},
		{403, "AccessDenied", "Access Denied", "s3:GetObject", nil},
		{400, "ExpiredToken", "The provided token has expired.", "renew the credentials", nil},
		{403, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.", "set this machine's clock", nil},
		{404, "NoSuchBucket", "The specified bucket does not exist", "store.s3.bucket", nil},
		{404, "NoSuchKey", "The specified key does not exist.", "not found", store.ErrNotFound},
		{301, "PermanentRedirect", "must be addressed using the specified endpoint", "store.s3.region to eu-west-1", nil},
		{400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-central-1'", "store.s3.region to eu-central-1", nil},
		{307, "TemporaryRedirect", "Please re-send this request", "store.s3.region", nil},
		{501, "NotImplemented", "A header you provided implies functionality that is not implemented", "does not know a part of S3", nil},
		{400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match", "store.s3.checksums", nil},
		{507, "InsufficientStorage", "full", "is full", nil},
		{500, "XMinioStorageFull", "Storage backend has reached its minimum free drive threshold.", "is full", nil},
		{503, "SlowDown", "Please reduce your request rate.", "go slower", store.ErrUnavailable},
		{500, "InternalError", "We encountered an internal error.", "does not answer", store.ErrUnavailable},
		{429, "TooManyRequests", "slow", "does not answer", store.ErrUnavailable},
		{405, "MethodNotAllowed", "The specified method is not allowed", "The specified method is not allowed", nil},
	} {
		s := newS3(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if c.status == 301 {
				w.Header().Set("X-Amz-Bucket-Region", "eu-west-1")
			}
			answer(w, c.status, c.code, c.message)
		})))
		_, _, err := s.Get(t.Context(), "courses/x/record")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "get courses/x/record: ") {
			t.Errorf("%s: %v; want %q in it", c.code, err, c.want)
		}
		for _, is := range []error{store.ErrNotFound, store.ErrUnavailable, store.ErrExists, store.ErrChanged} {
			if errors.Is(err, is) != (is == c.is) {
				t.Errorf("%s: %v: is %v: %v", c.code, err, is, errors.Is(err, is))
			}
		}
	}
}

// TestS3StrangersPageIsNotAnAbsentObject: a proxy's "404 page not found" must
// not look like a course that was never published.
func TestS3StrangersPageIsNotAnAbsentObject(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"404 text":  http.NotFound,
		"404 empty": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"404 page": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, "<html><body>Not here</body></html>")
		},
	} {
		s := newS3(t, serve(t, h))
		_, _, err := s.Get(t.Context(), "courses/x/record")
		if err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: Get: %v", name, err)
		}
		if _, err := s.Head(t.Context(), "courses/x/record"); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: Head: %v", name, err)
		}
		if _, _, err := store.ReadRecord(t.Context(), s, "x"); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: ReadRecord: %v", name, err)
		}
	}
	page := newS3(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<html><body>Welcome!</body>")
	})))
	if err := page.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "store.s3") {
		t.Errorf("Check of a web page: %v", err)
	}
}

func TestS3NobodyThere(t *testing.T) {
	c := serve(t, http.NotFoundHandler())
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:1":               "connection refused",
		"http://satchel-no-such-host.test": "there is no host satchel-no-such-host.test",
	} {
		c.Endpoint = endpoint
		_, err := newS3(t, c).Head(t.Context(), "a/b")
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v; want ErrUnavailable", endpoint, err)
		}
		// Some machines' resolvers answer nothing at all for the second.
		if !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "lookup") {
			t.Errorf("%s: %v; want %q in it", endpoint, err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, err := newS3(t, c).Head(ctx, "a/b")
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("out of time: %v", err)
	}
}

// TestS3ErrorsHoldNoSecret: a server that echoes everything it was sent, in
// every way, cannot bring it into an error's text.
func TestS3ErrorsHoldNoSecret(t *testing.T) {
	s := newS3(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		echo := fmt.Sprintf("X-Amz-Security-Token=%s; Authorization: %s; X-Amz-Signature=canary-secret&amp;token: canary-token\n\x1b[31m",
			r.Header.Get("X-Amz-Security-Token"), r.Header.Get("Authorization"))
		answer(w, http.StatusBadRequest, "InvalidRequest", strings.ReplaceAll(echo, "\x1b", "?"))
	})))
	_, _, err := s.Get(t.Context(), "a/b")
	_, herr := s.Head(t.Context(), "a/b")
	perr := s.Put(t.Context(), "a/b", strings.NewReader("x"))
	for _, err := range []error{err, herr, perr, s.Check(t.Context())} {
		text := fmt.Sprintf("%v %+v %q", err, err, err)
		if err == nil || strings.Contains(text, "canary") || strings.Contains(text, "Signature=") && !strings.Contains(text, "Signature=[hidden]") {
			t.Errorf("error: %s", text)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), "canary") {
				t.Errorf("inside the error: %s", e)
			}
		}
	}
}

func TestS3ConfigMistakes(t *testing.T) {
	good := serve(t, http.NotFoundHandler())
	for name, change := range map[string]func(*store.S3Config){
		"store.s3.bucket":   func(c *store.S3Config) { c.Bucket = "" },
		"bare name":         func(c *store.S3Config) { c.Bucket = "s3://bundles" },
		"store.s3.prefix":   func(c *store.S3Config) { c.Prefix = "../x" },
		"store.s3.endpoint": func(c *store.S3Config) { c.Endpoint = "localhost:9000" },
		"without a user":    func(c *store.S3Config) { c.Endpoint = "https://user:canary@s3.test" },
		"store.s3.region":   func(c *store.S3Config) { c.Endpoint = "" },
	} {
		c := good
		change(&c)
		t.Setenv("AWS_REGION", "")
		t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
		_, err := store.NewS3(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v; want %q in it", c, err, name)
		}
	}
}

// TestS3WithoutCredentials: soon, and with a sentence, although the machine's
// metadata service is asked last and is not there.
func TestS3WithoutCredentials(t *testing.T) {
	c := serve(t, http.NotFoundHandler())
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
	begin := time.Now()
	_, err := store.NewS3(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "no S3 credentials") || time.Since(begin) > 8*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}
