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

// Quotas of ext4, NFS and VFAT are seldom in the kernel of a CI machine, and
// no container may load them. User-mode Linux is a whole kernel that runs as
// an ordinary program, with the machine's own files as its root: the test runs
// there once more, with servers, agent and all.

// kernelSays holds what this kernel was built with, as far as tests ask.
const kernelSays = "/proc/cmdline"

func init() {
	if data, _ := os.ReadFile(kernelSays); strings.Contains(string(data), "satchel.e2e") {
		patience = 10
	}
}

// kernelInit is the first process there. It loads what is needed, runs one
// test, and says how that ended.
const kernelInit = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/shm
for dir in /dev/shm /tmp /run /var/lib/nfs; do mount -t tmpfs -o mode=1777 tmpfs $dir; done
ip link set lo up
mkdir -p /tmp/kernel/lib && ln -s /usr/lib/uml/modules /tmp/kernel/lib/modules
for module in loop quota_v2 vfat nls_ascii nls_utf8 nls_cp437 nls_iso8859_1 nfsd nfsv3 nfsv4 lockd; do
  modprobe -d /tmp/kernel -S "$(uname -r)" $module 2>/dev/null
done
cd $DIR
SATCHEL_BIN=$DIR ./e2e.test -test.v -test.timeout 20m -test.run '$TEST'
echo "the test there ended with $?"
sync
exec poweroff -f
`

// inAnotherKernel runs this test there and takes over its result. It gives
// false: there is nothing more to do here.
func inAnotherKernel(t *testing.T) bool {
	t.Helper()
	if strings.Contains(readFile(t, kernelSays), "satchel.e2e") {
		t.Fatal("not to be had in this kernel either")
	}
	for _, tool := range []string{"linux.uml", "modprobe", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: make e2e installs it", err)
		}
	}
	dir, err := os.MkdirTemp("/var/tmp", "satchel-e2e-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	self, err := os.Executable()
	must(t, err)
	mustRun(t, exec.Command("cp", self, filepath.Join(dir, "e2e.test")))
	for _, name := range []string{"satchel", "satchel-agent"} {
		mustRun(t, exec.Command("cp", binary(t, name), dir))
	}
	this := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	write(t, filepath.Join(dir, "init"), strings.NewReplacer("$DIR", dir, "$TEST", this).Replace(kernelInit))
	mustRun(t, exec.Command("chmod", "-R", "a+rx", dir))
	began := time.Now()
	c := exec.Command("linux.uml", "mem=2G", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet",
		"init="+filepath.Join(dir, "init"), "con=null", "con0=fd:0,fd:1", "satchel.e2e=kernel,quota")
	c.Env = append(os.Environ(), "TMPDIR=/dev/shm")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := os.Create(filepath.Join(dir, "said"))
	must(t, err)
	c.Stdout, c.Stderr = said, said
	err = c.Run()
	out := readFile(t, said.Name())
	said.Close()
	if !strings.Contains(out, "--- PASS: "+t.Name()+" ") || strings.Contains(out, "--- FAIL") {
		t.Fatalf("in a kernel of its own: %v\n%s", err, out)
	}
	t.Logf("in a kernel of its own, %s:\n%s", fmt.Sprint(time.Since(began).Round(time.Second)), out)
	return false
}
