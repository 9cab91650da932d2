package store_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/store"
	"satchel/store/storetest"
)

var errCut = errors.New("connection cut")

// faults breaks requests of one method on their way, in pairs: the request
// never arrives, or its answer does not.
type faults struct {
	method string
	left   atomic.Int32 // how many are still to be broken
	after  bool         // break the answer, not the request
	seen   atomic.Int32 // requests of the method
}

func (f *faults) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method != f.method {
			return next.RoundTrip(r)
		}
		f.seen.Add(1)
		broken := f.left.Add(-1) >= 0
		if broken && !f.after {
			return nil, errCut
		}
		res, err := next.RoundTrip(r)
		if broken && err == nil {
			res.Body.Close()
			return nil, errCut
		}
		return res, err
	})
}

// faultyS3 is a store whose next n PUTs break, in that way.
func faultyS3(t *testing.T, n int32, after bool) (*store.S3, *faults) {
	t.Helper()
	f := &faults{method: http.MethodPut, after: after}
	c := fakeS3(t, nil)
	c.Wrap = f.wrap
	f.left.Store(n)
	return newS3(t, c), f
}

// TestS3ConditionalWriteIsSentOnce: were it sent again, a caller whose first
// answer was lost would read ErrExists or ErrChanged of its own write.
func TestS3ConditionalWriteIsSentOnce(t *testing.T) {
	for _, after := range []bool{false, true} {
		s, f := faultyS3(t, 1, after)
		err := s.PutIfAbsent(t.Context(), "a/b", strings.NewReader("x"))
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrExists) || f.seen.Load() != 1 {
			t.Errorf("PutIfAbsent, after %v: %v, %d requests", after, err, f.seen.Load())
		}
		_, err = s.Head(t.Context(), "a/b")
		if stored := err == nil; stored != after {
			t.Errorf("PutIfAbsent, after %v: stored %v", after, stored)
		}
		s, f = faultyS3(t, 1, after)
		_, err = s.CompareAndSwap(t.Context(), "a/b", "", []byte("x"))
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrChanged) || f.seen.Load() != 1 {
			t.Errorf("CompareAndSwap, after %v: %v, %d requests", after, err, f.seen.Load())
		}
	}
}

// TestS3SwapRecordSettles: the same pair of faults through SwapRecord.
func TestS3SwapRecordSettles(t *testing.T) {
	s, f := faultyS3(t, 0, false)
	first, err := store.SwapRecord(t.Context(), s, storetest.Record("scala101", 1, "p1"), "")
	if err != nil {
		t.Fatal(err)
	}
	f.left.Store(1)
	_, err = store.SwapRecord(t.Context(), s, storetest.Record("scala101", 2, "p2"), first)
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrChanged) {
		t.Errorf("nothing stored: %v; want ErrUnavailable", err)
	}
	f.after = true
	f.left.Store(1)
	tag, err := store.SwapRecord(t.Context(), s, storetest.Record("scala101", 2, "p3"), first)
	if err != nil {
		t.Fatalf("yet stored: %v; want it settled", err)
	}
	if r, now, err := store.ReadRecord(t.Context(), s, "scala101"); err != nil || r.Publish != "p3" || now != tag {
		t.Errorf("record %+v with etag %q (%q), %v", r, now, tag, err)
	}
}

// TestS3SwapRecordThatMayNotWrite: a refusal is not called a lost race, or a
// syncer would begin again for ever without saying why.
func TestS3SwapRecordThatMayNotWrite(t *testing.T) {
	deny := false
	s := newS3(t, fakeS3(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if deny && r.Method == http.MethodPut {
				answer(w, http.StatusForbidden, "AccessDenied", "Access Denied")
				return
			}
			h.ServeHTTP(w, r)
		})
	}))
	tag, err := store.SwapRecord(t.Context(), s, storetest.Record("scala101", 1, "p1"), "")
	if err != nil {
		t.Fatal(err)
	}
	deny = true
	_, err = store.SwapRecord(t.Context(), s, storetest.Record("scala101", 2, "p2"), tag)
	if errors.Is(err, store.ErrChanged) || err == nil || !strings.Contains(err.Error(), "s3:PutObject") {
		t.Errorf("error %v; want the refusal", err)
	}
}

