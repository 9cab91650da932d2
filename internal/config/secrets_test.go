package config

import (
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"satchel/bundle"
	"satchel/internal/strict"
)

// service writes a service of one course whose secrets are all as they must
// be.
func service(t *testing.T) (dir string) {
	dir = t.TempDir()
	key, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	signing, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(make([]byte, 32)), "")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", minSecret) + "\n"
	for name, text := range map[string]string{
		"satchel.yaml": "url: http://satchel:8484\ncourses:\n" +
			"  - {name: scala101, repository: 'git@host:a', deploy_key_file: secrets/key, known_hosts_file: secrets/known_hosts, audience: everyone}\n" +
			"  - {name: local, repository: /srv/b, audience: everyone}\n",
		"secrets/signing.pem": string(signing), "secrets/signing.pub": key.Public().String() + "\n",
		"secrets/hook": long, "secrets/ticket": long, "secrets/pseudonyms": long,
		"secrets/key": string(pem.EncodeToMemory(block)), "secrets/known_hosts": "host ssh-ed25519 AAAA\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func TestCheckSecrets(t *testing.T) {
	other, err := bundle.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(ed25519.NewKeyFromSeed(make([]byte, 32)), "", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, text, stop, warning string }{
		"as it must be":         {"", "", "", ""},
		"ticket empty":          {"ticket", "", "ticket: is empty", ""},
		"ticket short":          {"ticket", "abc", "ticket: has 3 characters; at least 32", ""},
		"signing key junk":      {"signing.pem", "junk", "signing.pem: holds no signing key", ""},
		"hook missing":          {"hook", "-", "hook: is not there; the hub's hook needs it (satchel init makes", ""},
		"pseudonyms missing":    {"pseudonyms", "-", "pseudonyms: is not there", ""},
		"signing key missing":   {"signing.pem", "-", "signing.pem: is not there; the syncer signs with it", ""},
		"public keys missing":   {"signing.pub", "-", "signing.pub: is not there", ""},
		"public keys junk":      {"signing.pub", "ed25519:x", "signing.pub: \"ed25519:x\" is no public key", ""},
		"no public key":         {"signing.pub", "# none\n", "signing.pub: holds no key", ""},
		"another public key":    {"signing.pub", other.Public().String(), "signing.pub: holds the public half of no signing key", ""},
		"deploy key missing":    {"key", "-", "", "key: course scala101 cannot be read: deploy_key_file is not there; satchel course add makes one"},
		"deploy key junk":       {"key", "junk", "", "key: course scala101 cannot be read: the deploy key is none that SSH knows"},
		"deploy key locked":     {"key", string(pem.EncodeToMemory(locked)), "", "key: course scala101 cannot be read: the deploy key has a passphrase"},
		"known_hosts missing":   {"known_hosts", "-", "", "known_hosts: course scala101 cannot be read: known_hosts_file is not there"},
		"read by everybody":     {"hook", "chmod 644", "", "hook: every user of this machine can read it; chmod 600"},
		"written by everybody":  {".", "chmod 777", "", "secrets: every user of this machine can put secrets of their own there; chmod 700"},
		"not for this user":     {"hook", "chmod 0", "", "hook: cannot be read by this user, so it is not checked"},
		"key not for this user": {"key", "chmod 0", "", "key: cannot be read by this user, so deploy_key_file of course scala101 is not"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := service(t)
			change(t, filepath.Join(dir, "secrets", c.file), c.text)
			cfg, err := Load(filepath.Join(dir, "satchel.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			stops, warnings, _ := cfg.CheckSecrets(Both)
			one(t, "stops", stops, c.stop)
			one(t, "warnings", warnings, c.warning)
		})
	}
}

// change writes text to file; "-" deletes it.
func change(t *testing.T, file, text string) {
	t.Helper()
	var err error
	switch text {
	case "":
		if filepath.Base(file) != "secrets" {
			err = os.Truncate(file, 0)
		}
	case "-":
		err = os.Remove(file)
	case "chmod 644":
		err = os.Chmod(file, 0o644)
	case "chmod 777":
		err = os.Chmod(file, 0o777)
	case "chmod 0":
		if err = os.Chmod(file, 0); os.Geteuid() == 0 {
			t.Skip("root may read every file")
		}
	default:
		err = os.WriteFile(file, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// one fails unless ps is one problem with this text, or none.
func one(t *testing.T, what string, ps strict.Problems, want string) {
	t.Helper()
	if want == "" && len(ps) == 0 || len(ps) == 1 && want != "" && strings.Contains(ps.Error(), want) {
		return
	}
	t.Errorf("%s: %v; want %q", what, ps, want)
}

func TestLoopbackURL(t *testing.T) {
	for url, want := range map[string]bool{
		"http://127.0.0.1:8484": true, "http://127.1.2.3": true, "http://localhost:80/x": true, "https://a.localhost": true,
		"http://[::1]:8484": true, "http://[::ffff:127.0.0.1]": true, "http://satchel:8484": false, "http://10.0.0.1": false, "http://localhost.org": false,
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "satchel.yaml"), "url: "+url+"\n")
		c, err := Load(filepath.Join(dir, "satchel.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(c.Warnings.Error(), "satchel.yaml:1: url is this machine's own loopback: "); got != want {
			t.Errorf("%s: %v", url, c.Warnings)
		}
	}
}
