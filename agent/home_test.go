package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/hook"
	"satchel/workdir"
)

func TestRestoreBringsTheNewestBackAndKeepsWhatWasThere(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.said()
	for _, typed := range []string{"README.md", filepath.Join(h.root, "scala101/README.md"), "../scala101/README.md"} {
		h.write("scala101/README.md", "mine "+typed)
		if out := h.agent().Restore(t.Context(), filepath.Join(h.root, "scala101"), typed, 0); out.Code != "" {
			t.Errorf("%s: %+v", typed, out)
		}
		said := h.said()
		if len(said) != 1 || !strings.HasPrefix(said[0], "README.md has the course's version 1 again; what was there is now \"README (my copy") {
			t.Errorf("%s: said %q", typed, said)
		}
		if !h.has("scala101/README.md", lesson["README.md"])() {
			t.Errorf("%s: not restored", typed)
		}
	}
	for _, typed := range []string{"no.md", "../../etc/passwd", "/etc/passwd", "", "."} {
		if out := h.agent().Restore(t.Context(), h.root, typed, 0); out.Code == "" {
			t.Errorf("%q: %+v", typed, out)
		}
	}
	h.said()
	big := string(bigBytes(9 << 20)) // too large to be kept for merging
	w.publish("scala101", with(lesson, "big.bin", big))
	h.sync()
	h.said()
	h.write("scala101/big.bin", "mine")
	w.behind(handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	if out := h.agent().Restore(t.Context(), h.root, "big.bin", 0); out.Code != CodeOffline {
		t.Errorf("%+v", out)
	}
	h.wantSaid("big.bin is not kept here and the course server cannot be reached; try again later.")
	w.behind(nil)
	if out := h.agent().Restore(t.Context(), h.root, "big.bin", 0); out.Code != "" || !h.has("scala101/big.bin", big)() {
		t.Errorf("%+v, %q", out, h.said())
	}
}

func TestStatusNeedsNoNetworkAndNoState(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	text := func() string {
		t.Helper()
		st, err := h.agent().Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		st.WriteText(&b)
		st.WriteSent(&b)
		return b.String()
	}
	if got := text(); !strings.Contains(got, "No course material has arrived in "+h.root) || !strings.Contains(got, "Nothing has been sent") {
		t.Error(got)
	}
	h.sync()
	w.behind(handler(func(http.ResponseWriter, *http.Request) { t.Error("status asks the service") }))
	got := text()
	if !strings.Contains(got, "scala101: version 1 in "+h.root+"/scala101") || !strings.Contains(got, `"added": 3`) {
		t.Error(got)
	}
}

// TestReceiptIsWhatTheStatusShows compares what was sent with the last one
// that is kept, and with the documented fields.
func TestReceiptIsWhatTheStatusShows(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.s.Image = "quay.io/jupyter/scala@sha256:1"
	var body []byte
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/receipts") {
				var b bytes.Buffer
				b.ReadFrom(r.Body)
				body = b.Bytes()
				r.Body = http.NoBody
				rw.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	h.write("scala101/secret diary.txt", "dear diary")
	h.sync()
	var sent hook.Receipt
	if err := json.Unmarshal(body, &sent); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	st, err := h.agent().Status(t.Context())
	if err != nil || st.Sent == nil || !reflect.DeepEqual(*st.Sent, sent) || sent.Image != h.s.Image || sent.Added != 3 {
		t.Errorf("sent %s, shown %+v, %v", body, st.Sent, err)
	}
	if bytes.Contains(body, []byte("diary")) {
		t.Errorf("a student's own file is named: %s", body)
	}
}

func TestReceiptIsBounded(t *testing.T) {
	w := newWorld(t)
	h := w.home("ana")
	r := &workdir.Result{Version: 1}
	for i := range 20_000 {
		path := fmt.Sprintf("%s/%d", strings.Repeat("d", 900), i)
		for _, k := range []workdir.EventKind{workdir.Kept, workdir.Failed, workdir.Moved} {
			r.Events = append(r.Events, workdir.Event{Kind: k, Path: path})
		}
	}
	data, err := json.Marshal(h.agent().receipt("scala101", r, ""))
	if err != nil || len(data) > hook.MaxReceipt {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestReceiptThatDidNotArriveIsSentLater(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/receipts") {
				rw.WriteHeader(500)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
	h.sync()
	if len(w.receipts()) > 0 {
		t.Fatal("it arrived")
	}
	w.behind(nil)
	h.sync()
	if r := w.receipts(); len(r) != 1 || r[0].Added != 3 {
		t.Errorf("%+v", r)
	}
}

func TestDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	doctor := func() (map[string]Check, int) {
		t.Helper()
		out := map[string]Check{}
		list := h.agent().Doctor(t.Context())
		for _, c := range list {
			if out[c.Name] = c; !c.OK && c.Do == "" {
				t.Errorf("%s: not well, and nothing to do: %s", c.Name, c.Note)
			}
		}
		var text bytes.Buffer
		return out, WriteChecks(&text, list, false)
	}
	all, code := doctor()
	for _, name := range []string{"keys", "service", "ticket", "clock", "course", "folder", "space", "filesystem", "locks", "start", "proxy", "metadata", "hub's port"} {
		if !all[name].OK {
			t.Errorf("%s: %+v", name, all[name])
		}
	}
	if !all["watch"].OK || !strings.Contains(all["watch"].Note, "none runs here") || code != 0 {
		t.Errorf("watch %+v, exit %d", all["watch"], code)
	}
	good := h.s
	for what, c := range map[string]struct {
		change func()
		check  string
		code   int
	}{
		"down":           {func() { h.s.URL = "http://127.0.0.1:1" }, "service", 1},
		"no such host":   {func() { h.s.URL = "http://no-such-host.invalid" }, "service", 1},
		"foreign ticket": {func() { h.s.Ticket = "st1.x.y.z" }, "ticket", 1},
		"no ticket":      {func() { h.s.Ticket = "" }, "ticket", 1},
		"no key":         {func() { h.s.Keys = nil }, "keys", 1},
		"no folder":      {func() { h.s.Root += "/absent" }, "folder", 1},
		"read-only":      {func() { h.s.Root = "/sys" }, "folder", 1},
	} {
		h.s = good
		c.change()
		all, code := doctor()
		if all[c.check].OK || code != c.code {
			t.Errorf("%s: %+v, exit %d", what, all[c.check], code)
		}
	}
	h.s = good
	w.behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Date", time.Now().AddDate(-10, 0, 0).UTC().Format(http.TimeFormat))
			next.ServeHTTP(rw, r)
		})
	})
	if all, _ := doctor(); all["clock"].OK || !all["service"].OK || !strings.Contains(all["clock"].Note, "differ by more than a day") {
		t.Errorf("ten years off: %+v", all["clock"])
	}
	left, err := filepath.Glob(filepath.Join(h.root, ".satchel/.probe*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestClockOffByTenYearsIsSaidAndChangesNothing: where the own clock is ahead
// the course also looks old, for nothing tells which of the two is right.
func TestClockOffByTenYearsIsSaidAndChangesNothing(t *testing.T) {
	for _, years := range []int{-10, 10} {
		w := newWorld(t)
		w.course("scala101")
		w.publish("scala101", lesson)
		h := w.home("ana")
		a := h.agent()
		a.now = func() time.Time { return time.Now().AddDate(years, 0, 0) }
		if out := a.Sync(t.Context(), SyncOptions{}); out.Code != "" {
			t.Errorf("%d years: %+v", years, out)
		}
		h.wantTree("scala101", lesson)
		want := []string{Words{}.ClocksDiffer(), "Updated to version 1: 3 new."}
		if years > 0 {
			want = append(want, Words{}.Stale("scala101", time.Now()))
		}
		h.wantSaid(want...)
	}
}

func TestPollsOfAWatchWriteNothing(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	w.publish("scala101", lesson)
	h := w.home("ana")
	h.sync()
	h.write("scala101/README.md", "mine")
	w.publish("scala101", with(lesson, "README.md", "2"))
	a := h.agent()
	for range 2 {
		a.Sync(t.Context(), SyncOptions{Mode: workdir.Session})
	}
	h.said()
	before := stamp(t, h)
	receipts := len(w.receipts())
	for range 3 {
		a.Sync(t.Context(), SyncOptions{Mode: workdir.Session})
	}
	if after := stamp(t, h); !slices.Equal(before, after) {
		t.Errorf("written: %v, then %v", before, after)
	}
	h.wantSaid()
	if n := len(w.receipts()); n != receipts {
		t.Errorf("%d receipts more", n-receipts)
	}
}

// stamp is when the files that a watch could write were written.
func stamp(t *testing.T, h *home) (out []string) {
	for _, name := range []string{memoryFile, newsFile, ".satchel/scala101/journal"} {
		info, err := os.Stat(filepath.Join(h.root, name))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, name+" "+info.ModTime().String())
	}
	return out
}
