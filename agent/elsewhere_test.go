package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/hookserver"
	"satchel/store"
)

const signature = "canary-signature"

// s3 serves the bundles of a folder store to whoever has a signature, and may
// be ill.
type s3 struct {
	store.Store
	web *httptest.Server

	mu     sync.Mutex
	ill    func(http.Handler) http.Handler // nil: it is well
	asked  []string                        // ranges
	header []http.Header
}

func (s *s3) SignedURL(_ context.Context, key string, sec store.Section, _ time.Duration) (string, error) {
	h := sec.Header()
	return fmt.Sprintf("%s/%s?X-Amz-Signature=%s&for=%s", s.web.URL, key, signature, url.QueryEscape(h.Get("Range")+h.Get("If-Match")+h.Get("If-Range"))), nil
}

// Head gives a strong ETag, as S3 does.
func (s *s3) Head(ctx context.Context, key string) (store.Object, error) {
	o, err := s.Store.Head(ctx, key)
	o.ETag = `"` + o.ETag + `"`
	return o, err
}

func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Header.Get("Range"))
	s.header = append(s.header, r.Header.Clone())
	h := http.Handler(http.HandlerFunc(s.give))
	if s.ill != nil {
		h = s.ill(h)
	}
	s.mu.Unlock()
	h.ServeHTTP(w, r)
}

func (s *s3) give(w http.ResponseWriter, r *http.Request) {
	q, h := r.URL.Query(), r.Header
	if q.Get("X-Amz-Signature") != signature || q.Get("for") != h.Get("Range")+h.Get("If-Match")+h.Get("If-Range") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	body, _, err := s.Get(r.Context(), strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	defer body.Close()
	data, _ := io.ReadAll(body)
	w.Header().Set("ETag", r.Header.Get("If-Match"))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (s *s3) is(ill func(http.Handler) http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ill = ill
}

// requests gives the ranges that were asked since the last time.
func (s *s3) requests() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, s.asked = s.asked, nil
	return out
}

// listens makes a home's agents log all into a buffer. When the test ends, no
// URL is in it.
func (h *home) listens() *bytes.Buffer {
	h.t.Helper()
	log := &bytes.Buffer{}
	h.lg = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})) // it locks
	h.t.Cleanup(func() {
		if strings.Contains(log.String(), signature) {
			h.t.Errorf("a URL is in the log: %s", log)
		}
	})
	return log
}

// redirecting is a world with delivery: redirect.
func redirecting(t *testing.T) (*world, *s3) {
	s := &s3{}
	s.web = httptest.NewServer(s)
	t.Cleanup(func() {
		s.web.CloseClientConnections()
		s.web.Close()
	})
	w := newWorld(t, func(o *hookserver.Options) {
		s.Store = o.Store
		o.Store, o.Redirect = s, true
	})
	w.course("scala101")
	return w, s
}

// large is a course of which the service puts nothing together.
func large() map[string]string {
	return map[string]string{
		"a.ipynb": "{}", "b.txt": strings.Repeat("b", 1000),
		"one.bin": string(bigBytes(2_500_000)), "two.bin": string(bigBytes(700_000)), "three.bin": string(bigBytes(500_000)),
	}
}

func TestTheStoreSendsItself(t *testing.T) {
	w, s := redirecting(t)
	w.publish("scala101", large())
	h := w.home("ana")
	h.listens()
	w.requests()
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v: %q", out, h.said())
	}
	h.wantTree("scala101", large())
	if got := s.requests(); len(got) != 1 {
		t.Errorf("%q: neighbours are to come in one request", got)
	}
	if got := w.requests(); !slices.Equal(got, []string{"GET /v1/sync", "POST /v1/receipts"}) {
		t.Errorf("of the service was asked %q", got)
	}
	for _, header := range s.header {
		if got := slices.Sorted(maps.Keys(header)); !slices.Equal(got, []string{"If-Match", "If-Range", "Range"}) {
			t.Errorf("the store was sent %v", header)
		}
	}
	newer := with(large(), "four.bin", string(bigBytes(400_000)))
	w.publish("scala101", newer)
	if out := h.sync(); out.Code != "" || len(s.requests()) != 1 {
		t.Errorf("%+v: %q", out, h.said())
	}
	h.wantTree("scala101", newer)
	nowhere(t, h, signature)
}

