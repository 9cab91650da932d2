package syncer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"satchel/store"
)

// onVersions puts the site's store into a bucket with versions (gofakes3), and
// gives a client for it that is none of ours.
func (s *site) onVersions() *s3.Client {
	s.t.Helper()
	t := s.t.(*testing.T)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	backend := s3mem.New()
	must(t, backend.CreateBucket("bundles"))
	must(t, backend.SetVersioningConfiguration("bundles", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}))
	srv := httptest.NewUnstartedServer(gofakes3.New(backend).Server())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // gofakes3 writes some headers twice
	srv.Start()
	t.Cleanup(srv.Close)
	st, err := store.NewS3(t.Context(), store.S3Config{Bucket: "bundles", Endpoint: srv.URL})
	must(t, err)
	s.st = st
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"))
	must(t, err)
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &srv.URL, true })
}

// A deletion that left a withdrawn content under a delete marker is brought to
// its end by the next process, or by the next withdrawal; what lies under a
// marker and holds nothing that was withdrawn is somebody else's matter.
func TestWhatLiesUnderADeleteMarkerIsSwept(t *testing.T) {
	for name, again := range map[string]bool{"by the next process": false, "by a withdrawal": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			raw := s.onVersions()
			bucket := aws.String("bundles")
			y := s.syncer()
			s.repo.commit(files{"a": "a", "other": "other"})
			s.sync(y)
			s.repo.commit(files{"a": "a", "other": "other", "leak.txt": "secret"})
			s.sync(y)
			refs := slices.Clone(s.view().record.Channels[0].Bundles)
			leaky := store.BundleKey("scala101", refs[len(refs)-1].Digest)
			data := get(t, s.st, leaky)
			if _, err := s.withdraw(y, Command{Path: "leak.txt"}); err != nil {
				t.Fatal(err)
			}
			harmless := store.BundlePrefix("scala101") + "ab"
			for key, data := range map[string][]byte{leaky: data, harmless: []byte("no bundle")} {
				must(t, s.st.Put(t.Context(), key, bytes.NewReader(data)))
				_, err := raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: &key})
				must(t, err)
			}
			versions := func(key string) int {
				page, err := raw.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: bucket, Prefix: &key})
				must(t, err)
				return len(page.Versions)
			}
			if versions(leaky) != 1 || s.stored()["secret"] {
				t.Fatal("this test says nothing")
			}
			if again {
				if _, err := s.withdraw(y, Command{Path: "other"}); err != nil {
					t.Fatal(err)
				}
			} else {
				s.sync(s.syncer())
			}
			if n := versions(leaky); n > 0 {
				t.Errorf("%d versions of what was taken back remain", n)
			}
			if n := versions(harmless); n != 1 {
				t.Errorf("%d versions of what nobody took back; want 1", n)
			}
		})
	}
}

// archived is a store in which something lies under a delete marker that cannot
// be read.
type archived struct{ store.Store }

var errArchived = errors.New("it is in an archive")

func (archived) Covered(_ context.Context, prefix string) iter.Seq2[store.Covered, error] {
	return func(yield func(store.Covered, error) bool) {
		yield(store.Covered{Key: prefix + strings.Repeat("ab", 32), Open: func(context.Context) (io.ReadCloser, error) { return nil, errArchived }}, nil)
	}
}

func TestWhatCannotBeReadUnderAMarkerKeepsNothingElse(t *testing.T) {
	s := newSite(t)
	s.st = archived{s.st}
	y := s.syncer()
	for _, f := range []files{{"a": "a"}, {"a": "a", "leak.txt": "secret"}} {
		s.repo.commit(f)
		s.sync(y)
	}
	_, err := s.withdraw(y, Command{Path: "leak.txt"})
	if !errors.Is(err, errArchived) || !strings.Contains(err.Error(), "it is done, but") {
		t.Errorf("%v", err)
	}
	if s.stored()["secret"] {
		t.Error("it is in the store")
	}
}
