package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

const signature = "canary-signature"

// behind gives a client and a signed section of a server that stands for S3.
func behind(t *testing.T, h http.HandlerFunc) (*Client, Section) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c := NewClient(ClientOptions{URL: "http://satchel.invalid", Ticket: func() string { return "the-ticket" }, Agent: "test/1", Idle: time.Second})
	t.Cleanup(c.Close)
	return c, Section{Offset: 2, Length: 4, ETag: `"tag"`, URL: srv.URL + "/bucket/key?X-Amz-Signature=" + signature}
}

// TestSignedURLsGetNothingOfOurs: no ticket, no cookie, no name.
func TestSignedURLsGetNothingOfOurs(t *testing.T) {
	var heard []string
	c, sec := behind(t, func(w http.ResponseWriter, r *http.Request) {
		heard = append(heard, r.Method+" "+r.RequestURI)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			heard = append(heard, name+"="+r.Header.Get(name))
		}
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Range", "bytes 2-5/10")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, "2345 and more than was asked for")
	})
	for range 2 {
		r, err := c.Signed(t.Context(), sec)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(r); err != nil || string(data) != "2345" {
			t.Errorf("%q, %v", data, err)
		}
		r.Close()
	}
	one := []string{"GET /bucket/key?X-Amz-Signature=" + signature, `If-Match="tag"`, `If-Range="tag"`, "Range=bytes=2-5"}
	if want := append(slices.Clone(one), one...); !slices.Equal(heard, want) {
		t.Errorf("the store heard %q", heard)
	}
}

// Whatever a store answers, it is an error that names no URL.
func TestSignedURLsThatAreNoUse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			io.WriteString(w, "<Error>"+signature+"</Error>")
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"expired":         status(403),
		"gone":            status(404),
		"all of it":       status(200),
		"nothing":         status(304),
		"another object":  status(412),
		"another range":   status(206, "Content-Range", "bytes 0-3/10"),
		"no range":        status(206),
		"not in part":     status(200, "Content-Range", "bytes 2-5/10"),
		"elsewhere":       status(307, "Location", elsewhere.URL),
		"nowhere":         status(302, "Location", ":"+signature),
		"busy":            status(503),
		"hangs up":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"says nothing":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"endless headers": status(206, "X", strings.Repeat("x", 1<<20)),
	} {
		c, sec := behind(t, h)
		r, err := c.Signed(t.Context(), sec)
		if err == nil {
			r.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), signature) || strings.Contains(err.Error(), "bucket") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "says nothing" && !errors.Is(err, ErrSilent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, sec := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 2-5/10")
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, "23")
	})
	r, err := c.Signed(t.Context(), sec)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) || string(data) != "23" {
		t.Errorf("cut off: %q, %v", data, err)
	}
	for _, bad := range []Section{{Length: 0}, {Offset: -1, Length: 4}, {Offset: 5, Length: 1 << 62}} {
		bad.URL, bad.ETag = sec.URL, sec.ETag
		if _, err := c.Signed(t.Context(), bad); err == nil {
			t.Errorf("%+v was asked for", bad)
		}
	}
}

// The service's word says where; nobody signed it.
func TestSignedURLsThatAreNone(t *testing.T) {
	c := NewClient(ClientOptions{URL: "http://satchel.invalid", Idle: time.Second})
	defer c.Close()
	for _, link := range []string{
		"", "/key", "ftp://s3/key", "file:///etc/passwd", "http://", "http:opaque", "http://" + signature + "@s3/key", "http://s3/key#" + signature,
		"http://s3/\n" + signature, "http://%zz/" + signature, "http://s3/" + strings.Repeat("x", maxURL),
	} {
		if _, err := c.Signed(t.Context(), Section{Length: 1, URL: link}); err == nil || strings.Contains(err.Error(), signature) || strings.Contains(err.Error(), "s3") {
			t.Errorf("%.80q: %v", link, err)
		}
	}
	for _, link := range []string{"http://169.254.169.254/latest/meta-data", "http://[fe80::1%25lo]:80/x"} {
		if _, err := c.Signed(t.Context(), Section{Length: 1, URL: link}); !errors.Is(err, errFar) {
			t.Errorf("%s: %v", link, err)
		}
	}
	for _, tag := range []string{"\"a\"\r\nX: " + signature, "\"a b\"", "\"ä\"", "\"\x7f\"", strings.Repeat("x", maxETag+1)} {
		if _, err := c.Signed(t.Context(), Section{Length: 1, ETag: tag, URL: "http://127.0.0.1:1/x"}); err == nil || !strings.Contains(err.Error(), "no ETag") {
			t.Errorf("ETag %q: %v", tag, err)
		}
	}
	for address, ok := range map[string]bool{"127.0.0.1:7070": true, "10.0.0.1:80": true, "8.8.8.8:443": true, "[2001:db8::1]:443": true, "169.254.0.1:80": false, "[fe80::1]:80": false, "": false} {
		if err := Routed.allow(t.Context(), "tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// URLs are asked for by those who take them; a frame behind one is not in the
// answer, and one that was put together always is.
func TestAnswerWithURLs(t *testing.T) {
	o := twoFrames()
	inBundle := o.Courses[1].Frames[0]
	inBundle.Bundle = bundle.Sum([]byte("bundle"))
	o.Courses[1].Frames = append(o.Courses[1].Frames, inBundle)
	o.Courses[1].URLs = []Section{
		{Length: 100, URL: "http://s3/of-none"},
		{Bundle: inBundle.Bundle, Offset: inBundle.Offset, Length: inBundle.Length, URL: "http://s3/key?X-Amz-Signature=" + signature},
	}
	takes := false
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.URL.RawQuery+string(body))
		sendOffer(w, offerOf(t, o, "abc", "defg"))
	}))
	defer srv.Close()
	c := NewClient(ClientOptions{URL: srv.URL, URLs: func() bool { return takes }})
	defer c.Close()
	for _, takes = range []bool{false, true} {
		for _, ask := range []func() (*Answer, error){
			func() (*Answer, error) { return c.Sync(t.Context(), nil, []string{"k"}, "") },
			func() (*Answer, error) { return c.Files(t.Context(), "a", []bundle.Digest{{1}}) },
		} {
			a, err := ask()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for {
				course, f, r, err := a.Next()
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Error(err)
					}
					break
				}
				data, _ := io.ReadAll(r)
				got = append(got, fmt.Sprint(course, f.Length, string(data)))
			}
			if fmt.Sprint(got) != "[a3abc b4defg]" {
				t.Errorf("%q", got)
			}
			a.Close()
		}
	}
	if want := []string{"keys=k", `{"digests":["` + bundle.Digest{1}.String() + `"]}`, "keys=k&urls=1", `{"digests":["` + bundle.Digest{1}.String() + `"],"urls":true}`}; !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
}

