//go:build unix

package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"satchel/internal/config"
	"satchel/internal/strict"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "config", GroupID: "start", Args: noArgs,
		Short: "Check the configuration",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var half string
	check := &cobra.Command{
		Use: "check", Args: noArgs,
		Short: "Read the configuration and all that it names, and tell every mistake",
		Long: `Reads satchel.yaml, courses.d, and every key and secret, by the rules of a
service's start. What would stop it, or leave students with nothing, is an error
and exit code 1; what stops one course only is a warning. Where syncer and
hookserver have secrets apart, --half names the one to look at: what is missing
there and only the other needs is a note.`,
		Example: "  satchel config check\n  satchel config check --config /etc/satchel/satchel.yaml --json\n  satchel config check --half syncer",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			h, err := a.half(half)
			if err != nil {
				return err
			}
			return a.checkConfig(cfg, h)
		},
	}
	check.Flags().StringVar(&half, "half", "", "look at what this `half` needs, syncer or hookserver (default: SATCHEL_HALF, else both)")
	c.AddCommand(check)
	return c
}

// half is the part of the service that a command looks at: the one that is
// given, or whose container this is (SATCHEL_HALF), or both.
func (a *app) half(given string) (config.Half, error) {
	h, err := config.ParseHalf(cmp.Or(given, a.env("SATCHEL_HALF")))
	if err != nil {
		return h, fmt.Errorf("%w: %w", err, errUsage)
	}
	return h, nil
}

// checkConfig reports on a configuration that could be loaded.
func (a *app) checkConfig(cfg *config.Config, half config.Half) error {
	stops, warned, notes := cfg.CheckSecrets(half)
	warnings := texts(warned)
	if a.json {
		err := a.printJSON(map[string]any{"file": cfg.File, "courses": len(cfg.Courses), "errors": texts(stops), "warnings": warnings, "notes": texts(notes)})
		return errors.Join(err, stopped(stops))
	}
	for _, n := range texts(notes) {
		a.printf("note: %s\n", n)
	}
	for _, w := range warnings {
		a.printf("warning: %s\n", w)
	}
	for _, s := range texts(stops) {
		a.printf("error: %s\n", s)
	}
	if err := stopped(stops); err != nil {
		return err
	}
	fine := "is fine"
	if len(warnings) > 0 {
		fine = "can be used, with " + plural(len(warnings), "warning")
	}
	a.printf("%s %s: %s.\n", cfg.File, fine, plural(len(cfg.Courses), "course"))
	for _, c := range cfg.Courses {
		a.printf("  %s: %s, branch %s\n", c.Name, c.Repository, c.Branch)
	}
	return nil
}

// stopped is the error of what would keep the service from its work.
func stopped(stops strict.Problems) error {
	if len(stops) == 0 {
		return nil
	}
	return fmt.Errorf("%s; the service would not start, or students would get nothing", plural(len(stops), "error"))
}

func texts(ps strict.Problems) []string {
	out := []string{}
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}
