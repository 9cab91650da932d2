package hookserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

// signing is a store that signs URLs, each another one.
type signing struct {
	store.Store
	mu     sync.Mutex
	n      int
	heads  int
	signed []signedPart
	life   time.Duration
	fault  error
	// left is how many are signed, where that is limited
	limited bool
	left    int
}

type signedPart struct {
	key string
	store.Section
}

const signature = "canary-signature"

func (s *signing) Head(ctx context.Context, key string) (store.Object, error) {
	s.mu.Lock()
	s.heads++
	s.mu.Unlock()
	return s.Store.Head(ctx, key)
}

func (s *signing) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heads
}

func (s *signing) SignedURL(_ context.Context, key string, sec store.Section, ttl time.Duration) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return "", s.fault
	}
	if s.left--; s.limited && s.left < 0 {
		return "", errors.New("no more")
	}
	s.n++
	s.life, s.signed = ttl, append(s.signed, signedPart{key, sec})
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
// gives the sections whose URLs came.
func (s *student) syncAll() (opened []hook.Section) {
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
		opened = append(opened, c.URLs...)
		for _, f := range c.Frames {
			if c.Elsewhere(&f) {
				s.decode(f.Frame, bytes.NewReader(s.w.behind(c, &f)))
			}
		}
		s.apply(*c)
	}
	return opened
}

// behind reads a frame by the sections in which it lies.
func (w *world) behind(c *hook.CourseOffer, f *hook.Offered) (out []byte) {
	w.t.Helper()
	list := c.Covering(f)
	for _, sec := range list {
		out = append(out, w.bytes(c.Course, sec.Bundle, sec.Offset, sec.Length)...)
	}
	return out[f.Offset-list[0].Offset:][:f.Length]
}

// bytes are a part of a stored bundle.
func (w *world) bytes(course string, d bundle.Digest, off, n int64) []byte {
	w.t.Helper()
	r, _, err := w.dir.GetRange(w.t.Context(), store.BundleKey(course, d), off, n)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil || int64(len(data)) != n {
		w.t.Fatalf("%d of %d bytes: %v", len(data), n, err)
	}
	return data
}

// mayHave fails when a byte of a section is of no frame, or of one that holds
// anything that no newest manifest of this student names: by the stored bundle
// itself and what was published, not by what the service thinks.
func (s *student) mayHave(course string, sec hook.Section) {
	s.w.t.Helper()
	x := indexOf(s.w.t, s.w, course, sec.Bundle)
	if s.trees[course][x.Channel] == nil {
		s.w.t.Errorf("a URL of a bundle of channel %s was signed", x.Channel)
	}
	named := map[bundle.Digest]bool{}
	for _, m := range s.trees[course] {
		for _, f := range m.Files {
			named[f.Digest] = true
		}
	}
	at := sec.Offset
	for _, f := range x.Frames {
		if f.Offset+f.Length <= sec.Offset || f.Offset >= sec.End() {
			continue
		}
		if f.Offset > at {
			s.w.t.Errorf("signed: %d bytes that are of no frame", f.Offset-at)
		}
		at = f.Offset + f.Length
		for _, it := range f.Items {
			if !named[it.Digest] {
				s.w.t.Errorf("signed: %d to %d of bundle %d to %d of %s: that is %s too, which this student may not have", sec.Offset, sec.End(), x.From, x.To, x.Channel, it.Digest)
			}
		}
	}
	if at < sec.End() {
		s.w.t.Errorf("signed: %d bytes behind the frames", sec.End()-at)
	}
}

