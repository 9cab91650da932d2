//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"satchel/agent"
	"satchel/hookserver"
	"satchel/internal/config"
	"satchel/internal/hub"
	"satchel/source"
)

// freeEnough is what a disk of the service should have free: below it caches
// and publishes begin to stop.
const freeEnough = 1 << 30

// disks looks at those that the service writes to.
func (c *checks) disks(cfg *config.Config) {
	dirs := map[string]string{"state_dir": cfg.StateDir}
	if cfg.Store.S3 == nil {
		dirs["store.dir"] = cfg.Store.Dir
	}
	for _, key := range []string{"state_dir", "store.dir"} {
		if dir, ok := dirs[key]; ok {
			c.disk(key, dir)
		}
	}
}

func (c *checks) disk(key, dir string) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		if !errors.Is(err, unix.ENOENT) || key != "state_dir" { // that is made when it is needed
			c.not("disk", "see `"+key+"`", "%s: %v", dir, err)
		}
		return
	}
	c.free(key, dir, st)
}

func (c *checks) free(key, dir string, st unix.Statfs_t) {
	free := int64(st.Bavail) * int64(st.Bsize)
	files := st.Files == 0 || st.Ffree > st.Files/100
	switch {
	case free < freeEnough:
		c.not("disk", "make room: when it is full nothing is published, and students keep what they have", "%s (%s) has %s free", dir, key, agent.Bytes(free))
	case !files:
		c.not("disk", "make room, or a filesystem with more inodes", "%s (%s) has hardly an inode free", dir, key)
	default:
		c.well("disk", "%s (%s) has %s free", dir, key, agent.Bytes(free))
	}
}

const apart = "bind it to the address on the hub's network alone (`listen.hub`, docs/configuration.md); who has the hook secret could make tickets there"

// hubPort tries whether the hub's port answers where students' servers reach
// the service. It is asked from here: what a container is kept from,
// "satchel-agent doctor" tells there.
func (c *checks) hubPort(ctx context.Context, cfg *config.Config) {
	host, port, err := net.SplitHostPort(cfg.Listen.Hub)
	u, bad := url.Parse(cfg.URL)
	if err != nil || bad != nil {
		return // configuration tells
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		c.not("listen.hub", apart, "the hub's port listens on every address of this machine (%s): students may reach it", cfg.Listen.Hub)
		return
	}
	if onThisMachine(u.Hostname()) {
		c.well("listen.hub", "%s; `url` is an address of this machine alone, so whoever has a process here reaches it: then the hook secret alone keeps students out", cfg.Listen.Hub)
		return
	}
	c.hubPortAt(ctx, cfg.Listen.Hub, net.JoinHostPort(u.Hostname(), port))
}

// hubPortAt asks where students' servers reach the service.
func (c *checks) hubPortAt(ctx context.Context, listens, at string) {
	if answersHub(ctx, at) {
		c.not("listen.hub", apart, "the hub's port answers at %s too, where students' servers reach the service", at)
		return
	}
	c.well("listen.hub", "%s; nothing of it answers at %s, as far as can be told from here", listens, at)
}

func onThisMachine(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// answersHub says whether a hookserver's hub side listens there.
func answersHub(ctx context.Context, at string) bool { return served(ctx, at) != nil }

// served gives what a hookserver says of its courses; nil where none answers:
// nothing else answers /readyz so.
func served(ctx context.Context, at string) []hookserver.CourseStatus {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/readyz", nil)
	if err != nil {
		return nil
	}
	t := &http.Transport{DisableKeepAlives: true} // and no proxy
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if !strings.HasPrefix(strings.TrimSpace(string(data)), `{"courses":`) {
		return nil
	}
	out := struct{ Courses []hookserver.CourseStatus }{}
	_ = json.Unmarshal(data, &out)                             // of another Satchel: that it answers is enough
	return append([]hookserver.CourseStatus{}, out.Courses...) // none is a list too
}

// ownToken tells what the hub says of this service's token, and its clock.
func (c *checks) ownToken(ctx context.Context, h *hub.Hub) {
	own, err := h.Itself(ctx)
	switch {
	case errors.Is(err, hub.ErrUnknown):
		c.not("hub token", "see that hub.token_file holds the api_token of the service in jupyterhub_config.py", "the hub does not know this service's token")
		return
	case err != nil:
		c.not("hub token", "see hub.api_url, and whether the hub runs", "%v", err)
		return
	case len(own.Wide) > 0:
		c.not("hub token", "give the service in jupyterhub_config.py a role with the scopes read:users:name and read:users:groups, and no other", "the token of %q can do more than this service needs: %s", own.Name, strings.Join(own.Wide, ", "))
	default:
		c.well("hub token", "the hub knows it as %q; it can read, and no more", own.Name)
	}
	if !own.Date.IsZero() {
		c.clock("the hub's", time.Until(own.Date))
	}
}

// checkWriting tells whether what reads a repository may also write to it.
func checkWriting(ctx context.Context, m *source.Mirror, name string) (out []agent.Check) {
	all, err := m.CheckWriting(ctx)
	for _, w := range all {
		out = append(out, writes(name, w))
	}
	if err != nil {
		out = append(out, agent.Check{Name: name, OK: true, Note: fmt.Sprintf("whether its key may write cannot be told: %v", err)})
	}
	return out
}

func writes(name string, w source.WriteCheck) agent.Check {
	words := ""
	if w.Words != "" {
		words = " (" + w.Words + ")"
	}
	switch w.Writing {
	case source.Refused:
		return agent.Check{Name: name, OK: true, Note: w.By + " may read alone: the host refuses a push" + words}
	case source.LetIn:
		return agent.Check{
			Name: name, Stop: true, Note: w.By + " may write to the repository: the host begins a push" + words,
			Do: "make it read-only at the git host (docs/git-hosts.md): whoever gets hold of this machine could else change the material",
		}
	}
	return agent.Check{Name: name, OK: true, Note: "whether " + w.By + " may write cannot be told" + words + ": see that it is read-only at the git host"}
}
