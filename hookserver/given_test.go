package hookserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

// claiming is a client that names what s holds.
func (s *student) claiming() *hook.Client {
	return hook.NewClient(hook.ClientOptions{URL: s.w.web.URL, Ticket: func() string { return s.ticket }, HTTP: s.w.web.Client(),
		Holds: func(course string) hook.Have { return s.have[course] }})
}

// What sync does not give while a course is paused, no other route gives.
func TestAPauseIsNotPassedBy(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	ana, bob := w.student("ana"), w.student("bob")
	w.publish("scala", everyone(map[string]string{"a": "1", "b": "same"}))
	ana.sync()
	pause := func(r *store.Record) { r.Paused = &store.Decision{Time: w.clock(), Who: "teacher"} }
	solution := []bundle.Digest{bundle.Sum([]byte("held back"))}
	refused := func(who *student) {
		t.Helper()
		for name, c := range map[string]*hook.Client{"without a claim": who.client, "with one": who.claiming()} {
			if _, err := c.Files(t.Context(), "scala", solution); !isNotFound(err) {
				t.Errorf("%s: files: %v", name, err)
			}
			if h, err := c.History(t.Context(), "scala", "all"); err == nil && h.Digest() == w.state["scala"].manifests["all"].History || err != nil && !isNotFound(err) {
				t.Errorf("%s: history %v, %v", name, h, err)
			}
			ref := w.state["scala"].record.Channels[0].Bundles[1]
			for _, f := range indexOf(t, w, "scala", ref.Digest).Frames {
				if _, err := c.Range(t.Context(), "scala", ref.Digest, f.Offset, f.Length); !isNotFound(err) {
					t.Errorf("%s: range: %v", name, err)
				}
			}
		}
	}
	w.publish("scala", everyone(map[string]string{"a": "1", "b": "same", "solution": "held back"}), pause)
	refused(ana)
	refused(bob)
	// Nor by a claim made up: the fingerprint of the paused version is not known.
	bob.have["scala"] = hook.Have{Course: "scala", Version: 2, Fingerprint: ana.have["scala"].Fingerprint, Channels: []string{"all"}}
	refused(bob)
	// What is held is given again, and its history.
	a, err := ana.claiming().Files(t.Context(), "scala", append(solution, bundle.Sum([]byte("same"))))
	if err != nil {
		t.Fatal(err)
	}
	delete(ana.disk, bundle.Sum([]byte("same")))
	ana.take(a)
	a.Close()
	if string(ana.disk[bundle.Sum([]byte("same"))]) != "same" {
		t.Error("what is held did not come again")
	}
	ana.never("held back")
	h, err := ana.claiming().History(t.Context(), "scala", "all")
	if err != nil || h.Digest() != ana.trees["scala"]["all"].History {
		t.Errorf("%v, %v", h, err)
	}
	w.publish("scala", everyone(map[string]string{"a": "1", "b": "same", "solution": "held back"}), func(r *store.Record) { r.Paused = nil })
	if a, err := bob.client.Files(t.Context(), "scala", solution); err != nil {
		t.Error(err)
	} else {
		a.Close()
	}
}

// A download that runs when its course is paused goes on: it is of a version
// that was offered. So does one of a rollback that passes the pause.
func TestWhatWasOfferedBeforeAPauseIsFetched(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.publish("scala", everyone(map[string]string{"big": noise(700_000, 3)}))
	ana := w.student("ana")
	a, err := ana.client.Sync(t.Context(), nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	a.Close() // before any frame
	offered, f := a.Offer.Courses[0], a.Offer.Courses[0].Frames[0]
	head, err := offered.Head.Peek()
	if err != nil {
		t.Fatal(err)
	}
	w.decide("scala", func(r *store.Record) { r.Paused = &store.Decision{Time: w.clock(), Who: "teacher"} })
	if _, err := ana.claiming().Range(t.Context(), "scala", f.Bundle, f.Offset, f.Length); !isNotFound(err) {
		t.Error(err)
	}
	ana.have["scala"] = hook.Have{Course: "scala", Version: 1, Fingerprint: head.Fingerprint(), Channels: []string{"all"}}
	r, err := ana.claiming().Range(t.Context(), "scala", f.Bundle, f.Offset, f.Length)
	if err != nil {
		t.Fatal(err)
	}
	ana.decode(f.Frame, r)
	r.Close()
	ana.apply(offered)
	w.publish("scala", everyone(map[string]string{"a": "back"}), func(r *store.Record) {
		r.Pinned = &store.Pin{Decision: store.Decision{Time: w.clock().Add(1)}, Version: 1}
	})
	if a, err := ana.claiming().Files(t.Context(), "scala", []bundle.Digest{bundle.Sum([]byte("back"))}); err != nil {
		t.Error(err)
	} else {
		a.Close()
	}
	body, _ := json.Marshal(hook.Ask{Digests: []bundle.Digest{bundle.Sum([]byte("back"))}})
	if got := ana.status(http.MethodPost, "/v1/courses/scala/files?have=nonsense", nil, bytes.NewReader(body)); got != http.StatusBadRequest {
		t.Error(got)
	}
}

// decide changes a record without a new version.
func (w *world) decide(name string, change func(*store.Record)) {
	w.t.Helper()
	p := w.state[name]
	r := *p.record
	change(&r)
	w.swap(p, &r)
	w.srv.Refresh(w.t.Context())
}

func isNotFound(err error) bool {
	var e *hook.Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && e.Problem.Code == hook.CodeNotFound
}
