package hookserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"satchel/bundle"
	"satchel/hook"
)

// A download that is cut off goes on by Range and by Files.
func TestResume(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"big": noise(700_000, 3), "a": "a1", "b": "b"}))
	w.publish("scala", everyone(map[string]string{"big": noise(700_000, 3), "a": "a2", "b": "b"}))
	ana := w.student("ana")
	a, err := ana.client.Sync(t.Context(), nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	a.Close() // before any frame
	var missing []bundle.Digest
	for _, f := range a.Offer.Courses[0].Frames {
		if f.Bundle.IsZero() {
			for _, it := range f.Items {
				missing = append(missing, it.Digest)
			}
			continue
		}
		ana.decode(f.Frame, ana.inPieces(f))
	}
	if len(missing) == 0 {
		t.Fatal("the test needs a frame that was put together")
	}
	more, err := ana.client.Files(t.Context(), "scala", missing)
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	ana.take(more)
	ana.apply(a.Offer.Courses[0])
	ana.wantTree("scala", map[string]string{"big": noise(700_000, 3), "a": "a2", "b": "b"})
}

// inPieces reads a frame by ranges of odd lengths.
func (s *student) inPieces(f hook.Offered) io.Reader {
	s.w.t.Helper()
	var all bytes.Buffer
	for off := int64(0); off < f.Length; {
		n := min(f.Length-off, 100_003)
		r, err := s.client.Range(s.w.t.Context(), "scala", f.Bundle, f.Offset+off, n)
		if err != nil {
			s.w.t.Fatal(err)
		}
		if _, err := io.Copy(&all, r); err != nil {
			s.w.t.Fatal(err)
		}
		r.Close()
		off += n
	}
	return &all
}

func TestRangesRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "a", "big": noise(300_000, 1)}))
	ref := w.state["scala"].record.Channels[0].Bundles[0]
	x := indexOf(t, w, "scala", ref.Digest)
	first, last := x.Frames[0].Offset, ref.Size-1
	ana := w.student("ana")
	path := "/v1/courses/scala/bundles/" + ref.Digest.String()
	for text, want := range map[string]int{
		"":                             400,
		"bytes=0-":                     400,
		"bytes=-5":                     400,
		"bytes=5-4":                    400,
		"bytes=0-1,3-4":                400,
		"bytes= 0-1":                   400,
		"bytes=+0-1":                   400,
		"bytes=99999999999999999999-1": 400,
		"items=0-1":                    400,
		"bytes=0-11":                   404, // magic
		fmt.Sprintf("bytes=%d-%d", first-1, first):                404, // index
		fmt.Sprintf("bytes=%d-%d", first, last+1):                 404, // beyond
		fmt.Sprintf("bytes=%d-%d", first, last):                   206, // frames side by side
		fmt.Sprintf("bytes=%d-%d", first, first):                  206,
		fmt.Sprintf("bytes=%d-%d", last, last):                    206,
		fmt.Sprintf("bytes=%d-%d", int64(1)<<32, int64(1)<<32+10): 404,
	} {
		var h http.Header
		if text != "" {
			h = http.Header{"Range": {text}}
		}
		if got := ana.status("GET", path, h, nil); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := ana.status("GET", path, http.Header{"Range": {"bytes=80-90", "bytes=80-90"}}, nil); got != 400 {
		t.Errorf("two Range headers: %d", got)
	}
}

func TestFiles(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "aa", "b": "bb", "empty": "", "big": noise(300_000, 9)}))
	ana := w.student("ana")
	sum := func(s string) bundle.Digest { return bundle.Sum([]byte(s)) }
	a, err := ana.client.Files(t.Context(), "scala", []bundle.Digest{sum("aa"), sum("aa"), sum("neverwas"), sum(""), sum(noise(300_000, 9))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ana.take(a)
	if len(ana.disk) < 3 || string(ana.disk[sum("aa")]) != "aa" || len(a.Offer.Courses) != 1 || a.Offer.Courses[0].Head != nil {
		t.Errorf("%d contents, %+v", len(ana.disk), a.Offer.Courses)
	}
	_, err = ana.client.Files(t.Context(), "scala", []bundle.Digest{sum("neverwas")})
	wantError(t, err, http.StatusNotFound, hook.CodeNotFound)
	_, err = ana.client.Files(t.Context(), "scala", nil)
	wantError(t, err, http.StatusBadRequest, hook.CodeBadRequest)
	for _, body := range []string{``, `[]`, `{"digests":["xyz"]}`, `{"digests":[],"more":1}`, `{"digests":["` + sum("aa").String() + `"]} {}`} {
		if got := ana.status("POST", "/v1/courses/scala/files", nil, bytes.NewReader([]byte(body))); got != 400 {
			t.Errorf("%s: %d", body, got)
		}
	}
}

func TestHistory(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	for i := range 5 {
		w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": fmt.Sprint("a", i), "b": "b"}, full: i == 2}})
	}
	ana := w.student("ana")
	ana.sync()
	for range 2 { // read, then from memory
		h, err := ana.client.History(t.Context(), "scala", "all")
		if err != nil {
			t.Fatal(err)
		}
		if h.Digest() != ana.trees["scala"]["all"].History || len(h.At("a")) != 5 || len(h.At("b")) != 1 {
			t.Errorf("%v", h)
		}
	}
	_, err := ana.client.History(t.Context(), "scala", "")
	wantError(t, err, http.StatusNotFound, hook.CodeNotFound)
}

// A history that is not the one that the manifest names is not handed out.
func TestSpoiltHistory(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "1"}))
	w.publishFrames("scala", everyone(map[string]string{"a": "2"}), []handFrame{{kind: bundle.Whole, items: []string{"2"}}},
		func(x *bundle.Index) { x.Former = append(x.Former, bundle.Former{Path: "b", Digest: bundle.Sum(nil)}) })
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "2"})
	_, err := ana.client.History(t.Context(), "scala", "all")
	wantError(t, err, http.StatusServiceUnavailable, hook.CodeUnavailable)
}

