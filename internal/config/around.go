package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"satchel/internal/secret"
	"satchel/internal/strict"
)

// maxSocket is the longest path of a Unix socket, on Linux.
const maxSocket = 107

// lookAround reads users files and gathers Warnings: what the disk has to say,
// none of which may stop the other courses.
func (c *Config) lookAround() {
	for i := range c.Courses {
		k := &c.Courses[i]
		if err := k.Audience.Load(); err != nil {
			c.warn(k.Audience.UsersFile, "nobody is admitted to %s by it: %s", k.Name, err)
		}
	}
	if n := len(c.Listen.Control); n > maxSocket {
		c.warn(c.Listen.Control, "longer than the path of a socket can be (%d bytes); set listen: {control: …}", maxSocket)
	}
	secret, other := c.files()
	for _, f := range append(secret, other...) {
		if _, err := ReadFile(f); err != nil {
			c.warn(f, "%s", err)
		}
	}
	for _, f := range secret {
		if open := OpenToOthers(f); open != "" {
			c.warn(f, "%s", open)
		}
	}
	for _, dir := range folders(secret) {
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
			c.warn(dir, "every user of this machine can put secrets of their own there; chmod 700 %s", dir)
		}
	}
}

// folders are those that files lie in, each once.
func folders(files []string) []string {
	var dirs []string
	for _, f := range files {
		if !strings.HasPrefix(f, secret.EnvPrefix) {
			dirs = append(dirs, filepath.Dir(f))
		}
	}
	return named(dirs)
}

// warnLoopback warns of a URL that leads every student's server to itself.
func (l *loader) warnLoopback() {
	u, err := url.Parse(l.c.URL)
	if err != nil {
		return
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	addr, _ := netip.ParseAddr(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || addr.Unmap().IsLoopback() {
		l.c.Warnings = append(l.c.Warnings, strict.Problem{File: l.c.File, Line: lineOf(l.root, "url"),
			Reason: "url is this machine's own loopback: containers cannot reach it; give the name or address by which students' servers reach this service"})
	}
}

func (c *Config) warn(file, format string, args ...any) {
	c.Warnings = append(c.Warnings, strict.Problem{File: file, Reason: fmt.Sprintf(format, args...)})
}

// files are all that the configuration names: those with secrets, and others.
func (c *Config) files() (secret, other []string) {
	secret = append(secret, c.Secrets.SigningKeys...)
	secret = append(secret, c.Secrets.HookSecrets...)
	secret = append(secret, c.Secrets.TicketKeys...)
	secret = append(secret, c.Secrets.Pseudonyms, c.Hub.TokenFile)
	if c.betweenProcesses() {
		secret = append(secret, c.Secrets.Control...)
	}
	other = append(other, c.Secrets.PublicKeys, c.CAFile)
	for _, k := range c.Courses {
		secret = append(secret, k.DeployKeyFiles...)
		secret = append(append(secret, k.TokenFiles...), k.ProxyFile)
		if k.GitHubApp != nil {
			secret = append(secret, k.GitHubApp.KeyFile)
		}
		other = append(other, k.KnownHostsFile, k.CAFile)
		if k.Webhook != nil {
			secret = append(secret, k.Webhook.SecretFiles...)
		}
	}
	return named(secret), named(other)
}

// betweenProcesses says whether the parts of the service speak to each other.
func (c *Config) betweenProcesses() bool { return c.Listen.Syncer != "" || c.SyncerURL != "" }

// named leaves out what is empty or came before.
func named(files []string) (out []string) {
	seen := map[string]bool{"": true}
	for _, f := range files {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

// watched are all files whose change matters.
func (c *Config) watched() (files []string) {
	hidden, other := c.files()
	for _, k := range c.Courses {
		other = append(other, k.Audience.UsersFile)
	}
	for _, f := range named(append(hidden, other...)) {
		if !strings.HasPrefix(f, secret.EnvPrefix) {
			files = append(files, filepath.Clean(f))
		}
	}
	return files
}
