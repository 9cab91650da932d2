package source

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/internal/webgit"
)

// fakeGitHub is a fake of the two calls of GitHub's API that an App needs, as
// docs.github.com documents them, on the same host as the repository.
type fakeGitHub struct {
	t        testing.TB
	key      *rsa.PrivateKey
	s        *webgit.Server
	lives    time.Duration
	answer   int // in the place of a token
	asked    []string
	tokens   int
	lastWish string
}

func (g *fakeGitHub) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, is := strings.CutPrefix(r.URL.Path, "/api/v3")
		if !is {
			next.ServeHTTP(w, r)
			return
		}
		g.asked = append(g.asked, r.Method+" "+path)
		if g.answer != 0 {
			w.WriteHeader(g.answer)
			fmt.Fprint(w, `{"message":"not today"}`)
			return
		}
		if !g.knows(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"message":"A JSON web token could not be decoded"}`)
			return
		}
		switch path {
		case "/repos/school/course/installation":
			fmt.Fprint(w, `{"id": 77}`)
		case "/app/installations/77/access_tokens":
			var wish map[string]any
			json.NewDecoder(r.Body).Decode(&wish)
			g.lastWish = fmt.Sprint(wish)
			g.tokens++
			token := fmt.Sprintf("ghs_%d", g.tokens)
			g.s.Admit(token)
			w.WriteHeader(http.StatusCreated)
			json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_at": time.Now().Add(g.lives).UTC().Format(time.RFC3339)})
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"Not Found"}`)
		}
	})
}

// knows checks the signature and the times as GitHub does.
func (g *fakeGitHub) knows(jwt string) bool {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return false
	}
	sig, err1 := base64.RawURLEncoding.DecodeString(parts[2])
	payload, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	err3 := json.Unmarshal(payload, &claims)
	now := time.Now().Unix()
	return err1 == nil && err2 == nil && err3 == nil && rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, sum[:], sig) == nil &&
		claims.Iss == "123" && claims.Iat <= now && claims.Exp > now && claims.Exp-claims.Iat <= 600
}

func TestGitHubApp(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "app.pem")
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	r := newRepo(t)
	r.write("a.txt", "a\n")
	r.commit()
	g := &fakeGitHub{t: t, key: key, lives: time.Hour}
	s, remote := webHost(t, r, webgit.Options{Passwords: []string{"none yet"}, Wrap: g.wrap})
	g.s = s
	remote.App = &GitHubApp{ID: 123, KeyFile: keyFile, API: "https://" + s.Addr() + "/api/v3"}
	m := newMirror(t, remote)
	r.sameAs(newest(t, m), ".")
	if want := []string{"GET /repos/school/course/installation", "POST /app/installations/77/access_tokens"}; !slices.Equal(g.asked, want) {
		t.Errorf("asked %q: one token serves for an hour", g.asked)
	}
	if g.lastWish != "map[permissions:map[contents:read] repositories:[course]]" {
		t.Errorf("a token for %s", g.lastWish)
	}
	// One that is revoked is replaced at once.
	g.asked = nil
	s.Admit("another")
	newest(t, m)
	if g.tokens != 2 || m.LetIn() != "the GitHub App 123" {
		t.Errorf("%d tokens; let in %q", g.tokens, m.LetIn())
	}
	// One that is about to end is not used.
	g.lives = tokenRest / 2
	m.app.drop()
	for range 2 {
		if _, err := m.Tip(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if g.tokens != 4 {
		t.Errorf("%d tokens", g.tokens)
	}
	g.lives = time.Hour

	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	newest(t, newMirror(t, remote))
	for _, c := range []struct {
		change func()
		kind   Kind
		says   string
	}{
		{func() { remote.App.ID = 124 }, Token, "does not accept the key of the App 124"},
		{func() { remote.App.ID, g.answer = 123, 404 }, Token, "is not installed"},
		{func() { g.answer = 403 }, Token, "not today"},
		{func() { g.answer = 500 }, Unreachable, "500"},
		{func() { g.answer = 0; writeFile(t, keyFile, "nothing") }, Token, "holds no key"},
		{func() { remote.App.KeyFile = absent }, Token, absent},
	} {
		c.change()
		_, err := newMirror(t, remote).Tip(t.Context())
		fails(t, err, c.kind, c.says)
	}
}
