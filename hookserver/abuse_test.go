package hookserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/internal/students"
	"satchel/store"
)

// text is like noise, but packs a little.
func text(n int, rnd *rand.Rand) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnop\n "[rnd.IntN(18)]
	}
	return string(b)
}

// scattered publishes n small files and gives, of each stored frame, digests of
// nearly half: none is worth sending as it is, so all are put together.
func (w *world) scattered(n, size int) (frames int, ask []bundle.Digest) {
	rnd := rand.New(rand.NewPCG(1, 2))
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("d%d/f%d.txt", i%50, i)] = text(size, rnd)
	}
	w.course("scala", all)
	w.publish("scala", everyone(files))
	for _, x := range w.srv.lib.peek("scala").edition.channels[0].indexes {
		frames += len(x.Frames)
		for _, f := range x.Frames {
			half := int64(0)
			for _, i := range rnd.Perm(len(f.Items)) {
				if half+f.Items[i].Size < f.Size*45/100 {
					half += f.Items[i].Size
					ask = append(ask, f.Items[i].Digest)
				}
			}
		}
	}
	return frames, ask
}

// ask is POST files, of which the body is read.
func (s *student) ask(ctx context.Context, digests []bundle.Digest) error {
	a, err := s.client.Files(ctx, "scala", digests)
	if err != nil {
		return err
	}
	defer a.Close()
	for err == nil {
		_, _, _, err = a.Next()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// However contents are picked, one answer decodes each stored frame about once.
func TestEachStoredFrameIsDecodedAboutOnce(t *testing.T) {
	f := &faulty{}
	w := newWorld(t, func(o *Options) { f.Store, o.Store = o.Store, f })
	frames, ask := w.scattered(3000, 5000)
	before := f.ranges.Load()
	ana := w.student("ana")
	a, err := ana.client.Files(t.Context(), "scala", ask)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ana.take(a)
	for _, d := range ask {
		if _, ok := ana.disk[d]; !ok {
			t.Fatal("something was not sent")
		}
	}
	if n := f.ranges.Load() - before; n > int64(2*frames) {
		t.Errorf("%d reads of %d stored frames", n, frames)
	}
}

// BenchmarkScattered is the dearest request: nearly half of each stored frame
// of a course of 60 MB, a little different each time.
func BenchmarkScattered(b *testing.B) {
	w := newWorld(b, nil)
	_, ask := w.scattered(6000, 10_000)
	s, i := w.student("ana"), 0
	for b.Loop() {
		if err := s.ask(b.Context(), slices.Delete(slices.Clone(ask), i, i+1)); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// holdSlots takes all slots of the assembler.
func (w *world) holdSlots() (release func()) {
	slots := w.srv.mix.slots
	for range cap(slots) {
		slots <- struct{}{}
	}
	return sync.OnceFunc(func() {
		for range cap(slots) {
			<-slots
		}
	})
}

func (f *flights[V]) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.at)
}

// Who hangs up leaves no work behind.
func TestHangingUpGivesTheWorkUp(t *testing.T) {
	w := newWorld(t, nil)
	_, ask := w.scattered(400, 5000)
	release := w.holdSlots()
	defer release()
	ana := w.student("ana")
	for i := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() { defer close(gone); _ = ana.ask(ctx, ask[i:]) }()
		w.waitFor(func() bool { return w.srv.mix.making.count() == 1 })
		cancel()
		<-gone
		w.waitFor(func() bool { return w.srv.mix.making.count() == 0 })
	}
	release()
	w.waitFor(func() bool { return w.srv.guests.streamsOf("ana") == 0 })
	if n := w.srv.mix.made.used; n > 0 {
		t.Errorf("%d bytes of frames were made for nobody", n)
	}
	if err := ana.ask(t.Context(), ask); err != nil {
		t.Error(err)
	}
}

// One student's requests take one slot, so that another's find one too.
func TestOneTurnForEachGuest(t *testing.T) {
	w := newWorld(t, nil)
	_, ask := w.scattered(400, 5000)
	release := w.holdSlots()
	defer release()
	var wg sync.WaitGroup
	start := func(user string, ask []bundle.Digest) {
		s := w.student(user)
		wg.Go(func() {
			if err := s.ask(t.Context(), ask); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 4 {
		start("ana", ask[i:])
	}
	w.waitFor(func() bool { return w.srv.guests.streamsOf("ana") == 4 })
	start("bob", ask[10:])
	w.waitFor(func() bool { return w.srv.mix.making.count() == 2 })
	time.Sleep(50 * time.Millisecond)
	if n := w.srv.mix.making.count(); n != 2 {
		t.Errorf("%d frames wait for a slot, of two students", n)
	}
	release()
	wg.Wait()
}

// A flight goes on as long as one waits for it, and ends with the last.
func TestFlightsEndWithTheLast(t *testing.T) {
	f := newFlights[int]()
	began, ended := make(chan struct{}), make(chan error, 1)
	work := func(ctx context.Context) (int, error) {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return 0, ctx.Err()
	}
	var cancels []context.CancelFunc
	var wg sync.WaitGroup
	for i := range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		cancels = append(cancels, cancel)
		wg.Go(func() {
			if _, err := f.do(ctx, "k", work); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		if i == 0 {
			<-began
		}
	}
	for f.waiting("k") < 2 {
		time.Sleep(time.Millisecond)
	}
	cancels[0]()
	for f.waiting("k") > 1 {
		time.Sleep(time.Millisecond)
	}
	select {
	case <-ended:
		t.Error("it ended while one waited")
	case <-time.After(20 * time.Millisecond):
	}
	cancels[1]()
	<-ended
	wg.Wait()
	// Who comes after begins anew, and a panic is an error.
	if n, err := f.do(t.Context(), "k", func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Error(n, err)
	}
	if _, err := f.do(t.Context(), "k", func(context.Context) (int, error) { panic("oops") }); !errors.Is(err, errPanic) {
		t.Error(err)
	}
}

func (f *flights[V]) waiting(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.at[key]; fl != nil {
		return fl.waiting
	}
	return 0
}

func (s *student) receipt(r hook.Receipt) {
	s.w.t.Helper()
	if err := s.client.Receipt(s.w.t.Context(), r); err != nil {
		s.w.t.Fatal(err)
	}
}

// However many receipts come, few are written, and the last of them is.
func TestReceiptsArePaced(t *testing.T) {
	w := school(t)
	ana, bob := w.student("ana"), w.student("bob")
	count := func() int { return len(w.lines.of(students.KindReceipt)) }
	for i := range 100 {
		ana.receipt(hook.Receipt{Course: "open", Version: 1, Added: i})
	}
	bob.receipt(hook.Receipt{Course: "open", Version: 1})
	ana.receipt(hook.Receipt{Course: "named", Version: 1})
	if n := count(); n != linesAtOnce+2 {
		t.Errorf("%d lines in the first moment", n)
	}
	w.pass(time.Minute)
	w.srv.tellHeld(false)
	w.srv.tellHeld(false)
	got := w.lines.of(students.KindReceipt)
	if last := got[len(got)-1]; len(got) != linesAtOnce+3 || last.Added != 99 || last.Course != "open" {
		t.Errorf("%d lines, the last is %+v", len(got), last)
	}
	for range 24 * 60 {
		w.pass(time.Minute)
		ana = w.student("ana") // the ticket of the morning ends
		ana.receipt(hook.Receipt{Course: "open", Version: 1})
		w.srv.tellHeld(false)
	}
	if n := count(); n > 2*linesEachDay+10 { // two calendar days
		t.Errorf("%d lines of a day", n)
	}
	before := count()
	for range 10 {
		ana.receipt(hook.Receipt{Course: "open", Version: 1, Changed: 5})
	}
	_, stop := w.served()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got = w.lines.of(students.KindReceipt)
	if last := got[len(got)-1]; len(got) == before || last.Changed != 5 {
		t.Errorf("what was held back is lost at the end: %+v", last)
	}
}

// What one ticket may put into the store in a minute, with a real writer.
func TestReceiptsFillNoStore(t *testing.T) {
	st, err := store.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	wr := students.NewWriter(slog.New(slog.DiscardHandler), st, students.Privacy{Mode: students.Names}, "x")
	w := newWorld(t, func(o *Options) { o.Students = wr })
	w.course("scala", all)
	files, paths := map[string]string{}, []string{}
	for i := range 20 {
		paths = append(paths, strings.Repeat("<", 150)+fmt.Sprint(i))
		files[paths[i]] = "x"
	}
	w.publish("scala", everyone(files))
	ana := w.student("ana")
	for range 100 {
		ana.receipt(hook.Receipt{Course: "scala", Version: 1, Kept: paths, Merged: paths, Failed: paths})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wr.Run(ctx); err != nil {
		t.Fatal(err)
	}
	total, lines := int64(0), 0
	for o, err := range st.List(t.Context(), "receipts/", "") {
		if err != nil {
			t.Fatal(err)
		}
		total += o.Size
		lines++
	}
	if lines == 0 || total > 40_000 {
		t.Errorf("100 receipts made %d batches of %d bytes", lines, total)
	}
}

// Keys that alternate write no line each; the last are told in the end.
func TestKeysArePaced(t *testing.T) {
	w := school(t)
	ana := w.student("ana")
	keys := []string{"0123456789abcdef", "1123456789abcdef"}
	sync := func(k string) {
		if got := ana.status("GET", "/v1/sync?keys="+k, nil, nil); got != 200 {
			t.Fatal(got)
		}
	}
	for i := range 100 {
		sync(keys[i%2])
	}
	if n := len(w.lines.of(students.KindRequest)); n != 1+linesAtOnce {
		t.Errorf("%d lines", n)
	}
	w.pass(time.Minute)
	sync(keys[1])
	if got := w.lines.of(students.KindRequest); got[len(got)-1].Keys[0] != keys[1] {
		t.Errorf("the last keys were not told: %+v", got)
	}
}

// A receipt tells of the course what the course has, and nothing else.
func TestReceiptKeepsOnlyWhatTheCourseKnows(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	tutors := audienceOf{groups: []string{"tutors"}, files: map[string]string{"exam.ipynb": "e"}}
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"old.md": "1", "a": "a"}}, "tutors": tutors})
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"new.md": "1", "a": "a"}}, "tutors": tutors})
	ana := w.student("ana")
	paths := []string{"old.md", "diary.md", "new.md", "exam.ipynb", "a\x1b[2J", "a"}
	ana.receipt(hook.Receipt{Course: "scala", Version: bundle.MaxVersion, Agent: "1.0", Code: "in_part", Kept: paths, Merged: paths, Failed: paths})
	w.student("tom", "tutors").receipt(hook.Receipt{Course: "scala", Version: 1, Kept: paths})
	got := w.lines.of(students.KindReceipt)
	want := []string{"old.md", "new.md", "a"}
	for _, list := range [][]string{got[0].Kept, got[0].Merged, got[0].Failed} {
		if !slices.Equal(list, want) {
			t.Errorf("kept %q", list)
		}
	}
	if got[0].Version != 2 || got[1].Version != 1 || !slices.Contains(got[1].Kept, "exam.ipynb") {
		t.Errorf("%+v", got)
	}
	// What this replica has not seen yet is looked for; what an agent proved counts.
	w.write("scala", everyone(map[string]string{"a": "b", "newer.md": "1"}))
	w.pass(2 * time.Second)
	bob := w.student("bob")
	bob.receipt(hook.Receipt{Course: "scala", Version: 3, Kept: []string{"newer.md"}})
	w.srv.lib.prove(&bundle.Head{Course: "scala", Version: 5}, nil)
	bob.receipt(hook.Receipt{Course: "scala", Version: 5})
	got = w.lines.of(students.KindReceipt)[2:]
	if got[0].Version != 3 || len(got[0].Kept) != 1 || got[1].Version != 5 {
		t.Errorf("%+v", got)
	}
}

