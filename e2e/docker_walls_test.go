//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// address of a service's container on one of the compose file's networks.
func (w *town) address(service, network string) string {
	w.t.Helper()
	if network != "students" {
		network = "_" + network
	} else {
		network = "-" + network
	}
	var nets map[string]struct{ IPAddress string }
	w.inspect(w.service(service), ".NetworkSettings.Networks", &nets)
	at := nets[project+network].IPAddress
	if at == "" {
		w.t.Fatalf("%s is not on %s: %v", service, network, nets)
	}
	return at
}

// reaches tries to connect from a container: "open", or why not.
func (w *town) reaches(container, host string, port int) string {
	w.t.Helper()
	return w.in(container, "python3", "-c", fmt.Sprintf(`
import socket
try:
    socket.create_connection((%q, %d), timeout=2).close(); print("open")
except Exception as e:
    print(type(e).__name__)`, host, port))
}

// reach is one connection that somebody may or may not make.
type reach struct {
	name, from, host string
	port             int
	open             bool
}

func (w *town) walls() string {
	hook, hub := w.service("hookserver"), w.service("hub")
	ways := []reach{
		{"the student listener", w.container, "satchel", 8484, true},
		{"the hub's API", w.container, "hub", 8081, true},
		{"the internet", w.container, "pypi.org", 443, true},
		{"the hook port on the hub's network", w.container, w.address("hookserver", "hubside"), 8485, false},
		{"the hook port on the students' network", w.container, w.address("hookserver", "students"), 8485, false},
		{"the hook port by name", w.container, "hookport", 8485, false},
		{"the student listener on other networks", w.container, w.address("hookserver", "storage"), 8484, false},
		{"S3", w.container, w.address("s3", "storage"), 7070, false},
		{"S3 by name", w.container, "s3", 7070, false},
		{"the syncer's SSH way", w.container, w.address("syncer", "git"), 22, false},
		{"the syncer's hints", w.container, w.address("syncer", "halves"), 8486, false},
		{"the syncer's hints by name", w.container, "syncport", 8486, false},
		{"the webhooks' port", w.container, w.address("hookserver", "web"), 8487, false},
		{"the webhooks' port by name", w.container, "webport", 8487, false},
		{"the hub's proxy API", w.container, "hub", 8001, false},
		{"Caddy inside", w.container, w.address("https", "front"), 80, false},
		// The same questions of those who may: else a wall would be no news.
		{"the hook port, from the hub", hub, w.address("hookserver", "hubside"), 8485, true},
		{"the hook port by name, from the hub", hub, "hookport", 8485, true},
		{"Caddy inside, from the hub", hub, w.address("https", "front"), 80, true},
		{"the syncer's hints, from the hub", hub, w.address("syncer", "halves"), 8486, false},
		{"the syncer's hints on other networks, from the hookserver", hook, w.address("syncer", "storage"), 8486, false},
		{"the syncer's hints, from S3", w.service("s3"), w.address("syncer", "halves"), 8486, false},
		{"the syncer's hints by name, from the hookserver", hook, "syncport", 8486, true},
		{"the webhooks' port, from the hub", hub, w.address("hookserver", "web"), 8487, false},
		{"the webhooks' port by name, from Caddy", w.service("https"), "webport", 8487, true},
		{"the student listener, from Caddy", w.service("https"), w.address("hookserver", "web"), 8484, false},
		{"the hook port, from Caddy", w.service("https"), w.address("hookserver", "web"), 8485, false},
		{"the hub's proxy API, from the hub itself", hub, "127.0.0.1", 8001, true},
	}
	for _, y := range ways {
		if got := w.reaches(y.from, y.host, y.port); (got == "open") != y.open {
			w.t.Errorf("%s: %s", y.name, got)
		}
	}
	if code := w.in(hook, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://s3:7070/health"); code != "200" {
		w.t.Errorf("S3 from the hookserver: %s", code)
	}
	// What the syncer's port and the webhooks' answer to whoever gets there.
	for url, want := range map[string]string{"http://syncport:8486/hints": "401", "http://syncport:8486/status": "404", "http://webport:8487/v1/sync": "404", "http://webport:8487/v1/logins": "404"} {
		if code := w.in(hook, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", url); code != want {
			w.t.Errorf("%s from the hookserver: %s, want %s", url, code, want)
		}
	}
	for _, file := range []string{"/var/run/docker.sock", "/run/docker.sock", "/etc/satchel", "/run/satchel"} {
		if _, err := w.command("docker", "exec", w.container, "test", "-e", file).Output(); err == nil {
			w.t.Errorf("%s is in the student's container", file)
		}
	}
	return fmt.Sprintf("%d ways tried", len(ways))
}

