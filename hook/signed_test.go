package hook

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

const signature = "canary-signature"

// behind gives a client and a signed URL of a server that stands for S3.
func behind(t *testing.T, h http.HandlerFunc) (*Client, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c := NewClient(ClientOptions{URL: "http://satchel.invalid", Ticket: func() string { return "the-ticket" }, Agent: "test/1", Idle: time.Second})
	t.Cleanup(c.Close)
	return c, srv.URL + "/bucket/key?X-Amz-Signature=" + signature
}

// TestSignedURLsGetNothingOfOurs: no ticket, no cookie, no name.
func TestSignedURLsGetNothingOfOurs(t *testing.T) {
	var heard []string
	c, link := behind(t, func(w http.ResponseWriter, r *http.Request) {
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
		r, err := c.Signed(t.Context(), link, 2, 4)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(r); err != nil || string(data) != "2345" {
			t.Errorf("%q, %v", data, err)
		}
		r.Close()
	}
	one := []string{"GET /bucket/key?X-Amz-Signature=" + signature, "Range=bytes=2-5"}
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
		c, link := behind(t, h)
		r, err := c.Signed(t.Context(), link, 2, 4)
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
	c, link := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 2-5/10")
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, "23")
	})
	r, err := c.Signed(t.Context(), link, 2, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) || string(data) != "23" {
		t.Errorf("cut off: %q, %v", data, err)
	}
	if _, err := c.Signed(t.Context(), link, 5, 0); err == nil {
		t.Error("a range of nothing")
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
		if _, err := c.Signed(t.Context(), link, 0, 1); err == nil || strings.Contains(err.Error(), signature) || strings.Contains(err.Error(), "s3") {
			t.Errorf("%.80q: %v", link, err)
		}
	}
	for _, link := range []string{"http://169.254.169.254/latest/meta-data", "http://[fe80::1%25lo]:80/x"} {
		if _, err := c.Signed(t.Context(), link, 0, 1); !errors.Is(err, errFar) {
			t.Errorf("%s: %v", link, err)
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
	o.Courses[1].URLs = map[bundle.Digest]string{inBundle.Bundle: "http://s3/key?X-Amz-Signature=" + signature, {}: "http://s3/of-none"}
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
