//go:build e2e && linux && amd64

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The tracer does to the unmodified program what strace's injection does, but
// counts the calls of all its threads together and only those that reach the
// disk below one folder: strace counts in each thread apart, so of a program
// with ten threads it meets every tenth call, and it cannot tell a write to a
// file from one to the network. The tracer is this test binary again, with
// injection in its environment.
type injection struct {
	Calls  string        // which: "names", "bytes", both as "changes", or "reads"
	At     int           // the number of the call, from 1; 0: none
	On     bool          // and all that follow
	Errno  syscall.Errno // 0: kill -9 before the call
	Below  string        // the folder
	Log    bool          // tell all of them
	Report string        // a file for the outcome
}

// outcome is what a traced run came to.
type outcome struct {
	Count int      // calls of that kind, in all threads, as far as they matter
	Hits  []string // what was struck, the first of them
	Log   []string // all calls, as far as they were asked for
	Code  int      // the exit code, or 128 and the signal
	Out   string   `json:"-"`
}

const (
	traceEnv  = "E2E_INJECT"
	filterEnv = "E2E_FILTER"
)

func init() {
	instead = tracing
	kindsOfCalls["changes"] = slices.Concat(kindsOfCalls["names"], kindsOfCalls["bytes"])
}

// kindsOfCalls: names are looked for one by one, bytes may be sampled.
var kindsOfCalls = map[string][]uintptr{
	"names": {
		unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINK, unix.SYS_LINKAT, unix.SYS_SYMLINK, unix.SYS_SYMLINKAT,
		unix.SYS_UNLINK, unix.SYS_UNLINKAT, unix.SYS_RMDIR, unix.SYS_MKDIR, unix.SYS_MKDIRAT, unix.SYS_MKNOD, unix.SYS_MKNODAT,
		unix.SYS_OPEN, unix.SYS_OPENAT, unix.SYS_CREAT, unix.SYS_FALLOCATE, unix.SYS_TRUNCATE, unix.SYS_FTRUNCATE,
		unix.SYS_CHMOD, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_UTIMENSAT,
	},
	"bytes": {
		unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_PWRITEV, unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE, unix.SYS_SPLICE,
		unix.SYS_FSYNC, unix.SYS_FDATASYNC,
	},
	"reads": {unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_GETDENTS64, unix.SYS_NEWFSTATAT, unix.SYS_FSTAT, unix.SYS_OPENAT, unix.SYS_FLOCK, unix.SYS_FSTATFS},
}

// tracing is the part of this test binary that is no test.
func tracing() (code int, yes bool) {
	var in injection
	if text := os.Getenv(traceEnv); text == "" {
		return 0, false
	} else if err := json.Unmarshal([]byte(text), &in); err != nil {
		return complain(err), true
	}
	if os.Getenv(filterEnv) != "" {
		return complain(becomeFiltered(in)), true
	}
	runtime.LockOSThread()
	out, err := trace(in)
	if err == nil {
		data, _ := json.Marshal(out)
		err = os.WriteFile(in.Report, data, 0o644)
	}
	if err != nil {
		return complain(err), true
	}
	return 0, true
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "tracer:", err)
	return 99
}

// becomeFiltered asks the kernel to stop at the calls of that kind only, and
// becomes the program.
func becomeFiltered(in injection) error {
	runtime.LockOSThread()
	calls := kindsOfCalls[in.Calls]
	const load, jeq, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	prog := []unix.SockFilter{{Code: load, K: 0}} // the number of the call
	if in.Calls != "reads" && slices.Contains(calls, unix.SYS_OPENAT) {
		prog = append(prog, onlyChanging...)
	}
	for i, nr := range calls {
		prog = append(prog, unix.SockFilter{Code: jeq, Jt: uint8(len(calls) - i), K: uint32(nr)})
	}
	prog = append(prog, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_TRACE})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	p := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&p))); e != 0 {
		return e
	}
	return syscall.Exec(os.Args[1], os.Args[1:], untraced(os.Environ()))
}

// opening are the flags of an openat that changes the disk. Most do not, and a
// stop is dear: the kernel is told.
const opening = unix.O_CREAT | unix.O_TRUNC

