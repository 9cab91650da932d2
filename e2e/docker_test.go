//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDocker brings the compose file up from nothing, in an engine of its own,
// and shows what is promised of it. The checks go on where the one before
// ended, as a school would; "make e2e-docker" runs it. SATCHEL_DOCKER_ONLY, a
// regular expression, runs those that it names, and what they stand on.
func TestDocker(t *testing.T) {
	r := &report{began: time.Now()}
	t.Cleanup(func() { r.write(t) })
	e := startEngine(t)
	w := &town{engine: e}
	r.check(t, "stand-in base images", func(t *testing.T) string { w.on(t).bases(); return "made once, then kept" })
	w.on(t).nothing()
	t.Cleanup(func() { w.on(t).nothing() })
	steps := []struct {
		name string
		do   func() string
		base bool // all others stand on it
	}{
		{"`docker-compose build`, no file edited", w.builds, true},
		{"`docker-compose up` from nothing: each service is well", w.comesUp, true},
		{"`init` again changes nothing", w.initAgain, false},
		{"each secret is in the volumes of those who need it alone", w.secretsApart, false},
		{"services run as users without rights; only the hub has the Docker socket", w.unprivileged, false},
		{"S3 refuses the hookserver all but reading, and writing of `receipts/`", w.s3Rights, false},
		{"an administrator logs in by NativeAuthenticator, over HTTP", w.adminLogsIn, true},
		{"a student signs up, is refused, is admitted, logs in", w.studentsSignUp, true},
		{"first login: DockerSpawner starts the instance image, the material is there", w.firstLogin, true},
		{"the student's container has its limits", w.limits, false},
		{"a delivered notebook runs (Scala 3, a stand-in kernel); the heap follows the limit", w.notebookRuns, false},
		{"a push arrives while the server runs", w.pushArrives, false},
		{"a webhook as GitHub signs it, by Caddy, publishes a push at once; unsigned it does not", w.webhook, false},
		{"`docker compose exec syncer satchel` pause, resume, rollback, withdraw: the running server follows", w.decisions, false},
		{"`satchel` check, doctor, config check and key, in both halves' containers", w.looksWell, false},
		{"`satchel-agent doctor` in the student's container: all is well, but for what `docs/compose.md` says", w.studentsDoctor, false},
		{"no way to the hook port, S3, the syncer, the hub's proxy API, the Docker socket", w.walls, false},
		{"another student's files and server cannot be reached", w.othersApart, false},
		{"the metadata rule of `docs/compose.md` closes that address, and no other", w.metadata, false},
		{"second login, `remove = True`: a new container, the newest material, the student's work", w.secondLoginNew, false},
		{"second login, `remove = False`: the former container, its ticket dead: exchanged, the newest material", w.secondLoginResumed, false},
		{"no secret in files, environment, image layers and history, or logs", w.noSecret, false},
		{"the hook in docker-stacks' folders: 2023-10 and today, root and user, service up and down", w.startHooks, false},
		{"started as root with NB_UID: the files are that user's", w.asRoot, false},
		{"a course of one's own: one command prints the key to paste, and it is published", w.ownCourse, false},
		{"the service is away: login and start go on, and what was published comes once it is back", w.serviceAway, false},
		{"a restart of every service: the student's server goes on, and the next push arrives", w.restart, false},
		{"HTTPS by an ACME authority: certificate, redirect, login, Secure cookies", w.https, false},
	}
	only := regexp.MustCompile(os.Getenv("SATCHEL_DOCKER_ONLY"))
	for i, s := range steps {
		if !s.base && !only.MatchString(s.name) {
			continue
		}
		ok := r.check(t, s.name, func(t *testing.T) string { w.on(t); return s.do() })
		if !ok && (i < 2 || w.container == "" && i >= 6) {
			break // nothing of what follows can be asked
		}
	}
	r.fact("Docker %s, docker-compose %s", w.on(t).docker("version", "--format", "{{.Server.Version}}"), e.compose("version", "--short"))
	for _, image := range []string{"service", "hub", "s3", "https", "instance"} {
		r.fact("image `%s`: %s", image, e.docker("image", "inspect", "--format", "{{.Size}}", project+"/"+image)+" bytes, with its stand-in base")
	}
}

// town is the whole system, and the people in it.
type town struct {
	*engine
	t         *testing.T
	hub       *hub
	admin     *person
	ana, ben  *person
	repo      *repository
	container string // ana's
}

// on makes t the test that fails.
func (w *town) on(t *testing.T) *town {
	w.t, w.engine.t = t, t
	for _, p := range []*person{w.admin, w.ana, w.ben} {
		if p != nil {
			p.t = t
		}
	}
	if w.hub != nil {
		w.hub.t = t
	}
	if w.repo != nil {
		w.repo.t = t
	}
	return w
}

func (w *town) builds() string {
	w.compose("build")
	return ""
}

