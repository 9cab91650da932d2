//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"satchel/bundle"
	"satchel/syncer"
)

func (a *app) pauseCommand() *cobra.Command {
	return a.decision(&cobra.Command{
		Use: "pause COURSE", Args: exactly("COURSE"),
		Short: "Give nothing new to students, until \"resume\"",
		Long: `From now on no student is given anything new of the course, within seconds; what
they have stays. Publishing goes on meanwhile, and a rollback and withdrawals
still reach them. Whoever has nothing yet reads that the course is paused.`,
		Example: "  satchel pause scala101 --why \"wrong solutions were pushed\"",
	}, func(cmd *syncer.Command, _ []string) error { return nil }, func(o syncer.Outcome) string {
		if !o.Decided {
			return "it was paused already"
		}
		return "paused; \"satchel resume " + o.Course + "\" ends it"
	})
}

func (a *app) resumeCommand() *cobra.Command {
	return a.decision(&cobra.Command{
		Use: "resume COURSE", Args: exactly("COURSE"),
		Short:   "End a pause and a rollback, and publish what the repository has",
		Example: "  satchel resume scala101",
	}, func(cmd *syncer.Command, _ []string) error { return nil }, func(o syncer.Outcome) string {
		switch {
		case o.Published:
			return fmt.Sprintf("resumed; published version %d of commit %.10s", o.Version, o.Commit)
		case !o.Decided:
			return fmt.Sprintf("it was neither paused nor rolled back; version %d stays", o.Version)
		}
		return fmt.Sprintf("resumed, with version %d", o.Version)
	})
}

func (a *app) rollbackCommand() *cobra.Command {
	return a.decision(&cobra.Command{
		Use: "rollback COURSE VERSION", Args: exactly("COURSE", "VERSION"),
		Short: "Publish a former version's content again, and stay with it",
		Long: `Publishes the content of one of the last 20 versions as a new version, by today's
rules. The course then stays with it: newer commits wait, and are shown in
"satchel status", until the branch has moved and somebody says "satchel publish",
or "satchel resume". What was withdrawn stays out. "satchel log COURSE" lists the
versions.`,
		Example: "  satchel log scala101\n  satchel rollback scala101 41 --why \"42 lost the data folder\"",
	}, func(cmd *syncer.Command, args []string) error {
		v, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil || v < 1 {
			return fmt.Errorf("%q is no version; \"satchel log %s\" lists them: %w", args[1], args[0], errUsage)
		}
		cmd.Version = bundle.Version(v)
		return nil
	}, func(o syncer.Outcome) string {
		if o.Published {
			return fmt.Sprintf("published version %d, with that content; newer commits wait until \"satchel publish\" after the next push, or \"satchel resume\"", o.Version)
		}
		return fmt.Sprintf("version %d has that content already; newer commits wait until \"satchel publish\" after the next push, or \"satchel resume\"", o.Version)
	})
}

// decision completes a command that the running syncer does.
func (a *app) decision(c *cobra.Command, read func(*syncer.Command, []string) error, say func(syncer.Outcome) string) *cobra.Command {
	var cmd syncer.Command
	c.GroupID = "course"
	name := c.Name()
	c.RunE = func(c *cobra.Command, args []string) error {
		cmd.Course, cmd.Who = args[0], person()
		if err := read(&cmd, args); err != nil {
			return err
		}
		o, err := a.ask(c.Context(), name, cmd)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(o)
		}
		a.printf("%s: %s.\n", o.Course, say(o))
		for _, n := range o.Notes {
			a.printf("  note: %s\n", n)
		}
		return nil
	}
	c.Flags().StringVar(&cmd.Why, "why", "", "the `reason`, for the log and the status")
	return c
}

func (a *app) ask(ctx context.Context, what string, cmd syncer.Command) (syncer.Outcome, error) {
	cfg, err := a.usable()
	if err != nil {
		return syncer.Outcome{}, err
	}
	o, err := syncer.NewClient(cfg.Listen.Control).Do(ctx, what, cmd)
	var refused *syncer.Refusal
	if errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return o, err
}