var onlyChanging = []unix.SockFilter{
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 4, K: unix.SYS_OPENAT},
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 32}, // its flags
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jf: 1, K: opening},
	{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE},
	{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
}

func untraced(env []string) (out []string) {
	for _, kv := range env {
		if !strings.HasPrefix(kv, "E2E_") {
			out = append(out, kv)
		}
	}
	return out
}

// trace runs the program to its end and strikes where it was told to.
func trace(in injection) (out outcome, err error) {
	main, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env: append(os.Environ(), filterEnv+"=1"), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return out, err
	}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(main, &ws, 0, nil); err != nil {
		return out, err
	}
	err = syscall.PtraceSetOptions(main, unix.PTRACE_O_TRACESECCOMP|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACEFORK|
		unix.PTRACE_O_TRACEVFORK|unix.PTRACE_O_TRACEEXEC|unix.PTRACE_O_EXITKILL)
	if err != nil {
		return out, err
	}
	_ = syscall.PtraceCont(main, 0)
	for {
		tid, err := syscall.Wait4(-1, &ws, unix.WALL, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return out, err
		case tid == main && ws.Exited():
			out.Code = ws.ExitStatus()
			return out, nil
		case tid == main && ws.Signaled():
			out.Code = 128 + int(ws.Signal())
			return out, nil
		case ws.Stopped():
			_ = syscall.PtraceCont(tid, stopped(in, &out, main, tid, ws))
		}
	}
}

// stopped deals with one stop and gives the signal to go on with.
func stopped(in injection, out *outcome, main, tid int, ws syscall.WaitStatus) int {
	switch event := int(ws) >> 16; {
	case event == unix.PTRACE_EVENT_SECCOMP:
		strike(in, out, main, tid)
		return 0
	case event != 0 || ws.StopSignal() == syscall.SIGSTOP:
		return 0
	}
	return int(ws.StopSignal())
}

func strike(in injection, out *outcome, main, tid int) {
	if len(out.Hits) > 0 && !in.On && !in.Log {
		return
	}
	var regs syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &regs) != nil {
		return
	}
	what, ours := reaches(in, tid, &regs)
	if !ours {
		return
	}
	out.Count++
	if in.Log {
		out.Log = append(out.Log, what)
	}
	if in.At == 0 || out.Count < in.At || out.Count > in.At && !in.On {
		return
	}
	if len(out.Hits) < 5 {
		out.Hits = append(out.Hits, what)
	}
	if in.Errno == 0 {
		_ = syscall.Kill(main, syscall.SIGKILL)
		return
	}
	regs.Orig_rax = ^uint64(0) // no such call: it is passed over
	regs.Rax = uint64(-int64(in.Errno))
	_ = syscall.PtraceSetRegs(tid, &regs)
}

// reaches says whether a call reaches the disk below the folder, and names
// it. Of calls by name all do that are no absolute path elsewhere; of calls by
// file those whose file lies there.
func reaches(in injection, tid int, regs *syscall.PtraceRegs) (string, bool) {
	switch nr := uintptr(regs.Orig_rax); nr {
	case unix.SYS_OPENAT:
		if (in.Calls == "reads") == (regs.Rdx&opening != 0) {
			return "", false
		}
		return byName(in, tid, "openat", regs.Rdi, regs.Rsi)
	case unix.SYS_RENAMEAT2, unix.SYS_RENAMEAT, unix.SYS_LINKAT:
		from := strings.TrimPrefix(filepath.Join(opened(tid, regs.Rdi), text(tid, regs.Rsi)), in.Below)
		return byName(in, tid, nameOf(nr)+" "+from+" to", regs.Rdx, regs.R10)
	case unix.SYS_UNLINKAT, unix.SYS_MKDIRAT, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_UTIMENSAT, unix.SYS_NEWFSTATAT, unix.SYS_MKNODAT:
		return byName(in, tid, nameOf(nr), regs.Rdi, regs.Rsi)
	case unix.SYS_OPEN, unix.SYS_CREAT, unix.SYS_RENAME, unix.SYS_LINK, unix.SYS_SYMLINK, unix.SYS_UNLINK, unix.SYS_RMDIR, unix.SYS_MKDIR,
		unix.SYS_MKNOD, unix.SYS_TRUNCATE, unix.SYS_CHMOD:
		return byName(in, tid, nameOf(nr), ^uint64(99), regs.Rdi)
	default:
		file := opened(tid, regs.Rdi)
		return nameOf(nr) + " " + strings.TrimPrefix(file, in.Below), strings.HasPrefix(file, in.Below)
	}
}

