package workdir

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"satchel/bundle"
)

// model is a course and a student who do things at random, and what must hold
// after each sync.
type model struct {
	*world
	r       *rapid.T
	n       int
	last    *Result
	deleted map[string]bool // paths that the student deleted or moved at any time
	touched map[string]bool // paths that the student wrote to, or put something else at
}

var modelPaths = []string{"a.txt", "b.md", "d/a.txt", "d/e/b.scala", "d", "x/y.txt", "x", "n.ipynb"}

func (m *model) token(who string) string {
	m.n++
	return fmt.Sprintf("%s%d %s", who, m.n, strings.Repeat("x", m.n%7))
}

func (m *model) pick() string { return rapid.SampledFrom(modelPaths).Draw(m.r, "path") }

// clear makes room in the course's tree for a file at p.
func (m *model) clear(p string) {
	for q := range m.files {
		if strings.HasPrefix(q, p+"/") || strings.HasPrefix(p, q+"/") {
			delete(m.files, q)
		}
	}
}

func (m *model) course() {
	for range rapid.IntRange(1, 3).Draw(m.r, "changes") {
		p := m.pick()
		switch rapid.IntRange(0, 9).Draw(m.r, "course") {
		case 0, 1, 2, 3:
			m.clear(p)
			m.files[p] = m.token("course")
		case 4:
			delete(m.files, p)
		case 5: // rename
			q := m.pick()
			if text, ok := m.files[p]; ok && q != p && !strings.HasPrefix(q, p+"/") {
				delete(m.files, p)
				m.clear(q)
				m.files[q] = text
			}
		case 6: // back to what it was once
			if h := m.history["main"].At(p); len(h) > 0 {
				m.clear(p)
				m.files[p] = m.contents[h[rapid.IntRange(0, len(h)-1).Draw(m.r, "version")].Digest]
			}
		case 7:
			m.policies[p] = rapid.SampledFrom([]bundle.Policy{bundle.Merge, bundle.Once, bundle.Replace, bundle.ReadOnly}).Draw(m.r, "policy")
		case 8:
			m.modes[p] = rapid.SampledFrom([]uint32{0o644, 0o755}).Draw(m.r, "mode")
		case 9:
			if text, ok := m.files[p]; ok {
				delete(m.files, p)
				m.withdraw = append(m.withdraw, bundle.Pair{Path: p, Digest: bundle.Sum([]byte(text))})
				m.withdraw = slices.CompactFunc(m.withdraw, func(a, b bundle.Pair) bool { return a == b })
			}
		}
	}
	m.uniqueWithdrawn()
	m.version++
}

func (m *model) uniqueWithdrawn() {
	seen := map[bundle.Pair]bool{}
	m.withdraw = slices.DeleteFunc(m.withdraw, func(p bundle.Pair) bool {
		text, ok := m.files[p.Path]
		dup := seen[p] || ok && bundle.Sum([]byte(text)) == p.Digest
		seen[p] = true
		return dup
	})
}

func (m *model) student() {
	p := m.pick()
	full := m.path(p)
	switch rapid.IntRange(0, 6).Draw(m.r, "student") {
	case 0, 1, 2: // save in place, as Jupyter does
		if os.MkdirAll(filepath.Dir(full), 0o755) == nil && os.WriteFile(full, []byte(m.token("mine")), 0o644) == nil {
			m.touched[p] = true
		}
	case 3:
		m.forgetBelow(p)
		os.RemoveAll(full)
	case 4:
		m.forgetBelow(p)
		to := m.path(m.token("moved"))
		os.Rename(full, to)
	case 5:
		if os.MkdirAll(full, 0o755) == nil {
			m.touched[p] = true
		}
	case 6:
		if os.MkdirAll(filepath.Dir(full), 0o755) == nil && os.Symlink("/nonexistent/nowhere", full) == nil {
			m.touched[p] = true
		}
	}
}

func (m *model) forgetBelow(p string) {
	for _, q := range modelPaths {
		if q == p || strings.HasPrefix(q, p+"/") {
			m.deleted[q] = true
		}
	}
}

