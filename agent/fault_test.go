package agent

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/hook"
	"satchel/workdir"
)

// wantOffline checks one faulty login: inside the time, nothing touched, one
// sentence, to be tried again; and that all is well afterwards.
func wantOffline(t *testing.T, h *home, sentence string) {
	t.Helper()
	h.s.Patience = 300 * time.Millisecond
	began := time.Now()
	out := h.sync()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
	if !out.Offline {
		t.Errorf("it ended with %+v", out)
	}
	h.wantTree("scala101", lesson)
	if said := h.said(); len(said) != 1 || !strings.Contains(said[0], sentence) {
		t.Errorf("said %q", said)
	}
}

func handler(f func(w http.ResponseWriter, r *http.Request)) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler { return http.HandlerFunc(f) }
}

func TestServiceFaultsLeaveYesterdaysFiles(t *testing.T) {
	const away = "The course server cannot be reached; you have version 1 of "
	for name, c := range map[string]struct {
		wall     func(http.Handler) http.Handler
		sentence string
	}{
		"500":      {handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }), away},
		"a portal": {handler(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Log in</html>") }), away},
		"redirect": {handler(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}), away},
		"half-closed":   {handler(halfClosed), away},
		"cut at once":   {handler(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), away},
		"silent":        {handler(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), away},
		"silent inside": {handler(silentInside), away},
		"garbage": {handler(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", hook.OfferType)
			io.WriteString(w, "\x00\x00\x00\x09garbage!!")
		}), away},
		"a foreign ticket": {handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }), "ticket is over"},
		"busy": {handler(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(503)
		}), "much to do"},
	} {
		t.Run(name, func(t *testing.T) {
			w, h := victim(t)
			w.behind(c.wall)
			wantOffline(t, h, c.sentence)
			w.behind(nil)
			if out := h.sync(); out.Code != "" {
				t.Errorf("afterwards: %+v, %q", out, h.said())
			}
		})
	}
}

// halfClosed sends half of an answer's head, and then nothing more.
func halfClosed(w http.ResponseWriter, r *http.Request) {
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	io.WriteString(buf, "HTTP/1.1 200 OK\r\nContent-Ty")
	buf.Flush()
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
}

func silentInside(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", hook.OfferType)
	io.WriteString(w, "\x00\x00\x10\x00ab")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func TestServiceDown(t *testing.T) {
	w, h := victim(t)
	w.web.CloseClientConnections()
	good := h.s.URL
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	h.s.URL = "http://" + l.Addr().String()
	wantOffline(t, h, "The course server cannot be reached; you have version 1 of ")
	h.s.URL = "http://no-such-host.invalid"
	wantOffline(t, h, "The course server cannot be reached")
	h.s.URL = good
	if out := h.sync(); out.Code != "" {
		t.Errorf("afterwards: %+v", out)
	}
}

func TestServiceDownAtTheVeryFirstLogin(t *testing.T) {
	w := newWorld(t)
	h := w.home("ana")
	w.behind(handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	h.sync()
	h.wantSaid("The course server cannot be reached; no course material has arrived here yet. It will be tried again.")
}

func TestWrongCertificate(t *testing.T) {
	_, h := victim(t)
	for name, start := range map[string]func(http.Handler) *httptest.Server{"unknown authority": httptest.NewTLSServer} {
		srv := start(http.NotFoundHandler())
		srv.Config.ErrorLog = nil
		h.http, h.s.URL = nil, srv.URL
		wantOffline(t, h, "The course server cannot be reached")
		srv.Close()
		_ = name
	}
}

func TestRedirectNeverTakesTheTicketAlong(t *testing.T) {
	_, h := victim(t)
	var stolen atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen.Store(true) }))
	defer thief.Close()
	h.w.behind(handler(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	h.sync()
	if stolen.Load() {
		t.Error("the redirect was followed")
	}
}

func TestOfflineIsRememberedAndForgotten(t *testing.T) {
	w, h := victim(t)
	w.behind(handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	h.sync()
	st, err := h.agent().Status(t.Context())
	if err != nil || st.Offline.IsZero() || st.Code != CodeOffline || st.Error == "" {
		t.Errorf("%+v, %v", st, err)
	}
	w.behind(nil)
	h.sync()
	if st, err = h.agent().Status(t.Context()); err != nil || !st.Offline.IsZero() || st.Error != "" {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestRootsThatCannotBeUsed(t *testing.T) {
	w, h := victim(t)
	real := h.root
	link := filepath.Join(t.TempDir(), "work")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	for root, want := range map[string]string{
		link: "is a link", "/sys": "Nothing can be written", filepath.Join(real, "absent"): "cannot be used",
		filepath.Join(real, "scala101/README.md"): "cannot be used",
	} {
		h.s.Root = root
		w.requests()
		if out := h.sync(); out.Code != CodeFolder {
			t.Errorf("%s: %+v", root, out)
		}
		if said := h.said(); len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("%s: said %q", root, said)
		}
		if asked := w.requests(); len(asked) > 0 {
			t.Errorf("%s: asked %q", root, asked)
		}
	}
}

func TestLockedFolderEndsWell(t *testing.T) {
	_, h := victim(t)
	other, err := workdir.Open(t.Context(), testLog(t), h.root, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if out := h.sync(); out.Code != CodeLocked {
		t.Errorf("%+v", out)
	}
	h.wantSaid("Another update of this folder is running; it will finish by itself.")
}

// cutting ends every answer after n bytes of its body.
func cutting(n int, cuts *atomic.Int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&cutWriter{w, n, cuts}, r)
		})
	}
}

