//go:build unix

package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"satchel/bundle"
	"satchel/internal/durable"
)

func (a *app) initCommand() *cobra.Command {
	var dir, url string
	var yes bool
	c := &cobra.Command{
		Use: "init", GroupID: "start", Args: noArgs,
		Short: "Make satchel.yaml and every secret that is missing",
		Long: `Makes satchel.yaml and the secrets of a service in one folder. It can be run
again: what is there stays as it is, only what is missing is made.

  satchel.yaml          the configuration, with comments
  courses.d/            one file for each course ("satchel course add")
  secrets/signing.pem   signs what students receive; only the syncer reads it
  secrets/signing.pub   its public half, for students' servers
  secrets/hook          the hub's hook shows it to log students in
  secrets/ticket        makes and checks tickets
  secrets/hub-token     the service shows it to the hub's API, if that is configured
  secrets/control       syncer and hookserver show it to each other, as two processes
  secrets/pseudonyms    hides names, if privacy asks for that`,
		Example: `  satchel init
  satchel init --dir /etc/satchel --url http://satchel:8484 --yes`,
		RunE: func(c *cobra.Command, _ []string) error {
			abs, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			url, err := initURL(a.asker(c.Context(), yes), abs, url)
			if err != nil {
				return err
			}
			made, err := initialise(abs, url)
			if err != nil {
				return err
			}
			for _, name := range append([]string{"courses.d", "secrets"}, made...) {
				a.handOver(abs, filepath.Join(abs, name))
			}
			return a.reportInit(abs, made)
		},
	}
	c.Flags().StringVar(&dir, "dir", ".", "the `folder` to make it in")
	c.Flags().StringVar(&url, "url", "", "where students' servers reach the service")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "ask nothing, take the defaults")
	return c
}

// initURL is the address that goes into a new satchel.yaml. One that is there
// already is not asked about, and not changed.
func initURL(q *asker, dir, given string) (string, error) {
	file := filepath.Join(dir, "satchel.yaml")
	if _, err := os.Lstat(file); err == nil {
		if given != "" {
			return "", fmt.Errorf("%s is there already and stays as it is: change its line \"url:\" by hand", file)
		}
		return "", nil
	}
	if given == "" && !q.quiet {
		fmt.Fprintln(q.out, "Students' servers reach this service by an address. In a container 127.0.0.1 is the\ncontainer itself: give the name or address of this machine as the containers see it.")
	}
	if given == "" {
		var err error
		if given, err = q.ask("Which address is it?", "http://127.0.0.1:8484"); err != nil {
			return "", err
		}
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%q is no address; give one such as http://satchel:8484 or https://hub.school.org/satchel: %w", given, errUsage)
	}
	return given, nil
}

func (a *app) reportInit(dir string, made []string) error {
	if a.json {
		return a.printJSON(map[string]any{"dir": dir, "made": made})
	}
	if len(made) == 0 {
		a.printf("Everything is there already in %s; nothing was changed.\n", dir)
	}
	for _, m := range made {
		a.printf("made %s\n", filepath.Join(dir, m))
	}
	a.printf("\nNext: satchel course add git@HOST:SCHOOL/COURSE.git\n")
	return nil
}

const configTemplate = `# Satchel's configuration. "satchel config check" reads it and tells every mistake;
# a running service takes changes up by itself. docs/configuration.md explains each key.

store: {dir: store}        # where bundles rest; or: {s3: {bucket: course-bundles, region: eu-west-1}}
url: %q   # where students' servers reach this service

listen:
  students: ":8484"         # students' servers must reach this one, and only this one
  hub: "127.0.0.1:8485"     # the hub's hook; health and metrics

# The hub's API, for containers that are resumed and groups that change:
# hub: {api_url: "http://127.0.0.1:8081/hub/api", token_file: secrets/hub-token}

privacy: {students: names, keep: 180d}   # names, pseudonyms or counts

# Courses stand in courses.d/, one file each: "satchel course add URL" writes it.
`

// initialise makes what is missing in dir and names it, relative to dir.
func initialise(dir, url string) (made []string, err error) {
	for _, d := range []string{"", "courses.d", "secrets"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	add := func(name string, mode fs.FileMode, content func() ([]byte, error)) {
		if err != nil {
			return
		}
		file := filepath.Join(dir, name)
		if _, lerr := os.Lstat(file); !errors.Is(lerr, fs.ErrNotExist) {
			err = lerr
			return
		}
		var data []byte
		if data, err = content(); err == nil {
			err = durable.WriteFile(file, data, mode)
			made = append(made, name)
		}
	}
	add("secrets/signing.pem", 0o600, newSigningPEM)
	add("secrets/signing.pub", 0o644, func() ([]byte, error) { return publicHalf(filepath.Join(dir, "secrets/signing.pem")) })
	for _, s := range []string{"hook", "ticket", "pseudonyms", "hub-token", "control"} {
		add("secrets/"+s, 0o600, newSecret)
	}
	add("satchel.yaml", 0o644, func() ([]byte, error) { return fmt.Appendf(nil, configTemplate, url), nil })
	return made, err
}

func newSigningPEM() ([]byte, error) {
	k, err := bundle.NewSigningKey()
	if err != nil {
		return nil, err
	}
	return k.PEM()
}

func publicHalf(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	k, err := bundle.ParseSigningKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return []byte(k.Public().String() + "\n"), nil
}

// newSecret is 32 random bytes in base64.
func newSecret() ([]byte, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	return []byte(base64.RawURLEncoding.EncodeToString(b) + "\n"), nil
}
