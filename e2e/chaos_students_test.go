//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"satchel/agent"
	"satchel/hook"
)

// hubWaits is how long the hub's spawn hook asks for a ticket; it then lets
// the student in without one. loginWaits is a start hook's budget, and grace
// what a machine that runs eighty programs on its processors may need beside.
const (
	hubWaits   = 2 * time.Second
	loginWaits = 8 * time.Second
	grace      = 4 * time.Second
)

// takenBackName stands in each file that is to be withdrawn; no student writes there.
const takenBackName = "taken-back"

// saving ends the names of files that are about to replace others.
const saving = "~saving"

// learner is a student of the chaos: who logs in, works, saves and logs out,
// again and again.
type learner struct {
	*student
	sys   *system
	dice  *rand.Rand
	edits bool // else only reads
	small bool // the home lies on a filesystem that may be full

	saved   []string // each line that was saved, all different
	touched map[string]bool
	thrown  int
	version int // highest that was seen
}

func (l *learner) home() string { return filepath.Dir(l.root) }

// study is the student's day, until the calm.
func (l *learner) study(ctx context.Context) {
	for ctx.Err() == nil {
		l.login(ctx)
		for range 1 + l.dice.IntN(6) {
			l.sys.pause(ctx, l.dice, 200*time.Millisecond, 1500*time.Millisecond)
			if ctx.Err() == nil && l.edits {
				l.work()
			}
		}
		l.logout()
		l.sys.pause(ctx, l.dice, 0, 4*time.Second)
	}
}

// admission is what the hub's hook gets; nothing where it gets no answer in time.
func (l *learner) admission(ctx context.Context) (adm hook.Admission) {
	ctx, cancel := context.WithTimeout(ctx, hubWaits)
	defer cancel()
	front := l.sys.fronts[l.dice.IntN(len(l.sys.fronts))]
	adm, err := admitAt(ctx, front.hub.addr, l.name, l.sys.hookSecret())
	if err != nil {
		return hook.Admission{}
	}
	adm.URL = strings.Replace(adm.URL, front.students, front.door.addr, 1)
	return adm
}

// login is a spawn and a server's start: it must end well and in time,
// whatever is broken.
func (l *learner) login(ctx context.Context) {
	adm := l.admission(ctx)
	c := l.agent(adm, "sync", "--hook")
	if adm.URL == "" {
		c.Env = slices.DeleteFunc(c.Env, func(v string) bool {
			return strings.HasPrefix(v, hook.EnvURL+"=") || strings.HasPrefix(v, hook.EnvTicket+"=") || strings.HasPrefix(v, hook.EnvKeys+"=")
		})
	}
	began := time.Now()
	out, code, killed := l.run(c)
	l.sys.figures.login(time.Since(began), adm.URL != "", killed)
	if code != 0 && !killed || strings.Contains(out, "panic:") {
		l.sys.fail("%s: a login ended with %d:\n%s", l.name, code, out)
	}
	l.look()
}

// run runs a start hook, which may be killed as anything else may.
func (l *learner) run(c *exec.Cmd) (out string, code int, killed bool) {
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	if err := c.Start(); err != nil {
		l.sys.fail("%s: %v", l.name, err)
		return "", 0, true
	}
	if l.dice.IntN(40) == 0 {
		l.sys.figures.fault("agent killed at its start")
		timer := time.AfterFunc(time.Duration(l.dice.IntN(300))*time.Millisecond, func() { _ = c.Process.Kill() })
		defer timer.Stop()
	}
	_ = c.Wait()
	status, _ := c.ProcessState.Sys().(syscall.WaitStatus)
	return b.String(), c.ProcessState.ExitCode(), status.Signaled()
}

// status is what the agent says of the home, without the service.
func (l *learner) status() (agent.CourseStatus, error) {
	var s agent.Status
	out, err := l.agent(hook.Admission{}, "status", "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil || len(s.Courses) == 0 {
		return agent.CourseStatus{}, err
	}
	return s.Courses[0], nil
}

