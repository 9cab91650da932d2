package store

import (
	"fmt"
	"strings"
)

const (
	maxKey     = 512 // bytes
	maxKeyName = 200 // bytes of one component: a folder store makes a file of it
	maxKeyDeep = 16  // components
)

// CheckKey refuses a key that is not made of plain names: one to 16 components
// with a slash between, each of ASCII letters, digits and "-_.=+@", beginning
// with a letter, a digit or "=". So no key can leave the store's folder, mean
// a hidden file, or need quoting in a URL or a shell. A key must not be the
// folder of another one; nobody makes such.
func CheckKey(key string) error {
	if len(key) > maxKey || strings.Count(key, "/") >= maxKeyDeep {
		return fmt.Errorf("key %.80q is too long or too deep", key)
	}
	for name := range strings.SplitSeq(key, "/") {
		if !plainName(name) {
			return fmt.Errorf("key %.80q holds %.80q, which is no plain name", key, name)
		}
	}
	return nil
}

// checkPrefix refuses a prefix that begins no key.
func checkPrefix(prefix string) error {
	whole := strings.TrimSuffix(prefix, "/")
	if prefix == "" || whole != "" && CheckKey(whole) == nil {
		return nil
	}
	return fmt.Errorf("list %.80q: no key begins so", prefix)
}

func plainName(name string) bool {
	if name == "" || len(name) > maxKeyName || strings.IndexByte("-_.+@", name[0]) >= 0 {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-_.=+@", c) >= 0:
		default:
			return false
		}
	}
	return true
}