// TestS3PutIsTriedAgain: with all of its body, also the second time.
func TestS3PutIsTriedAgain(t *testing.T) {
	for _, after := range []bool{false, true} {
		n := 0
		s := newS3(t, fakeS3(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n++; n > 2 {
					h.ServeHTTP(w, r)
					return
				}
				if after {
					io.Copy(io.Discard, r.Body)
				}
				answer(w, http.StatusServiceUnavailable, "ServiceUnavailable", "busy")
			})
		}))
		data := bytes.Repeat([]byte("0123456789"), 10_000)
		if err := s.Put(t.Context(), "a/b", bytes.NewReader(data)); err != nil {
			t.Fatalf("after %v: %v", after, err)
		}
		if o, err := s.Head(t.Context(), "a/b"); err != nil || o.Size != int64(len(data)) {
			t.Errorf("after %v: %d bytes, %v", after, o.Size, err)
		}
	}
}

func TestS3RetriesAreBounded(t *testing.T) {
	var n atomic.Int32
	s := newS3(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		answer(w, http.StatusInternalServerError, "InternalError", "broken")
	})))
	if err := s.Put(t.Context(), "a/b", strings.NewReader("x")); !errors.Is(err, store.ErrUnavailable) || n.Load() != 3 {
		t.Errorf("after %d tries: %v; want 3 and ErrUnavailable", n.Load(), err)
	}
}

// TestS3ConflictIsTriedAgain: 409 says that nothing was decided yet.
func TestS3ConflictIsTriedAgain(t *testing.T) {
	n := 0
	s := newS3(t, fakeS3(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n++; n == 1 {
				answer(w, http.StatusConflict, "ConditionalRequestConflict", "at the same time")
				return
			}
			h.ServeHTTP(w, r)
		})
	}))
	if err := s.PutIfAbsent(t.Context(), "a/b", strings.NewReader("x")); err != nil || n != 2 {
		t.Errorf("after %d tries: %v", n, err)
	}
}

// TestS3SilentServer: one that takes the request and says nothing, and one
// that stops in the middle of an object.
func TestS3SilentServer(t *testing.T) {
	release := make(chan struct{})
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("ETag", `"x"`)
			w.Write([]byte("half"))
			w.(http.Flusher).Flush()
		}
		<-release
	}))
	t.Cleanup(func() { close(release) }) // before the server's own Close
	c.Silence = 100 * time.Millisecond
	s := newS3(t, c)
	if _, err := s.Head(t.Context(), "a/b"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Head of a silent server: %v", err)
	}
	r, _, err := s.Get(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if string(data) != "half" || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("half an object: %q, %v; want ErrUnavailable", data, err)
	}
}

// TestS3CutObject: a connection that breaks is not the end of the object.
func TestS3CutObject(t *testing.T) {
	s := newS3(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte("half"))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})))
	r, _, err := s.Get(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("cut: %v; want ErrUnavailable", err)
	}
}

func TestS3LongUploadIsNotSilence(t *testing.T) {
	c := fakeS3(t, nil)
	c.Silence = 300 * time.Millisecond
	s := newS3(t, c)
	// Twenty parts, each 30 ms after the last: twice the silence in all.
	body := &slowBody{Reader: bytes.NewReader(make([]byte, 20<<15)), part: 1 << 15, wait: 30 * time.Millisecond}
	if err := s.Put(t.Context(), "a/b", body); err != nil {
		t.Error(err)
	}
}

// slowBody reads a part at a time, slowly once it has been read through (the
// SDK reads it first to sign it).
type slowBody struct {
	*bytes.Reader
	part  int
	wait  time.Duration
	reads int
}

func (b *slowBody) Read(p []byte) (int, error) {
	b.reads++
	if b.reads > b.Reader.Len()/b.part {
		<-time.After(b.wait)
	}
	return b.Reader.Read(p[:min(len(p), b.part)])
}

// WriteTo of the embedded reader would give all at once.
func (b *slowBody) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{b})
}
