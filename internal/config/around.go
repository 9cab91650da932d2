package config

import (
	"fmt"
	"path/filepath"
	"strings"

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
			c.warn(k.Audience.UsersFile, "nobody is admitted by it: %s", err)
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
	other = append(other, c.Secrets.PublicKeys)
	for _, k := range c.Courses {
		secret = append(secret, k.DeployKeyFile)
		other = append(other, k.KnownHostsFile)
		if k.Webhook != nil {
			secret = append(secret, k.Webhook.SecretFile)
		}
	}
	return named(secret), named(other)
}

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
	secret, other := c.files()
	for _, k := range c.Courses {
		other = append(other, k.Audience.UsersFile)
	}
	for _, f := range named(append(secret, other...)) {
		if !strings.HasPrefix(f, envPrefix) {
			files = append(files, filepath.Clean(f))
		}
	}
	return files
}
