package s3server

import (
	"os/exec"
	"testing"
)

// Accounts are those of a server that knows others than its own.
type Accounts struct {
	Endpoint, Access, Secret string // Access and Secret are the server's own
	t                        testing.TB
}

// StartAccounts is Start for a server to which accounts can be added.
func StartAccounts(t testing.TB) *Accounts {
	t.Helper()
	a := &Accounts{t: t}
	a.Endpoint, a.Access, a.Secret = start(t, []string{"--iam-dir", t.TempDir()})
	return a
}

// Add makes an account that may use every bucket.
func (a *Accounts) Add(access, secret string) {
	a.t.Helper()
	a.admin("create-user", "--access", access, "--secret", secret, "--role", "admin")
}

// Remove ends an account: its requests are refused from now on.
func (a *Accounts) Remove(access string) {
	a.t.Helper()
	a.admin("delete-user", "--access", access)
}

func (a *Accounts) admin(args ...string) {
	a.t.Helper()
	own := []string{"admin", "--access", a.Access, "--secret", a.Secret, "--endpoint-url", a.Endpoint}
	if out, err := exec.Command(binary(a.t), append(own, args...)...).CombinedOutput(); err != nil {
		a.t.Fatalf("versitygw admin %s: %v\n%s", args[0], err, out)
	}
}
