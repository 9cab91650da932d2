package agent

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"satchel/bundle"
	"satchel/hook"
)

// TestAttackLeavingOut: who is let into what is no part of what is signed, so
// whoever answers may leave things out. That takes nothing away, and does not
// outlast the next honest answer.
func TestAttackLeavingOut(t *testing.T) {
	for name, change := range map[string]func(*hook.Offer){
		"the course":       func(o *hook.Offer) { o.Courses = nil },
		"the head":         func(o *hook.Offer) { o.Courses[0].Head = nil },
		"all channels":     func(o *hook.Offer) { o.Courses[0].Channels = nil },
		"a channel, by id": func(o *hook.Offer) { o.Courses[0].Channels, o.Courses[0].Left = nil, []string{"all"} },
	} {
		t.Run(name, func(t *testing.T) {
			w, h := victim(t)
			h.write("scala101/mine.txt", "my own\n")
			before := h.tree("scala101")
			w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) { change(o); return o, nil }))
			for range 2 {
				h.sync()
				h.wantTree("scala101", before)
			}
			w.behind(nil)
			if out := h.sync(); out.Code != "" || !h.has("scala101/README.md", "version 2\n")() {
				t.Errorf("afterwards: %+v, %q", out, h.said())
			}
		})
	}
}

// TestAttackRenameHint: where a file is said to come from is a hint, and no
// part of what is signed. One that leads elsewhere touches nothing there.
func TestAttackRenameHint(t *testing.T) {
	for _, from := range append(tricks, "../thesis.txt", "README.md", "mine.txt", "new.bin") {
		w, h := victim(t)
		h.write("thesis.txt", "my own\n")
		h.write("../outside/secret.txt", "nobody's business\n")
		h.write("scala101/mine.txt", "my own too\n")
		w.behind(tamper(t, "/v1/sync", func(o *hook.Offer, f []byte) (*hook.Offer, []byte) {
			for i := range o.Courses[0].Channels[0].Changes.Set {
				o.Courses[0].Channels[0].Changes.Set[i].RenamedFrom = from
			}
			return o, f
		}))
		before := h.around()
		if out := h.sync(); out.Code != "" {
			t.Errorf("%q: %+v, %q", from, out, h.said())
		}
		now := h.around()
		for path := range now {
			if path != "work/scala101/README.md" && path != "work/scala101/new.bin" && before[path] != now[path] {
				t.Errorf("%q: %q changed", from, path)
			}
		}
	}
}

// TestOddNamesStayInTheFolder: names that a repository may have, though its
// publisher is warned of them, are files in the folder like others, and take
// one line where they are said.
func TestOddNamesStayInTheFolder(t *testing.T) {
	odd := []string{"two\nlines", "bell\a\x1b[2J.txt", "readme.md", "Data/A.CSV", "con", "back\\slash", "..\\up", " ", "-rf", "a\u202etxt.exe", "...", "~", "$HOME", ".hidden", ".profile"}
	w, h := victim(t)
	files := map[string]string{}
	for _, name := range odd {
		files[name] = "of " + name
	}
	maps.Copy(files, lesson)
	h.write("thesis.txt", "my own\n")
	before := h.around()
	w.publish("scala101", files)
	if out := h.sync(); out.Code != "" {
		t.Errorf("%+v", out)
	}
	h.wantTree("scala101", files)
	for _, said := range h.said() {
		if strings.ContainsAny(said, "\n\a\x1b\u202e") {
			t.Errorf("said %q", said)
		}
	}
	for path, is := range h.around() {
		if !strings.HasPrefix(path, "work/scala101") && before[path] != is {
			t.Errorf("%q changed", path)
		}
	}
	if page, err := os.ReadFile(filepath.Join(h.root, newsFile)); err != nil || strings.ContainsAny(string(page), "\a\x1b\u202e") {
		t.Errorf("the page: %q, %v", page, err)
	}
}

// TestAttackEndlessBadFrames: frames of which a part is sound and the rest is
// not, however often they are asked for, end a pass.
func TestAttackEndlessBadFrames(t *testing.T) {
	w, h := victim(t)
	w.publish("scala101", with(lesson, "README.md", "version 3\n", "new.txt", strings.Repeat("new\n", 1000)))
	asked := atomic.Int64{}
	bad := func(o *hook.Offer, _ []byte) (*hook.Offer, []byte) {
		if asked.Add(1) > 1000 {
			return o, nil
		}
		c := &o.Courses[0]
		f, data := frameOf(t, "version 3\n", strings.Repeat("evil", 1000))
		f.Items[1].Digest = bundle.Sum([]byte(strings.Repeat("new\n", 1000)))
		c.Frames = []hook.Offered{f}
		return o, data
	}
	w.behind(func(next http.Handler) http.Handler {
		return tamper(t, "/files", bad)(tamper(t, "/v1/sync", bad)(next))
	})
	wantRefused(t, w, h, lesson)
	if n := asked.Load(); n > 20 {
		t.Errorf("asked %d times", n)
	}
}