// TestWhatIsSigned: by which sections what may be had of a bundle is read.
func TestWhatIsSigned(t *testing.T) {
	big := func(i int) string { return noise(258_000, uint64(i)) }   // in a group with its neighbours
	alone := func(i int) string { return noise(300_000, uint64(i)) } // in a frame of its own
	everybody := func(files map[string]string, gone ...bundle.Pair) map[string]audienceOf {
		return map[string]audienceOf{"all": {files: files, withdrawn: gone}}
	}
	withB := func(all, b map[string]string) map[string]audienceOf {
		return map[string]audienceOf{"all": {files: all}, "b": {groups: []string{"b"}, files: b}}
	}
	five := map[string]string{"a": alone(1), "b": alone(2), "c": alone(3), "d": alone(4), "e": alone(5)}
	without := func(names ...string) map[string]string {
		out := maps.Clone(five)
		for _, n := range names {
			delete(out, n)
		}
		return out
	}
	for name, c := range map[string]struct {
		versions []map[string]audienceOf
		groups   string
		want     string // channel, from and to of the bundle, thousands of bytes; or another, where a content lies twice
	}{
		"all of it is newest": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": big(1), "b": alone(2)})}, want: "all:0-1:558",
		},
		"the step too": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": big(1)}), everybody(map[string]string{"a": big(1), "b": alone(2)})}, want: "all:0-1:258 all:1-2:300",
		},
		"too small for a request": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": "a", "b": noise(240_000, 1)})},
		},
		"mixed in one frame: superseded": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": big(1), "b": big(2)}), everybody(map[string]string{"a": big(3), "b": big(2)})}, want: "all:1-2:258",
		},
		"frames of their own: superseded": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": alone(1), "b": alone(2)}), everybody(map[string]string{"a": alone(3), "b": alone(2)})}, want: "all:0-1:300 all:1-2:300",
		},
		"frames of their own: deleted": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": alone(1), "b": alone(2)}), everybody(map[string]string{"b": alone(2)})}, want: "all:0-1:300",
		},
		"frames of their own: withdrawn": {
			versions: []map[string]audienceOf{
				everybody(map[string]string{"a": alone(1), "b": alone(2)}),
				everybody(map[string]string{"b": alone(2)}, bundle.Pair{Path: "a", Digest: bundle.Sum([]byte(alone(1)))}),
			}, want: "all:0-1:300",
		},
		"one of five is gone": {
			versions: []map[string]audienceOf{everybody(five), everybody(without("c"))}, want: "all:0-1:600 all:0-1:600|all:0-1:1200|all:0-1:300 all:0-1:900",
		},
		"two of five are gone, each beside none": {
			versions: []map[string]audienceOf{everybody(five), everybody(without("a", "c", "e"))}, want: "all:0-1:300 all:0-1:300|all:0-1:600",
		},
		"a content that came back": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": alone(1)}), everybody(map[string]string{"a": alone(2)}), everybody(map[string]string{"a": alone(1)})}, want: "all:0-1:300|all:2-3:300",
		},
		"renamed only": {
			versions: []map[string]audienceOf{everybody(map[string]string{"a": alone(1)}), everybody(map[string]string{"c": alone(1)})}, want: "all:0-1:300",
		},
		"another channel's": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": big(1)}, map[string]string{"b": big(2)})}, want: "all:0-1:258",
		},
		"another channel's, for who is in it": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": big(1)}, map[string]string{"b": big(2)})}, groups: "b", want: "all:0-1:258 b:0-1:258",
		},
		"moved to a narrower channel": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": alone(1), "m": alone(2)}, nil), withB(map[string]string{"a": alone(1)}, map[string]string{"m": alone(2)})}, want: "all:0-1:300",
		},
		"moved to a narrower channel, for who is in it": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": alone(1), "m": alone(2)}, nil), withB(map[string]string{"a": alone(1)}, map[string]string{"m": alone(2)})}, groups: "b", want: "all:0-1:600|all:0-1:300 b:1-2:300",
		},
		"the same content in a channel of others": {
			versions: []map[string]audienceOf{withB(map[string]string{"a": alone(1)}, map[string]string{"m": alone(1), "n": alone(2)})}, want: "all:0-1:300",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := redirecting(t, nil)
			for _, v := range c.versions {
				w.publish("scala", v)
			}
			ana := w.modern("ana", strings.Fields(c.groups)...)
			var got []string
			for _, sec := range ana.syncAll() {
				x := indexOf(t, w, "scala", sec.Bundle)
				got = append(got, fmt.Sprintf("%s:%d-%d:%d", x.Channel, x.From, x.To, sec.Length/1000))
				ana.mayHave("scala", sec)
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

func TestRuns(t *testing.T) {
	b1, b2 := bundle.Digest{1}, bundle.Digest{2}
	const m = minRedirected
	lying := func(b bundle.Digest, from, to int64) piece {
		return piece{offered: hook.Offered{Bundle: b, Frame: bundle.Frame{Offset: from, Length: to - from}}}
	}
	for name, c := range map[string]struct {
		pieces []piece
		want   []run
	}{
		"nothing":                {},
		"put together":           {[]piece{{made: &recipe{}, offered: hook.Offered{Frame: bundle.Frame{Length: 9 * m}}}}, nil},
		"neighbours, in a heap":  {[]piece{lying(b1, m, 2*m), lying(b1, 10, m), lying(b1, 2*m, 2*m+1)}, []run{{b1, 10, 2*m + 1}}},
		"small ones in a row":    {[]piece{lying(b1, 0, m-1), lying(b1, m-1, m)}, []run{{b1, 0, m}}},
		"small ones apart":       {[]piece{lying(b1, 0, m-1), lying(b1, m, 2*m-1)}, nil},
		"a gap of one byte":      {[]piece{lying(b1, 0, m), lying(b1, m+1, 3*m)}, []run{{b1, m + 1, 3 * m}, {b1, 0, m}}},
		"of two bundles":         {[]piece{lying(b1, 0, m), lying(b2, m, 2*m)}, []run{{b1, 0, m}, {b2, m, 2 * m}}},
		"over each other":        {[]piece{lying(b1, 0, m), lying(b1, m-1, 3*m)}, []run{{b1, 0, m}}},
		"one within another":     {[]piece{lying(b1, 0, 3*m), lying(b1, 5, 10), lying(b1, 3*m, 4*m)}, []run{{b1, 0, 4 * m}}},
		"the same place, longer": {[]piece{lying(b1, 0, 2*m), lying(b1, 0, m)}, []run{{b1, 0, m}}},
	} {
		if got := runs(c.pieces); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
	var many []piece
	for i := range int64(2 * maxRuns) {
		many = append(many, lying(b1, 10*m*i, 10*m*i+m+i))
	}
	got := runs(many)
	if len(got) != maxRuns || got[0].length() != m+2*maxRuns-1 || got[maxRuns-1].length() != m+maxRuns {
		t.Errorf("%d runs: %v", len(got), got)
	}
}

// Sections are even, as long as is said, and not too many.
func TestCut(t *testing.T) {
	for name, c := range map[string]struct {
		lengths []int64
		longest int64
	}{
		"one":                     {[]int64{minRedirected}, maxSection},
		"just one":                {[]int64{maxSection}, maxSection},
		"a bit more":              {[]int64{maxSection + 1}, maxSection},
		"several":                 {[]int64{5*maxSection + 3, 300_000, 3 * maxSection}, maxSection},
		"a large bundle":          {[]int64{bundle.MaxBundleSize}, bundle.MaxBundleSize/maxRuns + 1},
		"as much as there may be": {slices.Repeat([]int64{bundle.MaxBundleSize}, maxRuns), bundle.MaxBundleSize},
		"one large, many small":   {append([]int64{bundle.MaxBundleSize}, slices.Repeat([]int64{300_000}, maxRuns-1)...), bundle.MaxBundleSize/maxRuns + 300_000},
	} {
		var list []run
		for i, n := range c.lengths {
			list = append(list, run{bundle.Digest{byte(i)}, 7, 7 + n})
		}
		n, got := 0, cut(list)
		for i, parts := range got {
			at := list[i].from
			for _, p := range parts {
				if p.from != at || p.bundle != list[i].bundle || p.length() > c.longest || p.length() < min(list[i].length(), maxSection/2) {
					t.Errorf("%s: %+v of %+v", name, p, list[i])
				}
				at, n = p.to, n+1
			}
			if at != list[i].to {
				t.Errorf("%s: %+v ends at %d", name, list[i], at)
			}
		}
		if len(got) != len(list) || n > 2*maxRuns || n > hook.MaxSections {
			t.Errorf("%s: %d sections of %d runs", name, n, len(got))
		}
	}
}

// Any history, any student: each byte behind a URL is of what they may have,
// and what comes by both ways is all of it.
func TestOnlyWhatTheyMayHaveIsSigned(t *testing.T) {
	w, s := redirecting(t, nil)
	rnd := rand.New(rand.NewPCG(7, 8))
	groups := []string{"", "g", "h"}
	var agents []*student
	signed, parts, mixed := 0, 0, 0
	for n := range 14 {
		want := map[string]map[string]string{}
		channels := map[string]audienceOf{}
		for _, g := range groups {
			files := map[string]string{}
			for i := range 6 {
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
			for _, sec := range a.syncAll() {
				a.mayHave("scala", sec)
				signed++
				x := indexOf(t, w, "scala", sec.Bundle)
				if f := x.Frames[len(x.Frames)-1]; sec.Offset > x.Frames[0].Offset || sec.End() < f.Offset+f.Length {
					parts++
				}
			}
			mixed += len(a.got)
			a.wantUnion("scala", want)
		}
	}
	if signed < 50 || parts < 20 || mixed < 20 || len(s.signed) == 0 {
		t.Errorf("%d sections, %d of them of a part of a bundle, %d frames beside: the test tries too little", signed, parts, mixed)
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
	w.pass(signPause)
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
		for _, sec := range ana.last.Courses[0].URLs {
			_, n, _ := strings.Cut(sec.URL, "n=")
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

// What a signing needs of S3 is asked once a minute; after a fault it is not
// asked for a while, for that would keep each login waiting.
func TestSigningAsksLittle(t *testing.T) {
	w, s := redirecting(t, nil)
	w.publish("scala", everyone(map[string]string{"a": noise(300_000, 1)}))
	w.publish("scala", everyone(map[string]string{"a": noise(300_000, 1), "b": noise(300_000, 2)}))
	asks := func(want, urls int) {
		t.Helper()
		before, n := s.asked(), 0
		for range 3 {
			n = len(w.modern("ana").syncAll())
		}
		if got := s.asked() - before; got != want || n != urls {
			t.Errorf("asked %d times, want %d; %d URLs, want %d", got, want, n, urls)
		}
	}
	asks(2, 2)
	w.pass(urlFresh)
	asks(2, 2)
	s.fault = errors.New("no credentials")
	w.pass(urlFresh)
	asks(1, 0)
	s.fault = nil
	asks(0, 0)
	w.pass(signPause)
	asks(1, 2) // the other tag is known
	w.pass(urlFresh)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := w.srv.links
	if _, err := l.sections(ctx, "scala", []run{{bundle.Digest{1}, 0, 5}}); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody who went away: %v", err)
	}
	if _, err := l.sections(t.Context(), "scala", []run{{bundle.Digest{1}, 0, 5}}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a bundle that is gone: %v", err)
	}
	if got := len(w.modern("ana").syncAll()); got != 2 {
		t.Errorf("%d URLs: neither is the others' fault", got)
	}
}

// proving is a store whose server is asked whether it holds URLs to their
// sections.
type proving struct {
	*signing
	asked  atomic.Int32
	answer atomic.Pointer[error]
}

func (p *proving) CheckSection(context.Context, string, store.Section) error {
	p.asked.Add(1)
	return *p.answer.Load()
}

// No URL goes out before the server was seen to hold it to its section; of one
// that does not, none ever.
func TestTheServerIsProvenBeforeAURLGoesOut(t *testing.T) {
	s := &proving{signing: &signing{}}
	w := newWorld(t, func(o *Options) {
		s.Store = o.Store
		o.Store, o.Redirect = s, true
	})
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": noise(300_000, 1)}))
	for _, c := range []struct {
		name        string
		answer      error
		urls, asked int
	}{
		{"it cannot be asked", errors.New("away"), 0, 1},
		{"it does", nil, 1, 2},
		{"it is not asked again", store.ErrSections, 1, 2},
	} {
		s.answer.Store(&c.answer)
		w.pass(urlFresh)
		if n := len(w.modern("ana").syncAll()); n != c.urls || int(s.asked.Load()) != c.asked {
			t.Errorf("%s: %d URLs, asked %d times", c.name, n, s.asked.Load())
		}
	}
	w.srv.links.proven = false // as another process begins
	for range 2 {
		w.pass(time.Hour)
		if n := len(w.modern("ana").syncAll()); n != 0 || s.asked.Load() != 3 {
			t.Errorf("it does not: %d URLs, asked %d times", n, s.asked.Load())
		}
	}
}

// A run has all of its URLs or none, so no frame is half in the answer.
func TestARunIsSignedWhole(t *testing.T) {
	w, s := redirecting(t, nil)
	w.publish("scala", everyone(map[string]string{"a": noise(300_000, 1)}))
	w.modern("ana").syncAll()
	d := s.signed[0].key[strings.LastIndexByte(s.signed[0].key, '/')+1:]
	b, err := bundle.ParseDigest(d)
	if err != nil {
		t.Fatal(err)
	}
	p := &prepared{course: "scala", runs: []run{{b, 0, 5 * maxSection}, {b, 6 * maxSection, 7 * maxSection}}}
	for left := range 8 {
		w.pass(urlFresh)
		s.mu.Lock()
		s.left, s.limited = left, true
		s.mu.Unlock()
		want := 0
		if left >= 5 {
			want = min(left, 6)
		}
		got := w.srv.signed(t.Context(), p).urls
		if len(got) != want {
			t.Errorf("of 6 sections in two runs %d could be signed: %d URLs", left, len(got))
		}
		for i := range got {
			if i > 0 && (got[i-1].Offset >= got[i].Offset) {
				t.Errorf("not in their order: %+v", got)
			}
		}
	}
	if len(p.urls) != 0 {
		t.Error("URLs stay with what is kept of an answer")
	}
}

// The same bundle in two courses: each has URLs of its own object.
func TestURLsAreOfTheirCourse(t *testing.T) {
	w, s := redirecting(t, nil)
	w.course("other", all)
	text := noise(300_000, 1)
	w.publish("scala", everyone(map[string]string{"a": text}))
	d := bundle.Sum([]byte("bundle"))
	for _, course := range []string{"one", "two"} {
		if err := w.dir.Put(t.Context(), store.BundleKey(course, d), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		list, err := w.srv.links.sections(t.Context(), course, []run{{d, 0, 5}})
		if err != nil || len(list) != 1 || !strings.Contains(list[0].URL, "/"+course+"/") {
			t.Errorf("%s: %+v, %v", course, list, err)
		}
	}
	if len(s.signed) != 2 {
		t.Errorf("signed: %+v", s.signed)
	}
}

// However much is signed in a minute, what is kept of it is bounded.
func TestLinksAreBounded(t *testing.T) {
	w, _ := redirecting(t, nil)
	d := bundle.Sum([]byte("bundle"))
	if err := w.dir.Put(t.Context(), store.BundleKey("scala", d), strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	l := w.srv.links
	for i := range int64(2*maxLinks + 5) {
		if _, err := l.sections(t.Context(), "scala", []run{{d, i, i + 1}}); err != nil {
			t.Fatal(err)
		}
		if len(l.at) > maxLinks || len(l.tags) > 1 {
			t.Fatalf("%d URLs and %d ETags are kept", len(l.at), len(l.tags))
		}
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
	for i := range c.URLs {
		u := &c.URLs[i]
		u.URL = strings.Replace(u.URL, u.Bundle.String(), bundle.Sum(nil).String(), 1)
		u.Bundle, u.Offset, u.Length, u.ETag = bundle.Sum(nil), 400, 60, `"d41d8cd98f00b204e9800998ecf8427e"`
	}
	golden(t, "offer-urls.json", indented(t, ana.last))
	ask := indented(t, hook.Ask{Format: 1, Digests: []bundle.Digest{bundle.Sum([]byte("{}"))}, URLs: true})
	golden(t, "ask.json", ask)
	if got := ana.status("POST", "/v1/courses/scala/files", nil, bytes.NewReader(ask)); got != 200 {
		t.Errorf("the golden question: %d", got)
	}
}
