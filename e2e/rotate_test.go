//go:build e2e

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"satchel/hook"
	"satchel/syncer"
)

// drill replaces each key by the steps of docs/rotation.md.
type drill struct {
	*rotation
	*lessons
	t       *testing.T
	watches map[string]*process // running servers, by student
	homes   map[string]*student
}

// TestE2ERotation is the drill: each key of the service is replaced while
// students log in, containers are resumed and watches run. No login fails, and
// at the end the old key opens nothing.
func TestE2ERotation(t *testing.T) {
	r := newRotation(t)
	d := &drill{rotation: r, t: t, watches: map[string]*process{}, homes: map[string]*student{}}
	r.push()
	d.lessons = startLessons(r)
	for _, name := range []string{"watch0", "watch1"} {
		d.homes[name] = r.student(name)
		d.start(name)
	}
	d.during("no key", func() {})
	d.during("deploy key", d.deployKey)
	d.during("signing key", d.signingKey)
	d.during("hook secret", d.hookSecret)
	d.during("ticket keys", d.ticketKeys)
	d.during("webhook secret", d.webhookSecret)
	d.during("control secret", d.controlSecret)
	d.during("the hub's token", d.hubToken)
	d.during("S3 credentials", d.s3Credentials)
	d.during("S3 credentials, stolen", d.stolenS3Credentials)
	d.during("TLS certificate and authority", d.certificate)
	d.stop()
	fresh, resumed, failed := d.counts()
	t.Logf("all: %d logins of new servers, %d of resumed containers, %d failed", fresh, resumed, failed)
	for _, f := range d.failed {
		t.Error(f)
	}
}

// start starts a student's server anew, with the environment of today.
func (d *drill) start(name string) {
	d.t.Helper()
	if p := d.watches[name]; p != nil {
		p.kill()
	}
	adm, err := d.spawn(name)
	must(d.t, err)
	d.watches[name] = startCommand(d.t, d.dir, d.agentOf(d.homes[name], adm, "watch"))
}

// during replaces one key, then publishes once more: the running watches must
// bring that too.
func (d *drill) during(what string, rotate func()) {
	d.t.Helper()
	began := time.Now()
	fresh, resumed, failed := d.counts()
	d.more(3)
	rotate()
	d.push()
	d.published.Store(int64(d.version))
	d.more(classSize)
	d.arrives()
	f, s, x := d.counts()
	d.t.Logf("%-30s %4d logins of new servers, %4d of resumed containers, %d failed, %.1f s", what, f-fresh, s-resumed, x-failed, time.Since(began).Seconds())
}

// arrives waits until each running server has what was published last.
func (d *drill) arrives() {
	d.t.Helper()
	for name, st := range d.homes {
		eventually(d.t, 3*time.Minute, "a watch brings what is new to "+name, func() error {
			if d.watches[name].ended() {
				d.t.Fatalf("the watch of %s ended", name)
			}
			if n := drilled(st); n < d.version {
				return fmt.Errorf("version %d, %d was published", n, d.version)
			}
			return nil
		})
	}
}

func (d *drill) deployKey() {
	old := d.path("conf/secrets/scala101-key")
	line := d.make("deploy", "conf/secrets/scala101-key-2")
	both := d.read("conf/authorized_keys") + "restrict " + line
	d.deploy = "[secrets/scala101-key-2, secrets/scala101-key]"
	d.change()
	d.push() // not pasted yet: the old one is let in
	d.expectLetIn("scala101-key (")
	d.replace("conf/authorized_keys", both)
	d.push()
	d.expectLetIn("scala101-key-2 (")
	d.replace("conf/authorized_keys", "restrict "+line)
	d.deploy = "[secrets/scala101-key-2]"
	d.change()
	if out, code := d.asks(old); code == 0 || !strings.Contains(out, "Permission denied") {
		d.t.Errorf("the old deploy key: exit %d\n%s", code, out)
	}
	if out, code := d.asks(d.path("conf/secrets/scala101-key-2")); code != 0 {
		d.t.Errorf("the new deploy key: exit %d\n%s", code, out)
	}
}

func (d *drill) expectLetIn(key string) {
	d.t.Helper()
	if in := d.standing().LetIn; !strings.Contains(in, key) {
		d.t.Errorf("let in by %q, not %s", in, key)
	}
}

// asks lists the repository by git with one key.
func (d *drill) asks(key string) (string, int) {
	d.t.Helper()
	c := exec.Command("git", "ls-remote", d.ssh.url(d.repo.bare))
	c.Env = append(os.Environ(), "GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile="+d.ssh.knownHosts+" -i "+key)
	return runProgram(d.t, c)
}

