package hookserver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a response that goes nowhere.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{d}, r)
}

// benchSync is one login of a course of 400 small files, some of which have
// changed since the full bundle.
func benchSync(b *testing.B, header http.Header, want int) {
	w := newWorld(b, nil)
	w.course("scala", all)
	files := map[string]string{}
	for i := range 400 {
		files[fmt.Sprintf("lesson-%d.ipynb", i)] = noise(20_000, uint64(i))
	}
	w.publish("scala", everyone(files))
	for i := range 20 {
		files[fmt.Sprintf("lesson-%d.ipynb", i*20)] = noise(20_000, uint64(1000+i))
	}
	w.publish("scala", everyone(files))
	s := w.student("ana")
	s.sync()
	if header != nil {
		header.Set("If-None-Match", s.etag)
	}
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("GET", "/v1/sync", nil)
		for k, v := range header {
			req.Header[k] = v
		}
		req.Header.Set("Authorization", "Bearer "+s.ticket)
		d := &discard{header: http.Header{}}
		w.srv.Student().ServeHTTP(d, req)
		if d.status != want {
			b.Fatal(d.status)
		}
		w.pass(1e9)
	}
}

func BenchmarkNothingNew(b *testing.B) { benchSync(b, http.Header{}, http.StatusNotModified) }
func BenchmarkFirstLogin(b *testing.B) { benchSync(b, nil, http.StatusOK) }
