//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"satchel/hook"
)

// heal ends all faults, brings the course to its branch's tip again, and lets
// both hookservers have it.
func (sys *system) heal(n int) {
	for _, p := range sys.parts {
		p.tell(syscall.SIGCONT)
		p.alive()
	}
	for _, name := range sys.people.tried {
		sys.repo.set(name, "")
	}
	sys.repo.set("healed.txt", fmt.Sprintf("%d times\n", n))
	sys.people.push()
	tip := sys.repo.git("rev-parse", "HEAD")
	version := 0
	eventually(sys.t, 3*time.Minute, "the tip's version after all healed", func() error {
		s := sys.syncers[n%2]
		s.alive()
		said, _ := sys.trySatchel("resume", "scala101", "--config", s.config)
		more, _ := sys.trySatchel("publish", "scala101", "--config", s.config)
		e := s.entries()
		if len(e) == 0 || e[0].Commit != tip {
			return errors.New(said + more)
		}
		version = int(e[0].Version)
		return nil
	})
	for _, f := range sys.fronts {
		sys.await(f, version)
	}
	sys.figures.mu.Lock()
	sys.figures.cycles, sys.figures.versions = n, version
	sys.figures.mu.Unlock()
}

// check sees that all holds that must hold when nothing is broken.
func (sys *system) check(n int) {
	want := sys.repo.delivered()
	var wg sync.WaitGroup
	few := make(chan bool, 4)
	for _, l := range sys.learners {
		wg.Go(func() {
			few <- true
			defer func() { <-few }()
			l.check(want)
		})
	}
	wg.Wait()
	for _, f := range sys.fronts {
		sys.people.probe(f)
	}
	s := sys.syncers[0]
	if out, code := sys.trySatchel("check", "scala101", "--read-data", "--config", s.config); code != 0 {
		sys.fail("satchel check: %d\n%s", code, out)
	}
	if newest := checkHistory(sys.t, sys.site, s.service); newest != s.newest() {
		sys.fail("the log's newest version is %d, and %d", newest, s.newest())
	}
	lines := 0
	for _, l := range sys.learners {
		lines += len(l.saved)
	}
	sys.figures.lines = lines
	sys.t.Logf("healed %d: version %d, %d lines saved", n, sys.figures.versions, lines)
}

// check lets a student log in, who then has the newest, and all that was saved.
func (l *learner) check(want map[string]string) {
	if l.hasLost("while all broke") {
		return
	}
	var wrong string
	eventually(l.sys.t, time.Minute, l.name+" has the newest", func() error {
		adm, err := l.sys.fronts[l.dice.IntN(2)].admit(l.name, l.sys.hookSecret())
		if err != nil {
			return err
		}
		out, code := runProgram(l.sys.t, l.agent(adm, "sync"))
		if wrong = l.wrong(want); code != 0 || wrong != "" {
			return fmt.Errorf("exit %d: %s\n%s", code, out, wrong)
		}
		return nil
	})
	l.look()
	l.hasLost("in a login after all healed")
	gone := l.sys.people.takenBack()
	l.everyFile(func(p string, data []byte) {
		for name, content := range gone {
			if bytes.Contains(data, []byte(content)) {
				l.sys.fail("%s still has what was taken back: %s in %s", l.name, name, p)
			}
		}
	})
}

func (l *learner) hasLost(when string) bool {
	gone := l.lost()
	if len(gone) > 0 {
		l.sys.fail("%s lost %q %s", l.name, gone, when)
		l.sys.figures.mu.Lock()
		l.sys.figures.lost += len(gone)
		l.sys.figures.mu.Unlock()
	}
	return len(gone) > 0
}

// wrong says what the folder has otherwise than it must: who only reads has
// exactly the newest, who works has it where they touched nothing.
func (l *learner) wrong(want map[string]string) string {
	has := onDisk(l.t, l.folder())
	mine := map[string]bool{}
	for p := range l.touched {
		mine[filepath.Base(p)] = true
	}
	for p, sum := range want {
		if has[p] != sum && !mine[filepath.Base(p)] {
			return fmt.Sprintf("%s is %.10q, not %.10q", p, has[p], sum)
		}
	}
	for p := range has {
		if _, yes := want[p]; !yes && !l.edits {
			return p + " is there too"
		}
	}
	return ""
}

// admit asks a hookserver itself for a ticket.
func (f *part) admit(user, secret string) (hook.Admission, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return admitAt(ctx, f.hubs, user, secret)
}

// admitAt asks for one where a hookserver answers, or its wire.
func admitAt(ctx context.Context, addr, user, secret string) (adm hook.Admission, err error) {
	body, _ := json.Marshal(hook.Login{User: user, Groups: []string{}})
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/logins", bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return adm, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return adm, fmt.Errorf("logins: %d", resp.StatusCode)
	}
	return adm, json.NewDecoder(resp.Body).Decode(&adm)
}
