package hookserver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
)

func (w *world) newKey() bundle.SigningKey {
	w.t.Helper()
	key, err := bundle.NewSigningKey()
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// whole is a version that needs none before it.
func whole(text string) map[string]audienceOf {
	return map[string]audienceOf{"all": {files: map[string]string{"a": text}, full: true}}
}

// A version far ahead, of a key that was stolen, stands in nobody's way once the
// key is dropped; until then, and for whoever has the store alone, a record does
// not go backwards.
func TestAttackRecordOfADroppedKey(t *testing.T) {
	w := newWorld(t, nil)
	w.course("scala", all)
	w.write("scala", whole("1"))
	honest := *w.state["scala"].record
	w.state["scala"].record.Version = 1 << 32
	w.publish("scala", whole("evil"))
	w.state["scala"].record = &honest
	w.write("scala", whole("2"))
	w.srv.Refresh(t.Context())
	if st := w.srv.Status()[0]; st.Version != 1<<32+1 || !strings.Contains(st.Sentence, "went backwards") {
		t.Fatalf("while the key is trusted: %+v", st)
	}
	w.key = w.newKey()
	w.publish("scala", whole("3"))
	if st := w.srv.Status()[0]; st.Version != 3 || st.Sentence != "" {
		t.Errorf("when it was dropped: %+v", st)
	}
	w.state["scala"].record = &honest
	w.write("scala", whole("old"))
	w.srv.Refresh(t.Context())
	if st := w.srv.Status()[0]; st.Version != 3 || !strings.Contains(st.Sentence, "went backwards") {
		t.Errorf("a record from before, of the key that is left: %+v", st)
	}
}

// What was proven with a key is proven no more when the key is dropped.
func TestWhatADroppedKeyProvedIsForgotten(t *testing.T) {
	w, newer := wentBack(t, nil)
	ana := w.student("ana")
	if err := ana.client.Prove(t.Context(), "scala", *newer); err != nil || w.srv.Status()[0].Proven != 2 {
		t.Fatalf("%v, %+v", err, w.srv.Status()[0])
	}
	w.srv.Refresh(t.Context())
	if st := w.srv.Status()[0]; st.Proven != 2 {
		t.Errorf("with the same keys: %+v", st)
	}
	w.key = w.newKey()
	w.srv.Refresh(t.Context())
	if st := w.srv.Status()[0]; st.Proven != 0 {
		t.Errorf("the key was dropped: %+v", st)
	}
}

// A proof by a key that is not known here is refused, and told once: it may be
// what a thief signed, or what a student made up, so it is no fault of the course.
func TestAHeadThatNoneOfTodaysKeysSignedIsTold(t *testing.T) {
	w, newer := wentBack(t, nil)
	var log bytes.Buffer
	w.srv.lib.lg = slog.New(slog.NewTextHandler(&log, nil))
	w.key = w.newKey()
	ana := w.student("ana")
	for range 3 {
		if err := ana.client.Prove(t.Context(), "scala", *newer); err == nil {
			t.Error("it is taken")
		}
	}
	if n := strings.Count(log.String(), CodeForeignHead); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
	if st := w.srv.Status()[0]; st.Code != CodeForeignHead || st.Note != ForeignSentence || st.Proven != 0 || st.Sentence == ForeignSentence {
		t.Errorf("%+v", st)
	}
	w.pass(foreignFor + time.Minute)
	if st := w.srv.Status()[0]; st.Code != "" || st.Note != "" {
		t.Errorf("a day later: %+v", st)
	}
}