func (d *drill) signingKey() {
	left := d.student("left-behind") // a container that nobody starts anew
	before, err := d.spawn(left.name)
	must(d.t, err)
	d.bringNow(left, before)
	oldID := d.standing().SignedBy[0].ID

	was := d.taken()
	mustRun(d.t, exec.Command("sh", "-c", `cd "$0" && "$1" key signing secrets/signing-2.pem >> secrets/signing.pub`, d.path("conf"), binary(d.t, "satchel")))
	d.takenUp(was)
	d.signing = "[secrets/signing-2.pem, secrets/signing.pem]"
	d.change()
	d.push()
	for name := range d.homes {
		d.start(name)
	}
	d.remake()
	began := time.Now()
	eventually(d.t, 8*time.Minute, "one server alone needs the old key", func() error {
		if time.Since(began) > 2*time.Minute { // what a server told of its keys may be lost: it is told at its next start
			began = time.Now()
			for name := range d.homes {
				d.start(name)
			}
		}
		s := d.standing()
		if len(s.SignedBy) != 2 || s.SignedBy[1].ID != oldID || s.SignedBy[1].Only != 1 || s.CutOff != 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	d.bringNow(left, before)
	d.signing = "[secrets/signing-2.pem]"
	d.change()
	d.push()
	was = d.taken()
	d.replace("conf/secrets/signing.pub", d.make("signing", "conf/secrets/signing-2.pem"))
	d.takenUp(was)
	out, code := runProgram(d.t, d.agentOf(left, before, "sync"))
	if code != 4 || !strings.Contains(out, "This server was made before the course's key changed; start a new one") {
		d.t.Errorf("a server that trusts the old key alone: exit %d\n%s", code, out)
	}
	if s := d.standing(); s.CutOff != 1 || len(s.SignedBy) != 1 || s.SignedBy[0].ID == oldID {
		d.t.Errorf("after the last step: %+v", s)
	}
}

// bringNow is a login that is none of the counted ones.
func (d *drill) bringNow(st *student, adm hook.Admission) {
	d.t.Helper()
	if err := d.bring(st, adm, d.version); err != nil {
		d.t.Error(err)
	}
}

func (d *drill) hookSecret() {
	old := strings.TrimSpace(d.read("conf/secrets/hook"))
	d.make("secret", "conf/secrets/hook-2")
	d.hook = "[secrets/hook-2, secrets/hook]"
	d.change()
	d.more(5)
	d.replace("hub/hook-secret", d.read("conf/secrets/hook-2"))
	d.more(5)
	d.hook = "[secrets/hook-2]"
	d.change()
	if _, err := d.spawnWith("nobody", old); err == nil || !strings.Contains(err.Error(), "401") {
		d.t.Errorf("the old hook secret: %v", err)
	}
}

func (d *drill) ticketKeys() {
	st := d.student("without-hub-token")
	old, err := d.spawn(st.name)
	must(d.t, err)
	agent := func() (string, int) {
		c := st.agent(old, "sync")
		c.Env = append(c.Env, "SATCHEL_CA_FILE="+d.path("ca.pem"))
		return runProgram(d.t, c)
	}
	d.make("secret", "conf/secrets/ticket-2")
	for _, keys := range []string{"[secrets/ticket, secrets/ticket-2]", "[secrets/ticket-2, secrets/ticket]"} {
		d.ticket = keys
		d.change()
		d.more(5)
		if out, code := agent(); code != 0 {
			d.t.Errorf("a ticket by the old key, with %s: exit %d\n%s", keys, code, out)
		}
	}
	// Here the page says: wait 12 hours. The watches' tickets are still by the
	// old key, so they show the hub's token.
	d.ticket = "[secrets/ticket-2]"
	d.change()
	if out, code := agent(); code == 0 {
		d.t.Errorf("a ticket by the old key is still taken\n%s", out)
	}
}

func (d *drill) webhookSecret() {
	old := strings.TrimSpace(d.read("conf/secrets/webhook"))
	d.make("secret", "conf/secrets/webhook-2")
	next := strings.TrimSpace(d.read("conf/secrets/webhook-2"))
	d.webhook = "[secrets/webhook-2, secrets/webhook]"
	d.change()
	for what, secret := range map[string]string{"old": old, "new": next} {
		d.hinted("the overlap, "+what, secret)
	}
	d.webhook = "[secrets/webhook-2]"
	d.change()
	d.hinted("the new one alone", next)
	if code := d.deliver(old); code != http.StatusUnauthorized {
		d.t.Errorf("a webhook by the old secret: %d", code)
	}
}

// hinted pushes, and sends the webhook by which alone the syncer can know.
func (d *drill) hinted(what, secret string) {
	d.t.Helper()
	d.pushOnly()
	if code := d.deliver(secret); code != http.StatusAccepted {
		d.t.Errorf("a webhook, %s: %d", what, code)
	}
	d.hooks.ready(d.version)
}

// deliver sends a push event as GitHub does, signed with a secret.
func (d *drill) deliver(secret string) int {
	d.t.Helper()
	body := `{"ref":"refs/heads/main"}`
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, body)
	req, _ := http.NewRequest(http.MethodPost, "http://"+d.hooks.students+"/webhooks/scala101", strings.NewReader(body))
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(d.t, err)
	resp.Body.Close()
	return resp.StatusCode
}

func (d *drill) controlSecret() {
	old := strings.TrimSpace(d.read("conf/secrets/control"))
	d.make("secret", "conf/secrets/control-2")
	webhook := strings.TrimSpace(d.read("conf/secrets/webhook-2"))
	for _, files := range []string{"[secrets/control, secrets/control-2]", "[secrets/control-2, secrets/control]", "[secrets/control-2]"} {
		d.control = files
		d.change()
		d.hinted("control: "+files, webhook)
	}
	hint := syncer.HintRequest{Course: "scala101", Host: "github"}
	if err := syncer.SendHint(d.t.Context(), "http://"+d.syncerPort, old, hint); err == nil {
		d.t.Error("the syncer takes the old control secret")
	}
}
