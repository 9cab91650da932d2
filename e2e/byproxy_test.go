//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/internal/s3server"
	"satchel/internal/webgit"
)

// outward is a school whose service reaches everything by names: git and its
// LFS over HTTPS, S3, the hub. All are of one authority.
type outward struct {
	*site
	t    *testing.T
	ca   *issuer
	hub  *fakeHubAPI
	at   string                   // tinyproxy's address
	log  string                   // where tinyproxy says who went through
	from int                      // what tinyproxy said before is not looked at
	big  atomic.Value             // what lies in Git LFS: a string
	url  func(name string) string // where a name answers
}

const outwardHosts = "127.0.0.1 localhost git.school.test lfs.school.test s3.school.test hub.school.test satchel.school.test\n"

func newOutward(t *testing.T) *outward {
	t.Helper()
	o := &outward{site: newSiteWithoutSSH(t), t: t, ca: newAuthority(t, "School CA"), hub: newFakeHubAPI(t)}
	o.pushLFS("a,b\n1,2\n")
	endpoint, access, secret := s3server.Start(t)
	bucket := s3server.Bucket(t, endpoint, access, secret).Bucket
	o.env = []string{"AWS_ACCESS_KEY_ID=" + access, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true"}
	ports := map[string]string{}
	o.url = func(name string) string { return "https://" + name + ".school.test:" + ports[name] }
	git, err := webgit.Start(slog.New(slog.DiscardHandler), webgit.Options{Names: []string{"git.school.test"},
		Repos: map[string]string{"/school/scala101.git": o.repo.bare}, Wrap: o.lfsBatch})
	must(t, err)
	t.Cleanup(git.Close)
	_, ports["git"], _ = net.SplitHostPort(git.Addr())
	objects := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, o.inLFS()) }))
	t.Cleanup(objects.Close)
	for name, to := range map[string]string{"lfs": objects.URL, "s3": endpoint, "hub": o.hub.url} {
		u, err := url.Parse(to)
		must(t, err)
		front, err := url.Parse(newFront(t, o.ca, u.Host).url)
		must(t, err)
		ports[name] = front.Port()
	}
	o.store = fmt.Sprintf("{s3: {bucket: %s, endpoint: %q, region: us-east-1}}", bucket, o.url("s3"))
	write(t, o.path("ca.pem"), o.ca.pem+string(git.CA()))
	o.startTiny()
	return o
}

// pushLFS pushes a file that lies in Git LFS.
func (o *outward) pushLFS(content string) {
	o.t.Helper()
	o.big.Store(content)
	o.repo.set("data/big.csv", fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oidOf(content), len(content)))
	o.repo.push("a file in LFS")
}

func (o *outward) inLFS() string { return o.big.Load().(string) }

func oidOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// lfsBatch is a fake of what a git host says of LFS: the content is elsewhere.
func (o *outward) lfsBatch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/info/lfs/objects/batch") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"transfer": "basic", "objects": []any{map[string]any{
			"oid": oidOf(o.inLFS()), "size": len(o.inLFS()), "actions": map[string]any{"download": map[string]any{"href": o.url("lfs") + "/big"}}}}})
	})
}

