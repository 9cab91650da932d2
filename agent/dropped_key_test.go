package agent

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/hookserver"
	"satchel/store"
	"satchel/workdir"
)

// Recovery from a fast-forward, as TUF has it after a rotation: what only a key
// signed that was dropped counts as never seen; whatever a key signed that is
// still trusted counts as ever, whoever holds the store.

const far = bundle.Version(1 << 32)

// stolen lets a thief with the key give out this course's files as version far,
// of which the agents take all. It ends with the key dropped at the service.
func stolen(t *testing.T, files map[string]string, homes ...*home) (w *world, thief bundle.SigningKey) {
	t.Helper()
	w = homes[0].w
	thief = w.key
	m, _, _ := manifestOf(files)
	head := w.signedBy(thief, func(h *bundle.Head) {
		h.Version, h.Channels = far, []bundle.ChannelAt{{ID: "all", Manifest: m.Digest()}}
		h.Checked = time.Now().AddDate(30, 0, 0)
	})
	w.behind(instead(t, w.whole("none", head, files).as("scala101")))
	for _, h := range homes {
		if out := h.sync(); out.Code != "" {
			t.Fatalf("%+v: %q", out, h.said())
		}
		h.said()
	}
	w.behind(nil)
	w.key = newKey(t)
	return w, thief
}

// trusts sets what an agent trusts from here on.
func (h *home) trusts(keys ...bundle.SigningKey) {
	h.s.Keys = nil
	for _, k := range keys {
		h.s.Keys = append(h.s.Keys, k.Public())
	}
}

func (h *home) state() (st workdir.State) {
	h.t.Helper()
	home, err := workdir.Open(h.t.Context(), h.lg, h.root, time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	defer home.Close()
	c, err := home.Course("scala101")
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	return c.State()
}

// TestAttackFastForwardEndsWithTheKey: through a real service. Each path goes on
// from its base: what the student wrote stays, what the thief wrote goes.
func TestAttackFastForwardEndsWithTheKey(t *testing.T) {
	_, h := victim(t)
	evil := with(lesson, "README.md", "evil\n", "virus.py", "evil\n")
	w, _ := stolen(t, evil, h)
	h.write("scala101/notes.txt", "mine\n")
	h.write("scala101/data/a.csv", lesson["data/a.csv"]+"my line\n")
	h.trusts(w.key)
	honest := with(lesson, "README.md", "version 3\n")
	w.publish("scala101", honest)
	w.requests()
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v: %q", out, h.said())
	}
	want := with(honest, "notes.txt", "mine\n", "data/a.csv", lesson["data/a.csv"]+"my line\n")
	h.wantTree("scala101", want)
	if said := h.said(); !slices.Contains(said, Words{}.Overtaken("scala101", far, 3)) {
		t.Errorf("said %q", said)
	}
	h.wantAsked("POST /v1/heads") // so the service can tell
	if st := h.state(); st.Version != 3 || st.Highest != 3 || !st.Complete {
		t.Errorf("version %d, highest %d, complete: %v", st.Version, st.Highest, st.Complete)
	}
	w.publish("scala101", with(honest, "README.md", "version 4\n"))
	if out := h.sync(); out.Code != "" || h.tree("scala101")["README.md"] != "version 4\n" {
		t.Errorf("the next: %+v", out)
	}
	if slices.Contains(h.said(), Words{}.Overtaken("scala101", far, 4)) {
		t.Error("it is said again")
	}
}

// TestAttackStoreWithAStolenKey: the whole chain. The thief writes to the store,
// the service gives it out, and a backup comes back after the key was dropped.
func TestAttackStoreWithAStolenKey(t *testing.T) {
	w, h := victim(t)
	h.sync()
	p := w.state["scala101"]
	backup := *p.record
	p.record.Version = far
	w.publish("scala101", with(lesson, "README.md", "evil\n", "virus.py", "evil\n"))
	if out := h.sync(); out.Code != "" || !h.has("scala101/virus.py", "evil\n")() {
		t.Fatalf("this test says nothing: %+v, %q", out, h.said())
	}
	h.write("scala101/notes.txt", "mine\n")
	h.said()
	w.key = newKey(t)
	h.trusts(w.key)
	backup.Channels = nil // with full bundles
	p.record, p.manifest = &backup, map[string]*bundle.Manifest{}
	honest := with(lesson, "README.md", "version 3\n")
	if v := w.publish("scala101", honest); v != 3 {
		t.Fatalf("version %d", v)
	}
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", with(honest, "notes.txt", "mine\n"))
	if said := h.said(); !slices.Contains(said, Words{}.Overtaken("scala101", far+1, 3)) {
		t.Errorf("said %q", said)
	}
	if st := w.srv.Status()[0]; st.Version != 3 || st.Code != hookserver.CodeForeignHead {
		t.Errorf("the service: %+v", st)
	}
}

// TestAttackFastForwardWithoutFiles: the thief's head alone, of which no byte
// ever came, bars nothing either.
func TestAttackFastForwardWithoutFiles(t *testing.T) {
	w, h := victim(t)
	h.sync()
	was := h.tree("scala101")
	evil := with(lesson, "README.md", "evil\n")
	m, _, _ := manifestOf(evil)
	f := w.whole("none", w.signedBy(w.key, func(h *bundle.Head) {
		h.Version, h.Channels = far, []bundle.ChannelAt{{ID: "all", Manifest: m.Digest()}}
	}), evil).as("scala101")
	f.Frames, f.frames = nil, nil
	w.behind(instead(t, f))
	h.sync()
	if st := h.state(); st.Highest != far || st.Version != 2 {
		t.Fatalf("this test says nothing: %d, %d", st.Version, st.Highest)
	}
	w.behind(nil)
	w.key = newKey(t)
	h.trusts(w.key)
	w.publish("scala101", with(was, "README.md", "version 3\n"))
	if out := h.sync(); out.Code != "" || h.tree("scala101")["README.md"] != "version 3\n" {
		t.Errorf("%+v: %q", out, h.said())
	}
}

