//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"satchel/bundle"
	"satchel/course"
	"satchel/internal/config"
	"satchel/internal/students"
	"satchel/syncer"
)

func (a *app) withdrawCommand() *cobra.Command {
	var cmd syncer.Command
	var yes, version bool
	c := &cobra.Command{
		Use: "withdraw COURSE PATH|VERSION", GroupID: "course", Args: exactly("COURSE", "PATH or VERSION"),
		Short: "Take back a file, a folder, or what came in with a version",
		Long: `Takes contents back that went out by mistake: a file or folder as it is delivered
now (its path is below the course's folder), or all that came in with a version.
A path that is a number is written with ./ (./2). Lists them first, and asks, and
takes back what it listed; where nobody is at a terminal, give --yes.

Nothing gives them out any more once the command has answered: not the service,
not its caches, not URLs that were signed; but a hookserver that is cut off from
the store, which the answer names if it was heard within a day. Students' agents
that are online remove them within seconds, the others at the next login, where
the student did not change them. The same bytes under another path stay. The
repository is not touched: take the file out there too, or a changed one goes out
again.

What was seen cannot be unseen.`,
		Example: `  satchel withdraw scala101 hw1/solution.ipynb --why "the solution was pushed too early"
  satchel withdraw scala101 42 --yes`,
		RunE: func(c *cobra.Command, args []string) error {
			cmd.Course, cmd.Who = args[0], person()
			if v := versionNamed(args[1]); v > 0 {
				cmd.Version = v
			} else {
				cmd.Path = strings.TrimPrefix(args[1], "./")
			}
			return a.withdraw(c.Context(), cmd, yes, version)
		},
	}
	c.Flags().BoolVar(&version, "as-version", false, "the number is a version, also where a path has that name")
	c.Flags().StringVar(&cmd.Why, "why", "", "the `reason`, for the log and the status")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do it without asking")
	return c
}

// versionNamed is 0 for whatever is no version's number: 01 is a folder's name.
func versionNamed(text string) bundle.Version {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v <= 0 || strconv.FormatInt(v, 10) != text {
		return 0
	}
	return bundle.Version(v)
}

// unambiguous refuses a version's number that is a path too.
func unambiguous(ctx context.Context, client *syncer.Client, cmd syncer.Command) error {
	v := cmd.Version
	cmd.Version, cmd.Path = 0, fmt.Sprint(v)
	if list, err := client.Withdraw(ctx, cmd); err == nil && len(list.Pairs) > 0 {
		return fmt.Errorf("%w: %s has a path %d, and there is a version %d: write ./%d for the path, or --as-version", errRefused, cmd.Course, v, v, v)
	}
	return nil // whatever is wrong, the next question tells
}

func (a *app) withdraw(ctx context.Context, cmd syncer.Command, yes, version bool) error {
	cfg, st, err := a.opened(ctx)
	if err != nil {
		return err
	}
	client := syncer.NewClient(cfg.Listen.Control)
	if cmd.Version > 0 && !version {
		if err := unambiguous(ctx, client, cmd); err != nil {
			return err
		}
	}
	list, err := client.Withdraw(ctx, cmd)
	if err != nil {
		return belowFolder(cfg, cmd, refusedBy(err))
	}
	if !yes && a.json { // a script looks first
		return a.printJSON(list)
	}
	if !yes {
		a.printf("This takes back:\n")
		for _, w := range list.Pairs {
			a.printf("  %s\n", w.Path)
		}
		if s, err := students.Summarize(ctx, st, cmd.Course, time.Now()); err == nil && s != nil && s.Servers > 0 {
			a.printf("%s of this course may have had it, and what was seen cannot be unseen.\n", plural(s.Servers, "student's server"))
		}
		cmd.Listed = list.Listed
		if err := a.asker(ctx, false).sure("Take it back?", "nothing was taken back"); err != nil {
			return err
		}
	}
	cmd.Confirm = true
	done, err := client.Withdraw(ctx, cmd)
	if err != nil {
		return refusedBy(err)
	}
	if a.json {
		return a.printJSON(done)
	}
	a.printServers(done)
	a.printf("%s: took back %s; version %d is without. %s that held it deleted from the store.\n", done.Course, plural(len(done.Pairs), "file"), done.Version, plural(done.Deleted, "object"))
	return nil
}

// printServers names the hookservers that may still give out what was taken back.
func (a *app) printServers(done syncer.Withdrawal) {
	for _, id := range done.Unconfirmed {
		a.printf("The hookserver %s has not said yet that it gives out none of it: it does so as soon as it can read the store.\n", id)
	}
	for _, s := range done.Silent {
		a.printf("The hookserver %s was not heard since %s; if it still runs it may give it out until it reads the store again.\n", s.ID, s.Heard.Local().Format("2006-01-02 15:04"))
	}
}

// belowFolder adds to a refusal what path was meant, where the one that was
// typed begins with the course's folder, as paths in the repository do.
func belowFolder(cfg *config.Config, cmd syncer.Command, err error) error {
	i := slices.IndexFunc(cfg.Courses, func(c course.Course) bool { return string(c.Name) == cmd.Course })
	if i < 0 || !errors.Is(err, errRefused) {
		return err
	}
	folder := strings.Trim(path.Clean(cfg.Courses[i].Folder), "/")
	if below, ok := strings.CutPrefix(cmd.Path, folder+"/"); ok && below != "" {
		return fmt.Errorf("%w. Paths are below the course's folder (%s): did you mean %s?", err, folder, below)
	}
	return err
}

// refusedBy marks what the syncer refused.
func refusedBy(err error) error {
	var refused *syncer.Refusal
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}
