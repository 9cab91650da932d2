package hookserver

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/store"
)

var leak = noise(3<<20, 8)

func leaked() map[string]string { return map[string]string{"a": "1", "leak.bin": leak} }

// withdrawn makes the record's bundles one full one, without the leak.
func withdrawn(r *store.Record) {
	r.Withdrawn = []bundle.Pair{{Path: "leak.bin", Digest: bundle.Sum([]byte(leak))}}
	for _, b := range r.Channels[0].Bundles {
		if b.From == 0 && b.To == r.Version {
			r.Channels[0].Bundles = []store.BundleRef{b}
		}
	}
}

// takeBack publishes a version without it.
func (w *world) takeBack() {
	w.t.Helper()
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "1"}, full: true}}, withdrawn)
}

// wantNoLeak fails where the disk cache holds it.
func wantNoLeak(t *testing.T, dir string) {
	t.Helper()
	for _, file := range bundleFiles(t, dir) {
		if data, err := os.ReadFile(file); err != nil || bytes.Contains(data, []byte(leak[1000:1100])) {
			t.Errorf("%s holds what was taken back (%v)", file, err)
		}
	}
}

// The disk cache lets go of all that holds it: what the last record named, what
// one before it did, and what a process finds that was not there.
func TestTheCacheLetsGoOfWhatWasTakenBack(t *testing.T) {
	for name, later := range map[string]bool{"a record before": false, "a process that was not there": true} {
		t.Run(name, func(t *testing.T) {
			w, f, dir := cachedWorld(t, nil)
			w.publish("scala", everyone(leaked()))
			w.student("ana").sync()
			old := w.state["scala"].record.Channels[0].Bundles[0]
			w.publish("scala", map[string]audienceOf{"all": {files: leaked(), full: true}}, func(r *store.Record) {
				b := r.Channels[0].Bundles
				r.Channels[0].Bundles = b[len(b)-1:] // as a compaction does
			})
			w.student("eva").sync()
			if now := w.state["scala"].record.Named(); len(now) != 1 || now[0] == old.Digest || len(bundleFiles(t, dir)) != 2 {
				t.Fatalf("this test says nothing: %d in the cache, %v", len(bundleFiles(t, dir)), now)
			}
			if later {
				w.write("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "1"}, full: true}}, withdrawn)
				o := w.srv.o
				o.Store = f
				srv, err := New(w.srv.lg, o)
				if err != nil {
					t.Fatal(err)
				}
				srv.Refresh(t.Context())
			} else {
				w.takeBack()
			}
			wantNoLeak(t, dir)
		})
	}
}

// Bytes that were taken back under one name, and stayed under another, lie in
// bundles that the record names for longer than that path: these are read.
func TestBytesThatStayUnderAnotherName(t *testing.T) {
	w, _, _ := cachedWorld(t, nil)
	two := map[string]string{"a": "1", "leak.bin": leak, "copy.bin": leak}
	w.publish("scala", map[string]audienceOf{"all": {files: two, full: true}})
	back := func(r *store.Record) {
		r.Withdrawn = []bundle.Pair{{Path: "leak.bin", Digest: bundle.Sum([]byte(leak))}}
	}
	w.publish("scala", everyone(map[string]string{"a": "1", "copy.bin": leak}), back)
	w.publish("scala", everyone(map[string]string{"a": "1"}), back)
	eva := w.student("eva")
	eva.sync()
	eva.wantTree("scala", map[string]string{"a": "1"})
}

// What was on its way into the cache when it was taken back does not stay
// there, and whoever waits for it is told to ask anew.
func TestWhatIsFetchedMeanwhileDoesNotStay(t *testing.T) {
	w, f, dir := cachedWorld(t, nil)
	w.publish("scala", everyone(leaked()))
	ref := w.state["scala"].record.Channels[0].Bundles[0]
	f.holdMu.Lock()
	f.hold = make(chan struct{})
	f.holdMu.Unlock()
	failed := make(chan error)
	go func() {
		_, err := w.srv.lib.blobs.cache.open(t.Context(), "scala", ref)
		failed <- err
	}()
	for end := time.Now().Add(time.Minute); f.gets.Load() < 2; time.Sleep(time.Millisecond) { // the index, then this
		if time.Now().After(end) {
			t.Fatal("nobody fetches it")
		}
	}
	hold := f.hold
	f.holdMu.Lock()
	f.hold = nil
	f.holdMu.Unlock()
	w.takeBack()
	close(hold)
	if err := <-failed; !errors.Is(err, errTakenBack) || answerOf(err).status != http.StatusNotFound {
		t.Errorf("%v", err)
	}
	wantNoLeak(t, dir)
}

// interrupted is an answer whose reader does something after the first bytes
// of a large content.
type interrupted struct {
	*httptest.ResponseRecorder
	after int
	then  func()
}

func (i *interrupted) Write(p []byte) (int, error) {
	n, err := i.ResponseRecorder.Write(p)
	if then := i.then; then != nil && i.Body.Len() > i.after {
		i.then = nil
		then()
	}
	return n, err
}

// An answer that runs ends when what it sends is taken back; one of something
// else goes on.
func TestARunningAnswerEndsWithAWithdrawal(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		ends bool
	}{"it": {"leak.bin", true}, "something else": {"other.bin", false}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.course("scala", all)
			other := noise(3<<20, 9)
			files := leaked()
			files["other.bin"] = other
			w.publish("scala", everyone(files))
			sum := bundle.Sum([]byte(files[c.file]))
			body := `{"format":1,"digests":["` + sum.String() + `"]}`
			req := httptest.NewRequest(http.MethodPost, "/v1/courses/scala/files", strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+w.student("ana").ticket)
			to := &interrupted{ResponseRecorder: httptest.NewRecorder(), after: 1 << 20}
			to.then = func() {
				w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "1", "other.bin": other}, full: true}}, withdrawn)
			}
			func() {
				defer func() { _ = recover() }() // the server's way to cut a connection
				w.srv.Student().ServeHTTP(to, req)
			}()
			if to.then != nil {
				t.Fatalf("this test says nothing: %d, %d bytes", to.Code, to.Body.Len())
			}
			if got := to.Body.Len(); c.ends != (got < 2<<20) {
				t.Errorf("%d bytes were sent", got)
			}
		})
	}
}

