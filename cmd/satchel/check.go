//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"satchel/bundle"
	"satchel/course"
	"satchel/internal/config"
	"satchel/syncer"
)

func (a *app) checkCommand() *cobra.Command {
	var data, repair, yes bool
	var cmd syncer.Command
	var above int64
	c := &cobra.Command{
		Use: "check [COURSE]", GroupID: "run",
		Short: "Look whether the store holds what it should, and mend it",
		Long: `Looks at each course (or one): the record and its signature, that each bundle it
names is there, that they lead to the newest version, that the log knows nothing
newer, and that no student's server proved to have a newer version. With
--read-data each of these bundles is read and hashed. Nothing is changed.

With --repair the running syncer publishes what the repository has now, above
every version that is known, with full bundles alone: for a store that lost
something, or was brought back from an older backup. Students keep what they
have. What was withdrawn stays so. What students' servers proved to have is
known: a hookserver keeps it in the store (receipts/proven/COURSE). --above names
a version that nothing there tells of.

Exit codes: 0 all is well · 1 something is not.`,
		Example: "  satchel check\n  satchel check scala101 --read-data\n  satchel check scala101 --repair --why \"restored from Sunday's backup\"",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 || repair && len(args) != 1 {
				return fmt.Errorf("%q takes one COURSE; see %q: %w", c.CommandPath(), c.CommandPath()+" --help", errUsage)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			cmd.Version = bundle.Version(above)
			return a.check(c.Context(), args, data, repair, yes, cmd)
		},
	}
	f := c.Flags()
	f.BoolVar(&data, "read-data", false, "read and hash each bundle that the record names")
	f.BoolVar(&repair, "repair", false, "publish anew what the store has lost")
	f.Int64Var(&above, "above", 0, "with --repair: a `version` that students have and nothing in the store tells of")
	f.StringVar(&cmd.Why, "why", "", "with --repair: the `reason`, for the log")
	f.BoolVarP(&yes, "yes", "y", false, "repair without asking")
	return c
}

var errFaults = errors.New("the store does not hold all that it should; each fault says what to do")

func (a *app) check(ctx context.Context, names []string, data, repair, yes bool, cmd syncer.Command) error {
	cfg, st, err := a.opened(ctx)
	if err != nil {
		return err
	}
	keys, err := publicKeys(cfg)
	if err != nil {
		return err
	}
	all, faults := []syncer.Checked{}, 0
	for _, k := range cfg.Courses {
		if len(names) > 0 && string(k.Name) != names[0] {
			continue
		}
		got, err := syncer.Check(ctx, st, string(k.Name), keys, data, a.bundlesDone(string(k.Name)))
		if err != nil {
			return fmt.Errorf("check %s: %w", k.Name, err)
		}
		all, faults = append(all, got), faults+len(got.Faults)
		a.printChecked(got)
	}
	if len(names) > 0 && len(all) == 0 {
		return noCourse(cfg, names[0])
	}
	if a.json {
		if err := a.printJSON(all); err != nil {
			return err
		}
	}
	switch {
	case repair:
		cmd.Course, cmd.Who, cmd.Version = names[0], person(), max(cmd.Version, all[0].Proven)
		return a.repair(ctx, cfg, cmd, faults, yes)
	case faults > 0:
		return errFaults
	}
	return nil
}

// publicKeys are those that signed what students have.
func publicKeys(cfg *config.Config) ([]bundle.PublicKey, error) {
	text, err := config.ReadFile(cfg.Secrets.PublicKeys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Secrets.PublicKeys, err)
	}
	keys, err := bundle.ParsePublicKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Secrets.PublicKeys, err)
	}
	return keys, nil
}

// bundlesDone shows progress on a terminal.
func (a *app) bundlesDone(name string) func(done, all int) {
	if a.json || !isTerminal(a.out) {
		return nil
	}
	return func(done, all int) {
		a.printf("\r%s: bundle %d of %d ", name, done, all)
		if done == all {
			a.printf("\r\033[K")
		}
	}
}

func (a *app) printChecked(c syncer.Checked) {
	if a.json {
		return
	}
	a.printf("%s: version %d, %s, %.1f MB", c.Course, c.Version, plural(c.Bundles, "bundle"), float64(c.Bytes)/1e6)
	if c.Read > 0 {
		a.printf(" of which %.1f were read", float64(c.Read)/1e6)
	}
	a.printf(": %s\n", plural(len(c.Faults), "fault"))
	for _, f := range c.Faults {
		a.printf("  %s\n", f.Fault)
		if f.Key != "" {
			a.printf("    %s\n", f.Key)
		}
		if f.Do != "" {
			a.printf("    %s\n", f.Do)
		}
	}
}

// noCourse says which there are.
func noCourse(cfg *config.Config, name string) error {
	if i := slices.IndexFunc(cfg.Courses, func(c course.Course) bool { return string(c.Name) == name }); i >= 0 {
		return nil
	}
	return unknownCourse(cfg, name)
}

func (a *app) repair(ctx context.Context, cfg *config.Config, cmd syncer.Command, faults int, yes bool) error {
	if faults == 0 && cmd.Version == 0 {
		a.printf("There is nothing to repair.\n")
		return nil
	}
	if !yes {
		if err := a.asker(ctx, false).sure("Publish what the repository has now, above every version that is known?", "nothing was repaired"); err != nil {
			return err
		}
	}
	o, err := syncer.NewClient(cfg.Listen.Control).Do(ctx, "repair", cmd)
	if err != nil {
		return refusedBy(err)
	}
	if a.json {
		return a.printJSON(o)
	}
	a.printf("%s: repaired with version %d; `satchel check %s` looks again.\n", o.Course, o.Version, o.Course)
	return nil
}
