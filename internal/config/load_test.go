package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"satchel/course"
	"satchel/internal/strict"
)

var update = flag.Bool("update", false, "write what Load says into testdata")

// TestMistakes runs one file per case: the folder of a configuration, and in
// "want" every problem and warning that Load tells.
func TestMistakes(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := unpack(t, a)
			c, err := Load(filepath.Join(dir, "satchel.yaml"))
			var b strings.Builder
			for _, p := range strict.List(err) {
				b.WriteString(p.String() + "\n")
			}
			if c != nil {
				for _, w := range c.Warnings {
					b.WriteString("warning: " + w.String() + "\n")
				}
			}
			got := strings.ReplaceAll(b.String(), dir, "DIR")
			last := &a.Files[len(a.Files)-1]
			if *update {
				last.Data = []byte(got)
				os.WriteFile(file, txtar.Format(a), 0o644)
			}
			if diff := cmp.Diff(string(last.Data), got); diff != "" || last.Name != "want" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func unpack(t *testing.T, a *txtar.Archive) string {
	dir := t.TempDir()
	for _, f := range a.Files {
		write(t, filepath.Join(dir, f.Name), string(f.Data))
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const small = `url: http://satchel:8484
courses:
  - {name: scala101, repository: /srv/scala.git, audience: everyone}
`

func TestDefaults(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "satchel.yaml"), small)
	c, err := Load(filepath.Join(dir, "satchel.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	want := &Config{
		Store: Store{Dir: in("store")}, Delivery: "service", StateDir: in("state"), URL: "http://satchel:8484", ID: "satchel",
		Listen: Listen{Students: ":8484", Hub: "127.0.0.1:8485", Control: in("state/control.sock")},
		Secrets: Secrets{
			SigningKeys: []string{in("secrets/signing.pem")}, PublicKeys: in("secrets/signing.pub"),
			HookSecrets: []string{in("secrets/hook")}, TicketKeys: []string{in("secrets/ticket")}, Pseudonyms: in("secrets/pseudonyms"),
			Control: []string{in("secrets/control")},
		},
		Hub:     Hub{Groups: "hub"},
		Privacy: Privacy{Students: "names", Keep: 180 * 24 * time.Hour},
		Cache:   Cache{Size: 10e9, FreeFloor: 1e9}, Limits: Limits{Streams: 4},
		Courses: c.Courses, File: in("satchel.yaml"), Dir: dir, Warnings: c.Warnings,
	}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(course.Audience{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	k := c.Courses[0]
	if k.Branch != "main" || k.Poll != time.Minute || !k.Audience.Everyone {
		t.Errorf("course %+v", k)
	}
}

func TestEveryKey(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "users"), "ana\n# a comment\n\nbob\n")
	write(t, filepath.Join(dir, "satchel.yaml"), `
store: {s3: {bucket: course-bundles, prefix: satchel, endpoint: "http://127.0.0.1:7070", region: eu-west-1, path_style: true, checksums: false, students_endpoint: "https://s3.school.org"}}
delivery: redirect
state_dir: /var/lib/satchel
url: https://hub.school.org/services/satchel/
id: school
listen: {students: "0.0.0.0:80", hub: "[::1]:81", control: run/c.sock}
secrets: {signing_keys: [new.pem, old.pem], public_keys: keys.pub, hook_secrets: ["env:SATCHEL_HOOK_SECRET"], ticket_keys: [a, b], pseudonyms: p}
hub: {api_url: "http://hub:8081/hub/api", token_file: hub-token}
privacy: {students: pseudonyms, keep: 30d}
cache: {size: 500 MB, free_floor: 2GiB}
limits: {streams: 8}
courses: []
`)
	write(t, filepath.Join(dir, "courses.d/a.yaml"), `
name: scala101
repository: git@github.com:school/scala101.git
branch: term/2
folder: /notebooks/
deploy_key_file: keys/a
known_hosts_file: /etc/known_hosts
audience: {users_file: users, groups: [g], users: [eve], except: [bob]}
poll: 2m
webhook: {host: github, secret_file: keys/hook}
`)
	write(t, filepath.Join(dir, "courses.d/b.yaml"), "- {name: b, repository: ./repo, audience: everyone}\n- {name: c, repository: 'ssh://git@host:22/x.git', deploy_key_file: k, known_hosts_file: h, audience: {everyone: true, except: [x]}}\n")
	c, err := Load(filepath.Join(dir, "satchel.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Cache.Size != 500e6 || c.Cache.FreeFloor != 2<<30 || c.Privacy.Keep != 30*24*time.Hour || c.URL != "https://hub.school.org/services/satchel" {
		t.Errorf("%+v", c)
	}
	if c.Delivery != "redirect" || c.Store.S3.StudentsEndpoint != "https://s3.school.org" {
		t.Errorf("delivery %q, store %+v", c.Delivery, c.Store.S3)
	}
	if c.Store.Dir != "" || !*c.Store.S3.PathStyle || *c.Store.S3.Checksums {
		t.Errorf("store %+v", c.Store)
	}
	if c.Secrets.HookSecrets[0] != "env:SATCHEL_HOOK_SECRET" || c.Secrets.TicketKeys[1] != filepath.Join(dir, "b") {
		t.Errorf("secrets %+v", c.Secrets)
	}
	a, b, third := c.Courses[0], c.Courses[1], c.Courses[2]
	if a.Folder != "notebooks" || a.DeployKeyFiles[0] != filepath.Join(dir, "keys/a") || a.Webhook.SecretFiles[0] != filepath.Join(dir, "keys/hook") {
		t.Errorf("course %+v", a)
	}
	if b.Repository != filepath.Join(dir, "repo") || !third.Audience.Everyone {
		t.Errorf("courses %+v, %+v", b, third)
	}
	for user, want := range map[string]bool{"ana": true, "bob": false, "eve": true, "zoe": false} {
		if got := a.Audience.Admits(user, nil); got != want {
			t.Errorf("%s admitted: %v", user, got)
		}
	}
}

// TestOneUsersFileGone: the other courses go on, and nobody slips in.
func TestOneUsersFileGone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "satchel.yaml"), small+"  - {name: b, repository: /srv/b.git, audience: {users_file: gone}}\n")
	c, err := Load(filepath.Join(dir, "satchel.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Courses[1].Audience.Admits("ana", nil) || !c.Courses[0].Audience.Admits("ana", nil) {
		t.Error("a missing users_file changes who is admitted elsewhere, or admits")
	}
	if !strings.Contains(c.Warnings.Error(), "nobody is admitted") {
		t.Errorf("warnings: %s", c.Warnings)
	}
}

func TestMissingConfiguration(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "satchel.yaml"))
	if err == nil || !strings.Contains(err.Error(), "satchel.yaml: is not there") {
		t.Errorf("%v", err)
	}
	var ps strict.Problems
	if !errors.As(err, &ps) {
		t.Errorf("%T is no list of problems", err)
	}
}
