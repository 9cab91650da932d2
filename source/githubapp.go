package source

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"satchel/internal/secret"
)

// GitHubApp is a GitHub App that is installed where the repository is: one key
// for many repositories, tokens that live an hour, and no user's account.
type GitHubApp struct {
	ID           int64  // of the App
	Installation int64  // 0: asked for, by the repository
	KeyFile      string // the App's private key, PEM
	API          string // "" is https://api.github.com; GitHub Enterprise Server: https://HOST/api/v3
}

const (
	githubAPI    = "https://api.github.com"
	maxAPIAnswer = 1 << 20
	// tokenRest is how long a token must still live to be used: a clone takes
	// its time.
	tokenRest = 10 * time.Minute
)

// app makes tokens of a GitHubApp, and keeps the last one while it lives.
type app struct {
	of   GitHubApp
	now  func() time.Time
	mu   sync.Mutex
	kept login
	till time.Time
}

// login gives a token for one repository, that may read its contents and
// nothing else (docs.github.com: "Generating an installation access token").
func (a *app) login(ctx context.Context, client *http.Client, at address) (login, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.till.Sub(a.now()) > tokenRest {
		return a.kept, nil
	}
	jwt, err := a.jwt()
	if err != nil {
		return login{}, err
	}
	owner, repo, ok := strings.Cut(strings.TrimSuffix(strings.Trim(at.path, "/"), ".git"), "/")
	if !ok || strings.Contains(repo, "/") {
		return login{}, fault(Repository, nil, "%s is no repository of GitHub; write `repository` as in https://github.com/school/course.git", at)
	}
	id := a.of.Installation
	if id == 0 {
		var found struct {
			ID int64 `json:"id"`
		}
		if err := a.call(ctx, client, http.MethodGet, "/repos/"+owner+"/"+repo+"/installation", jwt, nil, &found); err != nil {
			return login{}, err
		}
		id = found.ID
	}
	var made struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	wish := map[string]any{"repositories": []string{repo}, "permissions": map[string]string{"contents": "read"}}
	if err := a.call(ctx, client, http.MethodPost, "/app/installations/"+strconv.FormatInt(id, 10)+"/access_tokens", jwt, wish, &made); err != nil {
		return login{}, err
	}
	if made.Token == "" || len(made.Token) > maxToken || strings.ContainsFunc(made.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return login{}, fault(Token, nil, "GitHub's answer holds no token; it will be tried again")
	}
	a.kept = login{name: fmt.Sprintf("the GitHub App %d", a.of.ID), user: "x-access-token", password: made.Token}
	a.till = made.Expires
	return a.kept, nil
}

// drop forgets a token that was not accepted.
func (a *app) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.till = time.Time{}
}

// jwt is how the App says who it is (RFC 7519, RS256): ten minutes are the
// most that GitHub takes, and its clock may be a little behind.
func (a *app) jwt() (string, error) {
	key, err := readAppKey(a.of.KeyFile)
	if err != nil {
		return "", err
	}
	now := a.now()
	payload, err := json.Marshal(map[string]any{"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix(), "iss": strconv.FormatInt(a.of.ID, 10)})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign for the GitHub App: %w", err)
	}
	return text + "." + b64(sig), nil
}

func readAppKey(file string) (*rsa.PrivateKey, error) {
	data, err := secret.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fault(Token, err, "the GitHub App's key %s is not there; download one on the App's page (\"Private keys\")", file)
	case err != nil:
		return nil, fault(Token, err, "the GitHub App's key %s cannot be read: %v", file, err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fault(Token, nil, "%s holds no key; it should begin with -----BEGIN RSA PRIVATE KEY-----", file)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := any.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, fault(Token, nil, "%s holds no RSA key; download one on the App's page (\"Private keys\")", file)
	}
	return key, nil
}

// call asks GitHub's API.
func (a *app) call(ctx context.Context, client *http.Client, method, path, jwt string, body, into any) error {
	var data io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		data = bytes.NewReader(text)
	}
	base := strings.TrimRight(a.of.API, "/")
	if base == "" {
		base = githubAPI
	}
	ctx, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base+path, data)
	if err != nil {
		return fault(Token, nil, "the address of GitHub's API is none; correct `github_app: {api_url: …}`")
	}
	req.Header.Set("Authorization", "Bearer "+jwt)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", "satchel")
	resp, err := client.Do(req)
	if err != nil {
		return appUnreachable(base, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAPIAnswer))
	if err != nil {
		return appUnreachable(base, err)
	}
	if resp.StatusCode/100 != 2 {
		return a.refusal(resp, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fault(Token, err, "GitHub's API answers with something that is not its own; see `github_app: {api_url: …}`")
	}
	return nil
}

const apiTime = 20 * time.Second

func appUnreachable(base string, err error) error {
	var known *Error
	if errors.As(err, &known) && known.Kind == Proxy {
		return known
	}
	return fault(Unreachable, err, "GitHub's API (%s) cannot be asked for a token (%s); it will be tried again", base, said(plain(err).Error()))
}

// refusal says what GitHub's no means.
func (a *app) refusal(resp *http.Response, text []byte) error {
	var its struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(text, &its)
	words := said(its.Message)
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return fault(Token, nil, "GitHub does not accept the key of the App %d (%s); see `app_id` and `key_file`, and whether this machine's clock is right", a.of.ID, words)
	case http.StatusNotFound:
		return fault(Token, nil, "the GitHub App %d is not installed where the repository is; install it there, with the right to read contents (\"Install App\" on its page)", a.of.ID)
	case http.StatusForbidden, http.StatusUnprocessableEntity:
		return fault(Token, nil, "GitHub gives the App %d no token for this repository (%s); see that the installation has it, with the right to read contents, and is not suspended", a.of.ID, words)
	}
	return fault(Unreachable, nil, "GitHub's API answers %s (%s); it will be tried again", said(resp.Status), words)
}
