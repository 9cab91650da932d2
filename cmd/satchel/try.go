//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"satchel/internal/config"
	"satchel/internal/listen"
	"satchel/internal/sample"
	"satchel/internal/sshgit"
)

type tryOptions struct {
	dir, repository, branch, folder string
	keep                            bool
}

func (a *app) tryCommand() *cobra.Command {
	o := tryOptions{}
	c := &cobra.Command{
		Use: "try", GroupID: "start", Args: noArgs,
		Short: "See the whole way on this machine: a course, the service, a student",
		Long: `Makes a private course repository behind an SSH server on loopback with a
deploy key, starts the service, logs a student in, pushes a change that clashes
with the student's own edit, logs in again, and says what happened and where to
look. It needs git, and nothing else: no account, no Docker, no prior set-up.

With --repository it takes a copy of your own course (by your own access to it)
and never writes to yours.`,
		Example: `  satchel try
  satchel try --keep
  satchel try --repository git@github.com:school/scala101.git --folder notebooks`,
		RunE: func(c *cobra.Command, _ []string) error { return a.try(c.Context(), o) },
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "", "the `folder` to do it in; new or empty (default: a temporary one)")
	f.StringVar(&o.repository, "repository", "", "try with a copy of your own course: its `URL` or folder")
	f.StringVar(&o.branch, "branch", "main", "the `branch` of your own course")
	f.StringVar(&o.folder, "folder", "", "the `folder` of your own course that is delivered (default: all of it)")
	f.BoolVar(&o.keep, "keep", false, "leave the service running and tell how to push and watch")
	return c
}

// trial is one run of "satchel try".
type trial struct {
	*app
	o      tryOptions
	dir    string
	clash  clash
	cfg    *config.Config
	git    *sshgit.Server
	stop   context.CancelFunc
	served chan error
	hub    string // address of the hub's listener
	began  time.Time
	made   bool // the folder is ours
}

func (a *app) try(ctx context.Context, o tryOptions) error {
	if _, err := exec.LookPath("git"); err != nil {
		return errors.New("satchel try needs the git command: install git and run it again")
	}
	if o.repository == "" && (o.folder != "" || o.branch != "main") {
		return fmt.Errorf("--folder and --branch go with --repository: %w", errUsage)
	}
	t := &trial{app: a, o: o, began: time.Now()}
	defer t.close()
	for _, step := range []func(context.Context) error{
		t.prepare, t.repository, t.service, t.firstLogin, t.bothChange, t.secondLogin, t.explain,
	} {
		if err := step(ctx); err != nil {
			t.failed()
			return err
		}
	}
	if o.keep {
		return t.waitForEnd(ctx)
	}
	return nil
}

