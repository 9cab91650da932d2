// Package secret reads what the configuration names and does not hold: files
// with secrets, or variables of the environment in their place.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
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
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return data, err
}