// A channel remembers former paths also after its full bundle alone is left.
func TestFormerPathsOfAFullBundle(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"old.md": "1"}))
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "a"}, full: true}}, func(r *store.Record) {
		r.Channels[0].Bundles = r.Channels[0].Bundles[1:]
	})
	other, err := New(slog.New(slog.DiscardHandler), w.srv.o)
	if err != nil {
		t.Fatal(err)
	}
	other.Refresh(t.Context())
	for name, s := range map[string]*Server{"that saw all": w.srv, "begun later": other} {
		ch := s.lib.peek("scala").edition.channels[0]
		if !ch.everNamed("old.md") || !ch.everNamed("a") || ch.everNamed("b") {
			t.Errorf("a replica %s knows other paths", name)
		}
	}
}

// Without a ticket a connection is given one answer.
func TestStrangersKeepNoConnection(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Connections = 3 })
	addr, _ := w.served()
	strange := []string{"GET / HTTP/1.1\r\n", "GET /v1/sync HTTP/1.1\r\n", "GET /v1/sync HTTP/1.1\r\nAuthorization: Bearer st1.a.b.c\r\n"}
	for _, head := range strange { // they take all places, and stay
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%sHost: x\r\n\r\n", head)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if !resp.Close {
			t.Errorf("%d, and the connection is kept", resp.StatusCode)
		}
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	for range 2 { // with a ticket it goes on, also after what is not found
		fmt.Fprintf(conn, "GET /v1/courses/none/history HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", w.student("ana").ticket)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 404 || resp.Close {
			t.Errorf("%d, closed: %t", resp.StatusCode, resp.Close)
		}
	}
}

