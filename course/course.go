// Package course owns what a course is: where its material comes from, who
// may see it, and which files of its repository are delivered. It reads the
// service's entry for a course (Course) and the instructor's .satchel.yaml
// (Rules), and selects (Select). It reads content from an fs.FS and knows
// nothing of git, stores or servers.
package course

import (
	"time"
)

// Name identifies a course, in keys, URLs and logs: 1 to 63 lower-case
// letters, digits, '-', '_' and '.', beginning with a letter or digit.
type Name string

// Course is one course in the service's configuration.
type Course struct {
	Name           Name          `yaml:"name"`
	Repository     string        `yaml:"repository"` // ssh URL, git@host:path, or a local folder (absolute path)
	Branch         string        `yaml:"branch"`     // "" is main
	Folder         string        `yaml:"folder"`     // the only folder that leaves the repository; "" is all of it
	DeployKeyFile  string        `yaml:"deploy_key_file"`
	KnownHostsFile string        `yaml:"known_hosts_file"`
	Audience       Audience      `yaml:"audience"`
	Poll           time.Duration `yaml:"poll"` // 0 is 60s; at least 5s
	Webhook        *Webhook      `yaml:"webhook"`
}

// Webhook says which git host may hint that there is something new. It is
// read and checked; the routes come with a later version.
type Webhook struct {
	Host       string `yaml:"host"` // github, gitlab, gitea, forgejo, bitbucket
	SecretFile string `yaml:"secret_file"`
}

// Audience says who is in the course. Everyone means: whom the hub lets in.
// In YAML it is the word everyone, or a mapping.
type Audience struct {
	Everyone  bool     `yaml:"-"`
	Groups    []string `yaml:"groups"`
	Users     []string `yaml:"users"`
	UsersFile string   `yaml:"users_file"` // one name a line
	Except    []string `yaml:"except"`

	listed []string // read from UsersFile
}
