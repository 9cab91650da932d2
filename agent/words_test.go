package agent

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"satchel/bundle"
	"satchel/workdir"
)

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func TestBothLanguagesSaySentencesWithTheSamePlaceholders(t *testing.T) {
	for k, s := range sentences {
		en, es := placeholder.FindAllString(s.en, -1), placeholder.FindAllString(s.es, -1)
		slices.Sort(en)
		slices.Sort(es)
		switch {
		case s.en == "" || s.es == "":
			t.Errorf("%s: a language is missing", k)
		case !slices.Equal(slices.Compact(en), slices.Compact(es)):
			t.Errorf("%s: placeholders %v in English, %v in Spanish", k, en, es)
		case strings.ContainsAny(s.en+s.es, "\n\r\t"):
			t.Errorf("%s: more than one line", k)
		}
	}
}

// fill makes a value for a parameter of a typed function.
func fill(t *testing.T, typ reflect.Type) reflect.Value {
	t.Helper()
	switch typ {
	case reflect.TypeFor[string]():
		return reflect.ValueOf("a/b.ipynb")
	case reflect.TypeFor[int]():
		return reflect.ValueOf(3)
	case reflect.TypeFor[int64]():
		return reflect.ValueOf(int64(41_000_000))
	case reflect.TypeFor[bool]():
		return reflect.ValueOf(true)
	case reflect.TypeFor[bundle.Version]():
		return reflect.ValueOf(bundle.Version(15))
	case reflect.TypeFor[time.Time]():
		return reflect.ValueOf(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	case reflect.TypeFor[[]string]():
		return reflect.ValueOf([]string{"hw1.ipynb", "notes.md"})
	}
	t.Fatalf("no value for %s", typ)
	return reflect.Value{}
}

// TestEveryTypedFunctionFillsItsSentence calls each method of Words in each
// language: none leaves a placeholder, and the two languages differ.
func TestEveryTypedFunctionFillsItsSentence(t *testing.T) {
	typ := reflect.TypeFor[Words]()
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		var said []string
		for _, w := range []Words{{}, {spanish: true}} {
			in := []reflect.Value{reflect.ValueOf(w)}
			for j := 1; j < m.Type.NumIn(); j++ {
				in = append(in, fill(t, m.Type.In(j)))
			}
			s := m.Func.Call(in)[0].String()
			if s == "" || placeholder.MatchString(s) {
				t.Errorf("%s: %q", m.Name, s)
			}
			said = append(said, s)
		}
		if said[0] == said[1] {
			t.Errorf("%s is the same in both languages: %q", m.Name, said[0])
		}
	}
}

// TestSentencesOfTheFolderPage holds the very words of docs/work-folder.md.
func TestSentencesOfTheFolderPage(t *testing.T) {
	w := Words{}
	day := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{w.UpToDate(14), "Course material is up to date (version 14)."},
		{w.Updated(15, 3, 2, 1), "Updated to version 15: 3 new, 2 changed, 1 removed."},
		{w.Updated(15, 1, 0, 0), "Updated to version 15: 1 new."},
		{w.Merged("hw1/lab.ipynb", []string{`cell 4 ("Exercise 2")`, `cell 9 ("def fib(n)")`}, []string{"cell 9"}),
			`hw1/lab.ipynb: your work is kept; the course's changes to cell 4 ("Exercise 2") and cell 9 ("def fib(n)") were added. Run cell 9 again.`},
		{w.SameLines("hw1/answers.txt", "answers (course v15).txt"),
			`hw1/answers.txt: you and the course changed the same lines. Yours is in place; theirs is in "answers (course v15).txt".`},
		{w.InTheWay("n.txt", "n (course v15).txt"), `n.txt: a new course file has the name of yours. Yours stays; the course's is "n (course v15).txt".`},
		{w.RemovedKept("old.ipynb"), "old.ipynb was removed from the course; you had changed it, so it stays."},
		{w.BroughtBack("lab.ipynb"), "lab.ipynb had been deleted here; the newest version was brought back. Delete it again to keep it away."},
		{w.NotWritten("ro/a.txt", workdir.ReasonPermission, ""),
			"Could not update ro/a.txt (no write permission). Everything else is up to date; it will be tried again at the next login."},
		{w.NoSpace("data/big.csv", 40e6, 12e6), "Not enough space for data/big.csv (40 MB needed, 12 MB free). Everything else is up to date."},
		{w.Unreachable(14, day), "The course server cannot be reached; you have version 14 of 20 November."},
		{w.Arriving(120, 400, "data/", true), "Still arriving: 120 of 400 files (data/). The notebooks are complete."},
		{w.Waiting([]string{"hw1.ipynb", "notes.md"}), "2 updates wait until you close them: hw1.ipynb, notes.md."},
		{w.NoCourse(nil), "No course is assigned to you (your groups: none). Ask your teacher."},
		{w.Empty("scala101"), "Nothing has been released yet in scala101."},
		{w.Withdrawn("solution.ipynb"), "solution.ipynb was withdrawn by your teacher and removed."},
		{w.Unverified(), "The material could not be verified, so nothing was changed. Tell your teacher."},
	} {
		if c.got != c.want {
			t.Errorf("said\n  %s\nand not\n  %s", c.got, c.want)
		}
	}
}

func TestLanguageIsTheCoursesThenTheEnvironments(t *testing.T) {
	for _, c := range []struct {
		settings []string
		spanish  bool
	}{
		{[]string{"", "es_ES.UTF-8"}, true}, {[]string{"es", "en_US.UTF-8"}, true}, {[]string{"en", "es_ES"}, false},
		{[]string{"", "C.UTF-8"}, false}, {[]string{"", "estonian"}, false}, {nil, false}, {[]string{"", "C", "es"}, true},
	} {
		if got := WordsFor(c.settings...); got.spanish != c.spanish {
			t.Errorf("%q: spanish %v", c.settings, got.spanish)
		}
	}
}

// TestNamesCannotForgeLinesOrHideText is about names that an instructor or a
// thief of the service chose: a terminal and a page show them as text.
func TestNamesCannotForgeLinesOrHideText(t *testing.T) {
	for _, name := range []string{
		"a\nYour password is wrong", "\x1b]0;owned\x07", "a\r.ipynb", "x\u202egpj.exe", "a\x00b", "bad\xff\xfe", "l\u2028m", "\u0085", strings.Repeat("é", 5000),
	} {
		said := Words{}.Withdrawn(name)
		for _, r := range said {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
				t.Errorf("%q is said with %U", name, r)
			}
		}
		if len(said) > maxValue+200 {
			t.Errorf("%d bytes are said", len(said))
		}
	}
	if got := Plain("niño/héllo – 数学.ipynb"); got != "niño/héllo – 数学.ipynb" {
		t.Errorf("ordinary letters became %q", got)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1500: "2 kB", 40_200_000: "40 MB", 1_340_000_000: "1.3 GB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %q, not %q", n, got, want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("a\x1b[31m")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Plain(s) {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf) {
				t.Fatalf("%q holds %U", Plain(s), r)
			}
		}
	})
}