// nowhere looks for a text in each file of the home.
func nowhere(t *testing.T, h *home, text string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(filepath.Dir(h.root), func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		data, err := os.ReadFile(p)
		if bytes.Contains(data, []byte(text)) {
			t.Errorf("%q is in %s", text, p)
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("looked at %d files: %v", files, err)
	}
}

// Whatever is the matter with the store, the service sends the same, and is
// asked for no more than what is missing.
func TestAStoreThatIsNoUse(t *testing.T) {
	answer := func(f http.HandlerFunc) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler { return f }
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	for name, ill := range map[string]func(http.Handler) http.Handler{
		"expired or forbidden": answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }),
		"gone":                 answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }),
		"ill":                  answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }),
		"leads elsewhere": answer(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}),
		"leads nowhere":    answer(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", ":"); w.WriteHeader(302) }),
		"a captive portal": answer(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }),
		"the whole object": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { unasked(next, w, r, "") })
		},
		"another range": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { unasked(next, w, r, "bytes=1-9") })
		},
		"hangs up": answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"silent":   answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"silent after some bytes": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&silentAfter{w, r.Context(), 200_000}, r) })
		},
		"silent inside":   func(http.Handler) http.Handler { return http.HandlerFunc(silentRange) },
		"endless headers": answer(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2<<20)) }),
	} {
		t.Run(name, func(t *testing.T) {
			w, s := redirecting(t)
			w.publish("scala101", large())
			s.is(ill)
			h := w.home("ana")
			h.s.Patience = 0 // as it is
			log := h.listens()
			a := h.agent()
			began := time.Now()
			out := a.Sync(t.Context(), SyncOptions{Mode: AtStart})
			took := time.Since(began)
			if out.Code != "" || took > Budget {
				t.Fatalf("%+v after %s: %q", out, took, h.said())
			}
			h.wantTree("scala101", large())
			asked := w.requests()
			if n := slices.Index(asked, "POST /v1/courses/scala101/files"); n >= 0 {
				t.Errorf("of the service was asked %q", asked)
			}
			if tries := len(s.requests()); tries < 1 || tries > 4 {
				t.Errorf("the store was asked %d times", tries)
			}
			if a.takesURLs() {
				t.Error("the store is asked again at once")
			}
			if !strings.Contains(log.String(), "could not be read from the store") {
				t.Errorf("the log says nothing of it: %s", log)
			}
		})
	}
}

// unasked answers with another range than was asked; "" is all of it.
func unasked(next http.Handler, w http.ResponseWriter, r *http.Request, span string) {
	q := r.URL.Query()
	q.Set("for", span+r.Header.Get("If-Match")+r.Header.Get("If-Range"))
	if r.URL.RawQuery = q.Encode(); span == "" {
		r.Header.Del("Range")
	} else {
		r.Header.Set("Range", span)
	}
	next.ServeHTTP(w, r)
}

// silentRange begins an answer and says no more.
func silentRange(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Range") == "" {
		return
	}
	from, to, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	w.Header().Set("Content-Range", "bytes "+from+"-"+to+"/"+"99999999")
	w.WriteHeader(http.StatusPartialContent)
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// Where nothing listens there is no wait, and for a while nobody is asked.
func TestAStoreThatIsNotReached(t *testing.T) {
	w, s := redirecting(t)
	w.publish("scala101", large())
	s.web.Close()
	h := w.home("ana")
	a := h.agent()
	if out := a.Sync(t.Context(), SyncOptions{Mode: AtStart}); out.Code != "" {
		t.Fatalf("%+v: %q", out, h.said())
	}
	h.wantTree("scala101", large())
	w.requests()
	newer := with(large(), "four.bin", string(bigBytes(400_000)))
	w.publish("scala101", newer)
	if out := a.Sync(t.Context(), SyncOptions{Mode: AtStart}); out.Code != "" {
		t.Fatalf("%+v: %q", out, h.said())
	}
	h.wantTree("scala101", newer)
	if got := w.requests(); len(got) != 2 {
		t.Errorf("%q: the bytes were to be in the answer", got)
	}
	a.now = func() time.Time { return time.Now().Add(2 * shutFor) }
	if !a.takesURLs() {
		t.Error("the store is never asked again")
	}
}

