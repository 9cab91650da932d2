//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// plant is something that a student, or whoever can write in their home, laid
// there before an update of sixty files. Nothing outside may change, nothing
// may be lost, and nothing may get stuck.
type plant struct {
	name  string
	do    func(h *hostile)
	but   string // what lies below may differ from the newest
	exit  int    // of the run that meets it
	again int    // and of the next
	says  string
}

// hostile is a home, and a folder outside which nothing may reach.
type hostile struct {
	t       testing.TB
	st      *student
	outside string
}

func (h *hostile) work(p string) string   { return filepath.Join(h.st.root, p) }
func (h *hostile) course(p string) string { return filepath.Join(h.st.folder(), p) }
func (h *hostile) out(p string) string    { return filepath.Join(h.outside, p) }

// own writes a file of the student's.
func (h *hostile) own(p, text string) { write(h.t, p, text) }

// link replaces what is at p by a link.
func (h *hostile) link(to, p string) {
	must(h.t, os.RemoveAll(p))
	must(h.t, os.MkdirAll(filepath.Dir(p), 0o755))
	must(h.t, os.Symlink(to, p))
}

func (h *hostile) hard(from, p string) {
	must(h.t, os.RemoveAll(p))
	must(h.t, os.Link(from, p))
}

func (h *hostile) fifo(p string) {
	must(h.t, os.RemoveAll(p))
	must(h.t, os.MkdirAll(filepath.Dir(p), 0o755))
	must(h.t, syscall.Mkfifo(p, 0o644))
}

// linkAt is a plant: a link to the outside folder, or to a file in it.
func linkAt(p, to, but string) plant {
	return plant{name: "link at " + p, but: but, do: func(h *hostile) { h.link(h.out(to), h.work(p)) }}
}

func hardAt(p, but string) plant {
	return plant{name: "hard link at " + p, but: but, do: func(h *hostile) { h.hard(h.out("file"), h.work(p)) }}
}

func fifoAt(p, but string) plant {
	return plant{name: "FIFO at " + p, but: but, do: func(h *hostile) { h.fifo(h.work(p)) }}
}

// renamedTo is a plant: a deleted file lies under that name, which a sentence
// then says.
func renamedTo(what, name string) plant {
	return plant{name: what, says: "back/same0.txt", do: func(h *hostile) {
		h.own(h.course(name), "same 0\n")
		h.own(h.course("way/"+name), "MINE "+what)
	}}
}

var plants = []plant{
	linkAt(".satchel", "", ""),
	linkAt(".satchel/scala101", "", ""),
	linkAt(".satchel/scala101/stage", "", ""),
	linkAt(".satchel/scala101/hold", "", ""),
	linkAt(".satchel/scala101/base", "", ""),
	linkAt(".satchel/scala101/shelf", "", ""),
	linkAt(".satchel/scala101/manifests", "", ""),
	linkAt(".satchel/scala101/journal", "file", ""),
	linkAt(".satchel/.notes", "", ""),
	linkAt(".satchel/.lock", "file", ""),
	linkAt(".satchel/.agent.json", "file", ""),
	linkAt("What is new.md", "file", ""),
	linkAt("scala101/plain", "", "plain/"),
	linkAt("scala101/plain/r0.txt", "file", "plain/r0"),
	linkAt("scala101/plain/r1.txt", "none", "plain/r1"),
	linkAt("scala101/fresh", "", "fresh/"),
	linkAt("scala101/fresh/a0.txt", "none", "fresh/a0"),
	linkAt("scala101/gone", "", ""),
	linkAt("scala101/gone/d0.txt", "file", ""),
	linkAt("scala101/new", "", "new/"),
	linkAt("scala101/merge/t0.txt", "file", "merge/t0"),
	linkAt("scala101/mode/s0.sh", "file", "mode/s0"),
	linkAt("scala101/clash/c0 (course v3).txt", "file", ""),
	linkAt("scala101/replace/p0 (my copy).md", "none", ""),
	hardAt("scala101/plain/r0.txt", "plain/r0"),
	hardAt("scala101/mode/s0.sh", "mode/s0"),
	hardAt("scala101/replace/p0.md", ""),
	hardAt("scala101/readonly/q0.csv", "readonly/q0"),
	hardAt(".satchel/scala101/journal", ""),
	hardAt(".satchel/.agent.json", ""),
	hardAt(".satchel/.lock", ""),
	hardAt("What is new.md", ""),
	{name: "hard link to a delivered file", do: func(h *hostile) {
		must(h.t, os.Remove(h.out("file")))
		must(h.t, os.Link(h.course("plain/r2.txt"), h.out("file")))
	}},
	fifoAt("scala101/plain/r0.txt", "plain/r0"),
	fifoAt("scala101/fresh/a0.txt", "fresh/a0"),
	fifoAt("scala101/own.ipynb", ""),
	fifoAt(".satchel/scala101/journal", ""),
	fifoAt(".satchel/scala101/base", ""),
	fifoAt(".satchel/.lock", ""),
	fifoAt(".satchel/.agent.json", ""),
	fifoAt("What is new.md", ""),
	renamedTo("a name with a newline", "a\nUpdated to version 99: all lost.txt"),
	renamedTo("a name with ESC", "\x1b[2J\x1b]0;title\x07.txt"),
	renamedTo("a name with quotes", `"' $(touch x) \.txt`),
	renamedTo("a name with marks of direction", "\u202egnp.txt"),
	renamedTo("a name that is not UTF-8", "\xff\xfe\xc3.txt"),
	renamedTo("a name of 255 bytes", strings.Repeat("n", 251)+".txt"),
	{name: "case twins", do: func(h *hostile) {
		h.own(h.course("PLAIN/R0.TXT"), "MINE twin")
		h.own(h.course("Fresh/A0.txt"), "MINE twin too")
	}},
	{name: "a folder nobody may write in", but: "plain/", exit: 3, again: 3, do: func(h *hostile) { must(h.t, os.Chmod(h.course("plain"), 0o500)) }},
	{name: "a file nobody may read", but: "merge/t0", exit: 3, again: 3, do: func(h *hostile) { must(h.t, os.Chmod(h.course("merge/t0.txt"), 0)) }},
}

