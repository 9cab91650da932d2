package source

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"satchel/internal/sshgit"
	"satchel/internal/webgit"
)

// writing is what the one key or token may do.
func writing(t *testing.T, m *Mirror) WriteCheck {
	t.Helper()
	all, err := m.CheckWriting(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

func TestWhetherADeployKeyMayWrite(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	tip := r.commit()
	for _, c := range []struct {
		o    sshgit.Options
		want Writing
		says string
	}{
		{sshgit.Options{}, Refused, "only fetching"},
		{sshgit.Options{AllowPush: true}, LetIn, ""},
		{sshgit.Options{AllowPush: true, May: func(ssh.PublicKey, string) bool { return false }}, Refused, "not found"},
	} {
		h := serve(t, r, c.o)
		m := newMirror(t, h.remote)
		got := writing(t, m)
		if got.Writing != c.want || !strings.Contains(got.Words, c.says) || !strings.Contains(got.By, h.remote.KeyFiles[0]) {
			t.Errorf("%+v; want %s with %q", got, c.want, c.says)
		}
	}
	if now := r.git("rev-parse", "HEAD"); now != tip {
		t.Errorf("the repository moved from %s to %s", tip, now)
	}
	h := serve(t, r, sshgit.Options{AllowPush: true, Silent: func(s sshgit.Stage) bool { return s == sshgit.Asked }})
	m, err := NewMirror(logger(t), t.TempDir(), h.remote, Options{Idle: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.CheckWriting(t.Context())
	fails(t, err, Silent)
	if all, err := newMirror(t, Remote{URL: r.dir}).CheckWriting(t.Context()); err != nil || all != nil {
		t.Errorf("a local repository: %+v, %v", all, err)
	}
}

func TestWhetherATokenMayWrite(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	status := func(code int) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if code != 0 && r.URL.Query().Get("service") == "git-receive-pack" {
					w.WriteHeader(code)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	for code, want := range map[int]Writing{0: LetIn, 401: Refused, 403: Refused, 404: Unknown, 500: Unknown} {
		s, remote := webHost(t, r, webgit.Options{Passwords: []string{"token"}, Wrap: status(code)})
		remote.TokenFiles = []string{tokenFile(t, "token")}
		if got := writing(t, newMirror(t, remote)); got.Writing != want || !strings.Contains(got.By, remote.TokenFiles[0]) {
			t.Errorf("status %d: %+v; want %s", code, got, want)
		}
		s.Close()
		_, err := newMirror(t, remote).CheckWriting(t.Context())
		fails(t, err, Unreachable)
	}
	_, remote := webHost(t, r, webgit.Options{}) // git's own http-backend lets nobody without a name push
	if got := writing(t, newMirror(t, remote)); got.Writing != Refused {
		t.Errorf("without a token: %+v", got)
	}
}
