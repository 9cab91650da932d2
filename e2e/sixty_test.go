//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"satchel/hook"
)

// row is n files of one kind in the update of sixty files: what the course
// had, what it has, what the student made of it meanwhile, what lies there in
// the end. "" is: no file (of mine: untouched). @ stands for the number.
type row struct {
	n                   int
	path                string
	before, after, mine string
	end                 string
	beside              string // the name of what lies beside in the end
	copy                string // and its text
}

const (
	tenLines = "first @\n2\n3\n4\n5\n6\n7\n8\n9\nlast\n"
	gone     = "-" // the student deleted it
)

// line gives ten lines of which number i is another.
func line(i int, text string) string {
	l := strings.SplitAfter(tenLines, "\n")
	l[i-1] = text + "\n"
	return strings.Join(l, "")
}

func both(i int, a string, j int, b string) string {
	l := strings.SplitAfter(line(i, a), "\n")
	l[j-1] = b + "\n"
	return strings.Join(l, "")
}

// sixty are all kinds of things that one update can do. Policies stand in
// sixtyPolicy, modes in sixtyModes.
var sixty = []row{
	{n: 18, path: "plain/r@.txt", before: "one @\n", after: "two @\n", end: "two @\n"},
	{n: 8, path: "fresh/a@.txt", after: "new @\n", end: "new @\n"},
	{n: 5, path: "gone/d@.txt", before: "old @\n"},
	{n: 4, path: "old/m@.txt", before: "moved @\n"},
	{n: 4, path: "new/m@.txt", after: "moved @\n", end: "moved @\n"},
	{n: 1, path: "old/e@.txt", before: tenLines + "e\n", mine: "MINE moved\n" + tenLines + "e\n"},
	{n: 1, path: "new/e@.txt", after: tenLines + "e\n", end: "MINE moved\n" + tenLines + "e\n"},
	{n: 4, path: "merge/t@.txt", before: tenLines, after: line(9, "COURSE"), mine: line(2, "MINE @"), end: both(2, "MINE @", 9, "COURSE")},
	{n: 2, path: "nb/n@.ipynb", before: book("one", "two"), after: book("one", "two COURSE"), mine: book("one MINE @", "two"), end: book("one MINE @", "two COURSE")},
	{n: 2, path: "clash/c@.txt", before: tenLines, after: line(5, "COURSE"), mine: line(5, "MINE @"), end: line(5, "MINE @"),
		beside: "clash/c@ (course v3).txt", copy: line(5, "COURSE")},
	{n: 1, path: "beside/b@.dat", before: "\x00old", after: "\x00new", mine: "\x00MINE @", end: "\x00MINE @", beside: "beside/b@.dat (course v3)", copy: "\x00new"},
	{n: 1, path: "way/w@.txt", after: "course's\n", mine: "MINE own @\n", end: "MINE own @\n", beside: "way/w@ (course v3).txt", copy: "course's\n"},
	{n: 2, path: "replace/p@.md", before: "one @\n", after: "two @\n", mine: "MINE notes @\n", end: "two @\n", beside: "replace/p@ (my copy).md", copy: "MINE notes @\n"},
	{n: 2, path: "readonly/q@.csv", before: "one @\n", after: "two @\n", end: "two @\n"},
	{n: 1, path: "readonly/edited@.csv", before: tenLines, after: line(9, "COURSE"), mine: line(2, "MINE ro @"), end: both(2, "MINE ro @", 9, "COURSE")},
	{n: 1, path: "once/o@.md", before: "one @\n", after: "two @\n", mine: "MINE diary @\n", end: "MINE diary @\n"},
	{n: 1, path: "back/same@.txt", before: "same @\n", after: "same @\n", mine: gone, end: "same @\n"},
	{n: 1, path: "back/changed@.txt", before: "one b\n", after: "two b\n", mine: gone, end: "two b\n"},
	{n: 2, path: "mode/s@.sh", before: "echo @\n", after: "echo @\n", end: "echo @\n"},
	{n: 1, path: "kept/k@.txt", before: "one k\n", mine: "MINE kept @\n", end: "MINE kept @\n"},
	{n: 1, path: "kind@", before: "a file\n", mine: "MINE kind @\n", beside: "kind@ (my copy)", copy: "MINE kind @\n"},
	{n: 1, path: "kind@/in.txt", after: "in a folder\n", end: "in a folder\n"},
	{n: 1, path: "stays/unchanged@.txt", before: "as ever\n", after: "as ever\n", mine: "MINE stays @\n", end: "MINE stays @\n"},
}

