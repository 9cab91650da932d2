package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTerminalShowsOneLineThatChanges(t *testing.T) {
	var out bytes.Buffer
	show := Printer(&out, Terminal, Words{})
	show(Event{Kind: Progress, Done: 1, Files: 4, Bytes: 10e6, Total: 40e6})
	show(Event{Kind: Progress, Done: 4, Files: 4, Bytes: 40e6, Total: 40e6})
	show(Event{Kind: Sentence, Text: "Updated."})
	show(Event{Kind: Finished})
	want := clearLine + "[=====               ] 1/4  10 MB / 40 MB" + clearLine + "[====================] 4/4  40 MB / 40 MB" + clearLine + "Updated.\n"
	if out.String() != want {
		t.Errorf("shown %q", out.String())
	}
}

func TestLogShowsPlainLinesAndJSONEverything(t *testing.T) {
	for look, want := range map[Look]int{Lines: 1, JSON: 3, Quiet: 0} {
		var out bytes.Buffer
		show := Printer(&out, look, Words{})
		for _, e := range []Event{{Kind: Progress, Done: 1, Files: 2}, {Kind: Sentence, Text: "Hello."}, {Kind: Finished}} {
			show(e)
		}
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("%s: %q", look, out.String())
		}
	}
}

// attending feeds Attend with lines and gives what was shown, and how long it
// took.
func attending(t *testing.T, budget time.Duration, feed func(w io.WriteCloser)) (shown []string, took time.Duration) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fed := make(chan struct{})
	go func() { feed(w); close(fed) }()
	began := time.Now()
	Attend(t.Context(), r, budget, Words{}, func(e Event) {
		if e.Kind == Sentence {
			shown = append(shown, e.Text)
		}
	})
	took = time.Since(began)
	w.Close()
	<-fed
	return shown, took
}

