package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/bundle"
)

// policies makes a manifest's files what each path is to be; the rest stays
// Merge.
func policies(of map[string]bundle.Policy) func(*bundle.Manifest) {
	return func(m *bundle.Manifest) {
		for i, f := range m.Files {
			if is := of[f.Path]; is != "" {
				m.Files[i].Policy = is
			}
		}
	}
}

func (h *home) mode(path string) os.FileMode {
	h.t.Helper()
	info, err := os.Stat(filepath.Join(h.root, path))
	if err != nil {
		h.t.Fatal(err)
	}
	return info.Mode().Perm()
}

// TestPoliciesArriveAtTheStudent: through the bundle, the service's offer and
// the agent's check of it, each policy does in a home what it says.
func TestPoliciesArriveAtTheStudent(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	course := map[string]string{"data.csv": "1\n", "diary.md": "Day 1:\n", "slides.md": "one\n", "lab.md": "lab\n"}
	w.shape = policies(map[string]bundle.Policy{"data.csv": bundle.ReadOnly, "diary.md": bundle.Once, "slides.md": bundle.Replace})
	w.publish("scala101", course)
	h := w.home("ana")
	h.sync()
	h.wantTree("scala101", course)
	if m := h.mode("scala101/data.csv"); m != 0o444 {
		t.Errorf("a readonly file has mode %o", m)
	}
	if m := h.mode("scala101/lab.md"); m != 0o644 {
		t.Errorf("any other file has mode %o", m)
	}
	h.write("scala101/diary.md", "Day 1: sun\n")
	h.write("scala101/slides.md", "scribbles\n")
	h.said()
	w.publish("scala101", with(course, "data.csv", "2\n", "diary.md", "Day one:\n", "slides.md", "two\n"))
	if out := h.sync(); out.Code != "" {
		t.Fatalf("%+v", out)
	}
	now := map[string]string{"data.csv": "2\n", "diary.md": "Day 1: sun\n", "slides.md": "two\n", "slides (my copy).md": "scribbles\n", "lab.md": "lab\n"}
	h.wantTree("scala101", now)
	if m := h.mode("scala101/data.csv"); m != 0o444 {
		t.Errorf("an updated readonly file has mode %o", m)
	}
	if said := strings.Join(h.said(), "\n"); !strings.Contains(said, `what you had written is in "slides (my copy).md"`) {
		t.Errorf("said %s", said)
	}
}

// TestPolicyAloneArrives: a version that differs in policies alone changes
// permissions, sends no content, and is what later versions are judged by.
func TestPolicyAloneArrives(t *testing.T) {
	w := newWorld(t)
	w.course("scala101")
	course := map[string]string{"data.csv": "1\n", "diary.md": "Day 1:\n"}
	w.publish("scala101", course)
	h := w.home("ana")
	h.sync()
	w.shape = policies(map[string]bundle.Policy{"data.csv": bundle.ReadOnly, "diary.md": bundle.Once})
	w.publish("scala101", course)
	w.requests()
	if out := h.sync(); out.Code != "" || len(w.requests()) > 2 { // the question and the receipt
		t.Fatalf("%+v", out)
	}
	if m := h.mode("scala101/data.csv"); m != 0o444 {
		t.Errorf("a file that became readonly has mode %o", m)
	}
	w.publish("scala101", with(course, "diary.md", "Day one:\n"))
	h.sync()
	h.wantTree("scala101", course)
	w.shape = nil
	w.publish("scala101", with(course, "data.csv", "2\n"))
	h.sync()
	if m := h.mode("scala101/data.csv"); m != 0o644 {
		t.Errorf("a file that is no longer readonly has mode %o", m)
	}
}
