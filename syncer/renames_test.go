package syncer

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"satchel/bundle"
	"satchel/internal/similar"
	"satchel/store"
)

// text makes ten lines that begin with a word, the last few of them others.
func text(word string, others int) string {
	var b strings.Builder
	for i := range 10 {
		if i >= 10-others {
			fmt.Fprintf(&b, "another line %d of %s\n", i, word)
			continue
		}
		fmt.Fprintf(&b, "%s %d\n", word, i)
	}
	return b.String()
}

// renames are those that the newest step marks.
func (s *site) renames() map[string]string {
	s.t.Helper()
	ch := s.view().record.Channels[0]
	x, err := readIndex(s.t.Context(), s.st, "scala101", ch.ID, ch.Bundles[len(ch.Bundles)-1])
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range x.Changes.Set {
		if c.RenamedFrom != "" {
			out[c.Path] = c.RenamedFrom
		}
	}
	return out
}

func (s *site) wantRenames(want map[string]string) {
	s.t.Helper()
	if got := s.renames(); !maps.Equal(got, want) {
		s.t.Errorf("renamed %v, not %v", got, want)
	}
}

func TestRenamedFilesWithHalfOfTheirLinesAreMarked(t *testing.T) {
	ran := strings.Replace(lesson("val a = 1\nval b = 2\nval c = 3\nval d = 4"), `"outputs": []`, `"outputs": [{"output_type": "stream", "name": "stdout", "text": "the same"}]`, 1)
	for name, c := range map[string]struct {
		before, after files
		want          map[string]string
	}{
		"a text":            {files{"old.md": text("a", 0)}, files{"sub/new.md": text("a", 4)}, files{"sub/new.md": "old.md"}},
		"less than half":    {files{"old.md": text("a", 0)}, files{"new.md": text("a", 6)}, nil},
		"another extension": {files{"old.md": text("a", 0)}, files{"new.txt": text("a", 1)}, nil},
		"a notebook":        {files{"hw1.ipynb": ran}, files{"homework/1.ipynb": lesson("val a = 1\nval b = 2\nval x = 3")}, files{"homework/1.ipynb": "hw1.ipynb"}},
		"a notebook of which only the outputs stay": {files{"hw1.ipynb": ran}, files{"hw2.ipynb": strings.ReplaceAll(ran, "val", "def")}, nil},
		"still there": {files{"old.md": text("a", 0)}, files{"old.md": text("a", 0), "new.md": text("a", 1)}, nil},
		"equal content comes first": {
			files{"1.md": text("a", 0), "2.md": text("a", 3)}, files{"n.md": text("a", 0), "m.md": text("a", 1)}, files{"n.md": "1.md", "m.md": "2.md"}},
		"a file that was there is not one that went": {
			files{"1.md": text("a", 0), "n.md": "x"}, files{"n.md": text("a", 1), "m.md": text("a", 3)}, files{"m.md": "1.md"}},
		"a whole folder, each file a little changed": {
			files{"week1/a.md": text("a", 0), "week1/b.md": text("b", 0), "week1/c.md": text("c", 0)},
			files{"semana1/a.md": text("a", 1), "semana1/b.md": text("b", 2), "semana1/c.md": text("c", 0)},
			files{"semana1/a.md": "week1/a.md", "semana1/b.md": "week1/b.md", "semana1/c.md": "week1/c.md"}},
		"bytes":      {files{"old.bin": "\x00" + text("a", 0)}, files{"new.bin": "\x00" + text("a", 1)}, nil},
		"hidden now": {files{"old.md": text("a", 0)}, files{".satchel.yaml": "hide: [old.md]\n", "old.md": text("a", 0), "new.md": text("a", 1)}, files{"new.md": "old.md"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			y := s.syncer()
			stay := func(f files) files {
				for i := range 5 { // so that nothing shrinks
					f[fmt.Sprintf("stay/%d", i)] = fmt.Sprint(i)
				}
				return f
			}
			s.repo.commit(stay(c.before))
			s.sync(y)
			s.repo.commit(stay(c.after))
			if out := s.sync(y); !out.Published {
				t.Fatalf("%+v", out)
			}
			s.wantRenames(c.want)
			if c.after[".satchel.yaml"] != "" { // it hides old.md
				delete(c.after, "old.md")
			}
			delete(c.after, ".satchel.yaml")
			s.want(2, c.after)
		})
	}
}

