//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"satchel/course"
	"satchel/internal/config"
	"satchel/internal/durable"
	"satchel/source"
)

func (a *app) courseCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "course", GroupID: "start", Args: noArgs,
		Short: "Add a course; look at a git host's key",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.courseAddCommand(), a.hostKeyCommand())
	return c
}

// newCourse is what "course add" asks or is told.
type newCourse struct {
	url, name, branch, folder string
	groups, users             []string
	hostKey                   string // the fingerprint that is already confirmed
	knownHosts                string // or a file that has the host's keys
	key                       string // or a deploy key that exists already
	token                     string // for https: the file with a token
	proxy                     string // on the way to the repository
	webhook                   string // the git host that sends them
	adopt, yes                bool
}

func (a *app) courseAddCommand() *cobra.Command {
	n := newCourse{}
	c := &cobra.Command{
		Use: "add URL", Args: exactly("URL"),
		Short: "Add a course: makes its deploy key and checks the repository",
		Long: `Adds one course. It makes a deploy key, shows the git host's key for you to
confirm, prints the public half to paste as a READ-ONLY deploy key, checks that
the repository can be read and has the branch and the folder, and writes
courses.d/NAME.yaml. A running service takes the course up by itself. A folder of
this machine needs no key. New files belong to whom the configuration's folder
belongs. To change a course edit its file; to remove it delete the file: what
students have stays, and they read that it is no longer given out.

Without a terminal: give --host-key (the fingerprint the git host documents) or
--known-hosts; the course is written even while the key is not pasted yet, and
the service starts publishing as soon as it is.`,
		Example: `  satchel course add git@github.com:school/scala101.git
  satchel course add git@github.com:school/scala101.git --folder notebooks --groups scala101
  satchel course add ssh://git@git.school.org:2222/scala101.git --host-key SHA256:…  --yes
  satchel course add /srv/git/scala101.git`,
		RunE: func(c *cobra.Command, args []string) error {
			n.url = args[0]
			n.absolute()
			return a.courseAdd(c.Context(), n)
		},
	}
	f := c.Flags()
	f.StringVar(&n.name, "name", "", "the course's `name` (default: from the URL)")
	f.StringVar(&n.branch, "branch", "main", "the `branch` that is published")
	f.StringVar(&n.folder, "folder", "", "the only `folder` that leaves the repository (default: all of it)")
	f.StringSliceVar(&n.groups, "groups", nil, "JupyterHub groups that may see it (default: everyone)")
	f.StringSliceVar(&n.users, "users", nil, "users who may see it (default: everyone)")
	f.StringVar(&n.hostKey, "host-key", "", "the git host's key `fingerprint`, confirmed already (SHA256:…)")
	f.StringVar(&n.knownHosts, "known-hosts", "", "a known_hosts `file` that has the git host's keys")
	f.StringVar(&n.key, "deploy-key", "", "a deploy key `file` that exists already")
	f.StringVar(&n.token, "token-file", "", "for an https:// address: the `file` that holds a token of the git host")
	f.StringVar(&n.webhook, "webhook", "", "the git `host` that will send webhooks: github, gitlab, gitea, forgejo or bitbucket")
	f.StringVar(&n.proxy, "proxy", "", "the proxy on the way to the repository, as in socks5://proxy.school.org:1080")
	f.BoolVar(&n.adopt, "adopt", false, "homes hold clones of this repository (nbgitpuller): what they have of its past counts as untouched")
	f.BoolVarP(&n.yes, "yes", "y", false, "ask nothing, take the defaults")
	return c
}

func (a *app) courseAdd(ctx context.Context, n newCourse) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if _, err := source.NewMirror(a.logger(), os.TempDir(), source.Remote{URL: n.url, Branch: n.branch, Folder: n.folder}, source.Options{}); err != nil {
		var se *source.Error
		if errors.As(err, &se) && se.Kind == source.Repository {
			return fmt.Errorf("%w: %w", err, errUsage)
		}
	}
	q := a.asker(ctx, n.yes)
	if n.name == "" {
		if n.name, err = q.ask("The course's name?", nameFromURL(n.url)); err != nil {
			return err
		}
	}
	entry, err := n.entry(cfg)
	if err != nil {
		return err
	}
	if strings.HasPrefix(n.url, "https://") {
		entry.TokenFile = n.token
	} else if !source.IsLocal(n.url) {
		if err := a.keyAndHost(ctx, q, cfg, n, &entry); err != nil {
			return err
		}
	}
	if err := a.tryRepository(ctx, q, cfg, &entry, n); err != nil {
		return err
	}
	hook, err := a.makeWebhook(n, cfg, &entry)
	if err != nil {
		return err
	}
	file, err := writeCourse(cfg, entry)
	if err != nil {
		return err
	}
	a.handOver(cfg.Dir, filepath.Dir(file), file)
	if a.json {
		if hook != nil {
			return a.printJSON(map[string]string{"course": n.name, "file": file, "deploy_key": entry.DeployKeyFile, "webhook_url": hook.url, "webhook_secret_file": hook.file})
		}
		return a.printJSON(map[string]string{"course": n.name, "file": file, "deploy_key": entry.DeployKeyFile})
	}
	a.printf("wrote %s\n", file)
	if hook != nil {
		a.printf(webhookText, hook.url, hook.file, hook.secret)
	}
	if entry.Audience == "everyone" {
		a.printf("Everyone who logs in gets it; --groups and --users would narrow that.\n")
	}
	a.printf("\nNext: satchel serve   (a running one takes the course up by itself);\n      satchel status, a minute later\n")
	return nil
}

