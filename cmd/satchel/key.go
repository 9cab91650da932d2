//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"satchel/bundle"
	"satchel/internal/durable"
	"satchel/source"
)

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "key", GroupID: "run", Args: noArgs,
		Short: "Make a key or a secret that will replace another",
		Long: `Makes a key in a file of its own, readable by this user alone (made by root, by
the owner of the folder it is in). Nothing uses it
until the configuration names it; docs/rotation.md has the steps for each key.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.keySigning(), a.keySecret(), a.keyDeploy())
	return c
}

func (a *app) keySigning() *cobra.Command {
	return &cobra.Command{
		Use: "signing FILE", Args: exactly("FILE"),
		Short: "Make a signing key where FILE is not there, and print its public half",
		Long: `Prints the line for secrets/signing.pub to standard output, also of a key that is
there already, and its id, which "satchel status" shows, to standard error.`,
		Example: "  satchel key signing secrets/signing-2.pem >> secrets/signing.pub",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := a.makeFile(args[0], newSigningPEM); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			line, err := publicHalf(args[0])
			if err != nil {
				return err
			}
			keys, err := bundle.ParsePublicKeys(string(line))
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "the id of the key in %s is %s\n", args[0], keys[0].ID())
			a.printf("%s", line)
			return nil
		},
	}
}

func (a *app) keySecret() *cobra.Command {
	return &cobra.Command{
		Use: "secret FILE", Args: exactly("FILE"),
		Short:   "Make a secret: of the hook, the tickets, a webhook, the processes, the hub's token",
		Example: "  satchel key secret secrets/hook-2",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := a.makeFile(args[0], newSecret); err != nil {
				return err
			}
			a.printf("made %s\n", args[0])
			return nil
		},
	}
}

func (a *app) keyDeploy() *cobra.Command {
	return &cobra.Command{
		Use: "deploy FILE", Args: exactly("FILE"),
		Short:   "Make a deploy key in FILE, and print the line to paste at the git host (FILE.pub)",
		Example: "  satchel key deploy secrets/scala101-key-2",
		RunE: func(_ *cobra.Command, args []string) error {
			file := args[0]
			if err := absent(file); err != nil {
				return err
			}
			line, err := deployKey(file, "satchel")
			if err != nil {
				return err
			}
			a.handOver(filepath.Dir(file), file, file+".pub")
			a.printf("%s\n", line)
			return nil
		},
	}
}

// deployKey gives the public half of the key in file, as the line to paste at
// the git host, and sees that FILE.pub says the same. The key is made where
// there is none.
func deployKey(file, comment string) (line string, err error) {
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		private, _, err := source.NewDeployKey(comment)
		if err != nil {
			return "", err
		}
		if err := durable.WriteFile(file, private, 0o600); err != nil {
			return "", err
		}
	}
	if line, err = source.PublicHalf(file, comment); err != nil {
		return "", err
	}
	have, err := os.ReadFile(file + ".pub")
	if err == nil && strings.HasPrefix(string(have), strings.TrimSuffix(line, comment)) {
		return line, nil
	}
	return line, durable.WriteFile(file+".pub", []byte(line+"\n"), 0o644)
}

// absent is an error where something has the name already.
func absent(file string) error {
	switch _, err := os.Lstat(file); {
	case err == nil:
		return fmt.Errorf("%s: %w; choose another name", file, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// makeFile writes what content gives into a file that is not there yet.
func (a *app) makeFile(file string, content func() ([]byte, error)) error {
	if err := absent(file); err != nil {
		return err
	}
	data, err := content()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	a.handOver(filepath.Dir(file), file)
	return nil
}
