package source

import (
	"strings"
	"testing"
)

func TestAddressesThatAreRead(t *testing.T) {
	for raw, want := range map[string]struct{ dial, user, path, shown string }{
		"git@github.com:school/scala101.git":        {"github.com:22", "git", "school/scala101.git", "git@github.com:school/scala101.git"},
		"github.com:school/scala101":                {"github.com:22", "git", "school/scala101", "git@github.com:school/scala101"},
		"ana@host:~ana/x.git":                       {"host:22", "ana", "~ana/x.git", "ana@host:~ana/x.git"},
		"[host:2222]:x.git":                         {"host:2222", "git", "x.git", "ssh://git@host:2222/x.git"},
		"git@[::1]:x.git":                           {"[::1]:22", "git", "x.git", "git@::1:x.git"},
		"ssh://git@host/school/x.git":               {"host:22", "git", "/school/x.git", "ssh://git@host/school/x.git"},
		"ssh://host:2222/x.git":                     {"host:2222", "git", "/x.git", "ssh://git@host:2222/x.git"},
		"ssh://host/~ana/x.git":                     {"host:22", "git", "~ana/x.git", "git@host:~ana/x.git"},
		"ssh://git@[2001:db8::1]:2222/school/x.git": {"[2001:db8::1]:2222", "git", "/school/x.git", "ssh://git@[2001:db8::1]:2222/school/x.git"},
		"git@host:name with spaces.git":             {"host:22", "git", "name with spaces.git", "git@host:name with spaces.git"},
	} {
		a, err := parseAddress(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if a.dial() != want.dial || a.user != want.user || a.path != want.path || a.String() != want.shown {
			t.Errorf("%s: %+v, shown as %s, want %+v", raw, a, a, want)
		}
		if IsLocal(raw) {
			t.Errorf("%s is taken for a local folder", raw)
		}
	}
}

func TestLocalAddresses(t *testing.T) {
	for raw, want := range map[string]string{
		"/srv/git/x.git":              "/srv/git/x.git",
		"/srv/git/../x/":              "/srv/x",
		"file:///srv/git/x%20y":       "/srv/git/x y",
		"file://localhost/srv/git/x/": "/srv/git/x",
	} {
		a, err := parseAddress(raw)
		if err != nil || a.local != want || !IsLocal(raw) {
			t.Errorf("%s: %+v, %v, want %s", raw, a, err, want)
		}
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	for raw, says := range map[string]string{
		"":                                     "no repository is named",
		"http://github.com/school/x.git":       "use https://, or the SSH address (git@github.com:…)",
		"http://user:secret@host/x.git":        "use https://",
		"git://host/x.git":                     "neither encrypted nor authenticated",
		"ftp://host/x":                         "not supported",
		"ext::sh -c id":                        "is no address", // git would run it
		"school/scala101":                      "is no address",
		"./course":                             "is no address",
		"../course:x":                          "is no address",
		"~/course":                             "is no address",
		"file://course/x":                      "absolute path",
		"ssh://git:secret@host/x.git":          "holds a password",
		"ssh://host/x.git?branch=main":         "set by `branch`",
		"ssh://host:99999/x.git":               "is no port",
		"ssh://host":                           "no repository on it",
		"ssh://host/":                          "no repository on it",
		"git@host:":                            "no repository on it",
		"git@host:--upload-pack=id":            "no repository on it", // an option to git on the host
		"-oProxyCommand=id:x.git":              "is no address",       // an option to ssh
		"git@-oProxyCommand=id:x.git":          "is no address",
		"-l@host:x.git":                        "is no address",
		"git@host;id:x.git":                    "is no address",
		"git@ho st:x.git":                      "is no address",
		"git@host:x.git\nHost: other":          "control characters",
		"git@host:" + strings.Repeat("x", 3e3): "too long",
		"git@\xff\xfe:x":                       "control characters",
		"[host:2222:x.git":                     "is no address",
		"[host:0]:x.git":                       "is no address",
		"ssh://%zz/x":                          "cannot be read as a URL",
	} {
		_, err := parseAddress(raw)
		t.Logf("%.80q", raw)
		fails(t, err, Repository, says)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is in the sentence: %v", raw, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("git@github.com:school/x.git")
	f.Add("ssh://git@[::1]:22/~a/x")
	f.Add("[host:22]:x")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAddress(raw)
		if err != nil {
			return
		}
		if a.local != "" {
			if !strings.HasPrefix(a.local, "/") {
				t.Errorf("%q is the relative folder %q", raw, a.local)
			}
			return
		}
		if a.host == "" || a.path == "" || strings.HasPrefix(a.path, "-") || strings.HasPrefix(a.host, "-") || a.port < 1 {
			t.Errorf("%q gives %+v", raw, a)
		}
		if strings.ContainsAny(a.path+a.host+a.user, "\x00\n\r") {
			t.Errorf("%q gives control characters: %+v", raw, a)
		}
	})
}

func TestOtherSettingsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		r    Remote
		kind Kind
	}{
		"a branch that climbs":   {Remote{URL: "git@h:x", Branch: "../../x"}, Branch},
		"a branch with a space":  {Remote{URL: "git@h:x", Branch: "a b"}, Branch},
		"a branch like a switch": {Remote{URL: "git@h:x", Branch: "-x"}, Branch},
		"a folder that climbs":   {Remote{URL: "git@h:x", Folder: "../x"}, Folder},
		"a folder, not UTF-8":    {Remote{URL: "git@h:x", Folder: "\xff"}, Folder},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewMirror(logger(t), t.TempDir(), c.r, Options{})
			fails(t, err, c.kind)
		})
	}
}

func TestNearest(t *testing.T) {
	if got := nearest("man", []string{"zebra", "Main", "master"}); got != "Main, master, zebra" {
		t.Error(got)
	}
	if got := nearest("x", strings.Split("a b c d e f g", " ")); got != "a, b, c, d, e, …" {
		t.Error(got)
	}
	if got := nearest("x", []string{"a\x1b[31m\n"}); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("control characters: %q", got)
	}
}
