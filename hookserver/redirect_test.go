package hookserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

// signing is a store that signs URLs, each another one.
type signing struct {
	store.Store
	mu    sync.Mutex
	n     int
	keys  []string
	life  time.Duration
	fault error
}

const signature = "canary-signature"

func (s *signing) SignedURL(_ context.Context, key string, ttl time.Duration) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return "", s.fault
	}
	s.n++
	s.life, s.keys = ttl, append(s.keys, key)
	return fmt.Sprintf("https://s3.example/%s?X-Amz-Expires=900&X-Amz-Signature=%s&n=%d", key, signature, s.n), nil
}

// redirecting is a service with delivery: redirect.
func redirecting(t testing.TB, change func(*Options)) (*world, *signing) {
	s := &signing{}
	w := newWorld(t, func(o *Options) {
		s.Store = o.Store
		o.Store, o.Redirect = s, true
		if change != nil {
			change(o)
		}
	})
	w.course("scala", all)
	return w, s
}

// modern is a student whose agent takes URLs.
func (w *world) modern(user string, groups ...string) *student {
	s := w.student(user, groups...)
	s.client = hook.NewClient(hook.ClientOptions{URL: w.web.URL, Ticket: func() string { return s.ticket }, Agent: "test", HTTP: w.web.Client(), URLs: func() bool { return true }})
	return s
}

// syncAll is sync, with what lies behind the URLs read from the store. It
// gives the bundles whose URLs came.
func (s *student) syncAll() (opened []bundle.Digest) {
	s.w.t.Helper()
	a, err := s.client.Sync(s.w.t.Context(), s.haves(), nil, "")
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer a.Close()
	s.take(a)
	s.last = a.Offer
	for i := range a.Offer.Courses {
		c := &a.Offer.Courses[i]
		for d := range c.URLs {
			opened = append(opened, d)
		}
		for _, f := range c.Frames {
			if c.Elsewhere(&f) {
				r, _, err := s.w.dir.GetRange(s.w.t.Context(), store.BundleKey(c.Course, f.Bundle), f.Offset, f.Length)
				if err != nil {
					s.w.t.Fatal(err)
				}
				s.decode(f.Frame, r)
				r.Close()
			}
		}
		s.apply(*c)
	}
	return opened
}

// mayHave fails when a bundle holds anything that no newest manifest of this
// student names, or is of a channel that is not theirs: by the stored bundle
// itself and what was published, not by what the service thinks.
func (s *student) mayHave(course string, d bundle.Digest) {
	s.w.t.Helper()
	x := indexOf(s.w.t, s.w, course, d)
	if s.trees[course][x.Channel] == nil {
		s.w.t.Errorf("the URL of a bundle of channel %s was signed", x.Channel)
	}
	named := map[bundle.Digest]bool{}
	for _, m := range s.trees[course] {
		for _, f := range m.Files {
			named[f.Digest] = true
		}
	}
	for _, f := range x.Frames {
		for _, it := range f.Items {
			if !named[it.Digest] {
				s.w.t.Errorf("the URL of bundle %d to %d of %s was signed: it holds %s, which this student may not have", x.From, x.To, x.Channel, it.Digest)
			}
		}
	}
	for _, f := range x.Former {
		if s.w.state[course].histories[x.Channel].At(f.Path) == nil {
			s.w.t.Errorf("the URL of a bundle was signed whose history names %q, which is not of that channel's past", f.Path)
		}
	}
}