// One address has its share of connections and no more; one that ends frees
// its place.
func TestConnectionsOfOneAddress(t *testing.T) {
	for limit, want := range map[int]int{2: 2, -1: 4} {
		var lc net.ListenConfig
		inner, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l := capped(inner, 100, limit)
		accepted := make(chan net.Conn, 10)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					close(accepted)
					return
				}
				accepted <- c
			}
		}()
		dial := func() net.Conn {
			c, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		var held []net.Conn
		for range 4 {
			held = append(held, dial())
		}
		var taken []net.Conn
		for range want {
			taken = append(taken, <-accepted)
		}
		if limit > 0 { // the third was closed without a word
			held[2].SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := held[2].Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("one too many: %v", err)
			}
			if len(accepted) > 0 {
				t.Errorf("limit %d: more were taken", limit)
			}
			taken[0].Close()
			taken[0].Close() // twice is once
			held = append(held, dial())
			taken = append(taken, <-accepted)
		}
		l.Close()
		for _, c := range append(held, taken...) {
			c.Close()
		}
		<-accepted
	}
}

// Names made up, doubled or turned round make no answer of their own.
func TestMadeUpChannelsShareOneAnswer(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	two := map[string]audienceOf{"a": {files: map[string]string{"a": "1"}}, "b": {files: map[string]string{"b": "1"}}, "tutors": {groups: []string{"tutors"}, files: map[string]string{"t": "t"}}}
	w.publish("scala", two)
	h, _ := w.state["scala"].record.Head.Peek()
	ana := w.student("ana")
	ask := func(v bundle.Version, channels ...string) hook.CourseOffer {
		t.Helper()
		a, err := ana.client.Sync(t.Context(), []hook.Have{{Course: "scala", Version: v, Fingerprint: h.Fingerprint(), Channels: channels}}, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		return a.Offer.Courses[0]
	}
	for i := range 20 {
		junk := fmt.Sprint("junk", i)
		if c := ask(0, junk, "a"); !slices.Equal(c.Left, []string{junk}) || !c.Channels[0].Base.IsZero() {
			t.Errorf("%+v", c)
		}
		if c := ask(1, "b", junk, "a", "a", "tutors"); !slices.Equal(c.Left, []string{junk, "tutors"}) || c.Channels[0].Base.IsZero() || len(c.Frames) > 0 {
			t.Errorf("%+v", c)
		}
		if c := ask(1, "a", "b"); len(c.Left) > 0 || c.Channels[1].Base.IsZero() {
			t.Errorf("%+v", c)
		}
	}
	if n := len(w.srv.prepared.at); n != 2 {
		t.Errorf("%d answers are kept", n)
	}
}

// Who sees nothing of a course is told the same whatever they claim to have:
// nothing of the versions that others get.
func TestClaimsTellNoVersion(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", course.Audience{Everyone: true})
	w.course("unborn", course.Audience{Everyone: true})
	for i := range 5 {
		w.publish("scala", map[string]audienceOf{"tutors": {groups: []string{"tutors"}, files: map[string]string{"exam.ipynb": fmt.Sprint(i)}}})
	}
	ana := w.student("ana")
	ana.sync()
	for v := range bundle.Version(8) {
		w.pass(2 * time.Second)
		for _, name := range []string{"scala", "unborn"} {
			claim := []hook.Have{{Course: name, Version: v, Fingerprint: strings.Repeat("0", 32)}}
			a, err := ana.client.Sync(t.Context(), claim, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range a.Offer.Courses {
				if c.State != hook.StateEmpty || c.Prove || c.Head != nil {
					t.Errorf("claim of version %d of %s: %+v", v, name, c)
				}
			}
			a.Close()
			if a, err = ana.client.Sync(t.Context(), claim, nil, ana.etag); err != nil || !a.NotModified {
				t.Errorf("claim of version %d of %s changes an answer", v, name)
				a.Close()
			}
		}
		body, _ := json.Marshal(hook.Receipt{Format: hook.Format, Course: "scala", Version: v})
		if got := ana.status("POST", "/v1/receipts", nil, bytes.NewReader(body)); got != http.StatusNoContent {
			t.Errorf("a receipt of version %d: %d", v, got)
		}
	}
}

// A head that this replica has not seen yet is no alarm: it looks first, also
// when it looked a moment ago.
func TestProofOfWhatWasJustPublished(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"a": "1"}))
	w.write("scala", everyone(map[string]string{"a": "2"}))
	ana := w.student("ana")
	if err := ana.client.Prove(t.Context(), "scala", *w.state["scala"].record.Head); err != nil {
		t.Fatal(err)
	}
	if st := w.srv.Status()[0]; st.Proven != 0 || st.Sentence != "" || st.Version != 2 {
		t.Errorf("%+v", st)
	}
}

// While the store does not answer a proof decides nothing; the agent asks again.
func TestProofWhileTheStoreIsAway(t *testing.T) {
	w, f, _ := cachedWorld(t, nil)
	w.publish("scala", everyone(map[string]string{"a": "1"}))
	w.write("scala", everyone(map[string]string{"a": "2"}))
	newer := *w.state["scala"].record.Head
	f.away.Store(true)
	ana := w.student("ana")
	err := ana.client.Prove(t.Context(), "scala", newer)
	wantError(t, err, http.StatusServiceUnavailable, hook.CodeUnavailable)
	if st := w.srv.Status()[0]; st.Proven != 0 {
		t.Errorf("%+v", st)
	}
	f.away.Store(false)
	if err := ana.client.Prove(t.Context(), "scala", newer); err != nil {
		t.Error(err)
	}
	if st := w.srv.Status()[0]; st.Proven != 0 || st.Version != 2 {
		t.Errorf("%+v", st)
	}
}
