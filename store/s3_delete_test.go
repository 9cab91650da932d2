package store_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"satchel/store"
)

// beside is a bucket past everything of ours.
type beside struct {
	t      *testing.T
	bucket string
	*s3.Client
}

func besideOf(t *testing.T, c store.S3Config) beside {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"))
	if err != nil {
		t.Fatal(err)
	}
	raw := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &c.Endpoint, true })
	return beside{t, c.Bucket, raw}
}

// cover puts a delete marker over an object.
func (b beside) cover(key string) {
	b.t.Helper()
	if _, err := b.DeleteObject(b.t.Context(), &s3.DeleteObjectInput{Bucket: &b.bucket, Key: &key}); err != nil {
		b.t.Fatal(err)
	}
}

// left gives the ids of a key's versions, and how many markers it has.
func (b beside) left(key string) (ids []string, markers int) {
	b.t.Helper()
	page, err := b.ListObjectVersions(b.t.Context(), &s3.ListObjectVersionsInput{Bucket: &b.bucket, Prefix: &key})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, v := range page.Versions {
		if aws.ToString(v.Key) == key {
			ids = append(ids, aws.ToString(v.VersionId))
		}
	}
	for _, m := range page.DeleteMarkers {
		if aws.ToString(m.Key) == key {
			markers++
		}
	}
	return ids, markers
}

func listed(t *testing.T, s store.Store, key string) (found bool) {
	t.Helper()
	for o, err := range s.List(t.Context(), key, "") {
		if err != nil {
			t.Fatal(err)
		}
		found = found || o.Key == key
	}
	return found
}

// covered gives what lies under markers, by key.
func covered(t *testing.T, s store.Store, prefix string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for o, err := range s.Covered(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := o.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		body.Close()
		if _, twice := all[o.Key]; twice || err != nil {
			t.Fatal(o.Key, twice, err)
		}
		all[o.Key] = string(data)
	}
	return all
}

// killed lets some requests through, and none after them, and its caller's
// context ends; with after the first of those arrives, and its answer does not.
type killed struct {
	left  atomic.Int32
	after bool
	die   context.CancelFunc // or the client would try again
}

func (k *killed) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		left := k.left.Add(-1)
		if left >= 0 {
			return next.RoundTrip(r)
		}
		if left == -1 && k.after {
			if res, err := next.RoundTrip(r); err == nil {
				res.Body.Close()
			}
		}
		k.die()
		return nil, errCut
	})
}

const enough = 1 << 20 // requests

// breakDeleteOff breaks a deletion off before and after each of its requests:
// whatever is left must be found again, and go with the next deletion. fill
// makes what is to be deleted. hides says that it may lie under a marker.
func breakDeleteOff(t *testing.T, c store.S3Config, hides bool, fill func(s store.Store, key string)) {
	t.Helper()
	raw := besideOf(t, c)
	k := &killed{}
	c.Wrap = k.wrap
	s := newS3(t, c)
	for _, k.after = range []bool{false, true} {
		for n := int32(0); ; n++ {
			const key = "courses/x/bundles/ab"
			k.left.Store(enough)
			fill(s, key)
			var ctx context.Context
			ctx, k.die = context.WithCancel(t.Context())
			k.left.Store(n)
			err := s.Delete(ctx, key)
			k.die()
			k.left.Store(enough)
			ids, _ := raw.left(key)
			under, is := covered(t, s, "courses/x/bundles/")[key]
			if found := listed(t, s, key) || hides && is && under == "secret"; len(ids) > 0 && !found {
				t.Errorf("broken off by request %d (answered: %v): %d versions are left that nobody finds", n, k.after, len(ids))
			}
			if err == nil && len(ids) > 0 {
				t.Fatalf("done, and %q are left", ids)
			}
			if derr := s.Delete(t.Context(), key); derr != nil {
				t.Fatalf("begun again after request %d: %v", n, derr)
			}
			if ids, markers := raw.left(key); len(ids)+markers > 0 {
				t.Fatalf("begun again after request %d: %d versions, %d markers are left", n, len(ids), markers)
			}
			if err == nil {
				break
			}
			if n > 50 {
				t.Fatal("it never ends", err)
			}
		}
	}
}