const sixtyPolicy = `hide: [drafts/]
policy:
  - {path: replace/, is: replace}
  - {path: readonly/, is: readonly}
  - {path: once/, is: once}
`

var sixtyModes = "mode/" // what becomes executable

// book is a notebook with two cells.
func book(one, two string) string {
	cell := func(id, text string) map[string]any {
		return map[string]any{"cell_type": "markdown", "id": id, "metadata": map[string]any{}, "source": text}
	}
	data, _ := json.MarshalIndent(map[string]any{
		"nbformat": 4, "nbformat_minor": 5, "metadata": map[string]any{"n": "@"}, "cells": []any{cell("a", one), cell("b", two)},
	}, "", " ")
	return string(data) + "\n"
}

// each gives every file of every row.
func (r row) each(do func(r row)) {
	for i := range r.n {
		is := strings.NewReplacer("@", fmt.Sprint(i)).Replace
		do(row{1, is(r.path), is(r.before), is(r.after), is(r.mine), is(r.end), is(r.beside), is(r.copy)})
	}
}

// update is a site before that update, with a template of a student's home
// that waits for it.
type update struct {
	t           testing.TB
	s           *site
	v           *service
	tmpl        *student
	before, end map[string]file // the course's folder
	mine        []string        // contents that are the student's
	poorer      map[string]file // what else may lie where both changed a file: see unmerged
	dir         string          // for homes
	ground      ground          // what they lie on
}

// newUpdate publishes and delivers what was before, lets the student work,
// publishes what is after, and delivers it once, undisturbed, to see its end.
func newUpdate(t testing.TB) *update { return newUpdateOn(t, ground{}, quickDir(t)) }

func newUpdateOn(t testing.TB, g ground, dir string) *update {
	t.Helper()
	u := &update{t: t, s: newSite(t), ground: g, dir: dir}
	u.v = u.s.configure("one", "").run("serve")
	u.v.ready(1)
	u.publish(2, func(r row) string { return r.before })
	u.tmpl = u.student("template")
	u.tmpl.sync(u.v.login("template"))
	u.studentWorks(u.tmpl)
	mustRun(t, exec.Command("chmod", "-R", "+x", filepath.Join(u.s.repo.work, "notebooks", sixtyModes)))
	u.publish(3, func(r row) string { return r.after })
	u.before = files(t, u.tmpl.folder())
	st := u.copyOf(u.tmpl, "undisturbed")
	t.Logf("the update:\n%s", st.sync(u.v.login(st.name)))
	u.end = files(t, st.folder())
	u.unmerged()
	u.checkEnd(st.folder())
	u.further(st, u.v.login(st.name), "undisturbed")
	return u
}

// in is the same update, failing in t.
func (u *update) in(t testing.TB) *update {
	v := *u
	v.t = t
	return &v
}

// quickDir is a folder in memory where there is one, for students' homes.
func quickDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "satchel-e2e-")
	if err != nil {
		dir, err = os.MkdirTemp("", "satchel-e2e-")
	}
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (u *update) publish(version int, which func(row) string) {
	u.t.Helper()
	u.s.repo.set(".satchel.yaml", sixtyPolicy)
	for _, r := range sixty {
		r.each(func(r row) { u.s.repo.set(r.path, "") })
	}
	for _, r := range sixty {
		r.each(func(r row) {
			if text := which(r); text != "" {
				u.s.repo.set(r.path, text)
			}
		})
	}
	for _, p := range []string{"mode/s0.sh", "mode/s1.sh"} {
		if version == 3 {
			must(u.t, os.Chmod(filepath.Join(u.s.repo.work, "notebooks", p), 0o755))
		}
	}
	u.s.repo.push(fmt.Sprintf("version %d", version))
	u.v.publish()
	u.v.ready(version)
}