// TestAttackRollbackAfterADroppedKey: with only the store nothing is won by a
// rotation. What the key that is left signed, in the overlap or before the
// thief came, is a floor as ever.
func TestAttackRollbackAfterADroppedKey(t *testing.T) {
	for name, evil := range map[string]bool{"after the overlap": false, "after a thief's version": true} {
		t.Run(name, func(t *testing.T) {
			w, h := victim(t)
			old, next := w.key, newKey(t)
			h.trusts(old, next)
			first := w.whole("scala101", w.sign(w.state["scala101"].head, old, next), w.files()) // version 2, by both
			w.publish("scala101", lesson)
			w.behind(instead(t, w.whole("scala101", w.sign(w.state["scala101"].head, old, next), lesson))) // version 3, by both
			if out := h.sync(); out.Code != "" {
				t.Fatalf("%+v: %q", out, h.said())
			}
			if evil {
				stolen(t, with(lesson, "README.md", "evil\n"), h)
			}
			// The same head again, without the signature of the key that stays.
			w.behind(instead(t, w.whole("scala101", w.sign(w.state["scala101"].head, old), lesson)))
			h.sync()
			h.said()
			before := h.tree("scala101")
			w.key = next
			h.trusts(next)
			w.behind(instead(t, first))
			if out := h.sync(); out.Code != CodeUnverified {
				t.Errorf("version 2 came back: %+v", out)
			}
			h.wantTree("scala101", before)
			h.wantSaid(unverified)
			w.behind(nil)
			w.publish("scala101", with(lesson, "README.md", "version 4\n"))
			if out := h.sync(); out.Code != "" || h.tree("scala101")["README.md"] != "version 4\n" {
				t.Errorf("an honest one: %+v: %q", out, h.said())
			}
		})
	}
}

// files are those that victim published as version 2.
func (w *world) files() map[string]string {
	return with(lesson, "README.md", "version 2\n", "new.bin", string(bigBytes(300_000)))
}

// TestAttackNoKeysAtAll: who trusts nothing takes nothing, whatever was seen.
func TestAttackNoKeysAtAll(t *testing.T) {
	_, h := victim(t)
	evil := with(lesson, "README.md", "evil\n")
	w, _ := stolen(t, evil, h)
	w.publish("scala101", lesson)
	h.trusts()
	if out := h.sync(); out.Code != CodeUnverified {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", evil)
	h.wantSaid(Words{}.NoKeys())
}

// TestAttackCheckedFarAhead: a head that says to have been checked in thirty
// years proves nothing: after a week it is said.
func TestAttackCheckedFarAhead(t *testing.T) {
	for name, fresh := range map[string]bool{"at the first login": true, "after an honest one": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.course("scala101")
			h := w.home("ana")
			if !fresh {
				w.publish("scala101", lesson)
				h.sync()
			}
			w.publish("scala101", with(lesson, "README.md", "2\n"), func(h *bundle.Head, _ *store.Record) {
				h.Checked = time.Now().AddDate(30, 0, 0)
			})
			if out := h.sync(); out.Code != "" {
				t.Fatalf("%+v: %q", out, h.said())
			}
			h.said()
			w.behind(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					rw.Header().Set("Date", time.Now().AddDate(0, 0, 9).UTC().Format(http.TimeFormat))
					next.ServeHTTP(rw, r)
				})
			})
			h.s.Ticket = Secret(w.ticket("ana", hook.TicketLife))
			h.loginIn(9)
			if said := h.said(); !slices.Contains(said, Words{}.Stale("scala101", time.Now())) {
				t.Errorf("said %q", said)
			}
		})
	}
}

// TestAttackCheckedOfADroppedKey: nor does the word of a key that was dropped,
// where nothing came since.
func TestAttackCheckedOfADroppedKey(t *testing.T) {
	_, h := victim(t)
	w, thief := stolen(t, with(lesson, "README.md", "evil\n"), h)
	p := h.agent().newPass(SyncOptions{})
	p.mem = &memory{}
	l := &local{name: "scala101"}
	home, err := workdir.Open(t.Context(), h.lg, h.root, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	if l.dir, err = home.Course("scala101"); err != nil {
		t.Fatal(err)
	}
	defer l.dir.Close()
	now := time.Now()
	for name, c := range map[string]struct {
		by   []string
		keys []bundle.SigningKey
		want bool
	}{
		"while it is trusted":               {[]string{thief.Public().ID()}, []bundle.SigningKey{thief}, true},
		"when it was dropped":               {[]string{thief.Public().ID()}, []bundle.SigningKey{w.key}, false},
		"of two keys, by the one left":      {[]string{thief.Public().ID(), w.key.Public().ID()}, []bundle.SigningKey{w.key}, true},
		"of an older agent":                 {nil, []bundle.SigningKey{thief}, true},
		"of an older agent, by the dropped": {nil, []bundle.SigningKey{w.key}, false},
	} {
		h.trusts(c.keys...)
		p.a = h.agent()
		if got := p.vouchedAt(l, &known{Checked: now, By: c.by}); got.Equal(now) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