// TestRenamesAreFoundWithoutMemory: by another syncer, after commits that
// changed nothing for students, and after a force-push.
func TestRenamesAreFoundWithoutMemory(t *testing.T) {
	s := newSite(t)
	s.repo.commit(files{"a.md": text("a", 0), "x": "x"})
	s.sync(s.syncer())
	s.repo.commit(files{"a.md": text("a", 0), "x": "x", ".satchel.yaml": "hide: [drafts/]\n"})
	s.sync(s.syncer())
	s.repo.git("checkout", "-q", "--orphan", "other")
	s.repo.git("branch", "-D", "main")
	s.repo.git("branch", "-m", "main")
	s.repo.commit(files{"b.md": text("a", 3), "x": "x"})
	s.sync(s.syncer())
	s.wantRenames(files{"b.md": "a.md"})
}

// TestFormerContentThatIsNotAtHand: the publish goes on without the hint.
func TestFormerContentThatIsNotAtHand(t *testing.T) {
	before, after := files{"a.md": text("a", 0), "x": "x"}, files{"b.md": text("a", 3), "x": "x"}
	for name, lose := range map[string]func(s *site, y *Syncer){
		"the former commit is gone from the repository": func(s *site, _ *Syncer) {
			s.repo.git("checkout", "-q", "--orphan", "other")
			s.repo.commit(after)
			s.repo.git("branch", "-D", "main")
			s.repo.git("branch", "-m", "main")
			s.repo.git("reflog", "expire", "--expire=now", "--all")
			s.repo.git("gc", "-q", "--prune=now")
		},
		"the course comes from another repository": func(s *site, _ *Syncer) {
			other := newRepo(s.t)
			s.c.Repository = other.dir
			other.commit(after)
		},
		"the record names a commit of other contents": func(s *site, _ *Syncer) {
			wrong := s.repo.commit(files{"a.md": text("z", 0), "x": "x"})
			rec, etag, err := store.ReadRecord(s.t.Context(), s.st, "scala101")
			if err != nil {
				s.t.Fatal(err)
			}
			rec.Commit, rec.Publish = wrong, "test"
			if _, err := store.SwapRecord(s.t.Context(), s.st, rec, etag); err != nil {
				s.t.Fatal(err)
			}
			s.repo.commit(after)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			y := s.syncer()
			s.repo.commit(before)
			s.sync(y)
			lose(s, y)
			if out := s.sync(y); !out.Published || out.Version != 2 {
				t.Fatalf("%+v", out)
			}
			s.want(2, after)
			s.wantRenames(nil)
		})
	}
}

// TestWithdrawnContentHasNoNewName: a file that was taken back does not live
// on as another.
func TestWithdrawnContentHasNoNewName(t *testing.T) {
	was := bundle.File{Path: "a.md", Mode: 0o644, Size: 9, Digest: bundle.Sum([]byte("a")), Policy: bundle.Merge}
	now := was
	now.Path, now.Digest = "b.md", bundle.Sum([]byte("b"))
	from, to := &bundle.Manifest{Files: []bundle.File{was}}, &bundle.Manifest{Files: []bundle.File{now}}
	if old, _ := candidates(from, to); len(old) != 1 {
		t.Fatalf("candidates %v", old)
	}
	to.Withdrawn = []bundle.Pair{{Path: was.Path, Digest: was.Digest}}
	if old, now := candidates(from, to); len(old)+len(now) > 0 {
		t.Errorf("candidates %v, %v", old, now)
	}
}

