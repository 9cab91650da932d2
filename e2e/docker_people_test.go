//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"satchel/internal/sample"
)

// course is where students find the sample course.
const course = "/home/jovyan/work/scala101/"

func (w *town) adminLogsIn() string {
	w.hub = &hub{t: w.t, url: "http://" + w.settingOf("SATCHEL_HTTP")}
	password := w.in(w.service("hub"), "cat", "/run/satchel/admin-password")
	w.admin = w.hub.person("admin")
	if got := w.loginWith(w.admin, "not-"+password); got != http.StatusForbidden && got != http.StatusOK {
		w.t.Errorf("a wrong password: %d", got)
	}
	if got := w.loginWith(w.admin, password); got != http.StatusFound {
		w.t.Fatalf("the administrator: %d", got)
	}
	if got := w.admin.follow("/hub/admin"); got.code != http.StatusOK {
		w.t.Errorf("/hub/admin: %d", got.code)
	}
	return ""
}

// loginWith gives the answer's status: 302 is a login.
func (w *town) loginWith(p *person, password string) int {
	w.t.Helper()
	return p.form("/hub/login", url.Values{"username": {p.name}, "password": {password}}).code
}

// signUp makes an account, which an administrator must admit.
func (w *town) signUp(name string) *person {
	w.t.Helper()
	p := w.hub.person(name)
	if got := p.form("/hub/signup", url.Values{
		"username": {name}, "signup_password": {hubPassword}, "signup_password_confirmation": {hubPassword},
	}); got.code != http.StatusOK {
		w.t.Fatalf("sign-up of %s: %d", name, got.code)
	}
	if got := w.loginWith(p, hubPassword); got == http.StatusFound {
		w.t.Errorf("%s is in, before being admitted", name)
	}
	// A picture in somebody's notebook asks for the link that admits, too.
	w.admin.from = "/user/admin/lab/tree/" + name + ".ipynb"
	if got := w.admin.follow("/hub/authorize/" + name); got.code != http.StatusForbidden {
		w.t.Errorf("authorize %s from a notebook: %d", name, got.code)
	}
	w.admin.from = "/hub/authorize"
	if got := w.admin.follow("/hub/authorize/" + name); got.code != http.StatusOK {
		w.t.Fatalf("authorize %s: %d", name, got.code)
	}
	if got := w.loginWith(p, hubPassword); got != http.StatusFound {
		w.t.Fatalf("login of %s: %d", name, got)
	}
	return p
}

func (w *town) studentsSignUp() string {
	// Nobody takes the administrator's name.
	thief := w.hub.person("admin")
	thief.form("/hub/signup", url.Values{
		"username": {"admin"}, "signup_password": {hubPassword}, "signup_password_confirmation": {hubPassword},
	})
	if got := w.loginWith(thief, hubPassword); got == http.StatusFound {
		w.t.Error("somebody signed up as the administrator")
	}
	ana, ben := w.signUp("ana"), w.signUp("ben")
	w.ana, w.ben = ana, ben
	return ""
}

// containerOf is a student's.
func containerOf(name string) string { return project + "-" + name }

func (w *town) firstLogin() string {
	w.instructor()
	began := time.Now()
	said := strings.Join(w.ana.spawn(""), "\n")
	took := time.Since(began)
	if !strings.Contains(said, "Course material: ") {
		w.t.Errorf("the spawn page says nothing of the material:\n%s", said)
	}
	w.container = containerOf("ana")
	w.sameFiles("ana")
	var image string
	w.inspect(w.container, ".Config.Image", &image)
	if image != project+"/instance" {
		w.t.Errorf("image %s", image)
	}
	if uid := w.in(w.container, "stat", "-c", "%u", course+"README.md"); uid != "1000" {
		w.t.Errorf("the files are user %s's", uid)
	}
	return fmt.Sprintf("server ready after %.1f s", took.Seconds())
}

// instructor has the sample course, as init made it, in a repository of their
// own.
func (w *town) instructor() {
	w.t.Helper()
	dir := filepath.Join(w.dir, "sample")
	must(w.t, os.MkdirAll(dir, 0o755))
	w.repo = newRepository(w.t, dir)
}

// publishes brings the instructor's tip into the volume of the sample, as its
// owner: by a bundle, for git trusts no repository of somebody else.
func (w *town) publishes(message string) {
	w.t.Helper()
	w.repo.push(message)
	w.repo.git("bundle", "create", "-q", filepath.Join(w.dir, "sample", "push"), "main")
	w.docker("run", "--rm", "--network", "none", "--user", "10001:10001", "-v", project+"_sample:/srv/sample", "-v", w.dir+"/sample/push:/push:ro",
		"standin/debian", "git", "-C", "/srv/sample/scala101.git", "fetch", "-q", "/push", "+main:main")
}