// webhookText says what to paste at the git host.
const webhookText = `
So that a push arrives within seconds, add a webhook to the repository, for pushes only:

  URL:     %s
  Secret:  what stands in %s
           %s
  Type:    application/json

The git host must reach that URL; where it does not, say in satchel.yaml where it
does ("public_url"). "satchel status" shows when the last one came.
`

type madeWebhook struct{ url, file, secret string }

// makeWebhook makes the secret that the git host signs its webhooks with; nil
// where none were asked for.
func (a *app) makeWebhook(n newCourse, cfg *config.Config, e *courseEntry) (*madeWebhook, error) {
	if n.webhook == "" {
		return nil, nil
	}
	file := webhookFile(cfg.Dir, n.name)
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		secret, err := newSecret()
		if err == nil {
			err = durable.WriteFile(file, secret, 0o600)
		}
		if err != nil {
			return nil, err
		}
		a.handOver(cfg.Dir, file)
	}
	secret, err := config.ReadSecret(file)
	if err != nil {
		return nil, err
	}
	e.Webhook = &webhookEntry{n.webhook, file}
	return &madeWebhook{cfg.WebhookURL(n.name), file, secret.Reveal()}, nil
}

// webhookFile is where a course's secret of webhooks goes: where the folder
// webhooks is, both halves of the service have it, whose secrets are apart.
func webhookFile(dir, name string) string {
	both := filepath.Join(dir, "webhooks")
	if info, err := os.Stat(both); err == nil && info.IsDir() {
		return filepath.Join(both, name)
	}
	return filepath.Join(dir, "secrets", name+"-webhook")
}

type webhookEntry struct {
	Host       string `yaml:"host"`
	SecretFile string `yaml:"secret_file"`
}

// nameFromURL is the repository's own name, in a course name's letters.
func nameFromURL(url string) string {
	base := strings.TrimSuffix(path.Base(strings.ReplaceAll(strings.TrimRight(url, "/"), ":", "/")), ".git")
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, strings.ToLower(base)), "-_.")
}

// entry is the course's configuration so far.
func (n newCourse) entry(cfg *config.Config) (courseEntry, error) {
	name, err := course.ParseName(n.name)
	if err != nil {
		return courseEntry{}, fmt.Errorf("%w: %w", err, errUsage)
	}
	for _, c := range cfg.Courses {
		if c.Name == name {
			return courseEntry{}, thereAlready(cfg, n.name)
		}
	}
	e := courseEntry{Name: n.name, Repository: n.url, Branch: n.branch, Folder: n.folder, Proxy: n.proxy, Audience: "everyone", Adopt: n.adopt}
	if len(n.groups)+len(n.users) > 0 {
		e.Audience = courseAudience{n.groups, n.users}
	}
	return e, nil
}

// courseEntry is the course's file as it is written.
type courseEntry struct {
	Name           string        `yaml:"name"`
	Repository     string        `yaml:"repository"`
	Branch         string        `yaml:"branch"`
	Folder         string        `yaml:"folder,omitempty"`
	DeployKeyFile  string        `yaml:"deploy_key_file,omitempty"`
	KnownHostsFile string        `yaml:"known_hosts_file,omitempty"`
	TokenFile      string        `yaml:"token_file,omitempty"`
	Proxy          string        `yaml:"proxy,omitempty"`
	Audience       any           `yaml:"audience"`
	Poll           string        `yaml:"poll,omitempty"`
	Webhook        *webhookEntry `yaml:"webhook,omitempty"`
	Adopt          bool          `yaml:"adopt,omitempty"`
}

type courseAudience struct {
	Groups []string `yaml:"groups,omitempty"`
	Users  []string `yaml:"users,omitempty"`
}

// keyAndHost makes the deploy key and pins the git host's keys.
func (a *app) keyAndHost(ctx context.Context, q *asker, cfg *config.Config, n newCourse, e *courseEntry) error {
	e.DeployKeyFile, e.KnownHostsFile = n.key, n.knownHosts
	if e.KnownHostsFile == "" {
		e.KnownHostsFile = filepath.Join(cfg.Dir, "secrets", "known_hosts")
		if err := a.pinHost(ctx, q, n.url, n.proxy, n.hostKey, e.KnownHostsFile); err != nil {
			return err
		}
		a.handOver(cfg.Dir, e.KnownHostsFile)
	}
	if e.DeployKeyFile != "" {
		return nil
	}
	e.DeployKeyFile = filepath.Join(cfg.Dir, "secrets", n.name+"-key")
	public, err := deployKey(e.DeployKeyFile, "satchel "+n.name)
	if err != nil {
		return err
	}
	a.handOver(cfg.Dir, e.DeployKeyFile, e.DeployKeyFile+".pub")
	a.printf("\nPaste this line as a deploy key of %s, WITHOUT write access\n(GitHub, Gitea: Settings, Deploy keys; GitLab: Settings, Repository, Deploy keys):\n\n%s\n\n", n.url, public)
	_, err = q.ask("Press Enter when it is there.", "")
	return err
}

// writeCourse writes courses.d/NAME.yaml and checks the configuration that
// comes of it; a configuration that is refused takes the file away again.
func writeCourse(cfg *config.Config, e courseEntry) (string, error) {
	data, err := yaml.Marshal(e)
	if err != nil {
		return "", err
	}
	file := filepath.Join(cfg.Dir, "courses.d", e.Name+".yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	if err := durable.WriteFile(file, data, 0o644); err != nil {
		return "", err
	}
	if _, err := config.Load(cfg.File); err != nil {
		return "", errors.Join(err, os.Remove(file))
	}
	return file, nil
}