// TestRenamesCostNothingElse: a publish that takes nothing away, or adds
// nothing of that kind, reads no more than it must.
func TestRenamesCostNothingElse(t *testing.T) {
	s := newSite(t)
	y := s.syncer()
	all := files{"gone.md": text("g", 0), "moved.md": text("m", 0)}
	for i := range 60 {
		all[fmt.Sprintf("f%03d.md", i)] = text(fmt.Sprint(i), 0)
	}
	s.repo.commit(all)
	s.sync(y)
	for i, change := range []func(){
		func() { all["new.md"] = text("n", 0) },                                         // added
		func() { delete(all, "gone.md") },                                               // removed
		func() { all["f001.md"] = text("1", 3) },                                        // changed
		func() { all["elsewhere.md"] = all["moved.md"]; delete(all, "moved.md") },       // moved as it is
		func() { delete(all, "f002.md"); all["f002.txt"] = text("of another kind", 0) }, // nothing to compare
	} {
		change()
		s.repo.commit(all)
		if out := s.sync(y); out.Stats.FilesRead > 2 {
			t.Errorf("change %d: %d files read", i, out.Stats.FilesRead)
		}
	}
	delete(all, "f003.md")
	all["g003.md"] = text("3", 2)
	s.repo.commit(all)
	if out := s.sync(y); out.Stats.FilesRead > 4 { // selected, sent, compared with what it was
		t.Errorf("renamed: %d files read", out.Stats.FilesRead)
	}
	s.wantRenames(files{"g003.md": "f003.md"})
}

// opened counts what is read of a file system.
type opened struct {
	fs.FS
	reads *reads
	most  *atomic.Int64 // how often the same file was opened
	times map[string]int64
}

func countOpened(fsys fs.FS) opened {
	r := &reads{}
	return opened{counting{fsys, r}, r, &atomic.Int64{}, map[string]int64{}}
}

func (o opened) Open(name string) (fs.File, error) {
	o.times[name]++
	o.most.Store(max(o.most.Load(), o.times[name]))
	return o.FS.Open(name)
}

// TestAThousandRenamesAreBounded: whatever 1,000 files that go and 1,000 that
// come hold, at most 200 of either are read, each once, and the work is that
// of the lines that the bounds allow.
func TestAThousandRenamesAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		files   int
		content func(i int, side string) string
		paired  int
	}{
		"all alike":         {1000, func(i int, side string) string { return text("the same", 0) + side }, maxCompared},
		"each like its own": {1000, func(i int, side string) string { return text(fmt.Sprint(i), 0) + side }, maxCompared},
		"nothing alike": {1000, func(i int, side string) string {
			var b strings.Builder
			for j := range 100 {
				fmt.Fprintf(&b, "%s %d %d\n", side, i, j)
			}
			return b.String()
		}, 0},
		"more lines than may be": {250, func(i int, side string) string {
			return strings.Repeat("same\n", maxComparedLines/10-1) + fmt.Sprint(side, i)
		}, 10},
		"more bytes than may be": {17, func(i int, side string) string {
			if side == "b" {
				return fmt.Sprint(i)
			}
			return fmt.Sprint(i, strings.Repeat("x", 4<<20))
		}, 0},
		"bytes": {1000, func(i int, side string) string { return side + "\x00" + strings.Repeat("x", 20_000) + fmt.Sprint(i) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			manifest := func(side string) (*bundle.Manifest, opened) {
				m, fsys := &bundle.Manifest{}, fstest.MapFS{}
				for i := range c.files {
					data := []byte(c.content(i, side))
					p := fmt.Sprintf("%s/%04d.md", side, i)
					fsys[p] = &fstest.MapFile{Data: data}
					m.Files = append(m.Files, bundle.File{Path: p, Mode: 0o644, Size: int64(len(data)), Digest: bundle.Sum(data), Policy: bundle.Merge})
				}
				return m, countOpened(fsys)
			}
			from, was := manifest("a")
			to, is := manifest("b")
			old, now := candidates(from, to)
			var m similar.Matcher
			got := m.Match(t.Context(), sketches(t.Context(), was, old), sketches(t.Context(), is, now))
			for _, o := range []opened{was, is} {
				if f, b := o.reads.files.Load(), o.reads.bytes.Load(); f > maxCompared || b > maxComparedBytes+1 || o.most.Load() > 1 {
					t.Errorf("%d files of %d bytes read, one of them %d times", f, b, o.most.Load())
				}
			}
			if m.Compared > 2*maxCompared*maxComparedLines {
				t.Errorf("%d lines compared", m.Compared)
			}
			if len(got) != c.paired {
				t.Errorf("%d pairs, not %d", len(got), c.paired)
			}
			for p, q := range got {
				if c.paired == maxCompared && p[1:] != q[1:] {
					t.Errorf("%s was %s", p, q)
				}
			}
			t.Logf("%d files read, %d bytes; %d lines compared", was.reads.files.Load()+is.reads.files.Load(), was.reads.bytes.Load()+is.reads.bytes.Load(), m.Compared)
		})
	}
}

