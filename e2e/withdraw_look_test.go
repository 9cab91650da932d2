//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/klauspost/compress/zstd"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/s3server"
)

// marker stands many times in what is taken back, and nowhere else.
const marker = "MARKER-of-what-went-out-by-mistake"

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// marked says whether data has the marker, as it is or in any zstd frame, or
// beginning of one, wherever that begins.
func marked(data []byte) bool {
	if bytes.Contains(data, []byte(marker)) {
		return true
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	defer d.Close()
	for at := 0; ; at++ {
		i := bytes.Index(data[at:], zstdMagic)
		if i < 0 {
			return false
		}
		at += i
		if d.Reset(bytes.NewReader(data[at:])) == nil {
			plain, _ := io.ReadAll(io.LimitReader(d, 64<<20)) // what follows the frame is an error
			if bytes.Contains(plain, []byte(marker)) {
				return true
			}
		}
	}
}

// markedBelow are the files below a folder that have the marker.
func markedBelow(t testing.TB, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // agents and services work meanwhile
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if marked(data) {
			found = append(found, path)
		}
		return err
	})
	must(t, err)
	return found
}

// bucket is a bucket with versions, past everything of ours.
type bucket struct {
	t    testing.TB
	name string
	raw  *s3.Client
}

// onVersionedS3 puts the store into one.
func (s *site) onVersionedS3() *bucket {
	s.t.Helper()
	endpoint, access, secret := s3server.StartVersioned(s.t)
	b := &bucket{t: s.t, name: s3server.Bucket(s.t, endpoint, access, secret).Bucket}
	s.store = fmt.Sprintf("{s3: {bucket: %s, endpoint: %q, region: us-east-1}}", b.name, endpoint)
	s.env = []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true"}
	cfg, err := config.LoadDefaultConfig(s.t.Context(), config.WithRegion("us-east-1"))
	must(s.t, err)
	b.raw = s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true })
	_, err = b.raw.PutBucketVersioning(s.t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &b.name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	must(s.t, err)
	return b
}

// versions gives each version of each object.
func (b *bucket) versions() map[string][]byte {
	b.t.Helper()
	out := map[string][]byte{}
	for p := s3.NewListObjectVersionsPaginator(b.raw, &s3.ListObjectVersionsInput{Bucket: &b.name}); p.HasMorePages(); {
		page, err := p.NextPage(b.t.Context())
		must(b.t, err)
		for _, v := range page.Versions {
			got, err := b.raw.GetObject(b.t.Context(), &s3.GetObjectInput{Bucket: &b.name, Key: v.Key, VersionId: v.VersionId})
			var gone *types.NoSuchKey
			if err != nil && (errors.As(err, &gone) || strings.Contains(err.Error(), "NoSuchVersion")) {
				continue // written over meanwhile
			}
			must(b.t, err)
			data, err := io.ReadAll(got.Body)
			got.Body.Close()
			must(b.t, err)
			out[aws.ToString(v.Key)+" "+aws.ToString(v.VersionId)] = data
		}
	}
	return out
}

// marked are the versions with the marker.
func (b *bucket) marked() (found []string) {
	for name, data := range b.versions() {
		if marked(data) {
			found = append(found, name)
		}
	}
	return found
}

// loot is all that a student could have noted down.
type loot struct {
	urls    []hook.Section
	etag    string
	frames  map[string]hook.Offered // by bundle and offset
	digests map[bundle.Digest]bool
	channel string
}

// steal takes it from what a service offers to who has nothing.
func steal(t testing.TB, adm hook.Admission) (l loot) {
	t.Helper()
	l.frames, l.digests = map[string]hook.Offered{}, map[bundle.Digest]bool{}
	client := hook.NewClient(hook.ClientOptions{URL: adm.URL, Ticket: func() string { return adm.Ticket }, URLs: func() bool { return true }})
	defer client.Close()
	a, err := client.Sync(t.Context(), nil, nil, "")
	must(t, err)
	defer a.Close()
	c := a.Offer.Courses[0]
	l.urls, l.etag, l.channel = c.URLs, a.ETag, c.Channels[0].ID
	for _, f := range c.Frames {
		l.frames[fmt.Sprint(f.Bundle, f.Offset)] = f
	}
	for _, f := range c.Channels[0].Changes.Set {
		l.digests[f.Digest] = true
	}
	return l
}

// try asks a service, and S3, for all of it, and gives what came.
func (l loot) try(t testing.TB, adm hook.Admission) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	ask := func(name, method, path string, header http.Header, body string) {
		for try := range 2 { // 4 streams for one ticket, and answers are counted
			status, data := request(t, adm, method, path, header, body)
			if got[fmt.Sprintf("%s: %d (%d)", name, status, try)] = data; status != http.StatusTooManyRequests {
				return
			}
		}
	}
	ask("sync", http.MethodGet, "/v1/sync", http.Header{"Accept": {hook.OfferType}}, "")
	ask("sync by etag", http.MethodGet, "/v1/sync", http.Header{"Accept": {hook.OfferType}, "If-None-Match": {l.etag}}, "")
	for _, f := range l.frames {
		if f.Bundle.IsZero() {
			continue
		}
		header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", f.Offset, f.Offset+f.Length-1)}, "If-Range": {`"` + f.Bundle.String() + `"`}}
		ask(fmt.Sprintf("bundle %s at %d", f.Bundle, f.Offset), http.MethodGet, "/v1/courses/scala101/bundles/"+f.Bundle.String(), header, "")
	}
	for d := range l.digests {
		ask("file "+d.String(), http.MethodPost, "/v1/courses/scala101/files", http.Header{"Content-Type": {"application/json"}}, `{"format":1,"digests":["`+d.String()+`"]}`)
	}
	ask("history", http.MethodGet, "/v1/courses/scala101/history?channel="+l.channel, http.Header{}, "")
	maps.Copy(got, l.open(t))
	return got
}

// open asks S3 for what the URLs are of, as they were signed and otherwise.
func (l loot) open(t testing.TB) map[string][]byte {
	got := map[string][]byte{}
	for i, sec := range l.urls {
		good := sectionOf(sec).Header()
		for name, header := range map[string]http.Header{"as signed": good, "without headers": {}, "any object": with(good, "If-Match", "*")} {
			status, body, err := ask(sec.URL, header)
			must(t, err)
			got[fmt.Sprintf("URL %d %s: %d", i, name, status)] = body
		}
	}
	return got
}

// request asks a service with a ticket.
func request(t testing.TB, adm hook.Admission, method, path string, header http.Header, body string) (int, []byte) {
	t.Helper()
	status, data, err := tryRequest(adm, method, path, header, body)
	must(t, err)
	return status, data
}

func tryRequest(adm hook.Admission, method, path string, header http.Header, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, strings.TrimSuffix(adm.URL, "/")+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = header.Clone()
	req.Header.Set("Authorization", "Bearer "+adm.Ticket)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body) // what is cut off is judged, too
	return resp.StatusCode, data, nil
}

// markedOf are the names of those that have the marker.
func markedOf(all map[string][]byte) (found []string) {
	for name, data := range all {
		if marked(data) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// secretNotebook and secretBytes have the marker.
func secretNotebook() string {
	return `{"cells": [{"cell_type": "markdown", "metadata": {}, "source": ["` + marker + `"]}], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}` + "\n"
}

func secretBytes(seed int) string {
	var b strings.Builder
	for i := range 40 {
		b.WriteString(random(seed*100+i, 16<<10) + "\n" + marker + "\n")
	}
	return b.String()
}
