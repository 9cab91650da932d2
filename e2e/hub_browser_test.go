//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// browser is a student's Chromium, which does what testdata/hub/browser.mjs
// says.
type browser struct {
	t    testing.TB
	said chan string
	in   io.WriteCloser
	errs *os.File
}

func (h *hub) browser(name, pictures string) *browser {
	h.t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		h.t.Fatalf("%v: make hub installs it", err)
	}
	c := exec.Command("node", "testdata/hub/browser.mjs", h.url, name, hubPassword, pictures)
	c.Env = append(os.Environ(), "CHROMIUM="+chromium)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	b := &browser{t: h.t, said: make(chan string, 100)}
	b.in, err = c.StdinPipe()
	must(h.t, err)
	out, err := c.StdoutPipe()
	must(h.t, err)
	b.errs, err = os.CreateTemp(h.dir, "browser-*.log")
	must(h.t, err)
	c.Stderr = b.errs
	must(h.t, c.Start())
	go func() {
		defer close(b.said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			b.said <- lines.Text()
		}
	}()
	h.t.Cleanup(func() {
		b.in.Close() // it ends by itself
		limit := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
		_ = c.Wait()
		limit.Stop()
		b.errs.Close()
	})
	return b
}

// until gives what it says up to a word.
func (b *browser) until(word string) (said []string) {
	b.t.Helper()
	limit := time.After(3 * time.Minute)
	for {
		select {
		case line, ok := <-b.said:
			if !ok {
				b.t.Fatalf("the browser said %q, and ended:\n%s", said, readFile(b.t, b.errs.Name()))
			}
			if said = append(said, line); line == word {
				return said
			}
		case <-limit:
			b.t.Fatalf("the browser said only %q", said)
		}
	}
}

func (b *browser) goOn() { fmt.Fprintln(b.in) }

// TestHubBrowser: a student logs in, reads what is new, opens the delivered
// notebook, and types in two tabs; a push comes before they save. All that
// was typed is there afterwards, and at the next start all that was pushed.
func TestHubBrowser(t *testing.T) {
	s := newSite(t)
	v := s.configure("one", "").run("serve")
	v.ready(1)
	h := s.hub(hubOptions{version: "6.1.1", config: v.withHook()})
	pictures := t.TempDir()
	b := h.browser("ana", pictures)
	said := strings.Join(b.until("typed"), "\n")
	for _, want := range []string{"page: Course material: version 1 is ready.", "news: ", "version 1", "notebook: Lab 2: reading a data file"} {
		if !strings.Contains(said, want) {
			t.Errorf("the browser showed\n%s\nwithout %q", said, want)
		}
	}
	t.Log(said)

	readme := readFile(t, h.home("ana", "scala101/README.md"))
	s.repo.set("README.md", strings.Replace(readme, "\n", "\n\nA line of the instructor's.\n", 1))
	notebook := readFile(t, h.home("ana", "scala101/lab2/rainfall.ipynb"))
	s.repo.set("lab2/rainfall.ipynb", strings.Replace(notebook, "# Lab 2: reading", "# Lab 2, second edition: reading", 1))
	s.repo.set("lab2/new.md", "new\n")
	s.repo.push("while they type")
	v.publish()
	has := func(path string, words ...string) func() error {
		return func() error {
			text := readFile(t, h.home("ana", path))
			for _, w := range words {
				if !strings.Contains(text, w) {
					return fmt.Errorf("%s has no %q:\n%s", path, w, text)
				}
			}
			return nil
		}
	}
	eventually(t, 30*time.Second, "the push, beside the open tabs", func() error { return isText(h.home("ana", "scala101/lab2/new.md"), "new\n") })
	eventually(t, 30*time.Second, "the sentence", has("What is new.md", "2 updates wait until you close them: README.md, lab2/rainfall.ipynb."))
	b.goOn()
	b.until("saved")
	must(t, has("scala101/README.md", "my unsaved words")())
	must(t, has("scala101/lab2/rainfall.ipynb", "# my unsaved cell")())
	b.goOn()

	h.stopServer("ana", "") // at the next start nothing is open
	h.person("ana").login().spawn("")
	eventually(t, 30*time.Second, "both's words in the text", has("scala101/README.md", "my unsaved words", "A line of the instructor's."))
	eventually(t, 30*time.Second, "both's words in the notebook", has("scala101/lab2/rainfall.ipynb", "# my unsaved cell", "# Lab 2, second edition: reading"))
	keepPictures(t, pictures)
}

// keepPictures puts the screenshots into docs, where -update says so.
func keepPictures(t *testing.T, from string) {
	t.Helper()
	taken, err := filepath.Glob(filepath.Join(from, "*.png"))
	must(t, err)
	if len(taken) < 3 {
		t.Errorf("only %d pictures were taken", len(taken))
	}
	for _, file := range taken {
		if *writePage {
			mustRun(t, exec.Command("cp", file, filepath.Join("../docs", filepath.Base(file))))
		}
	}
}
