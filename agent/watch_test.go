package agent

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"satchel/hook"
)

// watching starts a watch and gives a function that ends it and waits.
func (h *home) watching(o WatchOptions) (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan struct{})
	a := h.agent()
	go func() { a.Watch(ctx, o); close(done) }()
	stop = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			h.t.Fatal("watch does not end")
		}
		a.Close()
	}
	h.t.Cleanup(stop)
	return stop
}

func (h *home) has(path, text string) func() bool {
	return func() bool {
		data, err := os.ReadFile(filepath.Join(h.root, path))
		return err == nil && string(data) == text
	}
}

func TestWatchBringsAPushWithinSeconds(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.watching(WatchOptions{}) // without a start: no start pass follows, only an event can bring it
	eventually(t, "the event stream", func() bool {
		r, err := askWatch(t.Context(), h.s, askHow)
		return err == nil && r.Stream
	})
	w.publish("scala101", with(lesson, "new.md", "pushed\n"))
	eventually(t, "the push", h.has("scala101/new.md", "pushed\n"))
}

func TestWatchFindsAPushWithoutAnyEvent(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/events") {
				rw.WriteHeader(502) // a proxy that cannot do streams
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	h.watching(WatchOptions{Start: true})
	eventually(t, "the first pass", h.has("scala101/README.md", lesson["README.md"]))
	w.publish("scala101", with(lesson, "new.md", "pushed\n"))
	if _, err := askWatch(t.Context(), h.s, askNow); err != nil { // as a poll, without its minute
		t.Fatal(err)
	}
	eventually(t, "the push", h.has("scala101/new.md", "pushed\n"))
}

func TestWatchLeavesEditedFilesAloneDuringASession(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.watching(WatchOptions{})
	h.write("scala101/README.md", "mine\n")
	w.publish("scala101", with(lesson, "README.md", "2\n", "new.md", "pushed\n"))
	if _, err := askWatch(t.Context(), h.s, askNow); err != nil {
		eventually(t, "the socket", func() bool { _, err := askWatch(t.Context(), h.s, askNow); return err == nil })
	}
	eventually(t, "the push", h.has("scala101/new.md", "pushed\n"))
	if !h.has("scala101/README.md", "mine\n")() {
		t.Error("README.md was touched")
	}
	eventually(t, "what waits in the status", func() bool {
		st, err := h.agent().Status(t.Context())
		return err == nil && len(st.Courses) == 1 && slices.Equal(st.Courses[0].Waiting, []string{"README.md"})
	})
	eventually(t, "the sentence", func() bool { return slices.Contains(h.said(), "1 update waits until you close it: README.md.") })
}

