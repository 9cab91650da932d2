// Package course owns what a course is: where its material comes from, who
// may see it, and which files of its repository are delivered. It reads the
// service's entry for a course (Course) and the instructor's .satchel.yaml
// (Rules), and selects (Select). It reads content from an fs.FS and knows
// nothing of git, stores or servers.
package course

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"satchel/bundle"
	"satchel/internal/strict"
)

// Name identifies a course, in keys, URLs and logs: 1 to 63 lower-case
// letters, digits, '-', '_' and '.', beginning with a letter or digit.
type Name string

// Course is one course in the service's configuration.
type Course struct {
	Name           Name          `yaml:"name"`
	Repository     string        `yaml:"repository"`      // git@host:path, ssh or https URL, or a local folder (absolute path)
	Branch         string        `yaml:"branch"`          // "" is main
	Folder         string        `yaml:"folder"`          // the only folder that leaves the repository; "" is all of it
	DeployKeyFiles Files         `yaml:"deploy_key_file"` // for ssh; several while one is replaced, the new one first
	KnownHostsFile string        `yaml:"known_hosts_file"`
	TokenFiles     Files         `yaml:"token_file"` // for https, in the same way; none for a public repository
	GitHubApp      *GitHubApp    `yaml:"github_app"` // makes tokens, in the place of token_file
	Proxy          string        `yaml:"proxy"`      // on the way to the repository: http://, https:// or socks5://
	ProxyFile      string        `yaml:"proxy_file"` // holds that URL, where it has a password
	CAFile         string        `yaml:"ca_file"`    // authorities beside the system's; default: the service's
	Audience       Audience      `yaml:"audience"`
	Poll           time.Duration `yaml:"poll"` // 0 is 60s; at least 5s
	Webhook        *Webhook      `yaml:"webhook"`
	// Adopt says that homes hold files of this repository's former commits,
	// from nbgitpuller or a clone: those count as untouched.
	Adopt bool `yaml:"adopt"`
}

// Files is one file's name or a list of them.
type Files []string

// UnmarshalYAML reads either.
func (f *Files) UnmarshalYAML(n *yaml.Node) error {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	*f = nil
	for _, e := range list {
		if e.Kind != yaml.ScalarNode || e.Tag == "!!null" {
			return strict.Problems{{Line: e.Line, Reason: "is the name of a file, or a list of such names"}}
		}
		*f = append(*f, e.Value)
	}
	return nil
}

// GitHubApp is a GitHub App that is installed where the repository is.
type GitHubApp struct {
	AppID          int    `yaml:"app_id"`
	InstallationID int    `yaml:"installation_id"` // 0: asked for
	KeyFile        string `yaml:"key_file"`
	APIURL         string `yaml:"api_url"` // "" is github.com's; GitHub Enterprise Server: https://HOST/api/v3
}

// Webhook says which git host may hint that there is something new.
type Webhook struct {
	Host        string `yaml:"host"`        // github, gitlab, gitea, forgejo, bitbucket
	SecretFiles Files  `yaml:"secret_file"` // several while one is replaced
}

// DefaultPoll is how often a repository is looked at without any hint.
const DefaultPoll = 60 * time.Second

// MinPoll keeps one course from wearing a git host out.
const MinPoll = 5 * time.Second

// contentFormat stands in Course.Digest: it grows when a new version of this
// package selects other files, or other settings, from the same tree.
const contentFormat = 1

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// ParseName checks a name.
func ParseName(s string) (Name, error) {
	switch {
	case s == "":
		return "", errors.New("missing; a short word such as scala101")
	case !nameForm.MatchString(s):
		return "", fmt.Errorf("%q: only lower-case letters, digits, '-', '_' and '.', at most 63, beginning with a letter or digit", strict.Cut(s))
	}
	return Name(s), nil
}

// SetDefaults fills what may be left out, and brings Folder into its one
// form.
func (c *Course) SetDefaults() {
	if c.Branch == "" {
		c.Branch = "main"
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	if c.Folder = strings.Trim(c.Folder, "/"); c.Folder != "" && path.Clean(c.Folder) == "." {
		c.Folder = ""
	}
}

// Digest stands for what decides the content: two services that publish the
// same course with different digests would take turns at undoing each other.
func (c Course) Digest() bundle.Digest {
	c.SetDefaults()
	text := fmt.Sprintf("satchel-course %d\n", contentFormat)
	for _, s := range []string{c.Repository, c.Branch, c.Folder} {
		text += fmt.Sprintf("%d:%s\n", len(s), s)
	}
	if c.Adopt {
		text += "adopt\n"
	}
	return bundle.Sum([]byte(text))
}

// HTTPS says whether the repository is asked over HTTPS.
func (c *Course) HTTPS() bool { return strings.HasPrefix(c.Repository, "https://") }

// Local says whether the repository is a folder of this machine.
func (c *Course) Local() bool { return strings.HasPrefix(c.Repository, "/") }

// FolderTwins gives the courses that would share one folder in a home, each
// with the other it meets; folders maps each course to its folder's name.
// Capitals do not make two folders out of one: some homes do not see them.
func FolderTwins(folders map[Name]string) map[Name]Name {
	first, twins := map[string]Name{}, map[Name]Name{}
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		folder := strings.ToLower(folders[name])
		if other, taken := first[folder]; taken {
			twins[name], twins[other] = other, name
			continue
		}
		first[folder] = name
	}
	return twins
}
