package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"satchel/internal/webgit"
)

// TestAMachineWithoutCertificates runs once more in a process that has no
// authorities of its own (Go reads them once in a process): `ca_file` does, and
// without it the sentence says what is missing.
func TestAMachineWithoutCertificates(t *testing.T) {
	if os.Getenv("SATCHEL_TEST_BARE") == "" {
		absent := filepath.Join(t.TempDir(), "absent")
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		c.Env = append(os.Environ(), "SATCHEL_TEST_BARE=1", "SSL_CERT_FILE="+absent, "SSL_CERT_DIR="+absent)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("without authorities: %v\n%s", err, out)
		}
		return
	}
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	_, remote := webHost(t, r, webgit.Options{})
	if _, err := newMirror(t, remote).Tip(t.Context()); err != nil {
		t.Errorf("with ca_file: %v", err)
	}
	remote.CAFile = ""
	_, err := newMirror(t, remote).Tip(t.Context())
	fails(t, err, Certificate, "Install ca-certificates, or name the authority's certificate (PEM) in `ca_file`")
}