func TestWatchComesBackWhenTheServiceDoes(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	w.behind(handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	begun := make(chan struct{})
	h.watching(WatchOptions{Start: true, Begun: func() { close(begun) }})
	<-begun
	w.behind(nil)
	eventually(t, "the material", h.has("scala101/README.md", lesson["README.md"]))
}

// A push while the service restarts is told to nobody: the stream that comes
// back asks for it.
func TestAPushWhileTheStreamIsBroken(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	streaming := func() bool {
		r, err := askWatch(t.Context(), h.s, askHow)
		return err == nil && r.Stream
	}
	h.watching(WatchOptions{})
	eventually(t, "the event stream", streaming)
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/events") {
				rw.WriteHeader(502)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	w.web.CloseClientConnections()
	eventually(t, "the stream's end", func() bool { return !streaming() })
	w.publish("scala101", with(lesson, "new.md", "pushed\n"))
	w.behind(nil)
	eventually(t, "the push", h.has("scala101/new.md", "pushed\n"))
}

func TestSecondWatchEndsAndAsksTheFirstToLook(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	begun := make(chan struct{})
	h.watching(WatchOptions{Begun: func() { close(begun) }})
	<-begun
	w.requests()
	h.agent().Watch(t.Context(), WatchOptions{})
	eventually(t, "another look", func() bool { return slices.Contains(w.requests(), "GET /v1/sync") })
}

func TestWatchRenewsItsTicketAndLendsItToTheCommandLine(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	old := w.ticket("ana", 2*time.Second)
	fresh := w.ticket("ana", time.Hour)
	h.s.Ticket = Secret(old)
	var renewed atomic.Int32
	w.behind(renewal(fresh, &renewed))
	h.watching(WatchOptions{Start: true})
	eventually(t, "a fresh ticket", func() bool {
		r, err := askWatch(t.Context(), h.s, askTicket)
		return err == nil && r.Ticket == fresh
	})
	if renewed.Load() != 1 {
		t.Errorf("renewed %d times", renewed.Load())
	}
	for _, terminal := range []string{"", old} { // it has none, or one of long ago
		h.s.Ticket = Secret(terminal)
		w.requests()
		if out := h.sync(); out.Code != "" {
			t.Errorf("with %q: %+v: %q", terminal, out, h.said())
		}
	}
}

func TestWithoutTicketAndWatchOneSentence(t *testing.T) {
	w := newWorld(t)
	h := w.home("ana")
	h.s.Ticket = ""
	if out := h.sync(); out.Code != CodeTicket {
		t.Errorf("%+v", out)
	}
	h.wantSaid(Words{}.NoTicket())
	if asked := w.requests(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// fakeServer is a process that stands for a student's server.
func fakeServer(t *testing.T) (pid int, stop func()) {
	t.Helper()
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid, func() {
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
	}
}

func TestWatchEndsWithItsServer(t *testing.T) {
	w := newWorld(t)
	h := w.home("ana")
	server, stopServer := fakeServer(t)
	ended := make(chan struct{})
	begun := make(chan struct{})
	go func() {
		h.agent().Watch(t.Context(), WatchOptions{ServerPID: server, Begun: func() { close(begun) }})
		close(ended)
	}()
	<-begun
	stopServer()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("watch outlives its server")
	}
}

// A default and a named server share a home. When the one whose watch it is
// stops, the other's takes over.
func TestASecondServersWatchTakesOver(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	server, stopServer := fakeServer(t)
	begun := make(chan struct{})
	first := h.watching(WatchOptions{Begun: func() { close(begun) }})
	<-begun
	fresh := string(h.s.Ticket)
	h.s.Ticket = Secret(w.ticket("ana", time.Minute))
	second, ended, beside := h.agent(), make(chan struct{}), make(chan struct{})
	second.patrol = 20 * time.Millisecond
	go func() {
		second.Watch(t.Context(), WatchOptions{Start: true, ServerPID: server, Begun: func() { close(beside) }})
		close(ended)
	}()
	<-beside
	w.publish("scala101", with(lesson, "both.md", "while both run\n"))
	eventually(t, "a push while both run", h.has("scala101/both.md", "while both run\n"))
	eventually(t, "the first one's ticket", func() bool { return second.ticket.get() == fresh })
	first()
	eventually(t, "the second watch", func() bool {
		r, err := askWatch(t.Context(), h.s, askHow)
		return err == nil && r.Stream
	})
	w.publish("scala101", with(lesson, "new.md", "pushed\n"))
	eventually(t, "a push", h.has("scala101/new.md", "pushed\n"))
	stopServer()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the second watch outlives its server")
	}
	second.Close()
}

func TestFollowByNumber(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { followNumber(ctx, os.Getpid()); close(done) }()
	cancel()
	<-done
	followNumber(t.Context(), 1<<22+1) // nobody's number
	follow(t.Context(), 1<<22+1)
}

func TestSocketIsTheStudentsAlone(t *testing.T) {
	w := newWorld(t)
	h := w.home("ana")
	begun := make(chan struct{})
	h.watching(WatchOptions{Begun: func() { close(begun) }})
	<-begun
	for _, ending := range []string{".sock", ".lock"} {
		info, err := os.Stat(h.s.runtimeFile(ending))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", ending, info.Mode(), err)
		}
		if strings.HasPrefix(h.s.runtimeFile(ending), h.root) {
			t.Errorf("%s is on the volume", ending)
		}
	}
	if _, err := askWatch(t.Context(), h.s, "rm -rf"); err == nil {
		t.Error("an unknown question is answered")
	}
}