// failed shows what the service said, and how to take away what was made.
func (t *trial) failed() {
	if t.served != nil {
		if log, err := os.ReadFile(t.path("service.log")); err == nil && len(log) > 0 {
			fmt.Fprintf(t.err, "\nThe service said (%s):\n%s\n", t.path("service.log"), tail(log, 3000))
		}
	}
	if t.made {
		fmt.Fprintf(t.err, "\nTo take away what this try made: rm -r %s\n", t.dir)
	}
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

func (t *trial) path(elem ...string) string {
	return filepath.Join(append([]string{t.dir}, elem...)...)
}

// home is the student's ~/work.
func (t *trial) home() string { return t.path("students", "ana", "work") }

func (t *trial) close() {
	if t.stop != nil {
		t.stop()
		<-t.served
	}
	if t.git != nil {
		t.git.Close()
	}
}

func (t *trial) prepare(context.Context) (err error) {
	if t.dir = t.o.dir; t.dir == "" {
		t.dir, err = os.MkdirTemp("", "satchel-try-")
	} else if t.dir, err = filepath.Abs(t.dir); err == nil {
		err = os.MkdirAll(t.dir, 0o755)
	}
	if err != nil {
		return err
	}
	if old, err := os.ReadDir(t.dir); err != nil || len(old) > 0 {
		return errors.Join(err, fmt.Errorf("%s is not empty: name a new folder with --dir", t.dir))
	}
	t.made = true
	t.printf("Everything of this try lies in %s\n", t.dir)
	return os.MkdirAll(t.home(), 0o755)
}

// repository makes the private repository and the SSH server in front of it.
func (t *trial) repository(ctx context.Context) error {
	bare, work := t.path("git", "scala101.git"), t.path("instructor")
	if err := os.MkdirAll(t.path("git"), 0o755); err != nil {
		return err
	}
	var err error
	if t.o.repository == "" {
		t.o.branch, t.o.folder, t.clash = "main", sample.Folder, sampleClash
		err = sampleRepository(ctx, sample.Course(), bare, work)
	} else if err = copyRepository(ctx, t.o.repository, t.o.branch, bare, work); err == nil {
		t.clash, err = findClash(filepath.Join(work, t.o.folder))
	}
	if err != nil {
		return err
	}
	if _, err := initialise(t.path("service"), "http://127.0.0.1:1"); err != nil {
		return err
	}
	public, err := deployKey(t.path("service", "secrets", "scala101-key"), "satchel scala101")
	if err != nil {
		return err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	if err != nil {
		return err
	}
	t.git, err = sshgit.Start(slog.New(slog.DiscardHandler), sshgit.Options{
		Repos: map[string]string{"/school/scala101.git": bare}, Keys: []ssh.PublicKey{key},
	})
	if err != nil {
		return err
	}
	what := "A private course repository"
	if t.o.repository != "" {
		what = "A copy of your course, as a private repository (yours is never written to)"
	}
	t.printf("\n1. %s:\n   %s\n   It opens only to the service's deploy key.\n", what, t.git.URL("/school/scala101.git"))
	return nil
}

// service writes the configuration and starts both halves.
func (t *trial) service(ctx context.Context) error {
	students, err := listen.Here()
	if err != nil {
		return err
	}
	hub, err := listen.Here()
	if err != nil {
		return err
	}
	if err := t.configure(students.Addr().String(), hub.Addr().String()); err != nil {
		return err
	}
	t.hub = hub.Addr().String()
	log, err := os.Create(t.path("service.log"))
	if err != nil {
		return err
	}
	ctx, t.stop = context.WithCancel(ctx)
	t.served = make(chan error, 1)
	go func() {
		defer log.Close()
		lg := slog.New(slog.NewTextHandler(log, nil))
		t.served <- serve(ctx, lg, t.cfg, halves{syncer: true, hookserver: true, students: students, hubside: hub})
	}()
	if err := t.waitForVersion(ctx, 1); err != nil {
		return err
	}
	t.printf("\n2. The service runs, and has published version 1 of \"scala101\".\n   Students reach http://%s; only the service can read the repository.\n", students.Addr())
	return nil
}

func (t *trial) configure(students, hub string) error {
	text := fmt.Sprintf("store: {dir: store}\nurl: \"http://%s\"\nlisten: {students: %q, hub: %q}\n", students, students, hub)
	if err := os.WriteFile(t.path("service", "satchel.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	known := t.path("service", "secrets", "known_hosts")
	if err := os.WriteFile(known, []byte(t.git.KnownHostsLine()+"\n"), 0o644); err != nil {
		return err
	}
	cfg, err := config.Load(t.path("service", "satchel.yaml"))
	if err != nil {
		return err
	}
	_, err = writeCourse(cfg, courseEntry{
		Name: "scala101", Repository: t.git.URL("/school/scala101.git"), Branch: t.o.branch, Folder: t.o.folder,
		DeployKeyFile: t.path("service", "secrets", "scala101-key"), KnownHostsFile: known, Audience: "everyone", Poll: "5s",
	})
	if err != nil {
		return err
	}
	t.cfg, err = config.Load(cfg.File)
	return err
}

// firstLogin is what happens when ana logs in: the hub's hook, then the agent.
func (t *trial) firstLogin(ctx context.Context) error {
	t.printf("\n3. Student ana logs in. The hub's hook asks for a ticket, her server starts, the agent says:\n")
	if err := t.login(ctx); err != nil {
		return err
	}
	folder, err := t.courseFolder()
	if err != nil {
		return err
	}
	t.printf("\n   In her %s now:\n", folder)
	if err := t.list(folder); err != nil {
		return err
	}
	return t.listMissing(folder)
}

// courseFolder is the one folder that arrived.
func (t *trial) courseFolder() (string, error) {
	dirs, err := os.ReadDir(t.home())
	if err != nil {
		return "", err
	}
	for _, d := range dirs {
		if d.IsDir() && !strings.HasPrefix(d.Name(), ".") {
			return filepath.Join(t.home(), d.Name()), nil
		}
	}
	return "", errors.New("nothing arrived")
}

// bothChange lets student and instructor edit the same file.
func (t *trial) bothChange(ctx context.Context) error {
	folder, err := t.courseFolder()
	if err != nil {
		return err
	}
	if err := edit(filepath.Join(folder, t.clash.path), t.clash.student); err != nil {
		return err
	}
	delivered := t.path("instructor", t.o.folder)
	if err := edit(filepath.Join(delivered, t.clash.path), t.clash.instructor); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(delivered, "news.md"), []byte("# News\n\nLab 2 starts on Monday.\n"), 0o644); err != nil {
		return err
	}
	if err := push(ctx, t.path("instructor"), "Lab 1, clearer; news"); err != nil {
		return err
	}
	t.printf("\n4. Ana works in %s. Meanwhile the instructor changes the same file,\n   adds news.md, and pushes.\n", t.clash.path)
	return t.publishNow(ctx)
}

func (t *trial) secondLogin(ctx context.Context) error {
	if err := t.waitForVersion(ctx, 2); err != nil {
		return err
	}
	t.printf("\n5. Ana logs in again. The agent says:\n")
	return t.login(ctx)
}
