//go:build unix

package main

import (
	"errors"
	"fmt"
	"os/user"

	"github.com/spf13/cobra"

	"satchel/syncer"
)

func (a *app) publishCommand() *cobra.Command {
	r := syncer.Request{}
	c := &cobra.Command{
		Use: "publish COURSE", GroupID: "course", Args: exactly("COURSE"),
		Short: "Look at the repository now, and publish what is new",
		Long: `Asks the running syncer to look at once instead of at its next poll, waits for
the end, and says what was published or why not.`,
		Example: `  satchel publish scala101
  satchel publish scala101 --confirm-shrink   most of the files are gone on purpose`,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.usable()
			if err != nil {
				return err
			}
			r.Course, r.Who = args[0], person()
			o, err := syncer.NewClient(cfg.Listen.Control).Publish(c.Context(), r)
			var refused *syncer.Refusal
			if errors.As(err, &refused) {
				return fmt.Errorf("%w: %w", errRefused, err)
			}
			if err != nil {
				return err
			}
			return a.reportPublish(o)
		},
	}
	c.Flags().BoolVar(&r.ConfirmShrink, "confirm-shrink", false, "yes, more than half of the files are gone on purpose")
	c.Flags().BoolVar(&r.Take, "take-configuration", false, "publish with this syncer's configuration although another's superseded it")
	return c
}

// person is who typed the command.
func person() string {
	u, err := user.Current()
	if err != nil {
		return "somebody at the command line"
	}
	return u.Username
}

func (a *app) reportPublish(o syncer.Outcome) error {
	if a.json {
		return a.printJSON(o)
	}
	switch {
	case o.Published:
		a.printf("%s: published version %d of commit %.10s: %d new, %d changed, %d removed.\n", o.Course, o.Version, o.Commit, o.Added, o.Changed, o.Removed)
	default:
		a.printf("%s: nothing new; version %d stays.\n", o.Course, o.Version)
	}
	for _, n := range o.Notes {
		a.printf("  note: %s\n", n)
	}
	return nil
}