// mine is all that the student ever wrote and that lies on the disk now.
func (m *model) mine() map[string]bool {
	out := map[string]bool{}
	for _, text := range tree(m.t, m.root) {
		if strings.HasPrefix(text, "mine") {
			out[text] = true
		}
	}
	return out
}

func (m *model) check(had map[string]bool) {
	have := m.mine()
	for text := range had {
		if !have[text] {
			m.r.Fatalf("version %d: %q is lost", m.version, text)
		}
	}
	if m.how.Mode != Start {
		return
	}
	disk := tree(m.t, m.path("."))
	for p, text := range m.files {
		if m.deleted[p] || m.wasTouched(p) || m.policies[p] == bundle.Once {
			continue
		}
		if disk[p] != text && !strings.HasPrefix(disk[p], "mine") {
			m.r.Fatalf("version %d: %s was not touched, and holds %q, not %q", m.version, p, disk[p], text)
		}
	}
}

// wasTouched says whether the student had a hand in p, above or below it.
func (m *model) wasTouched(p string) bool {
	for q := range m.touched {
		if q == p || strings.HasPrefix(q, p+"/") || strings.HasPrefix(p, q+"/") {
			return true
		}
	}
	return false
}

func TestModel(t *testing.T) {
	for _, poor := range []bool{false, true} {
		t.Run(fmt.Sprintf("poor filesystem %v", poor), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) { history(t, r, poor) })
		})
	}
}

func history(t *testing.T, r *rapid.T, poor bool) {
	root, err := os.MkdirTemp(quick, "model-*")
	if err != nil {
		r.Fatal(err)
	}
	defer os.RemoveAll(root)
	m := &model{world: newWorldAt(silent{t}, root), r: r, deleted: map[string]bool{}, touched: map[string]bool{}}
	if poor {
		m.do = poorHands()
	}
	m.files["a.txt"] = "course0"
	m.version = 1
	for range rapid.IntRange(2, 8).Draw(r, "rounds") {
		m.round(r)
	}
}

func (m *model) round(r *rapid.T) {
	for range rapid.IntRange(0, 4).Draw(r, "hands") {
		if rapid.Bool().Draw(r, "who") {
			m.course()
		} else {
			m.student()
		}
	}
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(r, "minutes")) * time.Minute)
	m.how.Mode = rapid.SampledFrom([]Mode{Start, Start, Session}).Draw(r, "mode")
	if rapid.IntRange(0, 9).Draw(r, "lost") == 0 {
		os.Remove(filepath.Join(m.root, ".satchel/scala101/journal"))
	}
	var had map[string]bool
	raced := rapid.IntRange(0, 3).Draw(r, "race") == 0
	m.between = func() {
		if raced {
			m.student()
		}
		had = m.mine()
	}
	var err error
	if m.last, err = m.trySync(); err != nil {
		r.Fatalf("sync: %v", err)
	}
	m.between = nil
	if raced {
		return // the next pass has the last word
	}
	m.check(had)
	m.again(r)
}

// again checks that a second sync of the same changes nothing.
func (m *model) again(r *rapid.T) {
	if m.how.Mode == Session { // a withdrawn file may have made room for one that waited
		if _, err := m.trySync(); err != nil {
			r.Fatalf("second sync: %v", err)
		}
	}
	before := tree(m.t, m.path("."))
	res, err := m.trySync()
	if err != nil {
		r.Fatalf("second sync: %v", err)
	}
	after := tree(m.t, m.path("."))
	if !maps.Equal(before, after) {
		r.Fatalf("the second sync changed (%v, after %v):\n%s\nfrom:\n%s", res.kinds(), m.last.kinds(), diffTrees(after, before), diffTrees(before, nil))
	}
}

// silent keeps thousands of syncs out of the log.
type silent struct{ testing.TB }

func (silent) Log(...any) {}

var quick = func() string {
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		return "/dev/shm"
	}
	return ""
}()