// look sees that the version never falls.
func (l *learner) look() {
	s, err := l.status()
	if err != nil {
		return // the disk may be full, or a run in the middle
	}
	if v := int(s.Version); v > 0 && v < l.version {
		l.sys.fail("%s went from version %d back to %d", l.name, l.version, v)
	} else {
		l.version = max(l.version, v)
	}
}

// logout ends the container: what runs in it is told, or killed.
func (l *learner) logout() {
	signal := syscall.SIGTERM
	if l.dice.IntN(3) == 0 {
		signal = syscall.SIGKILL
		l.sys.figures.fault("watch killed")
	}
	eventually(l.sys.t, time.Minute, "the end of "+l.name+"'s watch", func() error {
		pids := watches(l.home())
		for _, pid := range pids {
			_ = syscall.Kill(pid, signal)
		}
		if len(pids) > 0 {
			return fmt.Errorf("running: %v", pids)
		}
		return nil
	})
}

// work is one thing that a student does to a file.
func (l *learner) work() {
	files := l.files()
	p := fmt.Sprintf("mine %d.txt", l.dice.IntN(5))
	if len(files) > 0 && l.dice.IntN(6) > 0 {
		p = files[l.dice.IntN(len(files))]
	}
	if l.dice.IntN(12) == 0 {
		// Out of the course's folder, not out of the world: a merge may just have
		// brought a line of the student's there.
		l.thrown++
		l.touched[p] = true
		_ = os.Rename(filepath.Join(l.folder(), p), filepath.Join(l.home(), fmt.Sprintf("thrown-%d", l.thrown)))
		return
	}
	data, err := os.ReadFile(filepath.Join(l.folder(), p))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		l.save(p, string(data))
	}
}

// files are those of the folder that a student may touch.
func (l *learner) files() (out []string) {
	_ = filepath.WalkDir(l.folder(), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(p, takenBackName) && !strings.HasSuffix(p, saving) {
			rel, _ := filepath.Rel(l.folder(), p)
			out = append(out, rel)
		}
		return nil
	})
	return out
}

// save adds a line or a cell of the student's own to what was read, and saves
// it: in place as editors do, or by a file beside.
func (l *learner) save(p, read string) {
	token := fmt.Sprintf("%s-wrote-%d-here", l.name, len(l.saved))
	text := read + token + "\n"
	if strings.HasSuffix(p, ".ipynb") {
		text = withOneMoreCell(read, token)
	}
	file := filepath.Join(l.folder(), p)
	var err error
	if !l.small && l.dice.IntN(2) == 0 { // a full disk would take what the file had
		err = os.WriteFile(file, []byte(text), 0o644)
		l.give(file)
	} else if err = os.WriteFile(file+saving, []byte(text), 0o644); err == nil {
		l.give(file + saving)
		err = os.Rename(file+saving, file)
	}
	if err == nil { // else the disk is full, or the folder just gets another place
		l.saved = append(l.saved, token)
		l.touched[p] = true
	}
}

func (l *learner) give(file string) {
	if os.Getuid() == 0 {
		_ = os.Lchown(file, studentID, studentID)
	}
}

// withOneMoreCell is a notebook with one more cell.
func withOneMoreCell(notebook, token string) string {
	var nb map[string]any
	if json.Unmarshal([]byte(notebook), &nb) != nil {
		return notebook + token // half of it was read: saved as it is
	}
	cells, _ := nb["cells"].([]any)
	nb["cells"] = append(cells, map[string]any{"cell_type": "markdown", "id": token, "metadata": map[string]any{}, "source": token})
	out, _ := json.Marshal(nb)
	return string(out)
}

// lost are the lines that are nowhere in the home.
func (l *learner) lost() (gone []string) {
	left := map[string]bool{}
	for _, s := range l.saved {
		left[s] = true
	}
	l.everyFile(func(_ string, data []byte) {
		for s := range left {
			if bytes.Contains(data, []byte(s)) {
				delete(left, s)
			}
		}
	})
	return sortedNames(left)
}

// everyFile gives each file of the home, Satchel's own too.
func (l *learner) everyFile(see func(path string, data []byte)) {
	_ = filepath.WalkDir(l.home(), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if data, err := os.ReadFile(p); err == nil {
				see(p, data)
			}
		}
		return nil
	})
}
