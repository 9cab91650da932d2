package main

import (
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"satchel/course"
)

// linted is what lint says for scripts.
type linted struct {
	Files    int              `json:"files"`
	Bytes    int64            `json:"bytes"`
	Stops    []course.Finding `json:"stops"`
	Held     []course.Finding `json:"held_back"`
	Withheld []course.Finding `json:"withheld"`
	Warnings []course.Finding `json:"warnings"`
}

func (a *app) lintCommand() *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use: "lint DIR", GroupID: "course", Args: exactly("DIR"),
		Short: "Say what a publish of a folder would refuse, hold back or warn about",
		Long: `Reads a folder as the service would read it from the repository, by the same
rules, and says what would stop the publish, what would be held back, what
never leaves the repository, and what is only odd. DIR is the folder that the
service delivers: the repository, or its "folder:". It needs no service, no
configuration and no network, and changes nothing, so it can run before a push
and in the course repository's own CI. What lies in the folder without being
committed counts too.

Ends with 3 where something stops the publish or holds a file back.`,
		Example: `  satchel lint .
  satchel lint --strict notebooks     a warning is a failure too
  satchel lint --json . | jq .stops`,
		RunE: func(c *cobra.Command, args []string) error {
			sel, err := a.lint(c, args[0])
			if err != nil {
				return err
			}
			bad := len(sel.Stops) + len(sel.Held)
			if strict {
				bad += len(sel.Warnings)
			}
			if bad > 0 {
				return fmt.Errorf("%s to mend in %s: %w", plural(bad, "thing"), args[0], errRefused)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings count as failures")
	return c
}

// lint reads a folder and prints what was found. A root keeps links inside.
func (a *app) lint(c *cobra.Command, dir string) (*course.Selection, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	sel, err := course.Select(c.Context(), workingCopy{root.FS().(fs.ReadLinkFS)}, nil)
	if err != nil {
		return nil, fmt.Errorf("lint %s: %w", dir, err)
	}
	if a.json {
		return sel, a.printJSON(lintedOf(sel))
	}
	for _, n := range sel.Notes() {
		a.printf("%s\n", n)
	}
	if l := lintedOf(sel); len(sel.Stops) == 0 {
		a.printf("%s would be delivered, %d bytes.\n", plural(l.Files, "file"), l.Bytes)
	}
	return sel, nil
}

// workingCopy is a folder without git's own at its top, which no repository
// holds.
type workingCopy struct{ fs.ReadLinkFS }

// ReadDir implements fs.ReadDirFS.
func (w workingCopy) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(w.ReadLinkFS, name)
	if name == "." {
		list = slices.DeleteFunc(list, func(e fs.DirEntry) bool { return e.Name() == ".git" })
	}
	return list, err
}

func lintedOf(s *course.Selection) linted {
	some := func(l []course.Finding) []course.Finding { return append([]course.Finding{}, l...) }
	l := linted{Files: len(s.Files), Stops: some(s.Stops), Held: some(s.Held), Withheld: some(s.Withheld), Warnings: some(s.Warnings)}
	for _, f := range s.Files {
		l.Bytes += f.Size
	}
	return l
}
