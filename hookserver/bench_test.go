package hookserver

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"testing"
)

// buffer is for what discard reads: it stands for the kernel, which takes none.
var buffer = make([]byte, 64<<10)

// discard is a response that goes nowhere.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) ReadFrom(r io.Reader) (int64, error) {
	n := int64(0)
	for {
		got, err := r.Read(buffer)
		n += int64(got)
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// asks is the same question of one student again and again.
type asks struct {
	w     *world
	query string
	head  http.Header
	want  int
}

// once asks, without a connection.
func (a *asks) once() {
	req := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/v1/sync", RawQuery: a.query}, Header: a.head, RequestURI: "/v1/sync", RemoteAddr: "192.0.2.1:1"}
	d := &discard{header: http.Header{}}
	a.w.srv.Student().ServeHTTP(d, req)
	if d.status != a.want {
		a.w.t.Fatal(d.status)
	}
}

// situations of a login, each in a course of so many files, of which one was
// changed last.
var situations = map[string]func(w *world, files int) *asks{
	"nothing": func(w *world, files int) *asks { return w.asking(files, true, true) },
	"step":    func(w *world, files int) *asks { return w.asking(files, true, false) },
	"first":   func(w *world, files int) *asks { return w.asking(files, false, false) },
}

func (w *world) asking(n int, held, nothing bool) *asks {
	w.course("scala", all)
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("unit%02d/lab-%d.ipynb", i/20, i)] = noise(3000, uint64(i))
	}
	w.publish("scala", everyone(files))
	s := w.student("ana")
	s.sync()
	files["unit00/lab-0.ipynb"] = noise(3000, 1<<20)
	w.publish("scala", everyone(files))
	a := &asks{w: w, head: http.Header{"Authorization": {"Bearer " + s.ticket}}, want: http.StatusOK}
	if nothing {
		s.sync()
		a.head.Set("If-None-Match", s.etag)
		a.want = http.StatusNotModified
	}
	if held {
		a.query = url.Values{"have": {s.haves()[0].String()}}.Encode()
	}
	a.once()
	return a
}

func benchSync(b *testing.B, situation string) {
	for _, files := range []int{60, 600, 6000} {
		b.Run(fmt.Sprintf("%d files", files), func(b *testing.B) {
			a := situations[situation](newWorld(b, func(o *Options) { o.Limits.Requests = 1 << 40 }), files)
			b.ReportAllocs()
			for b.Loop() {
				a.once()
			}
		})
	}
}

func BenchmarkSyncNothingNew(b *testing.B) { benchSync(b, "nothing") }
func BenchmarkSyncStep(b *testing.B)       { benchSync(b, "step") }
func BenchmarkSyncFirst(b *testing.B)      { benchSync(b, "first") }

// TestAnswersCostTheSameHoweverLargeTheCourse: what is allocated for one
// student does not grow with the course. (A first login has a system call for
// each stored frame, and some words for it.)
func TestAnswersCostTheSameHoweverLargeTheCourse(t *testing.T) {
	for situation, perFrame := range map[string]uint64{"nothing": 0, "step": 0, "first": 600} {
		small, _ := allocated(situations[situation](newWorld(t, nil), 30))
		large, frames := allocated(situations[situation](newWorld(t, nil), 1000))
		if most := small + small/10 + 500 + frames*perFrame; large > most {
			t.Errorf("%s: %d bytes a login in a course of 1,000 files and %d frames, %d in one of 30", situation, large, frames, small)
		}
	}
}

// allocated is how many bytes one answer costs, and how many frames are stored.
func allocated(a *asks) (bytes, frames uint64) {
	const rounds = 50
	a.once()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		a.once()
	}
	runtime.ReadMemStats(&after)
	for _, ch := range a.w.srv.lib.peek("scala").edition.channels {
		for _, x := range ch.indexes {
			frames += uint64(len(x.Frames))
		}
	}
	return (after.TotalAlloc - before.TotalAlloc) / rounds, frames
}