// A process that was stopped and goes on looks at the record before it gives
// out anything.
func TestWhoWasStoppedLooksFirst(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(leaked()))
	eva := w.student("eva")
	w.write("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "1"}, full: true}}, withdrawn)
	eva.sync() // nobody was stopped: what is known counts
	if eva.wantTree("scala", leaked()); t.Failed() {
		return
	}
	w.srv.lib.pulse.last = time.Now().Add(-time.Minute)
	bob := w.student("bob")
	bob.sync()
	bob.wantTree("scala", map[string]string{"a": "1"})
}

// A record of a higher version that knows less of what was taken back is of a
// store that was brought back: it is not given out.
func TestARecordThatForgotAWithdrawal(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(leaked()))
	w.takeBack()
	w.publish("scala", everyone(map[string]string{"a": "1", "leak.bin": leak, "b": "new"}), func(r *store.Record) { r.Withdrawn = nil })
	ana := w.student("ana")
	ana.sync()
	ana.wantTree("scala", map[string]string{"a": "1"})
	if st := w.srv.Status()[0]; st.Version != 2 || !strings.Contains(st.Sentence, "before a withdrawal") {
		t.Errorf("%+v", st)
	}
}

// What was deleted since this service looked at the record is looked for in a
// newer one, and nobody is told that something is wrong.
func TestABundleThatIsGoneMakesItLook(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(leaked()))
	old := w.state["scala"].record.Channels[0].Bundles[0]
	w.write("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "1"}, full: true}}, withdrawn)
	if err := w.dir.Delete(t.Context(), store.BundleKey("scala", old.Digest)); err != nil {
		t.Fatal(err)
	}
	eva := w.student("eva")
	if w.srv.lib.peek("scala").edition.record.Version != 1 {
		t.Fatal("this test says nothing")
	}
	eva.sync()
	eva.wantTree("scala", map[string]string{"a": "1"})
	w.write("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "2"}, full: true}}, withdrawn)
	now := w.srv.lib.peek("scala").edition.record.Channels[0].Bundles[0]
	if err := w.dir.Delete(t.Context(), store.BundleKey("scala", now.Digest)); err != nil {
		t.Fatal(err)
	}
	x := w.srv.lib.peek("scala").edition.channels[0].indexes[now.Digest].Frames[0]
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", x.Offset, x.Offset+x.Length-1)}}
	if got := eva.status(http.MethodGet, "/v1/courses/scala/bundles/"+now.Digest.String(), header, nil); got != http.StatusNotFound {
		t.Errorf("%d", got)
	}
}