// TestNotebooksAndNamesComeFirst: of too many files those are compared that
// matter most, and both sides keep the same ones.
func TestNotebooksAndNamesComeFirst(t *testing.T) {
	file := func(p string) bundle.File { return bundle.File{Path: p, Size: 1} }
	var old, now []bundle.File
	for i := range 500 {
		old = append(old, file(fmt.Sprintf("a/0-only-old-%03d.md", i)), file(fmt.Sprintf("a/both-%03d.md", i)))
		now = append(now, file(fmt.Sprintf("b/0-only-new-%03d.md", i)), file(fmt.Sprintf("b/c/both-%03d.md", i)))
	}
	old, now = append(old, file("z/old.ipynb"), file("z/old.pdf")), append(now, file("z/new.ipynb"), file("z/new.csv"))
	a, b := foremost(old, now), foremost(now, old)
	if len(a) != maxCompared || len(b) != maxCompared || a[0].Path != "z/old.ipynb" || b[0].Path != "z/new.ipynb" {
		t.Fatalf("%d and %d, first %s and %s", len(a), len(b), a[0].Path, b[0].Path)
	}
	for i := 1; i < maxCompared; i++ {
		if want := fmt.Sprintf("both-%03d.md", i-1); a[i].Path != "a/"+want || b[i].Path != "b/c/"+want {
			t.Fatalf("%d: %s and %s", i, a[i].Path, b[i].Path)
		}
	}
	few := foremost([]bundle.File{file("a.pdf"), file("b.md")}, []bundle.File{file("c.md")})
	if !slices.Equal(few, []bundle.File{file("b.md")}) {
		t.Errorf("a kind that the other side has not: %v", few)
	}
}

// TestBytesThatAreNotTheManifestsAreNotCompared: nor a file that is shorter,
// longer or absent.
func TestBytesThatAreNotTheManifestsAreNotCompared(t *testing.T) {
	good := []byte(text("a", 0))
	f := bundle.File{Path: "a.md", Size: int64(len(good)), Digest: bundle.Sum(good)}
	for name, data := range map[string][]byte{"other": []byte(strings.ToUpper(string(good))), "shorter": good[:20], "longer": append(good[:len(good):len(good)], '\n'), "empty": nil} {
		if got, read := content(fstest.MapFS{"a.md": {Data: data}}, f); got != nil || read > f.Size+1 {
			t.Errorf("%s: %q, %d bytes read", name, got, read)
		}
	}
	if got, _ := content(fstest.MapFS{}, f); got != nil {
		t.Errorf("absent: %q", got)
	}
	large := append([]byte("\x00"), strings.Repeat("x", 1<<20)...)
	if got, read := content(fstest.MapFS{"a.md": {Data: large}}, bundle.File{Path: "a.md", Size: int64(len(large)), Digest: bundle.Sum(large)}); got != nil || read > firstLook {
		t.Errorf("no text: %d bytes, %d read", len(got), read)
	}
	if got, read := content(fstest.MapFS{"a.md": {Data: good}}, f); string(got) != string(good) || read != f.Size {
		t.Errorf("%q, %d bytes read", got, read)
	}
}
