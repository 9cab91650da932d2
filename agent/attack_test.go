package agent

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

// tamper gives a wall that changes the service's answers to what: an offer,
// and the bytes of its frames.
func tamper(t testing.TB, path string, change func(*hook.Offer, []byte) (*hook.Offer, []byte)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			if !strings.HasSuffix(r.URL.Path, path) {
				next.ServeHTTP(w, r)
				return
			}
			r.Header.Del("If-None-Match")
			next.ServeHTTP(rec, r)
			if rec.Code != http.StatusOK {
				t.Errorf("the service answered %d", rec.Code)
			}
			body := bytes.NewReader(rec.Body.Bytes())
			o, err := hook.ReadOffer(body)
			if err != nil {
				t.Error(err)
				return
			}
			frames, _ := io.ReadAll(body)
			o, frames = change(o, frames)
			head, err := hook.EncodeOffer(o)
			if err != nil {
				t.Error(err)
				return
			}
			w.Header().Set("Content-Type", hook.OfferType)
			w.Header().Set("ETag", `"x"`)
			w.Write(head)
			w.Write(frames)
		})
	}
}

// victim is a home that has version 1, with version 2 published.
func victim(t *testing.T) (*world, *home) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v", out)
	}
	h.said()
	w.publish("scala101", with(lesson, "README.md", "version 2\n", "new.bin", string(bigBytes(300_000))))
	return w, h
}

const (
	unverified = "The material could not be verified, so nothing was changed. Tell your teacher."
	keyChanged = "This server was made before the course's key changed; start a new one."
)

// wantRefused checks that an attack changed nothing, was said, and that the
// next honest answer is taken.
func wantRefused(t *testing.T, w *world, h *home, before map[string]string) {
	t.Helper()
	wantRefusedBy(t, w, h, before, unverified)
}

// wantRefusedBy is wantRefused with another sentence: that one, and no second.
func wantRefusedBy(t *testing.T, w *world, h *home, before map[string]string, sentence string) {
	t.Helper()
	out := h.sync()
	if out.Code != CodeUnverified {
		t.Errorf("it ended with %+v", out)
	}
	h.wantTree("scala101", before)
	h.wantSaid(sentence)
	w.behind(nil)
	if out := h.sync(); out.Code != "" {
		t.Errorf("afterwards it ended with %+v: %q", out, h.said())
	}
}

func TestAttackForeignKey(t *testing.T) {
	w, h := victim(t)
	thief, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		o.Courses[0].Head = w.sign(w.state["scala101"].head, thief)
		return o, f
	}))
	wantRefusedBy(t, w, h, lesson, keyChanged)
}

// TestAttackForgedSignature: a signature that says to be of a key that is
// known here, and is not, has nothing to do with old keys.
func TestAttackForgedSignature(t *testing.T) {
	w, h := victim(t)
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		o.Courses[0].Head.Signatures[0].Sig[0] ^= 1
		return o, f
	}))
	wantRefused(t, w, h, lesson)
}

func TestAttackRollback(t *testing.T) {
	w, h := victim(t)
	var first *hook.Offer
	var frames []byte
	fresh := w.home("eve") // what a thief recorded: version 2 for somebody new
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) { first, frames = o, f; return o, f }))
	fresh.sync()
	w.behind(nil)
	newest := with(lesson, "README.md", "version 3\n")
	w.publish("scala101", newest)
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v", out)
	}
	h.said()
	w.behind(tamper(t, "/v1/sync", func(*hook.Offer, []byte) (*hook.Offer, []byte) { return first, frames }))
	wantRefused(t, w, h, newest)
}

func TestAttackSameVersionWithOtherContent(t *testing.T) {
	w, h := victim(t)
	h.sync()
	before := h.tree("scala101")
	h.said()
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, _ []byte) (*hook.Offer, []byte) {
		m, _, _ := manifestOf(map[string]string{"README.md": "forged\n"})
		head := *w.state["scala101"].head
		head.Channels = []bundle.ChannelAt{{ID: "all", Manifest: m.Digest()}}
		o.Courses = []hook.CourseOffer{{Course: "scala101", Head: w.sign(&head), Channels: []hook.ChannelOffer{{ID: "all", Changes: bundle.Diff(nil, m)}}}}
		return o, nil
	}))
	wantRefused(t, w, h, before)
}

