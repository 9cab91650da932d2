package source

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"satchel/internal/secret"
)

// deployKey is one private key that a host may accept.
type deployKey struct {
	file   string
	signer ssh.Signer
}

// fingerprint is of the public half, as git hosts show it.
func (k deployKey) fingerprint() string { return ssh.FingerprintSHA256(k.signer.PublicKey()) }

// NewDeployKey makes an ed25519 key: the private half as an OpenSSH PEM file,
// and the public half as the line to paste at the git host. The comment says
// there what the key is for.
func NewDeployKey(comment string) (privatePEM []byte, authorizedLine string, err error) {
	if strings.ContainsFunc(comment, unicode.IsControl) {
		return nil, "", fmt.Errorf("make a deploy key: the comment %q holds control characters", comment)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("make a deploy key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, "", fmt.Errorf("make a deploy key: %w", err)
	}
	sshPublic, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, "", fmt.Errorf("make a deploy key: %w", err)
	}
	return pem.EncodeToMemory(block), authorized(sshPublic, comment), nil
}

func authorized(k ssh.PublicKey, comment string) string {
	return strings.TrimSpace(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) + " " + comment)
}

// PublicHalf gives the line to paste at the git host, of the private key in a
// file. Errors are of kind DeployKey and say what to do.
func PublicHalf(file, comment string) (authorizedLine string, err error) {
	k, err := readKey(file)
	if err != nil {
		return "", err
	}
	return authorized(k.signer.PublicKey(), comment), nil
}

// readKeys reads the keys that can be read, in order. Files are read for each
// connection, so that a key can be replaced while the service runs. It is an
// error only when none is left; what is wrong with the others comes back too.
func readKeys(files []string) (keys []deployKey, problems []error, err error) {
	if len(files) == 0 {
		return nil, nil, fault(DeployKey, nil, "no deploy key is set; make one with `satchel course add`, and name its file in `deploy_key_file`")
	}
	for _, file := range files {
		key, err := readKey(file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, nil, problems[0]
	}
	return keys, problems, nil
}

func readKey(file string) (deployKey, error) {
	data, err := secret.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return deployKey{}, fault(DeployKey, err, "the deploy key %s is not there; put the private key in that file, or make one with `satchel course add`", file)
	case errors.Is(err, os.ErrPermission):
		return deployKey{}, fault(DeployKey, err, "the deploy key %s cannot be read; give the file to the user that runs Satchel (mode 0400)", file)
	case err != nil:
		return deployKey{}, fault(DeployKey, err, "the deploy key %s cannot be read: %v", file, err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return deployKey{}, fault(DeployKey, err, "the deploy key %s has a passphrase, and nobody is there to type it; use a key without one", file)
	case err != nil:
		// Not err: a parser's words are no help, and stand next to a secret.
		return deployKey{}, fault(DeployKey, nil, "%s holds no private key that SSH knows; it should begin with -----BEGIN OPENSSH PRIVATE KEY----- (the file with .pub is the public half)", file)
	}
	return deployKey{file: file, signer: signer}, nil
}

// refusedKeys is for a host that accepts none of the keys.
func refusedKeys(host string, keys []deployKey, err error) *Error {
	return fault(DeployKey, err, "%s does not accept the deploy key %s; paste its public half as a read-only deploy key of the repository", host, describe(keys))
}

// describe names keys by file and fingerprint.
func describe(keys []deployKey) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.file+" ("+k.fingerprint()+")")
	}
	return strings.Join(names, " or ")
}
