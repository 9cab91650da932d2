package workdir

import (
	"fmt"
	"testing"
	"time"

	"satchel/bundle"
)

// cell is one cell of the table of docs/work-folder.md, for one policy.
type cell struct {
	course, student string
	policy          bundle.Policy // "" is merge
	want            string        // VERB STATUS EVENT +flags; "" is no action
	session         string        // the same in a session, where it differs
}

// The columns are: what the student did; the rows: what the course did.
var cells = []cell{
	{"unchanged", "untouched", "", "", ""},
	{"unchanged", "edited", "", "record mine", ""},
	{"unchanged", "deleted", "", "add delivered returned +return", "wait"},
	{"unchanged", "deleted twice", "", "record away", ""},
	{"unchanged", "started over", "", "add delivered", "wait"},
	{"unchanged", "other type", "", "", ""},
	{"changed", "untouched", "", "replace delivered", ""},
	{"changed", "edited", "", "merge mine", "wait"},
	{"changed", "equal", "", "record delivered", ""},
	{"changed", "former", "", "replace delivered +shelf", "wait"},
	{"changed", "run only", "", "record mine", ""},
	{"changed", "deleted", "", "add delivered returned +return", "wait"},
	{"changed", "deleted twice", "", "record away", ""},
	{"changed", "started over", "", "add delivered", "wait"},
	{"changed", "other type", "", "beside mine blocked", "wait"},
	{"changed", "own before", "", "beside own in_the_way", "wait"},
	{"changed", "own deleted", "", "add delivered", ""},
	{"added", "nothing", "", "add delivered", ""},
	{"added", "equal", "", "record delivered", ""},
	{"added", "own", "", "beside own in_the_way", "wait"},
	{"added", "former", "", "replace delivered +shelf", "wait"},
	{"added", "run only", "", "record mine", ""},
	{"added", "unasked", "", "skip delivered failed", ""},
	{"added", "folder", "", "aside delivered moved_aside", "wait"},
	{"added", "other type", "", "beside own in_the_way", "wait"},
	{"added", "blocked", "", "aside delivered moved_aside", "wait"},
	{"deleted", "untouched", "", "remove delivered", "wait"},
	{"deleted", "edited", "", "forget delivered stays", ""},
	{"deleted", "deleted", "", "forget delivered", ""},
	{"deleted", "other type", "", "forget delivered", ""},
	{"deleted", "own before", "", "forget delivered", ""},
	{"renamed", "untouched", "", "move delivered", "wait"},
	{"renamed", "edited", "", "move mine moved", "wait"},
	{"renamed", "deleted", "", "add delivered", ""},
	{"renamed", "own at the new name", "", "beside own in_the_way", "wait"},
	{"renamed", "other type", "", "add delivered", ""},
	{"file to folder", "untouched", "", "remove delivered", "wait"},
	{"file to folder", "edited", "", "aside delivered moved_aside", "wait"},
	{"file to folder", "deleted", "", "forget delivered", ""},
	{"file to folder", "other type", "", "forget delivered", ""},
	{"mode only", "untouched", "", "chmod delivered", ""},
	{"mode only", "edited", "", "chmod mine", "wait"},
	{"mode only", "deleted", "", "add delivered returned +return", "wait"},
	{"mode only", "other type", "", "record delivered", ""},
	{"withdrawn", "untouched", "", "remove delivered withdrawn +erase", ""},
	{"withdrawn", "edited", "", "forget delivered stays", ""},
	{"withdrawn", "deleted", "", "forget delivered", ""},
	{"left", "untouched", "", "record delivered left", ""},
	{"left", "edited", "", "record delivered left", ""},
	{"left", "deleted", "", "record delivered left", ""},
	{"unreadable", "unchanged", "", "", ""},
	{"unreadable", "changed", "", "skip delivered failed", ""},

	{"unchanged", "untouched", bundle.Once, "", ""},
	{"unchanged", "edited", bundle.Once, "record mine", ""},
	{"unchanged", "deleted", bundle.Once, "record away", ""},
	{"unchanged", "started over", bundle.Once, "add delivered", "wait"},
	{"unchanged", "other type", bundle.Once, "", ""},
	{"changed", "untouched", bundle.Once, "", ""},
	{"changed", "edited", bundle.Once, "record mine", ""},
	{"changed", "deleted", bundle.Once, "record away", ""},
	{"changed", "other type", bundle.Once, "", ""},
	{"added", "nothing", bundle.Once, "add delivered", ""},
	{"added", "equal", bundle.Once, "record delivered", ""},
	{"added", "own", bundle.Once, "beside own in_the_way", "wait"},
	{"deleted", "untouched", bundle.Once, "forget delivered", ""},
	{"deleted", "edited", bundle.Once, "forget delivered", ""},

	{"unchanged", "untouched", bundle.Replace, "", ""},
	{"unchanged", "edited", bundle.Replace, "record mine", ""},
	{"unchanged", "deleted", bundle.Replace, "add delivered returned +return", "wait"},
	{"changed", "untouched", bundle.Replace, "replace delivered", ""},
	{"changed", "edited", bundle.Replace, "save delivered saved", "wait"},
	{"changed", "other type", bundle.Replace, "beside mine blocked", "wait"},
	{"added", "nothing", bundle.Replace, "add delivered", ""},
	{"added", "own", bundle.Replace, "save delivered saved", "wait"},
	{"deleted", "untouched", bundle.Replace, "remove delivered", "wait"},
	{"deleted", "edited", bundle.Replace, "forget delivered stays", ""},

	{"unchanged", "untouched", bundle.ReadOnly, "", ""},
	{"unchanged", "edited", bundle.ReadOnly, "record mine", ""},
	{"changed", "untouched", bundle.ReadOnly, "replace delivered", ""},
	{"changed", "edited", bundle.ReadOnly, "merge mine", "wait"},
	{"added", "nothing", bundle.ReadOnly, "add delivered", ""},
	{"deleted", "untouched", bundle.ReadOnly, "remove delivered", "wait"},
	{"deleted", "edited", bundle.ReadOnly, "forget delivered stays", ""},
}