type cutWriter struct {
	http.ResponseWriter
	left int
	cuts *atomic.Int64
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.ResponseWriter.Write(p[:c.left])
		c.ResponseWriter.(http.Flusher).Flush()
		c.cuts.Add(1)
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func (c *cutWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func TestDownloadCutEveryFewBytesEnds(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	noise := string(bigBytes(6 << 20))
	files := with(lesson, "data/big.bin", noise[:2<<20])
	for i := range 60 {
		at := 2<<20 + i*60_000
		files[fmt.Sprintf("pictures/%02d.png", i)] = noise[at : at+60_000]
	}
	w.publish("scala101", files)
	h := w.home("ana")
	var cuts atomic.Int64
	w.behind(cutting(150_000, &cuts))
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v: %q", out, h.said())
	}
	h.wantTree("scala101", files)
	if cuts.Load() < 20 {
		t.Errorf("only %d cuts", cuts.Load())
	}
	t.Logf("%d cuts, %d requests", cuts.Load(), len(w.requests()))
}

func TestDownloadThatEndsInTheMiddleIsContinuedByTheNextLogin(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	noise := string(bigBytes(8 << 20))
	files := map[string]string{"a.ipynb": lesson["intro.ipynb"]}
	for i := range 8 {
		files[fmt.Sprintf("data/%d.bin", i)] = noise[i<<20 : (i+1)<<20]
	}
	w.publish("scala101", files)
	h := w.home("ana")
	var sent atomic.Int64
	w.behind(func(next http.Handler) http.Handler { // the line dies for good after 6.5 MB
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&dyingWriter{rw, &sent, 6_500_000}, r)
		})
	})
	out := h.sync()
	if out.Code != CodeInPart || !out.Offline {
		t.Errorf("%+v", out)
	}
	said := strings.Join(h.said(), "\n")
	if !strings.Contains(said, "Still arriving: 7 of 9 files (data/). The notebooks are complete.") {
		t.Errorf("said %s", said)
	}
	if len(h.tree("scala101")) != 7 {
		t.Errorf("%d files are there", len(h.tree("scala101")))
	}
	st, err := h.agent().Status(t.Context())
	var text bytes.Buffer
	if st.WriteText(&text); err != nil || st.Courses[0].Version != 0 || st.Courses[0].Arriving != 1 || !strings.Contains(text.String(), "version 1 in "+h.root+"/scala101; something of it is still missing.") {
		t.Errorf("%v, %s", err, &text)
	}
	h.agent().Diff(t.Context(), &bytes.Buffer{}, h.root, "a.ipynb") // what is here is known
	if said := h.said(); len(said) > 0 {
		t.Errorf("said %q", said)
	}
	w.behind(nil)
	w.requests()
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", files)
	h.wantAsked("POST /v1/courses/scala101/files") // the rest alone, not all of the answer once more
}

// dyingWriter ends all answers once so many bytes were sent in all.
type dyingWriter struct {
	http.ResponseWriter
	sent *atomic.Int64
	most int64
}

func (c *dyingWriter) Write(p []byte) (int, error) {
	if c.sent.Add(int64(len(p))) > c.most {
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(p)
}

func (c *dyingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// TestNotebooksAreThereWhileLargeFilesStillArrive: the service holds the large
// file back until the notebook is on disk.
func TestNotebooksAreThereWhileLargeFilesStillArrive(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	files := with(lesson, "data/big.bin", string(bigBytes(3<<20)))
	w.publish("scala101", files)
	h := w.home("ana")
	placed := h.has("scala101/intro.ipynb", lesson["intro.ipynb"])
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&holdingWriter{ResponseWriter: rw, t: t, left: 1 << 20, until: placed}, r)
		})
	})
	a := h.agent()
	a.early = 0
	if out := a.Sync(t.Context(), SyncOptions{}); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", files)
	h.wantSaid("Updated to version 1: 4 new.")
	if r := w.receipts(); len(r) != 1 || r[0].Added != 4 {
		t.Errorf("%+v", r)
	}
}

// holdingWriter stops after so many bytes, for at most five seconds.
type holdingWriter struct {
	http.ResponseWriter
	t     testing.TB
	left  int
	until func() bool
}

func (w *holdingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		w.ResponseWriter.(http.Flusher).Flush()
		for end := time.Now().Add(5 * time.Second); !w.until(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				w.t.Error("the notebook did not come before the rest")
				panic(http.ErrAbortHandler)
			}
		}
	}
	return w.ResponseWriter.Write(p)
}

func (w *holdingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
