//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/internal/s3server"
)

// rotation is a school whose keys are replaced: repository behind sshd, store
// in S3, syncer and hookserver as two processes with a TLS proxy before them,
// the hub's API a fake.
type rotation struct {
	*site
	t             testing.TB
	s3            *s3server.Accounts
	hub           *fakeHubAPI
	authority     *issuer
	front         *front
	syncer, hooks *service
	syncerPort    string
	bucket        string
	deploy, hook  string // the YAML lists of files
	signing       string
	ticket        string
	webhook       string
	control       string
	version       int
}

// newRotation is the site before any key was replaced.
func newRotation(t testing.TB) *rotation {
	t.Helper()
	r := &rotation{site: newSite(t), t: t, hub: newFakeHubAPI(t), authority: newAuthority(t, "first authority"), s3: s3server.StartAccounts(t)}
	r.bucket = s3server.Bucket(t, r.s3.Endpoint, r.s3.Access, r.s3.Secret).Bucket
	r.store = fmt.Sprintf("{s3: {bucket: %s, endpoint: %q, region: us-east-1}}", r.bucket, r.s3.Endpoint)
	for _, half := range []string{"syncer", "hookserver"} {
		r.s3.Add(half+"-1", "secret-of-"+half+"-1")
		r.replace("conf/secrets/s3-"+half, credentialsFile(half+"-1"))
	}
	r.site.satchel("key", "secret", r.path("conf/secrets/webhook"))
	r.replace("hub/hook-secret", r.read("conf/secrets/hook"))
	r.hub.trust(strings.TrimSpace(r.read("conf/secrets/hub-token")), true)
	r.replace("ca.pem", r.authority.pem)
	r.deploy, r.signing, r.hook = "[secrets/scala101-key]", "[secrets/signing.pem]", "[secrets/hook]"
	r.ticket, r.webhook, r.control = "[secrets/ticket]", "[secrets/webhook]", "[secrets/control]"
	r.syncerPort = hereAt(freePort(t))
	r.syncer, r.hooks = r.configure("syncer", ""), r.configure("hooks", "")
	r.front = newFront(t, r.authority, r.hooks.students)
	r.write()
	for half, v := range map[string]*service{"syncer": r.syncer, "hookserver": r.hooks} {
		r.env = s3Environment(r.path("conf/secrets/s3-" + half))
		v.run(half)
	}
	r.env = s3Environment(r.path("conf/secrets/s3-syncer")) // commands run where the syncer does
	r.version = 1
	r.hooks.ready(1)
	return r
}

// s3Environment is how a process finds its S3 credentials: by a file.
func s3Environment(file string) []string {
	return []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_CONFIG_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}
}

func credentialsFile(access string) string {
	return fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = secret-of-%s\n", access, access)
}

// write writes the configuration of both processes as it is to be now.
func (r *rotation) write() {
	r.t.Helper()
	for name, v := range map[string]*service{"syncer": r.syncer, "hooks": r.hooks} {
		between := fmt.Sprintf("syncer: %q, ", r.syncerPort)
		calls := ""
		if v == r.hooks {
			between, calls = "", fmt.Sprintf("syncer_url: \"http://%s\"\n", r.syncerPort)
		}
		r.replace("conf/"+name+".yaml", fmt.Sprintf(`store: %s
state_dir: ../state-%s
url: %q
ca_file: ../ca.pem
listen: {students: %q, hub: %q, %scontrol: ../control-%s.sock}
%shub: {api_url: %q, token_file: secrets/hub-token}
secrets: {signing_keys: %s, hook_secrets: %s, ticket_keys: %s, control: %s}
courses:
  - name: scala101
    repository: %q
    branch: main
    folder: notebooks
    deploy_key_file: %s
    known_hosts_file: known_hosts
    audience: everyone
    poll: 1h
    webhook: {host: github, secret_file: %s}
`, r.store, name, r.front.url, v.students, v.hubs, between, name, calls, r.hub.url,
			r.signing, r.hook, r.ticket, r.control, r.ssh.url(r.repo.bare), r.deploy, r.webhook))
	}
}

// change writes the configuration, and waits until both processes say in their
// logs that it was taken up.
func (r *rotation) change() {
	r.t.Helper()
	was := r.taken()
	r.write()
	r.takenUp(was)
}

const takenUp = `"msg":"configuration taken up"`

// taken is how often each process took its configuration up.
func (r *rotation) taken() [2]int {
	return [2]int{strings.Count(r.syncer.output(), takenUp), strings.Count(r.hooks.output(), takenUp)}
}

func (r *rotation) takenUp(was [2]int) {
	r.t.Helper()
	eventually(r.t, time.Minute, "both take the configuration up", func() error {
		if is := r.taken(); is[0] <= was[0] || is[1] <= was[1] {
			return fmt.Errorf("taken up %v times, before %v", is, was)
		}
		return nil
	})
}

func (r *rotation) read(file string) string {
	r.t.Helper()
	data, err := os.ReadFile(r.path(file))
	must(r.t, err)
	return string(data)
}

// replace puts a file in the place of another as the page says: mv.
func (r *rotation) replace(file, text string) {
	r.t.Helper()
	to := r.path(file)
	must(r.t, os.MkdirAll(filepath.Dir(to), 0o755))
	mode := os.FileMode(0o644)
	if strings.Contains(file, "secrets/") {
		mode = 0o600
	}
	must(r.t, os.WriteFile(to+".new", []byte(text), mode))
	must(r.t, os.Rename(to+".new", to))
}

// make makes a key by a command, and gives what it printed to standard output.
func (r *rotation) make(kind, file string) string {
	r.t.Helper()
	out, err := exec.Command(binary(r.t, "satchel"), "key", kind, r.path(file)).Output()
	must(r.t, err)
	return string(out)
}

// push publishes one more version, which is the number in drill.txt, and waits
// until the hookserver gives it out.
func (r *rotation) push() {
	r.t.Helper()
	r.pushOnly()
	r.syncer.publish()
	r.hooks.ready(r.version)
}

func (r *rotation) pushOnly() {
	r.version++
	r.repo.set("drill.txt", fmt.Sprintln(r.version))
	r.repo.push(fmt.Sprint("version ", r.version))
}

// standing is "satchel status --json" of the course.
func (r *rotation) standing() (s struct {
	LetIn    string `json:"let_in"`
	CutOff   int    `json:"cut_off"`
	SignedBy []struct {
		ID            string
		Servers, Only int
	} `json:"signed_by"`
}) {
	r.t.Helper()
	c := exec.Command(binary(r.t, "satchel"), "status", "--json", "--config", r.syncer.config)
	c.Env = append(os.Environ(), r.env...)
	out, err := c.Output()
	must(r.t, err)
	var all struct{ Courses []json.RawMessage }
	must(r.t, json.Unmarshal(out, &all))
	must(r.t, json.Unmarshal(all.Courses[0], &s))
	return s
}
