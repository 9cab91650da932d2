package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	good := strings.Repeat("s", 32)
	t.Setenv("SATCHEL_TEST_SECRET", good+"\n")
	t.Setenv("SATCHEL_TEST_SHORT", "short")
	for _, c := range []struct{ name, text, want string }{
		{"good", "\n " + good + " \n", ""},
		{"short", good[1:] + "\n\n\n", "31 characters"},
		{"empty", "", "is empty"},
		{"large", strings.Repeat("x", maxSecret+1), "larger than any secret"},
	} {
		file := filepath.Join(dir, c.name)
		write(t, file, c.text)
		checkSecret(t, file, good, c.want)
	}
	checkSecret(t, filepath.Join(dir, "absent"), "", "is not there")
	checkSecret(t, "env:SATCHEL_TEST_SECRET", good, "")
	checkSecret(t, "env:SATCHEL_TEST_SHORT", "", "5 characters")
	checkSecret(t, "env:SATCHEL_TEST_UNSET", "", "is not set")
}

func checkSecret(t *testing.T, path, good, want string) {
	t.Helper()
	s, err := ReadSecret(path)
	switch {
	case want == "" && (err != nil || s.Reveal() != good):
		t.Errorf("%s: %q, %v", path, s.Reveal(), err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %q", path, err, want)
	}
}

// TestSecretHides: by no usual way of printing does a secret come out.
func TestSecretHides(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	canary := strings.Repeat("canary", 8)
	write(t, file, canary)
	s, err := ReadSecret(file)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S Secret }{s})
	data, _ := json.Marshal(map[string]any{"s": s})
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s, s, []any{s}), log.String(), string(data)} {
		if strings.Contains(shown, "canary") || strings.Contains(shown, fmt.Sprintf("%x", "canary")) {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestOpenToOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	write(t, file, "x")
	if w := OpenToOthers(file); w != "" {
		t.Errorf("0600: %s", w)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if w := OpenToOthers(file); !strings.Contains(w, "chmod 600") {
		t.Errorf("0644: %q", w)
	}
}