// A section that breaks off is gone on with by the service, from the very
// byte; the next one is had of the store again, unless that goes on.
func TestSectionsOfTheStoreThatBreakOff(t *testing.T) {
	huge := map[string]string{"a.ipynb": "{}", "huge.bin": string(bigBytes(50 << 20))}
	for name, c := range map[string]struct {
		ill        func(n int) bool // whether the store's n-th answer breaks off
		opened     int              // of 4 sections, of 12.5 MiB each
		by, byLess int64            // bytes by the service
		shut       bool
	}{
		"none":     {func(int) bool { return false }, 4, 0, 0, false},
		"one":      {func(n int) bool { return n == 2 }, 4, 11 << 20, 12 << 20, false},
		"two":      {func(n int) bool { return n == 1 || n == 3 }, 4, 22 << 20, 24 << 20, false},
		"the last": {func(n int) bool { return n == 4 }, 4, 11 << 20, 12 << 20, false},
		"all":      {func(int) bool { return true }, maxBreaks, 46 << 20, 48 << 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := redirecting(t)
			w.publish("scala101", huge)
			n := 0
			s.is(func(next http.Handler) http.Handler { // under its lock
				if n++; !c.ill(n) {
					return next
				}
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&stopAfter{w, 1 << 20}, r) })
			})
			var ranged atomic.Int64
			w.wall = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					var from, to int64
					if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n == 2 {
						ranged.Add(to - from + 1)
					}
					next.ServeHTTP(w, r)
				})
			}
			h := w.home("ana")
			h.s.Budget, h.s.Patience, h.s.Away = time.Minute, time.Minute, time.Minute // a slow machine is no silence
			a := h.agent()
			w.requests()
			if out := a.Sync(t.Context(), SyncOptions{Mode: AtStart}); out.Code != "" {
				t.Fatalf("%+v: %q", out, h.said())
			}
			h.wantTree("scala101", huge)
			got, at := s.requests(), int64(-1)
			for i, span := range got {
				var from, to int64
				if _, err := fmt.Sscanf(span, "bytes=%d-%d", &from, &to); err != nil || i > 0 && from != at || to-from+1 > 16<<20 {
					t.Errorf("asked %q", got)
				}
				at = to + 1
			}
			asked := w.requests()
			if len(got) != c.opened || slices.Contains(asked, "POST /v1/courses/scala101/files") {
				t.Errorf("the store was asked %q, the service %q", got, asked)
			}
			if by := ranged.Load(); by < c.by || by > c.byLess {
				t.Errorf("%d bytes by the service", by)
			}
			if a.takesURLs() == c.shut {
				t.Errorf("URLs are taken: %v", a.takesURLs())
			}
		})
	}
}

// silentAfter says no more after some bytes.
type silentAfter struct {
	http.ResponseWriter
	ctx  context.Context
	left int
}

func (s *silentAfter) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	if s.left -= n; s.left == 0 {
		s.ResponseWriter.(http.Flusher).Flush()
		<-s.ctx.Done()
		return n, s.ctx.Err()
	}
	return n, err
}

// stopAfter breaks the connection after some bytes.
type stopAfter struct {
	http.ResponseWriter
	left int
}