// threeVersions puts an object three times.
func threeVersions(t *testing.T) func(store.Store, string) {
	return func(s store.Store, key string) {
		for range 3 {
			put(t, s, key, "secret")
		}
	}
}

func versionedFake(t *testing.T, front func(http.Handler) http.Handler) store.S3Config {
	t.Helper()
	backend := s3mem.New()
	c := fakeS3On(t, backend, front)
	if err := backend.SetVersioningConfiguration("bundles", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestS3DeleteThatBreaksOff: what is to be deleted stays listed until all of its
// versions are gone; and what lies under a marker is found, too.
func TestS3DeleteThatBreaksOff(t *testing.T) {
	t.Run("versions", func(t *testing.T) {
		breakDeleteOff(t, versionedFake(t, nil), false, threeVersions(t))
	})
	t.Run("under a marker", func(t *testing.T) {
		c := versionedFake(t, nil)
		raw := besideOf(t, c)
		breakDeleteOff(t, c, true, func(s store.Store, key string) {
			threeVersions(t)(s, key)
			raw.cover(key)
		})
	})
}

// TestS3DeleteWithoutListingVersions: in a bucket with versions it is refused as
// a whole, and can be done later; in one without, nobody needs that permission,
// and a deletion is a look and one request.
func TestS3DeleteWithoutListingVersions(t *testing.T) {
	const key = "courses/x/bundles/ab"
	var denied atomic.Bool
	front := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if denied.Load() && r.URL.Query().Has("versions") {
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, `<Error><Code>AccessDenied</Code></Error>`)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	coveredError := func(s store.Store) (err error) {
		for _, e := range s.Covered(t.Context(), "courses/x/bundles/") {
			err = errors.Join(err, e)
		}
		return err
	}
	t.Run("a bucket with versions", func(t *testing.T) {
		c := versionedFake(t, front)
		s := newS3(t, c)
		threeVersions(t)(s, key)
		denied.Store(true)
		defer denied.Store(false)
		if err := s.Delete(t.Context(), key); err == nil || !strings.Contains(err.Error(), "s3:ListBucketVersions") {
			t.Errorf("%v", err)
		}
		if err := coveredError(s); err == nil || !strings.Contains(err.Error(), "s3:ListBucketVersions") {
			t.Errorf("looking under markers: %v", err)
		}
		denied.Store(false)
		if listed(t, s, key) {
			t.Error("a URL that was signed still gives it")
		}
		for o, err := range s.Covered(t.Context(), "courses/x/bundles/") {
			if err == nil {
				err = s.Delete(t.Context(), o.Key)
			}
			if err != nil {
				t.Error(err)
			}
		}
		if ids, markers := besideOf(t, c).left(key); len(ids)+markers > 0 {
			t.Errorf("left: %q, %d markers", ids, markers)
		}
	})
	t.Run("a bucket without", func(t *testing.T) {
		var rec recorder
		c := fakeS3(t, front)
		c.Wrap = func(next http.RoundTripper) http.RoundTripper {
			return rec.wrap(roundTrip(func(r *http.Request) (*http.Response, error) {
				res, err := next.RoundTrip(r)
				if err == nil { // gofakes3 has one always, others not
					res.Header.Del("X-Amz-Version-Id")
				}
				return res, err
			}))
		}
		s := newS3(t, c)
		put(t, s, key, "x")
		put(t, s, key+"c", "x")
		denied.Store(true)
		defer denied.Store(false)
		rec.seen = nil
		if err := s.Delete(t.Context(), key); err != nil || listed(t, s, key) {
			t.Errorf("%v", err)
		}
		var methods []string
		for _, r := range rec.seen[:2] {
			methods = append(methods, r.Method)
		}
		if !slices.Equal(methods, []string{http.MethodHead, http.MethodDelete}) {
			t.Errorf("%q", methods)
		}
		if err := coveredError(s); err != nil {
			t.Errorf("looking under markers: %v", err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("an absent one: %v", err)
		}
	})
}
