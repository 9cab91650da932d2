//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// admitted gives the environment of a student's server, as the hub's hook would.
func (w *town) admitted(user string) []string {
	w.t.Helper()
	out := w.in(w.service("hookserver"), "sh", "-c", fmt.Sprintf(
		`curl -fsS -H "Authorization: Bearer $(cat /etc/satchel/secrets/hook)" -H 'Content-Type: application/json' -d '{"format":1,"user":%q,"server":"","groups":[]}' http://hookport:8485/v1/logins`, user))
	var got struct{ URL, Ticket, Keys string }
	must(w.t, json.Unmarshal([]byte(out), &got))
	return []string{"SATCHEL_URL=" + got.URL, "SATCHEL_TICKET=" + got.Ticket, "SATCHEL_KEYS=" + got.Keys, "JUPYTER_ENV_VARS_TO_UNSET=SATCHEL_TICKET"}
}

// starts runs an instance's container to the end of a command, and gives what
// it said. Its image's own start runs the hook folders first.
func (w *town) starts(name string, env, options []string, command string) (said string, code int) {
	w.t.Helper()
	args := []string{"run", "--rm", "--name", project + "-" + name, "--network", project + "-students"}
	for _, kv := range env {
		args = append(args, "-e", kv)
	}
	args = append(append(args, options...), project+"/instance", "bash", "-c", command)
	return runProgram(w.t, w.command("docker", args...))
}

// startHooks: by both rules, as root and as the user, with the service and
// without, the command runs, and with the service the material is there.
func (w *town) startHooks() string {
	slowest := time.Duration(0)
	for _, rules := range []string{"2023-10", ""} {
		for _, user := range []string{"1000", "0"} {
			for _, up := range []bool{true, false} {
				env := append(w.admitted("hook"), "RUN_HOOKS="+rules)
				if !up {
					env = append(env, "SATCHEL_URL=http://127.0.0.1:9")
				}
				began := time.Now()
				said, code := w.starts("hook", env, []string{"--user", user}, `echo "begun as $(id -u), ticket ${SATCHEL_TICKET:-none}"; ls /home/jovyan/work/scala101 2>&1; exit 7`)
				slowest = max(slowest, time.Since(began))
				at := fmt.Sprintf("rules %q, user %s, service %v", rules, user, up)
				if code != 7 || !strings.Contains(said, "begun as 1000, ticket none") || !strings.Contains(said, "Running executable: /usr/local/bin/before-notebook.d/50-satchel") {
					w.t.Errorf("%s: exit %d\n%s", at, code, said)
				}
				if has := strings.Contains(said, "README.md"); has != up {
					w.t.Errorf("%s: the material is there: %v\n%s", at, has, said)
				}
			}
		}
	}
	// The stand-in's rules are such that a bad hook is felt.
	said, code := w.starts("hook", []string{"RUN_HOOKS=2023-10"}, []string{"--user", "0", "-v", w.badHook() + ":/usr/local/bin/start-notebook.d/10-bad:ro"}, "echo begun")
	if code == 0 || strings.Contains(said, "begun") {
		w.t.Errorf("a hook that fails, by the rules of 2023-10: exit %d\n%s", code, said)
	}
	return fmt.Sprintf("8 starts, the slowest %.1f s", slowest.Seconds())
}

func (w *town) badHook() string {
	file := w.dir + "/bad-hook"
	write(w.t, file, "#!/bin/sh\nexit 3\n")
	mustRun(w.t, w.command("chmod", "755", file))
	return file
}

// asRoot: what the agent makes is the student's, and no process of it is
// root's.
func (w *town) asRoot() string {
	env := append(w.admitted("root"), "NB_UID=4321", "NB_GID=4322", "NB_USER=jovyan", "CHOWN_HOME=yes", "CHOWN_HOME_OPTS=-R")
	said, code := w.starts("root", env, []string{"--user", "0"}, `
id -u; stat -c 'owner %u:%g' /home/jovyan/work/scala101/README.md
find /home/jovyan/work ! -uid 4321 | sed 's/^/foreign: /'
for p in /proc/[0-9]*; do [ "$(tr '\0' ' ' < $p/cmdline | cut -d' ' -f1)" != satchel-agent ] || echo "agent of $(stat -c %u $p)"; done`)
	if code != 0 || !strings.Contains(said, "\n4321\n") || !strings.Contains(said, "owner 4321:4322") || !strings.Contains(said, "agent of 4321") {
		w.t.Errorf("exit %d\n%s", code, said)
	}
	if strings.Contains(said, "foreign: ") || strings.Contains(said, "agent of 0") {
		w.t.Errorf("root's:\n%s", said)
	}
	return ""
}