// Deltas are sent to who has the base, whole files to who has not; a kind
// that is not known is never sent; a large content in a frame that mixes is
// streamed.
func TestOtherFrames(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	old, changed, secret := noise(60_000, 1), noise(60_000, 1)+"more", noise(1000, 5)
	large := noise(largeRecipe+100, 8)
	w.publish("scala", everyone(map[string]string{"f": old, "gone": secret}))
	delta := append(binary.AppendUvarint([]byte{0}, uint64(len(old))), 0) // nothing, then all of the former
	delta = append(append(delta, byte(len("more"))), "more"...)
	var packed bytes.Buffer
	if err := bundle.Compress(&packed, bytes.NewReader(delta)); err != nil {
		t.Fatal(err)
	}
	ana := w.student("ana")
	ana.sync()
	w.publishFrames("scala", everyone(map[string]string{"f": changed, "large": large}), []handFrame{
		{kind: "sliced", items: []string{changed}, data: []byte("of a later version")},
		{kind: bundle.Delta, base: old, items: []string{changed}, data: packed.Bytes()},
		{kind: bundle.Whole, items: []string{secret, large}},
		{kind: bundle.Whole, items: []string{changed}},
	})
	ana.sync()
	ana.wantTree("scala", map[string]string{"f": changed, "large": large})
	if f := ana.got[0]; f.Kind != bundle.Delta || f.Length != int64(packed.Len()) {
		t.Errorf("who has the base was sent %+v", f.Frame)
	}
	bob := w.student("bob")
	bob.sync()
	bob.wantTree("scala", map[string]string{"f": changed, "large": large})
	bob.never(secret)
	for _, f := range bob.got {
		if f.Kind != bundle.Whole {
			t.Errorf("who has nothing was sent %+v", f.Frame)
		}
	}
}

func TestUnexpectedRead(t *testing.T) {
	if _, _, err := oneRange(http.Header{}); err == nil {
		t.Error("no range")
	}
	if err := answerOf(errors.New("secret detail")); err.status != 500 || bytes.Contains([]byte(err.problem.Sentence), []byte("secret")) {
		t.Errorf("%+v", err)
	}
}

func FuzzOneRange(f *testing.F) {
	f.Add("bytes=0-1")
	f.Fuzz(func(t *testing.T, s string) {
		from, to, err := oneRange(http.Header{"Range": {s}})
		if err == nil && (from < 0 || to < from) {
			t.Errorf("%q: %d-%d", s, from, to)
		}
	})
}

func FuzzAsked(f *testing.F) {
	f.Add("have=scala:3:00:a,b&keys=x")
	f.Fuzz(func(t *testing.T, q string) {
		a, err := parseAsked(q)
		if err != nil {
			return
		}
		for name, h := range a.have {
			if again, err := hook.ParseHave(h.String()); err != nil || again.Course != name {
				t.Errorf("%q: %v", h, err)
			}
		}
	})
}

// A manifest that names what no bundle holds is not served.
func TestContentThatNoBundleHolds(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "1"}))
	w.publishFrames("scala", everyone(map[string]string{"a": "2", "b": "3"}), []handFrame{
		{kind: bundle.Whole, items: []string{"2"}},
		{kind: "sliced", items: []string{"3"}, data: []byte("of a later version")},
	})
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "1"})
	if st := w.srv.Status()[0]; !strings.Contains(st.Sentence, `no bundle holds "b"`) {
		t.Errorf("%+v", st)
	}
}

// fromFiles is a server's writer that sees what it is to read from.
type fromFiles struct {
	http.ResponseWriter
	files, bytes int64
}

func (f *fromFiles) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			f.files++
		}
	}
	n, err := io.Copy(struct{ io.Writer }{f.ResponseWriter}, r)
	f.bytes += n
	return n, err
}

// A stored frame goes from file to socket: gin's writer is not in between,
// with the folder store and with the cache.
func TestSendsFiles(t *testing.T) {
	cached, _, _ := cachedWorld(t, nil)
	for name, w := range map[string]*world{"folder": newWorld(t, nil), "cache": cached} {
		w.course("scala", all)
		w.publish("scala", everyone(map[string]string{"big": noise(600_000, 1)}))
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/sync", nil)
		req.Header.Set("Authorization", "Bearer "+w.student("ana").ticket)
		to := &fromFiles{ResponseWriter: httptest.NewRecorder()}
		w.srv.Student().ServeHTTP(to, req)
		if to.files < 3 || to.bytes < 600_000 {
			t.Errorf("%s: %d chunks, %d bytes came from a file", name, to.files, to.bytes)
		}
	}
}