func (w *town) comesUp() string {
	began := time.Now()
	w.compose("up", "-d", "--no-build")
	for _, s := range []string{"s3", "syncer", "hookserver", "hub", "https"} {
		w.healthy(w.service(s))
	}
	took := time.Since(began)
	for _, s := range []string{"init", "bucket", "instance"} {
		var state struct {
			Status   string
			ExitCode int
		}
		w.inspect(w.service(s), ".State", &state)
		if state.Status != "exited" || state.ExitCode != 0 {
			w.t.Errorf("%s: %+v\n%s", s, state, w.logs(w.service(s)))
		}
	}
	return fmt.Sprintf("well after %.0f s", took.Seconds())
}

// digests are those of all files of some volumes.
func (w *town) digests(volumes ...string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, v := range volumes {
		dir := w.volume(project + "_" + v)
		must(w.t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			info, ierr := os.Stat(path)
			if err == nil && ierr == nil {
				out[v+strings.TrimPrefix(path, dir)] = fmt.Sprintf("%x %v", sha256.Sum256(data), info.Mode())
			}
			return err
		}))
	}
	return out
}

var secretVolumes = []string{"syncer-secrets", "hookserver-secrets", "webhook-secrets", "hub-secrets", "s3-secrets"}

func (w *town) initAgain() string {
	volumes := append([]string{"config", "sample"}, secretVolumes...)
	before := w.digests(volumes...)
	if len(before) < 20 {
		w.t.Fatalf("only %d files: %v", len(before), before)
	}
	// One secret gone: it alone is made anew.
	lost := filepath.Join(w.volume(project+"_hub-secrets"), "crypt-key")
	must(w.t, os.Remove(lost))
	said := w.compose("run", "--rm", "--no-deps", "init")
	if strings.Count(said, "made ") != 1 || !strings.Contains(said, "made /init/hub/crypt-key") {
		w.t.Errorf("it says:\n%s", said)
	}
	after := w.digests(volumes...)
	for name, is := range after {
		if was := before[name]; was != is && name != "hub-secrets/crypt-key" {
			w.t.Errorf("%s: %q, then %q", name, was, is)
		}
	}
	return fmt.Sprintf("%d files", len(after))
}

// secretsApart: which volume holds which, who may read them, and who mounts
// them.
func (w *town) secretsApart() string {
	want := map[string]string{
		"syncer-secrets":     "control pseudonyms s3 signing.pem signing.pub",
		"hookserver-secrets": "control hook hub-token pseudonyms s3 signing.pub ticket",
		"webhook-secrets":    "",
		"hub-secrets":        "admin-password crypt-key hook hub-token",
		"s3-secrets":         "hookserver root syncer",
	}
	for volume, names := range want {
		dir := w.volume(project + "_" + volume)
		entries, err := os.ReadDir(dir)
		must(w.t, err)
		var have []string
		for _, d := range entries {
			have = append(have, d.Name())
			info, err := d.Info()
			must(w.t, err)
			if info.Mode().Perm() != 0o400 {
				w.t.Errorf("%s/%s: %v", volume, d.Name(), info.Mode())
			}
		}
		if got := strings.Join(have, " "); got != names {
			w.t.Errorf("%s has %s; want %s", volume, got, names)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			w.t.Errorf("%s: %v %v", volume, info.Mode(), err)
		}
	}
	holders := map[string]string{"syncer-secrets": "syncer", "hookserver-secrets": "hookserver", "webhook-secrets": "syncer hookserver", "hub-secrets": "hub", "s3-secrets": "s3 bucket"}
	for _, s := range []string{"s3", "bucket", "syncer", "hookserver", "hub", "https", "instance"} {
		var mounts []struct{ Name string }
		w.inspect(w.service(s), ".Mounts", &mounts)
		for _, m := range mounts {
			volume := strings.TrimPrefix(m.Name, project+"_")
			if who, secret := holders[volume]; secret && !strings.Contains(" "+who+" ", " "+s+" ") {
				w.t.Errorf("%s mounts %s", s, volume)
			}
		}
	}
	return ""
}

// unprivileged: the users of the processes, and who has the socket.
func (w *town) unprivileged() string {
	users := map[string]string{"s3": "10002", "syncer": "10001", "hookserver": "10001", "hub": "10003", "https": "10004"}
	for s, uid := range users {
		for i, line := range strings.Split(w.docker("top", w.service(s), "-eo", "pid,uid,args"), "\n") {
			if f := strings.Fields(line); i > 0 && f[1] != uid {
				w.t.Errorf("%s: a process of user %s: %s", s, f[1], line)
			}
		}
		var mounts []struct{ Destination string }
		w.inspect(w.service(s), ".Mounts", &mounts)
		has := false
		for _, m := range mounts {
			has = has || strings.Contains(m.Destination, "docker.sock")
		}
		if has != (s == "hub") {
			w.t.Errorf("%s has the Docker socket: %v", s, has)
		}
	}
	return ""
}