func byName(in injection, tid int, call string, dir, name uint64) (string, bool) {
	p := text(tid, name)
	if !filepath.IsAbs(p) && int32(dir) != unix.AT_FDCWD {
		p = filepath.Join(opened(tid, dir), p)
	}
	return call + " " + strings.TrimPrefix(p, in.Below), strings.HasPrefix(p, in.Below)
}

// nameOf is for those who read a failure.
func nameOf(nr uintptr) string {
	if s, ok := map[uintptr]string{
		unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2", unix.SYS_LINKAT: "linkat", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_MKDIRAT: "mkdirat",
		unix.SYS_FCHMOD: "fchmod", unix.SYS_UTIMENSAT: "utimensat", unix.SYS_FALLOCATE: "fallocate", unix.SYS_WRITE: "write", unix.SYS_FSYNC: "fsync",
		unix.SYS_READ: "read", unix.SYS_PREAD64: "pread64", unix.SYS_GETDENTS64: "getdents64", unix.SYS_NEWFSTATAT: "newfstatat", unix.SYS_FSTAT: "fstat",
		unix.SYS_FLOCK: "flock", unix.SYS_FSTATFS: "fstatfs", unix.SYS_FTRUNCATE: "ftruncate",
	}[nr]; ok {
		return s
	}
	return fmt.Sprintf("call %d", nr)
}

func opened(tid int, fd uint64) string {
	p, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(fd)))
	return p
}

// text reads a string of the program's.
func text(tid int, at uint64) string {
	var out []byte
	var word [8]byte
	for len(out) < 4096 {
		n, err := syscall.PtracePeekData(tid, uintptr(at)+uintptr(len(out)), word[:])
		if err != nil || n == 0 {
			break
		}
		for _, b := range word[:n] {
			if b == 0 {
				return string(out)
			}
			out = append(out, b)
		}
	}
	return string(out)
}

var (
	tracerOnce sync.Once
	tracerFile string
	tracerErr  error
)

// traced runs a command of the agent's under the tracer.
func traced(t testing.TB, st *student, c *exec.Cmd, in injection) outcome {
	t.Helper()
	tracerOnce.Do(func() { // go test builds where the student's user cannot reach
		dir, err := os.MkdirTemp("", "satchel-e2e-tracer-")
		self, err2 := os.Executable()
		madeDirs, tracerFile = append(madeDirs, dir), filepath.Join(dir, "tracer")
		tracerErr = errors.Join(err, err2, os.Chmod(dir, 0o755), exec.Command("cp", self, tracerFile).Run(), os.Chmod(tracerFile, 0o755))
	})
	if tracerErr != nil {
		t.Fatal(tracerErr)
	}
	report, err := os.CreateTemp("", "satchel-e2e-report-")
	must(t, err)
	report.Close()
	must(t, os.Chmod(report.Name(), 0o666))
	defer os.Remove(report.Name())
	in.Below, in.Report = filepath.Dir(st.root), report.Name()
	text, _ := json.Marshal(in)
	c.Args[0] = c.Path
	run := exec.Command(tracerFile, c.Args...)
	run.Dir, run.Env, run.SysProcAttr = c.Dir, append(c.Env, traceEnv+"="+string(text)), c.SysProcAttr
	said, code := runProgram(t, run)
	data, err := os.ReadFile(in.Report)
	out := outcome{Out: said}
	if code != 0 || err != nil || json.Unmarshal(data, &out) != nil {
		t.Fatalf("the tracer did not do its work: exit %d, %v\n%s", code, err, said)
	}
	return out
}
