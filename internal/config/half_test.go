package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A secret that only the other half needs may be elsewhere; one that this half
// needs may not, and one that is here is looked at all the same.
func TestTheOtherHalfsSecretsAreNotes(t *testing.T) {
	for name, c := range map[string]struct {
		half             Half
		missing          []string
		stop, note, warn string
	}{
		"hook secret, at the syncer":        {Syncer, []string{"hook"}, "", "hook: is not there; only the hookserver needs it", ""},
		"hook secret, at the hookserver":    {Hookserver, []string{"hook"}, "hook: is not there", "", ""},
		"hook secret, of one process":       {Both, []string{"hook"}, "hook: is not there", "", ""},
		"signing key, at the hookserver":    {Hookserver, []string{"signing.pem"}, "", "signing.pem: is not there; only the syncer needs it", ""},
		"signing key, at the syncer":        {Syncer, []string{"signing.pem"}, "signing.pem: is not there", "", ""},
		"deploy key, at the hookserver":     {Hookserver, []string{"key"}, "", "key: is not there; only the syncer needs it", ""},
		"deploy key, at the syncer":         {Syncer, []string{"key"}, "", "", "deploy_key_file is not there"},
		"webhook secret, at the syncer":     {Syncer, []string{"hooks"}, "", "hooks: is not there; only the hookserver", ""},
		"webhook secret, at the hookserver": {Hookserver, []string{"hooks"}, "", "", "webhook.secret_file is not there"},
		"control secret, at the syncer":     {Syncer, []string{"control"}, "control: is not there", "", ""},
		"control secret, at the hookserver": {Hookserver, []string{"control"}, "control: is not there", "", ""},
		"pseudonyms, at the hookserver":     {Hookserver, []string{"pseudonyms"}, "pseudonyms: is not there", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := service(t)
			file := filepath.Join(dir, "satchel.yaml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			long := strings.Repeat("x", minSecret) + "\n"
			write(t, filepath.Join(dir, "secrets/control"), long)
			write(t, filepath.Join(dir, "secrets/hooks"), long)
			write(t, file, "syncer_url: http://syncer:8486\n"+strings.Replace(string(text), "{name: local,", "{name: local, webhook: {host: github, secret_file: secrets/hooks},", 1))
			for _, m := range c.missing {
				change(t, filepath.Join(dir, "secrets", m), "-")
			}
			cfg, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			stops, warnings, notes := cfg.CheckSecrets(c.half)
			one(t, "stops", stops, c.stop)
			one(t, "warnings", warnings, c.warn)
			one(t, "notes", notes, c.note)
		})
	}
	dir := service(t)
	change(t, filepath.Join(dir, "secrets/hook"), "short")
	cfg, err := Load(filepath.Join(dir, "satchel.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	stops, _, _ := cfg.CheckSecrets(Syncer)
	one(t, "a hook secret that is here", stops, "hook: has 5 characters")
	if _, err := ParseHalf("sincer"); err == nil {
		t.Error("a half that is none was taken")
	}
}

// What depends on where a process runs comes from its environment, unless the
// file says it.
func TestTheEnvironmentFillsWhatTheFileLeavesOut(t *testing.T) {
	t.Setenv("SATCHEL_SYNCER_URL", "http://syncport:8486")
	t.Setenv("SATCHEL_LISTEN_SYNCER", "syncport:8486")
	t.Setenv("SATCHEL_LISTEN_WEBHOOKS", "webport:8487")
	t.Setenv("SATCHEL_PUBLIC_URL", "https://hub.school.org/")
	file := filepath.Join(t.TempDir(), "satchel.yaml")
	write(t, file, "url: http://satchel:8484\n")
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.SyncerURL + " " + c.Listen.Syncer + " " + c.Listen.Webhooks + " " + c.WebhookURL("x"); got != "http://syncport:8486 syncport:8486 webport:8487 https://hub.school.org/webhooks/x" {
		t.Error(got)
	}
	write(t, file, "url: http://satchel:8484\npublic_url: https://other.org\nlisten: {webhooks: 'a:1'}\n")
	if c, err = Load(file); err != nil || c.PublicURL != "https://other.org" || c.Listen.Webhooks != "a:1" {
		t.Errorf("%+v, %v", c, err)
	}
	t.Setenv("SATCHEL_LISTEN_SYNCER", "nowhere")
	if _, err = Load(file); err == nil || !strings.Contains(err.Error(), "listen.syncer") {
		t.Errorf("a wrong address: %v", err)
	}
}
