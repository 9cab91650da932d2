package course

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"satchel/internal/strict"
)

// Audience says who is in the course. Everyone means: whom the hub lets in.
// In YAML it is the word everyone, or a mapping. Of several lists a student
// needs to be in one; Except wins over all.
type Audience struct {
	Everyone  bool     `yaml:"-"`
	Groups    []string `yaml:"groups"`
	Users     []string `yaml:"users"`
	UsersFile string   `yaml:"users_file"` // one name a line
	Except    []string `yaml:"except"`

	listed []string // read from UsersFile, sorted
	broken bool     // not understood, and told already
}

// Limits of a users_file.
const (
	maxUsersFile = 8 << 20
	maxUsers     = 200_000
	maxUserName  = 255
)

// Admits says whether a student of these groups is in the course.
func (a *Audience) Admits(user string, groups []string) bool {
	if user == "" || slices.Contains(a.Except, user) {
		return false
	}
	if a.Everyone || slices.Contains(a.Users, user) {
		return true
	}
	if _, found := slices.BinarySearch(a.listed, user); found {
		return true
	}
	return slices.ContainsFunc(a.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

// UnmarshalYAML reads the word everyone, or a mapping.
func (a *Audience) UnmarshalYAML(n *yaml.Node) error {
	*a = Audience{}
	if n.Kind == yaml.ScalarNode {
		if a.Everyone = n.Value == "everyone"; a.Everyone {
			return nil
		}
		a.broken = true
		return fmt.Errorf("%q is not known; write everyone, or {groups: […]}, {users: […]}, {users_file: …}", strict.Cut(n.Value))
	}
	var m struct {
		Everyone  bool     `yaml:"everyone"`
		Groups    []string `yaml:"groups"`
		Users     []string `yaml:"users"`
		UsersFile string   `yaml:"users_file"`
		Except    []string `yaml:"except"`
	}
	ps := strict.Decode(n, &m, strict.Other{"group": "groups", "user": "users", "file": "users_file", "not": "except"})
	*a = Audience{Everyone: m.Everyone, Groups: m.Groups, Users: m.Users, UsersFile: m.UsersFile, Except: m.Except, broken: len(ps) > 0}
	return ps.Err()
}

// Validate tells what is wrong with a.
func (a *Audience) Validate() error {
	var ps strict.Problems
	lists := len(a.Groups) + len(a.Users)
	if a.UsersFile != "" {
		lists++
	}
	switch {
	case a.broken:
	case !a.Everyone && lists == 0:
		ps = append(ps, strict.Problem{Reason: "nobody is in the course; write audience: everyone, or {groups: […]}, {users: […]}, {users_file: …}"})
	case a.Everyone && lists > 0:
		ps = append(ps, strict.Problem{Reason: "everyone, and lists besides; keep one of them"})
	}
	for _, list := range [][]string{a.Groups, a.Users, a.Except} {
		for _, name := range list {
			if err := checkUser(name); err != nil {
				ps = append(ps, strict.Problem{Reason: err.Error()})
			}
		}
	}
	return ps.Err()
}

// Load reads UsersFile: one name a line, empty lines and lines that begin
// with # aside. On an error nobody is admitted by the file.
func (a *Audience) Load() error {
	a.listed = nil
	if a.UsersFile == "" {
		return nil
	}
	f, err := os.Open(a.UsersFile)
	if err != nil {
		return fmt.Errorf("users_file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxUsersFile+1))
	switch {
	case err != nil:
		return fmt.Errorf("users_file %s: %w", a.UsersFile, err)
	case len(data) > maxUsersFile:
		return fmt.Errorf("users_file %s: larger than %d MB", a.UsersFile, maxUsersFile>>20)
	}
	names, ps := parseUsers(data)
	if len(ps) > 0 {
		return ps.In(a.UsersFile)
	}
	a.listed = names
	return nil
}

func parseUsers(data []byte) (names []string, ps strict.Problems) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	line := 0
	for l := range bytes.Lines(data) {
		line++
		name := string(bytes.TrimSpace(l))
		if name == "" || name[0] == '#' {
			continue
		}
		err := checkUser(name)
		switch {
		case err == nil && strings.ContainsAny(name, ",;\t"):
			err = fmt.Errorf("%q looks like several names; write one a line", strict.Cut(name))
		case len(names) >= maxUsers:
			return nil, strict.Problems{{Line: line, Reason: fmt.Sprintf("more than %d names", maxUsers)}}
		}
		if err != nil {
			if ps = append(ps, strict.Problem{Line: line, Reason: err.Error()}); len(ps) >= maxFindings {
				break
			}
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), ps
}

func checkUser(name string) error {
	switch {
	case name == "":
		return errors.New("an empty name; take it out")
	case len(name) > maxUserName:
		return fmt.Errorf("%q is longer than a name can be", strict.Cut(name))
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q holds characters that no name has", strict.Cut(name))
	}
	return nil
}
