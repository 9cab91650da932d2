//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/hook"
)

// secrets are the strings that must never reach a student: the bodies of key
// files (each line of base64), the hook secret, the ticket key, the S3 pair.
func (s *site) secrets() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for _, name := range []string{"scala101-key", "signing.pem", "hook", "ticket", "pseudonyms"} {
		data, err := os.ReadFile(s.path("conf/secrets/" + name))
		must(s.t, err)
		for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
			if strings.HasPrefix(line, "-----") || len(line) < 20 || line == opensshHeader {
				continue
			}
			out[name+" line "+string(rune('1'+i))] = line
		}
	}
	for _, kv := range s.env {
		if k, v, _ := strings.Cut(kv, "="); strings.HasPrefix(k, "AWS_") && len(v) > 5 {
			out[k] = v
		}
	}
	return out
}

// opensshHeader begins every unencrypted OpenSSH key, so it is no secret.
const opensshHeader = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW"

// leaks names the secrets found in data, plain, in base64 or compressed.
func leaks(secrets map[string]string, data []byte) (found []string) {
	for name, s := range secrets {
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s))} {
			if bytes.Contains(data, []byte(form)) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

// everything is what reached the student's side: each file of the home by
// name, the wire, the agent's output and environment.
func everything(t *testing.T, st *student, p *proxy, said string, adm hook.Admission) map[string][]byte {
	t.Helper()
	out := map[string][]byte{"the wire": p.bytes(), "what the agent said": []byte(said), "the environment": []byte(adm.URL + adm.Ticket + adm.Keys)}
	err := filepath.WalkDir(filepath.Dir(st.root), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		out[path] = append([]byte(path+"\n"), data...)
		return err
	})
	must(t, err)
	return out
}

// TestE2ENoSecretReachesTheStudent searches every byte that was sent and
// every file that was written for every secret of the service; then a leak is
// planted in each of those places, and must be found.
func TestE2ENoSecretReachesTheStudent(t *testing.T) {
	s := newSite(t).onS3()
	v := s.configure("one", "").run("serve")
	v.ready(1)
	p := startProxy(t, v.students)
	ana := s.student("ana")
	said := ""
	var adm hook.Admission
	for i := range 3 {
		adm = v.login("ana")
		adm.URL = strings.Replace(adm.URL, v.students, p.addr, 1)
		out, _ := runProgram(t, ana.agent(adm, "sync"))
		said += out
		for _, args := range [][]string{{"status"}, {"doctor"}, {"restore", "README.md"}} {
			out, _ := runProgram(t, ana.agent(adm, args...))
			said += out
		}
		s.repo.set("lab1/n.txt", strings.Repeat("x", i+1))
		s.repo.push("next")
		v.publish()
		v.ready(i + 2)
	}
	secrets := s.secrets()
	if len(secrets) < 7 {
		t.Fatalf("only %d secrets to look for", len(secrets))
	}
	seen := everything(t, ana, p, said, adm)
	if len(seen["the wire"]) < 1000 || len(seen) < 10 {
		t.Fatal("nothing was recorded")
	}
	for place, data := range seen {
		for _, name := range leaks(secrets, data) {
			t.Errorf("%s is in %s", name, place)
		}
		if place != "the environment" && place != "the wire" && bytes.Contains(data, []byte(adm.Ticket)) {
			t.Errorf("the ticket is in %s", place)
		}
	}
	for place, data := range seen {
		for name, secret := range secrets {
			planted := append(append(bytes.Clone(data), ' '), secret...)
			if len(leaks(map[string]string{name: secret}, planted)) == 0 {
				t.Errorf("a planted %s in %s was not found", name, place)
			}
		}
	}
	serviceLog := []byte(v.output())
	for _, name := range leaks(secrets, serviceLog) {
		t.Errorf("%s is in the service's log", name)
	}
	if bytes.Contains(serviceLog, []byte(adm.Ticket)) {
		t.Error("a ticket is in the service's log")
	}
}