func TestAttackMixAndMatch(t *testing.T) {
	w, h := victim(t)
	m, _, _ := manifestOf(map[string]string{"README.md": "an older head's manifest\n"})
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		o.Courses[0].Channels = []hook.ChannelOffer{{ID: "all", Changes: bundle.Diff(nil, m)}}
		return o, f
	}))
	wantRefused(t, w, h, lesson)
}

func TestAttackChannelThatTheHeadDoesNotName(t *testing.T) {
	w, h := victim(t)
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		m, _, _ := manifestOf(map[string]string{"x": "x"})
		o.Courses[0].Channels = append(o.Courses[0].Channels, hook.ChannelOffer{ID: "other", Changes: bundle.Diff(nil, m)})
		return o, f
	}))
	wantRefused(t, w, h, lesson)
}

func TestAttackAnotherCoursesHead(t *testing.T) {
	w, h := victim(t)
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		head := *w.state["scala101"].head
		head.Course, head.Version = "algo", 9
		o.Courses[0].Head = w.sign(&head)
		return o, f
	}))
	wantRefused(t, w, h, lesson)
}

func TestAttackTamperedBytes(t *testing.T) {
	w, h := victim(t)
	flip := func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		f = slices.Clone(f)
		for i := 20; i < len(f); i += 500 {
			f[i] ^= 0x40
		}
		return o, f
	}
	w.behind(func(next http.Handler) http.Handler {
		return tamper(t, "/files", flip)(tamper(t, "/v1/sync", flip)(next))
	})
	wantRefused(t, w, h, lesson)
}

func TestAttackPathOutsideTheFolder(t *testing.T) {
	for _, path := range []string{"../evil", "/etc/evil", "a/../../evil", ".git/hooks/post-checkout", ".satchel/x", "a\x00b"} {
		w, h := victim(t)
		text := "evil\n"
		m := &bundle.Manifest{Files: []bundle.File{{Path: path, Mode: 0o644, Size: int64(len(text)), Digest: bundle.Sum([]byte(text)), Policy: bundle.Merge}}}
		w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, _ []byte) (*hook.Offer, []byte) {
			head := *w.state["scala101"].head // signed rightly: the service itself was taken
			head.Channels = []bundle.ChannelAt{{ID: "all", Manifest: m.Digest()}}
			o.Courses = []hook.CourseOffer{{Course: "scala101", Head: w.sign(&head), Channels: []hook.ChannelOffer{{ID: "all", Changes: bundle.Diff(nil, m)}}}}
			return o, nil
		}))
		wantRefused(t, w, h, lesson)
	}
}

// endless writes an honest answer and then never stops.
func endless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-None-Match")
		next.ServeHTTP(w, r)
		if !strings.HasSuffix(r.URL.Path, "/v1/sync") {
			return
		}
		junk := make([]byte, 64<<10)
		for range 1 << 20 {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	})
}

func TestAttackEndlessDataAfterTheLastFrame(t *testing.T) {
	w, h := victim(t)
	w.behind(func(next http.Handler) http.Handler {
		return endless(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(noLength{w}, r)
		}))
	})
	began := time.Now()
	h.sync()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	w.behind(nil)
	h.sync()
	if got := h.tree("scala101"); got["README.md"] != "version 2\n" {
		t.Errorf("README.md is %q", got["README.md"])
	}
}

// noLength keeps a handler from announcing a length.
type noLength struct{ http.ResponseWriter }

func (n noLength) WriteHeader(code int) {
	n.Header().Del("Content-Length")
	n.ResponseWriter.WriteHeader(code)
}

func TestAttackEndlessDataInFramesNobodyWants(t *testing.T) {
	w, h := victim(t)
	junk := bigBytes(1 << 20)
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		ballast := hook.Offered{Frame: bundle.Frame{Kind: bundle.Whole, Length: 1 << 20, Size: 1 << 20, Items: []bundle.Item{{Digest: bundle.Sum(junk), Size: 1 << 20}}}}
		var more []hook.Offered
		var bytes []byte
		for range 64 {
			more = append(more, ballast)
			bytes = append(bytes, junk...)
		}
		o.Courses[0].Frames = append(more, o.Courses[0].Frames...)
		return o, append(bytes, f...)
	}))
	var sent atomic.Int64
	w.mu.Lock()
	inner := w.wall
	w.mu.Unlock()
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			inner(next).ServeHTTP(&dyingWriter{rw, &sent, 1 << 40}, r)
		})
	})
	if out := h.sync(); out.Code != "" { // the rest is had by digest
		t.Errorf("%+v", out)
	}
	h.wantAsked("POST /v1/courses/scala101/files")
	if got := h.tree("scala101"); got["README.md"] != "version 2\n" {
		t.Errorf("README.md is %q", got["README.md"])
	}
}

