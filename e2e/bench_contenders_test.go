//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/hook"
	"satchel/internal/s3server"
)

// contender is one way to bring a course into a student's folder.
type contender struct {
	name   string
	addr   string                            // of its server
	pushed func()                            // makes the newest material available
	login  func(home, addr string) *exec.Cmd // what runs when a student's server starts
	after  func(home string)                 // untimed
	self   bool                              // it prints the seconds that count
	folder string                            // below the home, where the course is then
	only   map[string]bool                   // situations; nil: all
	misses bool                              // it may lack what changed, which is said
}

// arena is what all contenders share for one course: the repository, the
// same as plain files, and one web server.
type arena struct {
	t    testing.TB
	m    *material
	dir  string
	bare string
	tree string // the newest, as plain files
	tar  string
	web  string // address
	site *site
	v    *service
}

func newArena(t testing.TB, m *material) *arena {
	t.Helper()
	s := newSite(t)
	g := &arena{t: t, m: m, dir: s.dir, site: s, bare: s.path("course.git"), tree: s.path("tree"), tar: s.path("web/course.tar.zst")}
	m.repository(t, g.bare)
	must(t, os.MkdirAll(s.path("web"), 0o755))
	must(t, os.MkdirAll(s.path("homes"), 0o755))
	// As homes of years, each in another part of the disk: else each login
	// would pay for the inodes that the one before it freed (see rest). Other
	// filesystems than ext4 do not know this.
	_ = exec.Command("chattr", "+T", s.path("homes")).Run()
	m.write(t, g.tree, m.files)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	mux := http.NewServeMux()
	mux.Handle("/web/", http.FileServer(http.Dir(g.dir)))
	mux.HandleFunc("/state", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"now"`)
		w.WriteHeader(http.StatusNotModified)
	})
	mux.Handle("/git/", &cgi.Handler{
		Path: gitBackend(t), Root: "/git", Dir: g.dir, Stderr: os.Stderr,
		Env: []string{"GIT_PROJECT_ROOT=" + g.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	g.web = l.Addr().String()
	return g
}

func gitBackend(t testing.TB) string {
	out, err := exec.Command("git", "--exec-path").Output()
	must(t, err)
	return filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
}

// push changes the course, and waits until every contender can have it.
func (g *arena) push(kind push, all []*contender) {
	g.t.Helper()
	changed := g.m.revise(kind)
	commit(g.t, g.bare, pushNames[kind], false, changed)
	g.m.write(g.t, g.tree, changed)
	for _, c := range all {
		if c.pushed != nil {
			c.pushed()
		}
	}
}

// home makes an empty one of the student's own.
func (g *arena) home(name string) string {
	home := filepath.Join(g.dir, "homes", name)
	must(g.t, os.MkdirAll(filepath.Join(home, "work"), 0o755))
	g.own(home)
	return home
}

func (g *arena) own(path string) {
	if os.Getuid() == 0 {
		mustRun(g.t, exec.Command("chown", fmt.Sprintf("%d:%d", studentID, studentID), path, filepath.Join(path, "work")))
	}
}

// as makes a command the student's own.
func (g *arena) as(home string, env []string, name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = filepath.Join(home, "work")
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8", "GIT_TERMINAL_PROMPT=0"}, env...)
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: studentID, Gid: studentID}}
	}
	return c
}

// limits are what the machine alone allows.
func (g *arena) limits() []*contender {
	program := filepath.Join(g.dir, "limits")
	c := exec.Command("go", "build", "-trimpath", "-o", program, "satchel/e2e/limits")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	mustRun(g.t, c)
	return []*contender{
		{
			name: "limit: one conditional GET with its process", addr: g.web, only: map[string]bool{"nothing": true},
			login: func(home, addr string) *exec.Cmd {
				return g.as(home, nil, program, "get", "http://"+addr+"/state", `"now"`)
			},
		},
		{
			name: "limit: four writers", self: true, only: map[string]bool{"first": true}, folder: "work",
			login: func(home, _ string) *exec.Cmd {
				return g.as(home, nil, program, "write", g.tree, filepath.Join(home, "work"))
			},
		},
	}
}

// tarballs is curl | zstd | tar.
func (g *arena) tarballs() *contender {
	return &contender{
		name: "`curl \\| zstd -d \\| tar x`", addr: g.web, folder: "work",
		pushed: func() { tarball(g.t, g.tree, g.tar) },
		login: func(home, addr string) *exec.Cmd {
			return g.as(home, nil, "sh", "-ec", "curl -sf http://"+addr+"/web/course.tar.zst | zstd -dq | tar x")
		},
	}
}

// gits is a clone, and then fetch and merge.
func (g *arena) gits(name, addr string, url func(addr string) string, env ...string) *contender {
	return &contender{
		name: name, addr: addr, folder: "work/course/" + courseFolder,
		login: func(home, addr string) *exec.Cmd {
			return g.as(home, env, "sh", "-ec", `if [ -d course ]; then cd course; git fetch -q "$0" main; git merge -q --ff-only FETCH_HEAD; else git clone -q --depth 1 "$0" course; fi`, url(addr))
		},
	}
}

func (g *arena) gitHTTP() *contender {
	return g.gits("git over http", g.web, func(addr string) string { return "http://" + addr + "/git/course.git" })
}

// gitSSH has a key that every student holds, which is the very thing that
// Satchel is there to avoid.
func (g *arena) gitSSH() *contender {
	key := filepath.Join(g.dir, "student-key")
	data, err := os.ReadFile(g.site.path("conf/secrets/scala101-key"))
	must(g.t, err)
	must(g.t, os.WriteFile(key, data, 0o600))
	if os.Getuid() == 0 {
		must(g.t, os.Chown(key, studentID, studentID))
	}
	ssh := "ssh -i " + key + " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
	return g.gits("git over ssh", fmt.Sprintf("127.0.0.1:%d", g.site.ssh.port),
		func(addr string) string { return "ssh://" + g.site.ssh.user + "@" + addr + g.bare }, "GIT_SSH_COMMAND="+ssh)
}

// puller is nbgitpuller, where make bench installed it.
func (g *arena) puller() *contender {
	venv := os.Getenv("PEERS_VENV")
	if venv == "" {
		return nil
	}
	return &contender{
		name: "nbgitpuller", addr: g.web, folder: "work/course/" + courseFolder,
		login: func(home, addr string) *exec.Cmd {
			return g.as(home, nil, filepath.Join(venv, "bin/gitpuller"), "http://"+addr+"/git/course.git", "main", "course")
		},
	}
}

// buckets are rclone and aws s3 sync, with keys that every student holds.
func (g *arena) buckets() (out []*contender) {
	rclone, _ := exec.LookPath("rclone")
	aws := os.Getenv("AWS_CLI")
	if os.Getenv("VERSITYGW") == "" || rclone == "" && aws == "" {
		return nil
	}
	endpoint, access, secret := s3server.Start(g.t)
	bucket := s3server.Bucket(g.t, endpoint, access, secret).Bucket
	addr := strings.TrimPrefix(endpoint, "http://")
	env := func(addr string) []string {
		return []string{
			"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
			"RCLONE_CONFIG=/dev/null", "RCLONE_CONFIG_S_TYPE=s3", "RCLONE_CONFIG_S_PROVIDER=Other", "RCLONE_CONFIG_S_ENV_AUTH=true",
			"RCLONE_CONFIG_S_ENDPOINT=http://" + addr, "RCLONE_CONFIG_S_REGION=us-east-1",
		}
	}
	fill := func() { // once for both
		c := exec.Command(aws, "s3", "sync", "--only-show-errors", "--endpoint-url", endpoint, g.tree, "s3://"+bucket)
		if rclone != "" {
			c = exec.Command(rclone, "sync", "-q", "--transfers=8", "--checksum", g.tree, "s:"+bucket)
		}
		c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir}, env(addr)...)
		mustRun(g.t, c)
	}
	if rclone != "" {
		out = append(out, &contender{
			name: "rclone sync, tuned", addr: addr, folder: "work/course",
			login: func(home, addr string) *exec.Cmd {
				return g.as(home, env(addr), rclone, "sync", "-q", "--fast-list", "--transfers=16", "--checkers=16", "--use-server-modtime", "--update", "s:"+bucket, "course")
			},
		})
	}
	if aws != "" {
		out = append(out, &contender{
			name: "aws s3 sync", addr: addr, folder: "work/course", misses: true, // what has its size, and an older time
			login: func(home, addr string) *exec.Cmd {
				return g.as(home, env(addr), aws, "s3", "sync", "--only-show-errors", "--endpoint-url", "http://"+addr, "s3://"+bucket, "course")
			},
		})
	}
	out[0].pushed = fill
	return out
}

// satchels are the start hook, which a student waits for, and sync.
func (g *arena) satchels() []*contender {
	mustRun(g.t, exec.Command("rm", "-rf", g.site.repo.bare))
	g.site.repo.bare = g.bare
	g.v = g.site.configure("one", "").run("serve")
	agent := func(home, addr string, args ...string) *exec.Cmd {
		st := &student{t: g.t, name: filepath.Base(home), root: filepath.Join(home, "work")}
		adm := g.v.login("ana")
		adm.URL = "http://" + addr
		c := st.agent(adm, args...)
		c.Env = append(c.Env, "SATCHEL_BUDGET=60s")
		return c
	}
	return []*contender{
		{
			name: "**Satchel, start hook**", addr: g.v.students, folder: "work/scala101",
			pushed: func() { g.published() },
			login:  func(home, addr string) *exec.Cmd { return agent(home, addr, "sync", "--hook") },
			after:  func(home string) { stopWatch(g.t, home) },
		},
		{
			name: "**Satchel, `sync`**", addr: g.v.students, folder: "work/scala101",
			pushed: func() { g.published() },
			login:  func(home, addr string) *exec.Cmd { return agent(home, addr, "sync") },
		},
	}
}

// published waits until the service gives out the branch's tip.
func (g *arena) published() {
	g.t.Helper()
	tip := strings.TrimSpace(mustRun(g.t, exec.Command("git", "-C", g.bare, "rev-parse", "main")))
	eventually(g.t, 10*time.Minute, "the first version", func() error {
		if g.v.version() == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	g.v.publish()
	eventually(g.t, 10*time.Minute, "the tip at the hookserver", func() error {
		e := newestEntries(g.site, g.v)
		if len(e) == 0 || e[0].Commit != tip {
			return fmt.Errorf("not yet")
		}
		if got := g.v.version(); got < int(e[0].Version) {
			return fmt.Errorf("version %d", got)
		}
		return nil
	})
}

// stopWatch ends what a start hook left behind for a home.
func stopWatch(t testing.TB, home string) {
	t.Helper()
	eventually(t, time.Minute, "the end of the watch", func() error {
		pids := watches(home)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		if len(pids) > 0 {
			return fmt.Errorf("running: %v", pids)
		}
		return nil
	})
}

func watches(home string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, p := range all {
		env, err := os.ReadFile(p)
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cmdline"))
		if err == nil && strings.Contains(string(env), "SATCHEL_ROOT="+filepath.Join(home, "work")+"\x00") && strings.Contains(string(line), "watch") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
			pids = append(pids, pid)
		}
	}
	return pids
}

var _ = hook.EnvURL