func (u *update) studentWorks(st *student) {
	u.t.Helper()
	for _, r := range sixty {
		r.each(func(r row) {
			p := filepath.Join(st.folder(), r.path)
			switch r.mine {
			case "":
				return
			case gone:
				must(u.t, os.Remove(p))
				return
			}
			_ = os.Chmod(p, 0o644)
			write(u.t, p, r.mine)
			u.mine = append(u.mine, r.mine)
		})
	}
	u.own(st)
}

// checkEnd says whether the undisturbed end is what the rows say.
func (u *update) checkEnd(folder string) {
	u.t.Helper()
	want := map[string]string{}
	for _, r := range sixty {
		r.each(func(r row) {
			if r.end != "" {
				want[r.path] = r.end
			}
			if r.beside != "" {
				want[r.beside] = r.copy
			}
		})
	}
	for p, text := range want {
		if u.end[p].sum != sumOf(text) {
			data, err := os.ReadFile(filepath.Join(folder, p))
			u.t.Errorf("%s is %q (%v), want %q", p, data, err, text)
		}
	}
	for p := range u.end {
		if sample := u.s.repo.delivered()[p]; want[p] == "" && sample != u.end[p].sum {
			u.t.Errorf("%s should not be there", p)
		}
	}
	for p, perm := range map[string]os.FileMode{"mode/s0.sh": 0o755, "readonly/q0.csv": 0o444, "plain/r0.txt": 0o644} {
		if got := u.end[p].perm; got != perm && !u.ground.noModes {
			u.t.Errorf("%s has mode %v, want %v", p, got, perm)
		}
	}
	if u.t.Failed() {
		u.t.FailNow()
	}
}

// unmerged: where the course's bytes that are kept for merging cannot be read,
// or were given up because the disk is full, mine stays and theirs comes
// beside; and mine stays under the name that the course gave up where it cannot
// be looked at.
func (u *update) unmerged() {
	u.poorer = map[string]file{}
	for _, r := range sixty {
		r.each(func(r row) {
			if r.before == "" || r.after == "" || r.mine == "" || r.beside != "" || r.end == r.mine || r.mine == gone {
				return
			}
			mine, end := u.before[r.path], u.end[r.path]
			u.poorer[r.path] = file{sum: sumOf(r.mine), perm: mine.perm}
			ext := filepath.Ext(r.path)
			u.poorer[strings.TrimSuffix(r.path, ext)+" (course v3)"+ext] = file{sum: sumOf(r.after), perm: end.perm}
		})
	}
	u.poorer["old/e0.txt"] = u.before["old/e0.txt"]
	u.poorer["new/e0.txt"] = file{sum: sumOf(strings.ReplaceAll(tenLines+"e\n", "@", "0")), perm: u.end["new/e0.txt"].perm}
}

// student is a home in memory.
func (u *update) student(name string) *student {
	u.t.Helper()
	st := &student{t: u.t, name: name, root: filepath.Join(u.dir, name, "work")}
	must(u.t, os.MkdirAll(st.root, 0o755))
	u.own(st)
	return st
}

func (u *update) own(st *student) {
	if !u.ground.noOwner {
		st.own()
	}
}

func (u *update) copyOf(from *student, name string) *student {
	u.t.Helper()
	st := &student{t: u.t, name: name, root: filepath.Join(u.dir, name, "work")}
	must(u.t, os.MkdirAll(filepath.Dir(st.root), 0o755))
	if u.ground.noOwner {
		mustRun(u.t, exec.Command("cp", "-r", "--preserve=mode,timestamps", from.root, st.root))
		return st
	}
	mustRun(u.t, exec.Command("cp", "-a", from.root, st.root))
	if os.Getuid() == 0 {
		must(u.t, os.Chown(filepath.Dir(st.root), studentID, studentID))
	}
	return st
}