// TestWhatMayBeOpened has each reason for which a bundle's URL is not signed.
func TestWhatMayBeOpened(t *testing.T) {
	big := func(i int) string { return noise(258_000, uint64(i)) }   // in a group with its neighbours
	alone := func(i int) string { return noise(300_000, uint64(i)) } // in a frame of its own
	everybody := func(files map[string]string, gone ...bundle.Pair) map[string]audienceOf {
		return map[string]audienceOf{"all": {files: files, withdrawn: gone}}
	}
	withB := func(all, b map[string]string) map[string]audienceOf {
		return map[string]audienceOf{"all": {files: all}, "b": {groups: []string{"b"}, files: b}}
	}
	for name, c := range map[string]struct {
		versions []map[string]audienceOf
		groups   string
		want     string // channel, from and to of what is signed; or another, where a content lies twice
	}{
		"all of it is newest": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": big(1), "b": alone(2)})}, want: "all:0-1",
		},
		"the step too": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": big(1)}), everybody(map[string]string{"a": big(1), "b": alone(2)})}, want: "all:0-1 all:1-2",
		},
		"too small for a request": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": "a", "b": noise(240_000, 1)})},
		},
		"mixed in one frame: superseded": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": big(1), "b": big(2)}), everybody(map[string]string{"a": big(3), "b": big(2)})}, want: "all:1-2",
		},
		"frames of their own: superseded": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": alone(1), "b": alone(2)}), everybody(map[string]string{"a": alone(3), "b": alone(2)})}, want: "all:1-2",
		},
		"frames of their own: deleted": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": alone(1), "b": alone(2)}), everybody(map[string]string{"b": alone(2)})},
		},
		"frames of their own: withdrawn": {
			versions: []map[string]audienceOf{
				everybody(map[string]string{"a": alone(1), "b": alone(2)}),
				everybody(map[string]string{"b": alone(2)}, bundle.Pair{Path: "a", Digest: bundle.Sum([]byte(alone(1)))}),
			},
		},
		"a content that came back": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": alone(1)}), everybody(map[string]string{"a": alone(2)}), everybody(map[string]string{"a": alone(1)})}, want: "all:0-1|all:2-3",
		},
		"renamed only": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": alone(1)}), everybody(map[string]string{"c": alone(1)})}, want: "all:0-1",
		},
		"another channel's": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": big(1)}, map[string]string{"b": big(2)})}, want: "all:0-1",
		},
		"another channel's, for who is in it": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": big(1)}, map[string]string{"b": big(2)})}, groups: "b", want: "all:0-1 b:0-1",
		},
		"moved to a narrower channel": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": alone(1), "m": alone(2)}, nil), withB(map[string]string{"a": alone(1)}, map[string]string{"m": alone(2)})},
		},
		"moved to a narrower channel, for who is in it": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": alone(1), "m": alone(2)}, nil), withB(map[string]string{"a": alone(1)}, map[string]string{"m": alone(2)})}, groups: "b", want: "all:0-1|all:0-1 b:1-2",
		},
		"the same content in a channel of others": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": alone(1)}, map[string]string{"m": alone(1), "n": alone(2)})}, want: "all:0-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := redirecting(t, nil)
			for _, v := range c.versions {
				w.publish("scala", v)
			}
			ana := w.modern("ana", strings.Fields(c.groups)...)
			var got []string
			for _, d := range ana.syncAll() {
				x := indexOf(t, w, "scala", d)
				got = append(got, fmt.Sprintf("%s:%d-%d", x.Channel, x.From, x.To))
				ana.mayHave("scala", d)
			}
			slices.Sort(got)
			if !slices.Contains(strings.Split(c.want, "|"), strings.Join(got, " ")) {
				t.Errorf("signed: %q; want %q", got, c.want)
			}
			want := map[string]string{}
			for id, a := range c.versions[len(c.versions)-1] {
				for p, text := range a.files {
					if id == "all" || c.groups == id {
						want[p] = text
					}
				}
			}
			ana.wantTree("scala", want)
		})
	}
}

// A kind of frame that is not known, and bytes that no frame accounts for.
func TestBundlesThatAreNotUnderstoodStayShut(t *testing.T) {
	w, _ := redirecting(t, nil)
	text := noise(100_000, 1)
	w.publish("scala", everyone(map[string]string{"a": text}))
	tk, err := w.tickets.Verify("satchel", w.student("ana").ticket, w.clock())
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.srv.view(t.Context(), tk, "scala")
	if err != nil {
		t.Fatal(err)
	}
	item := []bundle.Item{{Digest: bundle.Sum([]byte(text)), Size: int64(len(text))}}
	frame := func(kind bundle.Kind, off, n int64) bundle.Frame {
		return bundle.Frame{Kind: kind, Offset: off, Length: n, Size: int64(len(text)), Items: item}
	}
	for name, c := range map[string]struct {
		frames []bundle.Frame
		open   bool
	}{
		"as it should be":   {[]bundle.Frame{frame(bundle.Whole, 100, 50), frame(bundle.Delta, 150, 50)}, true},
		"no frame at all":   {nil, false},
		"an unknown kind":   {[]bundle.Frame{frame(bundle.Whole, 100, 50), frame("sliced", 150, 50)}, false},
		"a gap":             {[]bundle.Frame{frame(bundle.Whole, 100, 50), frame(bundle.Whole, 160, 40)}, false},
		"a gap made up for": {[]bundle.Frame{frame(bundle.Whole, 100, 60), frame(bundle.Whole, 150, 20), frame(bundle.Whole, 180, 20)}, false},
		"bytes behind":      {[]bundle.Frame{frame(bundle.Whole, 100, 50), frame(bundle.Whole, 150, 49)}, false},
		"over each other":   {[]bundle.Frame{frame(bundle.Whole, 100, 50), frame(bundle.Whole, 140, 60)}, false},
		"beyond the object": {[]bundle.Frame{frame(bundle.Whole, 100, 101)}, false},
	} {
		if got := v.mayReadAll(&bundle.Index{Frames: c.frames}, store.BundleRef{Size: 200}); got != c.open {
			t.Errorf("%s: %v", name, got)
		}
	}
	if v.mayOpen(bundle.Sum([]byte("a bundle of another course"))) {
		t.Error("a bundle that is not of this course")
	}
}

