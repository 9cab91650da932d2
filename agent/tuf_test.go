package agent

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
)

// The attacks that TUF names (theupdateframework.github.io/specification,
// "Goals to protect against specific attacks"), against the agent. Those that
// stand in attack_test.go: rollback, mix and match, endless data. Here are
// freeze, wrong software, fast-forward, and the compromise of a key.

// forged is one course's answer by somebody else than the service.
type forged struct {
	hook.CourseOffer
	frames []byte
}

// whole is a course's answer as to somebody who has nothing: its head, its
// manifest, all files in one frame.
func (w *world) whole(name string, head *bundle.Envelope, files map[string]string) forged {
	w.t.Helper()
	m, _, _ := manifestOf(files)
	if p := w.state[name]; p != nil && p.manifest["all"] != nil {
		m = p.manifest["all"]
	}
	f, data := frameOf(w.t, slices.Collect(maps.Values(files))...)
	return forged{hook.CourseOffer{
		Course: name, Head: head, Frames: []hook.Offered{f},
		Channels: []hook.ChannelOffer{{ID: "all", Changes: bundle.Diff(nil, m)}},
	}, data}
}

// as is the same under another course's name.
func (f forged) as(name string) forged {
	f.Course = name
	return f
}

// frameOf packs contents into one whole frame.
func frameOf(t testing.TB, texts ...string) (hook.Offered, []byte) {
	t.Helper()
	f := hook.Offered{Frame: bundle.Frame{Kind: bundle.Whole}}
	var plain strings.Builder
	for _, text := range texts {
		f.Items = append(f.Items, bundle.Item{Digest: bundle.Sum([]byte(text)), Size: int64(len(text))})
		f.Size += int64(len(text))
		plain.WriteString(text)
	}
	data := bundle.Store(plain.String())
	f.Length = int64(len(data))
	return f, data
}

// instead gives an answer in the place of the service's.
func instead(t testing.TB, f forged) func(http.Handler) http.Handler {
	return tamper(t, "/v1/sync", func(all *hook.Offer, _ []byte) (*hook.Offer, []byte) {
		all.Courses = []hook.CourseOffer{f.CourseOffer}
		return all, f.frames
	})
}

// signedBy is the newest head of scala101 with changes, signed with a key.
func (w *world) signedBy(key bundle.SigningKey, change func(*bundle.Head)) *bundle.Envelope {
	w.t.Helper()
	head := *w.state["scala101"].head
	change(&head)
	return w.sign(&head, key)
}

// TestAttackFreeze: the answer of the first day for ever. Nothing is lost by
// it, and after a week without a newer signed head it is said.
func TestAttackFreeze(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	day1, today := httptest.NewRecorder(), time.Now() // the attacker's clock is right
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if day1.Body.Len() == 0 && strings.HasSuffix(r.URL.Path, "/v1/sync") {
				next.ServeHTTP(day1, r)
			}
			maps.Copy(rw.Header(), day1.Header())
			rw.Header().Set("Date", today.UTC().Format(http.TimeFormat))
			rw.Write(day1.Body.Bytes())
		})
	})
	h := w.home("ana")
	h.sync()
	h.said()
	w.publish("scala101", with(lesson, "README.md", "version 2\n"))
	today = time.Now().AddDate(0, 0, 6)
	h.loginIn(6)
	h.wantSaid("Course material is up to date (version 1).")
	today = time.Now().AddDate(0, 0, 8)
	if out := h.loginIn(8); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", lesson)
	h.wantSaid("Course material is up to date (version 1).", Words{}.Stale("scala101", time.Now()))
	w.behind(nil)
	if h.sync(); !h.has("scala101/README.md", "version 2\n")() {
		t.Error("the next honest answer is not taken")
	}
}

// TestAttackWrongSoftware: what another course published, rightly signed by the
// same key, whole and sound, in the place of this one's.
func TestAttackWrongSoftware(t *testing.T) {
	other := map[string]string{"README.md": "of another course\n", "exam.txt": "another course's\n"}
	for name, forge := range map[string]func(w *world) forged{
		"its answer under this course's name": func(w *world) forged {
			return w.whole("algo", w.sign(w.state["algo"].head), other).as("scala101")
		},
		"its manifest under this course's head": func(w *world) forged {
			return w.whole("algo", w.sign(w.state["scala101"].head), other).as("scala101")
		},
		"its head over this course's manifest": func(w *world) forged {
			return w.whole("scala101", w.sign(w.state["algo"].head), lesson)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, h := victim(t)
			for range 3 { // so that its version is the higher one
				w.publish("algo", other)
			}
			w.behind(instead(t, forge(w)))
			wantRefused(t, w, h, lesson)
			if got := h.tree("algo"); len(got) > 0 {
				t.Errorf("another course came: %v", got)
			}
		})
	}
}

