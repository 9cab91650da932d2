//go:build e2e

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// hooked is the course of these checks: the sample's repository once more, asked
// so seldom that only a webhook brings a push.
const hooked = "hooked"

// satchel runs an administrator's command as docs/compose.md has it.
func (w *town) satchel(service string, args ...string) string {
	w.t.Helper()
	return w.compose(append([]string{"exec", "-T", service, "satchel"}, args...)...)
}

var printedURL = regexp.MustCompile(`URL: +(\S+)`)

// webhook adds a course by the one command, and sends what GitHub would to the
// address that it prints.
func (w *town) webhook() string {
	said := w.satchel("syncer", "course", "add", "/srv/sample/scala101.git", "--name", hooked, "--folder", "notebooks", "--webhook", "github", "--yes")
	url := printedURL.FindStringSubmatch(said)
	if url == nil || url[1] != w.hub.url+"/webhooks/"+hooked {
		w.t.Fatalf("no address to paste in\n%s", said)
	}
	const taken = "configuration taken up"
	before := strings.Count(w.logs(w.service("syncer")), taken)
	w.compose("exec", "-T", "syncer", "sh", "-c", "echo 'poll: 24h' >> /etc/satchel/courses.d/"+hooked+".yaml")
	eventually(w.t, time.Minute, "the syncer asks seldom", func() error {
		if strings.Count(w.logs(w.service("syncer")), taken) <= before {
			return fmt.Errorf("not taken up")
		}
		return nil
	})
	w.hasHooked("README.md", "#")
	secret := strings.TrimSpace(readFile(w.t, filepath.Join(w.volume(project+"_webhook-secrets"), hooked)))
	if code := w.hooks(url[1], "another-secret-0123456789abcdef"); code != http.StatusUnauthorized {
		w.t.Errorf("a webhook of somebody else: %d", code)
	}
	w.repo.set("lab1/hook.md", "by a webhook\n")
	w.publishes("by a webhook")
	began := time.Now()
	if code := w.hooks(url[1], secret); code != http.StatusAccepted {
		w.t.Fatalf("a webhook: %d", code)
	}
	w.hasHooked("lab1/hook.md", "by a webhook")
	took := time.Since(began)
	if said := w.satchel("syncer", "--json", "status"); !strings.Contains(said, `"webhook_from": "github"`) {
		w.t.Errorf("the status does not tell of it:\n%s", said)
	}
	return fmt.Sprintf("with the student %.1f s after the webhook (poll: 24h)", took.Seconds())
}

// hooks sends a push as GitHub documents and signs it.
func (w *town) hooks(url, secret string) int {
	w.t.Helper()
	body := `{"ref":"refs/heads/main","repository":{"full_name":"school/scala101"}}`
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(body))
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	must(w.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(m.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// hasHooked waits until a file in the running server of ana begins with a text;
// "" is no such file.
func (w *town) hasHooked(file, text string) {
	w.t.Helper()
	eventually(w.t, time.Minute, fmt.Sprintf("%s has %q", file, text), func() error {
		out, err := w.command("docker", "exec", w.container, "cat", "/home/jovyan/work/"+hooked+"/"+file).Output()
		if (err == nil) != (text != "") || !strings.HasPrefix(string(out), text) {
			return fmt.Errorf("%q, %v; the syncer says\n%s", out, err, tail(w.logs(w.service("syncer")), 1500))
		}
		return nil
	})
}

// versionOf is the newest that is published of the course.
func (w *town) versionOf(course string) (v int) {
	w.t.Helper()
	var status struct {
		Courses []struct {
			Course  string
			Version int
		}
	}
	must(w.t, json.Unmarshal([]byte(w.satchel("syncer", "--json", "status")), &status))
	for _, c := range status.Courses {
		if c.Course == course {
			v = c.Version
		}
	}
	if v == 0 {
		w.t.Fatalf("no version of %s: %+v", course, status)
	}
	return v
}

// decisions: what people decide reaches the server that runs. (A rollback that
// takes a file away waits for the next start: so here it changes one.)
func (w *town) decisions() string {
	const file, first, second = "lab1/hook.md", "by a webhook", "while paused"
	had := w.versionOf(hooked)
	w.satchel("syncer", "pause", hooked, "--why", "exam")
	w.repo.set(file, second+"\n")
	w.publishes(second)
	w.satchel("syncer", "publish", hooked)
	w.in(w.container, "satchel-agent", "sync")
	if text := w.in(w.container, "cat", "/home/jovyan/work/"+hooked+"/"+file); text != first {
		w.t.Errorf("a paused course gave out %q", text)
	}
	follows := func(text string, args ...string) string {
		began := time.Now()
		w.satchel("syncer", args...)
		w.hasHooked(file, text)
		return fmt.Sprintf("%s %.1f s", args[0], time.Since(began).Seconds())
	}
	return strings.Join([]string{
		follows(second, "resume", hooked),
		follows(first, "rollback", hooked, fmt.Sprint(had), "--why", "the former was right"),
		follows(second, "resume", hooked),
		follows("", "withdraw", hooked, file, "--yes", "--why", "too early"),
	}, ", ")
}

// looksWell: what looks at the service finds nothing in a service that is as
// docs/compose.md makes it, in either container.
func (w *town) looksWell() string {
	w.satchel("syncer", "check", "--read-data")
	count := 0
	for half, elsewhere := range map[string]string{"syncer": "secrets/hook", "hookserver": "secrets/signing.pem"} {
		if said := w.satchel(half, "config", "check"); !strings.Contains(said, "note: /etc/satchel/"+elsewhere+": is not there; only the ") || strings.Contains(said, "warning") {
			w.t.Errorf("config check in the %s's container:\n%s", half, said)
		}
		var found []struct {
			Name, Note string
			OK         bool
		}
		must(w.t, json.Unmarshal([]byte(w.satchel(half, "--json", "doctor")), &found))
		for _, c := range found {
			if count++; !c.OK {
				w.t.Errorf("doctor in the %s's container: %s: %s", half, c.Name, c.Note)
			}
		}
	}
	made := "/etc/satchel/secrets/hook-2"
	w.satchel("syncer", "key", "secret", made)
	if mode := w.in(w.service("syncer"), "stat", "-c", "%a %u", made); mode != "600 10001" {
		w.t.Errorf("a new secret: %s", mode)
	}
	w.in(w.service("syncer"), "rm", made)
	w.compose("exec", "-T", "syncer", "rm", "/etc/satchel/courses.d/"+hooked+".yaml")
	return fmt.Sprintf("%d findings, all well", count)
}

// studentsDoctor: the machine's metadata address is what compose cannot close.
func (w *town) studentsDoctor() string {
	said, code := runProgram(w.t, w.command("docker", "exec", w.container, "satchel-agent", "doctor", "--json"))
	var found []struct {
		Name, Note string
		OK         bool
	}
	if err := json.Unmarshal([]byte(said), &found); err != nil {
		w.t.Fatalf("exit %d, %v\n%s", code, err, said)
	}
	walls, open := 0, ""
	for _, c := range found {
		switch {
		case c.Name == "metadata" && !c.OK:
			walls, open = walls+1, "; the metadata address is open here, as said"
		case !c.OK:
			w.t.Errorf("%s: %s", c.Name, c.Note)
		case c.Name == "metadata", c.Name == "hub's port":
			walls++
		}
	}
	if walls != 2 {
		w.t.Errorf("it tells of %d walls:\n%s", walls, said)
	}
	return fmt.Sprintf("%d findings%s", len(found), open)
}
