//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/hook"
	"satchel/internal/config"
	"satchel/syncer"
)

// login does what the hub's hook and the student's server do.
func (t *trial) login(ctx context.Context) error {
	adm, err := logIn(ctx, "http://"+t.hub, t.cfg.Secrets.HookSecrets[0], hook.Login{User: "ana", Groups: []string{}})
	if err != nil {
		return err
	}
	out := &indented{w: t.out, prefix: "     "}
	return runAgent(ctx, t.home(), adm, out)
}

// logIn asks for a ticket as the hub's hook does.
func logIn(ctx context.Context, hub, secretFile string, l hook.Login) (hook.Admission, error) {
	var adm hook.Admission
	secret, err := config.ReadSecret(secretFile)
	if err != nil {
		return adm, err
	}
	body, err := json.Marshal(l)
	if err != nil {
		return adm, err
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hub+"/v1/logins", bytes.NewReader(body))
	if err != nil {
		return adm, err
	}
	req.Header.Set("Authorization", "Bearer "+secret.Reveal())
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return adm, fmt.Errorf("the hookserver does not answer on %s: %w", hub, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return adm, err
	}
	if resp.StatusCode != http.StatusOK {
		var p hook.Problem
		_ = json.Unmarshal(data, &p)
		return adm, fmt.Errorf("login of %s: %d %s", l.User, resp.StatusCode, p.Sentence)
	}
	return adm, json.Unmarshal(data, &adm)
}

// waitForVersion waits until the hookserver can hand out version v.
func (t *trial) waitForVersion(ctx context.Context, v bundle.Version) error {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	client := syncer.NewClient(t.cfg.Listen.Control)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("nothing was published")
	for {
		if n, err := handedOut(ctx, hubURL(t.cfg), "scala101"); err == nil && n >= v {
			return nil
		}
		if st, err := client.Status(ctx); err != nil {
			last = err
		} else if len(st.Courses) == 1 && st.Courses[0].Error != "" {
			last = errors.New(st.Courses[0].Error)
		}
		select {
		case err := <-t.served:
			t.served <- err
			return errors.Join(err, errors.New("the service stopped"))
		case <-ctx.Done():
			return fmt.Errorf("waiting for version %d: %w", v, last)
		case <-tick.C:
		}
	}
}

// handedOut is the version of a course that the hookserver hands out now, as
// its metrics tell it; 0 for none.
func handedOut(ctx context.Context, hub, course string) (bundle.Version, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, hub+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		var n float64
		if _, err := fmt.Sscanf(line, fmt.Sprintf("satchel_course_version{course=%q} %%g", course), &n); err == nil {
			return bundle.Version(n), nil
		}
	}
	return 0, nil
}

// publishNow is the hint that a git host's webhook would give.
func (t *trial) publishNow(ctx context.Context) error {
	_, err := syncer.NewClient(t.cfg.Listen.Control).Publish(ctx, syncer.Request{Course: "scala101", Who: "satchel try"})
	return err
}

// indented puts prefix before each line.
type indented struct {
	w      io.Writer
	prefix string
	inLine bool
}

func (i *indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if !i.inLine {
			line = i.prefix + line
		}
		i.inLine = !strings.HasSuffix(line, "\n")
		if _, err := io.WriteString(i.w, line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