// sameFiles waits until a student has just what the tip delivers.
func (w *town) sameFiles(name string) {
	w.t.Helper()
	want := map[string]string{}
	for path, sum := range w.repo.delivered() {
		want[path] = sum
	}
	eventually(w.t, time.Minute, "the material of "+name, func() error {
		out, err := w.command("docker", "exec", containerOf(name), "sh", "-c", "cd "+course+" && find . -type f ! -path './.satchel*' ! -name 'What is new.md' -exec sha256sum {} +").Output()
		if err != nil {
			return fmt.Errorf("%w; its start said\n%s", err, tail(w.logs(containerOf(name)), 1500))
		}
		have := map[string]string{}
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			sum, path, _ := strings.Cut(line, "  ")
			have[strings.TrimPrefix(path, "./")] = sum
		}
		for path, sum := range want {
			if have[path] != sum {
				return fmt.Errorf("%s: %q, want %q", path, have[path], sum)
			}
		}
		for _, path := range sample.Withheld {
			if have[path] != "" {
				w.t.Fatalf("%s was delivered", path)
			}
		}
		return nil
	})
}

func (w *town) limits() string {
	var h struct {
		Memory, CpuQuota, CpuPeriod, PidsLimit int64
		SecurityOpt, CapDrop                   []string
	}
	w.inspect(w.container, ".HostConfig", &h)
	if h.Memory != 1<<30 || h.CpuPeriod == 0 || h.CpuQuota != h.CpuPeriod || h.PidsLimit != 1000 {
		w.t.Errorf("limits: %+v", h)
	}
	if !slices.Contains(h.SecurityOpt, "no-new-privileges") || !slices.Contains(h.CapDrop, "ALL") {
		w.t.Errorf("rights: %+v", h)
	}
	return "1 GB, 1 processor, 1000 processes"
}

var heap = regexp.MustCompile(`heap (\d+) of (\d+)`)

// notebookRuns runs a delivered notebook, and asks the JVM for its heap.
func (w *town) notebookRuns() string {
	began := time.Now()
	out := w.in(w.container, "jupyter", "nbconvert", "--to", "notebook", "--execute", "--stdout", course+"lab1/functions.ipynb")
	if strings.Contains(out, `"output_type": "error"`) || !strings.Contains(out, `"execution_count": 1`) {
		w.t.Errorf("the notebook:\n%s", tail(out, 3000))
	}
	took := time.Since(began)
	out = w.in(w.container, "python3", "-c", `
import nbformat, nbclient
nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('println(s"heap ${Runtime.getRuntime.maxMemory >> 20} of")')])
nbclient.NotebookClient(nb, kernel_name="scala3", timeout=120).execute()
print("".join(o.get("text", "") for o in nb.cells[0].outputs).strip(), open("/sys/fs/cgroup/memory/memory.limit_in_bytes" if __import__("os").path.exists("/sys/fs/cgroup/memory") else "/sys/fs/cgroup/memory.max").read())`)
	var mib, limit int
	if m := heap.FindString(out); m == "" {
		w.t.Fatalf("no figure in %q", out)
	} else {
		fmt.Sscanf(m, "heap %d of %d", &mib, &limit)
	}
	if part := float64(mib<<20) / float64(limit); part < 0.5 || part > 0.65 {
		w.t.Errorf("a heap of %d MiB, with a limit of %d bytes", mib, limit)
	}
	return fmt.Sprintf("notebook %.0f s; heap %d MiB", took.Seconds(), mib)
}

func (w *town) pushArrives() string {
	w.repo.set("lab1/fresh.md", "new\n")
	w.publishes("during class")
	began := time.Now()
	w.sameFiles("ana")
	return fmt.Sprintf("%.1f s after the push (poll: 5s)", time.Since(began).Seconds())
}

// stop ends a student's server by the hub's own button.
func (w *town) stop(p *person) {
	w.t.Helper()
	if got := p.do(http.MethodDelete, "/hub/api/users/"+p.name+"/server", nil); got.code >= 300 {
		w.t.Fatalf("stop the server of %s: %d %s", p.name, got.code, got.text)
	}
	eventually(w.t, time.Minute, "the server's end", func() error {
		out, err := w.command("docker", "inspect", "--format", "{{.State.Running}}", containerOf(p.name)).Output()
		if err == nil && strings.TrimSpace(string(out)) == "true" {
			return fmt.Errorf("it runs")
		}
		got, err := p.try(http.MethodGet, "/hub/api/users/"+p.name, nil)
		if err == nil && !strings.Contains(got.text, `"server": null`) {
			err = fmt.Errorf("the hub still has it: %s", got.text)
		}
		return err
	})
}

