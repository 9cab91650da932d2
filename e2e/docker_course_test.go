//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// gateway is this machine's address on one of the compose file's networks.
func (w *town) gateway(network string) string {
	w.t.Helper()
	return w.docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
}

// lends makes a port of loopback reachable at another address, until the test
// ends.
func (w *town) lends(address, to string) (at string) {
	w.t.Helper()
	l, err := net.Listen("tcp", address+":0")
	must(w.t, err)
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in); out.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return l.Addr().String()
}

// ownCourse adds a course behind SSH by the one command of docs/compose.md, and
// pastes the key that it prints.
func (w *town) ownCourse() string {
	dir := filepath.Join(w.dir, "host")
	must(w.t, os.MkdirAll(dir, 0o755))
	mustRun(w.t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/nobody"))
	host := startSSHD(w.t, dir, dir+"/nobody.pub")
	repo := newRepository(w.t, dir)
	at := w.lends(w.gateway(project+"_git"), fmt.Sprintf("127.0.0.1:%d", host.port))
	url := "ssh://" + host.user + "@" + at + repo.bare
	print := strings.Fields(mustRun(w.t, exec.Command("ssh-keygen", "-lf", dir+"/host_ed25519.pub")))[1]
	said := w.compose("run", "--rm", "-T", "syncer", "satchel", "course", "add", url, "--name", "own", "--folder", "notebooks", "--host-key", print, "--yes")
	key := ""
	for _, line := range strings.Split(said, "\n") {
		if strings.HasPrefix(line, "ssh-ed25519 ") {
			key = strings.TrimSpace(line)
		}
	}
	if key == "" {
		w.t.Fatalf("no key to paste in\n%s", said)
	}
	write(w.t, host.authorised, "restrict "+key+"\n")
	began := time.Now()
	eventually(w.t, 2*time.Minute, "the own course", func() error {
		out, err := w.command("docker", "exec", w.container, "cat", "/home/jovyan/work/own/README.md").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s; the syncer says\n%s", out, tail(w.logs(w.service("syncer")), 800))
		}
		return nil
	})
	// The sample course goes by deleting its file, as the page says.
	w.compose("exec", "-T", "syncer", "rm", "/etc/satchel/courses.d/own.yaml")
	return fmt.Sprintf("with the student %.0f s after the key was pasted", time.Since(began).Seconds())
}

// serviceAway: a login and a start go on without the service; once it is back,
// the material comes by itself.
func (w *town) serviceAway() string {
	w.compose("stop", "hookserver")
	began := time.Now()
	w.ben.spawn("")
	took := time.Since(began)
	if took > 40*time.Second {
		w.t.Errorf("the start took %v", took)
	}
	w.repo.set("lab1/away.md", "published meanwhile\n")
	w.publishes("away")
	w.served()
	w.compose("start", "hookserver")
	w.healthy(w.service("hookserver"))
	began = time.Now()
	eventually(w.t, 3*time.Minute, "ben has what was published meanwhile", func() error {
		return w.command("docker", "exec", containerOf("ben"), "test", "-e", course+"lab1/away.md").Run()
	})
	w.stop(w.ben)
	return fmt.Sprintf("server ready after %.1f s; the material %.0f s after the service was back", took.Seconds(), time.Since(began).Seconds())
}

func (w *town) restart() string {
	var was, is struct{ StartedAt string }
	w.inspect(w.container, ".State", &was)
	w.compose("restart", "s3", "syncer", "hookserver", "hub", "https")
	for _, s := range []string{"s3", "syncer", "hookserver", "hub", "https"} {
		w.healthy(w.service(s))
	}
	began := time.Now()
	eventually(w.t, time.Minute, "ana's server through the proxy", func() error {
		got, err := w.ana.try(http.MethodGet, "/user/ana/api", nil)
		if err == nil && got.code != http.StatusOK {
			err = fmt.Errorf("%d", got.code)
		}
		return err
	})
	w.inspect(w.container, ".State", &is)
	if was != is {
		w.t.Error("ana's container was started anew")
	}
	w.repo.set("lab1/after.md", "after the restart\n")
	w.publishes("after the restart")
	eventually(w.t, 2*time.Minute, "the push", func() error {
		return w.command("docker", "exec", w.container, "test", "-e", course+"lab1/after.md").Run()
	})
	return fmt.Sprintf("the push arrived %.0f s after all was well", time.Since(began).Seconds())
}