func FuzzParseSigned(f *testing.F) {
	f.Add("https://bucket.s3.eu-west-1.amazonaws.com/courses/scala/bundles/00?X-Amz-Expires=900&X-Amz-Signature=00")
	f.Add("http://127.0.0.1:7070/b/k?%")
	f.Fuzz(func(t *testing.T, link string) {
		u, err := parseSigned(link)
		if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
			t.Errorf("%q: %+v", link, u)
		}
	})
}

func TestCovering(t *testing.T) {
	b1, b2 := bundle.Digest{1}, bundle.Digest{2}
	sec := func(b bundle.Digest, from, to int64) Section {
		return Section{Bundle: b, Offset: from, Length: to - from}
	}
	c := CourseOffer{URLs: []Section{sec(bundle.Digest{}, 0, 99), sec(b1, 10, 20), sec(b1, 20, 40), sec(b1, 40, 50), sec(b1, 60, 70), sec(b2, 0, 15), sec(b2, 16, 30)}}
	if err := checkSections(c.URLs); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		b        bundle.Digest
		from, to int64
		want     int // how many
	}{
		{b1, 10, 20, 1}, {b1, 12, 13, 1}, {b1, 19, 20, 1}, {b1, 10, 21, 2}, {b1, 15, 41, 3}, {b1, 10, 50, 3}, {b1, 20, 50, 2}, {b1, 60, 70, 1},
		{b1, 9, 20, 0}, {b1, 10, 51, 0}, {b1, 45, 65, 0}, {b1, 50, 60, 0}, {b1, 50, 61, 0}, {b1, 70, 71, 0}, {b1, 0, 10, 0}, {b1, 12, 12, 0},
		{b2, 0, 15, 1}, {b2, 0, 16, 0}, {b2, 14, 17, 0}, {b2, 15, 16, 0}, {b2, 16, 30, 1},
		{bundle.Digest{3}, 0, 1, 0}, {bundle.Digest{}, 0, 5, 0},
	} {
		o := Offered{Bundle: f.b, Frame: bundle.Frame{Offset: f.from, Length: f.to - f.from}}
		got := c.Covering(&o)
		if len(got) != f.want || (f.want > 0) != c.Elsewhere(&o) {
			t.Errorf("%d to %d of %s: %+v", f.from, f.to, f.b, got)
		}
		if f.want > 0 && (got[0].Offset > f.from || got[len(got)-1].End() < f.to) {
			t.Errorf("%d to %d: %+v", f.from, f.to, got)
		}
	}
}

// Sections that are no parts of a bundle, or lie over each other, are refused.
func TestAttackSections(t *testing.T) {
	b1, b2 := bundle.Digest{1}, bundle.Digest{2}
	for name, list := range map[string][]Section{
		"nothing":        {{Bundle: b1}},
		"less":           {{Bundle: b1, Offset: 5, Length: -1}},
		"before":         {{Bundle: b1, Offset: -1, Length: 5}},
		"beyond":         {{Bundle: b1, Offset: bundle.MaxBundleSize, Length: 1}},
		"far beyond":     {{Bundle: b1, Offset: 1, Length: math.MaxInt64}},
		"over":           {{Bundle: b1, Length: 5}, {Bundle: b1, Offset: 4, Length: 5}},
		"twice":          {{Bundle: b1, Length: 5}, {Bundle: b1, Length: 5}},
		"turned round":   {{Bundle: b1, Offset: 5, Length: 5}, {Bundle: b1, Length: 5}},
		"bundles turned": {{Bundle: b2, Length: 5}, {Bundle: b1, Length: 5}},
		"many":           make([]Section, MaxSections+1),
	} {
		if name == "many" {
			for i := range list {
				list[i] = Section{Bundle: b1, Offset: int64(i), Length: 1}
			}
		}
		data, err := EncodeOffer(&Offer{Format: Format, Courses: []CourseOffer{{Course: "a", URLs: list}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadOffer(bytes.NewReader(data)); !errors.Is(err, bundle.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		SortSections(list)
	}
}
