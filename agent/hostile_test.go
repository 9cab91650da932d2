package agent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"satchel/bundle"
	"satchel/hook"
)

// hostileOnes is how many hostile answers TestHostileAnswers gives to an agent.
const hostileOnes = 300

// hostile is one answer in the place of the service's: sound on the outside,
// unless raw is set.
type hostile struct {
	offer  *hook.Offer
	frames []byte
	raw    []byte // the whole body; nil: offer and frames
	cut    bool   // the connection breaks off after it
}

// course is the one course of the answer.
func (x *hostile) course() *hook.CourseOffer { return &x.offer.Courses[0] }

func (x *hostile) body(t testing.TB) []byte {
	t.Helper()
	if x.raw != nil {
		return x.raw
	}
	head, err := hook.EncodeOffer(x.offer)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, x.frames...)
}

// maker makes hostile answers out of the honest one to version 2.
type maker struct {
	*rand.Rand
	t      testing.TB
	w      *world
	honest []byte // the answer
	were   map[string]string
	files  map[string]string // of version 2
}

// answer is a copy of the honest one.
func (m *maker) answer() *hostile {
	m.t.Helper()
	in := bytes.NewReader(m.honest)
	o, err := hook.ReadOffer(in)
	if err != nil {
		m.t.Fatal(err)
	}
	return &hostile{offer: o, frames: m.honest[len(m.honest)-in.Len():]}
}

// kind is one kind of hostile answers: n of them by the i-th of make.
type kind struct {
	name string
	n    int
	make func(m *maker, i int) *hostile
}

// victims are homes that have version 1, each with work of the student's own,
// and the maker of answers to version 2.
func victims(t *testing.T, n int) (*maker, []*home) {
	m := &maker{Rand: rand.New(rand.NewPCG(3, 14)), t: t, w: newWorld(t), were: map[string]string{}}
	maps.Copy(m.were, lesson)
	m.were["data/b.csv"] = strings.Repeat("a line of a table\n", 200)
	m.files = with(m.were, "README.md", "version 2\n", "data/b.csv", m.were["data/b.csv"]+"one more\n", "new.txt", "new\n")
	m.w.course("scala101")
	m.w.publish("scala101", m.were)
	homes := make([]*home, n)
	for i := range homes {
		homes[i] = m.w.home(fmt.Sprintf("ana%d", i)) // a ticket each, for a ticket has few downloads at once
	}
	crowd(homes, func(h *home) {
		h.write("../outside/secret.txt", "nobody's business\n")
		h.write("thesis.txt", "my own\n")
		if out := h.sync(); out.Code != "" {
			t.Errorf("%+v", out)
		}
		h.write("scala101/mine.txt", "also my own\n")
		h.said()
	})
	m.w.publish("scala101", m.files)
	m.w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			if rec.Code == http.StatusOK && strings.HasSuffix(r.URL.Path, "/v1/sync") {
				m.honest = rec.Body.Bytes()
			}
			rw.WriteHeader(http.StatusServiceUnavailable)
		})
	})
	spare := homes[n-1]
	if spare.sync(); m.honest == nil {
		t.Fatal("no honest answer")
	}
	spare.said()
	return m, homes
}

// crowd does something with each home, eight at once.
func crowd(homes []*home, do func(*home)) {
	var g errgroup.Group
	g.SetLimit(8)
	for _, h := range homes {
		g.Go(func() error { do(h); return nil })
	}
	_ = g.Wait()
}

// gives is a wall that answers so to every question about contents.
func (x *hostile) gives(body []byte) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch path := r.URL.Path; {
			case strings.HasSuffix(path, "/v1/sync"), strings.HasSuffix(path, "/files"):
				rw.Header().Set("Content-Type", hook.OfferType)
				rw.Header().Set("ETag", `"evil"`)
				if x.cut {
					rw.Header().Set("Content-Length", fmt.Sprint(len(body)+1000))
				}
				rw.Write(body)
			case strings.Contains(path, "/bundles/"):
				rw.WriteHeader(http.StatusNotFound)
			default:
				next.ServeHTTP(rw, r)
			}
		})
	}
}

