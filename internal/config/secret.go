package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"satchel/internal/secret"
)

const (
	minSecret = 32 // bytes, without blanks around
	maxSecret = 64 << 10
)

// Secret is a text that prints as [hidden].
type Secret struct{ text string }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.text }

func (Secret) String() string       { return "[hidden]" }
func (Secret) GoString() string     { return "[hidden]" }
func (Secret) LogValue() slog.Value { return slog.StringValue("[hidden]") }

// MarshalText keeps a secret out of JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return nil, errors.New("a secret is not written") }

// ReadSecret reads a secret of at least 32 bytes from a file, or from the
// environment where path is "env:" and a variable's name. Blanks around it
// are dropped.
func ReadSecret(path string) (Secret, error) {
	data, err := ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("read a secret: %s %w", path, err)
	}
	s, err := parseSecret(data)
	if err != nil {
		return Secret{}, fmt.Errorf("read a secret: %s %w", path, err)
	}
	return s, nil
}

func parseSecret(data []byte) (Secret, error) {
	text := string(bytes.TrimSpace(data))
	switch {
	case len(data) > maxSecret:
		return Secret{}, errors.New("is larger than any secret")
	case text == "":
		return Secret{}, fmt.Errorf("is empty; at least %d characters are needed (delete it, and satchel init makes a new one)", minSecret)
	case len(text) < minSecret:
		return Secret{}, fmt.Errorf("has %d characters; at least %d are needed (satchel init makes one that is missing)", len(text), minSecret)
	}
	return Secret{text}, nil
}

// ReadFile reads any file that the configuration names, or an environment
// variable named in its place.
func ReadFile(path string) ([]byte, error) {
	data, err := secret.ReadFile(path)
	if err != nil {
		return nil, plainError(err)
	}
	return data, nil
}

// OpenToOthers says, in words, that a file with a secret can be read by every
// user of this machine; "" where it cannot.
func OpenToOthers(path string) string {
	info, err := os.Stat(path)
	if err != nil || strings.HasPrefix(path, secret.EnvPrefix) || info.Mode().Perm()&0o007 == 0 {
		return ""
	}
	return fmt.Sprintf("every user of this machine can read it; chmod 600 %s", path)
}
