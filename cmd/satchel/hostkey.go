//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"satchel/internal/durable"
	"satchel/source"
)

func (a *app) hostKeyCommand() *cobra.Command {
	var confirmed string
	c := &cobra.Command{
		Use: "hostkey COURSE", Args: exactly("COURSE"),
		Short: "Show the key that a course's git host has now, and pin it once you confirm",
		Long: `For when a git host announced a new key: shows the fingerprints that it has
now, and adds them to the course's known_hosts file once you have compared them
with what the host documents. Keys that are pinned already stay.`,
		Example: `  satchel course hostkey scala101
  satchel course hostkey scala101 --host-key SHA256:…`,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.usable()
			if err != nil {
				return err
			}
			for _, co := range cfg.Courses {
				if string(co.Name) != args[0] {
					continue
				}
				if source.IsLocal(co.Repository) {
					return fmt.Errorf("%s is a folder of this machine: there is no host key", co.Repository)
				}
				if err := a.pinHost(c.Context(), a.asker(c.Context(), false), co.Repository, co.Proxy, confirmed, co.KnownHostsFile); err != nil {
					return err
				}
				a.handOver(cfg.Dir, co.KnownHostsFile)
				a.printf("%s has them.\n", co.KnownHostsFile)
				return nil
			}
			return unknownCourse(cfg, args[0])
		},
	}
	c.Flags().StringVar(&confirmed, "host-key", "", "the `fingerprint` that you have compared already (SHA256:…)")
	return c
}

// pinHost shows the git host's keys and keeps them once they are confirmed.
func (a *app) pinHost(ctx context.Context, q *asker, url, proxy, confirmed, file string) error {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	host, keys, err := source.ScanHostKeys(ctx, url, proxy)
	if err != nil {
		return err
	}
	have, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	a.printf("%s shows these host keys:\n", host)
	for _, k := range keys {
		a.printf("  %-20s %s\n", k.Type, k.Fingerprint)
	}
	keys = slices.DeleteFunc(keys, func(k source.HostKey) bool { return strings.Contains(string(have), k.Line) })
	if len(keys) == 0 {
		return nil
	}
	if keys, err = confirmKeys(q, keys, confirmed); err != nil {
		return err
	}
	return durable.WriteFile(file, withLines(have, keys), 0o644)
}

// confirmKeys gives the keys that a person has compared: the one whose
// fingerprint they gave, and no other (somebody in between could pass one key
// on and put their own in place of another), or all that they said yes to.
func confirmKeys(q *asker, keys []source.HostKey, confirmed string) ([]source.HostKey, error) {
	if confirmed != "" {
		keys = slices.DeleteFunc(keys, func(k source.HostKey) bool { return k.Fingerprint != confirmed })
		if len(keys) == 0 {
			return nil, fmt.Errorf("no new key has the fingerprint %s that you gave: somebody may be in between, or the host changed its keys; nothing was written", confirmed)
		}
		return keys, nil
	}
	sure, err := q.confirm("Compare them with what the host documents. Are they right?")
	if err == nil && !sure {
		err = errors.New("the host's keys were not confirmed: give --host-key FINGERPRINT, or a known_hosts file; nothing was written")
	}
	return keys, err
}

// withLines is a known_hosts file with the keys' lines at its end.
func withLines(have []byte, keys []source.HostKey) []byte {
	text := bytes.Clone(have)
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	for _, k := range keys {
		text = append(text, k.Line+"\n"...)
	}
	return text
}