// TestE2EPlanted: each plant, with the real agent as an ordinary user.
func TestE2EPlanted(t *testing.T) {
	u := newUpdate(t)
	for i, p := range plants {
		t.Run(strings.ReplaceAll(p.name, "/", "_"), func(t *testing.T) {
			u.in(t).planted(fmt.Sprintf("planted-%d", i), p)
		})
	}
}

func (u *update) hostile(name string) *hostile {
	u.t.Helper()
	h := &hostile{t: u.t, st: u.copyOf(u.tmpl, name), outside: filepath.Join(u.dir, name, "outside")}
	h.own(h.out("file"), "precious\n")
	h.own(h.out("journal"), "precious\n")
	h.own(h.out("r0.txt"), "precious\n")
	h.own(h.out("stage/part-0"), "precious\n")
	return h
}

func (u *update) planted(name string, p plant) {
	t := u.t
	h := u.hostile(name)
	p.do(h)
	h.st.own()
	outside, mine := everywhere(t, h.outside), ownBytes(t, h.st.root)
	adm := u.v.login(name)
	for run, exit := range []int{p.exit, p.again} {
		said := h.quick(h.st.agent(adm, "sync"), exit)
		plainText(t, said)
		if run == 0 && !strings.Contains(said, p.says) {
			t.Errorf("it does not name %q:\n%s", p.says, said)
		}
		for q, f := range everywhere(t, h.outside) {
			if outside[q] != f {
				t.Errorf("outside %s changed: %+v, was %+v\n%s", q, f, outside[q], said)
			}
		}
		if len(everywhere(t, h.outside)) != len(outside) {
			t.Errorf("outside something came or went\n%s", said)
		}
		u.stillThere(h, mine, said)
		u.arrived(h, p, said)
	}
}

// quick runs the agent, which must not get stuck.
func (h *hostile) quick(c *exec.Cmd, exit int) string {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), 60*time.Second)
	defer stop()
	run := exec.CommandContext(ctx, c.Path, c.Args[1:]...)
	run.Dir, run.Env, run.SysProcAttr = c.Dir, c.Env, c.SysProcAttr
	said, code := runProgram(h.t, run)
	if ctx.Err() != nil {
		h.t.Fatalf("it got stuck:\n%s", said)
	}
	if code != exit {
		h.t.Errorf("exit %d, want %d\n%s", code, exit, said)
	}
	return said
}

// plainText: sentences hold nothing that a terminal would obey, and no line
// that the agent did not begin.
func plainText(t testing.TB, said string) {
	t.Helper()
	if !utf8.ValidString(said) {
		t.Errorf("not UTF-8: %q", said)
	}
	for _, r := range said {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Errorf("a control character %q in %q", r, said)
		}
	}
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "Updated to version 99") {
			t.Errorf("a file's name became a sentence: %q", said)
		}
	}
}

// everywhere is a folder with all that is in it, folders and times as well.
func everywhere(t testing.TB, dir string) map[string]file {
	t.Helper()
	out := map[string]file{}
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := lookAt(p)
		f.links = 0 // the other name may go
		out[p] = f
		return err
	}))
	return out
}