// Any history, any student: what is signed holds only what they may have, and
// what comes by both ways is all of it.
func TestOnlyOpenBundlesAreSigned(t *testing.T) {
	w, s := redirecting(t, nil)
	rnd := rand.New(rand.NewPCG(7, 8))
	groups := []string{"", "g", "h"}
	var agents []*student
	signed, shut := 0, 0
	for n := range 14 {
		want := map[string]map[string]string{}
		channels := map[string]audienceOf{}
		for _, g := range groups {
			files := map[string]string{}
			for i := range 4 {
				if rnd.IntN(4) > 0 {
					files[fmt.Sprintf("%s-%d", g, i)] = noise(80_000+300_000*(i%2), uint64(rnd.IntN(3)*100+len(g)*10+i))
				}
			}
			want[g] = files
			a := audienceOf{files: files, full: rnd.IntN(3) == 0}
			if g != "" {
				a.groups = []string{g}
			}
			channels["ch"+g] = a
		}
		w.publish("scala", channels)
		agents = append(agents, w.modern(fmt.Sprint("old", n), groups[rnd.IntN(3)]))
		for i, a := range agents {
			if i < n && rnd.IntN(2) == 0 {
				continue // stays behind
			}
			for _, d := range a.syncAll() {
				a.mayHave("scala", d)
				signed++
			}
			for _, f := range a.got {
				if f.Length >= minRedirected {
					shut++
				}
			}
			a.wantUnion("scala", want)
		}
	}
	if signed < 20 || shut < 20 || len(s.keys) == 0 {
		t.Errorf("%d bundles signed, %d large frames sent by the service: the test tries too little", signed, shut)
	}
}

// Who does not say that they take URLs gets none, nor does anybody where
// delivery is not redirect, or the store cannot sign.
func TestBytesFollowAsEver(t *testing.T) {
	files := map[string]string{"a": noise(300_000, 1), "b": "b"}
	w, s := redirecting(t, nil)
	w.publish("scala", everyone(files))
	plain, _ := redirecting(t, func(o *Options) { o.Redirect = false })
	plain.publish("scala", everyone(files))
	ana := w.modern("ana")
	if len(ana.syncAll()) != 1 {
		t.Fatal("nothing was signed, so this test says nothing")
	}
	for name, who := range map[string]*student{"an agent of before": w.student("old"), "delivery: service": plain.modern("ana"), "a store that cannot sign": w.modern("una")} {
		if s.fault = nil; strings.HasPrefix(name, "a store") {
			s.fault = errors.New("no credentials")
		}
		w.pass(urlFresh)
		offer := who.sync()
		who.wantTree("scala", files)
		if offer.Courses[0].URLs != nil {
			t.Errorf("%s: %v", name, offer.Courses[0].URLs)
		}
	}
	for name, who := range map[string]*student{"by digest": w.modern("dig"), "by digest, of before": w.student("ged")} {
		s.fault = nil
		a, err := who.client.Files(t.Context(), "scala", []bundle.Digest{bundle.Sum([]byte(files["a"])), bundle.Sum([]byte("b"))})
		if err != nil {
			t.Fatal(err)
		}
		who.take(a)
		a.Close()
		if urls := a.Offer.Courses[0].URLs; (len(urls) == 1) != (name == "by digest") || (len(who.got) == 0) != (name == "by digest") {
			t.Errorf("%s: %d frames in the answer, URLs %v", name, len(who.got), urls)
		}
	}
	if _, err := New(slog.New(slog.DiscardHandler), Options{
		Store: w.dir, Courses: w.configured, TicketKeys: w.srv.o.TicketKeys, HookSecrets: w.srv.o.HookSecrets, PublicKeys: w.srv.o.PublicKeys, Redirect: true,
	}); err == nil {
		t.Error("a folder store was taken for one that signs")
	}
}

