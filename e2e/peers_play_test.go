//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// play is one story being played: one repository, and a desk for each peer.
type play struct {
	t      *testing.T
	story  *story
	course string
	work   string // the instructor's clone
	ledger *ledger
	desks  []*desk
	seen   map[*desk]*seen
	held   bool // the clock stands still
}

// seen is what was observed of a desk on the way.
type seen struct {
	notes   []string
	outside map[string]bool // changed by a login outside of the course's folder
	failed  bool            // the last login
	said    string
}

func (p *play) git(args ...string) string {
	p.t.Helper()
	r := repository{t: p.t, work: p.work}
	return r.git(args...)
}

func newPlay(t *testing.T, s *story, dir, repos string, peers []peer) *play {
	p := &play{t: t, story: s, course: s.name, work: filepath.Join(dir, "instructor"), ledger: newLedger(), seen: map[*desk]*seen{}}
	must(t, os.MkdirAll(p.work, 0o755))
	p.git("init", "-q", "-b", "main")
	p.git("remote", "add", "origin", filepath.Join(repos, s.name+".git"))
	for i, tool := range peers {
		d := &desk{peer: tool, course: s.name, home: filepath.Join(dir, fmt.Sprint("home", i))}
		must(t, os.MkdirAll(d.work(), 0o755))
		d.own(t)
		p.desks = append(p.desks, d)
		p.seen[d] = &seen{outside: map[string]bool{}}
	}
	return p
}

func (p *play) run() {
	for _, st := range p.story.steps {
		w := st.words
		switch {
		case w[0] == "instructor":
			p.instructor(w[1], w[2:])
		case w[0] == "student":
			p.student(w[1], w[2:])
			p.own()
		case w[0] == "clock":
			p.held = true
		case w[0] == "login":
			p.login(len(w) > 1)
		case w[0] == "fact":
			p.fact(w[1], w[2], w[3], w[4:])
		default:
			p.only(w)
		}
	}
}

// only is a step for one peer alone.
func (p *play) only(w []string) {
	for _, d := range p.desks {
		if strings.EqualFold(d.peer.name(), w[0]) && w[1] == "shell" {
			p.shell(d, d.work(), w[2])
			return
		}
	}
	p.t.Fatalf("no such step: %q", w)
}

func (p *play) own() {
	for _, d := range p.desks {
		d.own(p.t)
	}
}

func (p *play) shell(d *desk, dir, script string) {
	p.t.Helper()
	c := exec.Command("sh", "-ec", script)
	c.Dir = dir
	if out, code := runProgram(p.t, d.as(c)); code != 0 {
		p.t.Fatalf("%s: %s: exit %d\n%s", d.peer.name(), script, code, out)
	}
}

func (p *play) section(name string) (path, content string) {
	content, ok := p.story.files[name]
	if !ok {
		p.t.Fatalf("no section %s", name)
	}
	path, _, _ = strings.Cut(name, "@")
	return strings.TrimPrefix(path, "student/"), content
}

func (p *play) instructor(verb string, w []string) {
	p.t.Helper()
	l := p.ledger
	switch verb {
	case "writes":
		for _, name := range w {
			l.instructorWrote(p.section(name))
		}
	case "changes":
		if strings.Count(l.now[w[0]], w[1]) != 1 {
			p.t.Fatalf("%q is not there once in the course's %s", w[1], w[0])
		}
		l.instructorChanged(w[0], w[1], w[2])
	case "adds-cell":
		l.changes[w[0]] = append(l.changes[w[0]], change{"", w[1]})
		l.now[w[0]] = withCell(l.now[w[0]], w[1])
	case "relayouts":
		l.now[w[0]] = relaid(l.now[w[0]])
	case "removes":
		for _, f := range sortedNames(l.now) {
			if within(f, w[0]) {
				delete(l.now, f)
			}
		}
	case "moves":
		l.instructorMoved(w[0], w[1])
	case "pushes":
		p.push()
	case "rewinds":
		n := 0
		_, _ = fmt.Sscan(w[0], &n)
		p.git("reset", "-q", "--hard", fmt.Sprintf("HEAD~%d", n))
		p.git("push", "-q", "-f", "origin", "HEAD:main")
		l.now = copyTree(l.pushed[len(l.pushed)-1-n])
		l.pushed = append(l.pushed, copyTree(l.now))
		p.published()
	case "orphans":
		p.git("update-ref", "-d", "HEAD")
	default:
		p.t.Fatalf("instructor %s?", verb)
	}
}

func copyTree(t tree) tree {
	out := tree{}
	for k, v := range t {
		out[k] = v
	}
	return out
}

// push makes the clone what the ledger says, and pushes it.
func (p *play) push() {
	p.t.Helper()
	entries, err := os.ReadDir(p.work)
	must(p.t, err)
	for _, e := range entries {
		if e.Name() != ".git" {
			must(p.t, os.RemoveAll(filepath.Join(p.work, e.Name())))
		}
	}
	for f, content := range p.ledger.now {
		write(p.t, filepath.Join(p.work, f), content)
	}
	p.git("add", "-A", "-f")
	p.git("commit", "-q", "--allow-empty", "-m", "next")
	p.git("push", "-q", "-f", "origin", "HEAD:main")
	p.ledger.pushed = append(p.ledger.pushed, copyTree(p.ledger.now))
	p.published()
}

