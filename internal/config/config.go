// Package config owns the service's one file, satchel.yaml: its struct, its
// defaults, its checks (Load) and its reload (Watch). Courses stand in it, or
// in courses.d/*.yaml beside it: one course or a list of them in each file.
//
// Secrets stand in files that it names, or in environment variables ("env:"
// and the variable's name in place of a file), never in its text. No other
// setting comes from the environment.
package config

import (
	"cmp"
	"time"

	"satchel/course"
	"satchel/internal/strict"
)

// Config is satchel.yaml. Relative paths are relative to the file's folder.
type Config struct {
	// Store is where bundles rest; the default is the folder "store".
	Store Store `yaml:"store"`
	// Delivery says by which way a bundle's bytes reach students: "service"
	// (default) sends them itself, "redirect" gives signed URLs of S3.
	Delivery string `yaml:"delivery"`
	// StateDir is the syncer's and hookserver's own: repository mirrors, the
	// digest memo, the cache of bundles. It can be deleted. Default "state".
	StateDir string `yaml:"state_dir"`
	// URL is where students' servers reach the service, for example
	// http://satchel:8484 or https://hub.school.org/services/satchel.
	URL string `yaml:"url"`
	// PublicURL is where git hosts reach the service, for webhooks; default:
	// url. For example https://hub.school.org/services/satchel.
	PublicURL string `yaml:"public_url"`
	// ID is the audience of tickets: which service they are for. Default
	// "satchel".
	ID string `yaml:"id"`
	// Listen says where the service answers.
	Listen Listen `yaml:"listen"`
	// Secrets names the files with secrets.
	Secrets Secrets `yaml:"secrets"`
	// SyncerURL is where a hookserver in a process of its own reaches the
	// syncer (its listen.syncer), to pass webhooks on.
	SyncerURL string  `yaml:"syncer_url"`
	Hub       Hub     `yaml:"hub"`
	Privacy   Privacy `yaml:"privacy"`
	Cache     Cache   `yaml:"cache"`
	// CAFile holds certificates of authorities (PEM) that are trusted beside
	// the system's, wherever the service calls out: git hosts over HTTPS, LFS,
	// S3, the hub's API.
	CAFile string `yaml:"ca_file"`
	Limits Limits `yaml:"limits"`

	Courses []course.Course `yaml:"courses"`

	// File is where it was read from; Dir its folder.
	File string `yaml:"-"`
	Dir  string `yaml:"-"`
	// Warnings is what does not stop the service: a file that is missing, or
	// that others may read, a users_file that says nothing.
	Warnings strict.Problems `yaml:"-"`
	// Broken are the mistakes in files of courses.d that LoadUsable left out.
	Broken strict.Problems `yaml:"-"`
}

// WebhookURL is where a git host sends a course's webhooks.
func (c *Config) WebhookURL(course string) string {
	return cmp.Or(c.PublicURL, c.URL) + "/webhooks/" + course
}

// Store is a folder or a bucket; exactly one is set.
type Store struct {
	Dir string `yaml:"dir"`
	S3  *S3    `yaml:"s3"`
}

// S3 is any S3-compatible endpoint. Credentials come by the SDK's chain.
type S3 struct {
	Bucket    string `yaml:"bucket"`
	Prefix    string `yaml:"prefix"`
	Endpoint  string `yaml:"endpoint"` // "" is AWS
	Region    string `yaml:"region"`
	PathStyle *bool  `yaml:"path_style"` // default: true with an endpoint
	Checksums *bool  `yaml:"checksums"`  // default: true without an endpoint
	// StudentsEndpoint is where students' servers reach the same server, for
	// delivery: redirect; default: the endpoint.
	StudentsEndpoint string `yaml:"students_endpoint"`
}

// Listen gives the addresses. Students' servers must reach the first one only.
type Listen struct {
	Students string `yaml:"students"` // default :8484
	Hub      string `yaml:"hub"`      // logins, health, metrics; default 127.0.0.1:8485
	Control  string `yaml:"control"`  // unix socket of the syncer; default state/control.sock
	// Syncer is an address at which the syncer hears of webhooks from
	// hookservers in other processes, who show the control secret; default
	// none. Students must not reach it.
	Syncer string `yaml:"syncer"`
	// Webhooks is an address at which the hookserver answers webhooks and
	// nothing else, for a proxy that git hosts reach; default none.
	Webhooks string `yaml:"webhooks"`
}

// Secrets names files. Where several are listed the first is used to make,
// all to check.
type Secrets struct {
	SigningKeys []string `yaml:"signing_keys"` // syncer only; default [secrets/signing.pem]
	PublicKeys  string   `yaml:"public_keys"`  // hookserver; default secrets/signing.pub
	HookSecrets []string `yaml:"hook_secrets"` // default [secrets/hook]
	TicketKeys  []string `yaml:"ticket_keys"`  // default [secrets/ticket]
	Pseudonyms  string   `yaml:"pseudonyms"`   // default secrets/pseudonyms
	Control     []string `yaml:"control"`      // between the processes of the service; default [secrets/control]
}

// Hub is the JupyterHub's API; without it containers that are resumed get no
// ticket, and a renewed one keeps the groups of its login.
type Hub struct {
	APIURL    string `yaml:"api_url"`    // as this service reaches it, such as http://hub:8081/hub/api
	TokenFile string `yaml:"token_file"` // of a service of the hub's, with read:users:name and read:users:groups
	// Groups says where a student's groups come from: "hub" (default), or
	// "login" where the spawn hook was given a callable for them: then only a
	// login can tell them, so renewals keep them and nothing is exchanged.
	Groups string `yaml:"groups"`
}

// Privacy says what is kept about students.
type Privacy struct {
	Students string        `yaml:"students"` // names (default), pseudonyms, counts
	Keep     time.Duration `yaml:"keep"`     // default 180d; d is accepted as a unit
}

// Cache bounds the hookserver's disk cache in front of S3.
type Cache struct {
	Size      int64 `yaml:"size"`       // bytes, written as 10GB; default 10 GB
	FreeFloor int64 `yaml:"free_floor"` // never less than this free; default 1 GB
}

// Limits bound what one ticket may do.
type Limits struct {
	Streams int `yaml:"streams"` // at once for one ticket; default 4
	// PerAddress is how many connections one address may hold; default 2,000.
	// Behind a proxy or NAT all students have one address: -1 is no limit.
	PerAddress int `yaml:"per_address"`
}