// namesAreSafe: with a student's container on the network that is named like a
// part of the system, the hub still finds the right ones. That no part has a
// name which such a container can have is held without an engine:
// internal/imports, TestNoPartGoesByAStudentsName.
func (w *town) namesAreSafe() {
	w.t.Helper()
	w.signUp("hub").spawn("")
	hub := w.service("hub")
	for name, want := range map[string]string{
		"hookport": w.address("hookserver", "hubside"), "satchel": w.address("hookserver", "students"),
	} {
		if got := w.in(hub, "python3", "-c", fmt.Sprintf("import socket; print(sorted({a[4][0] for a in socket.getaddrinfo(%q, 0)}))", name)); got != "['"+want+"']" {
			w.t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
	w.docker("rm", "-f", containerOf("hub"))
}

// othersApart: from ana's container, with all that ana has.
func (w *town) othersApart() string {
	w.ben.spawn("")
	w.in(containerOf("ben"), "sh", "-c", "echo ben-s-own > /home/jovyan/work/ben.txt")
	inside := "http://" + containerOf("ben") + ":8888/user/ben/api/contents/work/ben.txt"
	ask := `curl -s -L --max-time 10 -H "Authorization: token $JUPYTERHUB_API_TOKEN" `
	token := w.in(w.container, "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^JUPYTERHUB_API_TOKEN=//p'")
	for from, out := range map[string]string{
		"ana's container":            w.in(w.container, "sh", "-c", "JUPYTERHUB_API_TOKEN="+token+"; "+ask+inside+"; true"),
		"the proxy, by ana's cookie": w.ana.follow("/user/ben/api/contents/work/ben.txt").text,
	} {
		if strings.Contains(out, "ben-s-own") {
			w.t.Errorf("%s reads ben's file: %s", from, out)
		}
	}
	if out := w.ben.follow("/user/ben/api/contents/work/ben.txt").text; !strings.Contains(out, "ben-s-own") {
		w.t.Errorf("ben does not read ben's own file: %s", tail(out, 500))
	}
	w.namesAreSafe()
	var mounts []struct{ Name, Destination string }
	w.inspect(w.container, ".Mounts", &mounts)
	if len(mounts) != 1 || mounts[0].Name != project+"-work-ana" {
		w.t.Errorf("mounts of ana's container: %v", mounts)
	}
	if got := w.ana.do(http.MethodGet, "/hub/api/users/ben", nil); got.code < 400 {
		w.t.Errorf("ana asks the hub for ben: %d", got.code)
	}
	w.stop(w.ben)
	return ""
}

// s3Rights tries what each half may do, by its own key.
func (w *town) s3Rights() string {
	s3 := func(user, method, key string) string {
		return w.in(w.service("s3"), "sh", "-c", fmt.Sprintf(
			`curl -s -o /dev/null -w '%%{http_code}' --aws-sigv4 aws:amz:us-east-1:s3 --user "%s:$(cat /run/satchel/%s)" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X %s $( [ %s != PUT ] || echo --data-binary x ) '%s'`,
			user, user, method, method, "http://127.0.0.1:7070/"+key))
	}
	for _, c := range []struct{ user, method, key, want string }{
		{"syncer", "PUT", "satchel/courses/x/probe", "200"},
		{"hookserver", "GET", "satchel/courses/x/probe", "200"},
		{"hookserver", "PUT", "satchel/courses/x/probe", "403"},
		{"hookserver", "PUT", "satchel/courses/x/other", "403"},
		{"hookserver", "DELETE", "satchel/courses/x/probe", "403"},
		{"hookserver", "PUT", "satchel/receipts/2026/probe", "200"},
		{"hookserver", "DELETE", "satchel/receipts/2026/probe", "403"},
		{"hookserver", "PUT", "satchel?policy=", "403"},
		{"hookserver", "PUT", "another-bucket", "403"},
		{"syncer", "PUT", "satchel?policy=", "403"},
		{"syncer", "DELETE", "satchel/receipts/2026/probe", "204"},
		{"syncer", "DELETE", "satchel/courses/x/probe", "204"},
	} {
		if got := s3(c.user, c.method, c.key); got != c.want {
			w.t.Errorf("%s %s %s: %s, want %s", c.user, c.method, c.key, got, c.want)
		}
	}
	if code := w.in(w.service("s3"), "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:7070/satchel/courses/scala101/record"); code != "403" {
		w.t.Errorf("without a key: %s", code)
	}
	return ""
}

// secrets are all that init made, and the deploy keys; public halves aside.
func (w *town) secrets() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, v := range secretVolumes {
		dir := w.volume(project + "_" + v)
		files, err := filepath.Glob(dir + "/*")
		must(w.t, err)
		for _, f := range files {
			if strings.HasSuffix(f, ".pub") || strings.HasSuffix(f, "known_hosts") {
				continue
			}
			for i, line := range strings.Split(readFile(w.t, f), "\n") {
				_, value, found := strings.Cut(line, "aws_secret_access_key = ")
				if !found {
					value = line
				}
				if strings.HasPrefix(line, "-----") || len(value) < 20 || value == opensshHeader {
					continue
				}
				out[fmt.Sprintf("%s/%s line %d", v, filepath.Base(f), i+1)] = value
			}
		}
	}
	return out
}

// noSecret searches all that a student or a reader of images and logs could
// read; then a secret is planted in the student's container, and must be found.
func (w *town) noSecret() string {
	secrets := w.secrets()
	if len(secrets) < 14 {
		w.t.Fatalf("only %d secrets to look for: %v", len(secrets), secrets)
	}
	ticket := w.ticketOf(w.container)
	places, size := 0, 0
	look := func(place string, data []byte) {
		places++
		size += len(data)
		for _, name := range leaks(secrets, data) {
			w.t.Errorf("%s is in %s", name, place)
		}
		if bytes.Contains(data, []byte(ticket)) && !strings.HasPrefix(place, "the environment") {
			w.t.Errorf("the ticket is in %s", place)
		}
	}
	look("the environment", []byte(w.docker("inspect", w.container)))
	for _, dir := range w.layers(w.container) {
		w.eachFileBelow(dir, look)
	}
	w.eachFileBelow(w.volume(project+"-work-ana"), look)
	for image, base := range map[string]string{"service": "debian", "hub": "jupyterhub", "s3": "debian", "https": "caddy", "instance": "base-notebook"} {
		name := project + "/" + image
		look("the history of "+image, []byte(w.docker("history", "--no-trunc", name)+w.docker("image", "inspect", name)))
		of := w.layers("standin/" + base)
		for _, dir := range w.layers(name) {
			if !slices.Contains(of, dir) {
				w.eachFileBelow(dir, look)
			}
		}
	}
	for _, c := range strings.Fields(w.docker("ps", "-a", "--format", "{{.Names}}", "--filter", "name="+project)) {
		look("the log of "+c, []byte(w.logs(c)))
	}
	w.plantedIsFound(secrets)
	return fmt.Sprintf("%d secrets, %d places, %d MB", len(secrets), places, size>>20)
}

// plantedIsFound shows that a secret would be seen.
func (w *town) plantedIsFound(secrets map[string]string) {
	w.t.Helper()
	for name, secret := range secrets {
		c := w.command("docker", "exec", "-i", w.container, "sh", "-c", "cat > /tmp/planted")
		c.Stdin = strings.NewReader("x" + secret + "\n")
		mustRun(w.t, c)
		found := false
		w.eachFileBelow(w.layers(w.container)[0], func(_ string, data []byte) {
			found = found || len(leaks(map[string]string{name: secret}, data)) > 0
		})
		if !found {
			w.t.Errorf("a planted %s was not found", name)
		}
	}
	w.in(w.container, "rm", "/tmp/planted")
}

// layers are the folders in which the engine keeps a container's or an image's
// files, newest first: each with its own, also those that a later one deleted.
func (w *town) layers(object string) (dirs []string) {
	w.t.Helper()
	var data struct{ UpperDir, LowerDir string }
	w.inspect(object, ".GraphDriver.Data", &data)
	if data.UpperDir == "" {
		w.t.Fatal("not the storage driver that this test knows (overlay2)")
	}
	dirs = []string{data.UpperDir}
	if strings.Contains(object, "/") && data.LowerDir != "" { // an image; a container's are its image's
		dirs = append(dirs, strings.Split(data.LowerDir, ":")...)
	}
	return dirs
}

func (w *town) eachFileBelow(dir string, look func(string, []byte)) {
	w.t.Helper()
	out := mustRun(w.t, exec.Command("find", dir, "-type", "f", "-print0"))
	for _, file := range strings.Split(strings.TrimRight(out, "\x00"), "\x00") {
		data, err := os.ReadFile(file)
		if err == nil {
			look(strings.TrimPrefix(file, filepath.Dir(filepath.Dir(dir))), append([]byte(file+"\n"), data...))
		}
	}
}
