//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// TestHubTry is "make try-hub": what it prints can be used, and Ctrl-C leaves
// nothing.
func TestHubTry(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) // the student's user goes through it
	run, err := filepath.Abs("../deploy/try-hub/run.py")
	must(t, err)
	c := exec.Command(hubProgram(t, "6.1.1", "python"), run)
	c.Env = append(os.Environ(), "TRY_HUB_DIR="+filepath.Join(dir, "try"), "PORT=0")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	h := &hub{process: startCommand(t, t.TempDir(), c), t: t, dir: filepath.Join(dir, "try")}
	var told []string
	eventually(t, 2*time.Minute, "the address", func() error {
		if h.ended() {
			t.Fatal(h.output())
		}
		told = regexp.MustCompile(`(?s)at +(http://127.0.0.1:\d+)\n.*ana or ben, password (\S+)\n`).FindStringSubmatch(h.output())
		if told == nil {
			return errors.New("not printed")
		}
		return nil
	})
	h.url = told[1]
	for _, name := range []string{"ana", "ben"} {
		p := h.person(name)
		p.loginBy(told[2]).spawn("")
		if _, err := os.Stat(filepath.Join(h.dir, "hub/home", name, "scala101/news.md")); err != nil {
			t.Error(err)
		}
	}
	_ = syscall.Kill(h.cmd.Process.Pid, syscall.SIGINT)
	select {
	case <-h.done:
	case <-time.After(time.Minute):
		t.Fatal("it did not end within a minute of Ctrl-C")
	}
	if h.err != nil {
		t.Error(h.err, h.output())
	}
	h.gone("", 10*time.Second)
	if _, err := os.Lstat(h.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder: %v", err)
	}
}
