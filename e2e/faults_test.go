//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// TestE2EOneClearSentence: each fault gives one sentence that says what to do,
// in the status or at the start, and nothing that was published is lost.
func TestE2EOneClearSentence(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	s := newSite(t)
	good := s.configure("good", "").run("serve")
	good.ready(1)
	ana := s.student("ana")
	ana.sync(good.login("ana"))
	before := onDisk(t, ana.folder())
	must(t, good.stop())

	mustRun(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("conf/wrong-key")))
	wrongHost := strings.Replace(readFile(t, s.path("conf/wrong-key.pub")), "ssh-ed25519 ", fmt.Sprintf("[127.0.0.1]:%d ssh-ed25519 ", s.ssh.port), 1)
	write(t, s.path("conf/wrong_hosts"), wrongHost)
	course := func(url, key, hosts, branch string) string {
		return fmt.Sprintf("courses:\n  - {name: scala101, repository: %q, branch: %q, folder: notebooks, deploy_key_file: %q, known_hosts_file: %q, audience: everyone, poll: 5s}\n", url, branch, key, hosts)
	}
	key, hosts, url := "secrets/scala101-key", "known_hosts", s.ssh.url(s.repo.bare)
	for _, c := range []struct {
		name, more string
		want       []string
	}{
		{"wrong host key", course(url, key, "wrong_hosts", "main"), []string{"host key"}},
		{"wrong deploy key", course(url, "wrong-key", hosts, "main"), []string{"deploy key"}},
		{"missing repository", course(s.ssh.url("/nowhere.git"), key, hosts, "main"), []string{"nowhere"}},
		{"missing branch", course(url, key, hosts, "mian"), []string{"mian", "main"}},
		{"missing folder", strings.Replace(course(url, key, hosts, "main"), "folder: notebooks", "folder: notebook", 1), []string{"notebook"}},
		{"silent server", course("ssh://git@"+silent.Addr().String()+"/x.git", key, "any_hosts", "main"), []string{"said nothing for"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, s.path("conf/any_hosts"), strings.Replace(wrongHost, fmt.Sprintf("127.0.0.1]:%d", s.ssh.port), "127.0.0.1]:"+port(silent.Addr()), 1))
			v := s.configure(strings.ReplaceAll(c.name, " ", "-"), c.more).run("serve")
			said := waitForError(t, s, v)
			for _, w := range c.want {
				if !strings.Contains(said, w) {
					t.Errorf("the status does not say %q:\n%s", w, said)
				}
			}
			t.Log(said)
			ana.sync(v.login("ana"))
			if len(onDisk(t, ana.folder())) != len(before) {
				t.Error("files were lost")
			}
			must(t, v.stop())
		})
	}
}

func port(a net.Addr) string { return fmt.Sprint(a.(*net.TCPAddr).Port) }

func readFile(t testing.TB, p string) string {
	t.Helper()
	data, err := os.ReadFile(p)
	must(t, err)
	return string(data)
}

// waitForError waits until the status tells an error of the course.
func waitForError(t *testing.T, s *site, v *service) (said string) {
	t.Helper()
	eventually(t, 60*time.Second, "an error in the status", func() error {
		if v.ended() {
			t.Fatalf("the service ended:\n%s", v.output())
		}
		out, _ := s.trySatchel("status", "--config", v.config)
		said = out
		if !strings.Contains(out, "error:") {
			return fmt.Errorf("the status says %q", out)
		}
		return nil
	})
	return said
}

// TestE2EStoreAway: a store that does not answer is no reason to stay down;
// the status says so, and when it is back the course is published.
func TestE2EStoreAway(t *testing.T) {
	s := newSite(t).onS3()
	endpoint := between(s.store, `endpoint: "`, `"`)
	p := startProxy(t, strings.TrimPrefix(endpoint, "http://"))
	p.refuse(true)
	s.store = strings.Replace(s.store, endpoint, "http://"+p.addr, 1)
	v := s.configure("one", "").run("serve")
	if said := waitForError(t, s, v); !strings.Contains(said, "does not answer") {
		t.Errorf("the status says %q", said)
	}
	p.refuse(false)
	v.readyWithin(3*time.Minute, 1) // the syncer tries again after a minute or so
	ana := s.student("ana")
	ana.sync(v.login("ana"))
	equalFolder(t, s, ana)
}

// TestE2EStoreFaults: the service does not begin on a store that it cannot
// trust, and says in one sentence why.
func TestE2EStoreFaults(t *testing.T) {
	s := newSite(t).onS3()
	real, credentials := s.store, s.env
	endpoint, bucket := between(real, `endpoint: "`, `"`), between(real, "bucket: ", ",")
	for _, c := range []struct {
		name  string
		store string
		env   []string
		want  string
	}{
		{"wrong S3 credentials", real, []string{"AWS_ACCESS_KEY_ID=wrong", "AWS_SECRET_ACCESS_KEY=wrong", "AWS_EC2_METADATA_DISABLED=true"}, "correct AWS_ACCESS_KEY_ID"},
		{"missing bucket", strings.Replace(real, bucket, "nowhere", 1), credentials, "no such bucket"},
		{"a bucket that ignores conditional writes", strings.Replace(real, endpoint, ignoringConditions(t, bucket), 1), credentials, "condition"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.store, s.env = c.store, c.env
			v := s.configure(strings.ReplaceAll(c.name, " ", "-"), "")
			ex := exec.Command(binary(t, "satchel"), "serve", "--config", v.config)
			ex.Env = append(os.Environ(), c.env...)
			done := make(chan string, 1)
			go func() {
				out, _ := runProgram(t, ex)
				done <- out
			}()
			select {
			case out := <-done:
				t.Log(out)
				if !strings.Contains(out, c.want) {
					t.Errorf("it does not say %q", c.want)
				}
			case <-time.After(90 * time.Second):
				_ = ex.Process.Kill()
				t.Fatalf("it went on:\n%s", <-done)
			}
		})
	}
}

func between(s, a, b string) string {
	_, s, _ = strings.Cut(s, a)
	s, _, _ = strings.Cut(s, b)
	return s
}

// ignoringConditions is an S3 server that overwrites whatever it is asked to
// keep. It is a fake (gofakes3, which checks no signatures, behind a proxy
// that drops the conditions): no real server that does so can run here.
func ignoringConditions(t *testing.T, bucket string) string {
	t.Helper()
	backend := s3mem.New()
	must(t, backend.CreateBucket(bucket))
	s3 := gofakes3.New(backend).Server()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-Match")
		r.Header.Del("If-None-Match")
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