func TestAttackEndlessOffer(t *testing.T) {
	for name, start := range map[string]string{"a length of 4 GB": "\xff\xff\xff\xff", "a bomb": "\x00\x00\x10\x00"} {
		w, h := victim(t)
		w.behind(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", hook.OfferType)
				io.WriteString(w, start)
				w.Write(make([]byte, 1<<20))
			})
		})
		h.sync()
		h.wantTree("scala101", lesson)
		if said := h.said(); len(said) != 1 {
			t.Errorf("%s: said %q", name, said)
		}
	}
}

func TestUnknownKindOfFrameIsHadWholeElsewhere(t *testing.T) {
	w, h := victim(t)
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		for i := range o.Courses[0].Frames {
			o.Courses[0].Frames[i].Kind = "teleport"
		}
		return o, f
	}))
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v", out)
	}
	if got := h.tree("scala101"); got["README.md"] != "version 2\n" || len(got) != 4 {
		t.Errorf("README.md is %q of %d files", got["README.md"], len(got))
	}
}

func TestOfferOnAManifestThatIsNotHeldIsAskedAnew(t *testing.T) {
	w, h := victim(t)
	first := true
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
		if first {
			first = false
			o.Courses[0].Channels[0].Base = bundle.Sum([]byte("what the service thinks"))
		}
		return o, f
	}))
	w.requests()
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v", out)
	}
	if got := h.tree("scala101"); got["README.md"] != "version 2\n" {
		t.Errorf("README.md is %q", got["README.md"])
	}
	if asked := w.requests(); asked[0] != "GET /v1/sync" || asked[1] != "GET /v1/sync" {
		t.Errorf("asked %q", asked)
	}
}

func TestNewerOfferIsSaidAndLeft(t *testing.T) {
	w, h := victim(t)
	w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) { o.Format = hook.Format + 1; return o, f }))
	if out := h.sync(); out.Code != CodeNewer {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", lesson)
	h.wantSaid(Words{}.Newer())
}

func TestFrozenServiceIsSaidAfterAWeek(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson, staleHead)
	h := w.home("ana")
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", lesson)
	if said := h.said(); len(said) != 2 || !strings.Contains(said[1], "has not confirmed scala101 since") {
		t.Errorf("said %q", said)
	}
}

func TestTrustedKeysMissing(t *testing.T) {
	w, h := victim(t)
	w.requests()
	h.s.Keys = nil
	if out := h.sync(); out.Code != CodeUnverified {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", lesson)
	if asked := w.requests(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// TestAttackForgedHistory: bytes of the student's that a forged history calls
// the course's own are not replaced.
func TestAttackForgedHistory(t *testing.T) {
	const mine = "my own notes\n"
	for forged, want := range map[bool]string{false: mine, true: mine} {
		w := newWorld(t)
		w.course("scala101")
		w.publish("scala101", lesson)
		h := w.home("ana")
		h.write("scala101/README.md", mine)
		asked := false
		w.behind(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/history") || !forged {
					next.ServeHTTP(rw, r)
					return
				}
				asked = true
				all, _ := bundle.History{}.Add(bundle.Former{Path: "README.md", Digest: bundle.Sum([]byte(mine))})
				if err := bundle.Compress(rw, bytes.NewReader(all.Encode())); err != nil {
					t.Error(err)
				}
			})
		})
		h.sync()
		if !h.has("scala101/README.md", want)() || asked != forged {
			t.Errorf("forged %v: README.md is not the student's any more (asked: %v)", forged, asked)
		}
	}
}

// TestFolderOfAnOlderVersionIsRecognised: what a tarball of a former version
// left is no edit.
func TestFolderOfAnOlderVersionIsRecognised(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", with(lesson, "README.md", "the first\n"))
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.write("scala101/README.md", "the first\n")
	h.sync()
	h.wantTree("scala101", lesson)
}

func TestHeadsOfYesterdayAreAskedForAnew(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson, func(h *bundle.Head, _ *store.Record) { h.Checked = time.Now().AddDate(0, 0, -2) })
	h := w.home("ana")
	h.sync()
	w.mu.Lock()
	w.received = nil
	w.mu.Unlock()
	h.sync()
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(string(w.received), "If-None-Match") {
		t.Error("an ETag was sent for heads of two days ago")
	}
}