func (s *stopAfter) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	if s.left -= n; s.left == 0 {
		s.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// What a store sends is believed no more than what the service sends, which
// then sends it.
func TestAttackBytesOfTheStore(t *testing.T) {
	w, s := redirecting(t)
	w.publish("scala101", large())
	s.is(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(flipping{w}, r) })
	})
	h := w.home("ana")
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v: %q", out, h.said())
	}
	h.wantTree("scala101", large())
	if len(s.requests()) != 1 {
		t.Error("a store that sent something else was asked again")
	}
}

type flipping struct{ http.ResponseWriter }

func (f flipping) Write(p []byte) (int, error) {
	p = bytes.Clone(p)
	for i := range p {
		p[i] ^= 1
	}
	return f.ResponseWriter.Write(p)
}

// A frame that is not wanted, between two that are, is read past.
func TestWhatIsHereIsReadPast(t *testing.T) {
	w, s := redirecting(t)
	files := with(large(), "pad.bin", strings.Repeat("0", 300_000)) // some bytes in a frame of its own
	w.publish("scala101", files)
	h := w.home("ana")
	h.write("scala101/pad.bin", files["pad.bin"])
	w.requests()
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v: %q", out, h.said())
	}
	h.wantTree("scala101", files)
	asked := w.requests()
	if got := s.requests(); len(got) != 1 || slices.Contains(asked, "POST /v1/courses/scala101/files") {
		t.Errorf("the store was asked %q, the service %q", got, asked)
	}
}