func TestLoginWaitsForTheFirstPassAndNoLonger(t *testing.T) {
	line := func(e Event) string { data, _ := json.Marshal(e); return string(data) + "\n" }
	for name, c := range map[string]struct {
		feed func(io.WriteCloser)
		want []string
		over bool // the budget
	}{
		"finished": {func(w io.WriteCloser) {
			io.WriteString(w, line(Event{Kind: Sentence, Text: "Hello."})+line(Event{Kind: Finished})+line(Event{Kind: Sentence, Text: "too late"}))
		}, []string{"Hello."}, false},
		"the other process died": {func(w io.WriteCloser) { w.Close() }, nil, false},
		"garbage":                {func(w io.WriteCloser) { io.WriteString(w, "{]\n\x00\x01\nnull\n"); w.Close() }, nil, false},
		"a line without end": {func(w io.WriteCloser) {
			io.WriteString(w, strings.Repeat("x", maxEventLine+1))
			w.Close()
		}, nil, false},
		"control characters": {func(w io.WriteCloser) {
			io.WriteString(w, line(Event{Kind: Sentence, Text: "a\x1b[2Jb"}))
			w.Close()
		}, []string{`a\x1b[2Jb`}, false},
		"silent": {func(io.WriteCloser) {}, []string{"Course material is still being fetched; it goes on in the background."}, true},
		"still arriving": {func(w io.WriteCloser) {
			io.WriteString(w, line(Event{Kind: Progress, Done: 120, Files: 400, Folder: "data/", NB: true}))
		}, []string{"Still arriving: 120 of 400 files (data/). The notebooks are complete."}, true},
		"without end, slowly": {func(w io.WriteCloser) { drip(w, line(Event{Kind: Progress, Done: 1, Files: 2})) }, nil, true},
	} {
		shown, took := attending(t, 300*time.Millisecond, c.feed)
		if c.want != nil && !slices.Equal(shown, c.want) {
			t.Errorf("%s: shown %q", name, shown)
		}
		if took > 2*time.Second || c.over && took < 250*time.Millisecond {
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

func drip(w io.WriteCloser, line string) {
	for {
		if _, err := io.WriteString(w, line); err != nil {
			return
		}
	}
}

func TestLogIsBoundedAndFollowsNoLink(t *testing.T) {
	root := t.TempDir()
	l := OpenLog(root)
	for i := range 3000 {
		fmt.Fprintf(l, "%d %s\n", i, strings.Repeat("x", 500))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(l, "after its end")
	total := int64(0)
	for _, name := range []string{LogFile, LogFile + ".old"} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || info.Size() > maxLog || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
			continue
		}
		total += info.Size()
	}
	if data, _ := os.ReadFile(filepath.Join(root, LogFile)); !strings.Contains(string(data), "2999 x") {
		t.Error("the newest line is lost")
	}
	outside := filepath.Join(t.TempDir(), "outside")
	for _, plant := range []string{".satchel", logFolder, LogFile} {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(plant)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(root, plant)); err != nil {
			t.Fatal(err)
		}
		l := OpenLog(root)
		fmt.Fprintln(l, "hello")
		l.Close()
		if _, err := os.Lstat(outside); !os.IsNotExist(err) {
			t.Fatalf("written through %s", plant)
		}
	}
	none := OpenLog("/sys/kernel")
	fmt.Fprintln(none, "swallowed")
	none.Close()
}

// TestLogIsNeverAStudentsFile: neither by a second name of it, nor by a link
// that stays inside the root.
func TestLogIsNeverAStudentsFile(t *testing.T) {
	for name, plant := range map[string]func(root string) error{
		"hard link": func(root string) error {
			return errors.Join(os.MkdirAll(filepath.Join(root, logFolder), 0o700), os.Link(filepath.Join(root, "mine", "agent.log"), filepath.Join(root, LogFile)))
		},
		"link": func(root string) error {
			return errors.Join(os.MkdirAll(filepath.Join(root, logFolder), 0o700), os.Symlink("../../mine/agent.log", filepath.Join(root, LogFile)))
		},
		"FIFO": func(root string) error {
			return errors.Join(os.MkdirAll(filepath.Join(root, logFolder), 0o700), unix.Mkfifo(filepath.Join(root, LogFile), 0o600))
		},
		"folder by a link": func(root string) error {
			return errors.Join(os.Mkdir(filepath.Join(root, ".satchel"), 0o700), os.Symlink("../mine", filepath.Join(root, logFolder)))
		},
		".satchel by a link": func(root string) error {
			return errors.Join(os.Rename(filepath.Join(root, "mine"), filepath.Join(root, ".log")), os.Mkdir(filepath.Join(root, "mine"), 0o700),
				os.Rename(filepath.Join(root, ".log"), filepath.Join(root, "mine", ".log")), os.Symlink("mine", filepath.Join(root, ".satchel")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			mine := filepath.Join(root, "mine", "agent.log")
			if err := errors.Join(os.Mkdir(filepath.Dir(mine), 0o700), os.WriteFile(mine, []byte("{}"), 0o644)); err != nil {
				t.Fatal(err)
			}
			if err := plant(root); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				l := OpenLog(root)
				fmt.Fprintln(l, "a line")
				l.Close()
			}
			err := filepath.WalkDir(filepath.Join(root, "mine"), func(p string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					if data, err := os.ReadFile(p); err != nil || string(data) != "{}" {
						t.Errorf("%s holds %q, %v", p, data, err)
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "by a link") {
				return
			}
			if data, _ := os.ReadFile(filepath.Join(root, LogFile)); string(data) != "a line\na line\n" {
				t.Errorf("the log holds %q", data)
			}
		})
	}
}

func TestPageKeepsNamesPlain(t *testing.T) {
	m := &memory{}
	m.remember(newsItem{Time: time.Now(), Course: "scala101", Lines: []string{Words{}.Withdrawn("<img src=x onerror=alert(1)>.md"), Words{}.Withdrawn("[click](javascript:x)`~*$|&.md")}})
	page := string(m.page(Words{}))
	for _, bad := range []string{"\n<", " <img", " [click]", " `", "$|"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q:\n%s", bad, page)
		}
	}
	for range maxNews + 10 {
		m.remember(newsItem{Time: time.Now(), Course: "c", Lines: slices.Repeat([]string{"x"}, 500)})
	}
	if len(m.News) != maxNews || len(m.News[0].Lines) != maxNewsLines+1 {
		t.Errorf("%d items with %d lines", len(m.News), len(m.News[0].Lines))
	}
}
