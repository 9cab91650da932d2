package store_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

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
	t.Setenv("AWS_ACCESS_KEY_ID", "testkey")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
	backend := s3mem.New()
	if err := backend.CreateBucket("bundles"); err != nil {
		t.Fatal(err)
	}
	var h http.Handler = gofakes3.New(backend, o...).Server()
	if front != nil {
		h = front(h)
	}
	srv := httptest.NewServer(h)
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

func TestS3ContractWithPrefixAndChecksums(t *testing.T) {
	storetest.Contract(t, func(t *testing.T) store.Store {
		c := fakeS3(t, nil)
		yes := true
		c.Prefix, c.Checksums = "/school/satchel/", &yes
		return newS3(t, c)
	})
}
