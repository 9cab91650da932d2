package source

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"

	"satchel/internal/secret"
)

// maxToken is the longest token that is sent, in bytes.
const maxToken = 8 << 10

// login is what an HTTPS host is shown.
type login struct {
	name           string // for sentences
	user, password string // "" for nobody
}

// logins gives what to log in with, in the order in which it is tried. Files
// are read for each connection, so that a token can be replaced while the
// service runs. It is an error only where something is configured and none
// can be had.
func (m *Mirror) logins(ctx context.Context, client *http.Client) (all []login, err error) {
	if m.app != nil {
		l, err := m.app.login(ctx, client, m.at)
		return []login{l}, err
	}
	if len(m.remote.TokenFiles) == 0 {
		return []login{{name: "somebody who shows no token"}}, nil
	}
	var first error
	for _, file := range m.remote.TokenFiles {
		token, err := readToken(file)
		if err != nil {
			m.lg.Warn("token left out", "error", err)
			if first == nil {
				first = err
			}
			continue
		}
		all = append(all, login{name: "the token in " + file, user: m.at.webUser(), password: token})
	}
	if len(all) == 0 {
		return nil, first
	}
	return all, nil
}

func readToken(file string) (string, error) {
	data, err := secret.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fault(Token, err, "the token file %s is not there; put the git host's token into it, in one line", file)
	case errors.Is(err, os.ErrPermission):
		return "", fault(Token, err, "the token file %s cannot be read; give it to the user that runs Satchel (mode 0400)", file)
	case err != nil:
		return "", fault(Token, err, "the token file %s cannot be read: %v", file, err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fault(Token, nil, "%s holds no token: one line without blanks is expected", file)
	}
	return token, nil
}

// webUser is the user's name beside a token: hosts that look at it document
// one; the others take any.
func (a address) webUser() string {
	switch {
	case a.user != "":
		return a.user
	case a.host == "bitbucket.org":
		return "x-token-auth"
	case a.host == "gitlab.com":
		return "oauth2"
	}
	return "x-access-token"
}

// sayLogin logs which token works, louder where it is not the first: then a
// rotation is under way, or one was forgotten.
func (m *Mirror) sayLogin(i int, l login) {
	if l.password == "" {
		return
	}
	m.mu.Lock()
	m.worked = l.name
	m.mu.Unlock()
	if i > 0 {
		m.lg.Warn("an earlier token was not let in; this one works", "token", l.name)
	}
}