// whole: nothing half-written is to be seen, and what is there before and
// after is there at any moment.
func (u *update) whole(st *student, what string, poor bool) {
	u.t.Helper()
	now := files(u.t, st.folder())
	for p, f := range now {
		if u.ground.claims && f.sum == sumOf("") {
			continue
		}
		if !f.like(u.before[p]) && !f.like(u.end[p]) && !(poor && f.like(u.poorer[p])) {
			u.t.Errorf("%s: %s is neither old nor new (%+v)", what, p, f)
		}
	}
	for p := range u.before {
		_, stays := u.end[p]
		if _, here := now[p]; stays && !here && !u.ground.noExchange {
			u.t.Errorf("%s: %s is away", what, p)
		}
	}
}

// kept: every content of the student's lies somewhere in the home, byte by
// byte, or has become what it was to become.
func (u *update) kept(st *student, what string) {
	u.t.Helper()
	var all []string
	for _, f := range files(u.t, st.root) {
		all = append(all, f.sum)
	}
	for _, text := range u.mine {
		if !slices.Contains(all, sumOf(text)) {
			u.t.Errorf("%s: lost: %q", what, text)
		}
	}
}

// converges: the next run ends with the newest, and a further one does
// nothing.
func (u *update) converges(st *student, adm hook.Admission, what string, poor bool) {
	u.t.Helper()
	said, code := runProgram(u.t, st.agent(adm, "sync"))
	if code != 0 {
		u.t.Errorf("%s: the next run: exit %d\n%s", what, code, said)
	}
	u.same(u.endOf(st, poor), files(u.t, st.folder()), what+": after the next run")
	u.kept(st, what+", and the next run")
	u.further(st, adm, what)
	left, err := filepath.Glob(filepath.Join(st.root, ".satchel", "scala101", "stage", "*"))
	must(u.t, err)
	if len(left) > 0 {
		u.t.Errorf("%s: staged and forgotten: %v", what, left)
	}
	if news, err := os.ReadFile(filepath.Join(st.root, "What is new.md")); err != nil || !strings.Contains(string(news), "version 3") {
		u.t.Errorf("%s: the news say nothing of it: %v %q", what, err, news)
	}
}

// further: one more run finds nothing to do, and touches nothing.
func (u *update) further(st *student, adm hook.Admission, what string) {
	u.t.Helper()
	before := exactly(u.t, st)
	said, code := runProgram(u.t, st.agent(adm, "sync"))
	if code != 0 || !strings.Contains(said, "up to date (version 3)") {
		u.t.Errorf("%s: a further run: exit %d\n%s", what, code, said)
	}
	for p, f := range exactly(u.t, st) {
		if before[p] != f {
			u.t.Errorf("%s: a further run touched %s: %+v, was %+v", what, p, f, before[p])
		}
		delete(before, p)
	}
	for p := range before {
		u.t.Errorf("%s: a further run took %s away", what, p)
	}
}

// exactly is all that a student sees, with times and inodes.
func exactly(t testing.TB, st *student) map[string]file {
	out := files(t, st.folder())
	for p, f := range files(t, st.root) {
		if !strings.HasPrefix(p, ".satchel/") {
			out["../"+p] = f
		}
	}
	return out
}

// endOf is what a home is to end with; a poor one with the copies that lie
// beside instead of a merge, where they do.
func (u *update) endOf(st *student, poor bool) map[string]file {
	u.t.Helper()
	end := maps.Clone(u.end)
	if !poor {
		return end
	}
	now := files(u.t, st.folder())
	for p, f := range u.poorer {
		if now[p].like(f) {
			end[p] = f
		}
	}
	return end
}

func (u *update) same(want, got map[string]file, what string) {
	u.t.Helper()
	for p, f := range got {
		if !f.like(want[p]) {
			u.t.Errorf("%s: %s is %+v, want %+v", what, p, f, want[p])
		}
	}
	for p := range want {
		if _, ok := got[p]; !ok {
			u.t.Errorf("%s: %s is missing", what, p)
		}
	}
}