// TestQuestionsCostTheServiceLittle: whatever a program of the student's asks
// the watch, the service is asked once in nowEvery, and callers that say
// nothing keep nobody from being answered.
func TestQuestionsCostTheServiceLittle(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	begun := make(chan struct{})
	h.watching(WatchOptions{Begun: func() { close(begun) }})
	<-begun
	var silent []net.Conn
	for range 3 * maxCallers {
		if c, err := net.Dial("unix", h.s.runtimeFile(".sock")); err == nil {
			silent = append(silent, c)
		}
	}
	for _, c := range silent {
		c.Close()
	}
	w.requests()
	asked := 0
	for end := time.Now().Add(nowEvery + nowEvery/5); time.Now().Before(end); {
		if _, err := askWatch(t.Context(), h.s, askNow); err == nil {
			asked++
		}
		time.Sleep(time.Millisecond)
	}
	syncs := 0
	for _, r := range w.requests() {
		if r == "GET /v1/sync" {
			syncs++
		}
	}
	if asked < 100 || syncs != 2 {
		t.Errorf("%d questions made %d requests", asked, syncs)
	}
}

func TestOneLookAnswersAllThatWasAskedBefore(t *testing.T) {
	w := &watcher{now: make(chan time.Time, 1)}
	for range 5 {
		w.lookNow()
	}
	if at := <-w.now; time.Until(at) > 0 {
		t.Errorf("the first waits %s", time.Until(at))
	}
	for range 5 {
		w.lookNow()
	}
	if at := <-w.now; time.Until(at) < nowEvery*9/10 {
		t.Errorf("the second waits %s", time.Until(at))
	}
	w.lookNow() // that look is still to come
	select {
	case <-w.now:
		t.Error("a third is asked for")
	default:
	}
}

func TestRuntimeDirRefusesWhatOthersCanEnter(t *testing.T) {
	temp := t.TempDir()
	uid := os.Getuid()
	open := filepath.Join(temp, "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	dir, err := RuntimeDir(open, temp, uid)
	if err != nil || dir == open {
		t.Errorf("%s, %v", dir, err)
	}
	if again, err := RuntimeDir("", temp, uid); err != nil || again != dir {
		t.Errorf("%s, %v", again, err)
	}
	planted := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(planted, filepath.Base(dir))); err != nil {
		t.Fatal(err)
	}
	if dir, err := RuntimeDir("", planted, uid); err == nil {
		t.Errorf("a planted link is taken: %s", dir)
	}
	if _, err := RuntimeDir("", temp, uid+1); err == nil {
		t.Error("another user's folder is taken")
	}
}

func TestWatchWithoutARuntimeFolderGoesOn(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	for _, dir := range []string{"", filepath.Join(t.TempDir(), strings.Repeat("long", 40)), "/sys"} {
		h := w.home("ana")
		h.s.Runtime = dir
		begun := make(chan struct{})
		h.watching(WatchOptions{Start: true, Begun: func() { close(begun) }})
		<-begun
		h.wantTree("scala101", lesson)
	}
}

// withoutAFile makes a home in which gone.md of the course was deleted.
func withoutAFile(t *testing.T) (*world, *home) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", with(lesson, "gone.md", "g\n"))
	h := w.home("ana")
	h.sync()
	must(t, os.Remove(h.root+"/scala101/gone.md"))
	return w, h
}

