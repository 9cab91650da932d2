//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// people are the instructor, who pushes, and the administrator, who commands.
// The names of moved files keep their last part.
type people struct {
	sys  *system
	dice *mrand.Rand
	told *mrand.Rand // of the administrator

	n      int // of what was written
	round  int // of rotations
	probes int

	mu        sync.Mutex
	hook      string            // the file with the secret that the hub shows
	withdrawn map[string]string // path: the content that was taken back
	tried     []string          // paths that may have been
	offered   []string          // paths that may be taken back
}

func newPeople(sys *system) *people {
	p := &people{
		sys: sys, dice: mrand.New(mrand.NewPCG(sys.seed, 10)), told: mrand.New(mrand.NewPCG(sys.seed, 11)),
		hook: "secrets/hook", withdrawn: map[string]string{},
	}
	for i := range 20 {
		sys.repo.set(fmt.Sprintf("lab3/text-%d.txt", i), strings.Repeat(fmt.Sprintf("line of text %d\n", i), 30))
	}
	sys.repo.set("data/large.bin", random(1, 3<<20))
	sys.repo.push("begin")
	return p
}

// teach changes the course and pushes, again and again.
func (p *people) teach(ctx context.Context) {
	for ctx.Err() == nil {
		for range 1 + p.dice.IntN(3) {
			p.change()
		}
		p.push()
		p.sys.pause(ctx, p.dice, 300*time.Millisecond, 3*time.Second)
	}
}

func (p *people) push() {
	p.sys.repo.push(fmt.Sprintf("change %d", p.n))
	p.sys.figures.mu.Lock()
	p.sys.figures.pushes++
	p.sys.figures.mu.Unlock()
}

// change is one thing that an instructor does.
func (p *people) change() {
	r := p.sys.repo
	p.n++
	names := p.names()
	name := names[p.dice.IntN(len(names))]
	old := readFile(p.sys.t, p.file(name))
	switch p.dice.IntN(8) {
	case 0: // new, and perhaps to be taken back
		name = fmt.Sprintf("new/%s-%d.txt", takenBackName, p.n)
		r.set(name, fmt.Sprintf("%s %d %x\n", takenBackName, p.n, random(p.n%256, 32)))
		p.mu.Lock()
		p.offered = append(p.offered, name)
		p.mu.Unlock()
	case 1:
		if strings.HasPrefix(name, "lab3/") || strings.HasPrefix(name, "moved") {
			r.set(name, "")
			r.set(fmt.Sprintf("moved%d/%s", p.dice.IntN(3), filepath.Base(name)), old)
		}
	case 2:
		r.set("data/large.bin", random(p.n%256, 64<<10)+readFile(p.sys.t, p.file("data/large.bin"))[64<<10:])
	case 3:
		if p.n > 10 {
			r.git("reset", "-q", "--hard", fmt.Sprintf("HEAD~%d", 1+p.dice.IntN(3))) // pushed by force
		}
	default:
		if strings.HasSuffix(name, ".ipynb") {
			r.set(name, withOneMoreCell(old, fmt.Sprintf("course-%d", p.n)))
			return
		}
		lines := strings.SplitAfter(old, "\n")
		lines[p.dice.IntN(len(lines))] = fmt.Sprintf("the course says %d\n", p.n)
		r.set(name, strings.Join(lines, ""))
	}
}

func (p *people) file(name string) string { return filepath.Join(p.sys.repo.work, "notebooks", name) }

// names are the texts and notebooks of the course that may change.
func (p *people) names() []string {
	names := sortedNames(onDisk(p.sys.t, p.file("")))
	return slices.DeleteFunc(names, func(n string) bool {
		return withheld(n) || strings.Contains(n, takenBackName) || strings.HasSuffix(n, ".bin")
	})
}

// administrate commands, again and again; what a command says is either that
// it is done, or a sentence.
func (p *people) administrate(ctx context.Context) {
	p.sys.pause(ctx, p.told, time.Second, 5*time.Second)
	p.rotate()
	for ctx.Err() == nil {
		p.sys.pause(ctx, p.told, time.Second, 4*time.Second)
		any := p.sys.syncers[p.told.IntN(2)]
		switch p.told.IntN(6) {
		case 0:
			p.command(any, "pause", "scala101", "--why", "chaos")
		case 1, 2:
			p.command(any, "resume", "scala101")
		case 3:
			if v := any.newest(); v > 3 {
				p.command(any, "rollback", "scala101", fmt.Sprint(v-1-p.told.IntN(3)), "--why", "chaos")
			}
		default:
			p.withdraw(any)
		}
	}
}