// around is all that lies in and round a home, but for what Satchel itself
// keeps there: its page, and its folder, of which only the names count.
func (h *home) around() map[string]string {
	h.t.Helper()
	out, root := map[string]string{}, filepath.Dir(h.root)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if rel == "work/"+newsFile {
			return nil
		}
		info, err := d.Info()
		if err == nil && d.IsDir() && rel == "work/.satchel" {
			names, err := os.ReadDir(p)
			out[rel] = fmt.Sprint(names, err)
			return fs.SkipDir
		}
		if err == nil && info.Mode().IsRegular() {
			var data []byte
			data, err = os.ReadFile(p)
			out[rel] = string(data)
		}
		out[rel] = fmt.Sprint(info.Mode(), " ", out[rel])
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// TestHostileAnswers: of 300 answers that somebody made who holds the service,
// the store or the wire, or the signing key, an agent takes none. It ends by
// itself with one sentence, leaves each file as it is and needs no memory for
// what is announced; and takes the next honest answer.
func TestHostileAnswers(t *testing.T) {
	kinds, all := slices.Concat(unsignedKinds, signedKinds), 0
	for _, k := range kinds {
		all += k.n
	}
	if all != hostileOnes {
		t.Fatalf("%d hostile answers, not %d", all, hostileOnes)
	}
	m, homes := victims(t, all)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	left := homes
	for _, k := range kinds {
		t.Logf("%3d %-40s %v", k.n, k.name, m.attack(k, left[:k.n]))
		left = left[k.n:]
	}
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapSys) - int64(before.HeapSys) // it never shrinks, so the most that there was
	t.Logf("%3d in all; the heap grew by %d MB", all, grown>>20)
	if grown > 6*hook.MaxOffer { // the text of the largest offer twice, and what the collector has not seen yet
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	m.w.behind(nil)
	m.w.publish("scala101", with(m.files, "README.md", "version 3\n"))
	for i := range homes { // some of each kind are enough
		homes[i/4] = homes[i]
	}
	crowd(homes[:len(homes)/4], func(h *home) {
		if out := h.sync(); out.Code != "" || !h.has("scala101/README.md", "version 3\n")() {
			t.Errorf("the next honest answer is not taken: %+v, %q", out, h.said())
		}
	})
}

// attack gives one kind's answers to a home each, and says how they ended.
func (m *maker) attack(k kind, homes []*home) map[string]int {
	m.t.Helper()
	ends := map[string]int{}
	for i, h := range homes {
		x := k.make(m, i)
		m.w.behind(x.gives(x.body(m.t)))
		before := h.around()
		out := h.sync()
		ends[out.Code]++
		if out.Code == "" || out.Code == CodeWaiting {
			m.t.Errorf("%s, %d: it was taken", k.name, i)
		}
		if now := h.around(); !maps.Equal(before, now) {
			m.t.Errorf("%s, %d: not as before:%s", k.name, i, differences(before, now))
		}
		if said := h.said(); len(said) != 1 || strings.ContainsAny(said[0], "\n\x00\x1b") {
			m.t.Errorf("%s, %d: said %q", k.name, i, said)
		}
	}
	return ends
}

func differences(was, is map[string]string) (out string) {
	for _, p := range slices.Sorted(maps.Keys(is)) {
		if was[p] != is[p] {
			out += fmt.Sprintf("\n  %.100q: %.100q, was %.100q", p, is[p], was[p])
		}
	}
	for _, p := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[p]; !ok {
			out += fmt.Sprintf("\n  %.100q is gone", p)
		}
	}
	return out
}

// sealed signs what no Satchel would sign, with the right key.
func (m *maker) sealed(head *bundle.Head) *bundle.Envelope {
	m.t.Helper()
	text, err := m.w.key.PEM()
	if err != nil {
		m.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		m.t.Fatal(err)
	}
	payload, err := json.Marshal(head)
	if err != nil {
		m.t.Fatal(err)
	}
	msg := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(bundle.PayloadType), bundle.PayloadType, len(payload), payload)
	return &bundle.Envelope{PayloadType: bundle.PayloadType, Payload: payload, Signatures: []bundle.Signature{
		{KeyID: m.w.key.Public().ID(), Sig: ed25519.Sign(key.(ed25519.PrivateKey), msg)},
	}}
}
