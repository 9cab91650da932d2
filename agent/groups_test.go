package agent

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/store"
)

var (
	forAll = map[string]string{"a.txt": "a1\n"}
	forLab = map[string]string{"lab/b.txt": "b1\n", "lab/c.txt": "c1\n"}
)

// lab gives a version a channel of its own for one group.
func (w *world) lab(h *bundle.Head, r *store.Record) {
	w.t.Helper()
	m, fsys, former := manifestOf(forLab)
	all, _ := bundle.History{}.Add(former...)
	m.History = all.Digest()
	b, err := bundle.Build(context.Background(), w.t.TempDir(), bundle.Spec{Course: r.Course, Channel: "lab", To: r.Version, Manifest: m, Former: all}, fsys)
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.Discard()
	if err := w.dir.Put(context.Background(), store.BundleKey(r.Course, b.Digest), b.File); err != nil {
		w.t.Fatal(err)
	}
	r.Channels = append(r.Channels, store.Channel{ID: "lab", Groups: []string{"lab"}, Since: r.Version, Bundles: []store.BundleRef{{To: r.Version, Digest: b.Digest, Size: b.Size}}})
	h.Channels = append(h.Channels, bundle.ChannelAt{ID: "lab", Manifest: m.Digest()})
}

// in puts the student into groups, as the hub sees it at the next login.
func (h *home) in(groups ...string) {
	h.t.Helper()
	h.s.Ticket = Secret(h.w.ticket("ada", time.Hour, groups...))
}

func labWorld(t *testing.T) (*home, map[string]string) {
	w := newWorld(t)
	w.course("scala")
	w.publish("scala", forAll, w.lab)
	both := maps.Clone(forAll)
	maps.Copy(both, forLab)
	return w.home("ada"), both
}

// Nothing was published, and yet there is more for this student: that is known
// at the next pass, which is told nothing new.
func TestAGroupIsGainedWithoutAPublish(t *testing.T) {
	h, both := labWorld(t)
	h.sync()
	h.wantSaid("Updated to version 1: 1 new.")
	h.in("lab")
	h.login()
	h.wantSaid("Updated to version 1: 2 new.", "Course material is up to date (version 1).")
	h.wantTree("scala", both)
	h.login()
	for _, text := range h.said() {
		if text != "Course material is up to date (version 1)." {
			t.Errorf("said %q", text)
		}
	}
	h.write("scala/lab/b.txt", "mine\n")
	h.agent().Restore(t.Context(), filepath.Join(h.root, "scala"), "lab/b.txt", 0)
	if got := h.tree("scala")["lab/b.txt"]; got != "b1\n" {
		t.Errorf("restored: %q; said %q", got, h.said())
	}
}

// The same of what is lost: it is said once, and what is no longer given out does
// not come again before the student is given it again.
func TestAGroupIsLostWithoutAPublish(t *testing.T) {
	h, both := labWorld(t)
	h.in("lab")
	h.sync()
	h.wantSaid("Updated to version 1: 3 new.")
	h.in()
	lost := "2 files are no longer given out to your group; they stay as they are."
	h.login()
	h.wantSaid(lost, "Course material is up to date (version 1).")
	h.wantTree("scala", both)
	if err := os.Remove(filepath.Join(h.root, "scala/lab/b.txt")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.login()
		for _, text := range h.said() {
			if text != "Course material is up to date (version 1)." {
				t.Errorf("said %q", text)
			}
		}
		h.wantTree("scala", map[string]string{"a.txt": "a1\n", "lab/c.txt": "c1\n"})
	}
	h.in("lab")
	h.login()
	if said := h.said(); slices.Contains(said, lost) {
		t.Errorf("said %q", said)
	}
	h.wantTree("scala", both)
}

// Two servers of one student, one of which began before the group was given:
// its ticket is renewed before anything is taken for no longer given out.
func TestAnOlderTicketTakesNoGroupAway(t *testing.T) {
	h, both := labWorld(t)
	h.in("lab")
	h.sync()
	h.wantSaid("Updated to version 1: 3 new.")
	now := time.Now()
	old, err := h.w.tickets.Mint(hook.Ticket{
		Audience: "satchel", User: "ada", Groups: []string{}, Issued: now.Add(-time.Hour).Unix(),
		Expires: now.Add(time.Hour).Unix(), ID: "old", Login: now.Add(-time.Hour).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var renewed atomic.Int32
	h.w.behind(renewal(string(h.s.Ticket), &renewed))
	h.s.Ticket = Secret(old)
	for range 2 {
		h.sync()
		h.wantSaid("Course material is up to date (version 1).")
		h.wantTree("scala", both)
	}
	if renewed.Load() == 0 {
		t.Error("the ticket was not renewed")
	}
}

// An offer that a login had is not the newest any more when its turn comes.
func TestAnOfferThatWasOvertakenIsAskedForAnew(t *testing.T) {
	w := newWorld(t)
	w.course("scala")
	w.publish("scala", map[string]string{"a.txt": "1\n"})
	h := w.home("ada")
	h.sync()
	w.publish("scala", map[string]string{"a.txt": "2\n"})
	login := h.agent()
	ans := login.Glance(t.Context())
	if ans == nil || ans.NotModified {
		t.Fatal("no offer")
	}
	w.publish("scala", map[string]string{"a.txt": "3\n"})
	h.sync() // the student's other server
	h.said()
	if out := login.Sync(t.Context(), SyncOptions{Mode: AtStart, Answer: ans}); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantSaid("Course material is up to date (version 3).")
	h.wantTree("scala", map[string]string{"a.txt": "3\n"})
}

// A group that was lost between two servers' starts: until the older ticket is
// renewed they disagree, and that is news once.
func TestServersThatDisagreeAreNewsOnce(t *testing.T) {
	h, both := labWorld(t)
	h.in("lab")
	older := h.s.Ticket
	h.sync()
	h.in()
	newer := h.s.Ticket
	h.w.requests()
	for range 10 {
		h.s.Ticket = newer
		h.sync()
		h.s.Ticket = older
		h.sync()
	}
	h.wantTree("scala", both)
	page, err := os.ReadFile(filepath.Join(h.root, "What is new.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(page), "no longer given out"); n != 1 {
		t.Errorf("%d times on the page", n)
	}
	if n := strings.Count(strings.Join(h.w.requests(), "\n"), "/v1/receipts"); n > 1 {
		t.Errorf("%d receipts", n)
	}
}
