package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"satchel/bundle"
	"satchel/course"
	"satchel/hook"
	"satchel/internal/secret"
	"satchel/internal/strict"
)

// CheckSecrets reads every key and secret that the service reads, by the same
// rules. With stops it does not start, or no student gets anything; warnings
// stop one course, which they name, or nothing, or say that this user may not
// look (the service's may). Those in Warnings are among them. A secret that
// only the other half needs may be elsewhere: where it is missing here, it is
// among notes. One that is here is looked at all the same.
func (c *Config) CheckSecrets(half Half) (stops, warnings, notes strict.Problems) {
	k := &secretCheck{half: half}
	k.signing(c)
	k.needs = Hookserver
	for _, f := range c.Secrets.HookSecrets {
		k.secret(f, "the hub's hook")
	}
	for _, f := range c.Secrets.TicketKeys {
		if s, ok := k.secret(f, "the hookserver"); ok {
			if _, err := hook.ParseTicketKey([]byte(s.Reveal())); err != nil {
				k.stop(f, "%s", err)
			}
		}
	}
	if c.Hub.APIURL != "" {
		k.secret(c.Hub.TokenFile, "the hub's API")
	}
	k.needs = Both
	k.secret(c.Secrets.Pseudonyms, "the service")
	if c.betweenProcesses() {
		for _, f := range c.Secrets.Control {
			k.secret(f, "syncer and hookserver")
		}
	}
	for i := range c.Courses {
		k.course(&c.Courses[i])
	}
	for _, w := range c.Warnings {
		if !slices.Contains(k.told, w) {
			warnings = append(warnings, w)
		}
	}
	return k.stops, append(warnings, k.warnings...), k.notes
}

// signing checks the signing keys, which the syncer alone needs, and what
// students' servers are given of them.
func (k *secretCheck) signing(c *Config) {
	k.needs = Syncer
	var signing []bundle.SigningKey
	for _, f := range c.Secrets.SigningKeys {
		if key, ok := k.signingKey(f); ok {
			signing = append(signing, key)
		}
	}
	k.needs = Hookserver
	k.publicKeys(c.Secrets.PublicKeys, signing, len(signing) == len(c.Secrets.SigningKeys))
}

// secretCheck gathers what CheckSecrets finds. told are the warnings of
// lookAround that it words better; half is the one that is looked at, needs the
// one that needs what is read next.
type secretCheck struct {
	half, needs                  Half
	stops, warnings, notes, told strict.Problems
}

func (k *secretCheck) stop(file, format string, args ...any) {
	k.stops = append(k.stops, strict.Problem{File: file, Reason: fmt.Sprintf(format, args...)})
}

func (k *secretCheck) warn(file, format string, args ...any) {
	k.warnings = append(k.warnings, strict.Problem{File: file, Reason: fmt.Sprintf(format, args...)})
}

// elsewhere notes a file that is missing and that only the other half needs.
func (k *secretCheck) elsewhere(file string, err error) bool {
	if k.half.Has(k.needs) || !errors.Is(err, errMissing) {
		return false
	}
	k.notes = append(k.notes, strict.Problem{File: file, Reason: fmt.Sprintf("is not there; only the %s needs it, so it is not checked here", k.needs)})
	return true
}

// read reads a file that the service cannot do without; hint says what to do
// where it is missing.
func (k *secretCheck) read(file, hint string) ([]byte, bool) {
	data, err := ReadFile(file)
	if err == nil {
		return data, true
	}
	k.told = append(k.told, strict.Problem{File: file, Reason: err.Error()})
	if k.elsewhere(file, err) {
		return nil, false
	}
	if errors.Is(err, fs.ErrPermission) {
		k.warn(file, "cannot be read by this user, so it is not checked; the service's user must be able to read it")
		return nil, false
	}
	k.stop(file, "%s; %s", err, hint)
	return nil, false
}

func (k *secretCheck) secret(file, who string) (Secret, bool) {
	data, ok := k.read(file, who+" needs it (satchel init makes one that is missing)")
	if !ok {
		return Secret{}, false
	}
	s, err := parseSecret(data)
	if err != nil {
		k.stop(file, "%s", err)
	}
	return s, err == nil
}