// command runs one, which may fail while all is broken, with a sentence.
func (p *people) command(any *part, args ...string) (out string, done bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, binary(p.sys.t, "satchel"), append(args, "--config", any.config)...)
	c.Env = append(os.Environ(), p.sys.env...)
	var said, told bytes.Buffer
	c.Stdout, c.Stderr = &said, &told
	err := c.Run()
	what := args[0]
	if err != nil {
		what += ", said why not"
		p.sys.t.Logf("satchel %s: %s", strings.Join(args, " "), strings.TrimSpace(told.String()))
	}
	p.sys.figures.command(what)
	if text := told.String(); err != nil && (ctx.Err() != nil || strings.TrimSpace(text) == "" || strings.Contains(text, "panic:")) {
		p.sys.fail("satchel %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return said.String(), err == nil
}

// newest is the version in the newest line of the log; 0 where that cannot be
// read now.
func (any *part) newest() int {
	e := any.entries()
	if len(e) == 0 {
		return 0
	}
	return int(e[0].Version)
}

// entries are the newest versions in the log, newest first; each command that
// found nothing new stands there too.
func (any *part) entries() (out []logEntry) {
	said, _ := any.sys.trySatchel("log", "scala101", "--json", "-n", "500", "--config", any.config)
	var all []logEntry
	_ = json.Unmarshal([]byte(said), &all)
	for _, e := range all {
		if e.Action == "publish" {
			out = append(out, e)
		}
	}
	return out
}

// withdraw takes something back; from the answer on nobody gives it out.
func (p *people) withdraw(any *part) {
	p.mu.Lock()
	offered := p.offered
	p.mu.Unlock()
	if len(offered) == 0 {
		return
	}
	name := offered[p.told.IntN(len(offered))]
	content, err := os.ReadFile(p.file(name))
	if err != nil {
		return // gone by a force-push
	}
	out, done := p.command(any, "withdraw", "scala101", name, "--yes", "--json", "--why", "chaos")
	p.mu.Lock()
	p.tried = append(p.tried, name) // also where no answer came: it may have been done
	p.mu.Unlock()
	if !done {
		return
	}
	var answer struct {
		Unconfirmed []string `json:"unconfirmed"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		p.sys.fail("withdraw said %q", out)
	}
	p.mu.Lock()
	p.withdrawn[name] = string(content)
	p.offered = slices.DeleteFunc(slices.Clone(offered), func(n string) bool { return n == name })
	p.mu.Unlock()
	if len(answer.Unconfirmed) > 0 {
		p.sys.figures.command("withdraw, some hookservers not heard of")
		return
	}
	for _, f := range p.sys.fronts {
		p.probe(f)
	}
}

func (p *people) takenBack() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.withdrawn)
}

// probe lets a new student log in at a hookserver: nothing of what comes may
// have been taken back.
func (p *people) probe(f *part) {
	gone := p.takenBack() // before it is asked
	adm, err := f.admit("probe", p.hookSecret())
	if err != nil {
		return // it is down
	}
	p.probes++
	st := p.sys.student(fmt.Sprintf("probe-%d", p.probes))
	out, code := runProgram(p.sys.t, st.agent(adm, "sync"))
	p.sys.figures.command(fmt.Sprintf("probe of a hookserver after a withdrawal, exit %d", code))
	for name := range onDisk(p.sys.t, st.root) {
		if _, yes := gone[strings.TrimPrefix(name, "scala101/")]; yes {
			p.sys.fail("%s gives out %s, which was taken back:\n%s", f.name, name, out)
		}
	}
	must(p.sys.t, os.RemoveAll(filepath.Dir(st.root)))
}

// rotate goes one step on with all keys: a new one beside the old, then both
// sign, then the old one is gone. Between two steps each student logs in.
func (p *people) rotate() {
	step, n := p.round%3, p.round/3+1
	p.round++
	now, next := p.keys(n-1), p.keys(n)
	both := func(what string) string { return next[what] + ", " + now[what] }
	var line string
	switch step {
	case 0:
		p.makeKeys(now, next)
		line = fmt.Sprintf("ticket_keys: [%s], hook_secrets: [%s], signing_keys: [%s], public_keys: %s", both("ticket"), both("hook"), now["signing"], next["both"])
	case 1:
		p.mu.Lock()
		p.hook = next["hook"]
		p.mu.Unlock()
		line = fmt.Sprintf("ticket_keys: [%s], hook_secrets: [%s], signing_keys: [%s], public_keys: %s", both("ticket"), both("hook"), both("signing"), next["both"])
	case 2:
		line = fmt.Sprintf("ticket_keys: [%s], hook_secrets: [%s], signing_keys: [%s], public_keys: %s", next["ticket"], next["hook"], next["signing"], next["public"])
	}
	p.sys.figures.fault("keys rotated, a step")
	for _, part := range p.sys.parts {
		text := readFile(p.sys.t, part.config)
		write(p.sys.t, part.config+".new", secretsLine.ReplaceAllString(text, "secrets: {"+line+"}"))
		must(p.sys.t, os.Rename(part.config+".new", part.config))
	}
}

var secretsLine = regexp.MustCompile(`(?m)^secrets: .*$`)

// keys are the files of a generation; that of init has no number.
func (p *people) keys(n int) map[string]string {
	suffix := ""
	if n > 0 {
		suffix = fmt.Sprint("-", n)
	}
	return map[string]string{
		"ticket": "secrets/ticket" + suffix, "hook": "secrets/hook" + suffix, "signing": "secrets/signing" + suffix + ".pem",
		"public": "secrets/signing" + suffix + ".pub", "both": "secrets/both" + suffix + ".pub",
	}
}

func (p *people) makeKeys(now, next map[string]string) {
	secret := func(name string) {
		must(p.sys.t, os.WriteFile(p.conf(name), []byte(rand.Text()+rand.Text()+"\n"), 0o600))
	}
	secret(next["ticket"])
	secret(next["hook"])
	public, private, err := ed25519.GenerateKey(nil)
	must(p.sys.t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	must(p.sys.t, err)
	must(p.sys.t, os.WriteFile(p.conf(next["signing"]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	line := "ed25519:" + base64.StdEncoding.EncodeToString(public) + "\n"
	write(p.sys.t, p.conf(next["public"]), line)
	write(p.sys.t, p.conf(next["both"]), readFile(p.sys.t, p.conf(now["public"]))+line)
}

func (p *people) conf(name string) string { return p.sys.path("conf/" + name) }

func (p *people) hookSecret() string {
	p.mu.Lock()
	name := p.hook
	p.mu.Unlock()
	return strings.TrimSpace(readFile(p.sys.t, p.conf(name)))
}

func (sys *system) hookSecret() string { return sys.people.hookSecret() }
