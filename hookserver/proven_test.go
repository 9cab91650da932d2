package hookserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"satchel/bundle"
	"satchel/store"
)

// deafStore refuses to write proven heads while deaf.
type deafStore struct {
	store.Store
	deaf atomic.Bool
}

func (d *deafStore) CompareAndSwap(ctx context.Context, key, etag string, data []byte) (string, error) {
	if d.deaf.Load() && strings.HasPrefix(key, "receipts/proven/") {
		return "", store.ErrUnavailable
	}
	return d.Store.CompareAndSwap(ctx, key, etag, data)
}

// wentBack is a service whose store is from before version 2, and the head of
// version 2.
func wentBack(t *testing.T, change func(*Options)) (*world, *bundle.Envelope) {
	w := newWorld(t, change)
	w.course("scala", all)
	w.write("scala", everyone(map[string]string{"a": "1"}))
	first := *w.state["scala"].record
	w.write("scala", everyone(map[string]string{"a": "2"}))
	newer := w.state["scala"].record.Head
	w.swap(w.state["scala"], &first)
	w.srv.Refresh(t.Context())
	return w, newer
}

func (w *world) proven() bundle.Version {
	w.t.Helper()
	h, err := store.ReadProven(w.t.Context(), w.dir, "scala", w.srv.o.PublicKeys())
	if errors.Is(err, store.ErrNotFound) {
		return 0
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return h.Version
}

// What an agent proves lies in the store for whoever repairs it, and another
// replica, or this one after a restart, says so too.
func TestWhatWasProvenIsInTheStore(t *testing.T) {
	w, newer := wentBack(t, nil)
	ana := w.student("ana")
	stranger, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	h, _ := newer.Peek()
	h.Version = 1 << 40
	forged, _ := bundle.Sign(h, stranger)
	if err := ana.client.Prove(t.Context(), "scala", *forged); err == nil || w.proven() != 0 {
		t.Errorf("a forged head: %v, version %d is kept", err, w.proven())
	}
	if err := ana.client.Prove(t.Context(), "scala", *newer); err != nil || w.proven() != 2 {
		t.Fatalf("%v; version %d is kept", err, w.proven())
	}
	again, err := New(slog.New(slog.DiscardHandler), w.srv.o)
	if err != nil {
		t.Fatal(err)
	}
	again.Refresh(t.Context())
	if st := again.Status()[0]; st.Proven != 2 || !strings.Contains(st.Sentence, "students hold version 2, and the record has 1") {
		t.Errorf("after a restart: %+v", st)
	}
	for path, want := range map[string]string{"/metrics": `satchel_course_went_backwards{course="scala"} 2`, "/readyz": "students hold version 2"} {
		rec := httptest.NewRecorder()
		again.Hub().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if body, _ := io.ReadAll(rec.Body); !strings.Contains(string(body), want) || rec.Code != 200 {
			t.Errorf("%s: %d, without %q", path, rec.Code, want)
		}
	}
	// Repaired: neither says it any more, whatever still lies in the store.
	w.state["scala"].record.Version = 2
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "3"}, full: true}})
	third, err := New(slog.New(slog.DiscardHandler), w.srv.o)
	if err != nil {
		t.Fatal(err)
	}
	third.Refresh(t.Context())
	for _, s := range []*Server{w.srv, third} {
		if st := s.Status()[0]; st.Proven != 0 || st.Sentence != "" || st.Version != 3 {
			t.Errorf("repaired: %+v", st)
		}
	}
}

// A store that does not take it now is told later, and the agent does not wait
// for that.
func TestWhatWasProvenIsToldLater(t *testing.T) {
	var deaf *deafStore
	w, newer := wentBack(t, func(o *Options) {
		deaf = &deafStore{Store: o.Store}
		o.Store = deaf
	})
	deaf.deaf.Store(true)
	ana := w.student("ana")
	if err := ana.client.Prove(t.Context(), "scala", *newer); err != nil {
		t.Fatal(err)
	}
	if st := w.srv.Status()[0]; st.Proven != 2 || w.proven() != 0 {
		t.Errorf("%+v; version %d is kept", st, w.proven())
	}
	w.srv.lib.tellAllProven(t.Context())
	deaf.deaf.Store(false)
	w.srv.lib.tellAllProven(t.Context())
	if w.proven() != 2 || w.srv.lib.peek("scala").untold != nil {
		t.Errorf("version %d is kept", w.proven())
	}
}

// Of the same version another head: the store was brought back, and something
// else was published under a number that students have.
func TestAnotherHeadOfTheVersionIsKept(t *testing.T) {
	w, newer := wentBack(t, nil)
	w.publish("scala", map[string]audienceOf{"all": {files: map[string]string{"a": "another"}, full: true}})
	ana := w.student("ana")
	if err := ana.client.Prove(t.Context(), "scala", *newer); err != nil || w.proven() != 2 {
		t.Errorf("%v; version %d is kept", err, w.proven())
	}
	if st := w.srv.Status()[0]; st.Version != 2 || st.Proven != 2 || st.Sentence == "" {
		t.Errorf("%+v", st)
	}
	// The head that everybody has proves nothing.
	bob := w.student("bob")
	now := w.state["scala"].record.Head
	if err := bob.client.Prove(t.Context(), "scala", *now); err != nil {
		t.Error(err)
	}
}
