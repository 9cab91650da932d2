//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"satchel/agent"
	"satchel/bundle"
	"satchel/internal/config"
	"satchel/internal/students"
	"satchel/store"
)

// doctorUser tells one student's last login, step by step.
func (a *app) doctorUser(ctx context.Context, cfg *config.Config, user string) []agent.Check {
	c := &checks{}
	st, err := openStore(ctx, a.logger(), cfg)
	if err != nil {
		c.not("store", "see `store` in "+cfg.File, "%v", err)
		return c.all
	}
	p, err := privacy(cfg)
	if err != nil {
		c.not("privacy", "satchel init makes the key", "%v", err)
		return c.all
	}
	a.foldNow(ctx, st, p)
	found, err := students.Find(ctx, st, p, user)
	if err != nil {
		c.not("records", "see `store`", "%v", err)
		return c.all
	}
	var admits []string
	for _, k := range cfg.Courses {
		admits = append(admits, string(k.Name))
	}
	if len(found) == 0 {
		c.not("login", "does the hub's hook run (its log has a line with \"satchel\"), and does it reach listen.hub with the hook secret?", "no login of %q came to this service", user)
	}
	for _, s := range found {
		for i := range s.Servers {
			c.login(ctx, st, &s.Servers[i], admits)
		}
	}
	return c.all
}

// login tells one server's steps: login, first request, what arrived.
func (c *checks) login(ctx context.Context, st store.Store, v *students.Server, courses []string) {
	now := time.Now()
	where := serverName(v.Server)
	if v.Login.Time.IsZero() {
		c.well("login", "%s: none by the hub's hook (a token of the hub was exchanged)", where)
	} else {
		c.well("login", "%s: by the hub's hook, %s, image %q", where, ago(now, v.Login.Time), v.Login.Image)
	}
	if v.State(now) == students.DidNotRun {
		c.not("agent", "is it in this image, does the start folder run it, and is SATCHEL_URL in the server's environment? `satchel-agent doctor` there says more", "no request came since")
		return
	}
	c.well("agent", "its first request came %s", ago(now, v.First.Time))
	if len(v.Courses) == 0 {
		c.well("material", "nothing was new to it, or it is in none of: %s", strings.Join(courses, ", "))
	}
	for _, k := range v.Courses {
		newest := bundle.Version(0)
		if r, _, err := store.ReadRecord(ctx, st, k.Course); err == nil {
			newest = r.Version
		}
		note := fmt.Sprintf("%s: version %d, %s: %d new, %d changed, %d removed, %d waiting", k.Course, k.Version, ago(now, k.Time), k.Added, k.Changed, k.Removed, k.Waiting)
		switch {
		case k.Code != "":
			c.not("material", "`satchel-agent status` and ~/work/.satchel/.log/agent.log in that container say more", "%s; it did not end well: %s", note, agent.Plain(k.Code))
		case newest > k.Version:
			c.not("material", "it comes at the next login, or within seconds where the server runs", "%s; %d is published", note, newest)
		default:
			c.well("material", "%s", note)
		}
	}
}
