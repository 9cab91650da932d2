package course

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"satchel/bundle"
	"satchel/internal/strict"
)

// Validate tells everything that is wrong with c, as strict.Problems with the
// key at fault; each says what to write instead.
func (c *Course) Validate() error {
	var ps strict.Problems
	check := func(field string, err error) {
		for _, p := range strict.List(err) {
			if p.Field == "" {
				p.Field = field
			}
			ps = append(ps, p)
		}
	}
	_, err := ParseName(string(c.Name))
	check("name", err)
	badRepository := checkRepository(c.Repository)
	check("repository", badRepository)
	check("branch", checkBranch(c.Branch))
	check("folder", checkFolder(c.Folder))
	if c.Poll != 0 && (c.Poll < MinPoll || c.Poll > 24*time.Hour) {
		check("poll", fmt.Errorf("%s is not between %s and 24h", c.Poll, MinPoll))
	}
	if badRepository == nil {
		c.checkAccess(check)
	}
	check("webhook", c.Webhook.validate())
	check("audience", c.Audience.Validate())
	return ps.Err()
}

// checkAccess tells what the way to the repository lacks, or has and does not
// use.
func (c *Course) checkAccess(check func(field string, err error)) {
	ssh := !c.Local() && !c.HTTPS()
	if ssh && len(c.DeployKeyFiles) == 0 {
		check("deploy_key_file", errors.New("missing; the file with the private half of the read-only deploy key (satchel course add makes one)"))
	}
	if ssh && c.KnownHostsFile == "" {
		check("known_hosts_file", errors.New("missing; the file with the git host's keys (satchel course add fetches them and shows their fingerprints)"))
	}
	if !ssh && len(c.DeployKeyFiles) > 0 {
		check("deploy_key_file", errors.New("a deploy key is for an ssh address; take the one that the git host shows under \"SSH\", or name a token_file"))
	}
	if !c.HTTPS() && len(c.TokenFiles) > 0 {
		check("token_file", errors.New("a token is for an https:// address; write that one as repository, or use a deploy key"))
	}
	if c.GitHubApp != nil {
		check("github_app", c.GitHubApp.validate(c))
	}
	if c.Proxy != "" && c.ProxyFile != "" {
		check("proxy_file", errors.New("proxy says it too; keep one of them"))
	}
	check("proxy", checkProxy(c.Proxy))
}

func (a *GitHubApp) validate(c *Course) error {
	switch {
	case !c.HTTPS():
		return errors.New("its tokens are for an https:// address; write that one as repository")
	case len(c.TokenFiles) > 0:
		return errors.New("token_file is set too; keep one of them")
	case a.AppID <= 0:
		return errors.New("app_id is missing; the number that the App's page shows as \"App ID\"")
	case a.InstallationID < 0:
		return errors.New("installation_id is no number of an installation; leave it out, and it is asked for")
	case a.KeyFile == "":
		return errors.New("key_file is missing; the App's private key, which its page makes under \"Private keys\"")
	case a.APIURL != "" && !strings.HasPrefix(a.APIURL, "https://"):
		return errors.New("api_url must begin with https://")
	}
	return nil
}

// checkProxy accepts the address of a proxy, without a password.
func checkProxy(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return errors.New("not an address; write http://proxy.school.org:3128 or socks5://proxy.school.org:1080")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return fmt.Errorf("%s:// is no kind of proxy that is known; there are http://, https:// (by CONNECT) and socks5://", strict.Cut(u.Scheme))
	}
	if _, has := u.User.Password(); has {
		return errors.New("a password stands in the address; secrets stand only in files: put all of it into one, and name that as proxy_file")
	}
	return nil
}

func (w *Webhook) validate() error {
	if w == nil {
		return nil
	}
	hosts := []string{"github", "gitlab", "gitea", "forgejo", "bitbucket"}
	switch near := strict.Nearest(w.Host, hosts); {
	case near == "":
		return fmt.Errorf("host %q is not known; known are %s", strict.Cut(w.Host), strings.Join(hosts, ", "))
	case near != w.Host:
		return fmt.Errorf("host %q is not known; did you mean %q?", strict.Cut(w.Host), near)
	}
	if len(w.SecretFiles) == 0 {
		return errors.New("secret_file is missing; without a secret anybody could send it")
	}
	return nil
}

// scp is git's short form user@host:path.
var scp = regexp.MustCompile(`^([A-Za-z0-9][\w.+-]*)@(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][\w.-]*):([^/:\s-][^\s]*|/[^\s]+|~[^\s]*)$`)

// checkRepository accepts an ssh address or an absolute folder.
func checkRepository(r string) error {
	switch {
	case r == "":
		return errors.New("missing; an address such as git@github.com:school/scala101.git, or a folder of this machine")
	case len(r) > 2048 || strings.ContainsFunc(r, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return errors.New("holds characters that no address has")
	case strings.HasPrefix(r, "/"):
		return nil
	case strings.HasPrefix(r, "ssh://"), strings.HasPrefix(r, "https://"):
		return checkURL(r)
	case strings.HasPrefix(r, "http://"), strings.HasPrefix(r, "git://"):
		return errors.New("only https and ssh addresses are supported: of this kind nobody knows who answers")
	case strings.HasPrefix(r, "file://"):
		return errors.New("write the folder's path without file://")
	case scp.MatchString(r):
		return nil
	}
	return fmt.Errorf("%q is no address (git@host:path, ssh://git@host/path or https://host/path), nor an absolute folder", strict.Cut(r))
}

func checkURL(r string) error {
	u, err := url.Parse(r)
	switch {
	case err != nil || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-"):
		return errors.New("not an address; write ssh://git@host/path, https://host/path or git@host:path")
	case strings.Trim(u.Path, "/") == "":
		return errors.New("the path of the repository is missing after the host")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("a repository's address has no ? and no #")
	case strings.HasPrefix(u.User.Username(), "-"):
		return errors.New("the user's name begins with a dash")
	}
	if _, has := u.User.Password(); has {
		return errors.New("a password stands in the address; secrets stand only in files. Use a deploy key, or a token_file")
	}
	return nil
}

// checkBranch follows git-check-ref-format(1).
func checkBranch(b string) error {
	if short, full := strings.CutPrefix(b, "refs/heads/"); full {
		return fmt.Errorf("write %q, without refs/heads/", strict.Cut(short))
	}
	bad := func(part string) bool {
		return part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock")
	}
	switch {
	case b == "":
		return nil
	case len(b) > 255, strings.ContainsAny(b, " ~^:?*[\\\x7f"), strings.Contains(b, ".."), strings.Contains(b, "@{"),
		b == "@", b[0] == '-', strings.HasSuffix(b, "."),
		strings.ContainsFunc(b, func(c rune) bool { return c < ' ' }):
		return fmt.Errorf("%q is no name that git allows for a branch", strict.Cut(b))
	}
	for part := range strings.SplitSeq(b, "/") {
		if bad(part) {
			return fmt.Errorf("%q is no name that git allows for a branch", strict.Cut(b))
		}
	}
	return nil
}

func checkFolder(f string) error {
	f = strings.Trim(f, "/")
	if f == "" || f == "." {
		return nil
	}
	if err := bundle.CheckPath(f); err != nil {
		return fmt.Errorf("%w; write a folder of the repository, such as notebooks", err)
	}
	return nil
}
