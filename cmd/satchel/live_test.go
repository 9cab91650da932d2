//go:build unix

package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/bundle"
	"satchel/internal/config"
)

// A signing key of which students' servers know nothing is not taken up: they
// would refuse all that it signs.
func TestAKeyThatNobodyTrustsIsNotTakenUp(t *testing.T) {
	dir := t.TempDir()
	pair := func(name string) string {
		key, err := bundle.NewSigningKey()
		if err != nil {
			t.Fatal(err)
		}
		text, err := key.PEM()
		for file, data := range map[string][]byte{".pem": text, ".pub": []byte(key.Public().String() + "\n")} {
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name+file), data, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	one, two := pair("one"), pair("two")
	cfg := func(private, public string) *config.Config {
		return &config.Config{Secrets: config.Secrets{SigningKeys: []string{private + ".pem"}, PublicKeys: public + ".pub"}}
	}
	l, err := newLive(cfg(one, one), halves{syncer: true})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	lg := slog.New(slog.NewTextHandler(&log, nil))
	if l.take(lg, cfg(two, one)); !strings.Contains(log.String(), "signing key") || !strings.Contains(log.String(), "not taken up") {
		t.Errorf("log: %s", log.String())
	}
	log.Reset()
	if l.take(lg, cfg(two, two)); !strings.Contains(log.String(), "taken up") || strings.Contains(log.String(), "not taken up") {
		t.Errorf("log: %s", log.String())
	}
	log.Reset()
	if l.take(lg, cfg(one, filepath.Join(dir, "absent"))); strings.Contains(log.String(), "not taken up") {
		t.Errorf("where it cannot be read: %s", log.String())
	}
}
