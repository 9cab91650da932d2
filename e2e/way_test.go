//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestE2EPushArrives is the product: a push over SSH, a login, a folder.
func TestE2EPushArrives(t *testing.T) {
	for _, kind := range []string{"folder", "s3"} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t)
			if kind == "s3" {
				s.onS3()
			}
			v := s.configure("one", "").run("serve")
			v.ready(1)
			ana := s.student("ana")
			t.Logf("first login:\n%s", ana.sync(v.login("ana")))
			equalFolder(t, s, ana)

			s.repo.set("lab1/new.md", "new\n")
			s.repo.set("lab2/rainfall.ipynb", "")
			s.repo.push("second")
			v.publish()
			v.ready(2)
			t.Logf("second login:\n%s", ana.sync(v.login("ana")))
			equalFolder(t, s, ana)
			if out := ana.sync(v.login("ana")); !strings.Contains(out, "up to date (version 2)") {
				t.Errorf("third login says %q", out)
			}
			if err := v.stop(); err != nil {
				t.Errorf("SIGTERM: %v", err)
			}
		})
	}
}

// equalFolder fails unless the student has exactly the newest commit's folder.
func equalFolder(t *testing.T, s *site, st *student) {
	t.Helper()
	if d := cmp.Diff(s.repo.delivered(), onDisk(t, st.folder())); d != "" {
		t.Errorf("%s has other files than the newest commit (-commit +folder):\n%s", st.name, d)
	}
}

// TestE2ETwoProcesses runs the halves apart: the hookserver's configuration
// names no deploy key and no signing key.
func TestE2ETwoProcesses(t *testing.T) {
	s := newSite(t)
	syncer := s.configure("syncer", "").run("syncer")
	front := s.configure("front", "").run("hookserver")
	front.ready(1)
	ana := s.student("ana")
	ana.sync(front.login("ana"))
	equalFolder(t, s, ana)
	syncer.kill()
	ben := s.student("ben")
	ben.sync(front.login("ben"))
	equalFolder(t, s, ben)
}

// TestE2ENothingIsCopiedThatTheStudentDidNotTouch: what lies there may have
// come from anywhere, and .satchel may be gone.
func TestE2ENothingIsCopiedThatTheStudentDidNotTouch(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	v.ready(1)
	first := s.repo.git("rev-parse", "HEAD")
	lastWeek := s.student("lastweek")
	lastWeek.sync(v.login("lastweek"))
	backup := s.path("backup")
	mustRun(t, exec.Command("cp", "-a", lastWeek.root, backup))

	s.repo.set("lab1/new.md", "new\n")
	s.repo.set("README.md", "# Scala 101, second week\n")
	s.repo.set("data/rainfall.csv", "month,city,mm\n")
	s.repo.push("second")
	v.publish()
	v.ready(2)

	for name, prepare := range map[string]func(st *student){
		"a lost .satchel": func(st *student) {
			st.sync(v.login(st.name))
			must(t, os.RemoveAll(filepath.Join(st.root, ".satchel")))
		},
		"a home restored from last week": func(st *student) {
			must(t, os.RemoveAll(st.root))
			mustRun(t, exec.Command("cp", "-a", backup, st.root))
		},
		"last week's files without .satchel": func(st *student) {
			mustRun(t, exec.Command("cp", "-a", filepath.Join(backup, "scala101"), st.folder()))
		},
		"a folder left by git clone": func(st *student) {
			mustRun(t, exec.Command("git", "clone", "-q", s.repo.bare, st.path("clone")))
			mustRun(t, exec.Command("git", "-C", st.path("clone"), "checkout", "-q", first))
			mustRun(t, exec.Command("cp", "-a", st.path("clone/notebooks"), st.folder()))
			mustRun(t, exec.Command("cp", "-a", st.path("clone/.git"), filepath.Join(st.folder(), ".git")))
			must(t, os.RemoveAll(st.path("clone")))
		},
		"a tarball of an older version": func(st *student) {
			must(t, os.MkdirAll(st.folder(), 0o755))
			mustRun(t, exec.Command("sh", "-c", "git -C "+s.repo.work+" archive "+first+":notebooks | tar x -C "+st.folder()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := s.student(strings.ReplaceAll(name, " ", "-"))
			prepare(st)
			st.own()
			before := onDisk(t, st.folder())
			out := st.sync(v.login(st.name))
			after := onDisk(t, st.folder())
			for p := range s.repo.delivered() {
				if after[p] != s.repo.delivered()[p] {
					t.Errorf("%s is not the newest", p)
				}
			}
			for p := range after {
				if _, was := before[p]; !was && s.repo.delivered()[p] == "" {
					t.Errorf("a copy appeared: %s\n%s", p, out)
				}
			}
			if again := st.sync(v.login(st.name)); !strings.Contains(again, "up to date") {
				t.Errorf("the second sync says %q", again)
			}
		})
	}
}

func (st *student) path(p string) string { return filepath.Join(filepath.Dir(st.root), p) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestE2EChangeRightAfterAChange: what Satchel itself wrote a moment ago is
// no student's edit.
func TestE2EChangeRightAfterAChange(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	ana := s.student("ana")
	for n := 1; n <= 4; n++ {
		v.ready(n)
		out := ana.sync(v.login("ana"))
		equalFolder(t, s, ana)
		if t.Failed() {
			t.Fatal(out)
		}
		s.repo.set("lab1/n.txt", strings.Repeat("x", n))
		s.repo.push("next")
		v.publish()
	}
}