// startTiny starts tinyproxy, which writes down each request.
func (o *outward) startTiny() {
	port := freePort(o.t)
	o.at, o.log = hereAt(port), o.path("tinyproxy.log")
	write(o.t, o.path("tinyproxy.conf"), fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\nLogLevel Connect\nLogFile %q\n", port, o.log))
	start(o.t, o.dir, nil, "tinyproxy", "-d", "-c", o.path("tinyproxy.conf"))
	eventually(o.t, 30*time.Second, "tinyproxy", func() error {
		c, err := net.Dial("tcp", o.at)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// through is whether tinyproxy was asked for a name.
func (o *outward) through(name string) bool {
	return strings.Contains(readFile(o.t, o.log)[o.from:], name+".school.test:")
}

// expectThrough compares who went through the proxy.
func (o *outward) expectThrough(want ...string) {
	o.t.Helper()
	for _, name := range []string{"git", "lfs", "s3", "hub", "satchel"} {
		wanted := false
		for _, w := range want {
			wanted = wanted || w == name
		}
		if o.through(name) != wanted {
			o.t.Errorf("%s through the proxy: %v, not %v\n%s", name, !wanted, wanted, readFile(o.t, o.log)[o.from:])
		}
	}
}

// serve starts a service with these variables; from then on it counts who goes
// through the proxy.
func (o *outward) serve(name, hub string, env ...string) *service {
	o.t.Helper()
	o.from = len(readFile(o.t, o.log))
	v := o.configure(name, fmt.Sprintf("ca_file: ../ca.pem\nhub: {api_url: %q, token_file: secrets/hub-token}\ncourses:\n  - {name: scala101, repository: %q, branch: main, folder: notebooks, audience: everyone, poll: 1h}\n",
		hub, o.url("git")+"/school/scala101.git"))
	_, port, _ := net.SplitHostPort(v.students)
	write(o.t, v.config, strings.Replace(readFile(o.t, v.config), "url: \"http://"+v.students, "url: \"http://satchel.school.test:"+port, 1))
	was := o.env
	o.env = append(append([]string{}, was...), env...)
	v.run("serve")
	o.env = was
	return v
}

// resumed syncs with nothing but the hub's token, which the service takes to
// the hub, and gives what the agent said.
func (o *outward) resumed(v *service, st *student, env ...string) string {
	o.t.Helper()
	adm := v.login(st.name)
	adm.Ticket = staleTicket(o.t, st.name)
	c := st.agent(adm, "sync")
	c.Env = append(append(c.Env, "JUPYTERHUB_API_TOKEN=token-of-"+st.name, "JUPYTERHUB_API_URL="+o.hub.url), env...)
	out, code := runProgram(o.t, c)
	if code != 0 {
		o.t.Fatalf("sync: exit %d\n%s", code, out)
	}
	return out
}

// TestE2EThroughAProxy: the service calls git over HTTPS, LFS, S3 and a hub
// behind TLS through the proxy of its environment, but for whom NO_PROXY names.
// A hub in plain http is asked through none: that one would read tokens.
func TestE2EThroughAProxy(t *testing.T) {
	if !ownNetwork(t, outwardHosts) {
		return
	}
	o := newOutward(t)
	hubTLS := o.url("hub") + "/hub/api"
	_, port, _ := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(o.hub.url, "http://"), "/hub/api"))
	for n, c := range []struct {
		name, hub, none string
		through         []string
	}{
		{"all", hubTLS, "", []string{"git", "lfs", "s3", "hub"}},
		{"some", hubTLS, "s3.school.test,hub.school.test", []string{"git", "lfs"}},
		{"port", hubTLS, "git.school.test:" + strings.TrimPrefix(o.url("git"), "https://git.school.test:") + ",.s3.school.test", []string{"lfs", "s3", "hub"}},
		{"plain", "http://hub.school.test:" + port + "/hub/api", "", []string{"git", "lfs", "s3"}},
	} {
		o.pushLFS("a,b\n" + c.name + ",2\n")
		v := o.serve(c.name, c.hub, "HTTPS_PROXY=http://"+o.at, "HTTP_PROXY=http://"+o.at, "NO_PROXY="+c.none)
		v.ready(n + 1)
		ana := o.student("ana-" + c.name)
		o.resumed(v, ana)
		if got := readFile(t, filepath.Join(ana.folder(), "data/big.csv")); got != o.inLFS() {
			t.Errorf("%s: of LFS came %q", c.name, got)
		}
		o.expectThrough(c.through...)
		must(t, v.stop())
	}
}

// TestE2ETheAgentsProxy: the variables of other programs send no agent to a
// proxy, which would read its ticket; SATCHEL_PROXY does, and the hub's token
// takes not even that one.
func TestE2ETheAgentsProxy(t *testing.T) {
	if !ownNetwork(t, outwardHosts) {
		return
	}
	o := newOutward(t)
	v := o.serve("serve", o.url("hub")+"/hub/api", "NO_PROXY=git.school.test,s3.school.test,hub.school.test", "HTTPS_PROXY=http://"+o.at)
	v.ready(1)
	eye := startProxy(t, o.at) // before tinyproxy: it reads all that a proxy would
	seen := "http://" + eye.addr
	ana, ben := o.student("ana"), o.student("ben")
	adm := v.login("ana")
	c := ana.agent(adm, "sync")
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		c.Env = append(c.Env, name+"="+seen)
	}
	mustRun(t, c)
	equalButLFS(t, o, ana)
	if got := eye.bytes(); len(got) > 0 {
		t.Errorf("a proxy that the agent was not told of saw %q", got)
	}

	o.resumed(v, ben, "SATCHEL_PROXY="+seen)
	equalButLFS(t, o, ben)
	o.expectThrough("satchel", "lfs") // LFS by the service: at a private address it is not had directly
	switch got := string(eye.bytes()); {
	case !strings.Contains(got, "/v1/sync"):
		t.Errorf("SATCHEL_PROXY saw no question: %q", got)
	case strings.Contains(got, "token-of-"):
		t.Errorf("SATCHEL_PROXY saw the hub's token: %q", got)
	}
}

func equalButLFS(t *testing.T, o *outward, st *student) {
	t.Helper()
	want := o.repo.delivered()
	want["data/big.csv"] = oidOf(o.inLFS())
	if got := onDisk(t, st.folder()); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has %v, not %v", st.name, got, want)
	}
}
