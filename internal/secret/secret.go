// Package secret reads what the configuration names and does not hold: files
// with secrets, or variables of the environment in their place.
package secret

import (
	"errors"
	"os"
	"strings"

	"satchel/internal/small"
)

// EnvPrefix before a name makes it one of an environment variable, wherever a
// file with a secret is named.
const EnvPrefix = "env:"

// maxFile is the largest file that is read, in bytes.
const maxFile = 1 << 20

// ReadFile reads a file, or the environment variable that is named in its
// place.
func ReadFile(path string) ([]byte, error) {
	if name, fromEnv := strings.CutPrefix(path, EnvPrefix); fromEnv {
		text, set := os.LookupEnv(name)
		if !set {
			return nil, errors.New("is not set in the environment")
		}
		return []byte(text), nil
	}
	return small.ReadFile(path, maxFile)
}