// ownBytes are the bytes of the student's own that lie in a home.
func ownBytes(t testing.TB, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for p, f := range files(t, root) {
		if len(f.sum) != sha256.Size*2 {
			continue // no file; a FIFO would never be read to its end
		}
		if data, err := os.ReadFile(filepath.Join(root, p)); err == nil && strings.Contains(string(data), "MINE") {
			out[p] = f.sum
		}
	}
	return out
}

func (u *update) stillThere(h *hostile, mine map[string]string, said string) {
	u.t.Helper()
	here := map[string]bool{}
	for _, f := range files(u.t, h.st.root) {
		here[f.sum] = true
	}
	for p, sum := range mine {
		if !here[sum] {
			u.t.Errorf("the bytes of %s are lost\n%s", p, said)
		}
	}
}

// arrived: the newest is there wherever the student did not touch anything.
func (u *update) arrived(h *hostile, p plant, said string) {
	u.t.Helper()
	now := files(u.t, h.st.folder())
	for _, r := range sixty {
		r.each(func(r row) {
			touched := r.mine != "" || p.but != "" && strings.HasPrefix(r.path, p.but)
			if r.after != "" && r.end == r.after && !touched && now[r.path].sum != sumOf(r.after) {
				u.t.Errorf("%s is not the newest\n%s", r.path, said)
			}
		})
	}
}

// TestE2EWorkFolderIsALink: nothing is written through it, and a sentence says
// what to do.
func TestE2EWorkFolderIsALink(t *testing.T) {
	u := newUpdate(t)
	h := u.hostile("linked")
	must(t, os.Rename(h.st.root, h.st.root+".real"))
	must(t, os.Symlink(h.outside, h.st.root))
	h.st.own()
	before := everywhere(t, h.outside)
	said := h.quick(h.st.agent(u.v.login("linked"), "sync"), 1)
	if !strings.Contains(said, "is a link, and course material is never written through one") {
		t.Errorf("it says %q", said)
	}
	for p, f := range everywhere(t, h.outside) {
		if before[p] != f {
			t.Errorf("%s changed", p)
		}
	}
}

// TestE2ESwappedForALinkInARace: folders are swapped for links and back, all
// the time, while the agent runs.
func TestE2ESwappedForALinkInARace(t *testing.T) {
	u := newUpdate(t)
	for i, swapped := range []string{"plain", "fresh", "merge", "replace", "."} {
		for round := range 4 {
			h := u.hostile(fmt.Sprintf("race-%d-%d", i, round))
			h.st.own()
			mine, before := ownBytes(t, h.st.root), everywhere(t, h.outside)
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { swap(ctx, h.course(swapped), h.outside) })
			adm := u.v.login(h.st.name)
			said, code := runProgram(t, h.st.agent(adm, "sync"))
			stop()
			wg.Wait()
			if code != 0 && code != 3 && code != 1 || strings.Contains(said, "goroutine") {
				t.Errorf("%s: exit %d\n%s", swapped, code, said)
			}
			for p, f := range everywhere(t, h.outside) {
				if before[p] != f {
					t.Errorf("%s: %s changed\n%s", swapped, p, said)
				}
			}
			if len(everywhere(t, h.outside)) != len(before) {
				t.Errorf("%s: outside something came or went\n%s", swapped, said)
			}
			u.stillThere(h, mine, said)
			h.st.sync(adm)
			u.stillThere(h, mine, said)
		}
	}
}

func swap(ctx context.Context, dir, outside string) {
	dir = filepath.Clean(dir)
	for ctx.Err() == nil {
		if os.Rename(dir, dir+".aside") != nil {
			continue
		}
		_ = os.Symlink(outside, dir)
		_ = os.Remove(dir)
		for os.Rename(dir+".aside", dir) != nil { // the agent may have made one of that name
			if os.Rename(dir, fmt.Sprintf("%s.made-%d", dir, time.Now().UnixNano())) != nil {
				break
			}
		}
	}
}

// TestE2ELocked: while another update runs a login ends well, soon, and says
// so.
func TestE2ELocked(t *testing.T) {
	u := newUpdate(t)
	st := u.copyOf(u.tmpl, "locked")
	lock, err := os.Open(filepath.Join(st.root, ".satchel", ".lock"))
	must(t, err)
	must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	adm := u.v.login("locked")
	began := time.Now()
	said, code := runProgram(t, st.agent(adm, "sync"))
	if code != 0 || said != "Another update of this folder is running; it will finish by itself.\n" || time.Since(began) > 30*time.Second {
		t.Errorf("exit %d after %v: %q", code, time.Since(began), said)
	}
	u.same(u.before, files(t, st.folder()), "while it was locked")
	must(t, lock.Close())
	u.converges(st, adm, "after the lock", false)
}
