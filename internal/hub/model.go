package hub

import (
	"strings"
	"time"
)

// model is the part of the API's user model that is read.
type model struct {
	Kind    string   `json:"kind"`
	Name    string   `json:"name"`
	Groups  []string `json:"groups"`
	Session *string  `json:"session_id"`
	Scopes  []string `json:"scopes"`

	date time.Time // the hub's clock, as it answered; zero where it said nothing
}

// owner takes a model for a server's own token or says why it is none. GET
// /user answers for any token of a user, also those that other services got
// for their logins, and wide ones: who holds one could do more than a student's
// server does, and none of them belongs here.
func (m *model) owner() (Person, error) {
	const enter = "access:servers!server="
	p := Person{User: m.Name, Groups: m.Groups}
	switch {
	case m.Kind != "user" || m.Name == "":
		return Person{}, &TooWide{"it belongs to no user"}
	case len(m.Name) > maxName:
		return Person{}, &TooWide{"its user's name is too long"}
	case m.Session != nil && *m.Session != "":
		return Person{}, &TooWide{"it is of a browser's login"}
	}
	found := false
	for _, s := range m.Scopes {
		if at, ok := strings.CutPrefix(s, enter); ok && !found {
			name, ok := strings.CutPrefix(at, m.Name+"/")
			if !ok || len(name) > maxName {
				return Person{}, &TooWide{"scope " + strings.ToValidUTF8(s[:min(len(s), maxName)], "")}
			}
			p.Server, found = name, true
			continue
		}
		if !harmless(s) {
			return Person{}, &TooWide{"scope " + strings.ToValidUTF8(s[:min(len(s), maxName)], "")}
		}
	}
	if !found {
		return Person{}, &TooWide{"it may not enter one server (scope " + enter + "USER/SERVER)"}
	}
	return p, nil
}

// harmless are scopes that a site may have given to servers: to read, to list,
// to enter services, to say that it is in use. A second server, admin:…,
// tokens, servers and what "inherit" brings are not among them.
func harmless(scope string) bool {
	name, _, _ := strings.Cut(scope, "!")
	switch name {
	case "access:services", "users:activity", "shares", "users:shares", "groups:shares":
		return true
	}
	return strings.HasPrefix(name, "read:") || strings.HasPrefix(name, "list:") || strings.HasPrefix(name, "custom:")
}
