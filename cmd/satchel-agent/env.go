package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"satchel/agent"
	"satchel/bundle"
	"satchel/hook"
)

// keysFile wins over the environment where it is baked into the image.
const keysFile = "/etc/satchel/keys"

// Environment variables besides those that the spawn hook sets.
const (
	envRoot   = "SATCHEL_ROOT"
	envProxy  = "SATCHEL_PROXY"
	envCA     = "SATCHEL_CA_FILE"
	envLang   = "SATCHEL_LANG"
	envBudget = "SATCHEL_BUDGET"
)

var known = map[string]bool{
	hook.EnvURL: true, hook.EnvTicket: true, hook.EnvKeys: true,
	envRoot: true, envProxy: true, envCA: true, envLang: true, envBudget: true,
}

// environ is the environment by name.
type environ map[string]string

func parseEnviron(list []string) environ {
	e := environ{}
	for _, kv := range list {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e[k] = v
		}
	}
	return e
}

// unknown are variables with our prefix that mean nothing to this program.
func (e environ) unknown() (names []string) {
	for k := range e {
		if strings.HasPrefix(k, "SATCHEL_") && !known[k] {
			names = append(names, k)
		}
	}
	return names
}

// proxies are variables that other programs take a proxy from.
func (e environ) proxies() (names []string) {
	for _, k := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		if e[k] != "" {
			names = append(names, k)
		}
	}
	return names
}

func (e environ) words() agent.Words { return agent.WordsFor(e.language()) }

func (e environ) language() string {
	for _, k := range []string{envLang, "LC_ALL", "LC_MESSAGES", "LANG"} {
		if e[k] != "" {
			return e[k]
		}
	}
	return ""
}

// budget is how long a login may wait: SATCHEL_BUDGET as "8s" or "8".
func (e environ) budget() time.Duration {
	v := e[envBudget]
	d, err := time.ParseDuration(v)
	if n, bad := strconv.Atoi(v); bad == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d <= 0 || d > time.Minute {
		return agent.Budget
	}
	return d
}

// settings reads all that the agent is told. uid is the one it runs as.
func (e environ) settings(uid int) (agent.Settings, error) {
	s := agent.Settings{
		Root: e[envRoot], URL: e[hook.EnvURL], Ticket: agent.Secret(e[hook.EnvTicket]),
		Language: e.language(), Image: e["JUPYTER_IMAGE"], Proxy: e[envProxy], CAFile: e[envCA],
		Unused: e.proxies(),
		Budget: e.budget(), Jupyter: e.jupyter(), HubAPI: e["JUPYTERHUB_API_URL"],
	}
	if len(s.Ticket) > hook.MaxTicket || strings.ContainsAny(string(s.Ticket), "\r\n\x00 ") {
		return s, &agent.SettingError{Name: hook.EnvTicket, Reason: "not a ticket"}
	}
	if s.Root == "" {
		s.Root = agent.DefaultRoot(e["HOME"])
	}
	if !filepath.IsAbs(s.Root) {
		return s, &agent.SettingError{Name: envRoot, Reason: "not an absolute path"}
	}
	s.Root = filepath.Clean(s.Root)
	temp := e["TMPDIR"]
	if temp == "" {
		temp = "/tmp"
	}
	dir, err := agent.RuntimeDir(e["XDG_RUNTIME_DIR"], temp, uid)
	if err == nil { // without one there is no socket, no more
		s.Runtime = dir
	}
	s.Keys, err = readKeys(keysFile, e[hook.EnvKeys])
	return s, err
}

// jupyter is where the student's own server tells of itself, by the rules of
// jupyter_core, and what a hub told that server.
func (e environ) jupyter() agent.Jupyter {
	data := cmp.Or(e["JUPYTER_DATA_DIR"], filepath.Join(cmp.Or(e["XDG_DATA_HOME"], filepath.Join(e["HOME"], ".local/share")), "jupyter"))
	return agent.Jupyter{
		Runtime:  cmp.Or(e["JUPYTER_RUNTIME_DIR"], filepath.Join(data, "runtime")),
		HubToken: agent.Secret(e["JUPYTERHUB_API_TOKEN"]), HubURL: e["JUPYTERHUB_SERVICE_URL"],
	}
}

// readKeys reads the trusted keys: the file's where there is one, else the
// environment's.
func readKeys(file, text string) ([]bundle.PublicKey, error) {
	name := hook.EnvKeys
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, 64<<10))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		name, text = file, string(data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, &agent.SettingError{Name: file, Reason: "it cannot be read"}
	}
	keys, err := bundle.ParsePublicKeys(text)
	if err != nil {
		return nil, &agent.SettingError{Name: name, Reason: "not a list of public keys"}
	}
	return keys, nil
}