func (k *secretCheck) signingKey(file string) (bundle.SigningKey, bool) {
	data, ok := k.read(file, "the syncer signs with it (satchel init makes one that is missing)")
	if !ok {
		return bundle.SigningKey{}, false
	}
	key, err := bundle.ParseSigningKey(data)
	if err != nil {
		k.stop(file, "holds no signing key: %s", err)
	}
	return key, err == nil
}

// publicKeys checks what students' servers are given; all says whether
// signing is all of the signing keys.
func (k *secretCheck) publicKeys(file string, signing []bundle.SigningKey, all bool) {
	data, ok := k.read(file, "students' servers are given it (satchel init makes one that is missing)")
	if !ok {
		return
	}
	keys, err := bundle.ParsePublicKeys(string(data))
	signs := func(p bundle.PublicKey) bool {
		return slices.ContainsFunc(signing, func(s bundle.SigningKey) bool { return s.Public().String() == p.String() })
	}
	switch {
	case err != nil:
		k.stop(file, "%s", err)
	case len(keys) == 0:
		k.stop(file, "holds no key, so students' servers would refuse everything; delete it, and satchel init makes it anew")
	case all && !slices.ContainsFunc(keys, signs):
		k.stop(file, "holds the public half of no signing key, so students' servers would refuse everything; delete it, and satchel init makes it anew")
	}
}

// course checks what the syncer needs for one repository, and what the
// hookserver needs for its webhooks.
func (k *secretCheck) course(c *course.Course) {
	k.needs = Hookserver
	if c.Webhook != nil {
		for _, file := range c.Webhook.SecretFiles {
			k.courseFile(c, "webhook.secret_file", file, "put the secret into it that the git host signs with")
		}
	}
	k.needs = Syncer
	if c.Local() {
		return
	}
	for _, file := range c.DeployKeyFiles {
		k.deployKey(c, file)
	}
	for _, file := range c.TokenFiles {
		k.courseFile(c, "token_file", file, "put the git host's token into it, in one line")
	}
	if c.GitHubApp != nil {
		k.courseFile(c, "github_app.key_file", c.GitHubApp.KeyFile, "the App's page makes one under \"Private keys\"")
	}
	if c.ProxyFile != "" {
		k.courseFile(c, "proxy_file", c.ProxyFile, "put the proxy's URL into it")
	}
	switch {
	case c.HTTPS():
	case strings.HasPrefix(c.KnownHostsFile, secret.EnvPrefix):
		k.warn(c.KnownHostsFile, "course %s cannot be read: known_hosts_file must be a file", c.Name)
	default:
		k.courseFile(c, "known_hosts_file", c.KnownHostsFile, "satchel course hostkey makes it")
	}
}

func (k *secretCheck) deployKey(c *course.Course, file string) {
	data, ok := k.courseFile(c, "deploy_key_file", file, "satchel course add makes one")
	if !ok {
		return
	}
	_, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		k.warn(file, "course %s cannot be read: the deploy key has a passphrase, and nobody is there to type it; use a key without one", c.Name)
	case err != nil: // whose words are no help, and stand next to a secret
		k.warn(file, "course %s cannot be read: the deploy key is none that SSH knows; it should begin with -----BEGIN OPENSSH PRIVATE KEY-----", c.Name)
	}
}

func (k *secretCheck) courseFile(c *course.Course, field, file, hint string) ([]byte, bool) {
	data, err := ReadFile(file)
	if err == nil {
		return data, true
	}
	k.told = append(k.told, strict.Problem{File: file, Reason: err.Error()})
	if k.elsewhere(file, err) {
		return nil, false
	}
	if errors.Is(err, fs.ErrPermission) {
		k.warn(file, "cannot be read by this user, so %s of course %s is not checked; the service's user must be able to read it", field, c.Name)
	} else {
		k.warn(file, "course %s cannot be read: %s %s; %s", c.Name, field, err, hint)
	}
	return nil, false
}