// A watch that begins a while after a login that found nothing new has only the
// walk to make, for which the session is as old as the login.
func TestAWatchThatBeginsLaterOnlyWalks(t *testing.T) {
	w, h := withoutAFile(t)
	login := time.Now().Add(-time.Second) // a file's clock goes by ticks
	h.write("scala101/README.md", "mine, since the login\n")
	w.publish("scala101", with(lesson, "gone.md", "g\n", "README.md", "changed\n"))
	w.requests()
	h.said()
	begun := make(chan struct{})
	h.watching(WatchOptions{Start: true, Since: login, Begun: func() { close(begun) }})
	<-begun
	eventually(t, "what was deleted", h.has("scala101/gone.md", "g\n"))
	if !h.has("scala101/README.md", "mine, since the login\n")() {
		t.Error("a file that was changed after the login was touched")
	}
	eventually(t, "what waits in the status", func() bool {
		st, err := h.agent().Status(t.Context())
		return err == nil && len(st.Courses) == 1 && slices.Equal(st.Courses[0].Waiting, []string{"README.md"})
	})
	asked := 0
	for _, r := range w.requests() {
		if r == "GET /v1/sync" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// A clock that was set back since the login does not keep a watch waiting.
func TestAWatchThatBeganInTheFuture(t *testing.T) {
	_, h := withoutAFile(t)
	h.watching(WatchOptions{Start: true, Since: time.Now().Add(time.Hour)})
	eventually(t, "what was deleted", h.has("scala101/gone.md", "g\n"))
}

// The pass that looks at everything is made, even if the service has no answer
// when its turn comes.
func TestTheWalkAfterAStepIsMadeHoweverLate(t *testing.T) {
	w, h := withoutAFile(t)
	w.publish("scala101", with(lesson, "gone.md", "g\n", "new.md", "n\n"))
	var asked atomic.Int32
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/v1/sync") && asked.Add(1) == 2 {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	defer h.watching(WatchOptions{Start: true})()
	eventually(t, "what is new", h.has("scala101/new.md", "n\n"))
	eventually(t, "what was deleted", h.has("scala101/gone.md", "g\n"))
	if asked.Load() < 3 {
		t.Error("no question was refused")
	}
}

// TestWhatIsPushedBeforeTheStreamBeginsIsNotMissed: between what a watch asked
// and its first event nobody tells it of a push.
func TestWhatIsPushedBeforeTheStreamBeginsIsNotMissed(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	asked, hold := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/v1/events") {
				once.Do(func() { close(asked); <-hold })
			}
			next.ServeHTTP(rw, r)
		})
	})
	h.watching(WatchOptions{})
	<-asked
	w.publish("scala101", with(lesson, "early.md", "before the stream\n"))
	close(hold)
	eventually(t, "the push", h.has("scala101/early.md", "before the stream\n"))
}

// TestAStreamsBeginAsksForNothingWhereNothingIsNew: a service that begins anew
// hears nothing of watches whose folders hold what it gives out.
func TestAStreamsBeginAsksForNothingWhereNothingIsNew(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	if h.sync(); h.agent().holds("") {
		t.Error("a service that tells no tag is believed")
	}
	hello := func() (etag string) {
		h.agent().client.Events(t.Context(), func(e hook.Event) error { etag = e.ETag; return io.EOF })
		return etag
	}
	if !h.agent().holds(hello()) {
		t.Errorf("%q is not what is held", hello())
	}
	w.publish("scala101", with(lesson, "new.md", "new\n"))
	if h.agent().holds(hello()) {
		t.Error("what was not fetched is held")
	}
}

// TestStreamsThatAreCutOffAreAskedForLessAndLess, also where each begins well.
func TestStreamsThatAreCutOffAreAskedForLessAndLess(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	var streams atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/v1/events") {
				next.ServeHTTP(rw, r)
				return
			}
			if streams.Add(1) == 1 {
				time.AfterFunc(2*time.Second, cancel)
			}
			rw.Header().Set("Content-Type", hook.EventsType)
			io.WriteString(rw, "event: hello\ndata: {\"listeners\":1}\n\n")
		})
	})
	a := h.agent()
	a.wait = backoff{first: 10 * time.Millisecond, most: time.Minute}
	a.Watch(ctx, WatchOptions{})
	if n := streams.Load(); n > 12 { // after waits of 10, 20, 40 … ms, or half of each
		t.Errorf("%d streams in two seconds", n)
	}
}
