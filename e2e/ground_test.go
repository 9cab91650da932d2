//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ground is a filesystem for students' homes.
type ground struct {
	name  string
	tools []string // programs it needs
	// mount mounts it at dir; below is a folder for what it needs.
	mount func(t testing.TB, dir, below string) error
	needs string // a filesystem of the kernel's that may be missing
	// What it cannot do.
	noExchange bool // a name may be away for a moment
	claims     bool // a new name may be an empty file for a moment
	noOwner    bool // all is the student's, whoever writes it
	noModes    bool
}

// lay mounts it and gives its folder. Where this kernel does not have it, the
// test runs in one that has, and there is nothing more to do here. A program
// that is missing, and a mount that fails for another reason, fail the test.
func (g ground) lay(t *testing.T) (dir string, laid bool) {
	t.Helper()
	for _, tool := range g.tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: make e2e installs it", err)
		}
	}
	if g.needs != "" && !strings.Contains(readFile(t, "/proc/filesystems")+readFile(t, kernelSays), g.needs) {
		return "", inAnotherKernel(t)
	}
	below := quickDir(t)
	dir = filepath.Join(below, "mount")
	must(t, os.Mkdir(dir, 0o755))
	if err := g.mount(t, dir, below); err != nil {
		if !mountsRefused(t) {
			t.Fatalf("%s: %v", g.name, err)
		}
		t.Skipf("the kernel refuses mounts here: %v", err)
	}
	t.Cleanup(func() { unmount(dir) })
	if os.Getuid() == 0 && !g.noOwner {
		must(t, os.Chmod(dir, 0o777))
	}
	return dir, true
}

func unmount(dir string) {
	for range 50 {
		if err := syscall.Unmount(dir, 0); err != syscall.EBUSY {
			return
		}
		time.Sleep(100 * time.Millisecond) // a daemon of FUSE lets go late
	}
	_ = syscall.Unmount(dir, syscall.MNT_DETACH)
}

// mountsRefused says whether this kernel lets this process mount nothing.
func mountsRefused(t testing.TB) bool {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return true
	}
	must(t, syscall.Unmount(dir, 0))
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err != nil
}

// command is a mount that is one program; $dir and $below are replaced.
func command(args ...string) func(testing.TB, string, string) error {
	return func(_ testing.TB, dir, below string) error {
		r := strings.NewReplacer("$dir", dir, "$below", below, "$uid", fmt.Sprint(studentID))
		var a []string
		for _, arg := range args {
			a = append(a, r.Replace(arg))
		}
		out, err := exec.Command(a[0], a[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(a, " "), err, out)
		}
		return nil
	}
}

// before gives a mount that first runs other commands.
func before(mount func(testing.TB, string, string) error, script string) func(testing.TB, string, string) error {
	return func(t testing.TB, dir, below string) error {
		c := exec.Command("sh", "-euc", script)
		c.Dir, c.Env = below, append(os.Environ(), "PATH=/usr/sbin:/sbin:"+os.Getenv("PATH"), fmt.Sprint("ID=", studentID))
		mustRun(t, c)
		return mount(t, dir, below)
	}
}

// inOwnNamespace says whether this process is in a namespace of its own, in
// which the kernel lets it mount; else the test is run in one, and its result
// is taken over.
func inOwnNamespace(t *testing.T) bool {
	t.Helper()
	const inside = "E2E_NAMESPACE"
	if os.Getenv(inside) != "" {
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.v", "-test.count=1", "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
	c.Env = append(os.Environ(), inside+"=1")
	const capSysAdmin = 21
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: studentID, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: studentID, HostID: os.Getegid(), Size: 1}},
		AmbientCaps: []uintptr{capSysAdmin},
	}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a namespace of its own (needs user namespaces): %v\n%s", err, out)
	}
	t.Logf("in a namespace of its own:\n%s", out)
	return false
}