// A URL is given out for a minute of its quarter of an hour: what is kept of
// answers has none, whatever their age.
func TestURLsAreFresh(t *testing.T) {
	w, s := redirecting(t, nil)
	w.publish("scala", everyone(map[string]string{"a": noise(300_000, 1)}))
	var seen []string
	for _, d := range []time.Duration{0, urlFresh / 2, urlFresh/2 - 1, 1, urlLife, -time.Hour, 0} {
		w.pass(d)
		ana := w.modern("ana")
		ana.syncAll()
		for _, link := range ana.last.Courses[0].URLs {
			_, n, _ := strings.Cut(link, "n=")
			seen = append(seen, n)
		}
	}
	if want := []string{"1", "1", "1", "2", "3", "4", "4"}; !slices.Equal(seen, want) {
		t.Errorf("signings %q, want %q", seen, want)
	}
	if s.life != urlLife || urlLife-urlFresh < 10*time.Minute || urlLife > 15*time.Minute {
		t.Errorf("good for %s", s.life)
	}
	if kept := len(w.srv.prepared.at); kept != 1 {
		t.Errorf("%d answers are kept", kept)
	}
}

// What S3 was to send counts as sent, or the limit would be none.
func TestRedirectedBytesCount(t *testing.T) {
	w, _ := redirecting(t, func(o *Options) { o.Limits.BytesPerHour = 500_000 })
	w.publish("scala", everyone(map[string]string{"a": noise(300_000, 1)}))
	ana := w.modern("ana")
	for i := range 3 {
		ana.have, ana.trees = map[string]hook.Have{}, map[string]map[string]*bundle.Manifest{}
		a, err := ana.client.Sync(t.Context(), nil, nil, "")
		if i == 2 {
			wantError(t, err, http.StatusTooManyRequests, hook.CodeBusy)
			break
		}
		if err != nil || len(a.Offer.Courses[0].URLs) != 1 {
			t.Fatal(err)
		}
		a.Close()
	}
}

// The service itself reads nothing of what S3 is to send, and logs no URL.
func TestRedirectedIsNotReadHere(t *testing.T) {
	var log lockedBuffer
	f := &faulty{}
	w, s := redirecting(t, func(o *Options) {
		f.Store = o.Store
		o.CacheDir, o.Cache.FreeFloor = t.TempDir(), -1
	})
	f.Store, s.Store = s.Store, f
	w.publish("scala", everyone(map[string]string{"a": noise(300_000, 1)}))
	srv, err := New(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), w.srv.o)
	if err != nil {
		t.Fatal(err)
	}
	srv.Refresh(t.Context())
	gets := f.gets.Load()
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/sync?urls=1", nil)
	req.Header.Set("Authorization", "Bearer "+w.student("ana").ticket)
	rec := httptest.NewRecorder()
	srv.Student().ServeHTTP(rec, req)
	o, err := hook.ReadOffer(bytes.NewReader(rec.Body.Bytes()))
	if err != nil || len(o.Courses[0].URLs) != 1 || rec.Body.Len() > 3000 {
		t.Fatalf("%d bytes, %v", rec.Body.Len(), err)
	}
	if f.gets.Load() != gets || f.ranges.Load() != 0 {
		t.Error("the bundle was read from the store")
	}
	s.fault = fmt.Errorf("sign: %w", store.ErrUnavailable)
	w.pass(urlFresh)
	srv.Student().ServeHTTP(httptest.NewRecorder(), req)
	if text := log.String(); strings.Contains(text, signature) || !strings.Contains(text, "no URL is signed") {
		t.Errorf("the log: %s", text)
	}
}

// The golden answer with URLs, and the golden question for it.
func TestGoldenURLs(t *testing.T) {
	w, _ := redirecting(t, nil)
	w.publish("scala", everyone(map[string]string{"a": noise(300_000, 1), "n.ipynb": "{}"}))
	ana := w.modern("ana")
	ana.syncAll()
	c := &ana.last.Courses[0]
	c.Head.Signatures = nil // a random key
	for i := range c.Frames {
		c.Frames[i].Bundle, c.Frames[i].Offset, c.Frames[i].Length = bundle.Sum(nil), int64(400+30*i), 30
	}
	for d, link := range c.URLs {
		delete(c.URLs, d)
		c.URLs[bundle.Sum(nil)] = strings.Replace(link, d.String(), bundle.Sum(nil).String(), 1)
	}
	golden(t, "offer-urls.json", indented(t, ana.last))
	ask := indented(t, hook.Ask{Format: 1, Digests: []bundle.Digest{bundle.Sum([]byte("{}"))}, URLs: true})
	golden(t, "ask.json", ask)
	if got := ana.status("POST", "/v1/courses/scala/files", nil, bytes.NewReader(ask)); got != 200 {
		t.Errorf("the golden question: %d", got)
	}
}
