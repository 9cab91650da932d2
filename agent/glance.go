package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/workdir"
)

// GlanceTime bounds a login's first question.
const GlanceTime = 2 * time.Second

// glance is what a login's first question needs: written down at the end of a
// pass that left nothing to do. While the journals are as they were then, the
// next login opens none, however large the course.
type glance struct {
	Haves   string    `json:"haves"` // a line for each course
	ETag    string    `json:"etag"`
	Courses []glanced `json:"courses"`
}

type glanced struct {
	Course  string         `json:"course"`
	Version bundle.Version `json:"version"`
	Folder  string         `json:"folder"`
	Checked time.Time      `json:"checked"` // its head's
	Journal workdir.Stat   `json:"journal"`
}

// glance gives one of what this pass left; nil where a login has more to do
// than to ask.
func (p *pass) glance() *glance {
	_, text := p.haves()
	g := &glance{Haves: text, ETag: p.etag(text)}
	if g.ETag == "" || p.out.Code != "" || p.mem.Page {
		return nil
	}
	for _, l := range p.inOrder() {
		st := l.dir.State()
		if st.Version == 0 || p.pending(l, st) || p.renames(l) {
			return nil
		}
		s, err := workdir.JournalStat(p.a.s.Root, l.name)
		if err != nil {
			return nil
		}
		g.Courses = append(g.Courses, glanced{l.name, st.Version, st.Folder, p.vouchedAt(l, p.known(l)), s})
	}
	return g
}

// Glance asks at a login's start whether anything is new, by what the last
// pass wrote down, and changes nothing. Where nothing is, it says so. An answer
// with an offer is for the watch that is left behind, which uses it in the
// place of its own. nil: the watch is to ask.
func (a *Agent) Glance(ctx context.Context) *hook.Answer {
	if a.client == nil || len(a.s.Keys) == 0 || a.ticket.get() == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(min(a.s.Budget/4, GlanceTime), cancel)
	defer late.Stop()
	mem, ok := a.remembered()
	if !ok || mem.Glance == nil || len(mem.Unsent) > 0 || !a.stands(mem.Glance) {
		return nil
	}
	haves, ok := parseHaves(mem.Glance.Haves)
	if !ok {
		return nil
	}
	ans, err := a.client.Sync(ctx, haves, a.keyIDs(), mem.Glance.ETag)
	if err != nil {
		return nil
	}
	if ans.NotModified {
		for _, c := range mem.Glance.Courses {
			a.show(Event{Kind: Sentence, Course: c.Course, Text: a.standing(mem, c)})
		}
	}
	return ans
}

func (a *Agent) standing(m *memory, c glanced) string {
	text := m.Courses[c.Course].standing(a.wordsOf(m, c.Course), c.Course, c.Version)
	if len(m.Courses) > 1 {
		text = Plain(c.Course) + ": " + text
	}
	return text
}

// remembered reads the memory, as far as it goes.
func (a *Agent) remembered() (*memory, bool) {
	root, err := os.OpenRoot(a.s.Root)
	if err != nil {
		return nil, false
	}
	defer root.Close()
	mem, err := recall(a.lg, root)
	return mem, err == nil
}

// holds says whether all that the service gives out under a tag is in place.
func (a *Agent) holds(etag string) bool {
	mem, ok := a.remembered()
	return ok && etag != "" && mem.ETag == etag
}

// stands says whether all is as a glance was written: no journal changed, each
// folder is there, no head is old.
func (a *Agent) stands(g *glance) bool {
	now := a.now()
	for _, c := range g.Courses {
		s, err := workdir.JournalStat(a.s.Root, c.Course)
		if err != nil || !s.Same(c.Journal) || now.Sub(c.Checked).Abs() > headAge {
			return false
		}
		info, err := os.Lstat(filepath.Join(a.s.Root, c.Folder))
		if err != nil || !info.IsDir() || c.Folder == "" {
			return false
		}
	}
	return len(g.Courses) > 0
}

func parseHaves(text string) (out []hook.Have, ok bool) {
	for _, line := range strings.Split(text, "\n") {
		h, err := hook.ParseHave(line)
		if err != nil {
			return nil, false
		}
		out = append(out, h)
	}
	return out, true
}