func (p *play) published() {
	for _, d := range p.desks {
		d.peer.pushed(p.t, p.course)
	}
}

func (p *play) student(verb string, w []string) {
	p.t.Helper()
	l := p.ledger
	switch verb {
	case "writes":
		for _, name := range w {
			path, content := p.section("student/" + name)
			l.studentWrote(path, content)
			for _, d := range p.desks {
				write(p.t, d.path(path), content)
			}
		}
	case "changes":
		l.studentChanged(w[0], w[1], w[2])
		p.rewrite(w[0], func(old string) (string, bool) {
			return strings.Replace(old, w[1], w[2], 1), strings.Contains(old, w[1])
		})
	case "runs":
		l.touch(w[0])
		var said []string
		p.rewrite(w[0], func(old string) (after string, ok bool) {
			after, said, ok = ran(old)
			return after, ok
		})
		l.pieces[w[0]] = append(l.pieces[w[0]], said...)
	case "removes", "starts-over":
		if verb == "removes" {
			l.studentRemoved(w[0])
		} else {
			l.startedOver(w[0])
		}
		for _, d := range p.desks {
			must(p.t, os.RemoveAll(d.path(w[0])))
		}
	case "moves":
		l.studentMoved(w[0], w[1])
		for _, d := range p.desks {
			must(p.t, os.MkdirAll(filepath.Dir(d.path(w[1])), 0o755))
			must(p.t, os.Rename(d.path(w[0]), d.path(w[1])))
		}
	case "puts-away":
		mine := l.wrote[w[0]]
		l.studentMoved(w[0], w[1])
		for _, d := range p.desks {
			if data, err := os.ReadFile(d.path(w[0])); err == nil && string(data) == mine {
				must(p.t, os.Rename(d.path(w[0]), d.path(w[1])))
			}
		}
	case "shell":
		for _, d := range p.desks {
			p.shell(d, d.path(""), w[0])
		}
	default:
		p.t.Fatalf("student %s?", verb)
	}
}

// rewrite is an editor that saves: in place, the same file.
func (p *play) rewrite(path string, edit func(string) (string, bool)) {
	p.t.Helper()
	for _, d := range p.desks {
		old, err := os.ReadFile(d.path(path))
		must(p.t, err)
		after, ok := edit(string(old))
		if !ok {
			p.t.Fatalf("%s: the student cannot do this with %s:\n%s", d.peer.name(), path, old)
		}
		must(p.t, os.WriteFile(d.path(path), []byte(after), 0o644))
	}
}

func (p *play) login(kill bool) {
	for _, d := range p.desks {
		p.loginAt(d, kill)
	}
	p.ledger.had = copyTree(p.ledger.newest())
}

func (p *play) loginAt(d *desk, kill bool) {
	p.t.Helper()
	s := p.seen[d]
	before := outside(p.t, d)
	c := d.peer.login(p.t, d, p.held)
	if kill {
		c = killedBefore(d, c)
	}
	out, code := runProgram(p.t, c)
	p.t.Logf("%s, exit %d:\n%s", d.peer.name(), code, tail(out, 1500))
	s.failed, s.said = !d.peer.ended(code), out
	if kill && !s.failed {
		p.t.Fatalf("%s was not killed", d.peer.name())
	}
	for path, sum := range outside(p.t, d) {
		if before[path] != sum {
			s.outside[outsideName(path)] = true
		}
		delete(before, path)
	}
	for path := range before {
		s.outside[outsideName(path)] = true
	}
}

// outsideName is a path as the table has it.
func outsideName(path string) string {
	if at := strings.Index(path, "/.git/"); at >= 0 {
		path = path[:at] + "/.git"
	}
	return "~/" + atTime.ReplaceAllString(path, "__TIME")
}

// outside is what lies in the home where no course has to write.
func outside(t *testing.T, d *desk) map[string]string {
	t.Helper()
	out := map[string]string{}
	for path, sum := range onDisk(t, d.home) {
		in, below := strings.CutPrefix(path, "work/")
		switch {
		case below && (within(in, d.course) || within(in, ".satchel") || in == "What is new.md"):
		case strings.HasPrefix(in, d.course+" (course v"):
		default:
			out[path] = sum
		}
	}
	return out
}

// fact notes one thing that the story asks of each folder as it is now.
func (p *play) fact(yes, no, kind string, w []string) {
	p.t.Helper()
	for _, d := range p.desks {
		data, err := os.ReadFile(d.path(w[0]))
		is := err == nil
		if kind == "holds" {
			is = is && strings.Contains(string(data), w[1])
		}
		say := no
		if is {
			say = yes
		}
		if say != "" {
			p.seen[d].notes = append(p.seen[d].notes, say)
		}
	}
}

// age makes git's lock eleven minutes old, when nbgitpuller takes it away.
func age(d *desk) {
	past := time.Now().Add(-11 * time.Minute)
	_ = os.Chtimes(d.path(".git/index.lock"), past, past)
}