// What lies behind a URL makes no answer worth reading, nor another not.
func TestWorthReadingWithURLs(t *testing.T) {
	there := bundle.Sum([]byte("bundle"))
	frame := func(text string, n int64, in bundle.Digest) hook.Offered {
		it := bundle.Item{Digest: bundle.Sum([]byte(text)), Size: n}
		return hook.Offered{Bundle: in, Frame: bundle.Frame{Kind: bundle.Whole, Length: n, Size: n, Items: []bundle.Item{it}}}
	}
	for name, c := range map[string]struct {
		frames []hook.Offered
		worth  bool
	}{
		"wanted there, others here": {[]hook.Offered{frame("wanted", 64<<20, there), frame("other", 8<<20, bundle.Digest{})}, false},
		"wanted here, others there": {[]hook.Offered{frame("wanted", 64<<20, bundle.Digest{}), frame("other", 64<<20, there)}, true},
	} {
		o := &hook.Offer{Courses: []hook.CourseOffer{{Course: "scala101", Frames: c.frames, URLs: []hook.Section{{Bundle: there, Length: 64 << 20, URL: "https://s3.example/x"}}}}}
		d := bundle.Sum([]byte("wanted"))
		hauls := map[string]*haul{"scala101": {want: map[bundle.Digest]bundle.Item{d: {Digest: d, Size: 64 << 20}}}}
		if got := worthReading(o, hauls); got != c.worth {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDoctorTriesTheStore(t *testing.T) {
	w, s := redirecting(t)
	w.publish("scala101", large())
	tried := func() (out []Check) {
		for _, c := range w.home("ana").agent().Doctor(t.Context()) {
			if strings.Contains(c.Note, signature) {
				t.Errorf("%+v", c)
			}
			if c.Name == "store" {
				out = append(out, c)
			}
		}
		return out
	}
	if got := tried(); len(got) != 1 || !got[0].OK {
		t.Errorf("%+v", got)
	}
	s.web.Close()
	if got := tried(); len(got) != 1 || got[0].OK || got[0].Stop || !strings.Contains(got[0].Note, "refused") {
		t.Errorf("%+v", got)
	}
	plain := newWorld(t)
	plain.course("scala101")
	plain.publish("scala101", large())
	if w = plain; len(tried()) != 0 {
		t.Error("there is no store to try")
	}
}

func TestSpans(t *testing.T) {
	b1, b2, inline := bundle.Digest{1}, bundle.Digest{2}, bundle.Digest{3}
	frame := func(b bundle.Digest, off, n int64) hook.Offered {
		return hook.Offered{Bundle: b, Frame: bundle.Frame{Offset: off, Length: n}}
	}
	const g = maxGap
	co := &hook.CourseOffer{
		URLs: []hook.Section{
			{Length: 9, URL: "of none"}, {Bundle: b1, Offset: 200, Length: 50, URL: "a"}, {Bundle: b1, Offset: 250, Length: 350 + 2*g, URL: "b"},
			{Bundle: b1, Offset: 601 + 2*g, Length: 50, URL: "c"}, {Bundle: b2, Length: 1000, URL: "d"},
		},
		Frames: []hook.Offered{
			frame(b2, 500, 10), frame(b1, 300, 100), frame(b1, 200, 100), {Frame: bundle.Frame{Length: 7}}, frame(inline, 0, 10),
			frame(b1, 400+g, 50), frame(b1, 451+2*g, 50), frame(b1, 460+2*g, 5), frame(b1, 0, 0), frame(b2, 0, 1), frame(b1, 601+2*g, 50),
			frame(b1, 190, 20), frame(b1, 590+2*g, 20), // parts of these lie in no section, so they are in the answer
		},
	}
	var got []string
	for _, s := range spans(co, func(f bundle.Frame) bool { return f.Length != 1 }) {
		urls := ""
		for _, sec := range s.sections {
			urls += sec.URL
		}
		got = append(got, fmt.Sprintf("%s %d-%d %d", urls, s.from, s.to, len(s.frames)))
	}
	want := []string{
		"d 500-510 1", fmt.Sprintf("ab 200-%d 3", 450+g),
		fmt.Sprintf("b %d-%d 1", 451+2*g, 501+2*g), fmt.Sprintf("b %d-%d 1", 460+2*g, 465+2*g), // one lies in the other: an attack
		fmt.Sprintf("c %d-%d 1", 601+2*g, 651+2*g), // near, but what lies between may not be had
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Which part of a span is had behind URLs, and which of the service.
func TestWhereSectionsAreRead(t *testing.T) {
	data := bigBytes(10_000)
	give := func(who string, asked *[]string) *httptest.Server {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*asked = append(*asked, who+r.URL.RawQuery+" "+strings.TrimPrefix(r.Header.Get("Range"), "bytes="))
			w.Header().Set("ETag", r.Header.Get("If-Match"))
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		}))
		t.Cleanup(srv.Close)
		return srv
	}
	d := bundle.Digest{1}
	for name, c := range map[string]struct {
		at, to int64
		used   string
		want   string
	}{
		"all of it":                       {0, 9000, "", "s3 0-2999,s3 3000-5999,s3 6000-8999"},
		"to within one":                   {0, 4000, "", "s3 0-2999,s3 3000-5999"},
		"from within one, more than half": {1000, 9000, "", "s3 0-2999,s3 3000-5999,s3 6000-8999"},
		"from within one, less than half": {2000, 9000, "", "service 2000-2999,s3 3000-5999,s3 6000-8999"},
		"a little in the middle":          {4000, 4100, "", "service 4000-4099"},
		"opened before":                   {0, 9000, "/2", "s3 0-2999,service 3000-5999,s3 6000-8999"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			s3, service := give("s3", &asked), give("service", &asked)
			a := &Agent{now: time.Now, client: hook.NewClient(hook.ClientOptions{URL: service.URL})}
			defer a.client.Close()
			s := &span{bundle: d, from: c.at, to: c.to}
			for i := range int64(3) {
				s.sections = append(s.sections, hook.Section{Bundle: d, Offset: 3000 * i, Length: 3000, ETag: `"x"`, URL: fmt.Sprintf("%s/%d", s3.URL, i+1)})
			}
			w := &away{a: a, course: "scala101", used: map[string]bool{s3.URL + c.used: true}}
			r, err := w.open(t.Context(), s, c.at)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			if err != nil || !bytes.Equal(got, data[c.at:c.to]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if got := strings.Join(asked, ","); got != c.want {
				t.Errorf("asked %s", got)
			}
		})
	}
}