func (w *town) id(container string) (id string) {
	w.t.Helper()
	w.inspect(container, ".Id", &id)
	return id
}

// again stops the server, pushes, starts it, and gives both containers.
func (w *town) again(message string) (was, is string) {
	w.t.Helper()
	was = w.id(w.container)
	w.in(w.container, "sh", "-c", "echo mine > "+course+"mine-"+message+".txt && echo '# mine' >> "+course+"lab1/fresh.md")
	w.stop(w.ana)
	w.repo.set("lab1/"+message+".md", message+"\n")
	w.publishes(message)
	w.served()
	w.ana.spawn("")
	for file, text := range map[string]string{"mine-" + message + ".txt": "mine", "lab1/fresh.md": "new\n# mine", "lab1/" + message + ".md": message} {
		eventually(w.t, 30*time.Second, file, func() error {
			out, _ := w.command("docker", "exec", w.container, "cat", course+file).Output()
			if got := strings.TrimSpace(string(out)); !strings.HasPrefix(got, text) {
				return fmt.Errorf("%q, want %q; the start said\n%s", got, text, tail(w.logs(w.container), 1500))
			}
			return nil
		})
	}
	return was, w.id(w.container)
}

// served waits until the tip is published.
func (w *town) served() {
	w.t.Helper()
	tip := w.repo.git("rev-parse", "HEAD")
	eventually(w.t, time.Minute, "the tip is published", func() error {
		out, err := w.command("docker", "exec", w.service("syncer"), "satchel", "--json", "log", "scala101").CombinedOutput()
		if err == nil && !strings.Contains(string(out), tip) {
			err = fmt.Errorf("%s is not in\n%s", tip, tail(string(out), 500))
		}
		return err
	})
}

func (w *town) secondLoginNew() string {
	was, is := w.again("second")
	if was == is {
		w.t.Error("the former container goes on")
	}
	return ""
}

// secondLoginResumed: the container has the environment of a former login, and
// no key makes its ticket good any more, so its hub token must be exchanged.
func (w *town) secondLoginResumed() string {
	w.setting("SATCHEL_REMOVE=no")
	w.compose("up", "-d", "--no-build", "hub")
	w.healthy(w.service("hub"))
	w.stop(w.ana)
	w.ana.spawn("") // the first with remove = False
	old := w.ticketOf(w.container)
	key := filepath.Join(w.volume(project+"_hookserver-secrets"), "ticket")
	must(w.t, os.WriteFile(key, []byte(strings.Repeat("another-ticket-key-", 3)+"\n"), 0o400))
	eventually(w.t, time.Minute, "the new ticket key is taken up", func() error {
		if code := w.syncWith(old); code != "401" {
			return fmt.Errorf("the old ticket: %s", code)
		}
		return nil
	})
	was, is := w.again("third")
	if was != is {
		w.t.Error("not the former container")
	}
	if now := w.ticketOf(w.container); now != old {
		w.t.Error("the environment changed, so nothing was shown")
	}
	said := w.in(w.service("hookserver"), "curl", "-fsS", "http://hookport:8485/metrics")
	if !exchanged.MatchString(said) {
		w.t.Errorf("nothing was exchanged:\n%s", exchanges.FindString(said))
	}
	return ""
}

var (
	exchanges = regexp.MustCompile(`(?m)^satchel_exchanges_total.*$`)
	exchanged = regexp.MustCompile(`(?m)^satchel_exchanges_total\{result="admitted"\} [1-9]`)
)

func (w *town) ticketOf(container string) string {
	w.t.Helper()
	var env []string
	w.inspect(container, ".Config.Env", &env)
	for _, kv := range env {
		if ticket, ok := strings.CutPrefix(kv, "SATCHEL_TICKET="); ok {
			return ticket
		}
	}
	w.t.Fatal("no ticket in the container's environment")
	return ""
}

// syncWith asks the student's listener, from the student's container.
func (w *town) syncWith(ticket string) string {
	w.t.Helper()
	return w.in(w.container, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "-H", "Authorization: Bearer "+ticket, "http://satchel:8484/v1/sync")
}