const cellPath, cellOld = "d/p", "d/old"

func TestEachCellOfTheTable(t *testing.T) {
	for _, c := range cells {
		t.Run(fmt.Sprintf("%s/%s/%s", c.course, c.student, c.policy), func(t *testing.T) {
			v := c.view()
			if got := describe(Compare(v)); got != c.want {
				t.Errorf("at a start: %q, want %q", got, c.want)
			}
			v.How.Mode = Session
			want := c.session
			switch want {
			case "wait":
				want = c.want + " +waits"
			case "":
				want = c.want
			}
			if got := describe(Compare(v)); got != want {
				t.Errorf("in a session: %q, want %q", got, want)
			}
		})
	}
}

// describe is what is done at cellPath.
func describe(actions []Action) string {
	for _, a := range actions {
		if a.Path != cellPath {
			continue
		}
		s := string(a.Verb) + " " + string(a.Status)
		if a.Event != "" {
			s += " " + string(a.Event)
		}
		for _, f := range []struct {
			name string
			on   bool
		}{{"return", a.Return}, {"shelf", a.Shelf}, {"erase", a.Erase}, {"waits", a.Waits}} {
			if f.on {
				s += " +" + f.name
			}
		}
		return s
	}
	return ""
}

func (c cell) view() View {
	v := View{
		Last: map[string]*Entry{}, Newest: map[string]Delivery{}, Channels: map[string]bool{"main": true},
		Withdrawn: map[bundle.Pair]bool{}, Disk: map[string]Fact{}, Origin: map[string]Origin{}, Now: day,
	}
	policy := c.policy
	if policy == "" {
		policy = bundle.Merge
	}
	was := bundle.File{Path: cellPath, Mode: 0o644, Digest: bundle.Sum([]byte("old")), Size: 3, Policy: policy}
	next := was
	e := &Entry{Path: cellPath, Digest: was.Digest, Size: 3, Mode: 0o644, Policy: policy, Channel: "main", Status: Delivered}
	v.Last[cellPath] = e
	c.courseDid(&v, e, was, &next)
	c.studentDid(&v, e, was, next)
	return v
}

func (c cell) courseDid(v *View, e *Entry, was bundle.File, next *bundle.File) {
	v.Newest[cellPath] = Delivery{was, "main"}
	set := func() { v.Newest[cellPath] = Delivery{*next, "main"} }
	switch c.course {
	case "changed":
		next.Digest = bundle.Sum([]byte("new"))
		set()
	case "mode only":
		next.Mode = 0o755
		set()
	case "added":
		next.Digest = bundle.Sum([]byte("new"))
		set()
		delete(v.Last, cellPath)
	case "deleted":
		delete(v.Newest, cellPath)
	case "renamed":
		old := *e
		old.Path = cellOld
		v.Last = map[string]*Entry{cellOld: &old}
	case "file to folder":
		delete(v.Newest, cellPath)
		v.Newest[cellPath+"/x"] = Delivery{bundle.File{Path: cellPath + "/x", Mode: 0o644, Digest: was.Digest, Policy: was.Policy}, "main"}
		v.Disk[cellPath+"/x"] = Fact{Kind: Regular, At: cellPath}
	case "withdrawn":
		delete(v.Newest, cellPath)
		v.Withdrawn[bundle.Pair{Path: cellPath, Digest: was.Digest}] = true
	case "left":
		delete(v.Newest, cellPath)
		e.Channel = "other"
	case "unreadable":
		if c.student == "changed" {
			next.Digest = bundle.Sum([]byte("new"))
			set()
		}
	}
}