// TestAttackFastForward: a head far ahead, after which no honest version would
// be new enough. Without a key it is nothing, and not remembered.
func TestAttackFastForward(t *testing.T) {
	far := func(h *bundle.Head) { h.Version = 1 << 40 }
	last := func(h *bundle.Head) { h.Version = bundle.MaxVersion }
	for name, c := range map[string]struct {
		change   func(*bundle.Head)
		signer   func(w *world) bundle.SigningKey
		sentence string
	}{
		"by somebody's key":             {far, func(*world) bundle.SigningKey { return newKey(t) }, keyChanged},
		"by the course's key, stolen":   {far, func(w *world) bundle.SigningKey { return w.key }, unverified},
		"the last version, by that key": {last, func(w *world) bundle.SigningKey { return w.key }, unverified},
	} {
		t.Run(name, func(t *testing.T) {
			w, h := victim(t)
			w.behind(instead(t, w.whole("scala101", w.signedBy(c.signer(w), c.change), lesson)))
			wantRefusedBy(t, w, h, lesson, c.sentence)
		})
	}
}

// TestAttackFastForwardIsOvertaken: a stolen key signs as any key does, so a
// head of it not too far ahead is taken. While the key is trusted nothing below
// comes here; what is published above all that are known (satchel check
// --repair) is taken, and there is room for it.
func TestAttackFastForwardIsOvertaken(t *testing.T) {
	w, h := victim(t)
	evil := with(lesson, "README.md", "evil\n")
	_, thief := stolen(t, evil, h)
	h.trusts(thief, w.key)
	w.publish("scala101", lesson)
	h.sync()
	h.wantTree("scala101", evil)
	w.state["scala101"].record.Version = far // what check --repair is told
	w.publish("scala101", lesson)
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v: %q", out, h.said())
	}
	if got := h.tree("scala101")["README.md"]; got != lesson["README.md"] {
		t.Errorf("README.md is %q", got)
	}
}

// TestAttackStolenKey: a key that was dropped from those that are trusted signs
// no more, by whatever its heads claim, and names no successor; what it signed
// while it was good stays in the folder.
func TestAttackStolenKey(t *testing.T) {
	evil := with(lesson, "README.md", "evil\n")
	m, _, _ := manifestOf(evil)
	next := func(h *bundle.Head) {
		h.Version, h.Channels = 9, []bundle.ChannelAt{{ID: "all", Manifest: m.Digest()}}
	}
	for name, c := range map[string]struct {
		sign     func(t *testing.T, w *world, stolen bundle.SigningKey) *bundle.Envelope
		sentence string
	}{
		"it signs on": {func(t *testing.T, w *world, stolen bundle.SigningKey) *bundle.Envelope {
			return w.signedBy(stolen, next)
		}, keyChanged},
		"together with a successor of its own": {func(t *testing.T, w *world, stolen bundle.SigningKey) *bundle.Envelope {
			head := *w.state["scala101"].head
			next(&head)
			return w.sign(&head, newKey(t), stolen)
		}, keyChanged},
		"under the trusted key's name": {func(t *testing.T, w *world, stolen bundle.SigningKey) *bundle.Envelope {
			e := w.signedBy(stolen, next)
			e.Signatures[0].KeyID = w.key.Public().ID()
			return e
		}, unverified},
		"beside a signature of the trusted key, of another head": {func(t *testing.T, w *world, stolen bundle.SigningKey) *bundle.Envelope {
			e := w.signedBy(stolen, next)
			e.Signatures = append(e.Signatures, w.sign(w.state["scala101"].head).Signatures...)
			return e
		}, unverified},
	} {
		t.Run(name, func(t *testing.T) {
			w, h := victim(t)
			stolen := w.key
			w.key = newKey(t) // the service signs with it from here on
			h.s.Keys = []bundle.PublicKey{w.key.Public()}
			w.publish("scala101", lesson)
			w.behind(instead(t, w.whole("none", c.sign(t, w, stolen), evil).as("scala101")))
			wantRefusedBy(t, w, h, lesson, c.sentence)
		})
	}
}

// TestAttackSuccessorInAnAdmission: whoever has the service's place may hand
// out keys with a ticket; no agent trusts them, for trust is set at the hub.
func TestAttackSuccessorInAnAdmission(t *testing.T) {
	w, h := victim(t)
	thief := newKey(t)
	h.s.Ticket = ""
	h.s.HubAPI, h.s.Jupyter.HubToken = "http://127.0.0.1:8081/hub/api", "a-token-of-the-hub"
	good := w.ticket("ana", hook.TicketLife)
	head := w.signedBy(thief, func(h *bundle.Head) { h.Version = 9 })
	evil := w.whole("scala101", head, lesson)
	shown := false
	w.behind(func(next http.Handler) http.Handler {
		next = instead(t, evil)(next)
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/v1/exchange") {
				next.ServeHTTP(rw, r)
				return
			}
			shown = true
			rw.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(rw).Encode(hook.Admission{Format: hook.Format, Ticket: good, Keys: thief.Public().String()})
		})
	})
	if out := h.sync(); out.Code != CodeUnverified || !shown {
		t.Errorf("%+v, shown: %v", out, shown)
	}
	h.wantTree("scala101", lesson)
	h.wantSaid(keyChanged)
}