func (c cell) studentDid(v *View, e *Entry, was, next bundle.File) {
	f := Fact{Kind: Regular, At: cellPath, Digest: was.Digest, Stat: Stat{Mtime: day.Add(-time.Hour).UnixNano()}}
	mine := bundle.Sum([]byte("mine"))
	switch c.student {
	case "edited", "own":
		f.Digest = mine
	case "own before":
		f.Digest, e.Status = mine, Own
	case "own deleted":
		f, e.Status = Fact{At: cellPath}, Own
	case "equal":
		f.Digest = next.Digest
	case "former":
		f.Digest, v.Origin[cellPath] = mine, Former
	case "run only":
		f.Digest, v.Origin[cellPath] = mine, NewestRun
	case "unasked":
		f.Digest, v.Origin[cellPath] = mine, Unasked
	case "deleted", "nothing":
		f = Fact{At: cellPath}
	case "deleted twice":
		f, e.Returned = Fact{At: cellPath}, true
	case "started over":
		f, e.Returned = Fact{At: cellPath, Gone: true}, true
	case "folder":
		f = Fact{Kind: Folder, At: cellPath}
	case "other type":
		f = Fact{Kind: Other, At: cellPath}
	case "blocked":
		f = Fact{Kind: Regular, At: "d"}
	}
	if c.course == "unreadable" {
		f = Fact{At: cellPath, Err: errHistory}
	}
	if c.course == "renamed" {
		f.At = cellOld
		v.Disk[cellOld], f = f, Fact{At: cellPath}
		if c.student == "own at the new name" {
			v.Disk[cellOld] = Fact{Kind: Regular, At: cellOld, Digest: was.Digest}
			f = Fact{Kind: Regular, At: cellPath, Digest: mine}
		}
	}
	v.Disk[cellPath] = f
}

func TestASecondDeletionStaysAndAThirdVersionDoesNotReturn(t *testing.T) {
	w := newWorld(t)
	w.publish("a.txt", "one", "b.txt", "keep")
	w.sync()
	w.remove("a.txt")
	wantEvents(t, w.sync(), "returned a.txt")
	w.has("a.txt", "one", "b.txt", "keep")
	w.remove("a.txt")
	wantEvents(t, w.sync())
	w.publish("a.txt", "two")
	wantEvents(t, w.sync())
	w.has("b.txt", "keep")
	if !w.state().Complete {
		t.Fatal("not complete, though the student decided")
	}
}

func TestStartingOver(t *testing.T) {
	w := newWorld(t)
	w.publish("hw/a.txt", "one", "hw/b.txt", "two", "c.txt", "three")
	w.sync()
	for range 3 {
		w.remove("hw")
		wantEvents(t, w.sync())
		w.has("hw/a.txt", "one", "hw/b.txt", "two", "c.txt", "three")
		w.remove(".")
		wantEvents(t, w.sync())
		w.has("hw/a.txt", "one", "hw/b.txt", "two", "c.txt", "three")
	}
}

func TestARenamedFileOfTheStudentsIsNamed(t *testing.T) {
	w := newWorld(t)
	w.publish("hw/a.txt", "some text", "b.txt", "x")
	w.sync()
	w.write("mine/renamed.txt", "some text")
	w.remove("hw/a.txt")
	wantEvents(t, w.sync(), "returned hw/a.txt | mine/renamed.txt")
}

func TestCompareIsQuietWhereAllIsDone(t *testing.T) {
	v := cell{course: "unchanged", student: "untouched"}.view()
	if got := Compare(v); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
}

// What the course wants to make a folder of could not be looked at: that may
// be anything, so what belongs into it waits as well.
func TestBelowWhatCannotBeLookedAtEverythingWaits(t *testing.T) {
	v := cell{course: "file to folder", student: "edited"}.view()
	v.Disk[cellPath] = Fact{Kind: Other, At: cellPath, Err: errHistory}
	got := Compare(v)
	if len(got) != 2 || got[0].Verb != Skip || got[1].Verb != Skip || got[1].Mine.Err != errHistory {
		t.Fatalf("%+v", got)
	}
}
